//! Finds the files of the paths in the options.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use glob::{MatchOptions, Pattern};
use scanbridge_plugin_api::{ErrorKind, PluginError};

/// A file or stream to read, or a path without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Candidate {
    /// A file, or another path that can be opened.
    File(PathBuf),
    /// Standard input.
    StandardInput,
    /// A path or pattern that cannot be read, with the reason.
    Missing(String, PluginError),
    /// A directory or pattern that can be read, but contains or matches no file.
    Empty(String, PluginError),
}

impl Candidate {
    /// The path of a file; `None` for anything else.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::StandardInput | Self::Missing(..) | Self::Empty(..) => None,
        }
    }
}

/// Finds the files of all paths, in order. A file that is named repeatedly is read once.
pub(crate) fn find_files(paths: &[String], patterns: &[Pattern]) -> Vec<Candidate> {
    let mut seen = HashSet::new();
    let mut candidates: Vec<Candidate> =
        paths.iter().flat_map(|path| find_files_of(path, patterns)).collect();
    candidates.retain(|candidate| match candidate {
        Candidate::File(path) => seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())),
        Candidate::StandardInput => seen.insert(PathBuf::from("-")),
        Candidate::Missing(..) | Candidate::Empty(..) => true,
    });
    candidates
}

fn find_files_of(path: &str, patterns: &[Pattern]) -> Vec<Candidate> {
    if path == "-" {
        return vec![Candidate::StandardInput];
    }
    let found = match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => in_folder(path, patterns),
        Ok(_) => return vec![Candidate::File(path.into())],
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_pattern(path) => matching(path),
        Err(error) => {
            Err(with_help(no_input(format!("cannot open {path}: {}", reason(&error))), path, &error))
        }
    };
    found.unwrap_or_else(|error| vec![Candidate::Missing(path.to_owned(), error)])
}

/// The files of a directory, without its subdirectories.
fn in_folder(named: &str, patterns: &[Pattern]) -> Result<Vec<Candidate>, PluginError> {
    let folder = Path::new(named);
    let to_error = |error: &io::Error| unreadable(folder, error);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| to_error(&error))? {
        let name = entry.map_err(|error| to_error(&error))?.file_name();
        let path = folder.join(&name);
        // A name with invalid UTF-8 is matched in its displayed form.
        let shown = name.to_string_lossy();
        if patterns.iter().any(|pattern| pattern.matches_with(&shown, MATCHING)) && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        let expected: Vec<&str> = patterns.iter().map(Pattern::as_str).collect();
        let expected = expected.join(" or ");
        let error = no_input(format!("no file in directory {named} matches {expected}"))
            .with_hint("change option `pattern` to read other files");
        return Ok(vec![Candidate::Empty(named.to_owned(), error)]);
    }
    Ok(files.into_iter().map(regular).collect())
}

/// A file from a directory or pattern. Pipes and devices are skipped, because opening one could block forever, and
/// their data may have no end.
fn regular(path: PathBuf) -> Candidate {
    match fs::metadata(&path) {
        Ok(metadata) if !metadata.is_file() => {
            let named = path.display().to_string();
            let error = no_input(format!("{named} is not a regular file; it was skipped"))
                .with_hint("remove it, or name it itself in option `path` to read from it");
            Candidate::Missing(named, error)
        }
        // A file that cannot be examined is reported when it is opened.
        Ok(_) | Err(_) => Candidate::File(path),
    }
}

/// The files that match, and the directories that may contain matches but cannot be read.
fn matching(pattern: &str) -> Result<Vec<Candidate>, PluginError> {
    let options = MatchOptions { case_sensitive: true, ..MATCHING };
    let invalid = |error: glob::PatternError| {
        no_input(format!("{pattern} is not a file and not a valid pattern: {}", error.msg))
    };
    let parsed = Pattern::new(pattern).map_err(invalid)?;
    // While it lists files, the library panics at a name that is not UTF-8 if it is to skip hidden files itself.
    let listing = MatchOptions { require_literal_leading_dot: false, ..options };
    let paths = glob::glob_with(pattern, listing).map_err(invalid)?;
    let (mut files, mut found) = (Vec::new(), unreadable_names(pattern));
    for path in paths {
        match path {
            Ok(path) if path.is_dir() || !parsed.matches_path_with(&path, options) => {}
            Ok(path) => files.push(path),
            Err(error) => {
                let refused = unreadable(error.path(), error.error());
                found.push(Candidate::Missing(error.path().display().to_string(), refused));
            }
        }
    }
    files.sort();
    found.extend(files.into_iter().map(regular));
    if found.is_empty() {
        let error = with_help(
            no_input(format!("no file matches {pattern}")),
            pattern,
            &io::ErrorKind::NotFound.into(),
        );
        found.push(Candidate::Empty(pattern.to_owned(), error));
    }
    Ok(found)
}

/// The files whose names are not UTF-8, in the directory of a pattern: they cannot be matched.
fn unreadable_names(pattern: &str) -> Vec<Candidate> {
    let folder = Path::new(pattern).parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.map(|entry| entry.file_name()).filter(|name| name.to_str().is_none());
    let mut paths: Vec<PathBuf> = named.map(|name| folder.join(name)).collect();
    paths.sort();
    let skipped = paths.into_iter().map(|path| {
        let named = path.display().to_string();
        let error =
            no_input(format!("the name of {named} is not UTF-8, so no pattern matches it; it was skipped"))
                .with_hint("rename the file, or name its directory in option `path`");
        Candidate::Missing(named, error)
    });
    skipped.collect()
}

fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

fn unreadable(folder: &Path, error: &io::Error) -> PluginError {
    no_input(format!("cannot read directory {}: {}", folder.display(), reason(error)))
}

/// Adds what often is the reason why a path does not exist.
pub(crate) fn with_help(error: PluginError, path: &str, reason: &io::Error) -> PluginError {
    if reason.kind() != io::ErrorKind::NotFound {
        return error;
    }
    if path.starts_with('~') {
        return error.with_hint("`~` is not replaced by the home directory; write ${env:HOME} instead");
    }
    match std::env::current_dir() {
        Ok(folder) if Path::new(path).is_relative() => {
            error.with_hint(format!("relative paths start at the working directory, {}", folder.display()))
        }
        _ => error,
    }
}

fn no_input(message: String) -> PluginError {
    PluginError::new(ErrorKind::NoInput, message)
}

/// The text of the operating system's error, without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// Extensions may be in upper case. Hidden files are usually incomplete files of other programs.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: false,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn names(candidates: &[Candidate], folder: &Path) -> Vec<String> {
        let name = |candidate: &Candidate| match candidate {
            Candidate::File(path) => path.strip_prefix(folder).unwrap().display().to_string(),
            Candidate::StandardInput => "-".to_owned(),
            Candidate::Missing(_, error) | Candidate::Empty(_, error) => {
                error.message.replace(&folder.display().to_string(), "DIR")
            }
        };
        candidates.iter().map(name).collect()
    }

    #[test]
    fn name_that_is_not_utf_8_is_named_and_others_are_read() {
        use std::os::unix::ffi::OsStrExt;

        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in [&b"ok.xml"[..], b"bad\xff.xml", b".hidden.xml"] {
            fs::write(root.join(std::ffi::OsStr::from_bytes(name)), "").unwrap();
        }
        let found = find_files(&[root.join("*.xml").display().to_string()], &[]);
        let expected =
            "the name of DIR/bad\u{fffd}.xml is not UTF-8, so no pattern matches it; it was skipped";
        assert_eq!(names(&found, root), [expected, "ok.xml"]);
        let all = [Pattern::new("*.xml").unwrap()];
        assert_eq!(find_files(&[root.display().to_string()], &all).len(), 2);
    }

    #[test]
    fn files_of_all_paths_are_listed_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["b.xml", "a.XML", "c.xml.gz", ".hidden.xml", "d.txt", "e.xml.part"] {
            fs::write(root.join(name), "").unwrap();
        }
        fs::create_dir(root.join("sub.xml")).unwrap();
        let patterns = ["*.xml", "*.xml.gz"].map(|text| Pattern::new(text).unwrap());
        let path = |name: &str| root.join(name).display().to_string();

        let all =
            find_files(&[path(""), path("b.xml"), "-".to_owned(), "-".to_owned(), path("d.txt")], &patterns);
        assert_eq!(names(&all, root), ["a.XML", "b.xml", "c.xml.gz", "-", "d.txt"]);

        let globbed = find_files(&[path("*.xml*")], &patterns);
        assert_eq!(names(&globbed, root), ["b.xml", "c.xml.gz", "e.xml.part"]);

        let missing =
            find_files(&[path("none.xml"), path("n*.xml"), path("sub.xml"), path("b.xml")], &patterns);
        assert_eq!(
            names(&missing, root),
            [
                "cannot open DIR/none.xml: no such file",
                "no file matches DIR/n*.xml",
                "no file in directory DIR/sub.xml matches *.xml or *.xml.gz",
                "b.xml"
            ]
        );
    }

    #[test]
    fn file_name_with_invalid_utf8_is_found() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(OsStr::from_bytes(b"caf\xE9.xml"));
        fs::write(&path, "").unwrap();
        let patterns = [Pattern::new("*.xml").unwrap()];
        assert_eq!(find_files(&[folder.path().display().to_string()], &patterns), [Candidate::File(path)]);
    }

    /// Tests only the message, because the superuser, who may run the tests, can read any directory.
    #[test]
    fn unreadable_directory_is_named() {
        let error = unreadable(Path::new("in/sub"), &io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(error.kind, ErrorKind::NoInput);
        assert_eq!(error.message, "cannot read directory in/sub: permission denied");
    }
}
