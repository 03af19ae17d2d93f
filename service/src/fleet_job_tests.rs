//! Jobs: what a replay or purge of dead letters does to a pipeline, in each of its states. Runs of an earlier version.

use scanbridge_observe::ScheduleKeys;

use super::tests::{clock, end, fleet_with, keys, running, settings, state};
use super::*;
use crate::machine::Trigger;

const JOB: Action = Action::StartJob;

fn tasks(action: Action) -> Vec<Task> {
    vec![("p".to_owned(), action)]
}

fn start(trigger: Trigger) -> Vec<Task> {
    tasks(Action::Start { trigger, restart: false })
}

/// Starts a job of a pipeline without a run, and ends it ten seconds later.
fn run_job(fleet: &mut Fleet, at: u64, code: Option<u8>) {
    assert!(fleet.begin_job("p", clock(at)).expect("a job").is_empty());
    assert_eq!(fleet.tick(clock(at)), tasks(JOB));
    fleet.sign("p", clock(at));
    assert_eq!(state(fleet), State::Running);
    assert!(end(fleet, code, at + 10).is_empty());
}

/// A fleet whose pipeline is in this state at second 10.
fn fleet_in(wanted: State) -> Fleet {
    let mut fleet = match wanted {
        State::Manual => fleet_with(&ScheduleKeys::Manual),
        State::Waiting => fleet_with(&keys(3)),
        State::Paused => {
            let mut fleet = fleet_with(&keys(3));
            fleet.request("p", Request::Pause, clock(1)).expect("a waiting pipeline");
            fleet
        }
        _ => {
            let mut fleet = running();
            end(
                &mut fleet,
                Some(if wanted == State::Held {
                    77
                } else if wanted == State::Blocked {
                    75
                } else {
                    69
                }),
                2,
            );
            fleet
        }
    };
    fleet.tick(clock(10));
    assert_eq!(state(&fleet), wanted);
    fleet
}

#[test]
fn state_after_a_job_is_that_before_it_however_the_job_ends() {
    for wanted in [State::Manual, State::Waiting, State::Paused, State::Retrying, State::Blocked, State::Held]
    {
        for code in [Some(0), Some(65), Some(70), Some(75), Some(78), None] {
            let mut fleet = fleet_in(wanted);
            let machine = fleet.get("p").expect("a pipeline");
            let (reason, next) = (machine.reason().to_owned(), machine.next(clock(10)));
            run_job(&mut fleet, 10, code);
            let machine = fleet.get("p").expect("a pipeline");
            assert_eq!(machine.state(), wanted, "{code:?}");
            assert_eq!(
                (machine.reason(), machine.next(clock(10))),
                (reason.as_str(), next),
                "{wanted:?} {code:?}"
            );
        }
    }
}

#[test]
fn run_in_progress_stops_at_the_end_of_its_report_and_continues_after_the_job() {
    for (code, job_code) in [(130, Some(0)), (0, Some(65)), (130, None)] {
        let mut fleet = running();
        let stop = fleet.begin_job("p", clock(1)).expect("a job");
        assert_eq!(stop, tasks(Action::Stop(StopAt::Report)));
        assert!(fleet.begin_job("p", clock(1)).is_err(), "one job at a time");
        assert!(fleet.tick(clock(500)).is_empty(), "a report may take long");
        fleet.sign("p", clock(500));
        end(&mut fleet, Some(code), 501);
        assert_eq!(fleet.tick(clock(501)), tasks(JOB));
        end(&mut fleet, job_code, 502);
        assert_eq!(fleet.tick(clock(502)), start(Trigger::Resume));
    }
    // A run that failed meanwhile is repeated after its pause, as without a job.
    let mut fleet = running();
    fleet.begin_job("p", clock(1)).expect("a job");
    end(&mut fleet, Some(69), 2);
    assert_eq!(fleet.tick(clock(2)), tasks(JOB));
    end(&mut fleet, Some(0), 3);
    assert_eq!(state(&fleet), State::Retrying);
    // One that was wrong is held.
    let mut fleet = running();
    fleet.begin_job("p", clock(1)).expect("a job");
    end(&mut fleet, Some(78), 2);
    fleet.tick(clock(2));
    end(&mut fleet, Some(0), 3);
    assert_eq!(state(&fleet), State::Held);
}

#[test]
fn requests_during_a_job_apply_after_it() {
    // A regular start, and one that was asked for.
    let mut fleet = fleet_in(State::Waiting);
    fleet.begin_job("p", clock(10)).expect("a job");
    assert_eq!(fleet.tick(clock(10)), tasks(JOB));
    assert!(fleet.tick(clock(330)).is_empty());
    end(&mut fleet, Some(0), 340);
    assert_eq!(fleet.tick(clock(340)), start(Trigger::Schedule), "the start that came due");
    let mut fleet = fleet_in(State::Manual);
    fleet.begin_job("p", clock(10)).expect("a job");
    fleet.tick(clock(10));
    fleet.request("p", Request::Run, clock(11)).expect("a run after the job");
    end(&mut fleet, Some(0), 12);
    assert_eq!(fleet.tick(clock(12)), start(Trigger::Manual));
    // A pause ends the job, and the run that was interrupted for it continues with `resume` only.
    let mut fleet = running();
    fleet.begin_job("p", clock(1)).expect("a job");
    end(&mut fleet, Some(130), 2);
    fleet.tick(clock(2));
    let stop = fleet.request("p", Request::Pause, clock(3)).expect("a pause");
    assert_eq!(stop, tasks(Action::Stop(StopAt::Asset)));
    end(&mut fleet, Some(130), 4);
    assert_eq!(state(&fleet), State::Paused);
    assert!(fleet.tick(clock(100_000)).is_empty());
    fleet.request("p", Request::Resume, clock(100_000)).expect("a paused pipeline");
    assert_eq!(fleet.tick(clock(100_000)), start(Trigger::Resume));
    // A stop ends the job only.
    let mut fleet = fleet_in(State::Waiting);
    fleet.begin_job("p", clock(10)).expect("a job");
    fleet.tick(clock(10));
    assert_eq!(fleet.request("p", Request::Stop, clock(11)), Ok(tasks(Action::Stop(StopAt::Asset))));
    end(&mut fleet, Some(130), 12);
    assert_eq!(state(&fleet), State::Waiting);
    // A change, and a removal.
    let mut fleet = fleet_in(State::Held);
    fleet.begin_job("p", clock(10)).expect("a job");
    fleet.tick(clock(10));
    assert!(fleet.change("p", settings(&ScheduleKeys::Manual, None), false, clock(11)).is_empty());
    assert!(fleet.get("p").is_some_and(Machine::is_pending));
    end(&mut fleet, Some(0), 12);
    assert_eq!(state(&fleet), State::Manual, "a changed file ends `held`");
    fleet.begin_job("p", clock(13)).expect("a job");
    fleet.tick(clock(13));
    assert_eq!(fleet.remove("p", clock(14)), tasks(Action::Stop(StopAt::Asset)));
    assert_eq!(end(&mut fleet, Some(130), 15), tasks(Action::Forget));
}

#[test]
fn abandoned_job_ends_in_each_phase() {
    // The run is still in progress: it stops as asked, and continues.
    let mut fleet = running();
    fleet.begin_job("p", clock(1)).expect("a job");
    assert!(fleet.cancel_job("p", clock(2)).is_empty());
    end(&mut fleet, Some(130), 3);
    assert_eq!(fleet.tick(clock(3)), start(Trigger::Resume));
    // It waits for a place.
    let mut fleet = Fleet::new(1, BTreeMap::new(), clock(0));
    for name in ["other", "p"] {
        fleet.load(name, settings(&ScheduleKeys::Manual, None), clock(0), (Stored::default(), Before::Rest));
    }
    fleet.request("other", Request::Run, clock(0)).expect("a run");
    assert_eq!(fleet.tick(clock(0)).len(), 1);
    fleet.begin_job("p", clock(1)).expect("a job");
    assert!(fleet.tick(clock(1)).is_empty());
    assert_eq!(state(&fleet), State::Queued);
    assert!(fleet.cancel_job("p", clock(2)).is_empty());
    assert_eq!(state(&fleet), State::Manual);
    // It is in progress.
    let mut fleet = fleet_in(State::Held);
    fleet.begin_job("p", clock(10)).expect("a job");
    fleet.tick(clock(10));
    assert_eq!(fleet.cancel_job("p", clock(11)), tasks(Action::Stop(StopAt::Asset)));
    end(&mut fleet, Some(130), 12);
    assert_eq!(state(&fleet), State::Held);
}

/// The accepted version starts when the earlier one has finished its report; a failure of the earlier one is repeated.
#[test]
fn run_of_an_earlier_version_is_followed_by_the_accepted_one() {
    for (code, expected) in [
        (Some(130), State::Queued),
        (Some(0), State::Queued),
        (Some(69), State::Retrying),
        (None, State::Retrying),
        (Some(78), State::Held),
    ] {
        let mut fleet = running();
        fleet.runs_earlier_version("p", clock(1));
        assert!(fleet.get("p").is_some_and(Machine::is_pending));
        assert!(fleet.tick(clock(500)).is_empty());
        end(&mut fleet, code, 501);
        assert_eq!(state(&fleet), expected, "{code:?}");
        assert!(!fleet.get("p").is_some_and(Machine::is_pending));
    }
    // A stop by an operator is one of the pipeline.
    let mut fleet = running();
    fleet.runs_earlier_version("p", clock(1));
    fleet.request("p", Request::Stop, clock(2)).expect("a run");
    end(&mut fleet, Some(130), 3);
    assert_eq!(state(&fleet), State::Paused);
}
