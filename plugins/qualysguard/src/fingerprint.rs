//! Fingerprints of settings and parameters.

use serde::Serialize;

/// A hash of parameters, as 32 hexadecimal digits.
pub(crate) fn fingerprint(of: &impl Serialize) -> String {
    let bytes = serde_json::to_vec(of).expect("parameters are plain data");
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes))
}
