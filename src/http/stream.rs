//! `GET /v1/stream`: every message of accepted steps as server-sent events, in order, each with its `rev` as id (with the
//! name of this process behind it, where many shards come together).
//!
//! The first event is `muster.ready` with the newest `rev`; a quiet stream says `muster.heartbeat`, whose id is that of the
//! newest message seen, so that who comes back with it misses nothing even where the filter let nothing through. Who was away longer than is held, or
//! reads too slowly, gets `muster.resync`: read the lists anew, then go on. A slow one is let go after it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tracing::info;

use super::params::Params;
use super::{App, Problem};
use crate::access::{self, Access, Caller, Role};
use crate::deliver::hub::{Bookmark, Filter, Hub, Seat};
use crate::deliver::message::Message;
use crate::model::{Millis, Timestamp};
use crate::runtime::Gate;
use crate::telemetry::Metrics;
use crate::wire::{Kind, time};

/// The desks, for a hint.
pub const DESKS: &str = "intelligence, command, duty, public-information or supervision";
const KINDS: &str = "order, notice, call, agency, forward, timeline or rejected";

/// Listens.
pub async fn stream(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut p = Params::of(&uri)?;
    let filter = Filter {
        kinds: p.words("type", KINDS)?,
        posts: p.list("post"),
        desks: p.words("desk", DESKS)?,
        areas: p.list("area"),
        sight: caller.principal.sight(),
        only_watches: caller.principal.role == Role::Viewer,
    };
    let asked: Option<Bookmark> = p.get("last_event_id", "id of an event of this stream")?;
    p.end()?;
    let last = match headers.get("last-event-id") {
        Some(id) => Some(id.to_str().ok().and_then(|id| id.parse().ok()).ok_or_else(|| {
            Problem::parameter("Last-Event-ID", "is no id of an event").hint("send the id of the last event as it was")
        })?),
        None => asked,
    };
    let max = app.options.stream_clients_max;
    if app.hub.listeners() >= max {
        let detail = format!("{max} listen already");
        return Err(
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "listeners", detail).retry_after(Duration::from_secs(5))
        );
    }
    let place = app.access.seat(&caller).ok_or_else(|| {
        let max = app.access.options().streams_per_principal_max;
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "listeners", format!("{max} listen with this token already"))
            .retry_after(Duration::from_secs(5))
    })?;
    let s = app.hub.listen(&filter, last.as_ref());
    let mut first = VecDeque::new();
    if s.gap {
        first.push_back(resync(&app.hub.bookmark(s.rev), "what followed is no longer held"));
    }
    let ready = json!({ "rev": s.rev }).to_string();
    first.push_back(event("muster.ready", &app.hub.bookmark(s.rev), &ready).retry(Duration::from_secs(1)));
    if !s.gap {
        first.extend(s.missed.iter().map(|m| of(m, &app.hub)));
    }
    let listener = Listener {
        first,
        filter,
        rev: s.rev,
        hub: app.hub.clone(),
        live: s.live,
        heartbeat: Duration::from_millis(app.options.stream_heartbeat.0.max(100)),
        shutdown: app.shutdown.clone(),
        gate: Arc::clone(&app.gate),
        ended: false,
        access: app.access.clone(),
        caller,
        checked: app.gate.now(),
        recheck: tokio::time::interval(Duration::from_millis(RECHECK_EVERY.0)),
        guard: Guard::new(s.seat, place, &app.metrics),
    };
    let events = futures_util::stream::unfold(listener, Listener::next);
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((headers, Sse::new(events)).into_response())
}

/// So often a stream looks whether its listener still has access.
const RECHECK_EVERY: Millis = Millis::from_secs(1);

struct Listener {
    first: VecDeque<Event>,
    filter: Filter,
    /// Of the newest seen, told or not.
    rev: u64,
    hub: Hub,
    live: broadcast::Receiver<Arc<Message>>,
    heartbeat: Duration,
    shutdown: watch::Receiver<bool>,
    gate: Arc<dyn Gate>,
    ended: bool,
    access: Access,
    caller: Caller,
    checked: Timestamp,
    recheck: tokio::time::Interval,
    guard: Guard,
}

impl Listener {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        let event = self.event().await?;
        Some((Ok(event), self))
    }

    async fn event(&mut self) -> Option<Event> {
        if let Some(event) = self.first.pop_front() {
            return Some(event);
        }
        // Also where one message follows another without a pause.
        let now = self.gate.now();
        let due = self.access.is_on() && now >= self.checked + RECHECK_EVERY;
        self.checked = if due { now } else { self.checked };
        if self.ended || due && lost_access(&self.access, &self.caller, now) {
            return None;
        }
        let quiet = tokio::time::sleep(self.heartbeat);
        tokio::pin!(quiet);
        loop {
            tokio::select! {
                // What was accepted before the end is told before the end.
                biased;
                message = self.live.recv() => match message {
                    Ok(message) => {
                        if message.kind != Kind::Rejected {
                            self.rev = message.rev;
                        }
                        if self.filter.wants(&message) {
                            return Some(of(&message, &self.hub));
                        }
                    }
                    Err(RecvError::Lagged(missed)) => {
                        info!(missed, "stream.lagged: let go");
                        self.guard.metrics.stream_dropped.inc();
                        self.ended = true;
                        return Some(resync(&self.hub.bookmark(self.rev), "you read too slowly"));
                    }
                    Err(RecvError::Closed) => return None,
                },
                _ = self.shutdown.wait_for(|down| *down) => return None,
                _ = self.recheck.tick(), if self.access.is_on() => {
                    if lost_access(&self.access, &self.caller, self.gate.now()) {
                        return None;
                    }
                }
                () = &mut quiet => {
                    let told = json!({ "rev": self.rev, "at": time(self.gate.now()) });
                    return Some(event("muster.heartbeat", &self.hub.bookmark(self.rev), &told.to_string()));
                }
            }
        }
    }
}

fn lost_access(access: &Access, caller: &Caller, now: Timestamp) -> bool {
    let lost = !access.is_live(caller, now);
    if lost {
        info!(principal = %caller.principal.id, "stream.ended: its access is over or was changed");
    }
    lost
}

fn of(message: &Message, hub: &Hub) -> Event {
    match message.kind {
        // No `rev`, no id: the listener's place stays where it is.
        Kind::Rejected => Event::default().event(message.kind.as_type()).data(message.data()),
        kind => event(kind.as_type(), &hub.bookmark(message.rev), message.data()),
    }
}

fn resync(at: &Bookmark, reason: &str) -> Event {
    event("muster.resync", at, &json!({ "rev": at.rev, "reason": reason }).to_string())
}

fn event(name: &str, at: &Bookmark, data: &str) -> Event {
    Event::default().event(name).id(at.to_string()).data(data)
}

/// Counts a listener for as long as it listens.
struct Guard {
    _seat: Seat,
    _place: access::Seat,
    metrics: Arc<Metrics>,
}

impl Guard {
    fn new(seat: Seat, place: access::Seat, metrics: &Arc<Metrics>) -> Self {
        metrics.stream_clients.inc();
        Self { _seat: seat, _place: place, metrics: Arc::clone(metrics) }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.metrics.stream_clients.dec();
    }
}
