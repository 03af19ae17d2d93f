//! Checks by its last bytes whether a file is complete, before any of it is delivered.

/// Recommended number of bytes to pass to [`Ending::of`].
pub const WINDOW: usize = 64 << 10;

/// How a file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With the end of its root; only white space, comments and processing instructions follow.
    Closed,
    /// Before the end of its root, or within a comment after it.
    Truncated,
    /// With other content after the end of its root.
    Junk,
    /// Unknown from these bytes alone, because a comment is longer.
    Unclear,
}

impl Ending {
    /// Examines the last bytes of a file whose root is `root`. `is_complete`: `tail` is the complete file.
    #[must_use]
    pub fn of(tail: &[u8], root: &str, is_complete: bool) -> Self {
        let mut rest = tail.trim_ascii_end();
        loop {
            let begin: &[u8] = match rest {
                [.., b'-', b'-', b'>'] => b"<!--",
                [.., b'?', b'>'] => b"<?",
                _ => break,
            };
            match memchr::memmem::rfind(rest, begin) {
                Some(at) => rest = rest[..at].trim_ascii_end(),
                None if is_complete => break,
                None => return Self::Unclear,
            }
        }
        if ends_root(rest, root) {
            return Self::Closed;
        }
        match after_root(rest, root) {
            Some(after) if !begins_comment(after) => Self::Junk,
            _ => Self::Truncated,
        }
    }
}

/// Whether the text ends with `</ROOT>`, perhaps with white space before the `>`, or with `<ROOT … />`.
fn ends_root(text: &[u8], root: &str) -> bool {
    let Some(open) = text.strip_suffix(b">") else { return false };
    if let Some(empty) = open.strip_suffix(b"/") {
        let begin = memchr::memrchr(b'<', empty).map(|at| &empty[at + 1..]);
        return begin
            .and_then(|tag| tag.strip_prefix(root.as_bytes()))
            .is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace));
    }
    open.trim_ascii_end().strip_suffix(root.as_bytes()).is_some_and(|rest| rest.ends_with(b"</"))
}

/// The bytes after the last end tag of the root.
fn after_root<'a>(text: &'a [u8], root: &str) -> Option<&'a [u8]> {
    let tag = format!("</{root}");
    let at = memchr::memmem::rfind(text, tag.as_bytes())?;
    let rest = text[at + tag.len()..].trim_ascii_start();
    rest.strip_prefix(b">").map(<[u8]>::trim_ascii_start)
}

/// Whether this is a comment or processing instruction, or the beginning of one.
fn begins_comment(text: &[u8]) -> bool {
    text.starts_with(b"<!--") || text.starts_with(b"<?") || b"<!--".starts_with(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_bytes_show_whether_a_file_is_complete() {
        for (tail, ending) in [
            ("</IP></SCAN>", Ending::Closed),
            ("</SCAN >\r\n<!-- notice //-->\n<?x?> <!-- two -->\n", Ending::Closed),
            ("<SCAN value='None'/>", Ending::Closed),
            ("<SCAN/>", Ending::Closed),
            ("", Ending::Truncated),
            ("</IP>", Ending::Truncated),
            ("</SCAN", Ending::Truncated),
            ("<SCANNER/>", Ending::Truncated),
            ("</SCAN>\n<!-- CONFIDEN", Ending::Truncated),
            ("</SCAN><", Ending::Truncated),
            ("</SCAN>\n<SCAN>", Ending::Junk),
            ("</SCAN><html></html>", Ending::Junk),
            ("</SCAN>junk <!-- c -->", Ending::Junk),
        ] {
            assert_eq!(Ending::of(tail.as_bytes(), "SCAN", true), ending, "{tail}");
        }
        assert_eq!(Ending::of(b"long comment -->", "SCAN", false), Ending::Unclear);
    }
}
