//! Answers that are given one after the other.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::Answers;
use super::pages::Population;
use super::reply::Reply;
use super::request::Seen;

/// Rules, looked through in their order; a request that no rule fits is answered with status 500.
#[derive(Default)]
pub struct Script {
    rules: Vec<Rule>,
}

struct Rule {
    pattern: String,
    gives: Gives,
}

enum Gives {
    /// The last one is given again and again.
    Replies(Mutex<VecDeque<Reply>>),
    Population(Population),
}

impl Script {
    /// No rule.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is answered to requests that have all words of `pattern`: method, path, `name=value`. The answers are
    /// given in turn, the last one again and again.
    #[must_use]
    pub fn on(mut self, pattern: &str, replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies = Mutex::new(replies.into_iter().collect());
        self.rules.push(Rule { pattern: pattern.to_owned(), gives: Gives::Replies(replies) });
        self
    }

    /// Pages of generated detections and the knowledge base that belongs to them.
    #[must_use]
    pub fn population(mut self, population: Population) -> Self {
        self.rules.push(Rule { pattern: String::new(), gives: Gives::Population(population) });
        self
    }
}

impl Answers for Script {
    fn answer(&self, request: &Seen) -> Reply {
        for rule in self.rules.iter().filter(|rule| request.matches(&rule.pattern)) {
            let found = match &rule.gives {
                Gives::Population(population) => population.answer(request),
                Gives::Replies(replies) => {
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
