//! Sessions of pages: a token once, then a cookie; and who has access, for supervisors.

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::permit::{address, credentials, unauthorized};
use super::{App, Problem};
use crate::access::{COOKIE, Caller, Credentials, Entry, Principal, Secret};
use crate::model::Timestamp;
use crate::wire::time;

/// Bytes of what one signs in with.
const BODY_BYTES_MAX: usize = 4 * 1024;
const ACTION: &str = "session.begin";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    token: String,
}

/// `POST /v1/session`: a token for a cookie.
pub async fn begin(State(app): State<App>, request: Request) -> Result<Response, Response> {
    if !app.access.is_on() {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "access-off",
            "there is no access control here: nobody signs in",
        )
        .hint("go on without; or set [access] tokens")
        .into_response());
    }
    let (parts, body) = request.into_parts();
    let from = address(&app, &parts);
    let bytes = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| unreadable().into_response())?;
    let token = read(&parts.headers, &bytes).map_err(IntoResponse::into_response)?;
    let now = app.gate.now();
    let denied = |denied| unauthorized(&app, from, &denied, ACTION).into_response();
    let Ok(begun) = app.access.sign_in(&token, now).map_err(denied)? else {
        let detail = "there are too many sessions";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "sessions", detail);
        return Err(problem.retry_after(std::time::Duration::from_secs(60)).into_response());
    };
    let id = &*begun.principal.id;
    app.access.record(&Entry { at: now, principal: id, action: ACTION, target: "", outcome: "200", from });
    let secret = begun.secret.reveal();
    let told = told(&begun.principal, Some(&Secret::csrf(secret)), Some(begun.ends));
    let age_s = app.access.options().session_age_max.0 / 1000;
    Ok(with_cookie(&app, secret, age_s, Json(told)))
}

/// `GET /v1/session`: who one is.
pub async fn show(State(app): State<App>, Extension(caller): Extension<Caller>, headers: HeaderMap) -> Json<Value> {
    let csrf = match credentials(&headers) {
        Credentials::Cookie(cookie) if caller.is_session() => Some(Secret::csrf(cookie)),
        _ => None,
    };
    Json(told(&caller.principal, csrf.as_deref(), app.access.session_end(&caller)))
}

/// `DELETE /v1/session`: signs out.
pub async fn end(State(app): State<App>, Extension(caller): Extension<Caller>, request: Request) -> Response {
    if app.access.sign_out(&caller) {
        let (parts, _) = request.into_parts();
        let (principal, from) = (&*caller.principal.id, address(&app, &parts));
        let at = app.gate.now();
        app.access.record(&Entry { at, principal, action: "session.end", target: "", outcome: "204", from });
    }
    with_cookie(&app, "", 0, StatusCode::NO_CONTENT)
}

/// `GET /v1/access`: who has access, and since when; no token and no hash of one.
pub async fn overview(State(app): State<App>) -> Json<Value> {
    let keyring = app.access.keyring();
    let one = |e: &crate::access::Listed| {
        let p = &*e.principal;
        let tokens = e.tokens.iter().map(|t| json!({ "made_at": time(t.made), "expires_at": t.expires.map(time) }));
        json!({
            "principal": p.id, "role": p.role, "areas": p.area_names(), "post": p.post, "source": p.source,
            "tokens": tokens.collect::<Vec<_>>(), "revoked_at": e.revoked.map(time),
        })
    };
    let principals: Vec<Value> = keyring.iter().flat_map(|k| k.entries()).map(one).collect();
    Json(json!({
        "on": app.access.is_on(), "items": principals, "sessions": app.access.session_count(),
        "audit_lines_lost": app.access.lines_lost(),
    }))
}

fn read(headers: &HeaderMap, bytes: &Bytes) -> Result<String, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    // A form of another site cannot say this, so that nobody is signed in as somebody else unasked.
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content-type",
            "the body is not said to be JSON",
        )
        .hint("send content-type: application/json"));
    }
    serde_json::from_slice(bytes).map(|SignIn { token }| token).map_err(|_| unreadable())
}

/// Says nothing of what came: it may hold a token.
fn unreadable() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid", "the body cannot be read")
        .field("token")
        .hint("send {\"token\": \"mst_…\"}")
}

fn told(p: &Principal, csrf: Option<&str>, ends: Option<Timestamp>) -> Value {
    json!({
        "principal": p.id, "role": p.role, "areas": p.area_names(), "post": p.post, "source": p.source, "csrf": csrf,
        "expires_at": ends.map(time),
    })
}

/// A script cannot read it, another site cannot send it, and where there is TLS it never goes in the clear.
fn with_cookie(app: &App, secret: &str, age_s: u64, answer: impl IntoResponse) -> Response {
    let secure = if app.options.is_encrypted() { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={secret}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age_s}{secure}");
    let mut response = answer.into_response();
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}
