//! The command `scanbridge`, and under their names the old commands `qualys_connector` and `process_multiple`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let Some(code) = scanbridge::legacy::old_command(&arguments) {
        return ExitCode::from(code);
    }
    if let Some(code) = scanbridge::replaced_by_service(&arguments) {
        return ExitCode::from(code);
    }
    match scanbridge::cli::parse(arguments) {
        Ok(arguments) => ExitCode::from(scanbridge::execute(&arguments)),
        Err(usage) if usage.is_version() => ExitCode::from(scanbridge::print_version(usage.is_verbose())),
        Err(usage) => {
            usage.print();
            ExitCode::from(usage.exit_code())
        }
    }
}
