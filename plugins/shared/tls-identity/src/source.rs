//! Reading the files that hold certificates and keys, and what is in them before anything is made of it.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, tracing};
use zeroize::{Zeroize, Zeroizing};

/// What a file held.
pub(crate) struct Material {
    /// The certificate of the key first, then what leads to its authority.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The key, wiped when this is dropped.
    pub(crate) key: Option<PrivateKeyDer<'static>>,
    /// Certificates that are in the file in addition: the authorities to trust.
    pub(crate) authorities: Vec<CertificateDer<'static>>,
}

impl Drop for Material {
    fn drop(&mut self) {
        if let Some(key) = &mut self.key {
            key.zeroize();
        }
    }
}

/// The bytes of a file with certificates, wiped when dropped.
///
/// # Errors
/// [`NoInput`](ErrorKind::NoInput) when it does not exist or cannot be opened, [`Io`](ErrorKind::Io) when reading
/// fails, [`BadData`](ErrorKind::BadData) when it is much larger than a certificate or key file can be.
pub(crate) fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| {
        PluginError::new(ErrorKind::NoInput, format!("cannot open {shown}: {error}"))
            .with_hint("set a certificate file that the user running scanbridge can read")
    })?;
    let told = file.metadata().ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len());
    let expected = told.and_then(|length| usize::try_from(length).ok()).unwrap_or(MOST_BYTES).min(MOST_BYTES);
    // Reserved at once: a buffer that grows leaves copies of a key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected + 1));
    let mut limited = file.take(MOST_BYTES as u64 + 1);
    limited
        .read_to_end(&mut bytes)
        .map_err(|error| PluginError::new(ErrorKind::Io, format!("cannot read {shown}: {error}")))?;
    if bytes.len() > MOST_BYTES {
        return Err(PluginError::bad_data(format!("{shown} is too large to be a certificate file")));
    }
    Ok(bytes)
}

/// Says when others than its owner may read a file that holds a key.
pub(crate) fn warn_of_readers(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode() & 0o777);
    if mode & 0o077 != 0 {
        let shown = path.display();
        tracing::warn!(
            "{shown} contains a private key and is readable by others (mode {mode:04o}): chmod 600 {shown}"
        );
    }
}

/// A thousand certificates fit in.
const MOST_BYTES: usize = 4 << 20;
