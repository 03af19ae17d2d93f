//! Requests pages of detections. Halves the page size if Qualys cannot deliver a page, down to one asset, and
//! skips an asset that cannot be downloaded even alone.

use scanbridge_plugin_api::{ErrorKind, PluginError, Result, tracing};
use scanbridge_qualys_report::Source;
use scanbridge_qualys_xml::{Mark, Page, clean, read_asset_numbers};
use url::Url;

use super::cached_pages::{CachedPage, CachedPages, InPage};
use crate::api::{Answer, Call, Failure, unusable_list};
use crate::http::{Body, Keep};
use crate::options::Detections as Wanted;
use crate::source::SourceContext;

/// Requests pages and adapts the page size.
#[derive(Debug, Clone)]
pub(super) struct PageRequests {
    wanted: Wanted,
    /// Current page size, in assets.
    size: u32,
    /// Pages received since the page size was changed.
    good: u32,
    /// Assets skipped since the last page was received.
    failed: u32,
    cache: CachedPages,
}

/// A downloaded page.
pub(super) struct FetchedPage {
    pub(super) source: Source,
    /// The asset ID that it was requested from.
    pub(super) first: u64,
    /// Its content after `mark`.
    pub(super) page: Page,
    /// Where an interrupted run stopped in this page.
    pub(super) mark: Option<Mark>,
    /// IDs of the assets that were skipped before this page.
    pub(super) missing: Vec<u64>,
    /// First asset ID of the next page; `None` after the last page.
    pub(super) next: Option<u64>,
}

/// Number of pages received before the page size is doubled again.
const GOOD_PAGES: u32 = 8;
/// Number of assets in a row that may be skipped. More failures mean that the service is unavailable.
const MAX_FAILED: u32 = 5;

impl PageRequests {
    pub(super) fn new(wanted: &Wanted, cache: CachedPages) -> Self {
        Self { wanted: wanted.clone(), size: wanted.page_size, good: 0, failed: 0, cache }
    }

    /// The page that starts with this asset ID or the next higher one; `within`: the rest of the page after this position,
    /// if an interrupted run has downloaded the page.
    pub(super) fn page(
        &mut self,
        first: u64,
        within: Option<InPage>,
        since: Option<&str>,
        context: &mut SourceContext,
    ) -> Result<FetchedPage> {
        if let Some(fetched) = self.cached_page(first, within, context) {
            return Ok(fetched);
        }
        let (mut first, mut missing) = (first, Vec::new());
        loop {
            let failure = match self.try_page(first, since, context) {
                Ok((body, page)) => {
                    let next = next_page(&page, first, context)?;
                    self.succeeded();
                    self.cache.keep(first, next);
                    return Ok(FetchedPage { source: body.source, first, page, mark: None, missing, next });
                }
                Err(failure) if failure.smaller_may_help => failure,
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
            if self.failed > MAX_FAILED {
                return Err(failure.into());
            }
            let Some(asset) = first_asset(first, context)? else { return Err(failure.into()) };
            tracing::warn!("skipping asset {asset}, which cannot be downloaded: {}", failure.error);
            missing.push(asset);
            let Some(next) = asset.checked_add(1) else { return Err(failure.into()) };
            first = next;
        }
    }

    /// The page with this asset, if an interrupted run downloaded it.
    fn cached_page(
        &self,
        asset: u64,
        within: Option<InPage>,
        context: &SourceContext,
    ) -> Option<FetchedPage> {
        let CachedPage { source, first, next, mark } = self.cache.find(asset, within)?;
        let limits = context.settings.reading.limits;
        let page = match &mark {
            Some(mark) => Page::read_rest(source.read_from(mark.offset, None), limits, mark),
            None => Page::read(source.read(None), limits),
        };
        let page = page.ok()?;
        tracing::debug!("using the page of detections from asset {first} downloaded by the interrupted run");
        Some(FetchedPage { source, first, page, mark, missing: Vec::new(), next })
    }

    fn try_page(
        &self,
        first: u64,
        since: Option<&str>,
        context: &mut SourceContext,
    ) -> Result<(Body, Page), Failure> {
        let call = self.call(first, since, context).keep(Keep::At(self.cache.incoming()));
        let body = match context.client.call(&call)? {
            Answer::Data(body) => body,
            Answer::Done(reply) | Answer::NotReady(reply) => {
                let message = format!("downloading detections failed: {reply}");
                return Err(PluginError::new(ErrorKind::Protocol, message).into());
            }
        };
        match Page::read(body.source.read(None), context.settings.reading.limits) {
            Ok(page) => Ok((body, page)),
            Err(damage) => {
                let message = format!("invalid page of detections from asset {first}: {damage}");
                Err(Failure {
                    smaller_may_help: true,
                    ..PluginError::new(ErrorKind::Unavailable, message).into()
                })
            }
        }
    }

    fn call(&self, first: u64, since: Option<&str>, context: &SourceContext) -> Call {
        let wanted = &self.wanted;
        let url = context.client.at(&format!("api/{}/fo/asset/host/vm/detection/", wanted.version));
        let mut call = Call::post("downloading detections", url, &["HOST_LIST_VM_DETECTION_OUTPUT"])
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
        let includes = |kind: &str| wanted.types.iter().any(|wanted| wanted == kind);
        match (includes("confirmed"), includes("potential")) {
            (true, false) => call = call.field("include_vuln_type", "confirmed"),
            (false, true) => call = call.field("include_vuln_type", "potential"),
            _ => {}
        }
        if includes("information") {
            call = call.field("show_igs", "1");
        }
        if !wanted.show_results {
            call = call.field("show_results", "0");
        }
        if let Some(since) = since {
            call = call.field("vm_processed_after", since);
        }
        call.fields(context.settings.targets.parameters("ag_ids")).fields(context.settings.extra.clone())
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

/// First asset ID of the next page. Only `id_min` is used from the URL that Qualys sends, because credentials
/// are sent only to the configured host.
fn next_page(page: &Page, first: u64, context: &SourceContext) -> Result<Option<u64>> {
    let protocol = |message: &str| {
        Err(PluginError::new(ErrorKind::Protocol, message)
            .with_hint("download stopped, because the result would be incomplete"))
    };
    let Some(address) = &page.next else {
        return match page.warning.as_str() {
            // Code 1980 means that there are more pages. Treating this as the end would silently lose the
            // rest.
            "1980" => protocol("Qualys announced a next page of detections without its URL"),
            _ => Ok(None),
        };
    };
    let Ok(url) = Url::parse(address) else {
        return protocol("invalid URL for the next page of detections");
    };
    let ours = &context.settings.network.url;
    if url.origin() != ours.origin() {
        return protocol(&format!(
            "the URL of the next page of detections points to {}, expected {}",
            clean(&url.origin().ascii_serialization()),
            ours.origin().ascii_serialization()
        ));
    }
    let id_min = url.query_pairs().find(|(name, _)| name == "id_min").and_then(|(_, id)| id.parse().ok());
    match id_min {
        // Some responses have no code, but a URL that can only mean a next page.
        Some(next) if matches!(page.warning.as_str(), "1980" | "") => {
            let last = page.assets.iter().max().copied().unwrap_or(0);
            if next <= first || next < last {
                return protocol(&format!(
                    "the next page of detections starts at asset {next}, which is not after the current \
                     page"
                ));
            }
            // `id_min` may name the last asset of this page, which must not be delivered twice.
            let after_last = if page.assets.is_empty() { next } else { last.saturating_add(1) };
            Ok(Some(next.max(after_last)))
        }
        None if page.warning == "1980" => protocol("the URL of the next page of detections has no id_min"),
        _ => Ok(None),
    }
}

/// The lowest asset ID that is not lower than `first`.
fn first_asset(first: u64, context: &mut SourceContext) -> Result<Option<u64>> {
    let url = context.client.at("api/2.0/fo/asset/host/");
    let mut call = Call::post("listing assets", url, &["HOST_LIST_OUTPUT"])
        .field("action", "list")
        .field("details", "None")
        .field("truncation_limit", "1");
    if first > 0 {
        call = call.field("id_min", first.to_string());
    }
    call = call.fields(context.settings.targets.parameters("ag_ids"));
    match context.client.call(&call)? {
        Answer::Data(body) => {
            let numbers = read_asset_numbers(body.source.read(None))
                .map_err(|fault| unusable_list("the list of assets", fault))?;
            Ok(numbers.into_iter().filter(|number| *number >= first).min())
        }
        Answer::Done(_) | Answer::NotReady(_) => Ok(None),
    }
}
