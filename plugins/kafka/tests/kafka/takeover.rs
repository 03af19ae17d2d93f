//! What a former owner commits while another instance takes over its slot.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use scanbridge_plugin_api::batch::{Batch, Columns};
use scanbridge_plugin_api::keeper::PairChanges;
use scanbridge_plugin_api::model::ReportEnd;
use scanbridge_plugin_api::tracing::{self, Event, Metadata, Subscriber, field, span};
use scanbridge_plugin_api::{Begin, CommitPoint, Output as _};
use serde_json::json;

use crate::case::{batch, output, scan};
use crate::cluster::Cluster;
use crate::topic;

/// A former owner of slot 0 that has not noticed that it lost it: it has written an asset and the position after it, and has
/// not committed them.
struct FormerOwner(BaseProducer);

impl FormerOwner {
    fn start(brokers: &str, name: &str) -> Self {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("transactional.id", format!("{name}-state.0"))
            .create()
            .unwrap();
        let timeout = Duration::from_secs(30);
        producer.init_transactions(timeout).unwrap();
        producer.begin_transaction().unwrap();
        producer.send(BaseRecord::to(name).key("Qualys/192.0.2.1").payload("asset")).unwrap();
        let state = format!("{name}-state");
        producer.send(BaseRecord::to(&state).partition(0).key("position/in").payload("1")).unwrap();
        producer.flush(timeout).unwrap();
        Self(producer)
    }

    /// Whether its transaction is committed.
    fn commits(&self) -> bool {
        self.0.commit_transaction(Duration::from_secs(30)).is_ok()
    }
}

/// The steps of a takeover, by what they log.
const STEPS: [&str; 2] = ["former owners of the slot are fenced off", "the checkpoint of the slot is read"];

/// Runs something before the step of this number.
struct BeforeStep<F> {
    number: usize,
    seen: Mutex<Vec<String>>,
    run: F,
}

struct Words(String);

impl field::Visit for Words {
    fn record_debug(&mut self, field: &field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl<F: Fn() + Send + Sync + 'static> Subscriber for BeforeStep<F> {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut words = Words(String::new());
        event.record(&mut words);
        if !STEPS.contains(&words.0.as_str()) {
            return;
        }
        let number = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(words.0);
            seen.len()
        };
        if number == self.number {
            (self.run)();
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Takes the slot over while the former owner commits before this step. Returns whether it could, and the number of
/// records of the asset that readers see after the new owner has continued at the checkpoint that it read.
fn take_over(cluster: &Cluster, name: &str, step: usize) -> (bool, usize) {
    topic::create(&cluster.brokers, name, 1, &[]);
    topic::create(&cluster.brokers, &format!("{name}-state"), 1, &[("cleanup.policy", "compact")]);
    let former = FormerOwner::start(&cluster.brokers, name);
    let committed = Arc::new(Mutex::new(None));
    let outcome = Arc::clone(&committed);
    let hook = BeforeStep {
        number: step,
        seen: Mutex::default(),
        run: move || *outcome.lock().unwrap() = Some(former.commits()),
    };
    let options = json!({ "topic": name, "delivery": "exactly-once", "state_topic": format!("{name}-state"),
        "session_timeout": 3000, "takeover_wait": 0 });
    let mut owner = tracing::subscriber::with_default(hook, || output(&cluster.brokers, &options)).unwrap();
    let has_position = owner.load().unwrap().contains_key("position/in");
    if !has_position {
        let (report, raw) = (scan("scan/1"), batch(&[("192.0.2.1", &[5])]));
        owner.begin(&report, Begin::NEW).unwrap();
        owner.write(Batch::of(&raw, &Columns::of_report(&report)).unwrap()).unwrap();
        owner.end(&ReportEnd::default().with_complete(true).with_deliver(true)).unwrap();
        let position: PairChanges = [("position/in".to_owned(), Some(b"1".to_vec()))].into();
        owner.commit_with(CommitPoint::BetweenReports, &position).unwrap();
    }
    let committed = committed.lock().unwrap().expect("both steps are logged");
    (committed, topic::read(&cluster.brokers, name).len())
}

/// The order of the steps matters: were the checkpoint read first, the former owner could still commit after that, and the
/// new owner would write the same again. With the two steps of `Session::open` exchanged, the second case is `(true, 2)`.
#[test]
fn commit_during_a_takeover_doubles_nothing() {
    let Some(cluster) = Cluster::shared() else { return };
    assert_eq!(take_over(cluster, "eo-before", 1), (true, 1), "committed before the takeover: it is read");
    assert_eq!(take_over(cluster, "eo-between", 2), (false, 1), "between the steps: it is refused");
}
