//! What every handler knows, and which handler serves which route.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use super::governor::Governor;
use super::{Options, Problem, archive, areas, cards, guard, intake, reads, stream, unit};
use crate::board::Board;
use crate::decode::{EventType, Limits};
use crate::deliver::hub::Hub;
use crate::runtime::Gate;
use crate::telemetry::Metrics;

/// What every handler knows. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// The parts.
pub struct Inner {
    /// The way to whatever decides.
    pub gate: Arc<dyn Gate>,
    /// What readers see.
    pub board: Arc<Board>,
    /// Who listens.
    pub hub: Hub,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Bounds.
    pub options: Options,
    /// Bounds of an event.
    pub limits: Limits,
    /// Ends every stream.
    pub shutdown: watch::Receiver<bool>,
    /// Holds back ordinary traffic.
    pub governor: Governor,
}

impl std::ops::Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    /// An app of these parts.
    #[must_use]
    pub fn new(
        gate: Arc<dyn Gate>,
        board: Arc<Board>,
        hub: Hub,
        metrics: Arc<Metrics>,
        options: Options,
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        let limits = Limits {
            element_bytes_max: options.element_bytes_max.get(),
            batch_events_max: options.batch_max.get(),
            ..Limits::default()
        };
        let governor = Governor::new(&options);
        Self(Arc::new(Inner { gate, board, hub, metrics, options, limits, shutdown, governor }))
    }

    /// Forgets sources that have rested. To be called now and then.
    pub fn sweep(&self) {
        self.governor.sweep();
    }
}

/// All routes.
pub fn router(app: App) -> Router {
    let door = |kind| post(move |app, request| intake::take(kind, app, request));
    Router::new()
        .route("/v1/reports", door(EventType::Report))
        .route("/v1/acts", door(EventType::Act))
        .route("/v1/positions", door(EventType::Position))
        .route("/v1/commands", door(EventType::Command))
        .route("/v1/incidents", get(reads::incidents))
        .route("/v1/incidents/{id}", get(reads::incident))
        .route("/v1/incidents/{id}/timeline", get(reads::timeline))
        .route("/v1/cards", get(cards::cards))
        .route("/v1/archive", get(archive::archive))
        .route("/v1/archive.csv", get(archive::archive_csv))
        .route("/v1/areas", get(areas::areas))
        .route("/v1/rules", get(areas::rules))
        .route("/v1/posts", get(reads::posts))
        .route("/v1/posts/{id}", get(unit::unit))
        .route("/v1/orders", get(reads::orders))
        .route("/v1/marks", get(reads::marks))
        .route("/v1/notices", get(reads::notices))
        .route("/v1/inputs/{door}/{partition}/{offset}", get(reads::input))
        .route("/v1/playbook", get(reads::playbook))
        .route("/v1/stream", get(stream::stream))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(reads::ready))
        .route("/metrics", get(reads::metrics))
        .route("/openapi.json", get(reads::openapi))
        .merge(crate::screen::routes(&app.metrics))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(app.clone(), guard::time))
        .layer(CatchPanicLayer::custom(guard::panicked))
        .layer(from_fn_with_state(app.clone(), guard::host))
        .route_layer(from_fn_with_state(app.clone(), guard::count))
        .route_layer(from_fn_with_state(app.clone(), guard::picture))
        .layer(from_fn(guard::headers))
        .layer(CompressionLayer::new())
        .with_state(app)
}

async fn no_route() -> Response {
    Problem::not_found("route").hint("the routes begin with /v1/; see README").into_response()
}

async fn no_method(path: Option<MatchedPath>, request: Request) -> Response {
    let posts =
        path.is_some_and(|p| matches!(p.as_str(), "/v1/reports" | "/v1/acts" | "/v1/positions" | "/v1/commands"));
    let hint = if posts { "use POST" } else { "use GET" };
    let detail = format!("{} is not served here", request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail).hint(hint).into_response()
}
