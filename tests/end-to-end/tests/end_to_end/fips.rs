//! FIPS mode: what the normal build refuses, and what the FIPS build does.

use crate::sandbox::{CEF, CSV, Outcome, Sandbox, pipeline};
use crate::service::sandbox_with_report;

/// A pipeline with these keys at the top level, to a CSV file.
fn with_keys(keys: &str) -> String {
    pipeline("path: scan.xml, settle_secs: 0", &[CSV]) + keys + "\n"
}

fn host(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    Outcome::of(sandbox.host(arguments).output().unwrap())
}

#[test]
fn version_and_plugin_list_show_the_module_of_each_component() {
    let sandbox = Sandbox::new();
    let module = if cfg!(feature = "fips") { "AWS-LC FIPS " } else { "AWS-LC (no FIPS module)" };
    for version in [host(&sandbox, &["--version"]), host(&sandbox, &["--version", "-v"])] {
        let line = version.expect_code(0).stdout.lines().nth(1).unwrap().to_owned();
        assert!(line.starts_with(&format!("cryptography: {module}")), "{line}");
        assert_eq!(line.ends_with(", static (self-test passed)"), cfg!(feature = "fips"), "{line}");
    }
    let list = host(&sandbox, &["plugin", "list"]).expect_code(0).stdout;
    for (plugin, crypto) in [("CSV", "none"), ("JSON", "none"), ("QualysGuardFile", "none")]
        .into_iter()
        .chain(["ArcSightCEF", "QualysGuard", "Sourcefire"].map(|plugin| (plugin, OF_TLS_PLUGINS)))
    {
        let row = list.lines().find(|line| line.split_whitespace().next() == Some(plugin)).unwrap();
        assert!(row.split_whitespace().any(|word| word.starts_with(crypto)), "{row}");
    }
}

const OF_TLS_PLUGINS: &str = if cfg!(feature = "fips") { "aws-lc-fips-" } else { "unvalidated" };

#[test]
fn unknown_mode_is_an_error_in_every_place() {
    let sandbox = sandbox_with_report();
    sandbox.write("pipeline.yaml", with_keys("fips: yes"));
    let found = host(&sandbox, &["check", "pipeline.yaml"]).expect_code(78).stderr;
    assert!(found.contains("`fips` must be one of off, on, suite-b-128, suite-b-192"), "{found}");
    sandbox.write("pipeline.yaml", with_keys("fips: off"));
    host(&sandbox, &["check", "pipeline.yaml"]).expect_code(0);
    host(&sandbox, &["check", "pipeline.yaml", "--fips", "cnsa"]).expect_code(64);
    let mut command = sandbox.host(&["check", "pipeline.yaml"]);
    let found = Outcome::of(command.env("SCANBRIDGE_FIPS", "1").output().unwrap()).expect_code(78).stderr;
    let expected = "SCANBRIDGE_FIPS: unknown FIPS mode `1`; expected off, on, suite-b-128, suite-b-192";
    assert!(found.contains(expected), "{found}");
    sandbox.write("service.yaml", "service: 1\nfips: maybe\n");
    let found = host(&sandbox, &["config", "service", "service.yaml"]).expect_code(78).stderr;
    assert!(found.contains("unknown FIPS mode `maybe`"), "{found}");
}

/// The identity of a library is read before it is loaded, and is only a claim. The module that is loaded must be that one.
#[test]
fn module_that_differs_from_the_identity_is_refused_by_name() {
    let (from, to, claimed) = if cfg!(feature = "fips") {
        let [ours, other] = if scanbridge_under_test_has_generation_3() { ["3", "4"] } else { ["4", "3"] };
        let line = |generation: &str| format!("\ncrypto=aws-lc-fips-{generation}\0");
        (line(ours), line(other), format!("aws-lc-fips-{other}"))
    } else {
        // Unknown lines are ignored; this one keeps the length.
        ("\ncrypto=unvalidated\0".to_owned(), "\ncrypto=none\npad=ab\0".to_owned(), "none".to_owned())
    };
    let changed =
        crate::installation::host_with_changed("scanbridge_arcsight_cef", from.as_bytes(), to.as_bytes());
    let sandbox = Sandbox::new();
    let output = "{ id: siem, plugin: ArcSightCEF, with: { path: findings.cef } }";
    sandbox.write("pipeline.yaml", pipeline("path: scan.xml", &[output]));
    let arguments = ["plugin", "list"];
    let list = Outcome::of(sandbox.program(&changed, &arguments).output().unwrap());
    let expected = format!("its identity names the cryptography `{claimed}`, and its code `");
    let found = one_line(&(list.stdout + &list.stderr));
    assert!(found.contains("scanbridge-arcsight-cef 0.2.0"), "{found}");
    assert!(found.contains(&expected) && found.contains("libscanbridge_arcsight_cef.so"), "{found}");
    let checked = Outcome::of(sandbox.program(&changed, &["check", "pipeline.yaml"]).output().unwrap());
    assert!(one_line(&checked.stderr).contains(&expected), "{}", checked.stderr);
    assert_eq!(checked.code, Some(78));
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn scanbridge_under_test_has_generation_3() -> bool {
    let version = host(&Sandbox::new(), &["--version"]).expect_code(0).stdout;
    version.contains("AWS-LC FIPS 3.x")
}

#[cfg(not(feature = "fips"))]
mod normal_build {
    use super::*;
    use crate::installation;
    use crate::service::{serve, write_pipeline};

    const NEEDS: &str = "FIPS mode `on` needs the FIPS build of Scanbridge, and this is the normal build";

    #[test]
    fn setting_is_an_error_in_every_place() {
        let sandbox = sandbox_with_report();
        let at_output = CEF.replace("plugin: ArcSightCEF", "plugin: ArcSightCEF, fips: on");
        for text in [with_keys("fips: on"), pipeline("path: scan.xml, settle_secs: 0", &[CSV, &at_output])] {
            sandbox.write("pipeline.yaml", text);
            for command in ["check", "run"] {
                let found = host(&sandbox, &[command, "pipeline.yaml"]).expect_code(78).stderr;
                assert!(found.contains(NEEDS) && found.contains("scanbridge-fips"), "{found}");
            }
            assert!(!sandbox.path("findings.csv").exists(), "nothing was started");
        }
        sandbox.write("pipeline.yaml", with_keys(""));
        let found = host(&sandbox, &["run", "pipeline.yaml", "--fips", "on"]).expect_code(78).stderr;
        assert!(found.contains(NEEDS), "{found}");
        let mut command = sandbox.host(&["run", "pipeline.yaml"]);
        let found = Outcome::of(command.env("SCANBRIDGE_FIPS", "on").output().unwrap()).expect_code(78);
        assert!(found.stderr.contains(NEEDS), "{}", found.stderr);
        assert!(!sandbox.path("findings.csv").exists(), "nothing was started");
    }

    #[test]
    fn old_command_and_service_obey_the_setting() {
        let sandbox = sandbox_with_report();
        let mut command = sandbox
            .program(&installation::legacy("qualys_connector"), &["-csvfile=out.csv", "QualysGuardFile"]);
        let found = Outcome::of(command.env("SCANBRIDGE_FIPS", "on").output().unwrap()).expect_code(78);
        assert!(found.stderr.contains(NEEDS), "{}", found.stderr);
        write_pipeline(&sandbox, "p", &with_keys(""));
        sandbox.write("service.yaml", "service: 1\nfips: on\n");
        let found = Outcome::of(serve(&sandbox, &["--config", "service.yaml"]).output().unwrap());
        assert!(found.stderr.contains(NEEDS), "{}", found.stderr);
        assert_eq!(found.code, Some(78));
        let mut command = serve(&sandbox, &[]);
        let found = Outcome::of(command.env("SCANBRIDGE_FIPS", "suite-b-192").output().unwrap());
        assert!(found.stderr.contains("needs the FIPS build of scanbridge-service"), "{}", found.stderr);
        assert_eq!(found.code, Some(78));
    }
}

#[cfg(feature = "fips")]
mod fips_build {
    use std::process::{Command, Stdio};

    use scanbridge_doubles::certificates::{Authority, Pkcs12, Request};
    use scanbridge_doubles::fake_defense_center::FakeDefenseCenter;
    use scanbridge_doubles::syslog_sink::{Framing, SinkBehavior, SyslogSink};
    use serde_json::Value;

    use super::*;
    use crate::service::{Service, control, http, simple, wait_for, write_pipeline};

    const FILE: &str = "path: scan.xml, settle_secs: 0";

    fn checked(sandbox: &Sandbox, text: &str, arguments: &[&str]) -> Outcome {
        sandbox.write("pipeline.yaml", text);
        host(sandbox, &[&["check", "pipeline.yaml"], arguments].concat())
    }

    #[test]
    fn check_shows_the_mode_and_the_module_of_each_instance() {
        let sandbox = sandbox_with_report();
        let text = pipeline(FILE, &[CSV, CEF]) + "fips: on\n";
        let found = checked(&sandbox, &text, &[]).expect_code(0).stdout;
        assert!(found.contains("sheet: fips: on (no cryptography)"), "{found}");
        assert!(found.contains("siem: fips: on (AWS-LC FIPS "), "{found}");
        let json = checked(&sandbox, &text, &["--format", "json"]).expect_code(0).stdout;
        let json: Value = serde_json::from_str(&json).unwrap();
        let siem = &json["files"][0]["fips"]["siem"];
        assert_eq!(siem["mode"], "on");
        assert!(siem["module"].as_str().unwrap().starts_with("aws-lc-fips-"), "{siem}");
        assert!(!checked(&sandbox, &pipeline(FILE, &[CSV]), &[]).expect_code(0).stdout.contains("fips"));
    }

    #[test]
    fn password_for_a_proxy_without_tls_is_a_warning() {
        let sandbox = Sandbox::new();
        for (scheme, is_warned) in [("http", true), ("https", false)] {
            let text = format!(
                "version: 1\nfips: on\ninputs:\n  - {{ id: api, plugin: QualysGuard, with: {{ url: \
                 https://qualysapi.example.com, user_id: u, template_id: 7, password: \"${{env:PASSWORD:-p}}\", \
                 proxy: '{scheme}://192.0.2.1:8080', proxy_username: zaphod, proxy_password: \"${{env:PROXY:-t0w3L}}\" }} \
                 }}\noutputs:\n  - {CSV}\n"
            );
            let found = checked(&sandbox, &text, &[]).expect_code(0);
            let found = one_line(&(found.stdout + &found.stderr));
            assert_eq!(found.contains("the proxy password goes in the clear"), is_warned, "{found}");
            assert!(!found.contains("t0w3L"), "{found}");
        }
    }

    #[test]
    fn strictest_mode_wins() {
        let sandbox = sandbox_with_report();
        for (top, output, option, variable, expected) in [
            ("on", "off", "off", "off", "on"),
            ("off", "suite-b-192", "on", "suite-b-128", "suite-b-192"),
            ("on", "on", "suite-b-128", "on", "suite-b-128"),
            ("off", "off", "off", "on", "on"),
            ("suite-b-128", "on", "on", "off", "suite-b-128"),
        ] {
            let cef = CEF.replace("plugin: ArcSightCEF", &format!("plugin: ArcSightCEF, fips: {output}"));
            sandbox.write("pipeline.yaml", pipeline(FILE, &[&cef]) + &format!("fips: {top}\n"));
            let mut command = sandbox.host(&["check", "pipeline.yaml", "--fips", option]);
            let found = Outcome::of(command.env("SCANBRIDGE_FIPS", variable).output().unwrap());
            let found = found.expect_code(0);
            assert!(
                found.stdout.contains(&format!("siem: fips: {expected} (")),
                "{expected}: {}",
                found.stdout
            );
            let is_warned = found.stderr.contains("Suite B was retired");
            assert_eq!(is_warned, expected.starts_with("suite-b"), "{}", found.stderr);
        }
    }

    #[test]
    fn plugin_that_declares_nothing_is_refused_by_name() {
        let sandbox = Sandbox::new();
        sandbox.write_rogue_pipeline("none", "none");
        let text = sandbox.read("pipeline.yaml") + "fips: on\n";
        sandbox.write("pipeline.yaml", text);
        for command in ["check", "run"] {
            let found = Outcome::of(sandbox.host_with_rogue(&[command, "pipeline.yaml"]).output().unwrap());
            let found = found.expect_code(78).stderr;
            let reason = "scanbridge-rogue-plugins 0.2.0 has cryptography outside a FIPS module; install its FIPS build \
                          or set fips: off";
            let found = one_line(&found);
            assert!(found.contains(reason) && found.contains("libscanbridge_rogue_plugins.so: "), "{found}");
        }
        let list = sandbox.host_with_rogue(&["plugin", "list", "--fips", "on"]).output().unwrap();
        let list = Outcome::of(list).expect_code(0).stdout;
        assert!(list.contains("Refused:") && list.contains("outside a FIPS module"), "{list}");
    }

    #[test]
    fn pkcs12_is_refused_with_the_way_out() {
        let (center, sandbox) = (FakeDefenseCenter::start(), sandbox_with_report());
        let Some(_) = center.client_file(&sandbox.path(""), "client.pkcs12", "t0w3L", Pkcs12::DefenseCenter)
        else {
            return;
        };
        let output = format!(
            "{{ id: center, plugin: Sourcefire, with: {{ server: 127.0.0.1, port: {}, pkcs12: client.pkcs12, password: \
             t0w3L }} }}",
            center.port()
        );
        for (keys, reason) in [
            ("fips: on\n", "FIPS mode (`fips: on`) forbids the algorithms of this format"),
            ("", "the FIPS build does not have the algorithms of this format"),
        ] {
            let found = checked(&sandbox, &(pipeline(FILE, &[&output]) + keys), &[]).expect_code(78).stderr;
            let found = one_line(&found);
            assert!(found.contains(reason), "{found}");
            assert!(found.contains("client.pkcs12 -clcerts -nokeys > client.pem"), "{found}");
            assert!(!found.contains("t0w3L"), "{found}");
        }
    }

    /// A sink with TLS on loopback, and an output that sends to it.
    fn receiver(sandbox: &Sandbox) -> (SyslogSink, String) {
        let authority = Authority::new("Example Root CA");
        let _ = authority.write_pem(&sandbox.path(""), "ca.pem");
        let config = authority.server_config(&authority.issue(&Request::server(&["127.0.0.1"])), false);
        let sink = SyslogSink::tls(Framing::OctetCounted, SinkBehavior::default(), config);
        let output = format!(
            "{{ id: siem, plugin: ArcSightCEF, with: {{ transport: tls, address: '{}', tls_ca_file: ca.pem }} }}",
            sink.address()
        );
        (sink, output)
    }

    #[test]
    fn findings_are_delivered_over_tls_and_the_summary_names_the_mode() {
        let sandbox = sandbox_with_report();
        let (sink, output) = receiver(&sandbox);
        let text = pipeline(FILE, &[&output]) + "fips: on\n";
        let summary = sandbox.run(&text).expect_code(0).summary();
        assert_eq!(
            (&summary["inputs"][0]["fips"], &summary["outputs"][0]["fips"]),
            (&"on".into(), &"on".into())
        );
        assert!(!sink.messages().is_empty());
        let probe = checked(&sandbox, &text, &["--probe"]).expect_code(0).stdout;
        assert!(probe.contains("TLS 1.3, TLS13_AES_256_GCM_SHA384, secp256r1, peer EC P-256"), "{probe}");
        // The receiver's certificate is not on P-384.
        let strict = text.replace("fips: on", "fips: suite-b-192");
        let refused = checked(&sandbox, &strict, &["--probe"]).stdout;
        assert!(refused.contains("(alert HandshakeFailure) in FIPS mode `suite-b-192`"), "{refused}");
        // Syslog without TLS is allowed and named.
        let clear = text.replace("transport: tls", "transport: tcp").replace(", tls_ca_file: ca.pem", "");
        let found = checked(&sandbox, &clear, &[]).expect_code(0).stderr;
        assert!(found.contains("not encrypted: events cross the network in the clear"), "{found}");
    }

    #[test]
    fn service_passes_its_mode_on_and_its_listener_obeys_it() {
        let sandbox = sandbox_with_report();
        write_pipeline(&sandbox, "p", &simple("p", "name: p\nschedule: { every_minutes: 1000 }"));
        sandbox.write(
            "service.yaml",
            "service: 1\nfips: suite-b-192\nconsole: { listen: '127.0.0.1:0', tls: {} }\n",
        );
        let service = Service::start_with(&sandbox, |command| {
            command.args(["--config", "service.yaml"]);
        });
        wait_for(&sandbox, "p", |view| view["recent_runs"][0]["status"] == "ok");
        let (_, run) = http(&sandbox, "GET /api/v1/pipelines/p/runs/1", "");
        assert!(run.contains("\"fips\":\"suite-b-192\""), "{run}");
        let status = control(&sandbox, &["status", "--format", "json"]).expect_code(0).stdout;
        let status: Value = serde_json::from_str(&status).unwrap();
        assert_eq!(status["service"]["fips"], "suite-b-192");
        let url = status["service"]["listener"]["url"].as_str().unwrap();
        let port = url.rsplit(':').next().unwrap();
        for (group, is_accepted) in [("P-384", true), ("P-256", false), ("X25519", false)] {
            let mut openssl = Command::new("openssl");
            openssl.args(["s_client", "-groups", group, "-connect", &format!("127.0.0.1:{port}")]);
            let output = openssl.stdin(Stdio::null()).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert_eq!(text.contains("Cipher is TLS_AES_256_GCM_SHA384"), is_accepted, "{group}: {text}");
        }
        assert_eq!(service.stop(), Some(0));
    }
}
