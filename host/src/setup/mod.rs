//! Set-up: `scanbridge init` asks for what a pipeline needs, or converts the settings of an older product.
//!
//! ```text
//! answers, pipeline file, old settings ─► draft ─► questions (wizard) ─► checks, preview ─► files
//! ```
//!
//! Everything that is asked comes from the option tables of the installed plugins. Only the conversions know products
//! and plugins by name.

mod conversion;
mod draft;
mod draft_reader;
mod draft_text;
#[cfg(test)]
mod fake_plugins;
mod filter_question;
mod live_check;
mod old_option;
mod old_text;
mod option_question;
mod prompts;
mod properties;
mod qualys_connector;
mod questions;
mod review;
mod saved_answers;
mod screens;
mod service_questions;
mod service_set_up;
mod smartconnector;
mod smartconnector_destination;
mod smartconnector_global;
mod steps;
mod summary;
mod terminal_prompts;
mod wizard;
#[cfg(test)]
mod wizard_list_tests;
#[cfg(test)]
mod wizard_property_tests;
#[cfg(test)]
mod wizard_script;
#[cfg(test)]
mod wizard_service_tests;
#[cfg(test)]
mod wizard_tests;
mod write;

pub(crate) use conversion::{Conversion, OldSettings, show_conversion};
pub(crate) use draft::Draft;
pub(crate) use draft_reader::read_draft;
pub(crate) use draft_text::{Secrets, draft_text, secret_files};
pub(crate) use live_check::Machine;
pub(crate) use prompts::Leave;
pub(crate) use qualys_connector::from_qualys_connector;
pub(crate) use saved_answers::SavedAnswers;
pub(crate) use service_set_up::{NoService, ServiceSetUp};
pub(crate) use smartconnector::from_smartconnector;
pub(crate) use terminal_prompts::TerminalPrompts;
pub(crate) use wizard::{Start, Wizard};
pub(crate) use write::{Files, Target, with_comments, write_files};
