//! Posts the files that are made of a part file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use reqwest::Method;
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services, tracing};

use super::form::Form;
use super::part::{Entry, Index};
use crate::answer::Verdict;
use crate::delivery::Delivery;

/// Posts one report.
pub(super) struct Upload<'a> {
    pub(super) path: &'a Path,
    pub(super) form: &'a Form,
    pub(super) delivery: &'a mut Delivery,
    pub(super) services: &'a Services,
    /// The file to which refused findings are appended.
    pub(super) refused: &'a Path,
    /// A byte for each file of the report that is done: after a kill, the next one follows.
    pub(super) done: &'a Path,
}

/// If this number of single findings is refused and no file was imported, the form is wrong, not the findings.
const ALL_REFUSED: u64 = 3;

impl Upload<'_> {
    /// Posts all files, and returns the number of findings that were refused. It may be repeated.
    ///
    /// # Errors
    /// The destination does not work, or refuses the form. The part file must then be kept.
    pub(super) fn run(mut self) -> Result<u64> {
        let index = Index::read(self.path)?;
        let footer =
            index.footer.as_ref().ok_or_else(|| self.failed(&io::Error::other("it has no last line")))?;
        let file = File::open(self.path).map_err(|error| self.failed(&error))?;
        let files: u16 = footer.parts.values().sum();
        let before = fs::metadata(self.done).map_or(0, |done| done.len());
        let (mut done, mut refused) = (0_u64, Refused::default());
        self.services.phase("DefectDojo imports the report");
        for (group, count) in &footer.parts {
            let entries = index.groups.get(group).map_or(&[][..], Vec::as_slice);
            for number in 0..*count {
                done += 1;
                if done <= before {
                    continue;
                }
                self.services.progress(done - 1, Some(u64::from(files)));
                let texts = self.findings(&file, entries, *count, number)?;
                let findings: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
                let title = self.form.title(&footer.head.title, number);
                let target = Target { product: self.form.product(group), title };
                self.import(&target, footer.is_complete, &findings, &mut refused)?;
                append(self.refused, &std::mem::take(&mut refused.lines))?;
                append(self.done, b".")?;
            }
        }
        Ok(refused.count)
    }

    /// Imports these findings. If one of them is refused, both halves are imported without closing anything.
    fn import(
        &mut self,
        target: &Target,
        may_close: bool,
        findings: &[&[u8]],
        refused: &mut Refused,
    ) -> Result<()> {
        match self.post(target, may_close, findings)? {
            None => refused.has_delivered = true,
            Some(reason) if findings.len() <= 1 => self.refuse(target, findings, reason, refused)?,
            Some(_) => {
                let (first, second) = findings.split_at(findings.len() / 2);
                self.import(target, false, first, refused)?;
                self.import(target, false, second, refused)?;
            }
        }
        Ok(())
    }

    /// Posts these findings. Returns why they were refused, if they were.
    fn post(&mut self, target: &Target, may_close: bool, findings: &[&[u8]]) -> Result<Option<String>> {
        let body = self.form.body(&target.product, &target.title, may_close, findings);
        let url = self.delivery.url().clone();
        let response = self.delivery.exchange(Method::POST, url, &[], body)?;
        match self.delivery.judge.verdict(&response, &[]) {
            Verdict::Delivered(_) | Verdict::Each(_) => Ok(None),
            Verdict::Invalid(reason) | Verdict::TooLarge(reason) | Verdict::Names(_, reason) => {
                Ok(Some(reason))
            }
            Verdict::Login(error) | Verdict::Failed(error) => Err(error),
        }
    }

    fn refuse(
        &self,
        target: &Target,
        findings: &[&[u8]],
        reason: String,
        refused: &mut Refused,
    ) -> Result<()> {
        let Some(finding) = findings.first() else {
            // An empty file closes what was found earlier.
            return Err(PluginError::new(
                ErrorKind::Rejected,
                format!("a file without findings is refused: {reason}"),
            ));
        };
        let Target { product, title } = target;
        tracing::warn!(product, test = title, "finding refused by DefectDojo: {reason}");
        let line = serde_json::json!({
            "reason": reason,
            "product_name": product,
            "test_title": title,
            "finding": serde_json::from_slice::<serde_json::Value>(finding).unwrap_or_default(),
        });
        refused.lines.extend_from_slice(format!("{line}\n").as_bytes());
        refused.count += 1;
        if !refused.has_delivered && refused.count == ALL_REFUSED {
            return Err(PluginError::config(format!(
                "each of the first {ALL_REFUSED} findings is refused: {reason}"
            ))
            .with_hint("DefectDojo refuses this form of findings; check its version, and the message"));
        }
        Ok(())
    }

    /// The findings of the file with this number.
    fn findings(&self, file: &File, entries: &[Entry], count: u16, number: u16) -> Result<Vec<Vec<u8>>> {
        let is_in_file = |entry: &&Entry| u16::from(entry.bucket) % count == number;
        let read = |entry: &Entry| {
            let mut finding = vec![0; entry.length as usize];
            file.read_exact_at(&mut finding, entry.offset).map_err(|error| self.failed(&error))?;
            Ok(finding)
        };
        entries.iter().filter(is_in_file).map(read).collect()
    }

    fn failed(&self, error: &io::Error) -> PluginError {
        PluginError::of_file(ErrorKind::Io, "read", self.path, error)
    }
}

/// Appends to a file that only its owner can read.
fn append(path: &Path, bytes: &[u8]) -> Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(|error| PluginError::of_file(ErrorKind::Io, "write", path, &error))
}

/// Where a file goes.
struct Target {
    product: String,
    title: String,
}

/// Findings that are refused.
#[derive(Default)]
struct Refused {
    /// Those of the current file, one per line.
    lines: Vec<u8>,
    count: u64,
    has_delivered: bool,
}
