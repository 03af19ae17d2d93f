//! The options of the plugin that decide what is in a line.

use scanbridge_columns::ALL_NAMES;
use scanbridge_plugin_api::{OptionSpec, Options, Result, ValueSpec};

use crate::mapping::Mapping;
use crate::{ecs, ocsf};

pub(crate) const FORMAT: OptionSpec =
    OptionSpec::choice("format", &["scanbridge", "ocsf", "ecs"]).default_text("scanbridge").group("records").help(
        "Schema of a line: `scanbridge` has all columns under their names; `ocsf` is a Vulnerability Finding of \
         OCSF 1.8.0; `ecs` has the fields of the Elastic Common Schema 9.4.0.",
    );

pub(crate) const ASSETS: OptionSpec = OptionSpec::flag("assets")
    .default_flag(false)
    .only_with("format", &["scanbridge"])
    .group("records")
    .help("Also write one line per asset, with or without findings.");

pub(crate) const LEAVE_OUT: OptionSpec = OptionSpec::list("leave_out", &ValueSpec::Choice(ALL_NAMES)).group("records").help(
    "Columns that are left out, for example `definition.diagnosis`. In `ocsf` and `ecs`, values that the schema requires \
     are written anyway.",
);

/// What is in a line.
#[derive(Debug, Clone)]
pub(crate) struct LineOptions {
    /// How the columns become the values of another schema; `None` for our own.
    pub(crate) mapping: Option<&'static Mapping>,
    leave_out: Vec<String>,
}

impl LineOptions {
    pub(crate) fn read(options: &Options) -> Result<Self> {
        let mapping = match options.text("format")? {
            Some("ocsf") => Some(&ocsf::MAPPING),
            Some("ecs") => Some(&ecs::MAPPING),
            _ => None,
        };
        // The older name of the column.
        let current = |name| if name == "report.product_version" { "report.scanner_version" } else { name };
        let leave_out = options.list("leave_out")?.into_iter().map(|name| current(name).to_owned()).collect();
        Ok(Self { mapping, leave_out })
    }

    /// Whether the column is left out.
    pub(crate) fn leaves_out(&self, column: &str) -> bool {
        self.leave_out.iter().any(|name| name == column)
    }

    /// The columns that are left out, for the summary; `None` without any.
    pub(crate) fn left_out_names(&self) -> Option<String> {
        (!self.leave_out.is_empty()).then(|| self.leave_out.join(", "))
    }
}
