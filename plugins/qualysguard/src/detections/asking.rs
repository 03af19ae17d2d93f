//! Asking for pages: as many assets at once as Qualys can deliver, down to one; and past one that it cannot.

use scanbridge_plugin_api::{ErrorKind, PluginError, Result, tracing};
use scanbridge_qualys_report::Source;
use scanbridge_qualys_xml::{Page, clean, read_asset_numbers};
use url::Url;

use super::cached_pages::CachedPages;
use crate::api::{Answer, Call, Failure, unusable_list};
use crate::http::{Body, Keep};
use crate::options::Detections as Wanted;
use crate::source::SourceContext;

/// How pages are asked for.
#[derive(Debug, Clone)]
pub(super) struct PageRequests {
    wanted: Wanted,
    /// Assets per page, now.
    size: u32,
    /// Pages that came since the size was changed.
    good: u32,
    /// Assets that could not be had since the last page that came.
    failed: u32,
    kept: CachedPages,
}

/// A page, and what came of asking for it.
pub(super) struct Got {
    pub(super) source: Source,
    pub(super) page: Page,
    /// How many assets of the page were delivered by an interrupted run.
    pub(super) delivered: u64,
    /// Assets that no page can be made with.
    pub(super) missing: Vec<u64>,
    /// Where the next page begins; none after the last one.
    pub(super) next: Option<u64>,
}

/// After so many good pages a larger one is tried.
const GOOD_PAGES: u32 = 8;
/// So many assets in a row that cannot be had are no fault of theirs.
const MOST_FAILED: u32 = 5;

impl PageRequests {
    pub(super) fn new(wanted: &Wanted, kept: CachedPages) -> Self {
        Self { wanted: wanted.clone(), size: wanted.page_size, good: 0, failed: 0, kept }
    }

    /// The page that begins with the asset of this number or the next higher one.
    pub(super) fn page(
        &mut self,
        first: u64,
        since: Option<&str>,
        around: &mut SourceContext,
    ) -> Result<Got> {
        if let Some(got) = self.kept_page(first, around) {
            return Ok(got);
        }
        let (mut first, mut missing) = (first, Vec::new());
        loop {
            let failure = match self.try_page(first, since, around) {
                Ok((body, page)) => {
                    let next = next_page(&page, first, around)?;
                    self.succeeded();
                    self.kept.keep(first, next);
                    return Ok(Got { source: body.source, page, delivered: 0, missing, next });
                }
                Err(failure) if failure.of_size => failure,
                Err(failure) => return Err(failure.into()),
            };
            if self.size > 1 {
                self.size = (self.size / 2).max(1);
                self.good = 0;
                let size = self.size;
                tracing::warn!("{}: reducing the page size to {size} assets", failure.error);
                continue;
            }
            self.failed += 1;
            if self.failed > MOST_FAILED {
                return Err(failure.into());
            }
            let Some(asset) = first_asset(first, around)? else { return Err(failure.into()) };
            tracing::warn!("skipping asset {asset}, which cannot be downloaded: {}", failure.error);
            missing.push(asset);
            let Some(next) = asset.checked_add(1) else { return Err(failure.into()) };
            first = next;
        }
    }

    /// The page with this asset, if an interrupted run has fetched it.
    fn kept_page(&self, asset: u64, around: &SourceContext) -> Option<Got> {
        let (source, first) = self.kept.find(asset)?;
        let page = Page::read(source.read(None), around.settings.reading.limits).ok()?;
        let next = next_page(&page, first, around).ok()?;
        let delivered = page.assets.iter().take_while(|id| **id < asset).count() as u64;
        tracing::debug!("using the page of detections from asset {first} downloaded by the interrupted run");
        Some(Got { source, page, delivered, missing: Vec::new(), next })
    }

    fn try_page(
        &self,
        first: u64,
        since: Option<&str>,
        around: &mut SourceContext,
    ) -> Result<(Body, Page), Failure> {
        let call = self.call(first, since, around).keep(Keep::At(self.kept.incoming()));
        let body = match around.client.call(&call)? {
            Answer::Data(body) => body,
            Answer::Done(reply) | Answer::NotReady(reply) => {
                let message = format!("downloading detections failed: {reply}");
                return Err(PluginError::new(ErrorKind::Protocol, message).into());
            }
        };
        match Page::read(body.source.read(None), around.settings.reading.limits) {
            Ok(page) => Ok((body, page)),
            Err(damage) => {
                let message = format!("invalid page of detections from asset {first}: {damage}");
                Err(Failure { of_size: true, ..PluginError::new(ErrorKind::Unavailable, message).into() })
            }
        }
    }

    fn call(&self, first: u64, since: Option<&str>, around: &SourceContext) -> Call {
        let wanted = &self.wanted;
        let url = around.client.at(&format!("api/{}/fo/asset/host/vm/detection/", wanted.version));
        let mut call = Call::post("fetching detections", url, &["HOST_LIST_VM_DETECTION_OUTPUT"])
            .field("action", "list")
            .field("output_format", "XML")
            .field("truncation_limit", self.size.to_string())
            .field("status", wanted.statuses.join(","));
        if first > 0 {
            call = call.field("id_min", first.to_string());
        }
        if !wanted.severities.is_empty() {
            call = call.field("severities", wanted.severities.join(","));
        }
        let asks = |kind: &str| wanted.types.iter().any(|wanted| wanted == kind);
        match (asks("confirmed"), asks("potential")) {
            (true, false) => call = call.field("include_vuln_type", "confirmed"),
            (false, true) => call = call.field("include_vuln_type", "potential"),
            _ => {}
        }
        if asks("information") {
            call = call.field("show_igs", "1");
        }
        if !wanted.show_results {
            call = call.field("show_results", "0");
        }
        if let Some(since) = since {
            call = call.field("vm_processed_after", since);
        }
        call.fields(around.settings.targets.parameters("ag_ids")).fields(around.settings.extra.clone())
    }

    fn succeeded(&mut self) {
        self.good += 1;
        self.failed = 0;
        if self.good >= GOOD_PAGES && self.size < self.wanted.page_size {
            self.size = (self.size * 2).min(self.wanted.page_size);
            self.good = 0;
        }
    }
}

/// Where the next page begins. Of the address only that is taken: credentials go to the host that is set, and to
/// no other.
fn next_page(page: &Page, first: u64, around: &SourceContext) -> Result<Option<u64>> {
    let protocol = |message: &str| {
        Err(PluginError::new(ErrorKind::Protocol, message)
            .with_hint("download stopped, because the result would be incomplete"))
    };
    let Some(address) = &page.next else {
        return match page.warning.as_str() {
            // Not all is there, says the code. To take this for the end would lose the rest in silence.
            "1980" => protocol("Qualys announced a next page of detections without its URL"),
            _ => Ok(None),
        };
    };
    let Ok(url) = Url::parse(address) else {
        return protocol("invalid URL for the next page of detections");
    };
    let ours = &around.settings.network.url;
    if url.origin() != ours.origin() {
        let host = url.host_str().unwrap_or_default();
        return protocol(&format!(
            "the next page of detections is on another host, {}, expected {}",
            clean(host),
            ours.host_str().unwrap_or_default()
        ));
    }
    let id_min = url.query_pairs().find(|(name, _)| name == "id_min").and_then(|(_, id)| id.parse().ok());
    match id_min {
        // Some answers have no code, but an address that can only mean this.
        Some(next) if matches!(page.warning.as_str(), "1980" | "") => {
            let last = page.assets.iter().max().copied().unwrap_or(0);
            if next <= first || next < last {
                return protocol(&format!(
                    "the next page of detections starts at asset {next}, which is not after the current \
                     page"
                ));
            }
            // The first asset of a page is on no other: one that is named again is delivered already.
            let behind = if page.assets.is_empty() { next } else { last.saturating_add(1) };
            Ok(Some(next.max(behind)))
        }
        None if page.warning == "1980" => protocol("the URL of the next page of detections has no id_min"),
        _ => Ok(None),
    }
}

/// The number of the first asset from this one on.
fn first_asset(first: u64, around: &mut SourceContext) -> Result<Option<u64>> {
    let url = around.client.at("api/2.0/fo/asset/host/");
    let mut call = Call::post("listing assets", url, &["HOST_LIST_OUTPUT"])
        .field("action", "list")
        .field("details", "None")
        .field("truncation_limit", "1");
    if first > 0 {
        call = call.field("id_min", first.to_string());
    }
    call = call.fields(around.settings.targets.parameters("ag_ids"));
    match around.client.call(&call)? {
        Answer::Data(body) => {
            let numbers = read_asset_numbers(body.source.read(None))
                .map_err(|fault| unusable_list("the list of assets", fault))?;
            Ok(numbers.into_iter().filter(|number| *number >= first).min())
        }
        Answer::Done(_) | Answer::NotReady(_) => Ok(None),
    }
}
