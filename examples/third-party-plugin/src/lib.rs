//! An output that writes a summary of each report in Markdown.
//!
//! It counts findings while the report is delivered, and writes one small file when the report ends. Its memory grows
//! only with the number of assets that have vulnerabilities.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{FindingKind, ReportEnd, ReportStart, Severity};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, ErrorKind, Open, OpenedOutput, OptionSpec, Output, PluginError,
    Receipt, Result, Verdict, Written, export_plugin, register_output, tracing,
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
    const SUMMARY: &'static str = "a summary of each report as a Markdown file";
    const OPTIONS: &'static [OptionSpec] = &[
        OptionSpec::path("path").required().help("Output file; each report replaces it."),
        OptionSpec::integer("worst", 0, 1_000)
            .default_integer(10)
            .help("Maximum number of assets listed; those with the most vulnerabilities first."),
    ];

    fn open(open: &Open<'_>, _: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        let markdown = Self {
            path: open.options.path("path")?.unwrap_or_default(),
            worst: open.options.integer("worst")?.unwrap_or_default(),
            title: String::new(),
            by_severity: [0; 6],
            by_asset: HashMap::new(),
        };
        Ok(markdown.into())
    }

    fn check(&mut self) -> Result<CheckReport> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let report = CheckReport::default();
        Ok(match folder {
            Some(folder) if !folder.is_dir() => {
                report.step("folder", Verdict::Failed, format!("{} is not a directory", folder.display()))
            }
            _ => report.step("folder", Verdict::Ok, "exists"),
        })
    }

    fn begin(&mut self, report: &ReportStart, _: Begin) -> Result<()> {
        self.title = if report.title.is_empty() { report.path.clone() } else { report.title.clone() };
        self.clear();
        Ok(())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        let mut written = Written::default();
        for finding in batch.findings() {
            if finding.kind() != FindingKind::Vulnerability {
                written.left_out.push(finding.row());
                continue;
            }
            let severity = finding.severity().map_or(0, Severity::number);
            self.by_severity[usize::from(severity)] += 1;
            let address = finding.asset().address();
            // Looked up by reference first, so that the address is copied once per asset, not once per finding.
            match self.by_asset.get_mut(address) {
                Some(count) => *count += 1,
                None => drop(self.by_asset.insert(address.to_owned(), 1)),
            }
        }
        Ok(written)
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        let text = self.digest();
        self.clear();
        if !end.deliver {
            tracing::warn!("the report is incomplete; no summary was written");
            return Ok(Written::default());
        }
        fs::write(&self.path, &text).map_err(|error| {
            PluginError::new(
                ErrorKind::CannotCreate,
                format!("cannot write {}: {error}", self.path.display()),
            )
            .with_hint("create its directory, or set another file with `path`")
        })?;
        Ok(Written::default().with_bytes(text.len() as u64))
    }

    /// Has nothing to make durable: the counts are in memory. This output declares no way to resume, so the host sends an
    /// interrupted report again from its start.
    fn commit(&mut self, _: CommitPoint) -> Result<Committed> {
        Ok(Committed::default())
    }
}

impl Markdown {
    fn clear(&mut self) {
        self.by_severity = [0; 6];
        self.by_asset.clear();
    }

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

/// Report texts are untrusted: line breaks and vertical bars would break the table.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r', '|'], " ")
}

register_output!(Markdown);
export_plugin!();

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::{OpenFrame, Options, Services};

    use super::*;

    #[test]
    fn each_report_has_its_own_counts() {
        let options = Options::read(Markdown::OPTIONS, br#"{"path": "digest.md"}"#).unwrap();
        let (services, frame) = (Services::without_host(&std::env::temp_dir()), OpenFrame::default());
        let mut output = Markdown::open(&Open::new(&options, &services, &frame), None).unwrap().plugin;
        output.by_severity = [0, 0, 0, 1, 0, 2];
        output.by_asset.insert("192.0.2.10".to_owned(), 3);
        assert!(output.digest().contains("| 5 | 2 |") && output.digest().contains("| 192.0.2.10 | 3 |"));
        output.begin(&ReportStart::default(), Begin::NEW).unwrap();
        assert_eq!((output.by_severity, output.by_asset.len()), ([0; 6], 0));
        assert_eq!(output.commit(CommitPoint::InReport).unwrap(), Committed::default());
    }
}
