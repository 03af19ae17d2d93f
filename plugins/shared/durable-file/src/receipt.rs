//! The content of a receipt: one line of JSON, followed by the plugin's own bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{PluginError, Receipt, Result};
use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::target::Target;

/// What a run has done so far. About 150 bytes, and as many again for each file that it has published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    version: u32,
    /// The target, as the operator wrote it.
    path: PathBuf,
    /// What stands for `{date}` in the whole run.
    pub(crate) date: String,
    /// What is published, by its name in the target's folder, without a piece's number.
    pub(crate) published: BTreeMap<String, Published>,
    /// The device or pipe that was written to.
    pub(crate) direct: Option<PathBuf>,
    pub(crate) under_way: Option<UnderWay>,
}

/// What this run has put under a name so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Published {
    /// The last piece; 0 without rotation.
    pub(crate) number: u32,
    pub(crate) piece: Piece,
}

/// A file, or a piece of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Piece {
    pub(crate) content: Content,
    pub(crate) begun: Moment,
}

/// The report in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnderWay {
    pub(crate) report: ReportKey,
    /// The file's name, without a piece's number.
    pub(crate) name: String,
    /// `None` for a device or pipe.
    pub(crate) series: Option<Series>,
}

/// The part files of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Series {
    /// The number of the first.
    pub(crate) first: u32,
    /// The length of the published file whose content the first part starts with.
    pub(crate) before: Option<u64>,
    /// All, in order; at least one. The last is the one being written.
    pub(crate) pieces: Vec<Piece>,
}

/// What a report is known by. The beginnings of long texts are enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportKey {
    id: String,
    title: String,
    time: String,
    file: String,
}

/// Milliseconds since 1970, which unlike an `Instant` is valid in the next process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Moment(u64);

impl Record {
    pub(crate) fn new(target: &Target, date: String) -> Self {
        Self {
            version: VERSION,
            path: as_text(&target.path),
            date,
            published: BTreeMap::new(),
            direct: None,
            under_way: None,
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

    /// Reads a receipt, which may be damaged or of another version; gives the plugin's bytes too.
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
        let numbered = |number: u32| (number > 0) == target.rotate.is_on();
        if self.date.parse::<jiff::civil::Date>().is_err() {
            return Err("is corrupt: no date");
        }
        for (name, published) in &self.published {
            plain_name(name)?;
            sound(&published.piece)?;
            if !numbered(published.number) {
                return Err(OTHER_ROTATION);
            }
        }
        let Some(under_way) = &self.under_way else { return Ok(()) };
        let Some(Series { first, pieces, .. }) = &under_way.series else { return Ok(()) };
        plain_name(&under_way.name)?;
        pieces.iter().try_for_each(sound)?;
        let last = u32::try_from(pieces.len()).ok().and_then(|count| first.checked_add(count));
        match last {
            _ if pieces.is_empty() => Err("is corrupt: a report without a file"),
            _ if !numbered(*first) || (*first == 0 && pieces.len() > 1) => Err(OTHER_ROTATION),
            Some(u32::MAX) | None => Err("is corrupt: too many pieces"),
            Some(_) => Ok(()),
        }
    }
}

impl ReportKey {
    pub(crate) fn of(report: &ReportStart) -> Self {
        let file = Path::new(&report.path).file_name().unwrap_or_default().to_string_lossy();
        let short = |text: &str| text.chars().take(LONGEST_TEXT).collect();
        Self {
            id: short(&report.id),
            title: short(&report.title),
            time: short(&report.time),
            file: short(&file),
        }
    }
}

impl Moment {
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The time since then; none when the clock was set back.
    pub(crate) fn elapsed(self) -> Duration {
        Duration::from_millis(Self::now().0.saturating_sub(self.0))
    }
}

/// What every version can read.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

fn as_text(path: &Path) -> PathBuf {
    path.to_string_lossy().into_owned().into()
}

/// A receipt never chooses a folder.
fn plain_name(name: &str) -> Result<(), &'static str> {
    let is_plain = Path::new(name).file_name().is_some_and(|plain| plain == name) && !name.contains('\0');
    if is_plain { Ok(()) } else { Err("is corrupt: a file in another directory") }
}

fn sound(piece: &Piece) -> Result<(), &'static str> {
    if piece.content.base <= piece.content.length {
        Ok(())
    } else {
        Err("is corrupt: a file ends before it starts")
    }
}

/// What to do when an interrupted run cannot be resumed.
pub(crate) const START_OVER: &str = "start from the beginning with `scanbridge run --restart`, or discard the interrupted run with \
     `scanbridge state reset`";

const OTHER_ROTATION: &str =
    "was written with different rotation settings: `rotate_bytes` or `rotate_secs` was set or removed";
const VERSION: u32 = 1;
const LONGEST_TEXT: usize = 200;
