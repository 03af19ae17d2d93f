//! The page of stored reports, in raw bytes: many long IDs, hostile titles, and two operators at the same time.

use std::fs;
use std::thread;

use crate::console_sessions::{Response, log_in, send, start, token};
use crate::sandbox::Sandbox;
use crate::service::{control, sandbox_with_report, view, wait_for, with_input, write_pipeline};

/// A directory whose path is about 780 bytes long.
fn deep() -> String {
    ["a", "b", "c"].map(|part| part.repeat(250)).join("/")
}

/// A sandbox with a pipeline that keeps this many reports in a directory, with long names.
fn with_reports(count: usize) -> Sandbox {
    let sandbox = sandbox_with_report();
    let folder = deep();
    fs::create_dir_all(sandbox.path(&folder)).unwrap();
    let report = sandbox.read("scan.xml");
    for number in 0..count {
        let title = format!("</script><b onload=x> {number:03}");
        let title = title.replace('<', "&lt;").replace('>', "&gt;");
        let name = format!("{folder}/{number:03}-{}.xml", "%\"'&".repeat(40));
        sandbox.write(&name, report.replace("Weekly scan of the shop", &title));
    }
    let input = format!("{{ path: '{folder}', watch: true, settle_secs: 0 }}");
    let pipeline = with_input("watching", &input, "", "until: idle");
    let pipeline = pipeline.replace("path: watching.csv", "path: watching.csv, if_exists: append");
    write_pipeline(&sandbox, "watching", &pipeline);
    sandbox
}

/// A session of an operator, with the list that it sees.
struct Session {
    url: String,
    cookie: String,
    csrf: String,
    page: String,
}

const PAGE: &str = "/pipelines/watching/reports";

impl Session {
    fn of(url: &str, token: &str) -> Self {
        let (cookie, csrf) = log_in(url, token);
        Self { url: url.to_owned(), cookie, csrf, page: String::new() }
    }

    fn post(&self, path: &str, fields: &str) -> Response {
        send(&self.url, &format!("POST {path}"), &self.cookie, &format!("csrf={}&{fields}", self.csrf))
    }

    fn list(&mut self) {
        assert_eq!(self.post(&format!("{PAGE}/list"), "").code, 303);
        self.look("");
    }

    fn look(&mut self, query: &str) {
        self.page = send(&self.url, &format!("GET {PAGE}{query}"), &self.cookie, "").body;
    }

    /// Values of all fields with this name.
    fn values(page: &str, name: &str) -> Vec<String> {
        let field = format!("name=\"{name}\" value=\"");
        let marks = page.split(&field).skip(1);
        marks.map(|rest| rest.split('"').next().unwrap().replace("&#43;", "+")).collect()
    }

    /// The fields of the form that name the list.
    fn listed(&self) -> String {
        let listed = Self::values(&self.page, "listed").remove(0);
        format!("input=reports&listed={}", listed.replace('+', "%2B").replace(':', "%3A"))
    }
}

/// 100 reports whose IDs have 100 KB together.
#[test]
fn page_of_reports_with_long_ids_is_sent_at_once() {
    let sandbox = with_reports(100);
    let (service, url) = start(&sandbox, "");
    let mut session = Session::of(&url, &token(&sandbox, "operate"));
    session.list();
    let marks = Session::values(&session.page, "report");
    assert_eq!(marks.len(), 100);
    assert!(session.page.matches(&"a".repeat(250)).count() >= 100, "the IDs are shown");
    assert!(!session.page.contains("<b onload"), "titles are escaped");
    let marked: Vec<String> = marks.iter().map(|mark| format!("report={mark}")).collect();
    let fields = format!("{}&command=send&{}", session.listed(), marked.join("&"));
    let question = session.post(&format!("{PAGE}/confirm"), &fields);
    assert!(question.code == 200 && question.body.contains("Send 100 reports ("), "{}", question.body);
    // The question has a form with the same reports.
    assert_eq!(Session::values(&question.body, "report").len(), 100);
    assert_eq!(session.post(PAGE, &fields).code, 303);
    wait_for(&sandbox, "watching", |view| view["state"] == "manual" && view["last_run"]["exit_code"] == 0);
    session.list();
    assert!(session.page.contains("100 reports, 0 unsent"), "{}", session.page);

    // What is not a position of the list marks nothing.
    session.look("?state=all");
    for mark in ["-1", "100", "99999999999999999999999", "x", "", "0x1"] {
        let fields = format!("{}&command=send&report={mark}", session.listed());
        assert_eq!(session.post(PAGE, &fields).code, 400, "{mark}");
    }
    assert_eq!(service.stop(), Some(0));
}

/// Two sessions send the same report at the same time, a list of an hour ago is refused, and a session ends with its token.
#[test]
fn report_that_two_operators_send_is_delivered_once() {
    let sandbox = with_reports(3);
    let (service, url) = start(&sandbox, "");
    let token = token(&sandbox, "operate");
    let mut sessions = [Session::of(&url, &token), Session::of(&url, &token)];
    sessions[0].list();
    let old = sessions[0].listed();
    sessions[1].list();
    sessions[0].look("");
    assert_ne!(old, sessions[0].listed());
    // Positions of another list are those of other reports.
    let stale = sessions[0].post(PAGE, &format!("{old}&command=send&report=0"));
    assert!(stale.code == 409 && stale.body.contains("choose the reports again"), "{}", stale.body);
    let fields = format!("{}&command=send&report=0", sessions[0].listed());
    assert_eq!(sessions[0].post(PAGE, &fields.replace("listed=", "listed=x")).code, 409);

    // The form of one session is not one of the other.
    let [one, other] = &sessions;
    let mixed = send(&url, &format!("POST {PAGE}"), &one.cookie, &format!("csrf={}&{fields}", other.csrf));
    assert_eq!(mixed.code, 403);
    let codes: Vec<u16> = thread::scope(|scope| {
        let posts: Vec<_> =
            sessions.iter().map(|session| scope.spawn(|| session.post(PAGE, &fields).code)).collect();
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    });
    assert!(codes.contains(&303) && codes.iter().all(|code| [303, 409].contains(code)), "{codes:?}");
    wait_for(&sandbox, "watching", |view| {
        view["state"] == "manual" && view["choices"].as_array().is_none_or(Vec::is_empty)
    });
    let rows = |sandbox: &Sandbox| sandbox.read("watching.csv").lines().count();
    let once = rows(&sandbox);
    control(&sandbox, &["run", "watching", "--wait"]).expect_code(0);
    // Three reports with the same number of findings, each once, and the heading.
    assert_eq!(view(&sandbox, "watching")["last_run"]["exit_code"], 0);
    let (findings, all) = (once - 1, rows(&sandbox) - 1);
    assert_eq!((all / 3, all % 3), (findings, 0), "{once} and {all}");

    // Another role for the same name is another token: the sessions of the first one are over.
    control(&sandbox, &["token", "revoke", "operate"]).expect_code(0);
    control(&sandbox, &["token", "add", "operate", "--role", "read"]).expect_code(0);
    assert_eq!(sessions[0].post(PAGE, &fields).code, 401);
    assert_eq!(service.stop(), Some(0));
}
