//! Responses of `_bulk`: a result for each record.

use std::collections::HashMap;

use scanbridge_plugin_api::{ErrorKind, PluginError, printable};
use serde::Deserialize;
use serde_json::Value;

use crate::answer::{Judge, RecordVerdict, Response, Verdict};

#[derive(Deserialize)]
struct Answer {
    items: Vec<HashMap<String, Item>>,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    #[serde(default)]
    error: Value,
}

/// The verdict about a request with this number of records.
pub(crate) fn verdict(response: &Response, judge: &Judge, records: usize) -> Verdict {
    let Ok(answer) = serde_json::from_slice::<Answer>(&response.body) else {
        return Verdict::Failed(judge.protocol(response));
    };
    let items: Vec<_> = answer.items.into_iter().filter_map(|item| item.into_iter().next()).collect();
    if items.len() != records {
        let message = format!("{} returned {} results for {records} records", response.address, items.len());
        return Verdict::Failed(PluginError::new(ErrorKind::Protocol, message));
    }
    let mut verdicts = Vec::with_capacity(records);
    for (action, item) in items {
        match item.verdict(&action, judge) {
            Ok(verdict) => verdicts.push(verdict),
            Err(error) => return Verdict::Failed(*error),
        }
    }
    Verdict::Each(verdicts)
}

impl Item {
    fn verdict(&self, action: &str, judge: &Judge) -> Result<RecordVerdict, Box<PluginError>> {
        let field = |name| self.error.get(name).and_then(Value::as_str).unwrap_or_default();
        let (kind, reason) = (field("type"), judge.redactor.shown(field("reason").as_bytes()));
        let says = format!("{}: {reason}", printable(kind, 80));
        let says = says.trim_matches([':', ' ']).to_owned();
        let says = if says.is_empty() { format!("status {}", self.status) } else { says };
        Ok(match (self.status, kind) {
            (200 | 201, _) => RecordVerdict::Delivered,
            // A record with this ID already exists: it was delivered before.
            (409, _) if action == "create" => RecordVerdict::Delivered,
            (409 | 429 | 503, _) => RecordVerdict::Retry(says),
            (_, "es_rejected_execution_exception" | "unavailable_shards_exception") => {
                RecordVerdict::Retry(says)
            }
            (404, _) => {
                return Err(Box::new(
                    PluginError::config(says).with_hint("create the index or data stream, or check its name"),
                ));
            }
            (401 | 403, _) => {
                return Err(Box::new(PluginError::new(ErrorKind::Auth, says).with_hint(judge.preset.right)));
            }
            (500..=599, _) => RecordVerdict::Retry(says),
            _ => RecordVerdict::Rejected(says),
        })
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;
    use crate::preset::Preset;
    use crate::redact::Redactor;

    fn verdict_of(items: &str, records: usize) -> Verdict {
        let body = format!("{{\"errors\":true,\"items\":[{items}]}}").into_bytes();
        let response = Response { address: "h:1".to_owned(), status: 200, headers: HeaderMap::new(), body };
        let preset = Preset::of("elasticsearch").unwrap();
        verdict(&response, &Judge { preset, acks: false, redactor: Redactor::default() }, records)
    }

    fn item(action: &str, status: u16, kind: &str) -> String {
        format!(r#"{{"{action}":{{"status":{status},"error":{{"type":"{kind}","reason":"r"}}}}}}"#)
    }

    #[test]
    fn each_item_has_its_verdict() {
        let rejected = |kind: &str| RecordVerdict::Rejected(format!("{kind}: r"));
        let retry = |kind: &str| RecordVerdict::Retry(format!("{kind}: r"));
        for (action, status, kind, expected) in [
            ("create", 409, "version_conflict_engine_exception", RecordVerdict::Delivered),
            ("index", 409, "version_conflict_engine_exception", retry("version_conflict_engine_exception")),
            ("create", 429, "es_rejected_execution_exception", retry("es_rejected_execution_exception")),
            ("create", 503, "unavailable_shards_exception", retry("unavailable_shards_exception")),
            ("create", 400, "mapper_parsing_exception", rejected("mapper_parsing_exception")),
            ("create", 400, "document_parsing_exception", rejected("document_parsing_exception")),
            ("create", 400, "illegal_argument_exception", rejected("illegal_argument_exception")),
        ] {
            let items = format!(r#"{{"create":{{"status":201}}}},{}"#, item(action, status, kind));
            assert_eq!(
                verdict_of(&items, 2),
                Verdict::Each(vec![RecordVerdict::Delivered, expected]),
                "{action} {status}"
            );
        }
    }

    #[test]
    fn missing_index_and_right_and_item_are_errors_of_the_output() {
        for (items, records, kind) in [
            (item("create", 404, "index_not_found_exception"), 1, ErrorKind::Config),
            (item("create", 403, "security_exception"), 1, ErrorKind::Auth),
            (r#"{"create":{"status":201}}"#.to_owned(), 2, ErrorKind::Protocol),
        ] {
            match verdict_of(&items, records) {
                Verdict::Failed(error) => assert_eq!(error.kind, kind, "{error}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
