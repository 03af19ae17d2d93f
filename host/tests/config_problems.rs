//! Messages for every invalid pipeline file in `bad-configs/`.

mod config_catalogue;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use config_catalogue::FakeCatalogue;
use scanbridge::config::{self, Environment, Problems, RenderStyle};

fn variable(name: &str) -> Option<OsString> {
    match name {
        "QUALYS_PASSWORD" => Some("hunter-env".into()),
        "PAGE_SIZE" => Some("zero".into()),
        "NOTHING" => Some("".into()),
        "CREDENTIALS_DIRECTORY" => Some("tests/bad-configs/credentials".into()),
        _ => None,
    }
}

fn check(path: &Path) -> Result<config::Pipeline, Problems> {
    let environment = Environment { variable: &variable };
    config::check_in(&config::read(path)?, &FakeCatalogue::new(), environment)
}

#[test]
fn every_bad_config_is_explained() {
    let mut files: Vec<PathBuf> = fs::read_dir("tests/bad-configs")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() >= 25, "only {} bad configs", files.len());
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let problems = check(&file).expect_err(name);
        // Every secret in these files begins with `hunter`.
        let json: String =
            problems.list.iter().map(|problem| config::problem_to_json(problem).to_string()).collect();
        for shown in [problems.to_string(), json, format!("{problems:?}")] {
            assert!(!shown.contains("hunter"), "{name} shows a secret:\n{shown}");
        }
        for problem in &problems.list {
            let is_listed = config::CODES.iter().any(|(code, _)| *code == problem.code);
            assert!(is_listed, "{name}: the code `{}` is not listed", problem.code);
        }
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("bad-{name}"), problems.to_string());
        });
    }
}

#[test]
fn missing_pipeline_file_is_reported() {
    let problems = check(Path::new("tests/bad-configs/absent.yml")).unwrap_err();
    insta::assert_snapshot!("absent-file", problems.to_string());
}

#[test]
fn problems_as_json() {
    let problems = check(Path::new("tests/bad-configs/unknown-option.yaml")).unwrap_err();
    let first = config::problem_to_json(&problems.list[0]);
    let keys: Vec<&String> = first.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["code", "column", "file", "hint", "instance", "line", "message", "severity", "step"]);
    assert_eq!((first["severity"].as_str(), first["code"].as_str()), (Some("error"), Some("unknown-option")));
    assert_eq!(first["file"], "tests/bad-configs/unknown-option.yaml");
    assert_eq!((first["line"].as_u64(), first["column"].as_u64()), (Some(7), Some(7)));
    let hint = "did you mean `username`?; `scanbridge plugin describe QualysGuard` lists its options";
    assert_eq!(first["hint"], hint);
    assert!(first["instance"].is_string() && first["step"].is_null(), "{first}");
}

#[test]
fn colors_only_on_terminals() {
    let problems = check(Path::new("tests/bad-configs/secrets-in-the-way.yaml")).unwrap_err();
    let colored = problems.render(RenderStyle { color: true, width: 80 });
    assert!(colored.contains("\u{1b}[") && !colored.contains("hunter"));
    assert!(!problems.to_string().contains('\u{1b}'));
    // The column is that in the file, although a password before it is redacted.
    let column = problems.list.iter().find(|problem| problem.message.contains("page_size")).unwrap();
    let location = format!("secrets-in-the-way.yaml:3:{}", column.location.excerpt.as_ref().unwrap().column);
    assert!(colored.contains(&location) && problems.to_string().contains(&location), "{colored}");
}

#[test]
fn only_the_first_hundred_problems_are_shown() {
    let keys: String = (0..150).map(|number| format!("unknown_{number}: x\n")).collect();
    let document = config::read_text(Path::new("many.yaml"), &keys).unwrap();
    let problems = config::check(&document, &FakeCatalogue::new()).unwrap_err();
    // 150 unknown keys; version, inputs and outputs are missing.
    assert_eq!((problems.list.len(), problems.errors()), (100, 153));
    assert!(problems.to_string().ends_with("153 errors (53 not shown)\n"));
}
