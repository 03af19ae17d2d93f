//! Microsoft Sentinel (Logs Ingestion API) and Google SecOps (ImportLogs). Both have a token server at `/token`.

use serde_json::{Value, json};

use super::{Answer, Destination, REJECT, Request, Tokens};

/// The largest body that both take, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// A data collection endpoint.
#[derive(Debug, Default)]
pub struct Sentinel {
    /// The token server.
    pub tokens: Tokens,
    /// The rows, with the stream that they were sent to.
    pub rows: Vec<(String, Value)>,
}

impl Destination for Sentinel {
    fn respond(&mut self, request: &Request) -> Answer {
        if request.path == "/token" {
            return self.tokens.respond(request);
        }
        let failed = |status: u16, code: &str| {
            Answer::json(status, &json!({ "error": { "code": code } })).header("x-ms-error-code", code)
        };
        if !self.tokens.accept(request) {
            return failed(401, "InvalidToken");
        }
        let parts: Vec<&str> = request.path.split('/').collect();
        let ["", "dataCollectionRules", rule, "streams", stream] = parts[..] else {
            return failed(404, "NotFound");
        };
        if !rule.starts_with("dcr-") || request.query != "api-version=2023-01-01" {
            return failed(404, "NotFound");
        }
        if request.body.len() > MAX_BYTES {
            return failed(413, "ContentLengthLimitExceeded");
        }
        let Ok(rows) = serde_json::from_slice::<Vec<serde_json::Map<String, Value>>>(&request.body) else {
            return failed(400, "InvalidPayload");
        };
        let is_invalid = |row: &serde_json::Map<String, Value>| {
            !row.contains_key("TimeGenerated") || row.values().any(|value| value.to_string().contains(REJECT))
        };
        if rows.iter().any(is_invalid) {
            return failed(400, "InvalidRow");
        }
        self.rows.extend(rows.into_iter().map(|row| (stream.to_owned(), row.into())));
        Answer::new(204, "")
    }
}

/// An instance of Google SecOps.
#[derive(Debug, Default)]
pub struct SecOps {
    /// The token server.
    pub tokens: Tokens,
    /// The logs as they came, with `data` in Base64.
    pub logs: Vec<Value>,
    /// Logs with one of these texts in Base64 are invalid.
    pub invalid: Vec<String>,
    /// The paths of requests.
    pub paths: Vec<String>,
}

impl Destination for SecOps {
    fn respond(&mut self, request: &Request) -> Answer {
        if request.path == "/token" {
            return self.tokens.respond(request);
        }
        if !self.tokens.accept(request) {
            return Answer::json(401, &json!({ "error": { "status": "UNAUTHENTICATED" } }));
        }
        if !request.path.ends_with("/logs:import") {
            return Answer::json(404, &json!({ "error": { "status": "NOT_FOUND" } }));
        }
        if request.body.len() > MAX_BYTES {
            return Answer::json(413, &json!({ "error": { "status": "OUT_OF_RANGE" } }));
        }
        self.paths.push(request.path.clone());
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let Some(logs) = body["inlineSource"]["logs"].as_array() else {
            return Answer::json(400, &json!({ "error": { "status": "INVALID_ARGUMENT" } }));
        };
        let is_invalid = |log: &Value| {
            let data = log["data"].as_str().unwrap_or_default();
            data.is_empty() || self.invalid.iter().any(|invalid| data.contains(invalid))
        };
        if logs.iter().any(is_invalid) {
            return Answer::json(400, &json!({ "error": { "status": "INVALID_ARGUMENT" } }));
        }
        self.logs.extend_from_slice(logs);
        Answer::json(200, &json!({}))
    }
}
