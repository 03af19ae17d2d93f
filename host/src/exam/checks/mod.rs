//! The checks of the exam.

pub(super) mod general;
pub(super) mod input;
pub(super) mod output;
mod sources;
