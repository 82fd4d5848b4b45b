//! What the reads answer, mapped by hand from the board: instants as RFC 3339, points as `lon` and `lat`, and the reason
//! beside every decision.

use serde_json::{Value, json};

use crate::board::{Chapter, MarkLine, NoticeLine, Unit};
use crate::deliver::log::Line;
use crate::engine::state::{AllCall, Called, Incident, Order, ReportRecord};
use crate::engine::{Actor, Callee, Duty};
use crate::model::{MarkName, Timestamp};
use crate::playbook::{Playbook, Scope};
pub use crate::wire::incident;
use crate::wire::{classification, clean, place, time};

/// An incident by itself, with its needs, marks, orders, reports and all-call.
pub fn chapter(c: &Chapter) -> Value {
    let i = &*c.incident;
    let mut told = incident(i);
    told["needs"] = i
        .needs
        .iter()
        .map(|n| {
            let need = &n.need;
            clean(json!({
                "kinds": need.kinds, "role": need.role, "capability": need.capability, "echelon": need.echelon,
                "wanted": n.wanted, "waiting_since": n.waiting.map(time),
            }))
        })
        .collect();
    told["marks"] = i.marks.iter().filter_map(|run| mark_of(i, None, run)).collect();
    told["orders"] = c.orders.iter().map(|o| order(o, Some(i))).collect();
    told["reports"] = c.reports.iter().map(|(n, r)| report(*n, r)).collect();
    told["reports_count"] = i.reports.into();
    told["holds"] = i.holds.iter().map(|mark| mark.as_ref().map_or("all", MarkName::as_str)).collect();
    if let Some(call) = &i.all_call {
        told["all_call"] = all_call(call, c);
    }
    told
}

fn all_call(call: &AllCall, c: &Chapter) -> Value {
    let unit = |u: &Called| {
        let (kind, id) = match &u.unit {
            Callee::Post(post) => ("post", post.as_str()),
            Callee::Team(team) => ("team", team.as_str()),
        };
        clean(json!({ kind: id, "distance_m": u.distance_m, "coming": u.coming }))
    };
    let mut told = call_counts(call);
    told["units"] = c.calls.iter().flat_map(|l| &l.units).map(unit).collect();
    told
}

/// An all-call without whom it called.
pub fn call_counts(call: &AllCall) -> Value {
    clean(json!({
        "n": call.n, "reason": call.reason, "radius_m": call.radius_m, "until": time(call.until),
        "listed": call.listed, "called": call.called, "answered": call.answered, "coming": call.coming,
        "ended": call.ended,
    }))
}

fn report(n: u32, r: &ReportRecord) -> Value {
    clean(json!({
        "n": n, "source": r.source, "event": r.event, "received_at": time(r.received), "time": r.time.map(time),
        "text": r.report.text, "code": r.report.code, "urgency": r.report.urgency, "severity": r.report.severity,
        "certainty": r.report.certainty, "attributes": r.report.attributes, "callback": r.report.callback,
        "references": r.report.references, "place": place(&r.place), "classification": classification(&r.classification),
        "reason": r.reason, "score": r.score, "folded": r.folded,
    }))
}

/// An order, with its marks where its incident is at hand.
pub fn order(o: &Order, of: Option<&Incident>) -> Value {
    let t = &o.times;
    let marks = of.map(|i| o.marks.iter().filter_map(|run| mark_of(i, Some(o), run)).collect::<Vec<_>>());
    clean(json!({
        "id": o.id, "incident": o.id.incident, "post": o.post, "role": o.role, "echelon": o.echelon, "state": o.state,
        "cause": o.cause, "by": actor(&o.by), "recall": o.recall, "superseded": o.superseded,
        "issued_at": time(o.issued), "expires_at": time(o.expires), "sent_at": o.sent.map(time),
        "delivered_at": o.delivered.map(time), "signed_at": t.signed.map(time), "en_route_at": t.en_route.map(time),
        "on_scene_at": t.on_scene.map(time), "first_report_at": t.first_report.map(time),
        "cleared_at": t.cleared.map(time), "facts": facts(o), "marks": marks, "weighed": o.weighed,
        "covers": o.covers.as_ref().map(|(area, until)| json!({ "area": area, "until_back": until })),
    }))
}

/// The five facts of an order, as far as they are known: when, and over which channel.
fn facts(o: &Order) -> Vec<Value> {
    let over = &o.over;
    let known = [
        ("issued", Some(o.issued), None),
        ("sent", o.sent, over.sent.as_ref()),
        ("delivered", o.delivered, over.delivered.as_ref()),
        ("signed", o.times.signed, over.signed.as_ref()),
        ("cleared", o.times.cleared, over.cleared.as_ref()),
    ];
    let fact = |(fact, at, channel): (&str, Option<Timestamp>, Option<&smol_str::SmolStr>)| {
        Some(json!({ "fact": fact, "at": time(at?), "channel": channel }))
    };
    known.into_iter().filter_map(fact).map(clean).collect()
}

/// A mark of an incident or of one of its orders.
pub fn mark_of(i: &Incident, o: Option<&Order>, run: &crate::engine::state::MarkRun) -> Option<Value> {
    let mark = i.plan.marks.get(usize::from(run.mark))?;
    Some(clean(json!({
        "incident": i.id, "order": o.map(|o| &o.id), "post": o.map(|o| &o.post), "name": mark.name,
        "scope": if mark.scope == Scope::Order { "order" } else { "incident" }, "state": run.state,
        "anchor_at": time(run.anchor), "limit_at": time(run.limit_at), "due_at": time(run.due),
        "warn_at": run.warn.map(time), "missed_rounds": run.rounds, "held": i.is_held(&mark.name),
    })))
}

/// A running mark in a list.
pub fn mark(line: &MarkLine) -> Value {
    let i = &*line.incident;
    let mut told = mark_of(i, line.order.as_deref(), &line.run).unwrap_or_default();
    told["severity"] = json!(i.classification.severity);
    told["lane"] = json!(i.classification.lane);
    told["ring"] = json!(i.classification.ring);
    told["drill"] = i.drill().into();
    told
}

/// A post with what it is doing.
pub fn unit(u: &Unit, playbook: &Playbook, now: Timestamp) -> Value {
    let spec = &u.spec;
    let duty = u.record.as_ref().map_or(&Duty::ByHours, |r| &r.duty);
    let on_duty = match duty {
        Duty::ByHours => spec.hours.contains(now.local(&playbook.zone).minute),
        Duty::On | Duty::EndsAfterClearing => true,
        Duty::Off | Duty::OutOfService(_) => false,
    };
    let stale = playbook.limits.position_stale;
    let point = |p: crate::model::Position| json!({ "lon": p.lon, "lat": p.lat, "crs": "wgs84" });
    clean(json!({
        "id": spec.id, "kind": spec.kind, "name": spec.name, "area": spec.area, "base": point(spec.base),
        "hours": spec.hours, "strength": spec.strength, "capabilities": spec.capabilities, "radius_m": spec.radius_m,
        "duty": duty, "on_duty": on_duty,
        "position": u.fix.map(|(p, _)| point(p)), "fixed_at": u.fix.map(|(_, at)| time(at)),
        "position_used": u.fix.is_some_and(|(_, at)| now.since(at) <= stale),
        "orders": u.orders.iter().map(|o| json!({
            "id": o.id, "incident": o.id.incident, "role": o.role, "state": o.state,
        })).collect::<Vec<_>>(),
    }))
}

/// A notice with what became of it.
pub fn notice(n: &NoticeLine) -> Value {
    let x = &n.notice;
    clean(json!({
        "id": x.id, "rev": n.rev, "incident": x.incident, "desk": x.desk, "kind": x.kind, "text": x.text,
        "severity": x.severity, "at": time(x.at), "take_by": x.take_by.map(time), "drill": x.drill, "passed": n.passed,
        "taken": n.taken.as_ref().map(|(at, by)| json!({ "at": time(*at), "by": actor(by) })),
    }))
}

/// A line of the delivery log.
pub fn delivery(line: &Line) -> Value {
    clean(json!({
        "n": line.n, "at": time(line.at), "target": line.target, "type": line.kind, "key": line.key, "rev": line.rev,
        "attempt": line.attempt, "did": line.did, "reason": Some(&line.reason).filter(|r| !r.is_empty()),
        "took_ms": line.took_ms,
    }))
}

fn actor(by: &Actor) -> Value {
    match by {
        Actor::Engine => json!({ "kind": "engine" }),
        Actor::Source(s) => json!({ "kind": "source", "id": s }),
        Actor::Unit(u) => json!({ "kind": "unit", "id": u }),
        Actor::Seat(s) => json!({ "kind": "seat", "id": s }),
    }
}

/// The playbook in force: who it is for and what it holds.
pub fn playbook(p: &Playbook) -> Value {
    let category = |c: &crate::playbook::Category| {
        json!({
            "id": c.id, "zh": c.zh, "en": c.en, "risk": c.risk, "family": c.family, "matching": c.matching,
            "trigger_at_once": c.trigger_at_once, "bottom_line": c.bottom_line, "mediation": c.mediation,
            "agencies": c.agencies,
        })
    };
    json!({
        "head": p.head, "hash": p.hash, "census": p.census(), "rings": p.rings, "limits": p.limits,
        "folding": p.folding, "plans": p.plans.values().map(|plan| &**plan).collect::<Vec<_>>(),
        "dispositions": p.dispositions.values().collect::<Vec<_>>(), "agencies": p.agencies.values().collect::<Vec<_>>(),
        "categories": p.taxonomy.categories.values().map(category).collect::<Vec<_>>(),
    })
}
