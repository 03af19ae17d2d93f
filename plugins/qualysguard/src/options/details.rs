//! Option `details`: optional parts of the detections, and the parameters that request them.

use scanbridge_plugin_api::{Options, Result};

/// An optional part of the detections.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Detail {
    /// The word in `details`.
    pub(crate) word: &'static str,
    /// The parameters that request it, with their values.
    pub(crate) parameters: &'static [(&'static str, &'static str)],
    /// The first major version of the detection call that has the parameters.
    since: u32,
}

const fn detail(
    word: &'static str,
    parameters: &'static [(&'static str, &'static str)],
    since: u32,
) -> Detail {
    Detail { word, parameters, since }
}

static DETAILS: [Detail; 7] = [
    detail("asset-id", &[("show_asset_id", "1")], 2),
    detail("tags", &[("show_tags", "1")], 2),
    detail("scores", &[("show_qds", "1"), ("show_qds_factors", "1")], 2),
    detail("reopened", &[("show_reopened_info", "1")], 2),
    detail("attack", &[("mitre_attack_details", "1")], 4),
    detail("cloud", &[("host_metadata", "all"), ("show_cloud_tags", "1")], 2),
    detail("running", &[("show_arf_data", "1")], 2),
];

/// Values of the option.
pub(super) const WORDS: &[&str] = &["asset-id", "tags", "scores", "reopened", "attack", "cloud", "running"];

/// Its default. `cloud` and `running` make the download larger.
pub(super) const DEFAULT: &[&str] = &["asset-id", "tags", "scores", "reopened", "attack"];

/// The configured details that this version of the detection call has.
pub(super) fn details(options: &Options, version: &str) -> Result<Vec<&'static Detail>> {
    let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(u32::MAX);
    let words = options.list("details")?;
    Ok(DETAILS.iter().filter(|detail| detail.since <= major && words.contains(&detail.word)).collect())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use scanbridge_plugin_api::Fips;

    use super::super::{Settings, Source, TABLE};
    use super::*;

    fn settings(json: &str) -> Result<Settings> {
        let options = format!(r#"{{"user_id": "u", "password": "p", "source": "host-detections"{json}}}"#);
        Settings::read(&Options::read(TABLE, options.as_bytes())?, Fips::Off)
    }

    fn words(json: &str) -> Vec<&'static str> {
        let Source::Detections(wanted) = settings(json).unwrap().source else { panic!("{json}") };
        wanted.details.iter().map(|detail| detail.word).collect()
    }

    #[test]
    fn details_of_the_version_are_requested() {
        assert_eq!(DETAILS.each_ref().map(|detail| detail.word), WORDS);
        assert_eq!(words(""), DEFAULT);
        assert_eq!(words(r#", "details": []"#), [""; 0]);
        let all = format!(r#", "details": {WORDS:?}"#);
        assert_eq!(words(&all), WORDS);
        for (version, has_attack) in [("2.0", false), ("3.0", false), ("4.0", true), ("10.0", true)] {
            let words = words(&format!(r#"{all}, "detections_version": "{version}""#));
            assert_eq!(words.contains(&"attack"), has_attack, "{version}");
            assert_eq!(words.len(), 6 + usize::from(has_attack));
        }
    }

    /// The table of options repeats the names of the parameters.
    #[test]
    fn parameter_that_another_option_sets_is_a_contradiction() {
        let sets =
            |json: &str, name: &str| settings(&format!(r#"{json}, "extra_parameters": {{"{name}": "1"}}"#));
        for detail in &DETAILS {
            for (name, _) in detail.parameters {
                let with = format!(r#", "details": ["{}"]"#, detail.word);
                let error = sets(&with, name).unwrap_err();
                let expected = format!(
                    "option `extra_parameters` must not contain `{name}`, which `details: {}` sets",
                    detail.word
                );
                assert_eq!((error.message, error.kind), (expected, scanbridge_plugin_api::ErrorKind::Config));
                let mut others = String::new();
                for word in WORDS.iter().filter(|word| **word != detail.word) {
                    let _ = write!(others, r#"{}"{word}""#, if others.is_empty() { "" } else { ", " });
                }
                assert!(sets(&format!(r#", "details": [{others}]"#), name).is_ok(), "{name}");
                assert_eq!(sets("", name).is_err(), DEFAULT.contains(&detail.word), "{name}");
            }
        }
        for option in ["ignored", "disabled"] {
            let name = format!("include_{option}");
            assert!(sets("", &name).is_ok());
            let error = sets(&format!(r#", "{option}": true"#), &name).unwrap_err();
            assert!(error.message.ends_with(&format!("which `{option}: yes` sets")), "{error}");
        }
    }
}
