//! Words for a shell.

/// A text as one word of a shell: in quotes if it has characters with a meaning.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn shell_reads_each_word_back() {
        for text in [
            "",
            "a",
            "a b",
            "it's",
            "$HOME",
            "`x`",
            "~",
            "a\"b\\",
            "*",
            "\u{e4}\u{1f600}",
            "#x",
            "!x",
            "a\nb",
        ] {
            let script = format!("printf %s {}", shell_word(text));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text, "{script}");
        }
        assert_eq!(shell_word("/etc/a.yaml"), "/etc/a.yaml");
    }
}
