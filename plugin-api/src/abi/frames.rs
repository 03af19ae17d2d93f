//! JSON frames of calls, in addition to the JSON forms of the model.

use serde::{Deserialize, Serialize};

use super::host_table::HostHandle;
use super::memory::BytesRef;
use super::status::Detail;
use crate::batch::Schema;
use crate::descriptor::PluginKind;
use crate::error::Result;
use crate::input::StoredReport;
use crate::keeper::Share;
use crate::open::{Open, OpenFrame};
use crate::options::{OptionSpec, Options};
use crate::services::Services;

/// The answer of an instance to `open`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Answer<C> {
    /// The plugin API of the plugin: `2.1`.
    pub(super) api: String,
    /// Capabilities of the instance; absent if they are those of the plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) capabilities: Option<C>,
    /// Inputs: the columns of the batches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) schema: Option<Schema>,
    /// Inputs: what reading would change at the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) effect: Option<Detail>,
    /// Outputs that keep the checkpoint: the part that the input reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) share: Option<Share>,
}

impl<C> Answer<C> {
    pub(super) fn of(capabilities: Option<C>, schema: Option<Schema>) -> Self {
        Self { api: super::API.to_owned(), capabilities, schema, effect: None, share: None }
    }
}

impl<C> Default for Answer<C> {
    fn default() -> Self {
        Self { api: String::new(), capabilities: None, schema: None, effect: None, share: None }
    }
}

/// The reports that an input is informed about in `stored`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct StoredFrame {
    pub(super) reports: Vec<StoredReport>,
}

/// Flags of `begin`.
pub(super) mod begin {
    use crate::output::Begin;

    pub(in crate::abi) const CONTINUED: u32 = 1;
    pub(in crate::abi) const PARTIAL: u32 = 2;
    pub(in crate::abi) const HAS_GAP: u32 = 4;

    pub(in crate::abi) fn flags(begin: Begin) -> u32 {
        let flag = |is_set: bool, flag| if is_set { flag } else { 0 };
        flag(begin.continued, CONTINUED) | flag(begin.partial, PARTIAL) | flag(begin.has_gap, HAS_GAP)
    }

    pub(in crate::abi) fn of_flags(flags: u32) -> Begin {
        let is = |flag| flags & flag != 0;
        Begin { continued: is(CONTINUED), partial: is(PARTIAL), has_gap: is(HAS_GAP) }
    }
}

/// Reads the frame and opens an instance.
pub(super) fn open<T>(
    kind: PluginKind,
    frame: BytesRef<'_>,
    table: &'static [OptionSpec],
    host: HostHandle,
    open: impl FnOnce(&Open<'_>) -> Result<T>,
) -> Result<T> {
    let mut frame: OpenFrame = serde_json::from_slice(frame.as_slice()).map_err(|error| {
        crate::PluginError::bug(format!("invalid data from the other side of the ABI: {error}"))
    })?;
    let options = Options::of(table, std::mem::take(&mut frame.options))?;
    let services = Services::of_host(
        kind,
        frame.instance.clone(),
        frame.state_folder.clone(),
        frame.purpose.is_read_only(),
        frame.fips,
        host,
    );
    open(&Open::new(&options, &services, &frame))
}
