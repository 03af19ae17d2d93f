//! Destinations of the exam: a TCP listener and an HTTP server on this machine, and the records that were delivered.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::config::DeliveredRecords;

/// The listeners of one exam.
#[derive(Debug)]
pub(super) struct Sinks {
    tcp: SocketAddr,
    http: SocketAddr,
    received: Arc<Received>,
}

#[derive(Debug, Default)]
struct Received {
    lines: Mutex<Vec<String>>,
    open: AtomicUsize,
    /// The directory whose files the HTTP server sends.
    folder: Mutex<PathBuf>,
}

/// Time for the last bytes of a process that has ended.
const PATIENCE: Duration = Duration::from_secs(2);

impl Sinks {
    /// Starts both listeners.
    ///
    /// # Errors
    /// When the system gives no port.
    pub(super) fn start() -> io::Result<Self> {
        let received = Arc::new(Received::default());
        let tcp = listen(&received, |received, stream| {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                received.add(&line);
            }
        })?;
        let http = listen(&received, |received, stream| {
            // A client that closes the connection ends the loop; nothing is lost by that.
            let _ = serve_http(received, stream);
        })?;
        Ok(Self { tcp, http, received })
    }

    /// The address of the TCP listener.
    pub(super) fn tcp(&self) -> String {
        self.tcp.to_string()
    }

    /// The address of the HTTP server.
    pub(super) fn http(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Discards what was received. The HTTP server sends files of this directory from now on.
    pub(super) fn reset(&self, folder: &Path) {
        self.wait_until_closed();
        lock(&self.received.lines).clear();
        *lock(&self.received.folder) = folder.to_owned();
    }

    /// The lines received since the last reset, when all connections are closed.
    pub(super) fn lines(&self) -> Vec<String> {
        self.wait_until_closed();
        lock(&self.received.lines).clone()
    }

    /// Whether anything was received or is being received.
    pub(super) fn is_silent(&self) -> bool {
        self.lines().is_empty()
    }

    fn wait_until_closed(&self) {
        // Connections are accepted in order: when this one was answered, all earlier ones are counted.
        for address in [self.tcp, self.http] {
            let _ = TcpStream::connect(address).and_then(|mut last| {
                last.set_read_timeout(Some(PATIENCE))?;
                last.shutdown(Shutdown::Write)?;
                last.read(&mut [0])
            });
        }
        let since = Instant::now();
        while self.received.open.load(Ordering::SeqCst) > 0 && since.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Received {
    fn add(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.strip_suffix('\r').unwrap_or(&line);
        lock(&self.lines).push(line.to_owned());
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(received: &Arc<Received>, work: fn(&Received, TcpStream)) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let received = Arc::clone(received);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            received.open.fetch_add(1, Ordering::SeqCst);
            let received = Arc::clone(&received);
            thread::spawn(move || {
                work(&received, stream);
                received.open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    Ok(address)
}

/// Answers requests of one connection: GET sends a file, everything else is recorded and answered with 200.
fn serve_http(received: &Received, stream: TcpStream) -> io::Result<()> {
    let mut answer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let (mut length, mut is_chunked) = (0, false);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            if header.trim().is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').unwrap_or_default();
            match (name.to_ascii_lowercase().as_str(), value.trim()) {
                ("content-length", value) => length = value.parse().unwrap_or(0),
                ("transfer-encoding", value) => is_chunked = value.eq_ignore_ascii_case("chunked"),
                ("expect", _) => write!(answer, "HTTP/1.1 100 Continue\r\n\r\n")?,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        if is_chunked {
            body = read_chunks(&mut reader)?;
        } else {
            reader.read_exact(&mut body)?;
        }
        let mut words = request.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let content = if method == "GET" {
            let name = path.split('?').next().unwrap_or_default().trim_start_matches('/');
            let is_inside = !name.split('/').any(|part| part == "..");
            is_inside.then(|| fs::read(lock(&received.folder).join(name)).ok()).flatten()
        } else {
            body.split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
                .for_each(|line| received.add(line));
            Some(Vec::new())
        };
        let status = if content.is_some() { "200 OK" } else { "404 Not Found" };
        let content = content.unwrap_or_default();
        write!(answer, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", content.len())?;
        answer.write_all(&content)?;
    }
}

/// Reads a body of unknown length.
fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16).unwrap_or(0);
        reader.by_ref().take(length).read_to_end(&mut body)?;
        reader.read_line(&mut line)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

/// Reads the records that were delivered to files, or that a command prints. The command gets what the listeners
/// received on its standard input. `dir` replaces `{dir}`.
///
/// # Errors
/// When a file cannot be read, or the command fails.
pub(super) fn delivered(
    records: &DeliveredRecords,
    dir: &Path,
    received: &[String],
) -> Result<Vec<String>, String> {
    match records {
        DeliveredRecords::Path(path) => {
            let files = files(&PathBuf::from(in_dir(path, dir)))?;
            let mut records = Vec::new();
            for (number, content) in files.values().enumerate() {
                records.extend((number > 0).then(|| NEXT_FILE.to_owned()));
                records.extend(lines(content));
            }
            Ok(records)
        }
        DeliveredRecords::Command(command) => {
            let command = in_dir(command, dir);
            let output = run_command(&command, dir, received);
            let output = output.map_err(|error| format!("cannot run `{command}`: {error}"))?;
            if !output.status.success() {
                let reason = String::from_utf8_lossy(&output.stderr);
                return Err(format!("`{command}` failed: {}", reason.trim()));
            }
            Ok(lines(&output.stdout))
        }
    }
}

fn run_command(command: &str, dir: &Path, received: &[String]) -> io::Result<Output> {
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(command)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdin = child.stdin.take();
    thread::scope(|scope| {
        scope.spawn(move || {
            // A command that does not read its input closes it.
            let mut text = received.join("\n");
            text.push_str(if received.is_empty() { "" } else { "\n" });
            let _ = stdin.map(|mut stdin| stdin.write_all(text.as_bytes()));
        });
        child.wait_with_output()
    })
}

/// Number of bytes of the delivered files; `None` if they are not files.
pub(super) fn delivered_bytes(records: &DeliveredRecords, dir: &Path) -> Option<u64> {
    let DeliveredRecords::Path(path) = records else { return None };
    let files = files(&PathBuf::from(in_dir(path, dir))).ok()?;
    Some(files.values().map(|content| content.len() as u64).sum())
}

/// The text with `{dir}` replaced.
pub(super) fn in_dir(text: &str, dir: &Path) -> String {
    text.replace(DIR, &dir.display().to_string())
}

/// Between the records of two files: which records are in one file matters, the names of the files do not.
pub(super) const NEXT_FILE: &str = "(the next file)";

/// Stands for `{dir}` while the exam file is checked: an absolute path that is nowhere else.
pub(super) const DIR: &str = "/scanbridge-exam-directory";

pub(super) fn lines(content: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(content);
    text.lines().map(str::to_owned).collect()
}

/// The content of a file, or of all files in a directory; names that begin with a dot are private to the output.
pub(super) fn files(path: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>, String> {
    let fail = |path: &Path, error: io::Error| format!("cannot read {}: {error}", path.display());
    let mut found = BTreeMap::new();
    if path.is_dir() {
        let entries = fs::read_dir(path).map_err(|error| fail(path, error))?;
        for entry in entries.flatten().filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')) {
            found.extend(files(&entry.path())?);
        }
    } else if path.exists() {
        found.insert(path.to_owned(), fs::read(path).map_err(|error| fail(path, error))?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_directory_are_sent() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.txt"), "one\n").unwrap();
        let sinks = Sinks::start().unwrap();
        sinks.reset(folder.path());
        for (path, answer) in [
            ("/a.txt?page=1", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\none\n"),
            ("/../a.txt", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        ] {
            let mut stream = TcpStream::connect(sinks.http).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            assert_eq!(text, answer);
        }
        assert!(sinks.is_silent());
    }

    #[test]
    fn lines_of_all_kinds_of_bodies_are_records() {
        let sinks = Sinks::start().unwrap();
        sinks.reset(Path::new("/nonexistent"));
        for request in [
            "POST /a HTTP/1.1\r\nContent-Length: 8\r\n\r\none\ntwo\n",
            "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nthre\r\n6;x\r\ne\nfour\r\n0\r\n\r\n",
        ] {
            let mut stream = TcpStream::connect(sinks.http).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = [0; 15];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200 OK");
        }
        TcpStream::connect(sinks.tcp).unwrap().write_all(b"five\r\nsix").unwrap();
        let mut lines = sinks.lines();
        lines.sort_unstable();
        assert_eq!(lines, ["five", "four", "one", "six", "three", "two"]);
    }
}
