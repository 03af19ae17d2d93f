//! Notices outputs that do not answer, names them, and goes on without them.

use std::sync::Arc;
use std::time::Duration;

use scanbridge_plugin_api::PluginError;

use super::checkpoint::Checkpoints;
use super::control::Control;
use super::destination::Destination;
use super::instance::Context;
use super::lane::Lane;
use super::queue::Queue;
use super::summary::OutputSummary;
use super::watch::CallWatch;

/// Looks at the calls that are under way.
pub(super) struct Watchdog {
    lanes: Vec<Watched>,
    /// Lanes that were given up: their places and what they last said.
    given_up: Vec<(usize, OutputSummary)>,
    control: Arc<Control>,
    checkpoints: Arc<Checkpoints>,
}

/// One lane.
pub(super) struct Watched {
    number: usize,
    places: Vec<usize>,
    id: String,
    plugin: String,
    required: bool,
    /// How long a call may take.
    hang: Duration,
    queue: Arc<Queue>,
    watches: Vec<Arc<CallWatch>>,
    contexts: Vec<&'static Context>,
    /// How many signs of life there were when it was looked at last.
    signs: u64,
    /// When it was last said how long a call is taking.
    told: Duration,
}

/// When a slow call is named first; then whenever it has taken twice as long.
const SLOW: Duration = Duration::from_secs(30);

impl Watched {
    pub(super) fn of(lane: &Lane, places: &[usize]) -> Self {
        let destinations = || [&lane.primary].into_iter().chain(&lane.standby);
        Self {
            number: lane.number,
            places: places.to_vec(),
            id: lane.primary.id().to_owned(),
            plugin: lane.primary.plugin().to_owned(),
            required: lane.required,
            hang: lane.delivery.hang,
            queue: Arc::clone(&lane.queue),
            watches: destinations().map(|destination| Arc::clone(destination.watch())).collect(),
            contexts: destinations().map(Destination::context).collect(),
            signs: 0,
            told: Duration::ZERO,
        }
    }

    /// Whoever tells how far it is does not hang, however long the call takes.
    fn hear_signs_of_life(&mut self) {
        let signs = self.contexts.iter().map(|context| context.signs_of_life()).sum();
        if signs != self.signs {
            self.signs = signs;
            self.told = Duration::ZERO;
            self.watches.iter().for_each(|watch| watch.lives());
        }
    }

    /// The call that is under way.
    fn busy(&self) -> Option<(&'static str, Duration)> {
        self.watches.iter().find_map(|watch| watch.busy())
    }
}

impl Watchdog {
    /// How often it should look.
    pub(super) const TICK: Duration = Duration::from_millis(100);

    pub(super) fn new(control: Arc<Control>, checkpoints: Arc<Checkpoints>) -> Self {
        Self { lanes: Vec::new(), given_up: Vec::new(), control, checkpoints }
    }

    pub(super) fn watch(&mut self, lane: Watched) {
        self.lanes.push(lane);
    }

    /// This lane has ended by itself.
    pub(super) fn ended(&mut self, number: usize) {
        self.lanes.retain(|lane| lane.number != number);
    }

    /// Whether there are lanes that have not ended.
    pub(super) fn has_lanes(&self) -> bool {
        !self.lanes.is_empty()
    }

    /// Names what is slow, and gives up what hangs.
    pub(super) fn look(&mut self) {
        for lane in &mut self.lanes {
            lane.hear_signs_of_life();
            let Some((call, time)) = lane.busy() else {
                lane.told = Duration::ZERO;
                continue;
            };
            let next = if lane.told.is_zero() { SLOW.min(lane.hang / 2) } else { lane.told * 2 };
            if time >= next && time < lane.hang {
                lane.told = time;
                let seconds = time.as_secs();
                tracing::warn!(
                    instance = lane.id,
                    "`{call}` has been running for {seconds} s without \
                     progress"
                );
            }
        }
        let hung = |lane: &mut Watched| lane.busy().is_some_and(|(_, time)| time >= lane.hang);
        let hung: Vec<Watched> = self.lanes.extract_if(.., hung).collect();
        hung.into_iter().for_each(|lane| self.give_up(lane));
    }

    /// What the lanes said last that were given up. What came later did not arrive for certain.
    pub(super) fn last_words(&mut self) -> Vec<(usize, OutputSummary)> {
        std::mem::take(&mut self.given_up)
    }

    fn give_up(&mut self, lane: Watched) {
        let call = lane.busy().map_or("a call", |(call, _)| call);
        let error = PluginError::bug(format!(
            "timed out: `{call}` ran for {} s without progress (hang_secs); the output was abandoned",
            lane.hang.as_secs()
        ));
        lane.watches.iter().for_each(|watch| watch.abandon());
        self.control.output_hung(&lane.id, lane.required, &error);
        lane.queue.abandon();
        if !lane.required
            && let Err(error) = self.checkpoints.leave_out(lane.number)
        {
            self.control.output_failed(&lane.id, true, &super::destination::io_error(&error));
        }
        let mut said = self.control.noted(lane.number);
        if said.is_empty() {
            said.push(OutputSummary { id: lane.id, plugin: lane.plugin, ..OutputSummary::default() });
        }
        said[0].hung = true;
        self.given_up.extend(lane.places.into_iter().zip(said));
    }
}
