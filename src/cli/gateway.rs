//! The door of a node on Kafka: HTTP before the gate to the brokers, and the board of all shards behind it.
//!
//! # The end, on the parts that take part in it
//! `stop`: ends the streams and the door's listening. `door`: ends when what is under way is answered, within the drain;
//! what is decided later is found under the address that its answer named, on any node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::warn;

use super::node::OnKafka;
use crate::access::Access;
use crate::board::Board;
use crate::config::Config;
use crate::http::{self, App, Door};
use crate::kafka::gate::{GateOptions, GateParts, KafkaGate};
use crate::kafka::picture::Picture;
use crate::model::{Millis, Timestamp};
use crate::runtime::Clock;
use crate::telemetry::Metrics;

/// A take-over may take so long, and what fell due meanwhile is accounted for after it.
const TAKEN_OVER_WITHIN: Millis = Millis(10_000);
/// Sources that have rested are forgotten so often.
const SWEEP_EVERY: u64 = 10;

/// A door at work.
pub struct Gateway {
    address: SocketAddr,
    drain: Duration,
    stop: watch::Sender<bool>,
    door: JoinHandle<std::io::Result<()>>,
    watch: JoinHandle<()>,
}

impl Gateway {
    /// Opens it.
    ///
    /// # Errors
    /// When the configuration does not fit, or the listener has no address.
    pub fn open(
        door: Door,
        access: Access,
        config: Config,
        node: &OnKafka,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        if !config.webhook.url.is_empty() {
            bail!(
                "[webhook] url is set, and a node on Kafka has no webhook: every node would send everything; \
                 leave it empty, and let a gateway read muster.orders and muster.notices"
            );
        }
        let (answer, request) = (config.kafka.answer_within, config.http.request_timeout);
        if answer >= request {
            bail!(
                "[kafka] answer_within = \"{answer}\" is not shorter than [http] request_timeout = \"{request}\": \
                 nobody would hear where to look; make it shorter"
            );
        }
        let gate = KafkaGate::new(GateParts {
            clients: Arc::clone(&node.clients),
            routes: Arc::clone(&node.routes),
            answers: node.answers.clone(),
            picture: node.picture.clone(),
            metrics: Arc::clone(&metrics),
            clock: node.clock.clone(),
            options: GateOptions {
                unconfirmed_max: config.kafka.unconfirmed_max,
                reserve_percent: config.runtime.reserve_percent,
                confirm_within: config.kafka.confirm_within,
                answer_within: answer,
                retry_after: config.runtime.retry_after,
                element_bytes_max: config.http.element_bytes_max.get(),
            },
        });
        let address = door.local_addr()?;
        let (stop, stopping) = watch::channel(false);
        let drain = Duration::from_millis(config.http.drain.0);
        let app = App::guarded(
            Arc::new(gate.clone()),
            Arc::clone(&node.board),
            node.hub.clone(),
            Arc::clone(&metrics),
            config.http,
            stopping.clone(),
            access,
        );
        let watched = Watched {
            gate,
            picture: node.picture.clone(),
            board: Arc::clone(&node.board),
            clock: node.clock.clone(),
            metrics,
            app: app.clone(),
        };
        let watch = tokio::spawn(watched.watch());
        let door = tokio::spawn(http::serve(door, app, stopping));
        Ok(Self { address, drain, stop, door, watch })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes it: what is under way is answered first, within the drain.
    pub async fn close(mut self) {
        // Whoever listened may be gone already.
        let _ = self.stop.send(true);
        if timeout(self.drain, &mut self.door).await.is_err() {
            warn!("gateway.cut_off: requests were still under way");
            self.door.abort();
        }
        self.watch.abort();
    }
}

/// What is looked at each second.
struct Watched {
    gate: KafkaGate,
    picture: Picture,
    board: Arc<Board>,
    clock: Clock,
    metrics: Arc<Metrics>,
    app: App,
}

impl Watched {
    async fn watch(self) {
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for tick in 1_u64.. {
            second.tick().await;
            self.gate.measure();
            self.metrics.observe_open(&self.board);
            if let Some(age) = self.picture.age() {
                // As of what is known here, and of what an owner that fell silent leaves to the next one.
                let behind = age.0 + TAKEN_OVER_WITHIN.0;
                let as_of = Timestamp(self.clock.now().0 - behind.cast_signed());
                self.metrics.observe_unaccounted(&self.board.unaccounted(as_of));
            }
            if tick.is_multiple_of(SWEEP_EVERY) {
                self.app.sweep();
            }
        }
    }
}
