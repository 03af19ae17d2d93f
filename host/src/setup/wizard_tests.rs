//! The wizard with answers in a script.

use std::fs;

use super::saved_answers::SavedAnswers;
use super::wizard_script::Typed::{Back, Enter, Leave as Stop, Mark, Row, Text};
use super::wizard_script::run;
use super::write::Target;

#[test]
fn interrupted_set_up_continues_and_a_finished_one_is_the_default() {
    let folder = tempfile::tempdir().unwrap();
    // Back corrects an answer; the set-up is left at the second plugin.
    let (written, _) = run(
        folder.path(),
        &[
            ("ready?", Enter),
            ("name:", Text("nightly")),
            ("input:", Enter),
            ("id:", Enter),
            ("user:", Text("wrong")),
            ("token:", Back),
            ("user:", Text("anna")),
            ("token:", Text("t0ken")),
            ("options:", Mark(&["pages"])),
            ("pages:", Text("4")),
            ("acme:", Row("continue")),
            ("inputs:", Enter),
            ("output:", Enter),
            ("id:", Text("siem")),
            ("transport:", Stop),
        ],
    );
    assert_eq!(written, None);
    let stored =
        fs::read_to_string(SavedAnswers::of(&Target::Folder(folder.path().to_owned())).path()).unwrap();
    assert!(stored.contains("anna") && !stored.contains("t0ken"), "{stored}");

    // The secret is asked for again, and then what was not answered.
    let (written, shown) = run(
        folder.path(),
        &[
            ("token:", Text("t0ken")),
            ("transport:", Row("tcp")),
            ("address:", Text("${env:HOST:-a}:1")),
            ("siem:", Row("test")),
            ("outputs:", Enter),
            ("min_severity:", Row("severity 3")),
            ("kinds:", Mark(&["potential", "vulnerability"])),
            ("schedule:", Row("at an interval")),
            ("every_minutes:", Text("30")),
            ("service:", Enter),
            ("what now?", Row("change")),
            ("change:", Row("siem · transport")),
            ("transport:", Row("file")),
            ("path:", Text("a b.cef")),
            ("what now?", Row("show")),
            ("what now?", Row("write")),
        ],
    );
    insta::assert_snapshot!(written.unwrap(), @r"
    version: 1
    filter:
      min_severity: 3
      kinds:
        - vulnerability
        - potential
    schedule:
      every_minutes: 30
    inputs:
      - id: acme
        plugin: Acme
        with:
          user: anna
          token: '${file:secrets/nightly-acme-token}'
          pages: 4
    outputs:
      - id: siem
        plugin: Relay
        with:
          transport: file
          path: 'a b.cef'
    ");
    assert!(shown.contains("`address` has no effect with this answer and was removed"), "{shown}");
    assert_eq!(fs::read_to_string(folder.path().join("secrets/nightly-acme-token")).unwrap(), "t0ken");

    // The file is the default of the next set-up; what nothing asks for stays.
    let file = folder.path().join("nightly.yaml");
    let more = "dead_letter_bytes: 1 MiB\ninputs:";
    let old = fs::read_to_string(&file).unwrap().replace("inputs:", more);
    fs::write(
        &file,
        old.replace("    - vulnerability\n    - potential\n", "    - service\n  qids: [38170]\n"),
    )
    .unwrap();
    let (written, shown) = run(
        folder.path(),
        &[
            ("ready?", Enter),
            ("name:", Text("nightly")),
            ("what now?", Row("change")),
            ("change:", Row("acme · token")),
            ("token:", Enter),
            ("what now?", Row("change")),
            ("change:", Row("acme · other options")),
            ("options:", Mark(&[])),
            ("what now?", Row("change")),
            ("change:", Row("outputs")),
            ("outputs:", Row("add")),
            ("output:", Enter),
            ("id:", Enter),
            ("transport:", Enter),
            ("path:", Text("b.cef")),
            ("relay:", Row("continue")),
            ("outputs:", Row("remove siem")),
            ("outputs:", Enter),
            ("what now?", Row("change")),
            ("change:", Row("filter · min_severity")),
            ("min_severity:", Row("everything")),
            ("what now?", Row("write")),
        ],
    );
    insta::assert_snapshot!(written.unwrap(), @r"
    version: 1
    dead_letter_bytes: '1 MiB'
    filter:
      kinds:
        - service
      qids:
        - 38170
    schedule:
      every_minutes: 30
    inputs:
      - id: acme
        plugin: Acme
        with:
          user: anna
          token: '${file:secrets/nightly-acme-token}'
    outputs:
      - id: relay
        plugin: Relay
        with:
          transport: file
          path: b.cef
    ");
    assert!(folder.path().join("nightly.yaml.old").exists());
    assert!(shown.contains("the filter keeps its other conditions: qids"), "{shown}");
}

/// An option that was marked and then left at its default has no question any more; the next one follows.
#[test]
fn marked_option_without_a_value_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (written, _) = run(
        folder.path(),
        &[
            ("ready?", Enter),
            ("name:", Enter),
            ("input:", Enter),
            ("id:", Enter),
            ("user:", Text("anna")),
            ("token:", Text("${env:TOKEN:-x}")),
            ("options:", Mark(&["pages"])),
            ("pages:", Enter),
            ("acme:", Back),
            ("options:", Enter),
            ("acme:", Stop),
        ],
    );
    assert_eq!(written, None);
}

/// A value outside the choices gets a row of its own: it stays, or is replaced.
#[test]
fn each_form_of_an_existing_filter_can_stay_or_change() {
    let reference = "${env:SCANBRIDGE_NO_SUCH:-4}";
    let kinds = "${env:SCANBRIDGE_NO_SUCH:-service,potential}";
    for (filter, severity, marks, expected) in [
        ("{ min_severity: 1 }", Enter, Enter, "  min_severity: 1\n"),
        ("{ min_severity: 1 }", Row("everything"), Enter, ""),
        ("{ min_severity: 4 }", Row("severity 2 and higher"), Enter, "  min_severity: 2\n"),
        (
            "{ min_severity: '${env:SCANBRIDGE_NO_SUCH:-4}' }",
            Row(reference),
            Enter,
            "  min_severity: '${env:SCANBRIDGE_NO_SUCH:-4}'\n",
        ),
        ("{ kinds: 'Service, potential' }", Enter, Enter, "  kinds: 'Service, potential'\n"),
        (
            "{ kinds: 'Service, potential' }",
            Enter,
            Mark(&["potential", "service"]),
            "  kinds: 'Service, potential'\n",
        ),
        ("{ kinds: 'Service, potential' }", Enter, Mark(&["service"]), "  kinds:\n    - service\n"),
        (
            "{ kinds: '${env:SCANBRIDGE_NO_SUCH:-service,potential}' }",
            Enter,
            Mark(&[kinds, "information"]),
            "  kinds:\n    - information\n    - '${env:SCANBRIDGE_NO_SUCH:-service,potential}'\n",
        ),
        ("{ kinds: [service] }", Enter, Mark(&[]), ""),
        ("{ exclude: { qids: 7 }, kinds: [service] }", Enter, Mark(&[]), "  exclude:\n    qids: 7\n"),
        ("", Row("severity 5"), Enter, "  min_severity: 5\n"),
        ("nonsense", Row("severity 5"), Enter, "  min_severity: 5\n"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "version: 1\nfilter: {filter}\ninputs:\n  - {{ id: a, plugin: Acme, with: {{ user: u, token: '${{env:T:-x}}' }} }}\n\
             outputs:\n  - {{ id: b, plugin: Relay, with: {{ path: o }} }}\n"
        );
        fs::write(folder.path().join("p.yaml"), text).unwrap();
        let change = |row: &'static str| [("what now?", Row("change")), ("change:", Row(row))];
        let mut answers = vec![("ready?", Enter), ("name:", Text("p"))];
        answers.extend(change("filter · min_severity"));
        answers.push(("min_severity:", severity));
        answers.extend(change("filter · kinds"));
        answers.extend([("kinds:", marks), ("what now?", Row("write"))]);
        let (written, _) = run(folder.path(), &answers);
        let expected = if expected.is_empty() { String::new() } else { format!("filter:\n{expected}") };
        let written = written.unwrap();
        assert_eq!(
            written,
            format!("version: 1\n{expected}{}", &written[written.find("inputs:").unwrap()..]),
            "{filter}"
        );
    }
}
