//! The questions of the wizard, in order. Which there are follows from the answers so far.

use scanbridge_plugin_api::PluginKind;

use super::draft::{Draft, FILTER, Instance, KINDS, MIN_SEVERITY, Setting, Timing};
use crate::config::Catalogue;

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// What to have ready.
    Ready,
    /// Name of the pipeline.
    Name,
    /// Plugin of an input or output.
    Plugin(PluginKind, usize),
    /// ID of an input or output.
    Id(PluginKind, usize),
    /// Value of an option.
    Option(PluginKind, usize, String),
    /// Which of the other options to set.
    More(PluginKind, usize),
    /// What the plugin says about its options, and whether to test the connection.
    Check(PluginKind, usize),
    /// Whether there are more inputs, or more outputs.
    List(PluginKind),
    /// Lowest severity of the filter.
    Severity,
    /// Kinds of the filter.
    Kinds,
    /// Kind of schedule.
    Schedule,
    /// Interval or times.
    Times,
    /// Whether a service runs it.
    Service,
    /// Name of the unit.
    ServiceName,
    /// Description of the unit.
    ServiceDescription,
    /// Whether the unit starts at boot.
    StartAtBoot,
    /// Whether there is a console.
    Console,
    /// Address of the console.
    ConsoleAddress,
    /// What will be written.
    Summary,
}

impl Step {
    /// A name that is stored with the answers.
    pub(super) fn word(&self) -> String {
        let of = |kind: &PluginKind, index: &usize, what: &str| format!("{}s.{index}.{what}", kind.word());
        match self {
            Self::Ready => "ready".to_owned(),
            Self::Name => "name".to_owned(),
            Self::Plugin(kind, index) => of(kind, index, "plugin"),
            Self::Id(kind, index) => of(kind, index, "id"),
            Self::Option(kind, index, option) => of(kind, index, &format!("with.{option}")),
            Self::More(kind, index) => of(kind, index, "with"),
            Self::Check(kind, index) => of(kind, index, "check"),
            Self::List(kind) => format!("{}s", kind.word()),
            Self::Severity => format!("{FILTER}.{MIN_SEVERITY}"),
            Self::Kinds => format!("{FILTER}.{KINDS}"),
            Self::Schedule => "schedule".to_owned(),
            Self::Times => "schedule.times".to_owned(),
            Self::Service => "service".to_owned(),
            Self::ServiceName => "service.name".to_owned(),
            Self::ServiceDescription => "service.description".to_owned(),
            Self::StartAtBoot => "service.start_at_boot".to_owned(),
            Self::Console => "service.console".to_owned(),
            Self::ConsoleAddress => "service.console.listen".to_owned(),
            Self::Summary => "summary".to_owned(),
        }
    }

    /// The input or output that it is about.
    pub(super) fn instance(&self) -> Option<(PluginKind, usize)> {
        match self {
            Self::Plugin(kind, index)
            | Self::Id(kind, index)
            | Self::Option(kind, index, _)
            | Self::More(kind, index)
            | Self::Check(kind, index) => Some((*kind, *index)),
            _ => None,
        }
    }

    /// Whether the pipeline cannot be written without an answer that is missing.
    pub(super) fn is_missing(&self, draft: &Draft, catalogue: &dyn Catalogue) -> bool {
        let instance = self.instance().and_then(|(kind, index)| draft.instances(kind).get(index));
        match (self, instance) {
            (Self::Plugin(kind, _), Some(instance)) => instance.descriptor(*kind, catalogue).is_none(),
            (Self::Id(..), Some(instance)) => instance.id.is_empty(),
            (Self::Option(kind, _, name), Some(instance)) => match instance.setting(name) {
                Some(Setting::Asked) => true,
                Some(_) => false,
                None => instance.descriptor(*kind, catalogue).is_some_and(|plugin| {
                    plugin.option(name).is_some_and(|option| {
                        // Settings may be in a file that `config` names.
                        !has_settings_file(instance) && instance.requires(plugin, option)
                    })
                }),
            },
            (Self::Times, _) => matches!(
                draft.schedule.as_ref().map(|schedule| &schedule.timing),
                Some(Timing::Every(text) | Timing::Cron(text)) if text.is_empty()
            ),
            _ => false,
        }
    }
}

/// Whether options of this instance may be in a settings file.
pub(super) fn has_settings_file(instance: &Instance) -> bool {
    instance.rest.iter().any(|entry| entry.key == "config")
}

/// All questions about a pipeline with these answers. `asks_name`: whether its name is a question.
pub(super) fn steps(draft: &Draft, asks_name: bool, catalogue: &dyn Catalogue) -> Vec<Step> {
    let mut steps = vec![Step::Ready];
    if asks_name {
        steps.push(Step::Name);
    }
    for kind in [PluginKind::Input, PluginKind::Output] {
        for index in 0..draft.instances(kind).len() {
            add_instance(&mut steps, draft, (kind, index), catalogue);
        }
        steps.push(Step::List(kind));
    }
    steps.extend([Step::Severity, Step::Kinds, Step::Schedule]);
    if matches!(
        draft.schedule.as_ref().map(|schedule| &schedule.timing),
        Some(Timing::Every(_) | Timing::Cron(_))
    ) {
        steps.push(Step::Times);
    }
    steps.push(Step::Service);
    if let Some(plan) = &draft.service {
        steps.extend([Step::ServiceName, Step::ServiceDescription, Step::StartAtBoot, Step::Console]);
        steps.extend(plan.console.as_ref().map(|_| Step::ConsoleAddress));
    }
    steps.push(Step::Summary);
    steps
}

/// The questions about one input or output.
fn add_instance(
    steps: &mut Vec<Step>,
    draft: &Draft,
    (kind, index): (PluginKind, usize),
    catalogue: &dyn Catalogue,
) {
    let instance = &draft.instances(kind)[index];
    steps.push(Step::Plugin(kind, index));
    if let Some(plugin) = instance.descriptor(kind, catalogue) {
        steps.push(Step::Id(kind, index));
        let asked = |name: &str| {
            plugin
                .option(name)
                .is_some_and(|option| instance.is_asked(plugin, option) && !has_settings_file(instance))
        };
        let option = |name: &str| Step::Option(kind, index, name.to_owned());
        let names = plugin.options.iter().map(|option| option.name.as_str());
        steps.extend(names.clone().filter(|name| asked(name)).map(option));
        steps.push(Step::More(kind, index));
        let is_set = |name: &&str| instance.setting(name).is_some() && !asked(name);
        steps.extend(names.filter(is_set).map(option));
        steps.push(Step::Check(kind, index));
    }
}

/// The first question without which the pipeline cannot be written.
pub(super) fn first_missing(steps: &[Step], draft: &Draft, catalogue: &dyn Catalogue) -> Option<usize> {
    steps.iter().position(|step| step.is_missing(draft, catalogue))
}
