//! An unpacked archive: programs, `plugins` and `InputPlugins` in one directory, and no files elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use scanbridge_bench::generator::{Extent, Format, Shape};
use scanbridge_doubles::certificates::installed;

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};

/// The files below a directory.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// A directory `archive` with all files of an archive, and settings for the file input.
fn unpacked() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    let archive = sandbox.path("archive");
    let installed = installation::host().parent().unwrap();
    for file in files(installed) {
        let target = archive.join(file.strip_prefix(installed).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::hard_link(&file, target).unwrap();
    }
    fs::create_dir(archive.join("InputPlugins")).unwrap();
    fs::copy(installation::project_file("examples/reports/scan.xml"), archive.join("scan.xml")).unwrap();
    fs::write(archive.join("InputPlugins/QualysGuardFile.yaml"), "path: scan.xml\nsettle_secs: 0\n").unwrap();
    (sandbox, archive)
}

#[test]
fn all_files_are_in_the_unpacked_directory() {
    let (sandbox, archive) = unpacked();
    for folder in ["home", "tmp"] {
        fs::create_dir(sandbox.path(folder)).unwrap();
    }
    for arguments in [&["-csvfile=a.csv", "-logfile=log"][..], &["-csvfile=a.csv", "-level=3"]] {
        let mut command = Command::new(archive.join("qualys_connector"));
        command.args(arguments).arg("QualysGuardFile").current_dir(&archive).env_clear();
        command.env("HOME", sandbox.path("home")).env("TMPDIR", sandbox.path("tmp"));
        Outcome::of(command.output().unwrap()).expect_code(0);
    }
    assert!(archive.join("a.csv").exists() && archive.join("log").exists());
    assert!(archive.join("state").is_dir());
    fs::remove_dir_all(&archive).unwrap();
    assert_eq!(files(&sandbox.path("")), Vec::<PathBuf>::new());
}

#[test]
fn programs_and_plugins_need_only_system_libraries() {
    if !installed("ldd") {
        return;
    }
    let system =
        ["linux-vdso.", "ld-linux", "libc.", "libm.", "libgcc_s.", "libdl.", "libpthread.", "librt."];
    let all = files(installation::host().parent().unwrap());
    assert!(all.len() > 6, "{all:?}");
    for file in all {
        let needed = Outcome::of(Command::new("ldd").arg(&file).output().unwrap()).expect_code(0).stdout;
        for line in needed.lines().map(str::trim) {
            let name = line.split_whitespace().next().unwrap().rsplit('/').next().unwrap();
            assert!(system.iter().any(|known| name.starts_with(known)), "{}: {line}", file.display());
        }
    }
}

/// The system requirements of the guide of 2014: two processors and 2 GB.
#[test]
fn two_processors_and_two_gigabytes_are_enough() {
    if !installed("taskset") {
        return;
    }
    let (_sandbox, archive) = unpacked();
    let extent = Extent::Assets(2_000);
    let shape =
        Shape { format: Format::Scan, extent, findings_per_asset: 20, qids: 500, own_texts: false, seed: 5 };
    shape.write(fs::File::create(archive.join("scan.xml")).unwrap()).unwrap();
    let processors =
        if std::thread::available_parallelism().is_ok_and(|count| count.get() > 1) { "0,1" } else { "0" };
    let mut command = Command::new("sh");
    // `ulimit -v` limits the address space, in KiB. Only about a tenth of it is used.
    command.args(["-c", "ulimit -v 2097152 && exec taskset -c \"$0\" ./qualys_connector \"$@\"", processors]);
    command.args(["-csvfile=a.csv", "QualysGuardFile"]).current_dir(&archive).env("HOME", &archive);
    Outcome::of(command.output().unwrap()).expect_code(0);
    let commands = fs::read_to_string(archive.join("a.csv")).unwrap();
    assert_eq!(commands.matches("DeleteScanResult,").count(), 2_000);
}
