//! The keys and values of a line as a tree. It is built once per report; a line is written by going through it.

use scanbridge_plugin_api::model::list_items;

use crate::form::{Form, Value};
use crate::source::{Names, Record, Source, When};
use crate::text::push_text;
use crate::value::push_parts;

/// A key with its value.
#[derive(Debug)]
pub(crate) struct Node {
    name: String,
    /// `"name":`
    key: Vec<u8>,
    content: Content,
    /// Whether the object around it is written only with this value or another one that is needed.
    is_needed: bool,
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
    /// The part with this number of what is cached for each definition: the text of key and value, or nothing.
    OfDefinition(usize),
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

/// The parts of a line that depend on the definition alone, as they were encoded.
#[derive(Debug, Default)]
pub(crate) struct DefinitionParts {
    text: Box<[u8]>,
    ends: Box<[usize]>,
}

impl DefinitionParts {
    fn part(&self, number: usize) -> &[u8] {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.text[start..self.ends[number]]
    }

    /// The memory that they need, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + size_of_val(&*self.ends)
    }
}

/// The tree of a kind of lines.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    root: Object,
    /// The nodes of which the parts of a definition are made.
    of_definition: Vec<Node>,
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

    /// Replaces what is the same in all lines by its text, and what depends on the definition alone by a part of its cache.
    pub(crate) fn finish(&mut self) {
        self.root.simplify(&mut self.of_definition);
    }

    /// Encodes the parts of a definition.
    pub(crate) fn definition_parts(&self, record: &Record<'_>, scratch: &mut Scratch) -> DefinitionParts {
        let (mut text, mut ends) = (Vec::new(), Vec::new());
        let none = DefinitionParts::default();
        for node in &self.of_definition {
            node.write(&mut text, record, &none, scratch);
            ends.push(text.len());
        }
        DefinitionParts { text: text.into(), ends: ends.into() }
    }

    /// Appends a line without its end.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        record: &Record<'_>,
        definition: &DefinitionParts,
        scratch: &mut Scratch,
    ) {
        self.root.write_one(out, record, definition, scratch);
    }
}

impl Object {
    /// The node with this name; `new` is the content of a new one.
    fn child(&mut self, name: &str, new: impl FnOnce() -> Content) -> &mut Node {
        let index = self.children.iter().position(|node| node.name == name).unwrap_or_else(|| {
            let mut key = Vec::new();
            push_text(&mut key, name);
            key.push(b':');
            self.children.push(Node { name: name.to_owned(), key, content: new(), is_needed: false });
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

    fn simplify(&mut self, of_definition: &mut Vec<Node>) {
        for node in &mut self.children {
            if node.depends_only_on(Source::is_fixed) {
                let mut text = Vec::new();
                let none = DefinitionParts::default();
                node.write(&mut text, &Record::default(), &none, &mut Scratch::default());
                node.content = Content::Fixed(text);
            } else if node.depends_only_on(Source::is_of_definition) {
                let content = Content::OfDefinition(of_definition.len());
                let content = std::mem::replace(&mut node.content, content);
                of_definition.push(Node {
                    name: node.name.clone(),
                    key: node.key.clone(),
                    content,
                    is_needed: false,
                });
            } else if let Content::Object(object) = &mut node.content {
                object.simplify(of_definition);
            }
        }
    }

    /// Appends the object. False, with nothing appended, if a value that it needs is missing, or without any value.
    fn write_one(
        &self,
        out: &mut Vec<u8>,
        record: &Record<'_>,
        definition: &DefinitionParts,
        scratch: &mut Scratch,
    ) -> bool {
        let start = out.len();
        out.push(b'{');
        let mut is_empty = true;
        let mut has_need = false;
        let mut is_satisfied = false;
        for node in &self.children {
            let before = out.len();
            if !is_empty {
                out.push(b',');
            }
            let is_written = node.write(out, record, definition, scratch);
            if is_written {
                is_empty = false;
            } else {
                out.truncate(before);
            }
            has_need |= node.is_needed;
            is_satisfied |= node.is_needed && is_written;
        }
        out.push(b'}');
        let is_kept = self.is_kept || (!is_empty && (is_satisfied || !has_need));
        if !is_kept {
            out.truncate(start);
        }
        is_kept
    }

    fn write(
        &self,
        out: &mut Vec<u8>,
        record: &Record<'_>,
        definition: &DefinitionParts,
        scratch: &mut Scratch,
    ) -> bool {
        if self.repeat == Repeat::No {
            return self.write_one(out, record, definition, scratch);
        }
        let start = out.len();
        let mut write = |cve, cve_count| {
            let before = out.len();
            out.push(if before == start { b'[' } else { b',' });
            if !self.write_one(out, &Record { cve, cve_count, ..*record }, definition, scratch) {
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
            Content::OfDefinition(_) => false,
        }
    }

    /// Appends key and value. False, with nothing appended, if there is no value.
    fn write(
        &self,
        out: &mut Vec<u8>,
        record: &Record<'_>,
        definition: &DefinitionParts,
        scratch: &mut Scratch,
    ) -> bool {
        let start = out.len();
        match &self.content {
            Content::Fixed(text) => out.extend_from_slice(text),
            Content::OfDefinition(number) => out.extend_from_slice(definition.part(*number)),
            Content::Value(rules) => {
                let _ = rules.iter().any(|rule| rule.write(&self.key, out, record, scratch));
            }
            content => {
                out.extend_from_slice(&self.key);
                let is_written = match content {
                    Content::Object(object) => object.write(out, record, definition, scratch),
                    Content::List(rules) => write_list(rules, out, record, scratch),
                    Content::Value(_) | Content::Fixed(_) | Content::OfDefinition(_) => false,
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
