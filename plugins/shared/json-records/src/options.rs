//! What decides the content of a line.

use scanbridge_columns::ALL_NAMES;
use scanbridge_plugin_api::{OptionSpec, Options, Result, ValueSpec};

use crate::mapping::Mapping;
use crate::{ecs, ocsf};

/// Option `leave_out`, for plugins that write lines.
pub const LEAVE_OUT: OptionSpec = OptionSpec::list("leave_out", &ValueSpec::Choice(ALL_NAMES)).group("records").help(
    "Columns that are left out, for example `definition.diagnosis`. In `ocsf` and `ecs`, values that the schema requires \
     are written anyway.",
);

/// Option `assets`, for plugins that write lines. Only our own schema has such lines.
pub const ASSETS: OptionSpec = OptionSpec::flag("assets")
    .default_flag(false)
    .group("records")
    .help("Also write one line per asset, with or without findings.");

/// The schema of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// All columns under their own names.
    Scanbridge,
    /// A Vulnerability Finding of OCSF 1.8.0. It has only vulnerabilities, confirmed or potential.
    Ocsf,
    /// The fields of the Elastic Common Schema 9.4.0.
    Ecs,
}

/// What is in a line.
#[derive(Debug, Clone)]
pub struct LineOptions {
    /// How the columns become the values of another schema; `None` for our own.
    pub(crate) mapping: Option<&'static Mapping>,
    leave_out: Vec<String>,
}

impl LineOptions {
    /// Reads the option [`LEAVE_OUT`].
    ///
    /// # Errors
    /// A plugin bug: the option is not in the table.
    pub fn read(format: LineFormat, options: &Options) -> Result<Self> {
        let mapping = match format {
            LineFormat::Ocsf => Some(&ocsf::MAPPING),
            LineFormat::Ecs => Some(&ecs::MAPPING),
            LineFormat::Scanbridge => None,
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
    #[must_use]
    pub fn left_out_names(&self) -> Option<String> {
        (!self.leave_out.is_empty()).then(|| self.leave_out.join(", "))
    }
}
