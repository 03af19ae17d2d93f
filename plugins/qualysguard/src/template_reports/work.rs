//! The reports of one instance, one after the other.

use std::time::{Duration, Instant};

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::Refusal;
use scanbridge_plugin_api::{ErrorKind, Next, PluginError, Position, Result, tracing};
use serde::{Deserialize, Serialize};

use super::launching::ReportLauncher;
use super::stored::{list_one, newest, report_call, title_of};
use crate::api::Answer;
use crate::delivery::{Delivery, Fetched, ResumePoint, Store};
use crate::http::{Body, Keep};
use crate::options::{TemplateReports as Wanted, Which};
use crate::source::{SourceContext, Work, end_round, is_of_one_report, position, read_position};

/// The reports of one instance, one after the other.
pub(crate) struct TemplateReports {
    wanted: Wanted,
    /// Which of them is under way or next.
    index: usize,
    delivery: Option<Delivery>,
    /// The report that is being delivered, if it was launched here.
    current: Option<String>,
    launching: ReportLauncher,
    store: Store,
    resume: Option<(Fetched, ResumePoint)>,
    /// What was delivered of those that were not launched here: a later round does not deliver it again.
    found: Vec<String>,
    /// What an earlier run left behind is looked at once.
    is_tidy: bool,
    began: Instant,
}

/// A position: before the report at `index`, or within it.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    index: usize,
    within: Option<(Fetched, ResumePoint)>,
    /// The number of the report at `index`, if it was launched here.
    launched: Option<String>,
    /// As [`TemplateReports::found`].
    #[serde(default)]
    found: Vec<String>,
}

impl TemplateReports {
    pub(crate) fn open(wanted: &Wanted, around: &SourceContext, resume: Option<&Position>) -> Result<Self> {
        let begin = Progress { index: 0, within: None, launched: None, found: Vec::new() };
        let Progress { mut index, within: resume, launched: current, found } =
            read_position(around, resume).unwrap_or(begin);
        if index >= wanted.which.len() && around.settings.interval.is_some() {
            index = 0; // Nobody knows how long ago the last round was.
        }
        Ok(Self {
            wanted: wanted.clone(),
            index,
            delivery: None,
            current,
            launching: ReportLauncher::open(wanted, around)?,
            store: Store::open(&around.services, resume.as_ref().map(|(fetched, _)| fetched))?,
            resume,
            found,
            is_tidy: false,
            began: Instant::now(),
        })
    }

    /// Begins with the report at the index. None: it was delivered by an earlier round.
    fn begin(&mut self, around: &mut SourceContext) -> Result<Option<Next>> {
        if let Some((fetched, place)) = self.resume.take() {
            let resumed = Delivery::resume(&self.store, &fetched, place, &around.settings, &around.services)?;
            if let Some((delivery, start)) = resumed {
                self.delivery = Some(delivery);
                return Ok(Some(Next::ReportStart(Box::new(start))));
            }
        }
        let (id, title) = match self.wanted.which[self.index].clone() {
            Which::Launch(template) => (self.launching.launch_and_wait(around, &template)?, String::new()),
            Which::Id(id) => (id, String::new()),
            Which::NewestTitled(title) => (newest(around, &title)?, title),
            Which::NewestOfTemplate(template) => {
                let title = title_of(around, &template)?;
                (newest(around, &title)?, title)
            }
        };
        self.current = Some(id.clone()).filter(|id| self.launching.holds(id));
        if self.current.is_none() && self.found.contains(&id) {
            tracing::info!("report {id} was already delivered, and there is no newer one");
            self.index += 1;
            return Ok(None);
        }
        let (fetched, body) = self.fetch(around, &id)?;
        match Delivery::begin(fetched.titled(title), body, &around.settings, &around.services)? {
            Ok((delivery, start)) => {
                tracing::info!("QualysGuard Report Processing Complete");
                self.delivery = Some(delivery);
                Ok(Some(Next::ReportStart(Box::new(start))))
            }
            Err(refusal) => {
                self.ended()?;
                Ok(Some(Next::Refused(refusal)))
            }
        }
    }

    /// What is wrong with one report is no reason to leave out the others.
    fn refuse(&mut self, error: PluginError, around: &SourceContext) -> Result<Next> {
        let path = report_call(around, "", &[]).shown();
        self.ended()?;
        Ok(Next::Refused(Refusal { path, error, incomplete: false }))
    }

    fn fetch(&mut self, around: &mut SourceContext, id: &str) -> Result<(Fetched, Body)> {
        let path = self.store.path(&format!("report-{id}"));
        let call = report_call(around, "downloading the report", &["ASSET_DATA_REPORT", "SCAN"])
            .field("action", "fetch")
            .field("id", id)
            .keep(Keep::At(path.clone()));
        let began = Instant::now();
        let (mut pause, mut is_waited_for) = (self.wanted.poll, self.launching.holds(id));
        loop {
            match around.client.call(&call)? {
                Answer::Data(body) => {
                    let address = format!("{}?action=fetch&id={id}", call.shown());
                    return Ok((Fetched::new(address, id, &path, &body), body));
                }
                // Finished says the list; it is believed for a while.
                Answer::NotReady(reply) if self.launching.holds(id) && began.elapsed() < SETTLING => {
                    tracing::info!("waiting for report {id}: {reply}");
                    around.services.sleep(pause)?;
                    pause = (pause * 2).min(SETTLING);
                }
                // Somebody else's may be in the making.
                Answer::NotReady(_) if !is_waited_for && list_one(around, id)?.is_some() => {
                    is_waited_for = true;
                    self.launching.wait(around, id, true)?;
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

    /// The report at the index is through.
    fn ended(&mut self) -> Result<()> {
        self.delivery = None;
        self.index += 1;
        match self.current.take() {
            Some(id) => self.launching.end(&id),
            None => Ok(()),
        }
    }

    fn deliver(&mut self, recycled: BatchBuilder, around: &SourceContext) -> Result<Next> {
        let Some(delivery) = &mut self.delivery else {
            return Err(PluginError::bug("plugin bug: a report that does not exist was marked as delivered"));
        };
        let (next, place) = delivery.next(recycled, &around.services)?;
        let within = place.map(|place| (delivery.fetched.clone(), place));
        Ok(match next {
            Next::Batch { batch, .. } => {
                let at = within.is_some().then(|| self.position(within, around));
                Next::Batch { batch, position: at.unwrap_or_default() }
            }
            Next::ReportEnd { end, .. } => {
                if self.current.is_none() && end.deliver {
                    let id = delivery.fetched.id.clone();
                    self.found.retain(|found| *found != id);
                    self.found.push(id);
                    let known = self.found.len().saturating_sub(self.wanted.which.len());
                    self.found.drain(..known);
                }
                self.ended()?;
                Next::ReportEnd { end, position: self.position(None, around) }
            }
            other => other,
        })
    }

    fn position(&self, within: Option<(Fetched, ResumePoint)>, around: &SourceContext) -> Position {
        let launched = self.current.clone();
        let progress = Progress { index: self.index, launched, within, found: self.found.clone() };
        position(around, &progress)
    }
}

impl Work for TemplateReports {
    fn next(&mut self, recycled: BatchBuilder, around: &mut SourceContext) -> Result<Next> {
        if self.delivery.is_some() {
            return self.deliver(recycled, around);
        }
        if !self.is_tidy {
            self.is_tidy = true;
            self.launching.tidy(around)?;
        }
        while self.index < self.wanted.which.len() {
            match self.begin(around) {
                Ok(Some(next)) => return Ok(next),
                Ok(None) => {}
                Err(error) if is_of_one_report(error.kind) => return self.refuse(error, around),
                Err(error) => return Err(error),
            }
        }
        Ok(end_round(&around.settings, &mut self.began, || {
            self.index = 0;
            self.is_tidy = false;
        }))
    }

    fn committed(&mut self, at: &Position, around: &mut SourceContext) -> Result<()> {
        let Some(progress) = read_position::<Progress>(around, Some(at)) else { return Ok(()) };
        if progress.within.is_none() && self.delivery.is_none() {
            self.store.clear(None);
            self.launching.tidy(around)?;
        }
        Ok(())
    }
}

/// How long a report that the list calls finished may not be fetched yet.
const SETTLING: Duration = Duration::from_secs(120);
