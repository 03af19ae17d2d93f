//! The options that every file output has, so that they are spelled and read alike.

use std::time::Duration;

use scanbridge_plugin_api::{OptionSpec, Options, PluginError, Result};

pub use crate::target::CAPABILITIES;
use crate::target::{DateOf, IfExists, Rotation, Target};

/// `path`, required.
pub const PATH: OptionSpec = OptionSpec::path("path").required().group("files").help(
    "Output file. Placeholders in the file name: `{report}` (ID, title or file name of the report) and \
     `{date}` (UTC date: start of the run; in a run that waits for new reports, time of the report). `-`: \
     standard output.",
);
/// `if_exists`.
pub const IF_EXISTS: OptionSpec = OptionSpec::choice("if_exists", &["replace", "append", "fail"])
    .default_text("replace")
    .group("files")
    .help("Action when the file exists from an earlier run: replace it, append to it, or fail.");
/// `mode`.
pub const MODE: OptionSpec = OptionSpec::text("mode")
    .default_text("0640")
    .group("files")
    .help("File permissions, as an octal number.");
/// `rotate_bytes`.
pub const ROTATE_BYTES: OptionSpec = OptionSpec::size("rotate_bytes", 1 << 10, u64::MAX)
    .group("files")
    .help("File size at which a new file is started. Default: no rotation by size.");
/// `rotate_secs`.
pub const ROTATE_SECS: OptionSpec = OptionSpec::integer("rotate_secs", 1, 366 * 86_400)
    .group("files")
    .help("File age, in seconds, at which a new file is started. Default: no rotation by age.");

impl Target {
    /// Reads the five options of this module, all of which must be in the plugin's table.
    ///
    /// # Errors
    /// [`Config`](scanbridge_plugin_api::ErrorKind) when `mode` is not a valid mode, or does not let the owner write.
    pub fn read(options: &Options) -> Result<Self> {
        let path = options
            .path("path")?
            .ok_or_else(|| PluginError::config("option `path` is required for writing to a file"))?;
        Ok(Self {
            path,
            mode: mode(options.text("mode")?.unwrap_or_default())?,
            if_exists: match options.text("if_exists")? {
                Some("append") => IfExists::Append,
                Some("fail") => IfExists::Fail,
                _ => IfExists::Replace,
            },
            rotate: Rotation {
                max_bytes: options.size("rotate_bytes")?,
                max_age: options.integer("rotate_secs")?.map(Duration::from_secs),
            },
            date: DateOf::default(),
        })
    }
}

fn mode(text: &str) -> Result<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let octal = !digits.is_empty() && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if octal && mode <= 0o777 && mode & 0o200 != 0 => Ok(mode),
        _ => Err(PluginError::config(format!(
            "option `mode` must be an octal number from 0200 to 0777 with owner write permission, found \
             `{text}`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[OptionSpec] = &[PATH, IF_EXISTS, MODE, ROTATE_BYTES, ROTATE_SECS];

    fn read(json: &str) -> Result<Target> {
        Target::read(&Options::read(TABLE, json.as_bytes())?)
    }

    #[test]
    fn the_defaults_are_those_of_a_new_target() {
        assert_eq!(read(r#"{"path": "a.csv"}"#), Ok(Target::new("a.csv")));
    }

    #[test]
    fn modes_are_octal_and_let_the_owner_write() {
        for (text, expected) in [("0640", 0o640), ("600", 0o600), ("0777", 0o777), ("0o644", 0o644)] {
            assert_eq!(mode(text), Ok(expected));
        }
        for text in ["", "0888", "+644", "0444", "1777", "rw-r-----", "0o"] {
            let error = read(&format!(r#"{{"path": "a", "mode": "{text}"}}"#)).unwrap_err();
            assert!(
                error.message.starts_with("option `mode` must be an octal number from 0200 to 0777"),
                "{text}: {error}"
            );
        }
    }
}
