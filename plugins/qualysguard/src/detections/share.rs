//! The assets of one share, when several machines download the detections together. Their IDs are listed first, by
//! another call of the API; the pages are then requested by ID.

use scanbridge_plugin_api::keeper::Share;
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, tracing};
use scanbridge_qualys_xml::{AssetList, ListFault, read_assets};

use super::next_page::id_min;
use crate::api::{Answer, Call, unusable_list};
use crate::source::SourceContext;

/// The IDs of a share.
#[derive(Debug, Clone)]
pub(super) struct ShareOfAssets {
    share: Share,
    /// `None` before they are listed in this pull.
    listed: Option<Listed>,
}

#[derive(Debug, Clone)]
struct Listed {
    /// When the list was begun, by the clock of Qualys.
    time: String,
    /// In ascending order.
    ids: Vec<u64>,
}

/// Assets for each call.
const LIST_LIMIT: u32 = 50_000;
/// More than a subscription has. All IDs are in memory.
const MAX_IDS: usize = 10_000_000;

impl ShareOfAssets {
    /// `None` for a share that is everything.
    pub(super) fn of(share: Share) -> Option<Self> {
        (!share.is_whole()).then_some(Self { share, listed: None })
    }

    /// A new pull begins: the assets are listed again.
    pub(super) fn begin(&mut self) {
        self.listed = None;
    }

    /// Lists the assets with this ID and higher ones that were processed since this time, once in a pull.
    pub(super) fn list(
        &mut self,
        first: u64,
        since: Option<&str>,
        context: &mut SourceContext,
    ) -> Result<()> {
        if self.listed.is_some() {
            return Ok(());
        }
        let mut listed = Listed { time: String::new(), ids: Vec::new() };
        let (mut from, mut all) = (Some(first), 0);
        while let Some(first) = from {
            let list = list(first, since, context)?;
            if listed.time.is_empty() {
                listed.time.clone_from(&list.time);
            }
            for (first, last) in &list.ranges {
                let length = last.saturating_sub(*first);
                all += length.saturating_add(1);
                if length > MAX_IDS as u64 || all > MAX_IDS as u64 {
                    return Err(unusable_list("the list of assets", ListFault::TooLong));
                }
                listed.ids.extend((*first..=*last).filter(|id| self.share.contains(*id)));
            }
            from = rest(&list, first, context)?;
        }
        listed.ids.sort_unstable();
        listed.ids.dedup();
        let Share { number, of, .. } = self.share;
        tracing::info!("{all} assets listed, {} of them in share {number} of {of}", listed.ids.len());
        self.listed = Some(listed);
        Ok(())
    }

    /// When the assets were listed, by the clock of Qualys.
    pub(super) fn time(&self) -> &str {
        self.listed.as_ref().map_or("", |listed| listed.time.as_str())
    }

    /// The first IDs from `first` on, at most `count`.
    pub(super) fn from(&self, first: u64, count: u32) -> &[u64] {
        let ids = self.listed.as_ref().map_or(&[][..], |listed| &listed.ids);
        let rest = &ids[ids.partition_point(|id| *id < first)..];
        &rest[..rest.len().min(count as usize)]
    }
}

fn list(first: u64, since: Option<&str>, context: &mut SourceContext) -> Result<AssetList> {
    let url = context.client.at("api/2.0/fo/asset/host/");
    let mut call = Call::post("listing assets", url, &["HOST_LIST_OUTPUT"])
        .field("action", "list")
        .field("details", "None")
        .field("truncation_limit", LIST_LIMIT.to_string());
    if first > 0 {
        call = call.field("id_min", first.to_string());
    }
    if let Some(since) = since {
        call = call.field("vm_processed_after", since);
    }
    match context.client.call(&call.fields(context.settings.targets.parameters("ag_ids")))? {
        Answer::Data(body) => {
            read_assets(body.source.read(None)).map_err(|fault| unusable_list("the list of assets", fault))
        }
        Answer::Done(reply) | Answer::NotReady(reply) => {
            let message = format!("listing assets failed: {reply}");
            Err(PluginError::new(ErrorKind::Protocol, message))
        }
    }
}

/// The first ID of the rest of the list.
fn rest(list: &AssetList, first: u64, context: &SourceContext) -> Result<Option<u64>> {
    if list.next.is_empty() && list.warning != "1980" {
        return Ok(None);
    }
    let last = list.ranges.iter().map(|(_, last)| *last).max().unwrap_or(0);
    let next = if list.next.is_empty() { None } else { id_min(&list.next, "assets", context)? };
    match next {
        Some(next) if next > first && next >= last => Ok(Some(next)),
        None if list.warning != "1980" => Ok(None),
        _ => Err(PluginError::new(ErrorKind::Protocol, "the rest of the list of assets has no usable URL")
            .with_hint("download stopped, because the result would be incomplete")),
    }
}
