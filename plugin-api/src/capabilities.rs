//! Capabilities of plugins. The host derives its delivery method from them.
//!
//! The descriptor declares the maximum that a plugin can do. Each instance may declare less in its answer to `open`,
//! depending on its options: a CSV file can be resumed exactly, a pipe cannot. An unknown word counts as the first
//! word of its list, which is the safest value.

use serde::{Deserialize, Serialize};

/// Defines an enum whose values cross the ABI as words. The first value is the default, and the meaning of an unknown
/// word.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$help:meta])* $value:ident = $word:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(from = "String", into = "&'static str")]
        #[non_exhaustive]
        pub enum $name { $($(#[$help])* $value),+ }

        impl $name {
            /// All values, the safest one first.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$value),+];

            /// The word that crosses the ABI.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$value => $word),+ }
            }
        }

        impl From<$name> for &'static str {
            fn from(value: $name) -> Self { value.word() }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                Self::ALL.iter().copied().find(|value| value.word() == word).unwrap_or_default()
            }
        }
    };
}

words! {
    /// How an output continues a report after an interruption.
    Resume {
        /// It cannot. The host sets no checkpoint inside a report; after an interruption it resends the report from
        /// its start. What the output delivered before may be delivered twice. Receipts are ignored.
        #[default]
        None = "none",
        /// It continues after its receipt. What it wrote after the receipt may be delivered twice.
        Repeats = "repeats",
        /// It continues after its receipt, and removes what it wrote after it.
        Exact = "exact",
    }
}

words! {
    /// What a report replaces at the destination.
    Replaces {
        /// Nothing: records are added.
        #[default]
        None = "none",
        /// All existing findings of each asset in the report.
        Asset = "asset",
        /// Everything that an earlier report wrote.
        Report = "report",
    }
}

words! {
    /// Whether an output accepts a report that contains only some findings of its assets, as replayed dead letters
    /// do.
    Partial {
        /// No: it would replace findings that the report does not contain.
        #[default]
        Refuses = "refuses",
        /// Yes: it adds them to the existing findings.
        Adds = "adds",
    }
}

words! {
    /// Whether the order of batches matters.
    Order {
        /// Batches arrive in the order of the input.
        #[default]
        Stream = "stream",
        /// Batches of a report may arrive in any order.
        Any = "any",
    }
}

words! {
    /// Whether an output reports rejected findings after `write` has returned.
    LateAnswers {
        /// No: `write` returns all results.
        #[default]
        None = "none",
        /// Yes: `commit` may name rows of batches since the last commit.
        Rows = "rows",
    }
}

words! {
    /// Where an input can continue after an interruption.
    Resumes {
        /// Nowhere. There are no checkpoints; an interrupted run starts from the beginning.
        #[default]
        None = "none",
        /// Between two reports.
        Report = "report",
        /// At positions inside a report.
        Position = "position",
    }
}

words! {
    /// Whether an input can read a given report again.
    Rereads {
        /// No.
        #[default]
        No = "no",
        /// Yes.
        Yes = "yes",
    }
}

words! {
    /// Whether an input ends by itself.
    Ends {
        /// Yes.
        #[default]
        Yes = "yes",
        /// No: it waits for new reports until it is stopped.
        No = "no",
    }
}

words! {
    /// Whether `check` judges what is on this machine when the instance is opened for
    /// [`Purpose::Check`](crate::Purpose::Check), and contacts no peer then. Declared by the plugin; the answer of an instance is ignored.
    LocalCheck {
        /// No: the host calls `check` only after opening for [`Purpose::Probe`](crate::Purpose::Probe).
        #[default]
        No = "no",
        /// Yes.
        Yes = "yes",
    }
}

words! {
    /// Whether an input can be read without any effect at its source when the instance is opened for
    /// [`Purpose::Preview`](crate::Purpose::Preview): nothing is started, moved, deleted or marked there. Declared by the
    /// plugin; an instance whose options do not allow it says so with [`Opened::with_effect`](crate::Opened).
    ReadOnly {
        /// No, or not known: the host does not read it.
        #[default]
        No = "no",
        /// Yes.
        Yes = "yes",
    }
}

words! {
    /// Whether an output stores the checkpoint of the pipeline, in the transaction that stores the findings
    /// ([`Output::commit_with`](crate::Output::commit_with)).
    KeepsCheckpoint {
        /// No: the host stores it in its ledger.
        #[default]
        No = "no",
        /// Yes. The output must be the only one of its pipeline, which must have exactly one input.
        Yes = "yes",
    }
}

words! {
    /// Whether an input can read a part of its source ([`Share`](crate::keeper::Share)), so that several machines share the work.
    Shares {
        /// No: it always reads everything.
        #[default]
        No = "no",
        /// Yes: it reads what [`Open::share`](crate::Open::share) says.
        Yes = "yes",
        /// Its source divides the work itself, among all instances that read it: a consumer group. It gets no share.
        Group = "group",
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The capabilities of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct OutputCapabilities {
    /// How it continues a report after an interruption.
    pub resume: Resume,
    /// What a report replaces.
    pub replaces: Replaces,
    /// Whether it accepts partial reports.
    pub partial: Partial,
    /// Whether the order of batches matters.
    pub order: Order,
    /// Whether `commit` can reject rows.
    pub late_answers: LateAnswers,
    /// Whether `check` can be called without contacting a peer.
    #[serde(skip_serializing_if = "is_default")]
    pub local_check: LocalCheck,
    /// Whether it stores the checkpoint of the pipeline.
    #[serde(skip_serializing_if = "is_default")]
    pub keeps_checkpoint: KeepsCheckpoint,
}

impl OutputCapabilities {
    /// The defaults: the host assumes the minimum.
    pub const NONE: Self = Self {
        resume: Resume::None,
        replaces: Replaces::None,
        partial: Partial::Refuses,
        order: Order::Stream,
        late_answers: LateAnswers::None,
        local_check: LocalCheck::No,
        keeps_checkpoint: KeepsCheckpoint::No,
    };

    /// Sets how it continues a report.
    #[must_use]
    pub const fn resume(mut self, resume: Resume) -> Self {
        self.resume = resume;
        self
    }

    /// Sets what a report replaces.
    #[must_use]
    pub const fn replaces(mut self, replaces: Replaces) -> Self {
        self.replaces = replaces;
        self
    }

    /// Sets whether partial reports are accepted.
    #[must_use]
    pub const fn partial(mut self, partial: Partial) -> Self {
        self.partial = partial;
        self
    }

    /// Sets whether the order of batches matters.
    #[must_use]
    pub const fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Sets whether `commit` can reject rows.
    #[must_use]
    pub const fn late_answers(mut self, late_answers: LateAnswers) -> Self {
        self.late_answers = late_answers;
        self
    }

    /// Sets whether `check` can be called without contacting a peer.
    #[must_use]
    pub const fn local_check(mut self, local_check: LocalCheck) -> Self {
        self.local_check = local_check;
        self
    }

    /// Sets whether it stores the checkpoint of the pipeline.
    #[must_use]
    pub const fn keeps_checkpoint(mut self, keeps_checkpoint: KeepsCheckpoint) -> Self {
        self.keeps_checkpoint = keeps_checkpoint;
        self
    }

    /// The effective capabilities of an instance: its own declaration, limited to that of its plugin.
    #[must_use]
    pub fn at_most(self, plugin: Self) -> Self {
        Self {
            resume: self.resume.min(plugin.resume),
            replaces: self.replaces.min(plugin.replaces),
            partial: self.partial.min(plugin.partial),
            order: self.order.min(plugin.order),
            late_answers: self.late_answers.min(plugin.late_answers),
            local_check: self.local_check.min(plugin.local_check),
            keeps_checkpoint: self.keeps_checkpoint.min(plugin.keeps_checkpoint),
        }
    }
}

/// The capabilities of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct InputCapabilities {
    /// Where it can continue after an interruption.
    pub resumes: Resumes,
    /// Whether it can read a given report again.
    pub rereads: Rereads,
    /// Whether it ends by itself.
    pub ends: Ends,
    /// Whether `check` can be called without contacting a peer.
    #[serde(skip_serializing_if = "is_default")]
    pub local_check: LocalCheck,
    /// Whether it can be read without any effect.
    #[serde(skip_serializing_if = "is_default")]
    pub read_only: ReadOnly,
    /// Whether it can read a part of its source.
    #[serde(skip_serializing_if = "is_default")]
    pub shares: Shares,
}

impl InputCapabilities {
    /// The defaults: the host assumes the minimum.
    pub const NONE: Self = Self {
        resumes: Resumes::None,
        rereads: Rereads::No,
        ends: Ends::Yes,
        local_check: LocalCheck::No,
        read_only: ReadOnly::No,
        shares: Shares::No,
    };

    /// Sets where it can continue.
    #[must_use]
    pub const fn resumes(mut self, resumes: Resumes) -> Self {
        self.resumes = resumes;
        self
    }

    /// Sets whether it can read a given report again.
    #[must_use]
    pub const fn rereads(mut self, rereads: Rereads) -> Self {
        self.rereads = rereads;
        self
    }

    /// Sets whether it ends by itself.
    #[must_use]
    pub const fn ends(mut self, ends: Ends) -> Self {
        self.ends = ends;
        self
    }

    /// Sets whether `check` can be called without contacting a peer.
    #[must_use]
    pub const fn local_check(mut self, local_check: LocalCheck) -> Self {
        self.local_check = local_check;
        self
    }

    /// Sets whether it can be read without any effect.
    #[must_use]
    pub const fn read_only(mut self, read_only: ReadOnly) -> Self {
        self.read_only = read_only;
        self
    }

    /// Sets whether it can read a part of its source.
    #[must_use]
    pub const fn shares(mut self, shares: Shares) -> Self {
        self.shares = shares;
        self
    }

    /// The effective capabilities of an instance: its own declaration, limited to that of its plugin.
    #[must_use]
    pub fn at_most(self, plugin: Self) -> Self {
        Self {
            resumes: self.resumes.min(plugin.resumes),
            rereads: self.rereads.min(plugin.rereads),
            ends: self.ends.min(plugin.ends),
            local_check: self.local_check.min(plugin.local_check),
            read_only: self.read_only.min(plugin.read_only),
            shares: self.shares.min(plugin.shares),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_missing_words_get_the_safest_value() {
        let read = |json: &str| serde_json::from_str::<OutputCapabilities>(json).unwrap();
        assert_eq!(read(r#"{"resume": "backwards", "order": "any", "later": 1}"#).resume, Resume::None);
        assert_eq!(read(r#"{"resume": "exact"}"#), OutputCapabilities::NONE.resume(Resume::Exact));
        assert_eq!(read("{}"), OutputCapabilities::NONE);
        let input: InputCapabilities = serde_json::from_str(r#"{"resumes": "position"}"#).unwrap();
        assert_eq!(input, InputCapabilities::NONE.resumes(Resumes::Position));
    }

    #[test]
    fn instance_cannot_do_more_than_its_plugin() {
        let plugin = OutputCapabilities::NONE.resume(Resume::Repeats).partial(Partial::Adds);
        let answer = OutputCapabilities::NONE.resume(Resume::Exact).replaces(Replaces::Report);
        assert_eq!(answer.at_most(plugin), OutputCapabilities::NONE.resume(Resume::Repeats));
    }
}
