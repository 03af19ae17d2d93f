//! What a source is, and how it ends.

use std::io;

use scanbridge_plugin_api::{ErrorKind, PluginError, Result};
use scanbridge_qualys_xml::Kind;
use scanbridge_qualys_xml::tail::Ending;

use crate::source::Source;

/// A source that will not become more complete.
#[derive(Debug)]
pub struct Settled {
    /// Its bytes.
    pub source: Source,
    /// What it is.
    pub kind: Kind,
    /// How it ends. Only looked at for kinds that are read.
    pub ending: Ending,
}

impl Settled {
    /// Judges a source as it is now.
    ///
    /// # Errors
    /// The source cannot be read; the message contains `name`.
    pub fn now(source: Source, name: &str) -> Result<Self> {
        let judge = || -> io::Result<(Kind, Ending)> {
            let kind = source.kind()?;
            let ending = match kind.root() {
                Some(root) if !source.is_cut => source.ending(root)?,
                _ => Ending::Cut,
            };
            Ok((kind, ending))
        };
        let (kind, ending) = judge()
            .map_err(|error| PluginError::new(ErrorKind::Io, format!("cannot read {name}: {error}")))?;
        Ok(Self { source, kind, ending })
    }

    /// Whether more bytes could make a report, or another one, of it.
    #[must_use]
    pub fn looks_unfinished(&self) -> bool {
        match self.kind {
            Kind::Empty | Kind::Unclear => true,
            _ if self.source.is_cut => true,
            _ => self.kind.root().is_some() && self.ending == Ending::Cut,
        }
    }
}
