//! Events in: bytes → decode → governor → the gate → an answer after the commit.
//!
//! Where the decision is made elsewhere and is not known in time, the answer says that the event is kept, and where to
//! look for what became of it (`Location`, and `see` in the body).
//!
//! A batch is taken apart; each element is admitted, submitted and answered by itself, in order, and a bad one spoils no
//! other. The batch as a whole is `202` when it could be taken apart, except when every element met the same fate.

use std::net::IpAddr;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tracing::info;

use super::noted::{Noted, about};
use super::permit::{address, deny};
use super::scope::{Outside, within};
use super::{App, Problem};
use crate::access::{Caller, target};
use crate::decode::{self, Decoded, EventType, Mode, Rejection, Sender};
use crate::deliver::message::Message;
use crate::engine::Answer;
use crate::model::{Body, Digest, Event, EventId, Lane, PositionFix, SourceId, Timestamp};
use crate::runtime::{Arrival, Awaited, Form, Judged, Outcome};
use crate::telemetry::drill;

/// The source of data that came without an envelope.
const BARE_SOURCE: &str = "http";
/// Ids, in bytes; the decoder has the same bound for those in an envelope.
const KEY_BYTES_MAX: usize = 256;

/// Takes events of one type.
pub async fn take(
    kind: EventType,
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let from = Sent { caller, from: address(&app, &parts), kind };
    match read(&from, &app, &parts.headers, body).await {
        Ok(Taken::One(element)) => {
            let mut answered = settle(&app, &from, vec![*element]).await;
            answered.pop().map_or_else(nothing, one)
        }
        Ok(Taken::Batch(elements)) => batch(&settle(&app, &from, elements).await),
        Err(problem) => {
            rejected(&app, kind, &problem);
            problem.into_response()
        }
    }
}

/// Who sent it, from where, by which route.
struct Sent {
    caller: Caller,
    from: Option<IpAddr>,
    kind: EventType,
}

type Element = Result<Came, Problem>;
/// What is answered to one event.
pub type Answered = Result<Told, Problem>;

/// An event and the bytes it came as.
struct Came {
    decoded: Decoded,
    form: Form,
}

/// What is answered.
pub struct Told {
    body: Value,
    /// Where to look for what is not known yet.
    see: Option<String>,
}

impl Told {
    /// In a word or two: the incident it came to, or that it is kept and not decided yet.
    pub fn outcome(&self) -> String {
        match (self.body["incident"].as_str(), &self.see) {
            (Some(incident), _) => format!("202 {incident}"),
            (None, Some(_)) => String::from("202 kept"),
            (None, None) => String::from("202"),
        }
    }
}

enum Taken {
    One(Box<Element>),
    Batch(Vec<Element>),
}

async fn read(from: &Sent, app: &App, headers: &HeaderMap, body: axum::body::Body) -> Result<Taken, Problem> {
    let kind = from.kind;
    plain(headers)?;
    let content_type = headers.get(header::CONTENT_TYPE).map(|v| v.to_str().unwrap_or("?")).map(str::to_owned);
    let has_ce = headers.keys().any(|name| name.as_str().starts_with("ce-"));
    let mode = Mode::of(content_type.as_deref(), has_ce)?;
    if content_type.is_none() {
        // A browser may send a body without a type to a foreign origin unasked; whoever means it can say so.
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", "the body has no content type")
            .hint("send content-type: application/json"));
    }
    let max = app.options.body_bytes_max.get();
    let too_large = || {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("the body is larger than {max} bytes"))
            .hint("send fewer events at once")
    };
    // What says beforehand that it is too large is not waited for.
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max as u64) {
        return Err(too_large());
    }
    let bytes = axum::body::to_bytes(body, max).await.map_err(|_| too_large())?;
    let received = app.gate.now();
    let limits = &app.limits;
    let trace = headers.get("traceparent").and_then(|value| decode::traceparent(value.as_bytes()));
    let came = |decoded: Result<Decoded, Rejection>, form: Form| -> Element {
        let mut decoded = decoded.map_err(Problem::from).and_then(|decoded| fits(kind, decoded))?;
        let meta = &mut decoded.event.meta;
        meta.traceparent = meta.traceparent.take().or_else(|| trace.clone());
        Ok(Came { decoded, form })
    };
    Ok(match mode {
        Mode::Structured => {
            let decoded = decode::decode_structured(&bytes, received, limits);
            Taken::One(Box::new(came(decoded, Form::Structured(bytes))))
        }
        Mode::Binary => {
            let named = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
            let decoded = decode::decode_binary(named, content_type.as_deref(), &bytes, received, limits);
            Taken::One(Box::new(came(decoded, binary(headers, content_type.as_deref(), bytes))))
        }
        Mode::Bare => {
            let sender = sender(from, headers, &bytes, received)?;
            let decoded = decode::decode_bare(&bytes, sender, received, limits);
            let enveloped = decode::is_enveloped(&bytes, limits);
            let form = if enveloped { Form::Structured(bytes) } else { Form::Bare(bytes) };
            Taken::One(Box::new(came(decoded, form)))
        }
        Mode::Batch => {
            let elements = decode::elements(&bytes, limits)?;
            let one = |element: &[u8]| {
                let form = Form::Structured(bytes.slice_ref(element));
                came(decode::decode_structured(element, received, limits), form)
            };
            Taken::Batch(elements.into_iter().map(one).collect())
        }
    })
}

/// An event in binary mode as it came.
fn binary(headers: &HeaderMap, content_type: Option<&str>, body: Bytes) -> Form {
    let attribute = |(name, value): (&HeaderName, &HeaderValue)| {
        let (name, value) = decode::attribute(name.as_str(), value.as_bytes())?;
        Some((name.into(), value.into_owned()))
    };
    Form::Binary {
        attributes: headers.iter().filter_map(attribute).collect(),
        content_type: content_type.map(Into::into),
        body,
    }
}

/// A compressed body would slip past the bounds.
fn plain(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(coding) if coding != "identity" => {
            let detail = "a compressed body is not read";
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-encoding", detail).hint("send it as it is"))
        }
        _ => Ok(()),
    }
}

/// Who sent data without an envelope: its source is that of the token, its id is the `Idempotency-Key`, else what it says and when we received it.
fn sender(from: &Sent, headers: &HeaderMap, bytes: &Bytes, received: Timestamp) -> Result<Sender, Problem> {
    let id = match headers.get("idempotency-key").map(|key| key.to_str()) {
        Some(Ok(key)) if !key.is_empty() && key.len() <= KEY_BYTES_MAX => EventId::from(key),
        Some(_) => {
            let detail = format!("must be 1 to {KEY_BYTES_MAX} visible ASCII characters");
            return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid", detail).field("Idempotency-Key"));
        }
        None => EventId::from(format!("{}-{}", Digest::of(bytes), received.0)),
    };
    let source = from.caller.principal.source.as_deref().map_or(BARE_SOURCE, |prefix| prefix.trim_end_matches('/'));
    Ok(Sender { kind: from.kind, source: SourceId::from(source), id })
}

/// Each route takes its own type.
fn fits(kind: EventType, decoded: Decoded) -> Result<Decoded, Problem> {
    let (came, route) = match &decoded.event.body {
        Body::Report(_) => (EventType::Report, "/v1/reports"),
        Body::Act(_) => (EventType::Act, "/v1/acts"),
        Body::Position(_) => (EventType::Position, "/v1/positions"),
        Body::Command(_) => (EventType::Command, "/v1/commands"),
    };
    if came == kind {
        return Ok(decoded);
    }
    let detail = format!("{} is not taken here", came.as_str());
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "wrong-route", detail)
        .field("type")
        .hint(format!("POST it to {route}")))
}

/// Admits, submits and waits, element by element, in order. All are in the queue before the first answer is awaited.
async fn settle(app: &App, from: &Sent, elements: Vec<Element>) -> Vec<Answered> {
    let mut outside: Vec<(Outside, String)> = Vec::new();
    let mut submit = |came| submit(app, from, came, &mut outside);
    let submitted: Vec<Result<Waiting, Problem>> =
        elements.into_iter().map(|element| element.and_then(&mut submit)).collect();
    note_outside(app, from, outside);
    join_all(submitted.into_iter().map(|waiting| async {
        let Waiting { outcome, fix, dropped, noted } =
            waiting.inspect_err(|problem| rejected(app, EventType::Report, problem))?;
        let told = answered(app, outcome, fix, dropped).await;
        if let Some(noted) = noted {
            noted.became(&told);
        }
        told
    }))
    .await
}

async fn answered(app: &App, outcome: Awaited, fix: Option<PositionFix>, dropped: u32) -> Answered {
    let outcome = outcome.await?;
    if let (Some(fix), Outcome::Decided(Answer::Applied { .. })) = (&fix, &outcome) {
        app.board.position(fix);
    }
    told(outcome, dropped)
}

/// What was not the caller's to say: one line in the trail for a request, however many its elements.
fn note_outside(app: &App, from: &Sent, outside: Vec<(Outside, String)>) {
    let count = outside.len();
    let Some((Outside { problem, why }, about)) = outside.into_iter().next() else { return };
    let (principal, kind) = (&from.caller.principal.id, from.kind.as_str());
    let why = if count > 1 { format!("{why} and {} more", count - 1) } else { why.to_owned() };
    deny(app, from.from, principal, kind, target(&about), *problem, &why);
}

struct Waiting {
    outcome: Awaited,
    fix: Option<PositionFix>,
    dropped: u32,
    noted: Option<Noted>,
}

fn submit(app: &App, from: &Sent, came: Came, outside: &mut Vec<(Outside, String)>) -> Result<Waiting, Problem> {
    let Came { decoded: Decoded { event, dropped }, form } = came;
    let judged = app.gate.judge(&event);
    within(app, &from.caller, &event, &judged).map_err(|refused| {
        let problem = (*refused.problem).clone();
        outside.push((refused, about(&event)));
        problem
    })?;
    admit(app, &from.caller, &event, &judged)?;
    let noted = Noted::of(app, &from.caller, &event);
    app.metrics.dropped_members.inc_by(dropped.into());
    let fix = if let Body::Position(fix) = &event.body { Some(fix.clone()) } else { None };
    Ok(Waiting { outcome: app.gate.submit(Arrival { event, judged, form }), fix, dropped, noted })
}

/// Ordinary reports pass the governor; the bottom line, acts, positions and commands go by.
fn admit(app: &App, caller: &Caller, event: &Event, judged: &Judged) -> Result<(), Problem> {
    let Body::Report(report) = &event.body else { return Ok(()) };
    let lane = judged.verdict.as_ref().map_or(Lane::Ordinary, |v| v.classification.lane);
    let source = if app.access.is_on() { caller.principal.id.as_str() } else { event.meta.source.as_str() };
    app.governor.admit(source, lane).map_err(|wait| {
        let kind = judged.playbook.source(&event.meta.source).map_or("unregistered", |s| s.kind.as_str());
        app.metrics.reports.with_label_values(&[kind, "limited", drill(report.status.is_drill())]).inc();
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate", "more ordinary reports than the door takes")
            .hint("send it again after Retry-After; bottom-line reports are never held back")
            .retry_after(wait)
    })
}

fn told(outcome: Outcome, dropped: u32) -> Answered {
    let (mut body, see) = match outcome {
        Outcome::Decided(answer) => (decided(answer)?, None),
        Outcome::Kept(kept) => {
            let see = format!("/v1/inputs/{}/{}/{}", kept.door, kept.partition, kept.offset);
            (json!({ "state": "waiting", "see": see }), Some(see))
        }
        Outcome::Refused(refused) => return Err(refused.into()),
    };
    if dropped > 0 {
        body["dropped"] = dropped.into();
    }
    Ok(Told { body, see })
}

/// What was decided about an event.
pub fn decided(answer: Answer) -> Result<Value, Problem> {
    Ok(match answer {
        Answer::Report(r) => json!({
            "incident": r.incident, "classification": r.classification, "orders": r.orders, "repeat": r.repeat,
            "outcome": r.outcome,
        }),
        Answer::Applied { incident, orders, repeat } => {
            json!({ "incident": incident, "orders": orders, "repeat": repeat })
        }
        Answer::Refused(refusal) => return Err(refusal.into()),
    })
}

fn one(answered: Answered) -> Response {
    match answered {
        Ok(Told { body, see: None }) => (StatusCode::ACCEPTED, Json(body)).into_response(),
        Ok(Told { body, see: Some(see) }) => {
            (StatusCode::ACCEPTED, [(header::LOCATION, see)], Json(body)).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

fn batch(answered: &[Answered]) -> Response {
    // Where all were told to come again, the whole batch is.
    let shared = answered.first().and_then(|a| a.as_ref().err()).map(|p| (p.status, p.retry_after));
    let shared = shared.filter(|(status, _)| answered.iter().all(|a| a.as_ref().is_err_and(|p| p.status == *status)));
    let mut response = (StatusCode::ACCEPTED, Json(answered.iter().map(element).collect::<Value>())).into_response();
    if let Some((status, _)) = shared {
        *response.status_mut() = status;
        let after = answered.iter().filter_map(|a| a.as_ref().err()?.retry_after_s()).max();
        if let Some(seconds) = after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
    }
    response
}

fn element(answered: &Answered) -> Value {
    match answered {
        Ok(told) => {
            let mut told = told.body.clone();
            told["status"] = StatusCode::ACCEPTED.as_u16().into();
            told
        }
        Err(problem) => {
            let mut told = problem.to_json();
            if let Some(seconds) = problem.retry_after_s() {
                told["retry_after_s"] = seconds.into();
            }
            told
        }
    }
}

/// What was not taken is counted and told with its reason and origin, never with its payload.
fn rejected(app: &App, kind: EventType, problem: &Problem) {
    let retry = matches!(problem.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if retry {
        return;
    }
    if kind == EventType::Report {
        app.metrics.reports.with_label_values(&["unknown", "rejected", drill(false)]).inc();
    }
    let told = Message::rejected(app.gate.now(), &problem.code, problem.field.as_deref(), "http");
    app.hub.mention(told);
    info!(origin = "http", kind = kind.as_str(), reason = problem.code, field = problem.field, "event.rejected");
}

fn nothing() -> Response {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "nothing was read").into_response()
}
