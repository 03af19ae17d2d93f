//! Lists: stored reports, finished scans, report templates.

use std::io::Read;

use super::markup::{Visitor, visit};
use super::reply::clean;

/// One `REPORT` of a `REPORT_LIST_OUTPUT`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StoredReport {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) launched: String,
    pub(crate) format: String,
    /// Running, Finished, Submitted, Canceled, Errors.
    pub(crate) state: String,
    pub(crate) message: String,
    pub(crate) percent: String,
    pub(crate) size: String,
}

/// One `SCAN_REPORT` of a `SCAN_REPORT_LIST`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) reference: String,
    pub(crate) date: String,
    pub(crate) status: String,
}

/// A list that was read to its end; `None` when it was cut.
pub(crate) fn read_reports(source: impl Read) -> Option<Vec<StoredReport>> {
    let mut reports = Reports::default();
    visit(source, &mut reports).then_some(reports.0)
}

/// As [`read_reports`].
pub(crate) fn read_scans(source: impl Read) -> Option<Vec<Scan>> {
    let mut scans = Scans::default();
    visit(source, &mut scans).then_some(scans.0)
}

/// Number and title of each template, as [`read_reports`].
pub(crate) fn read_templates(source: impl Read) -> Option<Vec<(String, String)>> {
    let mut templates = Templates::default();
    visit(source, &mut templates).then_some(templates.0)
}

/// The numbers of assets in a `HOST_LIST_OUTPUT`, which has a list of them or of assets.
pub(crate) fn read_asset_numbers(source: impl Read) -> Vec<u64> {
    let mut numbers = Numbers::default();
    visit(source, &mut numbers);
    numbers.0
}

#[derive(Default)]
struct Numbers(Vec<u64>);

impl Visitor for Numbers {
    fn open(&mut self, _: &str, _: &[(String, String)]) {}

    fn close(&mut self, path: &str, text: &str) {
        if path.ends_with("/ID_SET/ID") || path.ends_with("/HOST_LIST/HOST/ID") {
            self.0.extend(text.parse::<u64>());
        } else if path.ends_with("/ID_SET/ID_RANGE") {
            self.0.extend(text.split('-').next().and_then(|first| first.trim().parse::<u64>().ok()));
        }
    }
}

#[derive(Default)]
struct Reports(Vec<StoredReport>);

impl Visitor for Reports {
    fn open(&mut self, path: &str, _: &[(String, String)]) {
        if path.ends_with("REPORT_LIST/REPORT") {
            self.0.push(StoredReport::default());
        }
    }

    fn close(&mut self, path: &str, text: &str) {
        let (Some(report), Some((_, inner))) = (self.0.last_mut(), path.split_once("REPORT_LIST/REPORT/"))
        else {
            return;
        };
        let slot = match inner {
            "ID" => &mut report.id,
            "TITLE" => &mut report.title,
            "LAUNCH_DATETIME" => &mut report.launched,
            "OUTPUT_FORMAT" => &mut report.format,
            "SIZE" => &mut report.size,
            "STATUS/STATE" => &mut report.state,
            "STATUS/MESSAGE" => &mut report.message,
            "STATUS/PERCENT" => &mut report.percent,
            _ => return,
        };
        *slot = clean(text);
    }
}

#[derive(Default)]
struct Scans(Vec<Scan>);

impl Visitor for Scans {
    fn open(&mut self, path: &str, attributes: &[(String, String)]) {
        if path.ends_with("/SCAN_REPORT") {
            let value = |key| {
                let found = attributes.iter().find(|(name, _)| name == key);
                found.map(|(_, value)| clean(value)).unwrap_or_default()
            };
            self.0.push(Scan { reference: value("ref"), date: value("date"), status: value("status") });
        }
    }

    fn close(&mut self, _: &str, _: &str) {}
}

#[derive(Default)]
struct Templates(Vec<(String, String)>);

impl Visitor for Templates {
    fn open(&mut self, path: &str, _: &[(String, String)]) {
        if path == "REPORT_TEMPLATE_LIST/REPORT_TEMPLATE" {
            self.0.push(<(String, String)>::default());
        }
    }

    fn close(&mut self, path: &str, text: &str) {
        let Some(template) = self.0.last_mut() else { return };
        match path {
            "REPORT_TEMPLATE_LIST/REPORT_TEMPLATE/ID" => template.0 = clean(text),
            "REPORT_TEMPLATE_LIST/REPORT_TEMPLATE/TITLE" => template.1 = clean(text),
            _ => {}
        }
    }
}
