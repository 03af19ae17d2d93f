//! The console in a real browser: every page and every action, with and without JavaScript, for eyes, keyboards and screen
//! readers.

use std::env;
use std::fs;
use std::path::PathBuf;

use crate::browser::Browser;
use crate::sandbox::Sandbox;
use crate::service::{Service, control, simple, wait_for_state, with_input, write_pipeline};

const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';

/// A report whose title and texts are hostile, in a service with pipelines in several states.
struct Console {
    sandbox: Sandbox,
    service: Service,
    url: String,
}

impl Console {
    fn start() -> Self {
        let sandbox = crate::service::sandbox_with_report();
        let report = sandbox.read("scan.xml");
        let hostile = report.replace(
            "Weekly scan of the shop",
            "<script>window.hacked=1</script><img src=x onerror=window.hacked=1> \u{202e}gnirts",
        );
        assert_ne!(hostile, report, "the title of the report has changed");
        sandbox.write("hostile.xml", hostile);
        write_pipeline(
            &sandbox,
            "nightly",
            &simple("nightly", "").replace("path: scan.xml", "path: hostile.xml"),
        );
        write_pipeline(&sandbox, "paused", &simple("paused", "schedule: { every_minutes: 60 }"));
        fs::create_dir(sandbox.path("in")).unwrap();
        for name in ["one", "two", "three <img src=x onerror=window.hacked=1> \u{202e}gnirts"] {
            sandbox.write(&format!("in/{name}.xml"), report.replace("Weekly scan of the shop", name));
        }
        let watch = with_input("watching", "{ path: in, watch: true, settle_secs: 0 }", "", "until: idle");
        write_pipeline(&sandbox, "watching", &watch);
        write_pipeline(&sandbox, "broken", "version: 1\nnonsense: 1\n");
        let rogue = |output: &str| {
            format!(
                "version: 1\ninputs: [{{ id: source, plugin: Rogue, with: {{ act: behave }} }}]\n\
                 outputs: [{{ id: bad, plugin: Rogue, with: {{ act: {output} }} }}]\n"
            )
        };
        write_pipeline(&sandbox, "letters", &rogue("reject-all"));
        sandbox.write("service.yaml", "service: 1\nconsole: { listen: '127.0.0.1:0' }\n");
        let service = Service::start_with(&sandbox, |command| {
            command.args(["--config", "service.yaml"]);
        });
        control(&sandbox, &["pause", "paused"]).expect_code(0);
        control(&sandbox, &["run", "nightly", "--wait"]).expect_code(0);
        control(&sandbox, &["run", "letters", "--wait"]).expect_code(65);
        let status = control(&sandbox, &["status", "--format", "json"]).stdout;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let url = status["service"]["listener"]["url"].as_str().unwrap().to_owned();
        Self { sandbox, service, url }
    }

    fn token(&self, name: &str, role: &str) -> String {
        let made = control(&self.sandbox, &["token", "add", name, "--role", role]).expect_code(0);
        made.stdout.trim_end().to_owned()
    }

    fn open(&self, browser: &Browser, path: &str) {
        browser.open(&format!("{}{path}", self.url));
    }

    fn log_in(&self, browser: &Browser, token: &str) {
        self.open(browser, "/login");
        browser.enter("#token", token);
        browser.click("button.primary");
        browser.expect_path("/");
    }
}

const PAGES: [(&str, &str); 11] = [
    ("/", "Overview"),
    ("/plugins", "Plugins"),
    ("/health", "Health"),
    ("/pipelines/nightly", "nightly"),
    ("/pipelines/nightly/runs/1", "nightly run 1"),
    ("/pipelines/letters/dead-letters", "Dead letters"),
    ("/pipelines/nightly/stop", "Stop the run of nightly?"),
    ("/pipelines/letters/dead-letters/purge?output=bad&reason=r&letters=9", "Purge 9 dead letters of bad?"),
    ("/pipelines/watching/reports", "Reports"),
    ("/pipelines/watching/reports?state=all&text=in", "Reports"),
    ("/pipelines/absent", "no pipeline `absent`"),
];

/// axe-core as one script. `None` if it is missing; with `CI=true` that fails.
#[expect(clippy::print_stderr, reason = "says what the test does not check")]
fn axe() -> Option<String> {
    let path = env::var_os("AXE_CORE").map(PathBuf::from);
    let script = path.and_then(|path| fs::read_to_string(path).ok());
    if script.is_none() {
        let is_ci = env::var("CI").as_deref() == Ok("true");
        assert!(!is_ci, "axe-core is missing: AXE_CORE must be the path of axe.min.js (npm pack axe-core)");
        eprintln!("skipped in part: AXE_CORE is not the path of axe.min.js (npm pack axe-core)");
    }
    script
}

#[test]
fn every_page_is_accessible_and_fits_in_both_schemes_and_widths() {
    let console = Console::start();
    let Some(browser) = Browser::start(true) else { return };
    let axe = axe();
    let check = |path: &str, heading: &str| {
        for (width, scheme) in [(1280, "light"), (320, "light"), (1280, "dark"), (320, "dark")] {
            browser.show_as(width, scheme);
            console.open(&browser, path);
            browser.expect_text("h1", heading);
            let wide = browser.evaluate("return document.documentElement.scrollWidth");
            assert!(wide.as_u64().unwrap() <= u64::from(width), "{path} is {wide} wide in {width}");
            if let Some(axe) = &axe {
                let run = "const found = await axe.run(); return found.violations.map(one => one.id + ': ' + \
                           one.nodes.map(node => node.html + ' ' + node.failureSummary).join('; '));";
                browser.evaluate(axe);
                let found = browser.evaluate(&format!("return (async () => {{ {run} }})()"));
                assert_eq!(found, serde_json::json!([]), "{path} in {width}, {scheme}");
            }
            // Nothing of a report runs, and nothing was refused by the policy because we use it ourselves.
            assert!(browser.evaluate("return window.hacked").is_null(), "{path}");
        }
    };
    check("/login", "Log in");
    console.log_in(&browser, &console.token("ops", "operate"));
    // Before and after the source was asked.
    check("/pipelines/watching/reports", "Reports");
    browser.click("form[action$='/reports/list'] button");
    browser.wait_for("3 unsent, as of", true);
    for (path, heading) in PAGES {
        check(path, heading);
    }
    for (path, shown) in [
        ("/pipelines/nightly/runs/1", "<script>window.hacked=1</script>"),
        ("/pipelines/watching/reports", "three <img src=x onerror=window.hacked=1>"),
    ] {
        console.open(&browser, path);
        let body = browser.text("main");
        assert!(body.contains(shown), "{path}: {body}");
        assert!(!body.contains('\u{202e}'), "{path}: {body}");
    }
    assert_eq!(console.service.stop(), Some(0));
}

/// All actions of an operator.
fn operate(has_scripts: bool) {
    let console = Console::start();
    let Some(browser) = Browser::start(has_scripts) else { return };
    // A page that needs a login leads back to itself afterwards.
    let token = console.token("ops", "operate");
    console.open(&browser, "/pipelines/nightly");
    browser.expect_path("/login?next=%2Fpipelines%2Fnightly");
    browser.enter("#token", "sbt_wrong");
    browser.click("button.primary");
    browser.expect_text("[role=alert]", "The token is unknown or has expired.");
    browser.enter("#token", &token);
    browser.click("button.primary");
    browser.expect_path("/pipelines/nightly");

    let action = |name: &str| format!("form[action='/pipelines/nightly/{name}'] button");
    browser.click(&action("run"));
    browser.wait_for("/pipelines/nightly/runs/2\"", !has_scripts);
    console.open(&browser, "/pipelines/nightly");
    browser.click(&action("pause"));
    browser.wait_for("Resume", !has_scripts);
    assert_eq!(wait_for_state(&console.sandbox, "nightly", "paused")["state"], "paused");
    browser.click(&action("resume"));
    wait_for_state(&console.sandbox, "nightly", "manual");
    // A run that is over cannot be stopped: the page says so and leads back.
    console.open(&browser, "/pipelines/nightly/stop");
    browser.click("button.danger");
    browser.expect_text("h1", "cannot stop pipeline `nightly`");
    console.open(&browser, "/");
    assert!(browser.text("main").contains("broken is invalid"), "{}", browser.text("main"));
    write_pipeline(&console.sandbox, "fresh", &simple("fresh", ""));
    browser.click("form[action='/reload'] button");
    browser.wait_for("/pipelines/fresh\"", !has_scripts);

    // Dead letters: a replay is refused again, a purge asks first.
    console.open(&browser, "/pipelines/letters/dead-letters");
    browser.expect_text("h2", "bad: 9");
    browser.click("td.actions form[method=post] button");
    browser.wait_for("The replay ended with exit code 65.", false);
    browser.click("td.actions form[method=get] button");
    browser.expect_text("h1", "Purge 9 dead letters of bad?");
    browser.click("a.button");
    browser.expect_text("h2", "bad: 9");
    browser.click("td.actions form[method=get] button");
    browser.expect_text("h1", "Purge 9 dead letters of bad?");
    browser.click("button.danger");
    browser.wait_for("There are none.", false);

    choose_reports(&console, &browser, has_scripts);
    browser.click("form.who button");
    browser.expect_path("/login");
    console.open(&browser, "/");
    browser.expect_text("h1", "Log in");
    assert_eq!(console.service.stop(), Some(0));
}

/// Stored reports: the source is asked by a button only; some are sent, one is skipped, the others are sent at once.
fn choose_reports(console: &Console, browser: &Browser, has_scripts: bool) {
    let path = "/pipelines/watching/reports";
    console.open(browser, "/pipelines/watching");
    browser.click("p.links a");
    browser.wait_for("The source was not asked yet.", false);
    browser.click("form[action$='/reports/list'] button");
    browser.wait_for("3 reports, 3 unsent, as of", false);
    let mark = |id: &str| browser.click(&format!("input[name=report][aria-label$=', in/{id}.xml']"));
    let button = |command: &str| browser.click(&format!("button[value={command}]"));
    // Nothing is marked: nothing is asked.
    button("send");
    browser.expect_text("h1", "no report is marked");
    browser.click("main a");
    // The question can be left.
    mark("one");
    button("send");
    browser.wait_for("<h1>Send 1 report (", false);
    browser.click("a.button");
    browser.expect_text("h1", "Reports");
    mark("one");
    button("send");
    browser.wait_for("<h1>Send 1 report (", false);
    browser.click("button.danger");
    browser.expect_text("h1", "Reports");
    browser.wait_for("1 report to send: all sent", !has_scripts);
    browser.wait_for("list again for the present states", !has_scripts);
    browser.click("form[action$='/reports/list'] button");
    browser.wait_for("3 reports, 2 unsent, as of", false);
    // A search leaves one, which is skipped.
    browser.enter("#text", "two");
    browser.click("form.filter button");
    browser.wait_for("1 of 1 selected reports", false);
    mark("two");
    button("skip");
    browser.wait_for("<h1>Skip 1 report (", false);
    browser.click("button.danger");
    browser.wait_for("reports to skip: 1 report now marked as sent", !has_scripts);
    // All that are left; while the pipeline is paused, they wait and can be cancelled.
    control(&console.sandbox, &["pause", "watching"]).expect_code(0);
    console.open(browser, path);
    browser.click("form[action$='/reports/list'] button");
    browser.wait_for("3 reports, 1 unsent, as of", false);
    browser.click("button[name=all]");
    browser.wait_for("<h1>Send 1 report (", false);
    browser.click("button.danger");
    browser.wait_for("Chosen and not sent yet", false);
    browser.click("form.inline button");
    browser.wait_for("cancelled by an operator", false);
    assert!(!browser.text("main").contains("Chosen and not sent yet"), "{}", browser.text("main"));
    console.open(browser, path);
    browser.click("button[name=all]");
    browser.wait_for("<h1>Send 1 report (", false);
    browser.click("button.danger");
    browser.wait_for("Chosen and not sent yet", false);
    control(&console.sandbox, &["resume", "watching"]).expect_code(0);
    browser.wait_for("1 report to send: all sent", !has_scripts);
    let table = console.sandbox.read("watching.csv");
    assert!(!table.is_empty());
    let sent = control(&console.sandbox, &["status", "watching", "--format", "json"]).stdout;
    let sent: serde_json::Value = serde_json::from_str(&sent).unwrap();
    let runs = sent["pipelines"][0]["recent_runs"].as_array().unwrap().len();
    assert_eq!(runs, 2, "one run for each choice that was sent: {sent:#}");
}

#[test]
fn operator_works_with_scripts() {
    operate(true);
}

#[test]
fn operator_works_without_scripts() {
    operate(false);
}

#[test]
fn reader_sees_states_and_no_actions() {
    let console = Console::start();
    let Some(browser) = Browser::start(true) else { return };
    console.log_in(&browser, &console.token("watcher", "read"));
    assert!(!browser.has("form[action='/reload']"));
    console.open(&browser, "/pipelines/nightly");
    assert!(browser.text("main").contains("Runs") && !browser.has("main form"), "{}", browser.text("main"));
    console.open(&browser, "/pipelines/letters/dead-letters");
    browser.expect_text("h1", "permission denied");
    console.open(&browser, "/pipelines/watching/reports");
    browser.click("form[action$='/reports/list'] button");
    browser.wait_for("3 reports, 3 unsent, as of", true);
    assert!(!browser.has("input[type=checkbox]") && !browser.has("button[name=command]"));
    // A revoked token ends its sessions.
    control(&console.sandbox, &["token", "revoke", "watcher"]).expect_code(0);
    console.open(&browser, "/");
    browser.expect_text("h1", "Log in");
    assert_eq!(console.service.stop(), Some(0));
}

#[test]
fn login_link_works_once() {
    let console = Console::start();
    let Some(browser) = Browser::start(false) else { return };
    let link = control(&console.sandbox, &["login-link"]).expect_code(0).stdout;
    browser.open(link.trim_end());
    browser.click("button.primary");
    assert!(browser.text("header").contains("login link, operate"), "{}", browser.text("header"));
    browser.click("form.who button");
    browser.open(link.trim_end());
    browser.click("button.primary");
    browser.expect_text("[role=alert]", "The link was used already, or is older than a minute.");
    assert_eq!(console.service.stop(), Some(0));
}

#[test]
fn pages_follow_what_happens_and_work_with_the_keyboard_alone() {
    let console = Console::start();
    let Some(browser) = Browser::start(true) else { return };
    console.log_in(&browser, &console.token("ops", "operate"));
    // Without loading again: what another operator does is seen.
    browser.evaluate("window.same = 1");
    control(&console.sandbox, &["pause", "nightly"]).expect_code(0);
    browser.wait_for("‖</span> paused</span></td>", false);
    let row = "return [...document.querySelectorAll('tr')].find(row => row.innerText.includes('nightly')).innerText";
    let started = std::time::Instant::now();
    while !browser.evaluate(row).as_str().unwrap().contains("paused") {
        assert!(started.elapsed().as_secs() < 60);
    }
    assert_eq!(browser.evaluate("return window.same"), 1);

    console.open(&browser, "/");
    browser.press(TAB);
    assert_eq!(browser.evaluate("return document.activeElement.innerText"), "Skip to the content");
    browser.press(ENTER);
    assert_eq!(browser.evaluate("return document.activeElement.id"), "content");
    browser.press(TAB);
    assert_eq!(browser.evaluate("return document.activeElement.innerText"), "Reload configuration");
    browser.press(ENTER);
    browser.expect_path("/");
    assert_eq!(console.service.stop(), Some(0));
}
