//! Valid and invalid identity files.

use std::fs;
use std::path::Path;
use std::process::Command;

use scanbridge_doubles::certificates::{Authority, Issued, Pkcs12, Request, installed};
use scanbridge_plugin_api::{ErrorKind, Fips, PluginError, Secret};
use scanbridge_tls_identity::{ClientTls, Identity, Trust};
use tempfile::tempdir;

fn client() -> (Authority, Issued) {
    let authority = Authority::rsa("Example CA");
    let issued = authority.issue(&Request::host_input_client("scanner.example.com", "0000"));
    (authority, issued)
}

fn open(file: &Path, password: &str) -> Result<Identity, PluginError> {
    Identity::open(file, (!password.is_empty()).then(|| Secret::new(password.to_owned())).as_ref(), Fips::Off)
}

/// Asserts the kind, the file name, this part of the message, and a hint; the password must not appear.
fn assert_refused(outcome: Result<Identity, PluginError>, kind: ErrorKind, file: &Path, part: &str) {
    let error = outcome.unwrap_err();
    let hint = error.hint.clone().unwrap_or_default();
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.message.contains(part), "{error}");
    assert!(error.message.contains(&file.display().to_string()), "{error}");
    assert!(!hint.is_empty(), "{error}");
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
}

#[test]
#[cfg(feature = "legacy-key-files")]
fn modern_and_defense_center_pkcs12_files_open() {
    let folder = tempdir().unwrap();
    let (authority, client) = client();
    for shape in [Pkcs12::Modern, Pkcs12::DefenseCenter] {
        for password in ["", "s3cret", "pä ss=\"'"] {
            let Some(file) = client.write_pkcs12(folder.path(), "dc.pkcs12", password, shape) else { return };
            let identity = open(&file, password).unwrap();
            assert_eq!(identity.certificate().common_name.as_deref(), Some("scanner.example.com"));
            assert_eq!(identity.authorities(), [authority.der()], "{shape:?} {password}");
        }
    }
}

#[test]
fn defense_center_test_files_have_the_expected_encryption() {
    let folder = tempdir().unwrap();
    let (_, client) = client();
    let Some(file) = client.write_pkcs12(folder.path(), "dc.pkcs12", "", Pkcs12::DefenseCenter) else {
        return;
    };
    let mut openssl = Command::new("openssl");
    openssl.args(["pkcs12", "-legacy", "-info", "-noout", "-passin", "pass:", "-in"]).arg(&file);
    let output = String::from_utf8(openssl.output().unwrap().stderr).unwrap();
    for part in ["MAC: sha1, Iteration 1\n", "pbeWithSHA1And40BitRC2-CBC", "pbeWithSHA1And3-KeyTripleDES-CBC"]
    {
        assert!(output.contains(part), "{part}: {output}");
    }
}

#[test]
#[cfg(feature = "legacy-key-files")]
fn jks_opens_and_jceks_is_rejected_with_conversion_command() {
    let folder = tempdir().unwrap();
    let (authority, client) = client();
    let Some(file) = client.write_key_store(folder.path(), "client.jks", "s3cret!", "JKS") else { return };
    let identity = open(&file, "s3cret!").unwrap();
    assert_eq!(identity.certificate().common_name.as_deref(), Some("scanner.example.com"));
    assert_eq!(identity.authorities(), [authority.der()]);
    assert_refused(open(&file, "s3cret?"), ErrorKind::Auth, &file, "wrong password for");

    let complete = fs::read(&file).unwrap();
    let broken = folder.path().join("broken.jks");
    for cut in [5, 13, 40, complete.len() / 2, complete.len() - 1] {
        fs::write(&broken, &complete[..cut]).unwrap();
        assert_refused(open(&broken, "s3cret!"), ErrorKind::BadData, &broken, "invalid Java key store");
    }
    // A length of 4 GiB in the file must not allocate memory.
    fs::write(
        &broken,
        [b"\xFE\xED\xFE\xED\0\0\0\x02\0\0\0\x01\0\0\0\x01\0\0".as_slice(), &[0xFF; 64]].concat(),
    )
    .unwrap();
    assert_refused(open(&broken, ""), ErrorKind::BadData, &broken, "invalid Java key store");

    let file = client.write_key_store(folder.path(), "client.jceks", "s3cret!", "JCEKS").unwrap();
    assert_refused(
        open(&file, "s3cret!"),
        ErrorKind::BadData,
        &file,
        "is a JCEKS key store, which is not supported",
    );
}

#[test]
#[cfg(feature = "legacy-key-files")]
fn wrong_password_unsupported_cipher_and_invalid_file_differ() {
    let folder = tempdir().unwrap();
    let (_, client) = client();
    for shape in [Pkcs12::Modern, Pkcs12::DefenseCenter] {
        let Some(file) = client.write_pkcs12(folder.path(), "a.p12", "s3cret", shape) else { return };
        assert_refused(open(&file, "s3cret2"), ErrorKind::Auth, &file, "wrong password for");
        assert_refused(open(&file, ""), ErrorKind::Auth, &file, "wrong password for");
        let complete = fs::read(&file).unwrap();
        fs::write(&file, &complete[..complete.len() - 7]).unwrap();
        assert_refused(open(&file, "s3cret"), ErrorKind::BadData, &file, "invalid PKCS#12 file");
    }
    let file = client.write_pkcs12(folder.path(), "rare.p12", "s3cret", Pkcs12::Rare).unwrap();
    assert_refused(open(&file, "s3cret"), ErrorKind::BadData, &file, "uses an unsupported encryption");

    let ber = folder.path().join("ber.p12");
    fs::write(&ber, b"\x30\x80\x02\x01\x03\x30\x80").unwrap();
    assert_refused(open(&ber, ""), ErrorKind::BadData, &ber, "BER-encoded");
}

#[test]
#[cfg(feature = "legacy-key-files")]
fn pkcs12_file_without_a_key_is_reported() {
    let folder = tempdir().unwrap();
    let (_, client) = client();
    if !installed("openssl") {
        return;
    }
    let (certificate, _) = client.write_pem(folder.path(), "client");
    let file = folder.path().join("nokey.p12");
    let mut openssl = Command::new("openssl");
    openssl
        .args(["pkcs12", "-export", "-nokeys", "-passout", "pass:", "-in"])
        .arg(certificate)
        .arg("-out")
        .arg(&file);
    assert!(openssl.status().unwrap().success());
    assert_refused(open(&file, ""), ErrorKind::BadData, &file, "contains no private key");
}

#[test]
fn pem_keys_of_all_kinds_open() {
    let folder = tempdir().unwrap();
    if !installed("openssl") {
        return;
    }
    let authority = Authority::new("Example CA");
    for request in [Request::client("rsa").rsa(), Request::client("ec")] {
        let rsa = authority.issue(&request);
        let (certificate, key) = rsa.write_pem(folder.path(), "client");
        let traditional = folder.path().join("traditional.key");
        let mut openssl = Command::new("openssl");
        openssl.args(["pkey", "-traditional", "-in"]).arg(&key).arg("-out").arg(&traditional);
        assert!(openssl.status().unwrap().success());
        assert!(!fs::read_to_string(&traditional).unwrap().contains("BEGIN PRIVATE KEY"));
        Identity::open_pair(&certificate, &traditional, None, Fips::Off).unwrap();

        let both = folder.path().join("both.pem");
        fs::write(&both, rsa.key_pem() + "some words between\n" + &rsa.certificate_pem()).unwrap();
        open(&both, "").unwrap();
    }
}

#[test]
fn encrypted_pem_keys_open_with_their_password() {
    let folder = tempdir().unwrap();
    if !installed("openssl") {
        return;
    }
    let (_, client) = client();
    let (certificate, key) = client.write_pem(folder.path(), "client");
    let encrypted = folder.path().join("encrypted.key");
    let encrypt = |options: &[&str]| {
        let mut openssl = Command::new("openssl");
        openssl.args(options).args(["-passout", "pass:s3cret", "-in"]).arg(&key).arg("-out").arg(&encrypted);
        assert!(openssl.output().unwrap().status.success());
    };
    let open = |password: Option<&str>| {
        let password = password.map(|text| Secret::new(text.to_owned()));
        Identity::open_pair(&certificate, &encrypted, password.as_ref(), Fips::Off)
    };
    encrypt(&["pkcs8", "-topk8", "-v2", "aes-256-cbc"]);
    open(Some("s3cret")).unwrap();
    assert_refused(open(Some("s3cret?")), ErrorKind::Auth, &encrypted, "wrong password for");
    assert_refused(open(None), ErrorKind::Auth, &encrypted, "is encrypted, and no password is set");
    encrypt(&["pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES"]);
    assert_refused(open(Some("s3cret")), ErrorKind::BadData, &encrypted, "uses an unsupported cipher");
    encrypt(&["rsa", "-traditional", "-aes128"]);
    assert_refused(
        open(Some("s3cret")),
        ErrorKind::BadData,
        &encrypted,
        "uses the legacy OpenSSL encryption",
    );
}

#[test]
fn invalid_identity_files_are_distinguished() {
    let folder = tempdir().unwrap();
    let (authority, client) = client();
    let (certificate, key) = client.write_pem(folder.path(), "client");
    let other_client = authority.issue(&Request::client("other-client").rsa());
    let (_, other_key) = other_client.write_pem(folder.path(), "other-client");
    let text = folder.path().join("notes.txt");
    fs::write(&text, "shopping list").unwrap();
    let damaged = folder.path().join("damaged.crt");
    fs::write(&damaged, client.certificate_pem().replace("-----END", "!!!\n-----END")).unwrap();
    let missing = folder.path().join("missing.p12");

    assert_refused(open(&missing, ""), ErrorKind::NoInput, &missing, "cannot open");
    assert_refused(open(&text, ""), ErrorKind::BadData, &text, "unsupported format of");
    assert_refused(open(&certificate, ""), ErrorKind::BadData, &certificate, "contains no private key");
    assert_refused(open(&key, ""), ErrorKind::BadData, &key, "contains no certificate");
    let pair = |certificate: &Path, key: &Path| Identity::open_pair(certificate, key, None, Fips::Off);
    assert_refused(pair(&certificate, &other_key), ErrorKind::BadData, &other_key, "does not belong to");
    assert_refused(pair(&damaged, &key), ErrorKind::BadData, &damaged, "invalid certificate in");
}

#[test]
fn debug_shows_the_subject_and_no_key() {
    let folder = tempdir().unwrap();
    let (authority, client) = client();
    let (certificate, key) = client.write_pem(folder.path(), "client");
    let identity = Identity::open_pair(&certificate, &key, None, Fips::Off).unwrap();
    let trust = Trust::certificates(&[authority.der()], "the test's authority").unwrap();
    let tls = ClientTls::new("dc.example.com:8307", &trust, Some(&identity), Fips::Off).unwrap();
    for shown in [format!("{identity:?}"), format!("{tls:?}")] {
        assert!(shown.contains("scanner.example.com"));
        assert!(!shown.to_lowercase().contains("key"), "{shown}");
    }
}

#[test]
#[cfg(feature = "legacy-key-files")]
fn files_with_one_changed_byte_never_panic() {
    let folder = tempdir().unwrap();
    let (_, client) = client();
    let mut files = Vec::new();
    files.extend(client.write_pkcs12(folder.path(), "modern.p12", "s3cret!", Pkcs12::Modern));
    files.extend(client.write_pkcs12(folder.path(), "dc.p12", "s3cret!", Pkcs12::DefenseCenter));
    files.extend(client.write_key_store(folder.path(), "client.jks", "s3cret!", "JKS"));
    for file in files {
        let complete = fs::read(&file).unwrap();
        for offset in (0..complete.len()).step_by(29) {
            let mut damaged = complete.clone();
            damaged[offset] ^= 0x55;
            fs::write(&file, damaged).unwrap();
            if let Err(error) = open(&file, "s3cret!") {
                assert!([ErrorKind::Auth, ErrorKind::BadData].contains(&error.kind), "{offset}: {error}");
            }
        }
    }
}
