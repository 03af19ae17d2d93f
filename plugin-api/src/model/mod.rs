//! The vendor-neutral data model: reports with assets, their findings, and the definitions that findings refer to.

mod address_range;
mod asset;
mod definition;
mod fact;
mod field;
mod finding;
mod kind;
mod protocol;
mod reference;
mod report;
mod severity;
mod status;

pub use address_range::{AddressRange, BadAddressRange};
pub use asset::AssetField;
pub use definition::DefinitionField;
pub use fact::Fact;
pub use field::Field;
pub use finding::FindingField;
pub use kind::FindingKind;
pub use protocol::Protocol;
pub use reference::{Exploit, Reference, list_items};
pub use report::{Hints, Note, Refusal, ReportDetail, ReportEnd, ReportSource, ReportStart};
pub use severity::Severity;
pub use status::FindingStatus;
