//! The command `process_multiple` of the Qualys Connector of 2014.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(scanbridge::legacy::process_multiple(std::env::args_os()))
}
