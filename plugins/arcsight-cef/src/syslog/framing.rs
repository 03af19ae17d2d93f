//! Message framing on a connection.

/// The two framings of RFC 6587. A datagram needs neither: it is one message (RFC 5426).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A line feed ends a message. An event contains no line feed, so no event is split.
    Newline,
    /// The length of the message in octets and a space precede it; RFC 5425 requires this for TLS.
    OctetCounted,
}

impl Framing {
    /// Appends a message, given as its parts.
    pub(crate) fn append(self, out: &mut Vec<u8>, parts: [&[u8]; 3]) {
        if self == Self::OctetCounted {
            let length: usize = parts.iter().map(|part| part.len()).sum();
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.push(b' ');
        }
        for part in parts {
            out.extend_from_slice(part);
        }
        if self == Self::Newline {
            out.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Framing;

    #[test]
    fn each_framing_follows_its_rfc() {
        let mut out = Vec::new();
        Framing::OctetCounted.append(&mut out, [b"<13>1 ", "é".as_bytes(), b"x"]);
        Framing::OctetCounted.append(&mut out, [b"", b"", b"abc"]);
        assert_eq!(out, "9 <13>1 éx3 abc".as_bytes());
        out.clear();
        Framing::Newline.append(&mut out, [b"<13>", b"", b"abc"]);
        assert_eq!(out, b"<13>abc\n");
    }

    /// Reads octet-counted frames as a receiver does: digits, a space, that many octets.
    fn read_counted(mut rest: &[u8]) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        while !rest.is_empty() {
            let space = rest.iter().position(|byte| *byte == b' ').expect("a length ends in a space");
            let length: usize = std::str::from_utf8(&rest[..space]).unwrap().parse().unwrap();
            messages.push(rest[space + 1..space + 1 + length].to_vec());
            rest = &rest[space + 1 + length..];
        }
        messages
    }

    proptest! {
        #[test]
        fn framed_messages_are_read_back_unchanged(messages in prop::collection::vec("[^\n]{1,60}", 0..20)) {
            let (mut counted, mut lines) = (Vec::new(), Vec::new());
            for message in &messages {
                let (head, tail) = message.as_bytes().split_at(message.len() / 3);
                Framing::OctetCounted.append(&mut counted, [head, b"", tail]);
                Framing::Newline.append(&mut lines, [head, b"", tail]);
            }
            let expected: Vec<_> = messages.iter().map(|message| message.as_bytes().to_vec()).collect();
            prop_assert_eq!(read_counted(&counted), expected.clone());
            let lines: Vec<_> = lines.split_inclusive(|byte| *byte == b'\n').map(|l| l[..l.len() - 1].to_vec()).collect();
            prop_assert_eq!(lines, expected);
        }
    }
}
