//! Launches reports, waits for them, and deletes them after delivery.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, show_duration, tracing};
use scanbridge_qualys_xml::{Reply, StoredReport};

use super::launched::{LaunchedReports, Scope};
use super::stored::{delete, list, list_one, report_call};
use crate::api::{Answer, Failure};
use crate::fingerprint::fingerprint;
use crate::options::{TemplateReports as Wanted, Which};
use crate::source::SourceContext;

/// Launches reports at Qualys and deletes them when they are no longer needed.
pub(super) struct ReportLauncher {
    wanted: Wanted,
    launched: LaunchedReports,
    /// The ID of the last report that this instance launched.
    launched_now: Option<String>,
    /// Whether a launch is stored, but was not requested yet: there is no report to search for.
    is_prepared: bool,
}

/// A new report may be missing from the list for this time.
const LISTED_WITHIN: Duration = Duration::from_secs(900);

impl ReportLauncher {
    /// `resumes`: when the round began that this run resumes, in seconds since 1970.
    pub(super) fn open(wanted: &Wanted, context: &SourceContext, resumes: Option<u64>) -> Result<Self> {
        let launched = LaunchedReports::open(&context.services, Scope { run: context.run, resumes })?;
        Ok(Self { wanted: wanted.clone(), launched, launched_now: None, is_prepared: false })
    }

    /// Adds a note to the summary if this run did not launch this report, which was created at `time`.
    pub(super) fn name_earlier(&self, context: &SourceContext, id: &str, time: &str) {
        if let Some(age) = self.launched.earlier_age(id) {
            let note = format!("report {id} was launched by an earlier run, {} ago", show_age(age));
            context.services.note(tracing::Level::WARN, &note, 1);
        } else if !self.launched.contains(id) {
            let age = time.parse::<Timestamp>().map(|time| Timestamp::now().duration_since(time));
            let age = age.ok().and_then(|age| Duration::try_from(age).ok());
            let age = age
                .map_or_else(|| "of unknown age".to_owned(), |age| format!("created {} ago", show_age(age)));
            let note = format!("report {id}, {age}, was not launched by this input");
            context.services.note(tracing::Level::INFO, &note, 1);
        }
    }

    /// True if this instance launched the report.
    pub(super) fn contains(&self, id: &str) -> bool {
        self.launched.contains(id)
    }

    /// Marks a report as no longer needed.
    pub(super) fn mark_ended(&mut self, id: &str) -> Result<()> {
        self.launched.mark_ended(id)
    }

    /// Launches a report, or adopts one that an interrupted run launched, and waits until it is finished. `None`: a
    /// checkpoint must store the keys first, then this is called again. So a launch that was requested is known to
    /// the next run, even if this one is killed.
    pub(super) fn launch_and_wait(
        &mut self,
        context: &mut SourceContext,
        template: &str,
    ) -> Result<Option<String>> {
        let key = launch_key(context, template, &self.wanted);
        if let Some(id) = self.launched.pending(&key) {
            let is_earlier = self.launched_now.as_ref() != Some(&id);
            if is_earlier {
                tracing::info!("resuming report {id} of template {template}, which was launched before");
            }
            if self.wait(context, &id, is_earlier)? {
                return Ok(Some(id));
            }
            self.launched.remove(&id)?;
        }
        // A launch can be found again only by a unique title; `report_title` is not unique.
        let own = match (&self.wanted.title, self.launched.prepared(&key)) {
            (Some(_), _) => String::new(),
            (None, Some(title)) => title,
            (None, None) => {
                self.launched.prepare(&key)?;
                self.is_prepared = true;
                return Ok(None);
            }
        };
        self.is_prepared = false;
        let id = self.launch(context, template, (&key, own))?;
        tracing::info!("launched report {id} of template {template}");
        self.launched_now = Some(id);
        Ok(None)
    }

    fn launch(
        &mut self,
        context: &mut SourceContext,
        template: &str,
        (key, own): (&str, String),
    ) -> Result<String> {
        let call = report_call(context, "launching the report", &[])
            .field("action", "launch")
            .field("template_id", template)
            .field("output_format", "xml")
            .field("report_title", self.wanted.title.as_ref().unwrap_or(&own));
        let settings = &context.settings;
        let call = call.fields(settings.targets.parameters("asset_group_ids")).fields(settings.extra.clone());
        match context.client.call(&call).and_then(|answer| id_of(answer, template)) {
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

    /// Waits for a report. False if a report of an earlier run no longer exists.
    pub(super) fn wait(&mut self, context: &mut SourceContext, id: &str, earlier: bool) -> Result<bool> {
        let began = Instant::now();
        let mut pause = self.wanted.poll;
        loop {
            let progress = match list_one(context, id)? {
                None if earlier && !self.launched.is_younger(id, LISTED_WITHIN) => return Ok(false),
                None => "not listed yet".to_owned(),
                Some(report) => match report.state.as_str() {
                    "Finished" => {
                        tracing::info!(size = %report.size, "report {id} is ready");
                        return Ok(true);
                    }
                    "Errors" | "Canceled" | "Cancelled" => return Err(self.report_failed(context, &report)),
                    _ if report.percent.is_empty() => report.state,
                    _ => format!("{}, {} %", report.state, report.percent),
                },
            };
            if began.elapsed() + pause > self.wanted.timeout {
                let minutes = self.wanted.timeout.as_secs() / 60;
                let message =
                    format!("timed out: report {id} is not ready after {minutes} minutes: {progress}");
                return Err(PluginError::new(ErrorKind::Unavailable, message).with_hint(
                    "a run that resumes this one within 12 hours of its start continues to wait for it; \
                     increase `report_timeout_minutes` to wait longer",
                ));
            }
            tracing::info!("waiting for report {id}: {progress}");
            context.services.sleep(pause)?;
            pause = (pause + pause / 4).min(self.wanted.poll * 4);
        }
    }

    /// The error for a report that Qualys could not create. Deletes the report.
    fn report_failed(&mut self, context: &mut SourceContext, report: &StoredReport) -> PluginError {
        let StoredReport { id, state, message, .. } = report;
        let error = PluginError::new(ErrorKind::Rejected, format!("report {id} ended as {state}: {message}"));
        if let Err(error) = self.launched.mark_ended(id).and_then(|()| self.clean_up(context)) {
            tracing::warn!("cannot delete report {id}: {error}");
        }
        error
    }

    /// Deletes launched reports that are no longer needed. Failed deletions are retried by a later run.
    ///
    /// # Errors
    /// Only errors that would end the run anyway.
    pub(super) fn clean_up(&mut self, context: &mut SourceContext) -> Result<()> {
        if context.services.is_read_only() {
            return Ok(());
        }
        if let Err(error) = self.find_unanswered(context) {
            let what = "cannot search for launched reports whose response was lost";
            if error.kind == ErrorKind::Unavailable {
                // The next call of this run fails too, and the host reports that and retries.
                tracing::debug!("{what}: {error}");
            } else {
                warn_unless_fatal(what, error)?;
            }
        }
        let launches = self.wanted.which.iter().filter_map(|which| match which {
            Which::Launch(template) => Some(launch_key(context, template, &self.wanted)),
            _ => None,
        });
        for id in self.launched.obsolete(&launches.collect::<Vec<_>>()) {
            let deleted = if self.wanted.delete { delete(context, &id) } else { Ok(()) };
            match deleted {
                Ok(()) => self.launched.remove(&id)?,
                Err(error) => warn_unless_fatal(&format!("cannot delete report {id}"), error)?,
            }
        }
        Ok(())
    }

    /// Searches for reports whose launch got no response.
    fn find_unanswered(&mut self, context: &mut SourceContext) -> Result<()> {
        if self.is_prepared || !self.launched.has_unanswered()? {
            return Ok(());
        }
        for report in list(context, &[])? {
            if self.launched.adopt(&report.id, &report.title)? {
                tracing::info!(
                    "adopted report {}: its launch succeeded although the response was lost",
                    report.id
                );
            }
        }
        Ok(())
    }
}

/// The ID of the launched report.
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
        Answer::Data(_) => {
            Err(PluginError::bug("plugin bug: data in the response to a launch was accepted").into())
        }
    }
}

/// True if Qualys certainly launched nothing. A missing or invalid response leaves that open.
fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Auth | ErrorKind::Config | ErrorKind::Rejected)
}

/// An age in the largest unit of which it has at least two.
pub(super) fn show_age(age: Duration) -> String {
    let seconds = age.as_secs().max(1);
    let unit = [86_400, 3_600, 60].into_iter().find(|unit| seconds >= 2 * unit).unwrap_or(1);
    show_duration(seconds / unit * unit * 1_000)
}

/// Hash of the launch parameters; see `Entry::key`.
fn launch_key(context: &SourceContext, template: &str, wanted: &Wanted) -> String {
    let parameters = (&wanted.title, context.settings.targets.parameters(""), &context.settings.extra);
    fingerprint(&(context.settings.network.url.as_str(), template, parameters))
}

/// A failed cleanup does not end the run, except for errors that affect every other call too.
fn warn_unless_fatal(what: &str, error: PluginError) -> Result<()> {
    match error.kind {
        ErrorKind::Auth | ErrorKind::Cancelled => Err(error),
        _ => {
            tracing::warn!("{what}; a later run retries: {error}");
            Ok(())
        }
    }
}
