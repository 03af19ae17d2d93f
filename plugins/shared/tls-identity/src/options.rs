//! The options that all TLS clients share.

use std::path::PathBuf;

use scanbridge_plugin_api::{ErrorKind, Fips, OptionSpec, Options, PluginError, Result, Secret, ValueSpec};

use crate::client::{ClientTls, MinimumVersion};
use crate::fingerprint::Fingerprint;
use crate::identity::Identity;
use crate::trust::Trust;

/// `tls_certificate`.
pub const CERTIFICATE: OptionSpec = OptionSpec::path("tls_certificate").resume_safe().group("TLS").help(
    "Client certificate with its private key: PKCS#12, Java key store (JKS) or PEM file; the format \
         is detected from the content. Default: none.",
);
/// `tls_key`.
pub const KEY: OptionSpec =
    OptionSpec::path("tls_key").resume_safe().requires(&["tls_certificate"]).group("TLS").help(
        "Private key of the client certificate, PEM file. Needed only when \
         the key is not in `tls_certificate`.",
    );
/// `tls_password`.
pub const PASSWORD: OptionSpec = OptionSpec::text("tls_password")
    .secret()
    .group("TLS")
    .help("Password of the client certificate file or its private key. Default: none.");
/// `tls_ca_file`.
pub const CA_FILE: OptionSpec = OptionSpec::path("tls_ca_file").resume_safe().group("TLS").help(
    "Trusted certificate authorities, PEM file. Replaces the default: the system's list, or the authorities \
     selected by option `trust`, if the plugin has it.",
);
/// `tls_fingerprint`.
pub const FINGERPRINT: OptionSpec = OptionSpec::list("tls_fingerprint", &ValueSpec::Text)
    .resume_safe()
    .conflicts(&["tls_ca_file"])
    .group("TLS")
    .help(
        "SHA-256 fingerprints of accepted peer certificates, as `AB:CD:…` or plain hexadecimal digits. \
         Replaces certificate authorities, name and date checks.",
    );
/// `tls_first_use_file`.
pub const FIRST_USE_FILE: OptionSpec = OptionSpec::path("tls_first_use_file")
    .resume_safe()
    .conflicts(&["tls_fingerprint", "tls_ca_file"])
    .group("TLS")
    .help(
        "File that stores the first certificate seen for each address (trust on first use). A different \
     certificate is rejected later. Replaces certificate authorities.",
    );
/// `tls_check_name`.
pub const CHECK_NAME: OptionSpec = OptionSpec::flag("tls_check_name")
    .resume_safe()
    .default_flag(true)
    .group("TLS")
    .help("Check that the peer's certificate is issued for the configured host name or IP address.");
/// `tls_min_version`.
pub const MIN_VERSION: OptionSpec = OptionSpec::choice("tls_min_version", &["1.2", "1.3"])
    .resume_safe()
    .default_text("1.2")
    .group("TLS")
    .help("Minimum TLS version. TLS 1.1 and older are not supported.");

/// The options of this module; no file has been opened.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// `tls_certificate`.
    pub certificate: Option<PathBuf>,
    /// `tls_key`.
    pub key: Option<PathBuf>,
    /// `tls_password`.
    pub password: Option<Secret>,
    /// `tls_ca_file`.
    pub ca_file: Option<PathBuf>,
    /// `tls_fingerprint`.
    pub fingerprints: Vec<Fingerprint>,
    /// `tls_first_use_file`.
    pub first_use_file: Option<PathBuf>,
    /// The negation of `tls_check_name`, so that the default value is the safe one.
    pub any_name: bool,
    /// `tls_min_version`.
    pub min_version: MinimumVersion,
    /// Which algorithms may be used; not an option, but what the host demands.
    pub fips: Fips,
}

impl TlsOptions {
    /// Reads those options of this module that are in the plugin's table; the others have their defaults. `fips` is
    /// [`Services::fips`](scanbridge_plugin_api::Services::fips).
    ///
    /// # Errors
    /// [`Config`](scanbridge_plugin_api::ErrorKind::Config) for an invalid fingerprint.
    pub fn read(options: &Options, fips: Fips) -> Result<Self> {
        Ok(Self {
            certificate: if_offered(options, CERTIFICATE.name, Options::path)?,
            key: if_offered(options, KEY.name, Options::path)?,
            password: if_offered(options, PASSWORD.name, Options::secret)?,
            ca_file: if_offered(options, CA_FILE.name, Options::path)?,
            fingerprints: fingerprints(options)?,
            first_use_file: if_offered(options, FIRST_USE_FILE.name, Options::path)?,
            any_name: if_offered(options, CHECK_NAME.name, Options::optional_flag)? == Some(false),
            min_version: match if_offered(options, MIN_VERSION.name, Options::text)? {
                Some("1.3") => MinimumVersion::Tls13,
                _ => MinimumVersion::Tls12,
            },
            fips,
        })
    }

    /// Opens the client certificate, if one is named.
    ///
    /// # Errors
    /// As [`Identity::open`]; they name the option.
    pub fn identity(&self) -> Result<Option<Identity>> {
        let opened = match (&self.certificate, &self.key) {
            (None, _) => return Ok(None),
            (Some(file), None) => Identity::open(file, self.password.as_ref(), self.fips),
            (Some(file), Some(key)) => Identity::open_pair(file, key, self.password.as_ref(), self.fips),
        };
        opened.map(Some).map_err(|error| match (error.kind, &self.password) {
            (ErrorKind::Auth, Some(_)) => error.with_option(PASSWORD.name),
            _ => error.with_option(CERTIFICATE.name),
        })
    }

    /// The peers to trust: by fingerprint, by the first-use file or by the file of authorities. Calls `otherwise`
    /// when none of them is set.
    ///
    /// # Errors
    /// As the constructors of [`Trust`].
    pub fn trust_or(&self, otherwise: impl FnOnce() -> Result<Trust>) -> Result<Trust> {
        let trust = match (&self.first_use_file, &self.ca_file) {
            _ if !self.fingerprints.is_empty() => Trust::pinned(self.fingerprints.clone()),
            (Some(file), _) => Ok(Trust::first_use(file)),
            (None, Some(file)) => Trust::ca_file(file),
            (None, None) => otherwise(),
        }?;
        Ok(if self.any_name { trust.without_name_check() } else { trust })
    }

    /// A client for this peer (`host:port`) that trusts the system's authorities unless the options say
    /// otherwise.
    ///
    /// # Errors
    /// Those of [`TlsOptions::identity`], [`TlsOptions::trust_or`] and [`ClientTls::new`].
    pub fn client(&self, peer: &str) -> Result<ClientTls> {
        let identity = self.identity()?;
        let trust = self.trust_or(Trust::system)?;
        ClientTls::with_minimum(peer, &trust, identity.as_ref(), self.fips, self.min_version)
    }
}

/// An option that not every plugin with TLS has.
fn if_offered<'a, T: Default>(
    options: &'a Options,
    name: &str,
    read: impl FnOnce(&'a Options, &str) -> Result<T>,
) -> Result<T> {
    if options.has(name) { read(options, name) } else { Ok(T::default()) }
}

fn fingerprints(options: &Options) -> Result<Vec<Fingerprint>> {
    let read = if_offered(options, FINGERPRINT.name, Options::list)?.into_iter().map(str::parse);
    read.collect::<Result<_>>().map_err(|error: PluginError| {
        let message = format!("invalid option `{}`: {}", FINGERPRINT.name, error.message);
        error.with_message(message)
    })
}
