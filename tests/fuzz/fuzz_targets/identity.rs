//! Parses any bytes as a client certificate, its key, a list of authorities or a fingerprint. They are valid, or
//! rejected with a one-line message without secrets. Both take a bounded time.
//!
//! The first byte selects the function and whether a password is set.
#![no_main]

mod folder;

use std::fs;
use std::time::{Duration, Instant};

use libfuzzer_sys::{Corpus, fuzz_target};
use scanbridge_plugin_api::{Fips, PluginError, Secret};
use scanbridge_tls_identity::{ClientTls, Fingerprint, Identity, Trust};

use folder::FOLDER;

const PASSWORD: &str = "pass-of-the-seeds";

/// Maximum time for reading a key. The file sets the cost of key derivation; an operator waits once, at the start.
const MAX_TIME: Duration = Duration::from_secs(5);

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((first, rest)) = input.split_first() else { return Corpus::Reject };
    let started = Instant::now();
    match first % 4 {
        0 => open(rest, Some(&Secret::new(PASSWORD.to_owned()))),
        1 => open(rest, None),
        2 => authorities(rest),
        _ => fingerprint(&String::from_utf8_lossy(rest)),
    }
    assert!(started.elapsed() < MAX_TIME, "{:?} for {} bytes", started.elapsed(), rest.len());
    Corpus::Keep
});

fn open(bytes: &[u8], password: Option<&Secret>) {
    let path = FOLDER.path().join("client.p12");
    fs::write(&path, bytes).expect("the file system in memory is not full");
    match Identity::open(&path, password, Fips::Off) {
        Err(error) => check(&error),
        Ok(identity) => {
            let shown = identity.certificate().to_string();
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
            // An opened identity can be used, with its own authorities if it has any.
            if let Ok(trust) = Trust::certificates(identity.authorities(), "client.p12")
                && let Err(error) = ClientTls::new("dc.example.com:8307", &trust, Some(&identity), Fips::Off)
            {
                check(&error);
            }
            // Opening the file again gives the same identity.
            let again = Identity::open(&path, password, Fips::Off).expect("it was opened before");
            assert_eq!(again.certificate(), identity.certificate());
        }
    }
}

fn authorities(bytes: &[u8]) {
    let path = FOLDER.path().join("ca.pem");
    fs::write(&path, bytes).expect("the file system in memory is not full");
    if let Err(error) = Trust::ca_file(&path) {
        check(&error);
    }
}

fn fingerprint(text: &str) {
    match text.parse::<Fingerprint>() {
        Ok(fingerprint) => assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint)),
        Err(error) => assert!(!error.message.is_empty() && error.hint.is_some()),
    }
}

fn check(error: &PluginError) {
    for text in [Some(&error.message), error.hint.as_ref()].into_iter().flatten() {
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(!text.contains(PASSWORD) && text.len() < 2_000, "{text:?}");
    }
}
