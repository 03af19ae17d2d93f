//! The certificate of the listener: given as files, or made by the service.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::{SignedDuration, Timestamp, Zoned};
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P384_SHA384, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use scanbridge_tls_policy::Policy;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::tokens::hexadecimal;
use crate::store::replace;

/// The longest validity that browsers accept.
const VALID: SignedDuration = SignedDuration::from_hours(397 * 24);
/// The service makes a new certificate so long before the end of its own.
const RENEWAL: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A certificate with its key.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Certificate {
    /// Reads PEM files.
    ///
    /// # Errors
    /// When a file cannot be read, or has no certificate or key.
    pub(super) fn read(certificate: &Path, key: &Path) -> Result<Self, String> {
        let chain = read_certificates(certificate)?;
        let bytes = fs::read(key).map_err(|error| format!("cannot read {}: {error}", key.display()))?;
        let key = PrivateKeyDer::from_pem_slice(&bytes)
            .map_err(|_| format!("{} has no private key in PEM form without a password", key.display()))?;
        Ok(Self { chain, key })
    }

    /// The certificate that the service made before, or a new one if that ends soon or has other names.
    ///
    /// # Errors
    /// When files of the directory cannot be read or written.
    pub(super) fn own(folder: &Path, names: &[String], now: &Zoned, fips: Policy) -> Result<Self, String> {
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        // Damaged files are replaced like old ones.
        if let Ok(known) = Self::read(&certificate, &key)
            && known.is_usable(names, now.timestamp())
            && (fips != Policy::SuiteB192 || known.is_p384())
        {
            return Ok(known);
        }
        let cannot = |error: &dyn std::fmt::Display| format!("cannot make a certificate: {error}");
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| cannot(&error))?;
        let (certificate_pem, key_pem) = make(names, now, fips).map_err(|error| cannot(&error))?;
        // The key first: a certificate without its key would be used after a crash between the two.
        let store = |path, text: &str| replace(path, text.as_bytes());
        fs::remove_file(&certificate).or_else(absent).map_err(|error| cannot(&error))?;
        store(&key, &key_pem)
            .and_then(|()| store(&certificate, &certificate_pem))
            .map_err(|error| cannot(&error))?;
        Self::read(&certificate, &key)
    }

    fn is_usable(&self, names: &[String], now: Timestamp) -> bool {
        let ends_late =
            self.expires().is_some_and(|expires| expires > now.saturating_add(RENEWAL).unwrap_or(now));
        ends_late && names_of(&self.chain[0]).iter().eq(names) && self.is_pair()
    }

    /// Whether its key is on P-384, the only curve of Suite B with 192 bits.
    fn is_p384(&self) -> bool {
        let Ok((_, certificate)) = X509Certificate::from_der(&self.chain[0]) else { return false };
        matches!(certificate.public_key().parsed(), Ok(PublicKey::EC(point)) if point.key_size() == 384)
    }

    /// Whether the key is that of the certificate.
    fn is_pair(&self) -> bool {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = provider.key_provider.load_private_key(self.key.clone_key());
        key.is_ok_and(|key| CertifiedKey::new(self.chain.clone(), key).keys_match().is_ok())
    }

    /// The end of its validity; `None` if the certificate cannot be read.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        let (_, certificate) = X509Certificate::from_der(&self.chain[0]).ok()?;
        Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
    }

    /// SHA-256 of the certificate, in hexadecimal.
    pub(super) fn fingerprint(&self) -> String {
        hexadecimal(digest(&SHA256, &self.chain[0]).as_ref())
    }
}

fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// The certificates of a PEM file.
///
/// # Errors
/// When it cannot be read, or has none.
pub(super) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let found = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|_| format!("{} is not a valid PEM file", path.display()))?;
    if found.is_empty() { Err(format!("{} has no certificate", path.display())) } else { Ok(found) }
}

/// The subject alternative names of a certificate, in its order.
pub(super) fn names_of(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            Some((*name).to_owned())
        }
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => Some(IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?).to_string()),
            _ => Some(IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()),
        },
        _ => None,
    };
    names.value.general_names.iter().filter_map(text).collect()
}

/// A self-signed certificate (ECDSA P-256, or P-384 if the mode demands it) and its key, as PEM.
fn make(names: &[String], now: &Zoned, fips: Policy) -> Result<(String, String), rcgen::Error> {
    let mut parameters = CertificateParams::new(names)?;
    let day = |time: Timestamp| {
        let date = time.to_zoned(jiff::tz::TimeZone::UTC).date();
        date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    let now = now.timestamp();
    parameters.not_before = day(now);
    parameters.not_after = day(now.saturating_add(VALID).unwrap_or(now));
    parameters.distinguished_name.push(DnType::CommonName, "Scanbridge");
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = match fips {
        Policy::SuiteB192 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?,
        _ => KeyPair::generate()?,
    };
    Ok((parameters.self_signed(&key)?.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn own_certificate_is_kept_until_it_ends_soon_or_has_other_names() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("tls");
        let names = ["bridge", "localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let at = |text: &str| text.parse::<Zoned>().unwrap();
        let own = |names: &[String], time: &str| {
            Certificate::own(&folder, names, &at(time), Policy::Off).unwrap().fingerprint()
        };
        let first = own(&names, "2026-03-01T12:00[UTC]");
        assert_eq!(first.len(), 64);
        assert_eq!(own(&names, "2027-03-01T12:00[UTC]"), first);
        let renewed = own(&names, "2027-03-05T12:00[UTC]");
        assert_ne!(renewed, first, "it ends on 2027-04-02");
        assert_ne!(own(&names[1..], "2027-03-05T12:00[UTC]"), renewed);
        let certificate =
            Certificate::own(&folder, &names[1..], &at("2027-03-05T12:00[UTC]"), Policy::Off).unwrap();
        assert_eq!(certificate.expires().unwrap().to_string(), "2028-04-05T00:00:00Z");
        assert_eq!(names_of(&certificate.chain[0]), names[1..]);
        // Suite B with 192 bits needs another curve.
        let strict = |time: &str| {
            Certificate::own(&folder, &names[1..], &at(time), Policy::SuiteB192).unwrap().fingerprint()
        };
        let on_p384 = strict("2027-03-05T12:00[UTC]");
        assert_ne!(on_p384, certificate.fingerprint());
        assert_eq!(strict("2027-03-05T12:00[UTC]"), on_p384);
        // Damaged files, and a key of another certificate, are replaced.
        let last = || own(&names[1..], "2027-03-05T12:00[UTC]");
        let mut known = last();
        assert_eq!(last(), known);
        let other_key = KeyPair::generate().unwrap().serialize_pem();
        for (name, content) in [("certificate.pem", ""), ("key.pem", "x"), ("key.pem", other_key.as_str())] {
            fs::write(folder.join(name), content).unwrap();
            let renewed = last();
            assert_ne!(renewed, known, "{name}");
            known = renewed;
        }
        for (name, mode) in [("", 0o700), ("key.pem", 0o600)] {
            assert_eq!(fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777, mode, "{name}");
        }
    }

    #[test]
    fn files_without_a_certificate_or_key_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        Certificate::own(folder.path(), &["localhost".to_owned()], &Zoned::now(), Policy::Off).unwrap();
        fs::write(path("empty.pem"), "").unwrap();
        let read =
            |certificate: &str, key: &str| Certificate::read(&path(certificate), &path(key)).unwrap_err();
        assert!(read("empty.pem", "key.pem").ends_with("empty.pem has no certificate"));
        assert!(read("certificate.pem", "empty.pem").contains("empty.pem has no private key"));
        assert!(read("absent.pem", "key.pem").contains("absent.pem: No such file"));
        assert!(read("certificate.pem", "absent.pem").contains("absent.pem: No such file"));
    }
}
