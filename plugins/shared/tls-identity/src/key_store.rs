//! Java key stores of type JKS.

use std::path::Path;

use jks::{KeyStore, KeyStoreError};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use scanbridge_plugin_api::{PluginError, Result, Secret};
use zeroize::Zeroize;

use crate::key_file::{JCEKS, wrong_password};
use crate::source::Material;

/// Opens a key store. If there are several keys, the first by alias is used. The key's password must be that of the
/// store.
///
/// # Errors
/// Those of [`pkcs12::open`](crate::pkcs12::open). A store of type JCEKS is refused with the command that converts
/// it.
pub(crate) fn open(path: &Path, bytes: &[u8], password: Option<&Secret>) -> Result<Material> {
    let shown = path.display();
    if bytes.starts_with(JCEKS) {
        return Err(PluginError::bad_data(format!("{shown} is a JCEKS key store, which is not supported"))
            .with_hint(convert(path)));
    }
    let broken = || {
        PluginError::bad_data(format!("invalid Java key store: {shown}"))
            .with_hint("export the file again, and copy it in binary mode")
    };
    Layout { rest: bytes }.check().ok_or_else(broken)?;
    let password = password.map_or("", Secret::expose).as_bytes();
    let mut store = KeyStore::new();
    match store.load(bytes, password) {
        Ok(()) => {}
        Err(KeyStoreError::InvalidDigest) => return Err(wrong_password(path)),
        Err(_) => return Err(broken()),
    }
    let mut aliases = store.aliases();
    aliases.sort();
    let authorities = aliases
        .iter()
        .filter_map(|alias| store.get_trusted_certificate_entry(alias).ok())
        .map(|entry| CertificateDer::from(entry.certificate.content));
    let authorities: Vec<_> = authorities.collect();
    let alias = aliases.iter().find(|alias| store.is_private_key_entry(alias)).ok_or_else(|| {
        PluginError::bad_data(format!("{shown} contains no private key"))
            .with_hint("export the certificate together with its private key")
    })?;
    let mut entry = store.get_private_key_entry(alias, password).map_err(|error| match error {
        KeyStoreError::InvalidDigest => PluginError::bad_data(format!(
            "the key `{alias}` in {shown} has a different password than the key store"
        ))
        .with_hint(convert(path)),
        error => PluginError::bad_data(format!("cannot read key `{alias}` in {shown}: {error}"))
            .with_hint(convert(path)),
    })?;
    let key = PrivateKeyDer::Pkcs8(entry.private_key.clone().into());
    entry.private_key.zeroize();
    let chain: Vec<_> = entry
        .certificate_chain
        .into_iter()
        .map(|certificate| CertificateDer::from(certificate.content))
        .collect();
    let authorities = chain.iter().skip(1).cloned().chain(authorities).collect();
    Ok(Material { chain, key: Some(key), authorities })
}

fn convert(path: &Path) -> String {
    let shown = path.display();
    format!(
        "convert it: keytool -importkeystore -srckeystore {shown} -destkeystore NEW.p12 -deststoretype PKCS12"
    )
}

/// The structure of the store. It is checked before the library parses the file, because the library allocates as
/// much memory as a length in the file demands.
struct Layout<'a> {
    rest: &'a [u8],
}

impl Layout<'_> {
    /// Checks that every length stays within the file and that only the digest follows the entries.
    fn check(mut self) -> Option<()> {
        self.skip(4)?;
        let version = self.number()?;
        let entries = self.number()?;
        for _ in 0..entries {
            let tag = self.number()?;
            self.text()?;
            self.skip(8)?; // the time of creation
            match tag {
                PRIVATE_KEY => {
                    self.block()?;
                    for _ in 0..self.number()? {
                        self.certificate(version)?;
                    }
                }
                TRUSTED => self.certificate(version)?,
                _ => return None,
            }
        }
        (self.rest.len() == SHA1_BYTES).then_some(())
    }

    fn certificate(&mut self, version: u32) -> Option<()> {
        if version == 2 {
            self.text()?;
        }
        self.block()
    }

    fn text(&mut self) -> Option<()> {
        let (length, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        self.skip(usize::from(u16::from_be_bytes(*length)))
    }

    fn block(&mut self) -> Option<()> {
        let length = self.number()?;
        self.skip(usize::try_from(length).ok()?)
    }

    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*number))
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        self.rest = self.rest.get(length..)?;
        Some(())
    }
}

const PRIVATE_KEY: u32 = 1;
const TRUSTED: u32 = 2;
const SHA1_BYTES: usize = 20;
