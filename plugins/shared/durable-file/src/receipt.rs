//! The content of a receipt: one line of JSON, followed by the plugin's own bytes.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{PluginError, Receipt, Result};
use serde::{Deserialize, Serialize};

use crate::target::Target;

/// What the run has done so far. About 200 bytes, and 100 more for each published file, up to [`PUBLISHED_BYTES`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    version: u32,
    /// The target, as the operator wrote it.
    path: PathBuf,
    /// The start of the run.
    pub(crate) started: Moment,
    /// The highest number of a part so far.
    pub(crate) number: u64,
    /// The files that the run has published, the latest last.
    published: Vec<Published>,
    /// Whether earlier entries were removed from `published`, because a receipt must stay small.
    pub(crate) forgot: bool,
    /// The names whose parts the next [`stored`](crate::ReportFile::stored) removes, those of the current report
    /// included.
    pub(crate) touched: BTreeSet<String>,
    pub(crate) stage: Stage,
}

/// Where the last report is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// No report, or all are published.
    Idle,
    Open(Report),
    /// Complete, to be published when the receipt is stored.
    Sealed(Report),
    /// Not to be delivered: its parts are removed when the receipt is stored.
    Withdrawn,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Report {
    /// See [`report_key`].
    pub(crate) key: String,
    /// The file's name, without the number of a piece.
    pub(crate) name: String,
    pub(crate) parts: Parts,
}

/// The part files of one report. All have the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parts {
    pub(crate) number: u64,
    /// The ID of the user that the files belong to. Network file systems may choose it.
    pub(crate) owner: u32,
    /// The first piece; 0 without rotation.
    pub(crate) first: u32,
    /// At least one.
    pub(crate) count: u32,
    /// The last piece.
    pub(crate) file: FileState,
    /// The start of the last piece.
    pub(crate) started: Moment,
    /// The published file that the first part begins with a copy of, as it was then.
    pub(crate) copied: Option<FileState>,
}

/// A file that other programs have not changed. The device number is not stored, because it may change at a reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileState {
    pub(crate) inode: u64,
    pub(crate) length: u64,
}

/// A file that this run has published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Published {
    /// Without the number of a piece.
    pub(crate) name: String,
    /// The last piece; 0 without rotation.
    pub(crate) piece: u32,
    /// The last piece.
    pub(crate) file: FileState,
    pub(crate) started: Moment,
}

/// Milliseconds since 1970, which unlike an `Instant` is valid in the next process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Moment(u64);

impl Record {
    pub(crate) fn new(target: &Target) -> Self {
        Self {
            version: VERSION,
            path: as_text(&target.path),
            started: Moment::now(),
            number: 0,
            published: Vec::new(),
            forgot: false,
            touched: BTreeSet::new(),
            stage: Stage::Idle,
        }
    }

    pub(crate) fn published(&self, name: &str) -> Option<&Published> {
        self.published.iter().find(|published| published.name == name)
    }

    pub(crate) fn add_published(&mut self, Report { name, parts, .. }: Report) {
        self.published.retain(|published| published.name != name);
        let Parts { file, started, .. } = parts;
        self.published.push(Published { name, piece: parts.last(), file, started });
        let mut bytes: usize = self.published.iter().map(Published::bytes).sum();
        while bytes > PUBLISHED_BYTES {
            bytes -= self.published.remove(0).bytes();
            self.forgot = true;
        }
    }

    /// The receipt, followed by these bytes of the plugin.
    pub(crate) fn seal(&self, state: &[u8]) -> Result<Receipt> {
        let mut bytes = serde_json::to_vec(self)
            .map_err(|error| PluginError::bug(format!("cannot serialize a receipt: {error}")))?;
        bytes.push(b'\n');
        bytes.extend_from_slice(state);
        Ok(Receipt(bytes))
    }

    /// Reads a receipt, which may be corrupt or of another version; returns the plugin's bytes too.
    pub(crate) fn read(receipt: &Receipt, target: &Target) -> Result<(Self, Vec<u8>)> {
        let refuse = |problem: String| {
            PluginError::config(format!(
                "cannot resume: the saved receipt for {} {problem}",
                target.path.display()
            ))
            .with_hint(START_OVER)
        };
        let end = receipt.0.iter().position(|byte| *byte == b'\n');
        let (line, state) = receipt.0.split_at(end.ok_or_else(|| refuse("is corrupt".to_owned()))?);
        let Version { version } =
            serde_json::from_slice(line).map_err(|error| refuse(format!("is corrupt: {error}")))?;
        if version != VERSION {
            return Err(refuse(format!(
                "has version {version}, but this release supports version {VERSION}"
            )));
        }
        let record: Self =
            serde_json::from_slice(line).map_err(|error| refuse(format!("is corrupt: {error}")))?;
        if record.path != as_text(&target.path) {
            return Err(refuse(format!("belongs to another `path`, {}", record.path.display())));
        }
        record.check(target).map_err(|problem| refuse(problem.to_owned()))?;
        Ok((record, state[1..].to_vec()))
    }

    fn check(&self, target: &Target) -> Result<(), &'static str> {
        let is_numbered = |piece: u32| (piece > 0) == target.rotate.is_on();
        if self.started.day().is_none() {
            return Err("is corrupt: invalid time");
        }
        self.touched.iter().try_for_each(|name| check_name(name))?;
        for published in &self.published {
            check_name(&published.name)?;
            if !is_numbered(published.piece) {
                return Err(OTHER_ROTATION);
            }
        }
        let (Stage::Open(Report { name, parts, .. }) | Stage::Sealed(Report { name, parts, .. })) =
            &self.stage
        else {
            return Ok(());
        };
        check_name(name)?;
        match parts {
            _ if !is_numbered(parts.first) || (parts.first == 0 && parts.count > 1) => Err(OTHER_ROTATION),
            _ if !(1..=MAX_PIECES).contains(&parts.count) || parts.first > u32::MAX / 2 => {
                Err("is corrupt: invalid number of files")
            }
            _ if parts.number > self.number => Err("is corrupt: invalid number of a part file"),
            _ => Ok(()),
        }
    }
}

impl Parts {
    /// The number of the last piece.
    pub(crate) fn last(&self) -> u32 {
        self.first + self.count - 1
    }
}

impl FileState {
    pub(crate) fn of(found: &fs::Metadata) -> Self {
        Self { inode: found.ino(), length: found.len() }
    }
}

impl Published {
    /// Its length in a receipt, or a little more.
    fn bytes(&self) -> usize {
        self.name.len() + 140
    }
}

impl Moment {
    pub(crate) fn now() -> Self {
        SystemTime::now().into()
    }

    /// The time since then; zero when the clock was set back.
    pub(crate) fn elapsed(self) -> Duration {
        Duration::from_millis(Self::now().0.saturating_sub(self.0))
    }

    /// The UTC day, `2026-01-31`.
    pub(crate) fn day(self) -> Option<String> {
        let moment = jiff::Timestamp::from_millisecond(i64::try_from(self.0).ok()?).ok()?;
        Some(moment.strftime("%Y-%m-%d").to_string())
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Identifies a report. The beginnings of long texts are enough.
pub(crate) fn report_key(report: &ReportStart) -> String {
    let file = Path::new(&report.path).file_name().unwrap_or_default().to_string_lossy();
    let texts = [report.id.as_str(), &report.title, &report.time, &file];
    texts.map(|text| text.chars().take(LONGEST_TEXT).collect::<String>()).join("\n")
}

/// All versions can be read as this.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

fn as_text(path: &Path) -> PathBuf {
    path.to_string_lossy().into_owned().into()
}

/// A receipt never chooses a directory.
fn check_name(name: &str) -> Result<(), &'static str> {
    let is_plain = Path::new(name).file_name().is_some_and(|plain| plain == name) && !name.contains('\0');
    if is_plain { Ok(()) } else { Err("is corrupt: a file in another directory") }
}

/// What to do when an interrupted run cannot be resumed.
pub(crate) const START_OVER: &str = "start from the beginning with `scanbridge run --restart`, or discard the interrupted run with \
     `scanbridge state reset`";

/// The most pieces of one report; the last one then grows without limit.
pub(crate) const MAX_PIECES: u32 = 100_000;

/// Space for published files in a receipt: about 200 to 300 files. The host limits a receipt to 64 KiB.
const PUBLISHED_BYTES: usize = 40 << 10;

const OTHER_ROTATION: &str =
    "was written with different rotation settings: `rotate_bytes` or `rotate_secs` was set or removed";
const VERSION: u32 = 2;
const LONGEST_TEXT: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipt_stays_below_the_limit_after_many_files() {
        let mut record = Record::new(&Target::new("out/{report}.csv"));
        for number in 0..5_000 {
            let parts = Parts {
                number,
                owner: u32::MAX,
                first: 0,
                count: 1,
                file: FileState { inode: u64::MAX, length: u64::MAX },
                started: Moment(u64::MAX),
                copied: None,
            };
            let name = format!("{number:0>100}.csv");
            record.add_published(Report { key: String::new(), name, parts });
        }
        let receipt = record.seal(b"").unwrap();
        assert!(receipt.0.len() < PUBLISHED_BYTES + 1_000, "{}", receipt.0.len());
        assert!(record.forgot && record.published.len() > 150);
        assert!(record.published(&format!("{:0>100}.csv", 4_999)).is_some());
    }
}
