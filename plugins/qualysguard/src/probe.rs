//! `check --probe`: the cheapest call, and what can be said without one.

use scanbridge_plugin_api::{CheckReport, PluginError, Result, Verdict};
use scanbridge_tls_identity::Validity;

use crate::api::{Answer, Call};
use crate::options::Source;
use crate::source::SourceContext;

/// Looks at the client certificate, and whether the login works.
pub(crate) fn probe(around: &mut SourceContext) -> Result<CheckReport> {
    let (mut report, usable) = certificate(CheckReport::default(), around);
    if !usable {
        // With a certificate that nobody takes, a login would only be shown around.
        return Ok(report.step(
            "login",
            Verdict::Failed,
            "skipped, because the client certificate is not usable",
        ));
    }
    let call = cheapest(around);
    let user = around.settings.account.user.clone();
    report = match around.client.call(&call) {
        Ok(Answer::Data(_) | Answer::Done(_)) => {
            report.step("login", Verdict::Ok, format!("{user} at {}", call.shown()))
        }
        Ok(Answer::NotReady(reply)) => report.step("login", Verdict::Warning, reply.to_string()),
        Err(failure) if failure.error.kind == scanbridge_plugin_api::ErrorKind::Cancelled => {
            return Err(failure.error);
        }
        Err(failure) => report.step("login", Verdict::Failed, shown(&failure.error)),
    };
    Ok(match around.client.calls_left() {
        Some((0, most)) => {
            report.step("calls", Verdict::Warning, format!("none of {most} calls left in this period"))
        }
        Some((left, most)) => {
            report.step("calls", Verdict::Ok, format!("{left} of {most} calls left in this period"))
        }
        None => report,
    })
}

/// A call that moves next to no data, takes the way that the source takes, and needs the same rights. API v1 may
/// leave out how many calls are left.
fn cheapest(around: &SourceContext) -> Call {
    match &around.settings.source {
        Source::ScanReports(scans) => {
            let url = scans.list.join("about.php").unwrap_or_else(|_| scans.list.clone());
            Call::first_version("asking for the version", url, &["ABOUT"])
        }
        Source::TemplateReports(_) => {
            let url = around.client.at(&format!("api/{}/fo/report/", around.settings.report_version));
            let call = Call::post("listing reports", url, &["REPORT_LIST_OUTPUT"]);
            call.field("action", "list").field("state", "Canceled")
        }
        Source::Detections(_) => {
            let url = around.client.at("api/2.0/fo/asset/host/");
            let call = Call::post("listing assets", url, &["HOST_LIST_OUTPUT"]);
            call.field("action", "list").field("details", "None").field("truncation_limit", "1")
        }
    }
}

/// Whose certificate it is, who vouches for it, and for how long. False when it cannot be used.
fn certificate(report: CheckReport, around: &SourceContext) -> (CheckReport, bool) {
    let identity = match around.settings.network.tls.identity() {
        Ok(None) => return (report, true),
        Ok(Some(identity)) => identity,
        Err(error) => return (report.step("client certificate", Verdict::Failed, shown(&error)), false),
    };
    let certificate = identity.certificate();
    let mut detail =
        format!("{}, e-mail {}", certificate.subject, certificate.email.as_deref().unwrap_or("none"));
    detail += &format!(", issued by {}", certificate.issuer);
    let (verdict, validity) = match certificate.validity(jiff::Timestamp::now()) {
        Validity::Expired => (Verdict::Failed, format!("certificate expired on {}", certificate.not_after)),
        Validity::NotYet => {
            (Verdict::Failed, format!("certificate not valid before {}", certificate.not_before))
        }
        Validity::DaysLeft(days) if days <= 30 => {
            (Verdict::Warning, format!("certificate expires in {days} days: renew it"))
        }
        Validity::DaysLeft(days) => (Verdict::Ok, format!("certificate valid for {days} days")),
    };
    let usable = verdict != Verdict::Failed;
    (report.step("client certificate", verdict, format!("{detail}, {validity}")), usable)
}

fn shown(error: &PluginError) -> String {
    match &error.hint {
        Some(hint) => format!("{}; {hint}", error.message),
        None => error.message.clone(),
    }
}
