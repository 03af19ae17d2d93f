//! The modules of a crate, read from its sources: which file defines an item, and which paths a file names.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path in a source file: `["crate", "batch", "Batch"]`.
pub(crate) type Segments = Vec<String>;

/// A module, which is a file or a part of one. Code for tests is left out.
#[derive(Debug, Default)]
pub(crate) struct Module {
    /// Index into [`Modules::files`].
    pub(crate) file: usize,
    parent: Option<usize>,
    children: HashMap<String, usize>,
    /// Names of the types, functions, constants, traits and macros that it defines.
    items: HashSet<String>,
    pub(crate) imports: Vec<Import>,
    /// All paths outside `use` items, with their lines.
    pub(crate) paths: Vec<(usize, Segments)>,
}

/// One name of a `use` item.
#[derive(Debug)]
pub(crate) struct Import {
    /// The name in this module; `*` for all names.
    name: String,
    pub(crate) path: Segments,
    pub(crate) line: usize,
    pub(crate) is_reexport: bool,
}

/// All modules that can be reached from the roots of a crate.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) all: Vec<Module>,
}

impl Modules {
    /// Reads the sources of one crate. Their paths are relative to `src`.
    pub(crate) fn read(sources: &[(PathBuf, String)]) -> Self {
        let mut modules = Self::default();
        for (path, _) in sources {
            let folder = path.parent().expect("a file has a folder");
            let is_root =
                path == Path::new("lib.rs") || path == Path::new("main.rs") || folder == Path::new("bin");
            if is_root {
                modules.file(sources, path, folder, None);
            }
        }
        modules
    }

    /// Reads a file and the files of its child modules, which are in `folder`.
    fn file(
        &mut self,
        sources: &[(PathBuf, String)],
        path: &Path,
        folder: &Path,
        parent: Option<usize>,
    ) -> usize {
        let (_, text) =
            sources.iter().find(|(other, _)| other == path).unwrap_or_else(|| panic!("{path:?} is missing"));
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path:?}: {error}"));
        self.files.push(path.to_owned());
        let module = self.module(self.files.len() - 1, parent);
        let mut scanner = Scanner { modules: self, sources, folder: folder.to_owned() };
        scanner.scan(tokens, module, true);
        module
    }

    fn module(&mut self, file: usize, parent: Option<usize>) -> usize {
        self.all.push(Module { file, parent, ..Module::default() });
        self.all.len() - 1
    }

    /// The file that defines the item which a path of a module names. `None`: the path names a module, an item of
    /// another crate, or a local variable.
    pub(crate) fn defining_file(&self, module: usize, path: &[String]) -> Option<usize> {
        self.resolve(module, path, 0)
    }

    fn resolve(&self, module: usize, path: &[String], depth: usize) -> Option<usize> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.qualified(self.root(module), rest, depth),
            "self" => self.qualified(module, rest, depth),
            "super" => self.qualified(self.all[module].parent?, rest, depth),
            _ => self.item(module, path, depth),
        }
    }

    /// As `item`. An unknown name comes from a macro of the module's file.
    fn qualified(&self, module: usize, path: &[String], depth: usize) -> Option<usize> {
        let (first, rest) = path.split_first()?;
        if first == "super" {
            return self.qualified(self.all[module].parent?, rest, depth);
        }
        if let (Some(child), false) = (self.all[module].children.get(first), rest.is_empty()) {
            return self.qualified(*child, rest, depth);
        }
        let is_known_module = self.all[module].children.contains_key(first)
            || self.all[module].imports.iter().any(|import| import.name == *first);
        let unknown = (!is_known_module).then_some(self.all[module].file);
        self.item(module, path, depth).or(unknown)
    }

    fn item(&self, module: usize, path: &[String], depth: usize) -> Option<usize> {
        let (first, rest) = path.split_first()?;
        let here = &self.all[module];
        if depth > 20 {
            return None;
        }
        if let (Some(child), false) = (here.children.get(first), rest.is_empty()) {
            return self.qualified(*child, rest, depth + 1);
        }
        if here.items.contains(first) {
            return Some(here.file);
        }
        let through = |import: &Import, rest: &[String]| {
            let path = [import.path.as_slice(), rest].concat();
            // `use name::…` of an external crate would lead to itself.
            if path.first() == Some(first) && import.path.len() == 1 {
                None
            } else {
                self.resolve(module, &path, depth + 1)
            }
        };
        let by_name = here.imports.iter().filter(|import| import.name == *first);
        if let Some(found) = by_name.filter_map(|import| through(import, rest)).next() {
            return Some(found);
        }
        here.imports.iter().filter(|import| import.name == "*").find_map(|import| {
            let target = self.module_at(module, &import.path, depth + 1)?;
            if target == module { None } else { self.item(target, path, depth + 1) }
        })
    }

    /// The module that a path names.
    fn module_at(&self, module: usize, path: &[String], depth: usize) -> Option<usize> {
        let mut at = module;
        for (index, name) in path.iter().enumerate() {
            at = match name.as_str() {
                "crate" => self.root(at),
                "self" => at,
                "super" => self.all[at].parent?,
                _ => match self.all[at].children.get(name) {
                    Some(child) => *child,
                    None if depth > 20 => return None,
                    None => {
                        let import = self.all[at].imports.iter().find(|import| import.name == *name)?;
                        let path = [import.path.as_slice(), &path[index + 1..]].concat();
                        return self.module_at(at, &path, depth + 1);
                    }
                },
            };
        }
        Some(at)
    }

    fn root(&self, mut module: usize) -> usize {
        while let Some(parent) = self.all[module].parent {
            module = parent;
        }
        module
    }
}

/// Reads the tokens of one file.
struct Scanner<'a> {
    modules: &'a mut Modules,
    sources: &'a [(PathBuf, String)],
    /// Where the files of child modules are.
    folder: PathBuf,
}

impl Scanner<'_> {
    /// `at_items`: the tokens are those of a module, not those of a body or an expression.
    fn scan(&mut self, tokens: TokenStream, module: usize, at_items: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at = match &tokens[at] {
                TokenTree::Punct(sign) if sign.as_char() == '#' => after_attribute(&tokens, at),
                TokenTree::Group(group) => {
                    self.scan(group.stream(), module, at_items && is_macro_call(&tokens, at));
                    at + 1
                }
                TokenTree::Ident(_) => self.word(&tokens, at, module, at_items),
                _ => at + 1,
            };
        }
    }

    /// Reads what begins with a word and returns the index after it.
    fn word(&mut self, tokens: &[TokenTree], at: usize, module: usize, at_items: bool) -> usize {
        let name = ident(tokens, at + 1);
        match (ident(tokens, at).expect("the caller has seen a word").as_str(), name) {
            ("use", next)
                if next.is_some()
                    || is_group(tokens, at + 1, Delimiter::Brace)
                    || is_sign(tokens, at + 1, ':') =>
            {
                let end =
                    (at..tokens.len()).find(|index| is_sign(tokens, *index, ';')).unwrap_or(tokens.len());
                let before = at.checked_sub(1).map(|before| &tokens[before]);
                let is_reexport = match before {
                    Some(TokenTree::Ident(word)) => word == "pub",
                    Some(TokenTree::Group(group)) => group.delimiter() == Delimiter::Parenthesis,
                    _ => false,
                };
                let mut found = Vec::new();
                use_tree(&tokens[at + 1..end], &mut Vec::new(), &mut found);
                let line = tokens[at].span().start().line;
                let import = |(name, path)| Import { name, path, line, is_reexport };
                self.modules.all[module].imports.extend(found.into_iter().map(import));
                end + 1
            }
            ("mod", Some(name)) => self.child(tokens, at, module, name),
            (
                "struct" | "enum" | "union" | "trait" | "type" | "fn" | "const" | "static" | "mut",
                Some(name),
            ) if at_items && !["fn", "unsafe", "extern", "async", "mut"].contains(&name.as_str()) => {
                self.modules.all[module].items.insert(name);
                at + 2
            }
            ("macro_rules", None) if is_sign(tokens, at + 1, '!') => {
                self.modules.all[module].items.extend(ident(tokens, at + 2));
                at + 3
            }
            _ => {
                let (path, end) = path(tokens, at);
                if !is_member_or_lifetime(tokens, at) {
                    self.modules.all[module].paths.push((tokens[at].span().start().line, path));
                }
                end
            }
        }
    }

    /// Reads `mod name;` or `mod name { … }`.
    fn child(&mut self, tokens: &[TokenTree], at: usize, module: usize, name: String) -> usize {
        // A module can be declared once for each feature set.
        if self.modules.all[module].children.contains_key(&name) {
            return at + 3;
        }
        let file = self.modules.all[module].file;
        let child = match tokens.get(at + 2) {
            Some(TokenTree::Group(body)) => {
                let child = self.modules.module(file, Some(module));
                let folder = self.folder.join(&name);
                let folder = std::mem::replace(&mut self.folder, folder);
                self.scan(body.stream(), child, true);
                self.folder = folder;
                child
            }
            _ => {
                let folder = self.folder.join(&name);
                let alone = folder.with_extension("rs");
                let is_alone = self.sources.iter().any(|(path, _)| *path == alone);
                let path = if is_alone { alone } else { folder.join("mod.rs") };
                self.modules.file(self.sources, &path, &folder, Some(module))
            }
        };
        self.modules.all[module].children.insert(name, child);
        at + 3
    }
}

/// The index after an attribute, and after the item under it if that is only for tests.
fn after_attribute(tokens: &[TokenTree], at: usize) -> usize {
    let group = if is_sign(tokens, at + 1, '!') { at + 2 } else { at + 1 };
    let Some(TokenTree::Group(attribute)) = tokens.get(group) else { return at + 1 };
    let mut words = attribute.stream().into_iter();
    let is_cfg = words.next().is_some_and(|word| word.to_string() == "cfg");
    let condition = words.next().map(|condition| condition.to_string()).unwrap_or_default();
    let is_for_tests = is_cfg && condition.contains("test") && !condition.contains("not");
    if !is_for_tests {
        return group + 1;
    }
    let mut end = group + 1;
    let mut is_value = false;
    while end < tokens.len() {
        is_value |= ident(tokens, end).is_some_and(|word| ["use", "static", "let"].contains(&word.as_str()));
        let is_end = is_sign(tokens, end, ';') || (is_group(tokens, end, Delimiter::Brace) && !is_value);
        end += 1;
        if is_end {
            break;
        }
    }
    end
}

/// Adds the names and paths of a `use` item.
fn use_tree(tokens: &[TokenTree], prefix: &mut Segments, found: &mut Vec<(String, Segments)>) {
    for branch in tokens.split(|token| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ',')) {
        let length = prefix.len();
        let mut alias = None;
        let mut at = 0;
        while at < branch.len() {
            match &branch[at] {
                TokenTree::Ident(word) if word == "as" => {
                    alias = ident(branch, at + 1);
                    at += 1;
                }
                TokenTree::Ident(word) if word == "self" && at == 0 && length > 0 => {}
                TokenTree::Ident(word) => prefix.push(word.to_string()),
                TokenTree::Punct(sign) if sign.as_char() == '*' => {
                    found.push(("*".to_owned(), prefix.clone()))
                }
                TokenTree::Group(group) => {
                    use_tree(&group.stream().into_iter().collect::<Vec<_>>(), prefix, found);
                }
                _ => {}
            }
            at += 1;
        }
        if matches!(branch.last(), Some(TokenTree::Ident(_))) {
            let name = alias.or_else(|| prefix.last().cloned());
            found.extend(name.map(|name| (name, prefix.clone())));
        }
        prefix.truncate(length);
    }
}

/// The path that begins at a word, and the index after it.
fn path(tokens: &[TokenTree], mut at: usize) -> (Segments, usize) {
    let mut path: Segments = ident(tokens, at).into_iter().collect();
    while let (true, true, Some(next)) =
        (is_sign(tokens, at + 1, ':'), is_sign(tokens, at + 2, ':'), ident(tokens, at + 3))
    {
        path.push(next);
        at += 3;
    }
    (path, at + 1)
}

/// Whether a word follows `.`, `::` or `'`, so that it does not begin a path.
fn is_member_or_lifetime(tokens: &[TokenTree], at: usize) -> bool {
    let before = |distance: usize, sign| at >= distance && is_sign(tokens, at - distance, sign);
    let is_member = before(1, '.') && !before(2, '.');
    is_member || (before(1, ':') && before(2, ':')) || before(1, '\'')
}

/// Whether a group is the body of `name! { … }`, which may define items.
fn is_macro_call(tokens: &[TokenTree], at: usize) -> bool {
    at >= 2 && is_sign(tokens, at - 1, '!') && ident(tokens, at - 2).is_some()
}

fn ident(tokens: &[TokenTree], at: usize) -> Option<String> {
    match tokens.get(at) {
        Some(TokenTree::Ident(word)) => Some(word.to_string()),
        _ => None,
    }
}

fn is_sign(tokens: &[TokenTree], at: usize, sign: char) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

fn is_group(tokens: &[TokenTree], at: usize, delimiter: Delimiter) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Group(group)) if group.delimiter() == delimiter)
}
