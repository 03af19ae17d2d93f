//! Reads the preface of a report.

use std::io::Read;

use crate::damage::Damage;
use crate::definitions::Definitions;
use crate::events::Limits;
use crate::kind::Kind;
use crate::mark::Mark;
use crate::preface::Preface;
use crate::{detections, glossary, scan_preface};

/// Reads the data of a report that is needed before its assets. For a scan or detections this is usually within the
/// first block. A template report is read to its end, except for its assets, and its glossary is added to
/// `definitions`.
///
/// Also returns the damage that ended the reading, if any. A template report without damage is complete, except
/// perhaps for its assets. With damage, the preface contains the data before it.
pub fn read_preface(
    kind: &Kind,
    source: impl Read,
    limits: Limits,
    definitions: &mut Definitions,
) -> (Preface, Option<Damage>) {
    match kind {
        Kind::Scan => scan_preface::read(source, None, limits),
        Kind::TemplateReport => glossary::read(source, None, limits, definitions),
        _ => detections::read_preface(source, limits),
    }
}

/// As [`read_preface`], for a report that is resumed at `mark`. `read_from` reads the source from an offset. The assets
/// of a template report, and those before the header of a scan, are not read again.
pub fn resume_preface<R: Read>(
    kind: &Kind,
    mut read_from: impl FnMut(u64) -> R,
    limits: Limits,
    definitions: &mut Definitions,
    mark: &Mark,
) -> (Preface, Option<Damage>) {
    let Some(unread) = mark.unread else { return read_preface(kind, read_from(0), limits, definitions) };
    let tag: &'static [u8] = match kind {
        Kind::Scan => scan_preface::tag_instead_of(unread),
        _ => glossary::END_OF_ASSETS,
    };
    let source = read_from(0).take(unread.from).chain(tag).chain(read_from(unread.to));
    match kind {
        Kind::Scan => scan_preface::read(source, Some(unread), limits),
        _ => glossary::read(source, Some(unread), limits, definitions),
    }
}
