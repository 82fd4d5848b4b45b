//! Reads: the board only, never the engine. Lists answer `{ items, next }`; `next` is the cursor to go on from.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::params::Params;
use super::{App, Problem, intake, views};
use crate::access::{Caller, Permission};
use crate::board::{IncidentQuery, NoticeQuery, OrderQuery, Sight, Unit};
use crate::deliver::log;
use crate::engine::Answer;
use crate::model::{IncidentId, OrderId, Timestamp};
use crate::playbook::Playbook;
use crate::runtime::{Fate, Kept, Readiness};
use crate::wire;

pub(super) type Told = Result<Json<Value>, Problem>;
/// Whoever asks: what it may not see is left out, or is not there.
pub(super) type Who = Extension<Caller>;

/// `GET /v1/incidents`
pub async fn incidents(State(app): State<App>, Extension(caller): Who, uri: Uri) -> Told {
    let mut p = Params::of(&uri)?;
    let query = IncidentQuery {
        sight: caller.principal.sight(),
        states: states(&mut p, &INCIDENT_STATES)?,
        area: p.text("area").map(Into::into),
        lane: p.word("lane", "bottom-line or ordinary")?,
        since: p.text("since").map(|t| instant("since", &t)).transpose()?,
        drill: p.get("drill", "`true` or `false`")?,
        cursor: p.get("cursor", "cursor; take `next` of the answer before")?,
        limit: p.limit(&app.options)?,
    };
    p.end()?;
    let page = app.board.incidents(&query);
    Ok(list(page.items.iter().map(|i| views::incident(i)), page.next))
}

/// `GET /v1/incidents/{id}`
pub async fn incident(State(app): State<App>, Extension(caller): Who, Path(id): Path<String>, uri: Uri) -> Told {
    Params::of(&uri)?.end()?;
    let sight = caller.principal.sight();
    let chapter = app.board.chapter(&incident_id(&id)?).filter(|c| sight.incident(&c.incident));
    let chapter = chapter.ok_or_else(|| Problem::not_found("incident"))?;
    Ok(Json(views::chapter(&chapter)))
}

/// `GET /v1/incidents/{id}/timeline`
pub async fn timeline(State(app): State<App>, Extension(caller): Who, Path(id): Path<String>, uri: Uri) -> Told {
    let id = incident_id(&id)?;
    if !sees(&app, &caller.principal.sight(), &id) {
        return Err(Problem::not_found("incident"));
    }
    let mut p = Params::of(&uri)?;
    let after: Option<u64> = p.get("cursor", "cursor; take `next` of the answer before")?;
    let limit = p.limit(&app.options)?;
    p.end()?;
    let known = app.board.incident(&id).is_some();
    let board = Arc::clone(&app.board);
    let read = tokio::task::spawn_blocking(move || board.timeline(&id, after, limit)).await;
    let unreadable = |why: String| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "archive", why);
    let story = read.map_err(|e| unreadable(e.to_string()))?.map_err(|e| unreadable(e.to_string()))?;
    let page = story.lines;
    if page.items.is_empty() && after.is_none() && !known {
        return Err(Problem::not_found("incident"));
    }
    let mut told = list(page.items.iter().map(|line| wire::timeline(&line.entry, line.rev)), page.next);
    if story.cut {
        told["cut"] = true.into();
        told["hint"] = "earlier lines are not held here any more; they stand in the topic muster.timeline".into();
    }
    Ok(told)
}

/// `GET /v1/posts`
pub async fn posts(State(app): State<App>, Extension(caller): Who, uri: Uri) -> Told {
    let mut p = Params::of(&uri)?;
    let (area, kind) = (p.text("area"), p.word("kind", "standing, patrol, base or peak")?);
    let busy: Option<bool> = p.get("busy", "`true` or `false`")?;
    let cursor = p.text("cursor");
    let limit = p.limit(&app.options)?;
    p.end()?;
    let (playbooks, now, sight) = (app.gate.playbooks(), app.gate.now(), caller.principal.sight());
    let mut units: Vec<(Unit, &Playbook)> = Vec::new();
    for playbook in &playbooks {
        let seen = |u: &Unit| {
            let county = playbook.areas.areas.get(&u.spec.area).map(|area| &area.county);
            sight.place(&playbook.head.command_area, Some(&u.spec.area), county)
        };
        units.extend(app.board.units(playbook).into_iter().filter(seen).map(|unit| (unit, &**playbook)));
    }
    units.sort_by(|(a, _), (b, _)| a.spec.id.cmp(&b.spec.id));
    // A post that a roster change put there is in the list of each playbook.
    units.dedup_by(|(a, _), (b, _)| a.spec.id == b.spec.id);
    units.retain(|(u, _)| {
        cursor.as_deref().is_none_or(|c| u.spec.id.as_str() > c)
            && area.as_deref().is_none_or(|a| u.spec.area.as_str() == a)
            && kind.is_none_or(|k| u.spec.kind == k)
            && busy.is_none_or(|b| b != u.orders.is_empty())
    });
    let more = units.len() > limit;
    units.truncate(limit);
    let next = units.last().filter(|_| more).map(|(u, _)| u.spec.id.clone());
    Ok(list(units.iter().map(|(u, playbook)| views::unit(u, playbook, now)), next))
}

/// `GET /v1/orders`
pub async fn orders(State(app): State<App>, Extension(caller): Who, uri: Uri) -> Told {
    let mut p = Params::of(&uri)?;
    let query = OrderQuery {
        sight: caller.principal.sight(),
        states: states(&mut p, &ORDER_STATES)?,
        post: p.text("post").map(Into::into),
        incident: p.get("incident", "incident id; they read <command area>-<yyyymmdd>-<n>")?,
        cursor: p.get("cursor", "cursor; take `next` of the answer before")?,
        limit: p.limit(&app.options)?,
    };
    p.end()?;
    let page = app.board.orders(&query);
    let told = |o: &Arc<_>| views::order(o, app.board.incident(&o.id.incident).as_deref());
    Ok(list(page.items.iter().map(told), page.next))
}

/// `GET /v1/marks`: those that run or were missed, next due first.
pub async fn marks(State(app): State<App>, Extension(caller): Who, uri: Uri) -> Told {
    let mut p = Params::of(&uri)?;
    let incident: Option<IncidentId> = p.get("incident", "incident id")?;
    let limit = p.limit(&app.options)?;
    p.end()?;
    let lines = app.board.marks(&caller.principal.sight(), incident.as_ref(), limit);
    Ok(list(lines.iter().map(views::mark), None::<String>))
}

/// `GET /v1/notices`
pub async fn notices(State(app): State<App>, Extension(caller): Who, uri: Uri) -> Told {
    let mut p = Params::of(&uri)?;
    let query = NoticeQuery {
        sight: caller.principal.sight(),
        desk: p.word("desk", super::stream::DESKS)?,
        incident: p.get("incident", "incident id")?,
        waiting: p.get("waiting", "`true` or `false`")?.unwrap_or(false),
        cursor: p.get("cursor", "cursor; take `next` of the answer before")?,
        limit: p.limit(&app.options)?,
    };
    p.end()?;
    let page = app.board.notices(&query);
    Ok(list(page.items.iter().map(|n| views::notice(n)), page.next))
}

/// `GET /v1/deliveries`: attempts and skips, newest first, with the reason of each. Whoever sees some areas only asks for one
/// order there.
pub async fn deliveries(State(app): State<App>, Extension(caller): Who, uri: Uri) -> Told {
    let mut p = Params::of(&uri)?;
    let (order, sight): (Option<OrderId>, _) = (p.get("order", "order id")?, caller.principal.sight());
    if !sight.is_whole() {
        let hint = "is needed: this token sees some areas only, and the log is of all; name one order there";
        let order = order.as_ref().ok_or_else(|| Problem::parameter("order", hint))?;
        let seen = app.board.incident(&order.incident).is_some_and(|incident| sight.incident(&incident));
        if !seen {
            return Err(Problem::not_found("order"));
        }
    }
    let query = log::Query {
        key: order.map(|order| order.to_string().into()),
        target: p.text("target").map(Into::into),
        did: p.word("did", "sent, failed, skipped, gave-up, expired, superseded or overflowed")?,
        cursor: p.get("cursor", "cursor; take `next` of the answer before")?,
        limit: p.limit(&app.options)?,
    };
    p.end()?;
    let (lines, next) = app.deliveries.find(&query);
    Ok(list(lines.iter().map(views::delivery), next))
}

/// `GET /v1/playbook`: that of the home area, or of the command area that is named.
pub async fn playbook(State(app): State<App>, Extension(caller): Who, uri: Uri) -> Told {
    let mut p = Params::of(&uri)?;
    let area = p.text("area");
    p.end()?;
    let wanted = |p: &Arc<Playbook>| area.as_deref().is_none_or(|area| p.head.command_area.as_str() == area);
    let sight = caller.principal.sight();
    let is_of = |p: &Arc<Playbook>| {
        let named = |a: &crate::playbook::Area| sight.place(&p.head.command_area, Some(&a.id), Some(&a.county));
        sight.place(&p.head.command_area, None, None) || p.areas.areas.values().any(named)
    };
    let playbook = app
        .gate
        .playbooks()
        .into_iter()
        .filter(is_of)
        .find(wanted)
        .ok_or_else(|| Problem::not_found("command area"))?;
    Ok(Json(views::playbook(&playbook)))
}

/// `GET /v1/inputs/{door}/{partition}/{offset}`: what became of an event that was kept before it was decided.
pub async fn input(
    State(app): State<App>,
    Extension(caller): Who,
    Path(place): Path<(String, String, String)>,
    uri: Uri,
) -> Told {
    Params::of(&uri)?.end()?;
    let (door, partition, offset) = place;
    let (Ok(partition), Ok(offset)) = (partition.parse(), offset.parse()) else {
        return Err(Problem::not_found("input"));
    };
    let kept = Kept { door: door.into(), partition, offset };
    let sight = caller.principal.sight();
    let hidden_incident = |id: Option<&IncidentId>| !id.map_or_else(|| sight.is_whole(), |id| sees(&app, &sight, id));
    let hidden = |answer: &Answer| match answer {
        Answer::Report(r) => hidden_incident(r.incident.as_ref()),
        Answer::Applied { incident, .. } => hidden_incident(incident.as_ref()),
        Answer::Refused(_) => !sight.is_whole(),
    };
    Ok(Json(match app.gate.fate(&kept) {
        Fate::Decided(answer) if hidden(&answer) => return Err(Problem::not_found("input")),
        Fate::Waiting => json!({ "state": "waiting" }),
        Fate::Decided(answer) => match intake::decided(answer) {
            Ok(mut told) => {
                told["state"] = "decided".into();
                told
            }
            Err(problem) => json!({ "state": "refused", "problem": problem.to_json() }),
        },
        Fate::Refused(refused) => json!({ "state": "refused", "problem": Problem::from(refused).to_json() }),
        Fate::Past => json!({ "state": "decided", "hint": "the answer is no longer held; see /v1/incidents?since=" }),
        Fate::Unknown => return Err(Problem::not_found("input")),
    }))
}

/// `GET /readyz`: whether events are taken, and how it stands.
pub async fn ready(State(app): State<App>, caller: Option<Who>) -> Response {
    let Readiness { ready, mut told } = app.gate.readiness();
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if !caller.is_some_and(|Extension(caller)| caller.may(Permission::Board) || caller.may(Permission::Metrics)) {
        return (code, Json(json!({ "ready": ready }))).into_response();
    }
    let steps = app.board.steps();
    told["board"] = if steps.len() > 1 { json!(steps) } else { steps.values().next().copied().unwrap_or(0).into() };
    (code, Json(wire::clean(told))).into_response()
}

/// `GET /openapi.json`: every route with its parameters and shapes. A test holds it against the router.
pub async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json")).into_response()
}

/// `GET /metrics`
pub async fn metrics(State(app): State<App>) -> Response {
    match app.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(e) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", e.to_string()).into_response(),
    }
}

const INCIDENT_STATES: [&str; 9] =
    ["open", "received", "verifying", "dispatching", "handling", "controlled", "closed", "cancelled", "duplicate-of"];
const ORDER_STATES: [&str; 10] =
    ["live", "issued", "signed", "en-route", "on-scene", "first-report", "cleared", "declined", "expired", "recalled"];

fn states(p: &mut Params, known: &[&str]) -> Result<Vec<smol_str::SmolStr>, Problem> {
    let states = p.list("state");
    match states.iter().find(|s| !known.contains(&s.as_str())) {
        Some(_) => Err(Problem::parameter("state", "is no state").hint(format!("one or more of {}", known.join(", ")))),
        None => Ok(states),
    }
}

/// Whether an incident is the reader's to see; where it is no longer held, the command area in its name decides.
fn sees(app: &App, sight: &Sight, id: &IncidentId) -> bool {
    match app.board.incident(id) {
        Some(incident) => sight.incident(&incident),
        None => sight.place(&id.area, None, None),
    }
}

/// An instant of a query.
pub fn instant(name: &str, text: &str) -> Result<Timestamp, Problem> {
    let hint = "such as 2026-11-23T08:00:00+08:00; in an address `+` is written %2B";
    Timestamp::parse(text).map_err(|_| Problem::parameter(name, "is no RFC 3339 instant").hint(hint))
}

fn incident_id(text: &str) -> Result<IncidentId, Problem> {
    let wrong = |_| Problem::parameter("id", "is no incident id").hint("they read <command area>-<yyyymmdd>-<n>");
    text.parse().map_err(wrong)
}

pub(super) fn list(items: impl Iterator<Item = Value>, next: Option<impl ToString>) -> Json<Value> {
    Json(json!({ "items": items.collect::<Vec<_>>(), "next": next.map(|n| n.to_string()) }))
}
