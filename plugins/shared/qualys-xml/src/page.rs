//! Reads one page of detections before any of it is delivered: checks that it is complete, and returns its assets,
//! its QIDs and the address of the next page.

use std::collections::BTreeSet;
use std::io::Read;

use crate::damage::{Damage, Fault};
use crate::element::Element;
use crate::element_role::{ElementRole, Structure, Value};
use crate::events::Limits;
use crate::kind::Kind;
use crate::mark::Mark;
use crate::other::Table;
use crate::walk::{Document, Flow, State, Walk};

/// The parts of a page other than its detections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// When it was created, by the clock of Qualys.
    pub time: String,
    /// The numbers of its assets, in their order.
    pub assets: Vec<u64>,
    /// The QIDs of its detections.
    pub qids: BTreeSet<u32>,
    /// The code of its warning; empty if there is none.
    pub warning: String,
    /// The address of the next page, as given in the warning.
    pub next: Option<String>,
}

/// The note in [`ReportReader::notes`](crate::ReportReader::notes) for a page that is not the last one.
pub const MORE_PAGES: &str = "this file is one page of several; the other pages contain more assets";

/// Far more than a page has.
const MAX_ASSETS: usize = 1_000_000;

impl Page {
    /// Reads a page to its end.
    ///
    /// # Errors
    /// The damage. No part of a damaged page should be delivered.
    pub fn read(source: impl Read, limits: Limits) -> Result<Self, Damage> {
        let mut walk = Walk::new::<()>(source, Self::default(), limits);
        walk.run(&mut ())?; // It never pauses.
        Ok(walk.document)
    }

    /// Reads the rest of a page after `mark`; `source` begins at its [`Mark::offset`]. The time is before the assets, and
    /// therefore missing.
    ///
    /// # Errors
    /// As [`Page::read`].
    pub fn read_rest(source: impl Read, limits: Limits, mark: &Mark) -> Result<Self, Damage> {
        let tags = Mark::tags(&Kind::Detections);
        let mut walk = Walk::new::<()>(tags.chain(source), Self::default(), limits);
        walk.begin_at(tags, mark);
        walk.run(&mut ())?;
        Ok(walk.document)
    }
}

impl Document<()> for Page {
    const ROOT: &'static str = "HOST_LIST_VM_DETECTION_OUTPUT";

    fn passes_on(_: Table) -> bool {
        false
    }

    fn child(parent: ElementRole, name: &str) -> ElementRole {
        let ElementRole::Of(structure) = parent else { return ElementRole::Ignored };
        match (structure, name) {
            (Structure::Finding, "QID") => ElementRole::Value(Value::Qid),
            (Structure::Findings, "DETECTION") => ElementRole::Of(Structure::Finding),
            (Structure::Asset, "DETECTION_LIST") => ElementRole::Of(Structure::Findings),
            (Structure::Asset, "ID") => ElementRole::Value(Value::AssetId),
            (Structure::Assets, "HOST") => ElementRole::Of(Structure::Asset),
            (Structure::Head, "HOST_LIST") => ElementRole::Of(Structure::Assets),
            (Structure::Head, "WARNING") => ElementRole::Of(Structure::Warning),
            (Structure::Head, "DATETIME") => ElementRole::Value(Value::Time),
            (Structure::Warning, "CODE") => ElementRole::Value(Value::WarningCode),
            (Structure::Warning, "URL") => ElementRole::Value(Value::WarningAddress),
            (Structure::Root, "RESPONSE") => ElementRole::Of(Structure::Head),
            _ => ElementRole::Ignored,
        }
    }

    fn open(&mut self, _: ElementRole, element: &Element<'_>, _: &mut State) -> Result<(), Box<Fault>> {
        element.attributes(|_, _| {})
    }

    fn close(&mut self, role: ElementRole, state: &mut State, (): &mut ()) -> Result<Flow, Box<Fault>> {
        let value = state.cells.value.trim();
        match role {
            ElementRole::Value(Value::Time) => value.clone_into(&mut self.time),
            ElementRole::Value(Value::AssetId) if self.assets.len() < MAX_ASSETS => {
                self.assets.extend(value.parse::<u64>());
            }
            ElementRole::Value(Value::AssetId) => {
                return Err(Fault::Malformed(format!("a page has more than {MAX_ASSETS} assets")).into());
            }
            ElementRole::Value(Value::Qid) => self.qids.extend(value.parse::<u32>()),
            ElementRole::Value(Value::WarningCode) => value.clone_into(&mut self.warning),
            ElementRole::Value(Value::WarningAddress) => {
                self.next = Some(value.to_owned()).filter(|next| !next.is_empty());
            }
            _ => {}
        }
        Ok(Flow::On)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn page_lists_assets_qids_and_next_address() {
        let path = scanbridge_fixtures::good("detections-first-page.xml");
        let bytes = std::fs::read(path).unwrap();
        let page = Page::read(Cursor::new(&bytes), Limits::default()).unwrap();
        assert_eq!(page.time, "2026-04-01T00:00:01Z");
        assert_eq!(page.assets, [6_500_001, 6_500_002, 6_500_003]);
        assert!(page.qids.contains(&38628));
        assert_eq!(page.warning, "1980");
        assert!(page.next.unwrap().contains("id_min=6500004"));
        for length in [100, bytes.len() / 2, bytes.len() - 20] {
            assert!(Page::read(Cursor::new(&bytes[..length]), Limits::default()).is_err(), "{length}");
        }
    }
}
