//! TLS as this input needs it.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use scanbridge_plugin_api::{PluginError, Result};

use crate::options::Network;

/// What connections to Qualys and to the proxy are protected with.
pub(crate) fn client_config(network: &Network) -> Result<Arc<ClientConfig>> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = RootCertStore::empty();
    if let Some(path) = &network.ca_file {
        let all = CertificateDer::pem_file_iter(path)
            .map_err(|error| PluginError::config(format!("ca_file: {error}")))?;
        for certificate in all.flatten() {
            let _ = roots.add(certificate);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| PluginError::bug(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// What is wrong, and what to do.
pub(crate) fn explain(error: &rustls::Error) -> (String, Option<String>) {
    (error.to_string(), None)
}
