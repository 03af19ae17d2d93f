//! Plugins that misbehave on purpose. They are built like any author's, with an allocator and a tokio of
//! their own, so that the tests of the host see what a stranger's library can do to it.

mod input;
mod memory;
mod output;

scanbridge_plugin_api::export_plugin!();
