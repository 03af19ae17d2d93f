//! One page of detections, looked through before any of it is delivered: is it whole, which assets and QIDs does it
//! name, and where does the next one begin?

use std::collections::BTreeSet;
use std::io::Read;

use crate::damage::{Damage, Fault};
use crate::element::Element;
use crate::events::Limits;
use crate::place::{Place, Structure, Value};
use crate::walk::{Document, Flow, State, Walk};

/// What a page says beside its detections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// When it was made, by the clock of Qualys.
    pub time: String,
    /// The numbers of its assets, in their order.
    pub assets: Vec<u64>,
    /// The QIDs of its detections.
    pub qids: BTreeSet<u32>,
    /// The code of its warning; empty when there is none.
    pub warning: String,
    /// The address of the next page, as the warning has it.
    pub next: Option<String>,
}

/// What [`ReportReader::notes`](crate::ReportReader::notes) says of a page that is not the last one.
pub const MORE_PAGES: &str =
    "this is one page of several: more assets are on pages that are not in this file";

/// Far more than a page may have.
const MOST_ASSETS: usize = 1_000_000;

impl Page {
    /// Reads a page to its end.
    ///
    /// # Errors
    /// What is damaged: nothing of such a page should be delivered.
    pub fn read(source: impl Read, limits: Limits) -> Result<Self, Damage> {
        let mut walk = Walk::new::<()>(source, Self::default(), limits);
        walk.run(&mut ())?; // It pauses nowhere.
        Ok(walk.document)
    }
}

impl Document<()> for Page {
    const ROOT: &'static str = "HOST_LIST_VM_DETECTION_OUTPUT";

    fn child(parent: Place, name: &str) -> Place {
        let Place::Of(structure) = parent else { return Place::Ignored };
        match (structure, name) {
            (Structure::Finding, "QID") => Place::Value(Value::Qid),
            (Structure::Findings, "DETECTION") => Place::Of(Structure::Finding),
            (Structure::Asset, "DETECTION_LIST") => Place::Of(Structure::Findings),
            (Structure::Asset, "ID") => Place::Value(Value::AssetId),
            (Structure::Assets, "HOST") => Place::Of(Structure::Asset),
            (Structure::Head, "HOST_LIST") => Place::Of(Structure::Assets),
            (Structure::Head, "WARNING") => Place::Of(Structure::Warning),
            (Structure::Head, "DATETIME") => Place::Value(Value::Time),
            (Structure::Warning, "CODE") => Place::Value(Value::WarningCode),
            (Structure::Warning, "URL") => Place::Value(Value::WarningAddress),
            (Structure::Root, "RESPONSE") => Place::Of(Structure::Head),
            _ => Place::Ignored,
        }
    }

    fn open(&mut self, _: Place, element: &Element<'_>, _: &mut State) -> Result<(), Box<Fault>> {
        element.attributes(|_, _| {})
    }

    fn close(&mut self, place: Place, state: &mut State, (): &mut ()) -> Result<Flow, Box<Fault>> {
        let value = state.cells.value.trim();
        match place {
            Place::Value(Value::Time) => value.clone_into(&mut self.time),
            Place::Value(Value::AssetId) if self.assets.len() < MOST_ASSETS => {
                self.assets.extend(value.parse::<u64>());
            }
            Place::Value(Value::AssetId) => {
                return Err(Fault::Malformed(format!("a page has more than {MOST_ASSETS} assets")).into());
            }
            Place::Value(Value::Qid) => self.qids.extend(value.parse::<u32>()),
            Place::Value(Value::WarningCode) => value.clone_into(&mut self.warning),
            Place::Value(Value::WarningAddress) => {
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
    fn a_page_tells_its_assets_qids_and_successor() {
        let path = scanbridge_fixtures::good("detections-first-page.xml");
        let bytes = std::fs::read(path).unwrap();
        let page = Page::read(Cursor::new(&bytes), Limits::default()).unwrap();
        assert_eq!(page.time, "2026-04-01T00:00:01Z");
        assert_eq!(page.assets, [6_500_001, 6_500_002, 6_500_003]);
        assert!(page.qids.contains(&38628));
        assert_eq!(page.warning, "1980");
        assert!(page.next.unwrap().contains("id_min=6500004"));
        for cut in [100, bytes.len() / 2, bytes.len() - 20] {
            assert!(Page::read(Cursor::new(&bytes[..cut]), Limits::default()).is_err(), "{cut}");
        }
    }
}
