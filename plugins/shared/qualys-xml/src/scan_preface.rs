//! The header of a `SCAN`. In scans that were written while they ran, it follows all assets.

use std::io::Read;

use crate::damage::{Damage, Fault};
use crate::details;
use crate::element::Element;
use crate::element_role::{ElementRole, Structure, Value};
use crate::events::Limits;
use crate::forms::{integer, seconds, time};
use crate::mark::Unread;
use crate::other::Table;
use crate::preface::{Preface, without_placeholder};
use crate::scan::Scan;
use crate::walk::{Document, EMPTY_ERROR, Flow, Location, State, Walk};

/// Reads to the end of the header, or to the end of a scan without one. Everything between the root and the header may
/// be `unread`: then the [tag](tag_instead_of) replaces it and the start tag of the header.
pub(crate) fn read(source: impl Read, unread: Option<Unread>, limits: Limits) -> (Preface, Option<Damage>) {
    let document = ScanPreface { has_asset: unread.is_some(), ..ScanPreface::default() };
    let mut walk = Walk::new::<()>(source, document, limits);
    let mut ended = walk.run(&mut ());
    let (root, head) = (walk.root, walk.head);
    let ScanPreface { mut preface, has_asset, .. } = walk.document;
    preface.notes = walk.state.notes;
    preface.details = walk.state.details;
    if has_asset || matches!(ended, Ok(true)) {
        // The delivering walk finds the same error and reports it.
        preface.error = None;
    }
    if let Some(unread) = unread {
        preface.notes.forbidden_references += unread.forbidden_references;
        if let (Err(damage), Some(head)) = (&mut ended, head) {
            damage.offset = damage.offset.saturating_sub(head.position).saturating_add(unread.position);
        }
        preface.unread = Some(unread);
    } else if let (true, Ok(has_header), Some(root)) = (has_asset, &ended, root) {
        let references = preface.notes.forbidden_references;
        let end = Location { forbidden_references: references, ..root };
        preface.unread = head.or((!has_header).then_some(end)).map(|head| between(root, head));
    }
    (preface, ended.err())
}

/// The tag that replaces what is not read. A scan without a header has nothing more to read.
pub(crate) fn tag_instead_of(unread: Unread) -> &'static [u8] {
    if unread.from == unread.to { b"<HEADER/>" } else { b"<HEADER>" }
}

fn between(root: Location, head: Location) -> Unread {
    Unread {
        from: root.source.offset,
        to: head.source.offset,
        position: head.position,
        replaced: 0, // The delivering walk counts them.
        forbidden_references: head.forbidden_references - root.forbidden_references,
    }
}

#[derive(Debug, Default)]
struct ScanPreface {
    preface: Preface,
    has_asset: bool,
    key: String,
}

impl Document<()> for ScanPreface {
    const ROOT: &'static str = <Scan as Document<_>>::ROOT;
    const LOCATES_HEAD: bool = true;

    fn passes_on(table: Table) -> bool {
        table == Table::Report
    }

    fn child(parent: ElementRole, name: &str) -> ElementRole {
        match (parent, name) {
            (ElementRole::Of(Structure::Root), "HEADER") => ElementRole::Of(Structure::Head),
            (ElementRole::Of(Structure::Root), "IP" | "IPV6") => ElementRole::Of(Structure::Asset),
            (ElementRole::Of(Structure::Root), "ERROR") => ElementRole::Value(Value::Error),
            (ElementRole::Value(Value::Error), "SUMMARY") => parent,
            (ElementRole::Of(Structure::Head), "KEY") => ElementRole::Value(Value::Key),
            (ElementRole::Of(Structure::Head), _) => ElementRole::Unknown,
            _ => ElementRole::Ignored,
        }
    }

    fn open(
        &mut self,
        role: ElementRole,
        element: &Element<'_>,
        state: &mut State,
    ) -> Result<(), Box<Fault>> {
        match role {
            // The delivering walk reads its attributes.
            ElementRole::Of(Structure::Asset) => {
                self.has_asset = true;
                return Ok(());
            }
            ElementRole::Value(Value::Key) => self.key.clear(),
            _ => {}
        }
        element.attributes(|key, value| match (role, key) {
            (ElementRole::Of(Structure::Root), "value") => {
                without_placeholder(value).clone_into(&mut self.preface.id)
            }
            (ElementRole::Value(Value::Key), "value") => value.trim().clone_into(&mut self.key),
            (ElementRole::Value(Value::Error), "number") => value.clone_into(&mut state.error_number),
            // The delivering walk counts the others.
            (ElementRole::Of(Structure::Head) | ElementRole::Value(Value::Key), _) => {
                state.cells.pass_on_attribute(Table::Report, key, value);
            }
            _ => {}
        })
    }

    fn close(&mut self, role: ElementRole, state: &mut State, _: &mut ()) -> Result<Flow, Box<Fault>> {
        match role {
            ElementRole::Of(Structure::Head) => return Ok(Flow::Pause),
            ElementRole::Value(Value::Key) => {
                state.cells.begin_text();
                let text = std::mem::take(&mut state.cells.value);
                self.read_key(without_placeholder(&text), state);
                state.cells.value = text;
            }
            ElementRole::Value(Value::Error) => {
                let error = state.take_error().or_else(|| self.preface.error.take());
                self.preface.error = error.or_else(|| Some(EMPTY_ERROR.to_owned()));
            }
            _ => {}
        }
        Ok(Flow::On)
    }
}

impl ScanPreface {
    /// Reads the text of the current key.
    fn read_key(&mut self, text: &str, state: &mut State) {
        if text.is_empty() {
            return;
        }
        let preface = &mut self.preface;
        let is_valid = match self.key.as_str() {
            // The login name of a person says nothing about the report.
            "USERNAME" => true,
            "TITLE" => {
                text.clone_into(&mut preface.title);
                true
            }
            "STATUS" => {
                text.clone_into(&mut preface.status);
                true
            }
            "SCAN_HOST" => {
                preface.set_scanner(text);
                true
            }
            "DATE" => {
                let mut scratch = String::new();
                time(text, &mut scratch).map(|time| time.clone_into(&mut preface.time)).is_some()
            }
            "NBHOST_ALIVE" => set(&mut preface.assets_alive, integer(text).map(u64::from)),
            "NBHOST_TOTAL" => set(&mut preface.assets_total, integer(text).map(u64::from)),
            "DURATION" => set(&mut preface.duration_secs, seconds(text)),
            _ => false,
        };
        if !is_valid {
            if matches!(self.key.as_str(), "DATE" | "NBHOST_ALIVE" | "NBHOST_TOTAL" | "DURATION") {
                state.notes.bad_value(Table::Report, &self.key.to_ascii_lowercase());
            } else if !KEYS.contains(&self.key.as_str()) {
                state.notes.unknown_item(&format!("KEY {}", self.key));
            }
            let is_kept = details::add_named(&mut state.details, &self.key.to_ascii_lowercase(), text);
            state.notes.dropped_texts += u64::from(!is_kept);
        }
    }
}

/// Keys that become details.
const KEYS: [&str; 9] = [
    "TARGET",
    "EXCLUDED_TARGET",
    "REPORT_TYPE",
    "OPTIONS",
    "FQDN",
    "COMPANY",
    "CLIENT",
    "NETWORK_TITLE",
    "NETWORK_ID",
];

fn set(value: &mut Option<u64>, read: Option<u64>) -> bool {
    *value = read;
    read.is_some()
}
