//! A message: one effect of an accepted step on its way to whoever must hear, with all that a filter or a channel asks.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::json;
use smol_str::{SmolStr, ToSmolStr};

use super::words::words;
use crate::engine::{Effect, Entry, What};
use crate::journal::Step;
use crate::model::{AreaCode, AreaId, Desk, IncidentId, OrderId, OrderState, Timestamp};
use crate::playbook::{Language, Playbook};
use crate::wire::{Kind, Shard, agency_id, call_id, callee, clean, payload, time};

/// One message: an effect of an accepted step, with all that a filter or a channel asks about it. Its JSON is made when
/// somebody first wants it.
#[derive(Debug)]
pub struct Message {
    /// See [`crate::wire::Shard::rev`].
    pub rev: u64,
    /// Of which type.
    pub kind: Kind,
    /// What it is about; a later message with the same key replaces it.
    pub key: SmolStr,
    /// When it was decided.
    pub at: Timestamp,
    /// The incident.
    pub incident: Option<IncidentId>,
    /// The post or team it is for, or speaks of.
    pub post: Option<SmolStr>,
    /// The desk it is for.
    pub desk: Option<Desk>,
    /// Where the incident is.
    pub area: Option<AreaId>,
    /// Where the incident is.
    pub county: Option<AreaCode>,
    /// The order, where it is one.
    pub order: Option<OrderId>,
    /// Delivery is given up then; a recall has no end.
    pub expires: Option<Timestamp>,
    /// Passes every limiter.
    pub bottom_line: bool,
    /// Exercise or test.
    pub drill: bool,
    source: Source,
    data: OnceLock<Box<str>>,
    /// As a channel sends it, by language: made once, however many are told.
    bodies: [OnceLock<Bytes>; 2],
}

#[derive(Debug)]
enum Source {
    /// The effect of this step at this index.
    Effect(Arc<Step>, usize),
    /// Something of the moment, which no step holds.
    Moment,
}

impl Message {
    /// The payload, as JSON.
    #[must_use]
    pub fn data(&self) -> &str {
        self.data.get_or_init(|| match &self.source {
            Source::Effect(step, index) => payload(&step.effects[*index], self.rev).to_string().into(),
            Source::Moment => "{}".into(),
        })
    }

    /// The trace that an order carries on: that of the report which opened its incident.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        match &self.source {
            Source::Effect(step, index) => match step.effects.get(*index) {
                Some(Effect::Order(order)) => order.traceparent.as_deref(),
                _ => None,
            },
            Source::Moment => None,
        }
    }

    /// What a channel sends in this language: made by the first who asks, shared by all others.
    pub fn body(&self, language: Language, make: impl FnOnce() -> Bytes) -> Bytes {
        let place = match language {
            Language::Zh => &self.bodies[0],
            Language::En => &self.bodies[1],
        };
        place.get_or_init(make).clone()
    }

    /// What it says in words, where it speaks to somebody.
    #[must_use]
    pub fn words(&self, playbook: &Playbook, channel: &str, language: Language) -> Option<String> {
        match &self.source {
            Source::Effect(step, index) => words(&step.effects[*index], playbook, channel, language),
            Source::Moment => None,
        }
    }

    /// The step it is of; 0 for what no step holds.
    #[must_use]
    pub fn step(&self) -> u64 {
        match &self.source {
            Source::Effect(step, _) => step.number,
            Source::Moment => 0,
        }
    }

    /// What was not taken at the door: the reason and the origin, never the payload. It is in no step, so nobody who
    /// comes back hears of it again.
    #[must_use]
    pub fn rejected(at: Timestamp, reason: &str, field: Option<&str>, origin: &str) -> Self {
        let told = json!({ "reason": reason, "field": field, "origin": origin, "at": time(at) });
        let data = OnceLock::from(clean(told).to_string().into_boxed_str());
        Self { data, ..Self::bare(Kind::Rejected, 0, at, Source::Moment) }
    }

    fn bare(kind: Kind, rev: u64, at: Timestamp, source: Source) -> Self {
        Self {
            rev,
            kind,
            key: SmolStr::default(),
            at,
            incident: None,
            post: None,
            desk: None,
            area: None,
            county: None,
            order: None,
            expires: None,
            bottom_line: false,
            drill: false,
            source,
            data: OnceLock::new(),
            bodies: [OnceLock::new(), OnceLock::new()],
        }
    }
}

/// Where an incident is, for what does not say so itself.
pub type Whereabouts<'a> = &'a dyn Fn(&IncidentId) -> Option<(Option<AreaId>, Option<AreaCode>)>;

/// The message of the effect at `index` of a step that `shard` accepted.
#[must_use]
pub fn message(shard: Shard, step: &Arc<Step>, index: usize, whereabouts: Whereabouts<'_>) -> Message {
    let source = Source::Effect(Arc::clone(step), index);
    let mut m = Message::bare(Kind::Timeline, shard.rev(step.number, index), step.at, source);
    match &step.effects[index] {
        Effect::Order(o) => {
            m.kind = Kind::Order;
            m.key = o.id.to_smolstr();
            m.incident = Some(o.incident.clone());
            m.post = Some(o.post.to_smolstr());
            m.order = Some(o.id.clone());
            m.expires = (o.state != OrderState::Recalled).then_some(o.expires_at);
            (m.bottom_line, m.drill) = (o.bottom_line, o.drill);
        }
        Effect::Notice(n) => {
            m.kind = Kind::Notice;
            m.key = n.id.clone();
            m.incident.clone_from(&n.incident);
            m.desk = Some(n.desk);
            m.drill = n.drill;
        }
        Effect::Call(c) => {
            m.kind = Kind::Call;
            m.key = call_id(c);
            m.incident = Some(c.incident.clone());
            m.post = Some(callee(&c.unit).1);
            m.expires = (!c.recalled).then_some(c.until);
            (m.bottom_line, m.drill) = (true, c.drill);
        }
        Effect::Agency(a) => {
            m.kind = Kind::Agency;
            m.key = agency_id(a);
            m.incident = Some(a.incident.clone());
            m.drill = a.drill;
        }
        Effect::Forward(_, event) => {
            m.kind = Kind::Forward;
            m.key = SmolStr::from(format!("{}:{}", event.meta.source, event.meta.id));
            m.bottom_line = true;
        }
        Effect::Timeline(e) => {
            m.key = SmolStr::from(m.rev.to_string());
            m.incident.clone_from(&e.incident);
            m.post = subject_post(e);
            m.drill = e.drill;
            m.at = e.at;
        }
    }
    if let Some((area, county)) = m.incident.as_ref().and_then(whereabouts) {
        (m.area, m.county) = (area, county);
    }
    m
}

/// The post a happening is about, for the stream's filter.
fn subject_post(e: &Entry) -> Option<SmolStr> {
    match &e.what {
        What::Ordered { post, .. }
        | What::Recalled { post, .. }
        | What::Expired { post, .. }
        | What::PreEmpted { post, .. }
        | What::MovedUp { post, .. }
        | What::Duty { post, .. } => Some(post.to_smolstr()),
        What::Acted { post, .. } => Some(post.clone()),
        _ => None,
    }
}
