//! Tests the guarantee of the ledger, with a crash between any two of its steps. The files, truncated to their
//! receipts, and the input, opened at its position, together contain every record exactly once.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use redb::StorageBackend;
use scanbridge_plugin_api::Position;

use super::*;
use crate::pipeline::item::Mark;

const RECORDS: u8 = 12;

/// A disk that fails after a number of steps and then loses what was not synced, except writes that happened to reach
/// it.
#[derive(Debug, Clone)]
pub(super) struct Disk(Arc<Mutex<Sectors>>);

#[derive(Debug)]
struct Sectors {
    /// Content that certainly survives a crash.
    durable: Vec<u8>,
    written: Vec<u8>,
    /// Writes since the last sync: offset and length.
    unsynced: Vec<(usize, usize)>,
    steps_left: u64,
    /// Bit mask of the unsynced writes that survive a crash.
    survivors: u64,
}

impl Disk {
    pub(super) fn new(survivors: u64) -> Self {
        let (durable, written, unsynced) = (Vec::new(), Vec::new(), Vec::new());
        Self(Arc::new(Mutex::new(Sectors { durable, written, unsynced, steps_left: u64::MAX, survivors })))
    }

    pub(super) fn fail_after(&self, steps: u64) {
        self.0.lock().unwrap().steps_left = steps;
    }

    /// A power failure and a restart.
    pub(super) fn crash(&self) {
        let mut sectors = self.0.lock().unwrap();
        let mut left = sectors.durable.clone();
        for (number, (start, length)) in std::mem::take(&mut sectors.unsynced).into_iter().enumerate() {
            let end = (start + length).min(sectors.written.len());
            if sectors.survivors >> (number % 64) & 1 == 1 && start < end {
                left.resize(left.len().max(end), 0);
                left[start..end].copy_from_slice(&sectors.written[start..end]);
            }
        }
        sectors.written.clone_from(&left);
        sectors.durable = left;
        sectors.steps_left = u64::MAX;
    }

    fn step(&self) -> io::Result<std::sync::MutexGuard<'_, Sectors>> {
        let mut sectors = self.0.lock().unwrap();
        sectors.steps_left =
            sectors.steps_left.checked_sub(1).ok_or_else(|| io::Error::other("power cut"))?;
        Ok(sectors)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().written.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let sectors = self.0.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let bytes = sectors.written.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or_else(|| io::Error::other("beyond the end"))?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut sectors = self.step()?;
        // A file grows before its content is written: after a crash the new part may be zeros.
        let len = usize::try_from(len).unwrap();
        sectors.written.resize(len, 0);
        sectors.durable.resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut sectors = self.step()?;
        let written = sectors.written.clone();
        sectors.durable = written;
        sectors.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut sectors = self.step()?;
        let start = usize::try_from(offset).unwrap();
        sectors.written[start..start + data.len()].copy_from_slice(data);
        sectors.unsynced.push((start, data.len()));
        Ok(())
    }
}

/// A file output: committed data stays on the disk, and a receipt is the file length.
#[derive(Debug, Default)]
struct File {
    durable: Vec<u8>,
    buffer: Vec<u8>,
    /// The next item of the stream.
    next: usize,
}

fn outputs(ids: [&str; 2]) -> Vec<OutputIds> {
    ids.map(|id| OutputIds { ids: vec![id.to_owned()], resumes: true, keys: Vec::new() }).into()
}

/// A barrier inside a report.
fn mark(number: u64) -> Mark {
    Mark { number, ends_report: false }
}

#[derive(Debug, Clone)]
enum Step {
    Record(u8),
    Mark(u64),
}

/// Runs from the ledger's checkpoint until everything is delivered or the disk fails. `schedule` selects the output for
/// each step.
fn run(
    disk: &Disk,
    is_new: bool,
    files: &mut [File; 2],
    schedule: &[bool],
    crash_at: u64,
) -> Result<(), StateError> {
    let ledger = Arc::new(Ledger::with_storage(disk.clone(), is_new)?);
    let from = ledger.checkpoint()?.unwrap_or_default();
    let first = from.positions.get("in").map_or(0, |position| position[0]);
    for (number, file) in files.iter_mut().enumerate() {
        let receipt = from.outputs.get(&number.to_string());
        let length = receipt.map_or(0, |state| usize::from(state.receipt.as_ref().unwrap()[0]));
        assert!(file.durable.len() >= length, "the file is shorter than its receipt");
        file.durable.truncate(length);
        (file.buffer, file.next) = (Vec::new(), 0);
    }
    let checkpoints = Checkpoints::new(
        Some(ledger),
        from,
        Inputs { ids: vec!["in".to_owned()], ..Inputs::default() },
        outputs(["0", "1"]),
        (1, Vec::new()),
        Arc::default(),
    );
    let steps: Vec<Step> = (first..RECORDS)
        .flat_map(|record| {
            let mark = checkpoints.mark(NewMark {
                input: 0,
                position: Some(Position(vec![record + 1])),
                in_report: record + 1 < RECORDS,
                ended: None,
            });
            [Step::Record(record), Step::Mark(mark)]
        })
        .collect();
    let step_count = AtomicU64::new(0);
    let mut schedule = schedule.iter().cycle();
    while files.iter().any(|file| file.next < steps.len()) {
        let number = usize::from(*schedule.next().unwrap());
        let number = if files[number].next < steps.len() { number } else { 1 - number };
        if step_count.fetch_add(1, Ordering::Relaxed) == crash_at {
            // The process dies between two steps.
            return Err(StateError { message: "killed".to_owned(), hint: None, exit_code: 70 });
        }
        let file = &mut files[number];
        let step = steps[file.next].clone();
        file.next += 1;
        match step {
            Step::Record(record) => file.buffer.push(record),
            Step::Mark(mark) => {
                file.durable.append(&mut file.buffer);
                let receipt = vec![u8::try_from(file.durable.len()).unwrap()];
                let state = OutputState { receipt: Some(receipt), ..OutputState::default() };
                let states = vec![(number.to_string(), state)];
                checkpoints.committed(number, self::mark(mark), states, None)?;
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn every_record_is_stored_once_despite_crashes(
        survivors in any::<u64>(),
        schedule in proptest::collection::vec(any::<bool>(), 1..40),
        crashes in proptest::collection::vec((any::<bool>(), 0_u64..400), 1..6),
    ) {
        let disk = Disk::new(survivors);
        drop(Ledger::with_storage(disk.clone(), true).unwrap());
        let mut files = [File::default(), File::default()];
        for (on_disk, step) in crashes {
            if on_disk {
                disk.fail_after(step);
            }
            let crash_at = if on_disk { u64::MAX } else { step % 60 };
            let _ = run(&disk, false, &mut files, &schedule, crash_at);
            disk.crash();
        }
        run(&disk, false, &mut files, &schedule, u64::MAX).expect("a run without a crash succeeds");
        for file in &files {
            prop_assert_eq!(&file.durable, &(0..RECORDS).collect::<Vec<_>>());
        }
    }
}

#[test]
fn late_output_gets_a_gap_and_unavailable_output_is_not_awaited() {
    let checkpoints = Checkpoints::new(
        None,
        Checkpoint::default(),
        Inputs { ids: vec!["in".to_owned()], ..Inputs::default() },
        outputs(["a", "b"]),
        (1, Vec::new()),
        Arc::default(),
    );
    let new_mark = || NewMark { input: 0, position: Some(Position(vec![1])), in_report: true, ended: None };
    let (first, second) = (checkpoints.mark(new_mark()), checkpoints.mark(new_mark()));
    let state = |id: &str| vec![(id.to_owned(), OutputState::default())];
    checkpoints.committed(0, mark(first), state("a"), None).unwrap();
    assert!(!checkpoints.wait_stored(first, Duration::ZERO));
    checkpoints.committed(1, mark(first), state("b"), None).unwrap();
    assert!(checkpoints.wait_stored(first, Duration::ZERO));
    checkpoints.committed(0, mark(second), state("a"), None).unwrap();
    assert!(!checkpoints.wait_stored(second, Duration::ZERO));
    checkpoints.exclude_output(1, "refused").unwrap();
    assert!(checkpoints.wait_stored(second, Duration::ZERO));
    assert!(!checkpoints.is_everything_settled(), "nothing was published yet");
    checkpoints.published(0, second);
    assert!(checkpoints.is_everything_settled());
    let reached = checkpoints.lock().checkpoint.clone();
    assert!(!reached.outputs["a"].has_gap);
    assert!(reached.outputs["b"].has_gap, "it lacks the records between the two marks");
}

/// A run that delivers chosen reports opens only their input.
#[test]
fn reports_of_an_input_that_is_not_open_stay_unconfirmed() {
    let key = ReportKey::default().with_input("other").with_id("scan/1");
    let report = StoredReport::new(key, scanbridge_plugin_api::Outcome::Delivered);
    let unconfirmed: BTreeMap<_, _> = [("other".to_owned(), vec![report])].into();
    let checkpoints = Checkpoints::new(
        None,
        Checkpoint { unconfirmed: unconfirmed.clone(), ..Checkpoint::default() },
        Inputs { ids: vec!["in".to_owned()], ..Inputs::default() },
        outputs(["a", "b"]),
        (1, Vec::new()),
        Arc::default(),
    );
    assert!(checkpoints.take_notification(0).is_none(), "the open input is not informed about it");
    assert_eq!(checkpoints.unconfirmed(), unconfirmed);
}
