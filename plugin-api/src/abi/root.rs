//! The root modules that a plugin library exports. Both kinds offer the same two functions.
//!
//! [`RootModule`] is exported as `abi_stable` expects it, with a layout check at load time. [`PlainRoot`] is a C
//! structure under the symbol [`PLAIN_ROOT_SYMBOL`]. It is for libraries in other languages, and for hosts without
//! `abi_stable`.

use std::ptr::NonNull;

use abi_stable::StableAbi;
use abi_stable::library::AbiHeaderRef;
use abi_stable::sabi_types::VersionStrings;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::input_table::{INPUT_2, InputTable2};
use super::keeper_table::{KEEPER_1, KeeperTable1};
use super::memory::{Bytes, BytesRef};
use super::output_table::{OUTPUT_2, OutputTable2};
use super::render_table::{RENDER_1, RenderTable1};
use super::reports_table::{REPORTS_1, ReportsTable1};
use super::status::from_json;
use crate::descriptor::{Descriptor, PluginKind};
use crate::error::{PluginError, Result};

/// The symbol of the `abi_stable` root module.
pub const ROOT_SYMBOL: &str = "_1as_0lib_1header_0root_bmodule_bloader";

/// The symbol of the [`PlainRoot`].
pub const PLAIN_ROOT_SYMBOL: &str = "scanbridge_root_2";

/// Returns a JSON list of [`Descriptor`]s.
pub type Describe = extern "C" fn(out: &mut Bytes);

/// Returns the table with this ID of the plugin with this name; null if the plugin has no such table. A table is
/// valid for the life of the process.
pub type GetTable = extern "C" fn(id: BytesRef<'_>, plugin: BytesRef<'_>) -> *const ();

/// The root module for `abi_stable`. It never changes; additions get new table IDs.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootModuleRef)))]
#[sabi(missing_field(panic))]
pub struct RootModule {
    /// See [`Describe`].
    pub describe: extern "C" fn(out: &mut Bytes),
    /// See [`GetTable`].
    #[sabi(last_prefix_field)]
    pub get_table: extern "C" fn(id: BytesRef<'_>, plugin: BytesRef<'_>) -> *const (),
}

/// The root module as a plain C structure. It never changes.
#[repr(C)]
#[derive(Debug)]
pub struct PlainRoot {
    /// The size of this structure in bytes: 24.
    pub size: u32,
    /// The ABI major: [`ABI_MAJOR`](super::ABI_MAJOR).
    pub abi: u32,
    /// See [`Describe`].
    pub describe: Describe,
    /// See [`GetTable`].
    pub get_table: GetTable,
}

impl abi_stable::library::RootModule for RootModuleRef {
    abi_stable::declare_root_module_statics! {RootModuleRef}
    const BASE_NAME: &'static str = "scanbridge_plugin";
    const NAME: &'static str = "scanbridge_plugin";
    // The version of the ABI, not of this crate: a major release of the crate may keep the ABI.
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("2.0.0");
}

/// The two functions of a library, from either kind of root module.
#[derive(Debug, Clone, Copy)]
pub struct Root {
    describe: Describe,
    get_table: GetTable,
}

/// An invalid entry in a library's description. It does not affect the other plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadDescriptor {
    /// Name of the plugin; empty if the entry has none.
    pub name: String,
    /// The reason.
    pub reason: String,
}

impl Root {
    /// Describes the plugins in the library. An invalid entry does not affect the others; entries of an unknown kind
    /// are skipped.
    ///
    /// # Errors
    /// A plugin bug: the description is not a JSON list.
    pub fn descriptors(&self) -> Result<(Vec<Descriptor>, Vec<BadDescriptor>)> {
        let mut description = Bytes::default();
        (self.describe)(&mut description);
        descriptors(&description)
    }

    /// The functions of the input with this name.
    #[must_use]
    pub fn input_table(&self, plugin: &str) -> Option<InputTable2> {
        let table = (self.get_table)(INPUT_2.into(), plugin.into()).cast::<InputTable2>();
        // SAFETY: a table is frozen under its ID and lives as long as the library, which is never unloaded.
        unsafe { table.as_ref() }.copied()
    }

    /// The functions of the output with this name.
    #[must_use]
    pub fn output_table(&self, plugin: &str) -> Option<OutputTable2> {
        let table = (self.get_table)(OUTPUT_2.into(), plugin.into()).cast::<OutputTable2>();
        // SAFETY: as above.
        unsafe { table.as_ref() }.copied()
    }

    /// The functions with which the output with this name renders. Ask only for an output whose descriptor lists
    /// [`RENDER_1`].
    #[must_use]
    pub fn render_table(&self, plugin: &str) -> Option<RenderTable1> {
        let table = (self.get_table)(RENDER_1.into(), plugin.into()).cast::<RenderTable1>();
        // SAFETY: as above.
        unsafe { table.as_ref() }.copied()
    }

    /// The functions with which the output with this name keeps the checkpoint. Ask only for an output whose descriptor
    /// lists [`KEEPER_1`].
    #[must_use]
    pub fn keeper_table(&self, plugin: &str) -> Option<KeeperTable1> {
        let table = (self.get_table)(KEEPER_1.into(), plugin.into()).cast::<KeeperTable1>();
        // SAFETY: as above.
        unsafe { table.as_ref() }.copied()
    }

    /// The functions for stored reports of the input with this name. Ask only for an input whose descriptor lists
    /// [`REPORTS_1`].
    #[must_use]
    pub fn reports_table(&self, plugin: &str) -> Option<ReportsTable1> {
        let table = (self.get_table)(REPORTS_1.into(), plugin.into()).cast::<ReportsTable1>();
        // SAFETY: as above.
        unsafe { table.as_ref() }.copied()
    }
}

/// Parses each descriptor of a list separately.
fn descriptors(description: &[u8]) -> Result<(Vec<Descriptor>, Vec<BadDescriptor>)> {
    let entries: Vec<Box<RawValue>> = from_json(description)?;
    let (mut valid, mut invalid) = (Vec::new(), Vec::new());
    for entry in entries {
        match serde_json::from_str::<Descriptor>(entry.get()) {
            Ok(descriptor) => match descriptor.fault() {
                None => valid.push(descriptor),
                Some(reason) => invalid.push(BadDescriptor { name: descriptor.name, reason }),
            },
            Err(error) => {
                let header: DescriptorHeader = serde_json::from_str(entry.get()).unwrap_or_default();
                if PluginKind::of_word(&header.kind).is_some() {
                    invalid.push(BadDescriptor { name: header.name, reason: error.to_string() });
                }
            }
        }
    }
    Ok((valid, invalid))
}

/// Identifies an entry that cannot be read completely.
#[derive(Default, Deserialize)]
#[serde(default)]
struct DescriptorHeader {
    kind: String,
    name: String,
}

/// Reason why a library with a valid identity has no usable root module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{summary}")]
pub struct RootError {
    /// The reason, on one line.
    pub summary: String,
    /// The complete output of `abi_stable`, up to thousands of lines, for a log at debug level.
    pub detail: String,
}

/// Checks the root module under [`ROOT_SYMBOL`] and returns its functions.
///
/// The functions `load_from_…` of `abi_stable` would keep the first library and return it for every later one.
/// Therefore the module is created from the header of each file.
///
/// # Safety
/// `symbol` is the address of [`ROOT_SYMBOL`] in a library that has a Scanbridge identity of this ABI major and is never
/// unloaded.
///
/// # Errors
/// When the layouts differ, or the library's constructor failed.
pub unsafe fn open_root(symbol: NonNull<()>) -> std::result::Result<Root, RootError> {
    // SAFETY: an `AbiHeaderRef` is a transparent reference to the start of the exported header.
    let header = unsafe { std::mem::transmute::<NonNull<()>, AbiHeaderRef>(symbol) };
    let module = header.upgrade().and_then(|header| header.init_root_module::<RootModuleRef>());
    match module {
        Ok(module) => Ok(Root { describe: module.describe(), get_table: module.get_table() }),
        Err(error) => {
            let detail = error.to_string();
            Err(RootError { summary: first_errors(&detail), detail })
        }
    }
}

/// Checks the root module under [`PLAIN_ROOT_SYMBOL`] and returns its functions.
///
/// # Safety
/// `symbol` is the address of [`PLAIN_ROOT_SYMBOL`] in a library that has a Scanbridge identity of this ABI major and is
/// never unloaded.
///
/// # Errors
/// When size or ABI differ from those of [`PlainRoot`].
pub unsafe fn open_plain_root(symbol: NonNull<()>) -> Result<Root> {
    // SAFETY: every version of the structure begins with these two numbers.
    let [size, abi] = unsafe { symbol.cast::<[u32; 2]>().read() };
    let expected = u32::try_from(size_of::<PlainRoot>()).unwrap_or(u32::MAX);
    if (size, abi) != (expected, super::ABI_MAJOR) {
        return Err(PluginError::bug(format!(
            "`{PLAIN_ROOT_SYMBOL}` has {size} bytes and ABI {abi}, expected {expected} bytes and ABI {}",
            super::ABI_MAJOR
        )));
    }
    // SAFETY: size and ABI are those of this structure.
    let root = unsafe { symbol.cast::<PlainRoot>().as_ref() };
    Ok(Root { describe: root.describe, get_table: root.get_table })
}

/// Extracts the important lines of `abi_stable`'s output for a layout mismatch.
fn first_errors(detail: &str) -> String {
    let errors: Vec<&str> =
        detail.lines().map(str::trim).filter(|line| line.starts_with("Error:")).take(3).collect();
    match errors.as_slice() {
        [] => {
            detail.lines().find(|line| !line.trim().is_empty()).unwrap_or("unknown error").trim().to_owned()
        }
        errors => errors.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::OptionKind;

    #[test]
    fn invalid_descriptor_does_not_affect_others() {
        let (valid, invalid) = descriptors(
            br#"[
                {"kind": "output", "name": "Old", "options": []},
                {"kind": "transform", "name": "New", "anything": 1},
                {"kind": "input", "name": "Broken", "options": 7},
                {"kind": "input", "name": "Malformed", "options": [{"name": "n", "kind": {"type": "integer"}}]},
                {"kind": "input", "name": "Newer", "tables": ["input/2", "render/1"], "options": [
                    {"name": "wait", "kind": {"type": "timetable", "min_ms": 0, "as": {"type": "integer", "min": 0, "max": 9}}},
                    {"name": "where", "kind": {"type": "coordinates"}},
                    {"name": "hosts", "kind": {"type": "list", "of": {"type": "coordinates"}}}
                ]},
                {"kind": "input", "name": "Rule", "options": [
                    {"name": "user", "kind": {"type": "text"}, "requires": ["proxy"]}
                ]}
            ]"#,
        )
        .unwrap();
        let names: Vec<&str> = valid.iter().map(|descriptor| descriptor.name.as_str()).collect();
        assert_eq!(names, ["Old", "Newer"]);
        let refused: Vec<&str> = invalid.iter().map(|invalid| invalid.name.as_str()).collect();
        assert_eq!(refused, ["Broken", "Malformed", "Rule"]);
        assert_eq!(
            invalid[2].reason,
            "option `user` has a rule about `proxy`, which is not another option of the plugin"
        );
        let kinds: Vec<&OptionKind> = valid[1].options.iter().map(|option| &option.kind).collect();
        assert_eq!(kinds[0], &OptionKind::Integer { min: 0, max: 9 }, "the older form of a later kind");
        assert_eq!(kinds[1], &OptionKind::Text, "a later kind without an older form");
        assert_eq!(kinds[2], &OptionKind::List { of: Box::new(OptionKind::Text) });
        assert!(descriptors(b"{}").is_err());
    }

    #[test]
    fn plain_root_of_another_size_or_abi_is_refused() {
        extern "C" fn describe(_: &mut Bytes) {}
        extern "C" fn get_table(_: BytesRef<'_>, _: BytesRef<'_>) -> *const () {
            std::ptr::null()
        }
        for (size, abi, is_open) in [(24, 2, true), (32, 2, false), (24, 3, false)] {
            let root = PlainRoot { size, abi, describe, get_table };
            // SAFETY: it is a valid structure, whatever its numbers are.
            let opened = unsafe { open_plain_root(NonNull::from(&root).cast()) };
            assert_eq!(opened.is_ok(), is_open, "{size} {abi}");
        }
    }
}
