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
        assert_eq!((backlog.in_flight(), backlog.waiting(), backlog.kept_bytes()), (0, 2, 9));
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

    proptest! {
        /// Whatever happens to the connections, each message arrives.
        #[test]
        fn no_message_is_lost(steps in prop::collection::vec((0_u8..5, 1_usize..5), 1..200)) {
            let (mut backlog, mut number, mut accepted) = (Backlog::default(), 0_u32, 0_u64);
            let (mut wire, mut confirmed) = (Vec::new(), 0_usize);
            let now = Instant::now();
            for (step, count) in steps.into_iter().chain([(1, 1000), (2, 1)]) {
                match step {
                    0 => for _ in 0..count {
                        backlog.push(|out| out.extend_from_slice(&number.to_be_bytes()));
                        number += 1;
                    },
                    1 => {
                        let (bytes, messages) = backlog.next(count, usize::MAX);
                        if messages > 0 {
                            accepted += bytes.len() as u64;
                            wire.extend(bytes.chunks(4).map(|b| u32::from_be_bytes(b.try_into().unwrap())));
                            backlog.sent(messages, accepted);
                        }
                    }
                    2 => {
                        backlog.arrived(accepted, now);
                        confirmed += backlog.confirm(now, Duration::ZERO);
                        // All confirmed messages were sent.
                        prop_assert!((0..confirmed as u32).all(|number| wire.contains(&number)));
                    }
                    3 => {
                        backlog.rewind();
                        (accepted, wire) = (0, wire.into_iter().filter(|n| (*n as usize) < confirmed).collect());
                    }
                    _ => {
                        confirmed += backlog.in_flight();
                        backlog.confirm_sent();
                    }
                }
            }
            prop_assert_eq!(confirmed, number as usize);
            prop_assert_eq!(backlog.kept_bytes(), 0);
        }
    }
}
