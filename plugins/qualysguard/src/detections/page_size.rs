//! The size of the pages of detections: halved down to the asset that cannot be delivered, full again after it.

/// The page size and the search for the cause of a failure.
#[derive(Debug, Clone)]
pub(super) struct PageSize {
    /// The configured size, in assets.
    full: u32,
    /// The size without a search: the configured one, or less if Qualys could not deliver that many.
    usual: u32,
    /// Pages received since `usual` was changed.
    good: u32,
    /// Assets skipped since the last page was received.
    skipped: u32,
    search: Option<Search>,
}

/// A page failed; the cause is one of its assets, or its size.
#[derive(Debug, Clone)]
struct Search {
    /// Number of next assets that may be the cause.
    suspects: u32,
    /// Size of the next page.
    size: u32,
    /// Size of the largest page received in this search.
    received: u32,
    /// A page no larger than that has failed, so that an asset is the cause.
    is_asset: bool,
}

/// Number of pages received before a reduced page size is doubled.
const GOOD_PAGES: u32 = 8;
/// Number of assets in a row that may be skipped. More failures mean that the service is unavailable.
const MAX_SKIPPED: u32 = 5;

impl PageSize {
    pub(super) fn new(full: u32) -> Self {
        Self { full, usual: full, good: 0, skipped: 0, search: None }
    }

    /// The same, beginning with this smaller size.
    pub(super) fn starting_at(mut self, usual: Option<u32>) -> Self {
        self.usual = usual.map_or(self.usual, |usual| usual.clamp(1, self.full));
        self
    }

    /// The size without a search.
    pub(super) fn usual(&self) -> u32 {
        self.usual
    }

    /// Size of the next page.
    pub(super) fn get(&self) -> u32 {
        self.search.as_ref().map_or(self.usual, |search| search.size)
    }

    /// Reduces the size after a page that failed. False if the page was for one asset, which cannot be downloaded.
    pub(super) fn reduce(&mut self) -> bool {
        let failed = self.get();
        if failed <= 1 {
            return false;
        }
        let (received, is_asset) = match &self.search {
            Some(search) => (search.received, search.is_asset || failed <= search.received),
            None => (0, false),
        };
        // If everything fails, the assets are tried one by one, so that an outage is noticed after few calls.
        let is_outage = self.skipped > 0 && self.search.is_none();
        let size = if is_outage { 1 } else { failed.div_ceil(2) };
        self.search = Some(Search { suspects: failed, size, received, is_asset });
        true
    }

    /// Counts a page that was received.
    pub(super) fn received(&mut self) {
        self.skipped = 0;
        let Some(search) = &mut self.search else {
            self.good += 1;
            if self.good >= GOOD_PAGES && self.usual < self.full {
                self.usual = self.usual.saturating_mul(2).min(self.full);
                self.good = 0;
            }
            return;
        };
        search.received = search.received.max(search.size);
        search.suspects = search.suspects.saturating_sub(search.size);
        if search.suspects > 0 {
            let half = search.suspects.div_ceil(2);
            // The rest in one page shows whether the size was the cause.
            let size = if search.is_asset { half } else { half.max(search.received) };
            search.size = size.min(search.suspects);
            return;
        }
        if !search.is_asset {
            (self.usual, self.good) = (search.received, 1);
        }
        self.search = None;
    }

    /// Ends the search, because the asset that is the cause is skipped. False if too many were skipped in a row.
    pub(super) fn skip(&mut self) -> bool {
        self.search = None;
        self.skipped += 1;
        self.skipped <= MAX_SKIPPED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests all assets, of which some cannot be delivered, from a server with a limit. Returns the sizes of the
    /// pages and the skipped assets; `None` if it ended early.
    fn pull(full: u32, assets: u32, broken: &[u32], limit: u32) -> (Vec<u32>, Option<Vec<u32>>) {
        let (mut size, mut calls, mut skipped, mut first) = (PageSize::new(full), vec![], vec![], 0);
        while first < assets {
            let page = first..(first + size.get()).min(assets);
            calls.push(size.get());
            let is_delivered =
                page.len() <= limit as usize && !broken.iter().any(|asset| page.contains(asset));
            if is_delivered {
                size.received();
                first = page.end;
            } else if !size.reduce() {
                assert!(broken.contains(&first), "asset {first} is skipped");
                if !size.skip() {
                    return (calls, None);
                }
                skipped.push(first);
                first += 1;
            }
        }
        (calls, Some(skipped))
    }

    #[test]
    fn broken_asset_is_found_by_halving_and_the_size_is_full_after_it() {
        for full in [1, 2, 3, 7, 10, 64, 1_000, 10_000] {
            let halvings = 32 - (full - 1_u32).leading_zeros();
            for assets in [1, 2, 40, 1_001] {
                let undisturbed = pull(full, assets, &[], u32::MAX).0.len();
                for broken in 0..assets {
                    let (calls, skipped) = pull(full, assets, &[broken], u32::MAX);
                    assert_eq!(skipped.as_deref(), Some(&[broken][..]), "{full} {assets}");
                    let most = undisturbed + 2 * halvings as usize;
                    assert!(calls.len() <= most, "{full} {assets} {broken}: {calls:?}");
                    if broken + 1 < assets {
                        assert_eq!(calls.last(), Some(&full), "{full} {assets} {broken}: {calls:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn each_of_several_broken_assets_is_skipped() {
        for full in [1, 5, 16, 1_000] {
            for broken in [&[0, 39][..], &[10, 11, 12], &[0, 1, 2, 3, 4], &[5, 17, 18, 30]] {
                let (calls, skipped) = pull(full, 40, broken, u32::MAX);
                assert_eq!(skipped.as_deref(), Some(broken));
                assert!(calls.len() <= 14 * (broken.len() + 1) + 40 / full as usize, "{full}: {calls:?}");
            }
        }
    }

    #[test]
    fn size_that_qualys_cannot_deliver_is_remembered_and_grows_slowly() {
        let (calls, skipped) = pull(1_000, 400, &[], 10);
        assert_eq!(skipped, Some(vec![]));
        // 1000, 500 … 16 fail; then pages of 8 with an attempt of 16 after each eight pages.
        assert_eq!(calls[..9], [1_000, 500, 250, 125, 63, 32, 16, 8, 8]);
        assert!(calls[7..].iter().filter(|size| **size > 10).count() <= 7, "{calls:?}");
        assert!(calls.len() <= 9 + 50 + 7 * 2, "{}", calls.len());
    }

    #[test]
    fn outage_is_noticed_after_few_calls() {
        let (calls, skipped) = pull(10_000, 100_000, &(0..100_000).collect::<Vec<_>>(), u32::MAX);
        assert_eq!(skipped, None);
        assert!(calls.len() <= 15 + 2 * 5, "{}", calls.len());
        let (calls, _) = pull(1, 40, &(0..40).collect::<Vec<_>>(), u32::MAX);
        assert_eq!(calls.len(), 6);
    }
}
