//! The verdict about a request, by the rules of its destination.

use crate::answer::{Judge, Response, Verdict};
use crate::preset::Answers;
use crate::{bulk, import, splunk, webhook};

impl Judge {
    /// The verdict about the records with these IDs.
    pub(crate) fn verdict(&self, response: &Response, ids: &[&str]) -> Verdict {
        let by_status = || self.by_status(response);
        match (self.preset.answers, response.status) {
            (Answers::Splunk, _) => splunk::verdict(response, self).unwrap_or_else(by_status),
            (Answers::Bulk, 200) => bulk::verdict(response, self, ids.len()),
            (Answers::Bulk, 409) => Verdict::Invalid(self.says(response)),
            (Answers::Webhook, 200 | 207) => webhook::verdict(response, self, ids),
            (Answers::Import, _) => import::verdict(response, self).unwrap_or_else(by_status),
            (Answers::NoContent, 204) => Verdict::DELIVERED,
            (Answers::EmptyObject, 200) if is_empty(&response.body) => Verdict::DELIVERED,
            (Answers::NoContent | Answers::EmptyObject | Answers::Bulk, 200..=299) => {
                Verdict::Failed(self.protocol(response))
            }
            (_, 200..=299) => Verdict::DELIVERED,
            _ => by_status(),
        }
    }
}

fn is_empty(body: &[u8]) -> bool {
    body.iter().filter(|byte| !byte.is_ascii_whitespace()).all(|byte| b"{}".contains(byte))
}
