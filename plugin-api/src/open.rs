//! Parameters of `open`, and its result.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use crate::batch::Schema;
use crate::connector::ConnectorIdentity;
use crate::error::PluginError;
use crate::fips::Fips;
use crate::keeper::Share;
use crate::options::Options;
use crate::report_key::ReportKey;
use crate::services::Services;

/// Why the host opens an instance.
///
/// For all purposes except [`Run`](Self::Run), [`Replay`](Self::Replay) and [`Exam`](Self::Exam), an instance changes
/// nothing: no file, no remote state, no key ([`Services::is_read_only`]). For these it receives no receipt and no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Purpose {
    /// To deliver findings.
    Run,
    /// To check whether the options are valid. `check` is called only if the plugin declares
    /// [`LocalCheck::Yes`](crate::LocalCheck::Yes), and then contacts no peer. Also the meaning of a word that this
    /// version does not know.
    #[default]
    Check,
    /// To call `check`, which also contacts peers.
    Probe,
    /// To redeliver dead letters.
    Replay,
    /// To list stored reports ([`Input::list_reports`](crate::Input::list_reports)), also while another process runs the
    /// same instance. State is a copy.
    List,
    /// To show what would be delivered. Only for inputs that declare [`ReadOnly::Yes`](crate::ReadOnly): the host reads them
    /// as in a run, but does not call `stored`. State is a copy: keys can be read and changed, and the instance's directory
    /// is a temporary one; the host discards both. For outputs: [`Output::render`](crate::Output::render) may be called,
    /// and `begin` and `write` are not.
    Preview,
    /// To test the plugin with injected faults; like [`Run`](Self::Run).
    Exam,
}

impl Purpose {
    pub(crate) const ALL: [Self; 7] =
        [Self::Run, Self::Check, Self::Probe, Self::Replay, Self::List, Self::Preview, Self::Exam];

    /// The word that crosses the ABI.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Check => "check",
            Self::Probe => "probe",
            Self::Replay => "replay",
            Self::List => "list",
            Self::Preview => "preview",
            Self::Exam => "exam",
        }
    }

    /// Whether the instance must not change anything.
    #[must_use]
    pub fn is_read_only(self) -> bool {
        !matches!(self, Self::Run | Self::Replay | Self::Exam)
    }
}

impl<'de> Deserialize<'de> for Purpose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Ok(Self::ALL.into_iter().find(|purpose| purpose.word() == word).unwrap_or_default())
    }
}

/// The limits of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Limits {
    /// Size of texts or tables, in bytes, at which an input returns a batch.
    pub batch_bytes: u64,
    /// Maximum size of the JSON document of one call, in bytes.
    pub frame_bytes: u64,
    /// Maximum size of a receipt, in bytes.
    pub receipt_bytes: u64,
    /// Maximum size of a position, in bytes.
    pub position_bytes: u64,
    /// Time without progress, in milliseconds, after which the host abandons a call.
    pub hang_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_bytes: 384 << 10,
            frame_bytes: 1 << 20,
            receipt_bytes: 64 << 10,
            position_bytes: 64 << 10,
            hang_ms: 600_000,
        }
    }
}

/// Everything that the host passes to `open`. Crosses as JSON; a missing key has its default.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct OpenFrame {
    /// The plugin API of the host: `2.0`.
    pub api: String,
    /// Product and version of the host: `Scanbridge 1.2.0`.
    pub host: String,
    /// The name of the pipeline.
    pub pipeline: String,
    /// The `id` of the instance in the pipeline.
    pub instance: String,
    /// The number of the run; 0 without a run.
    pub run: u64,
    /// Why the instance is opened.
    pub purpose: Purpose,
    /// The options as a JSON object. They contain secrets.
    pub options: serde_json::Map<String, serde_json::Value>,
    /// The directory of the instance. It is created on first use.
    pub state_folder: PathBuf,
    /// The limits of the host.
    pub limits: Limits,
    /// Inputs that can reread (capability `rereads: yes`): the reports to read, because an output has missed them;
    /// absent for all reports. Other reports, and what was delivered before, are not touched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reports: Option<Vec<ReportKey>>,
    /// Names of options that differ from those of the run that is resumed.
    pub options_changed: Vec<String>,
    /// Whether the run has no end of its own, because an input waits for new reports. Outputs only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub endless: bool,
    /// Which algorithms the instance may use.
    #[serde(skip_serializing_if = "Fips::is_off")]
    pub fips: Fips,
    /// Who delivers: the names that the operator gave to this installation, and its machine.
    #[serde(skip_serializing_if = "ConnectorIdentity::is_empty")]
    pub connector: ConnectorIdentity,
    /// Names of the fields whose values the host encrypts before the output gets them, for example `asset.address`. An
    /// output that would do harm with other values refuses to open. Outputs only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub encrypted: Vec<String>,
    /// The part of its source that an input reads; absent for all of it. Only for inputs that declare
    /// [`Shares::Yes`](crate::Shares).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
}

/// Omits the options, which contain secrets.
impl fmt::Debug for OpenFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenFrame")
            .field("instance", &self.instance)
            .field("run", &self.run)
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

/// Parameters of `open`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Open<'a> {
    /// The options, validated against the plugin's table.
    pub options: &'a Options,
    /// The host's services for this instance.
    pub services: &'a Services,
    /// Everything else.
    pub frame: &'a OpenFrame,
}

impl<'a> Open<'a> {
    /// For a plugin's own tests, and for the ABI.
    #[must_use]
    pub fn new(options: &'a Options, services: &'a Services, frame: &'a OpenFrame) -> Self {
        Self { options, services, frame }
    }

    /// Why the instance is opened.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.frame.purpose
    }

    /// The `id` of the instance in the pipeline.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.frame.instance
    }

    /// The part of its source that an input reads: [`Share::WHOLE`] without a pipeline that is shared.
    #[must_use]
    pub fn share(&self) -> Share {
        self.frame.share.unwrap_or_default()
    }

    /// The directory of the instance; [`Services::state_folder`] creates it.
    #[must_use]
    pub fn state_folder(&self) -> &Path {
        &self.frame.state_folder
    }
}

/// An open instance with its capabilities. `Ok(plugin.into())` uses the capabilities of the plugin.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened<T, C> {
    /// The instance.
    pub plugin: T,
    /// What it can do; `None` if the same as the plugin.
    pub capabilities: Option<C>,
    /// Inputs: the columns of the batches.
    pub schema: Schema,
    /// Inputs that declare [`ReadOnly::Yes`](crate::ReadOnly): what reading would change at the source nevertheless.
    pub effect: Option<PluginError>,
    /// Outputs that keep the checkpoint: the part of the source that the pipeline's input reads; `None` for all of it.
    pub share: Option<Share>,
}

impl<T, C> Opened<T, C> {
    /// Declares what reading would change at the source, because of an option: `report 7 would be launched at Example`, with
    /// a hint. An input that is opened for [`Purpose::Preview`] is then not read.
    #[must_use]
    pub fn with_effect(mut self, effect: PluginError) -> Self {
        self.effect = Some(effect);
        self
    }

    /// Sets the part of the source that the pipeline's input reads, because other instances read the others. Only for an
    /// output with [`KeepsCheckpoint::Yes`](crate::KeepsCheckpoint).
    #[must_use]
    pub fn with_share(mut self, share: Share) -> Self {
        self.share = Some(share);
        self
    }

    /// Declares fewer capabilities than the plugin.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: C) -> Self {
        self.capabilities = Some(capabilities);
        self
    }

    /// Sets the columns, for an input.
    #[must_use]
    pub fn with_schema(mut self, schema: Schema) -> Self {
        self.schema = schema;
        self
    }
}

impl<T, C> From<T> for Opened<T, C> {
    fn from(plugin: T) -> Self {
        Self { plugin, capabilities: None, schema: Schema::default(), effect: None, share: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_purpose_is_read_only() {
        let frame: OpenFrame = serde_json::from_str(r#"{"purpose": "audit", "later": 1}"#).unwrap();
        assert_eq!(frame.purpose, Purpose::Check);
        assert!(frame.purpose.is_read_only());
        for purpose in Purpose::ALL {
            let word = serde_json::to_string(&purpose).unwrap();
            assert_eq!(word, format!("\"{}\"", purpose.word()));
            assert_eq!(serde_json::from_str::<Purpose>(&word).unwrap(), purpose);
        }
    }
}
