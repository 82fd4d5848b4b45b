//! How one message is posted.

use crate::deliver::message::Message;
use crate::wire::time;

/// How one request is made.
pub(super) struct Post {
    pub client: reqwest::Client,
    pub url: reqwest::Url,
    pub source: String,
    pub reply_bytes_max: usize,
}

impl Post {
    pub async fn send(&self, message: &Message) -> Result<(), String> {
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/cloudevents+json; charset=utf-8")
            .body(event(message, &self.source));
        let mut reply = request.send().await.map_err(|e| e.without_url().to_string())?;
        let status = reply.status();
        let mut read = 0;
        while let Ok(Some(chunk)) = reply.chunk().await {
            read += chunk.len();
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

/// The message as a `CloudEvent` in structured JSON. The id is the same at every attempt and after a restart.
#[must_use]
pub fn event(message: &Message, source: &str) -> String {
    let mut envelope = serde_json::json!({
        "specversion": "1.0",
        "type": message.kind.as_type(),
        "source": source,
        "id": format!("{}/{}", message.key, message.rev),
        "subject": message.key,
        "time": time(message.at),
        "datacontenttype": "application/json",
    });
    if let Some(trace) = message.traceparent() {
        envelope["traceparent"] = trace.into();
    }
    let envelope = envelope.to_string();
    // The payload is JSON already; it is set in, not parsed again.
    format!("{},\"data\":{}}}", &envelope[..envelope.len() - 1], message.data())
}
