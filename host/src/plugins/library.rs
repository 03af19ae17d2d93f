//! One plugin library: its file, its identity and, once a pipeline uses it, its functions.

use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::OnceLock;

use scanbridge_plugin_api::abi::{
    BadDescriptor, Identity, InputTable2, KEEPER_1, KeeperTable1, OutputTable2, PLAIN_ROOT_SYMBOL, RENDER_1,
    REPORTS_1, ROOT_SYMBOL, RenderTable1, ReportsTable1, Root, RootKind, open_plain_root, open_root,
};
use scanbridge_plugin_api::{CryptoModule, Descriptor, Fips, PluginKind, printable};

use super::call::{self, Caller};
use super::guard;
use super::identity::{self, Refusal};
use super::search::FilePermissionCheck;

/// A plugin library. Loaded on first use and never unloaded, because its threads and thread-locals can live
/// longer than any call.
#[derive(Debug)]
pub struct Library {
    path: PathBuf,
    identity: Identity,
    /// The mode of the whole process.
    fips: Fips,
    loaded: OnceLock<Loaded>,
}

struct Loaded {
    root: Root,
    descriptors: Vec<Descriptor>,
    bad_descriptors: Vec<BadDescriptor>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("descriptors", &self.descriptors).finish_non_exhaustive()
    }
}

impl Library {
    /// Reads the identity of the file at `path`, which must be canonical; `named` is the path by which it was found.
    /// Runs no code of the library.
    ///
    /// # Errors
    /// The reason why this host cannot load the file.
    pub fn read(path: PathBuf, named: &Path, check: FilePermissionCheck) -> Result<Self, Refusal> {
        let identity = identity::read(&path, named, check)?;
        Ok(Self { path, identity, fips: Fips::Off, loaded: OnceLock::new() })
    }

    /// The same library in a process with this FIPS mode: if FIPS forbids it, it is never loaded.
    #[must_use]
    pub(crate) fn in_mode(self, fips: Fips) -> Self {
        Self { fips, ..self }
    }

    /// Why it cannot be used by an instance in FIPS mode; `None` if it can. Reads only its identity.
    pub(crate) fn refusal_in_fips_mode(&self) -> Option<Refusal> {
        let Identity { crypto, crate_name, crate_version, .. } = &self.identity;
        let plugin = format!("{crate_name} {crate_version}");
        (!crypto.is_allowed_in_fips_mode())
            .then(|| Refusal::OutsideFipsModule { path: self.path.clone(), plugin })
    }

    /// Path of the library.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The identity in the file.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The description of one of its plugins. Loads the library.
    ///
    /// # Errors
    /// When the library cannot be loaded, or does not export a plugin that its identity lists.
    pub fn descriptor(&self, kind: PluginKind, name: &str) -> Result<&Descriptor, Refusal> {
        let loaded = self.load_for(kind, name)?;
        let found =
            loaded.descriptors.iter().find(|descriptor| descriptor.kind == kind && descriptor.name == name);
        found.ok_or_else(|| match loaded.bad_descriptors.iter().find(|bad| bad.name == name) {
            Some(bad) => self.not_loadable(format!(
                "the description of the {} `{name}` is invalid: {}",
                kind.word(),
                bad.reason
            )),
            None => self.missing_plugin(kind, name),
        })
    }

    /// Loads the library, unless this plugin needs an ability that the host lacks.
    fn load_for(&self, kind: PluginKind, name: &str) -> Result<&Loaded, Refusal> {
        let plugins = &self.identity.plugins;
        let plugin = plugins.iter().find(|plugin| plugin.kind == kind && plugin.name == name);
        let needs = plugin.map(|plugin| identity::missing(&plugin.needs)).unwrap_or_default();
        if needs.is_empty() {
            return self.load();
        }
        let plugin = format!("{} {name}", kind.word());
        Err(Refusal::NeedsNewerHost { path: self.path.clone(), plugin, needs })
    }

    /// The functions of one of its inputs. Loads the library.
    ///
    /// # Errors
    /// As for [`Library::descriptor`].
    pub fn input_table(&self, name: &str) -> Result<InputTable2, Refusal> {
        let loaded = self.load_for(PluginKind::Input, name)?;
        loaded.root.input_table(name).ok_or_else(|| self.missing_plugin(PluginKind::Input, name))
    }

    /// The functions of one of its outputs. Loads the library.
    ///
    /// # Errors
    /// As for [`Library::descriptor`].
    pub fn output_table(&self, name: &str) -> Result<OutputTable2, Refusal> {
        let loaded = self.load_for(PluginKind::Output, name)?;
        loaded.root.output_table(name).ok_or_else(|| self.missing_plugin(PluginKind::Output, name))
    }

    /// The functions for stored reports of one of its inputs, if it has them. Loads the library.
    ///
    /// # Errors
    /// As for [`Library::descriptor`].
    pub fn reports_table(&self, name: &str) -> Result<Option<ReportsTable1>, Refusal> {
        let loaded = self.with_table(PluginKind::Input, name, REPORTS_1)?;
        Ok(loaded.and_then(|loaded| loaded.root.reports_table(name)))
    }

    /// The functions with which one of its outputs renders, if it has them. Loads the library.
    ///
    /// # Errors
    /// As for [`Library::descriptor`].
    pub fn render_table(&self, name: &str) -> Result<Option<RenderTable1>, Refusal> {
        let loaded = self.with_table(PluginKind::Output, name, RENDER_1)?;
        Ok(loaded.and_then(|loaded| loaded.root.render_table(name)))
    }

    /// The functions with which one of its outputs keeps the checkpoint, if it has them. Loads the library.
    ///
    /// # Errors
    /// As for [`Library::descriptor`].
    pub fn keeper_table(&self, name: &str) -> Result<Option<KeeperTable1>, Refusal> {
        let loaded = self.with_table(PluginKind::Output, name, KEEPER_1)?;
        Ok(loaded.and_then(|loaded| loaded.root.keeper_table(name)))
    }

    /// The loaded library, if this plugin declares this optional table.
    fn with_table(&self, kind: PluginKind, name: &str, table: &str) -> Result<Option<&Loaded>, Refusal> {
        let is_declared = self.descriptor(kind, name)?.tables.iter().any(|declared| declared == table);
        if is_declared { self.load().map(Some) } else { Ok(None) }
    }

    fn load(&self) -> Result<&Loaded, Refusal> {
        if let Some(loaded) = self.loaded.get() {
            return Ok(loaded);
        }
        if let Some(refusal) = self.refusal_in_fips_mode().filter(|_| !self.fips.is_off()) {
            return Err(refusal);
        }
        let loaded = self.open().map_err(|reason| self.not_loadable(reason))?;
        if !self.identity.panic_unwinds {
            tracing::warn!(
                "{}: built with `panic = \"abort\"`: a panic ends the whole run without a summary; ask the \
                author for a build with `panic = \"unwind\"`",
                self.path.display()
            );
        }
        Ok(self.loaded.get_or_init(|| loaded))
    }

    #[expect(unsafe_code, reason = "loading a library runs its code; its identity has been checked before")]
    fn open(&self) -> Result<Loaded, String> {
        use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
        // SAFETY: the identity says that the file is a plugin of this ABI; its author is responsible for its
        // constructors.
        let load = || unsafe { Library::open(Some(&self.path), RTLD_NOW | RTLD_LOCAL) };
        let caller: &'static Caller = Box::leak(Box::new(Caller::new(self.path.display().to_string(), None)));
        let library = call::run_call(caller, "load", load).map_err(one_line)?;
        guard::register();
        let symbol = match self.identity.root {
            RootKind::AbiStable => ROOT_SYMBOL,
            RootKind::Plain => PLAIN_ROOT_SYMBOL,
        };
        // SAFETY: only the address of the symbol is used here.
        let symbol = unsafe { library.get::<*mut ()>(symbol.as_bytes()) }.map_err(one_line)?.into_raw();
        std::mem::forget(library);
        let symbol = NonNull::new(symbol.cast::<()>()).ok_or("the root module is missing")?;
        // SAFETY: the identity guarantees a root module of this kind and ABI under this name, and the library is never
        // unloaded.
        let root = match self.identity.root {
            RootKind::AbiStable => unsafe { open_root(symbol) }.map_err(|error| {
                tracing::debug!("{}: {}", self.path.display(), error.detail);
                error.summary
            })?,
            RootKind::Plain => unsafe { open_plain_root(symbol) }.map_err(|error| error.message)?,
        };
        let described = call::run_call(caller, "describe", || root.descriptors());
        let (descriptors, bad_descriptors) = described.map_err(|error| error.message)?;
        self.require_declared_crypto(&descriptors)?;
        Ok(Loaded { root, descriptors, bad_descriptors })
    }

    /// The identity is a claim. Of a library that claims a FIPS module, the module that runs must confirm it.
    fn require_declared_crypto(&self, descriptors: &[Descriptor]) -> Result<(), String> {
        let claimed = self.identity.crypto;
        for described in descriptors.iter().map(|descriptor| descriptor.crypto.as_ref()) {
            match described {
                Some(crypto) if CryptoModule::of_word(&crypto.module) != claimed => {
                    return Err(format!(
                        "its identity names the cryptography `{}`, and its code `{}`",
                        claimed.word(),
                        printable(&crypto.module, MAX_WORD)
                    ));
                }
                Some(crypto) if !crypto.has_passed() => {
                    let result = printable(&crypto.self_test, MAX_SENTENCE);
                    return Err(format!("the self-test of its FIPS module {result}"));
                }
                None if claimed.is_fips_module() => {
                    return Err(format!(
                        "its identity names the cryptography `{}`, and its code does not confirm it",
                        claimed.word()
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn not_loadable(&self, reason: String) -> Refusal {
        let plugin = format!("{} {}", self.identity.crate_name, self.identity.crate_version);
        Refusal::NotLoadable { path: self.path.clone(), plugin, reason }
    }

    fn missing_plugin(&self, kind: PluginKind, name: &str) -> Refusal {
        self.not_loadable(format!(
            "the identity section lists the {} `{name}`, but the library does not export it",
            kind.word()
        ))
    }
}

fn one_line(error: libloading::Error) -> String {
    let text = match std::error::Error::source(&error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    };
    text.lines().next().unwrap_or_default().to_owned()
}

/// Longest word and sentence of a library in a message, in characters.
const MAX_WORD: usize = 40;
const MAX_SENTENCE: usize = 200;
