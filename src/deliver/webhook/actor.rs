//! The one task that owns the waiting messages of one target; see the module above.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use smol_str::SmolStr;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::breaker::{Breaker, Circuit};
use super::budget::Budget;
use super::targets::Target;
use super::{CHANNEL, Handed, Options, Shared, channel};
use crate::deliver::log::Did;
use crate::deliver::message::Message;

/// Keys whose acknowledged `rev` is remembered.
const ACKNOWLEDGED_MAX: usize = 4_096;
/// However short a pause is set, a failed attempt is not made again at once.
const PAUSE_MIN: Duration = Duration::from_millis(1);

struct Entry {
    handed: Handed,
    /// Attempts made, or skipped.
    attempts: usize,
    /// Whether the step it is of has been settled.
    settled: bool,
    due: Instant,
    /// Since when an attempt is under way.
    began: Option<Instant>,
    /// Came while a request was under way.
    newer: Option<Handed>,
}

impl Entry {
    fn new(handed: Handed) -> Self {
        Self { handed, attempts: 0, settled: false, due: Instant::now(), began: None, newer: None }
    }
}

type Tried = (SmolStr, Result<(), String>);

/// The one task that owns the entries.
pub(super) struct Actor {
    options: Options,
    target: Arc<Target>,
    channel: SmolStr,
    shared: Arc<Shared>,
    breaker: Breaker,
    budget: Budget,
    entries: BTreeMap<SmolStr, Entry>,
    /// Those that wait, by when they are due: the bottom line, then the others.
    due: [BTreeSet<(Instant, SmolStr)>; 2],
    under_way: [usize; 2],
    requests: JoinSet<Tried>,
    acknowledged: BTreeMap<SmolStr, u64>,
    /// Its keys, oldest first.
    acknowledged_order: VecDeque<SmolStr>,
    /// What the gauges say of this target.
    gauged: (usize, Circuit),
}

fn lane(message: &Message) -> usize {
    usize::from(!message.bottom_line)
}

impl Actor {
    pub fn new(options: Options, target: Target, shared: Arc<Shared>) -> Self {
        let breaker = Breaker::new(options.breaker_failures, Duration::from_millis(options.breaker_pause.0));
        let budget = Budget::new(target.per_second, options.reserve_percent, Instant::now());
        shared.metrics.webhook_targets.with_label_values(&[Circuit::Closed.as_str()]).inc();
        Self {
            options,
            channel: channel(&target),
            target: Arc::new(target),
            shared,
            breaker,
            budget,
            entries: BTreeMap::new(),
            due: [BTreeSet::new(), BTreeSet::new()],
            under_way: [0, 0],
            requests: JoinSet::new(),
            acknowledged: BTreeMap::new(),
            acknowledged_order: VecDeque::new(),
            gauged: (0, Circuit::Closed),
        }
    }

    pub async fn run(mut self, mut inbox: mpsc::Receiver<Handed>) {
        let far = Duration::from_hours(1);
        loop {
            self.begin_due();
            self.gauge();
            let next = self.next_due().unwrap_or_else(|| Instant::now() + far);
            tokio::select! {
                handed = inbox.recv() => match handed {
                    Some(handed) => self.take(handed),
                    None => break,
                },
                Some(done) = self.requests.join_next() => {
                    if let Ok((key, result)) = done {
                        self.done(&key, result);
                    }
                }
                () = tokio::time::sleep_until(next) => {}
            }
        }
        // What waits is not settled, so its step is sent again after the start; what is under way may end.
        while let Some(Ok((key, result))) = self.requests.join_next().await {
            if result.is_ok() {
                self.done(&key, result);
            }
        }
    }

    // What comes in

    fn take(&mut self, handed: Handed) {
        let message = &handed.message;
        let key = message.key.clone();
        if self.acknowledged.get(&key).is_some_and(|rev| *rev >= message.rev) {
            return self.superseded(message, 0, "a newer one was acknowledged");
        }
        if let Some(entry) = self.entries.get_mut(&key) {
            if entry.handed.message.rev >= message.rev {
                return self.superseded(message, 0, "a newer one is there");
            }
            if entry.began.is_some() {
                if let Some(older) = entry.newer.replace(handed) {
                    self.superseded(&older.message, 0, "a newer one came");
                }
                return;
            }
            if let Some(older) = self.remove(&key, false) {
                self.superseded_entry(&older);
            }
        } else if !self.has_room(message) {
            return self.overflowed(&handed);
        }
        self.put(Entry::new(handed));
    }

    /// Ordinary messages leave the reserve free; the bottom line takes the place of the ordinary one that waits longest.
    fn has_room(&mut self, message: &Message) -> bool {
        let max = self.target.queue_max.max(1);
        let len = self.entries.len();
        if !message.bottom_line {
            return len < (max - max * self.options.reserve_percent.min(100) / 100).max(1);
        }
        if len < max {
            return true;
        }
        let Some((_, key)) = self.due[1].last().cloned() else { return false };
        if let Some(displaced) = self.remove(&key, true) {
            let reason = "the bottom line took its place";
            self.wrote(&displaced.handed.message, displaced.attempts, Did::Overflowed, reason, Duration::ZERO);
            // One in the long tail had been given up already.
            if !displaced.settled {
                self.give_up(&displaced);
            }
        }
        true
    }

    fn overflowed(&self, handed: &Handed) {
        let (message, limit) = (&handed.message, self.target.queue_max);
        warn!(target = %self.target.name, key = %message.key, limit, "webhook.overflowed");
        self.wrote(message, 0, Did::Overflowed, "the queue is full", Duration::ZERO);
        if self.target.carries {
            handed.fate.gave_up(message, &self.channel, &*self.shared.upstream);
        }
        self.shared.upstream.settled(message.step());
    }

    fn superseded(&self, message: &Message, attempts: usize, reason: &str) {
        self.wrote(message, attempts, Did::Superseded, reason, Duration::ZERO);
        self.shared.upstream.settled(message.step());
    }

    fn superseded_entry(&self, older: &Entry) {
        self.wrote(&older.handed.message, older.attempts, Did::Superseded, "a newer one came", Duration::ZERO);
        if !older.settled {
            self.shared.upstream.settled(older.handed.message.step());
        }
    }

    // What waits

    fn put(&mut self, entry: Entry) {
        let message = &entry.handed.message;
        let key = message.key.clone();
        self.due[lane(message)].insert((entry.due, key.clone()));
        self.entries.insert(key, entry);
    }

    /// Takes the entry out; its step is settled where that is meant.
    fn remove(&mut self, key: &SmolStr, settle: bool) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.due[lane(&entry.handed.message)].remove(&(entry.due, key.clone()));
        if settle && !entry.settled {
            self.shared.upstream.settled(entry.handed.message.step());
        }
        Some(entry)
    }

    /// The pause before the attempt after so many.
    fn pause(&self, attempts: usize) -> Duration {
        let pause = self.options.retry.get(attempts).unwrap_or(&self.options.tail).0;
        Duration::from_millis(pause).max(PAUSE_MIN)
    }

    fn room(&self, lane: usize) -> bool {
        let max = self.target.requests_max.max(1);
        let ordinary = max - (max * self.options.reserve_percent.min(100) / 100).min(max - 1);
        self.under_way[0] + self.under_way[1] < max && (lane == 0 || self.under_way[1] < ordinary)
    }

    fn next_due(&mut self) -> Option<Instant> {
        let first = |lane: usize, actor: &Self| actor.due[lane].first().map(|(due, _)| *due);
        let urgent = first(0, self).filter(|_| self.room(0));
        let now = Instant::now();
        let ordinary = first(1, self).filter(|_| self.room(1)).map(|due| due.max(now + self.budget.wait(now)));
        urgent.into_iter().chain(ordinary).min()
    }

    // Attempts

    fn begin_due(&mut self) {
        let now = Instant::now();
        for lane in 0..2 {
            while self.room(lane)
                && self.due[lane].first().is_some_and(|(due, _)| *due <= now)
                && (lane == 0 || self.budget.wait(now).is_zero())
            {
                let (_, key) = self.due[lane].pop_first().expect("just seen");
                self.begin(&key, lane, now);
            }
        }
    }

    fn begin(&mut self, key: &SmolStr, lane: usize, now: Instant) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let message = Arc::clone(&entry.handed.message);
        let ends = message.expires.unwrap_or(message.at + self.options.give_up_after);
        if self.shared.upstream.now() >= ends {
            let attempts = entry.attempts;
            self.wrote(&message, attempts, Did::Expired, "its time is over", Duration::ZERO);
            self.remove(key, true);
            return;
        }
        entry.attempts += 1;
        // The bottom line passes every limiter; where it succeeds, the circuit is closed again.
        if lane == 1 && !self.breaker.admits(now) {
            let attempts = entry.attempts;
            self.wrote(&message, attempts, Did::Skipped, "circuit open", Duration::ZERO);
            return self.again(key, false);
        }
        entry.began = Some(now);
        self.under_way[lane] += 1;
        self.budget.spend(now);
        let (shared, target, key) = (Arc::clone(&self.shared), Arc::clone(&self.target), key.clone());
        self.requests.spawn(async move {
            let sent = AssertUnwindSafe(shared.post.send(&message, &target, &*shared.upstream)).catch_unwind().await;
            (key, sent.unwrap_or_else(|_| Err(String::from("a fault of ours"))))
        });
    }

    fn done(&mut self, key: &SmolStr, result: Result<(), String>) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let now = Instant::now();
        let took = entry.began.take().map_or(Duration::ZERO, |began| now - began);
        let (message, attempts, newer) = (Arc::clone(&entry.handed.message), entry.attempts, entry.newer.take());
        self.under_way[lane(&message)] -= 1;
        match result {
            Ok(()) => {
                if self.breaker.succeeded() {
                    info!(target = %self.target.name, "webhook.circuit_closed");
                }
                self.taken(key, &message, attempts, took);
            }
            Err(reason) => {
                if self.breaker.failed(now) {
                    warn!(target = %self.target.name, reason, "webhook.circuit_opened");
                }
                self.wrote(&message, attempts, Did::Failed, &reason, took);
                self.again(key, newer.is_some());
            }
        }
        if let Some(newer) = newer {
            if let Some(older) = self.remove(key, false) {
                self.superseded_entry(&older);
            }
            self.put(Entry::new(newer));
        }
    }

    fn taken(&mut self, key: &SmolStr, message: &Arc<Message>, attempts: usize, took: Duration) {
        debug!(target = %self.target.name, %key, rev = message.rev, attempts, "webhook.sent");
        self.wrote(message, attempts, Did::Sent, "", took);
        self.acknowledge(key, message.rev);
        if let Some(entry) = self.remove(key, true)
            && self.target.carries
        {
            entry.handed.fate.sent(message, &self.channel, self.target.delivers, &*self.shared.upstream);
        }
    }

    fn acknowledge(&mut self, key: &SmolStr, rev: u64) {
        if self.acknowledged.insert(key.clone(), rev).is_none() {
            self.acknowledged_order.push_back(key.clone());
        }
        if self.acknowledged_order.len() > ACKNOWLEDGED_MAX {
            let oldest = self.acknowledged_order.pop_front();
            oldest.inspect(|key| _ = self.acknowledged.remove(key));
        }
    }

    /// After a failed or skipped attempt: the next one, and what the failure means.
    fn again(&mut self, key: &SmolStr, superseded: bool) {
        let Some(mut entry) = self.entries.remove(key) else { return };
        entry.due = Instant::now() + self.pause(entry.attempts);
        let used_up = entry.attempts >= self.options.retry.len();
        if used_up && !entry.settled && !superseded {
            entry.settled = true;
            let reason = "the attempts within its deadline are used up";
            self.wrote(&entry.handed.message, entry.attempts, Did::GaveUp, reason, Duration::ZERO);
            self.give_up(&entry);
            self.shared.upstream.settled(entry.handed.message.step());
        }
        self.put(entry);
    }

    fn give_up(&self, entry: &Entry) {
        if self.target.carries {
            entry.handed.fate.gave_up(&entry.handed.message, &self.channel, &*self.shared.upstream);
        }
    }

    // What is told of it

    fn wrote(&self, message: &Message, attempts: usize, did: Did, reason: &str, took: Duration) {
        self.shared.wrote(message, &self.target.name, attempts, did, reason, took);
    }

    fn gauge(&mut self) {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let (metrics, now) = (&self.shared.metrics, (self.entries.len(), self.breaker.state()));
        if now.0 != self.gauged.0 {
            metrics.queue_depth.with_label_values(&[CHANNEL]).add(number(now.0) - number(self.gauged.0));
        }
        if now.1 != self.gauged.1 {
            metrics.webhook_targets.with_label_values(&[self.gauged.1.as_str()]).dec();
            metrics.webhook_targets.with_label_values(&[now.1.as_str()]).inc();
        }
        self.gauged = now;
    }
}
