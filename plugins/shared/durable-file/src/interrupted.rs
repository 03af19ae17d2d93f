//! The report that a receipt names, until the first report of this run begins.

use std::path::Path;

use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

use crate::name::{NameTemplate, name_of};
use crate::pieces::Pieces;
use crate::receipt::{Record, ReportKey, START_OVER, UnderWay};
use crate::recovery::{RecoveredReport, restore_published};
use crate::target::Target;

/// A report that was in progress when the receipt was made.
#[derive(Debug)]
pub(crate) struct Interrupted {
    pub(crate) under_way: UnderWay,
    /// What the caller of `commit` stored with the receipt.
    pub(crate) state: Vec<u8>,
    /// `None` for a device or pipe.
    left: Option<RecoveredReport>,
}

impl Interrupted {
    /// Restores all files to the state in the record, and removes the report in progress from the record.
    pub(crate) fn recover(
        record: &mut Record,
        state: Vec<u8>,
        name: &NameTemplate,
        target: &Target,
    ) -> Result<Option<Self>> {
        let mut interrupted = None;
        let mut untouched = None;
        if let Some(under_way) = record.under_way.take() {
            let earlier = record.published.get(&under_way.name);
            let path = name.beside(&under_way.name);
            let left = under_way.series.as_ref().map(|series| Pieces::recover(path, series, target, earlier));
            let left = left.transpose()?;
            if let Some(RecoveredReport::Broken(_)) = left {
                untouched = Some(under_way.name.clone());
            }
            interrupted = Some(Self { under_way, state, left });
        }
        for (file, published) in &mut record.published {
            if untouched.as_ref() != Some(file) {
                restore_published(&name.beside(file), published)?;
            }
        }
        Ok(interrupted)
    }

    /// Whether this report with this path is the interrupted one.
    pub(crate) fn is(&self, report: &ReportKey, path: &Path) -> bool {
        let is_there = match self.left {
            Some(_) => self.under_way.name == name_of(path),
            None => self.under_way.name == path.to_string_lossy(),
        };
        is_there && self.under_way.report == *report
    }

    /// Its part files, to resume the report; `None` for a device or pipe.
    pub(crate) fn into_pieces(self) -> Result<Option<Box<Pieces>>> {
        match self.left {
            Some(RecoveredReport::Complete(pieces)) => Ok(Some(pieces)),
            Some(RecoveredReport::Broken(path)) => Err(broken(&path)),
            None => Ok(None),
        }
    }

    /// Removes its part files, because the report is not resumed.
    pub(crate) fn roll_back(self, record: &mut Record, name: &NameTemplate) -> Result<()> {
        match self.left {
            Some(RecoveredReport::Complete(mut pieces)) => pieces.forget(),
            // Recovery left the published file alone, because the report might have been resumed.
            Some(RecoveredReport::Broken(_)) => {
                if let Some(published) = record.published.get_mut(&self.under_way.name) {
                    restore_published(&name.beside(&self.under_way.name), published)?;
                }
            }
            None => {}
        }
        Ok(())
    }
}

fn broken(path: &Path) -> PluginError {
    let path = path.display();
    let message = format!("cannot resume: {path} is missing, or was changed since the interrupted run");
    PluginError::new(ErrorKind::Io, message).with_hint(START_OVER)
}
