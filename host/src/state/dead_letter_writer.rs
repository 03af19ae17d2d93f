//! Writes the dead letters of one output into the ledger.

use std::sync::Arc;

use super::checkpoint::DeadLetterEnd;
use super::dead_letter::DeadLetter;
use super::error::StateError;
use super::ledger::Ledger;

/// Writes the dead letters of one output, up to a maximum size.
#[derive(Debug)]
pub struct DeadLetterWriter {
    /// `None` for commands that deliver nothing.
    ledger: Option<Arc<Ledger>>,
    output: String,
    /// Dead letters as JSON that are not in the ledger yet.
    buffer: Vec<Vec<u8>>,
    buffered_bytes: usize,
    /// The last dead letter, the buffer included.
    end: DeadLetterEnd,
    max_bytes: u64,
    /// Dead letters that were dropped because the maximum size is reached.
    lost: u64,
    /// `lost` at the last commit.
    committed_lost: u64,
}

/// Size of the buffer above which it is to be written, in bytes.
const BUFFER: usize = 64 << 10;

impl DeadLetterWriter {
    /// Continues after the dead letters that count. Removes later ones: they come from an interrupted run, and their
    /// findings are delivered again.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub fn open(ledger: Option<Arc<Ledger>>, output: &str, max_bytes: u64) -> Result<Self, StateError> {
        let mut end = DeadLetterEnd::default();
        if let Some(ledger) = &ledger {
            end = ledger.dead_letter_end(output)?;
            // Those may count already at the destination.
            end.number = end.number.max(ledger.prepared_dead_letters(output)?);
            ledger.remove_dead_letters_after(output, end.number)?;
        }
        Ok(Self {
            ledger,
            output: output.to_owned(),
            buffer: Vec::new(),
            buffered_bytes: 0,
            end,
            max_bytes,
            lost: 0,
            committed_lost: 0,
        })
    }

    /// Adds a dead letter, or counts it as lost if the maximum size is reached.
    pub fn add(&mut self, dead_letter: &DeadLetter) {
        let letter = dead_letter.to_json();
        // The dead letter of the same finding is replaced.
        let earlier = match (&self.ledger, dead_letter.key()) {
            (Some(ledger), Some(key)) => ledger.size_of_letter(&self.output, key).unwrap_or_default(),
            _ => 0,
        };
        let growth = (letter.len() as u64).saturating_sub(earlier);
        if growth > 0 && self.end.bytes.saturating_add(growth) > self.max_bytes {
            self.lost += 1;
            if self.lost == 1 {
                tracing::error!(
                    instance = self.output,
                    "dead letters have reached their maximum size (`dead_letter_bytes`: {}); further rejected \
                     findings are counted but not stored",
                    self.max_bytes
                );
            }
            return;
        }
        self.end.number += 1;
        self.end.bytes += growth;
        self.buffered_bytes += letter.len();
        self.buffer.push(letter);
    }

    /// The last dead letter, those in the buffer included.
    #[must_use]
    pub fn end(&self) -> DeadLetterEnd {
        self.end
    }

    /// Number of dead letters that were dropped because the maximum size is reached.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether the caller must flush before it adds more.
    #[must_use]
    pub fn needs_flush(&self) -> bool {
        self.buffered_bytes > BUFFER
    }

    /// Writes the buffered dead letters to the ledger.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn flush(&mut self) -> Result<(), StateError> {
        if let Some(ledger) = &self.ledger {
            let first = self.end.number + 1 - self.buffer.len() as u64;
            ledger.write_dead_letters(&self.output, first, &self.buffer)?;
        }
        self.buffer.clear();
        self.buffered_bytes = 0;
        Ok(())
    }

    /// Writes everything to the ledger. The dead letters up to the returned one count with the transaction that stores
    /// it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn commit(&mut self) -> Result<DeadLetterEnd, StateError> {
        self.flush()?;
        self.committed_lost = self.lost;
        Ok(self.end)
    }

    /// Rolls back to a dead letter that [`DeadLetterWriter::commit`] returned.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn roll_back_to(&mut self, end: DeadLetterEnd) -> Result<(), StateError> {
        self.buffer.clear();
        self.buffered_bytes = 0;
        self.end = end;
        self.lost = self.committed_lost;
        match &self.ledger {
            Some(ledger) => ledger.remove_dead_letters_after(&self.output, end.number),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::checkpoint::{Checkpoint, OutputState, SinceCheckpoint};
    use super::super::dead_letter::{Record, ReportRecord, Stage};
    use super::super::ledger::DeadLetterReader;
    use super::super::letter_filter::LetterFilter;
    use super::*;

    fn dead_letter(number: usize) -> DeadLetter {
        DeadLetter {
            stage: Stage::Output { output: "siem".to_owned() },
            run: 1,
            first: String::new(),
            time: "2026-01-31T12:00:00Z".to_owned(),
            reason: number.to_string(),
            attempts: 1,
            report: ReportRecord::default(),
            encryption: String::new(),
            record: Record {
                definition: [("id".to_owned(), number.to_string())].into(),
                ..Record::default()
            },
        }
    }

    fn ledger(folder: &Path) -> Arc<Ledger> {
        Arc::new(Ledger::open(&folder.join("ledger.redb"), &folder.join("p.yaml")).unwrap())
    }

    fn writer(ledger: &Arc<Ledger>, max_bytes: u64) -> DeadLetterWriter {
        DeadLetterWriter::open(Some(Arc::clone(ledger)), "siem", max_bytes).unwrap()
    }

    /// Stores what the writer has committed, as a checkpoint does.
    fn store(ledger: &Ledger, end: DeadLetterEnd) {
        let state = OutputState { dead_letters: end, ..OutputState::default() };
        let outputs = [("siem".to_owned(), state)].into();
        ledger.store(&Checkpoint { outputs, ..Checkpoint::default() }, &SinceCheckpoint::default()).unwrap();
    }

    fn reasons(ledger: &Arc<Ledger>) -> Vec<String> {
        let reader = DeadLetterReader::new(ledger, "siem").unwrap();
        reader.map(|letter| letter.unwrap().1.reason).collect()
    }

    #[test]
    fn uncommitted_dead_letters_are_rolled_back_within_and_between_runs() {
        let folder = tempfile::tempdir().unwrap();
        let open = ledger(folder.path());
        let mut letters = writer(&open, u64::MAX);
        letters.add(&dead_letter(1));
        let first = letters.commit().unwrap();
        letters.add(&dead_letter(2));
        letters.flush().unwrap();
        letters.add(&dead_letter(3));
        letters.roll_back_to(first).unwrap();
        letters.add(&dead_letter(4));
        let second = letters.commit().unwrap();
        assert_eq!(reasons(&open), [""; 0], "none of them counts before the checkpoint");
        store(&open, second);
        assert_eq!(reasons(&open), ["1", "4"]);
        letters.add(&dead_letter(5));
        letters.commit().unwrap();
        drop((letters, open)); // The run is killed here.

        let open = ledger(folder.path());
        let mut letters = writer(&open, u64::MAX);
        assert_eq!(letters.end(), second);
        letters.add(&dead_letter(6));
        store(&open, letters.commit().unwrap());
        assert_eq!(reasons(&open), ["1", "4", "6"]);
    }

    #[test]
    fn many_dead_letters_are_read_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let open = ledger(folder.path());
        let mut letters = writer(&open, u64::MAX);
        for number in 0..1_234 {
            letters.add(&dead_letter(number));
            if letters.needs_flush() {
                letters.flush().unwrap();
            }
        }
        let end = letters.commit().unwrap();
        store(&open, end);
        assert!(reasons(&open).into_iter().eq((0..1_234).map(|number: usize| number.to_string())));
        let counts = open.dead_letter_counts().unwrap();
        let [count] = counts.as_slice() else { panic!("{counts:?}") };
        assert_eq!((count.letters, count.bytes), (1_234, end.bytes));
        assert_eq!(open.remove_dead_letters("siem", 1_000, 0, &LetterFilter::default()).unwrap(), 1_000);
        assert_eq!(reasons(&open).first().map(String::as_str), Some("1000"));
        assert_eq!(writer(&open, u64::MAX).end().bytes, open.dead_letter_counts().unwrap()[0].bytes);
    }

    #[test]
    fn maximum_size_is_kept_and_lost_dead_letters_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let open = ledger(folder.path());
        let mut letters = writer(&open, 1_000);
        (0..50).for_each(|number| letters.add(&dead_letter(number)));
        let end = letters.commit().unwrap();
        store(&open, end);
        assert!(end.bytes <= 1_000, "{end:?}");
        assert_eq!(reasons(&open).len() as u64 + letters.lost(), 50);
        let lost = letters.lost();
        assert!(lost > 0);
        letters.add(&dead_letter(50));
        letters.roll_back_to(end).unwrap();
        assert_eq!(letters.lost(), lost, "a repeated finding is not counted as lost twice");
        assert_eq!(writer(&open, 1_000).end(), end, "the size is kept between runs");
    }

    #[test]
    fn corrupt_dead_letter_affects_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let open = ledger(folder.path());
        let good = [1, 2].map(|number| dead_letter(number).to_json());
        open.write_dead_letters("siem", 1, &[good[0].clone(), b"{".to_vec(), good[1].clone()]).unwrap();
        store(&open, DeadLetterEnd { number: 3, bytes: 0 });
        let read: Vec<_> = DeadLetterReader::new(&open, "siem").unwrap().collect();
        assert_eq!(read.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        assert!(read[1].as_ref().unwrap_err().message.starts_with("dead letter 2 of siem is corrupt"));
    }

    /// A finding that is rejected in each run has one dead letter, also when they have reached their maximum size.
    #[test]
    fn finding_has_one_dead_letter_however_often_it_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let open = ledger(folder.path());
        for run in 1..=4 {
            let mut letters = writer(&open, 1_500);
            for number in 0..3 {
                let time = format!("2026-01-0{run}T12:00:00Z");
                letters.add(&DeadLetter { run, time, ..dead_letter(number) });
            }
            store(&open, letters.commit().unwrap());
            assert_eq!(letters.lost(), 0, "run {run}");
            let reader = DeadLetterReader::new(&open, "siem").unwrap();
            let letters: Vec<_> = reader.map(|letter| letter.unwrap().1).collect();
            assert_eq!(letters.len(), 3, "run {run}");
            for letter in letters {
                assert_eq!((u64::from(letter.attempts), letter.run), (run, 1));
                assert_eq!(letter.first(), "2026-01-01T12:00:00Z");
                assert_eq!(letter.time, format!("2026-01-0{run}T12:00:00Z"));
            }
            let [count] = open.dead_letter_counts().unwrap().try_into().unwrap();
            assert_eq!(open.dead_letter_end("siem").unwrap().bytes, count.bytes);
        }
        // A removed dead letter is forgotten.
        open.remove_dead_letters("siem", u64::MAX, 0, &LetterFilter::default()).unwrap();
        let mut letters = writer(&open, 1_500);
        letters.add(&dead_letter(0));
        store(&open, letters.commit().unwrap());
        let [letter] = DeadLetterReader::new(&open, "siem").unwrap().collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(letter.unwrap().1.attempts, 1);
    }

    /// Dead letters that are rolled back have not been merged with those that count.
    #[test]
    fn rolled_back_dead_letters_leave_earlier_ones_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let open = ledger(folder.path());
        let mut letters = writer(&open, u64::MAX);
        letters.add(&dead_letter(0));
        let end = letters.commit().unwrap();
        store(&open, end);
        letters.add(&dead_letter(0));
        letters.commit().unwrap();
        letters.roll_back_to(end).unwrap();
        let [letter] = DeadLetterReader::new(&open, "siem").unwrap().collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(letter.unwrap().1.attempts, 1);
        letters.add(&dead_letter(0));
        store(&open, letters.commit().unwrap());
        let [letter] = DeadLetterReader::new(&open, "siem").unwrap().collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(letter.unwrap().1.attempts, 2);
    }

    /// The output keeps the checkpoint: whether a commit has happened is known when the checkpoint is loaded.
    #[test]
    fn prepared_dead_letters_count_if_their_commit_has_happened() {
        let loaded = |at: (u32, u64)| {
            let folder = tempfile::tempdir().unwrap();
            let open = ledger(folder.path());
            let mut letters = writer(&open, u64::MAX);
            letters.add(&dead_letter(1));
            letters.flush().unwrap();
            let state = OutputState { dead_letters: letters.end(), ..OutputState::default() };
            let checkpoint =
                Checkpoint { outputs: [("siem".to_owned(), state)].into(), ..Checkpoint::default() };
            open.prepare((0, 7), &checkpoint, &SinceCheckpoint::default()).unwrap();
            assert_eq!(reasons(&open), [""; 0]);
            drop((letters, open)); // The run is killed here.

            // A replay in between keeps them.
            let open = ledger(folder.path());
            assert_eq!(writer(&open, u64::MAX).end().number, 1);
            let (checkpoint, keys) = (Checkpoint::default(), std::collections::BTreeMap::new());
            open.replace_by_loaded(at, (&checkpoint, false), ("in", &keys)).unwrap();
            drop(writer(&open, u64::MAX));
            reasons(&open)
        };
        assert_eq!(loaded((0, 7)), ["1"]);
        assert_eq!(loaded((0, 9)), ["1"], "another machine has continued");
        assert_eq!(loaded((0, 6)), [""; 0]);
        assert_eq!(loaded((1, 6)), ["1"], "the commits of another share do not tell");
    }
}
