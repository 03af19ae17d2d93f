//! A YAML file as a tree with the position of every key and value.
//!
//! The tree is built from parser events instead of serde, because options are checked against the tables of plugins.
//! Every scalar stays the text that the operator wrote (`007` stays `007`, `no` stays `no`) until the type of its
//! option is known. Duplicate keys stay visible, and quoted and plain values can be distinguished.

use std::collections::HashMap;
use std::sync::Arc;

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, ScanError, StructureStyle};

use super::source::{Source, Span};
use super::syntax::{self, Explanation};

/// One value of a settings file.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) content: Content,
    pub(super) span: Span,
}

#[derive(Clone)]
pub(super) enum Content {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

#[derive(Clone)]
pub(super) struct Scalar {
    /// The text without quotes and escapes.
    pub(super) text: String,
    pub(super) style: ScalarStyle,
}

impl Scalar {
    /// Whether it is a plain scalar: without quotes and not a block scalar.
    pub(super) fn is_plain(&self) -> bool {
        self.style == ScalarStyle::Plain
    }
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) value: Node,
}

#[derive(Clone)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) span: Span,
}

impl Node {
    /// Whether the value is null: empty, `~` or `null`, without quotes.
    pub(super) fn is_null(&self) -> bool {
        match &self.content {
            Content::Scalar(Scalar { text, style: ScalarStyle::Plain }) => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// The entries of a mapping; empty for other nodes.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The value of the first entry with this key.
    pub(super) fn entry(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.key.text == key).map(|entry| &entry.value)
    }

    /// The text of a single value, with unresolved references.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// Description for messages.
    pub(super) fn form(&self) -> &'static str {
        match &self.content {
            _ if self.is_null() => "nothing",
            Content::Scalar(_) => "a single value",
            Content::Sequence(_) => "a list",
            Content::Mapping(_) => "a mapping",
        }
    }
}

/// A YAML syntax error. Never quotes the text, because it is not yet known which parts are secret.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) message: String,
    pub(super) help: String,
    pub(super) at: Span,
}

/// Parses the single document of a file. An empty file is a null scalar.
///
/// # Errors
/// Invalid YAML, an unsupported feature (tags, directives, merge keys), or a size limit.
pub(super) fn parse(source: &Arc<Source>) -> Result<Node, SyntaxError> {
    let options = granit_parser::options! {
        disallow_directives: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder::new(source);
    for event in Parser::new_from_str_with_options(source.text(), options) {
        let (event, span) = event.map_err(|error| builder.scan_error(&error))?;
        let range = span.byte_range().unwrap_or(0..0);
        builder.accept(event, builder.span(range.start, range.end))?;
    }
    let nothing = empty(builder.span(0, 0));
    Ok(builder.root.unwrap_or(nothing))
}

/// Much deeper than any real file, and small enough for recursive functions.
const MAX_DEPTH: usize = 32;
/// Limits after alias expansion: a file of 256 KiB could otherwise expand to any size.
const MAX_NODES: usize = 10_000;
const MAX_TEXT_BYTES: usize = 1024 * 1024;

struct Builder<'a> {
    source: &'a Arc<Source>,
    open: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
    text_bytes: usize,
}

/// A sequence or mapping that is still open.
struct Frame {
    content: Content,
    start: Span,
    anchor: usize,
    flow: bool,
    /// The key whose value comes next.
    key: Option<Key>,
}

impl<'a> Builder<'a> {
    fn new(source: &'a Arc<Source>) -> Self {
        Self {
            source,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            documents: 0,
            nodes: 0,
            text_bytes: 0,
        }
    }

    fn accept(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxError> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(fail("second YAML document in the file", "use one document per file", span));
                }
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, _, Some(_))
            | Event::MappingStart(_, _, Some(_)) => {
                return Err(fail("YAML tags (`!name`) are not supported", syntax::QUOTE, span));
            }
            Event::Scalar(text, style, anchor, None) => {
                self.count(1, text.len(), &span)?;
                let scalar = Scalar { text: text.into_owned(), style };
                let node = Node { content: Content::Scalar(scalar), span };
                self.attach(node, anchor)?;
            }
            Event::SequenceStart(style, anchor, None) => {
                self.begin(Content::Sequence(Vec::new()), style, anchor, span)?;
            }
            Event::MappingStart(style, anchor, None) => {
                self.begin(Content::Mapping(Vec::new()), style, anchor, span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(&span)?,
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(fail(
                        "recursive alias: it is used inside its own anchor",
                        syntax::QUOTE,
                        span,
                    ));
                };
                let (nodes, text_bytes) = size(&node);
                self.count(nodes, text_bytes, &span)?;
                self.attach(node, 0)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(
        &mut self,
        content: Content,
        style: StructureStyle,
        anchor: usize,
        start: Span,
    ) -> Result<(), SyntaxError> {
        self.count(1, 0, &start)?;
        let flow = style == StructureStyle::Flow;
        self.open.push(Frame { content, start, anchor, flow, key: None });
        Ok(())
    }

    fn end(&mut self, end: &Span) -> Result<(), SyntaxError> {
        let Some(Frame { content, start, anchor, flow, .. }) = self.open.pop() else { return Ok(()) };
        let last = match &content {
            Content::Sequence(items) => items.last(),
            Content::Mapping(entries) => entries.last().map(|entry| &entry.value),
            Content::Scalar(_) => None,
        };
        // The parser reports the end of a block at the start of the next token, that of `[…]` at its bracket.
        let end = match last {
            Some(last) if !flow => last.span.end.max(start.start),
            _ => end.end,
        };
        self.attach(Node { content, span: self.span(start.start, end) }, anchor)
    }

    fn attach(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxError> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Frame { content: Content::Sequence(items), .. }) => items.push(node),
            Some(Frame { content: Content::Mapping(entries), key, .. }) => match key.take() {
                Some(key) => entries.push(Entry { key, value: node }),
                None => *key = Some(into_key(node)?),
            },
            Some(Frame { content: Content::Scalar(_), .. }) => {}
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize, text_bytes: usize, at: &Span) -> Result<(), SyntaxError> {
        self.nodes += nodes;
        self.text_bytes += text_bytes;
        if self.nodes > MAX_NODES || self.text_bytes > MAX_TEXT_BYTES {
            return Err(fail(
                "the file is too large after its aliases are expanded",
                "use fewer values or fewer aliases (`*name`)",
                at.clone(),
            ));
        }
        Ok(())
    }

    fn span(&self, start: usize, end: usize) -> Span {
        let text = self.source.text();
        let start = (0..=start.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let end = (start..=end.clamp(start, text.len())).rev().find(|at| text.is_char_boundary(*at));
        Span { source: Arc::clone(self.source), start, end: end.unwrap_or(start) }
    }

    fn scan_error(&self, error: &ScanError) -> SyntaxError {
        let at = error.marker().byte_offset().unwrap_or(0);
        let Explanation { message, help, at } = syntax::explain(error.kind(), self.source.text(), at);
        SyntaxError { message, help, at: self.span(at, at) }
    }
}

fn into_key(node: Node) -> Result<Key, SyntaxError> {
    match node.content {
        Content::Scalar(scalar) if scalar.text == "<<" => Err(fail(
            "merge keys (`<<`) are not supported",
            "share a whole value with an alias (`with: *name`), or options with `config: FILE`",
            node.span,
        )),
        Content::Scalar(scalar) => Ok(Key { text: scalar.text, span: node.span }),
        _ => Err(fail("a key must be a single word", syntax::QUOTE, node.span)),
    }
}

fn fail(message: &str, help: &str, at: Span) -> SyntaxError {
    SyntaxError { message: message.to_owned(), help: help.to_owned(), at }
}

fn empty(span: Span) -> Node {
    Node { content: Content::Scalar(Scalar { text: String::new(), style: ScalarStyle::Plain }), span }
}

/// Number of nodes and bytes of text in a subtree.
fn size(node: &Node) -> (usize, usize) {
    let children: Vec<&Node> = match &node.content {
        Content::Scalar(scalar) => return (1, scalar.text.len()),
        Content::Sequence(items) => items.iter().collect(),
        Content::Mapping(entries) => entries.iter().map(|entry| &entry.value).collect(),
    };
    children.into_iter().map(size).fold((1, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}
