//! The last four fields of the line of a finding: name, description, CVE IDs, BugTraq IDs.

use scanbridge_html_text::append_text;
use scanbridge_plugin_api::batch::DefinitionView;
use scanbridge_plugin_api::model::{DefinitionField, list_items};

use crate::counts::Cuts;
use crate::settings::{DescriptionPart, Settings};
use crate::text::{CleanText, push_cut, push_quoted, quoted_length};

/// The four fields of a line. The buffers are reused.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    name: String,
    description: String,
    /// The lists with their prefix, without quotes.
    cves: String,
    bugtraqs: String,
    cuts: Cuts,
    clean: CleanText,
    plain: String,
}

/// The line is too long even with the shortest name, description and lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Tail {
    /// Makes the fields. `results` are the results of the finding, and `cves` the IDs that it adds to those of its
    /// definition.
    pub(crate) fn make(
        &mut self,
        definition: &DefinitionView<'_>,
        results: &str,
        cves: &str,
        settings: &Settings,
    ) {
        self.cuts = Cuts::default();
        self.clean.begin(NAME_LENGTH);
        self.clean.push_str(definition.get(DefinitionField::Title));
        self.cuts.texts += take(&mut self.clean, &mut self.name);
        self.describe(definition, results, settings);
        self.cuts.texts += take(&mut self.clean, &mut self.description);
        let of_definition = definition.get(DefinitionField::Cves);
        let is_new = |position: usize, id: &str| {
            let mut known = list_items(of_definition).chain(list_items(cves).take(position));
            !known.any(|known| known.eq_ignore_ascii_case(id))
        };
        let of_finding = list_items(cves).enumerate().filter(|(position, id)| is_new(*position, id));
        let of_finding = of_finding.map(|(_, id)| id);
        list(&mut self.cves, CVES, list_items(of_definition).chain(of_finding), is_cve, &mut self.cuts);
        let bugtraqs = list_items(definition.get(DefinitionField::Bugtraqs));
        list(&mut self.bugtraqs, BUGTRAQS, bugtraqs, is_number, &mut self.cuts);
    }

    /// Writes the fields, and counts what was truncated.
    pub(crate) fn write(&self, line: &mut String) -> Cuts {
        push_quoted(line, &self.name);
        line.push(',');
        push_quoted(line, &self.description);
        push_list(line, &self.cves);
        push_list(line, &self.bugtraqs);
        self.cuts
    }

    /// Writes the fields in at most `room` bytes, and counts what was truncated. The description gives way first, then the
    /// BugTraq IDs, the CVE IDs, which the impact assessment needs, and the name. The mark is at the end of the
    /// description.
    pub(crate) fn write_within(&self, line: &mut String, room: usize) -> Result<Cuts, TooLong> {
        let mut spare = room.checked_sub(LEAST_BYTES).ok_or(TooLong)?;
        let mut take = |wanted: usize| {
            let taken = wanted.min(spare);
            spare -= taken;
            taken
        };
        let name_wants = quoted_length(&self.name).saturating_sub(LEAST_TEXT.len());
        let beginning = take(name_wants.min(NAME_BEGINNING));
        let cves = take(self.cves.len() - CVES.len());
        let bugtraqs = take(self.bugtraqs.len() - BUGTRAQS.len());
        let name = LEAST_TEXT.len() + beginning + take(name_wants - beginning);
        let description = LEAST_TEXT.len() + spare;

        match quoted_length(&self.name) <= name {
            true => push_quoted(line, &self.name),
            false => push_cut(line, &self.name, name),
        }
        line.push(',');
        push_cut(line, &self.description, description);
        let mut cuts = Cuts { lines: 1, ..self.cuts };
        for (list, length) in [(&self.cves, CVES.len() + cves), (&self.bugtraqs, BUGTRAQS.len() + bugtraqs)] {
            let kept = ids_within(list, length);
            push_list(line, kept);
            cuts.ids += list[kept.len()..].matches(' ').count() as u64;
        }
        Ok(cuts)
    }

    fn describe(&mut self, definition: &DefinitionView<'_>, results: &str, settings: &Settings) {
        let Self { clean, plain, .. } = self;
        clean.begin(settings.description_length);
        for part in &settings.description {
            let text = match part {
                DescriptionPart::Diagnosis => definition.get(DefinitionField::Diagnosis),
                DescriptionPart::Consequence => definition.get(DefinitionField::Consequence),
                DescriptionPart::Solution => definition.get(DefinitionField::Solution),
                DescriptionPart::Result => results,
            };
            if text.trim().is_empty() {
                continue;
            }
            if !clean.is_empty() {
                clean.push(' ');
            }
            if settings.description.len() > 1 {
                clean.push_str(part.label());
            }
            match part {
                // Text that a scanned machine returned is not HTML, even if it looks like it.
                DescriptionPart::Result => clean.push_str(text),
                _ => {
                    plain.clear();
                    // Collapsing white space and transliteration follow and change the length, so the limit here is
                    // larger.
                    append_text(plain, text, settings.description_length.saturating_mul(4));
                    clean.push_str(plain);
                }
            }
        }
    }
}

/// Moves a clean text, and returns 1 if it was truncated.
fn take(clean: &mut CleanText, text: &mut String) -> u64 {
    let is_truncated = clean.is_truncated();
    text.clear();
    text.push_str(clean.finish());
    u64::from(is_truncated)
}

/// Makes a list argument. Its prefix is required even if the list is empty.
fn list<'a>(
    text: &mut String,
    prefix: &str,
    ids: impl Iterator<Item = &'a str>,
    is_valid: fn(&str) -> bool,
    cuts: &mut Cuts,
) {
    text.clear();
    text.push_str(prefix);
    for id in ids {
        if !is_valid(id) {
            cuts.bad_ids += 1;
        } else if text.len() - prefix.len() + id.len() >= LIST_BYTES {
            cuts.ids += 1;
        } else {
            text.push(' ');
            text.extend(id.chars().map(|character| character.to_ascii_uppercase()));
        }
    }
}

fn push_list(line: &mut String, list: &str) {
    line.push_str(",\"");
    line.push_str(list);
    line.push('"');
}

/// The beginning of a list that has at most `length` bytes and complete IDs.
fn ids_within(list: &str, length: usize) -> &str {
    match list.len() <= length {
        true => list,
        // The character after the last complete ID is a space.
        false => &list[..list[..=length].rfind(' ').unwrap_or(0)],
    }
}

/// Whether an ID has the form `CVE-2014-0160`. The older prefix `CAN-` is also accepted.
fn is_cve(id: &str) -> bool {
    let mut parts = id.splitn(3, '-');
    let (list, year, number) = (parts.next(), parts.next(), parts.next());
    list.is_some_and(|list| ["CVE", "CAN"].iter().any(|known| known.eq_ignore_ascii_case(list)))
        && year.is_some_and(|year| year.len() == 4 && is_number(year))
        && number.is_some_and(|number| number.len() >= 4 && is_number(number))
}

fn is_number(id: &str) -> bool {
    (1..=10).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit())
}

const CVES: &str = "cve_ids:";
const BUGTRAQS: &str = "bugtraq_ids:";

/// The shortest truncated text.
const LEAST_TEXT: &str = "\"...\"";

/// Two of these texts, two commas, and two empty lists with comma and quotes.
const LEAST_BYTES: usize = 2 * LEAST_TEXT.len() + 1 + (CVES.len() + 3) + (BUGTRAQS.len() + 3);

/// What a name keeps of its beginning before the IDs get room, in bytes.
const NAME_BEGINNING: usize = 80;

/// Maximum length of a name. The limit of the Defense Center is not known; the scanner's titles are shorter.
const NAME_LENGTH: usize = 500;

/// Maximum size of a list: about two thousand CVE IDs, twice as many as any known definition has.
const LIST_BYTES: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_cve_ids_are_sent() {
        for good in ["CVE-2014-0160", "cve-2021-44228", "CAN-1999-1234"] {
            assert!(is_cve(good), "{good}");
        }
        for bad in ["CVE-2014-016", "CVE-14-0160", "CVE-2014-0160\"", "2014-0160", "CVE", "CVE-2014-01x0", ""]
        {
            assert!(!is_cve(bad), "{bad}");
        }
    }

    fn tail() -> Tail {
        let mut tail = Tail { name: "Name \"x\"".to_owned(), description: "y".repeat(30), ..Tail::default() };
        let mut cuts = Cuts::default();
        list(&mut tail.cves, CVES, ["CVE-2014-0160", "no", "cve-2021-44228"].into_iter(), is_cve, &mut cuts);
        list(&mut tail.bugtraqs, BUGTRAQS, ["7", "42"].into_iter(), is_number, &mut cuts);
        tail.cuts = cuts;
        tail
    }

    #[test]
    fn list_keeps_its_prefix_and_counts_what_it_leaves_out() {
        let (mut text, mut cuts) = (String::new(), Cuts::default());
        list(&mut text, CVES, std::iter::empty(), is_cve, &mut cuts);
        assert_eq!((text.as_str(), cuts), (CVES, Cuts::default()));
        list(&mut text, BUGTRAQS, ["7", "x", "9"].into_iter(), is_number, &mut cuts);
        assert_eq!((text.as_str(), cuts.bad_ids), ("bugtraq_ids: 7 9", 1));
        list(&mut text, CVES, (0..5000).map(|_| "CVE-2014-0160"), is_cve, &mut cuts);
        assert!(text.len() <= CVES.len() + LIST_BYTES);
        assert_eq!(cuts.ids, 5000 - text.matches(" CVE-2014-0160").count() as u64);
    }

    /// For each room: the fields fit, IDs are complete, and what is missing is counted.
    #[test]
    fn fields_fit_any_room() {
        let tail = tail();
        let mut full = String::new();
        assert_eq!(tail.write(&mut full), Cuts { bad_ids: 1, ..Cuts::default() });
        for room in 0..full.len() {
            let mut line = String::new();
            let Ok(cuts) = tail.write_within(&mut line, room) else {
                assert!(room < LEAST_BYTES && line.is_empty());
                continue;
            };
            assert!(line.len() <= room, "{room}: {line}");
            let kept = [" CVE-2014-0160", " CVE-2021-44228", " 7", " 42"];
            let kept = kept.into_iter().filter(|id| line.contains(id)).count() as u64;
            assert_eq!((cuts.lines, cuts.ids), (1, 4 - kept), "{line}");
            assert!(line.contains("...\",\"cve_ids:"), "{line}");
            if room == LEAST_BYTES {
                assert_eq!(line, r#""...","...","cve_ids:","bugtraq_ids:""#);
            }
            // The description gives way before an ID does.
            assert!(kept == 4 || line.contains(",\"...\",\"cve_ids:"), "{line}");
        }
    }
}
