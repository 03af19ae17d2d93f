//! The example plugins of `plugin-api/README.md`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::{examine, not_passed, repository, scanbridge};

/// Builds a shared library with Cargo. Returns its path.
fn built(what: &[&str], name: &str) -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--message-format", "json", "--target-dir"])
        .arg(repository_target())
        .args(what)
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let file = format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let found = messages.split('"').map(PathBuf::from).find(|path| path.file_name() == Some(file.as_ref()));
    found.expect("Cargo names the library")
}

/// The directory in which Cargo has built this test.
fn repository_target() -> PathBuf {
    let host = Path::new(env!("CARGO_BIN_EXE_scanbridge-for-exams"));
    host.ancestors().nth(2).unwrap().to_owned()
}

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

/// Kills of the crash test.
const KILLS: u32 = 100;

#[test]
fn examples_survive_100_kills_in_one_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("plugins")).unwrap();
    for example in &EXAMPLES {
        let library = example.library();
        fs::copy(&library, at("plugins").join(library.file_name().unwrap())).unwrap();
    }
    let (text, expected) = report();
    let (mut kills, mut seed, mut rounds) = (0, 20_260_131_u64, 0);
    while kills < KILLS {
        rounds += 1;
        let source = at(&format!("source{rounds}"));
        fs::create_dir(&source).unwrap();
        fs::write(source.join("report.ndjson"), &text).unwrap();
        let pipeline = at(&format!("round{rounds}.yaml"));
        let outputs = ["Lines", "DurableLines"].map(|plugin| (plugin, at(&format!("{plugin}{rounds}"))));
        let outputs_yaml = outputs.each_ref().map(|(plugin, path)| {
            format!("  - {{ id: {plugin}, plugin: {plugin}, with: {{ path: '{}' }} }}\n", path.display())
        });
        let yaml = format!(
            "version: 1\ncheckpoint: {{ bytes: 64 KiB }}\ninputs:\n  - {{ id: rows, plugin: Rows, with: {{ folder: \
             '{}' }} }}\noutputs:\n{}",
            source.display(),
            outputs_yaml.concat()
        );
        fs::write(&pipeline, yaml).unwrap();
        loop {
            let mut run = Command::new(env!("CARGO_BIN_EXE_scanbridge-for-exams"))
                .arg("run")
                .arg(&pipeline)
                .arg("--state-dir")
                .arg(at("state"))
                .arg("--plugin-dir")
                .arg(at("plugins"))
                .arg("-q")
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let wait =
                if kills < KILLS { Duration::from_millis(10 + (seed >> 33) % 400) } else { Duration::MAX };
            let status = wait_for(&mut run, wait);
            match status {
                Some(status) => {
                    assert!(status.success(), "round {rounds}: {status}");
                    break;
                }
                None => {
                    run.kill().unwrap();
                    run.wait().unwrap();
                    kills += 1;
                }
            }
        }
        for (plugin, output) in &outputs {
            let found = fs::read_to_string(output).unwrap();
            let differs = expected.lines().zip(found.lines()).position(|(expected, found)| expected != found);
            assert_eq!(differs, None, "first differing line, {plugin}, round {rounds}, after {kills} kills");
            assert_eq!(found.len(), expected.len(), "{plugin}, round {rounds}, after {kills} kills");
        }
        assert!(!source.join("report.ndjson").exists(), "the delivered file was removed, round {rounds}");
        let parts = fs::read_dir(folder.path()).unwrap().flatten();
        let parts = parts.filter(|entry| entry.file_name().to_string_lossy().ends_with(".part"));
        assert_eq!(parts.count(), 0, "no part is left, round {rounds}");
    }
}

/// Waits for the end of a process, at most for this time.
fn wait_for(process: &mut Child, time: Duration) -> Option<ExitStatus> {
    let since = Instant::now();
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return Some(status);
        }
        if since.elapsed() >= time {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A report of 20,000 findings for `Rows`, and the lines that `Lines` makes of it.
fn report() -> (String, String) {
    let (mut source, mut lines) = (String::new(), String::new());
    for asset in 0..5000 {
        let address = format!("10.0.{}.{}", asset / 250, asset % 250 + 1);
        for finding in 0..4 {
            let (id, title) = (format!("EX-{}", asset * 4 + finding), format!("Finding {finding}"));
            source += &format!(r#"{{"asset":"{address}","id":"{id}","title":"{title}","score":5.0}}"#);
            source.push('\n');
            lines += &format!("{address} {id} {title}\n");
        }
    }
    (source + "{\"end\": true}\n", lines)
}
