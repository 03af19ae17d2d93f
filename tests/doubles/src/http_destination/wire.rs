//! Connections with and without TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustls::{ServerConnection, StreamOwned};

/// A connection of a client.
pub(super) trait Wire: Read + Write {
    /// Sends a fatal alert. Without TLS, nothing.
    fn send_alert(&mut self) -> io::Result<()>;
    /// Says that nothing more follows. Without TLS, the end of the connection says that.
    fn send_end(&mut self) -> io::Result<()>;
}

impl Wire for TcpStream {
    fn send_alert(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn send_end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Wire for StreamOwned<ServerConnection, TcpStream> {
    fn send_alert(&mut self) -> io::Result<()> {
        // The connection reacts to a record that cannot be decrypted with the alert bad_record_mac.
        let mut record = vec![23, 3, 3, 0, 32];
        record.extend_from_slice(&[7; 32]);
        self.conn.read_tls(&mut record.as_slice())?;
        let _ = self.conn.process_new_packets();
        while self.conn.wants_write() {
            self.conn.write_tls(&mut self.sock)?;
        }
        self.sock.flush()
    }

    fn send_end(&mut self) -> io::Result<()> {
        self.conn.send_close_notify();
        self.flush()
    }
}

/// Reads the first record of a handshake, and responds with a fatal alert. The connection is then closed, not reset.
pub(super) fn refuse_handshake(mut stream: TcpStream, alert: u8) -> io::Result<bool> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let length = u16::from_be_bytes([head[3], head[4]]);
    io::copy(&mut (&mut stream).take(length.into()), &mut io::sink())?;
    stream.write_all(&[21, 3, 3, 0, 2, 2, alert])?;
    stream.flush()?;
    Ok(false)
}
