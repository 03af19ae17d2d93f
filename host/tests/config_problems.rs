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
    config::check_in(&config::read_for(path, &FakeCatalogue::new())?, &FakeCatalogue::new(), environment)
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
        let mut problems = check(&file).expect_err(name);
        // These files are readable by all, as a checkout is.
        problems.list.retain(|problem| problem.code != "open-permissions");
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

/// A syntax error shows its line, except what may be secret: the table of the plugin names the secret options.
#[test]
fn line_of_a_syntax_error_is_shown() {
    let read = |text: &str| {
        config::read_text_for(Path::new("p.yaml"), text, &FakeCatalogue::new()).unwrap_err().to_string()
    };
    let head = "version: 1\ninputs:\n";
    let mut shown = String::new();
    for text in [
        // Tab, no-break space, typographic quote: on the line on which they are.
        "  - id: a\n\tplugin: QualysGuardFile\n",
        "  - id: a\n    plugin: QualysGuardFile\n    with:\n\t  path: a.xml\n",
        "  - id: a\n\u{a0}\u{a0}\u{a0}\u{a0}plugin: QualysGuardFile\n    with: { path: x }\n",
        "  - id: a\n    with: { path: \u{201c}a, b}\u{201d}: c }\n",
        // A brace in an unquoted value.
        "  - { id: a, with: { path: out/{report}.csv } }\n",
        "  - { id: a, with: { path: ${env:X} } }\n",
        "  - id: a\n    plugin: b: c\n",
        // Secrets.
        "  - id: a\n    with: { pin: hunter2: }, path: x }\n",
        "  - id: a\n    with:\n      password: hunter2: b\n",
        "  - id: a\n    with:\n      path: 'hunter's report'\n      x: y\n",
    ] {
        shown.push_str(&read(&format!("{head}{text}")));
        shown.push('\n');
    }
    assert!(!shown.contains("hunter2"), "{shown}");
    insta::assert_snapshot!("syntax-errors", shown);
    // Without the tables, nothing of the line is shown.
    let text = format!("{head}  - id: a\n    plugin: b: c\n");
    let problems = config::read_text(Path::new("p.yaml"), &text).unwrap_err().to_string();
    assert!(problems.contains("4 |     [redacted]\n"), "{problems}");
}

#[test]
fn utf16_is_named_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    let units = || "version: 1\n".encode_utf16();
    for bytes in [
        [0xFEFF].into_iter().chain(units()).flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
        units().flat_map(u16::to_be_bytes).collect(),
    ] {
        fs::write(&path, bytes).unwrap();
        let problems = config::read(&path).unwrap_err();
        assert_eq!(problems.list[0].message, "the pipeline file is encoded in UTF-16");
        assert!(problems.list[0].help.starts_with("save the file as UTF-8"), "{problems}");
    }
}

/// One rule for all secrets.
#[test]
fn open_permissions_are_warnings() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let check = |modes: [u32; 3], password: &str| {
        let text = "version: 1\ninputs:\n- id: a\n  plugin: QualysGuard\n  config: settings.yaml\n  with: { username: u }\n\
                    outputs: [ { id: b, plugin: CSV, with: { path: b.csv } } ]\n";
        fs::write(path("p.yaml"), text).unwrap();
        fs::write(path("settings.yaml"), format!("password: {password}\n")).unwrap();
        fs::write(path("password"), "hunter2\n").unwrap();
        for (name, mode) in ["p.yaml", "settings.yaml", "password"].into_iter().zip(modes) {
            fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let document = config::read(&path("p.yaml")).unwrap();
        let pipeline = config::check(&document, &FakeCatalogue::new()).unwrap();
        let message = |problem: &config::Problem| {
            assert_eq!(problem.code, "open-permissions");
            problem.message.replace(&format!("{}/", folder.path().display()), "")
        };
        pipeline.warnings.iter().map(message).collect::<Vec<_>>()
    };
    let literal = "hunter2";
    let file = "${file:password}";
    assert_eq!(check([0o644, 0o640, 0o600], literal), [""; 0]);
    assert_eq!(
        check([0o644, 0o644, 0o600], literal),
        ["settings.yaml contains a secret and can be read by other users (mode 0644)"]
    );
    assert_eq!(
        check([0o666, 0o644, 0o664], file),
        [
            "every user can change p.yaml (mode 0666)",
            "password contains a secret and can be changed by other users (mode 0664)",
        ]
    );
    assert_eq!(check([0o644, 0o644, 0o440], file), [""; 0]);
}
