//! Events over a connection, TCP or TLS: batched, confirmed, and sent again where they are not.

use std::time::{Duration, Instant};

use scanbridge_plugin_api::{CheckReport, Result, tracing};

use super::backlog::Backlog;
use super::connect::Connector;
use super::link::{Link, Patience, Trouble};
use super::unavailable;

/// When what was gathered is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batching {
    pub events: usize,
    pub bytes: usize,
    pub age: Duration,
}

/// What counts as proof at a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The receiver has ended the connection in order after us: its program has read everything.
    End,
    /// The receiver's kernel has had everything for so long without ending the connection.
    Arrival,
}

/// A connection that is opened when it is first needed, and opened again at once when it is lost.
///
/// Syslog has no acknowledgement, so messages are kept until there is proof, and sent again on the next connection
/// when one is lost before that. There is room for so many; beyond it, and for a receiver that ends one connection
/// after the other, those are let go that have arrived at the receiver's kernel and stayed there for a grace time.
#[derive(Debug)]
pub(super) struct Stream {
    connector: Connector,
    batching: Batching,
    proof: Proof,
    grace: Duration,
    link: Option<Link>,
    backlog: Backlog,
    /// When the oldest unsent message was added.
    oldest: Option<Instant>,
    /// How many messages may be unconfirmed at a time. Lowered with each loss that nothing was confirmed before:
    /// of a receiver that ends each connection after so many messages only those before the end can be confirmed.
    pace: usize,
    /// Whether anything was confirmed since the last loss.
    progressed: bool,
    /// Whether a connection was lost since the last proof.
    lost: bool,
    /// Whether it was lost more than once: messages are then let go when they have arrived.
    careful: bool,
}

/// What is to be reached before the caller goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// What may be written is written.
    Sent,
    /// No more is kept than there is room for.
    Room,
    /// All is written.
    Written,
    /// All has arrived.
    Arrived,
}

impl Stream {
    pub(super) fn new(connector: Connector, batching: Batching, proof: Proof, grace: Duration) -> Self {
        Self {
            connector,
            batching,
            proof,
            grace,
            link: None,
            backlog: Backlog::default(),
            oldest: None,
            pace: MOST_PACE,
            progressed: false,
            lost: false,
            careful: false,
        }
    }

    pub(super) fn check(&self) -> CheckReport {
        self.connector.check(true)
    }

    /// Takes a framed message, which `append` writes to the end of a buffer.
    pub(super) fn message(&mut self, append: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        self.backlog.push(append);
        let oldest = *self.oldest.get_or_insert_with(Instant::now);
        let Batching { events, bytes, age } = self.batching;
        let full = self.backlog.waiting() >= events || self.backlog.waiting_bytes() >= bytes;
        if full || oldest.elapsed() >= age {
            self.reach(Goal::Sent)?;
            self.reach(Goal::Room)?;
        }
        Ok(())
    }

    /// Waits until there is proof that all has been delivered.
    pub(super) fn confirm(&mut self) -> Result<()> {
        if self.proof == Proof::Arrival {
            return self.reach(Goal::Arrived);
        }
        loop {
            self.reach(Goal::Written)?;
            let Some(link) = self.link.take() else { return Ok(()) };
            match link.end() {
                Ok(()) => break,
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(Trouble::Lost(reason)) => self.lose(reason)?,
            }
        }
        self.backlog.confirm_all();
        if !self.lost {
            (self.careful, self.pace) = (false, MOST_PACE);
        }
        self.lost = false;
        Ok(())
    }

    /// Forgets the newest `messages` as far as they are not sent. Gives how many are out and stay so.
    pub(super) fn take_back(&mut self, messages: usize) -> usize {
        messages - self.backlog.take_back(messages)
    }

    pub(super) fn close(self) {
        if let Some(link) = self.link {
            link.close();
        }
    }

    fn reach(&mut self, goal: Goal) -> Result<()> {
        let mut moved = Instant::now();
        let mut arrived = 0;
        while !self.is_reached(goal) {
            match self.step() {
                Ok(true) => moved = Instant::now(),
                Ok(false) => {
                    let Some(link) = &self.link else { continue };
                    let now = link.arrived().unwrap_or(arrived);
                    if now != arrived {
                        (arrived, moved) = (now, Instant::now());
                    }
                    self.patience().check(moved, link.name())?;
                    link.wait_for_word(BREATH.min(self.grace.max(Duration::from_millis(1))));
                }
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(Trouble::Lost(reason)) => {
                    self.lose(reason)?;
                    moved = Instant::now();
                }
            }
        }
        if self.backlog.waiting() == 0 {
            self.oldest = None;
        }
        Ok(())
    }

    fn is_reached(&self, goal: Goal) -> bool {
        match goal {
            Goal::Sent => self.backlog.waiting() == 0 || self.backlog.in_flight() >= self.pace,
            Goal::Room => self.backlog.kept_bytes() <= MOST_KEPT,
            Goal::Written => self.backlog.waiting() == 0,
            Goal::Arrived => self.backlog.kept_bytes() == 0,
        }
    }

    /// One write, or one look at what has arrived. Gives whether anything moved.
    fn step(&mut self) -> Result<bool, Trouble> {
        let link = match &mut self.link {
            Some(link) => link,
            None => self.link.insert(self.connector.connect()?),
        };
        link.expect_open()?;
        self.backlog.arrived(link.arrived()?, Instant::now());
        let lets_go = self.proof == Proof::Arrival || self.careful || self.backlog.kept_bytes() > MOST_KEPT;
        let confirmed = if lets_go { self.backlog.confirm(Instant::now(), self.grace) } else { 0 };
        if confirmed > 0 {
            self.progressed = true;
            self.pace = (self.pace + self.pace / 8 + 1).min(MOST_PACE);
        }
        let allowed = self.pace.saturating_sub(self.backlog.in_flight()).min(self.batching.events);
        let (bytes, messages) = self.backlog.next(allowed, self.batching.bytes);
        if messages > 0 {
            link.write(bytes)?;
            self.backlog.sent(messages, link.taken());
        }
        Ok(confirmed > 0 || messages > 0)
    }

    /// The connection is gone. What is unconfirmed will be sent again, in smaller steps when that brought nothing.
    fn lose(&mut self, reason: String) -> Result<()> {
        self.link = None;
        let unconfirmed = self.backlog.in_flight();
        let tried = unconfirmed + self.backlog.waiting().min(self.batching.events);
        self.backlog.rewind();
        if self.proof == Proof::End && !self.careful {
            self.careful = self.lost;
        } else if !self.progressed {
            if self.pace == 1 {
                return Err(unavailable(format!("{reason}, again and again, before it confirmed one event")));
            }
            self.pace = (self.pace.min(tried) / 2).max(1);
        }
        tracing::warn!(unconfirmed, "{reason}; what it had not confirmed is sent again");
        (self.lost, self.progressed) = (true, false);
        Ok(())
    }

    fn patience(&self) -> Patience {
        Patience { timeout: self.connector.write_timeout, services: self.connector.services.clone() }
    }
}

/// How many bytes may be kept unconfirmed; more only by what one batch overshoots.
const MOST_KEPT: usize = 4 << 20;
const MOST_PACE: usize = 1 << 20;
/// How long to wait before looking again at what has arrived: no event tells it.
const BREATH: Duration = Duration::from_millis(5);
