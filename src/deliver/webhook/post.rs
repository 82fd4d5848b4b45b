//! How one message is posted to one target.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::Request;

use super::client::Client;
use super::signature::signatures;
use super::targets::Target;
use super::{CHANNEL, Upstream};
use crate::deliver::message::Message;
use crate::model::Digest;
use crate::playbook::Language;
use crate::wire::time;

/// How one request is made.
pub(super) struct Post {
    pub client: Client,
    pub source: String,
    pub reply_bytes_max: usize,
}

impl Post {
    /// Makes one attempt. The error is the reason, in words for the log.
    pub async fn send(&self, message: &Message, target: &Target, upstream: &dyn Upstream) -> Result<(), String> {
        let body = message.body(target.language, || {
            let playbook = upstream.playbook();
            event_in(message, &self.source, target.language, message.words(&playbook, CHANNEL, target.language)).into()
        });
        let (id, at) = (webhook_id(message), upstream.now().0 / 1000);
        let mut request = Request::post(target.url.clone())
            .header("content-type", "application/cloudevents+json; charset=utf-8")
            .header("user-agent", concat!("muster/", env!("CARGO_PKG_VERSION")))
            .header("webhook-timestamp", at);
        if !target.secrets.is_empty() {
            request = request.header("webhook-signature", signatures(&target.secrets, &id, at, &body));
        }
        let request = request.header("webhook-id", id).body(Full::new(body)).map_err(|e| e.to_string())?;
        let ends = tokio::time::Instant::now() + Duration::from_millis(target.timeout.0);
        let reply = tokio::time::timeout_at(ends, self.client.request(request)).await;
        let mut reply = reply.map_err(|_| "no answer in time")?.map_err(|e| reason(&e))?;
        let status = reply.status();
        let mut read = 0;
        // What it says beside its status does not matter; it is read so that the connection can be used again, up to a
        // bound. The rest of a longer reply is not read, and its connection is given up.
        while let Ok(Some(Ok(frame))) = tokio::time::timeout_at(ends, reply.frame()).await {
            read += frame.data_ref().map_or(0, bytes::Bytes::len);
            if read > self.reply_bytes_max {
                break;
            }
        }
        match status {
            s if s.is_success() => Ok(()),
            s if s.is_redirection() => Err(format!("answered {}; redirects are not followed", s.as_u16())),
            s => Err(format!("answered {}", s.as_u16())),
        }
    }
}

/// The innermost cause is what a person wants to read: `Connection refused`, `resolves to 10.0.0.1, which is private`.
fn reason(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// The `CloudEvents` id of a message: the same at every attempt, to every target, and after a restart.
#[must_use]
pub fn event_id(message: &Message) -> String {
    format!("{}/{}", message.key, message.rev)
}

/// The same as a header may carry it: where the id holds more than plain characters, or the point that the signature sets
/// between its parts, its digest.
fn webhook_id(message: &Message) -> String {
    let id = event_id(message);
    let plain = |b: u8| b.is_ascii_graphic() && b != b'.';
    if id.bytes().all(plain) { id } else { Digest::of(id.as_bytes()).to_string() }
}

/// The message as a `CloudEvent` in structured JSON, without a text.
#[must_use]
pub fn event(message: &Message, source: &str) -> String {
    // The payload is JSON already; it is set in, not parsed again.
    format!("{},\"data\":{}}}", envelope(message, source), message.data())
}

/// The same with its text in one language, as `data.message`.
fn event_in(message: &Message, source: &str, language: Language, words: Option<String>) -> String {
    let data = message.data();
    let Some((words, open)) = words.zip(data.strip_suffix('}')) else { return event(message, source) };
    let words = serde_json::Value::from(words);
    let comma = if open.ends_with('{') { "" } else { "," };
    let envelope = envelope(message, source);
    format!("{envelope},\"data\":{open}{comma}\"language\":\"{}\",\"message\":{words}}}}}", language.as_str())
}

/// All but the data, without the closing brace.
fn envelope(message: &Message, source: &str) -> String {
    let mut envelope = serde_json::json!({
        "specversion": "1.0",
        "type": message.kind.as_type(),
        "source": source,
        "id": event_id(message),
        "subject": message.key,
        "time": time(message.at),
        "datacontenttype": "application/json",
    });
    if let Some(trace) = message.traceparent() {
        envelope["traceparent"] = trace.into();
    }
    let mut envelope = envelope.to_string();
    envelope.pop();
    envelope
}
