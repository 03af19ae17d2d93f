//! Finds banned phrases in the texts of a repository: string literals and doc comments of Rust files, prose of Markdown
//! files, comments of YAML files. `banned.tsv` lists the phrases with the words to use instead.
//!
//! Code spans, fenced code, link targets and placeholders are not searched. Plain `//` comments are not searched either:
//! the tokenizer drops them.

use std::fmt;
use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use regex::{Regex, RegexBuilder};

/// One line of `banned.tsv`.
#[derive(Debug)]
pub struct Rule {
    /// Its name, by which the allow-list refers to it.
    pub name: String,
    /// The phrase.
    pub pattern: Regex,
    /// Words to use instead.
    pub instead: String,
    /// A text that the rule must find.
    pub example: String,
}

/// A text of a file with the line on which it starts, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Its first line.
    pub line: usize,
    /// The text, code spans and placeholders removed.
    pub prose: String,
    /// Whether it is a doc comment.
    pub is_doc: bool,
}

/// A banned phrase in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The line, from 1.
    pub line: usize,
    /// The rule's name.
    pub rule: String,
    /// The phrase as it appears.
    pub phrase: String,
    /// Words to use instead.
    pub instead: String,
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: \"{}\", use: {}", self.line, self.rule, self.phrase, self.instead)
    }
}

/// Reads the rules of `banned.tsv`.
///
/// # Errors
/// The line that is incomplete or has an invalid regular expression.
pub fn rules(table: &str) -> Result<Vec<Rule>, String> {
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            let [name, pattern, instead, example] = cells[..] else {
                return Err(format!("not four cells: {line}"));
            };
            let pattern = format!(r"\b(?:{})\b", pattern.replace(' ', r"\s+"));
            let pattern = RegexBuilder::new(&pattern).case_insensitive(true).build();
            Ok(Rule {
                name: name.to_owned(),
                pattern: pattern.map_err(|error| format!("{line}: {error}"))?,
                instead: instead.to_owned(),
                example: example.to_owned(),
            })
        })
        .collect()
}

/// The hits of all rules in one text.
#[must_use]
pub fn search(text: &Text, rules: &[Rule]) -> Vec<Hit> {
    let mut hits = Vec::new();
    for rule in rules {
        for found in rule.pattern.find_iter(&text.prose) {
            hits.push(Hit {
                line: text.line + text.prose[..found.start()].matches('\n').count(),
                rule: rule.name.clone(),
                phrase: found.as_str().split_whitespace().collect::<Vec<_>>().join(" "),
                instead: rule.instead.clone(),
            });
        }
    }
    hits
}

/// The texts of a file, by the ending of its name. Other files have none.
///
/// # Errors
/// A Rust file that the tokenizer cannot read.
pub fn texts(path: &str, content: &str) -> Result<Vec<Text>, String> {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("rs") => rust(content).map_err(|error| format!("{path}: {error}")),
        Some("md") => Ok(vec![Text { line: 1, prose: prose(&without_fences(content)), is_doc: false }]),
        Some("yaml" | "yml") => Ok(yaml(content)),
        _ => Ok(Vec::new()),
    }
}

fn rust(content: &str) -> Result<Vec<Text>, String> {
    // The tokenizer does not accept a byte order mark.
    let stream =
        TokenStream::from_str(content.trim_start_matches('\u{feff}')).map_err(|error| error.to_string())?;
    let mut literals = Vec::new();
    collect(stream, &mut literals);
    Ok(joined(literals))
}

/// All string literals, those of `#[doc = "…"]` marked as documentation.
fn collect(stream: TokenStream, found: &mut Vec<Text>) {
    let mut in_doc = false;
    for token in stream {
        match token {
            TokenTree::Group(group) => {
                let is_attribute = group.delimiter() == Delimiter::Bracket;
                let is_doc = is_attribute && group.stream().to_string().starts_with("doc ");
                let before = found.len();
                collect(group.stream(), found);
                found[before..].iter_mut().filter(|_| is_doc).for_each(|text| text.is_doc = true);
            }
            TokenTree::Ident(name) => in_doc = name == "doc",
            TokenTree::Literal(literal) => {
                let line = literal.span().start().line;
                if let Some(text) = string_content(&literal.to_string()) {
                    found.push(Text { line, prose: text, is_doc: in_doc });
                }
            }
            TokenTree::Punct(_) => {}
        }
    }
}

/// The lines of one doc comment become one text, so that a phrase that is wrapped is found.
fn joined(literals: Vec<Text>) -> Vec<Text> {
    let mut texts: Vec<Text> = Vec::new();
    for literal in literals {
        match texts.last_mut() {
            Some(last)
                if last.is_doc
                    && literal.is_doc
                    && last.line + last.prose.matches('\n').count() + 1 == literal.line =>
            {
                last.prose.push('\n');
                last.prose.push_str(&literal.prose);
            }
            _ => texts.push(literal),
        }
    }
    for text in &mut texts {
        let searched = if text.is_doc { without_fences(&text.prose) } else { text.prose.clone() };
        text.prose = prose(&searched);
    }
    texts
}

/// What is between the quotes, continuation lines joined by the line break that they have in the file.
fn string_content(literal: &str) -> Option<String> {
    let start = literal.find('"')?;
    let end = literal.rfind('"')?;
    let inside = literal.get(start + 1..end)?;
    Some(if literal[..start].contains('r') {
        inside.to_owned()
    } else {
        inside.replace("\\\n", "\n").replace("\\n", "  ").replace("\\\"", "''")
    })
}

fn yaml(content: &str) -> Vec<Text> {
    let lines = content.lines().enumerate();
    lines
        .filter_map(|(index, line)| {
            let at = if line.starts_with('#') { 0 } else { line.find(" #")? };
            Some(Text { line: index + 1, prose: prose(&line[at..]), is_doc: false })
        })
        .collect()
}

/// The text with fenced code replaced by empty lines.
#[must_use]
pub fn without_fences(content: &str) -> String {
    let mut inside = false;
    let lines = content.lines().map(|line| {
        let is_fence = line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~");
        let is_code = inside || is_fence;
        inside ^= is_fence;
        if is_code { "" } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Code spans, link targets, placeholders and quoted file names are replaced by `0`; lines stay.
fn prose(content: &str) -> String {
    let mut out = String::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = rest.find(['`', '{']) {
        out.push_str(&rest[..at]);
        let close = if rest.as_bytes()[at] == b'`' { '`' } else { '}' };
        let inside = &rest[at + 1..];
        // A lone quote or brace, or one that is not closed in its paragraph, is ordinary text.
        let end = inside.find(close).filter(|end| !inside[..*end].contains("\n\n"));
        match end {
            Some(end) => {
                out.push('0');
                out.extend(inside[..end].chars().filter(|c| *c == '\n'));
                rest = &inside[end + 1..];
            }
            None => {
                out.push('0');
                rest = inside;
            }
        }
    }
    out.push_str(rest);
    out.replace("](", "] (")
}
