//! Source `template-report`: reports are launched, waited for, fetched, delivered and deleted; or found.

mod launched;
mod launching;
mod stored;
mod work;

pub(crate) use work::TemplateReports;
