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
        self.given += 1;
        Answer::json(
            200,
            &json!({ "access_token": self.token(), "token_type": "Bearer", "expires_in": self.life }),
        )
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
