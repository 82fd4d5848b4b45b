//! `GET /v1/silences`: what keeps notices from the desks, and what it hid.

use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use serde_json::{Value, json};

use super::params::Params;
use super::reads::{Told, Who, list};
use super::{App, Problem};
use crate::board::Sight;
use crate::engine::state::{HiddenLine, Silence};
use crate::model::Timestamp;

/// Where a silence stands.
const STATES: [&str; 3] = ["planned", "active", "ended"];

/// Silences, and stretches of planned windows, the one that begins last in front. Whoever sees some areas only reads, of
/// what was hidden, only what happened there.
pub async fn silences(State(app): State<App>, Extension(caller): Who, uri: Uri) -> Told {
    let mut p = Params::of(&uri)?;
    let state = p.text("state");
    p.end()?;
    if state.as_deref().is_some_and(|state| !STATES.contains(&state)) {
        return Err(Problem::parameter("state", "is none of planned, active, ended"));
    }
    let (sight, now) = (caller.principal.sight(), app.gate.now());
    let mut found = app.board.silences();
    found.retain(|s| state.as_deref().is_none_or(|wanted| wanted == state_of(s, now)));
    found.sort_by(|a, b| (b.from, &b.id).cmp(&(a.from, &a.id)));
    Ok(list(found.iter().map(|silence| view(&app, &sight, silence, now)), None::<String>))
}

fn state_of(silence: &Silence, now: Timestamp) -> &'static str {
    match silence {
        s if s.ended.is_some() => STATES[2],
        s if now < s.from => STATES[0],
        _ => STATES[1],
    }
}

fn view(app: &App, sight: &Sight, silence: &Silence, now: Timestamp) -> Value {
    let seen = |line: &&HiddenLine| match &line.incident {
        Some(id) => app.board.incident(id).is_some_and(|incident| sight.incident(&incident)),
        None => sight.is_whole(),
    };
    let line = |line: &HiddenLine| {
        json!({
            "at": line.at.to_rfc3339(),
            "incident": line.incident,
            "kind": line.kind,
            "text": line.text,
        })
    };
    let latest: Vec<Value> = silence.latest.iter().rev().filter(seen).map(line).collect();
    json!({
        "id": silence.id,
        "state": state_of(silence, now),
        "window": silence.window,
        "by": silence.by,
        "reason": silence.reason.reveal(),
        "matchers": silence.matchers,
        "made": silence.made.to_rfc3339(),
        "from": silence.from.to_rfc3339(),
        "until": silence.until.to_rfc3339(),
        "ended": silence.ended.as_ref().map(|end| json!({ "at": end.at.to_rfc3339(), "by": end.by })),
        "hidden": silence.hidden,
        "said": silence.said,
        "over": silence.over,
        "latest": latest,
    })
}
