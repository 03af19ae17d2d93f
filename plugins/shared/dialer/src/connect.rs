//! One attempt to connect to one address.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, Socket, TcpKeepalive, Type};

use crate::dialer::SLICE;
use crate::{DialError, Dialer};

impl Dialer {
    /// Connects to one address. The stream is non-blocking and has no delay of small writes (Nagle's algorithm).
    ///
    /// # Errors
    /// [`DialError::Connect`], [`DialError::TimedOut`] after `limit`, [`DialError::Cancelled`].
    pub fn connect(&self, address: SocketAddr, limit: Duration) -> Result<TcpStream, DialError> {
        let socket = self.socket(address).map_err(DialError::Connect)?;
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {
                self.wait_connected(&socket, limit)?;
            }
            result => result.map_err(DialError::Connect)?,
        }
        Ok(socket.into())
    }

    fn socket(&self, address: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        if let Some(source) = self.source {
            source.bind(&socket)?;
        }
        // Plugins write complete messages; Nagle's algorithm would only delay the replies to them.
        socket.set_tcp_nodelay(true)?;
        if !self.keepalive.is_zero() {
            socket.set_tcp_keepalive(
                &TcpKeepalive::new().with_time(self.keepalive).with_interval(self.keepalive),
            )?;
        }
        #[cfg(target_os = "linux")]
        if !self.acknowledgement.is_zero() {
            socket.set_tcp_user_timeout(Some(self.acknowledgement))?;
        }
        Ok(socket)
    }

    fn wait_connected(&self, socket: &Socket, limit: Duration) -> Result<(), DialError> {
        let started = Instant::now();
        loop {
            let left = limit.saturating_sub(started.elapsed());
            let slice = Timespec::try_from(SLICE.min(left)).expect("a slice is short");
            let ready = poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&slice));
            if ready.is_ok_and(|count| count > 0) {
                break;
            }
            if self.services.is_cancelled() {
                return Err(DialError::Cancelled);
            }
            if left.is_zero() {
                return Err(DialError::TimedOut(limit));
            }
        }
        match socket.take_error() {
            Ok(None) => Ok(()),
            Ok(Some(error)) | Err(error) => Err(DialError::Connect(error)),
        }
    }
}
