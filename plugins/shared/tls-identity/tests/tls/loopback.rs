//! A TLS server on loopback that replies with one byte, and a client that requests it.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use scanbridge_plugin_api::{Fips, PluginError};
use scanbridge_tls_identity::{ClientTls, Identity, Trust};

/// What a server received: the client's certificate, or the error of the handshake.
pub(crate) type ServerResult = Result<Option<Vec<u8>>, String>;

/// Starts a server for one connection. Returns its address and a handle to its result.
pub(crate) fn serve(config: Arc<ServerConfig>) -> (String, thread::JoinHandle<ServerResult>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let handle = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
        let mut byte = [0];
        stream.read_exact(&mut byte).map_err(|error| error.to_string())?;
        stream.write_all(&byte).map_err(|error| error.to_string())?;
        stream.conn.send_close_notify();
        let _ = stream.flush();
        Ok(stream.conn.peer_certificates().map(|chain| chain[0].to_vec()))
    });
    (address, handle)
}

/// Starts a server that sends these bytes as soon as a client connects, reads a little, and closes.
pub(crate) fn serve_raw(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut hello = [0; 4096];
        let _ = socket.read(&mut hello);
        let _ = socket.write_all(bytes);
    });
    address
}

/// Connects to `address`, calling the server `name`, and exchanges one byte.
pub(crate) fn connect_and_exchange(
    address: &str,
    name: &str,
    trust: &Trust,
    identity: Option<&Identity>,
) -> Result<(), PluginError> {
    exchange_with(&ClientTls::new(address, trust, identity, Fips::Off)?, address, name)
}

/// As [`connect_and_exchange`], with an existing client.
pub(crate) fn exchange_with(tls: &ClientTls, address: &str, name: &str) -> Result<(), PluginError> {
    exchange(tls, address, name).map_err(|error| tls.explain(error.as_ref()))
}

fn exchange(tls: &ClientTls, address: &str, name: &str) -> Result<(), Box<dyn Error>> {
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let name = ServerName::try_from(name.to_owned())?;
    let mut stream = StreamOwned::new(ClientConnection::new(tls.config(), name)?, socket);
    stream.write_all(b"x")?;
    stream.read_exact(&mut [0])?;
    Ok(())
}
