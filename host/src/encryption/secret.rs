//! The secret from which the key of an output is derived.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use scanbridge_plugin_api::{PluginError, Secret};

/// Where the secret comes from.
#[derive(Debug, Clone)]
pub(crate) enum SecretSource {
    /// The value of references.
    Value(Secret),
    /// A program and its arguments: it prints the secret on standard output.
    Command(Vec<String>),
}

/// How long the command may run.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest secret, in bytes.
const MAX_BYTES: u64 = 64 << 10;

impl SecretSource {
    /// Whether both surely have the same secret.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Value(one), Self::Value(other)) => one.expose() == other.expose(),
            (Self::Command(one), Self::Command(other)) => one == other,
            _ => false,
        }
    }

    /// The secret. Runs the command, without a shell.
    pub(super) fn read(&self) -> Result<Secret, PluginError> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::Command(command) => run(command),
        }
    }
}

/// What the command has printed, without the line break at its end. What it prints on standard error is not shown, because it
/// may contain the secret.
fn run(command: &[String]) -> Result<Secret, PluginError> {
    let failed = |why: String| {
        PluginError::config(format!("`encrypt.secret_command` {why}"))
            .with_hint("run the command by hand, as the user that runs the pipeline, to see its messages")
    };
    let (program, arguments) = command.split_first().ok_or_else(|| failed("is empty".to_owned()))?;
    let mut process = Command::new(program);
    process.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process =
        process.spawn().map_err(|error| failed(format!("cannot start `{program}`: {error}")))?;
    let output = process.stdout.take().expect("standard output is a pipe");
    let reader = thread::spawn(move || {
        let mut printed = Vec::new();
        output.take(MAX_BYTES + 1).read_to_end(&mut printed).map(|_| printed)
    });
    if !ends_in_time(&mut process, &reader) {
        // What it leaves behind holds no lock of ours.
        let _ = process.kill();
        let _ = process.wait();
        return Err(failed(format!("(`{program}`) has not ended after {} s", LIMIT.as_secs())));
    }
    let printed = reader.join().map_err(|_| failed("cannot be read".to_owned()))?;
    let printed = printed.map_err(|error| failed(format!("cannot be read: {error}")))?;
    let status = process.wait().map_err(|error| failed(format!("cannot be awaited: {error}")))?;
    if !status.success() {
        return Err(failed(format!("(`{program}`) has failed: {status}")));
    }
    if printed.len() as u64 > MAX_BYTES {
        return Err(failed(format!("(`{program}`) prints more than 64 KiB")));
    }
    let mut text =
        String::from_utf8(printed).map_err(|_| failed(format!("(`{program}`) prints no UTF-8 text")))?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(Secret::new(text))
}

/// Whether the process ends within the limit, and everything that it prints is read.
fn ends_in_time<T>(process: &mut Child, reader: &thread::JoinHandle<T>) -> bool {
    let begun = Instant::now();
    loop {
        let has_ended = !matches!(process.try_wait(), Ok(None));
        if has_ended && reader.is_finished() {
            return true;
        }
        if begun.elapsed() >= LIMIT {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Writes a random secret of 64 hexadecimal digits into a new file that only its owner can read.
///
/// # Errors
/// When the file exists, or cannot be written.
pub(crate) fn new_secret(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let secret = Secret::new(scanbridge_field_encryption::random_secret());
    file.write_all(secret.expose().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(parts: &[&str]) -> Result<String, String> {
        let command = SecretSource::Command(parts.iter().map(|part| (*part).to_owned()).collect());
        command.read().map(|secret| secret.expose().to_owned()).map_err(|error| error.message)
    }

    #[test]
    fn command_prints_the_secret() {
        assert_eq!(command(&["printf", "a b\n"]), Ok("a b".to_owned()));
        assert_eq!(command(&["printf", "$HOME"]), Ok("$HOME".to_owned()), "no shell");
        let failed = command(&["sh", "-c", "echo s3cret; echo s3cret >&2; exit 3"]).unwrap_err();
        assert!(failed.contains("`sh`") && failed.contains('3') && !failed.contains("s3cret"), "{failed}");
        assert!(command(&["/no/such/program"]).unwrap_err().contains("cannot start `/no/such/program`"));
        assert!(command(&[]).unwrap_err().contains("is empty"));
    }

    #[test]
    fn new_secret_is_private_and_never_replaced() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        new_secret(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.len(), 65);
        assert!(text.trim_end().bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(new_secret(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}
