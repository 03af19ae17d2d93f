//! The key `fips` of a pipeline, an input or an output.

use scanbridge_plugin_api::Fips;

use super::checker::Checker;
use super::fields::Fields;
use super::host_options::HostSettings;
use crate::fips::{NEEDS_FIPS_BUILD, not_fips_build};

impl Checker<'_> {
    /// The mode of the mapping with these settings: the stricter one of its own and of what it is part of. In the normal
    /// build a mode other than `off` is an error, and does not apply to the rest of the check.
    pub(super) fn fips_mode(&mut self, fields: &Fields<'_>, host: &HostSettings) -> Fips {
        let own = host.text("fips").and_then(|word| word.parse().ok()).unwrap_or_default();
        let mode = self.fips.max(own);
        if mode.is_off() || self.catalogue.is_fips_build() {
            return mode;
        }
        if let Some(node) = fields.get("fips") {
            self.collector.error("fips", &node.span, not_fips_build(own)).help(NEEDS_FIPS_BUILD);
        }
        Fips::Off
    }
}
