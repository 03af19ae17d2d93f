//! Values of options that follow from others.

/// The value of an option that is not set, and what it follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Computed {
    pub(crate) option: &'static str,
    pub(crate) value: String,
    pub(crate) origin: &'static str,
}
