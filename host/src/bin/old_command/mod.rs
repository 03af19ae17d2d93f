//! The old commands are the program `scanbridge` under another name.

use std::env;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Exit code when `scanbridge` cannot be started (`EX_UNAVAILABLE`).
const MISSING: u8 = 69;

/// Replaces this process by the `scanbridge` of the same directory, else of `PATH`, which then runs the old command of
/// this name. The process ID stays. Returns only if that fails.
pub(crate) fn replace_by_host(name: &str) -> ExitCode {
    let own = env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
    let beside = own.as_ref().map(|folder| folder.join("scanbridge")).filter(|host| host.is_file());
    let host = beside.unwrap_or_else(|| PathBuf::from("scanbridge"));
    let mut command = Command::new(&host);
    command.arg0(name).args(env::args_os().skip(1));
    // The second place, after the working directory, for InputPlugins/ and the client certificate.
    if let (Some(folder), None) = (&own, env::var_os("SCANBRIDGE_LEGACY_HOME")) {
        command.env("SCANBRIDGE_LEGACY_HOME", folder);
    }
    let error = command.exec();
    let _ = writeln!(
        std::io::stderr(),
        "{name}: cannot start {} ({error}); install scanbridge in the directory of {name}",
        host.display()
    );
    ExitCode::from(MISSING)
}
