//! An output that writes a digest of each report in Markdown.
//!
//! It gathers counts while the report flows by and writes its one small file when the report ends, so that its
//! memory grows with the number of assets that have vulnerabilities and with nothing else.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{FindingKind, ReportEnd, ReportStart, Severity};
use scanbridge_plugin_api::{
    CheckReport, ErrorKind, OptionSpec, Options, Output, PluginError, Receipt, Result, Services, Verdict, Written,
    export_plugin, register_output, tracing,
};

/// The output `Markdown`.
pub struct Markdown {
    path: PathBuf,
    worst: usize,
    title: String,
    by_severity: [u64; 6],
    by_asset: HashMap<String, u64>,
}

impl Output for Markdown {
    const NAME: &'static str = "Markdown";
    const SUMMARY: &'static str = "a digest of each report as a Markdown file";
    const OPTIONS: &'static [OptionSpec] = &[
        OptionSpec::path("path").required().help("the file to write; each report replaces it"),
        OptionSpec::integer("worst", 0, 1_000).default_integer(10).help("how many of the worst assets are listed"),
    ];

    fn open(options: &Options, _: &Services, _: Option<&Receipt>) -> Result<Self> {
        Ok(Self {
            path: options.path("path")?.unwrap_or_default(),
            worst: options.integer("worst")?.unwrap_or_default(),
            title: String::new(),
            by_severity: [0; 6],
            by_asset: HashMap::new(),
        })
    }

    fn check(&mut self) -> Result<CheckReport> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let report = CheckReport::default();
        Ok(match folder {
            Some(folder) if !folder.is_dir() => {
                report.step("folder", Verdict::Failed, format!("{} is no folder", folder.display()))
            }
            _ => report.step("folder", Verdict::Ok, "is there"),
        })
    }

    fn begin(&mut self, report: &ReportStart) -> Result<()> {
        self.title = if report.title.is_empty() { report.path.clone() } else { report.title.clone() };
        self.by_severity = [0; 6];
        self.by_asset.clear();
        Ok(())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        for finding in batch.findings().filter(|finding| finding.kind() == FindingKind::Vulnerability) {
            let severity = finding.severity().map_or(0, Severity::number);
            self.by_severity[usize::from(severity)] += 1;
            let address = finding.asset().address();
            // Asked for by reference first: the name is copied once an asset, not once a finding.
            match self.by_asset.get_mut(address) {
                Some(count) => *count += 1,
                None => drop(self.by_asset.insert(address.to_owned(), 1)),
            }
        }
        Ok(Written::default())
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        if !end.deliver {
            tracing::warn!("no digest of an incomplete report");
            return Ok(Written::default());
        }
        let text = self.digest();
        fs::write(&self.path, &text).map_err(|error| {
            PluginError::new(ErrorKind::CannotCreate, format!("cannot write {}: {error}", self.path.display()))
                .with_hint("make its folder, or name another file with `path`")
        })?;
        Ok(Written { bytes: text.len() as u64, ..Written::default() })
    }

    fn commit(&mut self) -> Result<Receipt> {
        Ok(Receipt::default())
    }
}

impl Markdown {
    fn digest(&self) -> String {
        let mut text = format!("# {}\n\n| severity | vulnerabilities |\n|---|---|\n", one_line(&self.title));
        for severity in (1..=5).rev() {
            let _ = writeln!(text, "| {severity} | {} |", self.by_severity[severity]);
        }
        let mut worst: Vec<(&String, &u64)> = self.by_asset.iter().collect();
        worst.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        if self.worst > 0 && !worst.is_empty() {
            text += "\n| asset | vulnerabilities |\n|---|---|\n";
        }
        for (address, count) in worst.into_iter().take(self.worst) {
            let _ = writeln!(text, "| {} | {count} |", one_line(address));
        }
        text
    }
}

/// Report texts are somebody else's: no line break or bar may leave its cell.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r', '|'], " ")
}

register_output!(Markdown);
export_plugin!();
