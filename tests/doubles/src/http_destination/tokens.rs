//! A token server (OAuth 2.0).

use serde_json::json;

use super::{Answer, Request};

/// Gives tokens for a client secret, or for a signed assertion.
#[derive(Debug, Default)]
pub struct Tokens {
    /// The required parts of the form, for example `client_secret=x`.
    pub required: Vec<String>,
    /// The life of tokens, in seconds.
    pub life: u64,
    /// The time of the server, as in the header `Date`; assertions are refused then. Empty: that of this machine.
    pub date: &'static str,
    /// How many tokens were given.
    pub given: usize,
    /// The forms of all requests.
    pub forms: Vec<String>,
}

impl Tokens {
    /// The response to a request for a token.
    pub fn respond(&mut self, request: &Request) -> Answer {
        let form = request.text();
        let parts: Vec<&str> = form.split('&').collect();
        let is_complete = self.required.iter().all(|part| parts.contains(&part.as_str()));
        self.forms.push(form.clone());
        if !is_complete {
            return Answer::json(401, &json!({ "error": "invalid_client", "error_description": form }));
        }
        if !self.date.is_empty() && form.contains("assertion=") {
            let text = "Invalid JWT: Token must be a short-lived token and in a reasonable timeframe.";
            let refusal = json!({ "error": "invalid_grant", "error_description": text });
            return Answer::json(400, &refusal).header("Date", self.date);
        }
        self.given += 1;
        let answer = json!({ "access_token": self.token(), "token_type": "Bearer", "expires_in": self.life });
        match self.date {
            "" => Answer::json(200, &answer),
            date => Answer::json(200, &answer).header("Date", date),
        }
    }

    /// The token that was given last.
    #[must_use]
    pub fn token(&self) -> String {
        format!("t0ken-{}", self.given)
    }

    /// Whether a request has the last token.
    #[must_use]
    pub fn accept(&self, request: &Request) -> bool {
        request.header("authorization").is_some_and(|login| login == format!("Bearer {}", self.token()))
    }
}
