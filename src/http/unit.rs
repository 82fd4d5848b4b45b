//! `GET /v1/posts/{id}`: a post by itself with its live orders and what they are about: what its phone shows.

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::params::Params;
use super::{App, Problem, views};
use crate::access::Caller;
use crate::board::{Card, Sight};
use crate::engine::state::{Incident, Order};
use crate::model::PostId;
use crate::playbook::Playbook;
use crate::wire::{clean, place, time};

/// `GET /v1/posts/{id}`
pub async fn unit(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    Params::of(&uri)?.end()?;
    let (id, books, now) = (PostId::from(id.as_str()), app.gate.playbooks(), app.gate.now());
    let sight = caller.principal.sight();
    let found = books.iter().find_map(|book| {
        let unit = app.board.unit(book, &id)?;
        let county = book.areas.areas.get(&unit.spec.area).map(|a| &a.county);
        let here = sight.place(&book.head.command_area, Some(&unit.spec.area), county);
        let own = sight.post().is_none_or(|post| *post == unit.spec.id);
        (here && own).then_some((unit, book))
    });
    let (post, book) = found.ok_or_else(|| Problem::not_found("post"))?;
    let mut told = views::unit(&post, book, now);
    let ids: Vec<_> = post.orders.iter().map(|o| o.id.incident.clone()).collect();
    let cards = app.board.cards(&Sight::default(), &ids);
    let live = post.orders.iter().filter_map(|o| {
        let card = cards.iter().find(|c| c.incident.id == o.id.incident)?;
        sight.order(o, Some(&card.incident)).then(|| order(o, card, book))
    });
    told["orders"] = live.collect();
    told["calls"] = app.board.calls_of(&post.spec.id).iter().map(|(i, metres)| call(i, *metres)).collect();
    told["now"] = time(now).into();
    Ok(Json(told))
}

/// An all-call that waits for this post's answer.
fn call(i: &Incident, distance_m: u32) -> Value {
    let call = i.all_call.as_ref();
    clean(json!({
        "incident": i.id, "n": call.map(|c| c.n), "reason": call.map(|c| &c.reason), "until": call.map(|c| time(c.until)),
        "distance_m": distance_m, "place": place(&i.place), "drill": i.drill(),
    }))
}

/// An order with what it is about, in words.
fn order(o: &Order, card: &Card, book: &Playbook) -> Value {
    let i = &*card.incident;
    let mut told = views::order(o, Some(i));
    if let Some(members) = told.as_object_mut() {
        // How it was weighed is for those who answer for it.
        members.remove("weighed");
    }
    let site = i.place.site.as_ref().and_then(|s| book.areas.sites.get(s)).map(|s| &s.name);
    let area = i.place.area.as_ref().and_then(|a| book.areas.areas.get(a)).map(|a| &a.name);
    let title = book.taxonomy.categories.get(i.category()).map(|c| json!({ "zh": c.zh, "en": c.en }));
    told["category"] = i.category().as_str().into();
    told["title"] = title.into();
    told["severity"] = json!(i.classification.severity);
    told["lane"] = json!(i.classification.lane);
    told["drill"] = i.drill().into();
    told["place"] = place(&i.place);
    told["names"] = clean(json!({ "site": site, "area": area }));
    told["words"] = card.first.as_ref().map(|r| r.report.text.reveal()).into();
    told
}
