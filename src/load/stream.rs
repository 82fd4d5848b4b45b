//! The stream, as a gateway to the crews listens to it: orders only, each with the instant at which it was seen.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use http_body_util::BodyExt;
use serde::Deserialize;
use smol_str::SmolStr;

use super::client::{Client, Error};
use super::clock::now;
use super::crews::Crews;
use super::driver::Shared;

/// A line of the stream is no longer than that; what is longer is no order.
const LINE_MAX: usize = 1 << 20;

/// What was heard, for whoever tells it.
#[derive(Debug, Default)]
pub struct Heard {
    /// The stream is open.
    pub ready: AtomicU64,
    /// Orders seen.
    pub orders: AtomicU64,
    /// Times it said that something was lost, or ended.
    pub gaps: AtomicU64,
}

/// An order, as the stream tells it.
#[derive(Debug, Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    incident: Cow<'a, str>,
    #[serde(borrow)]
    post: Cow<'a, str>,
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    state: Cow<'a, str>,
}

/// Listens for as long as the run lasts; a stream that ends is opened again.
pub async fn listen(shared: Arc<Shared>, crews: Crews, heard: Arc<Heard>) {
    loop {
        // What went wrong shows in the count of gaps; the next try says whether anybody answers.
        let _ = once(&shared, &crews, &heard).await;
        heard.gaps.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

async fn once(shared: &Shared, crews: &Crews, heard: &Heard) -> Result<(), Error> {
    let mut client = Client::to(&shared.target);
    let mut body = client.stream("/v1/stream?type=order").await?;
    let mut lines = Lines::default();
    while let Some(Ok(frame)) = body.frame().await {
        let at = now();
        let Ok(chunk) = frame.into_data() else { continue };
        lines.push(&chunk, |name, data| match name {
            b"muster.order" => hear(shared, crews, heard, data, at),
            b"muster.ready" => heard.ready.store(1, Ordering::Release),
            b"muster.resync" => {
                heard.gaps.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        });
    }
    Ok(())
}

fn hear(shared: &Shared, crews: &Crews, heard: &Heard, data: &[u8], at: Instant) {
    let Ok(order) = serde_json::from_slice::<Order<'_>>(data) else { return };
    let Some(key) = shared.ledger.key(&order.incident) else { return };
    if order.state != "issued" {
        return;
    }
    heard.orders.fetch_add(1, Ordering::Relaxed);
    if order.id.strip_prefix(&*order.incident) == Some("-1") {
        shared.ours.pushed(key, at);
    }
    crews.ordered(key, SmolStr::from(&*order.id), SmolStr::from(&*order.post), order.role == "cover", at);
}

/// Server-sent events out of chunks: the name and the data of each, where the data is one line, as ours is.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
}

impl Lines {
    fn push(&mut self, chunk: &[u8], mut event: impl FnMut(&[u8], &[u8])) {
        let mut chunk = chunk;
        while let Some(end) = chunk.iter().position(|b| *b == b'\n') {
            let (line, rest) = (&chunk[..end], &chunk[end + 1..]);
            if self.rest.is_empty() {
                self.line(line, &mut event);
            } else {
                self.rest.extend_from_slice(line);
                let line = std::mem::take(&mut self.rest);
                self.line(&line, &mut event);
            }
            chunk = rest;
        }
        if self.rest.len() + chunk.len() <= LINE_MAX {
            self.rest.extend_from_slice(chunk);
        } else {
            self.rest.clear();
        }
    }

    fn line(&mut self, line: &[u8], event: &mut impl FnMut(&[u8], &[u8])) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            event(&self.name, &self.data);
            self.name.clear();
            self.data.clear();
        } else if let Some(name) = line.strip_prefix(b"event:") {
            self.name = name.trim_ascii().to_vec();
        } else if let Some(data) = line.strip_prefix(b"data:") {
            self.data.extend_from_slice(data.trim_ascii());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text = b"event: muster.ready\nid: 1\ndata: {\"rev\":1}\n\nevent:x\r\ndata: y\r\n\r\n: a comment\n\n";
        for size in 1..text.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for chunk in text.chunks(size) {
                lines.push(chunk, |name, data| seen.push((name.to_vec(), data.to_vec())));
            }
            seen.retain(|(name, _)| !name.is_empty());
            let told: Vec<(&[u8], &[u8])> = seen.iter().map(|(n, d)| (n.as_slice(), d.as_slice())).collect();
            assert_eq!(told, [(&b"muster.ready"[..], &b"{\"rev\":1}"[..]), (b"x", b"y")], "chunks of {size}");
        }
    }
}
