//! Registry of all plugins that were found.

use std::collections::{BTreeMap, BTreeSet};
use std::env::consts::DLL_EXTENSION;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::{Descriptor, Fips, PluginKind};

use super::identity::Refusal;
use super::library::Library;
use super::search::{FilePermissionCheck, Folder};
use crate::config::Catalogue;

/// The installed plugins. The search runs no code of the plugins.
#[derive(Debug, Default)]
pub struct Registry {
    libraries: Vec<Library>,
    refusals: Vec<Refusal>,
    /// The mode that every instance has at least.
    fips: Fips,
}

/// One plugin in one library.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The library.
    pub library: &'a Library,
    /// Input or output.
    pub kind: PluginKind,
    /// The plugin's name as the plugin spells it.
    pub name: &'a str,
}

/// Reason why a plugin is not available.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// No library contains it.
    #[error("unknown {} plugin `{name}`", kind.word())]
    Unknown {
        /// Input or output.
        kind: PluginKind,
        /// The requested name.
        name: String,
    },
    /// More than one library contains it.
    #[error(
        "the {} plugin `{name}` is provided by two libraries, {} and {}; remove one of them",
        kind.word(),
        first.display(),
        second.display()
    )]
    Duplicate {
        /// Input or output.
        kind: PluginKind,
        /// The name.
        name: String,
        /// One of the libraries.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
    /// The library that contains it cannot be loaded.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Registry {
    /// Reads all libraries in the directories. A file that cannot be loaded is listed with its reason and does not
    /// affect the others. A file that is found twice (for example through a symbolic link) counts once.
    #[must_use]
    pub fn discover(folders: &[Folder], check: FilePermissionCheck) -> Self {
        Self::discover_in(Fips::Off, folders, check)
    }

    /// As [`Registry::discover`], for a process in which every instance has at least this FIPS mode.
    #[must_use]
    pub fn discover_in(fips: Fips, folders: &[Folder], check: FilePermissionCheck) -> Self {
        let mut registry = Self { fips, ..Self::default() };
        let mut seen = BTreeSet::new();
        for folder in folders {
            match library_files(&folder.path) {
                Ok(files) => {
                    files.into_iter().filter(|(path, _)| seen.insert(path.clone())).for_each(
                        |(path, named)| {
                            registry.add(path, &named, folder, check);
                        },
                    );
                }
                Err(error) if folder.named || error.kind() != ErrorKind::NotFound => {
                    tracing::warn!("plugin directory {} is ignored: {error}", folder.path.display());
                }
                Err(_) => {}
            }
        }
        registry
    }

    fn add(&mut self, path: PathBuf, named: &Path, folder: &Folder, check: FilePermissionCheck) {
        match Library::read(path, named, check) {
            Ok(library) => {
                for (kind, name) in &library.identity().unknown_plugins {
                    tracing::debug!(
                        "{}: ignoring `{name}` of the unknown kind `{kind}`",
                        library.path().display()
                    );
                }
                self.libraries.push(library.in_mode(self.fips));
            }
            // Other libraries next to the executable are normal; in a plugin directory they are a mistake.
            Err(refusal @ (Refusal::NotAPlugin { .. } | Refusal::NotALibrary { .. }))
                if !is_dedicated(folder) && !is_named_as_plugin(named) =>
            {
                tracing::debug!("{refusal}");
            }
            Err(refusal) => {
                tracing::warn!("{refusal}");
                self.refusals.push(refusal);
            }
        }
    }

    /// Files in plugin directories that cannot be loaded, each with its reason.
    #[must_use]
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// Every plugin in every library, sorted by kind and name.
    #[must_use]
    pub fn claims(&self) -> Vec<Claim<'_>> {
        let mut claims: Vec<Claim<'_>> = self.unsorted_claims().collect();
        claims.sort_by_cached_key(|claim| (claim.kind, claim.name.to_lowercase(), claim.library.path()));
        claims
    }

    fn unsorted_claims(&self) -> impl Iterator<Item = Claim<'_>> {
        self.libraries.iter().flat_map(|library| {
            let plugins = library.identity().plugins.iter();
            plugins.map(move |plugin| Claim { library, kind: plugin.kind, name: &plugin.name })
        })
    }

    /// The plugin of this kind and name, ignoring case.
    ///
    /// # Errors
    /// When no library or more than one library contains it.
    pub fn claim(&self, kind: PluginKind, name: &str) -> Result<Claim<'_>, Unavailable> {
        let is_meant = |claim: &Claim<'_>| claim.kind == kind && claim.name.eq_ignore_ascii_case(name);
        let mut matching: Vec<Claim<'_>> = self.unsorted_claims().filter(is_meant).collect();
        matching.sort_by_key(|claim| claim.library.path());
        match matching[..] {
            [one] => Ok(one),
            [first, second, ..] => Err(Unavailable::Duplicate {
                kind,
                name: first.name.to_owned(),
                first: first.library.path().to_owned(),
                second: second.library.path().to_owned(),
            }),
            [] => Err(Unavailable::Unknown { kind, name: name.to_owned() }),
        }
    }

    /// Plugins that more than one library contains, each listed once. They cannot be used.
    #[must_use]
    pub fn duplicates(&self) -> Vec<Unavailable> {
        let claims = self.claims();
        let duplicates = claims.windows(2).filter(|pair| {
            (pair[0].kind, pair[0].name.to_lowercase()) == (pair[1].kind, pair[1].name.to_lowercase())
        });
        let mut duplicates: Vec<Unavailable> =
            duplicates.filter_map(|pair| self.claim(pair[0].kind, pair[0].name).err()).collect();
        duplicates.dedup_by_key(|duplicate| duplicate.to_string());
        duplicates
    }

    /// The description of a plugin. Loads its library.
    ///
    /// # Errors
    /// The reason why the plugin is not available.
    pub fn descriptor(&self, kind: PluginKind, name: &str) -> Result<&Descriptor, Unavailable> {
        let claim = self.claim(kind, name)?;
        Ok(claim.library.descriptor(kind, claim.name)?)
    }
}

impl Catalogue for Registry {
    fn find(&self, kind: PluginKind, name: &str) -> Option<&Descriptor> {
        self.descriptor(kind, name).ok()
    }

    fn refusal(&self, kind: PluginKind, name: &str) -> Option<String> {
        match self.descriptor(kind, name) {
            Ok(_) | Err(Unavailable::Unknown { .. }) => None,
            Err(reason) => Some(reason.to_string()),
        }
    }

    fn fips(&self) -> Fips {
        self.fips
    }

    fn refusal_in_fips_mode(&self, kind: PluginKind, name: &str) -> Option<String> {
        let claim = self.claim(kind, name).ok()?;
        claim.library.refusal_in_fips_mode().map(|refusal| refusal.to_string())
    }

    fn refused(&self) -> Vec<String> {
        self.refusals.iter().map(ToString::to_string).collect()
    }

    fn names(&self, kind: PluginKind) -> Vec<String> {
        let names: BTreeSet<&str> =
            self.claims().iter().filter(|claim| claim.kind == kind).map(|claim| claim.name).collect();
        names.into_iter().map(str::to_owned).collect()
    }
}

/// Whether the directory contains only plugins, so that any other library is a mistake. The executable's own directory
/// may contain other libraries.
fn is_dedicated(folder: &Folder) -> bool {
    folder.named || folder.path.file_name().is_some_and(|name| name == "plugins")
}

/// Whether the name of the file is that of one of our plugins, also if its content is damaged.
fn is_named_as_plugin(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libscanbridge_"))
}

/// The libraries of a directory: canonical path → the path by which it was found, sorted.
fn library_files(folder: &Path) -> io::Result<BTreeMap<PathBuf, PathBuf>> {
    let entries = folder.read_dir()?;
    Ok(entries
        .filter_map(|entry| {
            let named = entry.ok()?.path();
            Some((named.canonicalize().ok()?, named))
        })
        .filter(|(path, _)| path.extension().is_some_and(|extension| extension == DLL_EXTENSION))
        .filter(|(path, _)| path.is_file())
        .collect())
}
