//! The repository has no banned phrase, and the rules find what they are for.

#![expect(clippy::unwrap_used, reason = "a test ends when something is not as it must be")]

mod repository;

use std::fs;

use scanbridge_plain_words::{Rule, Text, rules, search, texts};

use repository::{files, root};

/// Doc comments of these folders are rewritten together with their code, in the step that rebuilds the plugin contract
/// and the engine; their messages are checked like all others.
const DOC_COMMENTS_LATER: [&str; 3] = ["host/src/pipeline/", "host/src/state/", "plugin-api/"];

/// Sentences that no rule may find.
const FINE: &[&str] = &[
    "connection refused",
    "the next run resumes at the last checkpoint",
    "roll back the file",
    "letters, digits, `-`",
    "`stands in` is code",
    "a standard receiver",
    "the value is no longer used",
    "blank lines are skipped",
    "the second turns into another",
    "hand over the file on Monday",
];

fn all_rules() -> Vec<Rule> {
    rules(include_str!("../banned.tsv")).unwrap()
}

/// The allowed places: part of the path, rule (`*` for all), text in the line.
fn allowed() -> Vec<(String, String, String)> {
    let list = fs::read_to_string(root().join(".words-allow")).unwrap();
    let rows = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('\t').collect();
        let [path, rule, text] = cells[..] else { panic!("not three cells in .words-allow: {row}") };
        (path.to_owned(), rule.to_owned(), text.to_owned())
    })
    .collect()
}

#[test]
fn repository_has_no_banned_phrase() {
    let (rules, allowed, root) = (all_rules(), allowed(), root());
    let mut paths = Vec::new();
    files(&root, &mut paths);
    paths.sort();
    let (mut searched, mut hits) = (0, Vec::new());
    // Entries with rules of other checkers are not ours to judge.
    let is_known = |rule: &str| rule == "*" || rules.iter().any(|known| known.name == rule);
    let mut unused: Vec<bool> = allowed.iter().map(|(_, rule, _)| is_known(rule)).collect();
    for path in paths {
        let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let Ok(content) = fs::read_to_string(&path) else { continue };
        let lines: Vec<&str> = content.lines().collect();
        for text in texts(&name, &content).unwrap() {
            searched += 1;
            if text.is_doc && DOC_COMMENTS_LATER.iter().any(|folder| name.starts_with(folder)) {
                continue;
            }
            for hit in search(&text, &rules) {
                let line = lines.get(hit.line - 1).copied().unwrap_or_default();
                let exception = allowed.iter().position(|(path, rule, part)| {
                    name == *path && (rule == "*" || *rule == hit.rule) && line.contains(part.as_str())
                });
                match exception {
                    Some(index) => unused[index] = false,
                    None => hits.push(format!("{name}:{hit}")),
                }
            }
        }
    }
    let unused: Vec<_> =
        allowed.iter().zip(&unused).filter(|(_, unused)| **unused).map(|(row, _)| row).collect();
    assert!(unused.is_empty(), "rows of .words-allow that match nothing: {unused:?}");
    assert!(searched > 5000, "only {searched} texts were searched");
    assert!(hits.is_empty(), "{} banned phrases:\n{}", hits.len(), hits.join("\n"));
}

#[test]
fn every_rule_finds_its_example() {
    for rule in all_rules() {
        let example = Text { line: 1, prose: rule.example.clone(), is_doc: false };
        let hits = search(&example, std::slice::from_ref(&rule));
        assert!(!hits.is_empty(), "rule {} misses its example: {}", rule.name, rule.example);
    }
}

#[test]
fn plain_sentences_are_not_found() {
    let rules = all_rules();
    for sentence in FINE {
        for text in texts("page.md", sentence).unwrap() {
            assert_eq!(search(&text, &rules), [], "{sentence}");
        }
    }
}

#[test]
fn phrases_in_literals_doc_comments_markdown_and_yaml_are_found() {
    let rules = all_rules();
    let lines = |path: &str, content: &str| -> Vec<usize> {
        let texts = texts(path, content).unwrap();
        texts.iter().flat_map(|text| search(text, &rules)).map(|hit| hit.line).collect()
    };
    assert_eq!(lines("a.rs", "fn f() {\n    g(\"the call is \\\n       given up\");\n}"), [2]);
    assert_eq!(lines("a.rs", "/// A run that\n/// is under\n/// way.\nfn f() {}"), [2]);
    assert_eq!(lines("a.rs", "//! It begins anew.\n"), [1]);
    assert_eq!(
        lines("a.rs", "/// `anew` is code.\n/// ```\n/// // anew\n/// ```\nfn anew() {}"),
        [0_usize; 0]
    );
    assert_eq!(lines("a.rs", "fn f() { g(r#\"begins \"anew\"\"#) }"), [1]);
    assert_eq!(lines("a.md", "text\n\n```\nanew\n```\n\nbegins\nanew `anew`\n"), [8]);
    assert_eq!(lines("a.yaml", "key: anew # begins anew\n"), [1]);
    assert_eq!(lines("a.txt", "anew"), [0_usize; 0]);
}
