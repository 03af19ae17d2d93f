//! Finding and loading plugins: the files of all plugins are read, but only those that a pipeline uses are
//! loaded.

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
