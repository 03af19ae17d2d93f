//! A record of the format `batch`, read and checked.

use std::collections::HashMap;
use std::sync::Arc;

use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use scanbridge_plugin_api::PluginError;
use scanbridge_plugin_api::batch::{Columns, Schema, ValidBatch, unpack};
use scanbridge_plugin_api::model::ReportStart;

use super::position::Partition;
use crate::format::{CLEAN, header};

/// A record as it came, for a copy in the dead topic.
#[derive(Debug)]
pub(super) struct RawRecord {
    pub(super) partition: Partition,
    pub(super) offset: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Vec<u8>,
    pub(super) headers: Vec<(String, Vec<u8>)>,
}

/// What a record contains.
#[derive(Debug)]
pub(super) struct AssetPart {
    pub(super) report: Arc<ReportInfo>,
    pub(super) batch: ValidBatch,
    /// The number of this part and of all parts, from 1.
    pub(super) part: (usize, usize),
    pub(super) is_clean: bool,
    /// When the record was made, in milliseconds since 1970.
    pub(super) time: Option<u64>,
}

/// A report that records refer to.
#[derive(Debug)]
pub(super) struct ReportInfo {
    pub(super) start: ReportStart,
    pub(super) columns: Arc<Columns>,
}

/// Why a record is not delivered.
#[derive(Debug)]
pub(super) enum Unusable {
    /// It is invalid: the reason.
    Poison(String),
    /// A newer Scanbridge has written it: nothing after it may be read.
    Newer(PluginError),
}

/// The reports of the last records.
#[derive(Debug, Default)]
pub(super) struct Reports {
    known: HashMap<Vec<u8>, Arc<ReportInfo>>,
}

/// Reports that are kept. Records of few reports are mixed.
const KEPT_REPORTS: usize = 16;

impl RawRecord {
    pub(super) fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map(|headers| {
            headers
                .iter()
                .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
                .collect()
        });
        Self {
            partition: Partition::of(message.topic(), message.partition()),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().unwrap_or_default().to_vec(),
            headers: headers.unwrap_or_default(),
        }
    }

    /// `topic/partition/offset`.
    pub(super) fn origin(&self) -> String {
        format!("{}/{}/{}", self.partition.topic, self.partition.number, self.offset)
    }

    pub(super) fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.value.len() + headers
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.header(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Reads the record and checks everything that delivery relies on.
    ///
    /// # Errors
    /// It is not usable.
    pub(super) fn decode(&self, reports: &mut Reports) -> Result<AssetPart, Unusable> {
        let poison = |reason: String| Unusable::Poison(reason);
        self.check_format()?;
        let sum = self.text(header::CRC).ok_or_else(|| poison(missing(header::CRC)))?;
        let actual = format!("{:08x}", crc32c::crc32c(&self.value));
        if sum != actual {
            return Err(poison(format!("its checksum is {actual}, header {} has {sum}", header::CRC)));
        }
        let flags = self.text(header::FLAGS).unwrap_or_default();
        if flags.split([' ', ',']).any(|flag| flag == "partial") {
            return Err(poison("it contains only some findings of its asset (`partial`)".to_owned()));
        }
        let part = self.part().ok_or_else(|| poison(format!("header {} is invalid", header::PART)))?;
        let start = self.header(header::START).ok_or_else(|| poison(missing(header::START)))?;
        let report = reports.get(start).map_err(poison)?;
        let invalid = |error: String| poison(format!("its batch is invalid: {error}"));
        let raw = unpack(&self.value).map_err(|error| invalid(error.to_string()))?;
        let batch = ValidBatch::alone(raw, Arc::clone(&report.columns))
            .map_err(|error| invalid(error.to_string()))?;
        let bad = batch.read(|batch| batch.findings().find_map(|finding| finding.bad_code()));
        if let Some(code) = bad {
            return Err(invalid(code.to_string()));
        }
        let is_clean = flags.split([' ', ',']).any(|flag| flag == CLEAN);
        let time = self.text(header::TIME).and_then(|time| time.parse().ok());
        Ok(AssetPart { report, batch, part, is_clean, time })
    }

    fn check_format(&self) -> Result<(), Unusable> {
        let Some(format) = self.text(header::FORMAT) else {
            return Err(Unusable::Poison(missing(header::FORMAT)));
        };
        let version =
            format.strip_prefix("batch/").map(|version| version.split('.').next().unwrap_or_default());
        match version.map(str::parse::<u32>) {
            Some(Ok(1)) => Ok(()),
            Some(Ok(2..)) => {
                let error = PluginError::config(format!(
                    "record {}: format {format} needs a newer Scanbridge",
                    self.origin()
                ));
                Err(Unusable::Newer(error.with_hint("update Scanbridge on this machine; nothing is skipped")))
            }
            _ => Err(Unusable::Poison(format!("its format is {format}, not `batch`"))),
        }
    }

    fn part(&self) -> Option<(usize, usize)> {
        let Some(text) = self.header(header::PART) else { return Some((1, 1)) };
        let (number, count) = std::str::from_utf8(text).ok()?.split_once('/')?;
        let (number, count) = (number.parse().ok()?, count.parse().ok()?);
        (1..=count).contains(&number).then_some((number, count))
    }
}

fn missing(name: &str) -> String {
    format!("it has no header {name}")
}

impl Reports {
    fn get(&mut self, start: &[u8]) -> Result<Arc<ReportInfo>, String> {
        if let Some(known) = self.known.get(start) {
            return Ok(Arc::clone(known));
        }
        let report: ReportStart = serde_json::from_slice(start)
            .map_err(|error| format!("header {} is invalid: {error}", header::START))?;
        if let Some(fault) = report.schema.fault() {
            return Err(format!("header {} is invalid: {fault}", header::START));
        }
        if let Some(fault) = report.source.fault() {
            return Err(format!("header {} is without {fault}", header::START));
        }
        let columns = Arc::new(Columns::of_report(&report));
        let info = Arc::new(ReportInfo { start: report, columns });
        if self.known.len() == KEPT_REPORTS {
            self.known.clear();
        }
        self.known.insert(start.to_vec(), Arc::clone(&info));
        Ok(info)
    }
}

impl ReportInfo {
    pub(super) fn schema(&self) -> &Schema {
        self.columns.schema()
    }
}
