//! The stored reports of one input: lists them, and changes what counts as delivered. Reads no report.

use std::sync::Arc;

use scanbridge_plugin_api::{PluginError, ReportEntry, ReportMarks, ReportQuery};

use super::build::open_input;
use super::input::Source;
use super::settings::Settings;
use super::stop::Stop;
use crate::config::{InputInstance, Pipeline};
use crate::plugins::Registry;
use crate::state::KeyChanges;

/// An open input whose source has stored reports to choose from.
#[derive(Debug)]
pub(crate) struct StoredReports {
    source: Source,
}

/// Pages that are read at most: a plugin whose cursor never ends must not keep the command busy for ever.
const MAX_PAGES: usize = 1_000;

impl StoredReports {
    /// Opens the input alone.
    ///
    /// # Errors
    /// Those of the plugin.
    pub(crate) fn open(
        input: &InputInstance,
        pipeline: &Pipeline,
        registry: &Registry,
        settings: &Settings,
        stop: &Arc<Stop>,
    ) -> Result<Self, PluginError> {
        Ok(Self { source: open_input(input, registry, pipeline, settings, stop)?.source })
    }

    /// The stored reports that the query selects, newest first, on all pages.
    ///
    /// # Errors
    /// Those of the plugin.
    pub(crate) fn list(&mut self, query: &ReportQuery) -> Result<Vec<ReportEntry>, PluginError> {
        let mut entries = Vec::new();
        let mut query = query.clone();
        for _ in 0..MAX_PAGES {
            let page = self.source.list_reports(query.clone())?;
            entries.extend(page.entries);
            if page.cursor.is_empty() {
                return Ok(entries);
            }
            query = query.with_cursor(page.cursor);
        }
        Err(PluginError::bug(format!("plugin bug: the list of reports has more than {MAX_PAGES} pages")))
    }

    /// Changes what counts as delivered. Returns how many reports were changed, and the keys to be stored.
    ///
    /// # Errors
    /// Those of the plugin.
    pub(crate) fn mark(mut self, marks: ReportMarks) -> Result<(u64, KeyChanges), PluginError> {
        let changed = self.source.mark_reports(marks)?;
        let keys = self.source.context().map(|context| context.keys().take_all()).unwrap_or_default();
        self.close()?;
        Ok((changed, keys))
    }

    /// Closes the input.
    ///
    /// # Errors
    /// Those of the plugin.
    pub(crate) fn close(mut self) -> Result<(), PluginError> {
        self.source.close()
    }
}
