//! What is read for one checkpoint: records become assets, assets become reports.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use scanbridge_plugin_api::PluginError;
use scanbridge_plugin_api::batch::ValidBatch;

use super::position::{Offsets, Partition};
use super::record::{AssetPart, RawRecord, ReportInfo, Reports, Unusable};

/// Limits of a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct WindowLimits {
    pub(super) time: Duration,
    pub(super) bytes: usize,
    pub(super) asset_bytes: usize,
    pub(super) part_timeout: Duration,
}

/// Records that were read and not delivered, in their order.
#[derive(Debug)]
pub(super) struct Window {
    limits: WindowLimits,
    reports: Reports,
    items: Vec<Item>,
    /// Assets whose last part has not come.
    open: HashMap<AssetKey, OpenAsset>,
    /// After the last record of each partition that was read.
    read: Offsets,
    bytes: usize,
    began: Option<Instant>,
    last: Option<Instant>,
}

type AssetKey = (Partition, Option<Vec<u8>>);

/// Something to deliver, or to stop at.
#[derive(Debug)]
struct Item {
    partition: Partition,
    /// Of its first and of its last record.
    offsets: (i64, i64),
    bytes: usize,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Asset(Asset),
    Poison(RawRecord, String),
    Stop(PluginError),
}

/// A complete asset.
#[derive(Debug)]
pub(super) struct Asset {
    pub(super) report: Arc<ReportInfo>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) parts: Vec<ValidBatch>,
    pub(super) is_clean: bool,
    pub(super) time: Option<u64>,
}

#[derive(Debug)]
struct OpenAsset {
    report: Arc<ReportInfo>,
    parts: Vec<ValidBatch>,
    records: Vec<RawRecord>,
    count: usize,
    bytes: usize,
    since: Instant,
    time: Option<u64>,
}

/// The window, ready for delivery.
#[derive(Debug, Default)]
pub(super) struct Planned {
    /// Invalid records with the reasons, before anything else.
    pub(super) poison: Vec<(RawRecord, String)>,
    pub(super) reports: Vec<PlannedReport>,
    /// After the window.
    pub(super) next: Offsets,
    /// When the newest of the records was made, in milliseconds since 1970.
    pub(super) time: Option<u64>,
}

/// Assets of one report.
#[derive(Debug)]
pub(super) struct PlannedReport {
    pub(super) info: Arc<ReportInfo>,
    pub(super) assets: Vec<Asset>,
    /// First and last offset of each partition.
    pub(super) ranges: Vec<(Partition, i64, i64)>,
    pub(super) bytes: u64,
}

impl Window {
    pub(super) fn new(limits: WindowLimits) -> Self {
        Self {
            limits,
            reports: Reports::default(),
            items: Vec::new(),
            open: HashMap::new(),
            read: Offsets::default(),
            bytes: 0,
            began: None,
            last: None,
        }
    }

    /// When the last record was read.
    pub(super) fn last(&self) -> Option<Instant> {
        self.last
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.open.is_empty()
    }

    /// Whether nothing more may be read before the next delivery.
    pub(super) fn is_full(&self) -> bool {
        let held: usize = self.open.values().map(|open| open.bytes).sum();
        self.bytes.saturating_sub(held) >= self.limits.bytes
            || (self.began.is_some_and(|began| began.elapsed() >= self.limits.time) && !self.items.is_empty())
    }

    /// Drops what belongs to partitions that others read now.
    pub(super) fn drop_partitions(&mut self, partitions: &[Partition]) {
        self.items.retain(|item| !partitions.contains(&item.partition));
        self.open.retain(|(partition, _), _| !partitions.contains(partition));
        let mut read = Offsets::default();
        for (partition, next) in self.read.iter().filter(|(partition, _)| !partitions.contains(partition)) {
            read.set(partition.clone(), next);
        }
        self.read = read;
        self.count();
    }

    fn count(&mut self) {
        let open: usize = self.open.values().map(|open| open.bytes).sum();
        self.bytes = self.items.iter().map(|item| item.bytes).sum::<usize>() + open;
        self.began = self.began.filter(|_| !self.items.is_empty());
    }

    /// Adds a record. `stop` decides whether reading must stop before a report, for example because of its columns.
    pub(super) fn add(&mut self, record: RawRecord, stop: impl FnOnce(&ReportInfo) -> Option<PluginError>) {
        let now = Instant::now();
        self.last = Some(now);
        self.began.get_or_insert(now);
        self.read.set(record.partition.clone(), record.offset + 1);
        self.bytes += record.bytes();
        match record.decode(&mut self.reports) {
            Err(Unusable::Newer(error)) => self.push(&record, Content::Stop(error)),
            Err(Unusable::Poison(reason)) => self.poison(record, reason),
            Ok(part) => match stop(&part.report) {
                Some(error) => self.push(&record, Content::Stop(error)),
                None => self.part(record, part),
            },
        }
    }

    fn push(&mut self, record: &RawRecord, content: Content) {
        self.items.push(Item {
            partition: record.partition.clone(),
            offsets: (record.offset, record.offset),
            bytes: record.bytes(),
            content,
        });
    }

    fn poison(&mut self, record: RawRecord, reason: String) {
        self.items.push(Item {
            partition: record.partition.clone(),
            offsets: (record.offset, record.offset),
            bytes: record.bytes(),
            content: Content::Poison(record, reason),
        });
    }

    fn part(&mut self, record: RawRecord, part: AssetPart) {
        let AssetPart { report, batch, part: (number, count), is_clean, time } = part;
        let key = (record.partition.clone(), record.key.clone());
        if count == 1 {
            // A complete asset makes earlier parts of it obsolete: their sender was interrupted and has sent it again.
            self.open.remove(&key);
            let asset = Asset { report, key: record.key.clone(), parts: vec![batch], is_clean, time };
            return self.push(&record, Content::Asset(asset));
        }
        let bytes = record.bytes();
        if number == 1 {
            self.open.insert(
                key.clone(),
                OpenAsset {
                    report,
                    parts: vec![batch],
                    records: vec![record],
                    count,
                    bytes,
                    since: Instant::now(),
                    time,
                },
            );
        } else {
            match self.open.get_mut(&key) {
                Some(open) if open.parts.len() + 1 == number && open.count == count => {
                    open.parts.push(batch);
                    open.records.push(record);
                    open.bytes += bytes;
                }
                _ => {
                    let reason =
                        format!("it is part {number} of {count} of an asset, without the parts before it");
                    self.poison(record, reason);
                    return self.abandon(&key, "other parts of the asset are missing");
                }
            }
        }
        self.complete(&key);
    }

    /// Moves an asset to the items if its last part has come, or if it is too large.
    fn complete(&mut self, key: &AssetKey) {
        let Some(open) = self.open.get(key) else { return };
        if open.bytes > self.limits.asset_bytes {
            let reason = format!("the asset has more than {} bytes (`asset_bytes`)", self.limits.asset_bytes);
            return self.abandon(key, &reason);
        }
        if open.parts.len() < open.count {
            return;
        }
        if let Some(open) = self.open.remove(key) {
            let offset = |record: Option<&RawRecord>| record.map_or(0, |record| record.offset);
            self.items.push(Item {
                partition: key.0.clone(),
                offsets: (offset(open.records.first()), offset(open.records.last())),
                bytes: open.bytes,
                content: Content::Asset(Asset {
                    report: open.report,
                    key: key.1.clone(),
                    parts: open.parts,
                    is_clean: false,
                    time: open.time,
                }),
            });
        }
    }

    fn abandon(&mut self, key: &AssetKey, reason: &str) {
        let records = self.open.remove(key).map(|open| open.records).unwrap_or_default();
        records.into_iter().for_each(|record| self.poison(record, reason.to_owned()));
    }

    /// Gives up assets whose parts have not come in time, or for which too much waits.
    pub(super) fn expire(&mut self) {
        let limit = self.limits.part_timeout;
        if self.bytes > self.limits.bytes.saturating_add(self.limits.asset_bytes) {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.since).map(|(key, _)| key.clone());
            oldest.iter().for_each(|key| self.abandon(key, "other parts of the asset do not come"));
        }
        let late: Vec<AssetKey> = self
            .open
            .iter()
            .filter(|(_, open)| open.since.elapsed() >= limit)
            .map(|(key, _)| key.clone())
            .collect();
        for key in late {
            let reason = format!(
                "other parts of the asset have not come within {} s (`part_timeout`)",
                limit.as_secs()
            );
            self.abandon(&key, &reason);
            self.began.get_or_insert_with(Instant::now);
        }
    }

    /// Takes what can be delivered now; the rest stays. `keeps_poison` is whether invalid records can be copied.
    ///
    /// # Errors
    /// The first record is one to stop at.
    pub(super) fn plan(&mut self, keeps_poison: bool) -> Result<Planned, PluginError> {
        let mut planned = Planned::default();
        // Records after the first part of an open asset wait for its last part, so that positions have no gaps.
        let mut waits: HashMap<Partition, i64> = HashMap::new();
        for ((partition, _), open) in &self.open {
            let first = open.records.first().map_or(i64::MAX, |record| record.offset);
            let known = waits.entry(partition.clone()).or_insert(first);
            *known = first.min(*known);
        }
        let mut reports_of_assets: HashMap<Option<Vec<u8>>, (String, String)> = HashMap::new();
        let (mut rest, mut is_done, mut stop) = (Vec::new(), false, None);
        for item in std::mem::take(&mut self.items) {
            let is_behind = waits.get(&item.partition).is_some_and(|first| item.offsets.1 >= *first);
            if is_done || is_behind {
                let first = waits.entry(item.partition.clone()).or_insert(item.offsets.0);
                *first = item.offsets.0.min(*first);
                rest.push(item);
                continue;
            }
            let stops = match &item.content {
                Content::Stop(error) => Some(error.clone()),
                Content::Poison(record, reason) if !keeps_poison => Some(invalid(record, reason)),
                Content::Asset(asset) => {
                    let report = report_of(&asset.report);
                    let other = reports_of_assets.insert(asset.key.clone(), report.clone());
                    // The order of reports counts for each asset, so it is not in two reports of a window.
                    is_done = other.is_some_and(|other| other != report);
                    None
                }
                Content::Poison(..) => None,
            };
            is_done |= stops.is_some();
            if is_done {
                stop = stops;
                waits.insert(item.partition.clone(), item.offsets.0);
                rest.push(item);
                continue;
            }
            planned.add(item);
        }
        self.items = rest;
        if planned.is_empty()
            && let Some(error) = stop
        {
            return Err(error);
        }
        for (partition, next) in self.read.iter() {
            let next = waits.get(partition).map_or(next, |first| next.min(*first));
            planned.next.set(partition.clone(), next);
        }
        self.count();
        if !self.items.is_empty() {
            // What stays is due at once.
            self.began = Instant::now().checked_sub(self.limits.time);
        }
        Ok(planned)
    }
}

fn invalid(record: &RawRecord, reason: &str) -> PluginError {
    PluginError::bad_data(format!("invalid record {}: {reason}", record.origin()))
        .with_hint("set `dead_topic` to copy invalid records there and to continue")
}

fn report_of(info: &ReportInfo) -> (String, String) {
    (info.start.source.result_name().to_owned(), info.start.id.clone())
}

impl Planned {
    pub(super) fn is_empty(&self) -> bool {
        self.poison.is_empty() && self.reports.is_empty()
    }

    fn add(&mut self, item: Item) {
        let Item { partition, offsets, bytes, content } = item;
        let asset = match content {
            Content::Poison(record, reason) => return self.poison.push((record, reason)),
            Content::Stop(_) => return,
            Content::Asset(asset) => asset,
        };
        self.time = self.time.max(asset.time);
        let known = self.reports.iter_mut().find(|known| report_of(&known.info) == report_of(&asset.report));
        let report = match known {
            Some(report) => report,
            None => {
                let info = Arc::clone(&asset.report);
                self.reports.push(PlannedReport { info, assets: Vec::new(), ranges: Vec::new(), bytes: 0 });
                self.reports.last_mut().expect("it was added")
            }
        };
        match report.ranges.iter_mut().find(|(known, ..)| *known == partition) {
            Some((_, first, last)) => (*first, *last) = ((*first).min(offsets.0), (*last).max(offsets.1)),
            None => report.ranges.push((partition, offsets.0, offsets.1)),
        }
        report.bytes += bytes as u64;
        report.assets.push(asset);
    }
}

impl PlannedReport {
    /// Identifies the content: topics, partitions and offsets.
    pub(super) fn revision(&self) -> String {
        let mut ranges: Vec<_> = self.ranges.iter().collect();
        ranges.sort();
        let ranges = ranges.iter().map(|(partition, first, last)| {
            format!("{}/{}/{first}-{last}", partition.topic, partition.number)
        });
        ranges.collect::<Vec<_>>().join(",")
    }

    /// The topics that it was read from.
    pub(super) fn topics(&self) -> String {
        let topics: HashSet<&str> =
            self.ranges.iter().map(|(partition, ..)| partition.topic.as_str()).collect();
        let mut topics: Vec<_> = topics.into_iter().collect();
        topics.sort_unstable();
        topics.join(",")
    }
}
