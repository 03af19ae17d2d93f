//! The stream of a report as blocks of commands, one block an asset.

use std::fmt::Write;
use std::net::IpAddr;
use std::ops::Range;

use scanbridge_plugin_api::batch::{AssetView, Batch, FindingView};
use scanbridge_plugin_api::model::{AssetField, ReportEnd, ReportStart};
use scanbridge_plugin_api::{Rejection, Written};

use crate::addresses::{AddressRange, AddressSet};
use crate::result_line::{ResultLines, result_id};
use crate::settings::Settings;

/// The command that brings about what was asked for since the last one: deletions, then additions.
pub const SCAN_UPDATE: &str = "ScanUpdate\n";

/// Whole lines of commands about one asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// The asset.
    pub address: IpAddr,
    /// The lines, each with its LF.
    pub text: &'a str,
    /// How many of them the Defense Center counts in its answer.
    pub commands: u64,
    /// How many of them are findings.
    pub findings: u64,
    /// Whether the asset is done: the text ends in [`SCAN_UPDATE`]. Otherwise the asset was too large for one
    /// block, and the next block goes on with it; a caller that sends this one by itself appends one.
    pub ends_asset: bool,
}

/// What became of a report beside its blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Assets that the Defense Center was asked to create if it does not know them.
    pub hosts_added: u64,
    /// Assets without findings whose old results are deleted.
    pub cleared: u64,
    /// What the operator should know, a sentence each.
    pub warnings: Vec<String>,
}

/// Makes commands of reports. It keeps the block of one asset, the addresses of the report, and what it made of
/// recent definitions; a report of any size takes the same memory, but for 10 to 40 bytes an asset.
///
/// For each report: [`CommandWriter::begin`], [`CommandWriter::batch`] for each batch, [`CommandWriter::end`].
/// [`CommandWriter::header`] is the caller's to put where a file or a message begins.
#[derive(Debug)]
pub struct CommandWriter {
    settings: Settings,
    lines: ResultLines,
    block: String,
    commands: u64,
    findings: u64,
    asset: Option<Asset>,
    add_host: bool,
    /// Assets of this report whose results are replaced already.
    replaced: AddressSet,
    /// Assets of this report that had no finding to send when they came.
    clean: Vec<IpAddr>,
    totals: Totals,
}

/// The asset whose block is being made.
#[derive(Debug)]
struct Asset {
    /// What to call it, and its address or why there is none.
    address: Result<IpAddr, String>,
    /// The address as text.
    text: String,
    /// Whether the scanner finished with it. One that was down says nothing about its old results.
    scanned: bool,
    /// Whether its block has begun: it does with its first finding.
    begun: bool,
    /// Where its old results are deleted, as long as that was not handed on.
    deletion: Option<Range<usize>>,
    /// Whether it has findings that could not be sent; then nothing is known to be gone.
    has_rejected: bool,
}

impl CommandWriter {
    /// A writer with these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            lines: ResultLines::default(),
            block: String::new(),
            commands: 0,
            findings: 0,
            asset: None,
            add_host: false,
            replaced: AddressSet::default(),
            clean: Vec::new(),
            totals: Totals::default(),
        }
    }

    /// The lines that must stand at the head of a file and of every message. The Defense Center does not count
    /// them in its answer.
    #[must_use]
    pub fn header(&self) -> String {
        let domain = self.settings.domain.as_ref().map(|domain| format!("SetDomain,{domain}\n"));
        format!("{}SetSource,{}\n", domain.unwrap_or_default(), self.settings.source)
    }

    /// A report begins. What was left of the last one is forgotten.
    pub fn begin(&mut self, report: &ReportStart) {
        self.lines.begin(&report.schema);
        self.add_host = self.settings.add_host.or(report.hints.add_host).unwrap_or(false);
        self.asset = None;
        self.reset_block();
        self.replaced.clear();
        self.clean.clear();
        self.totals = Totals::default();
    }

    /// Takes a batch and hands on the blocks of all assets that are done with it.
    ///
    /// Gives the findings that cannot be sent, with the reasons, and those that are left out: of other kinds, or
    /// fixed. The bytes are the caller's to count.
    ///
    /// # Errors
    /// The sink's own.
    pub fn batch<E>(
        &mut self,
        batch: Batch<'_>,
        sink: &mut impl FnMut(Block<'_>) -> Result<(), E>,
    ) -> Result<Written, E> {
        let mut written = Written::default();
        let mut findings = batch.findings().peekable();
        for asset in batch.assets() {
            self.enter(&asset, sink)?;
            while let Some(finding) = findings.next_if(|finding| finding.asset().row() == asset.row()) {
                self.finding(&finding, &mut written, sink)?;
            }
        }
        // Findings of assets that were not selected, or out of order: an input's fault, but no reason to lose them.
        for finding in findings {
            self.enter(&finding.asset(), sink)?;
            self.finding(&finding, &mut written, sink)?;
        }
        Ok(written)
    }

    /// The report ends: hands on the last block, and for a complete report the blocks that clear the assets
    /// without findings. The last asset of an incomplete report may be cut: its new results are added, its old
    /// ones stay. When the report is not to be delivered, nothing is handed on any more.
    ///
    /// # Errors
    /// The sink's own.
    pub fn end<E>(
        &mut self,
        end: &ReportEnd,
        sink: &mut impl FnMut(Block<'_>) -> Result<(), E>,
    ) -> Result<Totals, E> {
        if end.deliver {
            if !end.complete {
                self.keep_old_results();
            }
            self.leave(sink)?;
            if end.complete {
                self.clear_clean_assets(end, sink)?;
            }
        }
        Ok(std::mem::take(&mut self.totals))
    }

    /// Makes this asset the one that findings belong to, unless it is already.
    fn enter<E>(
        &mut self,
        asset: &AssetView<'_>,
        sink: &mut impl FnMut(Block<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let text = asset.address();
        let address = text.parse::<IpAddr>().map_err(|_| why_not(asset));
        let scanned = was_scanned(asset);
        if let Some(current) = self.asset.as_mut().filter(|current| current.address == address) {
            current.scanned &= scanned;
            return Ok(());
        }
        self.leave(sink)?;
        let text = address.as_ref().map(ToString::to_string).unwrap_or_default();
        self.asset =
            Some(Asset { address, text, scanned, begun: false, deletion: None, has_rejected: false });
        Ok(())
    }

    fn finding<E>(
        &mut self,
        finding: &FindingView<'_>,
        written: &mut Written,
        sink: &mut impl FnMut(Block<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if finding.is_fixed() || !self.settings.kinds.contains(&finding.kind()) {
            written.left_out.push(finding.row());
            return Ok(());
        }
        let asset = self.asset.as_mut().expect("a finding comes after its asset was entered");
        let id = asset.address.clone().and_then(|_| result_id(finding));
        let id = match id {
            Ok(id) => id,
            Err(reason) => {
                asset.has_rejected = true;
                written.rejected.push(Rejection { row: finding.row(), reason });
                return Ok(());
            }
        };
        self.begin_block();
        let start = self.block.len();
        let asset = self.asset.as_ref().expect("a finding comes after its asset was entered");
        self.lines.push(&mut self.block, &asset.text, id, finding, &self.settings);
        self.account(start, sink)
    }

    /// Writes what stands before an asset's first finding.
    fn begin_block(&mut self) {
        let Some(Asset { address: Ok(address), text, begun: begun @ false, deletion, .. }) = &mut self.asset
        else {
            return;
        };
        *begun = true;
        // An asset may come twice, not in sequence: then its first part must not be deleted again.
        if !self.replaced.insert(*address) {
            return;
        }
        // Writing to a `String` cannot fail.
        if self.add_host {
            let _ = writeln!(self.block, "AddHost,{text}");
            self.commands += 1;
            self.totals.hosts_added += 1;
        }
        let start = self.block.len();
        let _ = writeln!(self.block, "DeleteScanResult,{text},\"{}\"", self.settings.scanner);
        *deletion = Some(start..self.block.len());
        self.commands += 1;
    }

    /// Takes the deletion back out of the block of an asset that may be cut.
    fn keep_old_results(&mut self) {
        let Some(Asset { address: Ok(address), begun: true, deletion, .. }) = &mut self.asset else { return };
        if let Some(deletion) = deletion.take() {
            self.block.drain(deletion);
            self.commands -= 1;
            return;
        }
        self.totals.warnings.push(format!(
            "the report ends within asset {address}, whose old results are deleted already: some may be missing \
             until a complete report comes"
        ));
    }

    /// Counts the finding whose line begins at `start`; hands on what stands before it when all is too much.
    fn account<E>(
        &mut self,
        start: usize,
        sink: &mut impl FnMut(Block<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let limits = self.settings.limits;
        let too_long = self.block.len() + SCAN_UPDATE.len() > limits.bytes;
        if start > 0 && (too_long || self.findings >= limits.findings) {
            self.hand_on(start, false, sink)?;
            self.block.drain(..start);
            if let Some(asset) = &mut self.asset {
                asset.deletion = None;
            }
            (self.commands, self.findings) = (0, 0);
        }
        self.commands += 1;
        self.findings += 1;
        Ok(())
    }

    /// Ends the asset under way.
    fn leave<E>(&mut self, sink: &mut impl FnMut(Block<'_>) -> Result<(), E>) -> Result<(), E> {
        let Some(asset) = &self.asset else { return Ok(()) };
        if asset.begun {
            self.block.push_str(SCAN_UPDATE);
            self.commands += 1;
            self.hand_on(self.block.len(), true, sink)?;
        } else if let (Ok(address), true) = (&asset.address, asset.scanned && !asset.has_rejected) {
            self.clean.push(*address);
        }
        self.asset = None;
        self.reset_block();
        Ok(())
    }

    fn hand_on<E>(
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
        for address in std::mem::take(&mut self.clean) {
            self.clear(address, sink)?;
        }
        for range in &end.clean_assets {
            match AddressRange::parse(range) {
                Ok(range) => {
                    for address in range.addresses() {
                        if self.totals.cleared >= MOST_CLEARED {
                            self.totals.warnings.push(format!(
                                "only {MOST_CLEARED} assets without findings were cleared; others keep old results"
                            ));
                            return Ok(());
                        }
                        self.clear(address, sink)?;
                    }
                }
                Err(bad) => {
                    self.totals.warnings.push(format!("an asset without findings was left alone: {bad}"))
                }
            }
        }
        Ok(())
    }

    /// Deletes the old results of an asset that has no new ones.
    fn clear<E>(
        &mut self,
        address: IpAddr,
        sink: &mut impl FnMut(Block<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.replaced.insert(address) {
            return Ok(());
        }
        self.block.clear();
        let _ = write!(self.block, "DeleteScanResult,{address},\"{}\"\n{SCAN_UPDATE}", self.settings.scanner);
        self.totals.cleared += 1;
        sink(Block { address, text: &self.block, commands: 2, findings: 0, ends_asset: true })
    }

    fn reset_block(&mut self) {
        self.block.clear();
        (self.commands, self.findings) = (0, 0);
    }
}

/// Whether the scanner got to the end with an asset. Reports that do not say so list only assets that it did.
fn was_scanned(asset: &AssetView<'_>) -> bool {
    let status = asset.get(AssetField::Status).trim();
    status.is_empty() || status.get(..FINISHED.len()).is_some_and(|word| word.eq_ignore_ascii_case(FINISHED))
}

/// How the status of an asset begins that was scanned to the end.
const FINISHED: &str = "finish";

/// Why the findings of an asset without a usable address cannot be sent.
fn why_not(asset: &AssetView<'_>) -> String {
    let short = |text: &str| text.chars().take(100).collect::<String>();
    match asset.address() {
        "" => {
            let fields = [AssetField::Dns, AssetField::Netbios, AssetField::Id];
            let name = fields.into_iter().map(|field| asset.get(field)).find(|name| !name.is_empty());
            format!(
                "asset `{}` has no IP address, and results are stored by address",
                short(name.unwrap_or("?"))
            )
        }
        address => format!("asset `{}` has no address that can be read", short(address)),
    }
}

/// A report may name whole networks as clean; beyond this many the import would take longer than anybody waits.
const MOST_CLEARED: u64 = 1 << 20;
