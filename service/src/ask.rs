//! Short-lived child processes of the host, such as `scanbridge config …`.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use scanbridge_observe::FIPS_VARIABLE;
use scanbridge_tls_policy::Policy;

/// The host, with the options that every command gets.
#[derive(Debug, Clone)]
pub(crate) struct HostProgram {
    pub(crate) program: PathBuf,
    /// For example `--plugin-dir`.
    pub(crate) common: Vec<OsString>,
    /// The FIPS mode that it has at least.
    pub(crate) fips: Policy,
}

impl HostProgram {
    /// A command that logs only warnings and errors.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.common).arg("-q").env(FIPS_VARIABLE, self.fips.word());
        command
    }
}

/// What the host printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
}

/// A plugin library that hangs while it is loaded must not block a reload forever.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be started or does not end within a minute.
pub(crate) fn ask(mut command: Command) -> Result<Answer, String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = Path::new(command.get_program()).display().to_string();
    let mut child = command.spawn().map_err(|error| format!("cannot start {program}: {error}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read = |stream: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                let _ = stream.read_to_end(&mut bytes);
            }
            bytes
        })
    };
    let stdout = read(stdout.map(|stream| Box::new(stream) as _));
    let stderr = read(stderr.map(|stream| Box::new(stream) as _));
    let started = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if started.elapsed() < LIMIT => thread::sleep(Duration::from_millis(5)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{program} did not end within {} s", LIMIT.as_secs()));
            }
            Err(error) => return Err(format!("cannot wait for {program}: {error}")),
        }
    };
    let bytes = |thread: thread::JoinHandle<Vec<u8>>| thread.join().unwrap_or_default();
    let stderr = String::from_utf8_lossy(&bytes(stderr)).into_owned();
    Ok(Answer { stdout: bytes(stdout), stderr, code: status.code() })
}
