//! The pump: reads accepted steps in order and hands each to everybody who must know of it.
//!
//! It begins with what the journal held: the newest documents become the board. Steps whose effects had not left the
//! house when the process ended come first from the runtime, once more. Where it falls behind by more than the runtime
//! keeps, it reads both back from the journal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tracing::{error, info, warn};

use super::hub::Hub;
use super::ledger::Ledger;
use super::log::{Did, Line, Log, kind_name};
use super::message::{Message, message};
use super::webhook::{self, Webhook};
use crate::board::Board;
use crate::engine::{Delivery, DeliveryOutcome, Input};
use crate::journal::{self, Restored, Step};
use crate::model::{OrderId, Timestamp};
use crate::playbook::Playbook;
use crate::runtime::{Handle, SubmitError};
use crate::telemetry::{Metrics, Tally};
use crate::wire::Shard;

/// The name of the stream in outcomes and in the delivery log.
const STREAM: &str = "stream";
/// Steps read back at once.
const READ_BACK: usize = 1_000;

/// Reads accepted steps; see the module.
pub struct Pump {
    handle: Handle,
    board: Arc<Board>,
    tally: Tally,
    metrics: Arc<Metrics>,
    hub: Hub,
    webhook: Option<Webhook>,
    log: Log,
    back: Arc<Back>,
    /// The last step that was handed on.
    last: u64,
    /// The newest of each key among the steps that are sent again after a restart, and the last of those steps.
    again: (BTreeMap<SmolStr, u64>, u64),
}

impl Pump {
    /// One that hands on what `handle` accepts.
    ///
    /// # Errors
    /// When the webhook's address cannot be used.
    pub fn new(
        handle: &Handle,
        board: &Arc<Board>,
        hub: &Hub,
        metrics: &Arc<Metrics>,
        options: &webhook::Options,
        log: &Log,
    ) -> Result<Self, webhook::Error> {
        let back = Arc::new(Back { handle: handle.clone(), ledger: Ledger::default() });
        let source = format!("muster/{}", handle.playbook().head.command_area);
        metrics.foresee(&handle.playbook());
        let webhook = Webhook::start(options, source, metrics, log, Arc::clone(&back) as _)?;
        Ok(Self {
            handle: handle.clone(),
            board: Arc::clone(board),
            tally: Tally::new(Arc::clone(metrics), Arc::clone(board)),
            metrics: Arc::clone(metrics),
            hub: hub.clone(),
            webhook,
            log: log.clone(),
            back,
            last: 0,
            again: (BTreeMap::new(), 0),
        })
    }

    /// Makes the board what the journal held.
    pub fn restore(&mut self, restored: &Restored) {
        let Some((number, _)) = restored.last else { return };
        let first = restored.unemitted.first().map_or(number + 1, |s| s.number);
        self.last = first - 1;
        self.hub.begin(Shard::ONLY.rev(first, 0) - 1);
        self.board.restore(Shard::ONLY, number, &restored.documents);
        for step in &restored.unemitted {
            self.again.1 = step.number;
            for index in 0..step.effects.len() {
                let message = message(Shard::ONLY, step, index, &|_| None);
                self.again.0.insert(message.key.clone(), message.rev);
            }
        }
    }

    /// Runs until the shard has ended and everything it accepted has been handed on. `steps` was subscribed before the
    /// shard began.
    pub async fn run(mut self, mut steps: Receiver<Arc<Step>>) {
        let handle = self.handle.clone();
        let mut stopped = std::pin::pin!(handle.stopped());
        let mut ended = false;
        loop {
            let step = if ended {
                match steps.try_recv() {
                    Err(TryRecvError::Empty | TryRecvError::Closed) => return,
                    Err(TryRecvError::Lagged(missed)) => Err(RecvError::Lagged(missed)),
                    Ok(step) => Ok(step),
                }
            } else {
                tokio::select! {
                    step = steps.recv() => step,
                    _ = &mut stopped => {
                        ended = true;
                        continue;
                    }
                }
            };
            match step {
                Ok(step) => self.step(&step).await,
                Err(RecvError::Lagged(missed)) => {
                    warn!(missed, "pump.lagged: reading back");
                    self.metrics.read_backs.inc();
                    self.read_back().await;
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// The board anew from the newest documents, then every step that has not left the house.
    async fn read_back(&mut self) {
        loop {
            let (reader, last) = (self.handle.clone(), self.last);
            let read = tokio::task::spawn_blocking(move || {
                let mut reader = reader.reader()?;
                Ok::<_, journal::Error>((reader.state()?, reader.unemitted(last, READ_BACK)?))
            });
            let ((number, documents), steps) = match read.await {
                Ok(Ok(read)) => read,
                Ok(Err(reason)) => {
                    error!(%reason, "pump.read_back_failed: trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
                Err(_) => return,
            };
            info!(step = number, documents = documents.len(), steps = steps.len(), "pump.read_back");
            self.board.restore(Shard::ONLY, number, &documents);
            let full = steps.len() == READ_BACK;
            for step in steps {
                self.step(&step).await;
            }
            if !full {
                return;
            }
        }
    }

    async fn step(&mut self, step: &Arc<Step>) {
        if step.number <= self.last {
            return;
        }
        self.last = step.number;
        self.board.fold(Shard::ONLY, step);
        self.tally.step(step, &[self.handle.playbook()]);
        let whereabouts = |id: &_| self.board.whereabouts(id);
        let ready = |index| Arc::new(message(Shard::ONLY, step, index, &whereabouts));
        let messages: Vec<Arc<Message>> = (0..step.effects.len()).map(ready).collect();
        let owed = messages.iter().map(|m| self.webhook.as_ref().map_or(0, |w| w.hearers(m))).sum();
        let emitted = self.back.ledger.begin(step.number, owed);
        for message in messages {
            let carried = self.hub.is_carried(&message);
            self.hub.publish(Arc::clone(&message));
            if let Some(order) = message.order.as_ref().filter(|_| carried && message.expires.is_some()) {
                self.back.report(order.clone(), STREAM, DeliveryOutcome::Sent);
                self.log.write(self.streamed(&message));
            }
            let Some(webhook) = &self.webhook else { continue };
            // A target may have acknowledged the newer one before the end: the older one is not told after it.
            if self.again.0.get(&message.key).is_some_and(|newest| *newest > message.rev) {
                webhook.leave_out(&message);
            } else {
                webhook.send(&message, carried).await;
            }
        }
        if step.number >= self.again.1 {
            self.again.0.clear();
        }
        self.handle.emitted(emitted);
    }
}

impl Pump {
    /// The line of an order that a listener of the stream carries to its post.
    fn streamed(&self, message: &Message) -> Line {
        Line {
            n: 0,
            at: self.handle.now(),
            target: STREAM.into(),
            kind: kind_name(message.kind),
            key: message.key.clone(),
            rev: message.rev,
            attempt: 1,
            did: Did::Sent,
            reason: SmolStr::default(),
            took_ms: 0,
        }
    }
}

/// What channels tell the runtime.
struct Back {
    handle: Handle,
    ledger: Ledger,
}

impl Back {
    /// Tells the engine, which may order the next post. Busy is no answer to that: it is told again.
    fn report(&self, order: OrderId, channel: &str, outcome: DeliveryOutcome) {
        let handle = self.handle.clone();
        let delivery = Delivery { order, channel: channel.into(), outcome };
        let tell = async move {
            loop {
                match handle.apply(Input::Delivery(delivery.clone())).await {
                    Err(SubmitError::Busy { retry_after } | SubmitError::Away { retry_after }) => {
                        tokio::time::sleep(Duration::from_millis(retry_after.0)).await;
                    }
                    Ok(_) | Err(SubmitError::Stopped { .. }) => return,
                }
            }
        };
        // Every channel runs on the async runtime.
        drop(tokio::spawn(tell));
    }
}

impl webhook::Upstream for Back {
    fn now(&self) -> Timestamp {
        self.handle.now()
    }

    fn playbook(&self) -> Arc<Playbook> {
        self.handle.playbook()
    }

    fn outcome(&self, order: &OrderId, channel: &str, outcome: DeliveryOutcome) {
        self.report(order.clone(), channel, outcome);
    }

    fn settled(&self, step: u64) {
        self.handle.emitted(self.ledger.settled(step));
    }
}
