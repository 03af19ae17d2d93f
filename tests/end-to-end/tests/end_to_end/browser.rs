//! A headless Chromium, driven by WebDriver (W3C) through Debian's `chromedriver`.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Nothing in these tests takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser window.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

impl Browser {
    /// Starts a browser. `None` if none is installed; with `CI=true` that fails. Without scripts, pages run no JavaScript.
    #[expect(clippy::print_stderr, reason = "says why the test was skipped")]
    pub(crate) fn start(has_scripts: bool) -> Option<Self> {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null());
        let Ok(mut driver) = command.spawn() else {
            let is_ci = env::var("CI").as_deref() == Ok("true");
            assert!(!is_ci, "chromedriver is missing (packages chromium and chromium-driver)");
            eprintln!("skipped: chromedriver is missing (packages chromium and chromium-driver)");
            return None;
        };
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut started = lines.filter_map(|line| {
            line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse().ok()
        });
        let port = started.next().expect("the port of chromedriver");
        let mut browser = Self { driver, port, session: String::new() };
        let scripts = if has_scripts { 1 } else { 2 };
        let options = json!({
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
            "prefs": { "profile.managed_default_content_settings.javascript": scripts },
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let session = browser.call("POST", "/session", &wanted);
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        Some(browser)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_call(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error:#}"))
    }

    fn try_call(&self, method: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let response = self.exchange(method, path, body).map_err(|error| json!(error.to_string()))?;
        let value = serde_json::from_slice::<Value>(&response).unwrap_or_default()["value"].take();
        if value["error"].is_string() { Err(value) } else { Ok(value) }
    }

    /// The body of the response.
    fn exchange(&self, method: &str, path: &str, body: &Value) -> io::Result<Vec<u8>> {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n");
        write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}")?;
        // The driver keeps the connection open.
        let mut reader = BufReader::new(stream);
        let (mut length, mut line) = (0, String::new());
        while reader.read_line(&mut line)? > 2 {
            let header = line.to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or_default();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(body)
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, &format!("{}{path}", self.session), body)
    }

    pub(crate) fn open(&self, url: &str) {
        self.command("POST", "/url", &json!({ "url": url }));
    }

    /// The path of the page that is shown.
    pub(crate) fn path(&self) -> String {
        let url = self.command("GET", "/url", &Value::Null);
        let rest = url.as_str().unwrap().splitn(4, '/').nth(3).unwrap_or_default().to_owned();
        format!("/{rest}")
    }

    fn find(&self, selector: &str) -> Result<String, Value> {
        let wanted = json!({ "using": "css selector", "value": selector });
        let element = self.try_call("POST", &format!("{}/element", self.session), &wanted)?;
        Ok(element.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned())
    }

    #[track_caller]
    fn element(&self, selector: &str) -> String {
        self.find(selector)
            .unwrap_or_else(|_| panic!("no {selector} in {}:\n{}", self.path(), self.text("body")))
    }

    /// Whether the page has this element.
    pub(crate) fn has(&self, selector: &str) -> bool {
        self.find(selector).is_ok()
    }

    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.command("POST", &format!("/element/{element}/click"), &json!({}));
    }

    #[track_caller]
    pub(crate) fn enter(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.command("POST", &format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// The visible text of an element.
    #[track_caller]
    pub(crate) fn text(&self, selector: &str) -> String {
        let element = self.find(selector).unwrap_or_else(|error| panic!("{selector}: {error:#}"));
        let text = self.command("GET", &format!("/element/{element}/text"), &Value::Null);
        text.as_str().unwrap().to_owned()
    }

    /// Waits until the page with this path is shown.
    #[track_caller]
    pub(crate) fn expect_path(&self, path: &str) {
        self.expect(path, || self.path());
    }

    /// Waits until an element has this text.
    #[track_caller]
    pub(crate) fn expect_text(&self, selector: &str, text: &str) {
        let shown = || {
            let element = self.find(selector).ok()?;
            let path = format!("{}/element/{element}/text", self.session);
            Some(self.try_call("GET", &path, &Value::Null).ok()?.as_str()?.to_owned())
        };
        self.expect(text, || shown().unwrap_or_default());
    }

    #[track_caller]
    fn expect(&self, wanted: &str, found: impl Fn() -> String) {
        let started = Instant::now();
        while found() != wanted {
            assert!(
                started.elapsed() < PATIENCE,
                "{:?} instead of {wanted:?} in {}:\n{}",
                found(),
                self.path(),
                self.text("body")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the page contains a text. Loads the page again if it does not change by itself.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str, reload: bool) {
        let started = Instant::now();
        loop {
            let shown = self.try_call("GET", &format!("{}/source", self.session), &Value::Null);
            if shown.is_ok_and(|page| page.as_str().unwrap().contains(text)) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "no {text} in {}:\n{}", self.path(), self.text("body"));
            std::thread::sleep(Duration::from_millis(100));
            if reload {
                self.command("POST", "/refresh", &json!({}));
            }
        }
    }

    /// The result of a script in the page, which may be a promise.
    pub(crate) fn evaluate(&self, script: &str) -> Value {
        self.command("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Shows pages in this width, in CSS pixels, in the light or the dark scheme.
    pub(crate) fn show_as(&self, width: u32, scheme: &str) {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        for (command, parameters) in
            [("Emulation.setEmulatedMedia", media), ("Emulation.setDeviceMetricsOverride", size)]
        {
            self.command("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
        }
    }

    /// Sends a key to the element that has the focus.
    pub(crate) fn press(&self, key: char) {
        let keys = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let actions = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": keys }] });
        self.command("POST", "/actions", &actions);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser with the session.
        let _ = self.try_call("DELETE", &self.session, &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
