//! The `plugin:` of an input or output.

use scanbridge_plugin_api::{Descriptor, Fips, PluginKind};

use super::check::start;
use super::checker::Checker;
use super::fields::Fields;
use super::settings::PLACEHOLDER;
use super::suggestion::nearest;
use super::tree::Node;

impl<'a> Checker<'a> {
    /// The plugin that an entry names, for an instance in this FIPS mode. Otherwise the problem is reported.
    pub(super) fn plugin(
        &mut self,
        node: &Node,
        fields: &Fields<'_>,
        owner: &str,
        (kind, fips): (PluginKind, Fips),
    ) -> Option<&'a Descriptor> {
        let catalogue = self.catalogue;
        let known = catalogue.names(kind);
        let word = kind.word();
        let listing = match known.as_slice() {
            [] => format!(
                "no {word} plugin found; set the plugin directory with --plugin-dir or SCANBRIDGE_PLUGIN_DIR"
            ),
            names => format!("available {word} plugins: {}", names.join(", ")),
        };
        let Some(value) = fields.get("plugin") else {
            self.collector
                .error("missing-key", &start(node), format!("{owner} has no `plugin`"))
                .help(format!("add `plugin: NAME`; {listing}"));
            return None;
        };
        let name = self.text(value, "plugin")?.text;
        if name == PLACEHOLDER {
            self.collector
                .error("placeholder", &value.span, format!("{owner} still has a placeholder"))
                .help(listing);
            return None;
        }
        if let Some(reason) = catalogue.refusal_in_fips_mode(kind, &name).filter(|_| !fips.is_off()) {
            self.collector.error("refused-plugin", &value.span, reason);
            return None;
        }
        if let Some(found) = catalogue.find(kind, &name) {
            return Some(found);
        }
        if let Some(reason) = catalogue.refusal(kind, &name) {
            self.collector.error("refused-plugin", &value.span, reason);
            return None;
        }
        let other = if kind == PluginKind::Input { PluginKind::Output } else { PluginKind::Input };
        let label = match catalogue.find(other, &name) {
            Some(found) => format!("`{}` is an {} plugin; move it under `{1}s:`", found.name, other.word()),
            None => nearest(&name, known.iter().map(String::as_str))
                .map(|nearest_word| format!("did you mean `{nearest_word}`?"))
                .unwrap_or_default(),
        };
        let refused = catalogue.refused();
        let refused = match refused.as_slice() {
            [] => String::new(),
            refused => {
                let more = refused.len().saturating_sub(MOST_REFUSED);
                let more = if more > 0 { format!("; and {more} more") } else { String::new() };
                let shown = &refused[..refused.len().min(MOST_REFUSED)];
                format!("; libraries that could not be loaded: {}{more}", shown.join("; "))
            }
        };
        self.collector
            .error("unknown-plugin", &value.span, format!("unknown {word} plugin `{name}`"))
            .label(label)
            .help(format!("{listing}{refused}"));
        None
    }
}

/// `scanbridge plugin list` shows the others.
const MOST_REFUSED: usize = 5;
