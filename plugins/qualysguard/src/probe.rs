//! `check --probe`: the cheapest call, and what can be said without one.

use scanbridge_plugin_api::{CheckReport, Result, Verdict};

use crate::api::{Answer, Call};
use crate::source::Around;

/// Looks whether the login works, and at the client certificate.
pub(crate) fn probe(around: &mut Around) -> Result<CheckReport> {
    let mut report = CheckReport::default();
    let url = around.client.at("msp/about.php");
    let call = Call::first_version("asking for the version", url, &["ABOUT"]);
    let user = around.settings.account.user.clone();
    report = match around.client.call(&call) {
        Ok(Answer::Data(_)) => report.step("login", Verdict::Ok, format!("{user} is logged in")),
        Ok(_) => report.step("login", Verdict::Warning, "the answer is not the one that was expected"),
        Err(failure) => {
            let hint = failure.error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            report.step("login", Verdict::Failed, format!("{}{hint}", failure.error.message))
        }
    };
    Ok(report)
}
