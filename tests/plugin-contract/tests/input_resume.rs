//! The contract tests detect inputs that resume incorrectly.

use scanbridge_plugin_api::batch::{AssetRow, BatchBuilder, DefinitionRow, FindingRow};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingKind, ReportEnd, ReportSource, ReportStart,
};
use scanbridge_plugin_api::{
    CheckReport, Input, InputCapabilities, Open, OpenedInput, OptionSpec, PluginError, Position, Result,
    Resumes, Step, Verdict,
};
use serde_json::json;

/// Delivers two reports of five assets each, one asset per batch. The option `act` selects the fault.
struct Counting {
    act: String,
    /// The number of completed steps. A report has seven: start, five batches, end.
    done: usize,
    /// The next step is the start of the continued report.
    continued: bool,
}

const STEPS: usize = 7;

impl Input for Counting {
    const NAME: &'static str = "Counting";
    const SUMMARY: &'static str = "counts";
    const OPTIONS: &'static [OptionSpec] = &[OptionSpec::text("act").help("the simulated fault")];

    const CAPABILITIES: InputCapabilities = InputCapabilities::NONE.resumes(Resumes::Position);

    fn open(open: &Open<'_>, resume: Option<&Position>) -> Result<OpenedInput<Self>> {
        let act = open.options.text("act")?.unwrap_or_default().to_owned();
        let text = resume.map(|position| String::from_utf8_lossy(&position.0).trim().to_owned());
        let mut done = text
            .map_or(Ok(0_usize), |text| text.parse())
            .map_err(|_| PluginError::bug("invalid position"))?;
        let inside = !done.is_multiple_of(STEPS);
        match act.as_str() {
            "repeats" if inside => done -= 1,
            "skips" if inside && done % STEPS < 5 => done += 1,
            "restarts" => done = done / STEPS * STEPS,
            _ => {}
        }
        Ok(Self { continued: inside && !done.is_multiple_of(STEPS) && act != "no start", act, done }.into())
    }

    fn check(&mut self) -> Result<CheckReport> {
        Ok(CheckReport::default().step("counting", Verdict::Ok, "can count"))
    }

    fn next(&mut self, mut batch: BatchBuilder) -> Result<Step> {
        if std::mem::take(&mut self.continued) {
            return Ok(self.start(true));
        }
        let step = self.done;
        self.done += 1;
        let padding = if self.act == "long position" { 100_000 } else { 0 };
        let position = Position(format!("{}{}", self.done, " ".repeat(padding)).into_bytes());
        match (step / STEPS, step % STEPS) {
            (2.., _) => Ok(Step::finished()),
            (_, 0) => Ok(self.start(false)),
            (_, 6) => Ok(Step::report_end(ReportEnd::default().with_complete(true)).at(position)),
            (_, number) => {
                self.fill(&mut batch, step, number);
                Ok(Step::batch(batch.finish()).at(position))
            }
        }
    }
}

impl Counting {
    fn start(&self, continued: bool) -> Step {
        let path = format!("report {}", self.done / STEPS);
        let source = ReportSource::new("Example", "Counting", "example");
        let start = ReportStart::default().with_path(path).with_source(source);
        if continued { Step::report_continued(start) } else { Step::report_start(start) }
    }

    fn fill(&self, batch: &mut BatchBuilder, step: usize, number: usize) {
        let mut asset = AssetRow::default();
        asset.set(AssetField::Address, &format!("192.0.2.{step}"));
        let asset = batch.push_asset(&asset, self.act == "splits an asset" && number == 3);
        let mut definition = DefinitionRow::default();
        definition.set(DefinitionField::Id, "1000");
        let definition = batch.push_definition(&definition);
        let mut finding = FindingRow::default();
        finding.set_kind(FindingKind::Vulnerability);
        batch.push_finding(asset, definition, &finding);
    }
}

fn check(act: &str) {
    scanbridge_plugin_contract::input::<Counting>(&json!({ "act": act }));
}

#[test]
fn input_that_resumes_passes() {
    check("nothing");
}

#[test]
#[should_panic(expected = "delivers different findings after it was interrupted")]
fn input_that_repeats_findings_fails() {
    check("repeats");
}

#[test]
#[should_panic(expected = "delivers different findings after it was interrupted")]
fn input_that_skips_findings_fails() {
    check("skips");
}

#[test]
#[should_panic(expected = "starts from the beginning instead of continuing")]
fn input_that_restarts_fails() {
    check("restarts");
}

#[test]
#[should_panic(expected = "a batch is delivered outside a report")]
fn input_without_report_start_fails() {
    check("no start");
}

#[test]
#[should_panic(expected = "a position has 100001 bytes")]
fn input_with_long_positions_fails() {
    check("long position");
}

#[test]
#[should_panic(expected = "an asset continues after a batch that has a position")]
fn input_that_splits_assets_fails() {
    check("splits an asset");
}
