//! What is known of a checkpoint that the only output keeps.

use crate::state::About;

/// What is known of the checkpoint that the output keeps.
#[derive(Debug)]
pub(crate) struct Kept {
    /// What this run says about its commits, without their numbers.
    about: About,
    /// What the output has stored; `None` before the first commit.
    pub(super) stored: Option<About>,
    /// What the output is to store with the commit in progress.
    pending: Option<About>,
}

impl Kept {
    /// `about` is that of this run; `stored` was loaded.
    pub(crate) fn new(about: About, stored: Option<About>) -> Self {
        Self { about, stored, pending: None }
    }

    /// What the next commit says.
    pub(super) fn next(&mut self) -> About {
        let commit = self.stored.as_ref().map_or(0, |stored| stored.commit) + 1;
        let next = About { commit, ..self.about.clone() };
        self.pending = Some(next.clone());
        next
    }

    /// The commit in progress has happened.
    pub(super) fn commit_succeeded(&mut self) {
        if let Some(committed) = self.pending.take() {
            self.stored = Some(committed);
        }
    }
}
