//! Crews that act on their orders, so that posts become free again; and the desk that closes the oldest incidents, so that
//! a set number of them stays open.
//!
//! The orders of one post are in the hands of one courier, so that its acts arrive in their order. A courier keeps an
//! agenda, looks at it every few milliseconds, and sends what is due as one batch. No act is sent for an incident that is
//! not ours.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use smol_str::SmolStr;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::answer::Answer;
use super::client::{Client, Form};
use super::clock::now;
use super::driver::Shared;
use super::ledger::Key;
use super::tally::{Latencies, Summary};
use crate::rehearsal::door::event;

/// How often a courier and the desk look at what is due.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Acts, and commands, of one request.
const BATCH_MAX: usize = 256;
/// Couriers, each with a connection.
const COURIERS: usize = 4;
/// Orders on their way to one courier.
const ORDERS_WAITING_MAX: usize = 100_000;
/// A command that answers nothing else.
const CLOSE_TRIES: u8 = 2;

/// How crews act.
#[derive(Clone, Copy, Debug)]
pub struct Conduct {
    /// From the order to its clearing.
    pub work: Duration,
    /// Acts of an order, from 1 (cleared, which says all before it) to 5.
    pub acts: u8,
    /// Of a hundred orders, so many are heard by nobody.
    pub unheard_percent: u8,
}

/// The acts of an order, by how many there are; each with its share of the time, in percent.
fn acts(count: u8) -> &'static [(&'static str, u32)] {
    const ALL: [(&str, u32); 5] =
        [("signed", 10), ("en_route", 20), ("on_scene", 50), ("first_report", 70), ("cleared", 100)];
    match count {
        0 | 1 => &ALL[4..],
        2 => &[("on_scene", 50), ("cleared", 100)],
        3 => &[("signed", 10), ("on_scene", 50), ("cleared", 100)],
        4 => &[("signed", 10), ("en_route", 20), ("on_scene", 50), ("cleared", 100)],
        _ => &ALL,
    }
}

/// What crews and the desk did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Done {
    /// Acts sent.
    pub acts: u64,
    /// Of those, refused: the order was taken back, or over.
    pub acts_refused: u64,
    /// Incidents closed.
    pub closed: u64,
    /// Closings that were refused.
    pub closings_refused: u64,
    /// Orders that no courier could take.
    pub overrun: u64,
    /// Requests that nobody answered.
    pub unanswered: u64,
    /// From the instant an act was due to its 202.
    pub latency: Summary,
}

#[derive(Default)]
struct Log {
    done: Done,
    latency: Latencies,
}

/// The way to the couriers.
#[derive(Clone)]
pub struct Crews {
    to: Vec<mpsc::Sender<Order>>,
    log: Arc<Mutex<Log>>,
}

struct Order {
    key: Key,
    id: SmolStr,
    post: SmolStr,
    cover: bool,
    at: Instant,
}

/// The next act of an order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    id: SmolStr,
    post: SmolStr,
    key: Key,
    begun: Instant,
    step: usize,
    cover: bool,
}

/// All who act, until the run stops.
pub struct Field {
    tasks: JoinSet<()>,
    log: Arc<Mutex<Log>>,
    /// How many incidents the desk lets stay open.
    pub keep: Arc<AtomicU64>,
}

/// Sets crews and desk to work.
pub fn begin(
    shared: &Arc<Shared>,
    conduct: Conduct,
    disposition: &str,
    stop: &watch::Receiver<bool>,
) -> (Crews, Field) {
    let log = Arc::new(Mutex::new(Log::default()));
    let (mut tasks, mut to) = (JoinSet::new(), Vec::new());
    for n in 0..COURIERS {
        let (tell, told) = mpsc::channel(ORDERS_WAITING_MAX);
        to.push(tell);
        let courier = Courier {
            n,
            sent: 0,
            conduct,
            shared: Arc::clone(shared),
            client: Client::to(&shared.target),
            log: Arc::clone(&log),
            agenda: BinaryHeap::new(),
        };
        tasks.spawn(courier.run(told, stop.clone()));
    }
    let keep = Arc::new(AtomicU64::new(u64::MAX));
    let desk = Desk {
        sent: 0,
        disposition: disposition.to_owned(),
        shared: Arc::clone(shared),
        client: Client::to(&shared.target),
        log: Arc::clone(&log),
        keep: Arc::clone(&keep),
    };
    tasks.spawn(desk.run(stop.clone()));
    (Crews { to, log: Arc::clone(&log) }, Field { tasks, log, keep })
}

impl Crews {
    /// An order was seen.
    pub fn ordered(&self, key: Key, id: SmolStr, post: SmolStr, cover: bool, at: Instant) {
        let courier = digest(&post) % self.to.len();
        if self.to[courier].try_send(Order { key, id, post, cover, at }).is_err() {
            self.log.lock().unwrap_or_else(PoisonError::into_inner).done.overrun += 1;
        }
    }
}

impl Field {
    /// What was done so far.
    #[must_use]
    pub fn done(&self) -> Done {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        Done { latency: log.latency.summary(), ..log.done.clone() }
    }

    /// Waits for all to end, after they were told to.
    pub async fn end(mut self) -> Done {
        while self.tasks.join_next().await.is_some() {}
        self.done()
    }
}

struct Courier {
    n: usize,
    sent: u64,
    conduct: Conduct,
    shared: Arc<Shared>,
    client: Client,
    log: Arc<Mutex<Log>>,
    agenda: BinaryHeap<Reverse<Due>>,
}

impl Courier {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>, stop: watch::Receiver<bool>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        while !*stop.borrow() {
            look.tick().await;
            while let Ok(order) = orders.try_recv() {
                self.hear(order);
            }
            let due = self.due();
            if !due.is_empty() {
                self.act(due).await;
            }
        }
    }

    fn hear(&mut self, order: Order) {
        let drawn = digest(&order.id);
        if drawn % 100 < usize::from(self.conduct.unheard_percent) {
            return;
        }
        let Order { key, id, post, cover, at } = order;
        self.plan(Due { at, begun: at, id, post, key, step: 0, cover });
    }

    fn plan(&mut self, mut due: Due) {
        // Whoever covers an area signs and stays; it is called back by the engine.
        let share = if due.cover { 10 } else { acts(self.conduct.acts)[due.step].1 };
        // From four fifths of the time to six, so that not everybody acts at one instant.
        let jitter = u32::try_from(80 + digest(&due.id) / 100 % 41).unwrap_or(100);
        due.at = due.begun + self.conduct.work * share / 100 * jitter / 100;
        self.agenda.push(Reverse(due));
    }

    /// What is due and ours, at most a batch.
    fn due(&mut self) -> Vec<Due> {
        let (now, mut due) = (now(), Vec::new());
        while due.len() < BATCH_MAX && self.agenda.peek().is_some_and(|Reverse(next)| next.at <= now) {
            let Some(Reverse(next)) = self.agenda.pop() else { break };
            if self.shared.ours.has(next.key) {
                due.push(next);
            }
        }
        due
    }

    async fn act(&mut self, due: Vec<Due>) {
        let all = acts(self.conduct.acts);
        let mut body = Vec::with_capacity(due.len() * 256);
        for due in &due {
            self.sent += 1;
            let act = if due.cover { "signed" } else { all[due.step].0 };
            let data = json!({ "order": due.id, "post": due.post, "act": act });
            let id = format!("{}-a{}-{}", self.shared.run, self.n, self.sent);
            put(&mut body, &event("muster.act", &format!("terminal/{}", due.post), &id, &data));
        }
        body.push(b']');
        let reply = self.client.post("/v1/acts", Form::Batch, body.into()).await;
        let done = now();
        {
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            log.done.acts += due.len() as u64;
            match reply.as_ref().ok().and_then(|r| Some((r.status.as_u16(), Answer::read(&r.body, true).ok()?))) {
                Some((status, told)) => {
                    log.done.acts_refused += told.iter().filter(|a| !a.is_taken(status)).count() as u64;
                }
                None => log.done.unanswered += 1,
            }
            for due in &due {
                log.latency.add(done.saturating_duration_since(due.at));
            }
        }
        for due in due {
            let step = due.step + 1;
            if !due.cover && step < all.len() {
                self.plan(Due { step, ..due });
            }
        }
    }
}

struct Desk {
    sent: u64,
    disposition: String,
    shared: Arc<Shared>,
    client: Client,
    log: Arc<Mutex<Log>>,
    keep: Arc<AtomicU64>,
}

impl Desk {
    async fn run(mut self, stop: watch::Receiver<bool>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        while !*stop.borrow() {
            look.tick().await;
            let keep = usize::try_from(self.keep.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
            let keys = self.shared.ours.beyond(keep, BATCH_MAX);
            if !keys.is_empty() {
                self.close(&keys).await;
            }
        }
    }

    async fn close(&mut self, keys: &[Key]) {
        let mut body = Vec::with_capacity(keys.len() * 256);
        for key in keys {
            self.sent += 1;
            let incident = self.shared.ledger.incident(*key);
            let data = json!({
                "command": "close", "incident": incident, "disposition": self.disposition, "by": "load/desk",
            });
            let id = format!("{}-c{}", self.shared.run, self.sent);
            put(&mut body, &event("muster.command", "console/load", &id, &data));
        }
        body.push(b']');
        let body = hyper::body::Bytes::from(body);
        for _ in 0..CLOSE_TRIES {
            let reply = self.client.post("/v1/commands", Form::Batch, body.clone()).await;
            let told = reply.as_ref().ok().and_then(|r| Some((r.status.as_u16(), Answer::read(&r.body, true).ok()?)));
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((status, told)) = told {
                let closed = told.iter().filter(|a| a.is_taken(status)).count();
                log.done.closed += closed as u64;
                log.done.closings_refused += (keys.len() - closed.min(keys.len())) as u64;
                break;
            }
            // Sent again under the same ids: whoever was closed hears the same answer.
            log.done.unanswered += 1;
        }
        self.shared.ours.closed(keys);
    }
}

fn put(body: &mut Vec<u8>, event: &serde_json::Value) {
    body.push(if body.is_empty() { b'[' } else { b',' });
    // Writing into memory cannot fail.
    let _ = serde_json::to_writer(&mut *body, event);
}

/// A number out of a name, the same in every run (FNV-1a).
fn digest(name: &str) -> usize {
    let hash = name
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3));
    // Multiplied once more, so that also the last letters reach the upper half.
    usize::try_from((hash ^ hash >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_act_is_always_that_the_post_is_free() {
        for count in 0..=9 {
            let acts = acts(count);
            assert_eq!(acts.last(), Some(&("cleared", 100)), "{count}");
            assert!(acts.is_sorted_by_key(|(_, share)| *share) && acts.len() <= 5);
        }
        assert_eq!(acts(5).len(), 5);
    }

    #[test]
    fn names_are_spread_over_the_couriers() {
        let mut count = [0; COURIERS];
        for n in 0..1_000 {
            count[digest(&format!("P-zhengxiang-{n:03}")) % COURIERS] += 1;
        }
        assert!(count.iter().all(|n| *n > 150), "{count:?}");
    }
}
