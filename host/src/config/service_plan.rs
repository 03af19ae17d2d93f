//! How `scanbridge init` sets up the service: a key of files with answers, which pipelines do not have.

use std::net::SocketAddr;

use scanbridge_observe::{ConsoleKeys, NAME_RULE, UNIT_DESCRIPTION_RULE, is_name, is_unit_description};
use scanbridge_plugin_api::OptionKind;

use super::catalogue::NoPlugins;
use super::checker::Checker;
use super::document::Document;
use super::fields::Fields;
use super::problem::Problems;
use super::reference::{Environment, escaped};
use super::tree::{Content, Node};
use super::written::{Written, WrittenEntry};

/// The service that is to run a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServicePlan {
    /// Name of the unit.
    pub(crate) name: String,
    /// Description of the unit.
    pub(crate) description: String,
    /// Whether it starts at boot.
    pub(crate) start_at_boot: bool,
    /// Address and port of the console; `None` without a console.
    pub(crate) console: Option<String>,
}

impl Default for ServicePlan {
    fn default() -> Self {
        Self {
            name: "scanbridge".to_owned(),
            description: "Scanbridge".to_owned(),
            start_at_boot: true,
            console: None,
        }
    }
}

/// The key with the plan. Without it, and with `no`, there is none.
pub(crate) const SERVICE_PLAN: &str = "x-init-service";
const KEYS: [&str; 4] = ["name", "description", "start_at_boot", "console"];

impl ServicePlan {
    /// The plan of a file with answers; `None` if the service is not to be set up.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn read(document: &Document) -> Result<Option<Self>, Problems> {
        let Some(node) = document.root.entry(SERVICE_PLAN) else { return Ok(None) };
        let mut checker = Checker::new(&NoPlugins, Environment::of_process());
        let plan = checker.service_plan(node);
        let has_errors = checker.collector.has_errors();
        let problems = checker.collector.finish();
        if has_errors { Err(problems) } else { Ok(plan) }
    }

    /// The entry of a file with answers.
    pub(crate) fn written(&self) -> WrittenEntry {
        let of = |key: &str, text: &str| WrittenEntry::new(key, Written::Text(escaped(text)));
        let entries = vec![
            of(KEYS[0], &self.name),
            of(KEYS[1], &self.description),
            of(KEYS[2], if self.start_at_boot { "yes" } else { "no" }),
            of(KEYS[3], self.console.as_deref().unwrap_or("no")),
        ];
        WrittenEntry::new(SERVICE_PLAN, Written::Mapping(entries))
    }

    /// Judges the name of a unit. The error is the end of a sentence.
    pub(crate) fn check_name(text: &str) -> Result<(), String> {
        let is_valid = is_name(text) && !text.starts_with('-');
        if is_valid { Ok(()) } else { Err(format!("must have {NAME_RULE} or `-`")) }
    }

    /// Judges the description of a unit, like [`ServicePlan::check_name`].
    pub(crate) fn check_description(text: &str) -> Result<(), String> {
        if is_unit_description(text) { Ok(()) } else { Err(format!("must be {UNIT_DESCRIPTION_RULE}")) }
    }

    /// Judges the address of the console, like [`ServicePlan::check_name`].
    pub(crate) fn check_listen(text: &str) -> Result<(), String> {
        if text.parse::<SocketAddr>().is_ok() {
            return Ok(());
        }
        Err(format!("must be an IP address and a port; {}", ConsoleKeys::hint_for_listen(text)))
    }
}

/// Judges a text. The error is the end of a sentence.
type Judge = fn(&str) -> Result<(), String>;

impl Checker<'_> {
    fn service_plan(&mut self, node: &Node) -> Option<ServicePlan> {
        if !matches!(node.content, Content::Mapping(_)) {
            let is_wanted = self.value_of(node, SERVICE_PLAN, &OptionKind::Flag)?.as_bool()?;
            return is_wanted.then(ServicePlan::default);
        }
        let mut plan = ServicePlan::default();
        let owner = format!("`{SERVICE_PLAN}`");
        let fields = Fields::read(&mut self.collector, node, &owner, &KEYS, |_| None);
        let texts: [(&str, &mut String, Judge); 2] = [
            (KEYS[0], &mut plan.name, ServicePlan::check_name),
            (KEYS[1], &mut plan.description, ServicePlan::check_description),
        ];
        for (key, value, check) in texts {
            if let Some(node) = fields.get(key) {
                *value = self.judged(node, key, check).unwrap_or_default();
            }
        }
        if let Some(node) = fields.get(KEYS[2]) {
            plan.start_at_boot = self.yes(node, KEYS[2]);
        }
        if let Some(node) = fields.get(KEYS[3]) {
            plan.console = match node.text().and_then(|text| OptionKind::Flag.parse(text).ok()) {
                Some(flag) => (flag == true).then(|| ConsoleKeys::DEFAULT_LISTEN.to_owned()),
                None => self.judged(node, KEYS[3], ServicePlan::check_listen),
            };
        }
        Some(plan)
    }

    fn judged(&mut self, node: &Node, key: &str, check: Judge) -> Option<String> {
        let text = self.text(node, key)?.text;
        if let Err(problem) = check(&text) {
            self.collector.error("bad-value", &node.span, format!("`{key}` {problem}"));
        }
        Some(text)
    }
}
