//! The lines of one asset, before they are passed on. Findings with the same key share a line.

use std::collections::HashMap;
use std::ops::Range;

use scanbridge_plugin_api::batch::FindingView;
use scanbridge_plugin_api::model::{FindingField, list_items};

use crate::counts::{Counts, Cuts};
use crate::names::Name;
use crate::result_line::{Merged, ResultKey, ResultLines};
use crate::settings::Settings;
use crate::tail::TooLong;

/// The lines of the current asset. The buffers are reused: only a merged finding allocates.
#[derive(Debug, Default)]
pub(crate) struct AssetLines {
    /// The lines, in the order of `lines` except for those that were written again.
    text: String,
    lines: Vec<Line>,
    /// The results and CVE IDs that a line contains, in case it must be written again.
    sources: String,
    /// Whether the buffers have text that no line refers to.
    has_gaps: bool,
    /// The position in `lines` of each key; [`PASSED_ON`] for a line that was passed on.
    positions: HashMap<ResultKey, u32>,
}

#[derive(Debug, Clone)]
struct Line {
    text: Range<usize>,
    results: Range<usize>,
    cves: Range<usize>,
    cuts: Cuts,
}

/// How lines are written.
pub(crate) struct Writing<'a> {
    pub(crate) lines: &'a mut ResultLines,
    pub(crate) address: &'a str,
    pub(crate) settings: &'a Settings,
    pub(crate) scanner: &'a Name,
}

impl AssetLines {
    /// Adds a finding: as a line, or to the line that has its key. A finding whose line is too long for any message
    /// is not added.
    pub(crate) fn add(
        &mut self,
        key: ResultKey,
        finding: &FindingView<'_>,
        counts: &mut Counts,
        writing: &mut Writing<'_>,
    ) -> Result<(), TooLong> {
        let result = match writing.settings.describes_findings() {
            true => finding.get(FindingField::Result).trim(),
            false => "",
        };
        let cves = finding.get(FindingField::Cves);
        match self.positions.get(&key).copied() {
            None => {
                let (results, cves) = (self.keep(result), self.keep(cves));
                let line = self.write(key, finding, results, cves, writing)?;
                if self.positions.len() < MAX_COMPARED {
                    self.positions.insert(key, u32::try_from(self.lines.len()).unwrap_or(PASSED_ON));
                } else {
                    counts.not_compared += 1;
                }
                self.lines.push(line);
            }
            Some(PASSED_ON) => {
                counts.merged += 1;
                counts.late += u64::from(!result.is_empty() || !cves.is_empty());
            }
            Some(position) => {
                counts.merged += 1;
                self.merge(position as usize, key, finding, result, cves, writing)?;
            }
        }
        Ok(())
    }

    /// The size of the buffered text in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + self.sources.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The lines, each with what was cut in it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Cuts)> {
        self.lines.iter().map(|line| (&self.text[line.text.clone()], line.cuts))
    }

    /// Frees the text of lines that were written again.
    pub(crate) fn compact(&mut self) {
        if !std::mem::take(&mut self.has_gaps) {
            return;
        }
        let copy_of = |buffer: &mut String| {
            let capacity = buffer.len();
            std::mem::replace(buffer, String::with_capacity(capacity))
        };
        let (text, sources) = (copy_of(&mut self.text), copy_of(&mut self.sources));
        let move_to = |buffer: &mut String, old: &str, range: &mut Range<usize>| {
            let start = buffer.len();
            buffer.push_str(&old[range.clone()]);
            *range = start..buffer.len();
        };
        for line in &mut self.lines {
            move_to(&mut self.text, &text, &mut line.text);
            move_to(&mut self.sources, &sources, &mut line.results);
            move_to(&mut self.sources, &sources, &mut line.cves);
        }
    }

    /// Deletes the lines, which were passed on, but not their keys: the asset has not ended.
    pub(crate) fn pass_on(&mut self) {
        self.delete_lines();
        self.positions.values_mut().for_each(|position| *position = PASSED_ON);
    }

    /// Deletes everything.
    pub(crate) fn clear(&mut self) {
        self.delete_lines();
        if self.positions.capacity() > KEPT_POSITIONS {
            // Emptying a large table takes time, for each asset that follows.
            self.positions = HashMap::new();
        }
        self.positions.clear();
    }

    fn delete_lines(&mut self) {
        self.text.clear();
        self.lines.clear();
        self.sources.clear();
        self.has_gaps = false;
    }

    /// Adds what a finding says beyond those that share its line.
    fn merge(
        &mut self,
        position: usize,
        key: ResultKey,
        finding: &FindingView<'_>,
        result: &str,
        cves: &str,
        writing: &mut Writing<'_>,
    ) -> Result<(), TooLong> {
        let Line { results, cves: known, .. } = self.lines[position].clone();
        let is_new = |range: &Range<usize>, separator: char, text: &str| {
            !text.is_empty() && !self.sources[range.clone()].split(separator).any(|known| known == text)
        };
        let is_full = results.len() > writing.settings.description_length.saturating_mul(4);
        let new_result = if is_new(&results, BETWEEN_RESULTS, result) && !is_full { result } else { "" };
        let new_cves: Vec<&str> = list_items(cves).filter(|id| is_new(&known, '\n', id)).collect();
        if new_result.is_empty() && new_cves.is_empty() {
            return Ok(());
        }
        let joined = |range: Range<usize>, separator: char, more: &str| {
            let text = &self.sources[range];
            let between = if text.is_empty() || more.is_empty() { "" } else { &*separator.to_string() };
            format!("{text}{between}{more}")
        };
        self.has_gaps = true;
        let all_results = joined(results, BETWEEN_RESULTS, new_result);
        let all_cves = joined(known, '\n', &new_cves.join("\n"));
        let (results, cves) = (self.keep(&all_results), self.keep(&all_cves));
        self.lines[position] = self.write(key, finding, results, cves, writing)?;
        Ok(())
    }

    fn keep(&mut self, text: &str) -> Range<usize> {
        let start = self.sources.len();
        self.sources.push_str(text);
        start..self.sources.len()
    }

    fn write(
        &mut self,
        key: ResultKey,
        finding: &FindingView<'_>,
        results: Range<usize>,
        cves: Range<usize>,
        writing: &mut Writing<'_>,
    ) -> Result<Line, TooLong> {
        let merged = Merged {
            key,
            definition: finding.definition(),
            results: &self.sources[results.clone()],
            cves: &self.sources[cves.clone()],
        };
        let Writing { lines, address, settings, scanner } = writing;
        let start = self.text.len();
        let cuts = lines.push(&mut self.text, address, &merged, settings, scanner);
        self.has_gaps |= cuts.is_err();
        let cuts = cuts?;
        Ok(Line { text: start..self.text.len(), results, cves, cuts })
    }
}

/// The position of a line that was passed on.
const PASSED_ON: u32 = u32::MAX;

/// Separates results. In a description, control characters become spaces.
const BETWEEN_RESULTS: char = '\0';

/// Number of keys that are compared. No real asset has more findings with different IDs, ports and protocols.
const MAX_COMPARED: usize = 25_000;

/// Size of the table of keys that is kept from one asset to the next.
const KEPT_POSITIONS: usize = 4096;
