//! Circles between the files of a crate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::modules::Modules;

/// Which file names items of which other file, and where: from, to, then the places.
type Arrows = BTreeMap<(usize, usize), Vec<String>>;

/// The circles between the files of one crate, each with the paths that make it, and the number of files that were
/// read. The paths of the sources are relative to `src`.
pub(crate) fn circles(sources: &[(PathBuf, String)]) -> (Vec<String>, usize) {
    let modules = Modules::read(sources);
    let arrows = arrows(&modules);
    let reachable: Vec<BTreeSet<usize>> =
        (0..modules.files.len()).map(|file| reachable(&arrows, file)).collect();
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for file in 0..modules.files.len() {
        let circle: BTreeSet<usize> =
            reachable[file].iter().copied().filter(|other| reachable[*other].contains(&file)).collect();
        if !circle.is_empty() && seen.insert(circle.clone()) {
            found.push(described(&modules, &arrows, &circle));
        }
    }
    (found, modules.files.len())
}

fn arrows(modules: &Modules) -> Arrows {
    let mut arrows = Arrows::new();
    for (index, module) in modules.all.iter().enumerate() {
        // A re-export alone is not a use of the item.
        let imports = module.imports.iter().filter(|import| !import.is_reexport);
        let imports = imports.map(|import| (import.line, &import.path));
        for (line, path) in imports.chain(module.paths.iter().map(|(line, path)| (*line, path))) {
            if let Some(to) = modules.defining_file(index, path).filter(|to| *to != module.file) {
                arrows
                    .entry((module.file, to))
                    .or_default()
                    .push(format!("line {line}: {}", path.join("::")));
            }
        }
    }
    arrows
}

/// The files that a file needs, directly or through others. It is one of them only if there is a circle.
fn reachable(arrows: &Arrows, file: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut open = vec![file];
    while let Some(from) = open.pop() {
        let next = arrows.keys().filter(|arrow| arrow.0 == from).map(|arrow| arrow.1);
        open.extend(next.filter(|to| found.insert(*to)));
    }
    found
}

fn described(modules: &Modules, arrows: &Arrows, circle: &BTreeSet<usize>) -> String {
    let name = |file: &usize| modules.files[*file].display().to_string();
    let mut text = circle.iter().map(name).collect::<Vec<_>>().join(", ");
    for ((from, to), places) in arrows {
        if circle.contains(from) && circle.contains(to) {
            let mut places = places.clone();
            places.dedup();
            text += &format!("\n    {} → {}: {}", name(from), name(to), places.join("; "));
        }
    }
    text
}
