//! The owner of a shard: a machine without I/O that claims, appends, accepts and recovers by the rule of the log.
//!
//! In: what the group says ([`Owner::assign`], [`Owner::revoke`]), what was read ([`Owner::read`], [`Owner::reached`]), what
//! became of an append ([`Owner::reported`]), what time it is ([`Owner::tick`]), what shall be written
//! ([`Owner::append`]). Out: [`Owner::poll`], one [`Action`] after another. Look: [`Owner::phase`], [`Owner::fold`].
//!
//! Whoever drives it keeps these promises. What a reading brings is handed over record by record, in the order of the log,
//! under the reading's own ticket. A record is sent at most once by whoever drives (what the producer below repeats by
//! itself may land twice). A report is true, or says that nobody knows. [`Owner::knows`] is told what readers of the
//! effects have seen before a claim is made. Nothing of a step leaves the house before [`Action::Accepted`] named it, or
//! [`Action::Begin`] found it in the fold. An answer that never comes, a report out of order, an old reading that still
//! brings something, a clock that jumps: these it takes as they come.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use smol_str::SmolStr;

use super::fold::{Fold, Missing};
use super::record::{Low, Malformed, OwnerName, Record, RecordBody};
use super::rule::Verdict;
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
    /// The first rest after a setback; it doubles with every further one until a step is accepted.
    pub rest_min: Millis,
    /// No rest is longer.
    pub rest_max: Millis,
    /// An owner of whom nothing was read for so long may be overruled by one who lost to it; doubles with every setback,
    /// up to [`SILENCE_DOUBLINGS_MAX`] times.
    pub alive_within: Millis,
    /// How often whoever does not own looks at the log.
    pub look_every: Millis,
    /// How often an owner with nothing under way looks whether it has lost the shard.
    pub idle_look_every: Millis,
    /// A log that seems shorter than what was accepted in so many looks, one after the other, has lost records.
    pub short_looks: u32,
    /// A reading that has brought nothing for so long is begun anew.
    pub read_within: Millis,
    /// An append of which nothing was reported for so long has failed: nobody knows whether it is in the log.
    pub report_within: Millis,
}

/// How often the silence is doubled after which a living owner is overruled: two that both believe the shard to be theirs,
/// with nothing to do, write one claim in ten minutes at most.
pub const SILENCE_DOUBLINGS_MAX: u32 = 6;

/// How often the longest rest is doubled after which an owner whose clock was wrong claims anew, to measure it again.
pub const SKEW_DOUBLINGS_MAX: u32 = 3;

impl Default for OwnerOptions {
    fn default() -> Self {
        Self {
            in_flight_max: 4,
            sweep_age: 1_024,
            skew_max: Millis(1_000),
            rest_min: Millis(250),
            rest_max: Millis(5_000),
            alive_within: Millis(10_000),
            look_every: Millis(250),
            idle_look_every: Millis(2_000),
            short_looks: 20,
            read_within: Millis(3_000),
            report_within: Millis(30_000),
        }
    }
}

/// What whoever drives the owner shall do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask where the log begins and ends, read it from here (or from where it begins, if that is later) to that end, hand
    /// over each record, then call `reached`. It ends any reading before it.
    Read {
        /// Which reading.
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
    /// The shard is ours: make the running state from the fold, put the inputs to its positions, let the effects of all
    /// unemitted steps leave, go on.
    Begin,
    /// This step is accepted by everybody: its answers may be told and its effects may leave.
    Accepted(Arc<Step>),
    /// Drop the running state and all that it holds: nothing of it may be acted upon.
    Drop(Why),
    /// Nothing is decided here until a person has looked, or the cause is gone.
    Hold(Alarm),
    /// Make a new fold from the log as it now is, and hand it in by `restored`.
    Restore,
    /// We write no more; whoever comes next need not wait. The answer to a revocation.
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
    /// The log itself is wrong.
    Alarm,
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
            Self::Alarm => "alarm",
        }
    }
}

/// Why a shard is held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Alarm {
    /// The log ends before what was accepted, or what was emitted.
    #[error("the journal ends at offset {end}; it went to {read}, and step {known} was accepted: records are lost")]
    Shrunk {
        /// Where it ends.
        end: u64,
        /// Where it was known to end.
        read: u64,
        /// The last step that was known to be accepted.
        known: u64,
    },
    /// Another record stands where we had read one: the log was cut back and has grown again.
    #[error(
        "record {offset} is another one than was read there, where step {known} was known before: records are lost"
    )]
    Replaced {
        /// Where it stands.
        offset: u64,
        /// The last step that was known before.
        known: u64,
    },
    /// The log begins above what is needed.
    #[error(
        "the journal begins at offset {first}, and nothing in it says that no more is needed: somebody else trimmed it"
    )]
    Trimmed {
        /// Where it begins.
        first: u64,
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
    /// An input begins above where it was decided to, or ends before it.
    #[error("the topic of {door} does not go on from offset {position}, up to which it was decided: inputs are lost")]
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
    /// The shard is somebody else's; the log is read along.
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
    /// After a setback; looks at the log now and then.
    Resting {
        /// Since when.
        since: Timestamp,
        /// It does not claim for so long.
        span: Millis,
    },
    /// Nothing is done until a person accepts the loss, or the cause is gone.
    Held(Alarm),
    /// Waits for a fold made anew.
    Restoring,
}

/// The machine.
#[derive(Debug)]
pub struct Owner {
    name: OwnerName,
    options: OwnerOptions,
    fold: Fold,
    phase: Phase,
    now: Timestamp,
    /// The group says that the shard is ours.
    assigned: bool,
    /// It has said that it is not, and waits to hear that we write no more.
    revoked: bool,
    /// It has said that it is since we last owned it: then a living owner is overruled.
    fresh: bool,
    /// The last step that is known from outside the log to have been accepted: a log that ends before it has lost records.
    known: u64,
    /// The highest epoch that we have ever put in a claim.
    claimed: u64,
    pending: VecDeque<(Token, Arc<Step>, Arc<Record>)>,
    /// When something was last reported of an append, or the first of those under way was sent.
    answered: Timestamp,
    token: Token,
    /// What went wrong since a step was last accepted.
    setbacks: u32,
    chance: u64,
    /// The reading under way; what any other brings says nothing.
    reading: Option<Reading>,
    looked: Timestamp,
    /// When a reading last brought something that was accepted.
    news: Timestamp,
    /// In so many looks, one after the other, the log has seemed too short.
    short: u32,
    /// While held: an acceptance is looked for from here on.
    sought: u64,
    /// While held: what we read last stands where it stood.
    stands: bool,
    /// A restore is under way.
    restoring: bool,
    /// While held: because the log cannot be restored from, which is tried again and again.
    unrestorable: bool,
    actions: VecDeque<Action>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    ticket: Token,
    asked: Timestamp,
    /// When it last brought something.
    heard: Timestamp,
}

impl Owner {
    /// An owner of this name, which no other start may ever have; of one of so many shards. The first thing it wants is a
    /// restore. `chance` is anything that differs between starts.
    #[must_use]
    pub fn new(name: OwnerName, shards: u32, options: OwnerOptions, chance: u64) -> Self {
        Self {
            name,
            options,
            fold: Fold::from(Low::default(), shards),
            phase: Phase::Restoring,
            now: Timestamp(0),
            assigned: false,
            revoked: false,
            fresh: false,
            known: 0,
            claimed: 0,
            pending: VecDeque::new(),
            answered: Timestamp(0),
            token: 0,
            setbacks: 0,
            chance: chance | 1,
            reading: None,
            looked: Timestamp(0),
            news: Timestamp(0),
            short: 0,
            sought: 0,
            stands: false,
            restoring: true,
            unrestorable: false,
            actions: VecDeque::from([Action::Restore]),
        }
    }

    // In

    /// The group says that the shard is ours, now or anew.
    pub fn assign(&mut self) {
        self.assigned = true;
        self.fresh = true;
        match self.phase {
            Phase::Following => self.come_back(),
            // The revocation is overtaken.
            Phase::Claiming { .. } => self.let_go(),
            _ => {}
        }
    }

    /// The group, or our own end, says that the shard is no longer ours. [`Action::Released`] answers.
    pub fn revoke(&mut self) {
        self.assigned = false;
        self.fresh = false;
        self.revoked = true;
        match self.phase {
            Phase::Owning => {
                self.phase = Phase::Releasing { token: None };
                self.release_when_empty();
            }
            // A claim under way may yet stand: then it must be released, or whoever comes next takes us for alive.
            Phase::Claiming { .. } | Phase::Releasing { .. } => {}
            Phase::CatchingUp | Phase::Resting { .. } => self.leave(),
            Phase::Following | Phase::Held(_) | Phase::Restoring => self.let_go(),
        }
    }

    /// A step that was accepted, as is known from outside the log: its effects were seen, or a hint names it. A log that
    /// ends before it has lost records.
    pub fn knows(&mut self, step: u64) {
        self.known = self.known.max(step);
    }

    /// The next record of the log, and when it was appended.
    pub fn read(&mut self, ticket: Token, offset: u64, appended: Timestamp, record: &Record) {
        if !self.listens(ticket) {
            return;
        }
        let agrees = self.fold.agrees(offset, appended, Some(record));
        if let Phase::Held(_) = self.phase {
            self.stands |= self.fold.last() == Some(offset) && agrees;
            self.look_for_acceptance(record);
        } else if !agrees {
            self.hold(Alarm::Replaced { offset, known: self.highest_known() });
        } else if offset >= self.fold.next() {
            match self.fold.read(offset, appended, record) {
                Ok(verdict) => self.noted(verdict, record),
                Err(missing) => self.misses(missing),
            }
        }
    }

    /// The next thing of the log, which is no record we can read.
    pub fn malformed(&mut self, ticket: Token, offset: u64, appended: Timestamp, why: Malformed) {
        if !self.listens(ticket) {
            return;
        }
        let agrees = self.fold.agrees(offset, appended, None);
        match why {
            _ if matches!(self.phase, Phase::Held(_)) => self.stands |= self.fold.last() == Some(offset) && agrees,
            _ if !agrees => self.hold(Alarm::Replaced { offset, known: self.highest_known() }),
            _ if offset < self.fold.next() => {}
            Malformed::Newer(_) => self.hold(Alarm::Newer(why)),
            Malformed::Foreign(_) => {
                if let Err(missing) = self.fold.skip(offset, appended) {
                    self.misses(missing);
                }
            }
        }
    }

    /// This reading came to `end`, which was the end of the log when it was asked; the log begins at `first`.
    pub fn reached(&mut self, ticket: Token, first: u64, end: u64, now: Timestamp) {
        let Some(reading) = self.reading.take_if(|reading| reading.ticket == ticket) else { return };
        self.now = now;
        self.looked = now;
        if let Phase::Held(_) = self.phase {
            self.looked_while_held(first, end);
            return;
        }
        let next = self.fold.next();
        let needed = match self.phase {
            Phase::Claiming { landed: Some((offset, _)), .. } => next.max(offset + 1),
            _ => next,
        };
        if first > next {
            self.restore();
        } else if end < needed {
            self.seems_short(end);
        } else if end > next {
            self.read_on();
        } else if let Some(missing) = self.fold.shaken().cloned() {
            self.hold(Alarm::Missing(missing));
        } else if self.fold.stand().step < self.known {
            self.seems_short(end);
        } else {
            self.short = 0;
            self.at_the_end(reading.asked, first);
        }
    }

    /// What became of an append: the offset at which it landed and the log's time there, or nobody knows.
    pub fn reported(&mut self, token: Token, landed: Option<(u64, Timestamp)>) {
        self.answered = self.now;
        match (&self.phase, landed) {
            (Phase::Claiming { token: mine, .. }, None) if *mine == token => self.set_back(),
            (Phase::Claiming { token: mine, .. }, Some(place)) if *mine == token => self.claim_landed(place),
            (Phase::Releasing { token: Some(mine) }, _) if *mine == token => self.released(),
            (Phase::Owning | Phase::Releasing { .. }, Some((offset, appended))) => self.landed(token, offset, appended),
            (Phase::Owning | Phase::Releasing { .. }, None) if self.is_pending(token) => self.recover(Why::Unknown),
            // Of an epoch that is over: what counts of it is read in the log.
            _ => {}
        }
    }

    /// Whoever drives saw something after which nothing is sure: another leader, a producer that gave up.
    pub fn disturbed(&mut self) {
        match self.phase {
            Phase::Owning | Phase::Releasing { .. } => self.recover(Why::Disturbed),
            Phase::Claiming { .. } => self.set_back(),
            _ => {}
        }
    }

    /// What the shard holds cannot be run here.
    pub fn unfit(&mut self, why: String) {
        if self.phase == Phase::Owning {
            self.hold(Alarm::Unfit(why));
        }
    }

    /// An input begins above where it was decided to, or ends before it, so inputs were lost unseen. Accepted already, if somebody has
    /// accepted a loss since the last step.
    pub fn input_lost(&mut self, door: &str, position: u64) {
        if self.phase == Phase::Owning && !self.fold.is_loss_accepted() {
            self.hold(Alarm::InputLost { door: door.into(), position });
        }
    }

    /// A fold made anew from the log, or why that cannot be.
    pub fn restored(&mut self, fold: Result<Fold, Alarm>) {
        if !std::mem::take(&mut self.restoring) {
            return;
        }
        self.looked = self.now;
        match fold {
            Ok(fold) => {
                self.fold = fold;
                self.short = 0;
                self.resume();
            }
            // A new leader may not know yet of the record that says where to begin.
            Err(Alarm::Trimmed { .. }) if self.short + 1 < self.options.short_looks => self.short += 1,
            Err(alarm) if self.phase == Phase::Held(alarm.clone()) => {}
            Err(alarm) => {
                self.hold(alarm);
                self.unrestorable = true;
            }
        }
    }

    /// Time passes: what nobody answered is given up, and whoever does not own looks at the log.
    pub fn tick(&mut self, now: Timestamp) {
        self.now = now;
        if self.awaits_report() && self.is_over(self.answered, self.options.report_within) {
            self.unreported();
        }
        if self.reading.is_some_and(|reading| !self.is_over(reading.heard, self.options.read_within)) {
            return;
        }
        let every = match self.phase {
            Phase::Owning if self.pending.is_empty() => self.options.idle_look_every,
            Phase::Held(Alarm::Skew(_) | Alarm::Unfit(_)) => {
                Millis(self.options.rest_max.0 << self.setbacks.min(SKEW_DOUBLINGS_MAX))
            }
            Phase::Claiming { landed: None, .. } | Phase::Owning | Phase::Releasing { .. } => return,
            _ if self.restoring => return,
            Phase::Held(_) if self.unrestorable => self.options.rest_max,
            _ => self.options.look_every,
        };
        if self.is_over(self.looked, every) {
            self.looked = now;
            self.look();
        }
    }

    fn look(&mut self) {
        match self.phase {
            // The clock may have been set, or another node may have brought what lacks: claim anew, and see.
            Phase::Held(Alarm::Skew(_) | Alarm::Unfit(_)) => {
                self.phase = Phase::Following;
                if self.assigned {
                    self.catch_up();
                }
            }
            Phase::Restoring => self.want_restore(),
            Phase::Held(_) if self.unrestorable => self.want_restore(),
            _ => self.read_on(),
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
        // From now on our own reports say what is in the log.
        self.reading = None;
        let bytes: usize = step.documents.iter().filter_map(|d| d.body.as_ref()).map(|b| b.len()).sum();
        let swept = self.fold.sweep(bytes / 3, self.options.sweep_age, &self.held_back(&step));
        let record = Arc::new(Record { swept, ..self.record(RecordBody::Step(Arc::clone(&step))) });
        let token = self.send(Arc::clone(&record));
        self.pending.push_back((token, step, record));
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

    // Reading

    /// Whether what this reading brings is to be looked at: it is the one under way, and we do not wait for a new fold.
    fn listens(&mut self, ticket: Token) -> bool {
        let now = self.now;
        let Some(reading) = self.reading.as_mut().filter(|reading| reading.ticket == ticket) else { return false };
        reading.heard = now;
        self.phase != Phase::Restoring
    }

    fn read_on(&mut self) {
        let ticket = self.next_token();
        self.looked = self.now;
        self.reading = Some(Reading { ticket, asked: self.now, heard: self.now });
        let from = match self.phase {
            Phase::Held(_) => self.sought,
            // What was read last is read once more: whether it is still the same.
            _ => self.fold.last().unwrap_or(self.fold.next()),
        };
        self.actions.push_back(Action::Read { ticket, from });
    }

    /// A record was folded in.
    fn noted(&mut self, verdict: Verdict, record: &Record) {
        if verdict == Verdict::Accepted {
            self.news = self.now;
        }
        if matches!(record.body, RecordBody::Acceptance { .. }) {
            // What we hold may rest on what is lost.
            self.restore();
        } else if self.phase == Phase::Owning && !self.fold.stand().is_owned_by(self.claimed, &self.name) {
            self.recover(Why::Lost);
        }
    }

    /// A record could not be folded in.
    fn misses(&mut self, missing: Missing) {
        match missing {
            // It was trimmed while we were away: what we lack is elsewhere, or a restore will say that it is not. Or an
            // operator has said where the state begins.
            Missing::Gap { .. } | Missing::Line(_) => self.restore(),
            _ => self.hold(Alarm::Missing(missing)),
        }
    }

    /// All that there is was read.
    fn at_the_end(&mut self, asked: Timestamp, first: u64) {
        match self.phase {
            Phase::CatchingUp | Phase::Resting { .. } if !self.fold.is_complete() => {
                self.hold(Alarm::Trimmed { first });
            }
            Phase::CatchingUp | Phase::Resting { .. } => self.decide(asked),
            Phase::Claiming { landed: Some((_, appended)), epoch, sent, .. } => self.claim_read(epoch, sent, appended),
            _ => {}
        }
    }

    /// A new leader may not know yet how far the log goes; a log that stays short has lost records.
    fn seems_short(&mut self, end: u64) {
        self.short += 1;
        if self.short >= self.options.short_looks {
            self.shrunk(end);
        }
    }

    // Claiming

    /// Claims, unless another owner stands and it is not for us to overrule it: the group has not named us since it took
    /// over, and it was heard of lately. A reading that was asked before a stall of ours tells nothing of silence.
    fn decide(&mut self, asked: Timestamp) {
        let owner = &self.fold.stand().owner;
        let other = !owner.is_nobody() && *owner != self.name;
        let (rested, silent) = match self.phase {
            Phase::Resting { since, span } => {
                (self.is_over(since, span), asked.since(self.news) >= self.silence(self.options.alive_within))
            }
            _ => (true, false),
        };
        if rested && (self.fresh || !other || silent) {
            self.claim();
        } else if self.phase == Phase::CatchingUp {
            self.set_back();
        }
    }

    fn claim(&mut self) {
        let epoch = self.claimed.max(self.fold.stand().epoch) + 1;
        self.claimed = epoch;
        let record = Arc::new(Record { epoch, ..self.record(RecordBody::Claim) });
        let token = self.send(record);
        self.phase = Phase::Claiming { token, epoch, sent: self.now, landed: None };
    }

    fn claim_landed(&mut self, place: (u64, Timestamp)) {
        if place.0 < self.fold.next() {
            self.shrunk(place.0);
        } else if let Phase::Claiming { landed, .. } = &mut self.phase {
            *landed = Some(place);
            self.read_on();
        }
    }

    /// The log was read to beyond our claim.
    fn claim_read(&mut self, epoch: u64, sent: Timestamp, appended: Timestamp) {
        if !self.fold.stand().is_owned_by(epoch, &self.name) {
            self.set_back();
            return;
        }
        if !self.assigned {
            self.phase = Phase::Releasing { token: None };
            self.release_when_empty();
            return;
        }
        let (ahead, behind) = (sent.since(appended), appended.since(self.now));
        if ahead.max(behind) > self.options.skew_max {
            self.setbacks += 1;
            self.hold(Alarm::Skew(if ahead > behind { ahead.0.cast_signed() } else { -behind.0.cast_signed() }));
            return;
        }
        self.phase = Phase::Owning;
        self.fresh = false;
        self.actions.push_back(Action::Begin);
    }

    // Writing

    /// One of our appends landed.
    fn landed(&mut self, token: Token, offset: u64, appended: Timestamp) {
        let Some((first, step, record)) = self.pending.front() else { return };
        if *first != token {
            if self.is_pending(token) {
                self.recover(Why::Unknown);
            }
            return;
        }
        let next = self.fold.next();
        if offset < next {
            self.shrunk(offset);
            return;
        }
        let (step, record) = (Arc::clone(step), Arc::clone(record));
        if offset != next || self.fold.read(offset, appended, &record) != Ok(Verdict::Accepted) {
            self.recover(Why::NotNext);
            return;
        }
        self.pending.pop_front();
        self.setbacks /= 2;
        self.actions.push_back(Action::Accepted(step));
        self.release_when_empty();
    }

    fn release_when_empty(&mut self) {
        if self.phase == (Phase::Releasing { token: None }) && self.pending.is_empty() {
            let token = self.send(Arc::new(self.record(RecordBody::Release)));
            self.phase = Phase::Releasing { token: Some(token) };
        }
    }

    /// The release is written, or nobody knows: the group's word stands either way.
    fn released(&mut self) {
        self.follow();
        if self.assigned {
            self.come_back();
        }
    }

    fn awaits_report(&self) -> bool {
        !self.pending.is_empty()
            || matches!(self.phase, Phase::Claiming { landed: None, .. } | Phase::Releasing { token: Some(_) })
    }

    /// Whoever drives has not kept its promise, or will not be able to.
    fn unreported(&mut self) {
        match self.phase {
            Phase::Claiming { .. } => self.set_back(),
            Phase::Releasing { token: Some(_) } => self.released(),
            _ => self.recover(Why::Unknown),
        }
    }

    fn is_pending(&self, token: Token) -> bool {
        self.pending.iter().any(|(pending, ..)| *pending == token)
    }

    /// What a step's sweep must leave out: the step changes it, or one under way has changed or swept it.
    fn held_back(&self, step: &Step) -> BTreeSet<SmolStr> {
        let pending = self.pending.iter().flat_map(|(_, step, record)| step.documents.iter().chain(&record.swept));
        pending.chain(&step.documents).map(|document| document.key.clone()).collect()
    }

    fn send(&mut self, record: Arc<Record>) -> Token {
        if !self.awaits_report() {
            self.answered = self.now;
        }
        let token = self.next_token();
        self.actions.push_back(Action::Append { token, record });
        token
    }

    fn record(&self, body: RecordBody) -> Record {
        Record {
            epoch: self.fold.stand().epoch,
            owner: self.name.clone(),
            shards: self.fold.shards(),
            low: self.fold.low(),
            after: self.fold.stand().step,
            emitted: self.fold.last_emitted(),
            swept: Vec::new(),
            body,
        }
    }

    // Setbacks

    /// The one way back from anything odd.
    fn recover(&mut self, why: Why) {
        self.stop(why);
        if self.assigned {
            self.let_go();
            self.come_back();
            self.setbacks += 1;
        } else {
            self.leave();
        }
    }

    /// A claim came to nothing, or another owner stands: we rest, and look on.
    fn set_back(&mut self) {
        self.actions.retain(|action| !matches!(action, Action::Append { .. }));
        self.setbacks += 1;
        if self.assigned {
            self.rest();
        } else {
            self.leave();
        }
    }

    /// At once the first time, after a rest if things went wrong before.
    fn come_back(&mut self) {
        if self.setbacks == 0 {
            self.catch_up();
        } else {
            self.rest();
        }
    }

    fn catch_up(&mut self) {
        self.phase = Phase::CatchingUp;
        self.read_on();
    }

    fn rest(&mut self) {
        let full = self.options.rest_min.0 << self.setbacks.saturating_sub(1).min(16);
        let half = full.min(self.options.rest_max.0).max(2) / 2;
        let span = Millis(half + self.next_chance() % half);
        self.phase = Phase::Resting { since: self.now, span };
        self.news = self.now;
        self.looked = self.now;
    }

    /// The shard is not ours any more; if a claim of ours stands, that is written, or whoever comes next takes us for alive.
    fn leave(&mut self) {
        if self.fold.stand().owner == self.name {
            self.phase = Phase::Releasing { token: None };
            self.release_when_empty();
        } else {
            self.follow();
        }
    }

    fn follow(&mut self) {
        self.phase = Phase::Following;
        self.let_go();
    }

    /// Answers a revocation, if there was one.
    fn let_go(&mut self) {
        if std::mem::take(&mut self.revoked) {
            self.actions.push_back(Action::Released);
        }
    }

    /// Lets go of whatever runs, and of what was not yet sent.
    fn stop(&mut self, why: Why) {
        self.pending.clear();
        self.reading = None;
        self.actions.retain(|a| !matches!(a, Action::Append { .. } | Action::Begin | Action::Read { .. }));
        if matches!(self.phase, Phase::Owning | Phase::Releasing { .. }) {
            self.actions.push_back(Action::Drop(why));
        }
    }

    // Holding

    fn shrunk(&mut self, end: u64) {
        let read = match self.phase {
            Phase::Claiming { landed: Some((offset, _)), .. } => self.fold.next().max(offset + 1),
            _ => self.fold.next(),
        };
        self.hold(Alarm::Shrunk { end, read, known: self.highest_known() });
    }

    fn highest_known(&self) -> u64 {
        self.known.max(self.fold.highest_told())
    }

    fn hold(&mut self, alarm: Alarm) {
        self.stop(Why::Alarm);
        self.known = self.highest_known();
        self.sought = self.fold.low().offset;
        self.stands = false;
        self.unrestorable = false;
        self.short = 0;
        self.looked = self.now;
        self.phase = Phase::Held(alarm.clone());
        self.actions.push_back(Action::Hold(alarm));
        self.let_go();
    }

    /// An acceptance ends a hold if it covers all that we know of: whoever accepted cannot have known less.
    fn look_for_acceptance(&mut self, record: &Record) {
        if let RecordBody::Acceptance { beyond, .. } = &record.body
            && beyond.step >= self.known
        {
            self.known = 0;
            self.reading = None;
            self.phase = Phase::Restoring;
            self.want_restore();
        }
    }

    /// A log that only seemed short is whole when what we read last stands where it stood, and all we know of can be there.
    /// Where that was trimmed away meanwhile, a new fold tells.
    fn looked_while_held(&mut self, first: u64, end: u64) {
        self.sought = end;
        let seemed = matches!(self.phase, Phase::Held(Alarm::Shrunk { .. }));
        let stands = self.stands || self.fold.last().is_none();
        let next = self.fold.next();
        if seemed && stands && (end > next || (end == next && self.fold.stand().step >= self.known)) {
            self.resume();
        } else if seemed && self.fold.last().is_some_and(|last| first > last) {
            self.restore();
        }
    }

    fn restore(&mut self) {
        self.stop(Why::Disturbed);
        self.let_go();
        self.known = self.highest_known();
        self.phase = Phase::Restoring;
        self.want_restore();
    }

    fn want_restore(&mut self) {
        self.restoring = true;
        self.actions.push_back(Action::Restore);
    }

    /// What was in the way is gone.
    fn resume(&mut self) {
        self.phase = Phase::Following;
        if self.assigned {
            self.come_back();
        }
    }

    // Time and chance

    /// Whether the span is over. A clock that was set back ends every span: better a look too many than none for an hour.
    fn is_over(&self, since: Timestamp, span: Millis) -> bool {
        self.now < since || self.now.since(since) >= span
    }

    fn silence(&self, span: Millis) -> Millis {
        Millis(span.0 << self.setbacks.saturating_sub(1).min(SILENCE_DOUBLINGS_MAX))
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
