//! What holds for every request.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::error;

use super::{App, Problem};

/// Milliseconds since the picture that a read shows was last known to be whole.
const PICTURE_AGE: HeaderName = HeaderName::from_static("muster-picture-age-ms");

/// Serves only whoever calls us by a name of ours: a page whose name was rebound to this machine does not.
pub async fn host(State(app): State<App>, request: Request, next: Next) -> Response {
    if served(request.headers(), request.uri(), &app.options.hosts) {
        return next.run(request).await;
    }
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "host", "this name is not served here")
        .field("Host")
        .hint("call it by 127.0.0.1 or localhost, or add the name to [http] hosts")
        .into_response()
}

fn served(headers: &HeaderMap, uri: &Uri, hosts: &[String]) -> bool {
    let host =
        headers.get(header::HOST).and_then(|h| h.to_str().ok()).or_else(|| uri.authority().map(Authority::as_str));
    let Some(host) = host else { return false };
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, _)) => v6,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    matches!(name, "localhost" | "127.0.0.1" | "::1") || hosts.iter().any(|h| h.eq_ignore_ascii_case(name))
}

/// Bounds the time until a request is answered. A stream is answered at once and then goes on.
pub async fn time(State(app): State<App>, request: Request, next: Next) -> Response {
    let limit = app.options.request_timeout;
    match tokio::time::timeout(Duration::from_millis(limit.0), next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", format!("no answer within {limit}"))
            .hint("it may have been kept: send it again with the same source and id; a repeat is not applied twice")
            .retry_after(Duration::from_secs(1))
            .into_response(),
    }
}

/// Counts what was asked and how it was answered. The route is its pattern, so the label stays bounded.
#[expect(clippy::disallowed_methods, reason = "the time a request takes decides nothing")]
pub async fn count(State(app): State<App>, path: MatchedPath, request: Request, next: Next) -> Response {
    let (begin, method) = (Instant::now(), request.method().clone());
    let response = next.run(request).await;
    let status = response.status();
    let labels = [path.as_str(), method.as_str(), status.as_str()];
    app.metrics.http.with_label_values(&labels).observe(begin.elapsed().as_secs_f64());
    response
}

/// Says how old the picture is that a read shows, where it is not of this process.
pub async fn picture(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_read = request.method() == Method::GET;
    let mut response = next.run(request).await;
    if let Some(age) = app.gate.picture_age().filter(|_| is_read) {
        response.headers_mut().insert(PICTURE_AGE, HeaderValue::from(age.0));
    }
    response
}

/// A browser shall not guess types, and nothing is kept between us and the reader.
pub async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// What a panic becomes: an answer, and a line in the log.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over")]
pub fn panicked(why: Box<dyn Any + Send>) -> Response {
    let text = why.downcast_ref::<&str>().copied().or_else(|| why.downcast_ref::<String>().map(String::as_str));
    error!(reason = text.unwrap_or("unknown"), "request.panicked");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "a fault of ours; it has been logged").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_are_served() {
        let with = |host: &str, more: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            served(&headers, &Uri::from_static("/"), &more.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        for host in ["127.0.0.1:8080", "localhost", "localhost:1", "[::1]:8080", "[::1]"] {
            assert!(with(host, &[]), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:8080", "10.0.0.1:8080", "", "[::2]:1"] {
            assert!(!with(host, &[]), "{host}");
        }
        assert!(with("Desk.local:8080", &["desk.local"]));
        assert!(!served(&HeaderMap::new(), &Uri::from_static("/"), &[]));
    }
}
