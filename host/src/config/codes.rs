//! The codes of problems. Scripts depend on them: a code is added, and never changed.

/// Each code with its meaning, as in `docs/pipelines.md`.
pub const CODES: &[(&str, &str)] = &[
    // The file.
    ("unreadable", "The file, or a settings file that it names, cannot be read."),
    ("empty", "The file has no content."),
    ("yaml", "The file is not valid YAML, or uses a feature of YAML that is not supported."),
    ("settings-file", "The file contains settings of a plugin, and is not a pipeline."),
    ("test-file", "The file contains tests of a pipeline, and is not a pipeline."),
    ("service-file", "The file contains settings of the service, and is not a pipeline."),
    // Keys and values.
    ("wrong-form", "A single value, a list or a mapping is in the place of another of these."),
    ("missing-key", "A required key is missing or empty."),
    ("unknown-key", "The key is unknown there."),
    ("duplicate-key", "A key is set twice."),
    ("duplicate-id", "Two inputs or outputs have the same `id`."),
    ("no-value", "A key has no value."),
    ("bad-value", "A value has the wrong type, or is out of range."),
    ("reference", "A reference such as `${env:NAME}` cannot be resolved."),
    ("placeholder", "A placeholder of `config example` has not been replaced."),
    // Plugins and their options.
    ("unknown-plugin", "No installed plugin has this name."),
    ("refused-plugin", "The library of the plugin cannot be loaded."),
    ("fips", "FIPS mode needs the FIPS build, or a setting or the machine contradicts it."),
    ("unknown-option", "The plugin has no such option."),
    ("missing-option", "A required option is missing."),
    ("contradiction", "Two options cannot be combined."),
    ("unknown-column", "An item of a list is unknown, for example a column."),
    ("same-target", "Two outputs write to the same file."),
    // Values that may not be what was intended.
    ("many-fields", "More fields are encrypted than is advisable."),
    ("deprecated", "An option is set by its old name."),
    ("cut-value", "YAML reads the end of the value as a comment."),
    ("folded-value", "The value continues on the next line."),
    ("escaped-value", "The value contains a backslash escape."),
    ("spilt-value", "Inside `{ }`, a comma may have ended a value."),
    ("odd-character", "A value contains typographic quotes or a no-break space."),
    ("tilde", "A path begins with `~`, which is not replaced by the home directory."),
    ("open-permissions", "Other users can read a secret, or change the file."),
    // The service.
    ("clock-change", "A clock change skips or repeats a start of the schedule."),
    ("reserved-name", "The name of the pipeline is that of a file of the service in its state directory."),
    ("service-name", "A service refuses the name of the pipeline."),
    ("stdout", "An output writes to standard output, which a run of the service does not have."),
    // The machine, and what a plugin judges.
    ("state", "The state directory cannot be used."),
    ("disk-space", "A file system is almost full."),
    ("plugin-option", "A plugin refuses its options."),
    ("plugin-warning", "A plugin warns."),
    ("missing-input", "An input file, or a certificate file, does not exist or cannot be opened (66)."),
    ("bad-data", "A file is invalid or of the wrong kind (65)."),
    ("access-denied", "A login or a certificate is not accepted (77)."),
    ("unreachable", "A source or destination is unreachable (69)."),
    ("rejected", "A destination rejects the data (65)."),
    ("cannot-create", "An output file cannot be created (73)."),
    ("read-write", "A read or write failed (74)."),
    ("protocol", "A peer violates the protocol (76)."),
    ("displaced", "Another instance has taken over the work (75)."),
    ("plugin-bug", "A plugin violates its contract (70)."),
    ("interrupted", "The check was interrupted (130)."),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn manual_lists_every_code() {
        let manual = include_str!("../../../docs/pipelines.md");
        for (code, meaning) in CODES {
            let row = format!("| `{code}` | {meaning} |");
            assert!(manual.contains(&row), "docs/pipelines.md has no row {row}");
        }
        let rows = manual.split("\n| Code |").nth(1).expect("the table of codes");
        let rows = rows.split("\n\n").next().unwrap_or_default();
        assert_eq!(rows.matches("\n| `").count(), CODES.len(), "docs/pipelines.md has a row too many");
    }

    #[test]
    fn every_code_in_the_source_is_listed() {
        let mut found = 0;
        for folder in ["src/config", "src/commands"] {
            for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.ends_with("config/codes.rs") {
                    continue;
                }
                let text = fs::read_to_string(path).unwrap();
                for call in [".error(", ".warning(", ".file_error("] {
                    for rest in text.split(call).skip(1) {
                        let Some(code) = rest.trim_start().strip_prefix('"') else { continue };
                        let code = code.split('"').next().unwrap_or_default();
                        found += 1;
                        let known = code == "test" || CODES.iter().any(|(known, _)| *known == code);
                        assert!(known, "the code `{code}` is not listed");
                    }
                }
            }
        }
        assert!(found > 30, "only {found} codes in the source");
    }
}
