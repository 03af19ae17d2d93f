//! Pointers from a definition to the world: ids with addresses, exploits. A list cell holds one item a line,
//! and the parts of an item are split by tabs; the input sees to it that no part holds either.

/// The items of a list cell, in order; none for an empty cell.
pub fn list_items(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('\n').filter(|item| !item.is_empty())
}

/// An id with an optional address, as [`VendorReferences`](super::DefinitionField::VendorReferences) holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference<'a> {
    /// For example `MS14-066`.
    pub id: &'a str,
    /// Where to read about it; empty when unknown.
    pub url: &'a str,
}

impl<'a> Reference<'a> {
    /// Reads one item of a list cell.
    #[must_use]
    pub fn from_item(item: &'a str) -> Self {
        let (id, url) = item.split_once('\t').unwrap_or((item, ""));
        Self { id, url }
    }
}

/// A known exploit, as [`Exploits`](super::DefinitionField::Exploits) holds it. Any part may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exploit<'a> {
    /// Who describes it, for example `Metasploit`.
    pub source: &'a str,
    /// What it is for: mostly a CVE id.
    pub reference: &'a str,
    /// What it does.
    pub description: &'a str,
    /// Where to find it.
    pub link: &'a str,
}

impl<'a> Exploit<'a> {
    /// Reads one item of a list cell.
    #[must_use]
    pub fn from_item(item: &'a str) -> Self {
        let mut parts = item.splitn(4, '\t');
        let mut next = || parts.next().unwrap_or("");
        Self { source: next(), reference: next(), description: next(), link: next() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_may_lack_their_last_parts() {
        assert_eq!(list_items("a\nb").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(list_items("").count(), 0);
        assert_eq!(Reference::from_item("MS14-066"), Reference { id: "MS14-066", url: "" });
        let exploit = Exploit::from_item("Core\tCVE-2014-0160\theap read");
        assert_eq!((exploit.source, exploit.description, exploit.link), ("Core", "heap read", ""));
    }
}
