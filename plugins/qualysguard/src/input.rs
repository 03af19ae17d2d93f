//! The input plugin: runs the configured source, and the probe.

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::{
    CheckReport, Ends, Event, Input, InputCapabilities, LocalCheck, Open, OpenedInput, OptionSpec,
    PluginError, Position, Purpose, ReadOnly, ReportChoice, ReportEntry, ReportMarks, ReportPage,
    ReportQuery, Result, Resumes, Shares, Step, Stored,
};

use crate::api::Client;
use crate::detections::Detections;
use crate::options::{Settings, Source, TABLE};
use crate::probe;
use crate::scan_reports::{self, ScanReports};
use crate::source::{OtherShare, SourceContext, Work};
use crate::template_reports::{self, TemplateReports};

/// Downloads template reports, scan reports or detections from the Qualys API.
pub struct QualysGuard {
    work: Option<Box<dyn Work>>,
    resume: Option<Position>,
    choice: Option<ReportChoice>,
    /// The list whose pages are shown.
    listed: Vec<ReportEntry>,
    context: SourceContext,
    /// Whether `check` does not contact Qualys.
    is_local: bool,
}

impl Input for QualysGuard {
    const NAME: &'static str = "QualysGuard";
    const SUMMARY: &'static str =
        "downloads from the Qualys API: template reports, scan reports, host detections";
    const OPTIONS: &'static [OptionSpec] = TABLE;
    const HAS_REPORTS: bool = true;
    const CAPABILITIES: InputCapabilities = InputCapabilities::NONE
        .resumes(Resumes::Position)
        .ends(Ends::No)
        .local_check(LocalCheck::Yes)
        .read_only(ReadOnly::Yes)
        .shares(Shares::Yes);

    /// Reads the settings; sends no request to Qualys yet.
    fn open(open: &Open<'_>, resume: Option<&Position>) -> Result<OpenedInput<Self>> {
        let services = open.services;
        let settings = Settings::read(open.options, services.fips())?;
        let ends = if settings.interval.is_some() { Ends::No } else { Ends::Yes };
        let client = Client::new(&settings.account, &settings.network, services)?;
        let context = SourceContext {
            fingerprint: settings.fingerprint(),
            settings,
            services: services.clone(),
            client: client.with_slots(open.share().of),
            share: open.share(),
            moves: open.frame.share.is_some(),
            run: open.frame.run,
        };
        let is_local = open.purpose() == Purpose::Check;
        if open.purpose() == Purpose::Run
            && let Ok(Some(identity)) = context.settings.network.route.tls.identity()
        {
            identity.watch_expiry(open.services);
        }
        let effect = context.settings.source.effect();
        let input =
            Self { work: None, resume: resume.cloned(), choice: None, listed: Vec::new(), context, is_local };
        let opened = OpenedInput::from(input).with_capabilities(Self::CAPABILITIES.ends(ends));
        Ok(match effect {
            Some(effect) => opened.with_effect(effect),
            None => opened,
        })
    }

    fn check(&mut self) -> Result<CheckReport> {
        if self.is_local {
            return Ok(probe::local(&self.context));
        }
        probe::probe(&mut self.context)
    }

    fn next(&mut self, recycled: BatchBuilder) -> Result<Step> {
        if self.work.is_none() {
            self.work = Some(self.begin()?);
        }
        let work = self.work.as_mut().expect("it was made above");
        let step = work.next(recycled, &mut self.context)?;
        if matches!(step.event, Event::Finished) {
            self.context.client.log_out();
        }
        Ok(step)
    }

    fn list_reports(&mut self, query: &ReportQuery) -> Result<ReportPage> {
        // All pages come from one list.
        if query.cursor.is_empty() {
            self.listed = match &self.context.settings.source {
                Source::ScanReports(wanted) => scan_reports::entries(&wanted.clone(), &mut self.context)?,
                Source::TemplateReports(_) => template_reports::entries(&mut self.context)?,
                Source::Detections(_) => return Err(PluginError::no_reports()),
            };
            self.context.client.log_out();
        }
        query.page(self.listed.clone())
    }

    fn choose_reports(&mut self, choice: &ReportChoice) -> Result<()> {
        if matches!(self.context.settings.source, Source::Detections(_)) {
            return Err(PluginError::no_reports());
        }
        self.choice = Some(choice.clone());
        Ok(())
    }

    fn mark_reports(&mut self, marks: &ReportMarks) -> Result<u64> {
        match &self.context.settings.source {
            Source::ScanReports(_) => scan_reports::journal(&self.context.services).mark(marks),
            Source::TemplateReports(_) => template_reports::journal(&self.context.services).mark(marks),
            Source::Detections(_) => Err(PluginError::no_reports()),
        }
    }

    fn stored(&mut self, stored: &Stored) -> Result<()> {
        match &mut self.work {
            Some(work) => work.stored(&stored.position, &mut self.context),
            None => Ok(()),
        }
    }
}

impl QualysGuard {
    fn begin(&mut self) -> Result<Box<dyn Work>> {
        let resume = self.resume.take();
        let (context, resume, choice) = (&self.context, resume.as_ref(), self.choice.clone());
        Ok(match &context.settings.source {
            Source::TemplateReports(_) if context.share.number > 0 => Box::new(OtherShare::new()),
            Source::TemplateReports(wanted) => {
                Box::new(TemplateReports::open(wanted, context, resume, choice)?)
            }
            Source::Detections(wanted) => Box::new(Detections::open(wanted, context, resume)?),
            Source::ScanReports(wanted) => Box::new(ScanReports::open(wanted, context, resume, choice)?),
        })
    }
}
