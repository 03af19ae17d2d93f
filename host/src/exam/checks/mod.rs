//! The checks of the exam.

mod accounts;
mod choosing;
pub(super) mod general;
mod hostile;
pub(super) mod input;
pub(super) mod output;
mod reading;
mod rendering;
mod runs;
mod sources;
mod tree;
