//! Where finished events go.

use scanbridge_plugin_api::Result;
use scanbridge_plugin_api::model::Severity;

/// Receives finished events, each a line with its line feed.
pub(crate) trait Sink {
    fn event(&mut self, line: &[u8], severity: Option<Severity>) -> Result<()>;
}
