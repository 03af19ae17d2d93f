//! Chosen reports: when a run for them starts, and what follows it.

use super::tests::{clock, end, fleet_with, keys, running, state};
use super::*;
use crate::machine::Trigger;

fn start(trigger: Trigger) -> Vec<Task> {
    vec![("p".to_owned(), Action::Start { trigger, restart: false })]
}

#[test]
fn idle_pipeline_starts_a_run_at_once_and_then_rests() {
    for number in [0, 2, 3] {
        let mut fleet = fleet_with(&keys(number));
        if number > 0 {
            // The first regular run.
            fleet.tick(clock(0));
            let first = fleet.tick(clock(330));
            assert!(first.len() <= 1);
            fleet.ended(
                "p",
                Ending { code: Some(0), has_begun: true, reason: String::new() },
                clock(331),
                0.0,
            );
        }
        let due = fleet.get("p").map(|machine| machine.next(clock(332)));
        fleet.set_choice("p", true);
        assert_eq!(fleet.tick(clock(332)), start(Trigger::Choice), "schedule {number}");
        fleet.sign("p", clock(333));
        assert!(fleet.tick(clock(333)).is_empty(), "it is not stopped for itself");
        fleet.set_choice("p", false);
        assert!(end(&mut fleet, Some(65), 340).is_empty());
        assert!(fleet.tick(clock(341)).is_empty());
        assert_eq!(state(&fleet), if number == 0 { State::Manual } else { State::Waiting });
        assert_eq!(
            fleet.get("p").map(|machine| machine.next(clock(341))),
            due,
            "no regular start is delayed"
        );
    }
}

#[test]
fn run_at_times_ends_first_and_others_stop_at_the_report_and_continue() {
    let mut fleet = fleet_with(&keys(2));
    assert_eq!(fleet.tick(clock(0)).len(), 1);
    fleet.sign("p", clock(1));
    fleet.set_choice("p", true);
    assert!(fleet.tick(clock(2)).is_empty(), "it ends by itself");
    end(&mut fleet, Some(0), 3);
    assert_eq!(fleet.tick(clock(3)), start(Trigger::Choice));

    for code in [130, 0] {
        let mut fleet = running();
        fleet.set_choice("p", true);
        assert_eq!(fleet.tick(clock(2)), [("p".to_owned(), Action::Stop(StopAt::Report))]);
        assert!(fleet.tick(clock(3)).is_empty(), "once");
        end(&mut fleet, Some(code), 4);
        assert_eq!(fleet.tick(clock(4)), start(Trigger::Resume), "this run delivers the choice");
        // A second choice has come meanwhile.
        end(&mut fleet, Some(0), 5);
        assert_eq!(fleet.tick(clock(5)), start(Trigger::Choice));
        fleet.set_choice("p", false);
        end(&mut fleet, Some(0), 6);
        assert_eq!(fleet.tick(clock(6)), start(Trigger::Resume), "then it continues");
    }
}

#[test]
fn manual_run_is_stopped_only_while_it_waits_for_reports() {
    let mut fleet = fleet_with(&keys(0));
    fleet.request("p", Request::Run, clock(0)).unwrap();
    assert_eq!(fleet.tick(clock(0)), start(Trigger::Manual));
    fleet.sign("p", clock(1));
    fleet.set_choice("p", true);
    assert!(fleet.tick(clock(2)).is_empty());
    fleet.set_idle("p", true);
    assert_eq!(fleet.tick(clock(3)), [("p".to_owned(), Action::Stop(StopAt::Report))]);
    end(&mut fleet, Some(0), 4);
    assert_eq!(fleet.tick(clock(4)), start(Trigger::Choice));
    fleet.set_choice("p", false);
    end(&mut fleet, Some(0), 5);
    assert_eq!(fleet.tick(clock(5)), start(Trigger::Resume), "it waits for reports again");
}

#[test]
fn interrupted_run_is_finished_before_the_choice() {
    let mut fleet = fleet_with(&keys(1));
    fleet.set_choice("p", true);
    assert_eq!(fleet.tick(clock(0)).len(), 1);
    fleet.finishes_first("p", clock(1));
    fleet.sign("p", clock(1));
    assert!(fleet.tick(clock(2)).is_empty(), "it stops by itself");
    end(&mut fleet, Some(130), 3);
    assert_eq!(fleet.tick(clock(3)), start(Trigger::Resume));
    fleet.set_choice("p", false);
    end(&mut fleet, Some(0), 4);
    assert_eq!(fleet.tick(clock(4)), start(Trigger::Resume), "then it continues");
}

#[test]
fn choice_waits_while_a_person_must_act_and_is_repeated_after_a_failure() {
    let mut fleet = fleet_with(&keys(0));
    fleet.request("p", Request::Pause, clock(0)).unwrap();
    fleet.set_choice("p", true);
    assert!(fleet.tick(clock(1)).is_empty());
    fleet.request("p", Request::Resume, clock(2)).unwrap();
    assert_eq!(fleet.tick(clock(2)), start(Trigger::Choice));
    end(&mut fleet, Some(69), 3);
    assert_eq!(state(&fleet), State::Retrying);
    assert_eq!(fleet.tick(clock(40)), start(Trigger::Retry), "the run delivers what still waits");
    end(&mut fleet, Some(77), 41);
    assert!(fleet.tick(clock(2000)).is_empty());
    assert_eq!(state(&fleet), State::Held);
}
