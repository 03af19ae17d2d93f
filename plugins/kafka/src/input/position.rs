//! Positions: the next record of each partition.

use std::collections::BTreeMap;

use scanbridge_plugin_api::{PluginError, Position, Result};

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Partition {
    pub(super) topic: String,
    pub(super) number: i32,
}

impl Partition {
    pub(super) fn of(topic: &str, number: i32) -> Self {
        Self { topic: topic.to_owned(), number }
    }
}

/// The offsets of the next records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Offsets(BTreeMap<Partition, i64>);

impl Offsets {
    pub(super) fn get(&self, partition: &Partition) -> Option<i64> {
        self.0.get(partition).copied()
    }

    pub(super) fn set(&mut self, partition: Partition, next: i64) {
        self.0.insert(partition, next);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Partition, i64)> {
        self.0.iter().map(|(partition, next)| (partition, *next))
    }

    /// Takes over these positions.
    pub(super) fn update(&mut self, other: &Self) {
        self.0.extend(other.0.iter().map(|(partition, next)| (partition.clone(), *next)));
    }

    pub(super) fn remove(&mut self, partition: &Partition) {
        self.0.remove(partition);
    }

    /// The form that the ledger stores: `{"topic":{"0":1234}}`.
    pub(super) fn to_position(&self) -> Position {
        let mut topics: BTreeMap<&str, BTreeMap<i32, i64>> = BTreeMap::new();
        for (partition, next) in self.iter() {
            topics.entry(&partition.topic).or_default().insert(partition.number, next);
        }
        Position(serde_json::to_vec(&topics).expect("plain data can be serialized"))
    }

    /// # Errors
    /// [`scanbridge_plugin_api::ErrorKind::Config`]: it is not a position of this input.
    pub(super) fn of_position(position: &Position) -> Result<Self> {
        let topics: BTreeMap<String, BTreeMap<i32, i64>> =
            serde_json::from_slice(&position.0).map_err(|_| {
                PluginError::config("the saved position of this input cannot be read").with_hint(
                    "run with --restart: reading continues at the position that the brokers store for the group",
                )
            })?;
        let all = topics.into_iter().flat_map(|(topic, partitions)| {
            partitions.into_iter().map(move |(number, next)| (Partition::of(&topic, number), next))
        });
        Ok(Self(all.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_stored_and_read() {
        let mut offsets = Offsets::default();
        offsets.set(Partition::of("b", 11), 7);
        offsets.set(Partition::of("a.x", 2), 1 << 40);
        let position = offsets.to_position();
        assert_eq!(position.0, br#"{"a.x":{"2":1099511627776},"b":{"11":7}}"#);
        assert_eq!(Offsets::of_position(&position).unwrap(), offsets);
        assert!(Offsets::of_position(&Position(b"{\"a\": 1}".to_vec())).is_err());
    }
}
