//! Parts of lines that are encoded once and copied into several lines.

/// What a cached part of a line depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Definition,
    Asset,
}

/// The parts of a line that depend on the definition or the asset alone, as they were encoded.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Parts {
    /// Encodes each of these with `write`, in the memory of earlier parts.
    pub(crate) fn fill<T>(&mut self, all: &[T], mut write: impl FnMut(&T, &mut Vec<u8>)) {
        self.text.clear();
        self.ends.clear();
        for one in all {
            write(one, &mut self.text);
            self.ends.push(self.text.len());
        }
    }

    fn part(&self, number: usize) -> &[u8] {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.text[start..self.ends[number]]
    }

    /// The memory that they need, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.text.capacity() + size_of::<usize>() * self.ends.capacity()
    }

    /// Frees memory that they do not need.
    pub(crate) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

/// The parts of definition and asset for one line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cached<'a> {
    pub(crate) definition: &'a Parts,
    pub(crate) asset: &'a Parts,
}

impl<'a> Cached<'a> {
    pub(crate) fn part(self, owner: Owner, number: usize) -> &'a [u8] {
        match owner {
            Owner::Definition => self.definition.part(number),
            Owner::Asset => self.asset.part(number),
        }
    }
}
