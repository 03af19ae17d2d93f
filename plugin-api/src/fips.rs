//! FIPS mode, and what a plugin library declares about its cryptography.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Which algorithms an instance may use. Ordered: a later mode is stricter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fips {
    /// `off`: no restriction.
    #[default]
    Off,
    /// `on`: only algorithms that FIPS 140-3 approves, and only those of a FIPS module.
    On,
    /// `suite-b-128`: as [`Fips::On`], and for TLS only Suite B with a strength of 128 bits (RFC 6460).
    SuiteB128,
    /// `suite-b-192`: as [`Fips::On`], and for TLS only Suite B with a strength of 192 bits (RFC 6460).
    SuiteB192,
}

impl Fips {
    /// The words of settings, the strictest last.
    pub const WORDS: &'static [&'static str] = &["off", "on", "suite-b-128", "suite-b-192"];

    const ALL: [Self; 4] = [Self::Off, Self::On, Self::SuiteB128, Self::SuiteB192];

    /// The word that crosses the ABI, and that settings use.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// Whether FIPS mode is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }

    /// Whether TLS is restricted to Suite B.
    #[must_use]
    pub fn is_suite_b(self) -> bool {
        self >= Self::SuiteB128
    }
}

impl fmt::Display for Fips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Fips {
    type Err = String;

    /// Reads the word of a mode.
    ///
    /// # Errors
    /// A sentence for any other text.
    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.word() == word)
            .ok_or_else(|| format!("unknown FIPS mode `{word}`; expected {}", Self::WORDS.join(", ")))
    }
}

impl Serialize for Fips {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for Fips {
    /// A mode of a later version is an error: this version could not fulfil it.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The cryptography that protects data in a plugin library. In FIPS mode the host refuses a library whose cryptography is
/// [`Unvalidated`](Self::Unvalidated), before it loads it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CryptoModule {
    /// `none`: the library has no cryptography that protects data. Hashes that find or name things do not count.
    None,
    /// `unvalidated`: cryptography outside a FIPS module. Also the meaning of a missing declaration, and of a word that
    /// this version does not know.
    #[default]
    Unvalidated,
    /// `aws-lc-fips-3`: all of it is in the FIPS module of AWS-LC, generation 3.
    AwsLcFips3,
    /// `aws-lc-fips-4`: all of it is in the FIPS module of AWS-LC, generation 4.
    AwsLcFips4,
}

impl CryptoModule {
    const ALL: [Self; 4] = [Self::None, Self::Unvalidated, Self::AwsLcFips3, Self::AwsLcFips4];

    /// The word in the identity record of a library.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unvalidated => "unvalidated",
            Self::AwsLcFips3 => "aws-lc-fips-3",
            Self::AwsLcFips4 => "aws-lc-fips-4",
        }
    }

    /// The module for people: `AWS-LC FIPS 3.x`.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::None => "no cryptography",
            Self::Unvalidated => "no FIPS module",
            Self::AwsLcFips3 => "AWS-LC FIPS 3.x",
            Self::AwsLcFips4 => "AWS-LC FIPS 4.x",
        }
    }

    /// The module with this word; [`Unvalidated`](Self::Unvalidated) for an unknown word.
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        Self::ALL.into_iter().find(|module| module.word() == word).unwrap_or_default()
    }

    /// Whether a library with it may be used in FIPS mode.
    #[must_use]
    pub fn is_allowed_in_fips_mode(self) -> bool {
        self != Self::Unvalidated
    }

    /// Whether it is a FIPS module.
    #[must_use]
    pub fn is_fips_module(self) -> bool {
        matches!(self, Self::AwsLcFips3 | Self::AwsLcFips4)
    }
}

/// What a library declares about its cryptography: `export_plugin!(crypto: Cryptography::NONE)`.
#[derive(Debug, Clone, Copy)]
pub struct Cryptography {
    word: &'static str,
    self_test: fn() -> Result<(), String>,
}

impl Cryptography {
    /// The library has no cryptography that protects data.
    pub const NONE: Self = Self::of_module("none", || Ok(()));

    /// The cryptography of the library is in this module, by its [word](CryptoModule::word). `self_test` asks the module
    /// that runs whether it is this one; its error is a sentence.
    #[must_use]
    pub const fn of_module(word: &'static str, self_test: fn() -> Result<(), String>) -> Self {
        Self { word, self_test }
    }

    /// The word in the identity record.
    #[doc(hidden)]
    #[must_use]
    pub const fn word(&self) -> &'static str {
        self.word
    }

    /// The declaration for the description of a plugin, with the result of the self-test.
    pub(crate) fn describe(&self) -> DescribedCrypto {
        let self_test = match (self.self_test)() {
            Ok(()) => DescribedCrypto::PASSED.to_owned(),
            Err(reason) => format!("failed: {reason}"),
        };
        DescribedCrypto { module: self.word.to_owned(), self_test }
    }
}

/// The cryptography of a library, as its code describes it after loading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DescribedCrypto {
    /// The [word](CryptoModule::word) of the module.
    #[serde(default)]
    pub module: String,
    /// `passed`, or `failed: ` with the reason.
    #[serde(default)]
    pub self_test: String,
}

impl DescribedCrypto {
    const PASSED: &'static str = "passed";

    /// Whether the self-test passed.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        self.self_test == Self::PASSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_ordered_by_strictness_and_keep_their_words() {
        assert!(Fips::ALL.is_sorted());
        for mode in Fips::ALL {
            assert_eq!(mode.word().parse(), Ok(mode));
            let json = serde_json::to_string(&mode).unwrap();
            assert_eq!(serde_json::from_str::<Fips>(&json).unwrap(), mode);
        }
        assert_eq!(Fips::Off.max(Fips::SuiteB128), Fips::SuiteB128);
        assert!(Fips::SuiteB192.is_suite_b() && !Fips::On.is_suite_b());
        assert!(serde_json::from_str::<Fips>("\"cnsa-2\"").unwrap_err().to_string().contains("cnsa-2"));
    }

    #[test]
    fn unknown_module_counts_as_unvalidated() {
        for module in CryptoModule::ALL {
            assert_eq!(CryptoModule::of_word(module.word()), module);
        }
        let later = CryptoModule::of_word("aws-lc-fips-9");
        assert_eq!(later, CryptoModule::Unvalidated);
        assert!(!later.is_allowed_in_fips_mode() && CryptoModule::None.is_allowed_in_fips_mode());
    }

    #[test]
    fn failed_self_test_is_described() {
        let broken = Cryptography::of_module("aws-lc-fips-3", || Err("the module does not run".to_owned()));
        let described = broken.describe();
        assert_eq!(described.self_test, "failed: the module does not run");
        assert!(!described.has_passed() && Cryptography::NONE.describe().has_passed());
    }
}
