//! The API input with the built host: a downloaded report gives the same records as a file with the same bytes, and a
//! killed run loses nothing.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scanbridge_doubles::certificates::{Authority, Request};
use scanbridge_doubles::fake_qualys::{FakeQualys, Population, Reply, Responder, Script};
use scanbridge_fixtures::good;

use crate::sandbox::{CEF, CSV, Outcome, Sandbox};

const PASSWORD: &str = "hunter#2: \"x\"";
const PAGE: &str = "/api/5.0/fo/asset/host/vm/detection/";
const KNOWLEDGE_BASE: &str = "/api/4.0/fo/knowledge_base/vuln/";

/// A fake Qualys and a sandbox whose pipelines reach it.
pub(crate) struct Bench {
    qualys: FakeQualys,
    pub(crate) sandbox: Sandbox,
}

impl Bench {
    pub(crate) fn new(responder: impl Responder) -> Self {
        let authority = Authority::new("Example Root CA");
        let server = authority.issue(&Request::server(&["127.0.0.1"]));
        let qualys = FakeQualys::start(authority.server_config(&server, false), responder);
        let sandbox = Sandbox::new();
        let _ = authority.write_pem(&sandbox.path(""), "ca.pem");
        Self { qualys, sandbox }
    }

    pub(crate) fn pipeline(&self, settings: &str) -> String {
        format!(
            "version: 1\n\
             checkpoint: {{ bytes: 1 KiB }}\n\
             inputs:\n  - {{ id: api, plugin: QualysGuard, with: {{ user_id: acme_ab1, password: '{PASSWORD}', \
             url: '{}', tls_ca_file: ca.pem, poll_secs: 1, {settings} }} }}\n\
             outputs:\n  - {CSV}\n  - {CEF}\n",
            self.qualys.url()
        )
    }

    /// The number of requests so far that match this pattern.
    pub(crate) fn count(&self, pattern: &str) -> usize {
        self.qualys.count(pattern)
    }

    /// The number of requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.qualys.requests().len()
    }

    fn run(&self, settings: &str) -> [String; 2] {
        let outcome = self.sandbox.run(&self.pipeline(settings)).expect_code(0);
        assert!(
            !format!("{}{}", outcome.stdout, outcome.stderr).contains("hunter#2"),
            "the output contains a password"
        );
        files(&self.sandbox)
    }
}

/// The two output files without the origin of the report, which differs between file and API.
pub(crate) fn files(sandbox: &Sandbox) -> [String; 2] {
    let events: Vec<String> = sandbox.read("findings.cef").lines().map(without_origin).collect();
    [sandbox.read("findings.csv"), events.join("\n")]
}

fn without_origin(event: &str) -> String {
    let fields = event.split(' ').filter(|field| !field.starts_with("oldFilePath="));
    fields.collect::<Vec<_>>().join(" ")
}

/// The output files if the file input reads these reports.
pub(crate) fn from_files(reports: &[&str], more_settings: &str) -> [String; 2] {
    let sandbox = Sandbox::new();
    let paths: Vec<String> = reports.iter().map(|name| format!("{:?}", good(name))).collect();
    let settings = format!("path: [{}]{more_settings}", paths.join(", "));
    sandbox.run(&crate::sandbox::pipeline(&settings, &[CSV, CEF])).expect_code(0);
    files(&sandbox)
}

pub(crate) fn body(name: &str) -> Reply {
    Reply::xml(fs::read(good(name)).unwrap())
}

#[test]
fn template_report_equals_its_file() {
    let state = |state: &str| {
        Reply::xml(format!(
            "<?xml version=\"1.0\"?>\n<REPORT_LIST_OUTPUT><RESPONSE><DATETIME>2026-04-01T00:00:00Z</DATETIME>\
             <REPORT_LIST><REPORT><ID>77</ID><TITLE>Front row</TITLE><TYPE>Scan</TYPE>\
             <OUTPUT_FORMAT>XML</OUTPUT_FORMAT><SIZE>1 MB</SIZE><STATUS><STATE>{state}</STATE></STATUS></REPORT>\
             </REPORT_LIST></RESPONSE></REPORT_LIST_OUTPUT>"
        ))
    };
    let script = Script::new()
        .on("POST /api/2.0/fo/report/ action=launch", [Reply::simple("New report launched", &[("ID", "77")])])
        .on("action=list id=77", [state("Running"), state("Finished")])
        .on("action=fetch id=77", [body("template-report.xml")])
        .on("action=delete id=77", [Reply::simple("Report deleted", &[("ID", "77")])]);
    let bench = Bench::new(script);
    assert_eq!(bench.run("template_id: 424242"), from_files(&["template-report.xml"], ""));
    assert_eq!(bench.qualys.count("action=delete id=77"), 1, "the launched report is deleted");
}

#[test]
fn scan_reports_equal_their_files() {
    let list = Reply::xml(
        "<?xml version=\"1.0\"?>\n<SCAN_REPORT_LIST user=\"x\">\
         <SCAN_REPORT ref=\"scan/1.1\" date=\"2026-03-01T00:00:00Z\" status=\"FINISHED\" target=\"192.0.2.1\"/>\
         <SCAN_REPORT ref=\"scan/3.3\" date=\"2026-03-03T00:00:00Z\" status=\"FINISHED\" target=\"192.0.2.1\"/>\
         </SCAN_REPORT_LIST>",
    );
    let script = Script::new()
        .on("GET /msp/scan_report_list.php", [list])
        .on("GET /msp/scan_report.php ref=scan/1.1", [body("scan-all-kinds.xml")])
        .on("GET /msp/scan_report.php ref=scan/3.3", [body("scan-ipv6.xml").gzip()]);
    let bench = Bench::new(script);
    assert_eq!(bench.run("source: scan-reports"), from_files(&["scan-all-kinds.xml", "scan-ipv6.xml"], ""));
}

#[test]
fn detections_equal_their_file() {
    let script =
        Script::new().on(PAGE, [body("detections.xml")]).on(KNOWLEDGE_BASE, [body("knowledge-base.xml")]);
    let bench = Bench::new(script);
    let knowledge_base = format!(", knowledge_base: {:?}", good("knowledge-base.xml"));
    assert_eq!(bench.run("source: host-detections"), from_files(&["detections.xml"], &knowledge_base));
}

#[test]
fn quota_of_the_api_is_measured() {
    let page =
        body("detections.xml").header("X-RateLimit-Limit", "300").header("X-RateLimit-Remaining", "271");
    let bench = Bench::new(Script::new().on(PAGE, [page]).on(KNOWLEDGE_BASE, [body("knowledge-base.xml")]));
    let outcome = bench.sandbox.run(&bench.pipeline("source: host-detections")).expect_code(0);
    let summary = outcome.summary();
    for (name, value) in [("quota_limit", 300.0), ("quota_remaining", 271.0)] {
        let metrics = summary["inputs"][0]["metrics"].as_array().unwrap();
        let metric = metrics.iter().find(|metric| metric["name"] == name).unwrap();
        assert_eq!(
            (&metric["kind"], metric["value"].as_f64()),
            (&"gauge".into(), Some(value)),
            "{summary:#}"
        );
    }
}

#[test]
fn rejected_login_is_not_retried_and_exits_77() {
    let script = Script::new().on("", [Reply::code(401, 2000, "Bad Login/Password")]);
    let bench = Bench::new(script);
    let outcome = bench.sandbox.run(&bench.pipeline("template_id: 1")).expect_code(77);
    assert_eq!(bench.qualys.requests().len(), 1);
    assert!(!outcome.stderr.contains("hunter#2"), "{}", outcome.stderr);
}

#[test]
fn invalid_settings_are_reported_with_file_and_line() {
    let bench = Bench::new(Script::new());
    let mut text = bench.pipeline("template_id: 1, config-is: below");
    text = text.replace(", config-is: below }", " }, config: qualys.yaml");
    bench
        .sandbox
        .write("qualys.yaml", "add_host: y\n\nproxy: https://192.0.2.1:70000\nproxy_username: zaphod\n");
    let file = bench.sandbox.write("pipeline.yaml", &text);
    for command in [&["check", "--offline"][..], &["check"], &["run"]] {
        let command = [command, &[file.to_str().unwrap()]].concat();
        let outcome = Outcome::of(bench.sandbox.host(&command).output().unwrap());
        let outcome = outcome.expect_code(78);
        assert!(
            outcome.stderr.contains("option `proxy` has an invalid port; expected a number from 1 to 65535"),
            "{}",
            outcome.stderr
        );
        assert!(outcome.stderr.contains("qualys.yaml:3:8"), "{}", outcome.stderr);
    }
    assert!(bench.qualys.requests().is_empty());
}

#[test]
fn killed_download_resumes_and_repeats_at_most_one_page() {
    let population = || Population { per_asset: 4, ..Population::of(2_000) };
    let settings = "source: host-detections, page_size: 10";
    let uninterrupted = Bench::new(Script::new().population(population())).run(settings);

    let bench = Bench::new(Script::new().population(population()));
    let text = bench.pipeline(settings);
    let mut kills = 0;
    for pages in [30, 90, 150] {
        let mut host =
            bench.sandbox.host_running(&text).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        while bench.qualys.count(PAGE) < pages {
            assert!(host.try_wait().unwrap().is_none(), "the host ended before it was killed");
            assert!(started.elapsed() < Duration::from_secs(120), "page {pages} is not requested");
            sleep(Duration::from_millis(1));
        }
        kill_process(Pid::from_child(&host), Signal::KILL).unwrap();
        host.wait().unwrap();
        kills += 1;
    }
    assert_eq!(bench.run(settings), uninterrupted);
    let downloaded = bench.qualys.count(PAGE);
    assert!(
        (200..=200 + kills).contains(&downloaded),
        "{downloaded} pages were downloaded with {kills} kills"
    );
}
