//! A folder in which the host runs, and what it left there.

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

/// How a run ended.
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

    /// The names of the files and folders in the sandbox, sorted; the host's state left out.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|n| n != "state")
            .collect();
        names.sort();
        names
    }

    /// The host with these arguments, in this folder.
    pub(crate) fn host(&self, arguments: &[&str]) -> Command {
        self.program(installation::host(), arguments)
    }

    /// An installed program with these arguments, in this folder. It keeps its state here too, unless told otherwise.
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

    /// The host running this pipeline with a summary as JSON.
    pub(crate) fn host_running(&self, pipeline: &str) -> Command {
        self.write("pipeline.yaml", pipeline);
        self.host(&["run", "pipeline.yaml", "--summary", "json", "--no-progress", "--state-dir", "state"])
    }

    pub(crate) fn run(&self, pipeline: &str) -> Outcome {
        Outcome::of(self.host_running(pipeline).output().unwrap())
    }

    /// Runs a report into `findings.csv` and `findings.cef`.
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

    /// Ends the test unless the host ended with this code.
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

    /// The summary: the last thing on standard output.
    #[track_caller]
    pub(crate) fn summary(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| {
            panic!("{error} in {last:?}\nstandard error:\n{}", self.stderr);
        })
    }
}

/// A table in `findings.csv`.
pub(crate) const CSV: &str = "{ id: sheet, plugin: CSV, with: { path: findings.csv } }";
/// Events in `findings.cef`.
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
