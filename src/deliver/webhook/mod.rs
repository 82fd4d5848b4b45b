//! One outside address that is told: each order, notice, call, agency message and forwarded report as a `CloudEvent` 1.0
//! in structured JSON, by `POST`.
//!
//! # Algorithm
//! One entry a key (an order's id, a notice's id): the newest `rev` replaces what still waits, so a recall overtakes its
//! order, and at most one request of a key is under way. Attempts follow `retry`; when they are used up the failure is
//! told to the runtime, which orders the next post, and attempts go on every `tail` until the message expires. Two sets of
//! due entries, bottom line first; ordinary ones may use only the share of requests that is not reserved.
//!
//! # Invariants
//! * A step's message counts as *settled* when it was taken, expired, was superseded, or its failure was told. Until then
//!   the step is not emitted, and a restart sends it again with the same `CloudEvents` id.
//! * The address is the operator's word and is trusted as such; where it redirects to is not, and no proxy of the
//!   environment is asked. Of a reply at most `reply_bytes_max` bytes are read.
//!
//! Left out: signatures, several receivers, TLS (an `https` address is refused with the way out).

mod actor;
mod post;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use actor::Actor;
use post::Post;
pub use post::event;

use super::message::Message;
use crate::engine::DeliveryOutcome;
use crate::model::{Millis, OrderId, Timestamp};
use crate::telemetry::Metrics;
use crate::wire::Kind;

/// `[webhook]`: delivery to one outside address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Where to, such as `http://127.0.0.1:9000/muster`. Empty: nobody is told.
    pub url: String,
    /// Which messages.
    pub types: Vec<Kind>,
    /// Pauses before the first and the further attempts, until the failure counts.
    pub retry: Vec<Millis>,
    /// Pause between attempts after that, until the message expires.
    pub tail: Millis,
    /// What has no expiry of its own is given up after this long.
    pub give_up_after: Millis,
    /// One attempt may take so long.
    pub timeout: Millis,
    /// Requests under way at once.
    pub requests_max: usize,
    /// Percent of them that only the bottom line may use.
    pub reserve_percent: usize,
    /// Messages that wait. Beyond it the newest ordinary one is given up at once, as failed.
    pub queue_max: usize,
    /// Bytes read of a reply.
    pub reply_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: String::new(),
            types: vec![Kind::Order, Kind::Notice, Kind::Call, Kind::Agency, Kind::Forward],
            retry: [0, 2, 5, 10, 20].map(Millis::from_secs).to_vec(),
            tail: Millis::from_secs(30),
            give_up_after: Millis::from_mins(15),
            timeout: Millis::from_secs(5),
            requests_max: 16,
            reserve_percent: 20,
            queue_max: 20_000,
            reply_bytes_max: 4096,
        }
    }
}

/// Why an address is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("[webhook] url = {url:?}: {reason}")]
pub struct Error {
    url: String,
    reason: String,
}

/// What the channel asks and tells.
pub trait Upstream: Send + Sync + 'static {
    /// What time it is.
    fn now(&self) -> Timestamp;
    /// What became of an order.
    fn outcome(&self, order: &OrderId, outcome: DeliveryOutcome);
    /// A message of this step needs no more care.
    fn settled(&self, step: u64);
}

/// The way in. Dropping it ends the channel after the requests under way.
#[derive(Clone, Debug)]
pub struct Webhook {
    types: Arc<[Kind]>,
    queue: mpsc::Sender<(Arc<Message>, bool)>,
}

impl Webhook {
    /// Starts the channel, where an address is set.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn start(
        options: Options,
        source: String,
        metrics: Arc<Metrics>,
        upstream: Arc<dyn Upstream>,
    ) -> Result<Option<Self>, Error> {
        if options.url.is_empty() {
            return Ok(None);
        }
        let refuse = |reason: String| Error { url: options.url.clone(), reason };
        let url = address(&options.url).map_err(refuse)?;
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_millis(options.timeout.0))
            .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| refuse(e.to_string()))?;
        let (queue, inbox) = mpsc::channel(1024);
        let types = options.types.clone().into();
        let post = Arc::new(Post { client, url, source, reply_bytes_max: options.reply_bytes_max });
        let actor = Actor::new(options, post, metrics, upstream);
        tokio::spawn(actor.run(inbox));
        Ok(Some(Self { types, queue }))
    }

    /// Whether it takes messages of this type.
    #[must_use]
    pub fn takes(&self, kind: Kind) -> bool {
        self.types.contains(&kind)
    }

    /// Hands a message over; from now on the channel cares for it. `carried`: another channel carries it too, so that
    /// a failure here alone is no reason to order the next post.
    pub async fn send(&self, message: Arc<Message>, carried: bool) {
        // The channel ends only with its senders.
        let _ = self.queue.send((message, carried)).await;
    }
}

fn address(text: &str) -> Result<reqwest::Url, String> {
    let url = reqwest::Url::parse(text).map_err(|e| e.to_string())?;
    match url.scheme() {
        "http" => {}
        "https" => {
            return Err("this build speaks no TLS; name a local proxy that does, such as http://127.0.0.1:9443/".into());
        }
        other => return Err(format!("`{other}` is no scheme for this; write http://…")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address with a password ends up in logs; let a local proxy add it".into());
    }
    Ok(url)
}
