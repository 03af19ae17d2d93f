//! The line that the process prints when a plugin ends it. Written without memory allocation, because a signal handler
//! may not allocate; so it does not use [`printable`](scanbridge_plugin_api::printable).

use std::fmt::{self, Write};

use scanbridge_plugin_api::is_printable;

use crate::telemetry;

/// An error line on standard error, as text or as a JSON object. Text that does not fit is omitted.
pub(super) struct LastLine {
    bytes: [u8; 1024],
    length: usize,
    is_json: bool,
}

/// Space for the end of the line.
const END: usize = 3;

/// Writes one error line to standard error.
#[expect(unsafe_code, reason = "writes to standard error without the lock of the standard library")]
pub(super) fn print(message: fmt::Arguments<'_>) {
    let line = LastLine::of(message, telemetry::is_json());
    // SAFETY: the buffer is valid for its length. Standard error may be closed; the exit code remains.
    unsafe { libc::write(libc::STDERR_FILENO, line.bytes.as_ptr().cast(), line.length) };
}

impl LastLine {
    fn of(message: fmt::Arguments<'_>, is_json: bool) -> Self {
        let mut line = Self { bytes: [0; 1024], length: 0, is_json: false };
        line.push(if is_json { r#"{"level":"ERROR","message":""# } else { "error: " });
        line.is_json = is_json;
        let _ = line.write_fmt(message);
        line.is_json = false;
        let end = if is_json { "\"}\n" } else { "\n" };
        line.bytes[line.length..line.length + end.len()].copy_from_slice(end.as_bytes());
        line.length += end.len();
        line
    }

    fn push(&mut self, text: &str) {
        for character in text.chars() {
            let character = if is_printable(character) { character } else { '?' };
            let escape = if self.is_json && matches!(character, '"' | '\\') { "\\" } else { "" };
            let mut buffer = [0; 4];
            let encoded = character.encode_utf8(&mut buffer);
            let end = self.length + escape.len() + encoded.len();
            if end + END > self.bytes.len() {
                return;
            }
            self.bytes[self.length..][..escape.len()].copy_from_slice(escape.as_bytes());
            self.bytes[self.length + escape.len()..end].copy_from_slice(encoded.as_bytes());
            self.length = end;
        }
    }
}

impl Write for LastLine {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str, is_json: bool) -> String {
        let line = LastLine::of(format_args!("{message}"), is_json);
        String::from_utf8(line.bytes[..line.length].to_vec()).unwrap()
    }

    #[test]
    fn text_line() {
        assert_eq!(line("output siem\n(Acme)", false), "error: output siem?(Acme)\n");
    }

    #[test]
    fn json_line_is_valid_json() {
        for message in [r#"C:\a "b""#.to_owned(), "\u{1}ü".repeat(2000), r"\".repeat(2000)] {
            let line = line(&message, true);
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            let text = value["message"].as_str().unwrap();
            assert!(message.replace('\u{1}', "?").starts_with(text) && text.len() > 7, "{line}");
            assert_eq!(value["level"], "ERROR");
            assert!(line.ends_with("}\n"), "{line}");
        }
    }
}
