//! Requests pages of detections. Halves the page size if Qualys cannot deliver a page, down to one asset, and
//! skips an asset that cannot be downloaded even alone. Omits details that the platform refuses.

use scanbridge_plugin_api::keeper::Share;
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, tracing};
use scanbridge_qualys_report::Source;
use scanbridge_qualys_xml::{Mark, Page, read_asset_numbers};

use super::cached_pages::{CachedPage, CachedPages, InPage};
use super::next_page::next_page;
use super::page_size::PageSize;
use super::share::ShareOfAssets;
use crate::api::{Answer, Call, Failure, unusable_list};
use crate::http::{Body, Keep};
use crate::options::{Detail, Detections as Wanted};
use crate::source::SourceContext;

/// Requests pages and adapts the page size.
#[derive(Debug, Clone)]
pub(super) struct PageRequests {
    wanted: Wanted,
    /// The details that the platform has not refused.
    details: Vec<&'static Detail>,
    size: PageSize,
    cache: CachedPages,
    /// The assets to request; `None` for all.
    pub(super) share: Option<ShareOfAssets>,
}

/// The answer to a request for a page.
pub(super) struct Requested {
    /// `None` if no asset is left.
    pub(super) fetched: Option<FetchedPage>,
    /// IDs of the assets that were skipped before this page.
    pub(super) missing: Vec<u64>,
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
    /// First asset ID of the next page; `None` after the last page.
    pub(super) next: Option<u64>,
}

/// The assets of a request.
#[derive(Debug, Clone, Copy)]
struct Range<'a> {
    /// Assets with this ID and higher ones.
    first: u64,
    /// Only assets up to this ID.
    last: Option<u64>,
    /// Only assets processed since this time.
    since: Option<&'a str>,
}

/// The result of downloading single assets.
enum Alone {
    /// The asset with this ID cannot be downloaded.
    Broken(u64, Failure),
    /// This page up to the asset with this ID can be downloaded now.
    Received(Body, Page, u64),
}

impl PageRequests {
    /// `size` is the page size that an interrupted run has reached.
    pub(super) fn new(wanted: &Wanted, cache: CachedPages, share: Share, size: Option<u32>) -> Self {
        let (details, size) = (wanted.details.clone(), PageSize::new(wanted.page_size).starting_at(size));
        Self { wanted: wanted.clone(), details, size, cache, share: ShareOfAssets::of(share) }
    }

    /// The page size without a search for the cause of a failure.
    pub(super) fn usual_size(&self) -> u32 {
        self.size.usual()
    }

    /// The page that starts with this asset ID or the next higher one; `within`: the rest of the page after this position,
    /// if an interrupted run has downloaded the page.
    pub(super) fn page(
        &mut self,
        first: u64,
        within: Option<InPage>,
        since: Option<&str>,
        context: &mut SourceContext,
    ) -> Result<Requested> {
        if let Some(share) = &mut self.share {
            share.list(first, since, context)?;
        }
        let mut missing = Vec::new();
        if let Some(fetched) = self.cached_page(first, within, context) {
            return Ok(Requested { fetched: Some(fetched), missing });
        }
        let mut range = Range { first, last: None, since };
        loop {
            if self.share.as_ref().is_some_and(|share| share.from(range.first, 1).is_empty()) {
                return Ok(Requested { fetched: None, missing });
            }
            let failure = match self.try_page(range, context) {
                Ok(received) => {
                    let next = self.next(&received.1, range.first, context)?;
                    let fetched = Some(self.received(range.first, received, next));
                    return Ok(Requested { fetched, missing });
                }
                Err(failure) if failure.smaller_may_help => failure,
                Err(failure) => return Err(failure.into()),
            };
            if self.size.reduce() {
                let size = self.size.get();
                tracing::warn!("{}: reducing the page size to {size} assets", failure.error);
                continue;
            }
            match self.broken_asset(range, failure, context)? {
                Alone::Broken(asset, failure) => {
                    if !self.size.skip() {
                        return Err(failure.into());
                    }
                    tracing::warn!("skipping asset {asset}, which cannot be downloaded: {}", failure.error);
                    missing.push(asset);
                    let Some(next) = asset.checked_add(1) else { return Err(failure.into()) };
                    range.first = next;
                }
                Alone::Received(body, page, asset) => {
                    let fetched = Some(self.received(range.first, (body, page), asset.checked_add(1)));
                    return Ok(Requested { fetched, missing });
                }
            }
        }
    }

    /// First asset ID of the page after this one, which was requested from `first`.
    fn next(&self, page: &Page, first: u64, context: &SourceContext) -> Result<Option<u64>> {
        let rest = next_page(page, first, context)?;
        let Some(share) = &self.share else { return Ok(rest) };
        // Qualys can send fewer assets than were requested.
        let requested = share.from(first, self.size.get()).last().and_then(|last| last.checked_add(1));
        let next = rest.or(requested).and_then(|next| share.from(next, 1).first());
        Ok(next.copied())
    }

    /// Keeps a page that was received.
    fn received(&mut self, first: u64, (body, page): (Body, Page), next: Option<u64>) -> FetchedPage {
        self.size.received();
        self.cache.keep(first, next);
        FetchedPage { source: body.source, first, page, mark: None, next }
    }

    /// The lowest asset of this range that cannot be downloaded. Assets without matching detections, which no page
    /// contains, come before it in the list of assets.
    ///
    /// # Errors
    /// `failure` if no asset of the list is the cause.
    fn broken_asset(
        &mut self,
        range: Range<'_>,
        failure: Failure,
        context: &mut SourceContext,
    ) -> Result<Alone, Failure> {
        if let Some(share) = &self.share {
            // The page was for one asset.
            let asset = share.from(range.first, 1).first().copied();
            return Ok(Alone::Broken(asset.unwrap_or(range.first), failure));
        }
        let mut listed_from = range.first;
        loop {
            let listed = first_asset(Range { first: listed_from, ..range }, context)?;
            let Some(asset) = listed else { return Err(failure) };
            match self.try_page(Range { last: Some(asset), ..range }, context) {
                Ok((_, page)) if page.assets.is_empty() => listed_from = asset.saturating_add(1),
                Ok((body, page)) => return Ok(Alone::Received(body, page, asset)),
                Err(failure) if failure.smaller_may_help => return Ok(Alone::Broken(asset, failure)),
                Err(failure) => return Err(failure),
            }
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
        Some(FetchedPage { source, first, page, mark, next })
    }

    /// Downloads a page of the current size. Omits the details that the platform refuses.
    fn try_page(&mut self, range: Range<'_>, context: &mut SourceContext) -> Result<(Body, Page), Failure> {
        let answer = loop {
            let call = self.call(range, context).keep(Keep::At(self.cache.incoming()));
            match context.client.call(&call) {
                Err(failure) if self.omit_refused(&call, &failure, context) => {}
                answer => break answer?,
            }
        };
        let body = match answer {
            Answer::Data(body) => body,
            Answer::Done(reply) | Answer::NotReady(reply) => {
                let message = format!("downloading detections failed: {reply}");
                return Err(PluginError::new(ErrorKind::Protocol, message).into());
            }
        };
        match Page::read(body.source.read(None), context.settings.reading.limits) {
            Ok(page) => Ok((body, page)),
            Err(damage) => {
                let message = format!("invalid page of detections from asset {}: {damage}", range.first);
                Err(Failure {
                    smaller_may_help: true,
                    ..PluginError::new(ErrorKind::Unavailable, message).into()
                })
            }
        }
    }

    /// Removes the details whose parameters a response refuses: those it names; all of them if it names no parameter of
    /// the call. False if there are none.
    fn omit_refused(&mut self, call: &Call, failure: &Failure, context: &SourceContext) -> bool {
        if !failure.refuses_parameter {
            return false;
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_named = |name: &str| {
            let mut words = failure.error.message.split(|c: char| !is_part(c));
            words.any(|word| word.eq_ignore_ascii_case(name))
        };
        let is_refused = |detail: &Detail| detail.parameters.iter().any(|(name, _)| is_named(name));
        let names_none = !call.fields.iter().any(|(name, _)| is_named(name));
        let refused: Vec<&str> = self
            .details
            .extract_if(.., |detail| names_none || is_refused(detail))
            .map(|detail| detail.word)
            .collect();
        if !refused.is_empty() {
            let refused = refused.join("`, `");
            tracing::info!("omitting details `{refused}`: {}", failure.error);
            let note = format!("details `{refused}` are missing: Qualys refuses their parameters");
            context.services.note(tracing::Level::WARN, &note, 1);
            return true;
        }
        false
    }

    fn call(&self, range: Range<'_>, context: &SourceContext) -> Call {
        let wanted = &self.wanted;
        let url = context.client.at(&format!("api/{}/fo/asset/host/vm/detection/", wanted.version));
        let mut call = Call::post("downloading detections", url, &["HOST_LIST_VM_DETECTION_OUTPUT"])
            .field("action", "list")
            .field("output_format", "XML")
            .field("truncation_limit", self.size.get().to_string())
            .field("status", wanted.statuses.join(","))
            .fields(match &self.share {
                Some(share) => range.parameters_of(share.from(range.first, self.size.get())),
                None => range.parameters(&context.settings.extra),
            });
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
        if wanted.ignored {
            call = call.field("include_ignored", "1");
        }
        if wanted.disabled {
            call = call.field("include_disabled", "1");
        }
        for (name, value) in self.details.iter().flat_map(|detail| detail.parameters) {
            call = call.field(name, *value);
        }
        call.fields(context.settings.targets.parameters("ag_ids")).fields(context.settings.extra.clone())
    }
}

impl Range<'_> {
    /// The parameters of a call. An `id_max` among the additional ones is kept.
    fn parameters(&self, extra: &[(String, String)]) -> Vec<(String, String)> {
        let first = (self.first > 0).then(|| ("id_min", self.first.to_string()));
        let is_limited = extra.iter().any(|(name, _)| name.eq_ignore_ascii_case("id_max"));
        let last = self.last.filter(|_| !is_limited).map(|last| ("id_max", last.to_string()));
        let all = [first, last].into_iter().flatten();
        all.map(|(name, value)| (name.to_owned(), value)).chain(self.since()).collect()
    }

    /// The parameters of a call for these assets.
    fn parameters_of(&self, ids: &[u64]) -> Vec<(String, String)> {
        let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
        [("ids".to_owned(), ids.join(","))].into_iter().chain(self.since()).collect()
    }

    fn since(&self) -> Option<(String, String)> {
        self.since.map(|since| ("vm_processed_after".to_owned(), since.to_owned()))
    }
}

/// The lowest asset ID of a range.
fn first_asset(range: Range<'_>, context: &mut SourceContext) -> Result<Option<u64>> {
    let url = context.client.at("api/2.0/fo/asset/host/");
    let call = Call::post("listing assets", url, &["HOST_LIST_OUTPUT"])
        .field("action", "list")
        .field("details", "None")
        .field("truncation_limit", "1")
        .fields(range.parameters(&[]))
        .fields(context.settings.targets.parameters("ag_ids"));
    match context.client.call(&call)? {
        Answer::Data(body) => {
            let numbers = read_asset_numbers(body.source.read(None))
                .map_err(|fault| unusable_list("the list of assets", fault))?;
            Ok(numbers.into_iter().filter(|number| *number >= range.first).min())
        }
        Answer::Done(_) | Answer::NotReady(_) => Ok(None),
    }
}
