//! Output `HTTP` against free servers with the APIs of Elasticsearch and OpenSearch, and signatures checked by the library
//! of Standard Webhooks.
//!
//! `SCANBRIDGE_HTTP_RECEIVERS` is a Python environment with `noida-db`, `osmem-server` and `standardwebhooks`; CI makes one.
//! Without it, these tests do nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use scanbridge_doubles::http_destination::{HttpDestination, Lines};
use serde_json::Value;

use crate::installation::project_file;
use crate::sandbox::{Sandbox, pipeline};

#[expect(clippy::print_stderr, reason = "says why the test was skipped")]
fn receivers() -> Option<PathBuf> {
    let folder = std::env::var_os("SCANBRIDGE_HTTP_RECEIVERS").map(PathBuf::from);
    if folder.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "SCANBRIDGE_HTTP_RECEIVERS is not set");
        eprintln!("skipped: SCANBRIDGE_HTTP_RECEIVERS is not set");
    }
    folder
}

/// A server that ends with the test.
struct Server {
    process: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn noida_db(receivers: &Path, folder: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // The wrapper would leave the server running.
        let script = "import noida_db, os, sys; folder = os.path.dirname(noida_db.__file__); \
                      os.execv(os.path.join(folder, 'noida-db'), sys.argv[1:])";
        let process = Command::new(receivers.join("bin/python"))
            .args(["-c", script, "noida-db", "start", "--data-dir"])
            .arg(folder)
            .args(["--only", "elasticsearch", "--elasticsearch-port", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, port }.ready()
    }

    fn osmem(receivers: &Path) -> Self {
        let script = "import osmem_server, os, sys; folder = os.path.dirname(osmem_server.__file__); \
                      os.execv(os.path.join(folder, 'bin', 'osmem-server'), sys.argv[1:])";
        let mut process = Command::new(receivers.join("bin/python"))
            .args(["-c", script, "osmem-server", "-no-stdin-watch", "-no-ja"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        let port =
            ready["url"].as_str().unwrap().rsplit(':').next().unwrap().trim_matches('/').parse().unwrap();
        Self { process, port }.ready()
    }

    fn ready(self) -> Self {
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return self;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("the server does not listen");
    }

    /// The JSON of a response.
    fn ask(&self, request: &str) -> Value {
        self.ask_with(request, "")
    }

    /// The same for a request with this JSON.
    fn ask_with(&self, request: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        write!(
            stream,
            "{request} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (start, end) = (text.find("\r\n\r\n").unwrap() + 4, text.rfind('}').unwrap() + 1);
        let start = start + text[start..].find('{').unwrap();
        serde_json::from_str(&text[start..end]).unwrap_or_else(|_| panic!("{text}"))
    }
}

fn deliver(sandbox: &Sandbox, options: &str) {
    let output = format!("{{ id: dest, plugin: HTTP, with: {{ {options} }} }}");
    let report = project_file("examples/reports/scan.xml");
    let pipeline = pipeline(&format!("path: {report:?}, settle_secs: 0"), &[&output]);
    let summary = sandbox.run(&pipeline).expect_code(0).summary();
    assert_eq!(summary["outputs"][0]["records"], 16, "{summary:#}");
}

#[test]
fn elasticsearch_api_has_each_finding_once() {
    let Some(receivers) = receivers() else { return };
    let sandbox = Sandbox::new();
    let server = Server::noida_db(&receivers, &sandbox.path("data"));
    for target in ["data_stream: logs-scanbridge.finding-default", "index: findings"] {
        let options = format!("preset: elasticsearch, url: \"http://127.0.0.1:{}\", {target}", server.port);
        for _ in 0..2 {
            deliver(&sandbox, &options);
            std::fs::remove_dir_all(sandbox.path("state")).unwrap();
        }
        let name = target.split(' ').next_back().unwrap();
        server.ask(&format!("POST /{name}/_refresh"));
        assert_eq!(server.ask(&format!("GET /{name}/_count"))["count"], 16, "{target}");
    }
}

#[test]
fn opensearch_api_has_the_newest_state_of_each_finding() {
    let Some(receivers) = receivers() else { return };
    let sandbox = Sandbox::new();
    let server = Server::osmem(&receivers);
    let options = format!(
        "preset: opensearch, url: \"http://127.0.0.1:{}\", index: findings, record_id: finding, format: json",
        server.port
    );
    for _ in 0..2 {
        deliver(&sandbox, &options);
        std::fs::remove_dir_all(sandbox.path("state")).unwrap();
    }
    server.ask("POST /findings/_refresh");
    assert_eq!(server.ask("GET /findings/_count")["count"], 16);
}

/// Installs a template, delivers to what it is for, and returns the type of a field in the mapping that came of it.
fn type_after_template(
    sandbox: &Sandbox,
    server: &Server,
    template: &str,
    options: &str,
    target: &str,
) -> String {
    let file = project_file(&format!("dist/destinations/{template}.json"));
    let template = std::fs::read_to_string(file).unwrap();
    let installed = server.ask_with("PUT /_index_template/scanbridge", &template);
    assert_eq!(installed["acknowledged"], true, "{installed}");
    deliver(sandbox, options);
    let mapping = server.ask(&format!("GET /{target}/_mapping"));
    let (_, index) = mapping.as_object().unwrap().iter().next().unwrap();
    let pointer = "/mappings/properties/finding/properties/port/type";
    index.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{mapping:#}")).to_owned()
}

#[test]
fn index_templates_are_accepted() {
    let Some(receivers) = receivers() else { return };
    let sandbox = Sandbox::new();
    let server = Server::noida_db(&receivers, &sandbox.path("data"));
    let url = format!("http://127.0.0.1:{}", server.port);
    let stream = "logs-scanbridge.finding-default";
    let options = format!("preset: elasticsearch, url: {url:?}, format: json");
    assert_eq!(type_after_template(&sandbox, &server, "elasticsearch-data-stream", &options, stream), "long");

    let sandbox = Sandbox::new();
    let server = Server::osmem(&receivers);
    let url = format!("http://127.0.0.1:{}", server.port);
    let options = format!("preset: opensearch, url: {url:?}, format: json, index: scanbridge-findings");
    let index = "scanbridge-findings";
    assert_eq!(type_after_template(&sandbox, &server, "elasticsearch-index", &options, index), "long");
}

#[test]
fn signature_is_accepted_by_the_library_of_standard_webhooks() {
    let Some(receivers) = receivers() else { return };
    let sandbox = Sandbox::new();
    let server = HttpDestination::start(Lines::default());
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    deliver(
        &sandbox,
        &format!(
            "preset: webhook, url: {:?}, sign_secret: {secret}, compression: gzip, body: array",
            server.url()
        ),
    );
    let requests = server.requests();
    let headers: serde_json::Map<String, Value> =
        requests[0].headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    sandbox.write("body", &requests[0].body);
    sandbox.write("headers", Value::from(headers).to_string());
    let script = "import json, sys; from standardwebhooks.webhooks import Webhook; \
                  Webhook(sys.argv[1]).verify(open('body').read(), json.load(open('headers')))";
    let verified = sandbox.program(&receivers.join("bin/python"), &["-c", script, secret]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}
