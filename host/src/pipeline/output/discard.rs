//! An output that writes nothing. In a dry run it gets what the pipeline's outputs would get.

use scanbridge_plugin_api::abi::{OutputTable2, output_table};
use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, Open, OpenedOutput, OptionSpec, Output, Receipt, Result,
    Written,
};

struct Discard;

/// The functions of this output.
pub(in crate::pipeline) const DISCARD: OutputTable2 = output_table::<Discard>();

impl Output for Discard {
    const NAME: &'static str = "Discard";
    const SUMMARY: &'static str = "writes nothing";
    const OPTIONS: &'static [OptionSpec] = &[];

    fn open(_: &Open<'_>, _: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        Ok(Self.into())
    }

    fn check(&mut self) -> Result<CheckReport> {
        Ok(CheckReport::default())
    }

    fn begin(&mut self, _: &ReportStart, _: Begin) -> Result<()> {
        Ok(())
    }

    fn write(&mut self, _: Batch<'_>) -> Result<Written> {
        Ok(Written::default())
    }

    fn end(&mut self, _: &ReportEnd) -> Result<Written> {
        Ok(Written::default())
    }

    fn commit(&mut self, _: CommitPoint) -> Result<Committed> {
        Ok(Committed::default())
    }
}
