//! Lists that the API returns: stored reports, scans, report templates, assets.

use std::io::Read;

use crate::markup::{Visitor, visit};
use crate::reply::clean;

/// One `REPORT` of a `REPORT_LIST_OUTPUT`. Missing values are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredReport {
    /// Its number.
    pub id: String,
    /// Its title.
    pub title: String,
    /// When it was launched, by the clock of Qualys.
    pub launched: String,
    /// XML, PDF, CSV …
    pub format: String,
    /// Running, Finished, Submitted, Canceled, Errors.
    pub state: String,
    /// The message that explains the state.
    pub message: String,
    /// Progress in percent while it is running.
    pub percent: String,
    /// Size with unit: `129.1 MB`.
    pub size: String,
}

/// One `SCAN_REPORT` of a `SCAN_REPORT_LIST`. Missing values are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredScan {
    /// Reference for the download: `scan/1234567890.12345`.
    pub reference: String,
    /// When it was created.
    pub date: String,
    /// FINISHED, RUNNING, CANCELED, …
    pub status: String,
    /// Its title.
    pub title: String,
    /// The scanned addresses.
    pub target: String,
    /// The title of the option profile.
    pub option_profile: String,
}

/// A `HOST_LIST_OUTPUT`, which contains either numbers or assets. Missing values are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssetList {
    /// When it was made, by the clock of Qualys.
    pub time: String,
    /// First and last number of each range; equal for a single asset.
    pub ranges: Vec<(u64, u64)>,
    /// The code of the warning, if there is one.
    pub warning: String,
    /// The URL of the rest of the list.
    pub next: String,
}

/// Why a list is not usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListFault {
    /// It is incomplete or larger than 64 MiB.
    #[error("is truncated or invalid")]
    Truncated,
    /// It has too many entries.
    #[error("has more than {MAX_ENTRIES} entries")]
    TooLong,
}

/// More than an account has. All entries are in memory.
const MAX_ENTRIES: usize = 50_000;

/// Reads a `REPORT_LIST_OUTPUT`.
///
/// # Errors
/// No part of an incomplete list is used, because any entry may be missing.
pub fn read_reports(source: impl Read) -> Result<Vec<StoredReport>, ListFault> {
    read(source, Reports::default(), |reports| reports.0)
}

/// Reads a `SCAN_REPORT_LIST`.
///
/// # Errors
/// As [`read_reports`].
pub fn read_scans(source: impl Read) -> Result<Vec<StoredScan>, ListFault> {
    read(source, Scans::default(), |scans| scans.0)
}

/// Reads the number and title of each template of a `REPORT_TEMPLATE_LIST`.
///
/// # Errors
/// As [`read_reports`].
pub fn read_templates(source: impl Read) -> Result<Vec<(String, String)>, ListFault> {
    read(source, Templates::default(), |templates| templates.0)
}

/// Reads the numbers of the assets of a `HOST_LIST_OUTPUT`. Of a range of numbers, only the first is returned.
///
/// # Errors
/// As [`read_reports`].
pub fn read_asset_numbers(source: impl Read) -> Result<Vec<u64>, ListFault> {
    Ok(read_assets(source)?.ranges.into_iter().map(|(first, _)| first).collect())
}

/// Reads a `HOST_LIST_OUTPUT`.
///
/// # Errors
/// As [`read_reports`].
pub fn read_assets(source: impl Read) -> Result<AssetList, ListFault> {
    let mut list = AssetList::default();
    if !visit(source, &mut list) {
        return Err(ListFault::Truncated);
    }
    if list.ranges.len() > MAX_ENTRIES { Err(ListFault::TooLong) } else { Ok(list) }
}

fn read<V: Visitor, T>(
    source: impl Read,
    mut visitor: V,
    entries: impl FnOnce(V) -> Vec<T>,
) -> Result<Vec<T>, ListFault> {
    if !visit(source, &mut visitor) {
        return Err(ListFault::Truncated);
    }
    let entries = entries(visitor);
    if entries.len() > MAX_ENTRIES { Err(ListFault::TooLong) } else { Ok(entries) }
}

/// Adds at most one entry above the limit, which is enough to detect that the list is too long.
fn push<T>(entries: &mut Vec<T>, entry: T) {
    if entries.len() <= MAX_ENTRIES {
        entries.push(entry);
    }
}

impl Visitor for AssetList {
    fn open(&mut self, _: &str, _: &[(String, String)]) {}

    fn close(&mut self, path: &str, text: &str) {
        let text = text.trim();
        let range = match path.rsplit_once('/') {
            Some((parent, "DATETIME")) if parent.ends_with("/RESPONSE") => {
                return text.clone_into(&mut self.time);
            }
            Some((parent, "CODE")) if parent.ends_with("/WARNING") => {
                return text.clone_into(&mut self.warning);
            }
            Some((parent, "URL")) if parent.ends_with("/WARNING") => return text.clone_into(&mut self.next),
            Some((parent, "ID")) if parent.ends_with("/ID_SET") || parent.ends_with("/HOST_LIST/HOST") => {
                (text, text)
            }
            Some((parent, "ID_RANGE")) if parent.ends_with("/ID_SET") => {
                text.split_once('-').unwrap_or((text, text))
            }
            _ => return,
        };
        if let (Ok(first), Ok(last)) = (range.0.trim().parse(), range.1.trim().parse()) {
            push(&mut self.ranges, (first, last));
        }
    }
}

#[derive(Default)]
struct Reports(Vec<StoredReport>);

impl Visitor for Reports {
    fn open(&mut self, path: &str, _: &[(String, String)]) {
        if path.ends_with("REPORT_LIST/REPORT") {
            push(&mut self.0, StoredReport::default());
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

/// The scans, and the name of the last `KEY`.
#[derive(Default)]
struct Scans(Vec<StoredScan>, String);

impl Visitor for Scans {
    fn open(&mut self, path: &str, attributes: &[(String, String)]) {
        let value = |key| {
            let found = attributes.iter().find(|(name, _)| name == key);
            found.map(|(_, value)| clean(value)).unwrap_or_default()
        };
        if path.ends_with("/SCAN_REPORT") {
            let (reference, date, status) = (value("ref"), value("date"), value("status"));
            let scan =
                StoredScan { reference, date, status, target: value("target"), ..StoredScan::default() };
            push(&mut self.0, scan);
        } else if path.ends_with("/SCAN_REPORT/KEY") {
            self.1 = value("value");
        }
    }

    fn close(&mut self, path: &str, text: &str) {
        let (Some(scan), Some((_, inner))) = (self.0.last_mut(), path.split_once("/SCAN_REPORT/")) else {
            return;
        };
        let slot = match inner {
            "TITLE" => &mut scan.title,
            "KEY" if self.1.eq_ignore_ascii_case("title") => &mut scan.title,
            "OPTION_PROFILE/OPTION_PROFILE_TITLE" => &mut scan.option_profile,
            _ => return,
        };
        *slot = clean(text);
    }
}

#[derive(Default)]
struct Templates(Vec<(String, String)>);

impl Visitor for Templates {
    fn open(&mut self, path: &str, _: &[(String, String)]) {
        if path == "REPORT_TEMPLATE_LIST/REPORT_TEMPLATE" {
            push(&mut self.0, <(String, String)>::default());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_size_is_limited() {
        let list = |entry: &str, times: usize| {
            format!("<SCAN_REPORT_LIST>{}</SCAN_REPORT_LIST>", entry.repeat(times))
        };
        let entry = "<SCAN_REPORT ref='scan/1.1'/>";
        assert_eq!(read_scans(list(entry, 50_000).as_bytes()).unwrap().len(), 50_000);
        assert_eq!(read_scans(list(entry, 50_001).as_bytes()), Err(ListFault::TooLong));
        let attribute = format!("<SCAN_REPORT ref='{}'/>", "x".repeat(1 << 20));
        let doctype = format!("<!DOCTYPE x [{}]>{}", "<!ENTITY a 'b'>".repeat(1 << 16), list(entry, 1));
        let attributes: String = (0..60_000).map(|number| format!(" a{number}=''")).collect();
        let attributes = list(&format!("<SCAN_REPORT{attributes}/>"), 1);
        let deep = "<a>".repeat(1 << 20);
        for hostile in [list(&attribute, 1), doctype, attributes, deep] {
            assert_eq!(read_scans(hostile.as_bytes()), Err(ListFault::Truncated));
        }
    }

    #[test]
    fn title_of_a_scan_is_an_element_or_a_key() {
        let list = "<SCAN_REPORT_LIST><SCAN_REPORT ref='scan/1' date='2026-01-31T12:00:00Z' target='192.0.2.1' \
                    status='FINISHED'><KEY value='USERNAME'>x</KEY><KEY value='TITLE'>Weekly</KEY><OPTION_PROFILE>\
                    <OPTION_PROFILE_TITLE>all ports</OPTION_PROFILE_TITLE></OPTION_PROFILE></SCAN_REPORT>\
                    <SCAN_REPORT ref='scan/2'><TITLE><![CDATA[A & B]]></TITLE></SCAN_REPORT></SCAN_REPORT_LIST>";
        let scans = read_scans(list.as_bytes()).unwrap();
        let StoredScan { title, target, option_profile, .. } = &scans[0];
        assert_eq!(
            (title.as_str(), target.as_str(), option_profile.as_str()),
            ("Weekly", "192.0.2.1", "all ports")
        );
        assert_eq!((scans[1].reference.as_str(), scans[1].title.as_str()), ("scan/2", "A & B"));
    }

    #[test]
    fn asset_numbers_from_ids_ranges_and_host_entries() {
        for (list, numbers) in [
            ("<ID_SET><ID>7</ID><ID_RANGE>9-12</ID_RANGE><ID>x</ID></ID_SET>", &[7, 9][..]),
            ("<HOST_LIST><HOST><ID>3</ID><IP>192.0.2.1</IP></HOST></HOST_LIST>", &[3]),
            ("", &[]),
        ] {
            let list = format!("<HOST_LIST_OUTPUT><RESPONSE>{list}</RESPONSE></HOST_LIST_OUTPUT>");
            assert_eq!(read_asset_numbers(list.as_bytes()).as_deref(), Ok(numbers));
            assert_eq!(read_asset_numbers(&list.as_bytes()[..list.len() - 1]), Err(ListFault::Truncated));
        }
    }

    #[test]
    fn asset_list_names_its_time_and_its_rest() {
        let list = "<HOST_LIST_OUTPUT><RESPONSE><DATETIME>2026-04-01T00:00:01Z</DATETIME><ID_SET><ID>7</ID>\
                    <ID_RANGE>9-12</ID_RANGE></ID_SET><WARNING><CODE>1980</CODE><TEXT>t</TEXT>\
                    <URL><![CDATA[\nhttps://q.example.com/?id_min=13\n]]></URL></WARNING></RESPONSE></HOST_LIST_OUTPUT>";
        let expected = AssetList {
            time: "2026-04-01T00:00:01Z".to_owned(),
            ranges: vec![(7, 7), (9, 12)],
            warning: "1980".to_owned(),
            next: "https://q.example.com/?id_min=13".to_owned(),
        };
        assert_eq!(read_assets(list.as_bytes()), Ok(expected));
    }
}
