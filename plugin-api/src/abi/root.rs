//! The root module: the one thing that a plugin's library exports.

use std::ptr::NonNull;

use abi_stable::StableAbi;
use abi_stable::library::AbiHeaderRef;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RStr, RVec};

use super::input_table::{INPUT_1, InputTable1};
use super::output_table::{OUTPUT_1, OutputTable1};
use super::status::from_json;
use crate::descriptor::Descriptor;
use crate::error::Result;

/// The symbol under which the root module is exported, as `abi_stable` names it.
pub const ROOT_SYMBOL: &str = "_1as_0lib_1header_0root_bmodule_bloader";

/// The root module. Its shape never changes; growth goes through new table ids.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootModuleRef)))]
#[sabi(missing_field(panic))]
pub struct RootModule {
    /// A JSON list of [`Descriptor`](crate::Descriptor), sorted by name.
    pub describe: extern "C" fn() -> RVec<u8>,
    /// The table of this id for the plugin of this name; null when the plugin has no such table.
    #[sabi(last_prefix_field)]
    pub get_table: extern "C" fn(id: RStr<'_>, plugin: RStr<'_>) -> TablePointer,
}

/// A table whose type its id tells; valid for the life of the process.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct TablePointer(pub *const ());

impl abi_stable::library::RootModule for RootModuleRef {
    abi_stable::declare_root_module_statics! {RootModuleRef}
    const BASE_NAME: &'static str = "scanbridge_plugin";
    const NAME: &'static str = "scanbridge_plugin";
    // The version of the ABI and not of this crate: a major release of the crate need not change the ABI.
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("1.0.0");
}

impl RootModuleRef {
    /// What the library offers.
    ///
    /// # Errors
    /// A bug of the plugin: its description is not what this ABI says.
    pub fn descriptors(&self) -> Result<Vec<Descriptor>> {
        from_json(&self.describe()())
    }

    /// The functions of its input of this name.
    #[must_use]
    pub fn input_table(&self, plugin: &str) -> Option<InputTable1> {
        let table = self.get_table()(INPUT_1.into(), plugin.into()).0.cast::<InputTable1>();
        // SAFETY: a table is frozen under its id and lives as long as the library, which is never unloaded.
        unsafe { table.as_ref() }.copied()
    }

    /// The functions of its output of this name.
    #[must_use]
    pub fn output_table(&self, plugin: &str) -> Option<OutputTable1> {
        let table = self.get_table()(OUTPUT_1.into(), plugin.into()).0.cast::<OutputTable1>();
        // SAFETY: as above.
        unsafe { table.as_ref() }.copied()
    }
}

/// Why a library that has an identity has no usable root module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{summary}")]
pub struct RootError {
    /// One line.
    pub summary: String,
    /// Everything that `abi_stable` has to say: up to thousands of lines, for a log at debug level.
    pub detail: String,
}

/// Checks what a library exports under [`ROOT_SYMBOL`] and gives its root module.
///
/// `abi_stable`'s own `load_from_…` would keep the first library and hand it back for every later one, so the
/// module is made from the header of each file.
///
/// # Safety
/// `symbol` is the address of [`ROOT_SYMBOL`] in a library that carries a Scanbridge identity of this ABI major
/// and is never unloaded.
///
/// # Errors
/// The layouts differ or the library's constructor failed.
pub unsafe fn open_root(symbol: NonNull<()>) -> std::result::Result<RootModuleRef, RootError> {
    // SAFETY: an `AbiHeaderRef` is a transparent reference to the start of the exported header.
    let header = unsafe { std::mem::transmute::<NonNull<()>, AbiHeaderRef>(symbol) };
    header.upgrade().and_then(|header| header.init_root_module::<RootModuleRef>()).map_err(|error| {
        let detail = error.to_string();
        RootError { summary: first_errors(&detail), detail }
    })
}

/// The lines that matter among those that `abi_stable` prints for a layout mismatch.
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
