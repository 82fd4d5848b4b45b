//! What every handler knows, and which handler serves which route.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use super::governor::Governor;
use super::permit::{Asked, permit};
use super::{Options, Problem, ROUTES, guard};
use crate::access::Access;
use crate::board::Board;
use crate::decode::Limits;
use crate::deliver::hub::Hub;
use crate::deliver::log::Log;
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
    /// Who may do what.
    pub access: Access,
    /// What became of each delivery.
    pub deliveries: Log,
}

impl std::ops::Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    /// An app of these parts, without access control.
    #[must_use]
    pub fn new(
        gate: Arc<dyn Gate>,
        board: Arc<Board>,
        hub: Hub,
        metrics: Arc<Metrics>,
        options: Options,
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        Self::guarded(gate, board, hub, metrics, options, shutdown, Access::open())
    }

    /// An app of these parts.
    #[must_use]
    pub fn guarded(
        gate: Arc<dyn Gate>,
        board: Arc<Board>,
        hub: Hub,
        metrics: Arc<Metrics>,
        options: Options,
        shutdown: watch::Receiver<bool>,
        access: Access,
    ) -> Self {
        let limits = Limits {
            element_bytes_max: options.element_bytes_max.get(),
            batch_events_max: options.batch_max.get(),
            ..Limits::default()
        };
        let governor = Governor::new(&options, access.options());
        Self(Arc::new(Inner {
            gate,
            board,
            hub,
            metrics,
            options,
            limits,
            shutdown,
            governor,
            access,
            deliveries: Log::in_memory(1),
        }))
    }

    /// The same with the log of what became of each delivery. Before it is cloned; afterwards nothing changes.
    #[must_use]
    pub fn with_log(mut self, log: Log) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.deliveries = log;
        }
        self
    }

    /// Forgets sources that have rested. To be called now and then.
    pub fn sweep(&self) {
        self.governor.sweep();
    }

    /// Measures what is bounded at the door.
    pub(super) fn measure(&self, connections: usize) {
        let depth = |what, n: usize| {
            self.metrics.queue_depth.with_label_values(&[what]).set(i64::try_from(n).unwrap_or(i64::MAX));
        };
        depth("connections", connections);
        depth("sessions", self.access.session_count());
        let lost = self.access.lines_lost().saturating_sub(self.metrics.audit_lost.get());
        self.metrics.audit_lost.inc_by(lost);
    }
}

/// All routes.
pub fn router(app: App) -> Router {
    let table = ROUTES.iter().fold(Router::new(), |router, route| {
        let asked = Asked { app: app.clone(), route };
        router.route(route.path, (route.serve)().route_layer(from_fn_with_state(asked, permit)))
    });
    table
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
    let here = |path: MatchedPath| ROUTES.iter().filter(move |r| r.path == path.as_str()).map(|r| r.method.as_str());
    let methods: Vec<&str> = path.into_iter().flat_map(here).collect();
    let hint = format!("use {}", methods.join(", "));
    let detail = format!("{} is not served here", request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail).hint(hint).into_response()
}
