//! The lines of a few findings, to show them.

use scanbridge_plugin_api::Rendered;
use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::ReportStart;

use crate::lines::{Lines, NOT_VULNERABILITIES};

impl Lines {
    /// The lines of the findings of a batch, by an encoder of its own. `assets`: with those of assets.
    #[must_use]
    pub fn render(&self, assets: bool, report: &ReportStart, batch: Batch<'_>) -> Vec<Rendered> {
        let (mut lines, mut asset, mut rendered) = (self.fresh(), None, Vec::new());
        lines.begin(report);
        for finding in batch.findings() {
            let (row, asset_row) = (finding.row(), finding.asset().row());
            let is_new = asset.replace(asset_row) != Some(asset_row) && !finding.asset().is_continued();
            if assets && is_new {
                let mut line = Vec::new();
                lines.asset(&mut line, finding.asset());
                rendered.push(Rendered::new(row, String::from_utf8_lossy(line.trim_ascii_end())));
            }
            if !lines.accepts(finding.kind()) {
                rendered.push(Rendered::omitted(row, NOT_VULNERABILITIES));
                continue;
            }
            let mut line = Vec::new();
            lines.finding(&mut line, finding);
            rendered.push(Rendered::new(row, String::from_utf8_lossy(line.trim_ascii_end())));
        }
        rendered
    }
}
