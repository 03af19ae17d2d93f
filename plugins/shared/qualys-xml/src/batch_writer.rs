//! Writes assets and findings to a batch.

use std::fmt;

use scanbridge_plugin_api::batch::{BatchBuilder, RowIndex};
use scanbridge_plugin_api::model::{AssetField, FindingField};

use crate::cells::Cells;
use crate::damage::Fault;
use crate::facts::FactReader;
use crate::notes::Notes;
use crate::walk::Flow;

/// Tracks which row of the current batch belongs to the current asset.
#[derive(Debug, Default)]
pub(crate) struct BatchWriter {
    /// The asset's row in the current batch.
    row: Option<RowIndex>,
    /// Whether the asset has a row in this or an earlier batch.
    started: bool,
    /// Whether that row is in an earlier batch.
    continued: bool,
    /// Whether the asset received texts after its row was written.
    has_late_text: bool,
    /// Whether the asset has not ended yet.
    pub(crate) is_open: bool,
    /// Number of assets written or filtered out.
    pub(crate) assets: u64,
    /// Selects the assets to write. If unset, all are written.
    pub(crate) filter: Option<AssetFilter>,
    /// Whether the filter rejected the current asset.
    is_filtered_out: bool,
}

/// Selects assets by their address.
pub(crate) struct AssetFilter(pub(crate) Box<dyn Fn(&str) -> bool + Send>);

impl fmt::Debug for AssetFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AssetFilter")
    }
}

impl BatchWriter {
    /// Begins another batch.
    pub(crate) fn begin_batch(&mut self) {
        self.row = None;
        self.continued = self.started;
    }

    /// Begins another asset.
    pub(crate) fn begin_asset(&mut self) {
        (self.row, self.started, self.continued, self.has_late_text) = (None, false, false, false);
        (self.is_open, self.is_filtered_out) = (true, false);
    }

    /// Begins a text of the asset. A text after the first findings is still written if the asset's row is in the
    /// current batch. Otherwise findings were already delivered without it, and it is counted in the notes.
    pub(crate) fn begin_text(&mut self, notes: &mut Notes) {
        self.has_late_text |= self.started && !self.is_filtered_out;
        notes.late_asset_fields += u64::from(self.has_late_text && self.continued);
    }

    /// The asset's row in the batch. An asset that began in an earlier batch is repeated as continued. None if the
    /// asset is filtered out.
    pub(crate) fn asset(&mut self, cells: &mut Cells, batch: &mut BatchBuilder) -> Option<RowIndex> {
        if self.row.is_some() || self.is_filtered_out {
            return self.row;
        }
        cells.complete_asset();
        self.assets += u64::from(!self.started);
        self.is_filtered_out = !self.started && !self.accepts(cells);
        if !self.is_filtered_out {
            self.row = Some(batch.push_asset(&cells.asset, self.started));
        }
        self.started = true;
        self.row
    }

    fn accepts(&self, cells: &Cells) -> bool {
        let address = match cells.asset.get(AssetField::Address) {
            "" => cells.asset.get(AssetField::Ipv6),
            address => address,
        };
        self.filter.as_ref().is_none_or(|accepts| accepts.0(address))
    }

    /// Whether the asset has a row, because it has findings.
    pub(crate) fn has_started(&self) -> bool {
        self.started
    }

    /// Ends the asset. An asset without findings gets its own row. A full batch is preferably delivered here.
    pub(crate) fn end_asset(&mut self, cells: &mut Cells, batch: &mut BatchBuilder) -> Flow {
        self.is_open = false;
        match self.row {
            Some(row) if self.has_late_text => {
                cells.complete_asset();
                batch.replace_asset(row, &cells.asset);
            }
            None if !self.started => {
                self.asset(cells, batch);
            }
            _ => {}
        }
        if batch.is_full() { Flow::Pause } else { Flow::On }
    }
}

/// Pauses the walk inside an asset if the batch is too large to wait for its end.
pub(crate) fn pause_when_overfull(batch: &BatchBuilder) -> Flow {
    if batch.is_overfull() { Flow::Pause } else { Flow::On }
}

/// Adds the facts that the result contains about the asset.
pub(crate) fn add_facts(cells: &mut Cells, reader: FactReader) -> Result<(), Box<Fault>> {
    let table = cells.finding.get(FindingField::ResultFormat).eq_ignore_ascii_case("table");
    let facts = reader.facts(cells.finding.get(FindingField::Result), table);
    cells.count_text(facts.len())?;
    cells.finding.set(FindingField::Facts, &facts);
    Ok(())
}
