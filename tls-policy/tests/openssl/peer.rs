//! The peers: certificates, and OpenSSL as server and as client.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

/// The kind of the keys of a server and of its authority.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key {
    Rsa,
    P256,
    P384,
}

/// A server's certificate with its key and its authority.
pub(crate) struct Identity {
    pub(crate) authority: CertificateDer<'static>,
    pub(crate) leaf: CertificateDer<'static>,
    key: KeyPair,
    folder: TempDir,
}

impl Identity {
    pub(crate) fn new(key: Key) -> Self {
        let algorithm = match key {
            Key::Rsa => &PKCS_RSA_SHA256,
            Key::P256 => &PKCS_ECDSA_P256_SHA256,
            Key::P384 => &PKCS_ECDSA_P384_SHA384,
        };
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(params, KeyPair::generate_for(algorithm).unwrap()).unwrap();
        let key = KeyPair::generate_for(algorithm).unwrap();
        let leaf =
            CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("certificate.pem"), leaf.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        Self { authority: authority.der().clone(), leaf: leaf.der().clone(), key, folder }
    }

    pub(crate) fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.serialize_der().into())
    }
}

/// `openssl s_server`, ended when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Server {
    /// Starts it. `setting` is a line of the section `ssl_conf` of OpenSSL's configuration file.
    pub(crate) fn start(identity: &Identity, args: &[&str], setting: Option<&str>) -> Self {
        let folder = identity.folder.path();
        let mut openssl = Command::new("openssl");
        openssl.args(["s_server", "-4", "-accept", "127.0.0.1:0", "-naccept", "1"]).args(args);
        openssl.arg("-cert").arg(folder.join("certificate.pem")).arg("-key").arg(folder.join("key.pem"));
        if let Some(setting) = setting {
            let file = folder.join("openssl.cnf");
            let text = format!(
                "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = default\n[default]\n{setting}\n"
            );
            fs::write(&file, text).unwrap();
            openssl.env("OPENSSL_CONF", file);
        }
        // Its standard input stays open: it ends the connection at the end of it.
        let mut child =
            openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let port = loop {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "openssl s_server ended");
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                break address.trim().rsplit(':').next().unwrap().parse().unwrap();
            }
        };
        thread::spawn(move || output.read_to_end(&mut Vec::new()));
        Self { child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Shakes hands with the server on this port. Returns the suite and the group, or the error.
pub(crate) fn connect(config: ClientConfig, port: u16) -> Result<String, String> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).map_err(|error| error.to_string())?;
    }
    let suite = connection.negotiated_cipher_suite().unwrap().suite();
    let group = connection.negotiated_key_exchange_group().unwrap().name();
    Ok(format!("{suite:?} {group:?}"))
}

/// Serves one connection of `openssl s_client`, and returns what that prints.
pub(crate) fn serve_one(config: ServerConfig, client_args: &[&str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), socket);
        let _ = stream.write_all(b"hello");
        stream.conn.send_close_notify();
        let _ = stream.flush();
    });
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-connect", &format!("127.0.0.1:{port}")]).args(client_args);
    let output = openssl.stdin(Stdio::null()).output().unwrap();
    served.join().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
