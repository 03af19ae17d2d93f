//! Names of pipelines, instances and tokens.

/// Whether a text can be the name of a pipeline, the `id` of an instance or the name of a token: it becomes the name of a
/// file or directory.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(is_valid)
}

/// What [`is_name`] requires: the end of a sentence.
pub const NAME_RULE: &str = "1 to 64 characters (letters, digits, `-`, `_`, `.`) and must not start with `.`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_directory() {
        for (name, is_valid) in
            [("emea", true), ("a.b-c_1", true), ("..", false), (".a", false), ("a/b", false), ("", false)]
        {
            assert_eq!(is_name(name), is_valid, "{name}");
        }
    }
}
