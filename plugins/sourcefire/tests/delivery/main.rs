//! The plugin against the fake Defense Center. The tests compare the findings of each asset at the end.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod check;
mod contract;
mod crash;
mod end_state;
mod faults;
mod plain;
mod refusals;
mod report;
mod setting_up;
mod settings;
mod sizes;
