//! Who is let in: before any handler, by the permission that its route names.
//!
//! A refusal is answered in the same words whoever came, and is one line in the trail with the reason; beyond a rate from one
//! address it is a 429 that is only counted. Handlers get the [`Caller`] and leave out what it may not see.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::routes::Route;
use super::{App, Problem};
use crate::access::{Caller, Credentials, Denied, Entry, Permission, Secret};

/// What a page sends back with whatever changes something.
const CSRF: HeaderName = HeaderName::from_static("muster-csrf");

/// The other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What is asked, where.
#[derive(Clone)]
pub struct Asked {
    /// What handlers know.
    pub app: App,
    /// Which route.
    pub route: &'static Route,
}

/// Lets a request pass to its handler, or answers it.
pub async fn permit(State(asked): State<Asked>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match asked.check(&parts) {
        Ok(caller) => {
            if let Some(caller) = caller {
                parts.extensions.insert(caller);
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refused) => refused.into_response(),
    }
}

impl Asked {
    fn check(&self, parts: &Parts) -> Result<Option<Caller>, Refused> {
        let (app, permission) = (&self.app, self.route.permission);
        let caller = match app.access.authenticate(&credentials(&parts.headers), app.gate.now()) {
            Ok(caller) => caller,
            // Whoever is nobody may still do what everybody may.
            Err(_) if permission == Permission::Public => return Ok(None),
            Err(denied) => return Err(self.unknown(parts, &denied)),
        };
        let is_read = matches!(parts.method, Method::GET | Method::HEAD);
        if caller.is_session() && !is_read && permission != Permission::Public && !has_csrf(&parts.headers) {
            return Err(self.forbidden(parts, &caller, "csrf"));
        }
        if !caller.may(permission) {
            return Err(self.forbidden(parts, &caller, "role"));
        }
        // What is said about incidents is held back by the governor, by its lane; the rest here.
        if app.access.is_on()
            && !matches!(permission, Permission::Public | Permission::Report | Permission::Act | Permission::Command)
        {
            app.governor.admit_caller(&caller.principal.id).map_err(|wait| Refused {
                problem: Box::new(
                    Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate", "more requests than this token may make")
                        .hint("read the stream instead of asking again and again; see [access] rate_per_principal")
                        .retry_after(wait),
                ),
                challenge: None,
            })?;
        }
        Ok(Some(caller))
    }

    fn unknown(&self, parts: &Parts, denied: &Denied) -> Refused {
        let from = address(&self.app, parts);
        unauthorized(&self.app, from, denied, &self.action())
    }

    fn forbidden(&self, parts: &Parts, caller: &Caller, why: &str) -> Refused {
        let from = address(&self.app, parts);
        let problem = match why {
            "csrf" => {
                Problem::new(StatusCode::FORBIDDEN, "csrf", "a page must say who it is before it changes something")
                    .field("muster-csrf")
                    .hint("send the `csrf` of GET /v1/session in the header muster-csrf")
            }
            _ => Problem::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                format!("the role {} may not do this", caller.principal.role),
            )
            .hint("see GET /v1/session for who you are, and README for what a role may do"),
        };
        deny(&self.app, from, &caller.principal.id, &self.action(), "", problem, why)
    }

    fn action(&self) -> String {
        format!("{} {}", self.route.method, self.route.path)
    }
}

/// A request that is not let in.
pub struct Refused {
    problem: Box<Problem>,
    challenge: Option<&'static str>,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = self.problem.into_response();
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// Nobody we know: told alike, whatever it was.
pub fn unauthorized(app: &App, from: Option<IpAddr>, denied: &Denied, action: &str) -> Refused {
    let missing = denied.why == crate::access::Denial::Missing;
    let detail = if missing { "a token is needed" } else { "the token or session is not good" };
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).hint(
        "send Authorization: Bearer mst_…, or sign in at POST /v1/session; tokens are made by `muster token new`",
    );
    let refused = deny(app, from, &denied.claimed, action, "", problem, denied.why.as_str());
    let challenge =
        if missing { "Bearer realm=\"muster\"" } else { "Bearer realm=\"muster\", error=\"invalid_token\"" };
    Refused { challenge: (refused.problem.status == StatusCode::UNAUTHORIZED).then_some(challenge), ..refused }
}

/// Writes down a refusal, or holds it back where there are too many from one address.
pub fn deny(
    app: &App,
    from: Option<IpAddr>,
    principal: &str,
    action: &str,
    target: &str,
    problem: Problem,
    why: &str,
) -> Refused {
    let problem = match app.access.failed(from) {
        Ok(()) => {
            let outcome = format!("{} {why}", problem.status.as_u16());
            app.access.record(&Entry { at: app.gate.now(), principal, action, target, outcome: &outcome, from });
            problem
        }
        Err(wait) => too_many(wait),
    };
    // The first word is one of a few; a count may follow it.
    let reason = why.split(' ').next().unwrap_or(why);
    app.metrics.access_denied.with_label_values(&[problem.status.as_str(), reason]).inc();
    Refused { problem: Box::new(problem), challenge: None }
}

fn too_many(wait: Duration) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "failures", "too many requests from this address were refused")
        .hint("a good token passes at any time; come again after Retry-After")
        .retry_after(wait)
}

/// What was shown.
pub fn credentials(headers: &HeaderMap) -> Credentials<'_> {
    let cookies = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    Credentials::of(headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes), cookies)
}

fn has_csrf(headers: &HeaderMap) -> bool {
    let (Credentials::Cookie(cookie), Some(sent)) = (credentials(headers), headers.get(CSRF)) else { return false };
    crate::access::is_same(Secret::csrf(cookie).as_bytes(), sent.as_bytes())
}

/// Where a request comes from: the other end, or whom the proxy before us names last.
pub fn address(app: &App, parts: &Parts) -> Option<IpAddr> {
    let named = || {
        let last = parts.headers.get_all("x-forwarded-for").iter().next_back()?;
        last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
    };
    let peer = || parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
    if app.options.behind_proxy { named().or_else(peer) } else { peer() }
}
