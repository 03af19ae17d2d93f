//! Encodes the value of a cell as JSON, by the form of its column: each column has one JSON type.

use std::fmt::Display;
use std::io::Write as _;

use scanbridge_columns::CellForm;
use scanbridge_plugin_api::model::{Fact, list_items};

use crate::text::push_text;

/// Appends the value. `text` is a value of the form ([`CellForm::value`]). False, with nothing appended, if there is none.
pub(crate) fn push_value(out: &mut Vec<u8>, form: CellForm, text: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    match form {
        CellForm::Text => push_text(out, text),
        // The digits as they are: a conversion could change them.
        CellForm::Integer | CellForm::Decimal | CellForm::Score => out.extend_from_slice(text.as_bytes()),
        CellForm::Flag => out.extend_from_slice(if text == "1" { b"true" } else { b"false" }),
        CellForm::List => {
            return push_list(out, text, |out, item| {
                push_text(out, item);
                true
            });
        }
        CellForm::Objects(parts) => {
            return push_list(out, text, |out, item| {
                push_parts(out, parts.iter().copied().zip(item.splitn(parts.len(), '\t')))
            });
        }
        CellForm::Facts => return push_list(out, text, push_fact),
    }
    true
}

/// Appends an object with the parts that are not empty. False, with nothing appended, if all are empty.
pub(crate) fn push_parts<'a>(
    out: &mut Vec<u8>,
    parts: impl Iterator<Item = (&'static str, &'a str)>,
) -> bool {
    let start = out.len();
    for (name, text) in parts.filter(|(_, text)| !text.is_empty()) {
        push_key(out, start, name);
        push_text(out, text);
    }
    close(out, start)
}

/// Appends the key of the next value of an object that began at `start`.
pub(crate) fn push_key(out: &mut Vec<u8>, start: usize, name: &str) {
    out.push(if out.len() == start { b'{' } else { b',' });
    push_text(out, name);
    out.push(b':');
}

/// Appends a number.
pub(crate) fn push_number(out: &mut Vec<u8>, number: impl Display) {
    write!(out, "{number}").expect("writing to memory cannot fail");
}

/// Ends an object that began at `start`, if it has a value.
pub(crate) fn close(out: &mut Vec<u8>, start: usize) -> bool {
    if out.len() > start {
        out.push(b'}');
    }
    out.len() > start
}

/// Appends a list of the items for which `push` appended something. False, with nothing appended, without such items.
fn push_list(out: &mut Vec<u8>, cell: &str, push: impl Fn(&mut Vec<u8>, &str) -> bool) -> bool {
    let start = out.len();
    for item in list_items(cell) {
        let before = out.len();
        out.push(if before == start { b'[' } else { b',' });
        if !push(out, item) {
            out.truncate(before);
        }
    }
    if out.len() > start {
        out.push(b']');
    }
    out.len() > start
}

fn push_fact(out: &mut Vec<u8>, item: &str) -> bool {
    match Fact::from_item(item) {
        Some(Fact::OpenPort { port, protocol, assigned, detected }) => {
            let start = out.len();
            push_key(out, start, "fact");
            push_text(out, "open_port");
            push_key(out, start, "port");
            push_number(out, port);
            let parts = [("protocol", protocol), ("assigned", assigned), ("detected", detected)];
            for (name, text) in parts.into_iter().filter(|(_, text)| !text.is_empty()) {
                push_key(out, start, name);
                push_text(out, text);
            }
            close(out, start)
        }
        Some(Fact::OperatingSystem { name, technique }) => {
            let parts = [("fact", "operating_system"), ("name", name), ("technique", technique)];
            push_parts(out, parts.into_iter())
        }
        Some(Fact::Name { name, source }) => {
            push_parts(out, [("fact", "name"), ("name", name), ("source", source)].into_iter())
        }
        // A kind of fact from a later version.
        Some(_) | None => push_parts(out, [("fact", "other"), ("text", item)].into_iter()),
    }
}

#[cfg(test)]
mod tests {
    use scanbridge_columns::Table;
    use scanbridge_plugin_api::batch::{Column, ColumnType};

    use super::*;

    #[test]
    fn each_column_has_its_type() {
        for (table, name, cell, json) in [
            (Table::Definition, "title", "a \"b\"\n\u{1}", r#""a \"b\"\n\u0001""#),
            (Table::Finding, "times_found", "443", "443"),
            (Table::Finding, "times_found", "many", ""),
            (Table::Definition, "pci_flag", "1", "true"),
            (Table::Definition, "pci_flag", "0", "false"),
            (Table::Definition, "pci_flag", "x", ""),
            (Table::Definition, "cvss_base", "9.3 (AV:N/AC:M/Au:N/C:C/I:C/A:C)", "9.3"),
            (Table::Definition, "cvss_base", "-", ""),
            (Table::Finding, "epss", "00.97", "0.97"),
            (
                Table::Definition,
                "cves",
                "CVE-2014-0160\nCVE-2014-0224",
                r#"["CVE-2014-0160","CVE-2014-0224"]"#,
            ),
            (
                Table::Definition,
                "vendor_references",
                "MS14-066\thttps://a.test\nX",
                r#"[{"id":"MS14-066","url":"https://a.test"},{"id":"X"}]"#,
            ),
            (
                Table::Definition,
                "exploits",
                "Core\tCVE-1\tread",
                r#"[{"source":"Core","reference":"CVE-1","description":"read"}]"#,
            ),
            (
                Table::Definition,
                "compliance",
                "HIPAA\t164.312\tAccess",
                r#"[{"type":"HIPAA","section":"164.312","description":"Access"}]"#,
            ),
            (Table::Asset, "tag_ids", "\tone\n2\n\t", r#"[{"name":"one"},{"id":"2"}]"#),
            (Table::Asset, "tag_ids", "\t", ""),
            (
                Table::Finding,
                "facts",
                "port\t22\ttcp\tssh\t\nos\tLinux\tIP\nname\ta.test\tFQDN\nnew\tx",
                r#"[{"fact":"open_port","port":22,"protocol":"tcp","assigned":"ssh"},{"fact":"operating_system","name":"Linux","technique":"IP"},{"fact":"name","name":"a.test","source":"FQDN"},{"fact":"other","text":"new\tx"}]"#,
            ),
            (Table::Finding, "of_a_later_version", "1", r#""1""#),
        ] {
            let form = CellForm::of(table, &Column::new(name, ColumnType::Text, ""));
            let mut out = Vec::new();
            assert_eq!(push_value(&mut out, form, form.value(cell)), !json.is_empty(), "{name}");
            assert_eq!(String::from_utf8(out).unwrap(), json, "{name}");
        }
    }
}
