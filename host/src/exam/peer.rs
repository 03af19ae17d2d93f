//! A program of the author's that is the peer of a plugin: it speaks a protocol that the exam does not know.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::sinks::{in_dir, lines};

/// The peer of the plugin that is examined, as `peer:` of the exam file starts it. It prints a line when it is ready, and
/// then a line for each record, before it acknowledges it.
#[derive(Debug)]
pub(super) struct Peer {
    port: u16,
    /// Its working directory.
    folder: PathBuf,
    /// What it prints.
    printed: PathBuf,
    child: Option<Child>,
}

/// Time in which a peer has to print its first line.
const START: Duration = Duration::from_secs(20);

impl Peer {
    /// Reserves a port and a directory; starts nothing.
    ///
    /// # Errors
    /// When the system gives no port.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        Ok(Self { port, folder: folder.join("peer"), printed: folder.join("peer.printed"), child: None })
    }

    /// The text with `{port}` and `{peer}` replaced.
    pub(super) fn in_text(&self, text: &str) -> String {
        text.replace("{port}", &self.port.to_string()).replace("{peer}", &self.folder.display().to_string())
    }

    /// Ends the peer.
    pub(super) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts the peer, in an empty directory, for a run in `dir`. An earlier one is ended.
    ///
    /// # Errors
    /// In words, when it does not get ready.
    pub(super) fn start(&mut self, command: &str, dir: &Path) -> Result<(), String> {
        self.stop();
        let failed = |what: &str| format!("the peer `{command}` {what}");
        let started = self.spawn(&in_dir(command, dir));
        let child = self.child.insert(started.map_err(|error| failed(&format!("does not start: {error}")))?);
        let since = Instant::now();
        while printed(&self.printed).is_empty() {
            match child.try_wait() {
                Ok(None) if since.elapsed() < START => thread::sleep(Duration::from_millis(2)),
                Ok(None) => return Err(failed("prints no line that says that it is ready")),
                Ok(Some(status)) => return Err(failed(&format!("has ended: {status}"))),
                Err(error) => return Err(failed(&format!("cannot be watched: {error}"))),
            }
        }
        Ok(())
    }

    fn spawn(&self, command: &str) -> io::Result<Child> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)?;
        }
        fs::create_dir_all(&self.folder)?;
        Command::new("sh")
            .args(["-c", &format!("exec {command}")])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(File::create(&self.printed)?)
            .spawn()
    }

    /// The lines that it has printed since it was ready.
    pub(super) fn received(&self) -> Vec<String> {
        let mut received = printed(&self.printed);
        received.drain(..received.len().min(1));
        received
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The complete lines of a file.
fn printed(path: &Path) -> Vec<String> {
    let content = fs::read(path).unwrap_or_default();
    let end = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    lines(&content[..end])
}

#[cfg(test)]
mod tests {
    use super::super::sinks::DIR;
    use super::*;

    #[test]
    fn peer_prints_a_line_when_it_is_ready_and_then_records() {
        let folder = tempfile::tempdir().unwrap();
        let mut peer = Peer::new(folder.path()).unwrap();
        let command = format!("sh -c 'echo {{port}}; pwd; echo {DIR}; printf half; exec sleep 60'");
        let command = peer.in_text(&command);
        peer.start(&command, Path::new("/run")).unwrap();
        let since = Instant::now();
        while peer.received().len() < 2 && since.elapsed() < START {
            thread::sleep(Duration::from_millis(2));
        }
        let inside = fs::canonicalize(folder.path().join("peer")).unwrap();
        assert_eq!(peer.received(), [inside.display().to_string(), "/run".to_owned()]);
        peer.start("echo again", Path::new("/run")).unwrap();
        assert_eq!(peer.received(), Vec::<String>::new());
    }

    #[test]
    fn peer_that_ends_before_it_is_ready_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut peer = Peer::new(folder.path()).unwrap();
        let error = peer.start("false", folder.path()).unwrap_err();
        assert_eq!(error, "the peer `false` has ended: exit status: 1");
    }
}
