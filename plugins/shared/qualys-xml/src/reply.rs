//! Short answers of the API that people save in place of a report: `SIMPLE_RETURN` and its relatives.

use std::fmt;
use std::io::Read;

use crate::damage::Fault;
use crate::element::Element;
use crate::events::Limits;
use crate::names::Shown;
use crate::place::{Place, Structure, Value};
use crate::walk::{Document, Flow, State, Walk};

/// What the API said. Shown as one phrase; the echo of the request, which may hold a login, is no part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The code; empty when there is none.
    pub code: String,
    /// The text; empty when there is none.
    pub text: String,
}

impl Reply {
    /// Reads a `SIMPLE_RETURN`, `GENERIC_RETURN` or `BATCH_RETURN`, as much of it as is there: an answer that
    /// is damaged is still an answer.
    pub fn read(root: &str, source: impl Read) -> Self {
        let source = source.take(1 << 20);
        let limits = Limits { text_bytes: 64 << 10 };
        match root {
            "GENERIC_RETURN" => read_as::<{ GENERIC }>(source, limits),
            "BATCH_RETURN" => read_as::<{ BATCH }>(source, limits),
            _ => read_as::<{ SIMPLE }>(source, limits),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.text.as_str()) {
            ("", "") => f.write_str("no code and no text"),
            ("", text) => write!(f, "{}", Shown(text)),
            (code, "") => write!(f, "code {}", Shown(code)),
            (code, text) => write!(f, "code {}: {}", Shown(code), Shown(text)),
        }
    }
}

const SIMPLE: usize = 0;
const GENERIC: usize = 1;
const BATCH: usize = 2;

fn read_as<const ROOT: usize>(source: impl Read, limits: Limits) -> Reply {
    let mut walk = Walk::new::<()>(source, Answer::<ROOT>(Reply::default()), limits);
    // Damage ends the reading, not the answer.
    let _ = walk.run(&mut ());
    walk.document.0
}

struct Answer<const ROOT: usize>(Reply);

impl<const ROOT: usize> Document<()> for Answer<ROOT> {
    const ROOT: &'static str = ["SIMPLE_RETURN", "GENERIC_RETURN", "BATCH_RETURN"][ROOT];

    fn child(parent: Place, name: &str) -> Place {
        match name {
            "CODE" => Place::Value(Value::WarningCode),
            "TEXT" | "MESSAGE" => Place::Value(Value::Title),
            // Stands beside `API` or in it, with its text in it or in a child.
            "RETURN" => Place::Value(Value::Error),
            "RESPONSE" | "API" | "BATCH_LIST" | "BATCH" => Place::Of(Structure::Head),
            _ if parent == Place::Of(Structure::Root) => Place::Ignored,
            _ => Place::Ignored,
        }
    }

    fn open(&mut self, place: Place, element: &Element<'_>, _: &mut State) -> Result<(), Box<Fault>> {
        element.attributes(|key, value| {
            if place == Place::Value(Value::Error) && key == "number" {
                first(&mut self.0.code, value);
            }
        })
    }

    fn close(&mut self, place: Place, state: &mut State, (): &mut ()) -> Result<Flow, Box<Fault>> {
        match place {
            Place::Value(Value::WarningCode) => first(&mut self.0.code, &state.cells.value),
            Place::Value(Value::Title | Value::Error) => first(&mut self.0.text, &state.cells.value),
            _ => {}
        }
        Ok(Flow::On)
    }
}

/// The first of several counts.
fn first(slot: &mut String, text: &str) {
    if slot.is_empty() {
        text.trim().clone_into(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::Reply;

    #[test]
    fn every_layout_of_an_answer_gives_its_code_and_text() {
        for (root, xml, shown) in [
            (
                "SIMPLE_RETURN",
                "<SIMPLE_RETURN><REQUEST><TEXT>secret</TEXT></REQUEST><RESPONSE><CODE>7001</CODE>\
                 <TEXT> Report cannot be fetched. </TEXT></RESPONSE></SIMPLE_RETURN>",
                "code 7001: Report cannot be fetched.",
            ),
            (
                "GENERIC_RETURN",
                "<GENERIC_RETURN><API name='x' username='u'/><RETURN status='FAILED' number='2007'>No\
                 </RETURN></GENERIC_RETURN>",
                "code 2007: No",
            ),
            (
                "GENERIC_RETURN",
                "<GENERIC_RETURN><API name='x'><RETURN number='999'>Bad</RETURN></API></GENERIC_RETURN>",
                "code 999: Bad",
            ),
            ("GENERIC_RETURN", "<GENERIC_RETURN><RETURN><MESSAGE>m</MESSAGE></RETURN></GENERIC_RETURN>", "m"),
            ("GENERIC_RETURN", "<GENERIC_RETURN><RETURN><TEXT>t</TEXT>", "t"),
            (
                "BATCH_RETURN",
                "<BATCH_RETURN><RESPONSE><BATCH_LIST><BATCH><CODE>1905</CODE><TEXT>b</TEXT></BATCH>",
                "code 1905: b",
            ),
            ("SIMPLE_RETURN", "<SIMPLE_RETURN/>", "no code and no text"),
        ] {
            assert_eq!(Reply::read(root, xml.as_bytes()).to_string(), shown);
        }
    }
}
