//! The built host with this plugin: from a report to a topic, and from the topic to a file.
//!
//! The programs are those of the main workspace (`cargo build --workspace`): in `target/debug`, or in the directory that
//! `SCANBRIDGE_PROGRAMS` names.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::topic;

/// A directory with the host, its plugins and pipelines.
pub(crate) struct Installation {
    folder: TempDir,
}

impl Installation {
    pub(crate) fn new() -> Self {
        Self::with_host(&programs().join("scanbridge"))
    }

    /// With another host.
    pub(crate) fn with_host(host: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::DirBuilder::new().mode(0o700).create(folder.path().join("plugins")).unwrap();
        let programs = programs();
        let link = |from: &Path, to: &str| {
            let to = folder.path().join(to);
            fs::hard_link(from, &to).or_else(|_| fs::copy(from, &to).map(drop)).unwrap_or_else(|error| {
                panic!("{}: {error}; run `cargo build --workspace` first", from.display())
            });
        };
        link(host, "scanbridge");
        for plugin in ["qualysguard", "qualysguard_file", "csv"] {
            let file = format!("libscanbridge_{plugin}.so");
            link(&programs.join(&file), &format!("plugins/{file}"));
        }
        // The library of these tests is next to their program.
        let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        link(&deps.join("libscanbridge_kafka.so"), "plugins/libscanbridge_kafka.so");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, pipeline: &str, state: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path("scanbridge"));
        command
            .args(["run", pipeline, "--no-progress", "--state-dir", state])
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("RUST_LOG");
        command
    }

    /// The option tables of the plugin.
    pub(crate) fn describe(&self) -> String {
        let output = self.host(&["plugin", "describe", "Kafka", "--format", "markdown"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the host with these arguments to its end.
    pub(crate) fn host(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.path("scanbridge"));
        command.args(arguments).current_dir(self.folder.path()).env_remove("RUST_LOG").output().unwrap()
    }

    /// Runs a pipeline to its end.
    pub(crate) fn run(&self, pipeline: &str, arguments: &[&str]) -> Output {
        self.command(pipeline, "state", arguments).output().unwrap()
    }

    /// Starts a run in the background. Its log is in the file `STATE.log`.
    pub(crate) fn start(&self, pipeline: &str, state: &str) -> Child {
        self.start_with(pipeline, state, &[], &format!("{state}.log"))
    }

    /// As [`Self::start`], with more arguments and this file for the log.
    pub(crate) fn start_with(&self, pipeline: &str, state: &str, arguments: &[&str], log: &str) -> Child {
        let log = fs::File::options().create(true).append(true).open(self.path(log)).unwrap();
        self.command(pipeline, state, arguments).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }
}

/// The directory of the built programs.
pub(crate) fn programs() -> PathBuf {
    std::env::var_os("SCANBRIDGE_PROGRAMS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/debug"), PathBuf::from)
}

pub(crate) fn example(name: &str) -> String {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/reports").join(name))
        .unwrap()
        .display()
        .to_string()
}

/// The rows of a CSV file without its header, sorted.
fn rows(path: &Path) -> Vec<String> {
    let mut rows: Vec<String> =
        fs::read_to_string(path).unwrap().lines().skip(1).map(str::to_owned).collect();
    rows.sort();
    rows
}

#[test]
fn report_through_a_topic_is_the_report() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "h-findings", 3, &[]);
    let installation = Installation::new();
    let brokers = &cluster.brokers;
    let source = format!(
        "{{ id: scans, plugin: QualysGuardFile, with: {{ path: {:?}, settle_secs: 0 }} }}",
        example("scan.xml")
    );
    let columns = "columns: [asset.address, definition.id, definition.title, finding.kind, finding.severity, finding.port, \
                   finding.protocol, finding.result, report.id]";
    let write = |name: &str, text: String| fs::write(installation.path(name), text).unwrap();
    write(
        "fetch.yaml",
        format!(
            "version: 1\ninputs:\n  - {source}\noutputs:\n  - {{ id: bus, plugin: Kafka, with: {{ brokers: [\"{brokers}\"], \
             security: plaintext, topic: h-findings }} }}\n  - {{ id: direct, plugin: CSV, with: {{ path: direct.csv, {columns} }} }}\n"
        ),
    );
    write(
        "deliver.yaml",
        format!(
            "version: 1\ninputs:\n  - {{ id: bus, plugin: Kafka, with: {{ brokers: [\"{brokers}\"], security: plaintext, topics: \
             [h-findings], session_timeout: 6 s }} }}\noutputs:\n  - {{ id: sheet, plugin: CSV, with: {{ path: through.csv, {columns} }} }}\n"
        ),
    );
    let done = |output: Output| {
        let text =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{text}");
    };
    done(installation.run("fetch.yaml", &[]));
    done(installation.run("deliver.yaml", &["--once"]));
    let direct = rows(&installation.path("direct.csv"));
    assert!(direct.len() > 10);
    assert_eq!(rows(&installation.path("through.csv")), direct);
    // Nothing is delivered again.
    fs::remove_file(installation.path("through.csv")).unwrap();
    done(installation.run("deliver.yaml", &["--once"]));
    assert!(!installation.path("through.csv").exists());
}

#[test]
fn missing_topic_is_exit_code_78() {
    let Some(cluster) = Cluster::shared() else { return };
    let installation = Installation::new();
    let text = format!(
        "version: 1\ninputs:\n  - {{ id: scans, plugin: QualysGuardFile, with: {{ path: {:?} }} }}\noutputs:\n  - {{ id: bus, \
         plugin: Kafka, with: {{ brokers: [\"{}\"], security: plaintext, topic: h-none }} }}\n",
        example("scan.xml"),
        cluster.brokers
    );
    fs::write(installation.path("fetch.yaml"), text).unwrap();
    let output = installation.run("fetch.yaml", &[]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("h-none") && text.contains("kafka-topics"), "{text}");
}

#[test]
fn example_pipelines_pass_the_check() {
    let installation = Installation::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(root.join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let check = Command::new(installation.path("scanbridge"))
            .args(["check", path.to_str().unwrap(), "--offline"])
            .current_dir(root.join("../.."))
            .env("KAFKA_PASSWORD", "secret")
            .output()
            .unwrap();
        assert_eq!(check.status.code(), Some(0), "{}", String::from_utf8_lossy(&check.stderr));
    }
}
