//! The parts of HTTP/1.1 that the tests need.

use std::io::{self, Read, Write};
use std::thread;

use super::reply::Reply;
use super::request::{ReceivedRequest, fields};
use crate::http_head::{Head, read_head};

/// Reads the next request; `None` if the client has closed the connection.
pub(super) fn read_request(stream: &mut impl Read) -> io::Result<Option<ReceivedRequest>> {
    let Some(Head { method, path, query, headers }) = read_head(stream)? else { return Ok(None) };
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let mut all = fields(&query);
    if method == "POST" {
        all.extend(fields(&String::from_utf8_lossy(&body)));
    }
    Ok(Some(ReceivedRequest {
        method,
        path,
        fields: all,
        headers,
        query,
        body,
        has_client_certificate: false,
    }))
}

/// Sends a response. Returns true if the connection can be reused.
pub(super) fn send(stream: &mut impl Write, reply: &Reply) -> io::Result<bool> {
    thread::sleep(reply.delay);
    if reply.no_response {
        return Ok(false);
    }
    if let Some(raw) = &reply.raw {
        send_pieces(stream, raw, reply)?;
        return Ok(false);
    }
    let mut head = format!("HTTP/1.1 {} X\r\n", reply.status);
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if reply.chunked {
        head += "Transfer-Encoding: chunked\r\n";
    } else if reply.close {
        head += "Connection: close\r\n";
    } else {
        let length = reply.content_length.unwrap_or(reply.body.len() as u64);
        head += &format!("Content-Length: {length}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    let body = &reply.body[..reply.truncate_at.unwrap_or(usize::MAX).min(reply.body.len())];
    send_pieces(stream, body, reply)?;
    let reusable = reply.truncate_at.is_none() && !reply.close && reply.content_length.is_none();
    if reply.chunked && reply.truncate_at.is_none() {
        stream.write_all(b"0\r\n\r\n")?;
    }
    stream.flush()?;
    Ok(reusable)
}

/// Sends the bytes in the pieces that [`Reply::in_pieces`] sets.
fn send_pieces(stream: &mut impl Write, bytes: &[u8], reply: &Reply) -> io::Result<()> {
    let (size, pause) = reply.pieces.unwrap_or((64 << 10, std::time::Duration::ZERO));
    for piece in bytes.chunks(size.max(1)) {
        if reply.chunked {
            stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
        }
        stream.write_all(piece)?;
        if reply.chunked {
            stream.write_all(b"\r\n")?;
        }
        stream.flush()?;
        thread::sleep(pause);
    }
    Ok(())
}
