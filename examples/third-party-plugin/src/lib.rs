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
    CheckReport, ErrorKind, OptionSpec, Options, Output, PluginError, Receipt, Result, Services, Verdict,
    Written, export_plugin, register_output, tracing,
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

    fn open(options: &Options, _: &Services, receipt: Option<&Receipt>) -> Result<Self> {
        let mut digest = Self {
            path: options.path("path")?.unwrap_or_default(),
            worst: options.integer("worst")?.unwrap_or_default(),
            title: String::new(),
            by_severity: [0; 6],
            by_asset: HashMap::new(),
        };
        if let Some(receipt) = receipt {
            digest.restore(&receipt.0)?;
        }
        Ok(digest)
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

    fn begin(&mut self, report: &ReportStart) -> Result<()> {
        self.title = if report.title.is_empty() { report.path.clone() } else { report.title.clone() };
        // For the rest of an interrupted report, the counts of its beginning come from the receipt.
        if !report.continued {
            self.clear();
        }
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
        Ok(Written { bytes: text.len() as u64, ..Written::default() })
    }

    /// The counts of the current report. The files of earlier reports are written already.
    fn commit(&mut self) -> Result<Receipt> {
        Ok(Receipt(self.counts().into_bytes()))
    }
}

impl Markdown {
    fn clear(&mut self) {
        self.by_severity = [0; 6];
        self.by_asset.clear();
    }

    /// The counts as text: one line with the counts by severity, then one line per asset. Empty if nothing was counted.
    fn counts(&self) -> String {
        if self.by_asset.is_empty() {
            return String::new();
        }
        let by_severity = self.by_severity.map(|count| count.to_string()).join(" ");
        let by_asset =
            self.by_asset.iter().map(|(address, count)| format!("\n{count} {}", one_line(address)));
        by_severity + &by_asset.collect::<String>()
    }

    fn restore(&mut self, counts: &[u8]) -> Result<()> {
        if counts.is_empty() {
            return Ok(());
        }
        let read = || -> Option<([u64; 6], HashMap<String, u64>)> {
            let mut lines = std::str::from_utf8(counts).ok()?.split('\n');
            let by_severity =
                lines.next()?.split(' ').map(str::parse).collect::<std::result::Result<Vec<u64>, _>>();
            let by_asset = lines.map(|line| {
                let (count, address) = line.split_once(' ')?;
                Some((address.to_owned(), count.parse().ok()?))
            });
            Some((by_severity.ok()?.try_into().ok()?, by_asset.collect::<Option<_>>()?))
        };
        (self.by_severity, self.by_asset) = read().ok_or_else(|| {
            PluginError::config("cannot resume: the saved counts of the interrupted run are invalid")
                .with_hint("run `scanbridge run --restart` to start from the beginning")
        })?;
        Ok(())
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
    use super::*;

    /// Opens the output as the host does: with the receipt of the last commit.
    fn open(receipt: Option<&Receipt>) -> Result<Markdown> {
        let options = Options::read(Markdown::OPTIONS, br#"{"path": "digest.md"}"#)?;
        Markdown::open(&options, &Services::without_host(&std::env::temp_dir()), receipt)
    }

    #[test]
    fn resumed_report_keeps_its_counts_and_new_report_has_none() {
        let mut first = open(None).unwrap();
        first.by_severity = [0, 0, 0, 1, 0, 2];
        first.by_asset.insert("192.0.2.10".to_owned(), 3);
        let receipt = first.commit().unwrap();
        let mut next = open(Some(&receipt)).unwrap();
        next.begin(&ReportStart { continued: true, ..ReportStart::default() }).unwrap();
        assert_eq!((next.by_severity, &next.by_asset), (first.by_severity, &first.by_asset));
        next.begin(&ReportStart::default()).unwrap();
        assert_eq!(next.commit().unwrap(), Receipt::default());
        assert!(open(Some(&Receipt(b"1 2\nno count".to_vec()))).is_err());
    }
}
