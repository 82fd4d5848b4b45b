//! The owner of a shard: a machine without I/O that claims, appends, accepts and recovers by the rule of the log.
//!
//! In: what the group says ([`Owner::assign`], [`Owner::revoke`]), what was read ([`Owner::read`], [`Owner::reached`]), what
//! became of an append ([`Owner::reported`]), what time it is ([`Owner::tick`]), what shall be written
//! ([`Owner::append`]). Out: [`Owner::poll`], one [`Action`] after another. Look: [`Owner::phase`], [`Owner::fold`].
//!
//! Whoever drives it keeps three promises. What it reads is handed over record by record, in the order of the log. Every append is
//! reported once, or the machine is told that it is [`disturbed`](Owner::disturbed). Nothing of a step leaves the house before
//! [`Action::Accepted`] named it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use smol_str::SmolStr;

use super::fold::{Fold, Missing};
use super::record::{Malformed, OwnerName, Record, RecordBody};
use super::rule::{Stand, Verdict};
use crate::journal::Step;
use crate::model::{Millis, Timestamp};

/// An append, named so that its report can be told from any other.
pub type Token = u64;

/// What can be set about an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerOptions {
    /// Steps that may be under way, not yet accepted.
    pub in_flight_max: usize,
    /// A document that was not written within so many records is written anew.
    pub sweep_age: u64,
    /// An owner whose clock is farther than this from the log's does not go on.
    pub skew_max: Millis,
    /// The first rest after a claim was lost; it doubles with every further loss.
    pub rest_min: Millis,
    /// No rest is longer.
    pub rest_max: Millis,
    /// An owner that has written within this time is alive: who lost to it does not claim again unless it is assigned anew.
    pub alive_within: Millis,
    /// How often a resting or held owner looks at the log.
    pub look_every: Millis,
    /// A log that stays shorter than what was accepted for so long has lost records.
    pub short_within: Millis,
}

impl Default for OwnerOptions {
    fn default() -> Self {
        Self {
            in_flight_max: 4,
            sweep_age: 1_024,
            skew_max: Millis(1_000),
            rest_min: Millis(250),
            rest_max: Millis(10_000),
            alive_within: Millis(10_000),
            look_every: Millis(250),
            short_within: Millis(5_000),
        }
    }
}

/// What whoever drives the owner shall do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask where the log begins and ends, read it from here to that end, hand over each record, then call `reached`.
    Read {
        /// Which reading; `reached` names it.
        ticket: Token,
        /// The first offset to be read.
        from: u64,
    },
    /// Append, and report what became of it.
    Append {
        /// Its name.
        token: Token,
        /// What to write.
        record: Arc<Record>,
    },
    /// The shard is ours: make the running state from the fold, put the inputs to its positions, go on.
    Begin,
    /// This step is accepted by everybody: its answers may be told and its effects may leave.
    Accepted(Arc<Step>),
    /// Drop the running state and all that it holds: nothing of it may be acted upon.
    Drop(Why),
    /// Nothing is decided here until a person has looked, or the cause is gone.
    Hold(Alarm),
    /// Make a new fold from the log as it now is, and hand it in by `restored`.
    Restore,
    /// We write no more; whoever comes next need not wait.
    Released,
}

/// Why a running state was dropped, for a metric's label and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// An append failed, so nobody knows whether it is in the log.
    Unknown,
    /// An append landed elsewhere than right after the last record: somebody else has written.
    NotNext,
    /// Whoever drives saw something odd: another leader, a fatal producer, a silent input.
    Disturbed,
    /// Another owner has claimed the shard.
    Lost,
}

impl Why {
    /// The word for a label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotNext => "not-next",
            Self::Disturbed => "disturbed",
            Self::Lost => "lost",
        }
    }
}

/// Why a shard is held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Alarm {
    /// The log ends before what was accepted, or what was emitted.
    #[error("the journal ends at offset {end} and step {step}, but step {known} was accepted: records are lost")]
    Shrunk {
        /// Where it ends.
        end: u64,
        /// The last step that stands in it.
        step: u64,
        /// The last step that was known before.
        known: u64,
    },
    /// The log begins above what is needed.
    #[error("the journal begins at offset {first}, but {needed} is needed: it was trimmed by somebody else")]
    Trimmed {
        /// Where it begins.
        first: u64,
        /// What is needed.
        needed: u64,
    },
    /// What was read cannot be folded in.
    #[error(transparent)]
    Missing(Missing),
    /// A newer Muster has written.
    #[error(transparent)]
    Newer(Malformed),
    /// What was accepted cannot be run here: a playbook is missing, or another version wrote it.
    #[error("{0}")]
    Unfit(String),
    /// An input begins above where it was decided to.
    #[error("the topic of {door} begins above offset {position}, up to which it was decided: inputs are lost")]
    InputLost {
        /// Which.
        door: SmolStr,
        /// Up to where it was decided.
        position: u64,
    },
    /// Our clock and the log's are too far apart.
    #[error("our clock and the broker's are {0} ms apart; set the clock")]
    Skew(i64),
}

/// Where an owner is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The shard is somebody else's.
    Following,
    /// Reads to the end, then claims.
    CatchingUp,
    /// Its claim is under way.
    Claiming {
        /// The append.
        token: Token,
        /// The epoch.
        epoch: u64,
        /// When it was sent.
        sent: Timestamp,
        /// Where it landed, once that is known, and the log's time there.
        landed: Option<(u64, Timestamp)>,
    },
    /// At work.
    Owning,
    /// Takes no more in; writes its release once all that is under way is accepted.
    Releasing {
        /// The release, once it is under way.
        token: Option<Token>,
    },
    /// Lost to another owner that is alive; looks at the log now and then.
    Resting {
        /// It does not claim before.
        until: Timestamp,
    },
    /// Nothing is done until a person accepts the loss, or the cause is gone.
    Held(Alarm),
    /// Waits for a new fold.
    Restoring,
}

/// The machine.
#[derive(Debug)]
pub struct Owner {
    name: OwnerName,
    options: OwnerOptions,
    fold: Fold,
    phase: Phase,
    /// The group says that the shard is ours.
    assigned: bool,
    /// What is known to have been accepted once, from a hint outside the log: a log that ends before it has lost records.
    known: Stand,
    /// The highest epoch that we have ever put in a claim.
    claimed: u64,
    pending: VecDeque<(Token, Arc<Step>, Arc<Record>)>,
    token: Token,
    losses: u32,
    chance: u64,
    /// The reading under way; the end of any other says nothing.
    reading: Option<Token>,
    looked: Timestamp,
    /// Since when the log has seemed too short.
    short: Option<Timestamp>,
    actions: VecDeque<Action>,
}

impl Owner {
    /// An owner of this name, which no other start may ever have. `chance` is anything that differs between starts.
    #[must_use]
    pub fn new(name: OwnerName, fold: Fold, known: Stand, options: OwnerOptions, chance: u64) -> Self {
        Self {
            name,
            options,
            fold,
            phase: Phase::Following,
            assigned: false,
            known,
            claimed: 0,
            pending: VecDeque::new(),
            token: 0,
            losses: 0,
            chance: chance | 1,
            reading: None,
            looked: Timestamp(0),
            short: None,
            actions: VecDeque::new(),
        }
    }

    // In

    /// The group says that the shard is ours, now or anew.
    pub fn assign(&mut self) {
        self.assigned = true;
        match self.phase {
            Phase::Following | Phase::Resting { .. } => self.catch_up(),
            _ => {}
        }
    }

    /// The group, or our own end, says that the shard is no longer ours.
    pub fn revoke(&mut self) {
        self.assigned = false;
        match self.phase {
            Phase::Owning => {
                self.phase = Phase::Releasing { token: None };
                self.release_when_empty();
            }
            // A claim under way may still stand: the next owner's higher epoch overrules it.
            Phase::CatchingUp | Phase::Claiming { .. } | Phase::Resting { .. } => {
                self.phase = Phase::Following;
                self.actions.push_back(Action::Released);
            }
            Phase::Held(_) | Phase::Restoring => self.actions.push_back(Action::Released),
            Phase::Following | Phase::Releasing { .. } => {}
        }
    }

    /// The next record of the log, and when it was appended.
    pub fn read(&mut self, offset: u64, appended: Timestamp, record: &Record) {
        if let Phase::Held(_) = self.phase {
            if matches!(record.body, RecordBody::Acceptance { .. }) {
                self.phase = Phase::Restoring;
                self.actions.push_back(Action::Restore);
            }
            return;
        }
        // What we accepted ourselves comes round again; what stands above the next offset is judged by `reached`.
        if offset < self.fold.next() || !self.reads() {
            return;
        }
        if let Err(missing) = self.fold.read(offset, appended, record) {
            self.hold(Alarm::Missing(missing));
        }
    }

    /// The next thing of the log, which is no record we can read.
    pub fn malformed(&mut self, offset: u64, why: Malformed) {
        if offset < self.fold.next() || !self.reads() {
            return;
        }
        match why {
            Malformed::Newer(_) => self.hold(Alarm::Newer(why)),
            Malformed::Foreign(_) => {
                if let Err(missing) = self.fold.skip(offset) {
                    self.hold(Alarm::Missing(missing));
                }
            }
        }
    }

    /// This reading came to `end`, which was the end of the log when it was asked; the log begins at `first`.
    pub fn reached(&mut self, ticket: Token, first: u64, end: u64, now: Timestamp) {
        if self.reading != Some(ticket) {
            return;
        }
        self.reading = None;
        self.looked = now;
        let next = self.fold.next();
        let needed = match self.phase {
            Phase::CatchingUp | Phase::Resting { .. } => next,
            Phase::Claiming { landed: Some((offset, _)), .. } => next.max(offset + 1),
            _ => return,
        };
        match self.phase {
            _ if first > next => self.hold(Alarm::Trimmed { first, needed: next }),
            _ if end < needed => self.seems_short(end, now),
            _ if end > next => self.read_on(),
            Phase::CatchingUp if !self.fold.is_complete() => {
                self.hold(Alarm::Trimmed { first, needed: self.fold.low().offset });
            }
            Phase::CatchingUp if self.fold.stand().step < self.known.step => self.shrunk(end),
            Phase::CatchingUp => self.claim(now),
            Phase::Claiming { landed: Some((_, appended)), epoch, sent, .. } => {
                self.claimed(epoch, sent, appended, now)
            }
            Phase::Resting { until } => self.rested(until, now),
            _ => {}
        }
        if end >= needed {
            self.short = None;
        }
    }

    /// What became of an append: the offset at which it landed and the log's time there, or nobody knows.
    pub fn reported(&mut self, token: Token, landed: Option<(u64, Timestamp)>) {
        match (&mut self.phase, landed) {
            (Phase::Claiming { token: mine, landed: place, .. }, _) if *mine == token => match landed {
                Some(_) => {
                    *place = landed;
                    self.read_on();
                }
                None => self.catch_up(),
            },
            (Phase::Releasing { token: Some(mine) }, _) if *mine == token => self.released(),
            (Phase::Owning | Phase::Releasing { .. }, Some((offset, appended))) => self.landed(token, offset, appended),
            (Phase::Owning | Phase::Releasing { .. }, None) if self.pending.iter().any(|(t, ..)| *t == token) => {
                self.recover(Why::Unknown);
            }
            // Of an epoch that is over: what counts of it is read in the log.
            _ => {}
        }
    }

    /// Whoever drives saw something after which nothing is sure: another leader, a producer that gave up.
    pub fn disturbed(&mut self) {
        if matches!(self.phase, Phase::Owning | Phase::Releasing { .. } | Phase::Claiming { .. }) {
            self.recover(Why::Disturbed);
        }
    }

    /// What the shard holds cannot be run here.
    pub fn unfit(&mut self, why: String) {
        if self.phase == Phase::Owning {
            self.hold(Alarm::Unfit(why));
        }
    }

    /// An input begins above where it was decided to, so inputs were lost unseen. Accepted already, if somebody has
    /// accepted a loss since the last step.
    pub fn input_lost(&mut self, door: &str, position: u64) {
        if self.phase == Phase::Owning && !self.fold.is_loss_accepted() {
            self.hold(Alarm::InputLost { door: door.into(), position });
        }
    }

    /// A fold made anew from the log.
    pub fn restored(&mut self, fold: Fold) {
        if self.phase != Phase::Restoring {
            return;
        }
        self.fold = fold;
        self.known = Stand::default();
        self.phase = Phase::Following;
        if self.assigned {
            self.catch_up();
        }
    }

    /// Time passes: who rests, is held or waits for the end of the log looks at it again.
    pub fn tick(&mut self, now: Timestamp) {
        let every = match self.phase {
            Phase::Resting { .. } | Phase::CatchingUp | Phase::Claiming { landed: Some(_), .. } => {
                self.options.look_every
            }
            Phase::Held(Alarm::Skew(_)) => self.options.rest_max,
            Phase::Held(_) => self.options.look_every,
            _ => return,
        };
        if self.reading.is_some() || now.since(self.looked) < every {
            return;
        }
        self.looked = now;
        if let Phase::Held(Alarm::Skew(_)) = self.phase {
            // The clock may have been set: claim anew, and measure again.
            self.phase = Phase::Following;
            self.assign_if_assigned();
        } else {
            self.read_on();
        }
    }

    /// The effects of all steps up to `number` have left the house.
    pub fn emitted(&mut self, number: u64) {
        self.fold.emitted(number);
    }

    /// Whether a further step may be appended now.
    #[must_use]
    pub fn may_append(&self) -> bool {
        self.phase == Phase::Owning && self.pending.len() < self.options.in_flight_max
    }

    /// The number of the next step.
    #[must_use]
    pub fn next_step(&self) -> u64 {
        self.fold.stand().step + 1 + self.pending.len() as u64
    }

    /// Appends a step. Its number and its positions are those of whoever made it: the next step's, and all of them.
    ///
    /// # Panics
    /// When it may not be appended now, or is not the next one: a defect of whoever drives.
    pub fn append(&mut self, step: Arc<Step>) {
        assert!(self.may_append(), "a step was appended in phase {:?}", self.phase);
        assert_eq!(step.number, self.next_step(), "steps count up by one");
        let held_back: BTreeSet<SmolStr> = self
            .pending
            .iter()
            .map(|(_, step, _)| step)
            .chain([&step])
            .flat_map(|s| s.documents.iter().map(|d| d.key.clone()))
            .collect();
        let bytes: usize = step.documents.iter().filter_map(|d| d.body.as_ref()).map(|b| b.len()).sum();
        let swept = self.fold.sweep(bytes / 3, self.options.sweep_age, &held_back);
        let record = Arc::new(Record { swept, ..self.record(RecordBody::Step(Arc::clone(&step))) });
        let token = self.next_token();
        self.pending.push_back((token, step, Arc::clone(&record)));
        self.actions.push_back(Action::Append { token, record });
    }

    // Out

    /// What to do next.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    // Look

    /// Where it is.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The state of record.
    #[must_use]
    pub fn fold(&self) -> &Fold {
        &self.fold
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &OwnerName {
        &self.name
    }

    /// Steps under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.pending.len()
    }

    /// Whether the group says that the shard is ours.
    #[must_use]
    pub fn is_assigned(&self) -> bool {
        self.assigned
    }

    // Inside

    /// What is read in these phases is folded in. While it owns, its own reports do that; what else is in the log by then
    /// makes them land elsewhere, and is read in the recovery.
    fn reads(&self) -> bool {
        !matches!(self.phase, Phase::Owning | Phase::Releasing { .. } | Phase::Restoring)
    }

    fn read_on(&mut self) {
        let ticket = self.next_token();
        self.reading = Some(ticket);
        let from = match self.phase {
            // Where the log ends before what we know, its acceptance stands before that, too.
            Phase::Held(Alarm::Shrunk { end, .. }) => end.min(self.fold.next()),
            Phase::Held(Alarm::Trimmed { first, .. }) => first.max(self.fold.next()),
            _ => self.fold.next(),
        };
        self.actions.push_back(Action::Read { ticket, from });
    }

    fn catch_up(&mut self) {
        self.phase = Phase::CatchingUp;
        self.read_on();
    }

    fn assign_if_assigned(&mut self) {
        if self.assigned {
            self.catch_up();
        }
    }

    fn claim(&mut self, now: Timestamp) {
        let epoch = self.claimed.max(self.fold.stand().epoch) + 1;
        self.claimed = epoch;
        let token = self.next_token();
        let record = Arc::new(Record { epoch, ..self.record(RecordBody::Claim) });
        self.phase = Phase::Claiming { token, epoch, sent: now, landed: None };
        self.actions.push_back(Action::Append { token, record });
    }

    /// The log was read to beyond our claim.
    fn claimed(&mut self, epoch: u64, sent: Timestamp, appended: Timestamp, now: Timestamp) {
        if !self.fold.stand().is_owned_by(epoch, &self.name) {
            self.rest(now);
            return;
        }
        let early = sent.since(appended);
        let late = appended.since(now);
        if early.max(late) > self.options.skew_max {
            let apart = if early > late { early.0.cast_signed() } else { -late.0.cast_signed() };
            self.hold(Alarm::Skew(apart));
            return;
        }
        self.losses = 0;
        self.phase = Phase::Owning;
        self.actions.push_back(Action::Begin);
    }

    /// One of our appends landed.
    fn landed(&mut self, token: Token, offset: u64, appended: Timestamp) {
        let Some((first, step, record)) = self.pending.front() else { return };
        if *first != token {
            if self.pending.iter().any(|(t, ..)| *t == token) {
                self.recover(Why::Unknown);
            }
            return;
        }
        if offset != self.fold.next() {
            self.recover(Why::NotNext);
            return;
        }
        let (step, record) = (Arc::clone(step), Arc::clone(record));
        let verdict = self.fold.read(offset, appended, &record);
        if verdict != Ok(Verdict::Accepted) {
            self.recover(Why::NotNext);
            return;
        }
        self.pending.pop_front();
        self.actions.push_back(Action::Accepted(step));
        self.release_when_empty();
    }

    fn release_when_empty(&mut self) {
        if self.phase == (Phase::Releasing { token: None }) && self.pending.is_empty() {
            let token = self.next_token();
            self.phase = Phase::Releasing { token: Some(token) };
            let record = Arc::new(self.record(RecordBody::Release));
            self.actions.push_back(Action::Append { token, record });
        }
    }

    /// The release is written, or nobody knows: the group's word stands either way.
    fn released(&mut self) {
        self.phase = Phase::Following;
        self.actions.push_back(Action::Released);
        self.assign_if_assigned();
    }

    /// The one way back from anything odd.
    fn recover(&mut self, why: Why) {
        self.pending.clear();
        self.actions.retain(|action| !matches!(action, Action::Append { .. } | Action::Begin));
        self.actions.push_back(Action::Drop(why));
        if self.assigned {
            self.catch_up();
        } else {
            self.phase = Phase::Following;
            self.actions.push_back(Action::Released);
        }
    }

    /// Another claimed first, or later: it is the owner now.
    fn rest(&mut self, now: Timestamp) {
        self.losses += 1;
        let full = self.options.rest_min.0 << self.losses.min(16);
        let full = full.min(self.options.rest_max.0).max(2);
        let span = Millis(full / 2 + self.next_chance() % (full / 2));
        self.phase = Phase::Resting { until: now + span };
        self.looked = now;
    }

    /// A resting owner has looked at the log: it claims when nobody owns the shard, or the owner has fallen silent.
    fn rested(&mut self, until: Timestamp, now: Timestamp) {
        let silent = now.since(self.fold.alive()) >= self.options.alive_within;
        if now >= until && (silent || self.fold.stand().owner.is_nobody()) {
            self.catch_up();
        }
    }

    /// A new leader may not know yet how far the log goes; a log that stays short has lost records.
    fn seems_short(&mut self, end: u64, now: Timestamp) {
        let since = *self.short.get_or_insert(now);
        if now.since(since) >= self.options.short_within {
            self.shrunk(end);
        }
    }

    fn shrunk(&mut self, end: u64) {
        let step = self.fold.stand().step;
        self.hold(Alarm::Shrunk { end, step, known: self.known.step.max(step) });
    }

    fn hold(&mut self, alarm: Alarm) {
        self.pending.clear();
        self.phase = Phase::Held(alarm.clone());
        self.actions.push_back(Action::Hold(alarm));
    }

    fn record(&self, body: RecordBody) -> Record {
        Record {
            epoch: self.fold.stand().epoch,
            owner: self.name.clone(),
            shards: self.fold.shards(),
            low: self.fold.low(),
            emitted: self.fold.last_emitted(),
            swept: Vec::new(),
            body,
        }
    }

    fn next_token(&mut self) -> Token {
        self.token += 1;
        self.token
    }

    /// xorshift64 (Marsaglia 2003): rests of several owners shall differ, no more is asked.
    fn next_chance(&mut self) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance
    }
}
