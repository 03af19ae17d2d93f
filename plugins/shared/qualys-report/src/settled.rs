//! The format of a source, and whether it is complete.

use std::io;

use scanbridge_plugin_api::{ErrorKind, PluginError, Result};
use scanbridge_qualys_xml::Kind;
use scanbridge_qualys_xml::tail::Ending;

use crate::source::Source;

/// A source that is not expected to grow.
#[derive(Debug)]
pub struct Settled {
    /// Its bytes.
    pub source: Source,
    /// Its format.
    pub kind: Kind,
    /// How it ends. Examined only for supported formats.
    pub ending: Ending,
}

impl Settled {
    /// Examines a source in its current state.
    ///
    /// # Errors
    /// The source cannot be read; the message contains `name`.
    pub fn now(source: Source, name: &str) -> Result<Self> {
        let examine = || -> io::Result<(Kind, Ending)> {
            let kind = source.kind()?;
            let ending = match kind.root() {
                Some(root) if !source.is_truncated => source.ending(root)?,
                _ => Ending::Truncated,
            };
            Ok((kind, ending))
        };
        let (kind, ending) = examine()
            .map_err(|error| PluginError::new(ErrorKind::Io, format!("cannot read {name}: {error}")))?;
        Ok(Self { source, kind, ending })
    }

    /// Whether the file may become a report, or a different one, when more bytes are written.
    #[must_use]
    pub fn looks_unfinished(&self) -> bool {
        match self.kind {
            Kind::Empty | Kind::Unclear => true,
            _ if self.source.is_truncated => true,
            _ => self.kind.root().is_some() && self.ending == Ending::Truncated,
        }
    }
}
