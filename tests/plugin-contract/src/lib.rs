//! The exam that every plugin takes in its own tests. It calls the plugin through the function tables that the
//! host uses, so what passes here passes there.
//!
//! ```no_run
//! # use scanbridge_plugin_api as api;
//! # fn exam<T: api::Input>() {
//! scanbridge_plugin_contract::input::<T>(&serde_json::json!({ "path": "tests/report.xml" }));
//! # }
//! ```
//!
//! Each function panics with a sentence that names the promise which the plugin broke.

mod host;
mod input;
mod input_resume;
mod output;
mod resume;
pub mod rows;
mod table;

pub use host::ExamHost;
pub use input::{Collected, collect, input};
pub use output::{hostile_batch, output, output_that_repeats};
pub use table::readme;
