//! Where log lines go: standard error, the journal, or a file.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use scanbridge_observe::{LogKeys, LogTarget};
use serde_json::{Map, Value};

use super::file::LogFile;
use super::journal::{self, Journal};
use super::kinds::{Level, LogFormat, LogOptions, now, of_service};
use super::line::Line;

/// The target of all lines.
#[derive(Debug)]
pub(super) struct Output {
    keys: LogKeys,
    format: LogFormat,
    level: Level,
    target: Target,
    /// Lines that went to standard error, because the target failed.
    diverted: u64,
    /// A target that blocks is not tried again before: each line would hold up the service.
    blocked_until: Option<Instant>,
}

#[derive(Debug)]
enum Target {
    Stderr { has_priority: bool },
    Journal(Journal),
    File(LogFile),
}

const PAUSE: Duration = Duration::from_secs(10);

impl Output {
    /// # Errors
    /// When the log file cannot be opened.
    pub(super) fn open(options: &LogOptions, keys: &LogKeys) -> io::Result<Self> {
        let (level, target) = (options.level(keys), Target::open(options, keys)?);
        let (keys, format) = (keys.clone(), options.format);
        Ok(Self { keys, format, level, target, diverted: 0, blocked_until: None })
    }

    /// # Errors
    /// When the log file cannot be opened; the earlier one stays in use.
    pub(super) fn change(&mut self, options: &LogOptions, keys: &LogKeys) -> io::Result<()> {
        self.level = options.level(keys);
        if self.keys != *keys {
            self.target = Target::open(options, keys)?;
            self.keys = keys.clone();
        }
        Ok(())
    }

    pub(super) fn reopen(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::File(file) => file.reopen(),
            Target::Stderr { .. } | Target::Journal(_) => Ok(()),
        }
    }

    pub(super) fn place(&self) -> String {
        match &self.target {
            Target::File(file) => file.path().display().to_string(),
            Target::Journal(_) => "journal (journalctl -t scanbridge)".to_owned(),
            Target::Stderr { has_priority: true } => "journal of the unit (journalctl -u NAME)".to_owned(),
            Target::Stderr { .. } => "standard error".to_owned(),
        }
    }

    /// Writes a line that is not below the level. What the target does not take goes to standard error, with the reason.
    pub(super) fn write(&mut self, line: &Line<'_>) {
        if line.level > self.level {
            return;
        }
        if self.blocked_until.is_some_and(|until| Instant::now() < until) {
            self.diverted += 1;
            return to_stderr(&line.text());
        }
        match self.target.write(line, self.format) {
            Ok(None) => {}
            Ok(Some(error)) => self.warn(&format!("cannot rotate the log file: {error}")),
            Err(error) => {
                if self.diverted == 0 {
                    let message = format!(
                        "cannot write to the log, {}: {error}; lines go to standard error until it works again",
                        self.place()
                    );
                    to_stderr(&warning(&now(), &of_service(&message)).text());
                }
                self.diverted += 1;
                let is_blocked = error.kind() == io::ErrorKind::WouldBlock;
                self.blocked_until = is_blocked.then(|| Instant::now() + PAUSE);
                return to_stderr(&line.text());
            }
        }
        self.blocked_until = None;
        match std::mem::take(&mut self.diverted) {
            0 => {}
            lines => self.warn(&format!("{lines} log lines went to standard error")),
        }
    }

    /// A warning about the log in the log.
    fn warn(&mut self, message: &str) {
        let (time, fields) = (now(), of_service(message));
        let line = warning(&time, &fields);
        if self.target.write(&line, self.format).is_err() {
            to_stderr(&line.text());
        }
    }
}

impl Target {
    fn open(options: &LogOptions, keys: &LogKeys) -> io::Result<Self> {
        let open = |path: &Path| {
            let file = LogFile::open(path, keys.rotate_bytes, keys.keep).map(Self::File);
            file.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
        };
        match (&options.file, options.format, keys.to) {
            (Some(path), _, _) => open(path),
            (None, LogFormat::Journal, _) | (None, _, LogTarget::Journal) => {
                Journal::new(Path::new(journal::SOCKET)).map(Self::Journal)
            }
            (None, _, LogTarget::File) => open(Path::new(&keys.file)),
            (None, format, LogTarget::Stderr) => {
                Ok(Self::Stderr { has_priority: format == LogFormat::Text && stderr_is_journal() })
            }
        }
    }

    /// The error of a successful result lost nothing.
    fn write(&mut self, line: &Line<'_>, format: LogFormat) -> io::Result<Option<io::Error>> {
        let text = || if format == LogFormat::Json { line.json() } else { line.text() };
        match self {
            Self::Stderr { has_priority } => {
                to_stderr(&if *has_priority { line.text_with_priority() } else { text() });
                Ok(None)
            }
            Self::Journal(journal) => journal.send(&line.entry()).map(|()| None),
            Self::File(file) => file.write(&text()),
        }
    }
}

fn warning<'a>(time: &'a str, fields: &'a Map<String, Value>) -> Line<'a> {
    Line { origin: None, level: Level::Warn, time, fields }
}

/// Nothing can be reported when standard error fails.
fn to_stderr(line: &str) {
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Whether standard error goes to the journal (sd-daemon(3)).
fn stderr_is_journal() -> bool {
    let Some(journal) = std::env::var("JOURNAL_STREAM").ok() else { return false };
    let metadata = std::fs::metadata("/proc/self/fd/2");
    metadata.is_ok_and(|metadata| journal == format!("{}:{}", metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn lines_go_to_standard_error_while_the_journal_does_not_work() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let target = Target::Journal(Journal::new(&path).unwrap());
        let (keys, format, level) = (LogKeys::default(), LogFormat::Text, Level::Info);
        let mut output = Output { keys, format, level, target, diverted: 0, blocked_until: None };
        let fields = of_service("text");
        let line = || warning("2026-11-30T05:19:40.120Z", &fields);
        output.write(&line());
        output.write(&line());
        assert_eq!(output.diverted, 2);
        let socket = UnixDatagram::bind(&path).unwrap();
        output.write(&line());
        let mut buffer = [0; 1024];
        let mut next = || {
            let length = socket.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        let expected = "PRIORITY=4\nSYSLOG_IDENTIFIER=scanbridge\nMESSAGE=text\n\
                        SCANBRIDGE_TIME=2026-11-30T05:19:40.120Z\nSCANBRIDGE_LEVEL=WARN\nSCANBRIDGE_TARGET=service\n";
        assert_eq!(next(), expected);
        assert!(next().contains("MESSAGE=2 log lines went to standard error\n"));
        assert_eq!(output.diverted, 0);
        // A journal that does not read: the service waits for it once.
        let begun = Instant::now();
        while output.diverted < 100 {
            output.write(&line());
        }
        assert!(begun.elapsed() < PAUSE, "{:?}", begun.elapsed());
    }
}
