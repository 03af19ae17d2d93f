//! Which plugins exist and how they come into the process: first their files are read, then the ones that a
//! pipeline names are loaded.

pub(crate) mod guard;
mod identity;
mod library;
#[cfg(unix)]
mod ownership;
mod registry;
mod search;

pub use identity::Refusal;
pub use library::Library;
pub use registry::{Claim, Registry, Unavailable};
pub use search::{FilePermissionCheck, Folder, folders};
