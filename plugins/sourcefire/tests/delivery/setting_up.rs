//! A Defense Center with a registered client, and outputs that connect to it.

use std::path::PathBuf;

use scanbridge_doubles::certificates::Pkcs12;
use scanbridge_doubles::fake_defense_center::{Behavior, FakeDefenseCenter};
use scanbridge_plugin_api::{Open, OpenFrame, Options, Output, Purpose, Receipt, Result, Services};
use scanbridge_sourcefire::SourcefireOutput;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A Defense Center, a directory, and the client certificate file in it.
pub(crate) struct Registered {
    pub(crate) center: FakeDefenseCenter,
    pub(crate) folder: TempDir,
    pub(crate) file: PathBuf,
    /// The host of the outputs.
    pub(crate) services: Services,
}

impl Registered {
    /// `None` if the program that writes the certificate file is not installed.
    pub(crate) fn new() -> Option<Self> {
        Self::on("127.0.0.1:0", Behavior::default())
    }

    pub(crate) fn on(address: &str, behavior: Behavior) -> Option<Self> {
        let center = FakeDefenseCenter::start_on(address, behavior).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = center.client_file(folder.path(), "client.pkcs12", "", Pkcs12::DefenseCenter)?;
        let services = Services::without_host(folder.path());
        Some(Self { center, folder, file, services })
    }

    /// Options for connecting to the Defense Center, overridden by `more`.
    pub(crate) fn options(&self, more: &Value) -> Value {
        let mut options = json!({
            "server": self.center.address().ip().to_string(),
            "port": self.center.port(),
            "pkcs12": self.file,
            "connect_timeout_secs": 20,
            "reply_timeout_secs": 20,
        });
        for (name, value) in more.as_object().unwrap() {
            options[name] = value.clone();
        }
        options
    }

    pub(crate) fn open(&self, more: &Value) -> Result<SourcefireOutput> {
        self.resume(more, None)
    }

    pub(crate) fn resume(&self, more: &Value, receipt: Option<&Receipt>) -> Result<SourcefireOutput> {
        let options = self.options(more).to_string();
        let options = Options::read(SourcefireOutput::OPTIONS, options.as_bytes())?;
        let mut frame = OpenFrame::default();
        frame.purpose = Purpose::Run;
        let open = Open::new(&options, &self.services, &frame);
        SourcefireOutput::open(&open, receipt).map(|opened| opened.plugin)
    }

    /// All results on the Defense Center, after every connection has ended.
    pub(crate) fn results(&self) -> Vec<String> {
        self.center.wait_until_idle();
        self.center.host_map().all_results()
    }
}
