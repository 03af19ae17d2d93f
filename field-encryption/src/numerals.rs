//! Strings of numerals of any length: blocks that FF1 encrypts one by one.

use std::ops::Range;

use crate::ff1::{Domain, Ff1};
use crate::key::{Direction, Tweak};

/// An alphabet, with the length of its blocks.
#[derive(Debug)]
pub(crate) struct Alphabet {
    pub(crate) letters: &'static [u8],
    /// Characters of a block, at most.
    block: usize,
    /// The least number of characters that has a million values.
    pub(crate) least: usize,
}

pub(crate) const DIGITS: Alphabet = Alphabet { letters: b"0123456789", block: 38, least: 6 };
pub(crate) const HEX: Alphabet = Alphabet { letters: b"0123456789abcdef", block: 32, least: 5 };
pub(crate) const LOWER: Alphabet =
    Alphabet { letters: b"0123456789abcdefghijklmnopqrstuvwxyz", block: 20, least: 4 };
pub(crate) const UPPER: Alphabet =
    Alphabet { letters: b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", block: 20, least: 4 };
pub(crate) const MIXED: Alphabet = Alphabet {
    letters: b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    block: 20,
    least: 4,
};

impl Alphabet {
    /// The numeral of a character.
    pub(crate) fn numeral(&self, letter: u8) -> Option<u8> {
        let offset = match (letter, self.letters.len()) {
            (b'0'..=b'9', _) => 0,
            (b'a'..=b'f', 16) | (b'a'..=b'z', 36) if self.letters[10] == b'a' => b'a' - 10,
            (b'A'..=b'Z', 36) if self.letters[10] == b'A' => b'A' - 10,
            (b'A'..=b'Z', 62) => b'A' - 10,
            (b'a'..=b'z', 62) => b'a' - 36,
            _ => return None,
        };
        Some(letter - if offset == 0 { b'0' } else { offset })
    }

    /// The blocks of a string of this length. All are full but the last, and the last but one, which gives the last one
    /// characters if that would be too short. So a truncated string has the same blocks at its beginning.
    fn blocks(&self, length: usize) -> impl Iterator<Item = Range<usize>> {
        let rest = length % self.block;
        let lent = if rest == 0 || rest >= self.least { 0 } else { self.least - rest };
        let count = length.div_ceil(self.block);
        let end = move |number: usize| match number {
            number if number == count => length,
            number if number + 1 == count => number * self.block - lent,
            number => number * self.block,
        };
        (0..count).map(move |number| if number == 0 { 0..end(1) } else { end(number)..end(number + 1) })
    }

    /// How many characters at the beginning of a truncated string of this length are full blocks of the original one.
    pub(crate) fn intact(&self, length: usize) -> usize {
        // The last full block of the original may have given characters to one that was removed.
        length.saturating_sub(self.least - 1) / self.block * self.block
    }

    /// Encrypts or decrypts numerals in place. There are at least [`Alphabet::least`].
    pub(crate) fn crypt(&self, ff1: &Ff1, mut tweak: Tweak, numerals: &mut [u8], direction: Direction) {
        let radix = self.letters.len() as u64;
        for (number, block) in self.blocks(numerals.len()).enumerate() {
            let block = &mut numerals[block];
            let domain = Domain::new(radix as u32, block.len()).expect("a block has enough values");
            tweak.set_block(number);
            let (left, right) = block.split_at_mut(domain.left());
            let number_of = |half: &[u8]| {
                half.iter().fold(0, |number: u64, numeral| number * radix + u64::from(*numeral))
            };
            let halves = (number_of(left), number_of(right));
            let (mut first, mut second) = match direction {
                Direction::Encrypt => ff1.encrypt(domain, tweak.bytes(), halves),
                Direction::Decrypt => ff1.decrypt(domain, tweak.bytes(), halves),
            };
            for (half, number) in [(left, &mut first), (right, &mut second)] {
                for numeral in half.iter_mut().rev() {
                    *numeral = (*number % radix) as u8;
                    *number /= radix;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_numerals_belong_together() {
        for alphabet in [&DIGITS, &HEX, &LOWER, &UPPER, &MIXED] {
            for byte in 0..=u8::MAX {
                let position = alphabet.letters.iter().position(|letter| *letter == byte);
                assert_eq!(alphabet.numeral(byte).map(usize::from), position, "{}", byte as char);
            }
        }
    }

    #[test]
    fn blocks_cover_the_string_and_none_is_too_short() {
        for alphabet in [&DIGITS, &HEX, &LOWER, &MIXED] {
            for length in alphabet.least..200 {
                let blocks: Vec<_> = alphabet.blocks(length).collect();
                assert_eq!(blocks.first().map(|block| block.start), Some(0));
                assert_eq!(blocks.last().map(|block| block.end), Some(length));
                assert!(blocks.windows(2).all(|pair| pair[0].end == pair[1].start));
                for block in &blocks {
                    assert!(Domain::new(alphabet.letters.len() as u32, block.len()).is_some(), "{block:?}");
                }
            }
        }
    }

    #[test]
    fn cut_string_has_the_blocks_of_the_whole_one_up_to_the_intact_length() {
        for alphabet in [&DIGITS, &HEX, &LOWER, &MIXED] {
            for length in alphabet.least..150 {
                for cut in alphabet.least..length {
                    let intact = alphabet.intact(cut);
                    let whole: Vec<_> =
                        alphabet.blocks(length).take_while(|block| block.end <= intact).collect();
                    assert_eq!(alphabet.blocks(intact).collect::<Vec<_>>(), whole, "{length} cut to {cut}");
                }
            }
        }
    }
}
