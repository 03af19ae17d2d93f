//! Identifies a file by its first bytes, never by its name.

use crate::names::Shown;

/// The format of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `SCAN`.
    Scan,
    /// `ASSET_DATA_REPORT`.
    TemplateReport,
    /// `HOST_LIST_VM_DETECTION_OUTPUT`.
    Detections,
    /// `KNOWLEDGE_BASE_VULN_LIST_OUTPUT`.
    KnowledgeBase,
    /// A response of the API, to be read with [`Reply`](crate::Reply); contains the name of its root.
    Reply(String),
    /// Another XML file; contains the name of its root.
    OtherXml(String),
    /// XML whose root element is not within the examined bytes.
    Unclear,
    /// Empty, or white space only.
    Empty,
    /// Not XML; contains a description of the format.
    Foreign(&'static str),
}

impl Kind {
    /// Recommended number of bytes to pass to [`Kind::of`]. Comments and a DOCTYPE precede the root.
    pub const WINDOW: usize = 64 << 10;

    /// Identifies a file by its first bytes.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        if let Some(what) = foreign(head) {
            return Self::Foreign(what);
        }
        let text = skip_white_space(head);
        match text.first() {
            None => Self::Empty,
            Some(b'<') => Self::of_markup(text),
            Some(b'{' | b'[') => Self::Foreign("JSON"),
            Some(_) => Self::Foreign(of_text(text)),
        }
    }

    /// The name of the root, for supported formats.
    #[must_use]
    pub fn root(&self) -> Option<&'static str> {
        match self {
            Self::Scan => Some("SCAN"),
            Self::TemplateReport => Some("ASSET_DATA_REPORT"),
            Self::Detections => Some("HOST_LIST_VM_DETECTION_OUTPUT"),
            Self::KnowledgeBase => Some("KNOWLEDGE_BASE_VULN_LIST_OUTPUT"),
            _ => None,
        }
    }

    /// The name of the root element, also of unsupported documents. `None` for what is not XML.
    #[must_use]
    pub fn root_element(&self) -> Option<&str> {
        match self {
            Self::Reply(root) | Self::OtherXml(root) => Some(root),
            kind => kind.root(),
        }
    }

    /// Whether it is a response of the API instead of a report, for example an error.
    #[must_use]
    pub fn is_reply(&self) -> bool {
        matches!(self, Self::Reply(_))
    }

    /// Whether the file contains assets and findings.
    #[must_use]
    pub fn is_report(&self) -> bool {
        matches!(self, Self::Scan | Self::TemplateReport | Self::Detections)
    }

    /// The format as the rest of a sentence that begins with the file's name, and a hint.
    #[must_use]
    pub fn describe(&self) -> (String, &'static str) {
        match self {
            Self::Scan => ("contains a scan (SCAN)".to_owned(), ""),
            Self::TemplateReport => ("contains a template report (ASSET_DATA_REPORT)".to_owned(), ""),
            Self::Detections => ("contains detections (HOST_LIST_VM_DETECTION_OUTPUT)".to_owned(), ""),
            Self::KnowledgeBase => (
                "is a knowledge base, which contains no findings".to_owned(),
                "set it as `knowledge_base`, and set `path` to a file of detections",
            ),
            Self::Reply(root) => (
                format!("is a Qualys API response ({root}), not a report"),
                "check the error in the response and download the report again",
            ),
            Self::OtherXml(root) => {
                (format!("is an unsupported XML document ({}): {}", Shown(root), role(root)), SUPPORTED)
            }
            Self::Unclear => ("looks like XML, but contains no element".to_owned(), SUPPORTED),
            Self::Empty => ("is empty".to_owned(), "download the report again"),
            Self::Foreign(what) => (format!("is {what}, not an XML report"), SUPPORTED),
        }
    }

    fn of_markup(text: &[u8]) -> Self {
        let Some(root) = root_name(text) else {
            return if is_html(text) { Self::Foreign(HTML) } else { Self::Unclear };
        };
        match root {
            b"SCAN" => Self::Scan,
            b"ASSET_DATA_REPORT" => Self::TemplateReport,
            b"HOST_LIST_VM_DETECTION_OUTPUT" => Self::Detections,
            b"KNOWLEDGE_BASE_VULN_LIST_OUTPUT" => Self::KnowledgeBase,
            _ if root.eq_ignore_ascii_case(b"html") || is_html(text) => Self::Foreign(HTML),
            _ => {
                let root = String::from_utf8_lossy(root).into_owned();
                match root.as_str() {
                    "SIMPLE_RETURN" | "GENERIC_RETURN" | "BATCH_RETURN" => Self::Reply(root),
                    _ => Self::OtherXml(root),
                }
            }
        }
    }
}

const SUPPORTED: &str =
    "supported documents: SCAN, ASSET_DATA_REPORT and HOST_LIST_VM_DETECTION_OUTPUT, downloaded as XML";
const HTML: &str = "an HTML page";

/// Describes the Qualys document with this root, for documents that are easily confused with a report.
fn role(root: &str) -> &'static str {
    match root {
        "WAS_SCAN_REPORT" | "WAS_WEBAPP_REPORT" | "WEB_APPLICATION_SCAN" | "WasScan" => {
            "a web application (WAS) report"
        }
        "MAP" | "MAPREPORT" => "a network map, which contains no findings",
        "SCAN_LIST_OUTPUT" | "SCAN_REPORT_LIST" | "MAP_REPORT_LIST" => "a list of scans, not a scan",
        "REPORT_LIST_OUTPUT" | "REPORT_TEMPLATE_LIST" => "a list of reports or templates, not a report",
        "HOST_LIST_OUTPUT" => "a list of hosts without their detections",
        "ASSET_RANGE_INFO" | "ASSET_SEARCH_REPORT" => "a list of assets",
        "TICKET_LIST_OUTPUT" | "REMEDIATION_TICKETS" => "a list of tickets",
        "IP_LIST_OUTPUT" | "ASSET_GROUP_LIST_OUTPUT" | "ASSET_GROUP_LIST" => {
            "a list of addresses or asset groups, without findings"
        }
        "POSTURE_INFO_LIST_OUTPUT" | "CONTROL_LIST_OUTPUT" => "a compliance report",
        "SCAN_SUMMARY_OUTPUT" => "a summary of scans, not a scan",
        "VULNS" => "an old knowledge base, which is not supported; download it with API version 2.0 or later",
        "SCORECARD_REPORT" | "PATCH_REPORT" | "REMEDIATION_REPORT" => "a summary report",
        "ServiceResponse" => "a response of another Qualys API",
        _ if root.starts_with("COMPLIANCE") || root.starts_with("POLICY") => "a compliance report",
        _ => "not a supported report",
    }
}

fn foreign(head: &[u8]) -> Option<&'static str> {
    const MAGICS: [(&[u8], &str); 7] = [
        (b"\x1F\x8B", "nested gzip data"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"%PDF", "a PDF document"),
        (b"\xFF\xFE", "text in UTF-16"),
        (b"\xFE\xFF", "text in UTF-16"),
        (b"\xFD7zXZ", "a file compressed with xz"),
        (b"\x28\xB5\x2F\xFD", "a file compressed with zstd"),
    ];
    MAGICS.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, what)| *what)
}

fn of_text(text: &[u8]) -> &'static str {
    // An exported table may begin with title lines, and quote a whole line once more.
    let mut lines = text.split(|byte| *byte == b'\n').take(20);
    if memchr::memchr(0, &text[..text.len().min(1024)]).is_some() {
        "a binary file"
    } else if lines.any(|line| memchr::memchr_iter(b',', line).count() >= 2 && line.contains(&b'"'))
        || memchr::memchr_iter(b',', text.split(|byte| *byte == b'\n').next().unwrap_or_default()).count()
            >= 2
    {
        "comma-separated text (CSV)"
    } else {
        "plain text"
    }
}

/// White space and byte order marks, in any order.
fn skip_white_space(mut bytes: &[u8]) -> &[u8] {
    loop {
        bytes = bytes.trim_ascii_start();
        match bytes.strip_prefix(b"\xEF\xBB\xBF") {
            Some(rest) => bytes = rest,
            None => return bytes,
        }
    }
}

/// The name of the first element, after declarations, processing instructions, comments and a DOCTYPE.
fn root_name(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    loop {
        rest = skip_white_space(rest);
        rest = match rest {
            [b'<', b'?', ..] => after(rest, b"?>")?,
            [b'<', b'!', b'-', b'-', ..] => after(&rest[4..], b"-->")?,
            [b'<', b'!', ..] => after_doctype(rest)?,
            [b'<', name @ ..] => {
                let end = name.iter().position(|byte| byte.is_ascii_whitespace() || b"/>".contains(byte))?;
                return Some(&name[..end]).filter(|name| !name.is_empty());
            }
            _ => return None,
        };
    }
}

fn after<'a>(text: &'a [u8], end: &[u8]) -> Option<&'a [u8]> {
    memchr::memmem::find(text, end).map(|at| &text[at + end.len()..])
}

/// The bytes after the `>` of a DOCTYPE, ignoring any `>` in quotes or in its internal subset.
fn after_doctype(text: &[u8]) -> Option<&[u8]> {
    let (mut quote, mut depth) = (None, 0_u32);
    for (at, byte) in text.iter().enumerate() {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'[') => depth += 1,
            (None, b']') => depth = depth.saturating_sub(1),
            (None, b'>') if depth == 0 => return Some(&text[at + 1..]),
            _ => {}
        }
    }
    None
}

fn is_html(text: &[u8]) -> bool {
    let head = text[..text.len().min(1024)].to_ascii_lowercase();
    head.starts_with(b"<!doctype html") || memchr::memmem::find(&head, b"<html").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_identify_the_format() {
        let other = |root: &str| Kind::OtherXml(root.to_owned());
        for (head, kind) in [
            ("<SCAN>", Kind::Scan),
            (
                "\n\u{FEFF}\n<?xml version=\"1.0\"?>\n<!-- a > b --><!DOCTYPE SCAN [<!ENTITY x '>'>]>\n<SCAN\nvalue",
                Kind::Scan,
            ),
            (
                "<!DOCTYPE ASSET_DATA_REPORT SYSTEM \"https://x.example.com/a.dtd\"><ASSET_DATA_REPORT>",
                Kind::TemplateReport,
            ),
            ("<HOST_LIST_VM_DETECTION_OUTPUT >", Kind::Detections),
            ("<SIMPLE_RETURN/>", Kind::Reply("SIMPLE_RETURN".to_owned())),
            ("<SCAN_LIST_OUTPUT><SCAN>", other("SCAN_LIST_OUTPUT")),
            ("<?xml version='1.0'?><WAS_SCAN_REPORT>", other("WAS_SCAN_REPORT")),
            ("<!DOCTYPE html><HTML><body>", Kind::Foreign(HTML)),
            ("<html>", Kind::Foreign(HTML)),
            ("{\"a\":1}", Kind::Foreign("JSON")),
            ("\"IP\",\"DNS\",\"NetBIOS\"\n", Kind::Foreign("comma-separated text (CSV)")),
            (
                "\"Vulnerability Report\"\n\"Company\",\"u\",\"06/01/2026\"\n\"\"\"QID\"\",\"\"Title\"\",\"\"Severity\"\"\"\n",
                Kind::Foreign("comma-separated text (CSV)"),
            ),
            ("a, b, c", Kind::Foreign("comma-separated text (CSV)")),
            ("Not found\nplease, try, again", Kind::Foreign("plain text")),
            ("Unauthorized", Kind::Foreign("plain text")),
            ("%PDF-1.7", Kind::Foreign("a PDF document")),
            (" \n\t", Kind::Empty),
            ("", Kind::Empty),
            ("<?xml version='1.0'?> <!-- unfinished", Kind::Unclear),
            ("<SC", Kind::Unclear),
        ] {
            assert_eq!(Kind::of(head.as_bytes()), kind, "{head}");
        }
    }

    #[test]
    fn other_documents_of_qualys_are_named() {
        for root in [
            "TICKET_LIST_OUTPUT",
            "REMEDIATION_TICKETS",
            "IP_LIST_OUTPUT",
            "ASSET_GROUP_LIST_OUTPUT",
            "POSTURE_INFO_LIST_OUTPUT",
            "SCAN_SUMMARY_OUTPUT",
            "VULNS",
            "HOST_LIST_OUTPUT",
            "MAP",
        ] {
            let kind = Kind::of(format!("<{root}>").as_bytes());
            let (text, _) = kind.describe();
            assert!(text.contains(root) && !text.contains("not a supported report"), "{text}");
        }
    }
}
