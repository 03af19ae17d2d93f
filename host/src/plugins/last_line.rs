//! The line that the process prints when a plugin ends it. Written without memory allocation, because a signal handler
//! may not allocate; so it does not use [`printable`](scanbridge_plugin_api::printable).

use std::fmt::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

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
        if is_json {
            line.push("{\"time\":\"");
            line.push_time(SystemTime::now());
            line.push(r#"","level":"ERROR","target":"scanbridge","event":"crash","message":""#);
        } else {
            line.push("error: ");
        }
        line.is_json = is_json;
        let _ = line.write_fmt(message);
        line.is_json = false;
        let end = if is_json { "\"}\n" } else { "\n" };
        line.bytes[line.length..line.length + end.len()].copy_from_slice(end.as_bytes());
        line.length += end.len();
        line
    }

    /// Adds a time in UTC. A library for dates might allocate memory.
    fn push_time(&mut self, time: SystemTime) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (mut days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        let (mut year, mut month) = (1970, 0);
        while days >= days_of(year) {
            days -= days_of(year);
            year += 1;
        }
        while days >= days_of_month(year, month) {
            days -= days_of_month(year, month);
            month += 1;
        }
        let (month, day) = (month + 1, days + 1);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let millisecond = since.subsec_millis();
        let _ =
            write!(self, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z");
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

fn days_of(year: u64) -> u64 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if is_leap { 366 } else { 365 }
}

/// Days of a month, from 0 for January.
fn days_of_month(year: u64, month: usize) -> u64 {
    const DAYS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    DAYS[month] + if month == 1 { days_of(year) - 365 } else { 0 }
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
    fn time_is_that_of_the_calendar() {
        for second in
            [0, 951_782_399, 951_782_400, 951_868_800, 1_709_164_800, 1_790_000_000, 4_107_542_400_u64]
        {
            let mut line = LastLine { bytes: [0; 1024], length: 0, is_json: false };
            line.push_time(UNIX_EPOCH + std::time::Duration::from_millis(second * 1000 + 7));
            let shown = std::str::from_utf8(&line.bytes[..line.length]).unwrap().to_owned();
            let expected = jiff::Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
            assert_eq!(shown, expected.strftime("%Y-%m-%dT%H:%M:%S.007Z").to_string());
        }
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
