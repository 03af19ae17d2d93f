//! The example plugins of `plugin-api/README.md`.

use std::fs;
use std::path::PathBuf;

use crate::kills::{report, survive_kills};
use crate::{built, examine, not_passed, repository, scanbridge};

/// An example of the first page.
struct Example {
    crate_name: &'static str,
    /// The directory of its crate.
    folder: &'static str,
    name: &'static str,
    kind: &'static str,
    plugin: &'static str,
}

const EXAMPLES: [Example; 3] = [
    Example {
        crate_name: "scanbridge-plugin-api",
        folder: "plugin-api",
        name: "lines_output",
        kind: "output",
        plugin: "Lines",
    },
    Example {
        crate_name: "scanbridge-durable-file",
        folder: "plugins/shared/durable-file",
        name: "durable_lines",
        kind: "output",
        plugin: "DurableLines",
    },
    Example {
        crate_name: "scanbridge-plugin-api",
        folder: "plugin-api",
        name: "rows_input",
        kind: "input",
        plugin: "Rows",
    },
];

impl Example {
    /// Builds it as a shared library.
    fn library(&self) -> PathBuf {
        built(&["--package", self.crate_name, "--example", self.name], self.name)
    }

    /// One of its files.
    fn file(&self, name: &str) -> PathBuf {
        repository().join(self.folder).join("examples").join(self.name).join(name)
    }
}

#[test]
fn examples_pass_the_exam() {
    for example in &EXAMPLES {
        let (code, result) = examine(&example.library(), &example.file("exam.yaml"), None);
        assert_eq!(not_passed(&result, example.kind, example.plugin), Vec::<String>::new());
        assert_eq!(code, 0);
    }
}

#[test]
fn readme_shows_the_examples() {
    let readme = fs::read_to_string(repository().join("plugin-api/README.md")).unwrap();
    for example in &EXAMPLES {
        for file in [format!("{}.rs", example.name), "exam.yaml".to_owned()] {
            let path = example.file(&file);
            let text = fs::read_to_string(&path).unwrap();
            assert!(
                readme.contains(&text),
                "plugin-api/README.md does not contain {} as it is",
                path.display()
            );
        }
    }
}

#[test]
fn new_plugins_compile_and_pass_the_exam() {
    let folder = tempfile::tempdir().unwrap();
    let plugin_api = repository().join("plugin-api").display().to_string();
    for (kind, name, plugin) in [("output", "acme-lines", "AcmeLines"), ("input", "acme-rows", "AcmeRows")] {
        let path = folder.path().join(name);
        let (shown, option) = (path.display().to_string(), format!("--{kind}"));
        let arguments = ["plugin", "new", &shown, &option, "--api", &plugin_api];
        let (code, output, errors) = scanbridge(&arguments);
        assert_eq!(code, 0, "{output}{errors}");
        assert_eq!(scanbridge(&arguments).0, 73, "an existing directory is not changed");
        // The versions of this workspace: the registry is not asked.
        fs::copy(repository().join("Cargo.lock"), path.join("Cargo.lock")).unwrap();
        let library = built(&["--manifest-path", &format!("{shown}/Cargo.toml")], &name.replace('-', "_"));
        let (code, result) = examine(&library, &path.join("exam.yaml"), None);
        assert_eq!(not_passed(&result, kind, plugin), Vec::<String>::new());
        assert_eq!(code, 0);
    }
}

/// An optional output was down: the input keeps the file, does not read it in the next run, reads it again for the replay,
/// and then removes it.
#[test]
fn example_input_reads_a_missed_report_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["plugins", "source", "lines"] {
        fs::create_dir(at(name)).unwrap();
    }
    for example in &EXAMPLES {
        let library = example.library();
        fs::copy(&library, at("plugins").join(library.file_name().unwrap())).unwrap();
    }
    let (text, expected) = report();
    fs::write(at("source/report.ndjson"), text).unwrap();
    let yaml = format!(
        "version: 1\ninputs:\n  - {{ id: rows, plugin: Rows, with: {{ folder: '{}' }} }}\noutputs:\n  - {{ id: lines, plugin: \
         Lines, with: {{ path: '{}' }} }}\n  - {{ id: other, plugin: DurableLines, required: no, with: {{ path: '{}' }} }}\n",
        at("source").display(),
        at("lines/a.txt").display(),
        at("other/a.txt").display()
    );
    fs::write(at("pipeline.yaml"), yaml).unwrap();
    let [pipeline, state, plugins] =
        ["pipeline.yaml", "state", "plugins"].map(|name| at(name).display().to_string());
    let command = |words: &[&str]| {
        let places = [pipeline.as_str(), "--state-dir", &state, "--plugin-dir", &plugins, "-q"];
        scanbridge(&[words, &places].concat()).0
    };
    assert_eq!(command(&["run"]), 73, "the directory of the optional output is missing");
    assert_eq!(fs::read_to_string(at("lines/a.txt")).unwrap(), expected);
    let lines = fs::File::options().append(true).open(at("lines/a.txt")).unwrap();
    lines.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(command(&["run"]), 73);
    assert!(at("source/report.ndjson").exists(), "an output lacks the report");
    fs::create_dir(at("other")).unwrap();
    assert_eq!(command(&["dead-letters", "replay"]), 0);
    assert_eq!(fs::read_to_string(at("other/a.txt")).unwrap(), expected);
    assert_eq!(command(&["run"]), 0);
    assert!(!at("source/report.ndjson").exists(), "no output lacks the report any more");
    let untouched = fs::metadata(at("lines/a.txt")).unwrap().modified().unwrap();
    assert_eq!(untouched, std::time::UNIX_EPOCH, "the other output got the report once");
}

#[test]
fn examples_survive_100_kills_in_one_pipeline() {
    let libraries: Vec<PathBuf> = EXAMPLES.iter().map(Example::library).collect();
    survive_kills(&libraries, &["Lines", "DurableLines"], 100);
}
