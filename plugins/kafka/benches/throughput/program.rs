//! The whole program: `scanbridge run` from a generated report of a scan to a topic.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::host::{Installation, programs};
use crate::measured::{Cost, measured, measured_child};
use crate::plain;
use crate::topic;

const ASSETS: &str = "1000";
const FINDINGS: &str = "50";
const DEFINITIONS: &str = "3000";

/// What one format costs.
pub(crate) struct Delivered {
    pub(crate) findings: u64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) program: Cost,
    /// A plain producer that sends the same records.
    pub(crate) plain: Cost,
}

/// An installation with a generated report.
pub(crate) struct Program {
    installation: Installation,
    findings: u64,
}

impl Program {
    /// `None` without `SCANBRIDGE_PROGRAMS`: a program without optimization is not measured.
    pub(crate) fn new() -> Option<Self> {
        std::env::var_os("SCANBRIDGE_PROGRAMS")?;
        let installation = Installation::new();
        let arguments = ["scan", "--assets", ASSETS, "--per-asset", FINDINGS, "--qids", DEFINITIONS, "--out"];
        let generated = Command::new(programs().join("generate"))
            .args(arguments)
            .arg(installation.path("scan.xml"))
            .output()
            .unwrap();
        let counts: Value = serde_json::from_slice(&generated.stderr).unwrap();
        let findings = counts["findings"].as_object().unwrap().values().map(|count| count.as_u64().unwrap());
        Some(Self { findings: findings.sum(), installation })
    }

    pub(crate) fn deliver(&self, cluster: &Cluster, format: &str) -> Delivered {
        let (name, plain_name) = (format!("program-{format}"), format!("program-plain-{format}"));
        for name in [&name, &plain_name] {
            topic::create(&cluster.brokers, name, 12, &[]);
        }
        let pipeline = format!(
            "version: 1\ninputs:\n  - {{ id: scans, plugin: QualysGuardFile, with: {{ path: scan.xml, settle_secs: 0 }} }}\n\
             outputs:\n  - {{ id: bus, plugin: Kafka, with: {{ brokers: [\"{}\"], security: plaintext, topic: {name}, \
             format: {format} }} }}\n",
            cluster.brokers
        );
        let file = format!("{format}.yaml");
        fs::write(self.installation.path(&file), pipeline).unwrap();
        let program = measured_child(|| {
            let output = self.installation.run(&file, &[]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        });
        let records = topic::read(&cluster.brokers, &name);
        let producer = plain::Producer::new(&cluster.brokers, &plain_name);
        let plain = measured(|| producer.round(&records));
        Delivered {
            findings: self.findings,
            records: records.len() as u64,
            bytes: records.iter().map(|record| record.value.len() as u64).sum(),
            program,
            plain,
        }
    }
}
