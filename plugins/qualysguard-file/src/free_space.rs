//! Free space of the disk that has the state directory.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{StatVfs, fstatvfs, statvfs};
use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

/// The free space of a file system at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FreeSpace {
    /// Bytes that the process can use.
    free: u64,
    reserve: u64,
}

impl FreeSpace {
    /// Measures the file system of this directory.
    ///
    /// # Errors
    /// If the system does not report it.
    pub(crate) fn of(folder: &Path) -> Result<Self> {
        let space = statvfs(folder).map_err(|error| unknown(error.into()))?;
        let total = space.f_blocks.saturating_mul(space.f_frsize);
        Ok(Self { free: free_bytes(&space), reserve: (total / RESERVE_DIVISOR).min(MAX_RESERVE_BYTES) })
    }

    /// Bytes that must remain free for the other users of the disk.
    pub(crate) fn reserve(self) -> u64 {
        self.reserve
    }

    /// Whether this many bytes can be written to a file of this file system without touching the reserve. Measures
    /// again.
    ///
    /// # Errors
    /// If the system does not report it.
    pub(crate) fn has_room_for(self, bytes: u64, file: &File) -> Result<bool> {
        let now = fstatvfs(file).map_err(|error| unknown(error.into()))?;
        Ok(free_bytes(&now) >= self.reserve.saturating_add(bytes))
    }

    /// Whether clearly more space is free than these bytes, so that another attempt makes sense.
    pub(crate) fn has_grown_since(self, free: u64) -> bool {
        self.free > free.saturating_add(self.reserve / 4)
    }

    /// The failure to write more than the free space.
    pub(crate) fn disk_full(self, message: String) -> Failed {
        let error = PluginError::new(ErrorKind::Io, message)
            .with_hint("free disk space, or use a larger disk for the state directory");
        Failed::DiskFull { free: self.free, error }
    }
}

/// Why a source cannot be opened.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The disk has too little space for a temporary file; it had `free` bytes before the attempt.
    DiskFull {
        free: u64,
        error: PluginError,
    },
    Other(PluginError),
}

impl Failed {
    pub(crate) fn into_error(self) -> PluginError {
        match self {
            Self::DiskFull { error, .. } | Self::Other(error) => error,
        }
    }
}

impl From<PluginError> for Failed {
    fn from(error: PluginError) -> Self {
        Self::Other(error)
    }
}

fn free_bytes(space: &StatVfs) -> u64 {
    space.f_bavail.saturating_mul(space.f_frsize)
}

fn unknown(error: io::Error) -> PluginError {
    PluginError::new(
        ErrorKind::Io,
        format!("cannot determine the free space of the state directory: {error}"),
    )
}

/// A tenth of the disk remains free, but not more than [`MAX_RESERVE_BYTES`].
const RESERVE_DIVISOR: u64 = 10;
const MAX_RESERVE_BYTES: u64 = 1 << 30;
