//! `scanbridge plugin`.

use scanbridge_plugin_api::Descriptor;

use super::terminal::{print, print_error, width};
use crate::cli::{Format, ListedPlugin, RefusedLibrary, describe_plugin, list_plugins};
use crate::config::Problems;
use crate::plugins::{Claim, Refusal, Registry};

const NOTE_ABORT: &str = "built with panic = abort: a bug in it ends the whole run";

pub(super) fn list(format: Format, registry: &Registry) -> u8 {
    let claims = registry.claims();
    let described: Vec<(Claim<'_>, Result<&Descriptor, Refusal>)> =
        claims.iter().map(|claim| (*claim, claim.library.descriptor(claim.kind, claim.name))).collect();
    let plugins: Vec<ListedPlugin<'_>> = described
        .iter()
        .filter_map(|(claim, descriptor)| Some(listed(*claim, descriptor.as_ref().ok()?)))
        .collect();
    let unloadable = described.iter().filter_map(|(_, descriptor)| descriptor.as_ref().err());
    let refused: Vec<(&std::path::Path, String)> = registry
        .refusals()
        .iter()
        .chain(unloadable)
        .map(|refusal| (refusal.path(), refusal.to_string()))
        .collect();
    let refused: Vec<RefusedLibrary<'_>> =
        refused.iter().map(|(file, reason)| RefusedLibrary { file, reason }).collect();
    print(&list_plugins(&plugins, &refused, format, width()));
    let clashes = registry.clashes();
    for clash in &clashes {
        print_error(&format!("error: {clash}\n"));
    }
    if clashes.is_empty() { 0 } else { Problems::EXIT_CODE }
}

pub(super) fn describe(name: &str, format: Format, registry: &Registry) -> u8 {
    let claims = registry.claims();
    let named: Vec<&Claim<'_>> =
        claims.iter().filter(|claim| claim.name.eq_ignore_ascii_case(name)).collect();
    if named.is_empty() {
        let mut known: Vec<&str> = claims.iter().map(|claim| claim.name).collect();
        known.dedup();
        print_error(&format!("error: there is no plugin `{name}`; there are: {}\n", known.join(", ")));
        return Problems::EXIT_CODE;
    }
    let mut code = 0;
    for claim in named {
        match registry.descriptor(claim.kind, claim.name) {
            Ok(descriptor) => print(&describe_plugin(&listed(*claim, descriptor), format, width())),
            Err(error) => {
                print_error(&format!("error: {error}\n"));
                code = Problems::EXIT_CODE;
            }
        }
    }
    code
}

fn listed<'a>(claim: Claim<'a>, descriptor: &'a Descriptor) -> ListedPlugin<'a> {
    let note = if claim.library.identity().panic_unwinds { "" } else { NOTE_ABORT };
    ListedPlugin { descriptor, file: claim.library.path(), note }
}
