//! CPU time of this process, with all its threads, and of its children.

use std::ops::AddAssign;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

/// What something cost.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) cpu: Duration,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.cpu += other.cpu;
    }
}

/// Runs this and measures it.
pub(crate) fn measured(run: impl FnOnce()) -> Cost {
    let before = cpu();
    run();
    Cost { cpu: cpu() - before }
}

/// Runs this, and measures the children that end in it.
pub(crate) fn measured_child(run: impl FnOnce()) -> Cost {
    let before = cpu_of_children();
    run();
    Cost { cpu: cpu_of_children() - before }
}

/// The CPU time of the children that have ended, in steps of 10 ms.
fn cpu_of_children() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The name of the program is in parentheses, and may contain spaces; the state follows it.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: u64 =
        fields.split_whitespace().skip(13).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1000 / clock_ticks_per_second())
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}
