//! What an option table says about an option, in words.

use scanbridge_plugin_api::{OptionCondition, OptionDescriptor, OptionKind, show_duration, show_size};
use serde_json::Value;

/// A value as written in a pipeline file.
pub(crate) fn value_in_words(kind: &OptionKind, value: &Value) -> String {
    match (kind, value) {
        (_, Value::Bool(true)) => "yes".to_owned(),
        (_, Value::Bool(false)) => "no".to_owned(),
        (OptionKind::Size { .. }, Value::Number(number)) => {
            number.as_u64().map_or_else(|| number.to_string(), show_size)
        }
        (OptionKind::Duration { .. }, Value::Number(number)) => {
            number.as_u64().map_or_else(|| number.to_string(), show_duration)
        }
        (OptionKind::Map { of }, Value::Object(entries)) => entries
            .iter()
            .map(|(name, value)| format!("{name}={}", value_in_words(of, value)))
            .collect::<Vec<_>>()
            .join(", "),
        (_, Value::String(text)) if text.is_empty() => "''".to_owned(),
        (_, Value::String(text)) => text.clone(),
        (OptionKind::List { of }, Value::Array(items)) => {
            items.iter().map(|item| value_in_words(of, item)).collect::<Vec<_>>().join(", ")
        }
        (_, other) => other.to_string(),
    }
}

/// The rules between this option and others, a sentence each.
pub(super) fn rules_in_words(option: &OptionDescriptor) -> Vec<String> {
    let names = |names: &[String]| format!("`{}`", names.join("`, `"));
    let condition =
        |condition: &OptionCondition| format!("`{}: {}`", condition.option, condition.words.join("`, `"));
    let mut rules = Vec::new();
    rules.extend(option.required_with.as_ref().map(|with| format!("Required for {}.", condition(with))));
    rules.extend(option.only_with.as_ref().map(|with| format!("Allowed only with {}.", condition(with))));
    rules.extend(option.max_with.as_ref().map(|maximum| {
        let max = value_in_words(&option.kind, &maximum.max.into());
        format!("At most {max} with {}.", condition(&maximum.condition))
    }));
    rules.extend(option.host_name_with.iter().map(|case| {
        let conditions: Vec<_> = case.iter().map(condition).collect();
        format!("A plain host name (letters, digits, `.`, `-`, `_`) with {}.", conditions.join(" and "))
    }));
    rules.extend((!option.requires.is_empty()).then(|| format!("Requires {}.", names(&option.requires))));
    rules.extend(
        (!option.conflicts.is_empty())
            .then(|| format!("Cannot be combined with {}.", names(&option.conflicts))),
    );
    let (always, with): (Vec<_>, Vec<_>) =
        option.excludes_keys.iter().partition(|entry| entry.conditions.is_empty());
    rules.extend(always.into_iter().map(|entry| format!("Must not contain {}.", names(&entry.keys))));
    let mut by: Vec<String> =
        with.into_iter().filter_map(|entry| Some(entry.conditions.last()?.option.clone())).collect();
    by.dedup();
    rules.extend((!by.is_empty()).then(|| format!("Must not contain what {} sets.", names(&by))));
    rules
}
