//! Brokers for tests.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// Running brokers. They end with this process: the script waits for the end of its input.
pub(crate) struct Cluster {
    pub(crate) brokers: String,
    pub(crate) tls: String,
    pub(crate) sasl: String,
    /// The listener behind a proxy.
    pub(crate) target: String,
    /// Certificates and logs.
    pub(crate) directory: String,
    pub(crate) pids: Vec<u32>,
    _script: Child,
}

impl Cluster {
    /// One broker for all tests of this process; `None` if it is not available.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&["1", "--secure"])).as_ref()
    }

    /// Starts brokers.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/kafka/start"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut values = std::collections::HashMap::new();
        for line in BufReader::new(script.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            match line.split_once('=') {
                Some((name, value)) => drop(values.insert(name.to_owned(), value.to_owned())),
                None if line == "ready" => {
                    let mut value = |name| values.remove(name).unwrap_or_default();
                    let pids = value("pids").split(',').map(|pid| pid.parse().unwrap()).collect();
                    return Some(Self {
                        brokers: value("brokers"),
                        tls: value("tls"),
                        sasl: value("sasl"),
                        target: value("target"),
                        directory: value("directory"),
                        pids,
                        _script: script,
                    });
                }
                None => {}
            }
        }
        let status = script.wait().unwrap();
        assert!(std::env::var_os("CI").is_none(), "Apache Kafka is not available: {status}");
        assert_eq!(status.code(), Some(77), "Apache Kafka did not start");
        eprintln!("skipped: Apache Kafka is not available");
        None
    }
}
