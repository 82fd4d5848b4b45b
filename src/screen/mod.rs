//! The screen: the pages that operators and posts look at, served by the program itself.
//!
//! The files under `web/` are plain ES modules, web components and style sheets. They go into the program as they are: no
//! step builds them, nothing of theirs comes from outside. What they show they read from the public routes, so a page
//! may do no more than whoever calls those routes may; the pages themselves hold no data and are given to everybody.
//!
//! # Freshness
//! A page is asked for each time (`no-cache`, with an `ETag`); what it names lies under `/app/<digest>/`, where the digest
//! is that of all files together. So a new program means new addresses, modules that import each other always fit, and
//! what was fetched once is never asked for again. All of it is compressed once, at the first request.
//!
//! # Narrowness
//! The policy of the pages allows scripts, styles and connections of this origin, no inline script, no frame around them,
//! and, in browsers that know Trusted Types, no text that becomes markup. What a browser holds against a page it tells to
//! `/csp`, which counts it (`muster_csp_reports_total`): it should stay at 0.

mod bundle;
mod policy;

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

pub use bundle::{Bundle, Pages};

use crate::telemetry::Metrics;

/// The routes of the pages, for whoever has an app of its own beside them.
pub fn routes<S: Clone + Send + Sync + 'static>(metrics: &Arc<Metrics>) -> Router<S> {
    let pages = Pages::default();
    let page = |name: &'static str| {
        let pages = pages.clone();
        get(move |headers: HeaderMap| async move { answer(pages.newest().page(name), &headers) })
    };
    let files = {
        let pages = pages.clone();
        get(move |Path((digest, file)): Path<(String, String)>, headers: HeaderMap| async move {
            answer(pages.newest().file(&digest, &file), &headers)
        })
    };
    let metrics = Arc::clone(metrics);
    Router::new()
        .route("/", page("index.html"))
        .route("/post", page("post.html"))
        .route("/sign-in", page("sign-in.html"))
        .route("/post.webmanifest", page("post.webmanifest"))
        .route("/post-worker.js", page("post-worker.js"))
        .route("/app/{digest}/{*file}", files)
        .route("/csp", post(move |body: axum::body::Bytes| async move { policy::reported(&metrics, &body) }))
}

fn answer(found: Option<bundle::Served>, headers: &HeaderMap) -> Response {
    let Some(served) = found else { return (StatusCode::NOT_FOUND, "no such file\n").into_response() };
    let says = |name, word: &str| headers.get(name).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains(word));
    let mut response = if says(header::IF_NONE_MATCH, &served.tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else if says(header::ACCEPT_ENCODING, "gzip") {
        ([(header::CONTENT_ENCODING, "gzip")], served.gzip.clone()).into_response()
    } else {
        served.plain.clone().into_response()
    };
    let told = response.headers_mut();
    told.insert(header::CONTENT_TYPE, served.kind);
    told.insert(header::CACHE_CONTROL, served.keep);
    told.insert(header::VARY, header::ACCEPT_ENCODING.into());
    if let Ok(tag) = served.tag.parse() {
        told.insert(header::ETAG, tag);
    }
    policy::stamp(told, served.worker);
    response
}
