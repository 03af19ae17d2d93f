//! Tests of the host's delivery, in `tests/`: with the rogue plugins, which fail, hang, refuse rows and break the plugin
//! contract on request. Their runs have a clock that the tests drive, so they wait for no pause and no time limit.

mod clock;

pub use clock::{Driver, ManualClock};
