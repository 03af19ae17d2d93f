//! Delivers the reports of one instance one after the other.

use std::time::{Duration, Instant};

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::Refusal;
use scanbridge_plugin_api::{
    CheckpointRequest, ErrorKind, Event, PluginError, Position, ReportChoice, ReportEntry, Result, Step,
    tracing,
};
use scanbridge_qualys_report::Chosen;
use scanbridge_qualys_xml::{Mark, clean};
use serde::{Deserialize, Serialize};

use super::launched::now;
use super::launching::{ReportLauncher, show_age};
use super::stored::{entries, journal, list_one, newest, report_call, title_of};
use crate::api::Answer;
use crate::choice::{Journal, fault};
use crate::delivery::{Delivery, Fetched, Store};
use crate::http::{Body, Keep};
use crate::options::{TemplateReports as Wanted, Which};
use crate::source::{SourceContext, Work, concerns_one_report, end_round, position, read_position};

/// Downloads and delivers the configured reports.
pub(crate) struct TemplateReports {
    wanted: Wanted,
    /// Index of the current or next report in `wanted.which`.
    index: usize,
    delivery: Option<Delivery>,
    /// ID of the report that is being delivered, if this instance launched it.
    current: Option<String>,
    launching: ReportLauncher,
    store: Store,
    resume: Option<(Fetched, Mark)>,
    /// IDs of delivered reports that this instance did not launch; a later round does not deliver them again.
    found: Vec<String>,
    journal: Journal,
    /// The reports that an operator has chosen; `None` for those of the options.
    chosen: Option<Chosen>,
    /// The list that chosen reports are looked up in.
    listed: Option<Vec<ReportEntry>>,
    /// False until the reports of earlier runs were cleaned up in this round.
    is_cleaned_up: bool,
    /// When this round began, by the local clock, in seconds since 1970.
    round: u64,
    began: Instant,
}

/// A position: before the report at `index`, or within it.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    index: usize,
    within: Option<(Fetched, Mark)>,
    /// ID of the report at `index`, if this instance launched it.
    launched: Option<String>,
    /// As [`TemplateReports::found`].
    #[serde(default)]
    found: Vec<String>,
    /// As [`TemplateReports::round`].
    #[serde(default)]
    round: u64,
    /// The number of the run.
    #[serde(default)]
    run: u64,
}

/// A round that began earlier is not resumed by another run, so that reports of yesterday are not delivered today.
const MAX_AGE_OF_ROUND: Duration = Duration::from_secs(12 * 3_600);

impl TemplateReports {
    pub(crate) fn open(
        wanted: &Wanted,
        context: &SourceContext,
        resume: Option<&Position>,
        choice: Option<ReportChoice>,
    ) -> Result<Self> {
        let (progress, len) = (read_position::<Progress>(context, resume), wanted.which.len());
        let found = progress.as_ref().map(|progress| progress.found.clone()).unwrap_or_default();
        let is_current = |progress: &Progress| progress.index >= len || !progress.is_outdated(context);
        let progress = progress.filter(|progress| choice.is_some() || is_current(progress));
        let resumes = progress.as_ref().filter(|progress| progress.index < len).map(|it| it.round);
        let (mut index, resume, current) = match progress {
            Some(progress) => (progress.index, progress.within, progress.launched),
            None => (0, None, None),
        };
        let chosen = choice.map(|choice| Chosen::new(choice, index));
        if chosen.is_none() && index >= wanted.which.len() && context.settings.interval.is_some() {
            index = 0; // The time of the last round is unknown: start the next one at once.
        }
        Ok(Self {
            wanted: wanted.clone(),
            index,
            delivery: None,
            current,
            launching: ReportLauncher::open(wanted, context, resumes)?,
            store: Store::open(&context.services, resume.as_ref().map(|(fetched, _)| fetched))?,
            resume,
            found,
            journal: journal(&context.services),
            // The choice may contain reports that this input would delete.
            is_cleaned_up: chosen.is_some(),
            chosen,
            listed: None,
            round: resumes.unwrap_or_else(now),
            began: Instant::now(),
        })
    }

    /// Starts the report at the index; `None` if an earlier round delivered it.
    fn begin(&mut self, context: &mut SourceContext) -> Result<Option<Step>> {
        if let Some((fetched, point)) = self.resume.take() {
            let resumed =
                Delivery::resume(&self.store, &fetched, point, &context.settings, &context.services)?;
            if let Some((delivery, start)) = resumed {
                self.delivery = Some(delivery);
                self.launching.name_earlier(context, &fetched.id, &start.time);
                return Ok(Some(Step::report_continued(start)));
            }
        }
        if let Some(chosen) = self.chosen.take() {
            let (chosen, step) = self.begin_chosen(chosen, context)?;
            self.chosen = Some(chosen);
            return Ok(Some(step));
        }
        let (id, title) = match self.wanted.which[self.index].clone() {
            Which::Launch(template) => match self.launching.launch_and_wait(context, &template)? {
                Some(id) => (id, String::new()),
                None => {
                    let mark = Step::mark(self.position(None, context));
                    return Ok(Some(mark.with_checkpoint(CheckpointRequest::NowAndWait)));
                }
            },
            Which::Id(id) => (id, String::new()),
            Which::NewestTitled(title) => (newest(context, &title)?, title),
            Which::NewestOfTemplate(template) => {
                let title = title_of(context, &template)?;
                (newest(context, &title)?, title)
            }
        };
        self.current = Some(id.clone()).filter(|id| self.launching.contains(id));
        if self.current.is_none() && self.found.contains(&id) {
            tracing::info!("report {id} was already delivered; no newer report found");
            self.index += 1;
            return Ok(None);
        }
        let (fetched, body) = self.fetch(context, &id)?;
        match Delivery::begin(fetched.titled(title), body, &context.settings, &context.services)? {
            Ok((delivery, start)) => {
                tracing::info!("QualysGuard Report Processing Complete");
                self.delivery = Some(delivery);
                self.launching.name_earlier(context, &id, &start.time);
                Ok(Some(Step::report_start(start)))
            }
            Err(refusal) => {
                self.ended()?;
                Ok(Some(Step::refused(refusal)))
            }
        }
    }

    /// The next chosen report, or the end.
    fn begin_chosen(&mut self, mut chosen: Chosen, context: &mut SourceContext) -> Result<(Chosen, Step)> {
        self.index = chosen.done();
        if chosen.needs_mark() {
            let mark = Step::mark(self.position(None, context));
            return Ok((chosen, mark));
        }
        let Some(id) = chosen.current().map(str::to_owned) else { return Ok((chosen, Step::finished())) };
        if self.listed.is_none() {
            self.listed = Some(entries(context)?);
        }
        let entry = self.listed.iter().flatten().find(|entry| entry.id == id);
        if let Some(fault) = fault(&chosen, entry, &self.journal)? {
            let step = chosen.refuse(Refusal::new(clean(&id), fault));
            return Ok((chosen, step));
        }
        let title = entry.map(|entry| entry.title.clone()).unwrap_or_default();
        let begun = self.fetch(context, &id).and_then(|(fetched, body)| {
            Delivery::begin(fetched.titled(title), body, &context.settings, &context.services)
        });
        let refusal = match begun {
            Ok(Ok((delivery, start))) => {
                tracing::info!("QualysGuard Report Processing Complete");
                self.delivery = Some(delivery);
                return Ok((chosen, Step::report_start(start)));
            }
            Ok(Err(refusal)) => refusal,
            Err(error) if concerns_one_report(error.kind) => Refusal::new(clean(&id), error),
            Err(error) => return Err(error),
        };
        let step = chosen.refuse(refusal);
        Ok((chosen, step))
    }

    /// Refuses one report, so that the others are still delivered.
    fn refuse(&mut self, error: PluginError, context: &SourceContext) -> Result<Step> {
        let path = report_call(context, "", &[]).shown();
        self.ended()?;
        Ok(Step::refused(Refusal::new(path, error)))
    }

    fn fetch(&mut self, context: &mut SourceContext, id: &str) -> Result<(Fetched, Body)> {
        let path = self.store.path(&format!("report-{id}"));
        let call = report_call(context, "downloading the report", &["ASSET_DATA_REPORT", "SCAN"])
            .field("action", "fetch")
            .field("id", id)
            .keep(Keep::At(path.clone()));
        let began = Instant::now();
        let (mut pause, mut is_waited_for) = (self.wanted.poll, self.launching.contains(id));
        loop {
            match context.client.call(&call)? {
                Answer::Data(body) => {
                    let address = format!("{}?action=fetch&id={id}", call.shown());
                    return Ok((Fetched::new(address, id, &path, &body), body));
                }
                // The list says that the report is finished; retry for a while.
                Answer::NotReady(reply) if self.launching.contains(id) && began.elapsed() < SETTLING => {
                    context.services.note(tracing::Level::INFO, "downloads of a report repeated", 1);
                    tracing::info!("waiting for report {id}: {reply}");
                    context.services.sleep(pause)?;
                    pause = (pause * 2).min(SETTLING);
                }
                // A report that this instance did not launch may still be in progress.
                Answer::NotReady(_) if !is_waited_for && list_one(context, id)?.is_some() => {
                    is_waited_for = true;
                    self.launching.wait(context, id, true)?;
                }
                Answer::NotReady(reply) | Answer::Done(reply) => {
                    let message = format!("cannot download report {id}: {reply}");
                    return Err(PluginError::new(ErrorKind::Rejected, message).with_hint(
                        "it is not finished, does not exist, or this account has no access to it",
                    ));
                }
            }
        }
    }

    /// Ends the report at the index.
    fn ended(&mut self) -> Result<()> {
        self.delivery = None;
        self.index += 1;
        if let Some(chosen) = &mut self.chosen {
            chosen.deliver();
        }
        match self.current.take() {
            Some(id) => self.launching.mark_ended(&id),
            None => Ok(()),
        }
    }

    fn deliver(&mut self, recycled: BatchBuilder, context: &SourceContext) -> Result<Step> {
        let Some(delivery) = &mut self.delivery else {
            return Err(PluginError::bug("plugin bug: deliver was called without an open report"));
        };
        let (step, point) = delivery.next(recycled, &context.services)?;
        // Another machine does not have the file: the report is one piece.
        let point = point.filter(|_| !context.moves);
        let within = point.map(|point| (delivery.fetched.clone(), point));
        let at = match &step.event {
            Event::ReportEnd(end) => {
                let id = delivery.fetched.id.clone();
                if end.deliver && (self.current.is_none() || !self.wanted.delete) {
                    self.journal.add(&id)?;
                }
                if self.current.is_none() && end.deliver {
                    self.found.retain(|found| *found != id);
                    self.found.push(id);
                    let known = self.found.len().saturating_sub(self.wanted.which.len());
                    self.found.drain(..known);
                }
                self.ended()?;
                Some(self.position(None, context))
            }
            _ => within.is_some().then(|| self.position(within, context)),
        };
        Ok(step.at(at))
    }

    fn position(&self, within: Option<(Fetched, Mark)>, context: &SourceContext) -> Position {
        let launched = self.current.clone();
        let (found, round, run) = (self.found.clone(), self.round, context.run);
        let progress = Progress { index: self.index, launched, within, found, round, run };
        position(context, &progress)
    }
}

impl Progress {
    /// True if another run began this round, and a new one is due.
    fn is_outdated(&self, context: &SourceContext) -> bool {
        let limit = context.settings.interval.unwrap_or(MAX_AGE_OF_ROUND).min(MAX_AGE_OF_ROUND);
        let age = Duration::from_secs(now().saturating_sub(self.round));
        let is_outdated = self.run != context.run && age >= limit;
        if is_outdated {
            tracing::info!(
                "the interrupted run began {} ago: starting from the beginning with new reports",
                show_age(age)
            );
        }
        is_outdated
    }
}

impl Work for TemplateReports {
    fn next(&mut self, recycled: BatchBuilder, context: &mut SourceContext) -> Result<Step> {
        if self.delivery.is_some() {
            return self.deliver(recycled, context);
        }
        if !self.is_cleaned_up {
            self.is_cleaned_up = true;
            self.launching.clean_up(context)?;
        }
        while self.chosen.is_some() || self.index < self.wanted.which.len() {
            match self.begin(context) {
                Ok(Some(next)) => return Ok(next),
                Ok(None) => {}
                Err(error) if concerns_one_report(error.kind) && self.chosen.is_none() => {
                    return self.refuse(error, context);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(end_round(&context.settings, &mut self.began, || {
            self.index = 0;
            self.is_cleaned_up = false;
            self.round = now();
        }))
    }

    fn stored(&mut self, at: &Position, context: &mut SourceContext) -> Result<()> {
        let Some(progress) = read_position::<Progress>(context, Some(at)) else { return Ok(()) };
        if progress.within.is_none() && self.delivery.is_none() {
            self.store.clear(None);
            if self.chosen.is_none() {
                self.launching.clean_up(context)?;
            }
        }
        Ok(())
    }
}

/// Time for which a report that is listed as finished may still not be available for download.
const SETTLING: Duration = Duration::from_secs(120);
