//! A checkpoint that an output keeps, as pairs.
//!
//! | Pair | Content |
//! |---|---|
//! | `position/INPUT` | the position of the input; absent after a run that has finished |
//! | `key/INPUT/KEY` | a key of the input |
//! | `state` | the rest of the checkpoint, as JSON; a longer one continues in `state/1`, `state/2` … |
//! | `about` | [`About`], as JSON; changes with each commit |

use scanbridge_plugin_api::keeper::{MAX_VALUE_BYTES, PairChanges, Pairs, Share};
use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, KeyChanges};
use super::error::StateError;
use super::fingerprint::Fingerprint;

/// What the checkpoint belongs to, and its number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// The form of the pairs: 1; 2 if the state has several.
    pub format: u32,
    /// Number of pairs in which the state continues after `state`.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_state: u32,
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

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl About {
    /// The name of its pair.
    pub const NAME: &str = "about";
    const FORMAT: u32 = 1;
    /// A release that does not know the further pairs of the state must not read it.
    const FORMAT_WITH_MORE_STATE: u32 = 2;

    /// The pipeline `pipeline` with this share, before its first commit.
    #[must_use]
    pub fn new(pipeline: &str, share: Share, options: Fingerprint) -> Self {
        let writer = format!("{:016x}", fastrand::u64(..));
        Self {
            format: Self::FORMAT,
            more_state: 0,
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
        if !(About::FORMAT..=About::FORMAT_WITH_MORE_STATE).contains(&format) {
            let why = format!(
                "has the unsupported format {format}; this release supports formats up to {}",
                About::FORMAT_WITH_MORE_STATE
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
        let mut state = Vec::new();
        for number in 0..=about.more_state {
            let name = state_name(number);
            let piece = pairs.get(&name).ok_or_else(|| damaged(&format_args!("no pair `{name}`")))?;
            state.extend_from_slice(piece);
        }
        let mut checkpoint: Checkpoint = serde_json::from_slice(&state).map_err(|error| damaged(&error))?;
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

/// The changes that make this the kept checkpoint, after what was `stored`. Positions of `removed` inputs are removed. `about`
/// gets the form of the pairs.
#[must_use]
pub fn pair_changes(
    about: &mut About,
    stored: Option<&About>,
    checkpoint: &Checkpoint,
    removed: &[String],
    keys: &[(String, KeyChanges)],
) -> PairChanges {
    let to_json = |json: serde_json::Result<Vec<u8>>| json.expect("plain data can be serialized");
    let state = to_json(serde_json::to_vec(checkpoint));
    let pieces = (0..).zip(state.chunks(MAX_VALUE_BYTES));
    let mut changes: PairChanges =
        pieces.map(|(number, piece)| (state_name(number), Some(piece.to_vec()))).collect();
    about.more_state = u32::try_from(changes.len() - 1).unwrap_or(u32::MAX);
    about.format = if about.more_state == 0 { About::FORMAT } else { About::FORMAT_WITH_MORE_STATE };
    let obsolete = about.more_state + 1..=stored.map_or(0, |stored| stored.more_state);
    changes.extend(obsolete.map(|number| (state_name(number), None)));
    changes.insert(About::NAME.to_owned(), Some(to_json(serde_json::to_vec(about))));
    let position = |input: &str| format!("position/{input}");
    changes.extend(removed.iter().map(|input| (position(input), None)));
    let positions = checkpoint.positions.iter();
    changes.extend(positions.map(|(input, value)| (position(input), Some(value.clone()))));
    for (input, values) in keys {
        changes.extend(values.iter().map(|(key, value)| (key_name(input, key), value.clone())));
    }
    changes
}

fn state_name(number: u32) -> String {
    if number == 0 { STATE.to_owned() } else { format!("{STATE}/{number}") }
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
    use scanbridge_plugin_api::{Outcome, ReportKey, StoredReport};

    use super::*;

    fn stored(changes: PairChanges) -> Pairs {
        changes.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    #[test]
    fn checkpoint_is_read_as_it_was_stored() {
        let share = Share::new(1, 2);
        let mut about = About { commit: 7, ..About::new("fetch", share, Fingerprint::default()) };
        let mut checkpoint = Checkpoint { active_input: Some("in".to_owned()), ..Checkpoint::default() };
        checkpoint.positions.insert("in".to_owned(), b"\xff9".to_vec());
        let keys: KeyChanges = [("a/b".to_owned(), Some(b"1".to_vec())), ("gone".to_owned(), None)].into();
        let keys = [("in".to_owned(), keys)];
        let changes = pair_changes(&mut about, None, &checkpoint, &["old".to_owned()], &keys);
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
    fn state_with_many_reports_is_in_several_pairs() {
        let report = |number| {
            let mut key = ReportKey::default();
            key.id = format!("scan/{number}");
            StoredReport::new(key, Outcome::Delivered)
        };
        let unconfirmed = [("in".to_owned(), (0..2_000).map(report).collect())].into();
        let large = Checkpoint { unconfirmed, ..Checkpoint::default() };
        let about = || About::new("fetch", Share::WHOLE, Fingerprint::default());
        let mut first = about();
        let changes = pair_changes(&mut first, None, &large, &[], &[]);
        assert!(first.more_state > 1 && first.format == 2, "{first:?}");
        assert!(changes.values().flatten().all(|value| value.len() <= MAX_VALUE_BYTES));
        scanbridge_plugin_api::keeper::encode_changes(&changes).unwrap();
        let mut pairs = stored(changes);
        let read = KeptCheckpoint::read("bus", &pairs, ("fetch", "in"), Share::WHOLE).unwrap();
        assert_eq!((read.about.as_ref(), &read.checkpoint), (Some(&first), &large));

        // Shorter again: nothing is left over.
        let mut second = about();
        for (name, value) in pair_changes(&mut second, Some(&first), &Checkpoint::default(), &[], &[]) {
            match value {
                Some(value) => drop(pairs.insert(name, value)),
                None => assert!(pairs.remove(&name).is_some(), "{name}"),
            }
        }
        assert_eq!(pairs.keys().collect::<Vec<_>>(), ["about", "state"]);
        let read = KeptCheckpoint::read("bus", &pairs, ("fetch", "in"), Share::WHOLE).unwrap();
        assert_eq!((read.about.unwrap().format, read.checkpoint), (1, Checkpoint::default()));
        // A pair that is missing.
        let mut incomplete = stored(pair_changes(&mut first, None, &large, &[], &[]));
        incomplete.remove("state/1");
        let error = KeptCheckpoint::read("bus", &incomplete, ("fetch", "in"), Share::WHOLE).unwrap_err();
        assert!(error.message.contains("no pair `state/1`"), "{error}");
    }

    #[test]
    fn other_pairs_are_refused() {
        let read = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
            KeptCheckpoint::read("bus", &pairs.collect(), ("fetch", "in"), Share::WHOLE)
        };
        assert_eq!(read(&[]), Ok(KeptCheckpoint::default()));
        let format = r#"{"format": 3, "slots": 1}"#;
        let valid = r#"{"format": 1, "slots": 1, "pipeline": "fetch", "later": true}"#;
        let other = r#"{"format": 1, "slots": 1, "pipeline": "other"}"#;
        for (pairs, message) in [
            (&[("position/in", "x")][..], "no pair `about`"),
            (&[("about", "{")], "is corrupt: EOF"),
            (&[("about", format)], "unsupported format 3"),
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
