//! Pages that were fetched and are not known to be delivered: an interrupted pull takes them from disk.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services};
use scanbridge_qualys_report::Source;

/// The folder of kept pages. The name of each says for which assets it was fetched: from the first number, to the
/// one that the next page begins with.
#[derive(Debug, Clone)]
pub(super) struct CachedPages {
    folder: PathBuf,
}

/// A host that commits keeps them fewer.
const MOST: usize = 64;

impl CachedPages {
    pub(super) fn open(services: &Services) -> Result<Self> {
        let folder = services.state_folder()?.join("pages");
        fs::create_dir_all(&folder).map_err(|error| {
            let message = format!("cannot create {}: {error}", folder.display());
            PluginError::new(ErrorKind::CannotCreate, message)
        })?;
        Ok(Self { folder })
    }

    /// Where a page is put while it comes.
    pub(super) fn incoming(&self) -> PathBuf {
        self.folder.join("incoming.part")
    }

    /// The page that has come is whole. Where it cannot be kept, it is fetched again if need be.
    pub(super) fn keep(&self, first: u64, next: Option<u64>) {
        let name = format!("{first:020}-{:020}.xml", next.unwrap_or(u64::MAX));
        let _ = fs::rename(self.incoming(), self.folder.join(name));
        let pages = self.pages();
        for (path, ..) in pages.iter().take(pages.len().saturating_sub(MOST)) {
            let _ = fs::remove_file(path);
        }
    }

    /// The page that was fetched for this asset, and the asset that it was fetched from.
    pub(super) fn find(&self, asset: u64) -> Option<(Source, u64)> {
        let (path, first, _) =
            self.pages().into_iter().find(|(_, first, next)| *first <= asset && asset < *next)?;
        let file = File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        Some((Source::whole(file, length), first))
    }

    /// All before this asset is delivered.
    pub(super) fn forget(&self, before: u64) {
        for (path, ..) in self.pages().into_iter().filter(|(_, _, next)| *next <= before) {
            let _ = fs::remove_file(path);
        }
    }

    /// Removes all: they belong to another pull.
    pub(super) fn clear(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path());
        }
    }

    /// Paths with their bounds, ascending.
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
