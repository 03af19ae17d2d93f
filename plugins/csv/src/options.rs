//! The options of the plugin, and their validated form.

use scanbridge_columns::ALL_NAMES;
use scanbridge_durable_file::{Target, options as file};
use scanbridge_host_input_commands::{BlockLimits, Settings, format_options as shared};
use scanbridge_plugin_api::{OptionSpec, Options, PluginError, Result, ValueSpec};

use crate::column::ColumnName;

/// The option table.
pub(crate) const OPTIONS: &[OptionSpec] = &[
    file::PATH,
    OptionSpec::choice("format", &["table", "host-input"]).default_text("table").group("records").help(
        "Output format: `table` writes one row per finding; `host-input` writes commands for a \
             Defense Center import.",
    ),
    file::IF_EXISTS,
    file::MODE,
    file::ROTATE_BYTES,
    file::ROTATE_SECS,
    OptionSpec::list("columns", &ValueSpec::Text).known(ALL_NAMES).default_list(DEFAULT_COLUMNS).group("records").help(
        "Columns, in output order: `asset.*`, `definition.*`, `finding.*` or `report.*`. The default has \
             `definition.id` instead of `definition.qid` for reports of other scanners than Qualys. Only with `format: table`.",
    ),
    OptionSpec::flag("header").default_flag(true).group("records").help(
        "Write the column names as the first row. Only \
         with `format: table`.",
    ),
    OptionSpec::map("headings", &ValueSpec::Text).group("records").help(
        "Other headings in the first row, by column: `{ asset.address: IP }`. Default: the column names. Only with \
         `format: table`.",
    ),
    OptionSpec::text("delimiter")
        .default_text(",").group("records")
        .help("Column separator: one ASCII character, or the word `tab`. Only with `format: table`."),
    OptionSpec::text("list_separator")
        .default_text("; ").group("records")
        .help("Separator between the items of a list in one cell. Only with `format: table`."),
    OptionSpec::choice("line_ending", &["crlf", "lf"])
        .default_text("crlf").group("records")
        .help("End of each row: `crlf` (RFC 4180) or `lf`. Only with `format: table`."),
    OptionSpec::flag("bom").default_flag(false).group("records").help(
        "Start the file with a byte order mark, so that Excel detects UTF-8. Only with `format: \
             table`.",
    ),
    OptionSpec::flag("escape_formulas").default_flag(true).group("records").help(
        "Prefix cells with `'` when a spreadsheet would interpret them as a formula (CSV injection). \
         Plain numbers are not changed. Only with `format: table`.",
    ),
    shared::SOURCE,
    shared::SCANNER,
    shared::DOMAIN,
    shared::ADD_HOST,
    shared::REPLACE,
    shared::SET_OS,
    shared::KINDS,
    shared::MIN_SEVERITY,
    shared::DESCRIPTION,
    shared::DESCRIPTION_LENGTH,
];

/// The default columns of a table.
const DEFAULT_COLUMNS: &[&str] = &[
    "asset.address",
    "asset.dns",
    "asset.netbios",
    "asset.os",
    "definition.qid",
    "definition.title",
    "finding.kind",
    "finding.severity",
    "finding.port",
    "finding.protocol",
    "finding.service",
    "finding.status",
    "definition.category",
    "definition.cves",
    "definition.cvss_base",
    "definition.cvss3_base",
    "finding.first_found",
    "finding.last_found",
    "definition.solution",
    "finding.result",
    "finding.cves",
    "definition.cvss3_vector",
    "finding.detection_score",
    "finding.known_exploited",
];

/// The validated options.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) target: Target,
    pub(crate) format: FormatOptions,
}

/// The options of one format.
#[derive(Debug)]
pub(crate) enum FormatOptions {
    Table(TableOptions),
    HostInput(Settings),
}

/// The options of the table format.
#[derive(Debug, Clone)]
pub(crate) struct TableOptions {
    pub(crate) columns: Vec<ColumnName>,
    /// Whether `columns` has its default, which follows the report's scheme of IDs.
    pub(crate) has_default_columns: bool,
    pub(crate) header: bool,
    /// The heading of each column that does not have its name as heading.
    pub(crate) headings: Vec<Option<String>>,
    pub(crate) delimiter: u8,
    pub(crate) list_separator: String,
    pub(crate) crlf: bool,
    pub(crate) bom: bool,
    pub(crate) escape_formulas: bool,
}

impl Checked {
    /// Checks the rules that the option table cannot express.
    pub(crate) fn read(options: &Options) -> Result<Self> {
        let format = match options.text("format")? {
            Some("host-input") => FormatOptions::HostInput(Settings::read(options, BlockLimits::default())?),
            _ => FormatOptions::Table(TableOptions::read(options)?),
        };
        Ok(Self { target: Target::read(options)?, format })
    }
}

impl TableOptions {
    fn read(options: &Options) -> Result<Self> {
        let names = options.list("columns")?;
        let has_default_columns = names == DEFAULT_COLUMNS;
        let columns = names.into_iter().map(ColumnName::parse);
        let columns: Vec<_> = columns.collect::<Result<_, _>>().map_err(|bad| {
            PluginError::config(format!("option `columns`: {bad}"))
                .with_option("columns")
                .with_hint("`scanbridge plugin describe CSV` lists the columns")
        })?;
        if columns.is_empty() {
            return Err(PluginError::config("option `columns` must have at least one column"));
        }
        let header = options.flag("header")?;
        let headings = headings(options, &columns, header)?;
        Ok(Self {
            columns,
            has_default_columns,
            header,
            headings,
            delimiter: delimiter(options.text("delimiter")?.unwrap_or_default())?,
            list_separator: options.text("list_separator")?.unwrap_or_default().to_owned(),
            crlf: options.text("line_ending")? == Some("crlf"),
            bom: options.flag("bom")?,
            escape_formulas: options.flag("escape_formulas")?,
        })
    }
}

/// The heading of each column that has another one than its name.
fn headings(options: &Options, columns: &[ColumnName], header: bool) -> Result<Vec<Option<String>>> {
    let headings = options.map("headings")?;
    let error = |problem: String| {
        PluginError::config(format!("option `headings`: {problem}")).with_option("headings")
    };
    if !headings.is_empty() && !header {
        return Err(error("no file has a first row with `header: no`".to_owned()));
    }
    let names: Vec<String> = columns.iter().map(ColumnName::heading).collect();
    for (name, heading) in &headings {
        if !names.iter().any(|known| known == name) {
            return Err(error(format!("`{name}` is not in `columns`"))
                .with_hint(format!("columns of this output: {}", names.join(", "))));
        }
        if heading.is_empty() || heading.contains(char::is_control) {
            return Err(error(format!("the heading of `{name}` must be one line of text")));
        }
    }
    Ok(names.iter().map(|name| headings.get(name.as_str()).map(|heading| (*heading).to_owned())).collect())
}

fn delimiter(text: &str) -> Result<u8> {
    match text.as_bytes() {
        b"tab" | b"\\t" | b"\t" => Ok(b'\t'),
        // Letters, digits and quotes are common in cells, and `-` and `.` are part of numbers.
        [sign] if sign.is_ascii_graphic() && !sign.is_ascii_alphanumeric() && !b"\"'.-+".contains(sign) => {
            Ok(*sign)
        }
        _ => Err(PluginError::config(format!(
            "option `delimiter` must be one ASCII character such as `,`, `;` or `|`, or the word `tab`, \
             found `{text}`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Checked> {
        Checked::read(&Options::read(OPTIONS, json.as_bytes()).unwrap())
    }

    #[test]
    fn the_defaults_are_a_table_of_known_columns() {
        let checked = read(r#"{"path": "a.csv"}"#).unwrap();
        assert_eq!(checked.target, Target::new("a.csv"));
        let FormatOptions::Table(table) = checked.format else { panic!("no table") };
        assert_eq!(table.columns.len(), 24);
        assert!(table.columns.iter().all(ColumnName::is_of_model));
        assert!(table.crlf && table.header && table.escape_formulas && !table.bom);
    }

    #[test]
    fn contradictions_are_refused_with_the_options_name() {
        for (json, part) in [
            (r#"{"path": "a", "columns": []}"#, "`columns` must have at least one"),
            (r#"{"path": "a", "columns": ["host.ip"]}"#, "`columns`: `host.ip`"),
            (r#"{"path": "a", "columns": ["address"]}"#, "`columns`: `address`"),
            (
                r#"{"path": "a", "columns": ["report.owner"]}"#,
                "`columns`: unknown report column `report.owner`",
            ),
            (r#"{"path": "a", "delimiter": ""}"#, "`delimiter` must be one ASCII character"),
            (r#"{"path": "a", "delimiter": "é"}"#, "`delimiter` must be one ASCII character"),
            (r#"{"path": "a", "delimiter": "\""}"#, "`delimiter` must be one ASCII character"),
            (
                r#"{"path": "a", "headings": {"asset.adress": "IP"}}"#,
                "`headings`: `asset.adress` is not in `columns`",
            ),
            (
                r#"{"path": "a", "columns": ["asset.dns"], "headings": {"asset.address": "IP"}}"#,
                "`headings`: `asset.address` is not in `columns`",
            ),
            (
                r#"{"path": "a", "headings": {"asset.address": ""}}"#,
                "`asset.address` must be one line of text",
            ),
            (
                r#"{"path": "a", "headings": {"asset.address": "a\nb"}}"#,
                "`asset.address` must be one line of text",
            ),
            (r#"{"path": "a", "header": false, "headings": {"asset.address": "IP"}}"#, "with `header: no`"),
            (r#"{"path": "a", "mode": "0888"}"#, "`mode` must be an octal number"),
            (
                r#"{"path": "a", "format": "host-input", "scanner": "a\"b"}"#,
                "`scanner`: may contain only letters, digits",
            ),
            (r#"{"path": "a", "format": "host-input", "source": "42"}"#, "`source`: must not be a number"),
            (r#"{"path": "a", "format": "host-input", "kinds": []}"#, "`kinds` must have at least one"),
        ] {
            let error = read(json).unwrap_err();
            assert_eq!(error.kind, scanbridge_plugin_api::ErrorKind::Config, "{json}");
            assert!(error.message.contains(part), "{json}: {error}");
        }
    }

    #[test]
    fn delimiters_are_read() {
        assert_eq!([",", ";", "|", "tab", "\t"].map(|text| delimiter(text).unwrap()), *b",;|\t\t");
    }
}
