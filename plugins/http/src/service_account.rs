//! Key files of Google service accounts: signed assertions for tokens (RFC 7523).

use std::fs;
use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Secret};
use serde::Deserialize;
use url::Url;

/// A service account.
#[derive(Clone)]
pub(crate) struct ServiceAccount {
    email: String,
    key_id: String,
    /// PKCS#8.
    key: Vec<u8>,
    pub(crate) token_url: Url,
    /// The text of the key, for messages of the server.
    pub(crate) private_key: Secret,
}

#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: String,
    token_uri: String,
}

const OPTION: &str = "service_account_file";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The life of an assertion, in seconds.
const LIFE: i64 = 3600;

impl ServiceAccount {
    /// Reads a key file.
    ///
    /// # Errors
    /// [`ErrorKind::NoInput`] if it cannot be read, [`ErrorKind::Config`] if it is not a key file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let text = fs::read(path).map_err(|error| {
            PluginError::of_file(ErrorKind::NoInput, "read", path, &error).with_option(OPTION)
        })?;
        // The errors of serde quote values, so they are not shown.
        let invalid = |what: &str| {
            PluginError::config(format!("{} {what}", path.display()))
                .with_option(OPTION)
                .with_hint("download a JSON key of the service account again")
        };
        let file: KeyFile = serde_json::from_slice(&text)
            .map_err(|_| invalid("is not a JSON key file of a service account"))?;
        let body: String = file.private_key.lines().filter(|line| !line.starts_with("-----")).collect();
        let key = STANDARD.decode(body).map_err(|_| invalid("has an invalid `private_key`"))?;
        RsaKeyPair::from_pkcs8(&key).map_err(|_| invalid("has an invalid `private_key`"))?;
        let token_url = Url::parse(&file.token_uri).map_err(|_| invalid("has an invalid `token_uri`"))?;
        let private_key = Secret::new(file.private_key);
        Ok(Self { email: file.client_email, key_id: file.private_key_id, key, token_url, private_key })
    }

    /// A signed assertion (JWT) for a token.
    ///
    /// # Errors
    /// A bug: the key was checked when it was read.
    pub(crate) fn assertion(&self, now: i64) -> Result<String> {
        let header = serde_json::json!({ "alg": "RS256", "typ": "JWT", "kid": self.key_id });
        let claims = serde_json::json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.token_url.as_str(),
            "iat": now,
            "exp": now + LIFE,
        });
        let part = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let failed = |_| PluginError::bug("cannot sign with the key of the service account");
        let key = RsaKeyPair::from_pkcs8(&self.key)
            .map_err(|_| PluginError::bug("cannot read the key of the service account"))?;
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(failed)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Omits the key.
impl std::fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceAccount").field("email", &self.email).finish_non_exhaustive()
    }
}
