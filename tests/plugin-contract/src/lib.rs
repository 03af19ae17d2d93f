//! Contract tests for plugins that the exam (`scanbridge plugin test`, package `exam-tests`) cannot reach, because their
//! peer is a double with TLS in the test's own process, or because they need many kinds of files. They call the plugin
//! through the same function tables as the host.
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
mod readme;
mod resume;
pub mod rows;
mod table;

pub use host::{ExamHost, Keys, frame};
pub use input::{Collected, collect, input};
pub use options::{wrong_option_values_of_input, wrong_option_values_of_output};
pub use output::output;
pub use readme::readme;
