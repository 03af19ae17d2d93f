//! The commands of the guide of 2014 with its own names, addresses and ports: `qualysapi.qualys.com`, the proxy
//! 192.168.1.100:443, a Defense Center on port 8307. They exist in a network namespace of this test, which has no connection
//! to any other network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use scanbridge_doubles::certificates::{Authority, Pkcs12, Request, installed};
use scanbridge_doubles::fake_defense_center::{Behavior, FakeDefenseCenter};
use scanbridge_doubles::fake_qualys::{FakeQualys, Script};
use scanbridge_doubles::http_proxy::{HttpProxy, ProxyBehavior};

use crate::installation;
use crate::legacy_peers::calls_for;
use crate::legacy_scripts::unpacked;
use crate::sandbox::Outcome;

/// Set in the namespace, so that the test in it changes no other network.
const INSIDE: &str = "SCANBRIDGE_TEST_NAMESPACE";

const HOSTS: &str = "127.0.0.1 localhost\n10.20.30.40 dc.example.com\n203.0.113.10 qualysapi.qualys.com\n";
const ADDRESSES: [&str; 3] = ["10.20.30.40", "203.0.113.10", "192.168.1.100"];

/// The settings file of the guide, with its blank lines, comments and the space after a value.
const SETTINGS: &str = "# account\n\nuser_id: dirk_g\npassword: 'd0ntp@n1c'\ntemplate_id: 424242\n\nadd_host: y\n\
    ip_ranges: 192.168.1.0/24, 10.1.2.3-10.1.2.10, 42.4.2.1\n\n# proxy\nproxy: https://192.168.1.100:443\n\
    proxy_username: zaphod \nproxy_password: 't0w3L'\n";

#[test]
fn commands_of_the_guide_run_as_printed() {
    let in_namespace = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "--mount"]).arg(program).args(arguments).env(INSIDE, "1");
        command.output()
    };
    let is_allowed = in_namespace(Path::new("true"), &[]).is_ok_and(|output| output.status.success());
    if !is_allowed || !installed("ip") || !installed("perl") {
        eprintln!("skipped: it needs perl, ip and a network namespace");
        return;
    }
    let this = std::env::current_exe().unwrap();
    let test = "guide_commands::inside_the_namespace";
    Outcome::of(in_namespace(&this, &["--ignored", "--exact", "--nocapture", test]).unwrap()).expect_code(0);
}

#[test]
#[ignore = "commands_of_the_guide_run_as_printed runs it in a network namespace"]
fn inside_the_namespace() {
    if std::env::var_os(INSIDE).is_none() {
        eprintln!("skipped: it changes the network of its namespace");
        return;
    }
    let (sandbox, folder) = unpacked();
    prepare_network(&sandbox.write("hosts", HOSTS));
    let authority = Authority::new("Example Root CA");
    let certificates = authority.write_pem(&sandbox.path(""), "ca.pem");
    let tls = |name: &str| authority.server_config(&authority.issue(&Request::server(&[name])), false);
    let script = calls_for(Script::new(), "424242", "77", report());
    let script = calls_for(script, "535353", "78", report());
    let qualys = FakeQualys::start_at("203.0.113.10:443", tls("qualysapi.qualys.com"), script, false);
    let login = Some("Basic emFwaG9kOnQwdzNM".to_owned());
    let behavior = ProxyBehavior { login, tls: Some(tls("192.168.1.100")), ..ProxyBehavior::default() };
    let proxy = HttpProxy::start_at("192.168.1.100:443", behavior);
    let center = FakeDefenseCenter::start_on("10.20.30.40:8307", Behavior::default()).unwrap();
    fs::write(folder.join("InputPlugins/QualysGuard.yaml"), SETTINGS).unwrap();
    let Some(file) = center.client_file(&folder, "dc.pkcs12", "", Pkcs12::DefenseCenter) else { return };
    let guide = Guide { folder, home: sandbox.path(""), certificates };

    // The simplest call, then each option with its long name, then the line of the crontab.
    guide.run("perl qualys_connector.pl -server=dc.example.com");
    center.wait_until_idle();
    let results = center.host_map().all_results();
    assert!(!results.is_empty());
    assert!(
        results.iter().all(|result| result.starts_with("192.168.1.40: ")),
        "outside of ip_ranges: {results:?}"
    );
    let (file, settings) = (file.display(), guide.folder.join("InputPlugins/QualysGuard.yaml"));
    for line in [
        format!(
            "./qualys_connector.pl -server=dc.example.com -port=8307 -plugininfo=InputPlugins/QualysGuard.yaml \
             -pkcs12='{file}' -stderr -level=2 QualysGuard"
        ),
        format!("perl qualys_connector.pl -se=dc.example.com -po 8307 -pk '{file}'"),
    ] {
        center.reset();
        guide.run(&line);
        center.wait_until_idle();
        assert_eq!(center.host_map().all_results(), results, "{line}");
    }
    center.reset();
    guide.run_from_crontab(&format!(
        "59 23 * * * /usr/bin/perl '{}' -server=dc.example.com -pkcs12='{file}' -plugininfo='{}' -logfile=qualys.log",
        guide.folder.join("qualys_connector.pl").display(),
        settings.display()
    ));
    center.wait_until_idle();
    assert_eq!(center.host_map().all_results(), results);
    assert!(sandbox.read("qualys.log").contains("QualysGuard Report Processing Complete"));

    // Without a Defense Center, and several templates.
    guide.run("perl qualys_connector.pl -csvfile=output.csv");
    guide.run("perl qualys_connector.pl -c=short.csv");
    guide.run("perl process_multiple.pl -multiinfo 424242,535353 -csvfile=output.csv");
    let written = |name: &str| fs::read_to_string(guide.folder.join(name)).unwrap();
    assert!(written("output.csv").lines().any(|line| line.starts_with("AddScanResult,192.168.1.40,")));
    for name in ["short.csv", "424242_output.csv", "535353_output.csv"] {
        assert_eq!(written(name), written("output.csv"), "{name}");
    }

    // The proxy saw Qualys only, and each request came through it.
    let tunnels = proxy.tunnels();
    assert!(
        tunnels.iter().all(|tunnel| tunnel.opened && tunnel.target == "qualysapi.qualys.com:443"),
        "{tunnels:?}"
    );
    assert!(!tunnels.is_empty() && !qualys.requests().is_empty());
}

/// Two hosts: the first in `ip_ranges` of the guide, the second next to one of its ranges.
fn report() -> Vec<u8> {
    let text = fs::read_to_string(installation::project_file("examples/reports/template.xml")).unwrap();
    let (start, end) = (text.find("<HOST>").unwrap(), text.find("</HOST>").unwrap() + "</HOST>".len());
    let host = |address: &str| text[start..end].replace("192.0.2.40", address);
    let hosts = host("192.168.1.40") + &host("10.1.2.11");
    [&text[..start], &hosts, &text[end..]].concat().into_bytes()
}

/// The addresses of the guide on the loopback device, and its names in `/etc/hosts`.
fn prepare_network(hosts: &Path) {
    let run = |program: &str, arguments: &[&str]| {
        Outcome::of(Command::new(program).args(arguments).output().unwrap()).expect_code(0);
    };
    run("ip", &["link", "set", "lo", "up"]);
    for address in ADDRESSES {
        run("ip", &["address", "add", &format!("{address}/32"), "dev", "lo"]);
    }
    run("mount", &["--bind", hosts.to_str().unwrap(), "/etc/hosts"]);
}

/// The unpacked directory.
struct Guide {
    folder: PathBuf,
    home: PathBuf,
    certificates: PathBuf,
}

impl Guide {
    /// Runs a line of the guide in the unpacked directory.
    fn run(&self, line: &str) {
        self.shell(line, &self.folder);
    }

    /// Runs the command of a line of a crontab as cron does: from the home directory.
    fn run_from_crontab(&self, line: &str) {
        let command = line.splitn(6, ' ').last().unwrap();
        self.shell(command, &self.home);
    }

    fn shell(&self, line: &str, working: &Path) {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]).current_dir(working).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("HOME", &self.home).env("SSL_CERT_FILE", &self.certificates);
        Outcome::of(command.output().unwrap()).expect_code(0);
    }
}
