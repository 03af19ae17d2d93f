//! Redacts the values of secret options in everything that a plugin reports to the host: errors, reasons, notes,
//! check steps and log lines. Findings are not searched.

use std::borrow::Cow;
use std::sync::{PoisonError, RwLock};

/// Replaces a secret.
const REDACTED: &str = "[redacted]";

/// Minimum length of a secret, in bytes. Shorter values are not redacted because they occur in ordinary text.
const MIN_SECRET_BYTES: usize = 4;

/// The secrets of this process: as text, and as the content of a JSON string. Longer ones come first, because one may
/// contain another.
static SECRETS: RwLock<Vec<(String, String)>> = RwLock::new(Vec::new());

/// Redacts this text from now on, for the life of the process. Texts shorter than four bytes are ignored.
pub fn mask(secret: &str) {
    let quoted = serde_json::to_string(secret).expect("a text can be serialized");
    let pair = (secret.to_owned(), quoted[1..quoted.len() - 1].to_owned());
    let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    if secret.len() >= MIN_SECRET_BYTES && !secrets.contains(&pair) {
        secrets.push(pair);
        secrets.sort_by_key(|(plain, _)| std::cmp::Reverse(plain.len()));
    }
}

/// Redacts secrets in a text.
#[must_use]
pub fn masked(text: &str) -> Cow<'_, str> {
    redact(text, |(plain, _)| plain)
}

/// Redacts secrets in a JSON document.
pub(super) fn masked_json(json: &[u8]) -> Cow<'_, [u8]> {
    if SECRETS.read().unwrap_or_else(PoisonError::into_inner).is_empty() {
        return json.into();
    }
    match std::str::from_utf8(json).map(|json| redact(json, |(_, quoted)| quoted)) {
        Ok(Cow::Owned(json)) => json.into_bytes().into(),
        _ => json.into(),
    }
}

fn redact(text: &str, form: impl Fn(&(String, String)) -> &String) -> Cow<'_, str> {
    let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    secrets.iter().map(form).fold(Cow::Borrowed(text), |text, secret| {
        if text.contains(secret.as_str()) { text.replace(secret.as_str(), REDACTED).into() } else { text }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_redacted_in_texts_and_json() {
        mask("tow\"3L/one");
        mask("tow\"3L/one and more");
        mask("abc");
        assert_eq!(masked("login tow\"3L/one failed, abc"), "login [redacted] failed, abc");
        assert_eq!(masked("tow\"3L/one and more"), "[redacted]");
        let json = serde_json::to_vec(&["x tow\"3L/one"]).unwrap();
        assert_eq!(&*masked_json(&json), br#"["x [redacted]"]"#);
        assert_eq!(&*masked_json(b"\xff"), b"\xff");
        assert!(matches!(masked("nothing to hide"), Cow::Borrowed(_)));
    }
}
