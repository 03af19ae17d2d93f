//! TLS of the listener.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{Timestamp, Zoned};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use scanbridge_observe::{ClientRole, Role, TlsKeys};
use scanbridge_tls_policy::Policy;

use super::certificate::{Certificate, names_of, read_certificates};
use super::host_check::machine_name;

/// What new connections use.
#[derive(Debug, Clone)]
pub(super) struct Secured {
    pub(super) config: Arc<ServerConfig>,
    /// SHA-256 of the certificate, in hexadecimal.
    pub(super) fingerprint: String,
    pub(super) expires: Option<Timestamp>,
}

/// Where certificates come from.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) keys: TlsKeys,
    /// The directory of the certificate that the service makes.
    pub(super) folder: PathBuf,
    pub(super) address: SocketAddr,
    /// Which algorithms may be used.
    pub(super) fips: Policy,
}

impl Source {
    /// Reads the certificates, or makes one.
    ///
    /// # Errors
    /// When files cannot be used.
    pub(super) fn read(&self) -> Result<Secured, String> {
        let certificate = match (&self.keys.certificate, &self.keys.key) {
            (Some(certificate), Some(key)) => Certificate::read(Path::new(certificate), Path::new(key))?,
            _ => Certificate::own(&self.folder, &own_names(self.address.ip()), &Zoned::now(), self.fips)?,
        };
        let provider = Arc::new(self.fips.provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match &self.keys.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in read_certificates(Path::new(path))? {
                    roots.add(certificate).map_err(|error| format!("{path}: {error}"))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier =
                    if self.keys.client_required { verifier } else { verifier.allow_unauthenticated() };
                let verifier = verifier.build().map_err(|error| format!("{path}: {error}"))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let (fingerprint, expires) = (certificate.fingerprint(), certificate.expires());
        let mut config = builder
            .with_single_cert(certificate.chain, certificate.key)
            .map_err(|error| format!("the certificate and its key cannot be used: {error}"))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        self.fips.restrict_server(&mut config);
        self.fips.require_of_server(&config)?;
        Ok(Secured { config: Arc::new(config), fingerprint, expires })
    }
}

/// The name and role of a client's certificate: of its names that have a role, the one with the highest.
pub(super) fn role_of(certificate: &[u8], roles: &[ClientRole]) -> Option<(String, Role)> {
    let names = names_of(certificate);
    let known = roles.iter().filter(|known| names.iter().any(|name| name.eq_ignore_ascii_case(&known.san)));
    known.max_by_key(|known| known.role).map(|known| (known.san.clone(), known.role))
}

/// The names in the certificate that the service makes.
fn own_names(address: IpAddr) -> Vec<String> {
    let mut addresses = vec![IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    if address.is_unspecified() {
        let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
        let all = interfaces.filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
        });
        // Addresses of one link only cannot be names: they need a zone.
        addresses
            .extend(all.filter(|address| !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())));
    } else {
        addresses.push(address);
    }
    addresses.sort_unstable();
    addresses.dedup();
    let is_name = |name: &String| !name.is_empty() && name != "localhost" && name.is_ascii();
    let names = ["localhost".to_owned()].into_iter().chain(machine_name().filter(is_name));
    names.chain(addresses.iter().map(ToString::to_string)).collect()
}
