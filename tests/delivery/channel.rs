//! The webhook by itself: what is handed to it, what it tells back.

use std::path::Path;
use std::sync::{Arc, Mutex};

use muster::deliver::log::Log;
use muster::deliver::message::{Message, message};
use muster::deliver::webhook::guard::{Lookup, System};
use muster::deliver::webhook::{Options, Upstream, Webhook};
use muster::engine::{DeliveryOutcome, Effect, OrderMessage};
use muster::journal::Step;
use muster::model::{Millis, OrderId, OrderState, Place, Recall, Role, Timestamp};
use muster::playbook::Playbook;
use muster::telemetry::Metrics;
use muster::wire::Shard;

/// What the channel told.
pub struct Told {
    playbook: Arc<Playbook>,
    pub outcomes: Mutex<Vec<(OrderId, String, DeliveryOutcome)>>,
    pub settled: Mutex<usize>,
}

impl Upstream for Told {
    fn now(&self) -> Timestamp {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp(i64::try_from(now.as_millis()).unwrap())
    }
    fn playbook(&self) -> Arc<Playbook> {
        Arc::clone(&self.playbook)
    }
    fn outcome(&self, order: &OrderId, channel: &str, outcome: DeliveryOutcome) {
        self.outcomes.lock().unwrap().push((order.clone(), channel.to_owned(), outcome));
    }
    fn settled(&self, _: u64) {
        *self.settled.lock().unwrap() += 1;
    }
}

pub struct Rig {
    pub webhook: Webhook,
    pub told: Arc<Told>,
    pub log: Log,
    pub metrics: Arc<Metrics>,
    pub now: Timestamp,
}

impl Rig {
    pub fn start(options: &Options) -> Self {
        Self::asking(options, Arc::new(System))
    }

    pub fn asking(options: &Options, lookup: Arc<dyn Lookup>) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/playbooks/minimal");
        let playbook = Arc::new(muster::config::playbook::load_dir(&folder, None).unwrap());
        let told = Arc::new(Told { playbook, outcomes: Mutex::default(), settled: Mutex::default() });
        let (log, metrics) = (Log::in_memory(2_000_000), Arc::new(Metrics::new()));
        let source = String::from("muster/9900");
        let upstream = Arc::clone(&told) as Arc<dyn Upstream>;
        let webhook = Webhook::start_asking(options, source, &metrics, &log, upstream, lookup).unwrap();
        let now = told.now();
        Self { webhook: webhook.expect("somebody is to be told"), told, log, metrics, now }
    }

    /// How often an outcome was counted.
    pub fn count(&self, outcome: &str) -> u64 {
        self.metrics.deliveries.with_label_values(&["webhook", outcome]).get()
    }

    /// What waits at all targets.
    pub fn waiting(&self) -> u64 {
        self.metrics.queue_depth.with_label_values(&["webhook"]).get().unsigned_abs()
    }

    /// What was handed over is sent, expired, superseded, overflowed, or waits: nothing else may become of it.
    pub fn unaccounted(&self) -> i128 {
        let ends = ["sent", "expired", "superseded", "overflowed"].map(|outcome| self.count(outcome));
        i128::from(self.count("handed")) - i128::from(ends.iter().sum::<u64>() + self.waiting())
    }
}

/// An order, or its recall, as a step gives it.
pub fn order(number: u64, n: u32, now: Timestamp, lives: Millis, bottom_line: bool, state: OrderState) -> Arc<Message> {
    let incident: muster::model::IncidentId = "9900-20261125-1".parse().unwrap();
    let order = OrderMessage {
        id: OrderId { incident: incident.clone(), n },
        incident,
        post: "P-1".into(),
        role: Role::First,
        state,
        recall: (state == OrderState::Recalled).then_some(Recall::StoodDown),
        issued_at: now,
        sign_by: Some(now + Millis::from_secs(60)),
        on_scene_by: None,
        expires_at: now + lives,
        place: Place {
            spot: muster::model::Spot::Known,
            area: Some("quay".into()),
            county: None,
            position: None,
            accuracy_m: None,
            ring: muster::model::Ring::One,
            risk_class: None,
            site: Some("lotus-plaza".into()),
        },
        headline: "safety/fire/structure II".into(),
        text: "商场冒烟".into(),
        reason: String::from("plan"),
        bottom_line,
        drill: false,
        traceparent: None,
    };
    let step = Step { number, at: now, effects: vec![Effect::Order(Box::new(order))], ..Step::default() };
    Arc::new(message(Shard::ONLY, &Arc::new(step), 0, &|_| None))
}
