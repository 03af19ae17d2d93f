//! A pipeline of rogue plugins, its state, and the logs of its outputs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine_tests::{Driver, ManualClock};
use scanbridge::config::{self, Pipeline};
use scanbridge::pipeline::{Failure, Stop, Summary, Watchers, log_only};
use scanbridge::plugins::{FilePermissionCheck, Folder, Registry};
use scanbridge::replay::replay;
use scanbridge::session::{self, RunOptions};
use scanbridge::state::{DeadLetter, DeadLetterReader, Ledger, LetterFilter, StateFolder};
use tempfile::TempDir;

/// A pipeline of rogue plugins with a directory for its state and logs.
pub(crate) struct Case {
    pub(crate) folder: TempDir,
    pub(crate) text: String,
    /// Whether calls that hang reach their time limit. Otherwise no call does, however slow the machine is.
    pub(crate) hangs: bool,
}

pub(crate) const FAST: &str = "retry: { initial_secs: 1, max_secs: 1, max_elapsed_secs: 20 }";

impl Case {
    pub(crate) fn new(input: &str, outputs: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = |number: usize| folder.path().join(format!("log{number}"));
        let outputs: String = outputs
            .iter()
            .enumerate()
            .map(|(number, output)| {
                format!("  - {{ {} }}\n", output.replace("LOG", &log(number).display().to_string()))
            })
            .collect();
        let text = format!(
            "version: 1\nname: rogue\ncheckpoint: {{ bytes: 1 KiB }}\n\
             inputs:\n  - {{ id: in, plugin: Rogue, {FAST}, with: {{ act: {input} }} }}\noutputs:\n{outputs}"
        );
        Self { folder, text, hangs: false }
    }

    /// The same case, with calls that reach their time limit.
    pub(crate) fn with_hangs(self) -> Self {
        Self { hangs: true, ..self }
    }

    /// Runs with a driven clock: pauses take no time.
    pub(crate) fn run(&self) -> Summary {
        self.try_run().unwrap_or_else(|failures| panic!("{failures:?}"))
    }

    /// A stop request whose clock is driven: pauses take no time.
    pub(crate) fn driven(&self) -> (Arc<Stop>, Driver) {
        let clock = Arc::new(ManualClock::default());
        let driver = Driver::start(Arc::clone(&clock), self.hangs);
        (Arc::new(Stop::with_clock(clock)), driver)
    }

    /// Runs. The failures if an instance could not be opened.
    pub(crate) fn try_run(&self) -> Result<Summary, Vec<Failure>> {
        let (stop, _driver) = self.driven();
        self.try_until(&stop, |_| {})
    }

    /// Runs with the clock of `stop`, until a stop is requested. `change` can set values that a pipeline file cannot set.
    pub(crate) fn run_until(&self, stop: &Arc<Stop>, change: impl FnOnce(&mut Pipeline)) -> Summary {
        self.try_until(stop, change).unwrap_or_else(|failures| panic!("{failures:?}"))
    }

    /// Runs with the state in this directory.
    pub(crate) fn try_run_in(&self, state: &Path) -> Result<Summary, Vec<Failure>> {
        let (stop, _driver) = self.driven();
        self.try_in(state, &stop, |_| {})
    }

    /// Like [`Case::run_until`]. The failures if an instance could not be opened.
    pub(crate) fn try_until(
        &self,
        stop: &Arc<Stop>,
        change: impl FnOnce(&mut Pipeline),
    ) -> Result<Summary, Vec<Failure>> {
        self.try_in(self.folder.path(), stop, change)
    }

    fn try_in(
        &self,
        state: &Path,
        stop: &Arc<Stop>,
        change: impl FnOnce(&mut Pipeline),
    ) -> Result<Summary, Vec<Failure>> {
        let registry = Registry::discover(&[plugins()], FilePermissionCheck::OwnerOnly);
        let document = config::read_text(&PathBuf::from("rogue.yaml"), &self.text).expect("it is YAML");
        let mut pipeline =
            config::check(&document, &registry).unwrap_or_else(|problems| panic!("{problems}"));
        change(&mut pipeline);
        let options = RunOptions::default();
        session::run(&pipeline, &registry, state, options, stop, &Watchers::default())
    }

    /// The state directory of an instance.
    pub(crate) fn instance(&self, id: &str) -> PathBuf {
        StateFolder::of(self.folder.path(), "rogue").instance(id)
    }

    /// The ledger after a run.
    pub(crate) fn ledger(&self) -> Arc<Ledger> {
        let path = StateFolder::of(self.folder.path(), "rogue").ledger();
        Arc::new(Ledger::open(&path, Path::new("rogue.yaml")).unwrap())
    }

    /// The dead letters of this output.
    pub(crate) fn dead_letters_of(&self, id: &str) -> Vec<DeadLetter> {
        let letters = DeadLetterReader::new(&self.ledger(), id).unwrap();
        letters.map(|letter| letter.unwrap().1).collect()
    }

    /// Adds dead letters, as an earlier run could have written them.
    pub(crate) fn add_dead_letters(&self, id: &str, letters: &[DeadLetter]) {
        let ledger = self.ledger();
        let last = ledger.dead_letter_end(id).unwrap().number;
        let letters: Vec<_> = letters.iter().map(|letter| serde_json::to_vec(letter).unwrap()).collect();
        ledger.write_dead_letters(id, last + 1, &letters).unwrap();
        ledger.remove_dead_letters(id, 0, last + letters.len() as u64, &LetterFilter::default()).unwrap();
    }

    /// Replays the dead letters to the outputs of the current pipeline text.
    pub(crate) fn replay(&self) -> Option<Summary> {
        let registry = Registry::discover(&[plugins()], FilePermissionCheck::OwnerOnly);
        let document = config::read_text(&PathBuf::from("rogue.yaml"), &self.text).expect("it is YAML");
        let pipeline = config::check(&document, &registry).unwrap_or_else(|problems| panic!("{problems}"));
        let folder = StateFolder::of(self.folder.path(), "rogue");
        let (stop, _driver) = self.driven();
        let state = ("rogue", folder);
        replay(pipeline, &registry, state, None, &LetterFilter::default(), &stop, &log_only())
            .unwrap_or_else(|failures| panic!("{failures:?}"))
    }

    pub(crate) fn dead_letters(&self) -> usize {
        self.dead_letters_of("strict").len()
    }

    /// The lines that this output has committed, in order.
    pub(crate) fn log(&self, output: usize) -> Vec<String> {
        let text =
            std::fs::read_to_string(self.folder.path().join(format!("log{output}"))).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn plugins() -> Folder {
    let name =
        format!("{}scanbridge_rogue_plugins{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let test = std::env::current_exe().expect("the test has a path");
    let found = test.ancestors().skip(1).find(|folder| folder.join(&name).is_file());
    Folder { path: found.map(Path::to_owned).expect("the library was built"), named: false }
}

/// The nine findings of the rogue input and the end of its report.
pub(crate) fn everything(complete: bool) -> Vec<String> {
    let mut lines: Vec<String> = (2..=10).map(|asset| format!("192.0.2.{asset}")).collect();
    lines.push(format!("end rogue.xml complete={complete}"));
    lines
}
