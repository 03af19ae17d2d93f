//! The algorithms that TLS may use in each FIPS mode, and the state of the cryptographic module that is linked.
//!
//! Shared by the plugins that speak TLS and by the service, which listens. This crate opens no sockets and reads no
//! files; it depends on no other crate of this workspace.

mod module;
mod policy;

pub use module::{MODULE, SelfTestError, is_fips_build, module_in_words, module_with_self_test, self_test};
pub use policy::{Policy, UnknownPolicy};
