//! How assets and findings reach the batch.

use std::fmt;

use scanbridge_plugin_api::batch::{BatchBuilder, RowIndex};
use scanbridge_plugin_api::model::{AssetField, FindingField};

use crate::cells::Cells;
use crate::damage::Fault;
use crate::facts::FactReader;
use crate::notes::Notes;
use crate::walk::Flow;

/// Knows which rows of the present batch the present asset has.
#[derive(Debug, Default)]
pub(crate) struct BatchWriter {
    /// The asset's row in the present batch.
    row: Option<RowIndex>,
    /// Whether the asset has a row in this or an earlier batch.
    started: bool,
    /// Whether that row is in an earlier batch.
    continued: bool,
    /// Whether the asset got texts after its row.
    late: bool,
    /// Whether the asset's end is still to come.
    pub(crate) is_open: bool,
    /// How many assets have begun to go out, or were left out.
    pub(crate) assets: u64,
    /// The walk pauses after this number of assets, even if the batch is not full.
    pub(crate) pause_behind: Option<u64>,
    /// Which assets go out; all without one.
    pub(crate) wanted: Option<AssetFilter>,
    /// Whether the asset is none of those.
    left_out: bool,
}

/// Judges an asset by its address.
pub(crate) struct AssetFilter(pub(crate) Box<dyn Fn(&str) -> bool + Send>);

impl fmt::Debug for AssetFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wanted")
    }
}

impl BatchWriter {
    /// Another batch is filled from now on.
    pub(crate) fn begin_batch(&mut self) {
        self.row = None;
        self.continued = self.started;
    }

    /// Another asset begins.
    pub(crate) fn begin_asset(&mut self) {
        (self.row, self.started, self.continued, self.late) = (None, false, false, false);
        (self.is_open, self.left_out) = (true, false);
    }

    /// The asset gets a text. One that comes after the first findings still reaches the row if that is in
    /// the present batch; otherwise findings went out without it, and that is noted.
    pub(crate) fn begin_text(&mut self, notes: &mut Notes) {
        self.late = self.started && !self.left_out;
        notes.late_asset_fields += u64::from(self.late && self.continued);
    }

    /// The asset's row in the batch; an asset that began in an earlier batch is repeated as continued. None for
    /// one that is left out.
    pub(crate) fn asset(&mut self, cells: &Cells, batch: &mut BatchBuilder) -> Option<RowIndex> {
        if self.row.is_some() || self.left_out {
            return self.row;
        }
        self.assets += u64::from(!self.started);
        self.left_out = !self.started && !self.wants(cells);
        if !self.left_out {
            self.row = Some(batch.push_asset(&cells.asset, self.started));
        }
        self.started = true;
        self.row
    }

    fn wants(&self, cells: &Cells) -> bool {
        let address = match cells.asset.get(AssetField::Address) {
            "" => cells.asset.get(AssetField::Ipv6),
            address => address,
        };
        self.wanted.as_ref().is_none_or(|wanted| wanted.0(address))
    }

    /// Whether the asset has begun to go out: it has findings.
    pub(crate) fn has_started(&self) -> bool {
        self.started
    }

    /// Ends the asset; one without findings is sent on its own. This is the best position to pass on a full batch.
    pub(crate) fn end_asset(&mut self, cells: &Cells, batch: &mut BatchBuilder) -> Flow {
        self.is_open = false;
        match self.row {
            Some(row) if self.late => batch.replace_asset(row, &cells.asset),
            None if !self.started => {
                self.asset(cells, batch);
            }
            _ => {}
        }
        if batch.is_full() || self.pause_behind == Some(self.assets) { Flow::Pause } else { Flow::On }
    }
}

/// Pauses the walk inside an asset, when the batch cannot wait for its end.
pub(crate) fn pause_when_overfull(batch: &BatchBuilder) -> Flow {
    if batch.is_overfull() { Flow::Pause } else { Flow::On }
}

/// Adds what the result tells about the asset.
pub(crate) fn add_facts(cells: &mut Cells, reader: FactReader) -> Result<(), Box<Fault>> {
    let table = cells.finding.get(FindingField::ResultFormat).eq_ignore_ascii_case("table");
    let facts = reader.facts(cells.finding.get(FindingField::Result), table);
    cells.count_text(facts.len())?;
    cells.finding.set(FindingField::Facts, &facts);
    Ok(())
}
