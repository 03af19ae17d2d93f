//! The checks of every plugin.

use std::collections::BTreeSet;

use scanbridge_plugin_api::{
    Descriptor, ErrorKind, OptionDescriptor, OptionKind, PluginKind, Purpose, ReadOnly, Replaces,
};
use serde_json::{Value, json};

use super::runs::{self, Random};
use super::tree::tree;
use crate::exam::HANG;
use crate::exam::job::{Call, Resume, Returned, Step};
use crate::exam::process::{Ended, Trace};
use crate::exam::report::{CheckId, Checked, Finding, failed, not_examined};
use crate::exam::subject::{Exam, Setup, Space, Subject, calls};

/// The descriptions that can be used.
pub(in crate::exam) fn descriptors(described: &Trace) -> Vec<Descriptor> {
    let descriptors = described.description().map(|description| description.descriptors.as_slice());
    let read = |json: &Value| serde_json::from_value(json.clone()).ok();
    descriptors.unwrap_or_default().iter().filter_map(read).collect()
}

/// G1: the library can be loaded, and describes this plugin with valid options.
pub(in crate::exam) fn description(described: &Trace, kind: PluginKind, name: &str) -> Checked {
    match &described.ended {
        Ended::Completed => {}
        Ended::Refused(reason) | Ended::Crashed(reason) => return failed(reason.clone()),
        Ended::Hung(call) => return failed(format!("{call} does not return")),
        Ended::Killed => return failed("the process was killed while the library was loaded"),
    }
    let faults = described.description().map(|description| description.faults.as_slice()).unwrap_or_default();
    if let Some((_, fault)) = faults.iter().find(|(plugin, _)| plugin == name) {
        return failed(fault.clone());
    }
    let descriptors = descriptors(described);
    let Some(plugin) = descriptors.iter().find(|one| one.kind == kind && one.name == name) else {
        return failed("the library does not describe it");
    };
    if plugin.summary.trim().is_empty() || plugin.summary.contains('\n') {
        return failed("its summary is not one line");
    }
    let mut names = BTreeSet::new();
    for option in &plugin.options {
        let spellings = option.deprecated_names.iter().chain([&option.name]);
        if let Some(double) = spellings.into_iter().find(|name| !names.insert(name.as_str())) {
            return failed(format!("two options are named `{double}`"));
        }
        if option.help.trim().is_empty() {
            return failed(format!("option `{}` has no help text", option.name));
        }
        if option.required && option.default.is_some() {
            return failed(format!("option `{}` is required and has a default", option.name));
        }
        if let Some(default) = option.default.as_ref().filter(|value| !option.kind.accepts(value)) {
            let expected = option.kind.describe();
            return failed(format!("default {default} of option `{}` is not: {expected}", option.name));
        }
    }
    Ok(())
}

/// One of the checks G2 to G8.
pub(in crate::exam) fn check(exam: &mut Exam<'_>, subject: &mut Subject<'_>, id: CheckId) -> Checked {
    match id {
        "G2" => reads_only(exam, subject),
        "G5" => cancellation(exam, subject),
        "G6" => wrong_options_and_receipts(exam, subject),
        "G7" => two_instances(exam, subject),
        "G8" => no_growth(exam, subject),
        // What these two look for is recorded in every child. Here is one complete run, and errors for G3.
        "G3" => complete_run(exam, subject).and_then(|()| match damaged_receipts(exam, subject) {
            Err(Finding::NotExamined(why)) => not_examined(why),
            _ => Ok(()),
        }),
        "G4" => complete_run(exam, subject),
        _ => not_examined("unknown check"),
    }
}

/// The calls of a complete run of an instance, without `open` and `close`.
fn work(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Result<Vec<Step>, Finding> {
    match subject.kind {
        PluginKind::Output => {
            let resume = runs::capabilities(exam, subject)?.resume;
            Ok(runs::plan(Default::default(), 2, &mut Random(7), resume))
        }
        PluginKind::Input => {
            Ok(vec![Step::Read { positions: None }, Step::Confirm { outcome: "delivered".to_owned() }])
        }
    }
}

fn complete_run(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    let work = work(exam, subject)?;
    let space = exam.fresh(subject)?;
    let steps = [Step::Open(Resume::Fresh), Step::Check].into_iter().chain(work).chain([Step::Close]);
    let trace = exam.run(subject, &space, calls(steps), Setup::default());
    let trace = crashed_is_failed(trace)?;
    match trace.first_error() {
        Some(error) => not_examined(error),
        None => Ok(()),
    }
}

/// A process that ended is recorded for G4; a check that looks for that need not repeat it.
fn crashed_is_failed(trace: Result<Trace, Finding>) -> Result<Trace, Finding> {
    trace.map_err(|finding| match finding {
        Finding::NotExamined(why) if why.ends_with("(G4)") => Finding::Failed(why),
        other => other,
    })
}

fn reads_only(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    for purpose in [Purpose::Check, Purpose::Probe, Purpose::List] {
        let space = exam.fresh(subject)?;
        let before = tree(&space);
        let mut steps = vec![Step::Open(Resume::Fresh)];
        let is_checked = purpose == Purpose::Probe || (purpose == Purpose::Check && subject.checks_locally());
        steps.extend(is_checked.then_some(Step::Check));
        steps.push(Step::Close);
        let trace = exam.run(subject, &space, calls(steps), Setup { purpose, ..Setup::default() })?;
        if let Some(error) = trace.first_error() {
            return not_examined(format!("opened for `{}`: {error}", purpose.word()));
        }
        let after = tree(&space);
        let changed = after.iter().find(|(path, content)| before.get(*path) != Some(content));
        let removed = before.keys().find(|path| !after.contains_key(*path));
        if let Some(path) = changed.map(|(path, _)| path).or(removed) {
            return failed(format!("opened for `{}`, it changes {}", purpose.word(), path.display()));
        }
        if exam.has_sent(subject) {
            return failed(format!("opened for `{}`, it sends data", purpose.word()));
        }
    }
    previewed(exam, subject)
}

/// An input that declares `read_only` is read, and its source does not change. Its state is discarded.
fn previewed(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    if subject.descriptor.input_capabilities().read_only != ReadOnly::Yes || subject.kind != PluginKind::Input
    {
        return Ok(());
    }
    let space = exam.fresh(subject)?;
    let source = |space: &Space| {
        let mut tree = tree(space);
        tree.retain(|path, _| path.starts_with("dir"));
        tree
    };
    let before = source(&space);
    let steps = [Step::Open(Resume::Fresh), Step::Read { positions: None }, Step::Close];
    let setup = Setup { purpose: Purpose::Preview, ..Setup::default() };
    let trace = exam.run(subject, &space, calls(steps), setup)?;
    if let Some(error) = trace.first_error() {
        return failed(format!("it declares `read_only`, but cannot be read for `preview`: {error}"));
    }
    if source(&space) == before { Ok(()) } else { failed("reading for `preview` changes its source") }
}

/// Time limit of a call after a stop request: 2 s, and half a second for a busy machine.
const PROMPT_MICROS: u64 = 2_500_000;

fn cancellation(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    let result = every_call_is_cancelled(exam, subject);
    if let Err(Finding::Failed(how)) = &result {
        // The other checks would wait for these calls again and again.
        subject.seen.hung.get_or_insert_with(|| how.clone());
    }
    result
}

fn every_call_is_cancelled(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    // Without a stop request, a call may take long if it reports progress.
    if let Err(Finding::NotExamined(why)) = complete_run(exam, subject)
        && why.ends_with("(G5)")
    {
        let limit = HANG.as_secs();
        return failed(format!(
            "{why}: no call may run for {limit} s without `alive`, `progress` or `phase`"
        ));
    }
    let work = work(exam, subject)?;
    let mut all = vec![Step::Open(Resume::Fresh), Step::Check];
    all.extend(work);
    all.push(Step::Close);
    let mut seen = BTreeSet::new();
    let is_call = |step: &Step| !matches!(step, Step::Transaction(_));
    for (index, step) in all.iter().enumerate().filter(|(_, step)| is_call(step)) {
        if !seen.insert(step.name()) {
            continue;
        }
        for level in [2, 1] {
            let space = exam.fresh(subject)?;
            let mut steps = all[..index].to_vec();
            steps.push(Step::Level(level));
            // With a stop request an input returns up to its next position.
            steps.push(match step {
                Step::Read { .. } => Step::Read { positions: Some(1) },
                other => other.clone(),
            });
            let trace = match exam.run(subject, &space, calls(steps), Setup::default()) {
                Err(Finding::NotExamined(why)) if why.ends_with("(G5)") => return failed(why),
                other => other?,
            };
            prompt(&trace, step.name(), level)?;
        }
    }
    Ok(())
}

fn prompt(trace: &Trace, name: &str, level: u32) -> Checked {
    let Some((_, last)) = trace.returned().last() else { return Ok(()) };
    if last.micros > PROMPT_MICROS {
        let seconds = last.micros / 100_000;
        return failed(format!(
            "after a stop request of level {level}, `{name}` ran for {}.{} s",
            seconds / 10,
            seconds % 10
        ));
    }
    match &last.error {
        Some(error) if error.kind == ErrorKind::Bug => {
            failed(format!("after a stop request of level {level}, `{name}` failed: {}", error.message))
        }
        _ => Ok(()),
    }
}

fn wrong_options_and_receipts(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    let mut wrong = vec![(json!({ "no_such_option_exists": 1 }), "an unknown option".to_owned())];
    let required = |option: &&OptionDescriptor| option.required;
    for option in subject.descriptor.options.iter().filter(required) {
        wrong.push((json!({ option.name.as_str(): null }), format!("no option `{}`", option.name)));
    }
    wrong.extend(subject.descriptor.options.iter().map(|option| {
        let unexpected = match option.kind {
            OptionKind::Map { .. } => json!("unexpected text"),
            _ => json!({ "unexpected": "mapping" }),
        };
        (json!({ option.name.as_str(): unexpected }), format!("another type for option `{}`", option.name))
    }));
    for (change, what) in wrong {
        let space = exam.fresh(subject)?;
        let mut options = Exam::options(subject, &space.dir(0));
        for (name, value) in change.as_object().into_iter().flatten() {
            match value {
                Value::Null => drop(options.remove(name)),
                value => drop(options.insert(name.clone(), value.clone())),
            }
        }
        let steps = calls([Step::Open(Resume::Fresh), Step::Close]);
        let setup = Setup { options: Some(options), purpose: Purpose::Check, ..Setup::default() };
        let trace = exam.run(subject, &space, steps, setup)?;
        let error = trace.returned().next().and_then(|(_, opened)| opened.error.clone());
        match error {
            None => return failed(format!("it opens with {what}")),
            Some(error) if error.kind != ErrorKind::Config => {
                return failed(format!("with {what} it fails with {:?}: {}", error.kind, error.message));
            }
            Some(_) => {}
        }
    }
    damaged_receipts(exam, subject)
}

/// Number of damaged receipts or positions.
const DAMAGED: usize = 20;

fn damaged_receipts(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    let what = if subject.kind == PluginKind::Input { "position" } else { "receipt" };
    let mut steps = vec![Step::Open(Resume::Fresh)];
    steps.extend(work(exam, subject)?);
    steps.push(Step::Close);
    let space = exam.fresh(subject)?;
    let trace = exam.run(subject, &space, calls(steps), Setup::default())?;
    let receipts = trace.returned().filter_map(|(_, returned)| returned.value.receipt.clone());
    let positions = trace.steps().filter_map(|step| step.position.clone());
    let originals: Vec<Vec<u8>> = receipts.chain(positions).collect();
    if originals.is_empty() {
        return Ok(()); // It never gets one back.
    }
    let mut random = Random(11);
    let damaged: Vec<Vec<u8>> = (0..DAMAGED)
        .map(|number| damage(&originals[random.below(originals.len())], number, &mut random))
        .collect();
    let space = exam.fresh(subject)?;
    let steps = damaged.iter().flat_map(|bytes| [Step::Open(Resume::From(bytes.clone())), Step::Close]);
    let trace = exam.run(subject, &space, calls(steps), Setup::default())?;
    for (step, returned) in trace.returned() {
        let (Step::Open(Resume::From(bytes)), Returned { error: Some(error), .. }) = (step, returned) else {
            continue;
        };
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        if error.kind != ErrorKind::Config {
            return failed(format!(
                "a damaged {what} (`{shown}`) is a {:?} error, not `Config`: {}",
                error.kind, error.message
            ));
        }
        if error.hint.is_none() {
            return failed(format!(
                "a damaged {what} (`{shown}`) is an error without a hint: {}",
                error.message
            ));
        }
    }
    Ok(())
}

fn damage(original: &[u8], number: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = original.to_vec();
    let at = random.below(bytes.len().max(1));
    match number % 5 {
        0 => bytes.truncate(at),
        1 => bytes.extend_from_slice(b"\0more"),
        2 => bytes = b"\xff\xff\xff\xff\xff\xff\xff\xff\n".to_vec(),
        3 => bytes = vec![b'{'; 1 + random.below(40)],
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
    }
    bytes
}

fn two_instances(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    let mut steps = vec![Step::Open(Resume::Fresh)];
    steps.extend(work(exam, subject)?);
    // Step by step, so that the calls of two instances alternate.
    if subject.kind == PluginKind::Input {
        steps.truncate(1);
        steps.extend(vec![Step::Read { positions: Some(1) }; 200]);
    }
    steps.push(Step::Close);
    let space = exam.fresh(subject)?;
    let alone = exam.run(subject, &space, calls(steps.clone()), Setup::default())?;
    if let Some(error) = alone.first_error() {
        return not_examined(error);
    }
    let expected = result(exam, subject, &space, &alone, 0)?;
    let space = exam.fresh(subject)?;
    let mut both = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        // The second instance makes each call three calls later.
        both.push(Call { instance: 0, step: step.clone() });
        both.extend(index.checked_sub(3).map(|index| Call { instance: 1, step: steps[index].clone() }));
    }
    let rest = steps.len().saturating_sub(3)..steps.len();
    both.extend(steps[rest].iter().map(|step| Call { instance: 1, step: step.clone() }));
    let trace = exam.run(subject, &space, both, Setup::default())?;
    if let Some(error) = trace.first_error() {
        return failed(format!("with a second instance in the process, {error}"));
    }
    // What both have sent over the network, or read, comes mixed.
    if subject.kind == PluginKind::Input || !exam.received().is_empty() {
        let mut found = result(exam, subject, &space, &trace, 0)?;
        let mut twice = [expected.clone(), expected].concat();
        found.sort_unstable();
        twice.sort_unstable();
        // What the second instance sends replaces the same of the first one.
        if subject.kind == PluginKind::Output
            && subject.descriptor.output_capabilities().replaces != Replaces::None
        {
            found.dedup();
            twice.dedup();
        }
        return runs::compare_exact(&twice, &found)
            .map_err(runs::when(|| "two instances influence each other".to_owned()));
    }
    for instance in [0, 1] {
        let found = result(exam, subject, &space, &trace, instance)?;
        runs::compare_exact(&expected, &found)
            .map_err(runs::when(|| "two instances influence each other".to_owned()))?;
    }
    Ok(())
}

/// The records of an output, or the findings of an input.
fn result(
    exam: &mut Exam<'_>,
    subject: &Subject<'_>,
    space: &Space,
    trace: &Trace,
    instance: usize,
) -> Result<Vec<String>, Finding> {
    match subject.kind {
        PluginKind::Input => Ok(super::reading::findings(trace)),
        PluginKind::Output => runs::records_of(exam, subject, space, instance),
    }
}

/// Memory that 50 instances may leave, in KiB: the allocator keeps some.
const KEPT_KIB: u64 = 2048;

fn no_growth(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    let space = exam.fresh(subject)?;
    let pair = || [Step::Open(Resume::Fresh), Step::Close];
    let steps = (0..10)
        .flat_map(|_| pair())
        .chain([Step::Measure])
        .chain((0..50).flat_map(|_| pair()))
        .chain([Step::Measure]);
    let trace = exam.run(subject, &space, calls(steps), Setup::default())?;
    if let Some(error) = trace.first_error() {
        return failed(format!("while it is opened and closed repeatedly, {error}"));
    }
    let usage: Vec<(u64, u64, u64)> =
        trace.returned().filter_map(|(_, returned)| returned.value.usage).collect();
    let [(threads, files, memory), (more_threads, more_files, more_memory)] = usage[..] else {
        return not_examined("this system does not count threads and memory of a process");
    };
    if more_threads > threads {
        return failed(format!("50 instances leave {} threads", more_threads - threads));
    }
    if more_files > files {
        return failed(format!("50 instances leave {} open files", more_files - files));
    }
    if more_memory > memory + KEPT_KIB {
        return failed(format!("50 instances leave {} KiB of memory", more_memory - memory));
    }
    Ok(())
}
