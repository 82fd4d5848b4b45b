//! Reads accepted steps and says what happened: each happening is one log line and one count.
//!
//! It keeps nothing of its own: what an order or an incident is, it asks of the board, which has folded the same step
//! before. So a restart loses no label.

use std::sync::Arc;

use tracing::field::display;
use tracing::{debug, info, warn};

use super::metrics::{Metrics, drill};
use crate::board::Board;
use crate::engine::state::Order;
use crate::engine::{DeliveryOutcome, Effect, Entry, What};
use crate::journal::Step;
use crate::model::{Act, IncidentId, Millis, OrderId, SourceId, Timestamp};
use crate::playbook::Playbook;

/// Reads steps into metrics and log lines.
#[derive(Clone, Debug)]
pub struct Tally {
    metrics: Arc<Metrics>,
    board: Arc<Board>,
}

impl Tally {
    /// One that counts into `metrics` and asks `board`.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, board: Arc<Board>) -> Self {
        Self { metrics, board }
    }

    /// Reads one accepted step, after the board has folded it. `playbooks` are those of the command areas it may be of.
    pub fn step(&self, step: &Step, playbooks: &[Arc<Playbook>]) {
        self.metrics.step.set(i64::try_from(step.number).unwrap_or(i64::MAX));
        #[expect(clippy::cast_precision_loss, reason = "seconds to the millisecond fit for 200,000 years")]
        self.metrics.step_at.set(step.at.0 as f64 / 1000.0);
        for effect in &step.effects {
            match effect {
                Effect::Timeline(entry) => {
                    if let Some(playbook) = of_entry(entry, playbooks) {
                        self.entry(entry, playbook);
                    }
                }
                Effect::Notice(n) => {
                    let labels = [&*n.desk.to_string(), &*n.kind.to_string(), drill(n.drill)];
                    self.metrics.notices.with_label_values(&labels).inc();
                }
                Effect::Forward(to, _) => {
                    warn!(%to, "report.forwarded: no channel to the other centre but the webhook");
                }
                Effect::Order(_) | Effect::Call(_) | Effect::Agency(_) => {}
            }
        }
    }

    fn entry(&self, entry: &Entry, playbook: &Playbook) {
        let m = &self.metrics;
        let d = drill(entry.drill);
        let incident = entry.incident.as_ref();
        match &entry.what {
            What::Opened { source, .. } => {
                self.report(playbook, source, "opened", entry);
                self.classify_leg(entry);
            }
            What::Joined { source, .. } => self.report(playbook, source, "joined", entry),
            What::Folded { source, .. } => self.report(playbook, source, "folded", entry),
            What::LateReport { source, .. } => self.report(playbook, source, "late", entry),
            What::Repeated { source, .. } => self.report(playbook, source, "repeat", entry),
            What::Forwarded { source, .. } => self.report(playbook, source, "forwarded", entry),
            What::Ordered { order, .. } => {
                self.order(order, playbook, "issued", entry);
                self.dispatch_leg(order, entry);
            }
            What::Recalled { order, .. } => self.order(order, playbook, "recalled", entry),
            What::Expired { order, .. } => self.order(order, playbook, "expired", entry),
            What::Acted { order: Some(order), act, .. } => {
                self.order(order, playbook, act.as_str(), entry);
                self.act_leg(order, *act, d);
            }
            What::Delivery { order, outcome, .. } => self.delivery_leg(order, *outcome, entry),
            What::Kept { mark, .. } => self.mark(mark.as_str(), incident, "kept", d),
            What::ReachedLate { mark, .. } => self.mark(mark.as_str(), incident, "late", d),
            What::Warning { mark, .. } => self.mark(mark.as_str(), incident, "warned", d),
            What::Missed { mark, round, .. } => {
                if *round <= 1 {
                    self.mark(mark.as_str(), incident, "missed", d);
                }
                info!(incident = incident.map(display), drill = entry.drill, "mark.missed: {}", entry.what);
            }
            What::NoticeHidden { kind, .. } => m.notices_hidden.with_label_values(&[&*kind.to_string(), d]).inc(),
            What::Silenced { .. } | What::SilenceEnded { .. } => info!("silence: {}", entry.what),
            What::LevelRaised { to, .. } => m.escalations.with_label_values(&[&to.to_string(), d]).inc(),
            What::AllCallBegan { .. } => {
                m.all_calls.with_label_values(&[d]).inc();
                info!(incident = incident.map(display), drill = entry.drill, "all_call.began: {}", entry.what);
            }
            What::Shortfall { role, .. } => {
                m.shortfalls.with_label_values(&[&role.to_string(), d]).inc();
                warn!(incident = incident.map(display), drill = entry.drill, "shortfall.arose: {}", entry.what);
            }
            _ => debug!(incident = incident.map(display), drill = entry.drill, "timeline: {}", entry.what),
        }
    }

    fn report(&self, playbook: &Playbook, source: &SourceId, outcome: &str, entry: &Entry) {
        let kind = playbook.source(source).map_or("unregistered", |s| s.kind.as_str());
        self.metrics.reports.with_label_values(&[kind, outcome, drill(entry.drill)]).inc();
        let incident = entry.incident.as_ref().map(display);
        // A flood must not become a flood of lines.
        if matches!(outcome, "joined" | "folded" | "repeat") {
            debug!(incident, source_kind = kind, drill = entry.drill, "report.{outcome}: {}", entry.what);
            return;
        }
        info!(incident, source_kind = kind, drill = entry.drill, "report.{outcome}: {}", entry.what);
    }

    fn order(&self, id: &OrderId, playbook: &Playbook, outcome: &str, entry: &Entry) {
        let order = self.board.order(id);
        let kind = order.as_ref().and_then(|o| playbook.posts.get(&o.post)).map(|p| p.kind.to_string());
        let role = order.as_ref().map(|o| o.role.to_string());
        let [kind, role] = [kind, role].map(|label| label.unwrap_or_else(|| String::from("unknown")));
        self.metrics.orders.with_label_values(&[&kind, &role, outcome, drill(entry.drill)]).inc();
        info!(order = %id, drill = entry.drill, "order.{outcome}: {}", entry.what);
    }

    fn mark(&self, mark: &str, incident: Option<&IncidentId>, outcome: &str, drill: &str) {
        let ring = incident.and_then(|id| self.board.incident(id)).map(|i| i.classification.ring.to_string());
        let ring = ring.as_deref().unwrap_or("unknown");
        self.metrics.marks.with_label_values(&[mark, ring, outcome, drill]).inc();
    }

    fn classify_leg(&self, entry: &Entry) {
        let Some(incident) = entry.incident.as_ref().and_then(|id| self.board.incident(id)) else { return };
        self.leg("classify", entry.at.since(incident.received), drill(entry.drill));
    }

    /// Each order's first sending and first delivery, counted from its issue; the engine tells each of them once.
    fn delivery_leg(&self, id: &OrderId, outcome: DeliveryOutcome, entry: &Entry) {
        let Some(order) = self.board.order(id) else { return };
        let leg = match outcome {
            DeliveryOutcome::Sent => "send",
            DeliveryOutcome::Delivered => "deliver",
            DeliveryOutcome::Failed => return,
        };
        self.leg(leg, entry.at.since(order.issued), drill(entry.drill));
    }

    fn dispatch_leg(&self, id: &OrderId, entry: &Entry) {
        let Some(incident) = self.board.incident(&id.incident) else { return };
        let spent = entry.at.since(incident.received);
        self.leg("dispatch", spent, drill(entry.drill));
        if id.n == 1 {
            self.leg("first_dispatch", spent, drill(entry.drill));
        }
    }

    /// The leg that an act ends, measured between what the order's own times say.
    fn act_leg(&self, id: &OrderId, act: Act, drill: &str) {
        let Some(order) = self.board.order(id) else { return };
        for (name, from, to) in legs(&order, act) {
            if let (Some(from), Some(to)) = (from, to) {
                self.leg(name, to.since(from), drill);
            }
        }
    }

    fn leg(&self, leg: &str, spent: Millis, drill: &str) {
        self.metrics.leg.with_label_values(&[leg, drill]).observe(spent.as_secs_f64());
    }
}

/// The playbook of the command area an entry is of; the first where it names none.
fn of_entry<'p>(entry: &Entry, playbooks: &'p [Arc<Playbook>]) -> Option<&'p Playbook> {
    let area = entry.incident.as_ref().map(|id| &id.area);
    let own = playbooks.iter().find(|p| area.is_some_and(|area| p.head.command_area == *area));
    own.or(playbooks.first()).map(|p| &**p)
}

type Leg = (&'static str, Option<Timestamp>, Option<Timestamp>);

fn legs(order: &Order, act: Act) -> Vec<Leg> {
    let (issued, t) = (Some(order.issued), &order.times);
    match act {
        Act::Signed => vec![("sign", issued, t.signed)],
        Act::EnRoute => vec![("turnout", issued, t.en_route)],
        Act::OnScene => vec![("on_scene", issued, t.on_scene), ("travel", t.en_route, t.on_scene)],
        Act::FirstReport => vec![("first_report", t.on_scene, t.first_report)],
        Act::Cleared => vec![("handling", t.on_scene, t.cleared)],
        _ => Vec::new(),
    }
}
