//! The forms in which the standard schemas want the values of our columns.

use std::net::IpAddr;

use scanbridge_columns::CellForm;
use scanbridge_html_text::append_text;
use scanbridge_plugin_api::batch::Cell;
use scanbridge_plugin_api::model::list_items;

use crate::identity;
use crate::source::Record;
use crate::text::push_text;
use crate::value::{close, push_key, push_number, push_value};

/// How a value becomes JSON. Each form writes nothing for a text that it does not fit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    /// By the form of the column.
    Native,
    /// A string.
    Text,
    /// A string, the text of an HTML fragment.
    Plain,
    /// This JSON, if there is a value.
    Raw(&'static str),
    /// The JSON for this word. `""` is for no value, `*` for any other word.
    Words(&'static [(&'static str, &'static str)]),
    /// This JSON, if a list has one of these items.
    AnyOf(&'static [&'static str], &'static str),
    /// A time as a string.
    Time,
    /// A time in milliseconds since 1970.
    Millis,
    /// An IP address.
    Ip,
    /// A hardware address: with colons, or in upper case with hyphens.
    Mac { hyphens: bool },
    /// A UUID.
    Uuid,
    /// A string with this prefix.
    Prefixed(&'static str),
    /// The part of an item with this number.
    Part(usize),
    /// An object with these parts of an item: the number of the part, its name, and whether it is written.
    Parts(&'static [(usize, &'static str, Presence)]),
    /// An object with this one value.
    Wrapped(&'static str, &'static Form),
    /// The first item of a list that fits.
    First(&'static Form),
    /// Each item of a list.
    Each(&'static Form),
    /// The name of the operating system as a number of OCSF; `*` is for any other.
    Os(&'static [(&'static str, &'static str)]),
    /// Names, with the IDs in the second column.
    Paired(&'static [&'static str; 1]),
    /// A CVSS score of OCSF, with temporal score, vector, source and version in the other columns, and the vendor.
    OcsfScore { columns: &'static [&'static str; 5], version: &'static str },
    /// A CVSS score of ECS, with temporal score and version in the other columns.
    EcsScore { columns: &'static [&'static str; 2], version: &'static str },
    /// The identity of the finding, as a digest.
    Identity,
}

/// Whether a part of an item is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// If it is not empty.
    Optional,
    /// Always, also empty.
    Always,
    /// If it is empty, the item is left out.
    Required,
}

impl Form {
    /// The columns that the form needs in addition to the first one.
    pub(crate) fn more_columns(self) -> &'static [&'static str] {
        match self {
            Self::Paired(columns) => columns,
            Self::OcsfScore { columns, .. } => columns,
            Self::EcsScore { columns, .. } => columns,
            _ => &[],
        }
    }

    /// Whether there may be a value for an empty cell.
    pub(crate) fn is_for_no_value(self) -> bool {
        matches!(self, Self::Words(_))
    }

    /// Whether the value needs only its columns.
    pub(crate) fn is_of_columns(self) -> bool {
        !matches!(self, Self::Identity)
    }

    /// Appends the value. False, with nothing appended, if there is none. `more` has the texts of the other columns.
    pub(crate) fn push(self, out: &mut Vec<u8>, text: &str, value: &Value<'_>, scratch: &mut String) -> bool {
        if let Self::Words(words) = self {
            let known = words.iter().find(|(word, _)| *word == text);
            let other = || words.iter().find(|(word, _)| *word == "*" && !text.is_empty());
            return push_raw(out, known.or_else(other).map(|(_, json)| *json));
        }
        if text.is_empty() {
            return false;
        }
        match self {
            Self::Native => return push_value(out, value.native, text),
            Self::Text => push_text(out, text),
            Self::Plain => {
                scratch.clear();
                append_text(scratch, text, usize::MAX);
                if scratch.is_empty() {
                    return false;
                }
                push_text(out, scratch);
            }
            Self::Raw(json) => out.extend_from_slice(json.as_bytes()),
            Self::AnyOf(items, json) => {
                return push_raw(out, list_items(text).any(|item| items.contains(&item)).then_some(json));
            }
            Self::Time => return Cell::new(text).time().map(|_| push_text(out, text)).is_some(),
            Self::Millis => return Cell::new(text).time().map(|time| push_number(out, time)).is_some(),
            Self::Ip => return text.parse::<IpAddr>().map(|_| push_text(out, text)).is_ok(),
            Self::Mac { hyphens } => return push_mac(out, text, hyphens),
            Self::Uuid if !is_uuid(text) => return false,
            Self::Uuid => push_text(out, text),
            Self::Prefixed(prefix) => {
                push_text(out, prefix);
                out.pop();
                let end = out.len();
                push_text(out, text);
                out.remove(end);
            }
            Self::Part(number) => match text.split('\t').nth(number) {
                None | Some("") => return false,
                Some(part) => push_text(out, part),
            },
            Self::Parts(parts) => return push_parts(out, text, parts),
            Self::Wrapped(name, form) => {
                let start = out.len();
                push_key(out, start, name);
                if !form.push(out, text, value, scratch) {
                    out.truncate(start);
                }
                return close(out, start);
            }
            Self::First(form) | Self::Each(form) => {
                return list_items(text).any(|item| form.push(out, item, value, scratch));
            }
            Self::Os(systems) => return push_raw(out, operating_system(text, systems)),
            Self::OcsfScore { version, .. } => push_ocsf_score(out, text, version, value),
            Self::EcsScore { version, .. } => push_ecs_score(out, text, version, value),
            Self::Identity => match value.record.finding {
                Some(finding) => identity::push_digest(out, finding, scratch),
                None => return false,
            },
            Self::Paired(_) | Self::Words(_) => return false,
        }
        true
    }
}

/// What a form may need in addition to the text of its first column.
#[derive(Debug)]
pub(crate) struct Value<'a> {
    pub(crate) record: &'a Record<'a>,
    /// The form of the first column.
    pub(crate) native: CellForm,
    /// The texts of [`Form::more_columns`].
    pub(crate) more: &'a [&'a str],
}

fn push_raw(out: &mut Vec<u8>, json: Option<&str>) -> bool {
    out.extend_from_slice(json.unwrap_or_default().as_bytes());
    json.is_some()
}

fn push_parts(out: &mut Vec<u8>, item: &str, parts: &[(usize, &'static str, Presence)]) -> bool {
    let start = out.len();
    let mut has_value = false;
    for (number, name, presence) in parts {
        let text = item.split('\t').nth(*number).unwrap_or_default();
        match presence {
            Presence::Required if text.is_empty() => {
                out.truncate(start);
                return false;
            }
            Presence::Optional if text.is_empty() => continue,
            _ => {
                push_key(out, start, name);
                push_text(out, text);
                has_value |= !text.is_empty();
            }
        }
    }
    if !has_value {
        out.truncate(start);
    }
    close(out, start)
}

fn push_mac(out: &mut Vec<u8>, text: &str, hyphens: bool) -> bool {
    let is_byte = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if text.split(':').count() != 6 || !text.split(':').all(is_byte) {
        return false;
    }
    let start = out.len();
    push_text(out, text);
    if hyphens {
        out[start..].make_ascii_uppercase();
        out[start..].iter_mut().filter(|byte| **byte == b':').for_each(|byte| *byte = b'-');
    }
    true
}

fn is_uuid(text: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split('-').all(is_hex) && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
}

/// The value for the first word that names a system.
fn operating_system(os: &str, systems: &[(&str, &'static str)]) -> Option<&'static str> {
    let words = os.split(|c: char| !c.is_alphanumeric() && c != '-');
    let named = |word: &str| systems.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    let found = words.filter(|word| !word.is_empty()).find_map(named);
    found.or_else(|| systems.iter().find(|(name, _)| *name == "*")).map(|(_, number)| *number)
}

fn push_ocsf_score(out: &mut Vec<u8>, base: &str, version: &str, value: &Value<'_>) {
    let [temporal, vector, source, own_version, vendor] = value.more else { return };
    let start = out.len();
    push_key(out, start, "version");
    push_text(out, if own_version.is_empty() { version } else { own_version });
    push_key(out, start, "base_score");
    out.extend_from_slice(base.as_bytes());
    if !temporal.is_empty() {
        push_key(out, start, "overall_score");
        out.extend_from_slice(temporal.as_bytes());
    }
    if !vector.is_empty() {
        push_key(out, start, "vector_string");
        push_text(out, vector);
    }
    push_key(out, start, "vendor_name");
    push_text(
        out,
        match *source {
            "" => "NVD",
            "service" => vendor,
            source => source,
        },
    );
    close(out, start);
}

fn push_ecs_score(out: &mut Vec<u8>, base: &str, version: &str, value: &Value<'_>) {
    let [temporal, own_version] = value.more else { return };
    let start = out.len();
    push_key(out, start, "base");
    out.extend_from_slice(base.as_bytes());
    if !temporal.is_empty() {
        push_key(out, start, "temporal");
        out.extend_from_slice(temporal.as_bytes());
    }
    push_key(out, start, "version");
    push_text(out, if own_version.is_empty() { version } else { own_version });
    close(out, start);
}
