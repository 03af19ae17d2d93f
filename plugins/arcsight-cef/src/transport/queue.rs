//! What the kernel still has to deliver of a connection.

use std::io;
use std::net::TcpStream;

/// How many bytes of this connection the peer's kernel has not acknowledged: `SIOCOUTQ` of Linux (tcp(7)).
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no crate offers this question to the kernel as a safe function")]
pub(super) fn unacknowledged(socket: &TcpStream) -> io::Result<u64> {
    use rustix::ioctl::{Getter, Opcode, ioctl};
    /// `TIOCOUTQ`, which is the same number.
    const SIOCOUTQ: Opcode = 0x5411;
    // SAFETY: for this opcode the kernel writes one C `int`, and it changes nothing.
    let bytes: std::ffi::c_int = unsafe { ioctl(socket, Getter::<SIOCOUTQ, std::ffi::c_int>::new()) }?;
    Ok(u64::try_from(bytes).unwrap_or_default())
}

/// Elsewhere nothing is known, and the grace time is all there is.
#[cfg(not(target_os = "linux"))]
pub(super) fn unacknowledged(_socket: &TcpStream) -> io::Result<u64> {
    Ok(0)
}
