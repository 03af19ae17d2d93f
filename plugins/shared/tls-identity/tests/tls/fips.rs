//! FIPS mode: which key files are refused, and with which way out.

use std::fs;
use std::path::Path;
use std::process::Command;

use scanbridge_doubles::certificates::{Authority, Issued, Pkcs12, Request, installed};
use scanbridge_plugin_api::{CryptoModule, ErrorKind, Fips, PluginError, Secret};
use scanbridge_tls_identity::{CRYPTOGRAPHY, ClientTls, Identity, Trust};
use tempfile::tempdir;

fn client() -> Issued {
    Authority::rsa("Example CA").issue(&Request::host_input_client("scanner.example.com", "0000"))
}

fn open(file: &Path, password: &str, fips: Fips) -> Result<Identity, PluginError> {
    Identity::open(file, Some(&Secret::new(password.to_owned())), fips)
}

/// Whether this is the FIPS build.
const IS_FIPS_BUILD: bool = cfg!(feature = "fips");

#[test]
fn pkcs12_is_refused_before_its_password_is_used_and_the_commands_convert_it() {
    let folder = tempdir().unwrap();
    let authority = Authority::rsa("Example CA");
    let client = authority.issue(&Request::host_input_client("scanner.example.com", "0000"));
    for shape in [Pkcs12::Modern, Pkcs12::DefenseCenter] {
        let Some(file) = client.write_pkcs12(folder.path(), "dc.pkcs12", "s3cret", shape) else { return };
        for fips in [Fips::On, Fips::SuiteB128, Fips::SuiteB192] {
            // A wrong password would be another error, if it were used.
            let error = open(&file, "wrong", fips).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Config, "{error}");
            let expected = format!(
                "the PKCS#12 file {} cannot be used: FIPS mode (`fips: {fips}`) forbids the algorithms of this format",
                file.display()
            );
            assert_eq!(error.message, expected);
            convert(&error.hint.unwrap(), folder.path());
            let identity = open(&folder.path().join("client.pem"), "new", fips).unwrap();
            assert_eq!(identity.certificate().common_name.as_deref(), Some("scanner.example.com"));
            assert_eq!(identity.authorities(), [authority.der()]);
        }
    }
}

/// Runs the commands of a hint in this directory. OpenSSL would ask for the passwords.
fn convert(hint: &str, folder: &Path) {
    let (_, commands) = hint.split_once("client.pem: ").unwrap();
    let commands = commands
        .replace("openssl pkcs12 -legacy", "openssl pkcs12 -legacy -passin pass:s3cret")
        .replace("openssl pkcs8", "openssl pkcs8 -passout pass:new");
    let output =
        Command::new("sh").args(["-c", &format!("set -e; {commands}")]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{commands}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn key_store_is_refused_with_the_command_that_converts_it() {
    let folder = tempdir().unwrap();
    for magic in [*b"\xFE\xED\xFE\xED", *b"\xCE\xCE\xCE\xCE"] {
        let file = folder.path().join("client.jks");
        fs::write(&file, magic).unwrap();
        let error = open(&file, "", Fips::On).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config, "{error}");
        assert!(
            error.message.contains(&format!("the Java key store {} cannot be used", file.display())),
            "{error}"
        );
        let hint = error.hint.unwrap();
        let command =
            format!("keytool -importkeystore -srckeystore {} -destkeystore NEW.p12", file.display());
        assert!(
            hint.contains(&command) && hint.contains("openssl pkcs12 -legacy -in NEW.p12 -clcerts"),
            "{hint}"
        );
    }
}

/// Which modes accept an encrypted key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepted {
    /// All.
    Always,
    /// Only `off`, because of this number of rounds.
    OffOrMoreRounds,
    /// Only `off`, and not in the FIPS build.
    OffInNormalBuild,
    /// None.
    Never,
}

#[test]
fn encrypted_keys_need_approved_algorithms_in_fips_mode() {
    if !installed("openssl") {
        return;
    }
    let folder = tempdir().unwrap();
    let (certificate, key) = client().write_pem(folder.path(), "client");
    let encrypted = folder.path().join("encrypted.key");
    let password = Secret::new("s3cret".to_owned());
    let open = |fips| Identity::open_pair(&certificate, &encrypted, Some(&password), fips);
    for (options, accepted) in [
        (&["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256"][..], Accepted::Always),
        (&["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA384"], Accepted::Always),
        (&["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512", "-iter", "1000"], Accepted::Always),
        (&["-v2", "aes-256-cbc", "-iter", "999"], Accepted::OffOrMoreRounds),
        (&["-v2", "aes-192-cbc"], Accepted::OffInNormalBuild),
        (&["-scrypt"], Accepted::OffInNormalBuild),
        (&["-v1", "PBE-SHA1-3DES"], Accepted::Never),
    ] {
        let mut openssl = Command::new("openssl");
        openssl.args(["pkcs8", "-topk8", "-passout", "pass:s3cret"]).args(options);
        assert!(openssl.arg("-in").arg(&key).arg("-out").arg(&encrypted).status().unwrap().success());
        let is_open = match accepted {
            Accepted::Always | Accepted::OffOrMoreRounds => true,
            Accepted::OffInNormalBuild => !IS_FIPS_BUILD,
            Accepted::Never => false,
        };
        assert_eq!(open(Fips::Off).is_ok(), is_open, "{options:?}");
        for fips in [Fips::On, Fips::SuiteB192] {
            if accepted == Accepted::Always {
                open(fips).unwrap_or_else(|error| panic!("{options:?}: {error}"));
                continue;
            }
            let error = open(fips).unwrap_err();
            let part = match accepted {
                Accepted::OffOrMoreRounds => "is encrypted with 999 PBKDF2 rounds; FIPS mode requires 1000",
                _ => "is encrypted with an algorithm that FIPS mode forbids",
            };
            assert_eq!(error.kind, ErrorKind::Config, "{options:?}: {error}");
            assert!(error.message.contains(part), "{options:?}: {error}");
            assert!(error.hint.unwrap().contains("-v2 aes-256-cbc -v2prf hmacWithSHA256"), "{options:?}");
        }
    }
}

#[test]
fn wrong_password_is_reported_also_with_valid_padding() {
    if !installed("openssl") {
        return;
    }
    let folder = tempdir().unwrap();
    let (certificate, key) = client().write_pem(folder.path(), "client");
    let encrypted = folder.path().join("encrypted.key");
    let mut openssl = Command::new("openssl");
    openssl.args([
        "pkcs8",
        "-topk8",
        "-v2",
        "aes-256-cbc",
        "-iter",
        "1000",
        "-passout",
        "pass:s3cret",
        "-in",
    ]);
    assert!(openssl.arg(&key).arg("-out").arg(&encrypted).status().unwrap().success());
    // Of so many wrong passwords, some give valid padding.
    for number in 0..600 {
        let password = Secret::new(format!("wrong{number}"));
        let error = Identity::open_pair(&certificate, &encrypted, Some(&password), Fips::On).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Auth, "{error}");
        assert!(error.message.starts_with("wrong password for "), "{error}");
    }
}

#[test]
fn legacy_pem_encryption_is_refused_and_plain_keys_are_accepted() {
    if !installed("openssl") {
        return;
    }
    let folder = tempdir().unwrap();
    let (certificate, key) = client().write_pem(folder.path(), "client");
    Identity::open_pair(&certificate, &key, None, Fips::SuiteB192).unwrap();
    let legacy = folder.path().join("legacy.key");
    let mut openssl = Command::new("openssl");
    openssl.args(["rsa", "-traditional", "-aes128", "-passout", "pass:s3cret", "-in"]).arg(&key);
    assert!(openssl.arg("-out").arg(&legacy).output().unwrap().status.success());
    let password = Secret::new("s3cret".to_owned());
    let error = Identity::open_pair(&certificate, &legacy, Some(&password), Fips::On).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config, "{error}");
    assert!(error.message.contains("uses the legacy OpenSSL encryption"), "{error}");
}

#[test]
fn only_the_fips_build_makes_a_client_in_fips_mode() {
    let trust = Trust::certificates(&[Authority::new("Example CA").der()], "ca.pem").unwrap();
    for fips in [Fips::On, Fips::SuiteB128, Fips::SuiteB192] {
        let made = ClientTls::new("dc.example.com:8307", &trust, None, fips);
        if IS_FIPS_BUILD {
            assert!(made.unwrap().config().fips());
            continue;
        }
        let error = made.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config);
        assert_eq!(
            error.message,
            "cannot connect to dc.example.com:8307: FIPS mode is on, and this build does not use a FIPS module"
        );
        assert!(error.hint.unwrap().contains("scanbridge-fips"));
    }
}

#[test]
fn declared_module_is_that_of_the_build() {
    let module = CryptoModule::of_word(CRYPTOGRAPHY.word());
    assert_eq!(module.is_fips_module(), IS_FIPS_BUILD, "{module:?}");
}
