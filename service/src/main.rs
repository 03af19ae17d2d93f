//! The command `scanbridge-service`. `scanbridge serve` and `scanbridge service` replace themselves by it.

use std::process::ExitCode;

fn main() -> ExitCode {
    scanbridge_service::main()
}
