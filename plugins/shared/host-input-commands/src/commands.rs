//! Turns the stream of a report into blocks of commands, one block per asset.

use std::fmt::Write;
use std::net::IpAddr;

use scanbridge_plugin_api::batch::{AssetView, Batch, FindingView};
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::tracing::debug;
use scanbridge_plugin_api::{Begin, Rejection, Written};

use crate::addresses::AddressSet;
use crate::asset::{Asset, was_scanned};
use crate::names::Name;
use crate::result_line::{ResultLines, push_os, result_id};
use crate::settings::{Replace, Settings};
use crate::snapshot::{BadSnapshot, put_number, take_number};
use crate::update::{SCAN_FLUSH, SCAN_UPDATE};

/// Complete command lines of one asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// The asset.
    pub address: IpAddr,
    /// The lines, each with its LF.
    pub text: &'a str,
    /// The number of lines that the Defense Center counts in its reply.
    pub commands: u64,
    /// The number of lines that are findings.
    pub findings: u64,
    /// Whether the asset is complete: the text ends in [`SCAN_UPDATE`] or [`SCAN_FLUSH`]. Otherwise the asset was too
    /// large for one block, and the next block continues it. Until the last block the Defense Center keeps the
    /// commands pending, so the asset is still replaced completely.
    pub ends_asset: bool,
}

/// Counts of a report in addition to its blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Assets with a command to create them if the Defense Center does not know them.
    pub hosts_added: u64,
    /// Assets without findings whose old results are deleted.
    pub cleared: u64,
    /// Warnings for the operator, one sentence each.
    pub warnings: Vec<String>,
}

/// Makes commands from reports. It buffers the block of one asset, the addresses of the report, and text made from
/// recent definitions. Memory does not depend on the size of the report, except for 10 to 40 bytes per asset.
///
/// For each report: [`CommandWriter::begin`], [`CommandWriter::batch`] for each batch, [`CommandWriter::end`].
/// Between two batches, [`CommandWriter::finish_asset`] and [`CommandWriter::snapshot`] describe where another writer
/// can resume, with [`CommandWriter::restore`] after `begin`. The blocks are the same, byte for byte, wherever that
/// was. The caller writes [`CommandWriter::header`] at the beginning of each file or message.
#[derive(Debug)]
pub struct CommandWriter {
    settings: Settings,
    lines: ResultLines,
    block: String,
    commands: u64,
    findings: u64,
    asset: Option<Asset>,
    /// Whether the batch is new: none of its rows was processed.
    new_batch: bool,
    add_host: bool,
    /// The names for the current report: those of the settings, or that of the report's scanner.
    source: Name,
    scanner: Name,
    /// The setting `replace`, except for partial reports, which replace nothing.
    replace: Replace,
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
            lines: ResultLines::default(),
            block: String::new(),
            commands: 0,
            findings: 0,
            asset: None,
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

    /// Sets a new block limit. Call it between two reports.
    pub fn limit_blocks(&mut self, bytes: usize) {
        self.settings.limits.bytes = bytes;
    }

    /// Begins a report. The rest of the previous one is discarded.
    pub fn begin(&mut self, report: &ReportStart, how: Begin) {
        self.lines.begin(&report.schema);
        let of_report = Name::of_scanner(report.source.result_name());
        self.source = self.settings.source.clone().unwrap_or_else(|| of_report.clone());
        self.scanner = self.settings.scanner.clone().unwrap_or(of_report);
        self.add_host = self.settings.add_host.or(report.hints.flag(ADD_HOST)).unwrap_or(false);
        self.replace = if how.partial { Replace::Merge } else { self.settings.replace };
        self.asset = None;
        self.reset_block();
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
        let hosts_added = u64::try_from(take_number(&mut rest)?).map_err(|_| BadSnapshot)?;
        let [replaced, clean, doubtful] = [(); 3].map(|()| AddressSet::restore(&mut rest));
        let (replaced, clean, doubtful) = (replaced?, clean?, doubtful?);
        if !rest.is_empty() {
            return Err(BadSnapshot);
        }
        (self.replaced, self.clean, self.doubtful) = (replaced, clean, doubtful);
        self.totals.hosts_added = hosts_added;
        Ok(())
    }

    /// Accepts a batch and passes on the blocks of all assets that are complete.
    ///
    /// Returns the findings that cannot be sent, with the reasons, and the number of those that were skipped because
    /// of their kind or because they are fixed. The caller counts the bytes.
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
        if finding.is_fixed() || !self.settings.sends(finding) {
            written.left_out.push(finding.row());
            return Ok(());
        }
        let asset = self.asset.as_mut().expect("plugin bug: a finding arrived after its asset was finished");
        let id = asset.address.clone().and_then(|_| result_id(finding));
        let id = match id {
            Ok(id) => id,
            Err(reason) => {
                asset.has_rejected = true;
                written.rejected.push(Rejection::new(finding.row(), reason));
                return Ok(());
            }
        };
        self.begin_block();
        let start = self.block.len();
        let asset = self.asset.as_ref().expect("plugin bug: a finding arrived after its asset was finished");
        self.lines.push(&mut self.block, &asset.text, id, finding, &self.settings, &self.scanner);
        debug!("{}", self.block[start..].trim_end());
        self.account(start, sink)
    }

    /// Writes the commands before an asset's first finding.
    fn begin_block(&mut self) {
        let Some(asset @ Asset { address: Ok(_), has_block: false, .. }) = &mut self.asset else { return };
        asset.has_block = true;
        // If an asset appears twice, not in sequence, its first part must not be deleted.
        if !asset.address.as_ref().is_ok_and(|address| self.replaced.insert(*address)) {
            asset.is_replaced = self.replace != Replace::Merge;
            return;
        }
        // Writing to a `String` cannot fail.
        if self.add_host {
            let _ = writeln!(self.block, "AddHost,{}", asset.text);
            self.commands += 1;
            self.totals.hosts_added += 1;
        }
        if self.settings.set_os && !asset.os.trim().is_empty() {
            push_os(&mut self.block, &asset.text, &asset.os);
            self.commands += 1;
        }
        match self.replace {
            _ if asset.is_part => {}
            Replace::Asset => {
                let start = self.block.len();
                let _ = writeln!(self.block, "DeleteScanResult,{},\"{}\"", asset.text, self.scanner);
                asset.deletion = Some(start..self.block.len());
                self.commands += 1;
            }
            Replace::Flush => asset.update = SCAN_FLUSH,
            Replace::Merge => {}
        }
    }

    /// Keeps the old results of an asset that may be truncated.
    fn keep_old_results(&mut self) {
        let Some(asset @ Asset { has_block: true, .. }) = &mut self.asset else { return };
        asset.update = SCAN_UPDATE;
        if let Some(deletion) = asset.deletion.take() {
            self.block.drain(deletion);
            self.commands -= 1;
            return;
        }
        if asset.is_replaced {
            self.totals.warnings.push(format!(
                "the report is truncated within asset {}, whose old results are already deleted; some \
                 results may be missing until a complete report is delivered",
                asset.text
            ));
        }
    }

    /// Counts the finding whose line begins at `start`. Passes on the text before it when the block is too large.
    fn account<E>(
        &mut self,
        start: usize,
        sink: &mut impl FnMut(Block<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let too_long = self.block.len() + SCAN_UPDATE.len() > self.settings.limits.bytes;
        if start > 0 && too_long {
            self.write_block(start, false, sink)?;
            self.block.drain(..start);
            if let Some(asset) = &mut self.asset {
                asset.is_replaced |= asset.deletion.take().is_some();
            }
            (self.commands, self.findings) = (0, 0);
        }
        self.commands += 1;
        self.findings += 1;
        Ok(())
    }

    /// Ends the current asset.
    fn leave<E>(&mut self, sink: &mut impl FnMut(Block<'_>) -> Result<(), E>) -> Result<(), E> {
        let Some(asset) = &self.asset else { return Ok(()) };
        if asset.has_block {
            self.block.push_str(asset.update);
            self.commands += 1;
            self.write_block(self.block.len(), true, sink)?;
        } else if let Ok(address) = asset.address {
            let set = if asset.is_clean() { &mut self.clean } else { &mut self.doubtful };
            set.insert(address);
        }
        self.asset = None;
        self.reset_block();
        Ok(())
    }

    fn write_block<E>(
        &self,
        length: usize,
        ends_asset: bool,
        sink: &mut impl FnMut(Block<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(Asset { address: Ok(address), .. }) = self.asset else { return Ok(()) };
        let (commands, findings) = (self.commands, self.findings);
        sink(Block { address, text: &self.block[..length], commands, findings, ends_asset })
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
        for address in end.clean_assets.iter().flat_map(|range| range.addresses()) {
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
        self.block.clear();
        let _ = write!(self.block, "DeleteScanResult,{address},\"{}\"\n{SCAN_UPDATE}", self.scanner);
        self.totals.cleared += 1;
        sink(Block { address, text: &self.block, commands: 2, findings: 0, ends_asset: true })
    }

    fn reset_block(&mut self) {
        self.block.clear();
        (self.commands, self.findings) = (0, 0);
    }
}

/// The hint of an input that assets unknown to the Defense Center are created.
const ADD_HOST: &str = "host-input.add_host";

/// Maximum number of cleared assets. A report may list complete networks as clean, and the Defense Center needs time
/// for each.
const MAX_CLEARED: u64 = 1 << 20;

/// The first byte of each snapshot, which distinguishes format versions.
const SNAPSHOT_FORM: u8 = 1;
