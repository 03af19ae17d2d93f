//! Launching reports, waiting for them, and deleting them again.

use std::time::{Duration, Instant};

use scanbridge_plugin_api::{ErrorKind, PluginError, Result, tracing};
use scanbridge_qualys_xml::{Reply, StoredReport};

use super::launched::LaunchedReports;
use super::stored::{delete, list, list_one, report_call};
use crate::api::{Answer, Failure};
use crate::options::{TemplateReports as Wanted, Which};
use crate::source::SourceContext;

/// Makes reports at Qualys, and cleans up behind itself.
pub(super) struct ReportLauncher {
    wanted: Wanted,
    launched: LaunchedReports,
}

/// A new report may be missing from the list for a while.
const LISTED_WITHIN: Duration = Duration::from_secs(900);

impl ReportLauncher {
    pub(super) fn open(wanted: &Wanted, around: &SourceContext) -> Result<Self> {
        Ok(Self { wanted: wanted.clone(), launched: LaunchedReports::open(&around.services)? })
    }

    /// Whether this report was launched here.
    pub(super) fn holds(&self, id: &str) -> bool {
        self.launched.holds(id)
    }

    /// Nobody needs this report any more.
    pub(super) fn end(&mut self, id: &str) -> Result<()> {
        self.launched.end(id)
    }

    /// Launches a report, or takes up one that an interrupted run has launched, and waits until it is finished.
    pub(super) fn launch_and_wait(&mut self, around: &mut SourceContext, template: &str) -> Result<String> {
        let key = launch_key(around, template, &self.wanted);
        if let Some(id) = self.launched.pending(&key) {
            tracing::info!("resuming report {id} of template {template}, launched by an earlier run");
            if self.wait(around, &id, true)? {
                return Ok(id);
            }
            self.launched.forget(&id)?;
        }
        let id = self.launch(around, template, &key)?;
        tracing::info!("launched report {id} of template {template}");
        self.wait(around, &id, false)?;
        Ok(id)
    }

    fn launch(&mut self, around: &mut SourceContext, template: &str, key: &str) -> Result<String> {
        // Only a report with a title of its own can be told from others.
        let own = match &self.wanted.title {
            None => self.launched.begin(key)?,
            Some(_) => String::new(),
        };
        let call = report_call(around, "launching the report", &[])
            .field("action", "launch")
            .field("template_id", template)
            .field("output_format", "xml")
            .field("report_title", self.wanted.title.as_ref().unwrap_or(&own));
        let settings = &around.settings;
        let call = call.fields(settings.targets.parameters("asset_group_ids")).fields(settings.extra.clone());
        match around.client.call(&call).and_then(|answer| id_of(answer, template)) {
            Ok(id) => {
                self.launched.answered(&id, key, &own)?;
                Ok(id)
            }
            Err(failure) => {
                if is_refusal(failure.error.kind) {
                    self.launched.refused(&own)?;
                }
                Err(failure.into())
            }
        }
    }

    /// Waits for a report. False: a report that was launched earlier is not there any more.
    pub(super) fn wait(&mut self, around: &mut SourceContext, id: &str, earlier: bool) -> Result<bool> {
        let began = Instant::now();
        let mut pause = self.wanted.poll;
        loop {
            let told = match list_one(around, id)? {
                None if earlier && !self.launched.is_younger(id, LISTED_WITHIN) => return Ok(false),
                None => "it is not listed yet".to_owned(),
                Some(report) => match report.state.as_str() {
                    "Finished" => {
                        tracing::info!(size = %report.size, "report {id} is ready");
                        return Ok(true);
                    }
                    "Errors" | "Canceled" | "Cancelled" => return Err(self.report_failed(around, &report)),
                    _ if report.percent.is_empty() => report.state,
                    _ => format!("{}, {} %", report.state, report.percent),
                },
            };
            if began.elapsed() + pause > self.wanted.timeout {
                let minutes = self.wanted.timeout.as_secs() / 60;
                let message = format!("timed out: report {id} is not ready after {minutes} minutes: {told}");
                return Err(PluginError::new(ErrorKind::Unavailable, message).with_hint(
                    "the next run continues to wait for it; increase `report_timeout_minutes` to wait \
                     longer",
                ));
            }
            tracing::info!("waiting for report {id}: {told}");
            around.services.sleep(pause)?;
            pause = (pause + pause / 4).min(self.wanted.poll * 4);
        }
    }

    /// A report that Qualys could not make.
    fn report_failed(&mut self, around: &mut SourceContext, report: &StoredReport) -> PluginError {
        let StoredReport { id, state, message, .. } = report;
        let error = PluginError::new(ErrorKind::Rejected, format!("report {id} ended as {state}: {message}"));
        if let Err(error) = self.launched.end(id).and_then(|()| self.tidy(around)) {
            tracing::warn!("cannot delete report {id}: {error}");
        }
        error
    }

    /// Deletes what was launched here and is not needed any more. What cannot be deleted now is left to a later run.
    ///
    /// # Errors
    /// Only what stops a run anyway.
    pub(super) fn tidy(&mut self, around: &mut SourceContext) -> Result<()> {
        if let Err(error) = self.find_unanswered(around) {
            warn_unless_fatal("cannot search for launched reports whose response was lost", error)?;
        }
        let launches = self.wanted.which.iter().filter_map(|which| match which {
            Which::Launch(template) => Some(launch_key(around, template, &self.wanted)),
            _ => None,
        });
        for id in self.launched.unneeded(&launches.collect::<Vec<_>>()) {
            let deleted = if self.wanted.delete { delete(around, &id) } else { Ok(()) };
            match deleted {
                Ok(()) => self.launched.forget(&id)?,
                Err(error) => warn_unless_fatal(&format!("cannot delete report {id} yet"), error)?,
            }
        }
        Ok(())
    }

    /// Looks for reports whose launch got no answer.
    fn find_unanswered(&mut self, around: &mut SourceContext) -> Result<()> {
        if !self.launched.looks_for_some()? {
            return Ok(());
        }
        for report in list(around, &[])? {
            if self.launched.found(&report.id, &report.title)? {
                tracing::info!(
                    "adopted report {}: its launch succeeded although the response was lost",
                    report.id
                );
            }
        }
        Ok(())
    }
}

/// The number of the report that was launched.
fn id_of(answer: Answer, template: &str) -> Result<String, Failure> {
    let failed = |kind, what: &str, reply: &Reply| {
        let message = format!("launching the report (template {template}) {what}: {reply}");
        Err(PluginError::new(kind, message).into())
    };
    match answer {
        Answer::Done(reply) => match reply.item("ID") {
            Some(id) if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) => Ok(id.to_owned()),
            _ => failed(ErrorKind::Protocol, "returned no report ID", &reply),
        },
        Answer::NotReady(reply) => failed(ErrorKind::Rejected, "failed", &reply),
        Answer::Data(_) => Err(PluginError::bug("a launch has no data").into()),
    }
}

/// Whether Qualys has surely launched nothing. An answer that did not come, or that nobody understands, does not say.
fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Auth | ErrorKind::Config | ErrorKind::Rejected)
}

/// What makes two launches the same.
fn launch_key(around: &SourceContext, template: &str, wanted: &Wanted) -> String {
    let parameters = (&wanted.title, around.settings.targets.parameters(""), &around.settings.extra);
    crate::source::fingerprint(&(around.settings.network.url.as_str(), template, parameters))
}

/// Tidying up is no reason to stop, unless nothing else would work either.
fn warn_unless_fatal(what: &str, error: PluginError) -> Result<()> {
    match error.kind {
        ErrorKind::Auth | ErrorKind::Cancelled => Err(error),
        _ => {
            tracing::warn!("{what}, but launched by a later run: {error}");
            Ok(())
        }
    }
}
