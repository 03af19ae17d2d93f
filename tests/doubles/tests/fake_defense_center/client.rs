//! A client that sends raw frames.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use scanbridge_doubles::certificates::Request;
use scanbridge_doubles::fake_defense_center::FakeDefenseCenter;

/// A client that sends raw frames.
pub(crate) struct Client(pub(crate) StreamOwned<ClientConnection, TcpStream>);

impl Client {
    pub(crate) fn connect(center: &FakeDefenseCenter) -> Self {
        let client = center.authority().issue(&Request::host_input_client("127.0.0.1", "d"));
        Self::connect_to(center.address(), center.authority().der(), vec![client.der()], client.key_der())
    }

    pub(crate) fn connect_to(
        address: SocketAddr,
        authority: CertificateDer<'static>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
        let name = ServerName::try_from("6a1f2b7e-0000-4000-8000-000000000001").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        Self(StreamOwned::new(connection, TcpStream::connect(address).unwrap()))
    }

    pub(crate) fn send(&mut self, kind: u32, body: &[u8]) {
        self.0.write_all(&kind.to_be_bytes()).unwrap();
        self.0.write_all(&u32::try_from(body.len()).unwrap().to_be_bytes()).unwrap();
        self.0.write_all(body).unwrap();
        self.0.flush().unwrap();
    }

    pub(crate) fn receive(&mut self) -> (u32, Vec<u8>) {
        let mut word = [0; 4];
        self.0.read_exact(&mut word).unwrap();
        let kind = u32::from_be_bytes(word);
        self.0.read_exact(&mut word).unwrap();
        let mut body = vec![0; u32::from_be_bytes(word) as usize];
        self.0.read_exact(&mut body).unwrap();
        (kind, body)
    }

    pub(crate) fn negotiate_version(mut self) -> Self {
        self.send(2, &[0, 0, 0, 1]);
        assert_eq!(self.receive(), (1, vec![0, 8, 0, 0]));
        self
    }

    pub(crate) fn send_commands(&mut self, commands: &str) -> String {
        self.send(3, commands.as_bytes());
        let (kind, body) = self.receive();
        assert_eq!(kind, 3);
        String::from_utf8(body).unwrap()
    }
}
