//! What commands do before their own work: find the plugins, check the pipeline file.

use std::path::Path;

use super::terminal::{error_style, print_error};
use crate::cli::CommonOptions;
use crate::config::{self, Pipeline, Problems};
use crate::plugins::{FilePermissionCheck, Registry, folders};

/// The plugins that are installed.
pub(super) fn registry(common: &CommonOptions) -> Registry {
    let check = if common.allow_world_writable_plugins {
        FilePermissionCheck::Disabled
    } else {
        FilePermissionCheck::OwnerOnly
    };
    if check == FilePermissionCheck::Disabled {
        tracing::warn!("--allow-world-writable-plugins: loading plugins that any local user can replace");
    }
    Registry::discover(&folders(&common.plugin_dirs), check)
}

/// End of the last error line of a command that delivers findings.
pub(super) const NOTHING_STARTED: &str = "; nothing was started";

/// Reads and checks a pipeline file. Prints errors and warnings; `outcome` ends the line with their number.
///
/// # Errors
/// The exit code, when the file has errors.
pub(super) fn checked(file: &Path, registry: &Registry, outcome: &str) -> Result<Pipeline, u8> {
    let pipeline = config::read_for(file, registry).and_then(|document| config::check(&document, registry));
    match pipeline {
        Ok(pipeline) => {
            print_error(&config::render_all(&pipeline.warnings, error_style()));
            Ok(pipeline)
        }
        Err(problems) => {
            print_error(&problems.render_with_outcome(error_style(), outcome));
            Err(Problems::EXIT_CODE)
        }
    }
}
