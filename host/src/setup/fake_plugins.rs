//! Plugins and a machine that exist only in the tests of the wizard.

use scanbridge_plugin_api::{Descriptor, OptionDescriptor, PluginKind};

use super::live_check::{Finding, Trial};
use crate::config::{Catalogue, Pipeline};

/// Plugins that exist only here.
pub(super) struct Plugins(pub(super) Vec<Descriptor>);

impl Catalogue for Plugins {
    fn find(&self, kind: PluginKind, name: &str) -> Option<&Descriptor> {
        self.0.iter().find(|plugin| plugin.kind == kind && plugin.name.eq_ignore_ascii_case(name))
    }

    fn names(&self, kind: PluginKind) -> Vec<String> {
        self.0.iter().filter(|plugin| plugin.kind == kind).map(|plugin| plugin.name.clone()).collect()
    }
}

pub(super) fn plugin(name: &str, kind: PluginKind, options: Vec<OptionDescriptor>) -> Descriptor {
    Descriptor {
        name: name.to_owned(),
        kind,
        version: "1.0.0".to_owned(),
        summary: format!("Does \u{1b}[31mwhat\u{202e} {name} does"),
        api: "2.0".to_owned(),
        tables: Vec::new(),
        capabilities: serde_json::Value::Null,
        options,
        crypto: None,
    }
}

/// A machine on which everything works.
pub(super) struct Nothing;

impl Trial for Nothing {
    fn open(&self, _: &Pipeline, _: bool) -> Vec<Finding> {
        Vec::new()
    }

    fn preview(&self, _: &Pipeline, _: u64) -> String {
        "nothing\n".to_owned()
    }
}
