//! A working directory in which the host runs, and the result of a run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::installation;

/// An empty working directory.
pub(crate) struct Sandbox {
    folder: TempDir,
}

/// The result of a run.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The sorted names of the files and directories in the sandbox, without the state directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|n| n != "state")
            .collect();
        names.sort();
        names
    }

    /// The host with these arguments, in this directory.
    pub(crate) fn host(&self, arguments: &[&str]) -> Command {
        self.program(installation::host(), arguments)
    }

    /// The host with these arguments, the plugin `Rogue` and the state directory `state`.
    pub(crate) fn host_with_rogue(&self, arguments: &[&str]) -> Command {
        let mut command = self.host(arguments);
        command.args(["--state-dir", "state"]).arg("--plugin-dir").arg(installation::rogue_plugins());
        command
    }

    /// Writes `pipeline.yaml`: an input `source` and an output `bad` of the plugin `Rogue`, and a CSV output.
    pub(crate) fn write_rogue_pipeline(&self, input_act: &str, output_act: &str) {
        let text = format!(
            "version: 1
inputs:
  - {{ id: source, plugin: Rogue, with: {{ act: {input_act} }} }}
outputs:
  - {{ id: bad, plugin: Rogue, with: {{ act: {output_act} }} }}
  - {{ id: sheet, plugin: CSV, with: {{ path: out.csv }} }}
"
        );
        self.write("pipeline.yaml", text);
    }

    /// An installed program with these arguments, in this directory. Its default state directory is here too.
    pub(crate) fn program(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .env_remove("STATE_DIRECTORY")
            .env_remove("SCANBRIDGE_PLUGIN_DIR")
            .env_remove("RUST_LOG");
        command
    }

    /// The host with the arguments to run this pipeline and print a JSON summary.
    pub(crate) fn host_running(&self, pipeline: &str) -> Command {
        self.write("pipeline.yaml", pipeline);
        self.host(&["run", "pipeline.yaml", "--summary", "json", "--no-progress", "--state-dir", "state"])
    }

    pub(crate) fn run(&self, pipeline: &str) -> Outcome {
        Outcome::of(self.host_running(pipeline).output().unwrap())
    }

    /// Runs a report; the outputs write `findings.csv` and `findings.cef`.
    pub(crate) fn run_report(&self, report: &Path) -> Outcome {
        self.run(&pipeline(&format!("path: {report:?}, settle_secs: 0"), &[CSV, CEF]))
    }
}

impl Outcome {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Fails the test if the exit code is another one.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "standard output:\n{}\nstandard error:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// The summary: the last line on standard output.
    #[track_caller]
    pub(crate) fn summary(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| {
            panic!("{error} in {last:?}\nstandard error:\n{}", self.stderr);
        })
    }
}

/// An output that writes a table to `findings.csv`.
pub(crate) const CSV: &str = "{ id: sheet, plugin: CSV, with: { path: findings.csv } }";
/// An output that writes events to `findings.cef`.
pub(crate) const CEF: &str = "{ id: siem, plugin: ArcSightCEF, with: { path: findings.cef } }";

/// A pipeline from a file input with these settings to these outputs.
pub(crate) fn pipeline(settings: &str, outputs: &[&str]) -> String {
    let outputs: String = outputs.iter().map(|output| format!("  - {output}\n")).collect();
    format!(
        "version: 1\n\
         inputs:\n  - {{ id: reports, plugin: QualysGuardFile, with: {{ {settings} }} }}\n\
         outputs:\n{outputs}"
    )
}
