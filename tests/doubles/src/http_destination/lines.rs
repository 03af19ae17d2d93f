//! A webhook.

use serde_json::{Value, json};

use super::{Answer, Destination, REJECT, Request};

/// A webhook that receives JSON, one object per line or as an array.
#[derive(Debug, Default)]
pub struct Lines {
    /// The records.
    pub received: Vec<Value>,
    /// The required value of `Authorization`; empty for none.
    pub login: String,
    /// A request with an invalid record is refused as a whole with this status. 0: the response names the record.
    pub refusal: u16,
    /// The largest number of records in a request; 0 for no limit.
    pub max_records: usize,
    /// Records with these words are taken only when they come for the second time.
    pub retry: Option<&'static str>,
    /// IDs of records that came for the first time.
    pub retried: Vec<Value>,
}

impl Destination for Lines {
    fn respond(&mut self, request: &Request) -> Answer {
        if !self.login.is_empty() && request.header("authorization") != Some(&self.login) {
            return Answer::new(
                401,
                format!("wrong login {}", request.header("authorization").unwrap_or("none")),
            );
        }
        if request.method == "HEAD" {
            return Answer::new(405, "");
        }
        let text = request.text();
        let records: Result<Vec<Value>, _> = match request.header("content-type") {
            Some("application/json") => serde_json::from_str(&text),
            _ => text.lines().map(serde_json::from_str).collect(),
        };
        let Ok(records) = records else { return Answer::new(400, "not JSON") };
        if self.max_records > 0 && records.len() > self.max_records {
            return Answer::new(413, "too large");
        }
        let is_invalid = |record: &Value| record.to_string().contains(REJECT);
        if self.refusal > 0 && records.iter().any(is_invalid) {
            return Answer::new(self.refusal, format!("a value is not allowed, login {}", self.login));
        }
        let (mut rejected, mut retry) = (Vec::new(), Vec::new());
        for record in records {
            let id = record["record_id"].clone();
            let waits = self.retry.is_some_and(|word| record.to_string().contains(word));
            if is_invalid(&record) {
                rejected.push(json!({ "record_id": id, "reason": "a value is not allowed" }));
            } else if waits && !self.retried.contains(&id) {
                self.retried.push(id.clone());
                retry.push(id);
            } else {
                self.received.push(record);
            }
        }
        if rejected.is_empty() && retry.is_empty() {
            return Answer::new(202, "thank you");
        }
        Answer::json(207, &json!({ "rejected": rejected, "retry": retry }))
    }
}
