//! A checkpoint that an output keeps, as pairs.
//!
//! | Pair | Content |
//! |---|---|
//! | `position/INPUT` | the position of the input; absent after a run that has finished |
//! | `key/INPUT/KEY` | a key of the input |
//! | `state` | the rest of the checkpoint, as JSON |
//! | `about` | [`About`], as JSON; changes with each commit |

use std::collections::BTreeMap;

use scanbridge_plugin_api::keeper::{PairChanges, Pairs, Share};
use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, KeyChanges};
use super::error::StateError;
use super::fingerprint::Fingerprint;

/// What the checkpoint belongs to, and its number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// The form of the pairs: 1.
    pub format: u32,
    /// Number of shares; each has a checkpoint of its own.
    pub slots: u32,
    /// The number of the share.
    pub share: u32,
    /// The name of the pipeline.
    pub pipeline: String,
    /// Number of the commit; counts up for ever.
    pub commit: u64,
    /// A random text of the run that has committed it.
    pub writer: String,
    /// What the pipeline delivers: decides whether another run can resume.
    pub options: Fingerprint,
}

impl About {
    /// The name of its pair.
    pub const NAME: &str = "about";
    const FORMAT: u32 = 1;

    /// The pipeline `pipeline` with this share, before its first commit.
    #[must_use]
    pub fn new(pipeline: &str, share: Share, options: Fingerprint) -> Self {
        let writer = format!("{:016x}", fastrand::u64(..));
        Self {
            format: Self::FORMAT,
            slots: share.of,
            share: share.number,
            pipeline: pipeline.to_owned(),
            commit: 0,
            writer,
            options,
        }
    }
}

/// A loaded checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptCheckpoint {
    /// `None` before the first commit.
    pub about: Option<About>,
    /// Without a position, the last run has finished.
    pub checkpoint: Checkpoint,
    /// The keys of the input.
    pub keys: Pairs,
}

const STATE: &str = "state";

impl KeptCheckpoint {
    /// Reads the pairs of the output with this `id`, for the pipeline of this name, with the `id` of its only input.
    ///
    /// # Errors
    /// When they are not those of a checkpoint, or of another form, or of another number of shares.
    pub fn read(
        output: &str,
        pairs: &Pairs,
        (pipeline, input): (&str, &str),
        share: Share,
    ) -> Result<Self, StateError> {
        if pairs.is_empty() {
            return Ok(Self::default());
        }
        let damaged = |why: &dyn std::fmt::Display| unusable(output, &format!("is corrupt: {why}"));
        let about = pairs.get(About::NAME).ok_or_else(|| damaged(&"no pair `about`"))?;
        let about: About = serde_json::from_slice(about).map_err(|error| damaged(&error))?;
        let About { format, slots, .. } = about;
        if format != About::FORMAT {
            let why = format!(
                "has the unsupported format {format}; this release supports format {}",
                About::FORMAT
            );
            return Err(unusable(output, &why));
        }
        if slots != share.of {
            return Err(unusable(
                output,
                &format!("is one of {slots} shares; this run has one of {}", share.of),
            ));
        }
        if about.pipeline != pipeline {
            return Err(unusable(output, &format!("belongs to pipeline `{}`", about.pipeline)));
        }
        let state = pairs.get(STATE).ok_or_else(|| damaged(&"no pair `state`"))?;
        let mut checkpoint: Checkpoint = serde_json::from_slice(state).map_err(|error| damaged(&error))?;
        let positions = pairs
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix("position/")?.to_owned(), value.clone())));
        checkpoint.positions = positions.collect();
        let prefix = key_name(input, "");
        let keys = pairs
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?.to_owned(), value.clone())));
        Ok(Self { keys: keys.collect(), about: Some(about), checkpoint })
    }
}

/// The changes that make this the kept checkpoint. Positions of `removed` inputs are removed.
#[must_use]
pub fn pair_changes(
    about: &About,
    checkpoint: &Checkpoint,
    removed: &[String],
    keys: &[(String, KeyChanges)],
) -> PairChanges {
    let to_json = |json: serde_json::Result<Vec<u8>>| json.expect("plain data can be serialized");
    let mut changes = BTreeMap::from([
        (About::NAME.to_owned(), Some(to_json(serde_json::to_vec(about)))),
        (STATE.to_owned(), Some(to_json(serde_json::to_vec(checkpoint)))),
    ]);
    let position = |input: &str| format!("position/{input}");
    changes.extend(removed.iter().map(|input| (position(input), None)));
    let positions = checkpoint.positions.iter();
    changes.extend(positions.map(|(input, value)| (position(input), Some(value.clone()))));
    for (input, values) in keys {
        changes.extend(values.iter().map(|(key, value)| (key_name(input, key), value.clone())));
    }
    changes
}

fn key_name(input: &str, key: &str) -> String {
    format!("key/{input}/{key}")
}

fn unusable(output: &str, why: &str) -> StateError {
    StateError {
        message: format!("the checkpoint that output `{output}` keeps {why}"),
        hint: Some(
            "use the Scanbridge release and the options with which it was stored, or remove it at the destination"
                .to_owned(),
        ),
        exit_code: 78,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(changes: PairChanges) -> Pairs {
        changes.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    #[test]
    fn checkpoint_is_read_as_it_was_stored() {
        let share = Share::new(1, 2);
        let about = About { commit: 7, ..About::new("fetch", share, Fingerprint::default()) };
        let mut checkpoint = Checkpoint { active_input: Some("in".to_owned()), ..Checkpoint::default() };
        checkpoint.positions.insert("in".to_owned(), b"\xff9".to_vec());
        let keys: KeyChanges = [("a/b".to_owned(), Some(b"1".to_vec())), ("gone".to_owned(), None)].into();
        let changes = pair_changes(&about, &checkpoint, &["old".to_owned()], &[("in".to_owned(), keys)]);
        assert_eq!((&changes["position/old"], &changes["key/in/gone"]), (&None, &None));
        let read = KeptCheckpoint::read("bus", &stored(changes.clone()), ("fetch", "in"), share).unwrap();
        assert_eq!(read.keys, [("a/b".to_owned(), b"1".to_vec())].into());
        assert_eq!((read.about.unwrap(), read.checkpoint), (about, checkpoint));
        let other =
            KeptCheckpoint::read("bus", &stored(changes), ("fetch", "in"), Share::new(1, 3)).unwrap_err();
        assert_eq!(
            other.message,
            "the checkpoint that output `bus` keeps is one of 2 shares; this run has one of 3"
        );
    }

    #[test]
    fn other_pairs_are_refused() {
        let read = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
            KeptCheckpoint::read("bus", &pairs.collect(), ("fetch", "in"), Share::WHOLE)
        };
        assert_eq!(read(&[]), Ok(KeptCheckpoint::default()));
        let format = r#"{"format": 2, "slots": 1}"#;
        let valid = r#"{"format": 1, "slots": 1, "pipeline": "fetch", "later": true}"#;
        let other = r#"{"format": 1, "slots": 1, "pipeline": "other"}"#;
        for (pairs, message) in [
            (&[("position/in", "x")][..], "no pair `about`"),
            (&[("about", "{")], "is corrupt: EOF"),
            (&[("about", format)], "unsupported format 2"),
            (&[("about", "{}")], "unsupported format 0"),
            (&[("about", other)], "belongs to pipeline `other`"),
            (&[("about", valid)], "no pair `state`"),
            (&[("about", valid), ("state", "[")], "is corrupt"),
        ] {
            let error = read(pairs).unwrap_err();
            assert!(error.exit_code == 78 && error.message.contains(message), "{error}");
        }
        assert!(read(&[("about", valid), ("state", "{}"), ("later", "")]).is_ok());
    }
}
