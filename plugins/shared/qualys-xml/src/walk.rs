//! The walk through a report: events become places, places become cells and calls of the kind of report.

use std::io::Read;

use crate::cells::{Cells, takes_text};
use crate::damage::{Damage, Fault};
use crate::element::Element;
use crate::events::{Event, Events, Limits};
use crate::names::Shown;
use crate::notes::Notes;
use crate::place::{ElementRole, Structure, in_item, in_list};

/// What one kind of report means. `S` is what it fills: a batch, a store of definitions, nothing.
pub(crate) trait Document<S> {
    /// The name of the outermost element.
    const ROOT: &'static str;
    /// The content of such an element is skipped: it causes no event.
    const PASSED_OVER: Option<ElementRole> = None;

    /// What the element `name` within `parent` means; pure, so that a table can be read off it.
    fn child(parent: ElementRole, name: &str) -> ElementRole;

    /// An element of structure begins, or any element that has attributes.
    fn open(&mut self, place: ElementRole, element: &Element<'_>, walk: &mut State)
    -> Result<(), Box<Fault>>;

    /// An element of structure or a value ends.
    fn close(&mut self, place: ElementRole, walk: &mut State, sink: &mut S) -> Result<Flow, Box<Fault>>;
}

/// Whether the walk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// To the next event.
    On,
    /// Not now: the sink is full, or what was looked for is found.
    Pause,
}

/// What every document shares.
pub(crate) struct State {
    pub(crate) cells: Cells,
    pub(crate) notes: Notes,
    /// The number of the current `ERROR`.
    pub(crate) error_number: String,
}

/// The message of an `ERROR` without content.
pub(crate) const MUTE_ERROR: &str = "an error without code and text";

impl State {
    /// The message of the `ERROR` that ends, from its number and the collected text; none when a `SUMMARY` within it
    /// already contains everything.
    pub(crate) fn take_error(&mut self) -> Option<String> {
        let number = Shown(&std::mem::take(&mut self.error_number)).to_string();
        let text = Shown(&self.cells.value).to_string();
        self.cells.value.clear();
        match (number.as_str(), text.as_str()) {
            ("", "") => None,
            ("", _) => Some(format!("error: {text}")),
            (_, "") => Some(format!("error {number}")),
            _ => Some(format!("error {number}: {text}")),
        }
    }
}

/// A walk through one report.
pub(crate) struct Walk<R: Read, D> {
    events: Events<R>,
    pub(crate) document: D,
    pub(crate) state: State,
    top: ElementRole,
    /// The roles of the open elements, except the innermost.
    below: Vec<ElementRole>,
}

impl<R: Read, D> Walk<R, D> {
    pub(crate) fn new<S>(source: R, document: D, limits: Limits) -> Self
    where
        D: Document<S>,
    {
        Self {
            events: Events::new(source, D::ROOT, limits),
            document,
            state: State {
                cells: Cells::new(limits.text_bytes),
                notes: Notes::default(),
                error_number: String::new(),
            },
            top: ElementRole::Of(Structure::Document),
            below: Vec::new(),
        }
    }

    /// The position of the walk, in bytes of the sanitized stream.
    pub(crate) fn position(&self) -> u64 {
        self.events.position()
    }

    /// How many bytes were replaced.
    pub(crate) fn replaced(&self) -> u64 {
        self.events.replaced()
    }

    /// Goes on until the document pauses or the report ends. `false` when it ended.
    pub(crate) fn run<S>(&mut self, sink: &mut S) -> Result<bool, Damage>
    where
        D: Document<S>,
    {
        loop {
            let step = match self.events.next(takes_text(self.top))? {
                Event::Open(element) => {
                    self.below.push(self.top);
                    let place = open(&mut self.document, &mut self.state, self.top, &element);
                    place.map(|place| self.top = place).map(|()| Flow::On)
                }
                Event::Text(piece) => self.state.cells.text(self.top, &piece).map(|()| Flow::On),
                Event::Verbatim(piece) => self.state.cells.verbatim(self.top, &piece).map(|()| Flow::On),
                Event::Char(c) => {
                    let mut bytes = [0; 4];
                    self.state.cells.verbatim(self.top, c.encode_utf8(&mut bytes)).map(|()| Flow::On)
                }
                Event::Forbidden => {
                    self.state.notes.forbidden_references += u64::from(!self.top.is_skipped());
                    self.state.cells.verbatim(self.top, "\u{FFFD}").map(|()| Flow::On)
                }
                Event::Close => {
                    let place =
                        std::mem::replace(&mut self.top, self.below.pop().unwrap_or(ElementRole::Ignored));
                    close(&mut self.document, &mut self.state, place, sink)
                }
                Event::Nothing => Ok(Flow::On),
                Event::End => return Ok(false),
            };
            match step {
                Ok(Flow::On) if D::PASSED_OVER == Some(self.top) => self.events.pass_over()?,
                Ok(Flow::On) => {}
                Ok(Flow::Pause) => return Ok(true),
                Err(fault) => return Err(Damage { offset: self.events.position(), fault }),
            }
        }
    }
}

#[inline]
fn open<S, D: Document<S>>(
    document: &mut D,
    state: &mut State,
    parent: ElementRole,
    element: &Element<'_>,
) -> Result<ElementRole, Box<Fault>> {
    let mut place = match parent {
        _ if parent.is_skipped() => ElementRole::Ignored,
        ElementRole::Of(Structure::Document) => ElementRole::Of(Structure::Root),
        ElementRole::List(list) => in_list(list, element.name()),
        ElementRole::Item(item) => in_item(item, element.name()),
        // Markup within a text: the text goes on around it.
        _ => D::child(parent, element.name()),
    };
    if place == ElementRole::Unknown {
        state.notes.unknown_element(element.name());
    }
    if !place.is_skipped() {
        place = state.cells.open(place)?;
    }
    if element.has_attributes() || matches!(place, ElementRole::Of(_) | ElementRole::Asset(_)) {
        if matches!(place, ElementRole::Asset(_) | ElementRole::Finding(_)) {
            // Attribute values go to cells too, and the element may appear any number of times.
            state.cells.weigh_in(place, element.len())?;
        }
        document.open(place, element, state)?;
        if !place.is_skipped() {
            state.notes.forbidden_references += element.forbidden_references();
        }
    }
    Ok(place)
}

#[inline]
fn close<S, D: Document<S>>(
    document: &mut D,
    state: &mut State,
    place: ElementRole,
    sink: &mut S,
) -> Result<Flow, Box<Fault>> {
    if place.is_skipped() {
        return Ok(Flow::On);
    }
    state.cells.close(place)?;
    match place {
        ElementRole::Of(_) | ElementRole::Value(_) => document.close(place, state, sink),
        _ => Ok(Flow::On),
    }
}
