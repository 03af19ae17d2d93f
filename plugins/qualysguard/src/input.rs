//! The input plugin: the source that the settings name, and the probe.

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::{CheckReport, Input, Next, OptionSpec, Options, Position, Result, Services};

use crate::api::Client;
use crate::detections::Detections;
use crate::options::{Settings, Source, TABLE};
use crate::probe;
use crate::scan_reports::ScanReports;
use crate::source::{SourceContext, Work};
use crate::template_reports::TemplateReports;

/// Fetches template reports, scan reports or detections from the Qualys API.
pub struct QualysGuard {
    work: Option<Box<dyn Work>>,
    resume: Option<Position>,
    around: SourceContext,
}

impl Input for QualysGuard {
    const NAME: &'static str = "QualysGuard";
    const SUMMARY: &'static str =
        "fetches from the Qualys API: template reports, scan reports, host detections";
    const OPTIONS: &'static [OptionSpec] = TABLE;

    /// Nothing is asked of Qualys yet.
    fn open(options: &Options, services: &Services, resume: Option<&Position>) -> Result<Self> {
        let settings = Settings::read(options)?;
        let client = Client::new(&settings.account, &settings.network, services)?;
        let around = SourceContext {
            fingerprint: settings.fingerprint(),
            settings,
            services: services.clone(),
            client,
        };
        Ok(Self { work: None, resume: resume.cloned(), around })
    }

    fn check(&mut self) -> Result<CheckReport> {
        probe::probe(&mut self.around)
    }

    fn next(&mut self, recycled: BatchBuilder) -> Result<Next> {
        if self.work.is_none() {
            self.work = Some(self.begin()?);
        }
        let work = self.work.as_mut().expect("it was made above");
        let next = work.next(recycled, &mut self.around)?;
        if matches!(next, Next::Finished) {
            self.around.client.log_out();
        }
        Ok(next)
    }

    fn committed(&mut self, position: &Position) -> Result<()> {
        match &mut self.work {
            Some(work) => work.committed(position, &mut self.around),
            None => Ok(()),
        }
    }
}

impl QualysGuard {
    fn begin(&mut self) -> Result<Box<dyn Work>> {
        let resume = self.resume.take();
        let (around, resume) = (&self.around, resume.as_ref());
        Ok(match &around.settings.source {
            Source::TemplateReports(wanted) => Box::new(TemplateReports::open(wanted, around, resume)?),
            Source::Detections(wanted) => Box::new(Detections::open(wanted, around, resume)?),
            Source::ScanReports(wanted) => Box::new(ScanReports::open(wanted, around, resume)?),
        })
    }
}
