//! Walks through a report: determines the role of each element, fills cells, and calls the [`Document`].

use std::io::Read;

use scanbridge_plugin_api::model::ReportDetail;

use crate::cells::{Cells, collects_text};
use crate::damage::{Damage, Fault};
use crate::details;
use crate::element::Element;
use crate::element_role::{ElementRole, Structure, Value, in_item, in_list};
use crate::events::{Event, Events, Limits};
use crate::mark::Mark;
use crate::names::Shown;
use crate::notes::Notes;
use crate::other::{self, Extra, Place, Table};
use crate::sanitizer::SourcePosition;

/// Semantics of one kind of report. `S` is the destination: a batch, a definition store, or nothing.
pub(crate) trait Document<S> {
    /// The name of the outermost element.
    const ROOT: &'static str;
    /// The content of elements with this role is skipped without events.
    const SKIPPED: Option<ElementRole> = None;
    /// Whether the walk records where the root and the head begin.
    const LOCATES_HEAD: bool = false;

    /// Whether unknown elements and attributes of this table are passed on. The others were, or will be, read by another
    /// walk, or are only counted.
    fn passes_on(table: Table) -> bool;

    /// The role of the element `name` within `parent`. Depends only on its arguments.
    fn child(parent: ElementRole, name: &str) -> ElementRole;

    /// A structural element begins, or any element that has attributes.
    fn open(&mut self, role: ElementRole, element: &Element<'_>, state: &mut State)
    -> Result<(), Box<Fault>>;

    /// An element has begun. The document may skip what follows its start tag.
    fn after_open<R: Read>(
        &mut self,
        _role: ElementRole,
        _events: &mut Events<R>,
        _state: &mut State,
        _sink: &mut S,
    ) {
    }

    /// Whether an unknown element within `parent` that is not passed on is counted. Another walk may have read it.
    fn counts_unknown(&self, _parent: ElementRole) -> bool {
        true
    }

    /// A structural element, a value or an unknown element ends.
    fn close(&mut self, role: ElementRole, state: &mut State, sink: &mut S) -> Result<Flow, Box<Fault>>;
}

/// Whether the walk continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Continues with the next event.
    On,
    /// Pauses: the destination is full, or the requested data was found.
    Pause,
}

/// State that every document needs.
pub(crate) struct State {
    pub(crate) cells: Cells,
    pub(crate) notes: Notes,
    /// Details of the report.
    pub(crate) details: Vec<ReportDetail>,
    /// The number of the current `ERROR`.
    pub(crate) error_number: String,
    /// Number of texts that were passed on, or had to be dropped.
    pub(crate) passed_on: u64,
}

/// The message for an `ERROR` without content.
pub(crate) const EMPTY_ERROR: &str = "an error without code and text";

impl State {
    /// The message of the `ERROR` that ends, from its number and text. None if a `SUMMARY` within it already
    /// contained both.
    pub(crate) fn take_error(&mut self) -> Option<String> {
        let number = Shown(std::mem::take(&mut self.error_number).trim()).to_string();
        let text = Shown(&self.cells.value).to_string();
        self.cells.value.clear();
        match (number.as_str(), text.as_str()) {
            ("", "") => None,
            ("", _) => Some(format!("error: {text}")),
            (_, "") => Some(format!("error {number}")),
            _ => Some(format!("error {number}: {text}")),
        }
    }

    /// Passes on texts whose paths are known, before their row is written.
    pub(crate) fn pass_on_now(&mut self) {
        if self.cells.extras.is_empty() {
            return;
        }
        for extra in std::mem::take(&mut self.cells.extras) {
            match &extra.place {
                Place::At(path) => self.pass_on(&extra, path),
                Place::Attribute(_) | Place::Closed(_) | Place::Around => self.cells.extras.push(extra),
            }
        }
    }

    /// Passes a text on with its row. `path` is relative to the element of the row.
    #[cold]
    pub(crate) fn pass_on(&mut self, extra: &Extra, path: &str) {
        self.passed_on += 1;
        let is_unknown = match extra.field {
            Some(field) => {
                self.notes.bad_value(extra.table, field);
                false
            }
            None if extra.table == Table::Report => !details::is_known(path),
            None => !extra.is_second,
        };
        let Cells { asset, definition, finding, budgets, .. } = &mut self.cells;
        let is_kept = match extra.table {
            Table::Asset => budgets[0].add(asset, other::ASSET, path, &extra.text),
            Table::Definition => budgets[1].add(definition, other::DEFINITION, path, &extra.text),
            Table::Finding => budgets[2].add(finding, other::FINDING, path, &extra.text),
            Table::Report => details::add(&mut self.details, path, &extra.text),
        };
        if !is_kept {
            self.notes.dropped_texts += 1;
        } else if is_unknown {
            self.notes.unknown_item(path);
        }
    }
}

/// A walk through one report.
pub(crate) struct Walk<R: Read, D> {
    events: Events<R>,
    pub(crate) document: D,
    pub(crate) state: State,
    innermost: ElementRole,
    /// The roles of the open elements, except the innermost.
    ancestors: Vec<ElementRole>,
    /// The ends of the start tags of the root and the head, if the document needs them.
    pub(crate) root: Option<Location>,
    pub(crate) head: Option<Location>,
}

/// A position directly after a tag, and what was counted before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Location {
    /// In bytes of the sanitized stream.
    pub(crate) position: u64,
    pub(crate) source: SourcePosition,
    pub(crate) forbidden_references: u64,
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
                details: Vec::new(),
                error_number: String::new(),
                passed_on: 0,
            },
            innermost: ElementRole::Of(Structure::Document),
            ancestors: Vec::new(),
            root: None,
            head: None,
        }
    }

    fn locate_head(&mut self) {
        let location = match self.innermost {
            ElementRole::Of(Structure::Root) => &mut self.root,
            ElementRole::Of(Structure::Head) => &mut self.head,
            _ => return,
        };
        location.get_or_insert_with(|| Location {
            position: self.events.position(),
            source: self.events.source_position(),
            forbidden_references: self.state.notes.forbidden_references,
        });
    }

    /// The position of the walk, in bytes of the sanitized stream.
    pub(crate) fn position(&self) -> u64 {
        self.events.position()
    }

    /// The position in the source, directly after a tag.
    pub(crate) fn source_position(&self) -> SourcePosition {
        self.events.source_position()
    }

    /// The beginning of the last content that was skipped, in the source.
    pub(crate) fn skipped_from(&self) -> Option<SourcePosition> {
        self.events.skipped_from()
    }

    /// Begins a report at `mark`; the source begins with these start tags.
    pub(crate) fn begin_at(&mut self, tags: &[u8], mark: &Mark) {
        let before = |position: u64| position.wrapping_sub(tags.len() as u64);
        self.events.move_to(before(mark.position), before(mark.offset));
    }

    /// Sets the current position in the complete report; see [`Events::move_to`].
    pub(crate) fn move_to(&mut self, position: u64, offset: u64) {
        self.events.move_to(position, offset);
    }

    /// Number of replaced bytes.
    pub(crate) fn replaced(&self) -> u64 {
        self.events.replaced()
    }

    /// Passes on the texts that the last event has found.
    #[cold]
    fn pass_on_extras<S>(&mut self)
    where
        D: Document<S>,
    {
        let roles = || self.ancestors.iter().skip(1).chain([&self.innermost]);
        let is_row = |role: &ElementRole| matches!(role, ElementRole::Of(structure) if structure.is_row());
        let row = roles().enumerate().filter(|(_, role)| is_row(role)).last();
        let open = self.events.path_after(row.map_or(1, |(index, _)| index + 1));
        for extra in std::mem::take(&mut self.state.cells.extras) {
            let path = match &extra.place {
                Place::At(path) => path.clone(),
                Place::Attribute(key) => format!("{open}@{key}"),
                Place::Closed(end) => format!("{open}/{}{end}", self.events.closed()),
                Place::Around => open.rsplit_once('/').map_or(String::new(), |(around, _)| around.to_owned()),
            };
            let path = path.trim_start_matches('/');
            if D::passes_on(extra.table) {
                self.state.pass_on(&extra, path);
            } else {
                self.state.notes.unknown_element(path);
            }
        }
    }

    /// Continues until the document pauses or the report ends. `false` if it ended.
    pub(crate) fn run<S>(&mut self, sink: &mut S) -> Result<bool, Damage>
    where
        D: Document<S>,
    {
        loop {
            let step = match self.events.next(collects_text(self.innermost))? {
                Event::Open(element) => {
                    self.ancestors.push(self.innermost);
                    let role = open(&mut self.document, &mut self.state, &self.ancestors, &element);
                    role.map(|role| {
                        self.innermost = role;
                        self.document.after_open(role, &mut self.events, &mut self.state, sink);
                        Flow::On
                    })
                }
                Event::Text(piece) => self.state.cells.text(self.innermost, piece).map(|()| Flow::On),
                Event::Verbatim(piece) => self.state.cells.verbatim(self.innermost, piece).map(|()| Flow::On),
                Event::Char(c) => {
                    let mut bytes = [0; 4];
                    self.state.cells.verbatim(self.innermost, c.encode_utf8(&mut bytes)).map(|()| Flow::On)
                }
                Event::Forbidden => {
                    self.state.notes.forbidden_references += u64::from(!self.innermost.is_skipped());
                    self.state.cells.verbatim(self.innermost, "\u{FFFD}").map(|()| Flow::On)
                }
                Event::Close => {
                    let role = std::mem::replace(
                        &mut self.innermost,
                        self.ancestors.pop().unwrap_or(ElementRole::Ignored),
                    );
                    close(&mut self.document, &mut self.state, role, self.innermost, sink)
                }
                Event::Nothing => Ok(Flow::On),
                Event::End => return Ok(false),
            };
            if !self.state.cells.extras.is_empty() {
                self.pass_on_extras();
            }
            match step {
                Ok(Flow::On) if D::SKIPPED == Some(self.innermost) => self.events.skip_content()?,
                Ok(Flow::On) if D::LOCATES_HEAD => self.locate_head(),
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
    ancestors: &[ElementRole],
    element: &Element<'_>,
) -> Result<ElementRole, Box<Fault>> {
    let parent = ancestors.last().copied().unwrap_or(ElementRole::Ignored);
    let mut role = match parent {
        _ if parent.is_skipped() => ElementRole::Ignored,
        ElementRole::Of(Structure::Document) => ElementRole::Of(Structure::Root),
        ElementRole::List(list) => in_list(list, element.name()),
        ElementRole::Item(item) => in_item(item, element.name()),
        ElementRole::Other(_) | ElementRole::Value(Value::Gathered(_)) => parent,
        // Also for markup within a text; the text continues after it.
        _ => D::child(parent, element.name()),
    };
    if matches!(role, ElementRole::Unknown) {
        let table = table_of(ancestors);
        if D::passes_on(table) {
            role = ElementRole::Other(table);
        } else if document.counts_unknown(parent) {
            state.notes.unknown_element(element.name());
        }
    }
    if !role.is_skipped() {
        state.cells.open(role, parent)?;
        role = role.opened();
    }
    if let ElementRole::Other(table) = role {
        state.notes.forbidden_references += pass_on_attributes(state, table, element)?;
        return Ok(role);
    }
    if role.is_skipped() {
        element.attributes(|_, _| {})?;
    } else if element.has_attributes() || always_opens(role) {
        if matches!(
            role,
            ElementRole::Asset(_) | ElementRole::Finding(_) | ElementRole::Value(Value::Address)
        ) {
            // Attribute values are stored in cells too, and the element may appear any number of times.
            state.cells.count_text_in(role, element.len())?;
        }
        document.open(role, element, state)?;
        state.notes.forbidden_references += element.forbidden_references();
    }
    Ok(role)
}

/// Whether [`Document::open`] is called for elements without attributes.
#[inline]
fn always_opens(role: ElementRole) -> bool {
    match role {
        ElementRole::Of(_) | ElementRole::Asset(_) => true,
        ElementRole::Value(value) => matches!(
            value,
            Value::AssetFactor
                | Value::DetectionFactor
                | Value::UserAttribute
                | Value::CvssMetric(_)
                | Value::ThreatIntelligence
        ),
        _ => false,
    }
}

#[cold]
fn pass_on_attributes(state: &mut State, table: Table, element: &Element<'_>) -> Result<u64, Box<Fault>> {
    element.attributes(|key, value| state.cells.pass_on_attribute(table, key, value))?;
    Ok(element.forbidden_references())
}

/// The table of the row that an unknown element within these belongs to.
#[cold]
fn table_of(ancestors: &[ElementRole]) -> Table {
    let table = ancestors.iter().rev().find_map(|role| match role {
        ElementRole::Other(table) => Some(*table),
        ElementRole::Item(item) => Some(item.table()),
        ElementRole::List(_) | ElementRole::Definition(_) => Some(Table::Definition),
        ElementRole::Asset(_) => Some(Table::Asset),
        ElementRole::Finding(_) => Some(Table::Finding),
        ElementRole::Of(structure) => Some(structure.table()),
        _ => None,
    });
    table.unwrap_or(Table::Report)
}

/// The table of the row that an attribute of an element with this role belongs to.
pub(crate) fn table_of_role(role: ElementRole) -> Table {
    match role {
        ElementRole::Value(Value::Code(_) | Value::DetectionFactor | Value::Ignored | Value::Disabled) => {
            Table::Finding
        }
        ElementRole::Value(value) if value.is_of_asset() => Table::Asset,
        ElementRole::Value(
            Value::DefinitionItem(_)
            | Value::DefinitionItems(_)
            | Value::DefinitionType
            | Value::CvssMetric(_)
            | Value::ThreatIntelligence
            | Value::Part(_)
            | Value::Source,
        ) => Table::Definition,
        ElementRole::Value(Value::Gathered(_)) => Table::Finding,
        _ => table_of(&[role]),
    }
}

#[inline]
fn close<S, D: Document<S>>(
    document: &mut D,
    state: &mut State,
    role: ElementRole,
    parent: ElementRole,
    sink: &mut S,
) -> Result<Flow, Box<Fault>> {
    if role.is_skipped() {
        return Ok(Flow::On);
    }
    if let ElementRole::Other(table) = role {
        state.cells.close_other(table, parent);
        return document.close(role, state, sink);
    }
    state.cells.close(role)?;
    match role {
        ElementRole::Of(_) | ElementRole::Value(_) => document.close(role, state, sink),
        _ => Ok(Flow::On),
    }
}
