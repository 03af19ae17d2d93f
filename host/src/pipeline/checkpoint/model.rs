//! Publication in two phases, with a crash between any two steps. Outputs seal, commit and publish with random
//! delays, and the ledger suffers a power loss. Every output publishes each record exactly once.

use proptest::prelude::*;
use scanbridge_observe::ReportEvent;
use scanbridge_plugin_api::{Outcome, Position, ReportKey};

use super::tests::Disk;
use super::*;
use crate::pipeline::item::Mark;
use crate::pipeline::output::Ended;
use crate::state::{AheadReport, SentReport};

/// An item that an input sends. A barrier follows each record, and the end of each report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Begin(u8),
    Record(u8),
    End(u8),
}

/// Number of records in each report.
const REPORTS: [u8; 4] = [3, 0, 2, 4];

fn stream() -> Vec<Event> {
    let mut next = 0;
    let mut events = Vec::new();
    for (report, records) in (0..).zip(REPORTS) {
        events.push(Event::Begin(report));
        for _ in 0..records {
            events.push(Event::Record(next));
            next += 1;
        }
        events.push(Event::End(report));
    }
    events
}

fn key(report: u8) -> ReportKey {
    ReportKey::default().with_id(report.to_string())
}

/// A file output: numbered parts, which `stored` publishes. Unsynchronized data is lost in a crash.
#[derive(Debug, Default)]
struct Output {
    published: Vec<u8>,
    parts: BTreeMap<u8, Vec<u8>>,
    /// The part being written, with records that are not durable yet.
    current: Option<(u8, Vec<u8>)>,
    /// The part that was sealed at the last end of a report.
    sealed: Option<u8>,
    /// The next event of this output, and its next step there.
    next: usize,
    step: u8,
    skipping: bool,
    ahead: Vec<AheadReport>,
}

/// A receipt: the part, its length, and whether it is sealed.
type PartReceipt = [u8; 3];

impl Output {
    /// Opens at a receipt: publishes a sealed part, or truncates the part to its length.
    fn open(&mut self, receipt: Option<PartReceipt>) {
        (self.current, self.sealed, self.step, self.skipping) = (None, None, 0, false);
        match receipt {
            Some([part, _, 1]) => {
                self.publish(part);
                self.sealed = Some(part);
            }
            Some([part, length, _]) => {
                let known = self.parts.get_mut(&part).expect("a committed part exists");
                assert!(known.len() >= usize::from(length), "a part is shorter than its receipt");
                known.truncate(length.into());
                self.current = Some((part, Vec::new()));
            }
            None => {}
        }
    }

    fn publish(&mut self, part: u8) {
        self.published.extend(self.parts.remove(&part).unwrap_or_default());
        self.parts.clear();
    }

    fn begin(&mut self, continued: bool) {
        if continued && self.current.is_some() {
            return;
        }
        let part =
            self.parts.keys().last().map_or(0, |last| last + 1).max(self.sealed.map_or(0, |part| part + 1));
        self.parts.insert(part, Vec::new());
        (self.current, self.sealed) = (Some((part, Vec::new())), None);
    }

    /// Synchronizes the part.
    fn commit(&mut self) -> Option<PartReceipt> {
        if let Some((part, buffer)) = &mut self.current {
            let durable = self.parts.get_mut(part).expect("the part exists");
            durable.append(buffer);
            return Some([*part, u8::try_from(durable.len()).unwrap(), 0]);
        }
        self.sealed.map(|part| [part, 0, 1])
    }

    fn end(&mut self) {
        let (part, mut buffer) = self.current.take().expect("a report is open");
        self.parts.get_mut(&part).expect("the part exists").append(&mut buffer);
        self.sealed = Some(part);
    }
}

/// The steps of an output at an event: deliver it, commit and store, publish.
const STEPS: u8 = 3;

struct Run<'a> {
    checkpoints: Checkpoints,
    events: Vec<Event>,
    marks: Vec<u64>,
    first: usize,
    outputs: &'a mut [Output; 2],
}

impl Run<'_> {
    /// Executes one step of an output. Returns whether there was a step to execute.
    fn step(&mut self, number: usize) -> Result<bool, StateError> {
        let output = &mut self.outputs[number];
        let Some(event) = self.events.get(output.next).copied() else { return Ok(false) };
        let mark = Mark {
            number: self.marks[output.next - self.first],
            ends_report: matches!(event, Event::End(_)),
        };
        match (output.step, event) {
            (0, Event::Begin(report)) => {
                output.skipping = output.ahead.iter().any(|ahead| ahead.key == key(report));
                if !output.skipping {
                    output.begin(false);
                }
            }
            (0, Event::Record(record)) if !output.skipping => {
                output.current.as_mut().expect("a report is open").1.push(record);
            }
            (0, Event::End(_)) if !output.skipping => output.end(),
            (1, Event::Record(_) | Event::End(_)) => {
                let receipt = output.commit().map(|receipt| receipt.to_vec());
                let state = OutputState { receipt, ..OutputState::default() };
                let ended = mark.ends_report.then(Ended::default);
                // The steps of the outputs alternate, so waiting for another one is of no use.
                self.checkpoints.lock().outputs[number].max_wait = Duration::ZERO;
                self.checkpoints.committed(number, mark, vec![(number.to_string(), state)], ended)?;
            }
            (2, Event::Record(_) | Event::End(_)) => {
                if let (Event::End(_), false, Some(part)) = (event, output.skipping, output.sealed) {
                    output.publish(part);
                }
                output.skipping &= !mark.ends_report;
                self.checkpoints.published(number, mark.number);
            }
            _ => {}
        }
        output.step = (output.step + 1) % STEPS;
        output.next += usize::from(output.step == 0);
        Ok(true)
    }
}

/// The first barrier is stored before anything is delivered.
fn store_first_checkpoint(checkpoints: &Checkpoints) -> Result<(), StateError> {
    let position = Some(Position(vec![0]));
    let number = checkpoints.mark(NewMark { input: 0, position, in_report: false, ended: None });
    for output in 0..2 {
        let states = vec![(output.to_string(), OutputState::default())];
        checkpoints.committed(output, Mark { number, ends_report: false }, states, None)?;
        checkpoints.published(output, number);
    }
    Ok(())
}

/// Runs from the ledger's checkpoint until everything is published, the disk fails, or `crash_at` steps were made.
fn run(
    disk: &Disk,
    outputs: &mut [Output; 2],
    schedule: &[bool],
    crash_at: u64,
    inputs: &mut Vec<StoredReport>,
) -> Result<bool, StateError> {
    let ledger = Arc::new(Ledger::with_storage(disk.clone(), false)?);
    let from = ledger.checkpoint()?.unwrap_or_default();
    let first = from.positions.get("in").map_or(0, |position| usize::from(position[0]));
    for (number, output) in outputs.iter_mut().enumerate() {
        let state = from.outputs.get(&number.to_string()).cloned().unwrap_or_default();
        output.open(state.receipt.map(|receipt| receipt.try_into().expect("a receipt has three bytes")));
        (output.next, output.ahead) = (first, state.ahead);
        // Inside a report, the input continues it, and so does an output whose receipt is inside it.
        if from.active_input.is_some() {
            let events = &stream()[..first];
            let Some(Event::Begin(report)) = events.iter().rfind(|event| matches!(event, Event::Begin(_)))
            else {
                unreachable!("a report began")
            };
            output.skipping = output.ahead.iter().any(|ahead| ahead.key == key(*report));
            if !output.skipping {
                output.begin(true);
            }
        }
    }
    let ids =
        ["0", "1"].map(|id| OutputIds { ids: vec![id.to_owned()], resumes: true, keys: Vec::new() }).into();
    let checkpoints = Checkpoints::new(
        Some(ledger),
        from,
        Inputs { ids: vec!["in".to_owned()], ..Inputs::default() },
        ids,
        (1, Vec::new()),
        Arc::default(),
    );
    if !checkpoints.has_first_checkpoint() {
        store_first_checkpoint(&checkpoints)?;
    }
    let events = stream();
    let marks = (first..events.len()).map(|index| {
        let (in_report, ended) = match events[index] {
            Event::End(report) => {
                let ended = EndedReport {
                    key: Arc::new(key(report)),
                    sent: Some(SentReport::default()),
                    tally: Arc::default(),
                    event: ReportEvent::default(),
                    started: std::time::Instant::now(),
                };
                (false, Some(ended))
            }
            _ => (true, None),
        };
        let position = Some(Position(vec![u8::try_from(index + 1).unwrap()]));
        // No barrier follows the start of a report.
        if matches!(events[index], Event::Begin(_)) {
            return 0;
        }
        checkpoints.mark(NewMark { input: 0, position, in_report, ended })
    });
    let marks = marks.collect();
    let mut run = Run { checkpoints, events, marks, first, outputs };
    let mut schedule = schedule.iter().cycle();
    for step_count in 0.. {
        let number = usize::from(*schedule.next().unwrap());
        if step_count == crash_at {
            return Ok(false);
        }
        if let Some(notification) = run.checkpoints.take_notification(0) {
            run.checkpoints.confirmed(0, &notification.reports);
            inputs.extend(notification.reports);
        }
        if !run.step(number)? && !run.step(1 - number)? {
            break;
        }
    }
    assert!(run.checkpoints.is_everything_settled());
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_record_is_published_once_despite_crashes(
        survivors in any::<u64>(),
        schedule in proptest::collection::vec(proptest::bool::weighted(0.3), 1..40),
        crashes in proptest::collection::vec((any::<bool>(), 0_u64..400), 0..8),
    ) {
        let disk = Disk::new(survivors);
        drop(Ledger::with_storage(disk.clone(), true).unwrap());
        let (mut outputs, mut inputs) = (<[Output; 2]>::default(), Vec::new());
        for (on_disk, step) in crashes {
            if on_disk {
                disk.fail_after(step);
            }
            let crash_at = if on_disk { u64::MAX } else { step % 120 };
            let ended = run(&disk, &mut outputs, &schedule, crash_at, &mut inputs);
            disk.crash();
            if ended.is_ok_and(|ended| ended) {
                break;
            }
        }
        run(&disk, &mut outputs, &schedule, u64::MAX, &mut inputs).expect("a run without a crash succeeds");
        for output in &outputs {
            let all: Vec<u8> = (0..REPORTS.iter().sum()).collect();
            prop_assert_eq!(&output.published, &all);
            prop_assert!(output.parts.is_empty(), "parts are left: {:?}", output.parts);
        }
        for report in 0..4 {
            let stored = inputs.iter().filter(|stored| stored.key == key(report));
            prop_assert!(stored.clone().count() >= 1, "the input was not informed about report {}", report);
            prop_assert!(stored.clone().all(|stored| stored.outcome == Outcome::Delivered));
        }
    }
}
