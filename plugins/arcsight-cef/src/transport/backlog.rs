//! The messages that a receiver has not confirmed: kept complete and in order, to be resent on another
//! connection.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Messages from the oldest that is unconfirmed to the newest that is not yet sent, in one buffer.
///
/// ```text
/// [ sent, in marks ][ not sent ]
/// ```
///
/// A mark is one write. It is confirmed when the kernel of the peer has acknowledged all its bytes and the
/// connection has then stayed open for the grace time.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: Vec<u8>,
    /// Offset of the oldest unconfirmed message; bytes before it are free.
    start: usize,
    /// Offset of the first unsent message.
    unsent: usize,
    /// The lengths of all kept messages, oldest first.
    lengths: VecDeque<u32>,
    /// How many of them are sent: the messages in marks.
    in_flight: usize,
    marks: VecDeque<SentMark>,
}

#[derive(Debug)]
struct SentMark {
    messages: usize,
    bytes: usize,
    /// Bytes that the connection had accepted after this write; with TLS, bytes of records.
    accepted: u64,
    /// When all bytes were first known to be acknowledged by the kernel of the peer.
    arrived: Option<Instant>,
}

impl Backlog {
    /// Adds a message, which `append` writes to the end of the buffer.
    pub(super) fn push(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        let before = self.bytes.len();
        append(&mut self.bytes);
        let length = u32::try_from(self.bytes.len() - before).expect("a message is below 4 GiB");
        self.lengths.push_back(length);
    }

    /// The oldest unsent messages: at most `max_messages` messages and `max_bytes` bytes, unless the first alone is
    /// longer. Returns their bytes and their number.
    pub(super) fn next(&self, max_messages: usize, max_bytes: usize) -> (&[u8], usize) {
        let (mut bytes, mut messages) = (0, 0);
        for length in self.lengths.range(self.in_flight..).take(max_messages) {
            if messages > 0 && bytes + *length as usize > max_bytes {
                break;
            }
            bytes += *length as usize;
            messages += 1;
        }
        (&self.bytes[self.unsent..self.unsent + bytes], messages)
    }

    /// The oldest kept message; empty if there is none.
    pub(super) fn oldest(&self) -> &[u8] {
        let length = self.lengths.front().map_or(0, |length| *length as usize);
        &self.bytes[self.start..self.start + length]
    }

    /// Marks the first `messages` unsent messages as sent; the connection has now accepted `accepted` bytes.
    pub(super) fn sent(&mut self, messages: usize, accepted: u64) {
        let lengths = self.lengths.range(self.in_flight..self.in_flight + messages);
        let bytes = lengths.map(|length| *length as usize).sum();
        self.unsent += bytes;
        self.in_flight += messages;
        self.marks.push_back(SentMark { messages, bytes, accepted, arrived: None });
    }

    /// The kernel of the peer has acknowledged `arrived` bytes of the connection.
    pub(super) fn arrived(&mut self, arrived: u64, now: Instant) {
        // Bytes arrive in order, so all marks before the newest arrived one have arrived too.
        for mark in self.marks.iter_mut().rev().take_while(|mark| mark.arrived.is_none()) {
            if mark.accepted <= arrived {
                mark.arrived = Some(now);
            }
        }
    }

    /// Removes messages that arrived at least `grace` ago. Returns their number.
    pub(super) fn confirm(&mut self, now: Instant, grace: Duration) -> usize {
        let before = self.in_flight;
        let due = |mark: &mut SentMark| mark.arrived.is_some_and(|at| now.duration_since(at) >= grace);
        while let Some(mark) = self.marks.pop_front_if(due) {
            self.start += mark.bytes;
            self.in_flight -= mark.messages;
            self.lengths.drain(..mark.messages);
        }
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.unsent -= self.start;
            self.start = 0;
        }
        before - self.in_flight
    }

    /// Removes all sent messages: the receiver has read them.
    pub(super) fn confirm_sent(&mut self) {
        for mark in self.marks.drain(..) {
            self.start += mark.bytes;
        }
        self.lengths.drain(..self.in_flight);
        self.in_flight = 0;
        self.bytes.drain(..self.start);
        self.unsent -= self.start;
        self.start = 0;
    }

    /// The connection is lost: all unconfirmed messages become unsent.
    pub(super) fn rewind(&mut self) {
        self.marks.clear();
        self.unsent = self.start;
        self.in_flight = 0;
    }

    /// Drops the newest `messages` that are not sent. Returns how many it dropped.
    pub(super) fn drop_unsent(&mut self, messages: usize) -> usize {
        let messages = messages.min(self.waiting());
        for length in self.lengths.drain(self.lengths.len() - messages..) {
            self.bytes.truncate(self.bytes.len() - length as usize);
        }
        messages
    }

    /// Number of sent, unconfirmed messages.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Number of unsent messages.
    pub(super) fn waiting(&self) -> usize {
        self.lengths.len() - self.in_flight
    }

    /// Number of unsent bytes.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.bytes.len() - self.unsent
    }

    /// Number of kept bytes, sent or unsent.
    pub(super) fn kept_bytes(&self) -> usize {
        self.bytes.len() - self.start
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn push(backlog: &mut Backlog, text: &str) {
        backlog.push(|out| out.extend_from_slice(text.as_bytes()));
    }

    #[test]
    fn unacknowledged_messages_are_resent_in_order() {
        let mut backlog = Backlog::default();
        for text in ["one", "two", "three", "four"] {
            push(&mut backlog, text);
        }
        assert_eq!(backlog.next(2, 100), (&b"onetwo"[..], 2));
        backlog.sent(2, 6);
        assert_eq!(backlog.next(9, 3), (&b"three"[..], 1), "a single message may exceed the limit");
        backlog.sent(1, 11);
        let now = Instant::now();
        backlog.arrived(10, now);
        assert_eq!(backlog.confirm(now, Duration::from_secs(1)), 0, "grace");
        assert_eq!(backlog.confirm(now + Duration::from_secs(1), Duration::from_secs(1)), 2);
        backlog.rewind();
        assert_eq!(backlog.next(9, 100), (&b"threefour"[..], 2));
        assert_eq!(backlog.in_flight(), 0);
        assert_eq!(backlog.waiting(), 2);
        assert_eq!(backlog.kept_bytes(), 9);
    }

    #[test]
    fn only_unsent_messages_can_be_dropped() {
        let mut backlog = Backlog::default();
        for text in ["one", "two", "three"] {
            push(&mut backlog, text);
        }
        backlog.sent(1, 3);
        assert_eq!(backlog.drop_unsent(3), 2);
        backlog.rewind();
        assert_eq!(backlog.next(9, 100), (&b"one"[..], 1));
    }

    /// The other side. It has the messages that arrived complete, whatever our side believes.
    #[derive(Debug, Default)]
    struct Peer {
        /// All bytes written to the open connection.
        connection: Vec<u8>,
        /// How many of them have arrived.
        arrived: usize,
        received: BTreeSet<u32>,
    }

    impl Peer {
        fn arrive(&mut self, bytes: usize) {
            self.arrived = self.connection.len().min(self.arrived.saturating_add(bytes));
            self.received.extend(numbers(&self.connection[..self.arrived]));
        }

        fn disconnect(&mut self) {
            (self.connection, self.arrived) = (Vec::new(), 0);
        }
    }

    /// A message: a number and a text of varying length.
    fn message(number: u32) -> String {
        format!("{number} {}\n", "x".repeat(number as usize % 7))
    }

    /// The numbers of the complete messages.
    fn numbers(bytes: &[u8]) -> Vec<u32> {
        let text = std::str::from_utf8(bytes).unwrap();
        let complete = text.rfind('\n').map_or("", |end| &text[..=end]);
        let numbers = complete.lines().map(|line| line.split_once(' ').unwrap().0.parse().unwrap());
        numbers.collect()
    }

    proptest! {
        /// Whatever happens to the connections, each message arrives, and only what has arrived is deleted.
        #[test]
        fn no_message_is_lost(steps in prop::collection::vec((0_u8..6, 1_usize..20), 1..200)) {
            let (mut backlog, mut peer) = (Backlog::default(), Peer::default());
            let (mut next_number, mut expected) = (0_u32, Vec::new());
            let now = Instant::now();
            for (step, amount) in steps.into_iter().chain([(1, usize::MAX), (2, usize::MAX)]) {
                match step {
                    0 => for _ in 0..amount {
                        push(&mut backlog, &message(next_number));
                        expected.push(next_number);
                        next_number += 1;
                    },
                    1 => {
                        let (bytes, messages) = backlog.next(amount, amount.saturating_mul(4));
                        prop_assert_eq!(numbers(bytes).len(), messages);
                        prop_assert!(messages <= amount);
                        prop_assert!(messages <= 1 || bytes.len() <= amount.saturating_mul(4));
                        if messages > 0 {
                            peer.connection.extend_from_slice(bytes);
                            backlog.sent(messages, peer.connection.len() as u64);
                        }
                    }
                    2 => {
                        peer.arrive(amount);
                        backlog.arrived(peer.arrived as u64, now);
                        backlog.confirm(now, Duration::ZERO);
                    }
                    3 => {
                        peer.disconnect();
                        backlog.rewind();
                    }
                    4 => {
                        // The receiver has read everything and closed the connection.
                        peer.arrive(usize::MAX);
                        backlog.confirm_sent();
                        peer.disconnect();
                    }
                    _ => {
                        let dropped = expected.split_off(expected.len() - backlog.drop_unsent(amount));
                        let written = numbers(&peer.connection);
                        prop_assert!(!dropped.iter().any(|number| written.contains(number)));
                    }
                }
                let kept = numbers(&backlog.bytes[backlog.start..]);
                prop_assert!(expected.ends_with(&kept), "{:?} of {:?}", kept, expected);
                let deleted = &expected[..expected.len() - kept.len()];
                prop_assert!(deleted.iter().all(|number| peer.received.contains(number)));
            }
            prop_assert_eq!(backlog.kept_bytes(), 0);
            prop_assert!(expected.iter().all(|number| peer.received.contains(number)));
        }
    }
}
