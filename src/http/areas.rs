//! What a screen needs of the playbook beside its head: the map, and the rules by which reports are judged.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde_json::{Value, json};

use super::params::Params;
use super::{App, Problem};
use crate::model::Position;
use crate::playbook::Playbook;

/// `GET /v1/areas`: counties and rings with their outlines, areas and key sites with their places. A point is a pair,
/// longitude first, as in `GeoJSON`.
pub async fn areas(State(app): State<App>, uri: Uri) -> Result<Json<Value>, Problem> {
    let p = asked(&app, &uri)?;
    let pair = |p: Position| json!([p.lon, p.lat]);
    let line = |points: &[Position]| points.iter().map(|p| pair(*p)).collect::<Value>();
    let a = &p.areas;
    Ok(Json(json!({
        "command_area": p.head.command_area, "title": p.head.title,
        "counties": a.counties.values().map(|c| json!({
            "code": c.code, "name": c.name, "outline": line(&c.outline),
        })).collect::<Value>(),
        "areas": a.areas.values().map(|x| json!({
            "id": x.id, "name": x.name, "county": x.county, "class": x.class, "centre": pair(x.centre),
            "min_cover": x.min_cover,
        })).collect::<Value>(),
        "sites": a.sites.values().map(|s| json!({
            "id": s.id, "name": s.name, "area": s.area, "position": pair(s.position), "radius_m": s.radius_m,
        })).collect::<Value>(),
        "zones": a.zones.iter().map(|z| json!({
            "name": z.name, "ring": z.ring, "centre": z.centre.map(pair), "radius_m": z.radius_m,
            "outline": line(&z.outline),
        })).collect::<Value>(),
        "barriers": p.travel.barriers.iter().map(|b| json!({
            "name": b.name, "line": line(&b.line), "crossings": line(&b.crossings),
        })).collect::<Value>(),
    })))
}

/// `GET /v1/rules`: the rules in their order, the modifiers after them, and the words they look for.
pub async fn rules(State(app): State<App>, uri: Uri) -> Result<Json<Value>, Problem> {
    let p = asked(&app, &uri)?;
    Ok(Json(json!({ "hash": p.hash, "rules": p.rules, "modifiers": p.modifiers, "keywords": p.keywords })))
}

/// The playbook of the command area that is named, or of the home area.
fn asked(app: &App, uri: &Uri) -> Result<Arc<Playbook>, Problem> {
    let mut p = Params::of(uri)?;
    let area = p.text("area");
    p.end()?;
    let wanted = |p: &Arc<Playbook>| area.as_deref().is_none_or(|area| p.head.command_area.as_str() == area);
    app.gate.playbooks().into_iter().find(wanted).ok_or_else(|| Problem::not_found("command area"))
}
