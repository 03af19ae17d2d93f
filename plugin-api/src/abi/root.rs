//! The root module: the one thing that a plugin's library exports.

use abi_stable::StableAbi;
use abi_stable::library::{AbiHeaderRef, LibraryError};
use abi_stable::package_version_strings;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RStr, RVec};

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
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// Checks the header that a library exports and gives its root module.
///
/// `abi_stable`'s own `load_from_…` would keep the first library and hand it back for every later one, so the
/// module is made from the header of each file.
///
/// # Errors
/// The layouts differ or the library's constructor failed. The text of a layout error is very long.
pub fn open_root(header: AbiHeaderRef) -> Result<RootModuleRef, LibraryError> {
    header.upgrade()?.init_root_module::<RootModuleRef>()
}
