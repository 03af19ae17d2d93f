//! The HTTP Event Collector of Splunk.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Answer, Destination, REJECT, Request};

/// A collector with one token.
#[derive(Debug, Default)]
pub struct Splunk {
    /// The token.
    pub token: String,
    /// Events of `/event` as they came, and lines of `/raw`.
    pub events: Vec<Value>,
    /// Whether requests are acknowledged; how often an acknowledgement is asked for before it comes.
    pub ack_delay: Option<usize>,
    /// Responses instead of those that are due: status and code.
    pub codes: Vec<(u16, u32)>,
    /// Events before the invalid one of a request are kept.
    pub keeps_earlier: bool,
    /// The invalid event is counted from 1, not from 0.
    pub counts_from_one: bool,
    /// Acknowledgements that are due, with the number of requests before each.
    pub acks: BTreeMap<u64, usize>,
    /// The last number that was given.
    pub last_ack: u64,
}

impl Destination for Splunk {
    fn respond(&mut self, request: &Request) -> Answer {
        if request.path == "/services/collector/health" {
            return reply(200, 17, "HEC is healthy");
        }
        match request.header("authorization").and_then(|login| login.strip_prefix("Splunk ")) {
            None => return reply(401, 2, "Token is required"),
            Some(token) if token != self.token => return reply(403, 4, "Invalid token"),
            Some(_) => {}
        }
        let channel = request.header("x-splunk-request-channel");
        if self.ack_delay.is_some() && channel.is_none() && !request.query.contains("channel=") {
            return reply(400, 10, "Data channel is missing");
        }
        match request.path.as_str() {
            "/services/collector/ack" => return self.acknowledge(request),
            _ if request.body.is_empty() => return reply(400, 5, "No data"),
            _ => {}
        }
        if !self.codes.is_empty() {
            let (status, code) = self.codes.remove(0);
            return reply(status, code, "scripted");
        }
        let events: Result<Vec<Value>, _> = match request.path.as_str() {
            "/services/collector/event" => {
                serde_json::Deserializer::from_slice(&request.body).into_iter().collect()
            }
            "/services/collector/raw" => Ok(request.text().lines().map(Value::from).collect()),
            _ => return Answer::new(404, "no such path"),
        };
        let Ok(events) = events else { return reply(400, 6, "Invalid data format") };
        if let Some(number) = events.iter().position(|event| event.to_string().contains(REJECT)) {
            if self.keeps_earlier {
                self.events.extend_from_slice(&events[..number]);
            }
            let number = number + usize::from(self.counts_from_one);
            let body = json!({ "text": "Invalid data format", "code": 6, "invalid-event-number": number });
            return Answer::json(400, &body);
        }
        self.events.extend(events);
        let mut body = json!({ "text": "Success", "code": 0 });
        if let Some(delay) = self.ack_delay {
            self.last_ack += 1;
            self.acks.insert(self.last_ack, delay);
            body["ackId"] = self.last_ack.into();
        }
        Answer::json(200, &body)
    }
}

impl Splunk {
    fn acknowledge(&mut self, request: &Request) -> Answer {
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let mut acks = serde_json::Map::new();
        for ack in asked["acks"].as_array().into_iter().flatten().filter_map(Value::as_u64) {
            let is_done = match self.acks.get_mut(&ack) {
                Some(0) => {
                    // It is reported once.
                    self.acks.remove(&ack);
                    true
                }
                Some(delay) => {
                    *delay -= 1;
                    false
                }
                None => false,
            };
            acks.insert(ack.to_string(), is_done.into());
        }
        Answer::json(200, &json!({ "acks": acks }))
    }
}

fn reply(status: u16, code: u32, text: &str) -> Answer {
    Answer::json(status, &json!({ "text": text, "code": code }))
}
