//! What is around the content of a record, by destination.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scanbridge_finding_texts::TextFormat;
use scanbridge_json_records::{RecordId, push_text};
use scanbridge_plugin_api::batch::FindingView;
use scanbridge_plugin_api::model::{AssetField, Field as _, ReportStart};

use crate::cef_columns;
use crate::content::Content;
use crate::import;
use crate::limits::limit_values;
use crate::preset::RecordForm;
use crate::time;

/// What records of one output have in common.
#[derive(Debug, Clone)]
pub(crate) struct RecordSettings {
    pub(crate) form: RecordForm,
    pub(crate) format: TextFormat,
    /// Elasticsearch and OpenSearch: the action and its target, up to the ID: `{"create":{"_index":"x","_id":`.
    pub(crate) action: String,
    /// Splunk: what is the same in each event: `"source":"scanbridge","sourcetype":…,`.
    pub(crate) event: String,
    /// Splunk: the column for `host`; `None`: the first of several that has a value.
    pub(crate) host: Option<AssetField>,
}

impl RecordSettings {
    /// Appends the record. Returns the number of values that were truncated.
    pub(crate) fn append(&self, out: &mut Vec<u8>, content: Content<'_>) -> u64 {
        match self.form {
            RecordForm::Line => out.extend_from_slice(content.line),
            RecordForm::Webhook => self.webhook(out, content),
            RecordForm::Bulk => self.bulk(out, content),
            RecordForm::SplunkEvent => self.splunk(out, content),
            RecordForm::Sentinel => return self.sentinel(out, content),
            RecordForm::SecOps => secops(out, content),
            RecordForm::Import => import::append(out, content),
        }
        0
    }

    fn webhook(&self, out: &mut Vec<u8>, content: Content<'_>) {
        out.extend_from_slice(b"{\"record_id\":");
        push_text(out, content.id);
        if self.format == TextFormat::Cef {
            out.extend_from_slice(b",\"cef\":");
            push_text(out, &String::from_utf8_lossy(content.line));
            out.push(b'}');
        } else {
            push_members(out, content.line);
        }
    }

    fn bulk(&self, out: &mut Vec<u8>, content: Content<'_>) {
        out.extend_from_slice(self.action.as_bytes());
        push_text(out, content.id);
        out.extend_from_slice(b"}}\n");
        if self.format == TextFormat::Ecs {
            return out.extend_from_slice(content.line);
        }
        out.extend_from_slice(b"{\"@timestamp\":");
        push_text(out, &time::iso(content.time));
        push_members(out, content.line);
    }

    fn splunk(&self, out: &mut Vec<u8>, content: Content<'_>) {
        let (seconds, rest) = (content.time.div_euclid(1000), content.time.rem_euclid(1000));
        out.extend_from_slice(format!("{{\"time\":{seconds}.{rest:03},\"host\":").as_bytes());
        push_text(out, self.host_of(content.finding));
        out.push(b',');
        out.extend_from_slice(self.event.as_bytes());
        out.extend_from_slice(b"\"event\":");
        if self.format == TextFormat::Cef {
            push_text(out, &String::from_utf8_lossy(content.line));
        } else {
            out.extend_from_slice(content.line);
        }
        out.extend_from_slice(b",\"fields\":{\"id\":");
        push_text(out, content.id);
        out.extend_from_slice(b"}}");
    }

    fn host_of<'a>(&self, finding: FindingView<'a>) -> &'a str {
        let asset = finding.asset();
        let value = |field| match field {
            AssetField::Address => asset.address(),
            other => asset.get(other),
        };
        match self.host {
            Some(field) => value(field),
            None => HOSTS.into_iter().map(value).find(|text| !text.is_empty()).unwrap_or_default(),
        }
    }

    fn sentinel(&self, out: &mut Vec<u8>, content: Content<'_>) -> u64 {
        let start = out.len();
        out.extend_from_slice(b"{\"TimeGenerated\":");
        push_text(out, &time::iso(content.time));
        if self.format == TextFormat::Cef {
            cef_columns::append(out, &String::from_utf8_lossy(content.line), content.id);
        } else {
            out.extend_from_slice(b",\"RecordId\":");
            push_text(out, content.id);
            push_members(out, content.line);
        }
        limit_values(out, start)
    }
}

/// Makes a record of a finding and its content.
#[derive(Debug, Clone)]
pub(crate) struct RecordMaker {
    settings: RecordSettings,
    id_kind: RecordId,
    report_time: String,
    /// The time of the run, in milliseconds since 1970.
    started: i64,
    id: Vec<u8>,
    scratch: String,
}

impl RecordMaker {
    pub(crate) fn new(settings: RecordSettings, id_kind: RecordId, started: i64) -> Self {
        let (report_time, id, scratch) = (String::new(), Vec::new(), String::new());
        Self { settings, id_kind, report_time, started, id, scratch }
    }

    pub(crate) fn begin(&mut self, report: &ReportStart) {
        self.report_time.clone_from(&report.time);
    }

    /// Appends the record of a finding with this content. Returns the number of truncated values.
    pub(crate) fn append(&mut self, out: &mut Vec<u8>, finding: FindingView<'_>, line: &[u8]) -> u64 {
        self.id.clear();
        self.id_kind.append(&mut self.id, finding, &self.report_time, &mut self.scratch);
        let id = String::from_utf8_lossy(&self.id);
        let time = time::of_finding(finding, &self.report_time, self.started);
        let content = Content { finding, line, id: &id, time, collected: self.started };
        self.settings.append(out, content)
    }

    /// The ID of the last record.
    pub(crate) fn id(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.id)
    }
}

/// The column of an asset that `host_field` names.
pub(crate) fn host_column(name: &str) -> Option<AssetField> {
    HOSTS.into_iter().find(|field| AssetField::NAMES[field.index()] == name)
}

/// The columns of an asset that are tried for `host`.
const HOSTS: [AssetField; 5] =
    [AssetField::Address, AssetField::Fqdn, AssetField::Dns, AssetField::Netbios, AssetField::Id];

fn secops(out: &mut Vec<u8>, content: Content<'_>) {
    out.extend_from_slice(b"{\"data\":\"");
    out.extend_from_slice(STANDARD.encode(content.line).as_bytes());
    out.extend_from_slice(b"\",\"logEntryTime\":");
    push_text(out, &time::iso(content.time));
    out.extend_from_slice(b",\"collectionTime\":");
    push_text(out, &time::iso(content.collected));
    out.extend_from_slice(b",\"labels\":{\"record_id\":{\"value\":");
    push_text(out, content.id);
    out.extend_from_slice(b"}}}");
}

/// Appends the members of an object to another one that has some already.
fn push_members(out: &mut Vec<u8>, object: &[u8]) {
    if let Some(members) = object.strip_prefix(b"{").filter(|members| *members != b"}") {
        out.push(b',');
        out.extend_from_slice(members);
    } else {
        out.push(b'}');
    }
}
