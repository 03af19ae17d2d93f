//! Plugins that violate the plugin contract on purpose. They are built like a third-party plugin, with their own
//! allocator and their own tokio, so that the tests show the effects of such a library on the host.

mod crash;
mod every_field;
mod faulty_files;
mod faulty_input;
mod faulty_output;
mod faulty_sender;
mod input;
mod keeper;
mod memory;
mod output;

scanbridge_plugin_api::export_plugin!();
