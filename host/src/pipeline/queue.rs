//! What waits before an output: bounded by bytes and findings, and never in the way of the others when the output
//! is down and not required.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::batch::{Item, MissedFindings};
use crate::config::{OnFull, QueueLimits};

/// The queue of one output: its inputs put items in, its thread takes them out.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    limits: QueueLimits,
    on_full: OnFull,
    required: bool,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    bytes: u64,
    findings: u64,
    /// No more items come.
    closed: bool,
    /// Nobody takes any more.
    abandoned: bool,
    /// The output is being tried again.
    down: bool,
    /// Findings of the report under way were left out.
    has_gap: bool,
    /// The report under way is left out whole.
    skipping: bool,
    missed: MissedFindings,
}

/// How many marks of reports may wait when there are no findings between them.
const MOST_MARKS: usize = 4096;

impl Queue {
    pub(super) fn new(limits: QueueLimits, on_full: OnFull, required: bool) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), limits, on_full, required }
    }

    /// Puts an item in. Waits while there is no room, unless findings may be left out for this output.
    pub(super) fn put(&self, item: &Item) {
        let (bytes, findings) = item.size();
        let mut state = self.lock();
        loop {
            if state.abandoned {
                return state.leave_out(item);
            }
            if state.has_room(bytes, findings, self.limits) {
                break;
            }
            if self.on_full == OnFull::Drop || (state.down && !self.required) {
                return state.leave_out(item);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.take_in(item.clone(), bytes, findings);
        drop(state);
        self.changed.notify_all();
    }

    /// Takes the next item; none when all have been taken and no more come.
    pub(super) fn take(&self) -> Option<Item> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.items.pop_front() {
                let (bytes, findings) = item.size();
                state.bytes -= bytes;
                state.findings -= findings;
                drop(state);
                self.changed.notify_all();
                return Some(item);
            }
            if state.closed || state.abandoned {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more items come.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Nobody takes any more: what waits is left out, and so is what comes.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.abandoned = true;
        let items = std::mem::take(&mut state.items);
        items.iter().for_each(|item| state.missed.add(item));
        drop(state);
        self.changed.notify_all();
    }

    /// Says whether the output is down.
    pub(super) fn set_down(&self, down: bool) {
        self.lock().down = down;
        self.changed.notify_all();
    }

    /// Waits so long, or until no more items come; says whether that is so.
    pub(super) fn wait_closed(&self, longest: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, longest, |state| !state.closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// The findings that were left out; known when their batches are gone.
    pub(super) fn missed(&self) -> MissedFindings {
        self.lock().missed.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// One batch always may wait, however large; marks need little room but some.
    fn has_room(&self, bytes: u64, findings: u64, limits: QueueLimits) -> bool {
        if self.skipping || self.items.len() >= MOST_MARKS {
            return false;
        }
        let is_mark = bytes == 0;
        is_mark
            || self.bytes == 0
            || (self.bytes + bytes <= limits.bytes && self.findings + findings <= limits.findings)
    }

    fn take_in(&mut self, item: Item, bytes: u64, findings: u64) {
        let item = match item {
            Item::Begin(report) => {
                self.has_gap = false;
                Item::Begin(report)
            }
            Item::End { end, .. } => Item::End { end, has_gap: self.has_gap },
            item => item,
        };
        self.bytes += bytes;
        self.findings += findings;
        self.items.push_back(item);
    }

    fn leave_out(&mut self, item: &Item) {
        self.missed.add(item);
        match item {
            Item::Begin(_) => self.skipping = true,
            Item::Batch(_) => self.has_gap = true,
            Item::End { .. } if self.skipping => self.skipping = false,
            // The report was begun, so it has to be ended: there is always room for that.
            Item::End { end, .. } if !self.abandoned => {
                self.items.push_back(Item::End { end: end.clone(), has_gap: self.has_gap });
            }
            Item::End { .. } | Item::Mark(_) => {}
        }
    }
}
