//! The `_bulk` call of Elasticsearch and OpenSearch.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Answer, Destination, REJECT, Request};

/// A cluster with one index or data stream.
#[derive(Debug, Default)]
pub struct Bulk {
    /// Documents by ID.
    pub documents: HashMap<String, Value>,
    /// The IDs of documents, once for each time that one was written.
    pub written: Vec<String>,
    /// How many items are answered with 429.
    pub busy_items: usize,
    /// Results of this number of items are missing in the next response.
    pub missing_items: usize,
    /// The largest body, in bytes; 0 for no limit.
    pub max_bytes: usize,
}

impl Destination for Bulk {
    fn respond(&mut self, request: &Request) -> Answer {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/") => {
                return Answer::json(
                    200,
                    &json!({ "version": { "number": "9.9.9", "distribution": "double" } }),
                );
            }
            ("POST", "/_bulk") => {}
            _ => return Answer::json(404, &json!({ "error": "no such index" })),
        }
        if self.max_bytes > 0 && request.body.len() > self.max_bytes {
            return Answer::new(413, "");
        }
        let text = request.text();
        if !text.ends_with('\n') {
            return Answer::json(
                400,
                &json!({ "error": { "reason": "must be terminated by a newline [\\n]" } }),
            );
        }
        let lines: Vec<&str> = text.lines().collect();
        let mut items = Vec::new();
        for pair in lines.chunks(2) {
            let [action, document] = pair else { return Answer::new(400, "an action without a document") };
            let (Ok(action), Ok(document)) =
                (serde_json::from_str::<Value>(action), serde_json::from_str::<Value>(document))
            else {
                return Answer::new(400, "not JSON");
            };
            items.push(self.item(&action, document));
        }
        items.truncate(items.len() - std::mem::take(&mut self.missing_items));
        let errors = items.iter().any(|item| item.to_string().contains("\"error\""));
        Answer::json(200, &json!({ "errors": errors, "items": items }))
    }
}

impl Bulk {
    fn item(&mut self, action: &Value, document: Value) -> Value {
        let Some((word, target)) = action.as_object().and_then(|action| action.iter().next()) else {
            return json!({ "none": { "status": 400 } });
        };
        let failed = |status: u16, kind: &str, reason: &str| json!({ word.as_str(): { "status": status, "error": { "type": kind, "reason": reason } } });
        if self.busy_items > 0 {
            self.busy_items -= 1;
            return failed(429, "es_rejected_execution_exception", "queue is full");
        }
        if document.to_string().contains(REJECT) {
            return failed(400, "document_parsing_exception", "failed to parse field [x]");
        }
        let id = target["_id"].as_str().unwrap_or_default().to_owned();
        if word == "create" && self.documents.contains_key(&id) {
            return failed(409, "version_conflict_engine_exception", "document already exists");
        }
        if document.get("@timestamp").is_none() || target["_index"].as_str().is_none_or(str::is_empty) {
            return failed(400, "illegal_argument_exception", "no @timestamp or index");
        }
        self.written.push(id.clone());
        self.documents.insert(id, document);
        json!({ word.as_str(): { "status": 201 } })
    }
}
