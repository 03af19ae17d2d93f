//! The keys of a pipeline for the service: `schedule`, `restart` and `group`. `run` ignores them; they are checked always.

use scanbridge_observe::{Cron, RestartKeys, ScheduleKeys, ServiceKeys};

use super::checker::Checker;
use super::fields::Fields;
use super::host_options::HostSettings;
use super::tree::{Content, Node};

impl Checker<'_> {
    /// The keys for the service, with the `hang_secs` still to be set.
    pub(super) fn service_keys(&mut self, fields: &Fields<'_>, host: &HostSettings) -> ServiceKeys {
        let restart = RestartKeys {
            initial_secs: host.number("restart.initial_secs"),
            max_secs: host.number("restart.max_secs").max(host.number("restart.initial_secs")),
            give_up_after: host.number("restart.give_up_after"),
        };
        if let (Some(node), Some(group)) = (fields.get("group"), host.text("group")) {
            self.name(node, "group", group.to_owned());
        }
        ServiceKeys {
            schedule: fields.get("schedule").map(|node| self.schedule(node, host)).unwrap_or_default(),
            restart,
            group: host.text("group").map(str::to_owned),
            hang_secs: 0,
        }
    }

    fn schedule(&mut self, node: &Node, host: &HostSettings) -> ScheduleKeys {
        if !matches!(node.content, Content::Mapping(_)) {
            return match host.text("schedule") {
                Some("continuous") => ScheduleKeys::Continuous,
                _ => ScheduleKeys::Manual,
            };
        }
        let at = |key: &str| node.entry(key).unwrap_or(node);
        let jitter_secs = host.number("schedule.jitter_secs");
        match (host.text("schedule.cron"), host.optional_number("schedule.every_minutes")) {
            (Some(_), Some(_)) => {
                self.collector
                    .error(
                        "contradiction",
                        &at("every_minutes").span,
                        "`cron` and `every_minutes` exclude each other".to_owned(),
                    )
                    .help("remove one of them");
                ScheduleKeys::Manual
            }
            (None, None) => {
                let is_invalid = ["cron", "every_minutes"].iter().any(|key| node.entry(key).is_some());
                if !is_invalid {
                    self.collector
                        .error("missing-key", &node.span, "`schedule` has neither `cron` nor `every_minutes`".to_owned())
                        .help("for example `schedule: { cron: \"0 5 * * MON-FRI\" }` or `schedule: { every_minutes: 60 }`");
                }
                ScheduleKeys::Manual
            }
            (None, Some(minutes)) => {
                for key in ["timezone", "catch_up"] {
                    if host.is_set(&format!("schedule.{key}")) {
                        self.collector.error(
                            "contradiction",
                            &at(key).span,
                            format!("`{key}` requires `cron`"),
                        );
                    }
                }
                ScheduleKeys::Every { minutes, jitter_secs }
            }
            (Some(pattern), None) => {
                let timezone = host.text("schedule.timezone");
                match Cron::parse(pattern, timezone) {
                    Ok(cron) => self.warn_of_clock_changes(&cron, at("cron")),
                    Err(error) => {
                        let key = if error.is_zone { "timezone" } else { "cron" };
                        self.collector.error("bad-value", &at(key).span, error.message).help(error.help);
                    }
                }
                ScheduleKeys::Cron {
                    pattern: pattern.to_owned(),
                    timezone: timezone.map(str::to_owned),
                    jitter_secs,
                    catch_up: host.flag("schedule.catch_up"),
                }
            }
        }
    }

    fn warn_of_clock_changes(&mut self, cron: &Cron, at: &Node) {
        for problem in cron.clock_changes(jiff::Timestamp::now()) {
            self.collector
                .warning("clock-change", &at.span, problem)
                .help("choose another hour, or `timezone: UTC`, which has no clock changes");
        }
    }
}
