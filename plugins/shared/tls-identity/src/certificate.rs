//! Parsed certificates.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, printable};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

use crate::fingerprint::Fingerprint;

/// The fields of a certificate that messages show. They are not secret, and they are not verified here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The subject in one line: `O=Example, CN=scanner.example.com`.
    pub subject: String,
    /// The common name (CN) of the subject.
    pub common_name: Option<String>,
    /// The e-mail address: from the alternative names, otherwise from the subject.
    pub email: Option<String>,
    /// The DNS names and IP addresses among the alternative names.
    pub names: Vec<String>,
    /// The issuer in one line.
    pub issuer: String,
    /// The serial number, hexadecimal with colons.
    pub serial: String,
    /// The first moment at which it is valid.
    pub not_before: Timestamp,
    /// The last moment at which it is valid.
    pub not_after: Timestamp,
    /// Its SHA-256 fingerprint.
    pub fingerprint: Fingerprint,
    /// The domain of a Defense Center that the client of this certificate may write to: the part after
    /// `client_` in the subject's `generationQualifier`. Seen in a certificate of one Management Center.
    pub domain: Option<String>,
}

/// Relation of a time to a certificate's validity period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// The validity period has not begun.
    NotYet,
    /// It is valid for this many more whole days.
    DaysLeft(i64),
    /// The validity period has ended.
    Expired,
}

impl Certificate {
    /// Reads a certificate.
    ///
    /// # Errors
    /// [`BadData`](ErrorKind::BadData) when it is not an X.509 certificate.
    pub fn read(der: &CertificateDer<'_>) -> Result<Self> {
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|error| PluginError::bad_data(format!("not an X.509 certificate: {error}")))?;
        let alternative = alternative_names(&certificate);
        let mut names = Vec::new();
        let mut email = None;
        for name in &alternative {
            match name {
                GeneralName::DNSName(name) => names.push(clean(name)),
                GeneralName::IPAddress(bytes) => names.extend(address(bytes)),
                GeneralName::RFC822Name(address) => email = email.or_else(|| Some(clean(address))),
                _ => {}
            }
        }
        let subject = certificate.subject();
        Ok(Self {
            subject: clean(&subject.to_string()),
            common_name: subject.iter_common_name().find_map(|name| name.as_str().ok()).map(clean),
            email: email.or_else(|| subject.iter_email().find_map(|name| name.as_str().ok()).map(clean)),
            names,
            issuer: clean(&certificate.issuer().to_string()),
            serial: certificate.raw_serial_as_string(),
            not_before: to_timestamp(certificate.validity().not_before.timestamp()),
            not_after: to_timestamp(certificate.validity().not_after.timestamp()),
            fingerprint: Fingerprint::of(der),
            domain: domain(subject),
        })
    }

    /// Relation of `now` to this certificate's validity period.
    #[must_use]
    pub fn validity(&self, now: Timestamp) -> Validity {
        if now < self.not_before {
            Validity::NotYet
        } else if now > self.not_after {
            Validity::Expired
        } else {
            Validity::DaysLeft(self.not_after.duration_since(now).as_secs() / 86_400)
        }
    }

    /// Checks that the certificate is valid at `now`, before any byte goes over the network.
    ///
    /// # Errors
    /// [`Auth`](ErrorKind::Auth) when it has expired or is not yet valid; the message names the date.
    pub fn require_valid(&self, now: Timestamp) -> Result<()> {
        let when = match self.validity(now) {
            Validity::DaysLeft(_) => return Ok(()),
            Validity::NotYet => format!("is not valid before {}", self.not_before),
            Validity::Expired => format!("expired on {}", self.not_after),
        };
        Err(PluginError::new(ErrorKind::Auth, format!("the client certificate of `{}` {when}", self.subject))
            .with_hint("renew the certificate, or check the system clock"))
    }
}

impl fmt::Display for Certificate {
    /// `O=Example, CN=scanner, issued by CN=Example CA, valid until 2027-01-31T00:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, issued by {}, valid until {}", self.subject, self.issuer, self.not_after)
    }
}

fn alternative_names<'a>(certificate: &X509Certificate<'a>) -> Vec<GeneralName<'a>> {
    // The verifier refuses a certificate whose extension is invalid or appears twice. Here it has no names.
    let extension = certificate.subject_alternative_name().ok().flatten();
    extension.map(|names| names.value.general_names.clone()).unwrap_or_default()
}

fn address(bytes: &[u8]) -> Option<String> {
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
        _ => return None,
    };
    Some(address.to_string())
}

fn domain(subject: &X509Name<'_>) -> Option<String> {
    subject
        .iter_attributes()
        .filter(|attribute| attribute.attr_type().to_id_string() == GENERATION_QUALIFIER)
        .find_map(|attribute| attribute.as_str().ok()?.strip_prefix("client_").map(clean))
}

/// Dates outside the range of `Timestamp` become the nearest date in it.
fn to_timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// The peer chooses these texts, and messages show them.
fn clean(text: &str) -> String {
    printable(text, MAX_CHARACTERS).into_owned()
}

const MAX_CHARACTERS: usize = 300;
const GENERATION_QUALIFIER: &str = "2.5.4.44";
