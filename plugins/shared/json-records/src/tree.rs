//! The keys and values of a line as a tree. It is built once per report; a line is written by going through it.

use scanbridge_plugin_api::batch::FindingColumn;
use scanbridge_plugin_api::model::list_items;

use crate::cached::{Cached, Owner, Parts};
use crate::form::{Form, Value};
use crate::source::{Names, Record, Source, When};
use crate::text::push_text;
use crate::value::push_parts;

/// A key with its value.
#[derive(Debug)]
pub(crate) struct Node {
    name: String,
    /// `,"name":`
    key: Vec<u8>,
    content: Content,
    /// Whether the object around it is written only with this value or another one that is needed.
    is_needed: bool,
    /// The column of a finding without which there is no value. Known after [`Tree::finish`].
    column: Option<usize>,
}

#[derive(Debug)]
enum Content {
    Object(Object),
    /// The first rule that has a value.
    Value(Vec<Rule>),
    /// The values of all rules, each once.
    List(Vec<Rule>),
    /// The text of key and value, or nothing.
    Fixed(Vec<u8>),
    /// The part with this number of what is cached: the text of key and value, or nothing.
    Cached(Owner, usize),
}

/// An object, or a list of objects.
#[derive(Debug, Default)]
struct Object {
    repeat: Repeat,
    children: Vec<Node>,
    /// Whether it is written without values too.
    is_kept: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Repeat {
    /// Not a list.
    #[default]
    No,
    /// A list with one object.
    Once,
    /// A list with an object for each CVE ID, or one object if there is none.
    EachCve,
}

#[derive(Debug)]
struct Rule {
    source: Source,
    more: Vec<Source>,
    form: Form,
    when: When,
}

/// Memory that is used for each line.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    number: String,
    text: String,
    items: Vec<(usize, usize)>,
}

/// The tree of a kind of lines.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    root: Object,
    /// The nodes of which the parts are made.
    cached: CachedNodes,
}

#[derive(Debug, Default)]
struct CachedNodes {
    of_definition: Vec<Node>,
    of_asset: Vec<Node>,
}

impl CachedNodes {
    fn of(&mut self, owner: Owner) -> &mut Vec<Node> {
        match owner {
            Owner::Definition => &mut self.of_definition,
            Owner::Asset => &mut self.of_asset,
        }
    }
}

/// One step from the root to a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'a>(&'a str, Repeat);

impl<'a> Step<'a> {
    pub(crate) fn key(name: &'a str) -> Self {
        Self(name, Repeat::No)
    }

    fn parse(text: &'a str) -> Self {
        match (text.strip_suffix("[0]"), text.strip_suffix("[cve]")) {
            (Some(name), _) => Self(name, Repeat::Once),
            (_, Some(name)) => Self(name, Repeat::EachCve),
            _ => Self::key(text),
        }
    }
}

/// The steps of a path of a mapping, and whether it ends at a list.
pub(crate) fn steps(path: &str) -> (Vec<Step<'_>>, bool) {
    let (path, is_list) = path.strip_suffix("[]").map_or((path, false), |path| (path, true));
    (path.split('.').map(Step::parse).collect(), is_list)
}

impl Tree {
    /// Adds a value at the end of these steps.
    pub(crate) fn add(
        &mut self,
        (steps, is_list): (&[Step<'_>], bool),
        names: &Names<'_>,
        column: &str,
        form: Form,
        when: When,
    ) {
        let more = form.more_columns().iter().map(|name| names.source(name)).collect();
        let rule = Rule { source: names.source(column), more, form, when };
        let [path @ .., Step(last, _)] = steps else { return };
        let object = path.iter().fold(&mut self.root, |object, step| object.object(*step));
        let new = if is_list { Content::List } else { Content::Value };
        match &mut object.child(last, || new(Vec::new())).content {
            Content::Value(rules) | Content::List(rules) => rules.push(rule),
            content => unreachable!("`{last}` is an object and a value: {content:?}"),
        }
    }

    /// Adds an object that is written without values too.
    pub(crate) fn add_object(&mut self, name: &str) {
        self.root.object(Step::key(name)).is_kept = true;
    }

    /// Adds this JSON as a value.
    pub(crate) fn add_fixed(&mut self, name: &str, json: &[u8]) {
        let node = self.root.child(name, || Content::Fixed(Vec::new()));
        node.content = Content::Fixed([&node.key, json].concat());
    }

    /// Sets that an object is written only with one of these values.
    pub(crate) fn set_needs(&mut self, path: &str, needed: &[&str]) {
        let (steps, _) = steps(path);
        let object = steps.iter().fold(&mut self.root, |object, step| object.object(*step));
        for node in object.children.iter_mut().filter(|node| needed.contains(&node.name.as_str())) {
            node.is_needed = true;
        }
    }

    /// Replaces what is the same in all lines by its text, and what depends on the definition or the asset alone by a part
    /// of its cache.
    pub(crate) fn finish(&mut self) {
        self.root.simplify(&mut self.cached);
    }

    /// Encodes the parts of the definition of this record.
    pub(crate) fn definition_parts(&self, record: &Record<'_>, scratch: &mut Scratch) -> Parts {
        let mut parts = Parts::default();
        parts.fill(&self.cached.of_definition, |node, out| node.write_uncached(out, record, scratch));
        parts.shrink();
        parts
    }

    /// Encodes the parts of the asset of this record, in the memory of those of another one.
    pub(crate) fn asset_parts(&self, parts: &mut Parts, record: &Record<'_>, scratch: &mut Scratch) {
        parts.fill(&self.cached.of_asset, |node, out| node.write_uncached(out, record, scratch));
    }

    /// Appends a line without its end.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        record: &Record<'_>,
        cached: Cached<'_>,
        scratch: &mut Scratch,
    ) {
        self.root.write_one(out, record, cached, scratch);
    }
}

impl Object {
    /// The node with this name; `new` is the content of a new one.
    fn child(&mut self, name: &str, new: impl FnOnce() -> Content) -> &mut Node {
        let index = self.children.iter().position(|node| node.name == name).unwrap_or_else(|| {
            let mut key = vec![b','];
            push_text(&mut key, name);
            key.push(b':');
            self.children.push(Node {
                name: name.to_owned(),
                key,
                content: new(),
                is_needed: false,
                column: None,
            });
            self.children.len() - 1
        });
        &mut self.children[index]
    }

    /// The object under this key.
    fn object(&mut self, Step(name, repeat): Step<'_>) -> &mut Self {
        let new = || Content::Object(Self { repeat, ..Self::default() });
        match &mut self.child(name, new).content {
            Content::Object(object) => object,
            content => unreachable!("`{name}` is a value and an object: {content:?}"),
        }
    }

    fn simplify(&mut self, cached: &mut CachedNodes) {
        for node in &mut self.children {
            if node.depends_only_on(Source::is_fixed) {
                let mut text = Vec::new();
                node.write_uncached(&mut text, &Record::default(), &mut Scratch::default());
                node.content = Content::Fixed(text);
            } else if node.depends_only_on(Source::is_of_definition) {
                node.move_to(Owner::Definition, cached);
            } else if node.depends_only_on(Source::is_of_asset) {
                node.move_to(Owner::Asset, cached);
            } else if let Content::Object(object) = &mut node.content {
                object.simplify(cached);
            } else {
                node.column = node.only_column();
            }
        }
    }

    /// Appends the object. False, with nothing appended, if a value that it needs is missing, or without any value.
    fn write_one(
        &self,
        out: &mut Vec<u8>,
        record: &Record<'_>,
        cached: Cached<'_>,
        scratch: &mut Scratch,
    ) -> bool {
        let start = out.len();
        let mut has_need = false;
        let mut is_satisfied = false;
        for node in &self.children {
            let is_written = !node.is_absent(record) && node.write(out, record, cached, scratch);
            has_need |= node.is_needed;
            is_satisfied |= node.is_needed && is_written;
        }
        let is_empty = out.len() == start;
        let is_kept = self.is_kept || (!is_empty && (is_satisfied || !has_need));
        if !is_kept {
            out.truncate(start);
        } else if is_empty {
            out.extend_from_slice(b"{}");
        } else {
            // Instead of the comma before the first value.
            out[start] = b'{';
            out.push(b'}');
        }
        is_kept
    }

    fn write(
        &self,
        out: &mut Vec<u8>,
        record: &Record<'_>,
        cached: Cached<'_>,
        scratch: &mut Scratch,
    ) -> bool {
        if self.repeat == Repeat::No {
            return self.write_one(out, record, cached, scratch);
        }
        let start = out.len();
        let mut write = |cve, cve_count| {
            let before = out.len();
            out.push(if before == start { b'[' } else { b',' });
            if !self.write_one(out, &Record { cve, cve_count, ..*record }, cached, scratch) {
                out.truncate(before);
            }
        };
        let cve_count = if self.repeat == Repeat::EachCve { record.cves().count() } else { 0 };
        match cve_count {
            0 => write(record.cve, record.cve_count),
            _ => record.cves().for_each(|cve| write(cve, cve_count)),
        }
        if out.len() > start {
            out.push(b']');
        }
        out.len() > start
    }
}

impl Node {
    /// Whether all values come from such sources, and need nothing else.
    fn depends_only_on(&self, is_such: fn(&Source) -> bool) -> bool {
        match &self.content {
            Content::Object(object) => {
                object.repeat != Repeat::EachCve
                    && object.children.iter().all(|node| node.depends_only_on(is_such))
            }
            Content::Value(rules) | Content::List(rules) => rules.iter().all(|rule| {
                let mut sources = std::iter::once(&rule.source).chain(&rule.more);
                rule.when == When::Always && rule.form.is_of_columns() && sources.all(is_such)
            }),
            Content::Fixed(_) => true,
            Content::Cached(..) => false,
        }
    }

    /// The column of a finding from which alone the value comes, if there is no value for an empty cell.
    fn only_column(&self) -> Option<usize> {
        let Content::Value(rules) = &self.content else { return None };
        match &rules[..] {
            [rule] if !rule.form.is_for_no_value() => match rule.source {
                Source::Finding(Some(FindingColumn::Cell(column)), _) => Some(column),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether nothing is written for this record. Most values of a line are absent.
    #[inline]
    fn is_absent(&self, record: &Record<'_>) -> bool {
        match (self.column, &record.finding) {
            (column @ Some(_), Some(finding)) => finding.column(column).is_empty(),
            _ => false,
        }
    }

    /// Makes it one of the nodes of which cached parts are made.
    fn move_to(&mut self, owner: Owner, cached: &mut CachedNodes) {
        let nodes = cached.of(owner);
        let content = std::mem::replace(&mut self.content, Content::Cached(owner, nodes.len()));
        let (name, key) = (self.name.clone(), self.key.clone());
        nodes.push(Self { name, key, content, is_needed: false, column: None });
    }

    /// As [`Node::write`], for a node without cached parts.
    fn write_uncached(&self, out: &mut Vec<u8>, record: &Record<'_>, scratch: &mut Scratch) {
        let none = &Parts::default();
        self.write(out, record, Cached { definition: none, asset: none }, scratch);
    }

    /// Appends key and value. False, with nothing appended, if there is no value.
    fn write(
        &self,
        out: &mut Vec<u8>,
        record: &Record<'_>,
        cached: Cached<'_>,
        scratch: &mut Scratch,
    ) -> bool {
        let start = out.len();
        match &self.content {
            Content::Fixed(text) => out.extend_from_slice(text),
            Content::Cached(owner, number) => out.extend_from_slice(cached.part(*owner, *number)),
            Content::Value(rules) => {
                let _ = rules.iter().any(|rule| rule.write(&self.key, out, record, scratch));
            }
            content => {
                out.extend_from_slice(&self.key);
                let is_written = match content {
                    Content::Object(object) => object.write(out, record, cached, scratch),
                    Content::List(rules) => write_list(rules, out, record, scratch),
                    Content::Value(_) | Content::Fixed(_) | Content::Cached(..) => false,
                };
                if !is_written {
                    out.truncate(start);
                }
            }
        }
        out.len() > start
    }
}

impl Rule {
    /// Appends key and value. False, with nothing appended, if there is no value.
    fn write(&self, key: &[u8], out: &mut Vec<u8>, record: &Record<'_>, scratch: &mut Scratch) -> bool {
        let text = self.source.text(record, &mut scratch.number);
        // Most cells of a line return here.
        if text.is_empty() && !self.form.is_for_no_value() {
            return false;
        }
        if !self.when.holds(record) {
            return false;
        }
        let start = out.len();
        out.extend_from_slice(key);
        let more = self.more_texts(record);
        let value = Value { record, native: self.source.form(), more: &more[..self.more.len()] };
        let is_written = self.form.push(out, text, &value, &mut scratch.text);
        if !is_written {
            out.truncate(start);
        }
        is_written
    }

    /// The texts of the other columns, which are never codes of a finding.
    fn more_texts<'s>(&'s self, record: &Record<'s>) -> [&'s str; MAX_MORE] {
        let mut texts = [""; MAX_MORE];
        for (text, source) in texts.iter_mut().zip(&self.more) {
            *text = source.cell(record);
        }
        texts
    }
}

/// The maximum number of other columns of a form.
const MAX_MORE: usize = 5;

/// Appends a list of the values of all rules, each once. False, with nothing appended, if there is none.
fn write_list(rules: &[Rule], out: &mut Vec<u8>, record: &Record<'_>, scratch: &mut Scratch) -> bool {
    let start = out.len();
    let Scratch { number, text: other, items } = scratch;
    items.clear();
    let mut add = |out: &mut Vec<u8>, push: &mut dyn FnMut(&mut Vec<u8>) -> bool| {
        let before = out.len();
        out.push(if before == start { b'[' } else { b',' });
        let item = before + 1;
        if push(out) && items.iter().all(|(from, to)| out[*from..*to] != out[item..]) {
            items.push((item, out.len()));
        } else {
            out.truncate(before);
        }
    };
    for rule in rules.iter().filter(|rule| rule.when.holds(record)) {
        let text = rule.source.text(record, number);
        let more = rule.more_texts(record);
        let value = Value { record, native: rule.source.form(), more: &more[..rule.more.len()] };
        match rule.form {
            Form::Each(form) => {
                list_items(text).for_each(|item| add(out, &mut |out| form.push(out, item, &value, other)));
            }
            Form::Paired(_) => {
                let (names, ids) = (|| list_items(text), || list_items(more[0]));
                let mut pair = |name, id| {
                    add(out, &mut |out| push_parts(out, [("uid", id), ("name", name)].into_iter()));
                };
                if names().count() == ids().count() {
                    names().zip(ids()).for_each(|(name, id)| pair(name, id));
                } else {
                    names().for_each(|name| pair(name, ""));
                    ids().for_each(|id| pair("", id));
                }
            }
            form => add(out, &mut |out| form.push(out, text, &value, other)),
        }
    }
    if out.len() > start {
        out.push(b']');
    }
    out.len() > start
}
