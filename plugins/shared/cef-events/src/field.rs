//! The fields of an event: keys, labels and limits of the CEF Implementation Standard, revision 27.

use crate::escape::{self, EscapeResult};

/// A field that can contain an external text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Field {
    ClassId,
    Name,
    HostName,
    Protocol,
    Category,
    CategoryTechnique,
    OldFilePath,
    FilePath,
    ExternalId,
    Outcome,
    AssetId,
    ThreatIntelligence,
    Message,
    CvssBase,
    Cves,
    Result,
    Diagnosis,
    Consequence,
    Solution,
    DottedExploits,
    CustomExploits,
    /// All fields of `additional_fields` together.
    Additional,
}

struct Spec {
    /// Its name in the value of `ScanbridgeTruncated`.
    name: &'static str,
    /// The bytes before the value: label, key and `=`.
    opening: &'static str,
    /// Maximum length of the escaped value in bytes.
    limit: usize,
}

impl Field {
    const ALL: [Self; 22] = [
        Self::ClassId,
        Self::Name,
        Self::HostName,
        Self::Protocol,
        Self::Category,
        Self::CategoryTechnique,
        Self::OldFilePath,
        Self::FilePath,
        Self::ExternalId,
        Self::Outcome,
        Self::AssetId,
        Self::ThreatIntelligence,
        Self::Message,
        Self::CvssBase,
        Self::Cves,
        Self::Result,
        Self::Diagnosis,
        Self::Consequence,
        Self::Solution,
        Self::DottedExploits,
        Self::CustomExploits,
        Self::Additional,
    ];

    pub(crate) const fn limit(self) -> usize {
        self.spec().limit
    }

    /// The bytes before the value: label, key and `=`.
    pub(crate) fn opening(self) -> &'static str {
        self.spec().opening
    }

    const fn spec(self) -> Spec {
        let (name, opening, limit) = match self {
            Self::ClassId => ("deviceEventClassId", "", 1023),
            Self::Name => ("name", "", 512),
            Self::HostName => ("dhost", "dhost=", 1023),
            Self::Protocol => ("proto", "proto=", 31),
            Self::Category => ("cat", "cat=", 1023),
            Self::CategoryTechnique => ("categoryTechnique", "categoryTechnique=", 1023),
            Self::OldFilePath => ("oldFilePath", "oldFilePath=", 1023),
            Self::FilePath => ("filePath", "filePath=", 1023),
            Self::ExternalId => ("externalId", "externalId=", 40),
            Self::Outcome => ("outcome", "outcome=", 63),
            // Its label names the kind of ID.
            Self::AssetId => ("flexString1", "flexString1=", 1023),
            Self::ThreatIntelligence => {
                ("flexString2", "flexString2Label=Threat Intelligence flexString2=", 1023)
            }
            Self::Message => ("msg", "msg=", 1023),
            Self::CvssBase => ("cs6", "cs6Label=CVSS Base Score cs6=", 4000),
            Self::Cves => ("cs2", "cs2Label=CVE ID cs2=", 4000),
            // The dictionary defines no limit for additional data; the limit of custom strings is used.
            Self::DottedExploits => ("ad.ExpltDescription", "ad.ExpltDescription=", 4000),
            Self::CustomExploits => ("QualysQualysExpltDescription", "QualysQualysExpltDescription=", 4000),
            Self::Result => ("cs1", "cs1Label=Result cs1=", 4000),
            Self::Diagnosis => ("cs3", "cs3Label=Diagnosis cs3=", 4000),
            Self::Consequence => ("cs4", "cs4Label=Consequence cs4=", 4000),
            Self::Solution => ("cs5", "cs5Label=Solution cs5=", 4000),
            // The limit of one key; together they have `additional::LIMIT`.
            Self::Additional => ("additionalFields", "", 1023),
        };
        Spec { name, opening, limit }
    }
}

/// Appends the label and `key=value `, or nothing if the cleaned value is empty.
pub(crate) fn append(out: &mut Vec<u8>, truncated: &mut TruncatedFields, field: Field, value: &str) {
    append_as(out, truncated, field, [field.opening(), ""], value);
}

/// As [`append`], with another label and key before the value, given in two parts.
pub(crate) fn append_as(
    out: &mut Vec<u8>,
    truncated: &mut TruncatedFields,
    field: Field,
    opening: [&str; 2],
    value: &str,
) {
    if value.is_empty() {
        return;
    }
    let start = out.len();
    opening.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    match escape::extension(out, value, field.limit()) {
        EscapeResult::Empty => out.truncate(start),
        EscapeResult::Complete => out.push(b' '),
        EscapeResult::Truncated => {
            truncated.insert(field);
            out.push(b' ');
        }
    }
}

/// Appends `key=number ` .
pub(crate) fn append_number(out: &mut Vec<u8>, opening: &str, number: impl itoa::Integer) {
    out.extend_from_slice(opening.as_bytes());
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.push(b' ');
}

/// Appends `key=text ` for a text that needs no escapes: a number of the scanner, or one of our words.
pub(crate) fn append_plain(out: &mut Vec<u8>, opening: &str, text: &str) {
    out.extend_from_slice(opening.as_bytes());
    out.extend_from_slice(text.as_bytes());
    out.push(b' ');
}

/// Appends a header field and its `|`. An empty field becomes `fallback`, because some receivers reject a
/// header with an empty field.
pub(crate) fn append_header(
    out: &mut Vec<u8>,
    truncated: &mut TruncatedFields,
    field: Field,
    value: &str,
    fallback: &str,
) {
    let result = match escape::header(out, value, field.limit()) {
        EscapeResult::Empty => escape::header(out, fallback, field.limit()),
        result => result,
    };
    if result == EscapeResult::Truncated {
        truncated.insert(field);
    }
    out.push(b'|');
}

/// The fields of an event whose text is truncated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TruncatedFields(u32);

impl TruncatedFields {
    /// The key that lists them in the event.
    const KEY: &'static str = "ScanbridgeTruncated=";

    pub(crate) fn insert(&mut self, field: Field) {
        self.0 |= 1 << field as u8;
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Appends the key with the names, separated by commas; nothing if no field is truncated.
    pub(crate) fn append_to(self, out: &mut Vec<u8>) {
        for (index, field) in self.fields().enumerate() {
            out.extend_from_slice(if index == 0 { Self::KEY.as_bytes() } else { b"," });
            out.extend_from_slice(field.spec().name.as_bytes());
        }
        if !self.is_empty() {
            out.push(b' ');
        }
    }

    /// How many bytes [`TruncatedFields::append_to`] writes: the key, and each name with one separator.
    pub(crate) fn written_length(self) -> usize {
        if self.is_empty() {
            return 0;
        }
        Self::KEY.len() + self.fields().map(|field| field.spec().name.len() + 1).sum::<usize>()
    }

    fn fields(self) -> impl Iterator<Item = Field> {
        Field::ALL.into_iter().filter(move |field| self.0 & 1 << *field as u8 != 0)
    }
}

/// Capacity in bytes that a buffer keeps for reuse, so that one huge text does not occupy memory forever.
pub(crate) const KEPT_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_listed_once() {
        let mut all = TruncatedFields::default();
        for (index, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, index);
            all.insert(field);
        }
        let mut out = Vec::new();
        all.append_to(&mut out);
        assert_eq!(all.written_length(), out.len());
        let text = String::from_utf8(out).unwrap();
        let names: Vec<_> =
            text.strip_prefix("ScanbridgeTruncated=").unwrap().trim_end().split(',').collect();
        assert_eq!(names.len(), Field::ALL.len());
        assert_eq!(names[0], "deviceEventClassId");
        assert_eq!(names[21], "additionalFields");
    }

    #[test]
    fn empty_value_writes_neither_key_nor_label() {
        let (mut out, mut truncated) = (Vec::new(), TruncatedFields::default());
        append(&mut out, &mut truncated, Field::Diagnosis, " \r\n\t\u{200b}");
        append_header(&mut out, &mut truncated, Field::Name, "", "QID 7");
        assert_eq!(out, b"QID 7|");
        assert!(truncated.is_empty());
    }
}
