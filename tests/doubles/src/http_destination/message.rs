//! Requests and responses as bytes.

use std::io::{self, Read, Write};
use std::thread;
use std::time::Duration;

use flate2::read::MultiGzDecoder;

use super::Rude;
use crate::http_head::{self, Head};

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, as it was sent.
    pub query: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, decompressed.
    pub body: Vec<u8>,
    /// The length of the body as it was sent.
    pub sent_bytes: usize,
}

impl Request {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as a text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A response.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// A response with this status and body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// A response with this JSON.
    #[must_use]
    pub fn json(status: u16, json: &serde_json::Value) -> Self {
        Self::new(status, json.to_string()).header("Content-Type", "application/json")
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Reads up to the empty line; `None` if the client has closed the connection.
pub(super) fn read_head(stream: &mut impl Read) -> io::Result<Option<Request>> {
    let head = http_head::read_head(stream)?;
    let request = |Head { method, path, query, headers }| Request {
        method,
        path,
        query,
        headers,
        ..Request::default()
    };
    Ok(head.map(request))
}

/// Reads the body, with or without a length, and decompresses it.
pub(super) fn read_body(stream: &mut impl Read, mut request: Request) -> io::Result<Request> {
    let mut body = Vec::new();
    if request.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let size = read_line(stream)?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16);
            let size = size.map_err(io::Error::other)?;
            let start = body.len();
            body.resize(start + size, 0);
            stream.read_exact(&mut body[start..])?;
            read_line(stream)?;
            if size == 0 {
                break;
            }
        }
    } else {
        let length = request.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        body.resize(length, 0);
        stream.read_exact(&mut body)?;
    }
    request.sent_bytes = body.len();
    request.body = match request.header("content-encoding") {
        Some("gzip") => {
            let mut plain = Vec::new();
            MultiGzDecoder::new(body.as_slice()).read_to_end(&mut plain)?;
            plain
        }
        _ => body,
    };
    Ok(request)
}

/// Reads this many bytes of a body, and discards them.
pub(super) fn skip(stream: &mut impl Read, bytes: usize) -> io::Result<()> {
    io::copy(&mut stream.take(bytes as u64), &mut io::sink()).map(|_| ())
}

fn read_line(stream: &mut impl Read) -> io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while !line.ends_with(b"\r\n") {
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// Sends a response. Returns whether the connection can be reused.
pub(super) fn write(
    stream: &mut impl Write,
    answer: &Answer,
    fault: Option<Rude>,
    is_head: bool,
) -> io::Result<bool> {
    let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    match fault {
        Some(Rude::Chunked) => head += "Transfer-Encoding: chunked\r\n",
        Some(Rude::Unbounded) => head += "Connection: close\r\n",
        Some(Rude::Torn) => head += &format!("Content-Length: {}\r\n", answer.body.len() + 10),
        // A response with status 204 has no length.
        _ if answer.status == 204 => {}
        _ => head += &format!("Content-Length: {}\r\n", answer.body.len()),
    }
    head += "\r\n";
    if fault == Some(Rude::Slow) {
        for byte in head.as_bytes() {
            stream.write_all(&[*byte])?;
            stream.flush()?;
            thread::sleep(Duration::from_micros(500));
        }
    } else {
        stream.write_all(head.as_bytes())?;
    }
    if is_head {
        stream.flush()?;
        return Ok(true);
    }
    if fault == Some(Rude::Chunked) {
        for piece in answer.body.chunks(7) {
            stream.write_all(format!("{:x};x=y\r\n", piece.len()).as_bytes())?;
            stream.write_all(piece)?;
            stream.write_all(b"\r\n")?;
        }
        stream.write_all(b"0\r\n\r\n")?;
    } else {
        stream.write_all(&answer.body)?;
    }
    stream.flush()?;
    Ok(!matches!(fault, Some(Rude::Torn | Rude::Closed | Rude::Unbounded)))
}
