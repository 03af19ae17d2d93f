//! Encodes the cells of a row as a JSON object.

use scanbridge_plugin_api::batch::{Cell, Column, ColumnType};
use scanbridge_plugin_api::model::{Exploit, Fact, Reference, list_items};

/// JSON type of a column. Derived from the column, once per report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonType {
    /// A string; also the type of columns that this version does not know.
    Text,
    /// A number if the cell is an integer, otherwise a string.
    Number,
    /// A number if the cell is a decimal number, otherwise a string.
    Decimal,
    /// `true` for 1, `false` for 0, otherwise a string.
    Flag,
    /// A list of strings.
    List,
    /// A list of objects with `id` and `url`.
    References,
    /// A list of objects with `source`, `reference`, `description` and `link`.
    Exploits,
    /// A list of objects, each with `fact` (its kind) and the fields of that kind.
    Facts,
}

impl JsonType {
    /// The type of a column of the schema: by its type if the input has added it, otherwise by its name.
    pub(crate) fn of_column(column: &Column) -> Self {
        if !column.is_own() {
            return Self::of(&column.name);
        }
        match column.column_type {
            ColumnType::Integer => Self::Number,
            ColumnType::Decimal => Self::Decimal,
            ColumnType::Flag => Self::Flag,
            ColumnType::List => Self::List,
            _ => Self::Text,
        }
    }

    pub(crate) fn of(name: &str) -> Self {
        match name {
            "severity" | "port" | "times_found" | "detection_score" => Self::Number,
            "ssl" | "pci_flag" | "patchable" => Self::Flag,
            "cves" | "bugtraqs" | "malware" | "compliance" | "groups" | "tags" | "interfaces" => Self::List,
            "vendor_references" => Self::References,
            "exploits" => Self::Exploits,
            "facts" => Self::Facts,
            _ => Self::Text,
        }
    }
}

/// Appends an object with all cells that are not empty.
pub(crate) fn push<'a>(out: &mut Vec<u8>, cells: impl Iterator<Item = (&'a str, JsonType, &'a str)>) {
    let mut object = ObjectWriter::begin(out);
    cells.for_each(|(name, json_type, cell)| object.cell(name, json_type, cell));
    object.end();
}

/// An object that is being appended.
#[derive(Debug)]
pub(crate) struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    gap: &'static str,
}

impl<'a> ObjectWriter<'a> {
    pub(crate) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, gap: "" }
    }

    /// Appends a cell, unless it is empty.
    pub(crate) fn cell(&mut self, name: &str, json_type: JsonType, cell: &str) {
        if cell.is_empty() {
            return;
        }
        self.out.extend_from_slice(self.gap.as_bytes());
        push_text(self.out, name);
        self.out.push(b':');
        push_cell(self.out, json_type, cell);
        self.gap = ",";
    }

    pub(crate) fn end(self) {
        self.out.push(b'}');
    }
}

fn push_cell(out: &mut Vec<u8>, json_type: JsonType, cell: &str) {
    match json_type {
        JsonType::Text => push_text(out, cell),
        JsonType::Number => match Cell::new(cell).integer() {
            Some(number) => out.extend_from_slice(number.to_string().as_bytes()),
            None => push_text(out, cell),
        },
        // The digits as they are: a conversion could change them. JSON has no leading zeros.
        JsonType::Decimal if Cell::new(cell).decimal().is_some() && !has_leading_zero(cell) => {
            out.extend_from_slice(cell.as_bytes());
        }
        JsonType::Decimal => push_text(out, cell),
        JsonType::Flag => match cell {
            "1" => out.extend_from_slice(b"true"),
            "0" => out.extend_from_slice(b"false"),
            _ => push_text(out, cell),
        },
        JsonType::List => push_list(out, cell, push_text),
        JsonType::References => push_list(out, cell, |out, item| {
            let Reference { id, url, .. } = Reference::from_item(item);
            push_parts(out, &[("id", id), ("url", url)]);
        }),
        JsonType::Exploits => push_list(out, cell, |out, item| {
            let Exploit { source, reference, description, link, .. } = Exploit::from_item(item);
            let parts =
                [("source", source), ("reference", reference), ("description", description), ("link", link)];
            push_parts(out, &parts);
        }),
        JsonType::Facts => push_list(out, cell, push_fact),
    }
}

/// Whether a zero comes before another digit: `00.5`.
fn has_leading_zero(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number).as_bytes();
    digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit()
}

fn push_fact(out: &mut Vec<u8>, item: &str) {
    match Fact::from_item(item) {
        Some(Fact::OpenPort { port, protocol, assigned, detected }) => {
            let port = port.to_string();
            let parts = [("protocol", protocol), ("assigned", assigned), ("detected", detected)];
            let parts = parts.map(|(name, value)| (name, JsonType::Text, value));
            let kind = ("fact", JsonType::Text, "open_port");
            push(out, [kind, ("port", JsonType::Number, &port)].into_iter().chain(parts));
        }
        Some(Fact::OperatingSystem { name, technique }) => {
            push_parts(out, &[("fact", "operating_system"), ("name", name), ("technique", technique)]);
        }
        Some(Fact::Name { name, source }) => {
            push_parts(out, &[("fact", "name"), ("name", name), ("source", source)]);
        }
        // A kind of fact from a later version: passed on as a string.
        Some(_) | None => push_text(out, item),
    }
}

fn push_parts(out: &mut Vec<u8>, parts: &[(&str, &str)]) {
    push(out, parts.iter().map(|(name, value)| (*name, JsonType::Text, *value)));
}

fn push_list(out: &mut Vec<u8>, cell: &str, item: impl Fn(&mut Vec<u8>, &str)) {
    out.push(b'[');
    for (index, text) in list_items(cell).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        item(out, text);
    }
    out.push(b']');
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object_of(cells: &[(&str, &str)]) -> String {
        let mut out = Vec::new();
        push(&mut out, cells.iter().map(|(name, cell)| (*name, JsonType::of(name), *cell)));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_column_has_its_type() {
        for (cells, json) in [
            (&[("title", "a \"b\"\n\u{1}"), ("os", "")][..], r#"{"title":"a \"b\"\n\u0001"}"#),
            (&[("port", "443"), ("severity", "-")], r#"{"port":443,"severity":"-"}"#),
            (
                &[("ssl", "1"), ("patchable", "0"), ("pci_flag", "x")],
                r#"{"ssl":true,"patchable":false,"pci_flag":"x"}"#,
            ),
            (&[("cves", "CVE-2014-0160\nCVE-2014-0224")], r#"{"cves":["CVE-2014-0160","CVE-2014-0224"]}"#),
            (
                &[("vendor_references", "MS14-066\thttps://a.test\nX")],
                r#"{"vendor_references":[{"id":"MS14-066","url":"https://a.test"},{"id":"X"}]}"#,
            ),
            (
                &[("exploits", "Core\tCVE-1\tread")],
                r#"{"exploits":[{"source":"Core","reference":"CVE-1","description":"read"}]}"#,
            ),
            (
                &[("facts", "port\t22\ttcp\tssh\t\nos\tLinux\tIP\nname\ta.test\tFQDN\nnew\tx")],
                r#"{"facts":[{"fact":"open_port","port":22,"protocol":"tcp","assigned":"ssh"},{"fact":"operating_system","name":"Linux","technique":"IP"},{"fact":"name","name":"a.test","source":"FQDN"},"new\tx"]}"#,
            ),
            (&[("of_a_later_version", "1")], r#"{"of_a_later_version":"1"}"#),
            (&[], "{}"),
        ] {
            assert_eq!(object_of(cells), json);
        }
    }
}
