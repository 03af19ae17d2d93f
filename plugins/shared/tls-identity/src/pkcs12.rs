//! PKCS#12 files (`.p12`, `.pfx`, and the `.pkcs12` of a Defense Center).

use std::path::Path;

use p12_keystore::error::Error;
use p12_keystore::{Pkcs12Archive, PrivateKeyBag};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use scanbridge_plugin_api::{PluginError, Result, Secret};

use crate::key_file::wrong_password;
use crate::source::Material;

/// Opens a PKCS#12 file. Supported are PBES2 with AES, and the format of a Defense Center: 40-bit RC2, 3DES and a
/// SHA-1 MAC with one iteration.
///
/// # Errors
/// [`Auth`](scanbridge_plugin_api::ErrorKind::Auth) for a wrong password,
/// [`BadData`](scanbridge_plugin_api::ErrorKind::BadData) for an invalid file, an unsupported encryption, and a file
/// without a key.
pub(crate) fn open(path: &Path, bytes: &[u8], password: Option<&Secret>) -> Result<Material> {
    let password = password.map_or("", Secret::expose);
    let archive =
        Pkcs12Archive::from_pkcs12(bytes, password).map_err(|error| failure(path, bytes, &error))?;
    let certificates: Vec<_> = archive.certs.iter().map(der).collect();
    let key = archive.keys.first().ok_or_else(|| {
        PluginError::bad_data(format!("{} contains no private key", path.display()))
            .with_hint("export the certificate together with its private key")
    })?;
    let own = archive.certs.iter().position(|bag| belongs(bag.local_key_id.as_deref(), key)).unwrap_or(0);
    let mut material = Material {
        chain: Vec::new(),
        key: Some(PrivateKeyDer::Pkcs8(key.key.as_der().to_vec().into())),
        authorities: certificates.clone(),
    };
    if own < material.authorities.len() {
        material.authorities.remove(own);
        material.chain =
            std::iter::once(certificates[own].clone()).chain(material.authorities.clone()).collect();
    }
    Ok(material)
}

fn der(bag: &p12_keystore::CertificateBag) -> CertificateDer<'static> {
    CertificateDer::from(bag.cert.as_der().to_vec())
}

fn belongs(certificate_id: Option<&[u8]>, key: &PrivateKeyBag) -> bool {
    certificate_id.is_some_and(|id| key.local_key_id.as_ref().is_some_and(|key_id| key_id.as_ref() == id))
}

fn failure(path: &Path, bytes: &[u8], error: &Error) -> PluginError {
    let shown = path.display();
    let convert = format!(
        "convert it: openssl pkcs12 -legacy -in {shown} -nodes -out ALL.pem, then openssl pkcs12 -export -in ALL.pem -out NEW.p12"
    );
    match error {
        // Invalid padding after a valid or missing MAC also means a wrong password.
        Error::MacError(_) | Error::UnpadError => wrong_password(path),
        Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm | Error::InvalidParameters => {
            PluginError::bad_data(format!("{shown} uses an unsupported encryption ({error})"))
                .with_hint(convert)
        }
        // BER with indefinite lengths, which some old programs write.
        _ if bytes.get(1) == Some(&0x80) => {
            PluginError::bad_data(format!("{shown} is a BER-encoded PKCS#12 file; only DER is supported"))
                .with_hint(convert)
        }
        _ => PluginError::bad_data(format!("invalid PKCS#12 file {shown}: {error}"))
            .with_hint("download or export the file again, and copy it in binary mode"),
    }
}
