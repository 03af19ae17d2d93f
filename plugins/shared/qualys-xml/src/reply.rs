//! API responses without data: `SIMPLE_RETURN`, the four layouts of `GENERIC_RETURN`, `BATCH_RETURN`, and an `ERROR`
//! within another root.

use std::fmt;
use std::io::Read;

use scanbridge_plugin_api::printable;

use crate::markup::{Visitor, visit};

/// A short response, displayed as one phrase of bounded length. The echo of the request may contain credentials and
/// is not stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The code; none on success.
    pub code: Option<u32>,
    /// The text; empty if there is none.
    pub text: String,
    /// When it was returned, by the clock of Qualys; empty if missing.
    pub time: String,
    /// The first few keys with their values.
    pub items: Vec<(String, String)>,
    /// An old response may report a failure without a number.
    failed: bool,
    key: String,
}

impl Reply {
    /// Reads a response as far as possible; a damaged response still counts as one.
    pub fn read(source: impl Read) -> Self {
        let mut reply = Self::default();
        visit(source, &mut reply);
        reply
    }

    /// Whether the response reports no failure.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code.is_none() && !self.failed
    }

    /// The value of the first item with this key, in any letter case.
    #[must_use]
    pub fn item(&self, key: &str) -> Option<&str> {
        let found = self.items.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map(|(_, value)| value.as_str())
    }

    fn set_text_once(&mut self, text: &str) {
        if self.text.is_empty() {
            self.text = clean(text);
        }
    }
}

impl Visitor for Reply {
    fn open(&mut self, path: &str, attributes: &[(String, String)]) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        // `RETURN` next to or within `API`; `ERROR` in the root of the requested document.
        if name == "RETURN" || (name == "ERROR" && !parent.contains('/')) {
            let value =
                |key| attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
            self.failed |=
                name == "ERROR" || value("status").is_some_and(|it| it.eq_ignore_ascii_case("FAILED"));
            self.code = self.code.or_else(|| value("number")?.trim().parse().ok());
        }
    }

    fn close(&mut self, path: &str, text: &str) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if path.contains("/REQUEST/") {
            return;
        }
        // Documents with data contain elements of the same names with other meanings.
        let is_response = path.split('/').next().is_some_and(|root| root.ends_with("_RETURN"));
        match name {
            "CODE" | "KEY" | "VALUE" | "TEXT" | "MESSAGE" if !is_response => {}
            "CODE" => self.code = self.code.or_else(|| text.parse().ok()),
            "KEY" if parent.ends_with("ITEM") => self.key = clean(text),
            "VALUE" if parent.ends_with("ITEM") && self.items.len() < MAX_ITEMS => {
                self.items.push((self.key.clone(), clean(text)));
            }
            "DATETIME" => self.time = clean(text),
            "TEXT" | "MESSAGE" | "RETURN" => self.set_text_once(text),
            "ERROR" if !parent.contains('/') => self.set_text_once(text),
            "SUMMARY" if parent.ends_with("ERROR") => self.set_text_once(text),
            _ => {}
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut phrase = match (self.code, self.text.as_str()) {
            (None, "") => "no error code and no text".to_owned(),
            (None, text) => text.to_owned(),
            (Some(code), "") => format!("code {code}"),
            (Some(code), text) => format!("code {code}: {text}"),
        };
        for (key, value) in &self.items {
            phrase += &format!("; {key}: {value}");
        }
        if !self.time.is_empty() {
            phrase += &format!(" ({})", self.time);
        }
        f.write_str(&printable(&phrase, MAX_SHOWN))
    }
}

/// More items than a response to a single request has.
const MAX_ITEMS: usize = 16;
/// A longer text would hide the rest of the sentence.
const MAX_SHOWN: usize = 1_000;
const MAX_TEXT: usize = 500;

/// One line of limited length without control characters, because our messages contain text from outside.
#[must_use]
pub fn clean(text: &str) -> String {
    printable(text, MAX_TEXT).into_owned()
}

#[cfg(test)]
mod tests {
    use super::Reply;

    #[test]
    fn all_layouts_are_read() {
        for (xml, shown, success) in [
            (
                "<SIMPLE_RETURN><REQUEST><TEXT>secret</TEXT><CODE>1</CODE></REQUEST><RESPONSE>\
                 <DATETIME>2026-01-31T12:00:00Z</DATETIME><CODE>999</CODE><TEXT> Internal\n error </TEXT><ITEM_LIST>\
                 <ITEM><KEY>Incident Signature</KEY><VALUE>abc</VALUE></ITEM></ITEM_LIST></RESPONSE></SIMPLE_RETURN>",
                "code 999: Internal error; Incident Signature: abc (2026-01-31T12:00:00Z)",
                false,
            ),
            ("<SIMPLE_RETURN><RESPONSE><TEXT>Logged in</TEXT></RESPONSE></SIMPLE_RETURN>", "Logged in", true),
            (
                "<GENERIC_RETURN><API name='x' username='u'/><RETURN status='FAILED' number='2007'>No</RETURN>\
                 </GENERIC_RETURN>",
                "code 2007: No",
                false,
            ),
            ("<GENERIC_RETURN><API><RETURN number='999'>Bad</RETURN></API>", "code 999: Bad", false),
            ("<GENERIC_RETURN><RETURN status='FAILED'><MESSAGE>m</MESSAGE></RETURN>", "m", false),
            (
                "<SCAN_REPORT_LIST><ERROR number='1960'><SUMMARY>s &amp; t</SUMMARY></ERROR>",
                "code 1960: s & t",
                false,
            ),
            (
                "<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><WARNING><CODE>1980</CODE><TEXT>too many reports</TEXT>\
                 </WARNING></RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>",
                "no error code and no text",
                true,
            ),
            ("<SCAN><IP><ERROR number='1'>x</ERROR></IP></SCAN>", "no error code and no text", true),
            ("<GENERIC_RETURN><RETURN><TEXT>t</TEXT>", "t", true),
            (
                "<BATCH_RETURN><RESPONSE><BATCH_LIST><BATCH><CODE>1905</CODE><TEXT>b</TEXT></BATCH>",
                "code 1905: b",
                false,
            ),
            ("<SIMPLE_RETURN/>", "no error code and no text", true),
        ] {
            let reply = Reply::read(xml.as_bytes());
            assert_eq!((reply.to_string().as_str(), reply.is_success()), (shown, success));
        }
    }

    #[test]
    fn control_characters_are_removed_and_length_is_limited() {
        let item = format!("<ITEM><KEY>k\u{1b}[2J</KEY><VALUE>\u{202E}{}</VALUE></ITEM>", "v".repeat(900));
        let xml = format!(
            "<SIMPLE_RETURN><RESPONSE><TEXT>{}</TEXT><ITEM_LIST>{}</ITEM_LIST></RESPONSE></SIMPLE_RETURN>",
            "t\n".repeat(9_000),
            item.repeat(9_000)
        );
        let reply = Reply::read(xml.as_bytes());
        assert_eq!(reply.items.len(), 16);
        let shown = reply.to_string();
        assert_eq!(shown.chars().count(), 1_001);
        assert!(!shown.contains(|c: char| c.is_control() || c == '\u{202E}'), "{shown}");
    }
}
