//! State as others read it: an incident in a list, a post with what it is doing. No words of a report are in either.

use serde_json::{Value, json};

use super::{classification, clean, place, time};
use crate::engine::state::{Incident, PostRecord};
use crate::model::{PostId, PostSpec};

/// An incident, as lists and the topic `incidents` show it.
#[must_use]
pub fn incident(i: &Incident) -> Value {
    clean(json!({
        "id": i.id, "state": i.state.as_str(), "status": i.status, "drill": i.drill(), "level": i.level,
        "received_at": time(i.received), "last_report_at": time(i.last_report),
        "classification": classification(&i.classification), "place": place(&i.place),
        "source": i.source, "event": i.event, "reports": i.reports, "folded": i.folded, "orders": i.orders,
        "first_order_at": i.ordered.map(time), "confirmed_at": i.confirmed.map(time), "echelon": i.echelon,
        "taken": i.taken, "flood": i.flood.is_some(), "waiting_for_a_post": i.waits(),
        "all_call": i.all_call.is_some(),
        "links": i.links, "agencies": i.agencies, "plan": i.plan.id,
        "closed": i.closed.as_ref().map(|c| json!({ "at": time(c.at), "disposition": c.disposition })),
    }))
}

/// What the playbook's roster does not say of a post, as the topic `posts` shows it: its duty, its live orders, and its
/// entry where a roster change put one. A post of which nothing is said is as the roster has it, and free.
#[must_use]
pub fn post(id: &PostId, record: &PostRecord) -> Value {
    clean(json!({
        "id": id, "duty": record.duty, "orders": record.orders, "gone": record.gone,
        "entry": record.spec.as_ref().map(entry),
    }))
}

fn entry(spec: &PostSpec) -> Value {
    json!({
        "kind": spec.kind, "name": spec.name, "area": spec.area,
        "base": { "lon": spec.base.lon, "lat": spec.base.lat, "crs": "wgs84" },
        "hours": spec.hours, "strength": spec.strength, "capabilities": spec.capabilities, "radius_m": spec.radius_m,
    })
}
