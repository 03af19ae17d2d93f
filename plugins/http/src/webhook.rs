//! Webhooks: signatures by Standard Webhooks, and responses that name single records.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scanbridge_plugin_api::{PluginError, Result, Secret};
use serde::Deserialize;

use crate::answer::{Judge, RecordVerdict, Response, Verdict};

/// The keys of `sign_secret`.
#[derive(Clone)]
pub(crate) struct Signer {
    keys: Vec<hmac::Key>,
}

impl Signer {
    /// # Errors
    /// A configuration error: a secret has another form or is too short.
    pub(crate) fn new(secret: &Secret) -> Result<Self> {
        let read = |text: &str| {
            let key = STANDARD.decode(text.strip_prefix("whsec_")?).ok()?;
            (key.len() >= SHORTEST_KEY).then(|| hmac::Key::new(hmac::HMAC_SHA256, &key))
        };
        let keys: Option<Vec<_>> = secret.expose().split_whitespace().map(read).collect();
        let keys = keys.filter(|keys| (1..=2).contains(&keys.len()));
        keys.map(|keys| Self { keys }).ok_or_else(|| {
            PluginError::config("option `sign_secret` has another form").with_option("sign_secret").with_hint(
                "write `whsec_` and at least 24 bytes in Base64; two secrets are separated by a space",
            )
        })
    }

    /// The header `webhook-signature` for a body, before compression.
    pub(crate) fn signatures(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let signed = [id.as_bytes(), b".", timestamp.to_string().as_bytes(), b".", body].concat();
        let sign = |key| format!("v1,{}", STANDARD.encode(hmac::sign(key, &signed)));
        self.keys.iter().map(sign).collect::<Vec<_>>().join(" ")
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer([redacted])")
    }
}

const SHORTEST_KEY: usize = 24;

/// The header `webhook-id`: the same for the same records.
pub(crate) fn message_id(ids: &[&str]) -> String {
    let hash = digest(&SHA256, ids.join("\n").as_bytes());
    let digits = hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}"));
    format!("msg_{}", digits.collect::<String>())
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Answer {
    rejected: Vec<Refused>,
    retry: Vec<String>,
}

#[derive(Deserialize)]
struct Refused {
    record_id: String,
    #[serde(default)]
    reason: String,
}

/// The verdict about the records with these IDs. Most receivers answer with a body of their own, or none.
pub(crate) fn verdict(response: &Response, judge: &Judge, ids: &[&str]) -> Verdict {
    let answer: Answer = serde_json::from_slice(&response.body).unwrap_or_default();
    if answer.rejected.is_empty() && answer.retry.is_empty() {
        return Verdict::DELIVERED;
    }
    let verdict = |id: &&str| {
        if let Some(refused) = answer.rejected.iter().find(|refused| refused.record_id == *id) {
            let reason = judge.redactor.shown(refused.reason.as_bytes());
            return RecordVerdict::Rejected(format!("rejected by {}: {reason}", response.address));
        }
        match answer.retry.iter().any(|retry| retry == id) {
            true => RecordVerdict::Retry(format!("{} asked for a retry", response.address)),
            false => RecordVerdict::Delivered,
        }
    };
    Verdict::Each(ids.iter().map(verdict).collect())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;
    use crate::preset::Preset;
    use crate::redact::Redactor;

    /// The example of the specification (standardwebhooks.com), and its signature.
    #[test]
    fn signature_is_that_of_the_specification() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signer = Signer::new(&Secret::new(secret.to_owned())).unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signature = signer.signatures("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let two = Signer::new(&Secret::new(format!("{secret} {secret}"))).unwrap();
        assert_eq!(
            two.signatures("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            format!("{signature} {signature}")
        );
    }

    #[test]
    fn secret_of_another_form_is_refused() {
        for secret in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_YWJj", "whsec_?", "whsec_"] {
            let error = Signer::new(&Secret::new(secret.to_owned())).unwrap_err();
            assert_eq!(error.option.as_deref(), Some("sign_secret"));
            assert!(secret.is_empty() || !error.message.contains(secret), "{error}");
        }
    }

    #[test]
    fn response_names_single_records() {
        let body = br#"{"rejected":[{"record_id":"b","reason":"no owner"}],"retry":["c"]}"#.to_vec();
        let response = Response { address: "h:1".to_owned(), status: 207, headers: HeaderMap::new(), body };
        let expected = vec![
            RecordVerdict::Delivered,
            RecordVerdict::Rejected("rejected by h:1: no owner".to_owned()),
            RecordVerdict::Retry("h:1 asked for a retry".to_owned()),
        ];
        let preset = Preset::of("webhook").unwrap();
        let judge = Judge { preset, acks: false, redactor: Redactor::default() };
        assert_eq!(verdict(&response, &judge, &["a", "b", "c"]), Verdict::Each(expected));
    }
}
