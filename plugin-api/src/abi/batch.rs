//! The batch as it crosses the ABI.

use abi_stable::StableAbi;

use super::memory::{Bytes, BytesRef, Words, WordsRef};

/// A batch as an input sends it: an owned byte arena and tables of offsets into it.
///
/// A row of a table is a run of `u32`: the leading numbers of its table (below), then the offset where its
/// first cell starts, then the offset where each cell ends. The cells of a row are next to each other in the arena;
/// rows of different tables may be in any order.
///
/// | table | leading numbers |
/// |---|---|
/// | assets | 1 when the row repeats an asset that began in an earlier batch, else 0 |
/// | findings | the row of its asset, the row of its definition in `keys`, `kind \| severity << 8 \| port << 16`, `status \| protocol << 8 \| flags << 16` |
/// | new rows | the row of the definition in `keys` |
///
/// Codes; 0 means none:
///
/// | code | numbers |
/// |---|---|
/// | kind | 1 vulnerability, 2 potential, 3 information, 4 service |
/// | severity | 1 to 5, 5 is the worst |
/// | status | 1 new, 2 active, 3 reopened, 4 fixed, 5 ignored, 6 disabled |
/// | protocol | 1 TCP, 2 UDP, 3 ICMP, 255 another one, whose name is in the cell `protocol` |
/// | flags | 1 reached over TLS, 2 reached without TLS; unknown flags are ignored |
///
/// A definition is identified by the content key of its cells. Its cells are sent once in each epoch: with the first
/// batch whose `keys` contain it. An epoch begins with a batch that has a higher number; then the cells are sent again.
/// The first epoch of an instance may have any number. So the receiver keeps as many definitions as the sender sends in
/// an epoch, and it can resolve a batch without calling the plugin.
///
/// The content key is `H(texts) rotated by 64 bits ^ H(lengths)`, where `H` is the 128-bit XXH3 with seed 0, `texts` are
/// the cells of the row joined without a separator, and `lengths` are their lengths in bytes as little-endian `u32`.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct RawBatch2 {
    /// The size of this structure, in bytes.
    pub size: u32,
    /// The epoch of the keys.
    pub epoch: u32,
    /// The arena of assets and findings: UTF-8 text without separators.
    pub text: Bytes,
    /// The table of assets.
    pub assets: Words,
    /// The table of findings.
    pub findings: Words,
    /// The content keys of the definitions that the findings refer to: four numbers each, the least significant first.
    pub keys: Words,
    /// The table of the definitions that are new in this epoch.
    pub new_rows: Words,
    /// The arena of the new definitions: UTF-8 text without separators.
    pub new_text: Bytes,
}

impl Default for RawBatch2 {
    fn default() -> Self {
        Self {
            size: size_of::<Self>() as u32,
            epoch: 0,
            text: Bytes::default(),
            assets: Words::default(),
            findings: Words::default(),
            keys: Words::default(),
            new_rows: Words::default(),
            new_text: Bytes::default(),
        }
    }
}

impl RawBatch2 {
    /// The memory that the batch occupies, in bytes, whether used or kept for reuse.
    #[must_use]
    pub fn capacity_bytes(&self) -> usize {
        let tables = [&self.assets, &self.findings, &self.keys, &self.new_rows];
        let words: usize = tables.into_iter().map(Words::capacity).sum();
        self.text.capacity() + self.new_text.capacity() + 4 * words
    }
}

/// Text of the caller, valid for one call: bytes that are known to be UTF-8.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct TextRef<'a>(BytesRef<'a>);

impl<'a> TextRef<'a> {
    /// The text.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        // SAFETY: a value is made only from a `str`, by this crate on either side of the ABI.
        unsafe { std::str::from_utf8_unchecked(self.0.as_slice()) }
    }
}

impl<'a> From<&'a str> for TextRef<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.into())
    }
}

/// Owned bytes that were checked to be UTF-8.
#[derive(Debug, Default)]
pub(crate) struct Text(Bytes);

impl Text {
    /// `None` if the bytes are not UTF-8.
    pub(crate) fn new(bytes: Bytes) -> Option<Self> {
        simdutf8::basic::from_utf8(&bytes).is_ok().then_some(Self(bytes))
    }

    pub(crate) fn as_str(&self) -> &str {
        // SAFETY: `new` has checked the bytes, and a value gives no mutable access to them.
        unsafe { std::str::from_utf8_unchecked(&self.0) }
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// A definition as an output gets it: with its cells, whichever batch they came with.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct DefinitionRef<'a> {
    /// The content key, the least significant number first.
    pub(crate) key: [u32; 4],
    /// The arena that contains its cells.
    pub(crate) text: TextRef<'a>,
    /// The offset where its first cell starts, then the offset where each cell ends.
    pub(crate) row: WordsRef<'a>,
}

/// A batch as an output gets it: validated, with all definitions that its findings refer to.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct BatchRef<'a> {
    /// The size of this structure, in bytes.
    size: u32,
    /// Always 0.
    flags: u32,
    text: TextRef<'a>,
    assets: WordsRef<'a>,
    findings: WordsRef<'a>,
    /// In the order of the keys.
    definitions: *const DefinitionRef<'a>,
    definition_count: usize,
}

impl<'a> BatchRef<'a> {
    pub(crate) fn new(
        text: &'a str,
        assets: &'a [u32],
        findings: &'a [u32],
        definitions: &'a [DefinitionRef<'a>],
    ) -> Self {
        Self {
            size: size_of::<Self>() as u32,
            flags: 0,
            text: text.into(),
            assets: assets.into(),
            findings: findings.into(),
            definitions: definitions.as_ptr(),
            definition_count: definitions.len(),
        }
    }

    pub(crate) fn text(&self) -> &'a str {
        self.text.as_str()
    }

    pub(crate) fn assets(&self) -> &'a [u32] {
        self.assets.as_slice()
    }

    pub(crate) fn findings(&self) -> &'a [u32] {
        self.findings.as_slice()
    }

    pub(crate) fn definitions(&self) -> &'a [DefinitionRef<'a>] {
        if self.definition_count == 0 {
            return &[];
        }
        // SAFETY: the caller keeps the definitions valid during the call.
        unsafe { std::slice::from_raw_parts(self.definitions, self.definition_count) }
    }
}
