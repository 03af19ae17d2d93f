//! The input `Rogue`. Its option `act` selects the simulated fault.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use scanbridge_plugin_api::batch::{
    AssetRow, BatchBuilder, ColumnType, DefinitionRow, FindingRow, OwnColumn, RawBatch2, Schema,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingField, FindingKind, ReportDetail, ReportEnd, ReportSource,
    ReportStart,
};
use scanbridge_plugin_api::{
    CheckReport, Ends, ErrorKind, Input, InputCapabilities, Open, OpenedInput, OptionSpec, PluginError,
    Position, Result, Resumes, Services, Shares, Step, Stored, Verdict, register_input, tracing,
};

use crate::every_field::{fill_asset, fill_finding};

struct Rogue {
    act: String,
    services: Services,
    confirmed: Option<PathBuf>,
    findings: u64,
    own_columns: Option<OwnColumns>,
    steps: u32,
    /// The next step is the start of the report that is resumed.
    resumes: bool,
    runtime: tokio::runtime::Runtime,
}

register_input!(Rogue);

/// Columns that the model does not have, for the act `own-columns`.
#[derive(Clone, Copy)]
struct OwnColumns {
    owner: OwnColumn<AssetField>,
    fixes: OwnColumn<DefinitionField>,
    epss: OwnColumn<FindingField>,
}

impl OwnColumns {
    fn add_to(schema: &mut Schema) -> Result<Self> {
        Ok(Self {
            owner: schema.add_column("acme:owner", ColumnType::Text, "owner of the asset")?,
            fixes: schema.add_column("acme:fixes", ColumnType::List, "fixes")?,
            epss: schema.add_column("acme:epss", ColumnType::Decimal, "EPSS score")?,
        })
    }
}

const ACTS: &[&str] = &[
    "behave",
    "exit-in-next",
    "hang-in-open",
    "hang-in-check",
    "hang-in-next",
    "fail-stored",
    "empty-position",
    "panic-in-open",
    "panic-in-check",
    "panic-in-next",
    "panic-midway",
    "panic-in-a-thread",
    "invalid-batch",
    "invalid-rows",
    "no-vendor",
    "odd-cells",
    "own-columns",
    "long-position",
    "batch-outside-report",
    "nested-report",
    "finish-in-report",
    "idle-in-report",
    "wait-forever",
    "unavailable-midway",
    "watch",
    "every-field",
];

impl Input for Rogue {
    const NAME: &'static str = "Rogue";
    const SUMMARY: &'static str = "an input that violates the plugin contract on purpose";
    const OPTIONS: &'static [OptionSpec] = &[
        OptionSpec::choice("act", ACTS).default_text("behave").help("Simulated fault."),
        OptionSpec::path("confirmed").help("Log file of the reports that the host has confirmed."),
        OptionSpec::integer("findings", 1, 1000).default_integer(1).help("Number of findings of each asset."),
    ];

    // `group`: so that it can be in pipelines with several instances.
    const CAPABILITIES: InputCapabilities =
        InputCapabilities::NONE.resumes(Resumes::Position).ends(Ends::No).shares(Shares::Group);

    fn open(open: &Open<'_>, resume: Option<&Position>) -> Result<OpenedInput<Self>> {
        let (options, services) = (open.options, open.services);
        let act = options.text("act")?.unwrap_or_default().to_owned();
        assert!(act != "panic-in-open", "panic requested in open");
        if act == "hang-in-open" {
            std::thread::sleep(Duration::MAX);
        }
        let confirmed = options.path("confirmed")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let steps = resume.and_then(|position| position.0.first()).map_or(0, |step| u32::from(*step));
        let resumes = (1..11).contains(&steps);
        let findings = options.integer("findings")?.unwrap_or(1);
        let mut schema = Schema::default();
        let own_columns = if act == "own-columns" { Some(OwnColumns::add_to(&mut schema)?) } else { None };
        let services = services.clone();
        services.counter("opened", "calls of open").add(1);
        let rogue = Self { act, services, confirmed, findings, own_columns, steps, resumes, runtime };
        let ends = if rogue.act == "watch" { Ends::No } else { Ends::Yes };
        let opened = OpenedInput::from(rogue).with_schema(schema);
        Ok(opened.with_capabilities(Self::CAPABILITIES.ends(ends)))
    }

    fn check(&mut self) -> Result<CheckReport> {
        assert!(self.act != "panic-in-check", "panic requested in check");
        if self.act == "hang-in-check" {
            std::thread::sleep(Duration::MAX);
        }
        Ok(CheckReport::default().step("rogue", Verdict::Ok, "the rogue input is ready"))
    }

    fn next(&mut self, mut batch: BatchBuilder) -> Result<Step> {
        if std::mem::take(&mut self.resumes) {
            return Ok(Step::report_continued(start()));
        }
        self.steps += 1;
        let mut position = Position(vec![u8::try_from(self.steps).unwrap_or(u8::MAX)]);
        if self.act == "empty-position" {
            position.0.clear();
        }
        if self.act == "long-position" {
            position.0.resize(200 << 10, 0);
        }
        match (self.act.as_str(), self.steps) {
            ("exit-in-next", 3) => exit(),
            ("hang-in-next", 3) => loop {
                std::thread::sleep(Duration::MAX);
            },
            ("panic-in-next", _) | ("panic-midway", 3) => panic!("panic requested in next"),
            ("panic-in-a-thread", 3) => {
                let worker = std::thread::Builder::new().name("worker".to_owned());
                let ended =
                    worker.spawn(|| panic!("requested \"in\" a thread")).map(std::thread::JoinHandle::join);
                tracing::info!(ended = ended.is_ok(), steps = self.steps, "the thread has ended");
                self.push_findings(&mut batch);
                Ok(Step::batch(batch.finish()).at(position))
            }
            ("wait-forever", 3) => {
                self.services.sleep(Duration::from_secs(3600))?;
                Ok(Step::finished())
            }
            ("unavailable-midway", 6) if first_time(&self.services)? => {
                Err(PluginError::new(ErrorKind::Unavailable, "the source is unavailable"))
            }
            ("nested-report", 2) | (_, 1) if self.act != "batch-outside-report" => {
                tracing::info!("step {}", self.steps);
                let mut start = start();
                if self.act == "every-field" {
                    start.title = "Leak report title 4711".to_owned();
                    start.path = "in/leak-report-path-4711.xml".to_owned();
                    start.source.scanner = "Leak report scanner 4711".to_owned();
                    let details = [ReportDetail::new("target", "198.51.100.77, 198.51.100.1-198.51.100.80")];
                    start.details = details.into();
                }
                if self.act == "no-vendor" {
                    start.source.vendor.clear();
                }
                Ok(Step::report_start(start))
            }
            ("finish-in-report", 2) => Ok(Step::finished()),
            ("idle-in-report", 2) => Ok(Step::idle(Duration::from_secs(3600))),
            (_, 1..=10) => {
                // Shows that the library's own tokio works on a thread of the host.
                self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
                self.push_findings(&mut batch);
                self.services.state().put(&format!("batch:{:02}", self.steps), b"")?;
                let mut batch = batch.finish();
                if self.act == "invalid-rows" {
                    make_codes_invalid(&mut batch, self.steps);
                }
                if self.act == "invalid-batch" {
                    let shorter = batch.findings.len() - 1;
                    batch.findings = batch.findings[..shorter].to_vec().into();
                }
                Ok(Step::batch(batch).at(position))
            }
            (act, 11) => {
                let mut end = ReportEnd::default().with_complete(true);
                if act == "every-field" {
                    end.clean_assets = vec!["198.51.100.90-198.51.100.91".parse().expect("a range")];
                }
                Ok(Step::report_end(end).at(position))
            }
            ("watch", _) => Ok(Step::idle(Duration::from_secs(10))),
            _ => Ok(Step::finished()),
        }
    }

    fn stored(&mut self, stored: &Stored) -> Result<()> {
        if self.act == "fail-stored" && first_time(&self.services)? {
            return Err(PluginError::new(ErrorKind::Io, "the source cannot be moved"));
        }
        for report in &stored.reports {
            self.services.state().put(&format!("stored:{}", report.key.path), b"")?;
        }
        let Some(confirmed) = &self.confirmed else { return Ok(()) };
        let mut file =
            fs::OpenOptions::new().create(true).append(true).open(confirmed).expect("the log can be opened");
        for report in &stored.reports {
            let (outcome, dead_letters) = (report.outcome.word(), report.dead_letters);
            writeln!(file, "{} {outcome} {dead_letters}", report.key.path).expect("the log can be written");
        }
        Ok(())
    }
}

fn start() -> ReportStart {
    let source = ReportSource::new("Example", "Rogue", "rogue");
    ReportStart::default().with_path("rogue.xml").with_source(source)
}

/// Ends the process with success, as a C library may do on an error.
#[expect(clippy::disallowed_methods, reason = "this is what the host has to notice")]
fn exit() -> ! {
    std::process::exit(0)
}

fn first_time(services: &Services) -> Result<bool> {
    let seen = services.state_folder()?.join("seen");
    Ok(!seen.exists() && std::fs::write(seen, "").is_ok())
}

/// A kind, a severity and a status that this version does not know, in the batches of the steps 2 to 4.
fn make_codes_invalid(batch: &mut RawBatch2, step: u32) {
    const CODES: usize = 2;
    match step {
        2 => batch.findings[CODES] = 7,
        3 => batch.findings[CODES] |= 9 << 8,
        4 => batch.findings[CODES + 1] = 77,
        _ => {}
    }
}

impl Rogue {
    fn push_findings(&self, batch: &mut BatchBuilder) {
        let (number, act) = (self.steps, self.act.as_str());
        let is_due = |step: u32| act == "invalid-rows" && number == step;
        let mut asset = AssetRow::default();
        let address = if is_due(5) { "10.0.0.999".to_owned() } else { format!("192.0.2.{number}") };
        if !is_due(6) {
            asset.set(AssetField::Address, &address);
        }
        if act == "every-field" {
            fill_asset(&mut asset);
        }
        if act == "odd-cells" {
            asset.set(AssetField::LastScan, "yesterday");
        }
        if let Some(own) = self.own_columns {
            asset.set_own(own.owner, "team 1");
        }
        let asset = batch.push_asset(&asset, false);
        let mut definition = DefinitionRow::default();
        if !is_due(7) {
            definition.set(DefinitionField::Id, "1000");
        }
        if let Some(own) = self.own_columns {
            definition.append_own_item(own.fixes, "patch 1");
            definition.append_own_item(own.fixes, "patch 2");
        }
        let definition = batch.push_definition(&definition);
        let mut finding = FindingRow::default();
        finding.set_kind(FindingKind::Vulnerability);
        // Long enough for a checkpoint after every batch, if the pipeline sets `checkpoint: { bytes: 1 KiB }`.
        finding.set(FindingField::Result, &"x".repeat(2000));
        if act == "every-field" {
            fill_finding(&mut finding);
        }
        if let Some(own) = self.own_columns {
            // The second one is not a number.
            finding.set_own(own.epss, if number == 3 { "high" } else { "0.97" });
        }
        for port in 1..=self.findings {
            if self.findings > 1 {
                finding.set_port(u16::try_from(port).unwrap_or_default());
            }
            batch.push_finding(asset, definition, &finding);
        }
    }
}
