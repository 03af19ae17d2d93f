//! What an operator has set under `encrypt`.

use std::collections::BTreeMap;

use scanbridge_field_encryption::FieldKey;
use scanbridge_plugin_api::PluginError;
use serde_json::{Value, json};

use super::fields::{EncryptedField, FieldFormat};
use super::secret::SecretSource;

/// The settings of `encrypt` of one output.
#[derive(Debug, Clone)]
pub(crate) struct Encryption {
    /// The fields with their formats.
    pub(crate) fields: Vec<EncryptedField>,
    /// The name of the key.
    pub(crate) identity: String,
    /// The version of the key.
    pub(crate) version: u64,
    /// Where the secret comes from.
    pub(crate) secret: SecretSource,
    /// Whether findings with a value that cannot be encrypted are rejected; otherwise the value becomes a token.
    pub(crate) refuses_short_values: bool,
    /// Distinguishes this output from others with the same key; may be empty.
    pub(crate) tweak: String,
}

impl Encryption {
    /// Identity and version of the key, as in `report.encryption`.
    pub(crate) fn label(&self) -> String {
        format!("{}/{}", self.identity, self.version)
    }

    /// What `check` says about it: the effects that an operator may not expect.
    pub(crate) fn effects(&self, output: &str) -> String {
        let module = if scanbridge_field_encryption::IS_FIPS {
            "AES in the FIPS module, mode not validated"
        } else {
            "AES-256"
        };
        let mut text = format!(
            "{output}: field encryption: FF1 (SP 800-38G), {module}; key {}; fields: {}\n",
            self.label(),
            self.field_names().join(", ")
        );
        text.push_str(&format!(
            "{output}: rules, watch lists, asset models, zones, geography and lookups on these fields see other values; \
             records before the first encrypted delivery do not join later ones\n"
        ));
        let has_mentions = self.fields.iter().any(|field| field.format == FieldFormat::Mentions);
        if has_mentions {
            text.push_str(&format!(
                "{output}: names of other hosts in fields with the format `mentions` stay clear\n"
            ));
        }
        text
    }

    /// The names of the fields.
    pub(crate) fn field_names(&self) -> Vec<String> {
        self.fields.iter().map(EncryptedField::full_name).collect()
    }

    /// The format of each field, by name.
    pub(crate) fn formats(&self) -> BTreeMap<String, String> {
        self.fields.iter().map(|field| (field.full_name(), field.format.word().to_owned())).collect()
    }

    /// Whether two outputs encrypt alike, without a look at the secret of a command.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.public() == other.public() && self.secret.is_same_as(&other.secret)
    }

    /// Everything but the secret.
    pub(crate) fn public(&self) -> Value {
        json!([self.identity, self.version, self.formats(), self.refuses_short_values, self.tweak])
    }

    /// Derives the key. Runs the command that prints the secret, if one is set.
    ///
    /// # Errors
    /// When the command fails, or the secret is too short.
    pub(crate) fn key(&self) -> Result<FieldKey, PluginError> {
        let secret = self.secret.read()?;
        FieldKey::derive(secret.expose().as_bytes(), &self.identity, self.version, &self.tweak)
            .map_err(|short| PluginError::config(format!("`encrypt.secret`: {short}")).with_hint(SECRET_HINT))
    }
}

/// How to get a secret.
pub(crate) const SECRET_HINT: &str =
    "`scanbridge encrypt new-secret FILE` writes a random one; refer to it with `secret: ${file:FILE}`";
