//! Frames: a type and a length, each an unsigned 32-bit number in network byte order, then the body. No I/O.

use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

/// The supported protocol version. Every known client sends 1.
pub(crate) const VERSION: u32 = 1;

/// Size of a header, in bytes.
pub(crate) const HEADER_BYTES: usize = 8;

/// The header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// The body's length in bytes, without the header.
    pub(crate) length: u32,
}

/// The type of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Defense Center to client: the maximum size of a body.
    MaxSize,
    /// Client to Defense Center: the protocol version.
    Version,
    /// Commands, and the result text in reply.
    Data,
    /// Known only as a constant in the vendor's client. It is treated as a refusal with a text.
    Error,
    /// An unknown type.
    Other(u32),
}

impl Header {
    /// The header of a body.
    ///
    /// # Errors
    /// A plugin bug, if the body has 4 GiB or more.
    pub(crate) fn of(kind: Kind, body: &[u8]) -> Result<Self> {
        let length = u32::try_from(body.len())
            .map_err(|_| PluginError::bug("plugin bug: a message of 4 GiB or more"))?;
        Ok(Self { kind, length })
    }

    pub(crate) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&self.kind.number().to_be_bytes());
        bytes[4..].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: [u8; HEADER_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h] = bytes;
        let kind = Kind::from_number(u32::from_be_bytes([a, b, c, d]));
        Self { kind, length: u32::from_be_bytes([e, f, g, h]) }
    }
}

impl Kind {
    fn number(self) -> u32 {
        match self {
            Self::MaxSize => 1,
            Self::Version => 2,
            Self::Data => 3,
            Self::Error => 4,
            Self::Other(number) => number,
        }
    }

    fn from_number(number: u32) -> Self {
        match number {
            1 => Self::MaxSize,
            2 => Self::Version,
            3 => Self::Data,
            4 => Self::Error,
            other => Self::Other(other),
        }
    }
}

/// Reads the Defense Center's first message: the maximum size of a body.
///
/// # Errors
/// [`ErrorKind::Protocol`] for anything else, with the text when there is one.
pub(crate) fn max_size(center: &str, kind: Kind, body: &[u8]) -> Result<usize> {
    let protocol = |message: String| PluginError::new(ErrorKind::Protocol, message);
    match (kind, <[u8; 4]>::try_from(body)) {
        (Kind::MaxSize, Ok(bytes)) => {
            let size = u32::from_be_bytes(bytes);
            if size < MIN_MAX_SIZE {
                return Err(protocol(format!(
                    "{center} accepts messages of at most {size} bytes, less than one line of commands \
                     needs"
                )));
            }
            Ok(usize::try_from(size).unwrap_or(usize::MAX))
        }
        (Kind::MaxSize, Err(_)) => Err(protocol(format!(
            "protocol error: {center} sent its maximum message size as {} bytes, expected 4",
            body.len()
        ))),
        (Kind::Error, _) => {
            let text = printable(&String::from_utf8_lossy(body));
            Err(protocol(format!("{center} rejected version {VERSION} of the host input protocol: `{text}`"))
                .with_hint("an older Defense Center may reject clients with a newer protocol version"))
        }
        _ => Err(unexpected(center, kind, "the maximum message size")),
    }
}

/// The error for a message of an unexpected type.
pub(crate) fn unexpected(center: &str, kind: Kind, due: &str) -> PluginError {
    let number = kind.number();
    PluginError::new(
        ErrorKind::Protocol,
        format!("protocol error: {center} sent message type {number}, expected {due}"),
    )
    .with_hint("check `port`: 8307 is host input; 8302 is eStreamer")
}

/// A text of the Defense Center for use in a message: one line of printable ASCII with limited length. Its replies are
/// ASCII, and what their other bytes mean is unknown, so each becomes `?`. That is stricter than
/// [`scanbridge_plugin_api::printable`], which keeps the characters of all scripts.
pub(crate) fn printable(text: &str) -> String {
    let characters = text.trim().chars().map(|character| match character {
        ' '..='~' => character,
        character if character.is_whitespace() => ' ',
        _ => '?',
    });
    let mut shown: String = characters.take(MAX_SHOWN_CHARACTERS).collect();
    if text.trim().chars().count() > MAX_SHOWN_CHARACTERS {
        shown.push_str("...");
    }
    shown
}

/// Minimum of the maximum message size. Our choice: one address with one short finding fits.
const MIN_MAX_SIZE: u32 = 512;

/// Maximum number of characters of a peer's text in a message.
const MAX_SHOWN_CHARACTERS: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_header_has_the_expected_bytes() {
        let header = Header { kind: Kind::Version, length: 4 };
        assert_eq!(header.encode(), [0, 0, 0, 2, 0, 0, 0, 4]);
        assert_eq!(Header::decode([0, 0, 0, 3, 0, 0, 1, 2]), Header { kind: Kind::Data, length: 258 });
        let odd = Header { kind: Kind::Other(0xdead_beef), length: u32::MAX };
        assert_eq!(Header::decode(odd.encode()), odd);
    }

    #[test]
    fn only_valid_maximum_sizes_are_accepted() {
        assert_eq!(max_size("dc", Kind::MaxSize, &[0, 8, 0, 0]), Ok(524_288));
        for (kind, body, part) in [
            (Kind::MaxSize, &b"\0\0\x01\xff"[..], "accepts messages of at most 511 bytes"),
            (Kind::MaxSize, b"\0\0\x08\0\0", "as 5 bytes, expected 4"),
            (Kind::MaxSize, b"", "as 0 bytes, expected 4"),
            (Kind::Error, b"too\nnew \xff", "rejected version 1 of the host input protocol: `too new ?`"),
            (Kind::Data, b"\0\x08\0\0", "type 3, expected the maximum message size"),
            (Kind::Other(9), b"", "type 9, expected the maximum message size"),
        ] {
            let error = max_size("dc", kind, body).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Protocol);
            assert!(error.message.contains(part), "{error}");
        }
    }

    #[test]
    fn peer_text_is_printed_on_one_line() {
        assert_eq!(printable(" a\u{1b}[2Jb\r\nc\u{e9} "), "a?[2Jb  c?");
        assert_eq!(printable(&"x".repeat(400)).len(), 303);
    }

    proptest::proptest! {
        #[test]
        fn frame_header_round_trip(bytes: [u8; 8]) {
            proptest::prop_assert_eq!(Header::decode(bytes).encode(), bytes);
        }

        #[test]
        fn no_greeting_causes_a_panic(kind in 0_u32..6, body in proptest::collection::vec(0_u8..9, 0..6)) {
            if max_size("dc", Kind::from_number(kind), &body).is_ok() {
                proptest::prop_assert_eq!((kind, body.len()), (1, 4));
            }
        }
    }
}
