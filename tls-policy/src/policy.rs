//! The policies, built from the algorithms that rustls offers.

use std::fmt;
use std::str::FromStr;

use rustls::SignatureScheme::{ECDSA_NISTP256_SHA256, ECDSA_NISTP384_SHA384};
use rustls::crypto::aws_lc_rs::{cipher_suite as suite, default_provider, kx_group as group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, WebPkiSupportedAlgorithms};
use rustls::{ClientConfig, ServerConfig, SupportedCipherSuite};
use webpki::aws_lc_rs::{ECDSA_P256_SHA256, ECDSA_P256_SHA384, ECDSA_P384_SHA256, ECDSA_P384_SHA384};

/// Which algorithms TLS may use. Ordered: a later policy is stricter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// `off`: the defaults of rustls.
    #[default]
    Off,
    /// `on`: what FIPS 140-3 approves.
    On,
    /// `suite-b-128`: Suite B of RFC 6460 with a strength of 128 bits, and the same algorithms for TLS 1.3.
    SuiteB128,
    /// `suite-b-192`: Suite B of RFC 6460 with a strength of 192 bits, and the same algorithms for TLS 1.3.
    SuiteB192,
}

/// A word that names no policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownPolicy(String);

impl Policy {
    /// All policies, the strictest last.
    pub const ALL: [Self; 4] = [Self::Off, Self::On, Self::SuiteB128, Self::SuiteB192];

    /// The word in settings.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::SuiteB128 => "suite-b-128",
            Self::SuiteB192 => "suite-b-192",
        }
    }

    /// Whether FIPS mode is off.
    #[must_use]
    pub fn is_off(self) -> bool {
        self == Self::Off
    }

    /// The provider with the algorithms of this policy. In a build without the FIPS module it has the same algorithms,
    /// but [`CryptoProvider::fips`] is false.
    #[must_use]
    pub fn provider(self) -> CryptoProvider {
        let default = default_provider();
        let (cipher_suites, groups, signatures): (
            &[SupportedCipherSuite],
            &[&'static dyn SupportedKxGroup],
            _,
        ) = match self {
            Self::Off => return default,
            // Written out, because the defaults of rustls differ in a build without the FIPS module.
            Self::On => (
                &[
                    suite::TLS13_AES_256_GCM_SHA384,
                    suite::TLS13_AES_128_GCM_SHA256,
                    suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                    suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                    suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                    suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                ],
                &[group::SECP256R1, group::SECP384R1, group::X25519MLKEM768],
                default.signature_verification_algorithms,
            ),
            Self::SuiteB128 => (
                &[
                    suite::TLS13_AES_128_GCM_SHA256,
                    suite::TLS13_AES_256_GCM_SHA384,
                    suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                    suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                ],
                &[group::SECP256R1, group::SECP384R1],
                SUITE_B_128,
            ),
            Self::SuiteB192 => (
                &[suite::TLS13_AES_256_GCM_SHA384, suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384],
                &[group::SECP384R1],
                SUITE_B_192,
            ),
        };
        CryptoProvider {
            cipher_suites: cipher_suites.to_vec(),
            kx_groups: groups.to_vec(),
            signature_verification_algorithms: signatures,
            ..default
        }
    }

    /// Sets what the provider does not determine: TLS 1.2 without extended master secret is refused in FIPS mode.
    pub fn restrict_client(self, config: &mut ClientConfig) {
        config.require_ems = !self.is_off();
    }

    /// As [`Policy::restrict_client`], for a server.
    pub fn restrict_server(self, config: &mut ServerConfig) {
        config.require_ems = !self.is_off();
    }

    /// Checks that a client fulfils this policy.
    ///
    /// # Errors
    /// A sentence, when FIPS mode is on and the configuration or the module does not fulfil it.
    pub fn require_of_client(self, config: &ClientConfig) -> Result<(), &'static str> {
        self.require(config.fips())
    }

    /// Checks that a server fulfils this policy.
    ///
    /// # Errors
    /// As [`Policy::require_of_client`].
    pub fn require_of_server(self, config: &ServerConfig) -> Result<(), &'static str> {
        self.require(config.fips())
    }

    fn require(self, is_fips: bool) -> Result<(), &'static str> {
        if self.is_off() || is_fips { Ok(()) } else { Err(NO_MODULE) }
    }
}

const NO_MODULE: &str = "FIPS mode is on, and this build does not use a FIPS module";

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(word: &str) -> Result<Self, UnknownPolicy> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.word() == word)
            .ok_or_else(|| UnknownPolicy(word.to_owned()))
    }
}

impl fmt::Display for UnknownPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown FIPS mode `{}`; expected off, on, suite-b-128 or suite-b-192", self.0)
    }
}

impl std::error::Error for UnknownPolicy {}

/// In TLS 1.2 a scheme such as `ecdsa_secp256r1_sha256` fixes the hash and not the curve, so it maps to both curves; in
/// TLS 1.3, which fixes the curve, rustls takes the first of the list.
static SUITE_B_128: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[ECDSA_P256_SHA256, ECDSA_P256_SHA384, ECDSA_P384_SHA256, ECDSA_P384_SHA384],
    mapping: &[
        (ECDSA_NISTP256_SHA256, &[ECDSA_P256_SHA256, ECDSA_P384_SHA256]),
        (ECDSA_NISTP384_SHA384, &[ECDSA_P384_SHA384, ECDSA_P256_SHA384]),
    ],
};

static SUITE_B_192: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[ECDSA_P384_SHA384],
    mapping: &[(ECDSA_NISTP384_SHA384, &[ECDSA_P384_SHA384])],
};
