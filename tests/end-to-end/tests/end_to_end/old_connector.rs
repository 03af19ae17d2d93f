//! The command lines of 2014 against a fake Defense Center.

use std::fs;

use scanbridge_doubles::certificates::Pkcs12;
use scanbridge_doubles::fake_defense_center::{Behavior, FakeDefenseCenter};

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};

/// A center on this address, and a working directory as described in the guide of 2014. None if `openssl` is missing.
fn laid_out(address: &str, password: &str) -> Option<(FakeDefenseCenter, Sandbox)> {
    let center = FakeDefenseCenter::start_on(address, Behavior::default()).unwrap();
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("InputPlugins")).unwrap();
    let report = installation::project_file("examples/reports/scan.xml");
    sandbox.write("InputPlugins/QualysGuardFile.yaml", format!("path: {report:?}\nsettle_secs: 0\n"));
    center.client_file(&sandbox.path(""), "client.pkcs12", password, Pkcs12::DefenseCenter)?;
    Some((center, sandbox))
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    let mut command = sandbox.program(&installation::legacy("qualys_connector"), arguments);
    Outcome::of(command.arg("QualysGuardFile").output().unwrap())
}

/// The commands received since the last call, without header lines.
fn sent(center: &FakeDefenseCenter) -> Vec<String> {
    center.wait_until_idle();
    let lines = center.lines();
    center.reset();
    lines.into_iter().filter(|line| !line.starts_with("SetSource,")).collect()
}

#[test]
fn all_spellings_send_the_same_as_the_command_file() {
    let Some((center, sandbox)) = laid_out("127.0.0.1:0", "") else { return };
    let port = center.port();
    run(&sandbox, &["-csvfile=a.csv"]).expect_code(0);
    let file = sandbox.read("a.csv");
    let expected: Vec<&str> = file.lines().filter(|line| !line.starts_with("SetSource,")).collect();
    assert!(expected.iter().any(|line| line.starts_with("AddScanResult,")));
    let certificate = sandbox.path("client.pkcs12").display().to_string();
    let settings = sandbox.path("InputPlugins/QualysGuardFile.yaml").display().to_string();
    for arguments in [
        vec!["-server=127.0.0.1".to_owned(), format!("-port={port}")],
        vec!["-se".to_owned(), "localhost".to_owned(), format!("-po={port}")],
        vec![
            "--server=127.0.0.1".to_owned(),
            format!("--port={port}"),
            format!("-pkcs12={certificate}"),
            format!("-plugininfo={settings}"),
            "-level=3".to_owned(),
        ],
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(&sandbox, &arguments).expect_code(0);
        assert_eq!(sent(&center), expected, "{arguments:?}");
    }
}

#[test]
fn highest_level_logs_every_vulnerability() {
    let Some((center, sandbox)) = laid_out("127.0.0.1:0", "") else { return };
    let port = format!("-port={}", center.port());
    let logged = |level: &str| {
        let outcome = run(&sandbox, &["-server=127.0.0.1", &port, level]).expect_code(0);
        outcome.stdout.lines().filter(|line| line.contains("AddScanResult,")).count()
    };
    assert_eq!(logged("-level=2"), 0);
    center.wait_until_idle();
    center.reset();
    let count = logged("-level=3");
    let findings = sent(&center).iter().filter(|line| line.starts_with("AddScanResult,")).count();
    assert!(findings > 0);
    assert_eq!(count, findings);
}

#[test]
fn ipv6_is_used_only_with_its_option() {
    let Some((center, sandbox)) = laid_out("[::1]:0", "") else { return };
    let port = format!("-port={}", center.port());
    run(&sandbox, &["-server=::1", &port, "-ipv6"]).expect_code(0);
    assert!(!sent(&center).is_empty());
    let text = |outcome: Outcome| format!("{}{}", outcome.stdout, outcome.stderr);
    let error = text(run(&sandbox, &["-server=127.0.0.1", &port, "-i"]).expect_code(78));
    assert!(error.contains("`127.0.0.1` has no IPv6 address"), "{error}");
    let error = text(run(&sandbox, &["-server=::1", &port]).expect_code(78));
    assert!(error.contains("`::1` has no IPv4 address"), "{error}");
}

#[test]
fn missing_and_wrong_passwords_are_reported() {
    let Some((center, sandbox)) = laid_out("127.0.0.1:0", "t0w3L") else { return };
    let port = format!("-port={}", center.port());
    run(&sandbox, &["-server=127.0.0.1", &port, "-pa=t0w3L"]).expect_code(0);
    for (arguments, part) in [
        (vec!["-server=127.0.0.1", &port], "is password-protected, and no password is set"),
        (vec!["-server=127.0.0.1", &port, "-password=vogon"], "wrong password for"),
    ] {
        let outcome = run(&sandbox, &arguments).expect_code(77);
        let text = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(text.contains(part) && !text.contains("vogon"), "{text}");
    }
}
