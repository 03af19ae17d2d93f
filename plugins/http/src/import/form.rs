//! The form of a reimport: its settings, its body and what a response means.

use scanbridge_plugin_api::{ErrorKind, Options, PluginError, Result};
use serde_json::Value;

use crate::answer::{Judge, Response, Verdict};
use crate::delivery::random_uuid;

/// What is sent with each file.
#[derive(Debug)]
pub(crate) struct Form {
    product: String,
    product_type: Option<String>,
    engagement: String,
    test: String,
    /// Fields that are the same in each request.
    fixed: Vec<(&'static str, String)>,
    closes: bool,
    max_findings: usize,
    boundary: String,
}

const GROUP: &str = "{asset_group}";
const REPORT: &str = "{report}";
/// The longest name of a test, in characters.
const MAX_TITLE: usize = 240;

impl Form {
    pub(crate) fn read(options: &Options) -> Result<Self> {
        let text =
            |name, default: &str| Ok::<_, PluginError>(options.text(name)?.unwrap_or(default).to_owned());
        let mut fixed = vec![
            ("scan_type", SCAN_TYPE.to_owned()),
            ("auto_create_context", "true".to_owned()),
            ("minimum_severity", text("minimum_severity", "Info")?),
            ("verified", options.flag("verified")?.to_string()),
            ("do_not_reactivate", options.flag("do_not_reactivate")?.to_string()),
        ];
        if let Some(active) = options.optional_flag("active")? {
            // Otherwise each finding has its own.
            fixed.push(("active", active.to_string()));
        }
        Ok(Self {
            product: text("product_name", "")?,
            product_type: options.text("product_type_name")?.map(str::to_owned),
            engagement: text("engagement_name", "Scanbridge")?,
            test: text("test_title", REPORT)?,
            fixed,
            closes: options.optional_flag("close_old_findings")?.unwrap_or(true),
            max_findings: options.integer("max_findings")?.unwrap_or(10_000),
            boundary: random_uuid(),
        })
    }

    pub(crate) fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    /// The maximum number of findings in a file.
    pub(super) fn max_findings(&self) -> usize {
        self.max_findings
    }

    /// Whether each asset group has a product of its own.
    pub(super) fn has_groups(&self) -> bool {
        self.product.contains(GROUP)
    }

    /// Identifies the test of a report, in all asset groups.
    pub(super) fn test(&self, report: &str) -> String {
        [&self.product, &self.engagement, &self.title(report, 0)].map(String::as_str).join("\u{1f}")
    }

    /// The product of an asset group.
    pub(super) fn product(&self, group: &str) -> String {
        self.product.replace(GROUP, group)
    }

    /// The title of the test for the file with this number.
    pub(super) fn title(&self, report: &str, number: u16) -> String {
        let mut title: String = self.test.replace(REPORT, report).chars().take(MAX_TITLE).collect();
        if number > 0 {
            title += &format!(" ({})", number + 1);
        }
        title
    }

    /// The body of a request.
    pub(super) fn body(&self, product: &str, title: &str, may_close: bool, findings: &[&[u8]]) -> Vec<u8> {
        let size: usize = findings.iter().map(|finding| finding.len() + 1).sum();
        let mut body = Vec::with_capacity(size + 4096);
        let closes = (self.closes && may_close).to_string();
        let of_file = [
            ("product_name", product),
            ("engagement_name", &self.engagement),
            ("test_title", title),
            ("close_old_findings", &closes),
        ];
        let product_type = self.product_type.iter().map(|name| ("product_type_name", name.as_str()));
        let fixed = self.fixed.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in fixed.chain(product_type).chain(of_file) {
            self.open_part(&mut body, &format!("name=\"{name}\""));
            body.extend_from_slice(b"\r\n");
            body.extend_from_slice(value.as_bytes());
            body.extend_from_slice(b"\r\n");
        }
        self.open_part(&mut body, "name=\"file\"; filename=\"findings.json\"");
        body.extend_from_slice(b"Content-Type: application/json\r\n\r\n{\"findings\":[");
        for (number, finding) in findings.iter().enumerate() {
            if number > 0 {
                body.push(b',');
            }
            body.extend_from_slice(finding);
        }
        body.extend_from_slice(b"]}\r\n");
        body.extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        body
    }

    fn open_part(&self, body: &mut Vec<u8>, disposition: &str) {
        let head = format!("--{}\r\nContent-Disposition: form-data; {disposition}\r\n", self.boundary);
        body.extend_from_slice(head.as_bytes());
    }
}

const SCAN_TYPE: &str = "Generic Findings Import";

/// The verdict about a file; `None`: its status decides.
pub(crate) fn verdict(response: &Response, judge: &Judge) -> Option<Verdict> {
    let json: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    if (200..300).contains(&response.status) {
        let is_test =
            ["test_id", "test"].into_iter().any(|name| json.get(name).is_some_and(Value::is_number));
        return Some(if is_test { Verdict::DELIVERED } else { Verdict::Failed(judge.protocol(response)) });
    }
    if response.status != 400 {
        return None;
    }
    let says = judge.says(response);
    if says.contains("Not allowed fields") {
        let hint = "this version of DefectDojo has another list of keys; report this to the maintainers";
        return Some(Verdict::Failed(PluginError::config(says).with_hint(hint)));
    }
    let fields = [
        ("product_name", "product_name"),
        ("product_type_name", "product_type_name"),
        ("engagement_name", "engagement_name"),
        ("test_title", "test_title"),
        ("minimum_severity", "minimum_severity"),
        ("scan_type", "preset"),
    ];
    let (_, option) = fields.into_iter().find(|(field, _)| json.get(field).is_some())?;
    let error = PluginError::new(ErrorKind::Config, says).with_option(option);
    Some(Verdict::Failed(error.with_hint("DefectDojo refuses this field of the import; correct the option")))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;
    use crate::preset::{DEFECTDOJO, Preset};
    use crate::redact::Redactor;

    fn verdict_of(status: u16, body: &str) -> Option<Verdict> {
        let judge =
            Judge { preset: Preset::of(DEFECTDOJO).unwrap(), acks: false, redactor: Redactor::default() };
        let (address, headers) = ("h:1".to_owned(), HeaderMap::new());
        verdict(&Response { address, status, headers, body: body.as_bytes().to_vec() }, &judge)
    }

    #[test]
    fn response_names_the_test_or_the_field() {
        assert_eq!(verdict_of(201, r#"{"test_id": 7, "scan_type": "x"}"#), Some(Verdict::DELIVERED));
        assert_eq!(verdict_of(400, r#"["severity is not valid"]"#), None);
        assert_eq!(verdict_of(500, r#"{"message": "Internal error"}"#), None);
        for (status, body, kind, option) in [
            (200, "<html>Welcome</html>", ErrorKind::Protocol, None),
            (400, r#"["Not allowed fields are present: ['foo']"]"#, ErrorKind::Config, None),
            (400, r#"{"product_name": ["must exist"]}"#, ErrorKind::Config, Some("product_name")),
        ] {
            match verdict_of(status, body) {
                Some(Verdict::Failed(error)) => {
                    assert_eq!((error.kind, error.option.as_deref()), (kind, option), "{error}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
