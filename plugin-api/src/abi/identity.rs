//! Who a library is, readable from its file before any of its code runs.
//!
//! The records stand one after the other in an object-file section of their own, each ended by a zero byte:
//! one `scanbridge-plugin …` record for the library and one `plugin …` record for each plugin in it. They are
//! plain text, so `strings` shows them too.

use crate::descriptor::PluginKind;

/// The section's name.
#[cfg(not(target_vendor = "apple"))]
pub const SECTION: &str = ".scanbridge";
/// The section's name.
#[cfg(target_vendor = "apple")]
pub const SECTION: &str = "__DATA,__scanbridge";

const LIBRARY: &str = "scanbridge-plugin";
const PLUGIN: &str = "plugin";

const LONGEST_RECORD: usize = 600;
const LONGEST_SHOWN: usize = 100;

/// What the records of a library say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The ABI that it was built for.
    pub abi_major: u32,
    /// The target triple that it was built for.
    pub target: String,
    /// Whether a panic unwinds; if not, a panic in the plugin ends the host.
    pub panic_unwinds: bool,
    /// The author's crate.
    pub crate_name: String,
    /// The version of the author's crate.
    pub crate_version: String,
    /// The compiler. For bug reports only: it is no part of compatibility.
    pub rustc: String,
    /// The plugins in the library, sorted by name.
    pub plugins: Vec<(PluginKind, String)>,
}

/// Why the records cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The section holds no record of the library, or more than one.
    #[error("the identity section has {0} library records, expected 1")]
    LibraryRecords(usize),
    /// A record lacks a part or holds one that cannot be read.
    #[error("invalid record in the identity section: `{0}`")]
    Record(String),
    /// The section is far larger than a library with a hundred plugins would need.
    #[error("the identity section is larger than {} bytes", Identity::MOST_BYTES)]
    TooLarge,
}

impl Identity {
    /// A longer section is no identity: hundreds of plugins fit in.
    pub const MOST_BYTES: usize = 64 << 10;

    /// Reads the bytes of the section.
    ///
    /// # Errors
    /// When they are not what a library of any ABI major would have written.
    pub fn parse(section: &[u8]) -> Result<Self, IdentityError> {
        if section.len() > Self::MOST_BYTES {
            return Err(IdentityError::TooLarge);
        }
        let text = String::from_utf8_lossy(section);
        let records: Vec<&str> = text.split('\0').filter(|record| !record.is_empty()).collect();
        // Everything in them is shown, and nothing that is shown steers a terminal or fills a log.
        let is_bad = |record: &str| record.len() > LONGEST_RECORD || record.contains(is_unprintable);
        if let Some(record) = records.iter().find(|record| is_bad(record)) {
            return Err(unreadable(record));
        }
        let mut libraries = records.iter().filter_map(|record| record.strip_prefix(LIBRARY));
        let library = libraries.next().ok_or(IdentityError::LibraryRecords(0))?;
        if libraries.next().is_some() {
            // One library linked two plugins' exports into itself: nobody can say which is meant.
            return Err(IdentityError::LibraryRecords(2));
        }
        let part = |key: &str| {
            library
                .split('\n')
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
                .ok_or_else(|| unreadable(library))
        };
        let abi = part("abi")?;
        let mut plugins = records
            .iter()
            .filter(|record| !record.starts_with(LIBRARY))
            .map(|record| plugin(record).ok_or_else(|| unreadable(record)))
            .collect::<Result<Vec<_>, _>>()?;
        plugins.sort();
        Ok(Self {
            abi_major: abi.parse().map_err(|_| unreadable(&format!("abi={abi}")))?,
            target: part("target")?.to_owned(),
            panic_unwinds: part("panic")? == "unwind",
            crate_name: part("crate")?.to_owned(),
            crate_version: part("version")?.to_owned(),
            rustc: part("rustc")?.to_owned(),
            plugins,
        })
    }
}

/// A library's record has its parts on lines of their own; nothing else in it is a control.
fn is_unprintable(letter: char) -> bool {
    letter != '\n' && letter.is_control()
}

/// The beginning of a record in one printable line is enough to find it by.
fn unreadable(record: &str) -> IdentityError {
    let words = record.trim().replace(char::is_control, " ");
    IdentityError::Record(words.chars().take(LONGEST_SHOWN).collect())
}

fn plugin(record: &str) -> Option<(PluginKind, String)> {
    match record.strip_prefix(PLUGIN)?.trim_start().split_once(' ').filter(|_| !record.contains('\n'))? {
        ("input", name) => Some((PluginKind::Input, name.to_owned())),
        ("output", name) => Some((PluginKind::Output, name.to_owned())),
        _ => None,
    }
}

/// The parts of a library's record; the macro that exports a plugin fills in what only the author's crate
/// knows. `N` is [`record_length`] of the same parts.
#[must_use]
pub const fn identity_record<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut record = [0; N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let bytes = parts[part].as_bytes();
        let mut index = 0;
        while index < bytes.len() {
            record[at] = bytes[index];
            at += 1;
            index += 1;
        }
        part += 1;
    }
    record
}

/// The record that names one plugin: `plugin input Name`.
#[must_use]
pub const fn name_record<const N: usize>(kind: &str, name: &str) -> [u8; N] {
    identity_record(&[PLUGIN, " ", kind, " ", name])
}

/// The bytes that the parts take together, with the zero byte at the end.
#[must_use]
pub const fn record_length(parts: &[&str]) -> usize {
    let (mut length, mut part) = (1, 0);
    while part < parts.len() {
        length += parts[part].len();
        part += 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: &[&str] = &[
        "scanbridge-plugin\nabi=1\ntarget=x86_64-unknown-linux-gnu\npanic=unwind\n",
        "crate=acme\nversion=0.3.1\nrustc=1.95.0",
    ];

    #[test]
    fn records_are_found_in_any_order_and_through_padding() {
        let library = identity_record::<{ record_length(PARTS) }>(PARTS);
        let name = name_record::<{ record_length(&["plugin output Acme"]) }>("output", "Acme");
        let section = [&name[..], &[0, 0, 0], &library[..], &[0]].concat();
        let identity = Identity::parse(&section).unwrap();
        assert_eq!(identity.abi_major, 1);
        assert_eq!((identity.crate_name.as_str(), identity.crate_version.as_str()), ("acme", "0.3.1"));
        assert!(identity.panic_unwinds);
        assert_eq!(identity.plugins, [(PluginKind::Output, "Acme".to_owned())]);
    }

    #[test]
    fn what_is_no_identity_is_refused() {
        assert_eq!(Identity::parse(b""), Err(IdentityError::LibraryRecords(0)));
        let twice = [identity_record::<{ record_length(PARTS) }>(PARTS); 2].concat();
        assert_eq!(Identity::parse(&twice), Err(IdentityError::LibraryRecords(2)));
        assert!(matches!(Identity::parse(b"scanbridge-plugin\nabi=1\0"), Err(IdentityError::Record(_))));
        assert!(matches!(Identity::parse(b"\xff\xfe"), Err(IdentityError::LibraryRecords(0))));
        let colours = Identity::parse(b"scanbridge-plugin\nabi=1\ncrate=\x1b[31mred\0");
        assert_eq!(colours, Err(IdentityError::Record("scanbridge-plugin abi=1 crate= [31mred".to_owned())));
        assert_eq!(Identity::parse(&[b'a'; Identity::MOST_BYTES + 1]), Err(IdentityError::TooLarge));
    }
}
