//! What a browser is told about our pages, and what it tells us when one of them breaks that.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tracing::warn;

use crate::telemetry::Metrics;

/// Only what is ours; nothing inline; nobody frames us; text never becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
    manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'; report-uri /csp";
/// The phone's page names the address of its worker, which counts as script: one policy of that name may.
const POLICY_WITH_WORKER: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types muster-worker; report-uri /csp";

/// Nothing of the machine but the phone's own position.
const PERMISSIONS: &str = "geolocation=(self), camera=(), microphone=(), payment=(), usb=()";
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Puts the policy on an answer.
pub fn stamp(headers: &mut HeaderMap, worker: bool) {
    let policy = if worker { POLICY_WITH_WORKER } else { POLICY };
    let told = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (PERMISSIONS_POLICY, PERMISSIONS),
        (OPENER_POLICY, "same-origin"),
        (RESOURCE_POLICY, "same-origin"),
    ];
    for (name, value) in told {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// So much of a report is read for the log.
const REPORT_BYTES_MAX: usize = 4096;

/// `POST /csp`: a browser says that a page broke the policy. Counted; of its words only the directive is logged.
pub fn reported(metrics: &Metrics, body: &Bytes) -> StatusCode {
    metrics.csp_reports.inc();
    let told = serde_json::from_slice::<serde_json::Value>(&body[..body.len().min(REPORT_BYTES_MAX)]).ok();
    let directive = told.as_ref().and_then(|r| r["csp-report"]["effective-directive"].as_str()).unwrap_or("unknown");
    let directive: String = directive.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect();
    warn!(directive, "screen.policy_broken");
    StatusCode::NO_CONTENT
}
