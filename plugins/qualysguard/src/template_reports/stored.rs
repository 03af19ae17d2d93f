//! The calls that concern reports which Qualys stores.

use scanbridge_plugin_api::{ErrorKind, PluginError, Result, tracing};
use scanbridge_qualys_xml::{ListFault, StoredReport, clean, read_reports, read_templates};

use crate::api::{Answer, Call, unusable_list};
use crate::source::SourceContext;

/// A call for reports.
pub(super) fn report_call(
    around: &SourceContext,
    what: &'static str,
    roots: &'static [&'static str],
) -> Call {
    Call::post(what, around.client.at(&format!("api/{}/fo/report/", around.settings.report_version)), roots)
}

/// The reports of this number, at most one.
pub(super) fn list_one(around: &mut SourceContext, id: &str) -> Result<Option<StoredReport>> {
    Ok(list(around, &[("id", id)])?.into_iter().find(|report| report.id == id))
}

/// The stored reports that have this property.
pub(super) fn list(around: &mut SourceContext, with: &[(&str, &str)]) -> Result<Vec<StoredReport>> {
    let mut call = report_call(around, "listing reports", &["REPORT_LIST_OUTPUT"]).field("action", "list");
    for (name, value) in with {
        call = call.field(name, *value);
    }
    match around.client.call(&call)? {
        Answer::Data(body) => {
            read_reports(body.source.read(None)).map_err(|fault| unusable_list("the list of reports", fault))
        }
        Answer::Done(_) | Answer::NotReady(_) => Ok(Vec::new()),
    }
}

/// The newest finished XML report with this title.
pub(super) fn newest(around: &mut SourceContext, title: &str) -> Result<String> {
    let mut reports = list(around, &[("state", "Finished")])?;
    let title = clean(title);
    reports.retain(|report| {
        report.state == "Finished" && report.title == title && report.format.eq_ignore_ascii_case("xml")
    });
    let newest = reports.into_iter().max_by(|a, b| a.launched.cmp(&b.launched));
    newest.map(|report| report.id).ok_or_else(|| {
        PluginError::new(ErrorKind::NoInput, format!("no finished XML report with the title `{title}`"))
            .with_hint("schedule the report in Qualys, or set `report: launch`")
    })
}

/// The title of a template. Only API v1 lists templates.
pub(super) fn title_of(around: &mut SourceContext, template: &str) -> Result<String> {
    const WHAT: &str = "the list of templates";
    let url = around.client.at("msp/report_template_list.php");
    let call = Call::first_version("listing templates", url, &["REPORT_TEMPLATE_LIST"]);
    let Answer::Data(body) = around.client.call(&call)? else {
        return Err(unusable_list(WHAT, ListFault::Cut));
    };
    let templates = read_templates(body.source.read(None)).map_err(|fault| unusable_list(WHAT, fault))?;
    let found = templates.into_iter().find(|(id, _)| id == template);
    found.map(|(_, title)| title).ok_or_else(|| {
        PluginError::config(format!(
            "unknown report template {template}, or this account has no access to \
             it"
        ))
        .with_hint("check option `template_id`")
    })
}

/// Deletes a report. One that is not there is deleted. It is never waited for: it can be done by the next run.
pub(super) fn delete(around: &mut SourceContext, id: &str) -> Result<()> {
    let call = report_call(around, "deleting the report", &[]).field("action", "delete").field("id", id);
    match around.client.call(&call.without_waiting()) {
        Ok(_) => tracing::debug!("deleted report {id} at Qualys"),
        // It is gone already, or not ours to delete.
        Err(failure) if matches!(failure.error.kind, ErrorKind::Config | ErrorKind::Rejected) => {
            tracing::warn!("cannot delete report {id}: {}", failure.error);
        }
        Err(failure) => return Err(failure.into()),
    }
    Ok(())
}
