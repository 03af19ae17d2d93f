//! Scripted responses.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::Responder;
use super::pages::Population;
use super::reply::Reply;
use super::request::ReceivedRequest;
use super::scans::StoredScans;

/// A list of rules. The first matching rule provides the response; without one the response has status 500.
#[derive(Default)]
pub struct Script {
    rules: Vec<Rule>,
}

struct Rule {
    pattern: String,
    action: Action,
}

enum Action {
    /// One response per request; the last one is repeated.
    Replies(Mutex<VecDeque<Reply>>),
    Population(Population),
    Scans(StoredScans),
}

impl Script {
    /// A script without rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule for requests that contain all words of `pattern`: method, path, `name=value`. Successive requests
    /// get successive replies; the last reply is repeated.
    #[must_use]
    pub fn on(mut self, pattern: &str, replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies = Mutex::new(replies.into_iter().collect());
        self.rules.push(Rule { pattern: pattern.to_owned(), action: Action::Replies(replies) });
        self
    }

    /// Adds a rule that provides pages of generated detections and their knowledge base.
    #[must_use]
    pub fn population(mut self, population: Population) -> Self {
        self.rules.push(Rule { pattern: String::new(), action: Action::Population(population) });
        self
    }

    /// Adds a rule that provides the list of generated scans and their results.
    #[must_use]
    pub fn scans(mut self, scans: StoredScans) -> Self {
        self.rules.push(Rule { pattern: String::new(), action: Action::Scans(scans) });
        self
    }
}

impl Responder for Script {
    fn respond(&self, request: &ReceivedRequest) -> Reply {
        for rule in self.rules.iter().filter(|rule| request.matches(&rule.pattern)) {
            let found = match &rule.action {
                Action::Population(population) => population.respond(request),
                Action::Scans(scans) => scans.respond(request),
                Action::Replies(replies) => {
                    let mut replies = replies.lock().unwrap_or_else(PoisonError::into_inner);
                    match replies.len() {
                        0 | 1 => replies.front().cloned(),
                        _ => replies.pop_front(),
                    }
                }
            };
            if let Some(reply) = found {
                return reply;
            }
        }
        Reply::new(500, "text/plain", format!("no rule for: {}", request.line()))
    }
}
