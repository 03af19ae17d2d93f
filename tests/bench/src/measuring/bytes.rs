//! Whether two builds of the host write the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::bound::{Bound, Limit};
use super::shapes::{SHAPES, Source};
use super::stage::{Stage, StageError, file_input, write_pipeline};

/// The outputs of each run. Each writes a file with its name; no option makes a file depend on the time of the run.
const OUTPUTS: &[(&str, &str, &str)] = &[
    ("cef", "ArcSightCEF", ""),
    (
        "cef-options",
        "ArcSightCEF",
        "receiver: splunk, asset_events: yes, aggregate: yes, order: severity, \
         additional_fields: [asset.owner, finding.first_found]",
    ),
    ("csv", "CSV", ""),
    (
        "csv-options",
        "CSV",
        "delimiter: tab, line_ending: lf, escape_formulas: no, columns: [report.title, report.time, asset.address, \
         asset.dns, asset.os, definition.qid, definition.title, definition.diagnosis, definition.consequence, \
         definition.solution, definition.cves, finding.kind, finding.severity, finding.port, finding.result]",
    ),
    ("json", "JSON", ""),
    (ANY_ORDER, "JSON", "assets: yes"),
    ("json-ocsf", "JSON", "format: ocsf"),
    ("json-ecs", "JSON", "format: ecs"),
    ("commands", "CSV", "format: host-input"),
    (
        "commands-options",
        "CSV",
        "format: host-input, add_host: yes, set_os: yes, replace: flush, description_length: 30000, \
         kinds: [vulnerability, potential, information, service], \
         description: [diagnosis, consequence, solution, result]",
    ),
];

/// The output whose lines are compared in any order: the lines of assets are before the findings of their batch, and where
/// a batch ends is not part of what the host promises.
const ANY_ORDER: &str = "json-assets";

/// Shapes that are also read from compressed files and from the fake Qualys.
const ALL_SOURCES: &[&str] = &["scan", "template-20000-qids", "detections"];

impl Stage {
    /// Runs the host of this build and that in the directory `other` on each report and compares what they write: the
    /// reports in the directories `samples`, and a small one of each shape. A sample is read together with the
    /// `knowledge-base.xml` next to it. Prints the first difference of each file.
    ///
    /// # Errors
    /// Fails if a report cannot be read or written, or if a program cannot be started.
    pub fn bytes(
        &self,
        other: &Path,
        samples: &[PathBuf],
        out: &mut impl Write,
    ) -> Result<Vec<Bound>, StageError> {
        let other = Self { executables: other.to_path_buf(), ..self.clone() };
        let mut bounds = Vec::new();
        for folder in samples {
            for report in reports(folder)? {
                let knowledge_base = Some(folder.join(KNOWLEDGE_BASE)).filter(|path| path.exists());
                let input = file_input(&report, knowledge_base.as_deref());
                bounds.push(self.compared(&other, &report.display().to_string(), &input, out)?);
            }
        }
        for shape in SHAPES {
            let files = shape.write_small(self)?;
            files.compress()?;
            let is_in_all = ALL_SOURCES.contains(&shape.name);
            let sources: &[Source] =
                if is_in_all { &[Source::File, Source::Gzip, Source::Api] } else { &[Source::File] };
            for source in sources {
                let opened = source.open(self, &files)?;
                let name = format!("{} {}", shape.name, source.name());
                bounds.push(self.compared(&other, &name, &opened.input, out)?);
            }
            files.remove();
        }
        Ok(bounds)
    }

    /// Compares all outputs of one input.
    fn compared(
        &self,
        other: &Self,
        name: &str,
        input: &str,
        out: &mut impl Write,
    ) -> Result<Bound, StageError> {
        let (expected, found) = (other.written(input)?, self.written(input)?);
        let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
        let mut different = 0;
        let mut lines = String::new();
        for file in names {
            if let Some(difference) = difference(expected.get(file), found.get(file)) {
                different += 1;
                let _ = writeln!(lines, "{name}, {file}: {difference}");
            }
        }
        write!(out, "{lines}").map_err(|error| StageError::new("output", error))?;
        let quantity = format!("{name}: files that differ, of {}", expected.len());
        Ok(Bound { quantity, measured: f64::from(different), limit: Limit::AtMost(0.0), unit: "" })
    }

    /// Runs the host and returns the files that it has written, and its exit code as `exit code`.
    fn written(&self, input: &str) -> Result<BTreeMap<String, Vec<u8>>, StageError> {
        let folder = self.folder.join("bytes");
        let failed = |error| StageError::new(folder.display(), error);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).map_err(failed)?;
        self.remove_state();
        let pipeline = self.folder.join("bytes.yaml");
        write_pipeline(&pipeline, &pipeline_text(input, &folder))?;
        let status = Command::new(self.executables.join("scanbridge"))
            .args(["run".as_ref(), pipeline.as_os_str()])
            .args(["--summary", "none", "--no-progress", "--quiet", "--quiet", "--state-dir"])
            .arg(self.state())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|error| StageError::new(self.executables.display(), error))?;
        let mut written = BTreeMap::from([("exit code".to_owned(), format!("{status}").into_bytes())]);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Locks and unfinished files are not results.
            if !name.starts_with('.') {
                let content = fs::read(entry.path()).map_err(failed)?;
                let content = if name == ANY_ORDER { sorted_lines(&content) } else { content };
                written.insert(name, content);
            }
        }
        Ok(written)
    }
}

fn pipeline_text(input: &str, folder: &Path) -> String {
    let mut text = format!("version: 1\ninputs:\n  - {input}\noutputs:\n");
    for (name, plugin, options) in OUTPUTS {
        let path = folder.join(name);
        let _ =
            writeln!(text, "  - {{ id: {name}, plugin: {plugin}, with: {{ path: {path:?}, {options} }} }}");
    }
    text
}

/// The reports of a directory, in the order of their names.
fn reports(folder: &Path) -> Result<Vec<PathBuf>, StageError> {
    let failed = |error| StageError::new(folder.display(), error);
    let folder = folder.canonicalize().map_err(failed)?;
    let mut reports = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_report = path.extension() == Some(OsStr::new("xml")) && !path.ends_with(KNOWLEDGE_BASE);
        if is_report {
            reports.push(path);
        }
    }
    reports.sort();
    Ok(reports)
}

fn sorted_lines(content: &[u8]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
    lines.sort_unstable();
    lines.concat()
}

/// The first difference between two files; `None` if they are equal.
fn difference(expected: Option<&Vec<u8>>, found: Option<&Vec<u8>>) -> Option<String> {
    let (expected, found) = match (expected, found) {
        (Some(expected), Some(found)) if expected == found => return None,
        (Some(expected), Some(found)) => (expected, found),
        (Some(_), None) => return Some("missing in this build".to_owned()),
        (None, _) => return Some("missing in the other build".to_owned()),
    };
    let equal = expected.iter().zip(found).take_while(|(expected, found)| expected == found).count();
    let line = expected[..equal].iter().filter(|byte| **byte == b'\n').count() + 1;
    let shown = |bytes: &[u8]| {
        let begin = equal.saturating_sub(SHOWN_BYTES / 2);
        let end = (equal + SHOWN_BYTES / 2).min(bytes.len());
        String::from_utf8_lossy(&bytes[begin..end]).replace(['\r', '\n'], "⏎")
    };
    let (expected, found) = (shown(expected), shown(found));
    Some(format!("byte {equal}, line {line}\n  other: {expected}\n  this:  {found}"))
}

/// The file with the definitions of the detections next to it.
const KNOWLEDGE_BASE: &str = "knowledge-base.xml";

/// Bytes around the first difference that are shown.
const SHOWN_BYTES: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_difference_is_shown_with_its_line() {
        let difference =
            |expected: &str, found: &str| difference(Some(&expected.into()), Some(&found.into()));
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        let shown = difference("a\nbc\n", "a\nbd\n").unwrap();
        assert_eq!(shown, "byte 3, line 2\n  other: a⏎bc⏎\n  this:  a⏎bd⏎");
        assert!(difference("a", "ab").unwrap().starts_with("byte 1, line 1"));
    }

    #[test]
    fn missing_file_is_a_difference() {
        let empty = Vec::new();
        assert_eq!(difference(Some(&empty), None).unwrap(), "missing in this build");
        assert_eq!(difference(None, Some(&empty)).unwrap(), "missing in the other build");
    }

    #[test]
    fn lines_are_compared_in_any_order_with_their_number() {
        assert_eq!(sorted_lines(b"b\na\n"), sorted_lines(b"a\nb\n"));
        assert_ne!(sorted_lines(b"a\na\n"), sorted_lines(b"a\n"));
    }

    #[test]
    fn outputs_write_different_files() {
        let text = pipeline_text("{ id: r }", Path::new("/out"));
        for (name, ..) in OUTPUTS {
            assert_eq!(text.matches(&format!("path: \"/out/{name}\",")).count(), 1, "{text}");
        }
    }
}
