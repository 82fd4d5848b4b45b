//! What leaves the house, mapped by hand: the shapes of `muster.order`, `muster.notice`, `muster.call`,
//! `muster.agency`, `muster.forward` and `muster.timeline`. Instants are RFC 3339, points say `lon` and `lat`.
//!
//! Every message carries `rev`, one whole number that grows with the journal of its shard: (step × 65,536 + index of the
//! effect within the step) × shards + shard. So no two messages have one `rev`, and of two messages with one `id`, which
//! always come from one shard, the one with the higher `rev` counts: a late repeat never undoes a recall. Of messages of
//! different shards `rev` says nothing about which was first.

mod documents;

use serde::Serialize;
use serde_json::{Map, Value, json};
use smol_str::SmolStr;

pub use documents::{incident, post};

use crate::engine::{Actor, AgencyMessage, Call, Callee, Effect, Entry, Notice, OrderMessage};
use crate::model::{Body, Classification, Event, Place, Spot, Timestamp};

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

/// An event as its producer might have sent it, structured: for handing it over to where it belongs.
///
/// # Panics
/// Never: an event is plain data.
#[must_use]
pub fn event(event: &Event) -> Value {
    let (kind, data) = match &event.body {
        Body::Report(report) => ("muster.report", serde_json::to_value(report)),
        Body::Act(act) => ("muster.act", serde_json::to_value(act)),
        Body::Position(fix) => ("muster.position", serde_json::to_value(fix)),
        Body::Command(command) => ("muster.command", serde_json::to_value(command)),
    };
    let mut data = data.expect("an event is plain data");
    as_sent(&mut data);
    clean(json!({
        "specversion": "1.0", "type": kind, "source": event.meta.source, "id": event.meta.id,
        "time": event.meta.time.map(time), "traceparent": event.meta.traceparent,
        "datacontenttype": "application/json", "data": data,
    }))
}

/// Inside, a point is a pair and an instant an integer; who sends says `lon` and `lat` and RFC 3339.
fn as_sent(value: &mut Value) {
    let Value::Object(members) = value else { return };
    let accuracy = members.remove("accuracy_m").unwrap_or(Value::Null);
    for (name, member) in members.iter_mut() {
        match (name.as_str(), &mut *member) {
            ("position", Value::Array(pair)) if pair.len() == 2 => {
                *member = json!({ "lon": pair[0], "lat": pair[1], "accuracy_m": accuracy });
            }
            ("done_at" | "fixed_at", Value::Number(ms)) => {
                *member = Value::String(time(Timestamp(ms.as_i64().unwrap_or_default())));
            }
            ("place" | "report", inner) => as_sent(inner),
            _ => {}
        }
    }
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
    use crate::decode::{Limits, decode_structured};

    #[test]
    fn an_event_handed_over_says_what_its_producer_said() {
        let sent = [
            r#"{"specversion":"1.0","type":"muster.report","source":"110/desk-3","id":"a1","time":"2026-11-23T08:00:00Z",
                "data":{"code":"JQ-0301","text":"冒烟","status":"exercise","urgency":"immediate","severity":"severe",
                "place":{"id":"lotus-plaza","township":"430408001","vintage":"mca-2026",
                "position":{"lon":112.60,"lat":26.89,"accuracy_m":30}},"attributes":{"smoke_ppm":410},
                "callback":"opaque","references":["110/desk-3:a0"]}}"#,
            r#"{"specversion":"1.0","type":"muster.act","source":"t","id":"2","data":{"order":"4304-20261123-1-1",
                "post":"P-017","act":"on_scene","done_at":"2026-11-23T08:00:00Z","reason":"road"}}"#,
            r#"{"specversion":"1.0","type":"muster.act","source":"t","id":"3","data":{"post":"P-017","act":"on_view",
                "report":{"text":"fire","place":{"position":{"lon":112.60,"lat":26.89}}}}}"#,
            r#"{"specversion":"1.0","type":"muster.position","source":"t","id":"4","data":{"post":"P-017",
                "position":{"lon":112.60,"lat":26.89},"fixed_at":"2026-11-23T08:00:00Z"}}"#,
            r#"{"specversion":"1.0","type":"muster.command","source":"c","id":"5","data":{"command":"order",
                "incident":"4304-20261123-1","by":"command/seat-2","post":"P-017","role":"first"}}"#,
            r#"{"specversion":"1.0","type":"muster.command","source":"c","id":"6","data":{"command":"correct_place",
                "incident":"4304-20261123-1","by":"s","place":{"position":{"lon":112.60,"lat":26.89}}}}"#,
        ];
        for text in sent {
            let read = |text: &str| decode_structured(text.as_bytes(), Timestamp(7), &Limits::default()).unwrap().event;
            let first = read(text);
            assert_eq!(read(&event(&first).to_string()), first, "with the same digest, so that a repeat is known");
        }
    }

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
