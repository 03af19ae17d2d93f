//! The header of a `SCAN`. In scans that were written while they ran, it follows all assets.

use std::io::Read;

use crate::damage::{Damage, Fault};
use crate::element::Element;
use crate::element_role::{ElementRole, Structure, Value};
use crate::events::Limits;
use crate::mark::Unread;
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
    preface.notes.forbidden_references = walk.state.notes.forbidden_references;
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

    fn child(parent: ElementRole, name: &str) -> ElementRole {
        match (parent, name) {
            (ElementRole::Of(Structure::Root), "HEADER") => ElementRole::Of(Structure::Head),
            (ElementRole::Of(Structure::Root), "IP" | "IPV6") => ElementRole::Of(Structure::Asset),
            (ElementRole::Of(Structure::Root), "ERROR") => ElementRole::Value(Value::Error),
            (ElementRole::Value(Value::Error), "SUMMARY") => parent,
            (ElementRole::Of(Structure::Head), "KEY") => ElementRole::Value(Value::Key),
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
            _ => {}
        })
    }

    fn close(&mut self, role: ElementRole, state: &mut State, _: &mut ()) -> Result<Flow, Box<Fault>> {
        match role {
            ElementRole::Of(Structure::Head) => return Ok(Flow::Pause),
            ElementRole::Value(Value::Key) => {
                state.cells.begin_text();
                let text = without_placeholder(&state.cells.value);
                match self.key.as_str() {
                    "DATE" => text.clone_into(&mut self.preface.time),
                    "TITLE" => text.clone_into(&mut self.preface.title),
                    _ => {}
                }
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
