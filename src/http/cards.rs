//! `GET /v1/cards`: what a screen shows of incidents at a glance, all open ones or those that are named.
//!
//! `now` is the clock of the service, which a page counts down by; a name that has no card is in `gone`.

use axum::extract::State;
use axum::http::Uri;
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::params::Params;
use super::{App, Problem, views};
use crate::access::Caller;
use crate::board::Card;
use crate::engine::state::Order;
use crate::model::IncidentId;
use crate::wire::{clean, time};

/// Characters of a report's words on a card.
const WORDS_CHARS_MAX: usize = 160;

/// `GET /v1/cards`
pub async fn cards(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let mut p = Params::of(&uri)?;
    let named = p.list("incident");
    let limit = p.limit(&app.options)?;
    p.end()?;
    let wrong =
        |_| Problem::parameter("incident", "is no incident id").hint("<command area>-<yyyymmdd>-<n>, by commas");
    let ids: Vec<IncidentId> = named.iter().map(|id| id.parse()).collect::<Result<_, _>>().map_err(wrong)?;
    let max = app.options.page_max.get();
    if ids.len() > max {
        return Err(Problem::parameter("incident", format!("names more than {max}")).hint("ask in parts"));
    }
    let sight = caller.principal.sight();
    let (cards, more) =
        if named.is_empty() { app.board.open_cards(&sight, limit) } else { (app.board.cards(&sight, &ids), false) };
    let gone: Vec<&IncidentId> = ids.iter().filter(|id| cards.iter().all(|c| c.incident.id != **id)).collect();
    Ok(Json(json!({
        "now": time(app.gate.now()), "more": more, "gone": gone, "items": cards.iter().map(card).collect::<Vec<_>>(),
    })))
}

/// A card.
fn card(c: &Card) -> Value {
    let i = &*c.incident;
    let mut told = views::incident(i);
    let words = c.first.as_ref().map(|r| r.report.text.reveal()).filter(|t| !t.is_empty());
    told["words"] = words.map(|t| t.chars().take(WORDS_CHARS_MAX).collect::<String>()).into();
    let own = i.marks.iter().filter(|run| run.state.waits()).filter_map(|run| views::mark_of(i, None, run));
    let theirs = c
        .orders
        .iter()
        .flat_map(|o| o.marks.iter().filter(|run| run.state.waits()).filter_map(|run| views::mark_of(i, Some(o), run)));
    told["marks"] = own.chain(theirs).collect();
    told["orders"] = c.orders.iter().map(|o| order(o)).collect();
    told["holds"] = i.holds.iter().map(|mark| mark.as_ref().map_or("all", |m| m.as_str())).collect();
    told["all_call"] = i.all_call.as_ref().map_or(Value::Null, views::call_counts);
    told
}

/// An order without how it was weighed.
fn order(o: &Order) -> Value {
    let t = &o.times;
    clean(json!({
        "id": o.id, "post": o.post, "role": o.role, "state": o.state, "superseded": o.superseded,
        "issued_at": time(o.issued), "sent_at": o.sent.map(time), "delivered_at": o.delivered.map(time),
        "signed_at": t.signed.map(time), "en_route_at": t.en_route.map(time), "on_scene_at": t.on_scene.map(time),
        "first_report_at": t.first_report.map(time), "cleared_at": t.cleared.map(time),
    }))
}
