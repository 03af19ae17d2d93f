//! A fact about a TCP connection that no crate offers as a safe function.

use std::io;
use std::os::fd::AsFd;

/// Bytes that were written to this TCP connection and not yet acknowledged by the kernel of the peer (`SIOCOUTQ`,
/// tcp(7)). Always 0 on systems other than Linux, which do not report it.
///
/// An output that must not lose data compares it with the number of written bytes. An acknowledgment means that the
/// peer's kernel has the data, not that its program has read them.
///
/// # Errors
/// If the descriptor is not a socket.
#[cfg(target_os = "linux")]
pub fn unacknowledged_bytes(socket: impl AsFd) -> io::Result<u64> {
    use rustix::ioctl::{Getter, Opcode, ioctl};
    /// The same number as `TIOCOUTQ`.
    const SIOCOUTQ: Opcode = 0x5411;
    // SAFETY: for this opcode the kernel writes one C `int`, and it changes nothing.
    let bytes: std::ffi::c_int = unsafe { ioctl(socket, Getter::<SIOCOUTQ, std::ffi::c_int>::new()) }?;
    Ok(u64::try_from(bytes).unwrap_or_default())
}

/// Bytes that were written to this TCP connection and not yet acknowledged by the kernel of the peer. Always 0 on this
/// system, which does not report it.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn unacknowledged_bytes(_socket: impl AsFd) -> io::Result<u64> {
    Ok(0)
}
