//! Questions about the service that runs the pipeline.

use scanbridge_observe::ConsoleKeys;

use super::draft::Draft;
use super::prompts::Reply;
use super::questions::Questions;
use super::service_set_up::{NoService, plan_of_file};
use super::steps::Step;
use super::wizard::{Next, Wizard};
use crate::config::ServicePlan;
use crate::telemetry::without_controls;

const NO_YES: [&str; 2] = ["no", "yes"];

impl Wizard<'_> {
    /// Whether a service runs the pipeline.
    pub(super) fn service(&mut self) -> Reply<Next> {
        let pipeline = self.target.file(&self.name);
        let help = "A service runs the pipeline by its schedule, restarts it after failures, and starts at boot. Yes writes \
                    service.yaml and shows the command that installs the unit; no changes nothing.";
        self.show_heading("Service", help);
        let was_wanted = self.draft.service.is_some();
        let rows = NO_YES.map(str::to_owned);
        if self.prompts.choose("service:", &rows, usize::from(was_wanted))? == 0 {
            self.draft.service = None;
            return Ok(Next::Forward);
        }
        match plan_of_file(&pipeline) {
            Ok(plan) => drop(self.draft.service.get_or_insert(plan)),
            Err(problem) => {
                self.show_no_service(&problem);
                return Ok(Next::To(Step::Service));
            }
        }
        if was_wanted {
            return Ok(Next::Forward);
        }
        // A changed answer returns to the summary only after the questions about the service.
        self.until = None;
        Ok(Next::To(Step::ServiceName))
    }

    pub(super) fn show_no_service(&mut self, problem: &NoService) {
        match problem {
            NoService::Invalid(problems) => self.show_problems(problems),
            NoService::Path(problem) => self.show_message("error", problem, ""),
        }
    }

    /// Whether there is a console.
    pub(super) fn console(&mut self) -> Reply<Next> {
        let help = "Pages for a browser, and the API: states, runs, stored reports, dead letters. Without it there is no TCP \
                    listener.";
        self.show_heading("Service · console", help);
        let Some(plan) = &mut self.draft.service else { return Ok(Next::Forward) };
        let start = usize::from(plan.console.is_some());
        match self.prompts.choose("console:", &NO_YES.map(str::to_owned), start)? {
            0 => plan.console = None,
            _ if plan.console.is_some() => {}
            _ => {
                plan.console = Some(ConsoleKeys::DEFAULT_LISTEN.to_owned());
                self.until = None;
                return Ok(Next::To(Step::ConsoleAddress));
            }
        }
        Ok(Next::Forward)
    }
}

impl Draft {
    /// The answer to a question about the service; `None` for other questions.
    pub(super) fn service_in_words(&self, step: &Step) -> Option<String> {
        let word = |flag: bool| NO_YES[usize::from(flag)].to_owned();
        let plan = self.service.as_ref();
        let of_plan = |value: fn(&ServicePlan) -> String| Some(plan.map(value).unwrap_or_default());
        match step {
            Step::Service => Some(word(plan.is_some())),
            Step::ServiceName => of_plan(|plan| plan.name.clone()),
            Step::ServiceDescription => of_plan(|plan| plan.description.clone()),
            Step::StartAtBoot => Some(word(plan.is_some_and(|plan| plan.start_at_boot))),
            Step::Console => Some(word(plan.is_some_and(|plan| plan.console.is_some()))),
            Step::ConsoleAddress => of_plan(|plan| plan.console.clone().unwrap_or_default()),
            _ => None,
        }
    }
}

impl Questions<'_> {
    /// Name of the unit.
    pub(super) fn service_name(&mut self, draft: &mut Draft) -> Reply<()> {
        let Some(plan) = &mut draft.service else { return Ok(()) };
        self.show_heading("Service · name", "Name of the unit, for `systemctl` and `journalctl -u`.");
        let hint = "letters, digits, - _ .";
        plan.name =
            self.prompts.enter("name of the unit:", hint, Some(&plan.name), &ServicePlan::check_name)?;
        Ok(())
    }

    /// Description of the unit.
    pub(super) fn service_description(&mut self, draft: &mut Draft) -> Reply<()> {
        let Some(plan) = &mut draft.service else { return Ok(()) };
        self.show_heading("Service · description", "Display name of the unit.");
        let check = |text: &str| {
            ServicePlan::check_description(text)?;
            let is_plain = without_controls(text) == text;
            if is_plain { Ok(()) } else { Err("must not contain invisible characters".to_owned()) }
        };
        let hint = "one line";
        plan.description = self.prompts.enter("description:", hint, Some(&plan.description), &check)?;
        Ok(())
    }

    /// Whether the unit starts at boot.
    pub(super) fn start_at_boot(&mut self, draft: &mut Draft) -> Reply<()> {
        let Some(plan) = &mut draft.service else { return Ok(()) };
        self.show_heading("Service · start_at_boot", "Whether the service starts with the machine.");
        let rows = NO_YES.map(str::to_owned);
        let start = usize::from(plan.start_at_boot);
        plan.start_at_boot = self.prompts.choose("start at boot:", &rows, start)? == 1;
        Ok(())
    }

    /// Address of the console.
    pub(super) fn console_address(&mut self, draft: &mut Draft) -> Reply<()> {
        let Some(plan) = &mut draft.service else { return Ok(()) };
        let Some(listen) = &mut plan.console else { return Ok(()) };
        let help = "Addresses other than loopback always use TLS, with a certificate that the service makes unless the \
                    service file names one.";
        self.show_heading("Service · console · listen", help);
        let hint = "IP address and port";
        *listen = self.prompts.enter("listen:", hint, Some(listen), &ServicePlan::check_listen)?;
        Ok(())
    }
}
