//! Contract tests that every plugin runs in its own tests. They call the plugin through the same function tables as the
//! host, so a plugin that passes here also works in the host.
//!
//! ```no_run
//! # use scanbridge_plugin_api as api;
//! # fn test<T: api::Input>() {
//! scanbridge_plugin_contract::input::<T>(&serde_json::json!({ "path": "tests/report.xml" }));
//! # }
//! ```
//!
//! Each function panics if the plugin violates the contract; the message names the violated rule.

mod host;
mod input;
mod input_resume;
mod options;
mod output;
mod resume;
pub mod rows;
mod table;

pub use host::{ExamHost, Keys, frame};
pub use input::{Collected, collect, input};
pub use options::{wrong_option_values_of_input, wrong_option_values_of_output};
pub use output::{hostile_batch, output, output_that_repeats};
pub use table::readme;
