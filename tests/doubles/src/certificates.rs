//! Certificates generated for a test: an authority, the certificates that it issues, key files of every format, and TLS
//! server configurations.
//!
//! ```
//! use scanbridge_doubles::certificates::{Authority, Request};
//!
//! let authority = Authority::new("Example Root CA");
//! let server = authority.issue(&Request::server(&["localhost", "127.0.0.1"]));
//! let client = authority.issue(&Request::client("scanner.example.com").email("scan@example.com"));
//! let tls = authority.server_config(&server, true); // requires a client certificate of this authority
//! # let _ = (client, tls);
//! ```

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    PKCS_RSA_SHA256, SanType,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

/// The content of a certificate that is to be issued.
#[derive(Debug, Clone)]
pub struct Request {
    common_name: String,
    names: Vec<String>,
    email: Option<String>,
    extra: Vec<(DnType, String)>,
    from: SystemTime,
    until: SystemTime,
    rsa: bool,
}

impl Request {
    /// A server certificate for these DNS names and IP addresses, valid from yesterday until 90 days from now. The
    /// first name is also the common name.
    #[must_use]
    pub fn server(names: &[&str]) -> Self {
        let now = SystemTime::now();
        Self {
            common_name: names.first().copied().unwrap_or_default().to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            email: None,
            extra: Vec::new(),
            from: now - DAY,
            until: now + 90 * DAY,
            rsa: false,
        }
    }

    /// A client certificate with this common name, valid from yesterday until 90 days from now.
    #[must_use]
    pub fn client(common_name: &str) -> Self {
        Self { names: Vec::new(), ..Self::server(&[common_name]) }
    }

    /// A client certificate with the subject that a Firewall Management Center issues: `title` is `hostinputd`,
    /// `generationQualifier` contains the domain ID. The key is RSA, as there.
    #[must_use]
    pub fn host_input_client(name: &str, domain: &str) -> Self {
        let attribute = |oid: &[u64], text: String| (DnType::CustomDnType(oid.to_vec()), text);
        let mut request = Self { names: vec![name.to_owned()], rsa: true, ..Self::client(name) };
        request.extra = vec![
            (DnType::OrganizationalUnitName, "Intrusion Management System".to_owned()),
            (DnType::OrganizationName, "Cisco Systems, Inc".to_owned()),
            attribute(&[2, 5, 4, 12], "hostinputd".to_owned()),
            attribute(&[2, 5, 4, 44], format!("client_{domain}")),
        ];
        request
    }

    /// Adds this e-mail address as a subject alternative name.
    #[must_use]
    pub fn email(mut self, address: &str) -> Self {
        self.email = Some(address.to_owned());
        self
    }

    /// Sets the validity period.
    #[must_use]
    pub fn valid(mut self, from: SystemTime, until: SystemTime) -> Self {
        (self.from, self.until) = (from, until);
        self
    }

    /// Makes the certificate expired since yesterday.
    #[must_use]
    pub fn expired(self) -> Self {
        let now = SystemTime::now();
        self.valid(now - 30 * DAY, now - DAY)
    }

    /// Makes the certificate valid from tomorrow.
    #[must_use]
    pub fn not_yet_valid(self) -> Self {
        let now = SystemTime::now();
        self.valid(now + DAY, now + 30 * DAY)
    }

    /// Uses a 2048-bit RSA key instead of P-256.
    #[must_use]
    pub fn rsa(mut self) -> Self {
        self.rsa = true;
        self
    }

    fn key(&self) -> KeyPair {
        let algorithm = if self.rsa { &PKCS_RSA_SHA256 } else { &rcgen::PKCS_ECDSA_P256_SHA256 };
        KeyPair::generate_for(algorithm).expect("a key can be generated")
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).expect("an empty list has no invalid name");
        params.subject_alt_names = self.names.iter().map(|name| alternative(name)).collect();
        if let Some(email) = &self.email {
            params.subject_alt_names.push(SanType::Rfc822Name(ascii(email)));
        }
        params.distinguished_name.push(DnType::CommonName, self.common_name.as_str());
        for (kind, text) in &self.extra {
            params.distinguished_name.push(kind.clone(), text.as_str());
        }
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + since_epoch(self.from);
        params.not_after = epoch + since_epoch(self.until);
        params
    }
}

/// A certificate authority with its key.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new self-signed authority with this common name, valid for 90 days.
    #[must_use]
    pub fn new(common_name: &str) -> Self {
        Self::of(&Request::client(common_name))
    }

    /// An authority with an RSA key, for peers and file formats that support only RSA.
    #[must_use]
    pub fn rsa(common_name: &str) -> Self {
        Self::of(&Request::client(common_name).rsa())
    }

    fn of(request: &Request) -> Self {
        let mut params = request.params();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.extended_key_usages.clear();
        let issuer = CertifiedIssuer::self_signed(params, request.key()).expect("the request is valid");
        Self { issuer }
    }

    /// Issues a certificate signed by this authority.
    #[must_use]
    pub fn issue(&self, request: &Request) -> Issued {
        let key = request.key();
        let certificate = request.params().signed_by(&key, &self.issuer).expect("the request is valid");
        Issued { certificate, key, authority: Some(self.pem()) }
    }

    /// The authority's own certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The authority's own certificate as DER.
    #[must_use]
    pub fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// Writes the authority's certificate as PEM to `<folder>/<name>`.
    #[must_use]
    pub fn write_pem(&self, folder: &Path, name: &str) -> PathBuf {
        write(folder, name, &self.pem())
    }

    /// The configuration of a TLS server that sends the certificate `server`. With `client_required` it accepts only
    /// clients that send a certificate of this authority.
    #[must_use]
    pub fn server_config(&self, server: &Issued, client_required: bool) -> Arc<ServerConfig> {
        self.server_config_of(rustls::ALL_VERSIONS, server, client_required)
    }

    /// Like [`Authority::server_config`], with these TLS versions only (for example `rustls::version::TLS12`).
    #[must_use]
    pub fn server_config_of(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        server: &Issued,
        client_required: bool,
    ) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .expect("the provider supports TLS 1.2 and 1.3");
        let builder = if client_required {
            let mut roots = RootCertStore::empty();
            roots.add(self.der()).expect("our own certificate is valid");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
            builder.with_client_cert_verifier(verifier.expect("there is a root"))
        } else {
            builder.with_no_client_auth()
        };
        let config = builder.with_single_cert(vec![server.der()], server.key_der());
        Arc::new(config.expect("the key matches the certificate"))
    }
}

/// A certificate and its key.
pub struct Issued {
    certificate: rcgen::Certificate,
    key: KeyPair,
    authority: Option<String>,
}

impl Issued {
    /// A self-signed certificate.
    #[must_use]
    pub fn self_signed(request: &Request) -> Self {
        let key = request.key();
        let certificate = request.params().self_signed(&key).expect("the request is valid");
        Self { certificate, key, authority: None }
    }

    /// The certificate as DER.
    #[must_use]
    pub fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// The key as PKCS#8 DER.
    #[must_use]
    pub fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.serialize_der().into())
    }

    /// The certificate as PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// The key as PKCS#8 PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Writes `<stem>.crt` and `<stem>.key` as PEM.
    #[must_use]
    pub fn write_pem(&self, folder: &Path, stem: &str) -> (PathBuf, PathBuf) {
        let certificate = write(folder, &format!("{stem}.crt"), &self.certificate_pem());
        (certificate, write(folder, &format!("{stem}.key"), &self.key_pem()))
    }

    /// Writes a PKCS#12 file with the certificate, its key and the authority's certificate. Uses the `openssl`
    /// program; `None` if it is not installed.
    #[must_use]
    pub fn write_pkcs12(&self, folder: &Path, name: &str, password: &str, shape: Pkcs12) -> Option<PathBuf> {
        if !installed("openssl") {
            return None;
        }
        let (certificate, key) = self.write_pem(folder, &format!("{name}.source"));
        let file = folder.join(name);
        let mut command = Command::new("openssl");
        command.args(["pkcs12", "-export", "-name", "client", "-passout"]).arg(format!("pass:{password}"));
        command.arg("-in").arg(certificate).arg("-inkey").arg(key).arg("-out").arg(&file);
        command.args(shape.options());
        if let Some(authority) = &self.authority {
            command.arg("-certfile").arg(write(folder, &format!("{name}.authority"), authority));
        }
        run(&mut command);
        restrict(&file);
        Some(file)
    }

    /// Writes a Java key store of type `store`: `JKS`, `JCEKS` or `PKCS12`. Uses the `keytool` program, which requires
    /// a password of at least six characters, and `openssl`; `None` if one of them is not installed.
    #[must_use]
    pub fn write_key_store(&self, folder: &Path, name: &str, password: &str, store: &str) -> Option<PathBuf> {
        if !installed("keytool") {
            return None;
        }
        let source = self.write_pkcs12(folder, &format!("{name}.p12"), password, Pkcs12::Modern)?;
        let file = folder.join(name);
        let mut command = Command::new("keytool");
        command.args(["-importkeystore", "-noprompt", "-srcstoretype", "PKCS12", "-deststoretype", store]);
        command.arg("-srckeystore").arg(source).arg("-destkeystore").arg(&file);
        command.args(["-srcstorepass", password, "-deststorepass", password]);
        run(&mut command);
        restrict(&file);
        Some(file)
    }
}

/// How a PKCS#12 file is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pkcs12 {
    /// PBES2 with AES-256 and HMAC-SHA-256, the default of OpenSSL 3.
    Modern,
    /// As a Defense Center writes it: 40-bit RC2 for the certificates, 3DES for the key, and a SHA-1 MAC with one
    /// iteration.
    DefenseCenter,
    /// A cipher that few readers support: 128-bit RC2.
    Rare,
}

impl Pkcs12 {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Modern => &[],
            Self::DefenseCenter => &[
                "-legacy",
                "-keypbe",
                "PBE-SHA1-3DES",
                "-certpbe",
                "PBE-SHA1-RC2-40",
                "-macalg",
                "sha1",
                "-nomaciter",
            ],
            Self::Rare => &["-legacy", "-keypbe", "PBE-SHA1-RC2-128", "-certpbe", "PBE-SHA1-RC2-128"],
        }
    }
}

/// Whether a program that a test needs is installed. If not, reports on standard error that the test is skipped.
///
/// # Panics
/// If the program is missing and the environment has `CI=true`: CI skips no test.
#[must_use]
#[expect(clippy::print_stderr, reason = "a skipped test is reported to the developer")]
pub fn installed(program: &str) -> bool {
    let found =
        Command::new(program).arg("-help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    assert!(found || std::env::var("CI").as_deref() != Ok("true"), "{program} is not installed");
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn run(command: &mut Command) {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    fs::write(&file, text).expect("the folder is writable");
    restrict(&file);
    file
}

/// Makes a key file readable by its owner only; otherwise the product warns.
fn restrict(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("the file is ours");
}

fn alternative(name: &str) -> SanType {
    name.parse::<IpAddr>().map_or_else(|_| SanType::DnsName(ascii(name)), SanType::IpAddress)
}

fn ascii(text: &str) -> rcgen::string::Ia5String {
    text.try_into().expect("names are ASCII")
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970")
}

const DAY: Duration = Duration::from_secs(86_400);
