//! Detects whether a pipeline changed since an interrupted run.

use std::collections::{BTreeMap, BTreeSet};

use scanbridge_plugin_api::PluginKind;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_128;

use super::checkpoint::Checkpoint;
use crate::config::{Catalogue, Instance, Pipeline};
use crate::encryption::Encryption;

/// Everything that decides what a pipeline delivers: instances, their options without secrets, and filters. Settings
/// for how and when (retries, queues) are excluded, so that an operator can fix them before a run resumes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    inputs: BTreeMap<String, InstanceFingerprint>,
    outputs: BTreeMap<String, InstanceFingerprint>,
}

/// Hashes of one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct InstanceFingerprint {
    /// Of the plugin, the filters, the failover and the encryption.
    rest: String,
    /// Of the value of each option that is set.
    options: BTreeMap<String, String>,
}

/// The names of changed options by the `id` of the instance.
pub type ChangedOptions = BTreeMap<String, Vec<String>>;

impl Fingerprint {
    /// The fingerprint of this pipeline.
    #[must_use]
    pub fn of(pipeline: &Pipeline, catalogue: &dyn Catalogue) -> Self {
        let inputs = pipeline.inputs.iter().map(|input| {
            InstanceFingerprint::of(PluginKind::Input, &input.instance, &json!(null), catalogue)
        });
        let outputs = pipeline.outputs.iter().map(|output| {
            let mut rest = vec![json!(format!("{:?}", output.filters)), json!(output.delivery.failover)];
            // Without the secret.
            rest.extend(output.encryption.as_ref().map(Encryption::public));
            let rest = json!(rest);
            InstanceFingerprint::of(PluginKind::Output, &output.instance, &rest, catalogue)
        });
        Self { inputs: inputs.collect(), outputs: outputs.collect() }
    }

    /// A hash of the fingerprint.
    #[must_use]
    pub fn digest(&self) -> String {
        hash(&json!(self))
    }

    /// The inputs and outputs that are the same as in an earlier run, except for changes that `may_change` allows, and the
    /// options that differ.
    pub(crate) fn unchanged_since(
        &self,
        earlier: &Self,
        may_change: impl Fn(&Change) -> bool,
    ) -> (BTreeSet<String>, ChangedOptions) {
        let mut unchanged = BTreeSet::new();
        let mut changed = ChangedOptions::new();
        for (kind, now, before) in [
            (PluginKind::Input, &self.inputs, &earlier.inputs),
            (PluginKind::Output, &self.outputs, &earlier.outputs),
        ] {
            for (id, instance) in now {
                let Some(before) = before.get(id) else { continue };
                let may_change = |option| may_change(&Change { kind, id: id.clone(), option });
                let options = instance.changed_options(before);
                let is_same = instance.rest == before.rest || may_change(None);
                if is_same && options.iter().all(|option| may_change(Some(option.clone()))) {
                    unchanged.insert(id.clone());
                    if !options.is_empty() {
                        changed.insert(id.clone(), options);
                    }
                }
            }
        }
        (unchanged, changed)
    }

    /// The options that differ from those of an interrupted run. They may differ if the plugin declares that, or if
    /// the output has not delivered anything yet.
    ///
    /// # Errors
    /// What was changed, if the run cannot be resumed after it.
    pub fn changed_since(
        &self,
        earlier: &Self,
        may_change: impl Fn(&Change) -> bool,
    ) -> Result<ChangedOptions, String> {
        let mut changed = ChangedOptions::new();
        for (kind, now, before) in [
            (PluginKind::Input, &self.inputs, &earlier.inputs),
            (PluginKind::Output, &self.outputs, &earlier.outputs),
        ] {
            let word = kind.word();
            if let Some(id) = before.keys().find(|id| !now.contains_key(*id)) {
                return Err(format!("{word} `{id}` was removed"));
            }
            for (id, instance) in now {
                let Some(before) = before.get(id) else { return Err(format!("{word} `{id}` was added")) };
                let change = |option| Change { kind, id: id.clone(), option };
                if instance.rest != before.rest && !may_change(&change(None)) {
                    return Err(format!(
                        "the plugin, the filters, the failover or the encryption of {word} `{id}` were changed"
                    ));
                }
                for option in instance.changed_options(before) {
                    if !may_change(&change(Some(option.clone()))) {
                        return Err(format!("option `{option}` of {word} `{id}` was changed"));
                    }
                    changed.entry(id.clone()).or_default().push(option);
                }
            }
        }
        Ok(changed)
    }
}

/// A difference between two fingerprints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The kind of the instance.
    pub kind: PluginKind,
    /// The `id:` of the instance.
    pub id: String,
    /// The name of the option; `None` for the plugin, the filters, the failover and the encryption.
    pub option: Option<String>,
}

impl Change {
    /// Whether an interrupted run can be resumed with this change: the plugin declares that the option is safe, or the
    /// output has not delivered anything. `sent`: whether a report was delivered since the interrupted run began.
    #[must_use]
    pub fn is_safe(
        &self,
        pipeline: &Pipeline,
        catalogue: &dyn Catalogue,
        checkpoint: &Checkpoint,
        sent: bool,
    ) -> bool {
        if self.kind == PluginKind::Output && !sent {
            let state = checkpoint.outputs.get(&self.id);
            if state.is_none_or(|state| state.receipt.is_none() && state.report.is_none()) {
                return true;
            }
        }
        let inputs = pipeline.inputs.iter().map(|input| &input.instance);
        let mut instances = inputs.chain(pipeline.outputs.iter().map(|output| &output.instance));
        let Some(instance) = instances.find(|instance| instance.id == self.id) else { return false };
        let plugin = catalogue.find(self.kind, &instance.plugin);
        let option = plugin.zip(self.option.as_deref()).and_then(|(plugin, name)| plugin.option(name));
        option.is_some_and(|option| option.resume_safe)
    }
}

impl InstanceFingerprint {
    fn of(kind: PluginKind, instance: &Instance, rest: &Value, catalogue: &dyn Catalogue) -> (String, Self) {
        let plugin = catalogue.find(kind, &instance.plugin);
        let is_secret = |name: &String| {
            plugin.and_then(|plugin| plugin.option(name)).is_none_or(|option| option.secret)
                || instance.origins.get(name).is_some_and(|origin| origin.is_credential)
        };
        let public = instance.options.iter().filter(|(name, _)| !is_secret(name));
        let options = public.map(|(name, value)| (name.clone(), hash(value))).collect();
        (instance.id.clone(), Self { rest: hash(&json!([instance.plugin, rest])), options })
    }

    /// The options that were set, removed, or set to another value.
    fn changed_options(&self, before: &Self) -> Vec<String> {
        let all =
            self.options.keys().chain(before.options.keys().filter(|name| !self.options.contains_key(*name)));
        all.filter(|name| self.options.get(*name) != before.options.get(*name)).cloned().collect()
    }
}

fn hash(value: &Value) -> String {
    format!("{:032x}", xxh3_128(value.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(rest: &str, options: &[(&str, &str)]) -> InstanceFingerprint {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        InstanceFingerprint { rest: rest.to_owned(), options }
    }

    fn of(output: InstanceFingerprint) -> Fingerprint {
        let outputs = [("out".to_owned(), output)].into();
        Fingerprint { outputs, ..Fingerprint::default() }
    }

    #[test]
    fn change_is_named() {
        let before = of(instance("csv", &[("path", "1"), ("columns", "2")]));
        for (now, message) in [
            (
                instance("csv", &[("path", "9"), ("columns", "2")]),
                "option `path` of output `out` was changed",
            ),
            (instance("csv", &[("path", "1")]), "option `columns` of output `out` was changed"),
            (
                instance("json", &[("path", "1"), ("columns", "2")]),
                "the plugin, the filters, the failover or the encryption of output `out` were changed",
            ),
        ] {
            assert_eq!(of(now.clone()).changed_since(&before, |_| false), Err(message.to_owned()));
            assert!(of(now).changed_since(&before, |_| true).is_ok());
        }
        assert_eq!(before.changed_since(&before, |_| false), Ok(ChangedOptions::new()));
        let removed = Fingerprint::default().changed_since(&before, |_| true);
        assert_eq!(removed, Err("output `out` was removed".to_owned()));
        assert_eq!(
            before.changed_since(&Fingerprint::default(), |_| true),
            Err("output `out` was added".to_owned())
        );
    }

    #[test]
    fn unchanged_instances_are_listed() {
        let all = |path: &str, rest: &str| {
            let of = |rest: &str, path: &str| instance(rest, &[("path", path), ("mode", "1")]);
            Fingerprint {
                inputs: [("in".to_owned(), of("files", path))].into(),
                outputs: [("csv".to_owned(), of("csv", "1")), ("cef".to_owned(), of(rest, "1"))].into(),
            }
        };
        let before = all("1", "cef");
        let unchanged = |now: &Fingerprint, may_change: fn(&Change) -> bool| {
            let (unchanged, changed) = now.unchanged_since(&before, may_change);
            (
                unchanged.into_iter().collect::<Vec<_>>().join(" "),
                changed.into_keys().collect::<Vec<_>>().join(" "),
            )
        };
        let is = |unchanged: &str, changed: &str| (unchanged.to_owned(), changed.to_owned());
        assert_eq!(unchanged(&before, |_| false), is("cef csv in", ""));
        assert_eq!(unchanged(&all("2", "cef"), |_| false), is("cef csv", ""));
        assert_eq!(unchanged(&all("2", "cef"), |change| change.option.is_some()), is("cef csv in", "in"));
        assert_eq!(unchanged(&all("1", "udp"), |_| false), is("csv in", ""));
        let mut other = before.clone();
        other.outputs.remove("csv");
        other.outputs.insert("new".to_owned(), instance("csv", &[]));
        assert_eq!(unchanged(&other, |_| false), is("cef in", ""));
    }

    #[test]
    fn changed_options_are_listed() {
        let before = of(instance("csv", &[("path", "1"), ("columns", "2")]));
        let now = of(instance("csv", &[("path", "9"), ("delimiter", "3"), ("columns", "2")]));
        let changed = now.changed_since(&before, |_| true).unwrap();
        assert_eq!(changed["out"], ["delimiter", "path"]);
    }
}
