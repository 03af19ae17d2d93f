//! The option tables in the README of a plugin.

use std::path::Path;

const BEGIN: &str = "<!-- options of ";
const END: &str = "<!-- end of options -->\n";

/// A table as it begins: `output CSV` and the options that it names.
struct Heading<'a> {
    plugin: &'a str,
    names: Vec<&'a str>,
}

/// Checks that the option tables of a README are those that `scanbridge plugin describe NAME --format markdown` prints (`described`).
/// With `UPDATE_DOCS=1` in the environment, it writes them.
///
/// A README can have several tables of one plugin: `<!-- options of output CSV: path mode -->` has these rows, in this order.
/// One without names has all rows that no other table names.
///
/// # Panics
/// If a table is out of date, or if an option is in no table or in two; the message says what to do.
pub fn readme(described: &str, path: &Path) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let headings: Vec<Heading<'_>> = text.lines().filter_map(heading).collect();
    let mut expected = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (line, after) = after.split_once('\n').expect("a line ends");
        let (_, after) = after.split_once(END).unwrap_or_else(|| panic!("{BEGIN}{line}: no {END}"));
        let heading = begun(line).unwrap_or_else(|| panic!("{BEGIN}{line}: invalid"));
        expected += &format!("{before}{BEGIN}{line}\n{}{END}", table(described, &heading, &headings));
        rest = after;
    }
    expected += rest;
    for plugin in described.lines().filter_map(heading).map(|heading| heading.plugin) {
        let has_rest = headings.iter().any(|heading| heading.plugin == plugin && heading.names.is_empty());
        let is_named = |name: &&str| headings.iter().any(|heading| heading.names.contains(name));
        let missing: Vec<&str> =
            rows(described, plugin).map(|(name, _)| name).filter(|name| !is_named(name)).collect();
        assert!(
            has_rest || missing.is_empty(),
            "{}: no table has the options {missing:?} of {plugin}",
            path.display()
        );
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &expected).expect("the README can be written");
    }
    assert!(text == expected, "{} is out of date: run this test with UPDATE_DOCS=1", path.display());
}

fn heading(line: &str) -> Option<Heading<'_>> {
    begun(line.strip_prefix(BEGIN)?)
}

/// The heading whose line goes on like this after [`BEGIN`].
fn begun(line: &str) -> Option<Heading<'_>> {
    let line = line.strip_suffix(" -->")?;
    let (plugin, names) = line.split_once(": ").unwrap_or((line, ""));
    Some(Heading { plugin, names: names.split(' ').filter(|name| !name.is_empty()).collect() })
}

/// The rows of a plugin that are described, with the names of their options.
fn rows<'a>(described: &'a str, plugin: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let begin = format!("{BEGIN}{plugin} -->\n");
    let (_, table) = described.split_once(&begin).unwrap_or_else(|| panic!("{plugin} is not described"));
    let table = table.split_once(END).map_or(table, |(table, _)| table);
    table.lines().filter_map(|row| Some((row.strip_prefix("| `")?.split_once('`')?.0, row)))
}

/// The head and the rows of a table of the README.
fn table(described: &str, heading: &Heading<'_>, all: &[Heading<'_>]) -> String {
    let plugin = heading.plugin;
    let mut lines = vec!["| Option | Values | Default | Meaning |", "|---|---|---|---|"];
    if heading.names.is_empty() {
        let others: Vec<&str> =
            all.iter().filter(|other| other.plugin == plugin).flat_map(|other| other.names.clone()).collect();
        lines.extend(rows(described, plugin).filter(|(name, _)| !others.contains(name)).map(|(_, row)| row));
    }
    for name in &heading.names {
        let times = all.iter().filter(|other| other.plugin == plugin && other.names.contains(name)).count();
        assert_eq!(times, 1, "option `{name}` of {plugin} is in {times} tables");
        let row = rows(described, plugin).find(|(known, _)| known == name);
        lines.push(row.unwrap_or_else(|| panic!("{plugin} has no option `{name}`")).1);
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}
