//! The command lines of 2014 against a fake Defense Center.

use std::fs;

use scanbridge_doubles::certificates::Pkcs12;
use scanbridge_doubles::fake_defense_center::{Behavior, FakeDefenseCenter};

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};

/// A center on this address, and a working directory as the guide has it. None where `openssl` is missing.
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

/// The commands that came since the last time, without header lines.
fn sent(center: &FakeDefenseCenter) -> Vec<String> {
    center.wait_until_idle();
    let lines = center.lines();
    center.forget();
    lines.into_iter().filter(|line| !line.starts_with("SetSource,")).collect()
}

#[test]
fn every_form_of_the_command_sends_what_the_file_of_commands_holds() {
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
fn the_highest_level_tells_every_vulnerability() {
    let Some((center, sandbox)) = laid_out("127.0.0.1:0", "") else { return };
    let port = format!("-port={}", center.port());
    let told = |level: &str| {
        let outcome = run(&sandbox, &["-server=127.0.0.1", &port, level]).expect_code(0);
        outcome.stdout.lines().filter(|line| line.contains("AddScanResult,")).count()
    };
    assert_eq!(told("-level=2"), 0);
    center.wait_until_idle();
    center.forget();
    let count = told("-level=3");
    let findings = sent(&center).iter().filter(|line| line.starts_with("AddScanResult,")).count();
    assert!(findings > 0);
    assert_eq!(count, findings);
}

#[test]
fn ipv6_is_used_when_asked_for_and_only_then() {
    let Some((center, sandbox)) = laid_out("[::1]:0", "") else { return };
    let port = format!("-port={}", center.port());
    run(&sandbox, &["-server=::1", &port, "-ipv6"]).expect_code(0);
    assert!(!sent(&center).is_empty());
    let told = |outcome: Outcome| format!("{}{}", outcome.stdout, outcome.stderr);
    let refused = told(run(&sandbox, &["-server=127.0.0.1", &port, "-i"]).expect_code(78));
    assert!(refused.contains("`127.0.0.1` has no IPv6 address"), "{refused}");
    let refused = told(run(&sandbox, &["-server=::1", &port]).expect_code(78));
    assert!(refused.contains("`::1` has no IPv4 address"), "{refused}");
}

#[test]
fn a_password_is_asked_for_and_a_wrong_one_is_told() {
    let Some((center, sandbox)) = laid_out("127.0.0.1:0", "t0w3L") else { return };
    let port = format!("-port={}", center.port());
    run(&sandbox, &["-server=127.0.0.1", &port, "-pa=t0w3L"]).expect_code(0);
    for (arguments, part) in [
        (vec!["-server=127.0.0.1", &port], "is encrypted, and no password is set"),
        (vec!["-server=127.0.0.1", &port, "-password=vogon"], "wrong password for"),
    ] {
        let outcome = run(&sandbox, &arguments).expect_code(77);
        let told = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(told.contains(part) && !told.contains("vogon"), "{told}");
    }
}
