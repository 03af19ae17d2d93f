//! End-to-end tests: the built host with the built plugins, run as an operator runs them.

#![expect(clippy::unwrap_used, reason = "a panic fails the test, also in helpers")]

mod archive;
mod cef;
mod check_machine;
mod checks;
mod configuration;
mod counts;
mod crashing_plugins;
mod csv;
mod damage;
mod dead_letters;
mod defense_center;
mod describe;
mod disk_order;
mod exit_codes;
mod exiting_plugins;
mod fields;
mod installation;
mod json_schema;
mod leaking_plugins;
mod legacy;
mod legacy_peers;
mod log_lines;
mod missed_reports;
mod old_connector;
mod old_settings;
mod outputs;
mod plugin_ownership;
mod plugins;
mod qualys_api;
mod qualys_faults;
mod qualys_memory;
mod run_files;
mod sandbox;
mod service;
mod service_reload;
mod service_runs;
mod service_systemd;
mod signals;
mod sources;
mod state;
mod summary;
mod supervised;
mod until_idle;
mod xpath;
