//! Sends the records of one report.

use scanbridge_plugin_api::{LateRow, Result};

use crate::asset_records::PackedAsset;
use crate::format::{Format, PartHeaders, ReportHeaders};
use crate::producer::{Producer, Record};

pub(crate) struct Sender<'a> {
    pub(crate) producer: &'a Producer,
    pub(crate) headers: &'a ReportHeaders,
    pub(crate) has_keys: bool,
}

/// A text, which needs no parts.
pub(crate) struct Text<'a> {
    pub(crate) format: Format,
    /// The key of its asset.
    pub(crate) key: &'a str,
    pub(crate) value: &'a [u8],
    /// Its finding, if it is about exactly one.
    pub(crate) row: Option<LateRow>,
}

impl Sender<'_> {
    pub(crate) fn asset(&self, topic: &str, asset: PackedAsset, is_clean: bool) -> Result<()> {
        let count = asset.parts.len();
        for (number, part) in (1..).zip(asset.parts) {
            let headers =
                self.headers.batch(PartHeaders { value: &part.value, part: (number, count), is_clean });
            let key = Some(asset.key.as_bytes());
            self.producer.send(Record {
                topic,
                partition: None,
                key,
                value: Some(&part.value),
                headers,
                rows: part.rows,
            })?;
        }
        Ok(())
    }

    pub(crate) fn text(&self, topic: &str, text: Text<'_>) -> Result<()> {
        self.producer.send(Record {
            topic,
            partition: None,
            key: self.has_keys.then_some(text.key.as_bytes()),
            value: Some(text.value),
            headers: self.headers.text(text.format),
            rows: text.row.into_iter().collect(),
        })
    }
}
