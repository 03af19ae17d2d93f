//! All pipelines: which of those that are due gets a place, by `max_running` and the groups. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use scanbridge_observe::StopAt;

use crate::machine::{Action, Before, Ending, Machine, Request, Settings, State};
use crate::schedule::{Clock, LONGEST_LOOK, Stored};

/// What must be done with the process of a pipeline.
pub(crate) type Task = (String, Action);

/// The pipelines by name.
#[derive(Debug)]
pub(crate) struct Fleet {
    pipelines: BTreeMap<String, Machine>,
    max_running: usize,
    groups: BTreeMap<String, u64>,
    before: Clock,
    draining: Option<StopAt>,
}

/// A request that makes no sense now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unknown,
    Conflict(String),
}

impl Fleet {
    pub(crate) fn new(max_running: u64, groups: BTreeMap<String, u64>, clock: Clock) -> Self {
        let max_running = usize::try_from(max_running).unwrap_or(usize::MAX).max(1);
        Self { pipelines: BTreeMap::new(), max_running, groups, before: clock, draining: None }
    }

    pub(crate) fn limits(&mut self, max_running: u64, groups: BTreeMap<String, u64>) {
        self.max_running = usize::try_from(max_running).unwrap_or(usize::MAX).max(1);
        self.groups = groups;
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Machine> {
        self.pipelines.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Machine)> {
        self.pipelines.iter()
    }

    /// Adds a pipeline.
    pub(crate) fn load(
        &mut self,
        name: &str,
        settings: Settings,
        clock: Clock,
        (stored, before): (Stored, Before),
    ) {
        let machine = Machine::loaded(settings, clock, stored, before);
        self.pipelines.insert(name.to_owned(), machine);
    }

    pub(crate) fn change(&mut self, name: &str, settings: Settings, is_now: bool, clock: Clock) -> Vec<Task> {
        self.with(name, |machine| machine.changed(settings, is_now, clock))
    }

    /// A file without any accepted version.
    pub(crate) fn invalid(&mut self, name: &str, reason: String) {
        self.pipelines.insert(name.to_owned(), Machine::invalid(reason));
    }

    pub(crate) fn remove(&mut self, name: &str, clock: Clock) -> Vec<Task> {
        let tasks = self.with(name, |machine| machine.removed(clock));
        self.forget(tasks)
    }

    pub(crate) fn request(
        &mut self,
        name: &str,
        request: Request,
        clock: Clock,
    ) -> Result<Vec<Task>, Refusal> {
        let machine = self.pipelines.get_mut(name).ok_or(Refusal::Unknown)?;
        let actions = machine.request(request, clock).map_err(Refusal::Conflict)?;
        Ok(actions.into_iter().map(|action| (name.to_owned(), action)).collect())
    }

    /// Says whether chosen reports of a pipeline wait for a run.
    pub(crate) fn set_choice(&mut self, name: &str, has_choice: bool) {
        if let Some(machine) = self.pipelines.get_mut(name) {
            machine.set_choice(has_choice);
        }
    }

    pub(crate) fn set_idle(&mut self, name: &str, is_idle: bool) {
        if let Some(machine) = self.pipelines.get_mut(name) {
            machine.set_idle(is_idle);
        }
    }

    pub(crate) fn finishes_first(&mut self, name: &str, clock: Clock) {
        if let Some(machine) = self.pipelines.get_mut(name) {
            machine.finishes_first(clock);
        }
    }

    /// Requests a job: a replay or purge of dead letters.
    pub(crate) fn begin_job(&mut self, name: &str, clock: Clock) -> Result<Vec<Task>, Refusal> {
        let machine = self.pipelines.get_mut(name).ok_or(Refusal::Unknown)?;
        let actions = machine.begin_job(clock).map_err(Refusal::Conflict)?;
        Ok(actions.into_iter().map(|action| (name.to_owned(), action)).collect())
    }

    pub(crate) fn cancel_job(&mut self, name: &str, clock: Clock) -> Vec<Task> {
        self.with(name, |machine| machine.cancel_job(clock))
    }

    pub(crate) fn sign(&mut self, name: &str, clock: Clock) {
        if let Some(machine) = self.pipelines.get_mut(name) {
            machine.sign(clock);
        }
    }

    pub(crate) fn runs_earlier_version(&mut self, name: &str, clock: Clock) {
        if let Some(machine) = self.pipelines.get_mut(name) {
            machine.runs_earlier_version(clock);
        }
    }

    pub(crate) fn ended(&mut self, name: &str, ending: Ending, clock: Clock, random: f64) -> Vec<Task> {
        let tasks = self.with(name, |machine| machine.ended(ending, clock, random));
        self.forget(tasks)
    }

    /// Stops all runs and starts no more. Called again with a sooner stop, it hurries them.
    pub(crate) fn drain(&mut self, at: StopAt, clock: Clock) -> Vec<Task> {
        self.draining = Some(at);
        let names: Vec<String> = self.pipelines.keys().cloned().collect();
        names.iter().flat_map(|name| self.with(name, |machine| machine.drain(at, clock))).collect()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    pub(crate) fn running(&self) -> usize {
        self.pipelines.values().filter(|machine| machine.state().is_active()).count()
    }

    /// What time changes, and the starts for which there is a place: the oldest due first.
    pub(crate) fn tick(&mut self, clock: Clock) -> Vec<Task> {
        let before = std::mem::replace(&mut self.before, clock);
        let mut tasks = Vec::new();
        for (name, machine) in &mut self.pipelines {
            tasks.extend(machine.tick(before, clock).into_iter().map(|action| (name.clone(), action)));
        }
        if self.draining.is_none() {
            tasks.extend(self.grant(clock));
        }
        tasks
    }

    fn grant(&mut self, clock: Clock) -> Vec<Task> {
        let mut queued: Vec<(Duration, String)> = self
            .pipelines
            .iter()
            .filter(|(_, machine)| machine.state() == State::Queued)
            .map(|(name, machine)| (machine.queued_at(), name.clone()))
            .collect();
        queued.sort();
        let mut free = self.max_running.saturating_sub(self.running());
        let mut tasks = Vec::new();
        for (_, name) in queued {
            if free == 0 {
                break;
            }
            let group = self.get(&name).and_then(Machine::group).map(str::to_owned);
            if group.is_some_and(|group| self.is_full(&group)) {
                continue;
            }
            if let Some(machine) = self.pipelines.get_mut(&name) {
                tasks.push((name, machine.start(clock)));
                free -= 1;
            }
        }
        tasks
    }

    /// A group without an entry under `groups:` has one place.
    fn is_full(&self, group: &str) -> bool {
        let places = self.groups.get(group).copied().unwrap_or(1);
        let active = self.pipelines.values().filter(|machine| machine.state().is_active());
        active.filter(|machine| machine.group() == Some(group)).count() as u64 >= places
    }

    /// How long the supervisor may sleep.
    pub(crate) fn sleep(&self, clock: Clock) -> Duration {
        self.pipelines.values().map(|machine| machine.sleep(clock)).min().unwrap_or(LONGEST_LOOK)
    }

    fn with(&mut self, name: &str, act: impl FnOnce(&mut Machine) -> Vec<Action>) -> Vec<Task> {
        let Some(machine) = self.pipelines.get_mut(name) else { return Vec::new() };
        act(machine).into_iter().map(|action| (name.to_owned(), action)).collect()
    }

    fn forget(&mut self, tasks: Vec<Task>) -> Vec<Task> {
        for (name, _) in tasks.iter().filter(|(_, action)| *action == Action::Forget) {
            self.pipelines.remove(name);
        }
        tasks
    }
}

#[cfg(test)]
#[path = "fleet_choice_tests.rs"]
mod choice_tests;
#[cfg(test)]
#[path = "fleet_job_tests.rs"]
mod job_tests;
#[cfg(test)]
#[path = "fleet_property_tests.rs"]
mod property_tests;
#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
