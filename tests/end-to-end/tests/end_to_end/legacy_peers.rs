//! The command lines of 2014 between a fake Qualys and a fake Defense Center.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scanbridge_doubles::certificates::{Authority, Pkcs12, Request};
use scanbridge_doubles::fake_defense_center::{Behavior, FakeDefenseCenter};
use scanbridge_doubles::fake_qualys::{FakeQualys, Reply, Script};

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};

/// A working directory as described in the guide of 2014, a fake Qualys, and the settings for it.
struct Bench {
    sandbox: Sandbox,
    qualys: FakeQualys,
}

impl Bench {
    /// `template` is written to the settings file.
    fn new(script: Script, template: &str) -> Self {
        let sandbox = Sandbox::new();
        let authority = Authority::new("Example Root CA");
        let server = authority.issue(&Request::server(&["127.0.0.1"]));
        let qualys = FakeQualys::start(authority.server_config(&server, false), script);
        let ca = authority.write_pem(&sandbox.path(""), "ca.pem");
        fs::create_dir(sandbox.path("InputPlugins")).unwrap();
        let settings = format!(
            "user_id: dirk_g\npassword: 'd0ntp@n1c'\n{template}add_host: y\nurl: {}\ntls_ca_file: {ca:?}\npoll_secs: 1\n",
            qualys.url()
        );
        sandbox.write("InputPlugins/QualysGuard.yaml", settings);
        Self { sandbox, qualys }
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        self.sandbox.program(&installation::legacy(program), arguments)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Outcome {
        Outcome::of(self.command(program, arguments).output().unwrap())
    }
}

fn report() -> Vec<u8> {
    fs::read(report_path()).unwrap()
}

fn report_path() -> PathBuf {
    installation::project_file("examples/reports/template.xml")
}

/// All calls for a report: launched from its template, listed as finished, downloaded, deleted.
fn report_calls(script: Script, template: &str, id: &str) -> Script {
    calls_for(script, template, id, report())
}

/// All calls for this report.
pub(crate) fn calls_for(script: Script, template: &str, id: &str, report: Vec<u8>) -> Script {
    script
        .on(
            &format!("action=launch template_id={template}"),
            [Reply::simple("New report launched", &[("ID", id)])],
        )
        .on(&format!("action=list id={id}"), [listed(id, "Finished")])
        .on(&format!("action=fetch id={id}"), [Reply::xml(report)])
        .on(&format!("action=delete id={id}"), [Reply::simple("Report deleted", &[("ID", id)])])
}

fn listed(id: &str, state: &str) -> Reply {
    Reply::xml(format!(
        "<?xml version=\"1.0\"?>\n<REPORT_LIST_OUTPUT><RESPONSE><REPORT_LIST><REPORT><ID>{id}</ID>\
         <TITLE>Front row</TITLE><TYPE>Scan</TYPE><LAUNCH_DATETIME>2026-04-01T00:00:00Z</LAUNCH_DATETIME>\
         <OUTPUT_FORMAT>XML</OUTPUT_FORMAT><SIZE>1 KB</SIZE><STATUS><STATE>{state}</STATE></STATUS></REPORT>\
         </REPORT_LIST></RESPONSE></REPORT_LIST_OUTPUT>"
    ))
}

#[test]
fn shortest_call_sends_the_same_as_the_command_file() {
    let bench = Bench::new(report_calls(Script::new(), "424242", "77"), "template_id: 424242\n");
    let center = FakeDefenseCenter::start();
    let folder = bench.sandbox.path("");
    let Some(file) = center.client_file(&folder, "a.pkcs12", "", Pkcs12::DefenseCenter) else { return };
    let port = format!("-po={}", center.port());
    // Everything else has its default: the settings, the plugin, and the first client file in the directory.
    let log = bench.run("qualys_connector", &["-server=127.0.0.1", &port]).expect_code(0).stdout;
    let position = |part: &str| log.find(part).unwrap_or_else(|| panic!("{part}: {log}"));
    assert!(position("QualysGuard Report Processing Complete") < position("maximum message size"), "{log}");
    center.wait_until_idle();
    let results = center.host_map().all_results();
    assert!(!results.is_empty());

    // The same call with all options explicit.
    center.reset();
    let file = file.display().to_string();
    let port = center.port().to_string();
    let explicit = [
        "-server",
        "127.0.0.1",
        "-port",
        &port,
        "-pkcs12",
        &file,
        "-plugininfo=InputPlugins/QualysGuard.yaml",
        "QualysGuard",
    ];
    bench.run("qualys_connector", &explicit).expect_code(0);
    center.wait_until_idle();
    assert_eq!(center.host_map().all_results(), results);

    bench.run("qualys_connector", &["-csvfile=commands.csv"]).expect_code(0);
    let is_result = |line: &&str| line.starts_with("AddScanResult,");
    let commands = bench.sandbox.read("commands.csv");
    let written: Vec<&str> = commands.lines().filter(is_result).collect();
    let lines = center.lines();
    let sent: Vec<&str> = lines.iter().map(String::as_str).filter(is_result).collect();
    assert_eq!(written, sent);
    assert_eq!(written.len(), results.len());
}

#[test]
fn failed_template_does_not_affect_other_templates() {
    let items = [("Incident Signature", "Tried to launch invalid report.")];
    let rejected = Reply::code_with(400, 999, "Internal error. Please contact customer support.", &items);
    let script = Script::new().on("action=launch template_id=1", [rejected]);
    let script = report_calls(report_calls(script, "424242", "77"), "535353", "78");
    let bench = Bench::new(script, "template_id: 7\n");
    let arguments = ["-multiinfo", "424242,1,535353", "-csvfile=out.csv"];
    let outcome = bench.run("process_multiple", &arguments).expect_code(65);
    for part in ["1 of 3 templates failed: 1 (exit code 65)", "999", "Tried to launch invalid report."] {
        assert!(outcome.stderr.contains(part), "{}", outcome.stderr);
    }
    let names: Vec<_> = bench.sandbox.names().into_iter().filter(|name| name.ends_with("out.csv")).collect();
    assert_eq!(names, ["424242_out.csv", "535353_out.csv"]);
    assert_eq!(bench.sandbox.read("424242_out.csv"), bench.sandbox.read("535353_out.csv"));
    // The template of the settings file is never used, and each template is finished before the next one begins.
    let lines: Vec<String> =
        bench.qualys.requests().iter().map(scanbridge_doubles::fake_qualys::ReceivedRequest::line).collect();
    assert!(!lines.iter().any(|line| line.contains("template_id=7")), "{lines:?}");
    let position = |part: &str| lines.iter().position(|line| line.contains(part)).unwrap();
    assert!(
        position("id=77") < position("template_id=1 ")
            && position("action=delete id=77") < position("template_id=535353"),
        "{lines:#?}"
    );
}

#[test]
fn process_multiple_accepts_the_same_options() {
    let script = report_calls(report_calls(Script::new(), "424242", "77"), "535353", "78");
    let bench = Bench::new(script, "template_id: 7\n");
    let center = FakeDefenseCenter::start_on("[::1]:0", Behavior::default()).unwrap();
    let folder = bench.sandbox.path("");
    let Some(_) = center.client_file(&folder, "own.pkcs12", "t0w3L", Pkcs12::DefenseCenter) else { return };
    let port = format!("-po={}", center.port());
    let arguments = ["-multiinfo=424242,535353", "-se=::1", &port, "-i", "-pk=own.pkcs12", "-pa=t0w3L"];
    let log = ["-pl=InputPlugins/QualysGuard.yaml", "-lo=log", "-le=2", "QualysGuard"];
    let outcome = bench.run("process_multiple", &[&arguments[..], &log].concat()).expect_code(0);
    assert!(outcome.stdout.is_empty() && outcome.stderr.is_empty(), "{}{}", outcome.stdout, outcome.stderr);
    assert!(bench.sandbox.read("log").contains("all 2 templates delivered"));
    center.wait_until_idle();
    assert_eq!(center.connections().len(), 2);
    assert!(!center.host_map().all_results().is_empty());
}

#[test]
fn signal_ends_the_current_template_and_skips_the_rest() {
    let launched = Reply::simple("New report launched", &[("ID", "77")]);
    let running = listed("77", "Running");
    let script = Script::new().on("action=launch", [launched]).on("action=list", [running]);
    let bench = Bench::new(script.on("", [Reply::simple("Done", &[])]), "template_id: 7\n");
    let mut command = bench.command("process_multiple", &["-multiinfo=424242,535353", "-csvfile=out.csv"]);
    let program = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while bench.qualys.count("action=list") == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", bench.qualys.requests());
        sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&program), Signal::TERM).unwrap();
    let outcome = Outcome::of(program.wait_with_output().unwrap()).expect_code(130);
    let named = "2 of 2 templates failed: 424242 (exit code 130), 535353 (exit code 130)";
    assert!(outcome.stderr.contains(named), "{}", outcome.stderr);
    assert_eq!(bench.qualys.count("template_id=535353"), 0);
}

#[test]
fn rejected_login_is_reported_and_not_retried() {
    let rejected = Reply::code(401, 2010, "Bad Login/Password");
    let bench = Bench::new(Script::new().on("", [rejected]), "template_id: 424242\n");
    let outcome = bench.run("qualys_connector", &["-csvfile=a.csv"]).expect_code(77);
    for part in ["2010", "Bad Login/Password", "case-sensitive", "single quotes"] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
    assert_eq!(bench.qualys.requests().len(), 1);
    assert!(!bench.sandbox.path("a.csv").exists());
}

#[test]
fn template_on_the_command_line_needs_none_in_the_file() {
    let bench = Bench::new(report_calls(Script::new(), "424242", "77"), "");
    bench.run("process_multiple", &["-multiinfo=424242", "-c=a.csv"]).expect_code(0);
    assert!(bench.sandbox.read("424242_a.csv").contains("AddScanResult,"));
}

#[test]
fn client_certificate_is_required_only_for_a_server() {
    let bench = Bench::new(report_calls(Script::new(), "424242", "77"), "template_id: 424242\n");
    let outcome = bench.run("qualys_connector", &["-se=127.0.0.1"]).expect_code(66);
    assert!(outcome.stderr.contains(".pkcs12"), "{}", outcome.stderr);
    bench.run("qualys_connector", &["-c=a.csv"]).expect_code(0);
}

/// Each run of the old command lines starts from the beginning: the report that a killed run launched is deleted, and a
/// new one is launched.
#[test]
fn report_of_an_earlier_run_is_not_delivered_as_the_new_one() {
    let launches = ["77", "78"].map(|id| Reply::simple("New report launched", &[("ID", id)]));
    let script = Script::new()
        .on("action=launch", launches)
        .on("action=list id=77", [listed("77", "Running")])
        .on("action=list id=78", [listed("78", "Finished")])
        .on("action=fetch id=78", [Reply::xml(report())])
        .on("action=delete", [Reply::simple("Report deleted", &[])]);
    let bench = Bench::new(script, "template_id: 424242\n");
    let mut command = bench.command("qualys_connector", &["-csvfile=commands.csv"]);
    let mut host = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while bench.qualys.count("action=list id=77") == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "the report is not launched");
        sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&host), Signal::KILL).unwrap();
    host.wait().unwrap();
    bench.run("qualys_connector", &["-csvfile=commands.csv"]).expect_code(0);
    assert_eq!(bench.qualys.count("action=launch"), 2);
    assert_eq!(
        (bench.qualys.count("action=delete id=77"), bench.qualys.count("action=delete id=78")),
        (1, 1)
    );
    assert!(bench.sandbox.read("commands.csv").contains("AddScanResult,"));
}
