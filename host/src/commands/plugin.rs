//! `scanbridge plugin`.

use std::collections::BTreeSet;

use scanbridge_plugin_api::{Descriptor, PluginKind};

use super::terminal::{error_style, print_error, print_output, width};
use crate::cli::{
    DescribeFormat, Format, ListedPlugin, NO_PLUGINS, RefusedLibrary, describe_plugin, list_plugins,
};
use crate::config::{Problems, nearest};
use crate::exam::{self, Refused};
use crate::exit_code::USAGE;
use crate::plugins::{Claim, Refusal, Registry, Unavailable};

const NOTE_ABORT: &str =
    "built with panic = abort: a panic in this plugin ends the whole run without a summary";

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
    let duplicates = registry.duplicates();
    for duplicate in &duplicates {
        print_error(&format!("error: {duplicate}\n"));
    }
    let code = if duplicates.is_empty() { 0 } else { Problems::EXIT_CODE };
    print_output(&list_plugins(&plugins, &refused, format, width()), code)
}

/// Shows the plugins of this name, or one option of them.
pub(super) fn describe(name: &str, option: Option<&str>, format: DescribeFormat, registry: &Registry) -> u8 {
    let kinds = [PluginKind::Input, PluginKind::Output];
    let claims = kinds.map(|kind| registry.claim(kind, name));
    if claims.iter().all(|claim| matches!(claim, Err(Unavailable::Unknown { .. }))) {
        return unknown(name, registry);
    }
    let mut code = 0;
    let mut found = Vec::new();
    for claim in claims {
        let described =
            claim.and_then(|claim| Ok((claim, claim.library.descriptor(claim.kind, claim.name)?)));
        match described {
            Ok(described) => found.push(described),
            Err(Unavailable::Unknown { .. }) => {}
            Err(error) => {
                print_error(&format!("error: {error}\n"));
                code = Problems::EXIT_CODE;
            }
        }
    }
    let has = |descriptor: &Descriptor| option.is_none_or(|option| descriptor.option(option).is_some());
    if let Some(option) = option.filter(|_| code == 0 && !found.iter().any(|(_, of)| has(of))) {
        return unknown_option(name, option, found.iter().map(|(_, descriptor)| *descriptor));
    }
    for (claim, descriptor) in found.into_iter().filter(|(_, descriptor)| has(descriptor)) {
        let plugin = listed(claim, descriptor);
        code = print_output(&describe_plugin(&plugin, option, format, width()), code);
    }
    code
}

fn unknown_option<'a>(plugin: &str, name: &str, descriptors: impl Iterator<Item = &'a Descriptor>) -> u8 {
    let known = descriptors.flat_map(|descriptor| &descriptor.options).map(|option| option.name.as_str());
    let near = nearest(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    print_error(&format!("error: unknown option `{name}`{near}\n"));
    print_error(&format!("  = help: `scanbridge plugin describe {plugin}` lists the options\n"));
    Problems::EXIT_CODE
}

pub(super) fn test(request: &exam::Request, format: Format) -> u8 {
    let (message, code) = match exam::examine(request) {
        Ok(outcome) => {
            let text = match format {
                Format::Text => outcome.text,
                Format::Json => format!("{:#}\n", outcome.json),
            };
            return print_output(&text, outcome.exit_code);
        }
        Err(Refused::Config(problems)) => {
            print_error(&problems.render_with_outcome(error_style(), "; nothing was examined"));
            return Problems::EXIT_CODE;
        }
        Err(Refused::Library(reason)) => (reason, Problems::EXIT_CODE),
        Err(Refused::UnknownCheck(id)) => {
            (format!("unknown check `{id}`; there are G1 to G8, O1 to O9 and I1 to I7"), USAGE)
        }
        Err(Refused::Io(error)) => {
            (format!("{} cannot be examined: {error}", request.library.display()), NO_INPUT)
        }
    };
    print_error(&format!("error: {message}\n"));
    code
}

/// `EX_NOINPUT`.
const NO_INPUT: u8 = 66;

pub(super) fn unknown(name: &str, registry: &Registry) -> u8 {
    let known: BTreeSet<&str> = registry.claims().iter().map(|claim| claim.name).collect();
    let near = nearest(name, known.iter().copied());
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    print_error(&format!("error: unknown plugin `{name}`{near}\n"));
    print_error(&if known.is_empty() {
        format!("  = help: {NO_PLUGINS}\n")
    } else {
        format!("  = help: installed plugins: {}\n", Vec::from_iter(known).join(", "))
    });
    Problems::EXIT_CODE
}

fn listed<'a>(claim: Claim<'a>, descriptor: &'a Descriptor) -> ListedPlugin<'a> {
    let identity = claim.library.identity();
    let note = if identity.panic_unwinds { "" } else { NOTE_ABORT };
    ListedPlugin { descriptor, file: claim.library.path(), note, crypto: identity.crypto }
}
