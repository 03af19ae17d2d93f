//! The options of the plugin that decide what is in a line.

use scanbridge_json_records::{LineFormat, LineOptions};
use scanbridge_plugin_api::{OptionSpec, Options, Result};

pub(crate) const FORMAT: OptionSpec =
    OptionSpec::choice("format", &["scanbridge", "ocsf", "ecs"]).default_text("scanbridge").group("records").help(
        "Schema of a line: `scanbridge` has all columns under their names; `ocsf` is a Vulnerability Finding of \
         OCSF 1.8.0; `ecs` has the fields of the Elastic Common Schema 9.4.0.",
    );

pub(crate) const ASSETS: OptionSpec = scanbridge_json_records::ASSETS.only_with("format", &["scanbridge"]);

/// What is in a line.
pub(crate) fn line_options(options: &Options) -> Result<LineOptions> {
    let format = match options.text("format")? {
        Some("ocsf") => LineFormat::Ocsf,
        Some("ecs") => LineFormat::Ecs,
        _ => LineFormat::Scanbridge,
    };
    LineOptions::read(format, options)
}
