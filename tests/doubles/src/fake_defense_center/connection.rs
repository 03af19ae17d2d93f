//! One connection: receives frames, sends frames, and simulates the faults.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};
use socket2::SockRef;

use super::behavior::{Behavior, Oversize, Stage, VersionRefusal};
use super::host_map::HostMap;
use super::interpreter::{GLOBAL, execute};
use super::pending::Pending;
use super::server::Shared;

/// The server side of a connection.
pub(super) struct Connection {
    stream: StreamOwned<ServerConnection, TcpStream>,
    shared: Arc<Shared>,
    number: usize,
    /// Bytes received in frames.
    received: usize,
    pending: Pending,
    /// The last selected domain. Pending commands are applied to it when the connection ends.
    domain: String,
}

impl Connection {
    pub(super) fn new(
        stream: StreamOwned<ServerConnection, TcpStream>,
        shared: Arc<Shared>,
        number: usize,
    ) -> Self {
        let domain = GLOBAL.to_owned();
        Self { stream, shared, number, received: 0, pending: Pending::default(), domain }
    }

    /// Serves the connection until it ends, normally or not. Then applies the pending commands, as `ScanUpdate` does.
    pub(super) fn serve(mut self) {
        let outcome = self.run_protocol();
        let behavior = self.shared.behavior();
        let is_unknown = |error: &io::Error| error.kind() == ErrorKind::PermissionDenied;
        let resets = behavior.reset_connections || outcome.as_ref().is_err_and(is_unknown);
        match outcome {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            outcome if !resets => self.close(outcome.is_ok()),
            _ => {}
        }
        if resets {
            // Without lingering, the socket is reset when it is dropped.
            let _ = SockRef::from(&self.stream.sock).set_linger(Some(Duration::ZERO));
        } else {
            let _ = self.stream.sock.shutdown(Shutdown::Both);
        }
        let mut state = self.shared.state();
        // The connection is closed: failures cannot be reported to the client.
        let _ = self.pending.update(&mut state.map, &self.domain, &behavior);
        let _ = write_results(&state.map, &behavior);
    }

    /// Closes our side and reads the rest of the client's data. Closing with unread data would reset the connection,
    /// and a client that is still sending would lose our last message.
    fn close(&mut self, send_close_notify: bool) {
        if send_close_notify {
            self.stream.conn.send_close_notify();
            let _ = self.stream.flush();
        }
        let socket = &mut self.stream.sock;
        let _ = socket.shutdown(Shutdown::Write);
        let _ = socket.set_read_timeout(Some(DRAIN_TIMEOUT));
        let _ = io::copy(socket, &mut io::sink());
    }

    fn run_protocol(&mut self) -> io::Result<()> {
        let is_rude = self.shared.behavior().rude;
        while self.stream.conn.is_handshaking() {
            match is_rude {
                true => self.shake_hands_rudely()?,
                false => _ = self.stream.conn.complete_io(&mut self.stream.sock)?,
            }
        }
        self.shared.log_subject(self.number, self.stream.conn.peer_certificates());
        self.close_if(Stage::Handshake)?;
        let (kind, body) = self.receive()?;
        self.close_if(Stage::Version)?;
        let behavior = self.shared.behavior();
        let version = <[u8; 4]>::try_from(&body[..]).map(u32::from_be_bytes);
        let Some(version) = version.ok().filter(|_| kind == VERSION) else {
            // Our invention, like all messages of type 4.
            return self.send(ERROR, b"a version was expected\n");
        };
        if version > behavior.highest_version {
            let text = format!("client version {version} is newer than {}\n", behavior.highest_version);
            return match behavior.version_refusal {
                VersionRefusal::Message => self.send(ERROR, text.as_bytes()),
                VersionRefusal::Close => Ok(()),
            };
        }
        match (&behavior.greeting, behavior.raw_replies.get(&0)) {
            (_, Some(bytes)) => self.send_pieces(bytes, &behavior)?,
            (Some((kind, body)), None) => self.send(*kind, body)?,
            (None, None) => self.send(MAX_SIZE, &behavior.max_size.to_be_bytes())?,
        }
        loop {
            let (kind, body) = match self.receive() {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                frame => frame?,
            };
            if kind != DATA {
                return self.send(ERROR, b"data was expected\n");
            }
            if !self.message(&body)? {
                return Ok(());
            }
        }
    }

    /// A step of the handshake that sends no alert to an unknown client.
    fn shake_hands_rudely(&mut self) -> io::Result<()> {
        let StreamOwned { conn, sock } = &mut self.stream;
        while conn.wants_write() {
            conn.write_tls(sock)?;
        }
        if conn.read_tls(sock)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        conn.process_new_packets().map_err(|_| ErrorKind::PermissionDenied)?;
        Ok(())
    }

    /// Handles a DATA message; false if the connection must end.
    fn message(&mut self, body: &[u8]) -> io::Result<bool> {
        let number = self.shared.log_body(self.number, body);
        let behavior = self.shared.behavior();
        if body.len() > behavior.max_size as usize {
            if behavior.oversize == Oversize::Message {
                self.send(ERROR, b"the message is too large\n")?;
            }
            return Ok(false);
        }
        self.close_if(Stage::Message(number))?;
        let text = {
            let mut state = self.shared.state();
            let (text, domain) = execute(body, &mut state, &mut self.pending, &behavior);
            self.domain = domain;
            write_results(&state.map, &behavior)?;
            text
        };
        self.close_if(Stage::Reply(number))?;
        self.reply(number, &text, &behavior)?;
        Ok(true)
    }

    fn reply(&mut self, number: u64, text: &str, behavior: &Behavior) -> io::Result<()> {
        if behavior.no_reply_to == Some(number) {
            // Waits until the client closes the connection.
            let _ = self.receive()?;
        }
        thread::sleep(behavior.reply_delay);
        if self.shared.take_close(Stage::HalfReply(number)) {
            self.send_frame(DATA, text.len(), &text.as_bytes()[..text.len() / 2], behavior)?;
            return Err(ErrorKind::ConnectionAborted.into());
        }
        match (behavior.replies.get(&number), behavior.raw_replies.get(&number)) {
            (_, Some(bytes)) => self.send_pieces(bytes, behavior),
            (Some((kind, body)), None) => self.send(*kind, body),
            (None, None) => self.send_frame(DATA, text.len(), text.as_bytes(), behavior),
        }
    }

    fn send(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let behavior = self.shared.behavior();
        self.send_frame(kind, body.len(), body, &behavior)
    }

    /// Sends header and body separately, because known clients read them separately.
    fn send_frame(&mut self, kind: u32, length: usize, body: &[u8], behavior: &Behavior) -> io::Result<()> {
        let length = u32::try_from(length).map_err(|_| ErrorKind::InvalidInput)?;
        let header = [kind.to_be_bytes(), length.to_be_bytes()].concat();
        self.send_pieces(&header, behavior)?;
        self.send_pieces(body, behavior)
    }

    fn send_pieces(&mut self, bytes: &[u8], behavior: &Behavior) -> io::Result<()> {
        for piece in bytes.chunks(behavior.reply_pieces.unwrap_or(usize::MAX).max(1)) {
            thread::sleep(behavior.piece_delay);
            self.stream.write_all(piece)?;
            self.stream.flush()?;
        }
        Ok(())
    }

    fn receive(&mut self) -> io::Result<(u32, Vec<u8>)> {
        let mut word = [0; 4];
        self.fill(&mut word)?;
        let kind = u32::from_be_bytes(word);
        self.fill(&mut word)?;
        let length = u32::from_be_bytes(word) as usize;
        if length > MAX_BODY_BYTES {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut body = vec![0; length];
        self.fill(&mut body)?;
        Ok((kind, body))
    }

    fn fill(&mut self, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            let allowed = self.shared.bytes_until_close(self.received).min(buffer.len());
            if allowed == 0 {
                return Err(ErrorKind::ConnectionReset.into());
            }
            let count = self.stream.read(&mut buffer[..allowed])?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.received += count;
            buffer = &mut buffer[count..];
        }
        Ok(())
    }

    fn close_if(&self, stage: Stage) -> io::Result<()> {
        if self.shared.take_close(stage) { Err(ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

const MAX_SIZE: u32 = 1;
const VERSION: u32 = 2;
const DATA: u32 = 3;
const ERROR: u32 = 4;

/// Maximum body size. No test sends a larger body, so a larger length in a header is invalid.
const MAX_BODY_BYTES: usize = 64 << 20;

/// How long the rest of a client's data is read after the center has closed its side.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Replaces the file of results in one step, so that no reader sees a part of it.
fn write_results(map: &HostMap, behavior: &Behavior) -> io::Result<()> {
    let Some(path) = &behavior.results_file else { return Ok(()) };
    let part = path.with_extension("part");
    let text: String = map.all_results().into_iter().map(|result| result + "\n").collect();
    std::fs::write(&part, text)?;
    std::fs::rename(part, path)
}
