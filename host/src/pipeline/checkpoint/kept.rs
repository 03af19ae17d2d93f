//! What is known of a checkpoint that the only output keeps.

use scanbridge_plugin_api::keeper::PairChanges;

use crate::state::{About, Checkpoint, KeyChanges, pair_changes};

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

    /// The share of this run, and the number of the next commit.
    pub(super) fn next(&self) -> (u32, u64) {
        (self.about.share, self.stored.as_ref().map_or(0, |stored| stored.commit) + 1)
    }

    /// The pairs of the next commit, for this checkpoint. Positions of `removed` inputs are removed.
    pub(super) fn changes(
        &mut self,
        checkpoint: &Checkpoint,
        removed: &[String],
        keys: &[(String, KeyChanges)],
    ) -> PairChanges {
        let mut next = About { commit: self.next().1, ..self.about.clone() };
        let changes = pair_changes(&mut next, self.stored.as_ref(), checkpoint, removed, keys);
        self.pending = Some(next);
        changes
    }

    /// The commit in progress has happened.
    pub(super) fn commit_succeeded(&mut self) {
        if let Some(committed) = self.pending.take() {
            self.stored = Some(committed);
        }
    }
}
