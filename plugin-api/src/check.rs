//! Results of a check on this machine, and of a probe.

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{ErrorKind, PluginError};

/// The result of one step of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", from = "String")]
// The host is built with this very version, so it may write and match all of it.
#[cfg_attr(not(feature = "host"), non_exhaustive)]
pub enum Verdict {
    /// The step succeeded.
    Ok,
    /// A run would work, but the operator should check this.
    Warning,
    /// A run would fail.
    Failed,
}

impl From<String> for Verdict {
    /// A word of a later version is read as [`Verdict::Warning`].
    fn from(word: String) -> Self {
        match word.as_str() {
            "ok" => Self::Ok,
            "failed" => Self::Failed,
            _ => Self::Warning,
        }
    }
}

/// One step of a check: `TLS`, `ok`, `TLS 1.3, certificate valid for 212 days`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CheckStep {
    /// Name of the checked item.
    pub name: String,
    /// Result of the step.
    pub verdict: Verdict,
    /// What was found and, unless the result is `ok`, what to do about it.
    pub detail: String,
    /// Kind of the error behind a failed step or a warning, if the plugin has set it. It determines the exit code of `check
    /// --probe`, so that `check` and `run` end with the same code for the same cause.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "known_kind")]
    pub kind: Option<ErrorKind>,
    /// The option whose value the step judges. The host adds the place in the pipeline file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
}

/// The value that an option has although it is not set, because it follows from other options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EffectiveValue {
    /// The name of the option. An option that is set, or secret, is ignored.
    pub option: String,
    /// The value, as written in a pipeline file.
    pub value: String,
    /// What it follows from, for example `` `receiver: splunk` ``.
    pub origin: String,
}

/// A kind that a newer plugin API has added is read as `None`.
fn known_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ErrorKind>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// The result of a check, step by step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// The steps in the order in which they were executed.
    pub steps: Vec<CheckStep>,
    /// The values of options that are not set and whose default is not constant, for `config show`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effective: Vec<EffectiveValue>,
}

impl CheckReport {
    /// Adds a step.
    #[must_use]
    pub fn step(mut self, name: impl Into<String>, verdict: Verdict, detail: impl Into<String>) -> Self {
        self.steps.push(CheckStep {
            name: name.into(),
            verdict,
            detail: detail.into(),
            kind: None,
            option: None,
        });
        self
    }

    /// Adds a failed step with the message, the hint, the kind and the option of this error.
    #[must_use]
    pub fn failed_step(self, name: impl Into<String>, error: &PluginError) -> Self {
        self.judged(name.into(), Verdict::Failed, error)
    }

    /// Adds a warning with the message, the hint, the kind and the option of this error.
    #[must_use]
    pub fn warning_step(self, name: impl Into<String>, error: &PluginError) -> Self {
        self.judged(name.into(), Verdict::Warning, error)
    }

    fn judged(mut self, name: String, verdict: Verdict, error: &PluginError) -> Self {
        let hint = error.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        let detail = format!("{}{hint}", error.message);
        let (kind, option) = (Some(error.kind), error.option.clone());
        self.steps.push(CheckStep { name, verdict, detail, kind, option });
        self
    }

    /// Names the option that the last step is about.
    #[must_use]
    pub fn about(mut self, option: impl Into<String>) -> Self {
        if let Some(step) = self.steps.last_mut() {
            step.option = Some(option.into());
        }
        self
    }

    /// Adds the value that an option has although it is not set, and what it follows from.
    #[must_use]
    pub fn effective(
        mut self,
        option: impl Into<String>,
        value: impl Into<String>,
        origin: impl Into<String>,
    ) -> Self {
        let (option, value, origin) = (option.into(), value.into(), origin.into());
        self.effective.push(EffectiveValue { option, value, origin });
        self
    }

    /// The worst verdict of all steps; `Ok` without steps.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.steps.iter().map(|step| step.verdict).max().unwrap_or(Verdict::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_verdict_is_a_warning_and_unknown_keys_are_ignored() {
        let report = r#"{"steps": [
            {"name": "TLS", "verdict": "ok", "detail": "", "duration_ms": 4},
            {"name": "login", "verdict": "skipped", "detail": ""}
        ], "later": 1}"#;
        let report: CheckReport = serde_json::from_str(report).unwrap();
        assert_eq!(report.verdict(), Verdict::Warning);
        for verdict in [Verdict::Ok, Verdict::Warning, Verdict::Failed] {
            let word = serde_json::to_string(&verdict).unwrap();
            assert_eq!(serde_json::from_str::<Verdict>(&word).unwrap(), verdict);
        }
    }

    #[test]
    fn kind_of_a_failed_step_crosses_the_abi() {
        let error = PluginError::bad_data("page.xml is an HTML page").with_hint("download it again");
        let report = CheckReport::default().failed_step("page.xml", &error).step("b", Verdict::Ok, "fine");
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(
            json,
            r#"{"steps":[{"name":"page.xml","verdict":"failed","detail":"page.xml is an HTML page; download it again","kind":"bad-data"},{"name":"b","verdict":"ok","detail":"fine"}]}"#
        );
        assert_eq!(serde_json::from_str::<CheckReport>(&json).unwrap(), report);
        let newer: CheckReport = serde_json::from_str(&json.replace("bad-data", "of-2031")).unwrap();
        assert_eq!((newer.steps[0].kind, newer.verdict()), (None, Verdict::Failed));
    }
}
