//! DefectDojo: `POST /api/v2/reimport-scan/` with a file of the format "Generic Findings Import".

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Answer, Destination, REJECT, Request};

/// A DefectDojo. A file with any other key than the known ones is refused as a whole.
#[derive(Debug, Default)]
pub struct DefectDojo {
    /// The required token; empty for none.
    pub token: String,
    /// The findings by test (product, engagement, title) and `unique_id_from_tool`.
    pub tests: BTreeMap<[String; 3], BTreeMap<String, Imported>>,
    /// The fields of each import, without the file, in the order of requests.
    pub imports: Vec<BTreeMap<String, String>>,
    /// The largest number of findings in a file; 0 for no limit.
    pub max_findings: usize,
    /// Keys of findings that this version does not know.
    pub unknown_keys: Vec<&'static str>,
}

/// A finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// As it was imported last.
    pub finding: Value,
    /// Whether it is active.
    pub is_active: bool,
    /// How often it was imported.
    pub imports: usize,
}

impl DefectDojo {
    /// The active findings of all tests, with the product and the title of the test.
    #[must_use]
    pub fn active(&self) -> BTreeSet<(String, String, String)> {
        let of_test = |([product, _, title], findings): (&[String; 3], &BTreeMap<String, Imported>)| {
            let active = findings.iter().filter(|(_, known)| known.is_active);
            active.map(|(id, _)| (product.clone(), title.clone(), id.clone())).collect::<Vec<_>>()
        };
        self.tests.iter().flat_map(of_test).collect()
    }

    fn import(&mut self, request: &Request) -> Result<Answer, Answer> {
        let wrong = |field: &str, text: &str| Answer::json(400, &json!({ field: [text] }));
        let mut parts = multipart(request).map_err(|text| wrong("file", text))?;
        let (_, file) = parts.remove("file").ok_or_else(|| wrong("file", "This field is required."))?;
        let fields: BTreeMap<String, String> = parts
            .into_iter()
            .map(|(name, (_, value))| (name, String::from_utf8_lossy(&value).into_owned()))
            .collect();
        for name in fields.keys() {
            if !FIELDS.contains(&name.as_str()) {
                return Err(wrong(name, "unknown field"));
            }
        }
        for (name, expected) in [("scan_type", "Generic Findings Import"), ("auto_create_context", "true")] {
            if fields.get(name).map(String::as_str) != Some(expected) {
                return Err(wrong(name, "is not a valid choice."));
            }
        }
        let field = |name: &str| match fields.get(name) {
            Some(value) if !value.is_empty() => Ok(value.clone()),
            _ => Err(wrong(name, "This field may not be empty.")),
        };
        let test = [field("product_name")?, field("engagement_name")?, field("test_title")?];
        let findings = self.findings(&file).map_err(|text| Answer::json(400, &json!([text])))?;
        if self.max_findings > 0 && findings.len() > self.max_findings {
            return Err(Answer::new(413, "<html>Request Entity Too Large</html>"));
        }
        let closes = fields.get("close_old_findings").is_some_and(|value| value == "true");
        self.imports.push(fields);
        let known = self.tests.entry(test).or_default();
        if closes {
            for (id, known) in known.iter_mut() {
                known.is_active &= findings.contains_key(id);
            }
        }
        for (id, finding) in findings {
            let imports = known.get(&id).map_or(0, |known| known.imports) + 1;
            let is_active = finding["active"] != false;
            known.insert(id, Imported { finding, is_active, imports });
        }
        Ok(Answer::json(201, &json!({ "test_id": 7, "scan_type": "Generic Findings Import" })))
    }

    /// The findings of a file by their IDs.
    fn findings(&self, file: &[u8]) -> Result<BTreeMap<String, Value>, String> {
        let file: Map<String, Value> = serde_json::from_slice(file).map_err(|error| error.to_string())?;
        if file.keys().any(|key| key != "findings") {
            return Err("Not allowed fields are present".to_owned());
        }
        let Some(Value::Array(findings)) = file.get("findings") else {
            return Err("findings is missing".to_owned());
        };
        let mut known = BTreeMap::new();
        for finding in findings {
            let object = finding.as_object().ok_or("a finding must be an object")?;
            let is_unknown = |key: &&String| {
                !REQUIRED.iter().chain(OPTIONAL).any(|known| known == key)
                    || self.unknown_keys.iter().any(|unknown| unknown == key)
            };
            let unknown: Vec<_> = object.keys().filter(is_unknown).collect();
            if !unknown.is_empty() {
                return Err(format!("Not allowed fields are present: {unknown:?}"));
            }
            check(object)?;
            if finding.to_string().contains(REJECT) {
                return Err("a value is not allowed".to_owned());
            }
            let id = object.get("unique_id_from_tool").and_then(Value::as_str).ok_or("no ID")?;
            known.insert(id.to_owned(), finding.clone());
        }
        Ok(known)
    }
}

impl Destination for DefectDojo {
    fn respond(&mut self, request: &Request) -> Answer {
        if !self.token.is_empty() && request.header("authorization") != Some(&format!("Token {}", self.token))
        {
            return Answer::json(401, &json!({ "detail": "Invalid token." }));
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/api/v2/user_profile/") => Answer::json(200, &json!({ "user": { "username": "u" } })),
            ("POST", "/api/v2/reimport-scan/") => self.import(request).unwrap_or_else(|refusal| refusal),
            _ => Answer::json(404, &json!({ "detail": "Not found." })),
        }
    }
}

/// The values whose form DefectDojo checks.
fn check(finding: &Map<String, Value>) -> Result<(), String> {
    let text = |name: &str| finding.get(name).and_then(Value::as_str);
    for name in REQUIRED {
        if text(name).is_none_or(str::is_empty) {
            return Err(format!("Required fields are missing: {name}"));
        }
    }
    if !["Info", "Low", "Medium", "High", "Critical"].contains(&text("severity").unwrap_or_default()) {
        return Err("severity is not valid".to_owned());
    }
    if text("title").is_some_and(|title| title.chars().count() > 511) {
        return Err("title is too long".to_owned());
    }
    for name in ["date", "mitigated", "publish_date"] {
        let is_day =
            |text: &str| text.len() == 10 && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
        if finding.contains_key(name) && !text(name).is_some_and(is_day) {
            return Err(format!("{name} is not a day"));
        }
    }
    for name in ["cvssv3_score", "epss_score"] {
        if finding.get(name).is_some_and(|value| !value.is_number()) {
            return Err(format!("{name} is not a number"));
        }
    }
    for name in ["active", "is_mitigated", "known_exploited"] {
        if finding.get(name).is_some_and(|value| !value.is_boolean()) {
            return Err(format!("{name} is neither true nor false"));
        }
    }
    for name in ["endpoints", "vulnerability_ids", "tags"] {
        let is_list =
            |value: &Value| value.as_array().is_some_and(|items| items.iter().all(Value::is_string));
        if !finding.get(name).is_none_or(is_list) {
            return Err(format!("{name} is not a list of texts"));
        }
    }
    Ok(())
}

/// The parts of a body by name, with their file names.
fn multipart(request: &Request) -> Result<BTreeMap<String, (String, Vec<u8>)>, &'static str> {
    let content_type = request.header("content-type").unwrap_or_default();
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=").ok_or("not a form")?;
    let (open, next) = (format!("--{boundary}\r\n"), format!("\r\n--{boundary}"));
    let mut rest = request.body.strip_prefix(open.as_bytes()).ok_or("no first part")?;
    let mut parts = BTreeMap::new();
    loop {
        let end = find(rest, next.as_bytes()).ok_or("a part has no end")?;
        let (part, after) = (&rest[..end], &rest[end + next.len()..]);
        let head = find(part, b"\r\n\r\n").ok_or("a part has no header")?;
        let header = std::str::from_utf8(&part[..head]).map_err(|_| "a header is not a text")?;
        let parameter = |name: &str| header.split(&format!(" {name}=\"")).nth(1)?.split('"').next();
        let name = parameter("name").ok_or("a part has no name")?;
        let value = (parameter("filename").unwrap_or_default().to_owned(), part[head + 4..].to_vec());
        if parts.insert(name.to_owned(), value).is_some() {
            return Err("a field comes twice");
        }
        match after {
            b"--\r\n" => return Ok(parts),
            _ => rest = after.strip_prefix(b"\r\n").ok_or("a boundary has no end")?,
        }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// Fields of the form.
const FIELDS: [&str; 13] = [
    "scan_type",
    "auto_create_context",
    "minimum_severity",
    "active",
    "verified",
    "do_not_reactivate",
    "close_old_findings",
    "product_type_name",
    "product_name",
    "engagement_name",
    "test_title",
    "scan_date",
    "tags",
];

/// Keys of a finding that it must have.
const REQUIRED: &[&str] = &["title", "severity", "description"];
/// The other keys of its list.
const OPTIONAL: &[&str] = &[
    "date",
    "cwe",
    "cve",
    "cvssv3",
    "cvssv3_score",
    "cvssv4",
    "cvssv4_score",
    "mitigation",
    "impact",
    "steps_to_reproduce",
    "severity_justification",
    "references",
    "active",
    "verified",
    "false_p",
    "out_of_scope",
    "risk_accepted",
    "under_review",
    "is_mitigated",
    "thread_id",
    "mitigated",
    "numerical_severity",
    "param",
    "payload",
    "line",
    "file_path",
    "component_name",
    "component_version",
    "static_finding",
    "dynamic_finding",
    "scanner_confidence",
    "unique_id_from_tool",
    "vuln_id_from_tool",
    "sast_source_object",
    "sast_sink_object",
    "sast_source_line",
    "sast_source_file_path",
    "nb_occurences",
    "publish_date",
    "service",
    "planned_remediation_date",
    "planned_remediation_version",
    "effort_for_fixing",
    "known_exploited",
    "ransomware_used",
    "kev_date",
    "epss_score",
    "epss_percentile",
    "files",
    "endpoints",
    "vulnerability_ids",
    "tags",
];
