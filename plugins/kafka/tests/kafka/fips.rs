//! The FIPS build of the host with this plugin, which uses the OpenSSL of the system.
//!
//! `.ci/fips-build` makes that host for tests; `SCANBRIDGE_FIPS_PROGRAMS` names its directory. Without the variable the tests
//! are skipped; with `CI=true` they fail then.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use crate::cluster::Cluster;
use crate::host::{Installation, example};
use crate::topic;

/// An installation of the FIPS build, if there is one.
fn installation() -> Option<Installation> {
    let Some(programs) = std::env::var_os("SCANBRIDGE_FIPS_PROGRAMS") else {
        assert!(std::env::var_os("CI").is_none(), "SCANBRIDGE_FIPS_PROGRAMS is not set; see .ci/fips-build");
        eprintln!("skipped: SCANBRIDGE_FIPS_PROGRAMS is not set");
        return None;
    };
    let installation = Installation::with_host(&PathBuf::from(programs).join("scanbridge-under-test"));
    let version = installation.host(&["--version"]);
    let text = String::from_utf8_lossy(&version.stdout).into_owned();
    assert!(text.contains("AWS-LC FIPS "), "the host is not the FIPS build: {text}");
    Some(installation)
}

/// The pipelines from a report to a topic and from a topic to a file. `keys` are at the input or output Kafka.
fn pipelines(brokers: &str, topic: &str, keys: &str) -> [String; 2] {
    let bus = format!("id: bus, plugin: Kafka{keys}, with: {{ brokers: [\"{brokers}\"], security: plaintext");
    let scans = format!(
        "{{ id: scans, plugin: QualysGuardFile, with: {{ path: {:?}, settle_secs: 0 }} }}",
        example("scan.xml")
    );
    [
        format!("version: 1\ninputs:\n  - {scans}\noutputs:\n  - {{ {bus}, topic: {topic} }} }}\n"),
        format!(
            "version: 1\ninputs:\n  - {{ {bus}, topics: [{topic}], session_timeout: 6 s }} }}\noutputs:\n  - {{ id: sheet, \
             plugin: CSV, with: {{ path: through.csv }} }}\n"
        ),
    ]
}

fn text(output: &Output) -> String {
    let all =
        [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    // Messages are wrapped.
    all.split_whitespace().collect::<Vec<_>>().join(" ")
}

const REFUSED: &str = "has cryptography outside a FIPS module; install its FIPS build or set fips: off";

#[test]
fn input_and_output_are_refused_by_name_in_fips_mode() {
    let Some(installation) = installation() else { return };
    let at_top = pipelines("127.0.0.1:1", "t", "").map(|pipeline| pipeline + "fips: on\n");
    let at_plugin = pipelines("127.0.0.1:1", "t", ", fips: on");
    let plain = pipelines("127.0.0.1:1", "t", "");
    let cases = at_top.iter().chain(&at_plugin).map(|pipeline| (pipeline, "off"));
    for (pipeline, option) in cases.chain(plain.iter().map(|pipeline| (pipeline, "on"))) {
        fs::write(installation.path("pipeline.yaml"), pipeline).unwrap();
        for command in ["check", "run"] {
            let found = installation.host(&[command, "pipeline.yaml", "--fips", option]);
            let text = text(&found);
            assert_eq!(found.status.code(), Some(78), "{command} {option} {pipeline}{text}");
            assert!(text.contains("libscanbridge_kafka.so") && text.contains("Kafka"), "{text}");
            assert!(text.contains(REFUSED), "{command} {option} {pipeline}{text}");
        }
    }
    assert!(!installation.path("through.csv").exists(), "nothing was started");
}

/// Without FIPS mode, the FIPS build delivers with this plugin as the normal one does.
#[test]
fn input_and_output_work_without_fips_mode() {
    let Some(installation) = installation() else { return };
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "f-findings", 1, &[]);
    let done = |output: Output| assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    for (name, pipeline) in
        ["fetch.yaml", "deliver.yaml"].iter().zip(pipelines(&cluster.brokers, "f-findings", ""))
    {
        fs::write(installation.path(name), pipeline + "fips: off\n").unwrap();
    }
    done(installation.run("fetch.yaml", &[]));
    done(installation.run("deliver.yaml", &["--once"]));
    assert!(fs::read_to_string(installation.path("through.csv")).unwrap().lines().count() > 10);
}
