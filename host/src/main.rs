//! The command `scanbridge`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match scanbridge::cli::parse(std::env::args_os()) {
        Ok(arguments) => ExitCode::from(scanbridge::execute(&arguments)),
        Err(usage) if usage.wants_build() => ExitCode::from(scanbridge::print_version()),
        Err(usage) => {
            usage.print();
            ExitCode::from(usage.exit_code())
        }
    }
}
