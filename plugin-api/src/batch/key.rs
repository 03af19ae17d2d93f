//! Content keys of definitions.

use xxhash_rust::xxh3::xxh3_128;

use super::layout::KEY_WORDS;

/// Computes content keys. It keeps the memory that it needs for a row.
#[derive(Debug, Default)]
pub(super) struct KeyHasher {
    numbers: Vec<u8>,
}

impl KeyHasher {
    /// The key of the row whose cells start and end at these offsets of the arena. Equal keys mean equal cells, so an
    /// output can keep what it made of a text (cleaned, truncated, escaped) and use it for the next finding. XXH3 is not
    /// a cryptographic hash; the receiver of a definition computes the key again.
    pub(super) fn key_of(&mut self, text: &[u8], offsets: &[u32]) -> u128 {
        let (first, last) = (offsets[0] as usize, offsets[offsets.len() - 1] as usize);
        self.numbers.resize(4 * (offsets.len() - 1), 0);
        for (length, pair) in self.numbers.chunks_exact_mut(4).zip(offsets.windows(2)) {
            length.copy_from_slice(&(pair[1] - pair[0]).to_le_bytes());
        }
        combine(&text[first..last], &self.numbers)
    }

    /// A hash of a row under construction, whose cells may be in any order in its bytes. Equal hashes mean equal cells,
    /// but equal cells in another order have another hash.
    pub(super) fn hash_of_row(
        &mut self,
        bytes: &[u8],
        cells: impl Iterator<Item = (usize, (u32, u32))>,
    ) -> u128 {
        self.numbers.clear();
        for (index, (start, end)) in cells {
            // Short, because XXH3 has a faster way for up to 240 bytes. A table has at most 256 cells.
            let [a, b, c, d] = start.to_le_bytes();
            let [e, f, g, h] = end.to_le_bytes();
            self.numbers.extend_from_slice(&[index as u8, a, b, c, d, e, f, g, h]);
        }
        combine(bytes, &self.numbers)
    }
}

fn combine(texts: &[u8], numbers: &[u8]) -> u128 {
    xxh3_128(texts).rotate_left(64) ^ xxh3_128(numbers)
}

/// The key in its ABI form.
pub(super) fn to_words(key: u128) -> [u32; KEY_WORDS] {
    std::array::from_fn(|part| (key >> (32 * part)) as u32)
}

/// The key that these numbers contain.
pub(super) fn from_words(words: &[u32]) -> u128 {
    words.iter().rev().fold(0, |key, part| key << 32 | u128::from(*part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(text: &str, offsets: &[u32]) -> u128 {
        KeyHasher::default().key_of(text.as_bytes(), offsets)
    }

    #[test]
    fn key_depends_on_texts_and_their_columns() {
        let key = key_of("abc", &[0, 1, 3, 3]);
        assert_eq!(key_of("xxabc", &[2, 3, 5, 5]), key, "not on the position in the arena");
        assert_ne!(key_of("abc", &[0, 2, 3, 3]), key);
        assert_ne!(key_of("abc", &[0, 1, 1, 3]), key);
        assert_ne!(key_of("abd", &[0, 1, 3, 3]), key);
        assert_eq!(from_words(&to_words(key)), key);
    }

    #[test]
    fn hasher_can_be_used_for_rows_of_different_lengths() {
        let mut hasher = KeyHasher::default();
        hasher.hash_of_row(b"ab", [(0, (0, 1)), (2, (1, 2))].into_iter());
        assert_eq!(hasher.key_of(b"ab", &[0, 1]), key_of("ab", &[0, 1]));
    }

    /// The key is part of the contract. The expected value was computed with another implementation of XXH3.
    #[test]
    fn key_of_known_cells() {
        assert_eq!(
            format!("{:032x}", key_of("42366Weak cipher", &[0, 5, 5, 16])),
            "85e4bf5200d4f5af9d689d8161129584"
        );
    }
}
