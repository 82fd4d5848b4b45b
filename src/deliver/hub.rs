//! The hub: everybody who listens to the stream gets every message of accepted steps, in order, from a bounded buffer.
//!
//! One ring holds the newest messages for all: who comes back with the `rev` last seen gets what followed *in the ring*,
//! without a gap between the ring and the live part, since both are taken under one lock. Who asks for more than the ring
//! holds, or reads so slowly that the live buffer ran over, is told to read anew, and (if slow) let go: one slow reader
//! costs nobody else anything.
//!
//! Where messages of many shards come together, every process has its own order of them, so a place in one ring says
//! nothing about another: a [`Bookmark`] then names the process it is of, and who brings another's reads anew.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use smol_str::SmolStr;
use tokio::sync::broadcast;

use super::message::Message;
use crate::board::Sight;
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
    /// What the listener may see at all.
    pub sight: Sight,
    /// It carries nothing to anybody, whatever it listens to.
    pub only_watches: bool,
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
        self.may(m)
            && kind
            && any(&self.posts, &[m.post.as_deref()])
            && (self.desks.is_empty() || m.desk.is_some_and(|d| self.desks.contains(&d)))
            && any(&self.areas, &[m.area.as_ref().map(AreaId::as_str), m.county.as_ref().map(AreaCode::as_str)])
    }

    /// Whether the listener may hear it. A post hears its own orders and calls; what lies nowhere in particular is for
    /// those from whom nothing is hidden.
    fn may(&self, m: &Message) -> bool {
        let there =
            m.incident.as_ref().is_some_and(|id| self.sight.place(&id.area, m.area.as_ref(), m.county.as_ref()));
        match self.sight.post() {
            Some(own) => there && matches!(m.kind, Kind::Order | Kind::Call) && m.post.as_deref() == Some(own.as_str()),
            None => there || self.sight.is_whole(),
        }
    }
}

/// Where a listener was: the last message it heard, and whose ring it heard it from, where that matters. Written `rev` or
/// `rev@name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bookmark {
    /// Of the last message.
    pub rev: u64,
    /// The name of the process.
    pub of: Option<SmolStr>,
}

impl fmt::Display for Bookmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.of {
            Some(name) => write!(f, "{}@{name}", self.rev),
            None => write!(f, "{}", self.rev),
        }
    }
}

impl FromStr for Bookmark {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rev, of) = match text.split_once('@') {
            Some((rev, name)) => (rev, Some(name.into())),
            None => (text, None),
        };
        Ok(Self { rev: rev.parse()?, of })
    }
}

/// A listener's place: what it missed, then what comes.
#[derive(Debug)]
pub struct Subscription {
    /// What followed its bookmark, as far as it is still held.
    pub missed: Vec<Arc<Message>>,
    /// Something between is no longer held: read anew.
    pub gap: bool,
    /// The newest message's `rev` at this moment.
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
    /// The name of this process, where its order of messages is its own.
    name: Option<SmolStr>,
}

#[derive(Debug)]
struct Inner {
    ring: VecDeque<Arc<Message>>,
    ring_max: usize,
    /// What was told just before the ring's first message.
    before: u64,
    /// What was told last.
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
            before: 0,
            newest: 0,
            seats: BTreeMap::new(),
            seats_ever: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)), live: broadcast::Sender::new(buffer.max(1)), name: None }
    }

    /// One whose bookmarks are its own: messages of many shards come together here. No other process may have the name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// What came before this `rev` was told by an earlier process; who asks for it must read anew.
    pub fn begin(&self, rev: u64) {
        let mut inner = self.lock();
        inner.ring.clear();
        (inner.before, inner.newest) = (rev, rev);
    }

    /// Tells everybody.
    pub fn publish(&self, message: Arc<Message>) {
        let mut inner = self.lock();
        inner.newest = message.rev;
        if inner.ring.len() == inner.ring_max {
            inner.before = inner.ring.pop_front().map_or(inner.before, |m| m.rev);
        }
        inner.ring.push_back(Arc::clone(&message));
        // Nobody listening is no error.
        let _ = self.live.send(message);
    }

    /// Tells whoever listens now; nobody who comes back hears of it.
    pub fn mention(&self, message: Message) {
        let _ = self.live.send(Arc::new(message));
    }

    /// The bookmark of a message of ours.
    #[must_use]
    pub fn bookmark(&self, rev: u64) -> Bookmark {
        Bookmark { rev, of: self.name.clone() }
    }

    /// Listens, from just after `last` where one is given.
    #[must_use]
    pub fn listen(&self, filter: &Filter, last: Option<&Bookmark>) -> Subscription {
        let mut inner = self.lock();
        let from = last.map(|last| inner.after(last.rev).filter(|_| last.of == self.name));
        let missed = match from.flatten() {
            Some(from) => inner.ring.range(from..).filter(|m| filter.wants(m)).cloned().collect(),
            None => Vec::new(),
        };
        inner.seats_ever += 1;
        let number = inner.seats_ever;
        inner.seats.insert(number, filter.clone());
        Subscription {
            missed,
            gap: from == Some(None),
            rev: inner.newest,
            live: self.live.subscribe(),
            seat: Seat { hub: self.clone(), number },
        }
    }

    /// Whether somebody listens who carries this order to its post: a terminal that named the post, or a gateway that
    /// named orders. A screen that merely watches everything carries nothing anywhere.
    #[must_use]
    pub fn is_carried(&self, m: &Message) -> bool {
        let named = |f: &Filter| !f.posts.is_empty() || f.sight.post().is_some() || f.kinds.contains(&Kind::Order);
        let carries = |f: &Filter| !f.only_watches && named(f) && f.wants(m);
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

impl Inner {
    /// The place in the ring just after this message, if it is known here.
    fn after(&self, rev: u64) -> Option<usize> {
        let found = self.ring.iter().rposition(|m| m.rev == rev).map(|place| place + 1);
        found.or((rev == self.before).then_some(0))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::message::message;
    use crate::engine::{Actor, Effect, Entry, What};
    use crate::journal::Step;
    use crate::model::Timestamp;
    use crate::wire::Shard;

    /// A step of this number with one line of the timeline.
    fn told(shard: u32, number: u64) -> Arc<Message> {
        let what = What::NoticeTaken { notice: "n".into() };
        let entry = Entry { at: Timestamp(0), incident: None, drill: false, by: Actor::Engine, what };
        let step = Step { number, effects: vec![Effect::Timeline(Box::new(entry))], ..Step::default() };
        Arc::new(message(Shard { number: shard, of: 3 }, &Arc::new(step), 0, &|_| None))
    }

    fn heard(s: &Subscription) -> Vec<u64> {
        s.missed.iter().map(|m| m.rev).collect()
    }

    #[test]
    fn who_comes_back_goes_on_by_place_and_not_by_number() {
        let hub = Hub::new(4, 16).named("a1");
        // A shard with few steps and one with many: their numbers say nothing about which was first.
        let messages = [told(0, 900), told(1, 3), told(0, 901), told(2, 50), told(1, 4)];
        for message in &messages {
            hub.publish(Arc::clone(message));
        }
        let all = Filter::default();
        let back = hub.listen(&all, Some(&hub.bookmark(messages[1].rev)));
        assert!(!back.gap);
        assert_eq!(heard(&back), [messages[2].rev, messages[3].rev, messages[4].rev]);
        assert_eq!(back.rev, messages[4].rev);
        // The last one that left the ring is still a place; the one before it is not.
        assert_eq!(hub.listen(&all, Some(&hub.bookmark(messages[0].rev))).missed.len(), 4);
        hub.publish(told(2, 51));
        assert!(hub.listen(&all, Some(&hub.bookmark(messages[0].rev))).gap);
        assert!(hub.listen(&all, Some(&hub.bookmark(messages[0].rev + 3))).gap, "never told");
        assert!(!hub.listen(&all, None).gap);
    }

    #[test]
    fn a_bookmark_of_another_process_is_no_place_here() {
        let hub = Hub::new(4, 16).named("a1");
        let first = told(0, 1);
        hub.publish(Arc::clone(&first));
        for strange in [format!("{}@b2", first.rev), first.rev.to_string()] {
            assert!(hub.listen(&Filter::default(), Some(&strange.parse().unwrap())).gap, "{strange}");
        }
        let ours: Bookmark = hub.bookmark(first.rev).to_string().parse().unwrap();
        assert!(!hub.listen(&Filter::default(), Some(&ours)).gap);
        assert!("x@a1".parse::<Bookmark>().is_err());
        assert_eq!(Hub::new(1, 1).bookmark(7).to_string(), "7", "alone, the `rev` says it all");
    }

    #[test]
    fn what_an_earlier_process_told_is_no_longer_known() {
        let hub = Hub::new(4, 16);
        hub.begin(41);
        hub.publish(told(0, 1));
        assert!(!hub.listen(&Filter::default(), Some(&hub.bookmark(41))).gap);
        assert!(hub.listen(&Filter::default(), Some(&hub.bookmark(40))).gap);
    }
}
