//! `scanbridge --version`, and `--version -v`.

use scanbridge_plugin_api::abi::{ABI_MAJOR, API, TARGET};

use super::terminal::print_output;
use crate::fips;
use crate::plugins::{FilePermissionCheck, Registry, folders};

/// Prints the version and the cryptographic module; `details` adds what a report about a fault needs: build and plugins.
#[must_use]
pub fn print_version(details: bool) -> u8 {
    let head = format!("scanbridge {}\ncryptography: {}\n", env!("CARGO_PKG_VERSION"), fips::module());
    if !details {
        return print_output(&head, 0);
    }
    let registry = Registry::discover(&folders(&[]), FilePermissionCheck::OwnerOnly);
    let mut text = format!(
        "{head}commit: {}\nplugin ABI: {ABI_MAJOR} (API {API})\ntarget: {TARGET}\ncompiler: {}\n",
        env!("SCANBRIDGE_COMMIT_SHOWN"),
        env!("SCANBRIDGE_RUSTC"),
    );
    for claim in registry.claims() {
        let identity = claim.library.identity();
        let (version, module) = (&identity.crate_version, identity.crypto.in_words());
        text += &format!("{} {} {version} ({module})\n", claim.kind.word(), claim.name);
    }
    print_output(&text, 0)
}
