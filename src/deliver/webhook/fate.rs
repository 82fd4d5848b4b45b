//! What became of one message over all who were to carry it: it was sent when the first of them took it, and it failed
//! only when every one of them gave up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::Upstream;
use crate::deliver::message::Message;
use crate::engine::DeliveryOutcome;

/// See the module.
#[derive(Debug)]
pub(super) struct Fate {
    /// Those who have not given up.
    carriers: AtomicUsize,
    sent: AtomicBool,
    delivered: AtomicBool,
}

impl Fate {
    /// Of a message that so many carry. A stream that carries it too counts as one that never gives up.
    pub fn new(carriers: usize) -> Arc<Self> {
        Arc::new(Self {
            carriers: AtomicUsize::new(carriers),
            sent: AtomicBool::new(false),
            delivered: AtomicBool::new(false),
        })
    }

    /// A carrier took it.
    pub fn sent(&self, message: &Message, channel: &str, delivers: bool, upstream: &dyn Upstream) {
        if !self.sent.swap(true, Ordering::AcqRel) {
            tell(message, channel, DeliveryOutcome::Sent, upstream);
        }
        if delivers && !self.delivered.swap(true, Ordering::AcqRel) {
            tell(message, channel, DeliveryOutcome::Delivered, upstream);
        }
    }

    /// A carrier gave up. The last one to do so says that it failed.
    pub fn gave_up(&self, message: &Message, channel: &str, upstream: &dyn Upstream) {
        let last = self.carriers.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && !self.sent.load(Ordering::Acquire) {
            tell(message, channel, DeliveryOutcome::Failed, upstream);
        }
    }
}

fn tell(message: &Message, channel: &str, outcome: DeliveryOutcome, upstream: &dyn Upstream) {
    // A recall that fails is no reason to order somebody else.
    if let Some(order) = message.order.as_ref().filter(|_| message.expires.is_some()) {
        upstream.outcome(order, channel, outcome);
    }
}
