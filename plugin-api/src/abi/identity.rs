//! The identity of a library, readable from its file without running its code.
//!
//! The records are in a separate object-file section, one after the other, each terminated by a zero byte. There is
//! one `scanbridge-plugin …` record for the library and one `plugin …` record for each plugin in it. They are plain
//! text, so `strings` shows them too. Lines and records of later versions are ignored.

use crate::descriptor::PluginKind;
use crate::fips::CryptoModule;
use crate::printable;

/// Name of the section.
#[cfg(not(target_vendor = "apple"))]
pub const SECTION: &str = ".scanbridge";
/// Name of the section.
#[cfg(target_vendor = "apple")]
pub const SECTION: &str = "__DATA,__scanbridge";

const LIBRARY: &str = "scanbridge-plugin";
const PLUGIN: &str = "plugin";

const MAX_RECORD_BYTES: usize = 600;
const MAX_SHOWN_CHARS: usize = 100;

/// The content of a library's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// ABI major of the library.
    pub abi_major: u32,
    /// Target triple of the library.
    pub target: String,
    /// Plugin API that the library was built with; `unknown` if missing.
    pub api: String,
    /// Whether a panic unwinds. If not, a panic in the plugin aborts the host.
    pub panic_unwinds: bool,
    /// Name of the plugin's crate; `unknown` if missing.
    pub crate_name: String,
    /// Version of the plugin's crate; `unknown` if missing.
    pub crate_version: String,
    /// Compiler version; `unknown` if missing. For bug reports only: it does not affect compatibility.
    pub toolchain: String,
    /// The kind of root module.
    pub root: RootKind,
    /// The cryptography of the library.
    pub crypto: CryptoModule,
    /// Abilities of the host that the library requires.
    pub needs: Vec<String>,
    /// The plugins in the library, sorted by kind and name.
    pub plugins: Vec<IdentifiedPlugin>,
    /// Kind and name of plugins whose kind this version does not know. The host ignores them.
    pub unknown_plugins: Vec<(String, String)>,
}

/// One plugin, as its library's records describe it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdentifiedPlugin {
    /// Input or output.
    pub kind: PluginKind,
    /// The name that a pipeline uses.
    pub name: String,
    /// Abilities of the host that the plugin requires.
    pub needs: Vec<String>,
}

/// The kind of root module that a library exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKind {
    /// An `abi_stable` module, with a layout check.
    AbiStable,
    /// A plain C structure: [`PlainRoot`](super::PlainRoot).
    Plain,
}

/// Reason why the records cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The section contains no library record, or more than one.
    #[error("the identity section has {0} library records, expected 1")]
    LibraryRecords(usize),
    /// A record is incomplete or has an invalid part.
    #[error("invalid record in the identity section: `{0}`")]
    Record(String),
    /// The section is larger than [`Identity::MOST_BYTES`].
    #[error("the identity section is larger than {} bytes", Identity::MOST_BYTES)]
    TooLarge,
}

impl Identity {
    /// Maximum size of the section, in bytes; enough for hundreds of plugins.
    pub const MOST_BYTES: usize = 64 << 10;

    /// Parses the content of the section.
    ///
    /// # Errors
    /// When the records are invalid for every ABI major.
    pub fn parse(section: &[u8]) -> Result<Self, IdentityError> {
        if section.len() > Self::MOST_BYTES {
            return Err(IdentityError::TooLarge);
        }
        let text = String::from_utf8_lossy(section);
        let records: Vec<&str> = text.split('\0').filter(|record| !record.is_empty()).collect();
        // Records are printed: control characters and overlong records are rejected.
        let is_invalid = |record: &str| record.len() > MAX_RECORD_BYTES || record.contains(is_unprintable);
        if let Some(record) = records.iter().find(|record| is_invalid(record)) {
            return Err(invalid_record(record));
        }
        let is_library = |record: &&&str| record.lines().next() == Some(LIBRARY);
        let libraries: Vec<&str> = records.iter().filter(is_library).copied().collect();
        let [library] = libraries[..] else {
            // With two library records, two plugin exports were linked into one library: it is ambiguous.
            return Err(IdentityError::LibraryRecords(libraries.len()));
        };
        let required = |key: &str| line(library, key).ok_or_else(|| invalid_record(library));
        let optional = |key: &str| line(library, key).unwrap_or("unknown").to_owned();
        let abi = required("abi")?;
        let mut identity = Self {
            abi_major: abi.parse().map_err(|_| invalid_record(&format!("abi={abi}")))?,
            target: required("target")?.to_owned(),
            api: optional("api"),
            panic_unwinds: line(library, "panic") != Some("abort"),
            crate_name: optional("crate"),
            crate_version: optional("version"),
            toolchain: optional("toolchain"),
            root: if line(library, "root") == Some("plain") { RootKind::Plain } else { RootKind::AbiStable },
            crypto: CryptoModule::of_word(line(library, "crypto").unwrap_or_default()),
            needs: words(line(library, "needs")),
            plugins: Vec::new(),
            unknown_plugins: Vec::new(),
        };
        for record in records {
            let Some((kind, name)) = plugin(record)? else { continue };
            match PluginKind::of_word(kind) {
                Some(kind) => identity.plugins.push(IdentifiedPlugin {
                    kind,
                    name: name.to_owned(),
                    needs: words(line(record, "needs")),
                }),
                None => identity.unknown_plugins.push((kind.to_owned(), name.to_owned())),
            }
        }
        identity.plugins.sort();
        Ok(identity)
    }
}

/// The value of the line `key=value` in a record.
fn line<'a>(record: &'a str, key: &str) -> Option<&'a str> {
    record.lines().skip(1).find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

/// The words of a comma-separated value.
fn words(value: Option<&str>) -> Vec<String> {
    value.unwrap_or_default().split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The lines of a library record are separated by line breaks; other control characters are invalid.
fn is_unprintable(character: char) -> bool {
    character != '\n' && character.is_control()
}

/// An error that shows the start of the record as one printable line.
fn invalid_record(record: &str) -> IdentityError {
    IdentityError::Record(printable(record, MAX_SHOWN_CHARS).into_owned())
}

/// Kind and name of a `plugin KIND NAME` record; `None` for another record.
fn plugin(record: &str) -> Result<Option<(&str, &str)>, IdentityError> {
    let mut first = record.lines().next().unwrap_or_default().splitn(3, ' ');
    if first.next() != Some(PLUGIN) {
        return Ok(None);
    }
    match (first.next(), first.next()) {
        (Some(kind), Some(name)) if !kind.is_empty() && !name.is_empty() => Ok(Some((kind, name))),
        _ => Err(invalid_record(record)),
    }
}

/// Concatenates the parts of a library record. The export macro adds the parts that only the plugin's crate knows.
/// `N` is [`record_length`] of the same parts.
#[must_use]
pub const fn identity_record<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut record = [0; N];
    let (mut position, mut part) = (0, 0);
    while part < parts.len() {
        let bytes = parts[part].as_bytes();
        let mut index = 0;
        while index < bytes.len() {
            record[position] = bytes[index];
            position += 1;
            index += 1;
        }
        part += 1;
    }
    record
}

/// The record of one plugin: `plugin input Name`.
#[must_use]
pub const fn name_record<const N: usize>(kind: &str, name: &str) -> [u8; N] {
    identity_record(&[PLUGIN, " ", kind, " ", name])
}

/// Total length of the parts, including the terminating zero byte.
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
        "scanbridge-plugin\nabi=2\ntarget=x86_64-unknown-linux-gnu\npanic=unwind\n",
        "crate=acme\nversion=0.3.1\ntoolchain=1.95.0\nroot=plain",
    ];

    #[test]
    fn records_in_any_order_and_with_padding() {
        let library = identity_record::<{ record_length(PARTS) }>(PARTS);
        let name = name_record::<{ record_length(&["plugin output Acme"]) }>("output", "Acme");
        let section = [&name[..], &[0, 0, 0], &library[..], &[0]].concat();
        let identity = Identity::parse(&section).unwrap();
        assert_eq!((identity.abi_major, identity.root), (2, RootKind::Plain));
        assert_eq!((identity.crate_name.as_str(), identity.crate_version.as_str()), ("acme", "0.3.1"));
        assert!(identity.panic_unwinds);
        assert_eq!(identity.plugins.len(), 1);
        assert_eq!(
            (identity.plugins[0].kind, identity.plugins[0].name.as_str()),
            (PluginKind::Output, "Acme")
        );
    }

    #[test]
    fn records_and_lines_of_a_later_version() {
        let section =
            b"signature x\0scanbridge-plugin\nabi=2\ntarget=t\nlater=1\nneeds=isolation/1\ncrypto=none\0\
            plugin transform Newer\nneeds=x/1\0plugin output Known\nlater=2\nneeds=tickets/1,x/2\0";
        let identity = Identity::parse(section).unwrap();
        assert_eq!((identity.needs, identity.crypto), (vec!["isolation/1".to_owned()], CryptoModule::None));
        let known = &identity.plugins[..];
        assert_eq!((known.len(), known[0].name.as_str()), (1, "Known"));
        assert_eq!(known[0].needs, ["tickets/1", "x/2"]);
        assert_eq!(identity.unknown_plugins, [("transform".to_owned(), "Newer".to_owned())]);
    }

    #[test]
    fn missing_lines_have_defaults() {
        let identity = Identity::parse(b"scanbridge-plugin\nabi=2\ntarget=t\0").unwrap();
        assert_eq!((identity.api.as_str(), identity.crate_version.as_str()), ("unknown", "unknown"));
        assert_eq!((identity.root, identity.panic_unwinds), (RootKind::AbiStable, true));
        assert_eq!(identity.crypto, CryptoModule::Unvalidated);
    }

    #[test]
    fn invalid_identity_section_is_rejected() {
        assert_eq!(Identity::parse(b""), Err(IdentityError::LibraryRecords(0)));
        let duplicate = [identity_record::<{ record_length(PARTS) }>(PARTS); 2].concat();
        assert_eq!(Identity::parse(&duplicate), Err(IdentityError::LibraryRecords(2)));
        for record in [
            &b"scanbridge-plugin\nabi=2\0"[..],
            b"scanbridge-plugin\nabi=two\ntarget=t\0",
            b"scanbridge-plugin\nabi=2\ntarget=t\0plugin output\0",
            b"scanbridge-plugin\nabi=2\ntarget=t\0later \x1b[31m\0",
        ] {
            assert!(matches!(Identity::parse(record), Err(IdentityError::Record(_))), "{record:?}");
        }
        assert!(matches!(Identity::parse(b"\xff\xfe"), Err(IdentityError::LibraryRecords(0))));
        let with_escape = Identity::parse(b"scanbridge-plugin\nabi=1\ncrate=\x1b[31mred\0");
        assert_eq!(
            with_escape,
            Err(IdentityError::Record("scanbridge-plugin abi=1 crate=\u{fffd}[31mred".to_owned()))
        );
        assert_eq!(Identity::parse(&[b'a'; Identity::MOST_BYTES + 1]), Err(IdentityError::TooLarge));
    }
}
