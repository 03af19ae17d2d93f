//! What a client asks for with reports that are not to be sent.

use std::ffi::OsString;
use std::path::Path;

use serde::Deserialize;

/// Which reports count as sent from now on, or no longer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SkipRequest {
    /// The `id` of the input; needed if several have stored reports.
    pub(crate) input: Option<String>,
    pub(crate) ids: Vec<String>,
    /// All unsent ones.
    pub(crate) all_new: bool,
    /// All unsent ones that were made before this time, in RFC 3339.
    pub(crate) before: Option<String>,
    /// Whether they count as unsent again.
    pub(crate) undo: bool,
    /// Format of what the command prints.
    pub(crate) json: bool,
}

impl SkipRequest {
    /// Why the request makes no sense.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let selections = [!self.ids.is_empty(), self.all_new, self.before.is_some()];
        match selections.into_iter().filter(|is_given| *is_given).count() {
            0 => Some("`ids`, `all_new` or `before` must be given"),
            1 if self.undo && self.ids.is_empty() => Some("`undo` needs `ids`"),
            1 if self.ids.iter().any(|id| id.is_empty() || id.contains(char::is_control)) => {
                Some("an ID of a report is invalid")
            }
            1 => None,
            _ => Some("only one of `ids`, `all_new` and `before` can be given"),
        }
    }

    /// The command of the host. Values are part of their option, so that none of them can be an option itself. `file` has
    /// the IDs, one per line.
    pub(crate) fn arguments(&self, input: &str, file: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = ["reports", "skip"].map(OsString::from).to_vec();
        let mut add = |option: String| arguments.push(option.into());
        add(format!("--input={input}"));
        add(format!("--format={}", if self.json { "json" } else { "text" }));
        if self.all_new {
            add("--all-new".to_owned());
        }
        self.before.iter().for_each(|before| add(format!("--before={before}")));
        if self.undo {
            add("--undo".to_owned());
        }
        if !self.ids.is_empty() {
            arguments.extend(["--ids-from".into(), file.as_os_str().to_owned()]);
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_needs_exactly_one_selection() {
        for (text, is_valid) in [
            ("{\"ids\": [\"a\"]}", true),
            ("{\"ids\": [\"a\"], \"undo\": true}", true),
            ("{\"all_new\": true}", true),
            ("{\"before\": \"2026-01-01T00:00:00Z\"}", true),
            ("{}", false),
            ("{\"ids\": []}", false),
            ("{\"ids\": [\"a\\nb\"]}", false),
            ("{\"ids\": [\"\"]}", false),
            ("{\"all_new\": true, \"undo\": true}", false),
            ("{\"all_new\": true, \"before\": \"2026-01-01T00:00:00Z\"}", false),
        ] {
            let request: SkipRequest = serde_json::from_str(text).unwrap();
            assert_eq!(request.fault().is_none(), is_valid, "{text}");
        }
        assert!(serde_json::from_str::<SkipRequest>("{\"id\": [\"a\"]}").is_err());
    }

    #[test]
    fn values_of_a_request_cannot_be_options() {
        let before = Some("--state-dir=x".to_owned());
        let request = SkipRequest { before, json: true, ..SkipRequest::default() };
        let expected = ["reports", "skip", "--input=--x", "--format=json", "--before=--state-dir=x"];
        assert_eq!(request.arguments("--x", Path::new("f")), expected.map(OsString::from));
    }
}
