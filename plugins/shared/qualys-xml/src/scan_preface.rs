//! The header of a `SCAN`. In scans that were written while they ran, it follows all assets.

use std::io::Read;

use crate::damage::{Damage, Fault};
use crate::element::Element;
use crate::element_role::{ElementRole, Structure, Value};
use crate::events::Limits;
use crate::preface::{Preface, without_placeholder};
use crate::scan::Scan;
use crate::walk::{Document, EMPTY_ERROR, Flow, State, Walk};

/// Reads to the end of the header, or to the end of a scan without one.
pub(crate) fn read(source: impl Read, limits: Limits) -> (Preface, Option<Damage>) {
    let mut walk = Walk::new::<()>(source, ScanPreface::default(), limits);
    let ended = walk.run(&mut ());
    let ScanPreface { mut preface, has_asset, .. } = walk.document;
    preface.notes.forbidden_references = walk.state.notes.forbidden_references;
    if has_asset || matches!(ended, Ok(true)) {
        // The delivering walk finds the same error and reports it.
        preface.error = None;
    }
    (preface, ended.err())
}

#[derive(Debug, Default)]
struct ScanPreface {
    preface: Preface,
    has_asset: bool,
    key: String,
}

impl Document<()> for ScanPreface {
    const ROOT: &'static str = <Scan as Document<_>>::ROOT;

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
