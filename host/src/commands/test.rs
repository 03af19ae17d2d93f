//! `scanbridge test`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::preparation::registry;
use super::run::stoppable;
use super::terminal::{error_style, print_error, print_output};
use crate::cli::{CommonOptions, Format};
use crate::config::{Problems, counted, problem_to_json, read_tests};
use crate::exit_code::worst;
use crate::pipeline::Stop;
use crate::pipeline_test::{self, TestResult, Unmet};
use crate::plugins::Registry;
use crate::telemetry::without_controls;

/// `EX_DATAERR`: something is not as expected.
const NOT_AS_EXPECTED: u8 = 65;

/// The result for one file.
struct Tested {
    file: PathBuf,
    pipeline: Option<String>,
    /// Errors of the test file or of its pipeline file.
    problems: Option<Problems>,
    /// The result of each test, or why it could not be run, with its name.
    tests: Vec<Result<TestResult, (String, String)>>,
}

pub(super) fn test(files: &[PathBuf], format: Format, common: &CommonOptions) -> u8 {
    let registry = registry(common);
    let stop = stoppable("");
    let tested: Vec<Tested> = files.iter().map(|file| test_file(file, &registry, &stop)).collect();
    let code = worst(tested.iter().map(Tested::code));
    match format {
        Format::Text => print_text(&tested, code),
        Format::Json => {
            let files: Vec<Value> = tested.iter().map(Tested::json).collect();
            print_output(&format!("{:#}\n", json!({ "ok": code == 0, "files": files })), code)
        }
    }
}

fn test_file(file: &Path, registry: &Registry, stop: &Arc<Stop>) -> Tested {
    let mut tested = Tested { file: file.to_owned(), pipeline: None, problems: None, tests: Vec::new() };
    match read_tests(file, registry) {
        Ok(content) => {
            tested.pipeline = Some(content.document.name());
            let run = |test| {
                let result = pipeline_test::run(&content, test, registry, stop);
                result.map_err(|error| (test.name.clone(), error))
            };
            tested.tests = content.tests.iter().map(run).collect();
        }
        Err(problems) => tested.problems = Some(problems),
    }
    tested
}

impl Tested {
    fn code(&self) -> u8 {
        let codes = self.tests.iter().map(|test| match test {
            Ok(result) if result.ok => 0,
            Ok(_) => NOT_AS_EXPECTED,
            Err(_) => Problems::EXIT_CODE,
        });
        worst(codes.chain(self.problems.as_ref().map(|_| Problems::EXIT_CODE)))
    }

    fn json(&self) -> Value {
        let problems = self.problems.iter().flat_map(|problems| &problems.list);
        let tests = self.tests.iter().map(|test| match test {
            Ok(result) => json!(result),
            Err((name, error)) => json!({ "name": name, "ok": false, "error": error }),
        });
        json!({
            "file": self.file.display().to_string(),
            "pipeline": self.pipeline,
            "problems": problems.map(problem_to_json).collect::<Vec<_>>(),
            "tests": tests.collect::<Vec<_>>(),
        })
    }
}

fn print_text(tested: &[Tested], code: u8) -> u8 {
    let mut text = String::new();
    for file in tested {
        if let Some(problems) = &file.problems {
            print_error(&problems.render_with_outcome(error_style(), "; nothing was tested"));
        }
        for test in &file.tests {
            text += &lines(&file.file, test);
        }
    }
    let all: Vec<bool> = tested
        .iter()
        .flat_map(|file| &file.tests)
        .map(|test| test.as_ref().is_ok_and(|result| result.ok))
        .collect();
    let passed = all.iter().filter(|passed| **passed).count();
    text += &format!("{}: {passed} passed, {} failed\n", counted(all.len(), "test"), all.len() - passed);
    print_output(&text, code)
}

/// The lines of one test.
fn lines(file: &Path, test: &Result<TestResult, (String, String)>) -> String {
    let head = |word: &str, name: &str| format!("{word:<7} {}: {}\n", file.display(), without_controls(name));
    match test {
        Err((name, error)) => head("FAILED", name) + &format!("        {}\n", without_controls(error)),
        Ok(result) => {
            let mut text = head(if result.ok { "ok" } else { "FAILED" }, &result.name);
            text.extend(result.failed.iter().map(|unmet| format!("        {}\n", sentence(unmet))));
            for failure in &result.failures {
                text += &format!("        {}: {}\n", failure.instance, failure.message);
            }
            for id in &result.left_out {
                text += &format!("        {id}: left out, because it cannot write to a file\n");
            }
            text
        }
    }
}

/// What is not as expected, as a sentence. Texts come from reports.
fn sentence(unmet: &Unmet) -> String {
    let Unmet { output, key, expected, found } = unmet;
    let owner = output.as_deref().unwrap_or("the run");
    let expected = shown(expected);
    let sentence = match (*key, found) {
        ("contains", Value::Null) => format!("no `{expected}`; the output is empty"),
        ("contains", found) => format!("no `{expected}`; the most similar line: {}", shown(found)),
        ("lacks", found) => format!("unexpected `{expected}`: {}", shown(found)),
        (key, Value::Null) => format!("`{key}` is expected to be {expected}, but the run was not started"),
        (key, found) => format!("`{key}` is {}, expected {expected}", shown(found)),
    };
    format!("{owner}: {}", without_controls(&sentence))
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
