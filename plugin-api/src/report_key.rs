//! The identity of a report.

use serde::{Deserialize, Serialize};

use crate::setters::setters;

/// Identifies a report of one input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReportKey {
    /// The `id` of the input.
    pub input: String,
    /// [`ReportStart::id`](crate::model::ReportStart::id).
    pub id: String,
    /// [`ReportStart::path`](crate::model::ReportStart::path).
    pub path: String,
    /// [`ReportStart::time`](crate::model::ReportStart::time).
    pub time: String,
    /// [`ReportStart::revision`](crate::model::ReportStart::revision).
    pub revision: String,
}

setters!(ReportKey {
    texts: with_input(input), with_id(id), with_path(path), with_time(time), with_revision(revision);
});
