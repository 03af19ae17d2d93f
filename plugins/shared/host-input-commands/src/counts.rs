//! What the commands of a report do not contain, or contain in another form than the report.

use std::ops::AddAssign;

use scanbridge_plugin_api::Services;
use scanbridge_plugin_api::tracing::Level;

use crate::snapshot::{BadSnapshot, put_number, take_number};

/// Counts of a report. None of these findings is rejected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Findings that have no line of their own: an earlier one of the asset has the same ID, port and protocol.
    pub merged: u64,
    /// Merged findings whose result is not in the line, because the line was already passed on.
    pub late: u64,
    /// Findings that were not compared with the others of their asset, because it has too many.
    pub not_compared: u64,
    /// Ports that are not sent, because their protocol is not `tcp` or `udp`.
    pub ports: u64,
    /// What was cut in the lines.
    pub cuts: Cuts,
}

/// What is cut in a line, or in many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cuts {
    /// Lines that were shortened to [`BlockLimits::line_bytes`](crate::BlockLimits::line_bytes).
    pub lines: u64,
    /// CVE and BugTraq IDs that are not sent, because their list or line is too long.
    pub ids: u64,
    /// CVE and BugTraq IDs that the Defense Center would not accept.
    pub bad_ids: u64,
    /// Names and descriptions that are longer than their limit.
    pub texts: u64,
}

impl Counts {
    /// Adds the counts to the summary of the run.
    pub fn note(&self, services: &Services) {
        let Self { merged, late, not_compared, ports, cuts } = *self;
        for (level, text, count) in [
            (Level::INFO, "findings merged into a result with the same ID, port and protocol", merged),
            (Level::WARN, "texts of merged findings left out, because their asset is too large", late),
            (Level::WARN, "findings of very large assets not checked for duplicates", not_compared),
            (Level::INFO, "ports left out, because their protocol is neither tcp nor udp", ports),
            (Level::WARN, "findings shortened to the maximum message size", cuts.lines),
            (Level::WARN, "CVE and BugTraq IDs left out, because their list is too long", cuts.ids),
            (Level::INFO, "invalid CVE and BugTraq IDs left out", cuts.bad_ids),
            (Level::INFO, "names and descriptions truncated", cuts.texts),
        ] {
            if count > 0 {
                services.note(level, text, count);
            }
        }
    }

    /// Appends the counts to a snapshot.
    pub(crate) fn save(&self, snapshot: &mut Vec<u8>) {
        let mut copy = *self;
        copy.each().into_iter().for_each(|count| put_number(snapshot, (*count).into()));
    }

    /// Reads the counts from the beginning of a snapshot.
    pub(crate) fn restore(snapshot: &mut &[u8]) -> Result<Self, BadSnapshot> {
        let mut counts = Self::default();
        for count in counts.each() {
            *count = u64::try_from(take_number(snapshot)?).map_err(|_| BadSnapshot)?;
        }
        Ok(counts)
    }

    fn each(&mut self) -> [&mut u64; 8] {
        let Self { merged, late, not_compared, ports, cuts: Cuts { lines, ids, bad_ids, texts } } = self;
        [merged, late, not_compared, ports, lines, ids, bad_ids, texts]
    }
}

impl AddAssign for Cuts {
    fn add_assign(&mut self, other: Self) {
        let Self { lines, ids, bad_ids, texts } = other;
        self.lines += lines;
        self.ids += ids;
        self.bad_ids += bad_ids;
        self.texts += texts;
    }
}
