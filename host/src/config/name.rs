//! Names of pipelines and instances.

/// Whether a text can be the `id` of an instance or the `name` of a pipeline: it becomes the name of a directory.
pub(crate) fn is_name(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(good)
}

/// What [`is_name`] requires: the end of a sentence.
pub(crate) const NAME_RULE: &str =
    "1 to 64 characters (letters, digits, `-`, `_`, `.`) and must not start with `.`";

/// What the service has in the state directory besides the directories of pipelines: no names of pipelines.
pub(super) const RESERVED: [&str; 3] = ["service", "service.lock", "control.sock"];
