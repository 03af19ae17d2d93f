//! Events as datagrams: one each, never answered.

use std::io;
use std::net::UdpSocket;

use scanbridge_plugin_api::{CheckReport, Result};

use super::connect::Connector;
use super::unavailable;

/// A socket that sends datagrams. What is lost on the way is lost: only a receiver's machine that says that
/// nothing listens there is noticed.
#[derive(Debug)]
pub(super) struct Udp {
    connector: Connector,
    socket: Option<(UdpSocket, String)>,
    message: Vec<u8>,
}

impl Udp {
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, socket: None, message: Vec::new() }
    }

    pub(super) fn check(&self) -> CheckReport {
        self.connector.check(false)
    }

    /// Sends a message, given in its parts.
    pub(super) fn message(&mut self, parts: [&[u8]; 3]) -> Result<()> {
        self.message.clear();
        for part in parts {
            self.message.extend_from_slice(part);
        }
        let (socket, name) = match &mut self.socket {
            Some(socket) => socket,
            None => self.socket.insert(self.connector.datagrams()?),
        };
        socket.send(&self.message).map(drop).map_err(|error| lost(name, &error))
    }

    /// What the network has said about the datagrams so far.
    ///
    /// # Errors
    /// When the receiver's machine said that nothing listens there.
    pub(super) fn confirm(&mut self) -> Result<()> {
        let Some((socket, name)) = &self.socket else { return Ok(()) };
        match socket.take_error() {
            Ok(None) => Ok(()),
            Ok(Some(error)) | Err(error) => Err(lost(name, &error)),
        }
    }
}

fn lost(name: &str, error: &io::Error) -> scanbridge_plugin_api::PluginError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => unavailable(format!("nothing listens at {name} (UDP)")),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            unavailable(format!("datagrams to {name} could not be handed to the network in time"))
        }
        _ => unavailable(format!("cannot send datagrams to {name}: {error}")),
    }
}
