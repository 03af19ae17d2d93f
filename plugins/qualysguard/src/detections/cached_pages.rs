//! Downloaded pages whose delivery is not confirmed yet. An interrupted download resumes from these files.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services};
use scanbridge_qualys_report::Source;
use scanbridge_qualys_xml::{Kind, Mark};
use serde::{Deserialize, Serialize};

/// The directory of cached pages. Each file name contains the asset ID that the page was requested from, and
/// the first asset ID of the next page.
#[derive(Debug, Clone)]
pub(super) struct CachedPages {
    folder: PathBuf,
}

/// A position in a cached page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InPage {
    /// The asset ID that the page was requested from.
    pub(super) first: u64,
    /// Size of the page, in bytes.
    pub(super) bytes: u64,
    pub(super) mark: Mark,
}

/// A page, or the rest of a page that an interrupted run delivered partly.
pub(super) struct CachedPage {
    pub(super) source: Source,
    /// The asset ID that the page was requested from.
    pub(super) first: u64,
    /// First asset ID of the next page; `None` after the last page.
    pub(super) next: Option<u64>,
    /// Where the rest begins; `None`: at the beginning.
    pub(super) mark: Option<Mark>,
}

/// The file with the time at which the pull of the pages began.
const PULL: &str = "pull";

/// Maximum number of cached pages. A host that commits keeps fewer.
const MAX_PAGES: usize = 64;

impl CachedPages {
    pub(super) fn open(services: &Services) -> Result<Self> {
        let folder = services.state_folder()?.join("pages");
        fs::create_dir_all(&folder).map_err(|error| {
            let message = format!("cannot create {}: {error}", folder.display());
            PluginError::new(ErrorKind::CannotCreate, message)
        })?;
        Ok(Self { folder })
    }

    /// The file of a page that is being downloaded.
    pub(super) fn incoming(&self) -> PathBuf {
        self.folder.join("incoming.part")
    }

    /// Keeps only the pages of the pull that began at this time: another machine may have continued it, and ended it.
    pub(super) fn resume(&self, started: &str) {
        if fs::read_to_string(self.folder.join(PULL)).ok().as_deref() != Some(started) {
            self.clear();
        }
    }

    /// Sets when the pull of the pages began. Errors are ignored, as for [`CachedPages::keep`].
    pub(super) fn begin(&self, started: &str) {
        let _ = fs::write(self.folder.join(PULL), started);
    }

    /// Keeps a page that was downloaded completely. Errors are ignored: a page that is missing is downloaded
    /// again.
    pub(super) fn keep(&self, first: u64, next: Option<u64>) {
        let name = format!("{first:020}-{:020}.xml", next.unwrap_or(u64::MAX));
        let _ = fs::rename(self.incoming(), self.folder.join(name));
        let pages = self.pages();
        for (path, ..) in pages.iter().take(pages.len().saturating_sub(MAX_PAGES)) {
            let _ = fs::remove_file(path);
        }
    }

    /// The page that begins with this asset, or its rest after `within`. `None` if it is not cached or has changed.
    pub(super) fn find(&self, asset: u64, within: Option<InPage>) -> Option<CachedPage> {
        let (path, first, next) =
            self.pages().into_iter().find(|(_, first, next)| *first <= asset && asset < *next)?;
        let file = File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        let source = Source::new(file, length);
        let is_there = |within: &InPage| {
            (within.first, within.bytes) == (first, length)
                && source.has_mark(&Kind::Detections, &within.mark)
        };
        let mark = within.filter(is_there).map(|within| within.mark);
        let next = (next != u64::MAX).then_some(next);
        (mark.is_some() || first == asset).then_some(CachedPage { source, first, next, mark })
    }

    /// Removes the pages that contain only assets before this one, because these are delivered.
    pub(super) fn remove_before(&self, before: u64) {
        for (path, ..) in self.pages().into_iter().filter(|(_, _, next)| *next <= before) {
            let _ = fs::remove_file(path);
        }
    }

    /// Removes all pages, which belong to another download.
    pub(super) fn clear(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path());
        }
    }

    /// The files with first asset ID and first asset ID of the next page, in ascending order.
    fn pages(&self) -> Vec<(PathBuf, u64, u64)> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut pages: Vec<_> = entries.filter_map(|entry| bounds(&entry.path())).collect();
        pages.sort();
        pages
    }
}

fn bounds(path: &Path) -> Option<(PathBuf, u64, u64)> {
    let (first, next) = path.file_name()?.to_str()?.strip_suffix(".xml")?.split_once('-')?;
    Some((path.to_owned(), first.parse().ok()?, next.parse().ok()?))
}
