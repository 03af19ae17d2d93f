//! Exit codes are a stable interface, because scripts depend on them.

use std::fs;
use std::net::{Shutdown, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::installation::project_file;
use crate::sandbox::{CEF, CSV, Outcome, Sandbox, pipeline};

fn scan() -> String {
    format!("path: {:?}", project_file("examples/reports/scan.xml"))
}

fn run(arguments: &[&str]) -> Outcome {
    Outcome::of(Sandbox::new().host(arguments).output().unwrap())
}

#[test]
fn all_delivered_exits_0() {
    Sandbox::new().run(&pipeline(&scan(), &[CSV])).expect_code(0);
}

#[test]
fn usage_error_exits_64() {
    for arguments in [&["run"][..], &["run", "a.yaml", "--no-such-option"], &["no-such-command"], &[]] {
        let outcome = run(arguments).expect_code(64);
        assert!(outcome.stderr.contains("Usage"), "{arguments:?}: {}", outcome.stderr);
    }
}

#[test]
fn help_and_version_exit_0_on_standard_output() {
    for arguments in [["--help"], ["--version"]] {
        let outcome = run(&arguments).expect_code(0);
        assert!(outcome.stdout.contains("scanbridge"), "{arguments:?}: {}", outcome.stdout);
    }
}

#[test]
fn reports_of_another_kind_exit_65() {
    let pages = [
        ("page.xml", "<!DOCTYPE html>\n<html><body><h1>Sign in</h1></body></html>\n", "HTML"),
        ("list.json", "[{\"ip\": \"192.0.2.1\"}]\n", "JSON"),
        ("map.xml", "<?xml version=\"1.0\"?><MAP value=\"map/1.2\"></MAP>", "MAP"),
        (
            "error.xml",
            "<?xml version=\"1.0\"?><SIMPLE_RETURN><RESPONSE><DATETIME>2026-03-04T10:14:53Z</DATETIME>\
             <CODE>7001</CODE><TEXT>Report cannot be fetched.</TEXT></RESPONSE></SIMPLE_RETURN>",
            "Report cannot be fetched.",
        ),
    ];
    for (name, content, part) in pages {
        let sandbox = Sandbox::new();
        let report = sandbox.write(name, content);
        let outcome = sandbox.run_report(&report);
        assert_eq!(outcome.code, Some(65), "{name}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(part), "{name}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(name), "{name}: {}", outcome.stderr);
        assert!(!sandbox.path("findings.csv").exists(), "{name}");
    }
}

#[test]
fn empty_report_exits_66() {
    let sandbox = Sandbox::new();
    let report = sandbox.write("empty.xml", "");
    let outcome = sandbox.run_report(&report).expect_code(66);
    assert!(outcome.stderr.contains("empty.xml is empty"), "{}", outcome.stderr);
}

#[test]
fn missing_report_exits_66() {
    let outcome = Sandbox::new().run(&pipeline("path: nowhere/scan.xml", &[CSV])).expect_code(66);
    assert!(outcome.stderr.contains("nowhere/scan.xml"), "{}", outcome.stderr);
}

#[test]
fn pattern_without_match_exits_66() {
    Sandbox::new().run(&pipeline("path: '*.xml'", &[CSV])).expect_code(66);
}

#[test]
fn output_that_cannot_be_created_exits_73() {
    let sheet = "{ id: sheet, plugin: CSV, with: { path: no-such-folder/findings.csv } }";
    let outcome = Sandbox::new().run(&pipeline(&scan(), &[sheet])).expect_code(73);
    assert!(outcome.stderr.contains("no-such-folder"), "{}", outcome.stderr);
}

#[test]
fn full_disk_exits_74() {
    let sheet = "{ id: sheet, plugin: CSV, with: { path: /dev/full } }";
    let outcome = Sandbox::new().run(&pipeline(&scan(), &[sheet])).expect_code(74);
    assert!(outcome.stderr.contains("/dev/full"), "{}", outcome.stderr);
}

#[test]
fn invalid_pipeline_exits_78_without_running() {
    let sandbox = Sandbox::new();
    let text = "version: 1\ninputs:\n  - { id: a, plugin: QualysGuardFile, with: { pth: x.xml } }\noutputs:\n  - { id: b, plugin: CVS, with: { path: b.csv } }\n";
    let outcome = sandbox.run(text).expect_code(78);
    for part in ["pth", "path", "CVS", "CSV", "pipeline.yaml:3", "pipeline.yaml:5"] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
    assert_eq!(sandbox.names(), ["pipeline.yaml"]);
}

#[test]
fn missing_pipeline_is_reported_by_name() {
    let outcome = run(&["run", "no-such-pipeline.yaml"]);
    assert!(matches!(outcome.code, Some(66 | 78)), "{:?}: {}", outcome.code, outcome.stderr);
    assert!(outcome.stderr.contains("no-such-pipeline.yaml"), "{}", outcome.stderr);
}

#[test]
fn check_reports_problems_without_running() {
    let sandbox = Sandbox::new();
    sandbox.write("good.yaml", pipeline(&scan(), &[CSV, CEF]));
    sandbox.write("bad.yaml", pipeline("path: x.xml, pat: y", &[CSV]));
    let good = Outcome::of(sandbox.host(&["check", "good.yaml"]).output().unwrap());
    good.expect_code(0);
    let bad = Outcome::of(sandbox.host(&["check", "bad.yaml"]).output().unwrap()).expect_code(78);
    assert!(bad.stderr.contains("pat"));
    // A check starts nothing anyway; a run says so.
    assert!(bad.stderr.ends_with("\n1 error\n"), "{}", bad.stderr);
    let run = Outcome::of(sandbox.host(&["run", "bad.yaml"]).output().unwrap()).expect_code(78);
    assert!(run.stderr.ends_with("\n1 error; nothing was started\n"), "{}", run.stderr);
    assert_eq!(sandbox.names(), ["bad.yaml", "good.yaml"]);
}

/// F-082: what must be set at the receiver is known before the first event is lost there.
#[test]
fn check_names_what_the_receiver_needs() {
    let sandbox = Sandbox::new();
    let siem = "{ id: siem, plugin: ArcSightCEF, with: { path: findings.cef, receiver: graylog } }";
    sandbox.write("pipeline.yaml", pipeline(&scan(), &[siem]));
    let checked = Outcome::of(sandbox.host(&["check", "pipeline.yaml"]).output().unwrap()).expect_code(0);
    let expected = "`receiver: graylog` expects at the receiver: input `CEF TCP`";
    assert!(checked.stderr.contains(expected), "{}", checked.stderr);
    let run = Outcome::of(sandbox.host(&["run", "pipeline.yaml"]).output().unwrap()).expect_code(0);
    assert!(!run.stderr.contains("expects at the receiver"), "{}", run.stderr);
}

#[test]
fn probe_exits_with_the_code_of_a_run() {
    let page = "<!DOCTYPE html>\n<html><body><h1>Sign in</h1></body></html>\n";
    for (name, content, code, line) in [
        ("page.xml", Some(page), 65, "failed  reports: page.xml is an HTML page"),
        ("empty.xml", Some(""), 66, "failed  reports: empty.xml is empty"),
        ("missing.xml", None, 66, "failed  reports: cannot open missing.xml"),
    ] {
        let sandbox = Sandbox::new();
        if let Some(content) = content {
            sandbox.write(name, content);
        }
        sandbox.run(&pipeline(&format!("path: {name}"), &[CSV])).expect_code(code);
        let probe = ["check", "pipeline.yaml", "--probe"];
        let probed = Outcome::of(sandbox.host(&probe).output().unwrap()).expect_code(code);
        assert!(probed.stdout.contains(line), "{}", probed.stdout);
        let json = [&probe[..], &["--format", "json"]].concat();
        let probed = Outcome::of(sandbox.host(&json).output().unwrap()).expect_code(code);
        let probed: serde_json::Value = serde_json::from_str(&probed.stdout).unwrap();
        let kind = if code == 65 { "bad-data" } else { "missing-input" };
        assert_eq!(probed["files"][0]["problems"][0]["code"], kind, "{probed:#}");
    }
}

#[test]
fn two_outputs_with_the_same_path_exit_78() {
    let sandbox = Sandbox::new();
    let other = "{ id: other, plugin: JSON, with: { path: findings.csv } }";
    sandbox.write("pipeline.yaml", pipeline(&scan(), &[CSV, other]));
    for arguments in
        [&["run", "pipeline.yaml"][..], &["check", "pipeline.yaml"], &["check", "pipeline.yaml", "--offline"]]
    {
        let outcome = Outcome::of(sandbox.host(arguments).output().unwrap()).expect_code(78);
        let error = "error: outputs `sheet` and `other` write to the same `path`";
        assert!(outcome.stderr.contains(error), "{arguments:?}: {}", outcome.stderr);
    }
    assert_eq!(sandbox.names(), ["pipeline.yaml"]);
}

#[test]
fn syslog_settings_that_no_receiver_can_read_exit_78_offline() {
    let sandbox = Sandbox::new();
    let old_looks =
        ["syslog_header: rfc3164", "syslog_header: arcsight", "profile: arcsight", "syslog_header: profile"];
    let new_looks = ["syslog_header: rfc5424", "syslog_header: none", "profile: generic", "profile: rsyslog"];
    let names = |names: &[&str]| names.iter().map(|name| format!("host_name: '{name}'")).collect::<Vec<_>>();
    let mut cases = Vec::new();
    for (looks, code) in [(old_looks, 78), (new_looks, 0)] {
        for look in looks {
            for host in names(&["2001:db8::1", "srv/1", "a:b", "[::1]", "-"]) {
                cases.push((format!("transport: tcp, {look}, {host}"), code));
            }
            for host in names(&["collector.example.com", "192.0.2.7", "web_1"]) {
                cases.push((format!("transport: tcp, {look}, {host}"), 0));
            }
        }
    }
    // The largest datagram of IPv4; a name may have addresses of both families.
    for address in ["192.0.2.1", "'[2001:db8::1]'", "siem.example.com"] {
        cases.push((format!("transport: udp, address: {address}, max_message_bytes: 65507"), 0));
        cases.push((format!("transport: udp, address: {address}, max_message_bytes: 65508"), 78));
    }
    for (options, code) in cases {
        let address = if options.contains("address") { "" } else { ", address: 192.0.2.1" };
        let output = format!("{{ id: siem, plugin: ArcSightCEF, with: {{ {options}{address} }} }}");
        sandbox.write("pipeline.yaml", pipeline(&scan(), &[&output]));
        let outcome = Outcome::of(sandbox.host(&["check", "pipeline.yaml", "--offline"]).output().unwrap());
        assert_eq!(outcome.code, Some(code), "{options}: {}", outcome.stderr);
        let option = if options.contains("udp") { "max_message_bytes" } else { "host_name" };
        assert_eq!(
            outcome.stderr.contains(&format!("error: option `{option}`")),
            code == 78,
            "{}",
            outcome.stderr
        );
    }
}

/// As `ncat --recv-only` does. An error that the host retries would send all events again and again.
#[test]
fn receiver_that_closes_its_sending_side_and_reads_on_exits_76() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    std::thread::spawn({
        let connections = Arc::clone(&connections);
        move || {
            for socket in listener.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                let mut socket = socket.unwrap();
                socket.shutdown(Shutdown::Write).unwrap();
                std::thread::spawn(move || drop(std::io::copy(&mut socket, &mut std::io::sink())));
            }
        }
    });
    let sandbox = Sandbox::new();
    let output = |more: &str| {
        format!("{{ id: siem, plugin: ArcSightCEF, with: {{ transport: tcp, address: '{address}'{more} }} }}")
    };
    let outcome = sandbox.run(&pipeline(&scan(), &[&output("")])).expect_code(76);
    assert!(outcome.stderr.contains("has closed its sending side but still reads"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("set `confirm: arrival`"), "{}", outcome.stderr);
    assert!(connections.load(Ordering::SeqCst) <= 2);
    Sandbox::new().run(&pipeline(&scan(), &[&output(", confirm: arrival")])).expect_code(0);
}

#[test]
fn summary_is_on_standard_error_when_data_is_on_standard_output() {
    let sandbox = Sandbox::new();
    for path in ["-", "/dev/stdout"] {
        let lines = format!("{{ id: lines, plugin: JSON, with: {{ path: '{path}' }} }}");
        sandbox.write("pipeline.yaml", pipeline(&scan(), &[&lines]));
        let text = Outcome::of(sandbox.host(&["run", "pipeline.yaml"]).output().unwrap()).expect_code(0);
        assert!(text.stdout.lines().count() > 0, "{path}: {}", text.stderr);
        for line in text.stdout.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        }
        assert!(text.stderr.contains("all delivered after"), "{path}: {}", text.stderr);
        // A script that asks for JSON gets it as the last line.
        let json = ["run", "pipeline.yaml", "--summary", "json"];
        let json = Outcome::of(sandbox.host(&json).output().unwrap()).expect_code(0);
        assert_eq!(json.summary()["status"], "ok", "{path}");
    }
}

#[test]
fn log_fields_are_plain_text() {
    let sandbox = Sandbox::new();
    let mut host = sandbox.host_running(&pipeline(&scan(), &[CSV]));
    let outcome = Outcome::of(host.args(["--log-format", "json"]).output().unwrap()).expect_code(0);
    let lines = outcome.stderr.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let reading = lines.into_iter().find(|line| line["kind"].is_string()).expect("a line for the report");
    assert_eq!((&reading["kind"], &reading["title"]), (&"SCAN".into(), &"Weekly scan of the shop".into()));
}

#[test]
fn module_of_a_plugin_is_logged_in_text_only_with_verbose() {
    let sandbox = Sandbox::new();
    let scan = fs::read(project_file("examples/reports/scan.xml")).unwrap();
    for (option, has_target) in [("--no-progress", false), ("-v", true)] {
        sandbox.write("truncated.xml", &scan[..scan.len() / 2]);
        sandbox.write("pipeline.yaml", pipeline("path: truncated.xml, settle_secs: 1", &[CSV]));
        let outcome = Outcome::of(sandbox.host(&["run", "pipeline.yaml", option]).output().unwrap());
        let outcome = outcome.expect_code(65);
        let line = outcome.stderr.lines().find(|line| line.contains("waiting until the file is complete"));
        let line = line.unwrap_or_else(|| panic!("{}", outcome.stderr));
        assert_eq!(line.contains("target="), has_target, "{line}");
    }
}

#[test]
fn retries_are_numbered_from_1() {
    let sandbox = Sandbox::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let siem = format!(
        "{{ id: siem, plugin: ArcSightCEF, retry: {{ initial_secs: 1, max_elapsed_secs: 3 }}, \
         with: {{ transport: tcp, address: '127.0.0.1:{port}' }} }}"
    );
    let outcome = sandbox.run(&pipeline(&scan(), &[&siem])).expect_code(69);
    for part in ["; retry 1 in ", "; retry 2 in "] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
}

#[test]
fn config_show_and_schema_print_to_standard_output() {
    let sandbox = Sandbox::new();
    sandbox.write("good.yaml", pipeline(&scan(), &[CSV, CEF]));
    let shown = Outcome::of(sandbox.host(&["config", "show", "good.yaml"]).output().unwrap()).expect_code(0);
    for part in ["findings.csv", "findings.cef", "QualysGuardFile", "ArcSightCEF"] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
    let schema = Outcome::of(sandbox.host(&["config", "schema"]).output().unwrap()).expect_code(0);
    let schema: serde_json::Value = serde_json::from_str(&schema.stdout).unwrap();
    assert!(schema.get("properties").is_some() || schema.get("$defs").is_some(), "{schema:#}");
}

/// A script must be able to distinguish empty output from output that could not be written.
#[test]
fn failed_write_to_standard_output_exits_74() {
    let sandbox = Sandbox::new();
    sandbox.write("good.yaml", pipeline(&scan(), &[CSV]));
    for arguments in [
        &["run", "good.yaml", "--summary", "json"][..],
        &["check", "good.yaml", "--format", "json"],
        &["config", "show", "good.yaml"],
        &["state", "export", "good.yaml"],
        &["plugin", "list"],
    ] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let outcome = Outcome::of(sandbox.host(arguments).stdout(full).output().unwrap()).expect_code(74);
        assert!(outcome.stderr.contains("standard output"), "{arguments:?}: {}", outcome.stderr);

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Outcome::of(sandbox.host(arguments).stdout(writer).output().unwrap()).expect_code(0);
    }
}

/// `scanbridge run … 2>&1 | head`: the rest of the log is lost, but not the run.
#[test]
fn run_continues_when_its_log_cannot_be_written() {
    let sandbox = Sandbox::new();
    sandbox.write("good.yaml", pipeline(&scan(), &[CSV]));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    for log in [Stdio::from(writer), Stdio::from(full)] {
        let run = sandbox.host(&["run", "good.yaml", "-vv"]).stderr(log).output().unwrap();
        Outcome::of(run).expect_code(0);
    }
}

#[test]
fn example_pipelines_pass_the_check() {
    let root = project_file("Cargo.toml").parent().unwrap().to_owned();
    let folder = root.join("examples/pipelines");
    let mut checked = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mut host = Sandbox::new().host(&["check", path.to_str().unwrap(), "--offline"]);
        Outcome::of(host.current_dir(&root).output().unwrap()).expect_code(0);
        checked += 1;
    }
    assert!(checked >= 5, "only {checked} example pipelines");
}

#[test]
fn output_files_are_readable_by_owner_and_group_only() {
    let sandbox = Sandbox::new();
    sandbox.run(&pipeline(&scan(), &[CSV, CEF])).expect_code(0);
    for name in ["findings.csv", "findings.cef"] {
        assert_eq!(fs::metadata(sandbox.path(name)).unwrap().permissions().mode() & 0o777, 0o640, "{name}");
    }
}
