//! API calls for reports stored at Qualys.

use scanbridge_plugin_api::{ErrorKind, PluginError, ReportEntry, Result, Services, tracing};
use scanbridge_qualys_xml::{ListFault, StoredReport, clean, read_reports, read_templates};

use crate::api::{Answer, Call, unusable_list};
use crate::choice::{Journal, utc};
use crate::source::SourceContext;

/// A call of the report API.
pub(super) fn report_call(
    context: &SourceContext,
    what: &'static str,
    roots: &'static [&'static str],
) -> Call {
    Call::post(what, context.client.at(&format!("api/{}/fo/report/", context.settings.report_version)), roots)
}

/// The stored report with this ID.
pub(super) fn list_one(context: &mut SourceContext, id: &str) -> Result<Option<StoredReport>> {
    Ok(list(context, &[("id", id)])?.into_iter().find(|report| report.id == id))
}

/// The stored reports that match these parameters.
pub(super) fn list(context: &mut SourceContext, with: &[(&str, &str)]) -> Result<Vec<StoredReport>> {
    let mut call = report_call(context, "listing reports", &["REPORT_LIST_OUTPUT"]).field("action", "list");
    for (name, value) in with {
        call = call.field(name, *value);
    }
    match context.client.call(&call)? {
        Answer::Data(body) => {
            read_reports(body.source.read(None)).map_err(|fault| unusable_list("the list of reports", fault))
        }
        Answer::Done(_) | Answer::NotReady(_) => Ok(Vec::new()),
    }
}

/// The delivered reports that this input did not launch.
pub(crate) fn journal(services: &Services) -> Journal {
    Journal::new(services.state(), "report:")
}

/// The stored XML reports, for an operator who chooses. Changes nothing.
pub(crate) fn entries(context: &mut SourceContext) -> Result<Vec<ReportEntry>> {
    let journal = journal(&context.services);
    let reports = list(context, &[])?.into_iter().filter(|report| report.format.eq_ignore_ascii_case("xml"));
    let mut entries = Vec::new();
    for report in reports {
        let is_delivered = journal.delivered(&report.id)?.is_some();
        let made = utc(&report.launched);
        let launched = if made.is_empty() { report.launched } else { String::new() };
        let entry = ReportEntry::new(report.id, report.title)
            .with_made(made)
            .with_ready(report.state == FINISHED)
            .with_source_state(report.state)
            .with_delivered(is_delivered);
        let entry = entry.with_detail("launched", launched).with_detail("size", report.size);
        entries.push(entry.with_detail("message", report.message));
    }
    Ok(entries)
}

/// The state of a report that can be downloaded.
const FINISHED: &str = "Finished";

/// The newest finished XML report with this title.
pub(super) fn newest(context: &mut SourceContext, title: &str) -> Result<String> {
    let mut reports = list(context, &[("state", FINISHED)])?;
    let title = clean(title);
    reports.retain(|report| {
        report.state == FINISHED && report.title == title && report.format.eq_ignore_ascii_case("xml")
    });
    let newest = reports.into_iter().max_by(|a, b| a.launched.cmp(&b.launched));
    newest.map(|report| report.id).ok_or_else(|| {
        PluginError::new(ErrorKind::NoInput, format!("no finished XML report with the title `{title}`"))
            .with_hint("schedule the report in Qualys, or set `report: launch`")
    })
}

/// The title of a template. Only API v1 lists templates.
pub(super) fn title_of(context: &mut SourceContext, template: &str) -> Result<String> {
    const WHAT: &str = "the list of templates";
    let url = context.client.at("msp/report_template_list.php");
    let call = Call::first_version("listing templates", url, &["REPORT_TEMPLATE_LIST"]);
    let Answer::Data(body) = context.client.call(&call)? else {
        return Err(unusable_list(WHAT, ListFault::Truncated));
    };
    let templates = read_templates(body.source.read(None)).map_err(|fault| unusable_list(WHAT, fault))?;
    let found = templates.into_iter().find(|(id, _)| id == template);
    found.map(|(_, title)| title).ok_or_else(|| {
        PluginError::config(format!(
            "unknown report template {template}, or this account has no access to it"
        ))
        .with_hint("check option `template_id`")
    })
}

/// Deletes a report. A report that does not exist counts as deleted. Does not wait for limits, because the
/// next run can delete it.
pub(super) fn delete(context: &mut SourceContext, id: &str) -> Result<()> {
    let call = report_call(context, "deleting the report", &[]).field("action", "delete").field("id", id);
    match context.client.call(&call.without_waiting()) {
        Ok(_) => tracing::debug!("deleted report {id} at Qualys"),
        // The report is already deleted, or this account must not delete it.
        Err(failure) if matches!(failure.error.kind, ErrorKind::Config | ErrorKind::Rejected) => {
            tracing::warn!("cannot delete report {id}: {}", failure.error);
        }
        Err(failure) => return Err(failure.into()),
    }
    Ok(())
}
