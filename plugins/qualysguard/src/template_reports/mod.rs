//! Source `template-report`: launches, downloads, delivers and deletes reports, or delivers existing ones.

mod launched;
mod launching;
mod stored;
mod work;

pub(crate) use stored::{entries, journal};
pub(crate) use work::TemplateReports;
