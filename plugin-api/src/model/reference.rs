//! References of definitions: IDs with addresses, and exploits. A list cell has one item per line; the parts of an
//! item are separated by tabs. Inputs must replace tabs and line breaks within a part.

/// The items of a list cell, in order; empty for an empty cell.
pub fn list_items(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('\n').filter(|item| !item.is_empty())
}

/// An ID with an optional address, as in [`VendorReferences`](super::DefinitionField::VendorReferences).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reference<'a> {
    /// For example `MS14-066`.
    pub id: &'a str,
    /// Its URL; empty if unknown.
    pub url: &'a str,
}

impl<'a> Reference<'a> {
    /// Parses one item of a list cell.
    #[must_use]
    pub fn from_item(item: &'a str) -> Self {
        let (id, url) = item.split_once('\t').unwrap_or((item, ""));
        Self { id, url }
    }
}

/// A known exploit, as in [`Exploits`](super::DefinitionField::Exploits). Any part may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exploit<'a> {
    /// The source, for example `Metasploit`.
    pub source: &'a str,
    /// The exploited vulnerability, usually a CVE ID.
    pub reference: &'a str,
    /// The description.
    pub description: &'a str,
    /// The URL.
    pub link: &'a str,
}

impl<'a> Exploit<'a> {
    /// Parses one item of a list cell.
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
        assert_eq!(exploit.source, "Core");
        assert_eq!(exploit.description, "heap read");
        assert_eq!(exploit.link, "");
    }
}
