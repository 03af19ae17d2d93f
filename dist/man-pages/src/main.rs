//! `scanbridge-man-pages DIRECTORY`: writes all manual pages into a directory, and prints their names.

use std::io::{self, Write, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;

use scanbridge_man_pages::pages;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [directory] = arguments.as_slice() else {
        let _ = writeln!(stderr(), "usage: scanbridge-man-pages DIRECTORY");
        return ExitCode::from(64);
    };
    match write_all(Path::new(directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let directory = Path::new(directory).display();
            let _ = writeln!(stderr(), "error: cannot write the pages into {directory}: {error}");
            ExitCode::from(73)
        }
    }
}

fn write_all(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for page in pages()? {
        std::fs::write(directory.join(&page.file), page.text)?;
        writeln!(stdout(), "{}", page.file)?;
    }
    Ok(())
}
