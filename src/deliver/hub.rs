//! The hub: everybody who listens to the stream gets every message of accepted steps, in order, from a bounded buffer.
//!
//! One ring holds the newest messages for all: who comes back with the `rev` last seen gets what followed, without a
//! gap between the ring and the live part, since both are taken under one lock. Who asks for more than the ring holds,
//! or reads so slowly that the live buffer ran over, is told to read anew, and (if slow) let go: one slow reader
//! costs nobody else anything.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use smol_str::SmolStr;
use tokio::sync::broadcast;

use super::message::Message;
use crate::model::{AreaCode, AreaId, Desk};
use crate::wire::Kind;

/// What a listener wants to hear. Each given part must hold; an empty part holds for all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Types of message.
    pub kinds: Vec<Kind>,
    /// Posts or teams.
    pub posts: Vec<SmolStr>,
    /// Desks.
    pub desks: Vec<Desk>,
    /// Assessed areas or counties.
    pub areas: Vec<SmolStr>,
}

impl Filter {
    /// Whether the listener wants it.
    #[must_use]
    pub fn wants(&self, m: &Message) -> bool {
        let any = |wanted: &[SmolStr], has: &[Option<&str>]| {
            wanted.is_empty() || has.iter().flatten().any(|h| wanted.iter().any(|w| w == h))
        };
        let kind = match m.kind {
            Kind::Rejected => self.kinds.contains(&Kind::Rejected),
            kind => self.kinds.is_empty() || self.kinds.contains(&kind),
        };
        kind && any(&self.posts, &[m.post.as_deref()])
            && (self.desks.is_empty() || m.desk.is_some_and(|d| self.desks.contains(&d)))
            && any(&self.areas, &[m.area.as_ref().map(AreaId::as_str), m.county.as_ref().map(AreaCode::as_str)])
    }
}

/// A listener's place: what it missed, then what comes.
#[derive(Debug)]
pub struct Subscription {
    /// What followed the `rev` it named, as far as it is still held.
    pub missed: Vec<Arc<Message>>,
    /// Something between is no longer held: read anew.
    pub gap: bool,
    /// The newest `rev` at this moment.
    pub rev: u64,
    /// What comes.
    pub live: broadcast::Receiver<Arc<Message>>,
    /// Keeps it counted among the listeners.
    pub seat: Seat,
}

/// Everybody who listens.
#[derive(Clone, Debug)]
pub struct Hub {
    inner: Arc<Mutex<Inner>>,
    live: broadcast::Sender<Arc<Message>>,
}

#[derive(Debug)]
struct Inner {
    ring: VecDeque<Arc<Message>>,
    ring_max: usize,
    /// Everything above it has been in the ring.
    since: u64,
    newest: u64,
    /// Who listens, and to what.
    seats: BTreeMap<u64, Filter>,
    seats_ever: u64,
}

impl Hub {
    /// A hub that holds `kept` messages for those who come back, and `buffer` for each who reads slowly.
    #[must_use]
    pub fn new(kept: usize, buffer: usize) -> Self {
        let inner = Inner {
            ring: VecDeque::new(),
            ring_max: kept.max(1),
            since: 0,
            newest: 0,
            seats: BTreeMap::new(),
            seats_ever: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)), live: broadcast::Sender::new(buffer.max(1)) }
    }

    /// What came before this `rev` was told by an earlier process; who asks for it must read anew.
    pub fn begin(&self, rev: u64) {
        let mut inner = self.lock();
        inner.since = inner.since.max(rev);
        inner.newest = inner.newest.max(rev);
    }

    /// Tells everybody.
    pub fn publish(&self, message: Arc<Message>) {
        let mut inner = self.lock();
        inner.newest = inner.newest.max(message.rev);
        if inner.ring.len() == inner.ring_max {
            inner.since = inner.ring.pop_front().map_or(inner.since, |m| inner.since.max(m.rev));
        }
        inner.ring.push_back(Arc::clone(&message));
        // Nobody listening is no error.
        let _ = self.live.send(message);
    }

    /// Tells whoever listens now; nobody who comes back hears of it.
    pub fn mention(&self, message: Message) {
        let _ = self.live.send(Arc::new(message));
    }

    /// Listens, from just after `last` where one is given.
    #[must_use]
    pub fn listen(&self, filter: &Filter, last: Option<u64>) -> Subscription {
        let mut inner = self.lock();
        let missed = match last {
            Some(last) => inner.ring.iter().filter(|m| m.rev > last && filter.wants(m)).cloned().collect(),
            None => Vec::new(),
        };
        inner.seats_ever += 1;
        let number = inner.seats_ever;
        inner.seats.insert(number, filter.clone());
        Subscription {
            missed,
            gap: last.is_some_and(|last| last < inner.since || last > inner.newest),
            rev: inner.newest,
            live: self.live.subscribe(),
            seat: Seat { hub: self.clone(), number },
        }
    }

    /// Whether somebody listens who carries this order to its post: a terminal that named the post, or a gateway that
    /// named orders. A screen that merely watches everything carries nothing anywhere.
    #[must_use]
    pub fn is_carried(&self, m: &Message) -> bool {
        let carries = |f: &Filter| (!f.posts.is_empty() || f.kinds.contains(&Kind::Order)) && f.wants(m);
        m.kind == Kind::Order && self.lock().seats.values().any(carries)
    }

    /// How many listen.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.lock().seats.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listener's place; given up when it goes.
#[derive(Debug)]
pub struct Seat {
    hub: Hub,
    number: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.lock().seats.remove(&self.number);
    }
}
