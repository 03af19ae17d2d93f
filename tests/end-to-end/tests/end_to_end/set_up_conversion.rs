//! `scanbridge init --from`: old settings become a pipeline and a report.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::sandbox::{Outcome, Sandbox};

fn host(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    Outcome::of(sandbox.host(arguments).args(["--state-dir", "state"]).output().unwrap())
}

/// The directory `old` of a Qualys Connector with these settings.
fn old_connector(settings: &[u8]) -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("old/InputPlugins")).unwrap();
    sandbox.write("old/InputPlugins/QualysGuard.yaml", settings);
    sandbox.write("old/dc.pkcs12", "not opened");
    sandbox
}

fn converted(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    let line = [&["init", "new/p.yaml", "--from", "qualys-connector", "old"], arguments].concat();
    host(sandbox, &line)
}

/// The lines of one part of the report.
fn part<'r>(report: &'r str, heading: &str) -> Vec<&'r str> {
    let lines = report.lines().skip_while(|line| !line.starts_with(heading)).skip(1);
    lines.take_while(|line| line.starts_with("  ")).collect()
}

#[track_caller]
fn expect_line(report: &str, heading: &str, words: &[&str]) {
    let lines = part(report, heading);
    let found = lines.iter().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(found, "{heading}: {words:?} in\n{report}");
}

const SETTINGS: &str = "# Account\r\nuser_id: marvin\r\npassword: 'br4in $${size} of ''a'' planet'\r\ntemplate_id: 424242\r\n\
    add_host: y\r\nip_ranges: 192.0.2.0/24, 198.51.100.1-198.51.100.9\r\nproxy: https://192.0.2.8:3128\r\n\
    proxy_username: ford\r\nproxy_password: 'pr3fect'\r\ncolour: beige\r\ntemplate_id: 535353\r\nurl:\r\n";

#[test]
fn settings_of_2014_become_a_pipeline_and_a_report() {
    let sandbox = old_connector(SETTINGS.as_bytes());
    let command = "17 2 * * 1-5 cd /opt/qc && /usr/bin/perl qualys_connector.pl -se=dc.example.com -po 8308 \
                   -pa='p4ss=word' -sy -lo=qc.log > /dev/null 2>&1";
    let outcome = converted(&sandbox, &["--command", command]).expect_code(0);
    let report = &outcome.stdout;
    for (old, new) in [
        ("user_id", "inputs.qualys.user_id"),
        ("add_host", "inputs.qualys.add_host"),
        ("ip_ranges", "inputs.qualys.ip_ranges"),
        ("proxy_username", "inputs.qualys.proxy_username"),
        ("template_id", "inputs.qualys.template_id"),
        ("17 2 * * 1-5", "schedule.cron"),
        ("-server", "outputs.defense-center.server"),
        ("-port", "outputs.defense-center.port"),
    ] {
        expect_line(report, "Taken over", &[old, &format!("-> {new}")]);
    }
    for words in [
        &["password", "inputs.qualys.password", "file of its own"][..],
        &["proxy_password", "inputs.qualys.proxy_password"],
        &["proxy ", "inputs.qualys.proxy", "http:// instead of https://"],
        &["-password", "outputs.defense-center.password"],
        &["-pkcs12", "outputs.defense-center.pkcs12", "first *.pkcs12"],
    ] {
        expect_line(report, "Changed", words);
    }
    for words in [
        &["colour", "no such option"][..],
        &["template_id", "set again on line 11"],
        &["url", "has no value"],
        &["-syslog"],
        &["-logfile"],
        &["> /dev/null"],
        &["cd /opt/qc"],
    ] {
        expect_line(report, "Not taken over", words);
    }
    assert!(!report.contains("To be answered"), "{report}");
    let secrets = ["br4in", "pr3fect", "p4ss"];
    assert!(secrets.iter().all(|secret| !report.contains(secret)), "{report}");

    let text = sandbox.read("new/p.yaml");
    assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
    for line in [
        "  cron: '17 2 * * 1-5'",
        "      user_id: marvin",
        "      template_id: 535353",
        "      proxy: http://192.0.2.8:3128",
        "      server: dc.example.com",
        "      port: 8308",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}:\n{text}");
    }
    // Old settings have no references: each character is as it was.
    assert_eq!(sandbox.read("new/secrets/p-qualys-password"), "br4in $${size} of 'a' planet");
    assert_eq!(sandbox.read("new/secrets/p-defense-center-password"), "p4ss=word");
    let mode = fs::metadata(sandbox.path("new/secrets/p-qualys-password")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let checked = host(&sandbox, &["check", "new/p.yaml", "--offline"]).expect_code(0);
    assert!(checked.stderr.is_empty(), "{}", checked.stderr);
}

#[test]
fn missing_answers_are_placeholders() {
    let sandbox = old_connector(b"user_id: marvin\ntemplate_id: abc\nadd_host: maybe\n");
    let outcome = converted(&sandbox, &[]).expect_code(78);
    for words in [
        &["add_host", "must be `yes` or `no`"][..],
        &["password", "missing in the old settings"],
        &["-server", "outputs.defense-center.server", "--command"],
        &["-password", "outputs.defense-center.password"],
    ] {
        expect_line(&outcome.stdout, "To be answered", words);
    }
    assert!(outcome.stdout.contains("scanbridge init new/p.yaml"), "{}", outcome.stdout);
    let text = sandbox.read("new/p.yaml");
    assert!(text.contains("server: REPLACE-ME") && text.contains("password: REPLACE-ME"), "{text}");
    host(&sandbox, &["check", "new/p.yaml", "--offline"]).expect_code(78);
    // The same file again: it is not replaced.
    converted(&sandbox, &[]).expect_code(73);
}

#[test]
fn command_file_and_several_templates_are_converted() {
    let sandbox = old_connector(b"user_id: marvin\npassword: x\ntemplate_id: 1\n");
    let command = "process_multiple -multiinfo=424242,535353 -csvfile=Output.csv -level=3";
    let outcome = converted(&sandbox, &["--command", command]).expect_code(0);
    expect_line(&outcome.stdout, "Changed", &["-multiinfo", "template_id"]);
    expect_line(&outcome.stdout, "Changed", &["-csvfile", "outputs.csvfile.path", "complete path"]);
    expect_line(&outcome.stdout, "Not taken over", &["-level"]);
    let text = sandbox.read("new/p.yaml");
    assert!(
        text.contains("        - 424242\n        - 535353\n") && text.contains("format: host-input"),
        "{text}"
    );
    assert!(text.contains("old/Output.csv"), "{text}");
    host(&sandbox, &["check", "new/p.yaml", "--offline"]).expect_code(0);
}

/// Hostile and damaged settings: an exit code with a reason, and nothing is written.
#[test]
fn damaged_settings_are_refused_and_write_nothing() {
    let huge = [b"# ".as_slice(), &vec![b'x'; 300 * 1024]].concat();
    let bomb = format!(
        "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [{0}]\nc: &c [{1}]\nd: [{2}]\n",
        vec!["*a"; 90].join(","),
        vec!["*b"; 90].join(","),
        vec!["*c"; 90].join(",")
    );
    for (settings, code, reason) in [
        (&huge[..], 65, "larger than 256 KiB"),
        (b"\xff\xfeu\0s\0", 65, "not text in UTF-8 or ISO 8859-1"),
        (b"user_id: a\0b\n", 65, "not text in UTF-8"),
        (b"user_id: 'open\npassword: s3cret\n", 65, "QualysGuard.yaml"),
        (b"- a\n- b\n", 66, "has no settings"),
        (b"", 66, "has no settings"),
        (bomb.as_bytes(), 65, "too large after its aliases are expanded"),
        (b"user_id: !ruby/object {}\n", 65, "tags"),
        (b"<<: *x\n", 65, "QualysGuard.yaml:1"),
    ] {
        let sandbox = old_connector(settings);
        let outcome = converted(&sandbox, &[]).expect_code(code);
        assert!(outcome.stderr.contains(reason) && !outcome.stderr.contains("s3cret"), "{}", outcome.stderr);
        assert!(outcome.stdout.is_empty() && !sandbox.path("new").exists());
    }
    let sandbox = Sandbox::new();
    let outcome = converted(&sandbox, &[]).expect_code(66);
    assert!(outcome.stderr.contains("has no settings file"), "{}", outcome.stderr);
}

#[test]
fn encodings_and_anchors_of_old_settings_are_read() {
    let latin = b"user_id: M\xfcller\npassword: 'gr\xfc\xdfe'\ntemplate_id: 1\n";
    let bom = "\u{feff}user_id: Müller\r\npassword: 'grüße'\r\ntemplate_id: 1\r\n".as_bytes();
    let anchors =
        "user_id: &name Müller\npassword: 'grüße'\ntemplate_id: [1]\nreport_title: *name\n".as_bytes();
    for settings in [&latin[..], bom, anchors] {
        let sandbox = old_connector(settings);
        let outcome = converted(&sandbox, &["--command", "qualys_connector -c=-"]).expect_code(0);
        let is_latin = settings == &latin[..];
        assert_eq!(outcome.stdout.contains("read as ISO 8859-1"), is_latin, "{}", outcome.stdout);
        assert_eq!(sandbox.read("new/secrets/p-qualys-password"), "grüße");
        let shown = host(&sandbox, &["config", "show", "new/p.yaml"]).expect_code(0);
        assert!(shown.stdout.contains("Müller"), "{}", shown.stdout);
    }
}

#[test]
fn wrong_calls_exit_64_or_65() {
    let sandbox = old_connector(b"user_id: a\n");
    for (arguments, code, reason) in [
        (&["--from", "qualys_connector", "old"][..], 64, "qualys-connector or smartconnector"),
        (&["--from", "smartconnector", "old", "--command", "x"], 64, "only for --from qualys-connector"),
        (&["--from", "qualys-connector"], 64, "2 values"),
        (&["--from", "qualys-connector", "old", "--answers", "a"], 64, "cannot be used with"),
        (&["--from", "qualys-connector", "old", "--command", "perl x.pl"], 65, "neither qualys_connector"),
        (&["--from", "qualys-connector", "old", "--command", "qualys_connector 'x"], 65, "quote"),
        (&["--from", "qualys-connector", "old", "--command", "qualys_connector -bogus"], 65, "-bogus"),
        (&["--from", "smartconnector", "old"], 66, "agent.properties"),
        (&["--from", "smartconnector", "old/dc.pkcs12"], 66, "has no properties of a SmartConnector"),
    ] {
        let outcome = host(&sandbox, &[&["init", "new"], arguments].concat()).expect_code(code);
        assert!(outcome.stderr.contains(reason), "{reason}: {}", outcome.stderr);
        assert!(!sandbox.path("new").exists());
    }
}

const PROPERTIES: &str = "#Written by the set-up\n\
    agents.maxAgents=1\n\
    agents[0].id=3hYz\\=\\=\n\
    agents[0].type=qualysguardfile\n\
    agents[0].clientCertificateRequired=true\n\
    agents[0].certificateType=PKCS12\n\
    agents[0].certificatePath=C\\:\\\\certs\\\\q\\u00fc.p12\n\
    agents[0].certificatePassword=OBFUSCATE.4.8.1\\:xY12\n\
    agents[0].scanReportListURL=https\\://certs.qualysguard.qualys.com/msp/scan_report_list.php\n\
    agents[0].scanReportURL=https\\://other.example.com/msp/scan_report.php\n\
    agents[0].qualysUser=acme_ab1\n\
    agents[0].qualysPassword=OBFUSCATE.4.8.1\\:zZ99\n\
    agents[0].scanProcessingFrequency=15\n\
    agents[0].mode=Automatic\n\
    agents[0].proxyServerUsed=true\n\
    agents[0].proxyServerHost=proxy.example.com\n\
    agents[0].proxyServerPort=3128\n\
    http.nonProxyHosts=localhost|*.example.com\n\
    agents[0].fips.enabled=false\n\
    agents[0].location=Berlin\n\
    agents[0].comment=\n\
    agents[0].something.new=\\\n    7\n\
    agents[0].qualysUser=acme_ab2\n\
    agents[0].destination.count=2\n\
    agents[0].destination[0].type=cefsyslog\n\
    agents[0].destination[0].params=<?xml version\\=\"1.0\"?>\\n<ParameterValues>\\n<Parameter Name\\=\"host\" Value\\=\"siem.example.com\"/>\\n<Parameter Name\\=\"port\" Value\\=\"6514\"/>\\n<Parameter Name\\=\"protocol\" Value\\=\"TLS\"/><Parameter Name\\=\"forwarder\" Value\\=\"false\"/></ParameterValues>\n\
    agents[0].destination[1].type=http\n\
    agents[1].type=other\n";

#[test]
fn properties_of_the_smartconnector_become_a_pipeline_and_a_report() {
    let sandbox = Sandbox::new();
    let path = sandbox.write("agent.properties", PROPERTIES);
    let outcome = host(&sandbox, &["init", "new/p.yaml", "--from", "smartconnector", path.to_str().unwrap()]);
    let outcome = outcome.expect_code(78);
    let report = &outcome.stdout;
    for words in [
        &["agents[0].qualysUser", "inputs.qualys.user_id"][..],
        &["scanProcessingFrequency", "schedule.every_minutes"],
        &["agents[0].location", "connector.location"],
        &["scanReportListURL", "it is the default"],
        &["scanReportURL", "inputs.qualys.scan_report_url"],
    ] {
        expect_line(report, "Taken over", words);
    }
    for words in [
        &["agents[0].type", "inputs.qualys.plugin"][..],
        &["agents[0].mode", "Automatic"],
        &["proxyServerHost", "proxyServerPort", "inputs.qualys.proxy"],
        &["http.nonProxyHosts", "inputs.qualys.no_proxy", "bars"],
        &["destination[0].params host", "outputs.siem.address"],
        &["destination[0].type=cefsyslog"],
    ] {
        expect_line(report, "Changed", words);
    }
    for words in [
        &["something.new", "unknown"][..],
        &["qualysUser", "set again on line"],
        &["fips.enabled"],
        &["certificateType", "detected"],
        &["destination[1].type", "another destination"],
        &["agents[1].type", "another connector"],
        &["params forwarder"],
        &["agents[0].comment", "has no value"],
    ] {
        expect_line(report, "Not taken over", words);
    }
    for key in ["qualysPassword", "certificatePassword"] {
        expect_line(report, "To be answered", &[key, "obfuscated"]);
    }
    assert!(!report.contains("zZ99") && !report.contains("xY12"), "{report}");
    // Each property has a line in the report.
    for line in PROPERTIES.lines().filter(|line| line.starts_with("agents") || line.starts_with("http.")) {
        let key = line.split('=').next().unwrap();
        assert!(report.contains(key), "{key} in\n{report}");
    }
    let text = sandbox.read("new/p.yaml");
    for line in [
        "  every_minutes: 15",
        "connector:",
        "  location: Berlin",
        "      user_id: acme_ab2",
        "      password: REPLACE-ME",
        "      tls_password: REPLACE-ME",
        "      source: scan-reports",
        "      proxy: http://proxy.example.com:3128",
        "      transport: tls",
        "      address: siem.example.com:6514",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}:\n{text}");
    }
    assert!(text.contains("C:\\certs\\q\u{fc}.p12") || text.contains("C:\\\\certs\\\\q"), "{text}");
    // With the answers it is valid.
    sandbox.write("new/p.yaml", text.replace("REPLACE-ME", "'x'"));
    host(&sandbox, &["check", "new/p.yaml", "--offline"]).expect_code(0);
}

#[test]
fn interactive_connector_without_proxy_and_certificate() {
    let sandbox = Sandbox::new();
    let text = "agents[0].mode=Interactive\nagents[0].scanprocessingfrequency=15\nagents[0].clientcertificaterequired=false\n\
                agents[0].certificatepath=q.p12\nagents[0].certificatepassword=x\nagents[0].proxyserverused=false\n\
                agents[0].proxyserverhost=proxy\nagents[0].proxyserverpassword=x\nagents[0].qualysuser=a\nagents[0].qualyspassword=x\n";
    let path = sandbox.write("agent.properties", text);
    let outcome = host(&sandbox, &["init", "new/p.yaml", "--from", "smartconnector", path.to_str().unwrap()]);
    let report = outcome.expect_code(78).stdout;
    for (key, note) in [
        ("scanprocessingfrequency", "Interactive"),
        ("certificatepath", "no client certificate"),
        ("certificatepassword", "no client certificate"),
        ("proxyserverhost", "no proxy"),
        ("proxyserverpassword", "no proxy"),
    ] {
        expect_line(&report, "Not taken over", &[key, note]);
    }
    let text = sandbox.read("new/p.yaml");
    assert!(text.contains("schedule: manual") && !text.contains("tls_") && !text.contains("proxy"), "{text}");
}
