//! Rows as bytes, for an input that stores definitions until their findings come.
//!
//! The texts of the cells that have one, in the order of the fields, then for each of them the number of the field and
//! the length of the text, then how many they are.

use super::row::Row;
use crate::model::Field;

/// Bytes for a cell after the texts: the number of its field, and its length.
const CELL_BYTES: usize = 1 + size_of::<u32>();

impl<F: Field> Row<F> {
    /// Appends the cells as bytes, for [`Row::restore`] and
    /// [`BatchBuilder::push_stored`](super::BatchBuilder::push_stored). Codes and columns of the input's own are left
    /// out. The form is the same only within one version of this crate.
    pub fn store(&self, out: &mut Vec<u8>) {
        let cells = || F::ALL.iter().copied().filter(|field| self.cell_len(*field) > 0);
        for field in cells() {
            out.extend_from_slice(self.get(field).as_bytes());
        }
        let mut count = 0_u8;
        for field in cells() {
            // A table has at most 256 cells, and its own ones are left out.
            out.push(field.index() as u8);
            let length = u32::try_from(self.cell_len(field)).expect("a row stays below 4 GiB");
            out.extend_from_slice(&length.to_le_bytes());
            count += 1;
        }
        out.push(count);
    }

    /// Replaces the cells by stored ones. Returns false, and leaves the row empty, if the bytes are not of that form.
    pub fn restore(&mut self, stored: &[u8]) -> bool {
        self.clear();
        let Some((texts, cells)) = split(stored) else { return false };
        let Ok(mut texts) = simdutf8::basic::from_utf8(texts) else { return false };
        for (index, length) in cells {
            let (Some(field), Some((text, rest))) = (F::ALL.get(index), texts.split_at_checked(length))
            else {
                self.clear();
                return false;
            };
            self.set(*field, text);
            texts = rest;
        }
        true
    }
}

/// Appends the offsets of stored cells whose texts begin at `start`, for a table with these columns. Returns the length
/// of the texts; none if the bytes are not stored cells.
pub(super) fn write_to(stored: &[u8], start: u32, columns: usize, table: &mut Vec<u32>) -> Option<usize> {
    let (texts, cells) = split(stored)?;
    table.push(start);
    let first = table.len();
    let (mut end, mut written) = (start, 0);
    for (index, length) in cells {
        if index < written || index >= columns {
            return None;
        }
        // The cells before it are empty: each ends where the last one ended.
        table.resize(first + index, end);
        end = end.checked_add(u32::try_from(length).ok()?)?;
        table.push(end);
        written = index + 1;
    }
    table.resize(first + columns, end);
    ((end - start) as usize == texts.len()).then_some(texts.len())
}

/// The texts, and the index and length of each cell.
fn split(stored: &[u8]) -> Option<(&[u8], impl Iterator<Item = (usize, usize)>)> {
    let (count, rest) = stored.split_last()?;
    let (texts, cells) = rest.split_at_checked(rest.len().checked_sub(usize::from(*count) * CELL_BYTES)?)?;
    let (cells, _) = cells.as_chunks::<CELL_BYTES>();
    let cells = cells
        .iter()
        .map(|[index, a, b, c, d]| (usize::from(*index), u32::from_le_bytes([*a, *b, *c, *d]) as usize));
    Some((texts, cells))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, DefinitionRow};
    use crate::model::DefinitionField;

    fn row() -> DefinitionRow {
        let mut row = DefinitionRow::default();
        row.set(DefinitionField::Diagnosis, "it's <b>old</b>");
        row.set(DefinitionField::Id, "42");
        row.set(DefinitionField::Title, "é");
        row
    }

    fn stored(row: &DefinitionRow) -> Vec<u8> {
        let mut stored = Vec::new();
        row.store(&mut stored);
        stored
    }

    #[test]
    fn row_is_stored_and_restored() {
        let mut restored = DefinitionRow::default();
        restored.set(DefinitionField::Solution, "of another definition");
        assert!(restored.restore(&stored(&row())));
        for field in DefinitionField::ALL {
            assert_eq!(restored.get(*field), row().get(*field), "{field:?}");
        }
    }

    #[test]
    fn stored_cells_are_sent_like_the_row() {
        let mut expected = BatchBuilder::default();
        let key = expected.push_definition(&row()).key();
        let expected = expected.finish();
        let stored = stored(&row());
        let mut batch = BatchBuilder::default();
        for _ in 0..2 {
            let read = |into: &mut [u8]| {
                into.copy_from_slice(&stored);
                Ok::<(), ()>(())
            };
            let index = batch.push_stored(key, stored.len(), read).unwrap().unwrap();
            assert_eq!(index.key(), key);
        }
        let batch = batch.finish();
        assert_eq!(
            (&*batch.new_text, &*batch.new_rows, &*batch.keys),
            (&*expected.new_text, &*expected.new_rows, &*expected.keys)
        );
    }

    #[test]
    fn other_bytes_are_refused() {
        let good = stored(&row());
        let mut batch = BatchBuilder::default();
        for at in 0..good.len() {
            let cut = &good[at + 1..];
            let read = |into: &mut [u8]| {
                into.copy_from_slice(cut);
                Ok::<(), ()>(())
            };
            assert!(batch.push_stored(7, cut.len(), read).unwrap().is_none(), "{at}");
            assert!(!DefinitionRow::default().restore(cut) || at + 1 == good.len(), "{at}");
        }
        assert!(batch.push_stored(7, 3, |_| Err(())).is_err());
        let mut expected = BatchBuilder::default();
        expected.push_definition(&row());
        batch.push_definition(&row());
        assert_eq!(&*batch.finish().new_text, &*expected.finish().new_text, "refused bytes leave nothing");
    }
}
