//! The probe: DNS, TCP, TLS, certificates and protocol. One verdict per step, with a hint. It sends no command.

use std::time::Instant;

use jiff::Timestamp;
use scanbridge_plugin_api::{CheckReport, Services, Verdict};
use scanbridge_tls_identity::{Certificate, SOON_DAYS, Validity, negotiated};

use crate::dial::{Target, TlsStream};
use crate::protocol::VERSION;
use crate::session::Session;

/// The client certificate alone, without contacting the Defense Center.
pub(crate) fn local(client: &Certificate, domain: Option<&str>) -> CheckReport {
    client_certificate(CheckReport::default(), client, domain)
}

/// Runs the steps until one fails.
pub(crate) fn probe(
    target: &Target,
    client: &Certificate,
    domain: Option<&str>,
    services: &Services,
) -> CheckReport {
    let report = client_certificate(CheckReport::default(), client, domain);
    if report.verdict() == Verdict::Failed {
        return report;
    }
    connection(report, target, services).step("Defense Center settings", Verdict::Ok, SETTINGS)
}

fn client_certificate(report: CheckReport, client: &Certificate, domain: Option<&str>) -> CheckReport {
    let writes_to =
        client.domain.as_deref().map(|domain| format!(", for domain {domain}")).unwrap_or_default();
    let (verdict, validity) = match client.validity(Timestamp::now()) {
        Validity::NotYet => (Verdict::Failed, "not yet valid: check the system clock".to_owned()),
        Validity::Expired => (
            Verdict::Failed,
            "certificate expired: register the client again on the Defense Center".to_owned(),
        ),
        Validity::DaysLeft(days) if days <= SOON_DAYS => (
            Verdict::Warning,
            format!(
                "certificate expires in {days} days: register the client again \
                 before then"
            ),
        ),
        Validity::DaysLeft(days) => (Verdict::Ok, format!("valid for {days} days")),
    };
    let sent_to =
        domain.map(|domain| format!("; commands are written to domain {domain}")).unwrap_or_default();
    let detail = format!("{}{writes_to}; {validity}{sent_to}", client.subject);
    report.step("client certificate", verdict, detail).about("pkcs12")
}

fn connection(mut report: CheckReport, target: &Target, services: &Services) -> CheckReport {
    let deadline = Instant::now() + target.timeout;
    let addresses = match target.resolve(services, deadline) {
        Ok(addresses) => addresses,
        Err(error) => return report.failed_step("resolve", &error),
    };
    let shown: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
    report =
        report.step("resolve", Verdict::Ok, format!("`{}` resolves to {}", target.server, shown.join(", ")));
    let stream = match target.connect(&addresses, services, deadline) {
        Ok(stream) => stream,
        Err(error) => return report.failed_step("TCP", &error),
    };
    report = report.step("TCP", Verdict::Ok, format!("connected to {}", stream.peer()));
    let stream = match target.secure(stream) {
        Ok(stream) => stream,
        Err(error) => return report.failed_step("TLS", &error),
    };
    report = certificate(report.step("TLS", Verdict::Ok, negotiated(&stream.conn)), &stream);
    match Session::greet(target, stream, deadline) {
        Ok(session) => {
            let detail = format!("version {VERSION}; maximum message size {} bytes", session.max_size());
            session.close();
            report.step("protocol", Verdict::Ok, detail)
        }
        Err(error) => report.failed_step("protocol", &error),
    }
}

/// The Defense Center's certificate. It is trusted, because the handshake is complete.
fn certificate(report: CheckReport, stream: &TlsStream) -> CheckReport {
    let leaf = stream.conn.peer_certificates().and_then(<[_]>::first);
    match leaf.and_then(|leaf| Certificate::read(leaf).ok()) {
        Some(certificate) => {
            let detail = format!("{certificate}, fingerprint {}", certificate.fingerprint);
            report.step("Defense Center certificate", Verdict::Ok, detail)
        }
        None => report.step(
            "Defense Center certificate",
            Verdict::Warning,
            "cannot be parsed, but it is \
                 trusted",
        ),
    }
}

/// Settings of the Defense Center that a client cannot read.
const SETTINGS: &str = "not visible to this client; check on the Defense Center: (1) identity type of the \
     source is Scanner in the network discovery policy, (2) third-party vulnerability mapping is Yes \
     (impact assessment), (3) host licenses (FireSIGHT) are available if `add_host` is on";
