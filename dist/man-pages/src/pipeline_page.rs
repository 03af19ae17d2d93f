//! The page of pipeline files: the keys of the host, from its own table.

use clap_mangen::roff::{Roff, bold, roman};
use scanbridge::cli::{DescribedKey, host_keys};

use crate::command_page::references;
use crate::{DATE, MANUAL, Page, SOURCE};

const NAME: &str = "scanbridge-pipeline";

/// The page of pipeline files.
pub(crate) fn page() -> Page {
    let mut roff = Roff::new();
    roff.control("TH", [NAME, "5", DATE, SOURCE, MANUAL]);
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{NAME} - the inputs, filters and outputs of a pipeline of Scanbridge"))]);
    roff.control("SH", ["DESCRIPTION"]);
    for paragraph in DESCRIPTION {
        roff.control("PP", []);
        roff.text([roman(paragraph)]);
    }
    roff.control("SH", ["EXAMPLE"]);
    roff.control("nf", []);
    EXAMPLE.lines().for_each(|line| {
        roff.text([roman(line)]);
    });
    roff.control("fi", []);
    for (heading, introduction, keys) in host_keys() {
        roff.control("SH", [heading.to_uppercase().as_str()]);
        roff.text([roman(introduction)]);
        for DescribedKey { name, facts, help } in keys {
            roff.control("TP", []);
            roff.text([bold(name), roman(format!(" ({facts})"))]);
            roff.text([roman(help)]);
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text(references(&[
        "scanbridge",
        "scanbridge-check",
        "scanbridge-run",
        "scanbridge-plugin-describe",
        "scanbridge-config-example",
    ]));
    Page { file: format!("{NAME}.5"), text: roff.render() }
}

const DESCRIPTION: [&str; 4] = [
    "A pipeline file is YAML. `version: 1` comes first; `inputs` and `outputs` are lists. Each entry has an `id`, the name \
     of a `plugin`, and the options of that plugin under `with`, or in a settings file that `config` names. \
     `scanbridge plugin describe NAME` lists the options of a plugin.",
    "`filter` at the top applies to all outputs, `filter` in an output to that output. A finding must match all conditions; \
     one that matches a condition of `exclude` is not delivered.",
    "A value can contain `${env:NAME}`, `${env:NAME:-default}`, `${file:PATH}` and `${credential:NAME}` (of systemd). Keys \
     at the top that begin with `x-` are ignored. A key such as `checkpoint.secs` is written as `secs` in the mapping \
     `checkpoint`.",
    "`scanbridge check FILE` reports all errors of a file, and `scanbridge config example PLUGIN...` prints one with every \
     option.",
];

const EXAMPLE: &str = "\
version: 1
inputs:
  - id: scans
    plugin: QualysGuardFile
    with: { path: /var/spool/scans }
filter: { min_severity: 3, kinds: [vulnerability, potential] }
outputs:
  - id: sheet
    plugin: CSV
    with: { path: out/findings.csv }";
