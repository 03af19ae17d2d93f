//! The control socket. Its file permissions decide who may connect, the user of the other process decides what it may do.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use axum::Router;

use super::caller::Origin;
use super::connection;
use super::listener::pause_after_error;

/// A control socket that accepts connections.
pub(crate) struct Control {
    listener: UnixListener,
}

impl Control {
    /// Replaces a socket that a killed service has left. The caller holds the lock of the state directory.
    ///
    /// # Errors
    /// When the socket cannot be created.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener })
    }

    /// Answers requests for ever.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub(super) async fn serve(self, router: Router) -> io::Result<()> {
        let listener = tokio::net::UnixListener::from_std(self.listener)?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let user = stream.peer_cred().ok().map(|peer| peer.uid());
                    tokio::spawn(connection::serve(stream, router.clone(), Origin::Socket(user)));
                }
                Err(error) => pause_after_error(&error).await,
            }
        }
    }
}
