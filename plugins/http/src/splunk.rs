//! Responses of Splunk's HTTP Event Collector.

use std::collections::BTreeMap;

use scanbridge_plugin_api::{ErrorKind, PluginError};
use serde::Deserialize;

use crate::answer::{Delivered, Judge, Response, Verdict};

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    text: String,
    code: u32,
    #[serde(rename = "invalid-event-number")]
    invalid_event: Option<usize>,
    #[serde(rename = "ackId")]
    ack: Option<u64>,
}

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Delivered,
    /// Delivered; the server is near its capacity.
    Busy,
    Login,
    Settings,
    Record,
    Unavailable,
}

/// The codes of the vendor's table. 17 belongs to the health page.
fn meaning(code: u32) -> Option<Meaning> {
    Some(match code {
        0 => Meaning::Delivered,
        24 | 25 => Meaning::Busy,
        1..=4 | 16 | 21 | 22 => Meaning::Login,
        7 | 10 | 11 | 14 => Meaning::Settings,
        5 | 6 | 12 | 13 | 15 => Meaning::Record,
        8 | 9 | 18..=20 | 23 | 26 | 27 => Meaning::Unavailable,
        _ => return None,
    })
}

/// The verdict about a request; `None`: its status decides.
pub(crate) fn verdict(response: &Response, judge: &Judge) -> Option<Verdict> {
    let is_success = (200..300).contains(&response.status);
    let Ok(answer) = serde_json::from_slice::<Answer>(&response.body) else {
        return is_success.then(|| Verdict::Failed(judge.protocol(response)));
    };
    let Some(meaning) = meaning(answer.code) else {
        return is_success.then(|| Verdict::Failed(judge.protocol(response)));
    };
    let says = format!(
        "{} (code {}, HTTP {}) from {}",
        judge.redactor.shown(answer.text.as_bytes()),
        answer.code,
        response.status,
        response.address
    );
    Some(match meaning {
        Meaning::Delivered | Meaning::Busy => match (judge.acks, answer.ack) {
            (true, None) => Verdict::Failed(
                PluginError::config(format!("no acknowledgement number from {}", response.address))
                    .with_option("ack")
                    .with_hint("enable indexer acknowledgement for the token, or set `ack: no`"),
            ),
            (_, ack) => Verdict::Delivered(Delivered { ack, is_busy: meaning == Meaning::Busy }),
        },
        Meaning::Login => {
            Verdict::Failed(PluginError::new(ErrorKind::Auth, says).with_hint(judge.preset.right))
        }
        Meaning::Settings => Verdict::Failed(
            PluginError::config(says)
                .with_hint("check option `index`, and whether the token has acknowledgements"),
        ),
        Meaning::Record => match answer.invalid_event {
            Some(number) => Verdict::Names(number, says),
            None => Verdict::Invalid(says),
        },
        Meaning::Unavailable => Verdict::Failed(response.unavailable(says)),
    })
}

#[derive(Deserialize)]
struct Acknowledged {
    acks: BTreeMap<String, bool>,
}

/// The numbers that are acknowledged.
pub(crate) fn acknowledged(response: &Response, judge: &Judge) -> Result<Vec<u64>, PluginError> {
    if response.status != 200 {
        return Err(match verdict(response, judge).unwrap_or_else(|| judge.by_status(response)) {
            Verdict::Failed(error) | Verdict::Login(error) => error,
            _ => judge.protocol(response),
        });
    }
    let answer: Acknowledged =
        serde_json::from_slice(&response.body).map_err(|_| judge.protocol(response))?;
    Ok(answer
        .acks
        .into_iter()
        .filter(|(_, is_done)| *is_done)
        .filter_map(|(ack, _)| ack.parse().ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;
    use crate::preset::Preset;
    use crate::redact::Redactor;

    fn judge(acks: bool) -> Judge {
        Judge { preset: Preset::of("splunk-hec").unwrap(), acks, redactor: Redactor::default() }
    }

    fn response(status: u16, body: &str) -> Response {
        let body = body.as_bytes().to_vec();
        Response { address: "h:8088".to_owned(), status, headers: HeaderMap::new(), body }
    }

    /// The vendor's table: code, status, and what we do.
    #[test]
    fn every_code_has_its_meaning() {
        for (code, status, expected) in [
            (0, 200, "delivered"),
            (1, 403, "auth"),
            (2, 401, "auth"),
            (3, 401, "auth"),
            (4, 403, "auth"),
            (5, 400, "invalid"),
            (6, 400, "invalid"),
            (7, 400, "config"),
            (8, 500, "unavailable"),
            (9, 503, "unavailable"),
            (10, 400, "config"),
            (11, 400, "config"),
            (12, 400, "invalid"),
            (13, 400, "invalid"),
            (14, 400, "config"),
            (15, 400, "invalid"),
            (16, 400, "auth"),
            (18, 503, "unavailable"),
            (19, 503, "unavailable"),
            (20, 503, "unavailable"),
            (21, 400, "auth"),
            (22, 400, "auth"),
            (23, 503, "unavailable"),
            (24, 200, "busy"),
            (25, 200, "busy"),
            (26, 429, "unavailable"),
            (27, 429, "unavailable"),
        ] {
            let body = format!(r#"{{"text":"t","code":{code}}}"#);
            let verdict = verdict(&response(status, &body), &judge(false)).unwrap();
            let found = match verdict {
                Verdict::Delivered(Delivered { is_busy: false, .. }) => "delivered",
                Verdict::Delivered(_) => "busy",
                Verdict::Invalid(_) => "invalid",
                Verdict::Failed(error) if error.kind == ErrorKind::Auth => "auth",
                Verdict::Failed(error) if error.kind == ErrorKind::Config => "config",
                Verdict::Failed(error) if error.kind == ErrorKind::Unavailable => "unavailable",
                other => panic!("{code}: {other:?}"),
            };
            assert_eq!(found, expected, "code {code}");
        }
        assert_eq!(verdict(&response(400, r#"{"text":"t","code":99}"#), &judge(false)), None);
        assert_eq!(verdict(&response(503, "busy"), &judge(false)), None);
        let named = r#"{"text":"Invalid data format","code":6,"invalid-event-number":3}"#;
        let verdict = verdict(&response(400, named), &judge(false)).unwrap();
        assert!(matches!(verdict, Verdict::Names(3, _)), "{verdict:?}");
    }

    #[test]
    fn acknowledgement_number_is_required_and_read() {
        let ok = response(200, r#"{"text":"Success","code":0,"ackId":7}"#);
        let delivered = Verdict::Delivered(Delivered { ack: Some(7), is_busy: false });
        assert_eq!(verdict(&ok, &judge(true)), Some(delivered));
        let none = verdict(&response(200, r#"{"text":"Success","code":0}"#), &judge(true)).unwrap();
        assert!(matches!(none, Verdict::Failed(error) if error.option.as_deref() == Some("ack")));
        let acks = response(200, r#"{"acks":{"1":true,"2":false,"3":true}}"#);
        assert_eq!(acknowledged(&acks, &judge(true)), Ok(vec![1, 3]));
        let off = response(400, r#"{"text":"ACK is disabled","code":14}"#);
        assert_eq!(acknowledged(&off, &judge(true)).unwrap_err().kind, ErrorKind::Config);
    }
}
