//! The commands of a few findings, to show them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;

use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{Begin, Rendered};

use crate::asset::address_of;
use crate::block::Block;
use crate::commands::CommandWriter;

impl CommandWriter {
    /// The commands of the findings of a batch, by a writer of its own: those of an asset at its first finding, with the
    /// header before the first ones.
    #[must_use]
    pub fn render(&self, report: &ReportStart, batch: Batch<'_>) -> Vec<Rendered> {
        let mut writer = Self::new(self.settings.clone());
        writer.begin(report, Begin::NEW);
        let mut commands: HashMap<IpAddr, String> = HashMap::new();
        let mut sink = |block: Block<'_>| {
            commands.entry(block.address).or_default().push_str(block.text);
            Ok::<(), Infallible>(())
        };
        let Ok(written) = writer.batch(batch, &mut sink);
        let Ok(()) = writer.finish_asset(&mut sink);
        let mut header = writer.header();
        let rendered = batch.findings().map(|finding| {
            let row = finding.row();
            if let Some(rejection) = written.rejected.iter().find(|rejection| rejection.row == row) {
                return Rendered::omitted(row, rejection.reason.as_str());
            }
            if written.left_out.contains(&row) {
                return Rendered::omitted(row, LEFT_OUT);
            }
            match address_of(&finding.asset()).and_then(|address| commands.remove(&address)) {
                Some(text) => {
                    Rendered::new(row, format!("{}{}", std::mem::take(&mut header), text.trim_end()))
                }
                None => Rendered::omitted(row, SHARED),
            }
        });
        rendered.collect()
    }
}

const LEFT_OUT: &str = "left out: the finding is closed, or `kinds` or `min_severity` excludes it";
const SHARED: &str = "its command is among those of its asset, above";

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::Options;
    use scanbridge_plugin_api::batch::{
        AssetRow, BatchBuilder, Columns, DefinitionRow, FindingRow, Selection,
    };
    use scanbridge_plugin_api::model::{AssetField, DefinitionField, FindingKind, ReportSource};

    use super::*;
    use crate::{BlockLimits, Settings, format_options};

    #[test]
    fn each_finding_has_commands_or_a_reason() {
        let table = const {
            &[
                format_options::SOURCE,
                format_options::SCANNER,
                format_options::DOMAIN,
                format_options::ADD_HOST,
                format_options::REPLACE,
                format_options::SET_OS,
                format_options::KINDS,
                format_options::MIN_SEVERITY,
                format_options::DESCRIPTION,
                format_options::DESCRIPTION_LENGTH,
            ]
        };
        let options = Options::read(table, b"{}").unwrap();
        let writer = CommandWriter::new(Settings::read(&options, BlockLimits::default()).unwrap());
        let report = ReportStart::default().with_source(ReportSource::new("Qualys", "QualysGuard", "qid"));
        let mut batch = BatchBuilder::default();
        for (address, findings) in [("192.0.2.1", 2), ("no address", 1), ("192.0.2.2", 1)] {
            let mut asset = AssetRow::default();
            asset.set(AssetField::Address, address);
            let asset = batch.push_asset(&asset, false);
            for number in 0..findings {
                let mut definition = DefinitionRow::default();
                definition.set(DefinitionField::Id, &(number + 1).to_string());
                definition.set(DefinitionField::Title, "Weak cipher");
                let definition = batch.push_definition(&definition);
                let mut finding = FindingRow::default();
                finding.set_kind(FindingKind::Vulnerability);
                batch.push_finding(asset, definition, &finding);
            }
        }
        let (raw, columns) = (batch.finish(), Columns::of_report(&report));
        let batch = Batch::of(&raw, &columns).unwrap();
        let rendered = writer.render(&report, batch);
        assert_eq!(rendered.iter().map(|one| one.row).collect::<Vec<_>>(), [0, 1, 2, 3]);
        let lines: Vec<&str> = rendered[0].text.lines().collect();
        assert!(lines[0].starts_with("SetSource,"), "{lines:?}");
        assert_eq!(lines.iter().filter(|line| line.starts_with("AddScanResult,192.0.2.1,")).count(), 2);
        assert_eq!(lines.last(), Some(&"ScanUpdate"));
        assert_eq!(rendered[1], Rendered::omitted(1, SHARED));
        assert!(rendered[2].text.is_empty() && !rendered[2].omitted.is_empty(), "{:?}", rendered[2]);
        assert!(!rendered[3].text.contains("SetSource") && rendered[3].text.contains("192.0.2.2"));
        let one = writer.render(&report, batch.select(Selection::new(&[0], &[1])));
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].text.lines().filter(|line| line.starts_with("AddScanResult")).count(), 1);
    }
}
