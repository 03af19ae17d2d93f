//! A file descriptor that the process has got from its parent.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_setfd};

/// Takes over an inherited file descriptor. Programs that a plugin starts do not inherit it.
///
/// # Errors
/// When it is not open.
#[expect(unsafe_code, reason = "the standard library cannot take over a file descriptor by its number")]
pub(crate) fn take(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is borrowed for this call only, which fails if it is not open.
    fcntl_setfd(unsafe { BorrowedFd::borrow_raw(number) }, FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and the parent has passed it to this process for this purpose.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
