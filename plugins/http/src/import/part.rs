//! The part file of a report, and how its findings are split into files for the destination.
//!
//! Each line has the bucket of a finding, its asset group as JSON and the finding as JSON, separated by tabs. The last line is
//! the [`Footer`].
//!
//! A file for the destination has the findings of one asset group whose bucket, modulo the number of files, is the number of
//! the file. Each file has a test of its own at the destination: the import of one file must not close findings of another one.
//! The number of files is a power of two and never shrinks, so that a finding that moves to another file is closed in its old
//! test and opened in the new one by the same delivery.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest as sha2};
use scanbridge_json_records::push_text;
use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{ErrorKind, PluginError, Result};
use serde::{Deserialize, Serialize};

use crate::settings::Limits;

/// The number of files of each asset group.
pub(super) type Parts = BTreeMap<String, u16>;

/// Buckets of findings, and the maximum number of files of an asset group.
const BUCKETS: u16 = 256;

/// What is known of the report.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Head {
    /// Title, ID or file name of the report.
    pub(super) title: String,
}

impl Head {
    pub(super) fn of(report: &ReportStart) -> Self {
        let file = Path::new(&report.path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let title = [report.title.as_str(), &report.id, file].into_iter().find(|text| !text.is_empty());
        Self { title: title.unwrap_or("report").to_owned() }
    }
}

/// The last line of a part file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Footer {
    #[serde(flatten)]
    pub(super) head: Head,
    /// Whether findings that the report does not have may be closed.
    pub(super) is_complete: bool,
    pub(super) parts: Parts,
}

impl Footer {
    pub(super) fn line(&self) -> Vec<u8> {
        let mut line = b"\t".to_vec();
        line.extend_from_slice(serde_json::json!(self).to_string().as_bytes());
        line.push(b'\n');
        line
    }
}

/// Appends the line of a finding.
pub(super) fn append_line(out: &mut Vec<u8>, bucket: u8, group: &str, finding: &[u8]) {
    out.extend_from_slice(bucket.to_string().as_bytes());
    out.push(b'\t');
    push_text(out, group);
    out.push(b'\t');
    out.extend_from_slice(finding);
    out.push(b'\n');
}

/// The bucket of the finding with this ID.
pub(super) fn bucket(id: &str) -> u8 {
    sha2(&SHA256, id.as_bytes()).as_ref()[0]
}

/// A digest for the key of a text, as hexadecimal digits.
pub(super) fn digest(text: &str) -> String {
    sha2(&SHA256, text.as_bytes()).as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where a finding is in a part file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) bucket: u8,
}

/// The findings of a part file by asset group: 16 bytes of memory for each.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) groups: BTreeMap<String, Vec<Entry>>,
    /// `None` while the report is being written.
    pub(super) footer: Option<Footer>,
}

impl Index {
    /// # Errors
    /// [`ErrorKind::Io`] if the file cannot be read or is damaged.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let failed = |error: io::Error| PluginError::of_file(ErrorKind::Io, "read", path, &error);
        let mut file = BufReader::new(File::open(path).map_err(failed)?);
        let (mut index, mut line, mut offset) = (Self::default(), Vec::new(), 0_u64);
        while file.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            index
                .add(&line, offset)
                .ok_or_else(|| failed(io::Error::other(format!("the line at byte {offset} is damaged"))))?;
            offset += line.len() as u64;
            line.clear();
        }
        Ok(index)
    }

    fn add(&mut self, line: &[u8], offset: u64) -> Option<()> {
        let text = std::str::from_utf8(line).ok()?;
        let (bucket, rest) = text.strip_suffix('\n')?.split_once('\t')?;
        if bucket.is_empty() {
            self.footer = Some(serde_json::from_str(rest).ok()?);
            return Some(());
        }
        let (group, finding) = rest.split_once('\t')?;
        let group: String = serde_json::from_str(group).ok()?;
        let start = text.len() - 1 - finding.len();
        let entry = Entry {
            offset: offset + start as u64,
            length: u32::try_from(finding.len()).ok()?,
            bucket: bucket.parse().ok()?,
        };
        self.groups.entry(group).or_default().push(entry);
        Some(())
    }
}

/// The number of files of each asset group: at least that of earlier reports. A group without findings has files only if the
/// report is complete: they close what was found earlier.
pub(super) fn plan(index: &Index, limits: Limits, known: Parts, is_complete: bool) -> Parts {
    let mut parts = known;
    if !is_complete {
        parts.retain(|group, _| index.groups.contains_key(group));
    }
    for (group, entries) in &index.groups {
        let count = parts.entry(group.clone()).or_insert(1);
        *count = (*count).clamp(1, BUCKETS).next_power_of_two();
        while *count < BUCKETS && !fits(entries, *count, limits) {
            *count *= 2;
        }
    }
    parts
}

fn fits(entries: &[Entry], count: u16, limits: Limits) -> bool {
    let mut sizes = vec![(0_usize, 0_usize); usize::from(count)];
    for entry in entries {
        let size = &mut sizes[usize::from(u16::from(entry.bucket) % count)];
        size.0 += 1;
        size.1 += entry.length as usize + 1;
    }
    sizes.iter().all(|(findings, bytes)| *findings <= limits.records && *bytes <= limits.bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits(records: usize, bytes: usize) -> Limits {
        Limits { records, bytes, delay: Duration::ZERO, interval: Duration::ZERO }
    }

    fn index(findings: usize) -> Index {
        let mut index = Index::default();
        for number in 0..findings {
            let mut line = Vec::new();
            append_line(&mut line, bucket(&number.to_string()), "a\tb", b"{\"title\":\"t\"}");
            index.add(&line, 100).unwrap();
        }
        index
    }

    #[test]
    fn line_tells_where_its_finding_is() {
        let mut line = Vec::new();
        append_line(&mut line, 7, "DMZ \"1\"\n", b"{}");
        let mut index = Index::default();
        index.add(&line, 100).unwrap();
        let entry = index.groups["DMZ \"1\"\n"][0];
        let start = usize::try_from(entry.offset - 100).unwrap();
        assert_eq!((&line[start..start + entry.length as usize], entry.bucket), (&b"{}"[..], 7));
        for damaged in
            [&b"7\t\"a\"\t{}"[..], b"7\ta\t{}\n", b"300\t\"a\"\t{}\n", b"\n", b"\t{}\n", b"7\t\"a\"\n"]
        {
            assert_eq!(index.add(damaged, 0), None, "{damaged:?}");
        }
    }

    #[test]
    fn files_are_as_many_as_needed_and_never_fewer_than_before() {
        let group = "a\tb";
        for (findings, limits, expected) in [
            (10, limits(10, 9999), 1),
            (100, limits(40, 9999), 4),
            (100, limits(999, 500), 4),
            (600, limits(1, 1), 256),
        ] {
            let parts = plan(&index(findings), limits, Parts::new(), true);
            assert_eq!(parts[group], expected, "{findings}");
        }
        let known: Parts = [(group.to_owned(), 8), ("gone".to_owned(), 2)].into();
        assert_eq!(plan(&index(1), limits(10, 9999), known.clone(), true), known);
        let partial = plan(&index(1), limits(10, 9999), known, false);
        assert_eq!(partial, [(group.to_owned(), 8)].into(), "nothing is closed");
    }
}
