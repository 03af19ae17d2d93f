//! Mappings with keys of the host, as opposed to plugin options.

use super::collector::{Collector, hide_all, hide_mappings};
use super::odd_character;
use super::suggestion::{nearest, sounds_secret};
use super::tree::{Content, Entry, Key, Node};

/// A key that is known in another mapping.
pub(super) struct Elsewhere {
    pub(super) hint: String,
    /// Whether it is a secret option.
    pub(super) secret: bool,
}

impl Elsewhere {
    pub(super) fn of(hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), secret: false }
    }
}

/// The known keys of one mapping.
#[derive(Default)]
pub(super) struct Fields<'n> {
    entries: Vec<&'n Entry>,
    /// Known keys that are probably misspelled in the file. They are not reported as missing.
    suggested: Vec<String>,
}

impl<'n> Fields<'n> {
    /// Reads a mapping and reports unknown and duplicate keys. `owner` names the mapping in messages: `the
    /// pipeline`. `elsewhere` returns a hint for an unknown key that belongs to another mapping.
    pub(super) fn read(
        collector: &mut Collector,
        node: &'n Node,
        owner: &str,
        known: &[&str],
        elsewhere: impl Fn(&str) -> Option<Elsewhere>,
    ) -> Self {
        Self::read_except(collector, node, owner, known, elsewhere, |_| false)
    }

    /// Like [`Fields::read`]; keys that `is_ignored` are skipped.
    pub(super) fn read_except(
        collector: &mut Collector,
        node: &'n Node,
        owner: &str,
        known: &[&str],
        elsewhere: impl Fn(&str) -> Option<Elsewhere>,
        is_ignored: impl Fn(&str) -> bool,
    ) -> Self {
        let entries = match &node.content {
            Content::Mapping(entries) => entries,
            _ if node.is_null() => return Self::default(),
            _ => {
                hide_mappings(collector, node);
                collector
                    .error(
                        "wrong-form",
                        &node.span,
                        format!("{owner} must be a mapping, found {}", node.form()),
                    )
                    .help(format!("use `key: value` lines; valid keys: {}", known.join(", ")));
                return Self::default();
            }
        };
        let mut fields = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            let key = &entry.key;
            if is_ignored(&key.text) {
                continue;
            }
            let is_known = |entry: &Entry| known.contains(&entry.key.text.as_str());
            if is_rest_of_value(node, &entries[..index], entry, |before| !is_known(before))
                && !is_known(entry)
            {
                report_rest_of_value(collector, entry);
            } else if !is_known(entry) {
                let nearest_word = nearest(&key.text, known.iter().copied());
                fields.suggested.extend(nearest_word.map(str::to_owned));
                report_unknown(collector, owner, entry, known, (nearest_word, elsewhere(&key.text)));
            } else if let Some(first) = fields.entries.iter().find(|first| first.key.text == key.text) {
                report_duplicate(collector, key, &first.key);
            } else {
                fields.entries.push(entry);
            }
        }
        fields
    }

    /// The value of a key.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.entries.iter().find(|entry| entry.key.text == name).map(|entry| &entry.value)
    }

    /// Whether the key is probably misspelled in the file. The misspelling has then been reported.
    pub(super) fn is_misspelled(&self, name: &str) -> bool {
        self.suggested.iter().any(|suggested| suggested == name)
    }
}

pub(super) fn report_duplicate(collector: &mut Collector, again: &Key, first: &Key) {
    let message = if again.text == first.text {
        format!("duplicate key `{}`", again.text)
    } else {
        format!("`{}` and `{}` are two names of the same option; set only one", first.text, again.text)
    };
    collector
        .error("duplicate-key", &again.span, message)
        .label(format!("first set on line {}", first.span.line_number()))
        .help("remove one of them");
}

/// Whether an unknown key may be the rest of the value before it. In `{ password: a,b }` the comma ends the value and
/// `b` becomes a key. Such a key must be redacted.
pub(super) fn is_rest_of_value(
    mapping: &Node,
    before: &[Entry],
    entry: &Entry,
    may_be_secret: impl Fn(&Entry) -> bool,
) -> bool {
    let is_plain =
        |entry: &&Entry| matches!(&entry.value.content, Content::Scalar(scalar) if scalar.is_plain());
    mapping.span.text().starts_with('{')
        && entry.value.is_null()
        && before.iter().filter(is_plain).any(may_be_secret)
}

pub(super) fn report_rest_of_value(collector: &mut Collector, entry: &Entry) {
    collector.hide(entry.key.span.clone());
    collector
        .error(
            "spilt-value",
            &entry.key.span,
            "inside { }, a comma is followed by a key without a value".to_owned(),
        )
        .help("if the comma is part of the value before it, put that value in single quotes");
}

fn report_unknown(
    collector: &mut Collector,
    owner: &str,
    entry: &Entry,
    known: &[&str],
    (nearest_word, elsewhere): (Option<&str>, Option<Elsewhere>),
) {
    let key = &entry.key;
    // The key may be a plugin option on the wrong level, such as a password, or a misspelled mapping of options.
    let is_scalar = matches!(entry.value.content, Content::Scalar(_));
    let is_secret = elsewhere.as_ref().is_some_and(|elsewhere| elsewhere.secret);
    if !is_scalar || is_secret || sounds_secret(&key.text) {
        hide_all(collector, &key.span, &entry.value);
    }
    let odd = odd_character::find(&key.text);
    let label = odd
        .map(|(_, odd)| format!("the key contains a {}; {}", odd.shown(), odd.help()))
        .or_else(|| elsewhere.map(|elsewhere| elsewhere.hint))
        .or_else(|| nearest_word.map(|nearest_word| format!("did you mean `{nearest_word}`?")));
    collector
        .error("unknown-key", &key.span, format!("unknown key `{}` in {owner}", key.text))
        .label(label.unwrap_or_default())
        .help(format!("valid keys: {}", known.join(", ")));
}
