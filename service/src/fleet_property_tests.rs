//! Any order of events.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::tests::{clock, keys, settings};
use super::*;

const NAMES: [&str; 5] = ["manual", "continuous", "every", "cron", "other"];

#[derive(Debug, Clone)]
enum Step {
    Advance(u64),
    SetBack(u64),
    Ask(usize, Request),
    End(usize, Option<u8>, f64),
    Sign(usize),
    Change(usize, bool),
    Replace(usize),
    Invalid(usize),
    Job(usize),
    CancelJob(usize),
    Choose(usize, bool),
    FinishFirst(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pipeline = || 0..NAMES.len();
    let request =
        prop_oneof![Just(Request::Run), Just(Request::Pause), Just(Request::Resume), Just(Request::Stop)];
    let code = prop_oneof![
        Just(None),
        proptest::sample::select(vec![0, 64, 65, 66, 69, 70, 73, 74, 75, 76, 77, 78, 101, 130])
            .prop_map(Some)
    ];
    let step = prop_oneof![
        4 => (0_u64..1500).prop_map(Step::Advance),
        1 => (0_u64..200_000).prop_map(Step::SetBack),
        3 => (pipeline(), request).prop_map(|(at, request)| Step::Ask(at, request)),
        4 => (pipeline(), code, 0.0..=1.0_f64).prop_map(|(at, code, random)| Step::End(at, code, random)),
        3 => pipeline().prop_map(Step::Sign),
        1 => (pipeline(), any::<bool>()).prop_map(|(at, is_now)| Step::Change(at, is_now)),
        1 => pipeline().prop_map(Step::Replace),
        1 => pipeline().prop_map(Step::Invalid),
        2 => pipeline().prop_map(Step::Job),
        1 => pipeline().prop_map(Step::CancelJob),
        2 => (pipeline(), any::<bool>()).prop_map(|(at, has)| Step::Choose(at, has)),
        1 => pipeline().prop_map(Step::FinishFirst),
    ];
    proptest::collection::vec(step, 1..80)
}

/// The processes as the supervisor would have them.
#[derive(Default)]
struct Processes(Vec<String>);

impl Processes {
    fn carry_out(&mut self, tasks: Vec<Task>) {
        for (name, action) in tasks {
            match action {
                Action::Start { .. } | Action::StartJob => {
                    assert!(!self.0.contains(&name), "two runs of {name}");
                    self.0.push(name);
                }
                Action::Forget => assert!(!self.0.contains(&name), "{name} was deleted while it runs"),
                _ => assert!(self.0.contains(&name), "{action:?} without a process of {name}"),
            }
        }
    }
}

fn group(at: usize) -> Option<&'static str> {
    (at >= 3).then_some("shared")
}

fn load(fleet: &mut Fleet, at: usize, now: Clock) {
    fleet.load(NAMES[at], settings(&keys(at.min(3)), group(at)), now, (Stored::default(), Before::Rest));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_order_of_events_keeps_the_rules(steps in steps()) {
        let mut now = clock(0);
        let mut fleet = Fleet::new(2, BTreeMap::from([("shared".to_owned(), 1)]), now);
        (0..NAMES.len()).for_each(|at| load(&mut fleet, at, now));
        let mut processes = Processes::default();
        // Pipelines that were paused, resumed or changed during a job: it takes effect when the job ends.
        let mut freed_later = BTreeSet::new();
        for step in steps {
            let held: Vec<&str> =
                NAMES.into_iter().filter(|name| fleet.get(name).is_some_and(|m| m.lasting().0 == State::Held)).collect();
            let mut freed = None;
            match step {
                Step::Advance(secs) => {
                    now.wall += Duration::from_secs(secs);
                    now.steady += Duration::from_secs(secs);
                }
                Step::SetBack(secs) => now.wall -= Duration::from_secs(secs),
                Step::Ask(at, request) => {
                    freed = (request != Request::Run && request != Request::Stop).then_some(NAMES[at]);
                    if let Ok(tasks) = fleet.request(NAMES[at], request, now) {
                        processes.carry_out(tasks);
                    }
                }
                Step::End(at, code, random) => {
                    if processes.0.iter().any(|name| name == NAMES[at]) {
                        processes.0.retain(|name| name != NAMES[at]);
                        let follows = fleet.get(NAMES[at]).filter(|m| m.has_job()).map(|m| m.lasting().0);
                        let tasks = fleet.ended(NAMES[at], Ending { code, has_begun: true, reason: String::new() }, now, random);
                        processes.carry_out(tasks);
                        if let (Some(follows), Some(machine)) = (follows, fleet.get(NAMES[at])) {
                            // A job ends in the state before it, unless it was paused or changed meanwhile.
                            let state = machine.state();
                            let is_rest = matches!(state, State::Waiting | State::Manual | State::Paused);
                            prop_assert!(state == follows || is_rest, "{:?} after a job in {:?}", state, follows);
                        } else if let Some(machine) = fleet.get(NAMES[at])
                            && matches!(machine.state(), State::Retrying | State::Blocked)
                        {
                            let pause = machine.next(now);
                            prop_assert!(!pause.is_reached(now) || at == 3 || at == 4, "no pause");
                            let longest = Clock { wall: now.wall, steady: now.steady + Duration::from_secs(900) };
                            prop_assert!(machine.next(now) != crate::schedule::Due::Never);
                            prop_assert!(matches!(machine.next(now), crate::schedule::Due::Wall(_)) || pause.is_reached(longest));
                        }
                    }
                }
                Step::Sign(at) => fleet.sign(NAMES[at], now),
                Step::Change(at, is_now) => {
                    freed = Some(NAMES[at]);
                    processes.carry_out(fleet.change(NAMES[at], settings(&keys(at.min(3)), group(at)), is_now, now));
                }
                Step::Replace(at) => {
                    freed = Some(NAMES[at]);
                    processes.carry_out(fleet.remove(NAMES[at], now));
                    if fleet.get(NAMES[at]).is_none() {
                        load(&mut fleet, at, now);
                    }
                }
                Step::Job(at) => {
                    if let Ok(tasks) = fleet.begin_job(NAMES[at], now) {
                        processes.carry_out(tasks);
                        prop_assert!(fleet.begin_job(NAMES[at], now).is_err(), "two jobs");
                    }
                }
                Step::Choose(at, has_choice) => fleet.set_choice(NAMES[at], has_choice),
                Step::FinishFirst(at) => fleet.finishes_first(NAMES[at], now),
                Step::CancelJob(at) => processes.carry_out(fleet.cancel_job(NAMES[at], now)),
                Step::Invalid(at) => {
                    if !processes.0.iter().any(|name| name == NAMES[at]) {
                        freed = Some(NAMES[at]);
                        fleet.invalid(NAMES[at], "faulty".to_owned());
                    }
                }
            }
            processes.carry_out(fleet.tick(now));
            prop_assert!(processes.0.len() <= 2, "more runs than places: {:?}", processes.0);
            prop_assert!(processes.0.iter().filter(|name| *name == "cron" || *name == "other").count() <= 1);
            for (name, machine) in fleet.iter() {
                prop_assert_eq!(machine.state().is_active(), processes.0.contains(name), "{}: {:?}", name, machine.state());
            }
            freed_later.extend(freed);
            for name in held.into_iter().filter(|name| !freed_later.contains(name)) {
                prop_assert_eq!(fleet.get(name).map(|m| m.lasting().0), Some(State::Held), "{} left `held` by itself", name);
            }
            freed_later.retain(|name| fleet.get(name).is_some_and(Machine::has_job));
        }
        // Every state can be left: all pipelines can be brought to a new run.
        for (at, name) in NAMES.into_iter().enumerate() {
            for name in NAMES {
                processes.carry_out(fleet.cancel_job(name, now));
            }
            for other in std::mem::take(&mut processes.0) {
                let tasks = fleet.ended(&other, Ending { code: Some(0), has_begun: true, reason: String::new() }, now, 0.5);
                processes.carry_out(tasks);
                if fleet.get(&other).is_some_and(|m| m.state() == State::Waiting) {
                    let _ = fleet.request(&other, Request::Pause, now);
                }
            }
            if fleet.get(name).is_none() {
                load(&mut fleet, at, now);
            }
            if fleet.get(name).is_some_and(|m| m.state() == State::Invalid) {
                processes.carry_out(fleet.change(name, settings(&keys(at.min(3)), group(at)), false, now));
            }
            for request in [Request::Resume, Request::Run] {
                if let Ok(tasks) = fleet.request(name, request, now) {
                    processes.carry_out(tasks);
                }
            }
            for _ in 0..NAMES.len() {
                processes.carry_out(fleet.tick(now));
                if processes.0.iter().any(|running| running == name) {
                    break;
                }
                for other in std::mem::take(&mut processes.0) {
                    let tasks = fleet.ended(&other, Ending { code: Some(64), has_begun: true, reason: String::new() }, now, 0.5);
                    processes.carry_out(tasks);
                }
            }
            prop_assert!(processes.0.iter().any(|running| running == name), "{name} stays {:?}", fleet.get(name).map(Machine::state));
        }
    }
}
