//! Source `template-report`: reports are launched, waited for, fetched, delivered and deleted; or found.

use std::time::{Duration, Instant};

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::{ErrorKind, Next, PluginError, Position, Result, tracing};
use serde::{Deserialize, Serialize};

use crate::api::{Answer, Call, StoredReport, read_reports, read_templates};
use crate::delivery::{Delivery, Fetched, Place, Store};
use crate::http::Keep;
use crate::launched::Launched;
use crate::options::{TemplateReports as Wanted, Which};
use crate::source::{Around, Work, position, read_position, round_ended};

/// The reports of one instance, one after the other.
pub(crate) struct TemplateReports {
    wanted: Wanted,
    /// Which of them is under way or next.
    index: usize,
    delivery: Option<Delivery>,
    /// The report that is being delivered, if it was launched here.
    current: Option<String>,
    launched: Launched,
    store: Store,
    resume: Option<(Fetched, Place)>,
    /// What an earlier run left behind is looked at once.
    is_tidy: bool,
    began: Instant,
}

/// A position: before the report at `index`, or within it.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    index: usize,
    within: Option<(Fetched, Place)>,
    /// The number of the report at `index`, if it was launched here.
    launched: Option<String>,
}

impl TemplateReports {
    pub(crate) fn open(wanted: &Wanted, around: &Around, resume: Option<&Position>) -> Result<Self> {
        let progress = read_position::<Progress>(around, resume);
        let (index, resume, current) = match progress {
            Some(progress) => (progress.index, progress.within, progress.launched),
            None => (0, None, None),
        };
        Ok(Self {
            wanted: wanted.clone(),
            index,
            delivery: None,
            current,
            launched: Launched::open(&around.services)?,
            store: Store::open(&around.services, resume.as_ref().map(|(fetched, _)| fetched))?,
            resume,
            is_tidy: false,
            began: Instant::now(),
        })
    }

    fn begin(&mut self, around: &mut Around) -> Result<Next> {
        if let Some((fetched, place)) = self.resume.take() {
            let resumed = Delivery::resume(&self.store, &fetched, place, &around.settings, &around.services)?;
            if let Some((delivery, start)) = resumed {
                self.delivery = Some(delivery);
                return Ok(Next::ReportStart(Box::new(start)));
            }
        }
        let (id, title) = match self.wanted.which[self.index].clone() {
            Which::Launch(template) => (self.launch_and_wait(around, &template)?, String::new()),
            Which::Id(id) => (id, String::new()),
            Which::NewestTitled(title) => (newest(around, &title)?, title),
            Which::NewestOfTemplate(template) => {
                let title = title_of(around, &template)?;
                (newest(around, &title)?, title)
            }
        };
        self.current = Some(id.clone()).filter(|id| self.launched.holds(id));
        let (fetched, body) = self.fetch(around, &id)?;
        match Delivery::begin(fetched.titled(title), body, &around.settings, &around.services)? {
            Ok((delivery, start)) => {
                tracing::info!("QualysGuard Report Processing Complete");
                self.delivery = Some(delivery);
                Ok(Next::ReportStart(Box::new(start)))
            }
            Err(refusal) => {
                self.ended()?;
                Ok(Next::Refused(refusal))
            }
        }
    }

    /// Launches a report, or takes up one that an interrupted run has launched, and waits until it is finished.
    fn launch_and_wait(&mut self, around: &mut Around, template: &str) -> Result<String> {
        let key = launch_key(around, template, &self.wanted);
        if let Some(id) = self.launched.pending(&key) {
            tracing::info!(
                "report {id} of template {template} was launched by an earlier run and is taken up"
            );
            if self.wait(around, &id, true)? {
                return Ok(id);
            }
            self.launched.forget(&id)?;
        }
        let mut call = report_call(around, "launching the report", &[])
            .field("action", "launch")
            .field("template_id", template)
            .field("output_format", "xml");
        if let Some(title) = &self.wanted.title {
            call = call.field("report_title", title);
        }
        let settings = &around.settings;
        call = call.fields(settings.targets.parameters("asset_group_ids")).fields(settings.extra.clone());
        let reply = match around.client.call(&call)? {
            Answer::Done(reply) => reply,
            Answer::NotReady(reply) => {
                let message = format!("launching the report (template {template}) failed: {reply}");
                return Err(PluginError::new(ErrorKind::Rejected, message));
            }
            Answer::Data(_) => return Err(PluginError::bug("a launch has no data")),
        };
        let id = reply.item("ID").filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()));
        let id = id.map(str::to_owned).ok_or_else(|| {
            let message =
                format!("launching the report (template {template}) gave no number of a report: {reply}");
            PluginError::new(ErrorKind::Protocol, message)
        })?;
        self.launched.add(&id, &key)?;
        tracing::info!("report {id} of template {template} is launched");
        self.wait(around, &id, false)?;
        Ok(id)
    }

    /// Waits for a report. False: a report that was launched earlier is not there any more.
    fn wait(&mut self, around: &mut Around, id: &str, earlier: bool) -> Result<bool> {
        let began = Instant::now();
        let mut pause = self.wanted.poll;
        loop {
            let report = list(around, Some(id))?.into_iter().find(|report| report.id == id);
            let told = match report {
                None if earlier => return Ok(false),
                // A new report may be missing from the list for a while.
                None => "it is not in the list yet".to_owned(),
                Some(report) => match report.state.as_str() {
                    "Finished" => {
                        tracing::info!(size = %report.size, "report {id} is finished");
                        return Ok(true);
                    }
                    "Errors" | "Canceled" | "Cancelled" => return Err(self.gave_up(around, id, &report)),
                    _ if report.percent.is_empty() => report.state,
                    _ => format!("{}, {} %", report.state, report.percent),
                },
            };
            if began.elapsed() + pause > self.wanted.timeout {
                let minutes = self.wanted.timeout.as_secs() / 60;
                let message = format!("report {id} is not finished after {minutes} minutes: {told}");
                return Err(PluginError::new(ErrorKind::Unavailable, message).with_hint(
                    "the next run takes it up; option `report_timeout_minutes` is how long to wait",
                ));
            }
            tracing::info!("waiting for report {id}: {told}");
            around.services.sleep(pause)?;
            pause = (pause + pause / 4).min(self.wanted.poll * 4);
        }
    }

    /// A report that Qualys could not make.
    fn gave_up(&mut self, around: &mut Around, id: &str, report: &StoredReport) -> PluginError {
        let (state, message) = (&report.state, &report.message);
        let error = PluginError::new(ErrorKind::Rejected, format!("report {id} ended as {state}: {message}"));
        if let Err(error) = self.launched.end(id).and_then(|()| self.tidy(around)) {
            tracing::warn!("report {id} cannot be deleted: {error}");
        }
        error
    }

    fn fetch(&self, around: &mut Around, id: &str) -> Result<(Fetched, crate::http::Body)> {
        let path = self.store.path(&format!("report-{id}"));
        let call = report_call(around, "fetching the report", &["ASSET_DATA_REPORT", "SCAN"])
            .field("action", "fetch")
            .field("id", id)
            .keep(Keep::At(path.clone()));
        let began = Instant::now();
        let mut pause = self.wanted.poll;
        loop {
            match around.client.call(&call)? {
                Answer::Data(body) => {
                    let address = format!("{}?action=fetch&id={id}", call.shown());
                    return Ok((Fetched::new(address, id, &path, &body), body));
                }
                // Finished says the list; it is believed for a while.
                Answer::NotReady(reply) if self.launched.holds(id) && began.elapsed() < SETTLING => {
                    tracing::info!("waiting for report {id}: {reply}");
                    around.services.sleep(pause)?;
                    pause = (pause * 2).min(SETTLING);
                }
                Answer::NotReady(reply) | Answer::Done(reply) => {
                    let message = format!("report {id} cannot be fetched: {reply}");
                    return Err(PluginError::new(ErrorKind::Rejected, message).with_hint(
                        "it is not finished, or there is no report of this number that you may see",
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
            Some(id) => self.launched.end(&id),
            None => Ok(()),
        }
    }

    /// Deletes what was launched here and is not needed any more.
    fn tidy(&mut self, around: &mut Around) -> Result<()> {
        let launches = self.wanted.which.iter().filter_map(|which| match which {
            Which::Launch(template) => Some(launch_key(around, template, &self.wanted)),
            _ => None,
        });
        for id in self.launched.unneeded(&launches.collect::<Vec<_>>()) {
            if self.wanted.delete {
                delete(around, &id)?;
            }
            self.launched.forget(&id)?;
        }
        Ok(())
    }
}

impl Work for TemplateReports {
    fn next(&mut self, recycled: BatchBuilder, around: &mut Around) -> Result<Next> {
        if !self.is_tidy {
            self.is_tidy = true;
            if let Err(error) = self.tidy(around) {
                warn_unless_fatal(error)?;
            }
        }
        let Some(delivery) = &mut self.delivery else {
            if self.index < self.wanted.which.len() {
                return self.begin(around);
            }
            return Ok(round_ended(&around.settings, &mut self.began, || self.index = 0));
        };
        let (next, place) = delivery.next(recycled, &around.services)?;
        let within = place.map(|place| (delivery.fetched.clone(), place));
        Ok(match next {
            Next::Batch { batch, .. } => {
                let progress =
                    Progress { index: self.index, launched: self.current.clone(), within: within.clone() };
                let position = within.map(|_| position(around, &progress)).unwrap_or_default();
                Next::Batch { batch, position }
            }
            Next::ReportEnd { end, .. } => {
                self.ended()?;
                let progress = Progress { index: self.index, launched: None, within: None };
                Next::ReportEnd { end, position: position(around, &progress) }
            }
            other => other,
        })
    }

    fn committed(&mut self, at: &Position, around: &mut Around) -> Result<()> {
        let Some(progress) = read_position::<Progress>(around, Some(at)) else { return Ok(()) };
        if progress.within.is_none() && self.delivery.is_none() {
            self.store.clear(None);
            self.tidy(around)?;
        }
        Ok(())
    }
}

/// What makes two launches the same.
fn launch_key(around: &Around, template: &str, wanted: &Wanted) -> String {
    let parameters = (&wanted.title, around.settings.targets.parameters(""), &around.settings.extra);
    crate::source::fingerprint(&(around.settings.network.url.as_str(), template, parameters))
}

fn report_call(around: &Around, what: &'static str, roots: &'static [&'static str]) -> Call {
    Call::post(what, around.client.at(&format!("api/{}/fo/report/", around.settings.report_version)), roots)
}

/// The stored reports, or one of them.
fn list(around: &mut Around, id: Option<&str>) -> Result<Vec<StoredReport>> {
    let mut call = report_call(around, "listing reports", &["REPORT_LIST_OUTPUT"]).field("action", "list");
    match id {
        Some(id) => call = call.field("id", id),
        None => call = call.field("state", "Finished"),
    }
    match around.client.call(&call)? {
        Answer::Data(body) => read_reports(body.source.read(None)).ok_or_else(|| cut("the list of reports")),
        Answer::Done(_) | Answer::NotReady(_) => Ok(Vec::new()),
    }
}

/// The newest finished XML report with this title.
fn newest(around: &mut Around, title: &str) -> Result<String> {
    let mut reports = list(around, None)?;
    reports.retain(|report| {
        report.state == "Finished" && report.title == title && report.format.eq_ignore_ascii_case("xml")
    });
    let newest = reports.into_iter().max_by(|a, b| a.launched.cmp(&b.launched));
    newest.map(|report| report.id).ok_or_else(|| {
        PluginError::new(ErrorKind::NoInput, format!("there is no finished XML report titled `{title}`"))
            .with_hint("let Qualys make one by schedule, or set report: launch")
    })
}

/// The title of a template. Only API v1 lists templates.
fn title_of(around: &mut Around, template: &str) -> Result<String> {
    let url = around.client.at("msp/report_template_list.php");
    let call = Call::first_version("listing templates", url, &["REPORT_TEMPLATE_LIST"]);
    let Answer::Data(body) = around.client.call(&call)? else { return Err(cut("the list of templates")) };
    let templates = read_templates(body.source.read(None)).ok_or_else(|| cut("the list of templates"))?;
    let found = templates.into_iter().find(|(id, _)| id == template);
    found.map(|(_, title)| title).ok_or_else(|| {
        PluginError::config(format!("there is no report template {template} that this account may use"))
            .with_hint("check option `template_id`")
    })
}

fn delete(around: &mut Around, id: &str) -> Result<()> {
    let call = report_call(around, "deleting the report", &[]).field("action", "delete").field("id", id);
    match around.client.call(&call) {
        Ok(_) => tracing::debug!("report {id} is deleted at Qualys"),
        // It is gone already, or not ours to delete.
        Err(failure)
            if failure.error.kind == ErrorKind::Config || failure.error.kind == ErrorKind::Rejected =>
        {
            tracing::warn!("report {id} cannot be deleted: {}", failure.error);
        }
        Err(failure) => return Err(failure.into()),
    }
    Ok(())
}

fn cut(what: &str) -> PluginError {
    PluginError::new(ErrorKind::Unavailable, format!("{what} is cut")).with_hint("it is fetched again")
}

/// Tidying up is no reason to stop, unless nothing else would work either.
fn warn_unless_fatal(error: PluginError) -> Result<()> {
    match error.kind {
        ErrorKind::Auth | ErrorKind::Cancelled | ErrorKind::Unavailable => Err(error),
        _ => {
            tracing::warn!("what an earlier run left at Qualys cannot be deleted: {error}");
            Ok(())
        }
    }
}

/// How long a report that the list calls finished may not be fetched yet.
const SETTLING: Duration = Duration::from_secs(120);
