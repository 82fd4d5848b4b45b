//! Every route, in one table: how it is asked, what it asks of the caller, and who serves it. There is no other way to a
//! handler, so no route is without a permission.
//!
//! The pages of the screen (`/`, `/post`, `/app/…`, `/sign-in`) are [`Permission::Public`]: they hold no data, and what they
//! show comes from the routes below.

use axum::http::Method;
use axum::routing::{MethodRouter, delete, get, post};

use super::{App, archive, areas, cards, intake, reads, session, silences, stream, unit};
use crate::access::Permission;
use crate::decode::EventType;

/// A route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// How it is asked.
    pub method: &'static Method,
    /// Its pattern.
    pub path: &'static str,
    /// What it asks of the caller.
    pub permission: Permission,
    /// Who serves it.
    pub(super) serve: fn() -> MethodRouter<App>,
}

const fn route(
    method: &'static Method,
    path: &'static str,
    permission: Permission,
    serve: fn() -> MethodRouter<App>,
) -> Route {
    Route { method, path, permission, serve }
}

const GET: &Method = &Method::GET;
const POST: &Method = &Method::POST;
const DELETE: &Method = &Method::DELETE;

use Permission::{Act, Board, Command, Metrics, Orders, Oversee, Public, Report, Session};

/// All of them.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    route(POST,   "/v1/reports",                Report,  || post(|a, c, r| intake::take(EventType::Report, a, c, r))),
    route(POST,   "/v1/acts",                   Act,     || post(|a, c, r| intake::take(EventType::Act, a, c, r))),
    route(POST,   "/v1/positions",              Act,     || post(|a, c, r| intake::take(EventType::Position, a, c, r))),
    route(POST,   "/v1/commands",               Command, || post(|a, c, r| intake::take(EventType::Command, a, c, r))),
    route(GET,    "/v1/incidents",              Board,   || get(reads::incidents)),
    route(GET,    "/v1/incidents/{id}",         Board,   || get(reads::incident)),
    route(GET,    "/v1/incidents/{id}/timeline", Board,  || get(reads::timeline)),
    route(GET,    "/v1/cards",                  Board,   || get(cards::cards)),
    route(GET,    "/v1/archive",                Board,   || get(archive::archive)),
    route(GET,    "/v1/archive.csv",            Board,   || get(archive::archive_csv)),
    route(GET,    "/v1/areas",                  Board,   || get(areas::areas)),
    route(GET,    "/v1/rules",                  Board,   || get(areas::rules)),
    route(GET,    "/v1/posts/{id}",             Orders,  || get(unit::unit)),
    route(GET,    "/v1/posts",                  Board,   || get(reads::posts)),
    route(GET,    "/v1/orders",                 Orders,  || get(reads::orders)),
    route(GET,    "/v1/marks",                  Board,   || get(reads::marks)),
    route(GET,    "/v1/notices",                Board,   || get(reads::notices)),
    route(GET,    "/v1/silences",               Board,   || get(silences::silences)),
    route(GET,    "/v1/deliveries",             Board,   || get(reads::deliveries)),
    route(GET,    "/v1/inputs/{door}/{partition}/{offset}", Board, || get(reads::input)),
    route(GET,    "/v1/playbook",               Board,   || get(reads::playbook)),
    route(GET,    "/v1/stream",                 Orders,  || get(stream::stream)),
    route(POST,   "/v1/session",                Public,  || post(session::begin)),
    route(GET,    "/v1/session",                Session, || get(session::show)),
    route(DELETE, "/v1/session",                Session, || delete(session::end)),
    route(GET,    "/v1/access",                 Oversee, || get(session::overview)),
    route(GET,    "/livez",                     Public,  || get(|| async { "ok\n" })),
    // Whether it is ready is for whoever balances load; how it stands, for whoever may read the board.
    route(GET,    "/readyz",                    Public,  || get(reads::ready)),
    route(GET,    "/metrics",                   Metrics, || get(reads::metrics)),
    route(GET,    "/openapi.json",              Public,  || get(reads::openapi)),
];
