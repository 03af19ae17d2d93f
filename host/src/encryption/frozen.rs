//! The settings with which an output was encrypted first. They stay, because a receiver could no longer join its records.

use std::collections::BTreeMap;

use scanbridge_plugin_api::PluginError;
use serde::{Deserialize, Serialize};

use super::cipher::OutputCipher;
use super::settings::Encryption;

/// What the ledger stores of the encryption of an output: everything but the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FrozenEncryption {
    /// The name of the key.
    pub(crate) identity: String,
    /// The version of the key.
    pub(crate) version: u64,
    /// The fields, by their formats.
    pub(crate) fields: BTreeMap<String, String>,
    /// `token` or `refuse`.
    pub(crate) short_values: String,
    /// Identifies the tweak.
    pub(crate) tweak: u32,
    /// Identifies the secret.
    pub(crate) check: u64,
}

impl FrozenEncryption {
    /// What is stored of these settings.
    pub(crate) fn of(encryption: &Encryption, cipher: &OutputCipher) -> Self {
        let short_values = if encryption.refuses_short_values { "refuse" } else { "token" };
        Self {
            identity: encryption.identity.clone(),
            version: encryption.version,
            fields: encryption.formats(),
            short_values: short_values.to_owned(),
            tweak: cipher.key().tweak_hash(),
            check: cipher.key().check_value(),
        }
    }

    /// Identity and version of the key.
    pub(crate) fn label(&self) -> String {
        format!("{}/{}", self.identity, self.version)
    }

    /// Compares the key alone.
    ///
    /// # Errors
    /// When it is another one.
    pub(crate) fn compare_key(&self, output: &str, now: &Self) -> Result<(), PluginError> {
        if (self.check, self.tweak) == (now.check, now.tweak) {
            return Ok(());
        }
        Err(PluginError::config(format!(
            "output `{output}` was encrypted with {}, and the key of the file ({}) is another one",
            self.label(),
            now.label()
        ))
        .with_hint("use a pipeline file with the identity, version, tweak and secret of that time"))
    }

    /// The keys under `encrypt` that differ. The secret is named only if nothing else explains another key.
    fn differences(&self, now: &Self) -> Vec<&'static str> {
        let names = |all: &Self| all.fields.keys().cloned().collect::<Vec<_>>();
        let same_key = (&self.identity, self.version) == (&now.identity, now.version);
        let all = [
            ("identity", self.identity != now.identity),
            ("version", self.version != now.version),
            ("fields", names(self) != names(now)),
            ("formats", names(self) == names(now) && self.fields != now.fields),
            ("short_values", self.short_values != now.short_values),
            ("tweak", self.tweak != now.tweak),
            ("secret", same_key && self.check != now.check),
        ];
        all.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }

    /// Compares with the settings in the file; `None` if it has no `encrypt`.
    ///
    /// # Errors
    /// When they differ.
    pub(crate) fn compare(&self, output: &str, now: Option<&Self>) -> Result<(), PluginError> {
        let was = format!(
            "output `{output}` was encrypted with {} over {} fields",
            self.label(),
            self.fields.len()
        );
        let message = match now.map(|now| self.differences(now)) {
            None => format!("{was}, and the file has no `encrypt` for it"),
            Some(differences) if !differences.is_empty() => {
                let keys: Vec<_> = differences.iter().map(|key| format!("`{key}`")).collect();
                format!("{was}, and the file has another value of {}", keys.join(", "))
            }
            Some(_) => return Ok(()),
        };
        Err(PluginError::config(message).with_hint(format!(
            "undo the change; or, if the receiver need not join old and new records, run \
             `scanbridge state forget-encryption FILE --output {output} --yes`"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frozen() -> FrozenEncryption {
        FrozenEncryption {
            identity: "soc".to_owned(),
            version: 1,
            fields: [("asset.dns".to_owned(), "name".to_owned())].into(),
            short_values: "token".to_owned(),
            tweak: 0,
            check: 7,
        }
    }

    #[test]
    fn differing_keys_are_named() {
        let frozen = frozen();
        assert_eq!(frozen.compare("siem", Some(&frozen)), Ok(()));
        let message = |now: Option<&FrozenEncryption>| frozen.compare("siem", now).unwrap_err().message;
        assert_eq!(
            message(None),
            "output `siem` was encrypted with soc/1 over 1 fields, and the file has no `encrypt` for it"
        );
        let with = |change: fn(&mut FrozenEncryption)| {
            let mut now = self::frozen();
            change(&mut now);
            message(Some(&now)).split(" of ").nth(1).unwrap().to_owned()
        };
        assert_eq!(with(|now| now.check = 8), "`secret`");
        assert_eq!(with(|now| (now.version, now.check) = (2, 8)), "`version`");
        assert_eq!(with(|now| now.fields = BTreeMap::new()), "`fields`");
        assert_eq!(
            with(|now| drop(now.fields.insert("asset.dns".to_owned(), "text".to_owned()))),
            "`formats`"
        );
        assert_eq!(
            with(|now| (now.tweak, now.short_values) = (1, "refuse".to_owned())),
            "`short_values`, `tweak`"
        );
    }
}
