//! The command `qualys_connector` of the Qualys Connector of 2014.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(scanbridge::legacy::qualys_connector(std::env::args_os()))
}
