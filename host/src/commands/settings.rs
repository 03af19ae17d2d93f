//! `scanbridge config`.

use std::path::Path;

use super::preparation::{checked, registry};
use super::terminal::{print_output, width};
use crate::cli::{CommonOptions, Format, show_settings};
use crate::config;
use crate::pipeline;
use crate::plugins::Registry;

pub(super) fn show(file: &Path, format: Format, common: &CommonOptions) -> u8 {
    let registry = registry(common);
    match checked(file, &registry, "") {
        Ok(pipeline) => print_output(&show_settings(&pipeline, &registry, format, width()), 0),
        Err(code) => code,
    }
}

pub(super) fn schema_of_summary() -> u8 {
    print_output(&format!("{:#}\n", pipeline::summary_schema()), 0)
}

pub(super) fn schema(registry: &Registry) -> u8 {
    print_output(&format!("{:#}\n", config::schema(registry)), 0)
}
