//! Turns the stream of a report into blocks of commands, one block per asset.

use std::fmt::Write;
use std::net::IpAddr;

use scanbridge_plugin_api::batch::{AssetView, Batch, FindingView};
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::tracing::debug;
use scanbridge_plugin_api::{Begin, Rejection, Written};

use crate::addresses::AddressSet;
use crate::asset::{Asset, was_scanned};
use crate::asset_lines::{AssetLines, Writing};
use crate::block::{Block, OpenBlock};
use crate::counts::Counts;
use crate::names::Name;
use crate::result_line::{ResultKey, ResultLines, push_os};
use crate::settings::{Replace, Settings};
use crate::snapshot::{BadSnapshot, put_number, take_number};
use crate::tail::TooLong;
use crate::update::{SCAN_FLUSH, SCAN_UPDATE};

/// Counts of a report in addition to its blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Assets with a command to create them if the Defense Center does not know them.
    pub hosts_added: u64,
    /// Assets without findings whose old results are deleted.
    pub cleared: u64,
    /// What is not in the commands as it is in the report.
    pub counts: Counts,
    /// Warnings for the operator, one sentence each.
    pub warnings: Vec<String>,
}

/// Makes commands from reports. It buffers the lines of one asset, the addresses of the report, and text made from
/// recent definitions. Memory does not depend on the size of the report, except for 10 to 40 bytes per asset.
///
/// For each report: [`CommandWriter::begin`], [`CommandWriter::batch`] for each batch, [`CommandWriter::end`].
/// Between two batches, [`CommandWriter::finish_asset`] and [`CommandWriter::snapshot`] describe where another writer
/// can resume, with [`CommandWriter::restore`] after `begin`. The blocks are the same, byte for byte, wherever that
/// was. The caller writes [`CommandWriter::header`] at the beginning of each file or message.
#[derive(Debug)]
pub struct CommandWriter {
    pub(super) settings: Settings,
    results: ResultLines,
    /// The lines of the current asset.
    lines: AssetLines,
    block: OpenBlock,
    /// A line that is being written.
    line: String,
    asset: Option<Asset>,
    /// Whether the batch is new: none of its rows was processed.
    new_batch: bool,
    add_host: bool,
    /// The names for the current report: those of the settings, or that of the report's scanner.
    source: Name,
    scanner: Name,
    /// The setting `replace`, except for incomplete reports, which replace nothing.
    replace: Replace,
    /// The number of assets whose old results this report has replaced so far.
    replaced_count: u64,
    /// Assets of this report whose old results are already replaced.
    replaced: AddressSet,
    /// Assets of this report that had no finding to send.
    clean: AddressSet,
    /// Assets of this report with incomplete information: they are not cleared.
    doubtful: AddressSet,
    totals: Totals,
}

impl CommandWriter {
    /// A writer with these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            replace: settings.replace,
            source: Name::of_scanner(""),
            scanner: Name::of_scanner(""),
            settings,
            results: ResultLines::default(),
            lines: AssetLines::default(),
            block: OpenBlock::default(),
            line: String::new(),
            asset: None,
            replaced_count: 0,
            new_batch: true,
            add_host: false,
            replaced: AddressSet::default(),
            clean: AddressSet::default(),
            doubtful: AddressSet::default(),
            totals: Totals::default(),
        }
    }

    /// The lines at the beginning of a file and of every message of the current report. The Defense Center does not
    /// count them in its reply.
    #[must_use]
    pub fn header(&self) -> String {
        let domain = self.settings.domain.as_ref().map(|domain| format!("SetDomain,{domain}\n"));
        format!("{}SetSource,{}\n", domain.unwrap_or_default(), self.source)
    }

    /// Sets new limits of blocks and of lines. Call it between two reports.
    pub fn limit_blocks(&mut self, bytes: usize, line_bytes: usize) {
        self.settings.limits.bytes = bytes;
        self.settings.limits.line_bytes = line_bytes;
    }

    /// Begins a report. The rest of the previous one is discarded. A report that is known to be incomplete replaces
    /// nothing: it is only added.
    pub fn begin(&mut self, report: &ReportStart, how: Begin) {
        self.results.begin(&report.schema);
        let of_report = Name::of_scanner(report.source.result_name());
        self.source = self.settings.source.clone().unwrap_or_else(|| of_report.clone());
        self.scanner = self.settings.scanner.clone().unwrap_or(of_report);
        self.add_host = self.settings.add_host.or(report.hints.flag(ADD_HOST)).unwrap_or(false);
        let is_incomplete = how.partial || how.has_gap || report.hints.flag(INCOMPLETE) == Some(true);
        self.replace = if is_incomplete { Replace::Merge } else { self.settings.replace };
        self.replaced_count = 0;
        self.asset = None;
        self.lines.clear();
        self.block.clear();
        self.replaced.clear();
        self.clean.clear();
        self.doubtful.clear();
        self.totals = Totals::default();
    }

    /// Passes on the block of the last asset. Call it only at the end of an asset: no later finding may belong to it.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn finish_asset<E>(&mut self, sink: &mut impl FnMut(Block<'_>) -> Result<(), E>) -> Result<(), E> {
        self.leave(sink)
    }

    /// The state that another writer needs to resume the current report after the last asset, which must be finished.
    /// About 1 to 5 bytes per asset. It contains no finding and no secret.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        debug_assert!(self.asset.is_none(), "the last asset is not finished");
        let mut snapshot = vec![SNAPSHOT_FORM];
        put_number(&mut snapshot, self.totals.hosts_added.into());
        put_number(&mut snapshot, self.replaced_count.into());
        self.totals.counts.save(&mut snapshot);
        for set in [&self.replaced, &self.clean, &self.doubtful] {
            set.save(&mut snapshot);
        }
        snapshot
    }

    /// Resumes a report at the position of the snapshot. Call it directly after `begin`.
    ///
    /// # Errors
    /// The bytes are not a snapshot of this format version; the report is then in the state after `begin`.
    pub fn restore(&mut self, snapshot: &[u8]) -> Result<(), BadSnapshot> {
        let mut rest = snapshot.strip_prefix(&[SNAPSHOT_FORM]).ok_or(BadSnapshot)?;
        let mut number = || u64::try_from(take_number(&mut rest)?).map_err(|_| BadSnapshot);
        let (hosts_added, replaced_count) = (number()?, number()?);
        let counts = Counts::restore(&mut rest)?;
        let [replaced, clean, doubtful] = [(); 3].map(|()| AddressSet::restore(&mut rest));
        let (replaced, clean, doubtful) = (replaced?, clean?, doubtful?);
        if !rest.is_empty() {
            return Err(BadSnapshot);
        }
        (self.replaced, self.clean, self.doubtful) = (replaced, clean, doubtful);
        self.totals.hosts_added = hosts_added;
        self.totals.counts = counts;
        self.replaced_count = replaced_count;
        Ok(())
    }

    /// Accepts a batch and passes on the blocks of all assets that are complete.
    ///
    /// Returns the findings that cannot be sent, with the reasons, and those that are left out: closed ones, and those
    /// that the settings exclude. The caller counts the bytes.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn batch<E>(
        &mut self,
        batch: Batch<'_>,
        sink: &mut impl FnMut(Block<'_>) -> Result<(), E>,
    ) -> Result<Written, E> {
        let mut written = Written::default();
        self.new_batch = true;
        let mut findings = batch.findings().peekable();
        for asset in batch.assets() {
            self.enter(&asset, sink)?;
            while let Some(finding) = findings.next_if(|finding| finding.asset().row() == asset.row()) {
                self.finding(&finding, &mut written, sink)?;
            }
        }
        // Findings of assets that were not selected or are out of order. This is a fault of the input, but the
        // findings are still sent.
        for finding in findings {
            self.enter(&finding.asset(), sink)?;
            self.finding(&finding, &mut written, sink)?;
        }
        Ok(written)
    }

    /// Ends the report: passes on the last block, and for a complete report the blocks that clear the assets without
    /// findings. The last asset of an incomplete report may be truncated: its new results are added and its old ones
    /// are kept. If the report is not delivered, nothing more is passed on.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn end<E>(
        &mut self,
        end: &ReportEnd,
        sink: &mut impl FnMut(Block<'_>) -> Result<(), E>,
    ) -> Result<Totals, E> {
        if !end.complete {
            self.keep_old_results();
        }
        if end.deliver {
            if !end.complete && self.replaced_count > 0 {
                self.totals.warnings.push(format!(
                    "the report turned out to be incomplete after the old results of {} assets were replaced",
                    self.replaced_count
                ));
            }
            self.leave(sink)?;
            if end.complete {
                self.clear_clean_assets(end, sink)?;
            }
        }
        Ok(std::mem::take(&mut self.totals))
    }

    /// Makes this asset the current one, unless it already is. If a batch continues another asset than the current
    /// one, batches are missing: the current asset has no end.
    fn enter<E>(
        &mut self,
        asset: &AssetView<'_>,
        sink: &mut impl FnMut(Block<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let new_batch = std::mem::take(&mut self.new_batch);
        if let Some(current) = self.asset.as_mut().filter(|current| current.continues_in(asset, new_batch)) {
            current.row = asset.row();
            current.scanned &= was_scanned(asset);
            return Ok(());
        }
        if new_batch && asset.is_continued() {
            self.keep_old_results();
        }
        self.leave(sink)?;
        self.asset = Some(Asset::of(asset));
        Ok(())
    }

    fn finding<E>(
        &mut self,
        finding: &FindingView<'_>,
        written: &mut Written,
        sink: &mut impl FnMut(Block<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !finding.is_open() || !self.settings.sends(finding) {
            written.left_out.push(finding.row());
            return Ok(());
        }
        if let Err(reason) = self.add(finding) {
            written.rejected.push(Rejection::new(finding.row(), reason));
            return Ok(());
        }
        let limit = self.settings.limits.asset_bytes;
        if self.lines.bytes() >= limit {
            self.lines.compact();
            if self.lines.bytes() >= limit / 2 {
                self.pass_on(false, sink)?;
            }
        }
        Ok(())
    }

    /// Adds a finding to the lines of the current asset.
    ///
    /// # Errors
    /// The reason why it cannot be sent. Then the asset is not treated as clean, and if its line is too long, its old
    /// results are kept.
    fn add(&mut self, finding: &FindingView<'_>) -> Result<(), String> {
        let Self { asset, lines, results, totals, settings, scanner, .. } = self;
        let asset = asset.as_mut().expect("plugin bug: a finding arrived after its asset was finished");
        let key = asset.address.clone().and_then(|_| ResultKey::of(finding)).inspect_err(|_| {
            asset.has_rejected = true;
        })?;
        let mut writing = Writing { lines: results, address: &asset.text, settings, scanner };
        lines.add(key, finding, &mut totals.counts, &mut writing).map_err(|TooLong| {
            (asset.has_rejected, asset.is_part) = (true, true);
            "the shortest command for this finding exceeds the maximum message size; the old results of its \
             asset are kept"
                .to_owned()
        })?;
        totals.counts.ports += u64::from(finding.port().is_some() && !key.has_port());
        Ok(())
    }

    /// Keeps the old results of an asset that may be truncated.
    fn keep_old_results(&mut self) {
        let Some(asset) = &mut self.asset else { return };
        asset.is_part = true;
        let is_repeated = || asset.address.as_ref().is_ok_and(|address| self.replaced.contains(*address));
        let adds_to_replaced = !self.lines.is_empty() && self.replace != Replace::Merge && is_repeated();
        if asset.is_replaced || adds_to_replaced {
            self.totals.warnings.push(format!(
                "the report is truncated within asset {}, whose old results are already deleted; some \
                 results may be missing until a complete report is delivered",
                asset.text
            ));
        }
    }

    /// Ends the current asset.
    fn leave<E>(&mut self, sink: &mut impl FnMut(Block<'_>) -> Result<(), E>) -> Result<(), E> {
        let Some(asset) = &self.asset else { return Ok(()) };
        if asset.has_begun || !self.lines.is_empty() {
            self.pass_on(true, sink)?;
        } else if let Ok(address) = asset.address {
            let set = if asset.is_clean() { &mut self.clean } else { &mut self.doubtful };
            set.insert(address);
        }
        self.asset = None;
        self.lines.clear();
        Ok(())
    }

    /// Writes the commands before the findings of the current asset, unless they are written.
    fn begin_asset<E>(&mut self, sink: &mut impl FnMut(Block<'_>) -> Result<(), E>) -> Result<(), E> {
        let Self { asset, block, line, totals, settings, .. } = self;
        let Some(asset @ Asset { has_begun: false, .. }) = asset else { return Ok(()) };
        let Ok(address) = asset.address else { return Ok(()) };
        let limit = settings.limits.bytes;
        asset.has_begun = true;
        // If an asset appears twice, not in sequence, its first part must not be deleted.
        asset.is_repeated = !self.replaced.insert(address);
        if asset.is_repeated {
            asset.is_replaced = self.replace != Replace::Merge;
            return Ok(());
        }
        if self.add_host {
            line.clear();
            // Writing to a `String` cannot fail.
            let _ = writeln!(line, "AddHost,{}", asset.text);
            block.push(address, line, limit, sink)?;
            totals.hosts_added += 1;
        }
        if settings.set_os && !asset.os.trim().is_empty() {
            line.clear();
            totals.counts.cuts += push_os(line, &asset.text, &asset.os, settings.limits.line_bytes);
            block.push(address, line, limit, sink)?;
        }
        if self.replace == Replace::Asset && asset.replaces() {
            line.clear();
            let _ = writeln!(line, "DeleteScanResult,{},\"{}\"", asset.text, self.scanner);
            block.push(address, line, limit, sink)?;
            asset.is_replaced = true;
            self.replaced_count += 1;
        }
        Ok(())
    }

    /// Passes on the lines of the current asset.
    fn pass_on<E>(
        &mut self,
        ends_asset: bool,
        sink: &mut impl FnMut(Block<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.begin_asset(sink)?;
        let Self { asset, lines, block, totals, settings, .. } = self;
        let Some(asset) = asset else { return Ok(()) };
        let Ok(address) = asset.address else { return Ok(()) };
        let limit = settings.limits.bytes;
        for (line, cuts) in lines.iter() {
            debug!("{}", line.trim_end());
            block.push_finding(address, line, limit, sink)?;
            totals.counts.cuts += cuts;
        }
        lines.pass_on();
        if ends_asset {
            let flushes = self.replace == Replace::Flush && asset.replaces() && !asset.is_repeated;
            self.replaced_count += u64::from(flushes);
            block.push(address, if flushes { SCAN_FLUSH } else { SCAN_UPDATE }, limit, sink)?;
        }
        block.pass_on(address, ends_asset, sink)
    }

    fn clear_clean_assets<E>(
        &mut self,
        end: &ReportEnd,
        sink: &mut impl FnMut(Block<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        // Merged assets keep their old results.
        if self.replace == Replace::Merge {
            return Ok(());
        }
        for address in std::mem::take(&mut self.clean).iter() {
            self.clear(address, sink)?;
        }
        for address in
            end.clean_assets.iter().flat_map(|range| range.addresses()).map(|one| one.to_canonical())
        {
            if self.totals.cleared >= MAX_CLEARED {
                self.totals.warnings.push(format!(
                    "only {MAX_CLEARED} assets without findings were cleared; the others keep old results"
                ));
                return Ok(());
            }
            self.clear(address, sink)?;
        }
        Ok(())
    }

    /// Deletes the old results of an asset without new ones.
    fn clear<E>(
        &mut self,
        address: IpAddr,
        sink: &mut impl FnMut(Block<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.doubtful.contains(address) || !self.replaced.insert(address) {
            return Ok(());
        }
        self.line.clear();
        let _ = write!(self.line, "DeleteScanResult,{address},\"{}\"\n{SCAN_UPDATE}", self.scanner);
        self.totals.cleared += 1;
        sink(Block { address, text: &self.line, commands: 2, findings: 0, ends_asset: true })
    }
}

/// The hint of an input that assets unknown to the Defense Center are created.
const ADD_HOST: &str = "host-input.add_host";

/// The hint of an input that the report is known to be incomplete from its beginning.
const INCOMPLETE: &str = "host-input.incomplete";

/// Maximum number of cleared assets. A report may list complete networks as clean, and the Defense Center needs time
/// for each.
const MAX_CLEARED: u64 = 1 << 20;

/// The first byte of each snapshot, which distinguishes format versions.
const SNAPSHOT_FORM: u8 = 2;
