//! `check --probe`: checks the client certificate locally, then makes the cheapest API call.

use jiff::SignedDuration;
use scanbridge_plugin_api::{CheckReport, Result, Verdict};
use scanbridge_tls_identity::Validity;
use scanbridge_tls_identity::options::CERTIFICATE;

use crate::api::{Answer, Call};
use crate::options::Source;
use crate::source::SourceContext;

/// Checks the client certificate, without contacting Qualys.
pub(crate) fn local(context: &SourceContext) -> CheckReport {
    let computed = context.settings.computed.iter();
    let report = computed.fold(CheckReport::default(), |report, computed| {
        report.effective(computed.option, &*computed.value, computed.origin)
    });
    certificate(proxy_login(report, context), context).0
}

/// In FIPS mode, warns about a password that crosses the network in the clear.
fn proxy_login(report: CheckReport, context: &SourceContext) -> CheckReport {
    let proxy = context.settings.network.route.proxy.as_ref();
    match proxy.and_then(|proxy| proxy.clear_login(context.services.fips())) {
        Some(detail) => report.step("encryption", Verdict::Warning, detail).about("proxy"),
        None => report,
    }
}

/// Checks the client certificate and the login.
pub(crate) fn probe(context: &mut SourceContext) -> Result<CheckReport> {
    let (mut report, usable) = certificate(proxy_login(CheckReport::default(), context), context);
    if !usable {
        // The server would reject the certificate; do not send the credentials for nothing.
        return Ok(report.step(
            "login",
            Verdict::Failed,
            "skipped, because the client certificate is not usable",
        ));
    }
    let call = cheapest(context);
    let user = context.settings.account.user.clone();
    report = match context.client.call(&call) {
        Ok(Answer::Data(_) | Answer::Done(_)) => {
            report.step("login", Verdict::Ok, format!("{user} at {}", call.shown()))
        }
        Ok(Answer::NotReady(reply)) => report.step("login", Verdict::Warning, reply.to_string()),
        Err(failure) if failure.error.kind == scanbridge_plugin_api::ErrorKind::Cancelled => {
            return Err(failure.error);
        }
        Err(failure) => report.failed_step("login", &failure.error),
    };
    report = clock(report, context.client.clock_ahead());
    Ok(match context.client.calls_left() {
        Some((0, most)) => {
            report.step("calls", Verdict::Warning, format!("none of {most} calls left in this period"))
        }
        Some((left, most)) => {
            report.step("calls", Verdict::Ok, format!("{left} of {most} calls left in this period"))
        }
        None => report,
    })
}

/// The difference between the clocks. Qualys refuses no call for it, but times in reports and in filters are its own.
fn clock(report: CheckReport, ahead: Option<SignedDuration>) -> CheckReport {
    let Some(ahead) = ahead else { return report };
    let seconds = ahead.as_secs().unsigned_abs();
    if seconds > MAX_CLOCK_SECONDS {
        let clocks = ["the clock of this machine", "the clock of Qualys"];
        let [ahead, other] = if ahead.is_positive() { clocks } else { [clocks[1], clocks[0]] };
        let detail = format!("{ahead} is {seconds} s ahead of {other}; set it by NTP");
        return report.step("clock", Verdict::Warning, detail);
    }
    report.step("clock", Verdict::Ok, format!("differs from that of Qualys by at most {} s", seconds + 1))
}

/// A larger difference gives a warning.
const MAX_CLOCK_SECONDS: u64 = 60;

/// A call with a small response that uses the same route as the source and needs the same permissions. API v1
/// may not report the number of calls left.
fn cheapest(context: &SourceContext) -> Call {
    match &context.settings.source {
        Source::ScanReports(scans) => {
            let url = scans.list.join("about.php").unwrap_or_else(|_| scans.list.clone());
            Call::first_version("requesting the API version", url, &["ABOUT"])
        }
        Source::TemplateReports(_) => {
            let url = context.client.at(&format!("api/{}/fo/report/", context.settings.report_version));
            let call = Call::post("listing reports", url, &["REPORT_LIST_OUTPUT"]);
            call.field("action", "list").field("state", "Canceled")
        }
        Source::Detections(_) => {
            let url = context.client.at("api/2.0/fo/asset/host/");
            let call = Call::post("listing assets", url, &["HOST_LIST_OUTPUT"]);
            call.field("action", "list").field("details", "None").field("truncation_limit", "1")
        }
    }
}

/// Reports subject, issuer and validity of the client certificate. False if it is not usable.
fn certificate(report: CheckReport, context: &SourceContext) -> (CheckReport, bool) {
    let identity = match context.settings.network.route.tls.identity() {
        Ok(None) => return (report, true),
        Ok(Some(identity)) => identity,
        Err(error) => return (report.failed_step("client certificate", &error), false),
    };
    let certificate = identity.certificate();
    let mut detail =
        format!("{}, e-mail {}", certificate.subject, certificate.email.as_deref().unwrap_or("none"));
    detail += &format!(", issued by {}", certificate.issuer);
    let now = jiff::Timestamp::now();
    let report = match certificate.expiry(now) {
        Err(error) => {
            let error = error.with_option(CERTIFICATE.name);
            return (report.failed_step("client certificate", &error), false);
        }
        Ok(Some(warning)) => {
            let warning = warning.with_option(CERTIFICATE.name);
            report.warning_step("client certificate", &warning)
        }
        Ok(None) => {
            if let Validity::DaysLeft(days) = certificate.validity(now) {
                detail += &format!(", certificate valid for {days} days");
            }
            report.step("client certificate", Verdict::Ok, detail)
        }
    };
    (report, true)
}
