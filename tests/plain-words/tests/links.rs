//! Links of all Markdown files lead to files and headings that exist, `docs/SUMMARY.md` has every page of the book once, and the
//! messages of `docs/troubleshooting.md` are those of the program.

#![expect(clippy::unwrap_used, reason = "a test ends when something is not as it must be")]

mod repository;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use regex::Regex;
use scanbridge_plain_words::without_fences;

use repository::{files, root};

/// A link in the text: its line and its target.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    line: usize,
    target: String,
}

/// All files with this extension, with their names relative to the repository and their texts.
fn texts(extension: &str) -> BTreeMap<String, String> {
    let mut paths = Vec::new();
    files(&root(), &mut paths);
    let named = paths.into_iter().filter(|path| {
        // Beginnings of generated pages have the links of those pages.
        let name = path.file_name().unwrap().to_string_lossy();
        name.ends_with(&format!(".{extension}")) && !name.ends_with(".head.md")
    });
    named
        .map(|path| {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The links of a Markdown text, without those in code.
fn links(text: &str) -> Vec<Link> {
    let (code, link) = (Regex::new("`[^`\n]*`").unwrap(), Regex::new(r"\]\(([^()\s]+)\)").unwrap());
    let text = without_fences(text);
    let text = code.replace_all(&text, "");
    let found = link.captures_iter(&text);
    found
        .map(|captures| {
            let line = text[..captures.get(0).unwrap().start()].matches('\n').count() + 1;
            Link { line, target: captures[1].to_owned() }
        })
        .collect()
}

/// The anchors of the headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let link = Regex::new(r"\[([^\]]*)\]\([^)]*\)").unwrap();
    let mut anchors = BTreeSet::new();
    for line in without_fences(text).lines().filter(|line| line.starts_with('#')) {
        let heading = link.replace_all(line.trim_start_matches('#').trim(), "$1").to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let mut unique = anchor.clone();
        for number in 1.. {
            if anchors.insert(unique) {
                break;
            }
            unique = format!("{anchor}-{number}");
        }
    }
    anchors
}

/// The path of a link, relative to the repository. `None` if it leads out of the repository.
fn resolve(page: &str, path: &str) -> Option<PathBuf> {
    let mut parts = PathBuf::new();
    for part in Path::new(page).parent().unwrap().join(path).components() {
        match part {
            Component::ParentDir => parts.pop().then_some(())?,
            Component::Normal(name) => parts.push(name),
            _ => {}
        }
    }
    Some(parts)
}

/// The reason why the link of this page is broken.
fn problem(page: &str, target: &str, pages: &BTreeMap<String, String>) -> Option<&'static str> {
    if ["http://", "https://", "mailto:"].iter().any(|scheme| target.starts_with(scheme)) {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = if path.is_empty() { Some(page.into()) } else { resolve(page, path) };
    let Some(file) = file.filter(|file| root().join(file).exists()) else { return Some("no such file") };
    let text = pages.get(&*file.to_string_lossy());
    match (anchor, text) {
        ("", _) => None,
        (_, None) => Some("only a Markdown file has headings"),
        (_, Some(text)) => (!anchors(text).contains(anchor)).then_some("no such heading"),
    }
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let pages = texts("md");
    let (mut checked, mut broken) = (0, Vec::new());
    for (page, text) in &pages {
        for Link { line, target } in links(text) {
            checked += 1;
            broken
                .extend(problem(page, &target, &pages).map(|why| format!("{page}:{line}: {target}: {why}")));
        }
    }
    assert!(checked > 150, "only {checked} links were checked");
    assert!(broken.is_empty(), "{} broken links:\n{}", broken.len(), broken.join("\n"));
}

/// Messages and comments that name a page of the documentation.
#[test]
fn every_page_that_the_code_names_exists() {
    let pages = texts("md");
    let named = Regex::new(r"\bdocs/[a-z0-9/-]+\.md(#[a-z0-9-]+)?").unwrap();
    let (mut checked, mut broken) = (0, Vec::new());
    for (name, text) in texts("rs") {
        for found in named.find_iter(&text) {
            checked += 1;
            let why = problem("x", found.as_str(), &pages);
            broken.extend(why.map(|why| format!("{name}: {}: {why}", found.as_str())));
        }
    }
    assert!(checked > 20, "only {checked} names were checked");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn summary_has_every_page_once() {
    let pages = texts("md");
    let entries: Vec<_> = links(&pages["docs/SUMMARY.md"]).into_iter().map(|link| link.target).collect();
    let listed: Vec<_> = entries.iter().map(|entry| resolve("docs/SUMMARY.md", entry).unwrap()).collect();
    let once: BTreeSet<_> = listed.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    assert_eq!(once.len(), listed.len(), "a page is listed twice");
    let is_page = |name: &str| {
        name.starts_with("docs/") && name != "docs/SUMMARY.md"
            || name.starts_with("plugins/") && name.ends_with("/README.md") && name.matches('/').count() == 2
    };
    let missing: Vec<_> = pages.keys().filter(|name| is_page(name) && !once.contains(*name)).collect();
    assert!(missing.is_empty(), "not in docs/SUMMARY.md: {missing:?}");
}

/// The messages in the first column of the tables.
#[test]
fn messages_of_the_troubleshooting_page_exist() {
    let continued = Regex::new(r"\\\n\s*").unwrap();
    let sources: Vec<String> = texts("rs")
        .into_iter()
        .filter(|(name, _)| !name.starts_with("tests/"))
        .map(|(_, text)| continued.replace_all(&text, "").into_owned())
        .collect();
    let pages = texts("md");
    let rows = pages["docs/troubleshooting.md"].lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.trim_start_matches("| ").split(" | ").next());
    let messages: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(messages.len() > 20, "only {} messages", messages.len());
    let unknown: Vec<_> =
        messages.iter().filter(|message| !sources.iter().any(|text| text.contains(**message))).collect();
    assert!(unknown.is_empty(), "no message of the program: {unknown:?}");
}

#[test]
fn broken_links_are_found() {
    let page = "# A `b` page\n\n## Two\n\n## Two\n\n[x](#two-1) `[y](no.md)` ![z](images/no.png)\n\n```sh\n# [c](no)\n```\n";
    let pages = BTreeMap::from([("docs/files.md".to_owned(), page.to_owned())]);
    let targets: Vec<_> = links(page).into_iter().map(|link| (link.line, link.target)).collect();
    assert_eq!(targets, [(7, "#two-1".to_owned()), (7, "images/no.png".to_owned())]);
    assert_eq!(anchors(page), ["a-b-page", "two", "two-1"].map(str::to_owned).into());
    assert_eq!(problem("docs/files.md", "#two-1", &pages), None);
    assert_eq!(problem("docs/files.md", "#three", &pages), Some("no such heading"));
    assert_eq!(problem("docs/files.md", "images/no.png", &pages), Some("no such file"));
    assert_eq!(problem("docs/files.md", "../../etc", &pages), Some("no such file"));
}
