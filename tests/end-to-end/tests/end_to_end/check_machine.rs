//! `check` without `--probe`: what is on this machine. No peer is contacted.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::time::{Duration, SystemTime};

use scanbridge_doubles::certificates::{Authority, Pkcs12, Request};
use scanbridge_doubles::fake_defense_center::FakeDefenseCenter;
use serde_json::Value;

use crate::installation::project_file;
use crate::sandbox::{CSV, Outcome, Sandbox, pipeline};

fn scan() -> String {
    format!("path: {:?}", project_file("examples/reports/scan.xml"))
}

fn check(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    let arguments = [&["check", "pipeline.yaml", "--state-dir", "state"], arguments].concat();
    Outcome::of(sandbox.host(&arguments).output().unwrap())
}

/// The problems of `pipeline.yaml` as `severity code option-line`, and the exit code.
fn problems(sandbox: &Sandbox, arguments: &[&str]) -> (Vec<(String, String)>, Option<i32>) {
    let outcome = check(sandbox, &[arguments, &["--format", "json"]].concat());
    let output: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let list = output["files"][0]["problems"].as_array().unwrap();
    let of = |problem: &Value| {
        let word = |key: &str| problem[key].as_str().unwrap().to_owned();
        (format!("{} {}", word("severity"), word("code")), word("message"))
    };
    (list.iter().map(of).collect(), outcome.code)
}

/// The kinds of the problems alone.
fn kinds(sandbox: &Sandbox, arguments: &[&str]) -> (Vec<String>, Option<i32>) {
    let (problems, code) = problems(sandbox, arguments);
    (problems.into_iter().map(|(kind, _)| kind).collect(), code)
}

#[test]
fn missing_input_is_an_error_and_names_the_working_directory() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", pipeline("path: [nowhere.xml, '~/scan.xml', /nope/scan.xml]", &[CSV]));
    let outcome = check(&sandbox, &[]).expect_code(66);
    let folder = sandbox.path("").canonicalize().unwrap().display().to_string();
    let stderr = outcome.stderr.replace(folder.trim_end_matches('/'), "[WORKING DIRECTORY]");
    insta::assert_snapshot!("check-missing-input", stderr);
    // The run ends with the same code; `--offline` looks at no data path.
    let run = Outcome::of(sandbox.host(&["run", "pipeline.yaml", "--state-dir", "state"]).output().unwrap());
    assert_eq!(run.code, Some(66), "{}", run.stderr);
    assert!(run.stderr.contains(&folder) || run.stdout.contains(&folder), "{}", run.stdout);
    check(&sandbox, &["--offline"]).expect_code(0);
}

#[test]
fn missing_input_of_a_watching_pipeline_is_a_warning() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", pipeline("path: nowhere, watch: yes", &[CSV]));
    assert_eq!(kinds(&sandbox, &[]), (vec!["warning plugin-warning".to_owned()], Some(0)));
    assert_eq!(kinds(&sandbox, &["--deny-warnings"]).1, Some(78));
    fs::create_dir(sandbox.path("nowhere")).unwrap();
    assert_eq!(kinds(&sandbox, &["--deny-warnings"]), (vec![], Some(0)));
}

#[test]
fn output_directory_that_is_missing_or_not_writable() {
    let sandbox = Sandbox::new();
    let output = |path: &str| format!("{{ id: sheet, plugin: CSV, with: {{ path: {path} }} }}");
    sandbox.write("pipeline.yaml", pipeline(&scan(), &[&output("no/such/a.csv")]));
    let (found, code) = problems(&sandbox, &[]);
    assert_eq!((found[0].0.as_str(), code), ("error cannot-create", Some(73)), "{found:?}");
    check(&sandbox, &["--offline"]).expect_code(0);

    fs::create_dir(sandbox.path("locked")).unwrap();
    fs::set_permissions(sandbox.path("locked"), fs::Permissions::from_mode(0o500)).unwrap();
    sandbox.write("pipeline.yaml", pipeline(&scan(), &[&output("locked/a.csv")]));
    let user = rustix::process::geteuid();
    if user.is_root() {
        eprintln!("skipped: root can write to every directory");
        return;
    }
    let outcome = check(&sandbox, &[]).expect_code(73);
    let hint = format!("the user with ID {}, who runs scanbridge, needs write permission", user.as_raw());
    assert!(outcome.stderr.contains(&hint), "{}", outcome.stderr);
}

#[test]
fn two_outputs_with_one_file_in_two_spellings_or_through_a_link() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("out")).unwrap();
    symlink("out", sandbox.path("link")).unwrap();
    let absolute = sandbox.path("out/a.csv").canonicalize().unwrap_or_else(|_| sandbox.path("out/a.csv"));
    let absolute = absolute.display().to_string();
    for (first, second, offline, default) in [
        ("out/a.csv", "./out/a.csv", 78, 78),
        ("out/a.csv", "out//x/../a.csv", 78, 78),
        ("out/a.csv", absolute.as_str(), 78, 78),
        ("out/a.csv", "link/a.csv", 0, 78),
        ("out/a.csv", "out/b.csv", 0, 0),
        ("/dev/null", "/dev/./null", 0, 0),
    ] {
        let output =
            |id: &str, path: &str| format!("{{ id: {id}, plugin: CSV, with: {{ path: {path:?} }} }}");
        sandbox.write("pipeline.yaml", pipeline(&scan(), &[&output("a", first), &output("b", second)]));
        let (found, code) = kinds(&sandbox, &["--offline"]);
        assert_eq!(code, Some(offline), "{first} {second}: {found:?}");
        let (found, code) = kinds(&sandbox, &[]);
        assert_eq!(code, Some(default), "{first} {second}: {found:?}");
        if default == 78 {
            assert_eq!(found, ["error same-target"], "{first} {second}");
        }
    }
}

/// A Qualys input with this client certificate. No server has its URL: a check without `--probe` sends no request.
fn with_certificate(options: &str) -> String {
    format!(
        "version: 1\ninputs:\n  - id: qualys\n    plugin: QualysGuard\n    with:\n      user_id: u\n      password: p\n      \
         template_id: 1\n      url: https://127.0.0.1:9\n{options}outputs:\n  - {CSV}\n"
    )
}

/// The pipeline file has a password.
fn write_private(sandbox: &Sandbox, text: &str) {
    let path = sandbox.write("pipeline.yaml", text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn client_certificate_is_judged_without_a_connection() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("");
    let authority = Authority::new("Test authority");
    let day = Duration::from_secs(86_400);
    let now = SystemTime::now();
    let soon = Request::client("soon").valid(now - day, now + 10 * day + day / 2);
    for (name, request) in [
        ("good", Request::client("good")),
        ("expired", Request::client("expired").expired()),
        ("early", Request::client("early").not_yet_valid()),
        ("soon", soon),
    ] {
        let _ = authority.issue(&request).write_pem(&folder, name);
    }
    sandbox.write("store.jceks", b"\xCE\xCE\xCE\xCE\x00\x00\x00\x02");
    let pem = |name: &str| format!("      tls_certificate: {name}.crt\n      tls_key: {name}.key\n");
    let mut cases = vec![
        (pem("good"), &[][..], 0, ""),
        (pem("expired"), &["error access-denied"], 77, "expired on"),
        (pem("early"), &["error access-denied"], 77, "is not valid before"),
        (pem("soon"), &["warning plugin-warning"], 0, "expires in 10 days"),
        ("      tls_certificate: nosuch.p12\n".to_owned(), &["error missing-input"], 66, "nosuch.p12"),
        ("      tls_certificate: store.jceks\n".to_owned(), &["error bad-data"], 65, "JCEKS key store"),
    ];
    let encrypted =
        authority.issue(&Request::client("p12")).write_pkcs12(&folder, "c.p12", "right", Pkcs12::Modern);
    if encrypted.is_some() {
        let options = "      tls_certificate: c.p12\n      tls_password: other\n".to_owned();
        cases.push((options, &["error access-denied"], 77, "wrong password for c.p12"));
    }
    for (options, kinds, code, part) in cases {
        write_private(&sandbox, &with_certificate(&options));
        let (found, found_code) = problems(&sandbox, &[]);
        let found_kinds: Vec<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!((found_kinds.as_slice(), found_code), (kinds, Some(code)), "{options}: {found:?}");
        assert!(found.first().is_none_or(|(_, message)| message.contains(part)), "{options}: {found:?}");
    }
    write_private(&sandbox, &with_certificate(&pem("soon")));
    let stderr = check(&sandbox, &[]).expect_code(0).stderr;
    assert!(stderr.contains("pipeline.yaml:10:24"), "the option is marked: {stderr}");
}

#[test]
fn certificate_that_expires_soon_is_a_warning_in_a_run_and_a_check() {
    let (center, sandbox) = (FakeDefenseCenter::start(), Sandbox::new());
    let day = Duration::from_secs(86_400);
    let now = SystemTime::now();
    let request = Request::host_input_client("127.0.0.1", "0").valid(now - day, now + 10 * day + day / 2);
    let client = center.authority().issue(&request);
    let file = client.write_pkcs12(&sandbox.path(""), "client.pkcs12", "", Pkcs12::DefenseCenter);
    if file.is_none() {
        return;
    }
    let port = center.port();
    let output = format!(
        "{{ id: center, plugin: Sourcefire, with: {{ server: 127.0.0.1, port: {port}, pkcs12: client.pkcs12, add_host: y }} }}"
    );
    let text = pipeline(&format!("{}, settle_secs: 0", scan()), &[&output]);
    let run = sandbox.run(&text).expect_code(0);
    let line = run.stderr.lines().find(|line| line.contains("expires in 10 days"));
    assert!(line.is_some_and(|line| line.contains("WARN")), "{}", run.stderr);
    let (found, code) = problems(&sandbox, &[]);
    assert_eq!((found[0].0.as_str(), code), ("warning plugin-warning", Some(0)), "{found:?}");
    assert!(found[0].1.contains("expires in 10 days"), "{found:?}");
}

#[test]
fn state_directory_of_another_user_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", pipeline(&scan(), &[CSV]));
    fs::create_dir(sandbox.path("state")).unwrap();
    fs::set_permissions(sandbox.path("state"), fs::Permissions::from_mode(0o777)).unwrap();
    let (found, code) = problems(&sandbox, &[]);
    assert_eq!((found[0].0.as_str(), code), ("error state", Some(78)), "{found:?}");
    assert!(found[0].1.contains("is writable by all users"), "{found:?}");
    check(&sandbox, &["--offline"]).expect_code(0);
    assert_eq!(fs::read_dir(sandbox.path("state")).unwrap().count(), 0, "a check creates nothing");
    // The run says the same.
    let run = Outcome::of(sandbox.host(&["run", "pipeline.yaml", "--state-dir", "state"]).output().unwrap());
    assert_eq!(run.code, Some(78), "{}", run.stderr);
}

/// Needs a small file system; only root may mount one.
#[test]
fn little_free_space_is_a_warning() {
    let sandbox = Sandbox::new();
    let output = "{ id: sheet, plugin: CSV, with: { path: small/a.csv } }";
    sandbox.write("pipeline.yaml", pipeline(&scan(), &[output]));
    let small = sandbox.path("small");
    fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(&small).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no file system may be mounted here");
        return;
    }
    let arguments = ["check", "pipeline.yaml", "--state-dir", "small/state", "--format", "json"];
    let outcome = Outcome::of(sandbox.host(&arguments).output().unwrap());
    let denied =
        Outcome::of(sandbox.host(&[&arguments[..], &["--deny-warnings"]].concat()).output().unwrap());
    assert!(Command::new("umount").arg(&small).status().unwrap().success());
    let result: Value = serde_json::from_str(&outcome.expect_code(0).stdout).unwrap();
    let problems = result["files"][0]["problems"].as_array().unwrap();
    let found: Vec<(&str, &str)> = problems
        .iter()
        .map(|problem| (problem["code"].as_str().unwrap(), problem["message"].as_str().unwrap()))
        .collect();
    let [(state, of_state), (output, of_output)] = found[..] else { panic!("{result:#}") };
    assert_eq!((state, output), ("disk-space", "plugin-warning"), "{result:#}");
    assert!(
        of_state.starts_with("only ") && of_state.contains(" MiB are free for the state in small"),
        "{of_state}"
    );
    assert!(of_output.contains("only ") && of_output.contains(" MiB are free in small"), "{of_output}");
    assert_eq!(denied.code, Some(78));
}
