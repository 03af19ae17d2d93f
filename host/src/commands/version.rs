//! `scanbridge --version -v`.

use scanbridge_plugin_api::abi::{ABI_MAJOR, API, TARGET};

use super::terminal::print_output;
use crate::plugins::{FilePermissionCheck, Registry, folders};

/// Prints what a report about a fault needs: version, build and plugins.
#[must_use]
pub fn print_version() -> u8 {
    let registry = Registry::discover(&folders(&[]), FilePermissionCheck::OwnerOnly);
    let mut text = format!(
        "scanbridge {}\ncommit: {}\nplugin ABI: {ABI_MAJOR} (API {API})\ntarget: {TARGET}\ncompiler: {}\n",
        env!("CARGO_PKG_VERSION"),
        env!("SCANBRIDGE_COMMIT_SHOWN"),
        env!("SCANBRIDGE_RUSTC"),
    );
    for claim in registry.claims() {
        let version = &claim.library.identity().crate_version;
        text += &format!("{} {} {version}\n", claim.kind.word(), claim.name);
    }
    print_output(&text, 0)
}
