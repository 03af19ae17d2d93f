//! Unacknowledged bytes of a connection.

use std::io;
use std::net::TcpStream;

/// Bytes of this connection that the kernel of the peer has not acknowledged: `SIOCOUTQ` of Linux (tcp(7)).
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no crate offers this ioctl as a safe function")]
pub(super) fn unacknowledged(socket: &TcpStream) -> io::Result<u64> {
    use rustix::ioctl::{Getter, Opcode, ioctl};
    /// The same number as `TIOCOUTQ`.
    const SIOCOUTQ: Opcode = 0x5411;
    // SAFETY: for this opcode the kernel writes one C `int`, and it changes nothing.
    let bytes: std::ffi::c_int = unsafe { ioctl(socket, Getter::<SIOCOUTQ, std::ffi::c_int>::new()) }?;
    Ok(u64::try_from(bytes).unwrap_or_default())
}

/// Other systems do not report it; there, only the grace time confirms delivery.
#[cfg(not(target_os = "linux"))]
pub(super) fn unacknowledged(_socket: &TcpStream) -> io::Result<u64> {
    Ok(0)
}
