//! Names: what stands for `{report}` and `{date}`, and what part files and pieces are called.

use std::path::{Path, PathBuf};

use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{PluginError, Result};

/// A target's name whose placeholders have been checked.
#[derive(Debug)]
pub(crate) struct NameTemplate {
    folder: PathBuf,
    file_name: String,
    /// The day that stands for `{date}`; `None` for that of each report.
    date: Option<String>,
}

impl NameTemplate {
    /// Checks the path; `date` is the day that stands for `{date}`, `None` for that of each report.
    pub(crate) fn parse(path: &Path, date: Option<String>) -> Result<Self> {
        let bad = |problem: &str| PluginError::config(format!("option `path`: {} {problem}", path.display()));
        let file_name = path.file_name().ok_or_else(|| bad("has no file name"))?;
        let file_name = file_name.to_str().ok_or_else(|| bad("is not valid UTF-8"))?.to_owned();
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(bad("is a directory, not a file"));
        }
        if placeholders(&folder.to_string_lossy()).next().is_some() {
            return Err(bad("has a placeholder in a directory name; placeholders are only allowed in the \
                 file name"));
        }
        if let Some(word) = placeholders(&file_name).find(|word| !["report", "date"].contains(word)) {
            return Err(bad(&format!("has an unknown placeholder `{{{word}}}`"))
                .with_hint("valid placeholders: {report} and {date}"));
        }
        Ok(Self { folder, file_name, date })
    }

    /// The path of a file with this name.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The path, when no report changes it.
    pub(crate) fn fixed(&self) -> Option<PathBuf> {
        let varies = placeholders(&self.file_name).any(|word| word == "report" || self.date.is_none());
        (!varies).then(|| self.resolve(&ReportStart::default()))
    }

    /// The path for this report.
    pub(crate) fn resolve(&self, report: &ReportStart) -> PathBuf {
        let date = self.date.clone().unwrap_or_else(|| day_of(report));
        let name = self.file_name.replace("{date}", &date);
        // The report's text comes last: what it holds is never read as a placeholder.
        self.folder.join(name.replace("{report}", &report_word(report)))
    }
}

/// The UTC day of the report's time; today for a report without one.
fn day_of(report: &ReportStart) -> String {
    let time = report.time.parse::<jiff::Timestamp>();
    time.unwrap_or_else(|_| jiff::Timestamp::now()).strftime("%Y-%m-%d").to_string()
}

/// The words in braces; a brace without its partner is an ordinary character.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(word, _)| word))
}

/// The report's id, else its title, else its file's stem: the first that leaves anything when reduced.
fn report_word(report: &ReportStart) -> String {
    let stem = Path::new(&report.path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    [report.id.as_str(), &report.title, stem]
        .into_iter()
        .map(reduce)
        .find(|word| !word.is_empty())
        .unwrap_or_else(|| "report".to_owned())
}

/// Keeps ASCII letters, digits, `.`, `_` and `-`, makes one `_` of anything else, and begins and ends with
/// a letter or digit: so no hidden file, no `..`, nothing that a shell takes for an option.
fn reduce(text: &str) -> String {
    let mut word = String::new();
    for letter in text.chars() {
        if letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-') {
            word.push(letter);
        } else if !word.ends_with('_') {
            word.push('_');
        }
        if word.len() > MAX_WORD {
            break;
        }
    }
    word.trim_matches(['.', '_', '-']).to_owned()
}

/// File systems allow names of 255 bytes; this leaves space for the rest of the name.
const MAX_WORD: usize = 100;

/// `out/findings.csv` → `findings.csv`. Names are UTF-8, which [`NameTemplate::parse`] has seen to.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The part with the number 7 of `out/findings.csv` is `out/.findings.csv.7.part`, that of its piece 3
/// `out/.findings.csv.7-0003.part`.
pub(crate) fn part_path(path: &Path, number: u64, piece: u32) -> PathBuf {
    let piece = if piece == 0 { String::new() } else { format!("-{piece:04}") };
    path.with_file_name(format!(".{}.{number}{piece}.part", name_of(path)))
}

/// The number of a part file, if it is a part of the file called `name` or of one of its pieces.
pub(crate) fn part_number(part: &str, name: &str) -> Option<u64> {
    let number = part.strip_prefix('.')?.strip_prefix(name)?.strip_prefix('.')?.strip_suffix(".part")?;
    number.split_once('-').map_or(number, |(number, _)| number).parse().ok()
}

/// `out/findings.csv`, 3 → `out/findings.0003.csv`; number 0 is the plain name of a file without pieces.
pub(crate) fn piece_path(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    match path.extension() {
        Some(extension) => path.with_file_name(format!("{stem}.{number:04}.{}", extension.to_string_lossy())),
        None => path.with_file_name(format!("{stem}.{number:04}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(template: &str, id: &str, title: &str, path: &str) -> String {
        let name = NameTemplate::parse(Path::new(template), Some("2026-01-31".to_owned())).unwrap();
        let report = ReportStart::default()
            .with_id(id.to_owned())
            .with_title(title.to_owned())
            .with_path(path.to_owned());
        name.resolve(&report).display().to_string()
    }

    #[test]
    fn a_report_gives_its_id_else_its_title_else_its_file() {
        let template = "out/{date}-{report}.csv";
        assert_eq!(resolve(template, "scan/12.5", "T", "/a/b.xml"), "out/2026-01-31-scan_12.5.csv");
        assert_eq!(
            resolve(template, "", "Weekly: DMZ (ext)", "/a/b.xml"),
            "out/2026-01-31-Weekly_DMZ_ext.csv"
        );
        assert_eq!(resolve(template, "", "", "/a/b.xml"), "out/2026-01-31-b.csv");
        assert_eq!(resolve(template, "//", "…", ""), "out/2026-01-31-report.csv");
    }

    #[test]
    fn date_is_that_of_the_run_or_of_the_report() {
        let report = |time: &str| ReportStart::default().with_time(time.to_owned());
        let of_run = NameTemplate::parse(Path::new("a-{date}.csv"), Some("2026-01-31".to_owned())).unwrap();
        let of_report = NameTemplate::parse(Path::new("a-{date}.csv"), None).unwrap();
        let today = jiff::Timestamp::now().strftime("a-%Y-%m-%d.csv").to_string();
        for (time, day) in [
            ("2024-02-29T23:59:59Z", "a-2024-02-29.csv"),
            ("2024-02-29T23:59:59.5Z", "a-2024-02-29.csv"),
            ("2024-03-01T00:30:00+01:00", "a-2024-02-29.csv"),
            ("", &today),
            ("yesterday", &today),
            ("../../etc/passwd", &today),
        ] {
            assert_eq!(of_run.resolve(&report(time)), Path::new("a-2026-01-31.csv"));
            assert_eq!(of_report.resolve(&report(time)), Path::new(day), "{time}");
        }
        assert_eq!(of_run.fixed().as_deref(), Some(Path::new("a-2026-01-31.csv")));
        assert_eq!(of_report.fixed(), None);
    }

    #[test]
    fn hostile_titles_choose_neither_folder_nor_hidden_name() {
        for (title, word) in [
            ("../../etc/passwd", "etc_passwd"),
            ("..", "report"),
            (".hidden", "hidden"),
            ("--output=x", "output_x"),
            ("a\0b\nc\\d:e", "a_b_c_d_e"),
            ("{date}{report}", "date_report"),
            ("Überprüfung", "berpr_fung"),
        ] {
            assert_eq!(resolve("{report}", "", title, ""), word, "{title:?}");
        }
        assert!(resolve("{report}", "", &"x".repeat(5000), "").len() <= 101);
    }

    #[test]
    fn bad_paths_are_refused_with_a_reason() {
        for (path, part) in [
            ("", "has no file name"),
            ("..", "has no file name"),
            ("out/", "is a directory, not a file"),
            ("{report}/a.csv", "placeholder in a directory name"),
            ("a-{dat}.csv", "unknown placeholder `{dat}`"),
        ] {
            let error = NameTemplate::parse(Path::new(path), None).unwrap_err();
            assert!(error.message.contains(part), "{path}: {error}");
        }
    }

    #[test]
    fn parts_and_pieces_are_in_the_directory_of_the_target() {
        let path = Path::new("out/a.b.csv");
        assert_eq!(part_path(path, 3, 0), Path::new("out/.a.b.csv.3.part"));
        assert_eq!(part_path(path, 3, 12), Path::new("out/.a.b.csv.3-0012.part"));
        assert_eq!(piece_path(path, 7), Path::new("out/a.b.0007.csv"));
        assert_eq!(piece_path(path, 12345), Path::new("out/a.b.12345.csv"));
        assert_eq!(piece_path(Path::new("log"), 1), Path::new("log.0001"));
        assert_eq!(piece_path(path, 0), path);
    }

    #[test]
    fn part_files_are_recognized_by_name_and_number() {
        for (part, number) in [(".a.b.csv.3.part", 3), (".a.b.csv.30-0012.part", 30)] {
            assert_eq!(part_number(part, "a.b.csv"), Some(number), "{part}");
        }
        let others =
            ["a.b.csv.3.part", ".a.b.csv.part", ".a.b.csv.3.lock", ".b.csv.3.part", ".a.b.csv.5.3-0001.part"];
        for part in others.into_iter().chain([".a.b.csv.-3.part", ".a.b.csv.99999999999999999999.part"]) {
            assert_eq!(part_number(part, "a.b.csv"), None, "{part}");
        }
    }
}
