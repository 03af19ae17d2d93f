//! The contract tests detect whether an output rolls back to its receipt.

#![expect(clippy::unwrap_used, reason = "a panic fails the test, also in helpers")]

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::panic::catch_unwind;
use std::path::Path;

use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, ErrorKind, Open, OpenedOutput, OptionSpec, Output,
    OutputCapabilities, PluginError, Receipt, Result, Resume, Written,
};
use serde_json::{Value, json};

const OPTIONS: &[OptionSpec] = &[OptionSpec::path("path").required().help("the output file")];

/// Writes the number of findings of each batch to a file immediately. Its receipt contains the length of the file. It
/// truncates the file to that length when it resumes, but only if `CAREFUL`.
struct Counting<const CAREFUL: bool> {
    file: File,
    /// The length of the file at the beginning of the report, plus 1; 0 outside a report.
    begun: u64,
}

impl<const CAREFUL: bool> Counting<CAREFUL> {
    fn length(&self) -> u64 {
        self.file.metadata().unwrap().len()
    }
}

impl<const CAREFUL: bool> Output for Counting<CAREFUL> {
    const NAME: &'static str = "Counting";
    const SUMMARY: &'static str = "counts findings";
    const OPTIONS: &'static [OptionSpec] = OPTIONS;

    const CAPABILITIES: OutputCapabilities = OutputCapabilities::NONE.resume(Resume::Exact);

    fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        let path = open.options.path("path")?.unwrap();
        let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        let numbers = receipt.map(|receipt| String::from_utf8(receipt.0.clone()).unwrap_or_default());
        let Some(numbers) = numbers else { return Ok(Self { file, begun: 0 }.into()) };
        let corrupt =
            || PluginError::new(ErrorKind::Config, "corrupt receipt").with_hint("run with --restart");
        let (length, begun) = numbers.split_once(' ').ok_or_else(corrupt)?;
        if CAREFUL {
            file.set_len(length.parse().unwrap()).unwrap();
        }
        Ok(Self { file, begun: begun.parse().unwrap() }.into())
    }

    fn check(&mut self) -> Result<CheckReport> {
        Ok(CheckReport::default())
    }

    fn begin(&mut self, _: &ReportStart, how: Begin) -> Result<()> {
        if !how.continued && self.begun > 0 {
            self.file.set_len(self.begun - 1).unwrap();
        }
        if !how.continued {
            self.begun = self.length() + 1;
        }
        Ok(())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        writeln!(self.file, "{}", batch.findings().count()).unwrap();
        Ok(Written::default())
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        if !end.deliver {
            self.file.set_len(self.begun - 1).unwrap();
        }
        self.begun = 0;
        Ok(Written::default())
    }

    fn commit(&mut self, _: CommitPoint) -> Result<Committed> {
        Ok(Receipt(format!("{} {}", self.length(), self.begun).into_bytes()).into())
    }
}

/// Options with another file on each call.
fn fresh(folder: &Path) -> impl FnMut() -> Value {
    let mut number = 0;
    move || {
        number += 1;
        json!({ "path": folder.join(number.to_string()) })
    }
}

fn result(options: &Value) -> Vec<u8> {
    fs::read(options["path"].as_str().unwrap()).unwrap()
}

#[test]
fn output_that_rolls_back_passes() {
    let folder = tempfile::tempdir().unwrap();
    scanbridge_plugin_contract::output::<Counting<true>>(fresh(folder.path()), result);
}

#[test]
fn output_that_does_not_roll_back_fails() {
    let outcome = catch_unwind(|| {
        let folder = tempfile::tempdir().unwrap();
        scanbridge_plugin_contract::output::<Counting<false>>(fresh(folder.path()), result);
    });
    let sentence = "`Counting` delivers different data if it is interrupted within a report";
    assert_eq!(outcome.unwrap_err().downcast_ref::<String>().map(String::as_str), Some(sentence));
}
