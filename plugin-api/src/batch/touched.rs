//! The cells of a row that were set.

/// A set of cell indexes below [`Touched::MAX_CELLS`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Touched([u64; WORDS]);

const WORDS: usize = 4;

impl Touched {
    /// More than the fields of the model and the own columns of a table.
    pub(super) const MAX_CELLS: usize = 64 * WORDS;

    pub(super) fn add(&mut self, index: usize) {
        debug_assert!(index < Self::MAX_CELLS, "no table has {index} cells");
        self.0[index / 64] |= 1 << (index % 64);
    }

    /// The indexes, in ascending order.
    #[inline]
    pub(super) fn cells(self) -> Indexes {
        Indexes { words: self.0, word: 0 }
    }
}

/// The indexes of a set, in ascending order.
#[derive(Debug)]
pub(super) struct Indexes {
    words: [u64; WORDS],
    word: usize,
}

impl Iterator for Indexes {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.word < WORDS {
            let word = &mut self.words[self.word];
            if *word != 0 {
                let bit = word.trailing_zeros() as usize;
                *word &= *word - 1;
                return Some(64 * self.word + bit);
            }
            self.word += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::schema::Schema;
    use crate::model::{AssetField, DefinitionField, Field, FindingField};

    #[test]
    fn cells_are_ascending_and_each_occurs_once() {
        let mut touched = Touched::default();
        let cells = [0, 63, 64, 65, 127, Touched::MAX_CELLS - 1];
        for cell in cells.into_iter().rev().chain(cells) {
            touched.add(cell);
        }
        assert_eq!(touched.cells().collect::<Vec<_>>(), cells);
    }

    #[test]
    fn every_cell_of_a_table_has_a_place() {
        for fields in [AssetField::NAMES, DefinitionField::NAMES, FindingField::NAMES] {
            assert!(fields.len() + Schema::MAX_OWN_COLUMNS <= Touched::MAX_CELLS);
        }
    }
}
