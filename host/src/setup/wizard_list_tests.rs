//! Several inputs and outputs, and files that exist, in the wizard.

use std::fs;

use super::wizard_script::Typed::{Enter, Row, Text};
use super::wizard_script::run;

/// The file of a pipeline with two outputs.
const FILE: &str = "\
# nightly
version: 1
inputs:
  # the first source
  - id: a   # never rename
    plugin: Acme
    with: { user: u, token: '${env:T:-x}' }
outputs:
  - { id: b, plugin: Relay, with: { path: o } }
  # to be removed
  - { id: c, plugin: Relay, with: { path: p } }
  # - { id: d, plugin: Relay }
";

#[test]
fn second_input_is_added_and_the_first_one_removed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.yaml"), FILE).unwrap();
    let (written, _) = run(
        folder.path(),
        &[
            ("ready?", Enter),
            ("name:", Text("p")),
            ("what now?", Row("change")),
            ("change:", Row("inputs: add")),
            ("inputs:", Row("add another input")),
            ("input:", Enter),
            ("id:", Text("second")),
            ("user:", Text("anna")),
            ("token:", Text("${env:T:-y}")),
            ("options:", Enter),
            ("second:", Row("continue")),
            ("inputs:", Row("remove a")),
            ("inputs:", Enter),
            ("what now?", Row("write")),
        ],
    );
    insta::assert_snapshot!(written.unwrap(), @r"
    # nightly
    version: 1
    inputs:
      - id: second
        plugin: Acme
        with:
          user: anna
          token: '${file:secrets/p-second-token}'
    outputs:
      - id: b
        plugin: Relay
        with:
          path: o
      # to be removed
      - id: c
        plugin: Relay
        with:
          path: p
      # - { id: d, plugin: Relay }
    ");
    assert_eq!(fs::read_to_string(folder.path().join("p.yaml.old")).unwrap(), FILE);
}

/// Comments of keys that stay are kept, and the summary says how many are lost before anything is written.
#[test]
fn comments_of_an_existing_file_stay() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.yaml"), FILE).unwrap();
    let (written, shown) = run(
        folder.path(),
        &[
            ("ready?", Enter),
            ("name:", Text("p")),
            ("what now?", Row("change")),
            ("change:", Row("a · user")),
            ("user:", Text("anna")),
            ("what now?", Row("change")),
            ("change:", Row("outputs")),
            ("outputs:", Row("remove c")),
            ("outputs:", Enter),
            ("what now?", Row("write")),
        ],
    );
    let written = written.unwrap();
    insta::assert_snapshot!(written, @r"
    # nightly
    version: 1
    inputs:
      # the first source
      - id: a  # never rename
        plugin: Acme
        with:
          user: anna
          token: '${env:T:-x}'
    outputs:
      - id: b
        plugin: Relay
        with:
          path: o
      # - { id: d, plugin: Relay }
    ");
    assert_eq!(fs::read_to_string(folder.path().join("p.yaml")).unwrap(), written);
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for counts in ["comments kept: 5, lost with their keys: 0", "comments kept: 4, lost with their keys: 1"] {
        assert!(shown.contains(counts), "{counts}: {shown}");
    }
}
