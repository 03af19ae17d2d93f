//! Texts of a server for messages, without our secrets.

use scanbridge_plugin_api::{Secret, printable};

/// The secrets that a response may repeat.
#[derive(Debug, Clone, Default)]
pub(crate) struct Redactor {
    secrets: Vec<Secret>,
}

/// Maximum length of a text of a server, in characters.
const SHOWN: usize = 300;
/// Shorter values would be found in many texts.
const SHORTEST: usize = 4;

impl Redactor {
    pub(crate) fn add(&mut self, secret: &Secret) {
        if secret.expose().len() >= SHORTEST
            && self.secrets.iter().all(|known| known.expose() != secret.expose())
        {
            self.secrets.push(secret.clone());
        }
    }

    /// The start of a body in one line.
    pub(crate) fn shown(&self, body: &[u8]) -> String {
        // Longer secrets must not be truncated before they are found.
        let text = String::from_utf8_lossy(&body[..body.len().min(64 << 10)]).into_owned();
        let redact = |text: String, secret: &Secret| text.replace(secret.expose(), "[redacted]");
        let text = self.secrets.iter().fold(text, redact);
        printable(text.trim(), SHOWN).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_response_are_not_shown() {
        let mut redactor = Redactor::default();
        redactor.add(&Secret::new("t0ken-1".to_owned()));
        redactor.add(&Secret::new(String::new()));
        let body = format!("{}\nno t0ken-1 here", "x".repeat(280));
        let shown = redactor.shown(body.as_bytes());
        assert!(!shown.contains("t0ken") && shown.contains("no [reda"), "{shown}");
    }
}
