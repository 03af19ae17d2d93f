//! The console with a long history: how soon each page is there, and what open pages cost that follow a run.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::bound::{Bound, Limit, median};
use super::operations::print;
use super::service::{Service, pipeline};
use super::stage::{Stage, StageError, shape};
use crate::generator::{Extent, Format};

const PIPELINES: usize = 50;
/// Runs that each ledger keeps: 10,000 of all pipelines.
const RUNS: usize = 200;
/// Runs and days that the service keeps for its pages.
const RECENT: u64 = 20;
const DAYS: u8 = 14;
const REQUESTS: usize = 20;
const OPEN_PAGES: usize = 10;
const LIMIT_MS: f64 = 50.0;

const PAGES: [&str; 8] = [
    "/",
    "/health",
    "/plugins",
    "/pipelines/p00",
    "/pipelines/p49/runs/200",
    "/pipelines/p49/runs/1",
    "/pipelines/p00/dead-letters",
    "/pipelines/watching/reports?state=all",
];

/// A browser that has logged in.
#[derive(Debug, Clone)]
struct Visitor {
    address: String,
    cookie: String,
}

impl Visitor {
    fn log_in(service: &Service) -> Result<Self, StageError> {
        let view: Value = serde_json::from_str(&service.get("/api/v1/service")?).unwrap_or_default();
        let url = view["listener"]["url"].as_str().unwrap_or_default();
        let made = service.post_json("/api/v1/tokens", &json!({ "name": "bench", "role": "operate" }))?;
        let made: Value = serde_json::from_str(&made).unwrap_or_default();
        let address = url.trim_start_matches("http://").to_owned();
        let visitor = Self { address, cookie: String::new() };
        let token = made["token"].as_str().unwrap_or_default();
        let response = visitor.send("POST", "/login", &format!("token={token}&next=%2F"))?;
        let cookie = response.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        let cookie = cookie.and_then(|cookie| cookie.split(';').next());
        let cookie = cookie.ok_or_else(|| StageError::new("/login", &response))?.to_owned();
        Ok(Self { cookie, ..visitor })
    }

    fn connect(&self, method: &str, path: &str, body: &str) -> std::io::Result<TcpStream> {
        let Self { address, cookie } = self;
        let mut stream = TcpStream::connect(address)?;
        let kind = "Content-Type: application/x-www-form-urlencoded";
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nCookie: {cookie}\r\n{kind}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )?;
        Ok(stream)
    }

    /// The whole response.
    fn send(&self, method: &str, path: &str, body: &str) -> Result<String, StageError> {
        let failed = |error: std::io::Error| StageError::new(path, error);
        let mut response = String::new();
        self.connect(method, path, body).map_err(failed)?.read_to_string(&mut response).map_err(failed)?;
        Ok(response)
    }

    fn page(&self, path: &str) -> Result<String, StageError> {
        let response = self.send("GET", path, "")?;
        if response.starts_with("HTTP/1.1 200") { Ok(response) } else { Err(StageError::new(path, response)) }
    }

    /// An open page: it is loaded again at each change that the service reports, as `live.js` does.
    fn follow(&self, path: &str, is_over: &AtomicBool, loads: &AtomicU32) -> Result<(), StageError> {
        let failed = |error: std::io::Error| StageError::new("/events", error);
        let stream = self.connect("GET", "/events", "").map_err(failed)?;
        stream.set_read_timeout(Some(Duration::from_millis(200))).map_err(failed)?;
        let (mut events, mut line) = (BufReader::new(stream), String::new());
        while !is_over.load(Ordering::Relaxed) {
            match events.read_line(&mut line) {
                Ok(0) => return Err(StageError::new("/events", "the service has closed the connection")),
                Ok(_) if line.starts_with("event: change") => {
                    self.page(path)?;
                    loads.fetch_add(1, Ordering::Relaxed);
                    line.clear();
                }
                Ok(_) => line.clear(),
                // Nothing has happened.
                Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Stage {
    /// Measures the time of each page, and for this long the processor time of ten open pages.
    ///
    /// # Errors
    /// Fails if the service fails or a page is not shown.
    pub fn console(&self, time: Duration, out: &mut impl Write) -> Result<Vec<Bound>, StageError> {
        let report = self.report("small", shape(Format::Scan, Extent::Bytes(20_000), 10))?;
        let path = report.path.display().to_string();
        let mut pipelines: Vec<_> =
            (0..PIPELINES).map(|number| pipeline(&format!("p{number:02}"), &path, "")).collect();
        let (name, text) = pipeline("watching", &path, "until: idle");
        pipelines
            .push((name, text.replace(&format!("path: {path:?},"), &format!("path: {path:?}, watch: yes,"))));
        let large = self.report("slow", shape(Format::Detections, Extent::Assets(1500), 100))?;
        let (name, text) = pipeline("slow", &large.path.display().to_string(), "");
        pipelines.push((name, text.replace("plugin: CSV,", "plugin: CSV, max_findings_per_sec: 1000,")));
        let begun = Instant::now();
        let arguments = ["--listen", "127.0.0.1:0"];
        let service = Service::start_with(self, &pipelines, &arguments, |folder| self.history(folder))?;
        print(out, &format!("history of {} runs: {:.1} s", PIPELINES * RUNS, begun.elapsed().as_secs_f64()))?;
        let visitor = Visitor::log_in(&service)?;
        let page = visitor.page("/pipelines/watching/reports")?;
        let csrf = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let form = format!("csrf={}&input=reports", csrf.unwrap_or_default());
        visitor.send("POST", "/pipelines/watching/reports/list", &form)?;
        let mut bounds = Vec::new();
        for path in PAGES {
            let mut times = Vec::new();
            for _ in 0..REQUESTS {
                let started = Instant::now();
                visitor.page(path)?;
                times.push(started.elapsed().as_secs_f64() * 1000.0);
            }
            bounds.push(Bound {
                quantity: format!("console: {path}"),
                measured: median(times),
                limit: Limit::AtMost(LIMIT_MS),
                unit: " ms",
            });
        }
        bounds.push(self.open_pages(&service, &visitor, time, out)?);
        report.remove();
        large.remove();
        Ok(bounds)
    }

    fn open_pages(
        &self,
        service: &Service,
        visitor: &Visitor,
        time: Duration,
        out: &mut impl Write,
    ) -> Result<Bound, StageError> {
        let (is_over, loads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let pages: Vec<_> = (0..OPEN_PAGES)
            .map(|number| {
                let (visitor, is_over, loads) = (visitor.clone(), Arc::clone(&is_over), Arc::clone(&loads));
                let path = if number % 2 == 0 { "/" } else { "/pipelines/slow" };
                thread::spawn(move || visitor.follow(path, &is_over, &loads))
            })
            .collect();
        // Changes come from a run in progress, as they do when people look at their pages.
        service.post("/api/v1/pipelines/slow/run")?;
        // They are open, and have got the first event.
        sleep(Duration::from_secs(3));
        let before = service.usage()?.cpu_secs;
        loads.store(0, Ordering::Relaxed);
        sleep(time);
        let used = service.usage()?.cpu_secs - before;
        let count = loads.load(Ordering::Relaxed);
        is_over.store(true, Ordering::Relaxed);
        for page in pages {
            page.join().map_err(|_| StageError::new("an open page", "its thread has panicked"))??;
        }
        print(out, &format!("{OPEN_PAGES} open pages: loaded {count} times in {:.0} s", time.as_secs_f64()))?;
        Ok(Bound {
            quantity: "console: ten open pages, part of a core".to_owned(),
            measured: used / time.as_secs_f64() * 100.0,
            limit: Limit::AtMost(1.0),
            unit: " %",
        })
    }

    /// Runs one pipeline until its ledger is full, and copies it for the others. The service starts with the last runs and
    /// days of all.
    fn history(&self, folder: &Path) -> Result<(), StageError> {
        let failed = |error: std::io::Error| StageError::new(folder.display(), error);
        for _ in 0..RUNS {
            let mut run = Command::new(self.executables.join("scanbridge"));
            run.args(["run", "pipelines/p00.yaml", "--state-dir", "state", "--summary", "none", "-q"]);
            let status = run.current_dir(folder).stdin(Stdio::null()).status().map_err(failed)?;
            if !status.success() {
                return Err(StageError::new("a run of the history", status));
            }
        }
        let mut records = serde_json::Map::new();
        for number in 0..PIPELINES {
            let name = format!("p{number:02}");
            let target = folder.join(format!("state/{name}"));
            if number > 0 {
                fs::create_dir_all(&target).map_err(failed)?;
                for file in fs::read_dir(folder.join("state/p00")).map_err(failed)? {
                    let file = file.map_err(failed)?;
                    fs::copy(file.path(), target.join(file.file_name())).map_err(failed)?;
                }
            }
            let run = |number: u64| {
                json!({
                    "run": number, "started": "2026-01-01T00:00:00Z", "ended": "2026-01-01T00:00:09Z", "exit_code": 0,
                    "status": "ok", "reason": "", "findings": 123, "outputs": { "sheet": 123 },
                })
            };
            let runs: Vec<Value> = (0..RECENT).map(|back| run(RUNS as u64 - back)).collect();
            let days: serde_json::Map<String, Value> = (1..=DAYS)
                .map(|day| (format!("2026-01-{day:02}"), json!({ "ok": 40, "partial": 2 })))
                .collect();
            records.insert(name, json!({ "last_run": runs[0], "history": { "runs": runs, "days": days } }));
        }
        fs::create_dir_all(folder.join("state/service")).map_err(failed)?;
        fs::write(folder.join("state/service/pipelines.json"), Value::from(records).to_string())
            .map_err(failed)
    }
}
