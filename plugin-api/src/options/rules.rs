//! Rules between the options of one plugin. The host checks them before it opens the plugin; the plugin checks them
//! again.

use serde_json::{Map, Value};

use super::descriptor::{ExcludedKeys, OptionCondition, OptionDescriptor, OptionMaximum};
use super::duration::show_duration;
use super::kind::OptionKind;
use super::size::show_size;

/// A rule between two options that the settings break.
#[derive(Debug, Clone, PartialEq, Eq)]
// The host is built with this very version, so it may write and match all of it.
#[cfg_attr(not(feature = "host"), non_exhaustive)]
pub struct BrokenRule {
    /// The option that has the rule.
    pub option: String,
    /// The other option; empty if the rule is about one option only.
    pub other: String,
    /// What is wrong, for the operator. Contains no value except words of choices and numbers.
    pub message: String,
    /// What the operator can do.
    pub hint: String,
    /// What the settings need.
    pub repair: RuleRepair,
}

/// What the settings need, so that a rule is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
// The host is built with this very version, so it may write and match all of it.
#[cfg_attr(not(feature = "host"), non_exhaustive)]
pub enum RuleRepair {
    /// The option that has the rule must be set.
    Set,
    /// The option that has the rule must be removed, or the other one changed.
    Remove,
    /// The option that has the rule needs another value.
    Change,
}

/// The rules that these settings break, in the order of the table. `set` has the values that the operator set, by
/// their current names and in their ABI form.
pub(crate) fn broken_rules(options: &[OptionDescriptor], set: &Map<String, Value>) -> Vec<BrokenRule> {
    let rules = Rules { options, set };
    options.iter().flat_map(|option| rules.broken_by(option)).collect()
}

/// A rule that names an option or a word that the table does not have, as a sentence.
pub(crate) fn fault(options: &[OptionDescriptor]) -> Option<String> {
    options.iter().find_map(|option| {
        let unknown = |name: &String| {
            let is_known = *name != option.name && options.iter().any(|other| other.name == *name);
            (!is_known).then(|| {
                format!(
                    "option `{}` has a rule about `{name}`, which is not another option of the plugin",
                    option.name
                )
            })
        };
        let conditions = [
            option.only_with.as_ref(),
            option.required_with.as_ref(),
            option.max_with.as_ref().map(|maximum| &maximum.condition),
        ];
        let excluded = option.excludes_keys.iter().flat_map(|entry| &entry.conditions);
        let lists = option.host_name_with.iter().flatten().chain(excluded);
        let mut conditions = conditions.into_iter().flatten().chain(lists);
        let wrong_condition = |condition: &OptionCondition| {
            unknown(&condition.option).or_else(|| {
                let other = options.iter().find(|other| other.name == condition.option)?;
                let word = condition.words.iter().find(|word| !has_word(&other.kind, word))?;
                Some(format!(
                    "option `{}` has a rule about `{}: {word}`, a value that `{1}` cannot have",
                    option.name, other.name
                ))
            })
        };
        let names = option.requires.iter().chain(&option.conflicts);
        names.into_iter().find_map(unknown).or_else(|| conditions.find_map(wrong_condition))
    })
}

fn has_word(kind: &OptionKind, word: &str) -> bool {
    match kind {
        OptionKind::Choice { words } => words.iter().any(|known| known == word),
        OptionKind::Flag => matches!(word, "yes" | "no"),
        OptionKind::List { of } => has_word(of, word),
        _ => false,
    }
}

struct Rules<'a> {
    options: &'a [OptionDescriptor],
    set: &'a Map<String, Value>,
}

impl Rules<'_> {
    fn broken_by(&self, option: &OptionDescriptor) -> Vec<BrokenRule> {
        let name = option.name.as_str();
        let rule = |other: &str, repair, message: String, hint: String| BrokenRule {
            option: name.to_owned(),
            other: other.to_owned(),
            message,
            hint,
            repair,
        };
        let mut broken = Vec::new();
        if let Some(condition) = option.required_with.as_ref()
            && !self.is_effective(name)
            && let Some(word) = self.word(&condition.option).filter(|word| condition.words.contains(word))
        {
            let other = &condition.option;
            broken.push(rule(
                other,
                RuleRepair::Set,
                format!("option `{name}` is required for `{other}: {word}`"),
                format!("add `{name}: …`: {}", option.help),
            ));
        }
        if !self.set.get(name).is_some_and(is_set) {
            return broken;
        }
        for other in option.requires.iter().filter(|other| !self.is_effective(other)) {
            broken.push(rule(
                other,
                RuleRepair::Remove,
                format!("option `{name}` requires `{other}`, which is not set"),
                format!("set `{other}`, or remove `{name}`"),
            ));
        }
        for other in option.conflicts.iter().filter(|other| self.set.get(*other).is_some_and(is_set)) {
            broken.push(rule(
                other,
                RuleRepair::Remove,
                format!("options `{name}` and `{other}` cannot be combined"),
                "keep only one of these options".to_owned(),
            ));
        }
        if let Some(condition) = &option.only_with {
            let (other, word) = (&condition.option, self.word(&condition.option));
            if !word.as_ref().is_some_and(|word| condition.words.contains(word)) {
                let without = match word {
                    Some(word) => format!("with `{other}: {word}`"),
                    None => format!("without `{other}`"),
                };
                broken.push(rule(
                    other,
                    RuleRepair::Remove,
                    format!("option `{name}` has no effect {without}; remove it"),
                    format!("it is only for `{other}: {}`", condition.words.join("`, `")),
                ));
            }
        }
        if let Some(OptionMaximum { condition, max }) = &option.max_with
            && let Some(word) = self.word(&condition.option).filter(|word| condition.words.contains(word))
            && let Some(number) = self.set.get(name).and_then(Value::as_u64).filter(|number| number > max)
        {
            let other = &condition.option;
            let (max, number) = (show_number(&option.kind, *max), show_number(&option.kind, number));
            broken.push(rule(
                other,
                RuleRepair::Change,
                format!("option `{name}` must be at most {max} with `{other}: {word}`, found {number}"),
                format!("reduce `{name}`, or change `{other}`"),
            ));
        }
        if let Some(case) = self.demands_host_name(option)
            && let Some(other) = case.first().map(|condition| condition.option.as_str())
        {
            let case: Vec<_> = case
                .iter()
                .map(|OptionCondition { option, .. }| {
                    format!("`{option}: {}`", self.word(option).unwrap_or_default())
                })
                .collect();
            broken.push(rule(
                other,
                RuleRepair::Change,
                format!(
                    "option `{name}` must be a plain host name (letters, digits, `.`, `-`, `_`) with {}",
                    case.join(" and ")
                ),
                format!("change `{name}`, or change `{other}`"),
            ));
        }
        for entry in &option.excludes_keys {
            if entry.conditions.iter().all(|condition| self.holds(condition)) {
                for key in self.keys(name).filter(|key| entry.has(key)) {
                    broken.push(excluded(name, key, entry.conditions.last()));
                }
            }
        }
        broken
    }

    /// The conditions that demand a host name of this option, if its value is another text.
    fn demands_host_name<'a>(&self, option: &'a OptionDescriptor) -> Option<&'a Vec<OptionCondition>> {
        let text = self.set.get(&option.name)?.as_str()?;
        let holds = |condition: &OptionCondition| self.holds(condition);
        let case = option.host_name_with.iter().find(|case| case.iter().all(holds))?;
        (!is_plain_host_name(text)).then_some(case)
    }

    /// Whether an option has one of the words of a condition.
    fn holds(&self, condition: &OptionCondition) -> bool {
        let has = |word: &str| condition.words.iter().any(|known| known == word);
        match self.value(&condition.option) {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).any(has),
            _ => self.word(&condition.option).is_some_and(|word| has(&word)),
        }
    }

    /// The keys of a map.
    fn keys(&self, name: &str) -> impl Iterator<Item = &str> {
        let entries = self.set.get(name).and_then(Value::as_object);
        entries.into_iter().flatten().map(|(key, _)| key.as_str())
    }

    /// The value that applies: that of the settings, otherwise the default.
    fn value(&self, name: &str) -> Option<&Value> {
        let default = || self.options.iter().find(|option| option.name == name)?.default.as_ref();
        self.set.get(name).or_else(default)
    }

    fn is_effective(&self, name: &str) -> bool {
        self.value(name).is_some_and(is_set)
    }

    /// The word of a choice or flag.
    fn word(&self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::Bool(value) => Some(if *value { "yes" } else { "no" }.to_owned()),
            value => value.as_str().map(str::to_owned),
        }
    }
}

impl ExcludedKeys {
    fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|excluded| excluded.eq_ignore_ascii_case(key))
    }
}

/// The rule that a key of the map `name` breaks. `by` sets what the key sets; `None`: the plugin itself.
fn excluded(name: &str, key: &str, by: Option<&OptionCondition>) -> BrokenRule {
    let (other, by, hint) = match by {
        None => (String::new(), "the plugin sets itself".to_owned(), String::new()),
        Some(OptionCondition { option, words }) => {
            let setting = format!("`{option}: {}`", words.join("`, `"));
            let hint = format!(", or change `{option}`");
            (option.clone(), format!("{setting} sets"), hint)
        }
    };
    BrokenRule {
        option: name.to_owned(),
        other,
        message: format!("option `{name}` must not contain `{key}`, which {by}"),
        hint: format!("remove `{key}` from `{name}`{hint}"),
        repair: RuleRepair::Remove,
    }
}

/// Whether a value counts as set.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(_) => true,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
    }
}

fn is_plain_host_name(text: &str) -> bool {
    text.starts_with(|first| first != '.' && first != '-')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

fn show_number(kind: &OptionKind, number: u64) -> String {
    match kind {
        OptionKind::Size { .. } => show_size(number),
        OptionKind::Duration { .. } => show_duration(number),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::options::{OptionSpec, Options, ValueSpec};

    const TABLE: &[OptionSpec] = &[
        OptionSpec::choice("transport", &["file", "udp", "tcp"]).default_text("file"),
        OptionSpec::text("address")
            .help("The receiver.")
            .only_with("transport", &["udp", "tcp"])
            .required_with("transport", &["udp", "tcp"]),
        OptionSpec::size("message_bytes", 1, 1 << 20).max_with("transport", &["udp"], 1000),
        OptionSpec::text("user").requires(&["proxy"]),
        OptionSpec::text("proxy"),
        OptionSpec::list("pins", &ValueSpec::Text).conflicts(&["authority"]),
        OptionSpec::path("authority"),
        OptionSpec::flag("watch").requires(&["proxy"]),
        OptionSpec::integer("poll", 1, 9).only_with("watch", &["yes"]),
        OptionSpec::choice("look", &["preset", "old", "new"]).default_text("preset"),
        OptionSpec::choice("preset", &["a", "b"]).default_text("a"),
        OptionSpec::text("machine")
            .host_name_with(&[&[("look", &["old"])], &[("look", &["preset"]), ("preset", &["a"])]]),
        OptionSpec::list("parts", &ValueSpec::Choice(&["a", "b"])).default_list(&["a"]),
        OptionSpec::map("more", &ValueSpec::Text).excludes_keys(&[
            (&[], &["own"]),
            (&[("transport", &["file"]), ("parts", &["a"])], &["show_a", "full_a"]),
            (&[("parts", &["b"])], &["show_b"]),
            (&[("watch", &["yes"])], &["watched"]),
        ]),
    ];

    fn messages(set: Value) -> Vec<String> {
        let options: Vec<OptionDescriptor> = TABLE.iter().map(OptionDescriptor::from).collect();
        assert_eq!(fault(&options), None);
        let Value::Object(set) = set else { panic!("not an object") };
        let broken: Vec<String> = broken_rules(&options, &set).into_iter().map(|rule| rule.message).collect();
        // The plugin's own reader finds the same.
        let first = Options::of(TABLE, set).err().map(|error| error.message);
        assert_eq!(first.as_ref(), broken.first());
        broken
    }

    #[test]
    fn broken_rules_are_found() {
        for (set, expected) in [
            (json!({}), vec![]),
            (
                json!({"address": "a"}),
                vec!["option `address` has no effect with `transport: file`; remove it"],
            ),
            (json!({"transport": "udp"}), vec!["option `address` is required for `transport: udp`"]),
            (
                json!({"transport": "udp", "address": " "}),
                vec!["option `address` is required for `transport: udp`"],
            ),
            (
                json!({"transport": "udp", "address": "a", "message_bytes": 1001}),
                vec!["option `message_bytes` must be at most 1000 B with `transport: udp`, found 1001 B"],
            ),
            (json!({"transport": "udp", "address": "a", "message_bytes": 1000}), vec![]),
            (json!({"transport": "tcp", "address": "a", "message_bytes": 1001}), vec![]),
            (json!({"user": "u"}), vec!["option `user` requires `proxy`, which is not set"]),
            (json!({"user": "u", "proxy": ""}), vec!["option `user` requires `proxy`, which is not set"]),
            (json!({"user": "", "proxy": ""}), vec![]),
            (json!({"user": "u", "proxy": "p"}), vec![]),
            (
                json!({"pins": ["a"], "authority": "b"}),
                vec!["options `pins` and `authority` cannot be combined"],
            ),
            (json!({"pins": [], "authority": "b"}), vec![]),
            (json!({"watch": false}), vec![]),
            (json!({"poll": 1}), vec!["option `poll` has no effect without `watch`; remove it"]),
            (
                json!({"poll": 1, "watch": false}),
                vec!["option `poll` has no effect with `watch: no`; remove it"],
            ),
            (json!({"poll": 1, "watch": true, "proxy": "p"}), vec![]),
            (
                json!({"more": {"Own": "1", "x": "1"}}),
                vec!["option `more` must not contain `Own`, which the plugin sets itself"],
            ),
            (
                json!({"more": {"full_a": "1", "show_b": "1", "watched": "1"}}),
                vec!["option `more` must not contain `full_a`, which `parts: a` sets"],
            ),
            (
                json!({"more": {"show_a": "1", "show_b": "1"}, "parts": ["b"]}),
                vec!["option `more` must not contain `show_b`, which `parts: b` sets"],
            ),
            (json!({"more": {"show_a": "1", "show_b": "1"}, "parts": []}), vec![]),
            (json!({"more": {"show_a": "1"}, "transport": "tcp", "address": "a"}), vec![]),
            (
                json!({"more": {"watched": "1"}, "watch": true, "proxy": "p"}),
                vec!["option `more` must not contain `watched`, which `watch: yes` sets"],
            ),
        ] {
            assert_eq!(messages(set.clone()), expected, "{set}");
        }
    }

    #[test]
    fn text_must_be_a_host_name_where_a_case_demands_it() {
        let wrong =
            ["2001:db8::1", "srv/1", "a:b", "[::1]", "two words", "-", "-a", ".a", "caf\u{e9}", "a\n"];
        for (more, case) in [
            (json!({"look": "old"}), Some("`look: old`")),
            (json!({"look": "old", "preset": "b"}), Some("`look: old`")),
            (json!({}), Some("`look: preset` and `preset: a`")),
            (json!({"preset": "b"}), None),
            (json!({"look": "new"}), None),
        ] {
            let with = |machine: &str| {
                let mut set = more.clone();
                set["machine"] = machine.into();
                messages(set)
            };
            for name in ["www.example.com", "192.0.2.1", "WEB_1", "_x", "7", "a-b", " "] {
                assert_eq!(with(name), Vec::<String>::new(), "{name}");
            }
            for text in wrong {
                let expected = case.map(|case| {
                    format!("option `machine` must be a plain host name (letters, digits, `.`, `-`, `_`) with {case}")
                });
                assert_eq!(with(text), Vec::from_iter(expected), "{text:?} with {more}");
            }
        }
    }

    #[test]
    fn rule_about_an_unknown_option_or_word_is_a_fault_of_the_plugin() {
        const OTHER: OptionSpec = OptionSpec::choice("other", &["a"]);
        for (option, part) in [
            (OptionSpec::text("x").requires(&["nosuch"]), "`nosuch`, which is not another option"),
            (OptionSpec::text("x").conflicts(&["x"]), "`x`, which is not another option"),
            (OptionSpec::text("x").only_with("nosuch", &["a"]), "`nosuch`, which is not"),
            (OptionSpec::text("x").required_with("other", &["b"]), "`other: b`, a value that `other`"),
            (OptionSpec::integer("x", 0, 9).max_with("other", &["b"], 1), "`other: b`"),
            (OptionSpec::text("x").host_name_with(&[&[("other", &["a"]), ("other", &["b"])]]), "`other: b`"),
            (
                OptionSpec::map("x", &ValueSpec::Text).excludes_keys(&[(&[("other", &["b"])], &["k"])]),
                "`other: b`",
            ),
        ] {
            let options = [option, OTHER].map(|spec| OptionDescriptor::from(&spec));
            let fault = fault(&options).unwrap();
            assert!(fault.starts_with("option `x` has a rule about ") && fault.contains(part), "{fault}");
        }
    }
}
