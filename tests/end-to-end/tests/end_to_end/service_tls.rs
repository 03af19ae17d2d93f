//! The certificates of the TCP listener, and changes of its address.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};
use scanbridge_doubles::certificates::{Authority, Issued, Request};

use crate::sandbox::{Outcome, Sandbox};
use crate::service::{control, log, sandbox_with_report, serve};
use crate::service_listener::{code, exchange, request, start, status, token};

/// Sends a request over TLS. The error of a refused connection is the result, too.
fn over_tls(address: SocketAddr, config: ClientConfig, name: &str, text: &str) -> Result<String, String> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    let mut stream = Stream::new(&mut session, &mut socket);
    stream.write_all(text.as_bytes()).map_err(|error| error.to_string())?;
    let mut response = Vec::new();
    match stream.read_to_end(&mut response) {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error.to_string()),
        _ => Ok(String::from_utf8_lossy(&response).into_owned()),
    }
}

fn trusting(
    certificates: impl IntoIterator<Item = CertificateDer<'static>>,
    client: Option<&Issued>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    match client {
        Some(client) => builder.with_client_auth_cert(vec![client.der()], client.key_der()).unwrap(),
        None => builder.with_no_client_auth(),
    }
}

#[test]
fn address_that_is_not_loopback_has_tls_with_a_certificate_of_the_service() {
    let sandbox = sandbox_with_report();
    let (service, address) = start(&sandbox, "listen: '0.0.0.0:0'");
    let watcher = token(&sandbox, "watcher", "read");
    // Plain HTTP gets no HTTP response.
    let plain = exchange(address, request("GET /health/live", "", "").as_bytes());
    assert!(!plain.contains("HTTP/"), "{plain}");
    let file = sandbox.path("state/service/tls/certificate.pem");
    let own = || trusting([CertificateDer::from_pem_file(&file).unwrap()], None);
    for name in ["localhost", "127.0.0.1"] {
        let response = over_tls(address, own(), name, &request("GET /metrics", &watcher, "")).unwrap();
        assert_eq!(code(&response), 200);
    }
    let other = Authority::new("Other");
    let refused = over_tls(address, trusting([other.der()], None), "localhost", "x").unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");
    let shown = control(&sandbox, &["status"]).stdout;
    let fingerprint = status(&sandbox)["listener"]["certificate"]["sha256"].as_str().unwrap().to_owned();
    assert!(shown.contains(&format!("certificate: SHA-256 {fingerprint}, expires 20")), "{shown}");
    assert!(log(&sandbox).contains(&fingerprint));
    let metrics = over_tls(address, own(), "localhost", &request("GET /metrics", &watcher, "")).unwrap();
    let expected =
        "scanbridge_certificate_expiry_timestamp_seconds{pipeline=\"\",instance=\"\",role=\"console\"} 1";
    assert!(metrics.contains(expected), "{metrics}");
    assert_eq!(service.stop(), Some(0));
    // The same certificate after a restart: clients that trust it still connect.
    let (service, _) = start(&sandbox, "listen: '0.0.0.0:0'");
    assert_eq!(status(&sandbox)["listener"]["certificate"]["sha256"], fingerprint.as_str());
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn client_certificate_has_the_role_of_its_name_and_replaced_files_are_used_after_a_reload() {
    let sandbox = sandbox_with_report();
    let authority = Authority::new("Operators");
    let files = |stem: &str, issued: &Issued| issued.write_pem(&sandbox.path("."), stem);
    files("server", &authority.issue(&Request::server(&["localhost"])));
    let _ = authority.write_pem(&sandbox.path("."), "ca.pem");
    let tls = "{ certificate: server.pem, key: server.key, client_ca: ca.pem, client_required: yes }";
    let (certificate, key) = files("server", &authority.issue(&Request::server(&["localhost"])));
    let name = |path: &std::path::Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let tls = tls.replace("server.pem", &name(&certificate)).replace("server.key", &name(&key));
    let roles = "[{ san: ops@example.com, role: operate }, { san: audit@example.com, role: read }]";
    let (service, address) = start(&sandbox, &format!("tls: {tls}, client_roles: {roles}"));
    let client = |address: &str| authority.issue(&Request::client("someone").email(address));
    let send = |client: Option<&Issued>, line: &str| {
        over_tls(address, trusting([authority.der()], client), "localhost", &request(line, "", ""))
    };
    for (email, expected) in [
        ("ops@example.com", [200, 202]),
        ("audit@example.com", [200, 403]),
        ("other@example.com", [401, 401]),
    ] {
        let client = client(email);
        let codes = ["GET /api/v1/pipelines", "POST /api/v1/pipelines/nightly/run"]
            .map(|line| code(&send(Some(&client), line).unwrap()));
        assert_eq!(codes, expected, "{email}");
    }
    assert!(
        log(&sandbox).contains("ops@example.com from 127.0.0.1: POST /api/v1/pipelines/nightly/run: done")
    );
    let stranger = Authority::new("Others").issue(&Request::client("x").email("ops@example.com"));
    for client in [None, Some(&stranger)] {
        send(client, "GET /health/live").unwrap_err();
    }

    let before = status(&sandbox)["listener"]["certificate"]["sha256"].clone();
    files("server", &authority.issue(&Request::server(&["localhost"])));
    control(&sandbox, &["reload"]).expect_code(0);
    let after = status(&sandbox)["listener"]["certificate"]["sha256"].clone();
    assert_ne!(before, after);
    // Files that cannot be used: the earlier certificate stays in use.
    fs::write(&certificate, "no certificate").unwrap();
    let reload = control(&sandbox, &["reload"]).expect_code(75);
    assert!(reload.stdout.contains("not applied: certificate (see the log)"), "{}", reload.stdout);
    assert_eq!(status(&sandbox)["listener"]["certificate"]["sha256"], after);
    assert!(
        log(&sandbox).contains("has no certificate; the earlier certificate stays in use"),
        "{}",
        log(&sandbox)
    );
    assert_eq!(code(&send(Some(&client("ops@example.com")), "GET /health/live").unwrap()), 200);
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn changed_address_needs_a_restart_and_an_occupied_one_ends_the_start_with_73() {
    let sandbox = sandbox_with_report();
    let (service, address) = start(&sandbox, "");
    sandbox.write("service.yaml", "service: 1\nconsole: { listen: '127.0.0.1:1' }\n");
    let reload = control(&sandbox, &["reload"]).expect_code(75);
    let expected = "not applied: console.listen (restart the service)";
    assert!(reload.stdout.contains(expected), "{}", reload.stdout);
    let other = Sandbox::new();
    fs::create_dir(other.path("pipelines")).unwrap();
    fs::copy(sandbox.path("pipelines/nightly.yaml"), other.path("pipelines/nightly.yaml")).unwrap();
    let listen = address.to_string();
    let occupied = Outcome::of(serve(&other, &["--listen", &listen]).output().unwrap()).expect_code(73);
    let expected = format!("cannot listen on {listen}: Address already in use");
    assert!(occupied.stderr.contains(&expected), "{}", occupied.stderr);
    assert_eq!(service.stop(), Some(0));
}
