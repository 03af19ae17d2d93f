//! The table of endings.

use scanbridge_observe::{RestartKeys, ScheduleKeys};

use super::*;
use crate::machine::Trigger;
use crate::schedule::Schedule;

pub(super) fn clock(secs: u64) -> Clock {
    let begin: jiff::Timestamp = "2026-11-30T00:00:00Z".parse().expect("a time");
    Clock { wall: begin + Duration::from_secs(secs), steady: Duration::from_secs(1000 + secs) }
}

pub(super) fn keys(number: usize) -> ScheduleKeys {
    match number {
        0 => ScheduleKeys::Manual,
        1 => ScheduleKeys::Continuous,
        2 => ScheduleKeys::Every { minutes: 10, jitter_secs: 0 },
        _ => ScheduleKeys::Cron {
            pattern: "*/5 * * * *".to_owned(),
            timezone: Some("UTC".to_owned()),
            jitter_secs: 20,
            catch_up: true,
        },
    }
}

pub(super) fn settings(keys: &ScheduleKeys, group: Option<&str>) -> Settings {
    Settings {
        schedule: Schedule::new(keys, "machine", "p").expect("a valid schedule"),
        restart: RestartKeys { initial_secs: 30, max_secs: 900, give_up_after: 0 },
        group: group.map(str::to_owned),
        hang: Duration::from_secs(600),
    }
}

pub(super) fn fleet_with(keys: &ScheduleKeys) -> Fleet {
    let mut fleet = Fleet::new(4, BTreeMap::new(), clock(0));
    fleet.load("p", settings(keys, None), clock(0), (Stored::default(), Before::Rest));
    fleet
}

pub(super) fn state(fleet: &Fleet) -> State {
    fleet.get("p").map(Machine::state).expect("a pipeline")
}

pub(super) fn end(fleet: &mut Fleet, code: Option<u8>, secs: u64) -> Vec<Task> {
    fleet.ended("p", Ending { code, has_begun: true, reason: "reason".to_owned() }, clock(secs), 1.0)
}

/// A continuous pipeline that has been started at second 0 and has reported.
pub(super) fn running() -> Fleet {
    let mut fleet = fleet_with(&ScheduleKeys::Continuous);
    let started = vec![("p".to_owned(), Action::Start { trigger: Trigger::Schedule, restart: false })];
    assert_eq!(fleet.tick(clock(0)), started);
    assert_eq!(state(&fleet), State::Starting);
    fleet.sign("p", clock(0));
    assert_eq!(state(&fleet), State::Running);
    fleet
}

#[test]
fn exit_code_decides_what_follows() {
    for (code, expected) in [
        (Some(0), State::Waiting),
        (Some(65), State::Waiting),
        (Some(66), State::Waiting),
        (Some(69), State::Retrying),
        (Some(70), State::Retrying),
        (Some(73), State::Retrying),
        (Some(74), State::Retrying),
        (Some(75), State::Blocked),
        (Some(76), State::Retrying),
        (Some(130), State::Retrying),
        (Some(101), State::Retrying),
        (None, State::Retrying),
        (Some(64), State::Held),
        (Some(77), State::Held),
        (Some(78), State::Held),
    ] {
        let mut fleet = running();
        end(&mut fleet, code, 5);
        assert_eq!(state(&fleet), expected, "{code:?}");
        // A continuous pipeline and one that failed start again after the first pause; a held one never.
        assert!(fleet.tick(clock(34)).is_empty(), "{code:?}");
        assert_eq!(fleet.tick(clock(35)).len(), usize::from(expected != State::Held), "{code:?}");
        assert_eq!(fleet.tick(clock(600)).len(), 0, "{code:?}");
    }
}

#[test]
fn pauses_double_up_to_the_longest_and_a_stable_run_resets_them() {
    let mut fleet = running();
    let mut at = 5;
    for pause in [30, 60, 120, 240, 480, 900, 900] {
        end(&mut fleet, Some(69), at);
        assert!(fleet.tick(clock(at + pause - 1)).is_empty());
        assert_eq!(fleet.tick(clock(at + pause)).len(), 1, "a pause of {pause} s");
        at += pause + 1;
    }
    end(&mut fleet, Some(69), at + 700);
    assert_eq!(fleet.tick(clock(at + 730)).len(), 1, "the run was stable");
}

#[test]
fn five_bugs_in_a_row_hold_the_pipeline() {
    let mut fleet = running();
    let mut at = 1;
    for _ in 0..4 {
        end(&mut fleet, Some(70), at);
        assert_eq!(state(&fleet), State::Retrying);
        at += 900;
        assert_eq!(fleet.tick(clock(at)).len(), 1);
    }
    end(&mut fleet, Some(70), at + 1);
    assert_eq!(state(&fleet), State::Held);
    assert!(fleet.tick(clock(at + 100_000)).is_empty());
    fleet.request("p", Request::Resume, clock(at + 100_000)).expect("a held pipeline can be resumed");
    assert_eq!(fleet.tick(clock(at + 100_000)).len(), 1);
}

#[test]
fn run_that_hangs_is_terminated_then_killed_and_counts_as_a_bug() {
    let mut fleet = running();
    assert!(fleet.tick(clock(659)).is_empty());
    assert_eq!(fleet.tick(clock(660)), [("p".to_owned(), Action::Terminate)]);
    assert!(fleet.tick(clock(669)).is_empty());
    assert_eq!(fleet.tick(clock(670)), [("p".to_owned(), Action::Kill)]);
    assert!(fleet.tick(clock(900)).is_empty());
    end(&mut fleet, None, 901);
    assert!(fleet.get("p").is_some_and(|machine| machine.reason().contains("exit code 70")));
}

#[test]
fn stop_and_pause_of_a_run() {
    for (request, code, expected) in [
        (Request::Stop, 130, State::Paused),
        (Request::Stop, 0, State::Waiting),
        (Request::Pause, 130, State::Paused),
        (Request::Pause, 0, State::Paused),
        (Request::Stop, 77, State::Held),
    ] {
        let mut fleet = running();
        let tasks = fleet.request("p", request, clock(1)).expect("a running pipeline");
        assert_eq!(tasks, [("p".to_owned(), Action::Stop(StopAt::Asset))]);
        assert_eq!(state(&fleet), State::Stopping);
        end(&mut fleet, Some(code), 2);
        assert_eq!(state(&fleet), expected, "{request:?} {code}");
    }
    let mut fleet = running();
    fleet.request("p", Request::Pause, clock(1)).expect("a running pipeline");
    assert_eq!(fleet.tick(clock(61)), [("p".to_owned(), Action::Stop(StopAt::Now))]);
    assert_eq!(fleet.tick(clock(71)), [("p".to_owned(), Action::Terminate)]);
    assert_eq!(fleet.tick(clock(81)), [("p".to_owned(), Action::Kill)]);
    end(&mut fleet, None, 82);
    assert_eq!(state(&fleet), State::Paused);
    assert!(fleet.tick(clock(100_000)).is_empty());
    fleet.request("p", Request::Resume, clock(100_000)).expect("a paused pipeline");
    assert_eq!(fleet.tick(clock(100_000)).len(), 1, "the interrupted run is resumed at once");
}

#[test]
fn change_waits_for_the_end_of_the_report_and_removal_for_the_asset() {
    let mut fleet = running();
    let tasks = fleet.change("p", settings(&ScheduleKeys::Manual, None), false, clock(1));
    assert_eq!(tasks, [("p".to_owned(), Action::Stop(StopAt::Report))]);
    assert!(fleet.get("p").is_some_and(Machine::is_pending));
    end(&mut fleet, Some(130), 2);
    assert!(fleet.get("p").is_some_and(|machine| !machine.is_pending()));
    let again = vec![("p".to_owned(), Action::Start { trigger: Trigger::Reload, restart: false })];
    assert_eq!(fleet.tick(clock(2)), again);

    let mut fleet = running();
    fleet.change("p", settings(&ScheduleKeys::Continuous, None), true, clock(1));
    end(&mut fleet, Some(130), 2);
    let again = vec![("p".to_owned(), Action::Start { trigger: Trigger::Reload, restart: true })];
    assert_eq!(fleet.tick(clock(2)), again);

    let tasks = fleet.remove("p", clock(3));
    assert_eq!(tasks, [("p".to_owned(), Action::Stop(StopAt::Asset))]);
    assert_eq!(end(&mut fleet, Some(130), 4), [("p".to_owned(), Action::Forget)]);
    assert!(fleet.get("p").is_none());
}

#[test]
fn regular_start_during_a_run_is_skipped_and_counted() {
    let mut fleet = fleet_with(&ScheduleKeys::Every { minutes: 10, jitter_secs: 0 });
    assert_eq!(fleet.tick(clock(0)).len(), 1);
    fleet.sign("p", clock(0));
    for minute in 1..=25 {
        fleet.sign("p", clock(minute * 60));
        assert!(fleet.tick(clock(minute * 60)).is_empty());
    }
    assert_eq!(skipped(&fleet, "p"), [2, 0, 0]);
    end(&mut fleet, Some(0), 25 * 60);
    assert!(fleet.tick(clock(30 * 60 - 1)).is_empty());
    assert_eq!(fleet.tick(clock(30 * 60)).len(), 1, "a multiple of the interval after the last start");
}

/// Skipped starts: the last run was in progress, another process ran the pipeline, there was no place.
fn skipped(fleet: &Fleet, name: &str) -> [u64; 3] {
    let skipped = fleet.get(name).expect("a pipeline").skipped.by_reason();
    assert_eq!(
        skipped.iter().map(|(reason, _)| *reason).collect::<Vec<_>>(),
        ["still_running", "blocked", "limit"]
    );
    [skipped[0].1, skipped[1].1, skipped[2].1]
}

#[test]
fn regular_start_without_a_place_is_counted_and_not_repeated() {
    let mut fleet = Fleet::new(1, BTreeMap::new(), clock(0));
    let every = ScheduleKeys::Every { minutes: 10, jitter_secs: 0 };
    for name in ["p", "q"] {
        fleet.load(name, settings(&every, None), clock(0), (Stored::default(), Before::Rest));
    }
    assert_eq!(fleet.tick(clock(0)).len(), 1);
    for minute in 1..=35 {
        fleet.sign("p", clock(minute * 60));
        assert!(fleet.tick(clock(minute * 60)).is_empty());
    }
    assert_eq!((skipped(&fleet, "p"), skipped(&fleet, "q")), ([3, 0, 0], [0, 0, 3]));
    end(&mut fleet, Some(0), 36 * 60);
    assert_eq!(fleet.tick(clock(36 * 60)).len(), 1, "one start, however many were due");
}

#[test]
fn regular_start_of_a_pipeline_that_another_process_runs_is_counted() {
    let mut fleet = fleet_with(&keys(3));
    let occupied = |has_begun| Ending { code: Some(75), has_begun, reason: "already running".to_owned() };
    let mut triggers = Vec::new();
    for second in (0..1000).step_by(10) {
        for (_, action) in fleet.tick(clock(second)) {
            let Action::Start { trigger, .. } = action else { panic!("{action:?}") };
            triggers.push(trigger);
            fleet.ended("p", occupied(false), clock(second), 1.0);
        }
    }
    let regular = triggers.iter().filter(|trigger| **trigger == Trigger::Schedule).count();
    assert!(triggers.contains(&Trigger::Retry), "{triggers:?}");
    assert_eq!((regular, skipped(&fleet, "p")), (4, [0, 4, 0]), "retries are not counted: {triggers:?}");
    // A run that had begun was not skipped, whatever its exit code is.
    let mut fleet = fleet_with(&ScheduleKeys::Every { minutes: 10, jitter_secs: 0 });
    assert_eq!(fleet.tick(clock(0)).len(), 1);
    fleet.ended("p", occupied(true), clock(1), 1.0);
    assert_eq!(skipped(&fleet, "p"), [0, 0, 0]);
}

#[test]
fn regular_start_comes_before_a_retry() {
    let mut fleet = fleet_with(&keys(3));
    fleet.tick(clock(400));
    fleet.ended("p", Ending { code: Some(69), has_begun: true, reason: String::new() }, clock(401), 1.0);
    let mut started = 401;
    for _ in 0..6 {
        while fleet.tick(clock(started)).is_empty() {
            started += 1;
        }
        fleet.ended(
            "p",
            Ending { code: Some(69), has_begun: true, reason: String::new() },
            clock(started),
            1.0,
        );
    }
    assert!(started <= 400 + 6 * 320, "a pause was longer than the schedule: {started}");
}

#[test]
fn interrupted_pipeline_resumes_after_a_restart_but_not_a_paused_or_held_one() {
    let mut fleet = Fleet::new(4, BTreeMap::new(), clock(0));
    fleet.load("p", settings(&keys(3), None), clock(1), (Stored::default(), Before::Interrupted));
    fleet.load(
        "q",
        settings(&keys(3), None),
        clock(1),
        (Stored::default(), Before::Paused { is_interrupted: true }),
    );
    let tasks = fleet.tick(clock(1));
    assert_eq!(tasks, [("p".to_owned(), Action::Start { trigger: Trigger::Resume, restart: false })]);
    assert_eq!(fleet.get("q").map(Machine::state), Some(State::Paused));
    // A pipeline that was paused between two runs has nothing to repeat.
    for (name, is_interrupted) in [("idle", false), ("busy", true)] {
        let paused = Before::Paused { is_interrupted };
        fleet.load(name, settings(&keys(3), None), clock(1), (Stored::default(), paused));
        fleet.request(name, Request::Resume, clock(2)).expect("a paused pipeline");
        let resumed = fleet.tick(clock(2));
        assert_eq!(resumed.iter().any(|(started, _)| started == name), is_interrupted, "{name}");
    }
    let held = Before::Held("login rejected".to_owned());
    fleet.load("r", settings(&keys(3), None), clock(1), (Stored::default(), held));
    assert!(fleet.tick(clock(100_000)).iter().all(|(name, _)| name != "q" && name != "r"));
    assert!(fleet.get("r").is_some_and(|m| m.state() == State::Held && m.reason() == "login rejected"));
}
