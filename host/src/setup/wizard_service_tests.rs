//! The questions about the service.

use std::fs;
use std::path::Path;

use super::wizard_script::Typed::{self, Back, Enter, Leave as Stop, Row, Text};
use super::wizard_script::run;

const FILE: &str = "\
version: 1
inputs:
  - { id: a, plugin: Acme, with: { user: u, token: '${env:T:-x}' } }
outputs:
  - { id: b, plugin: Relay, with: { path: o } }
";

/// Answers the questions with the pipeline `p`, which exists, and begins at the summary.
fn answers<'s>(more: &[(&'s str, Typed<'s>)]) -> Vec<(&'s str, Typed<'s>)> {
    [&[("ready?", Enter), ("name:", Text("p"))], more].concat()
}

/// Like [`answers`], after a service with all defaults up to the question about the console.
fn service_up_to_the_console<'s>(more: &[(&'s str, Typed<'s>)]) -> Vec<(&'s str, Typed<'s>)> {
    let service: &[(&str, Typed<'_>)] = &[
        ("what now?", Row("change")),
        ("change:", Row("service: no")),
        ("service:", Row("yes")),
        ("name of the unit:", Enter),
        ("description:", Enter),
        ("start at boot:", Enter),
    ];
    answers(&[service, more].concat())
}

fn with_pipeline() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.yaml"), FILE).unwrap();
    folder
}

fn service_file(folder: &Path) -> String {
    fs::read_to_string(folder.join("service.yaml")).unwrap()
}

#[test]
fn service_is_asked_for_shown_and_written() {
    let folder = with_pipeline();
    // Back from each question, and an interruption: the answers are kept.
    let (written, _) = run(
        folder.path(),
        &answers(&[
            ("what now?", Row("change")),
            ("change:", Row("service: no")),
            ("service:", Row("yes")),
            ("name of the unit:", Text("bridge")),
            ("description:", Back),
            ("name of the unit:", Enter),
            ("description:", Text("Anna's bridge")),
            ("start at boot:", Row("no")),
            ("console:", Row("yes")),
            ("listen:", Back),
            ("console:", Enter),
            ("listen:", Text("[::1]:9009")),
            ("what now?", Stop),
        ]),
    );
    assert_eq!(written, None);
    let (written, shown) = run(
        folder.path(),
        &[
            ("token:", Text("t")),
            ("what now?", Row("change")),
            ("change:", Row("service · description: Anna's bridge")),
            ("description:", Text("Bridge of Anna")),
            ("what now?", Row("write")),
        ],
    );
    assert!(written.unwrap().contains("id: a"));
    insta::assert_snapshot!(service_file(folder.path()), @r"
    # Settings of the service. `scanbridge config service FILE` checks them.
    service: 1
    # Pipeline files, and directories that contain them. Relative paths begin at the directory of this file.
    pipelines:
      - p.yaml
    # The console and the API. Without this key there is no TCP listener. Addresses other than loopback use TLS.
    console:
      listen: '[::1]:9009'
    # Simultaneous runs; the others wait, the oldest first.
    # max_running: 4
    # Where the lines of the log go: stderr, journal or file.
    # log: { to: stderr, level: info }
    ");
    let command = format!(
        "scanbridge service install --config {}/service.yaml --name bridge --description 'Bridge of Anna' --no-enable \
         --start",
        folder.path().display()
    );
    assert!(shown.contains(&command), "{shown}");

    // Set up again, its console is the default; without one its key is gone.
    let (_, shown) = run(
        folder.path(),
        &service_up_to_the_console(&[
            ("console:", Row("no")),
            ("what now?", Row("change")),
            ("change:", Row("service · console: no")),
            ("console:", Enter),
            ("what now?", Row("write")),
        ]),
    );
    assert!(shown.contains("--name scanbridge --description Scanbridge --enable"), "{shown}");
    assert!(!service_file(folder.path()).contains("console:"), "{}", service_file(folder.path()));
    assert!(folder.path().join("service.yaml.old").exists());
}

#[test]
fn second_pipeline_is_added_to_the_service_file() {
    let folder = with_pipeline();
    fs::write(folder.path().join("service.yaml"), "service: 1\npipelines: [q.yaml] # ours\nmax_running: 7\n")
        .unwrap();
    let yes = service_up_to_the_console(&[("console:", Enter), ("what now?", Row("write"))]);
    run(folder.path(), &yes);
    let expected = "service: 1\npipelines:  # ours\n  - q.yaml\n  - p.yaml\nmax_running: 7\n";
    assert_eq!(service_file(folder.path()), expected);
    // Nothing is to be changed any more, so that the earlier file is still the copy.
    run(folder.path(), &yes);
    assert_eq!(service_file(folder.path()), expected);
    assert!(fs::read_to_string(folder.path().join("service.yaml.old")).unwrap().contains("[q.yaml]"));
}

#[test]
fn invalid_service_file_is_not_replaced() {
    let folder = with_pipeline();
    fs::write(folder.path().join("service.yaml"), "service: 1\npiplines: [q.yaml]\n").unwrap();
    let (_, shown) = run(
        folder.path(),
        &answers(&[
            ("what now?", Row("change")),
            ("change:", Row("service: no")),
            ("service:", Row("yes")),
            ("service:", Row("no")),
            ("what now?", Row("write")),
        ]),
    );
    assert!(shown.contains("did you mean `pipelines`"), "{shown}");
    assert!(service_file(folder.path()).contains("piplines"));
    // A pipeline cannot have the name of the service file.
    let (_, _) = run(folder.path(), &[("ready?", Enter), ("name:", Stop)]);
}
