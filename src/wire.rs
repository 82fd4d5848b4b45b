//! What leaves the house, mapped by hand: the shapes of `muster.order`, `muster.notice`, `muster.call`,
//! `muster.agency`, `muster.forward` and `muster.timeline`. Instants are RFC 3339, points say `lon` and `lat`.
//!
//! Every message carries `rev`, one whole number that grows with the journal of its shard: (step × 65,536 + index of the
//! effect within the step) × shards + shard. So no two messages have one `rev`, and of two messages with one `id`, which
//! always come from one shard, the one with the higher `rev` counts: a late repeat never undoes a recall. Of messages of
//! different shards `rev` says nothing about which was first.

use serde::Serialize;
use serde_json::{Map, Value, json};
use smol_str::SmolStr;

use crate::engine::{Actor, AgencyMessage, Call, Callee, Effect, Entry, Notice, OrderMessage};
use crate::model::{Classification, Event, Place, Spot, Timestamp};

/// A shard among all: what makes the `rev` of its effects its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    /// Counted from 0.
    pub number: u32,
    /// How many there are, never 0.
    pub of: u32,
}

impl Shard {
    /// The only one.
    pub const ONLY: Self = Self { number: 0, of: 1 };

    /// Where an effect stands in the journal of this shard, as one number that grows.
    #[must_use]
    pub fn rev(self, step: u64, index: usize) -> u64 {
        // A step holds at most some thousand effects (`[runtime] batch_effects_max` and those of its last input).
        (step * WIDTH + (index as u64).min(WIDTH - 1)) * u64::from(self.of) + u64::from(self.number)
    }

    /// The step and the index of a `rev` of this shard.
    #[must_use]
    pub fn unrev(self, rev: u64) -> (u64, u64) {
        let place = rev / u64::from(self.of.max(1));
        (place / WIDTH, place % WIDTH)
    }
}

const WIDTH: u64 = 1 << 16;

/// The types of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// To a post.
    Order,
    /// To a desk.
    Notice,
    /// To a unit that an all-call calls.
    Call,
    /// To an outside body.
    Agency,
    /// To another command centre.
    Forward,
    /// What happened.
    Timeline,
    /// What was not taken at the door. Heard only by whoever asks for it by name.
    Rejected,
}

impl Kind {
    /// The `CloudEvents` type.
    #[must_use]
    pub fn as_type(self) -> &'static str {
        match self {
            Self::Order => "muster.order",
            Self::Notice => "muster.notice",
            Self::Call => "muster.call",
            Self::Agency => "muster.agency",
            Self::Forward => "muster.forward",
            Self::Timeline => "muster.timeline",
            Self::Rejected => "muster.rejected",
        }
    }

    /// The short name, as filters and settings write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        &self.as_type()["muster.".len()..]
    }
}

/// The payload of an effect.
#[must_use]
pub fn payload(effect: &Effect, rev: u64) -> Value {
    match effect {
        Effect::Order(o) => order(o, rev),
        Effect::Notice(n) => notice(n, rev),
        Effect::Call(c) => call(c, rev),
        Effect::Agency(a) => agency(a, rev),
        Effect::Forward(to, event) => forward(to.as_str(), event, rev),
        Effect::Timeline(e) => timeline(e, rev),
    }
}

fn order(o: &OrderMessage, rev: u64) -> Value {
    clean(json!({
        "id": o.id, "rev": rev, "incident": o.incident, "post": o.post, "role": o.role, "state": o.state,
        "recall": o.recall, "issued_at": time(o.issued_at), "sign_by": o.sign_by.map(time),
        "on_scene_by": o.on_scene_by.map(time), "expires_at": time(o.expires_at), "place": place(&o.place),
        "headline": o.headline, "text": o.text, "reason": o.reason, "bottom_line": o.bottom_line, "drill": o.drill,
    }))
}

fn notice(n: &Notice, rev: u64) -> Value {
    clean(json!({
        "id": n.id, "rev": rev, "incident": n.incident, "desk": n.desk, "kind": n.kind, "text": n.text,
        "severity": n.severity, "at": time(n.at), "take_by": n.take_by.map(time), "drill": n.drill,
    }))
}

/// The id of a unit's call within an all-call.
#[must_use]
pub fn call_id(c: &Call) -> SmolStr {
    SmolStr::from(format!("{}-c{}-{}", c.incident, c.n, callee(&c.unit).1))
}

fn call(c: &Call, rev: u64) -> Value {
    let (kind, unit) = callee(&c.unit);
    clean(json!({
        "id": call_id(c), "rev": rev, "incident": c.incident, "n": c.n, kind: unit, "distance_m": c.distance_m,
        "reason": c.reason, "until": time(c.until), "recalled": c.recalled, "place": place(&c.place), "drill": c.drill,
    }))
}

/// Whether a post or a team is called, and which.
#[must_use]
pub fn callee(unit: &Callee) -> (&'static str, SmolStr) {
    match unit {
        Callee::Post(post) => ("post", smol(post)),
        Callee::Team(team) => ("team", smol(team)),
    }
}

/// The id of what an agency is told.
#[must_use]
pub fn agency_id(a: &AgencyMessage) -> SmolStr {
    SmolStr::from(format!("{}-{}-{}", a.incident, a.agency, a.reason))
}

fn agency(a: &AgencyMessage, rev: u64) -> Value {
    clean(json!({
        "id": agency_id(a), "rev": rev, "agency": a.agency,
        "incident": a.incident, "reason": a.reason, "classification": classification(&a.classification),
        "place": place(&a.place), "at": time(a.at), "drill": a.drill,
    }))
}

/// For another command centre: the event with our receipt time, for whoever carries it over.
fn forward(to: &str, event: &Event, rev: u64) -> Value {
    clean(json!({
        "rev": rev, "to": to, "source": event.meta.source, "event": event.meta.id,
        "time": event.meta.time.map(time), "received": time(event.received), "traceparent": event.meta.traceparent,
        "body": event.body,
    }))
}

/// A line of the timeline: when, who, what in one word, what in words, and the parts.
#[must_use]
pub fn timeline(e: &Entry, rev: u64) -> Value {
    let (what, mut detail) = tagged(&e.what);
    instants(&mut detail, what == "outage");
    let (kind, who) = match &e.by {
        Actor::Engine => ("engine", None),
        Actor::Source(s) => ("source", Some(s.as_str())),
        Actor::Unit(u) => ("unit", Some(u.as_str())),
        Actor::Seat(s) => ("seat", Some(s.as_str())),
    };
    clean(json!({
        "rev": rev, "at": time(e.at), "incident": e.incident, "drill": e.drill, "by": { "kind": kind, "id": who },
        "what": what, "text": e.what.to_string(), "detail": detail,
    }))
}

/// Its one word and its parts.
fn tagged(what: &impl Serialize) -> (String, Value) {
    match serde_json::to_value(what).expect("a happening is plain data") {
        Value::Object(map) => map.into_iter().next().expect("a tagged value has one member"),
        Value::String(word) => (word, Value::Object(Map::new())),
        other => (String::from("unknown"), other),
    }
}

/// Inside, instants are integers; on the wire they are RFC 3339. These are the members that hold one.
fn instants(detail: &mut Value, outage: bool) {
    let Value::Object(members) = detail else { return };
    for (name, value) in members {
        let instant = matches!(name.as_str(), "sign_by" | "on_scene_by" | "until" | "take_by")
            || outage && matches!(name.as_str(), "from" | "to");
        if let (true, Some(ms)) = (instant, value.as_i64()) {
            *value = Value::String(time(Timestamp(ms)));
        }
    }
}

/// An instant on the wire.
#[must_use]
pub fn time(at: Timestamp) -> String {
    at.to_rfc3339()
}

/// A place on the wire: points say `lon` and `lat`, as producers do.
#[must_use]
pub fn place(p: &Place) -> Value {
    let (spot, centre) = match &p.spot {
        Spot::Known => ("known", None),
        Spot::Unknown => ("unknown", None),
        Spot::Foreign(centre) => ("foreign", Some(centre)),
    };
    clean(json!({
        "spot": spot, "centre": centre, "area": p.area, "county": p.county, "site": p.site, "ring": p.ring,
        "risk_class": p.risk_class, "accuracy_m": p.accuracy_m,
        "position": p.position.map(|p| json!({ "lon": p.lon, "lat": p.lat, "crs": "wgs84" })),
    }))
}

/// A classification on the wire.
///
/// # Panics
/// Never: a classification is plain data.
#[must_use]
pub fn classification(c: &Classification) -> Value {
    serde_json::to_value(c).expect("a classification is plain data")
}

/// Without the members that are absent: a terminal sees what is there, not what might have been.
#[must_use]
pub fn clean(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, v| !v.is_null());
        for member in members.values_mut() {
            *member = clean(member.take());
        }
    }
    value
}

fn smol(id: &impl std::fmt::Display) -> SmolStr {
    SmolStr::from(id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rev_grows_within_its_shard_and_is_nobody_elses() {
        assert_eq!(Shard::ONLY.rev(3, 7), 3 * 65_536 + 7);
        let mut all = std::collections::BTreeSet::new();
        for number in 0..14 {
            let shard = Shard { number, of: 14 };
            let places = [(1, 0), (1, 1), (1, 65_535), (2, 0), (70_000, 3)];
            let revs = places.map(|(step, index)| shard.rev(step, index));
            assert!(revs.is_sorted_by(|a, b| a < b), "{revs:?}");
            for ((step, index), rev) in places.into_iter().zip(revs) {
                assert_eq!(shard.unrev(rev), (step, index as u64));
                assert!(all.insert(rev), "{rev} twice");
            }
        }
    }
}
