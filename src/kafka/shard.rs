//! A shard on Kafka: one thread that owns the running state of its command areas while the log says that it may.
//!
//! ```text
//!        ┌────────────────────────────────────────────────────────────────────────────────────┐
//!   mail ──► hear ──► carry out what the owner says ──► work: step what waits and what is due ──┘
//!   (inputs, reports of     (read the log, append,            (bottom line first; bounded; one record
//!    appends, the group)     begin, accepted, drop)            a step; several under way)
//! ```
//! The protocol is [`Owner`]'s; this loop lends it a log, a clock and inputs. The running state ([`Areas`], [`Inbox`])
//! exists between [`Action::Begin`] and [`Action::Drop`] and runs ahead of the log by the steps under way; nothing of
//! them is told to anybody before [`Action::Accepted`]. What is dropped is made anew from the fold, and its inputs are
//! read again.
//!
//! Invariants: `at` never goes back. A receipt is never after the `at` at which it is stepped. What fell due while nobody owned
//! the shard fires once, marked late. A step that changed nothing and that nobody waits for rides with the next one.

#![expect(clippy::disallowed_methods, reason = "a batch is bounded, and a stall is seen, in real time")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::answers::Told;
use super::areas::{Areas, Playbooks};
use super::clients::Clients;
use super::heads::Head;
use super::inbox::{Content, Door, Inbox, InboxBounds, Message};
use super::inputs::Inputs;
use super::logreader::LogReader;
use super::mailbox::{Generation, Mail, Mailbox};
use super::outputs::Emitter;
use super::partition::partition_of;
use super::trim::Trimmer;
use super::trouble::{Seldom, Trouble};
use super::underway::{Bounds, TooLarge, Underway};
use super::writer::Writer;
use crate::engine::{Answer, Effect, Outage};
use crate::journal::log::{
    Action, Alarm, Fold, Malformed, Owner, OwnerOptions, Phase, Record, RecordBody, Stand, Token,
};
use crate::journal::{Consumed, Refused, Step, Taken};
use crate::model::{Body, CommandArea, Millis, Timestamp};
use crate::runtime::Clock;

/// The loop looks around at least so often.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// While the log is read the loop comes round at once.
const AT_ONCE: Duration = Duration::ZERO;
/// The head is said at most so often.
const HEAD_EVERY: Duration = Duration::from_secs(1);
/// An append that takes longer is told.
const SLOW_AFTER: Duration = Duration::from_secs(5);
/// Troubles of one kind are told at most so often.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// Bounds of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardOptions {
    /// Of the protocol.
    pub owner: OwnerOptions,
    /// Of what waits.
    pub inbox: InboxBounds,
    /// Inputs of one step.
    pub inputs_max: usize,
    /// Effects after which a step takes no further input.
    pub effects_max: usize,
    /// Bytes of input after which a step takes no further input.
    pub bytes_max: usize,
    /// Bytes of a step's record, which the journal's topic and its producer must take. A step that comes out larger is decided
    /// again in smaller ones.
    pub record_bytes_max: usize,
    /// Real time after which a step takes no further input.
    pub span_max: Duration,
    /// Steps whose effects have not left the house; beyond it nothing is taken in.
    pub unemitted_max: usize,
    /// What need not be written by itself is written after so long.
    pub idle_write: Duration,
    /// An append that was not kept for so long: nothing further is decided until it is. What fell due meanwhile is late
    /// through our own outage, for nothing of it could have left the house.
    pub unkept_max: Duration,
    /// A gap in which nobody owned the shard, at least so long, is an outage.
    pub outage_min: Millis,
}

impl Default for ShardOptions {
    fn default() -> Self {
        Self {
            owner: OwnerOptions::default(),
            inbox: InboxBounds { messages: 10_000, bytes: 64 * 1024 * 1024, reserve_percent: 20, ahead: 4_096 },
            inputs_max: 128,
            effects_max: 1_024,
            bytes_max: 128 * 1024,
            record_bytes_max: 900_000,
            span_max: Duration::from_millis(5),
            unemitted_max: 2_000,
            idle_write: Duration::from_secs(1),
            unkept_max: Duration::from_secs(2),
            outage_min: Millis(1_000),
        }
    }
}

/// Hears what a shard does: the node shows it, counts it, and answers who waits.
pub trait Watch: Send + Sync {
    /// It came to this phase.
    fn phase(&self, shard: u32, phase: &Phase, stand: &Stand);
    /// A step was accepted, so long after it was appended.
    fn accepted(&self, shard: u32, step: &Arc<Step>, spent: Duration);
    /// The running state was dropped, for this reason.
    fn dropped(&self, shard: u32, why: &'static str);
    /// How full it is: messages that wait (bottom line, ordinary), bytes, steps under way, steps not emitted.
    fn depth(&self, shard: u32, depth: Depth);
    /// Something fell due and was stepped so much later.
    fn fired(&self, shard: u32, late: Millis);
    /// A message of another shard was handed over.
    fn forwarded(&self, shard: u32);
    /// A record of so many bytes was written.
    fn wrote(&self, _shard: u32, _bytes: usize) {}
    /// Something failed at the brokers and is tried again: an `append`, an `output`, an `input`, the journal's `read` or its
    /// `trim`; for this reason.
    fn failed(&self, _what: &'static str, _why: &'static str) {}
    /// The journal was trimmed: it begins there now, so many records were deleted.
    fn trimmed(&self, _shard: u32, _first: u64, _records: u64) {}
}

/// How full a shard is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Waiting, bottom line.
    pub bottom_line: usize,
    /// Waiting, ordinary.
    pub ordinary: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Steps under way.
    pub in_flight: usize,
    /// Accepted steps whose effects have not left.
    pub unemitted: usize,
}

/// What a shard is made of.
pub struct Parts {
    /// Which.
    pub shard: u32,
    /// Of how many.
    pub shards: u32,
    /// Bounds.
    pub options: ShardOptions,
    /// The playbooks of this node.
    pub playbooks: Arc<Playbooks>,
    /// Clients of the brokers.
    pub clients: Arc<Clients>,
    /// What time it is.
    pub clock: Clock,
    /// Its mail.
    pub mailbox: Arc<Mailbox>,
    /// The thread that reads its inputs.
    pub inputs: Inputs,
    /// The way out.
    pub emitter: Emitter,
    /// Who hears of it.
    pub watch: Arc<dyn Watch>,
    /// Who waits for answers.
    pub told: Arc<dyn Told>,
    /// Trims the journals that are ours.
    pub trimmer: Trimmer,
    /// Makes a fold to begin from: from a warm copy, or from the log.
    pub folds: Arc<dyn Folds>,
}

/// Where folds come from.
pub trait Folds: Send + Sync {
    /// A fold of this shard's journal to go on reading from, or why the log gives none.
    ///
    /// # Errors
    /// When the brokers cannot be asked.
    fn fold(&self, shard: u32) -> Result<Result<Fold, Alarm>, String>;

    /// The last step that is known, from outside the journal, to have been accepted.
    fn known(&self, shard: u32) -> u64;

    /// Whether brokers have answered lately, where somebody asks them all the time.
    fn brokers_answer(&self) -> bool {
        true
    }
}

/// A shard.
pub struct Shard {
    parts: Parts,
    owner: Owner,
    writer: Writer,
    reader: LogReader,
    reading: Option<Slice>,
    running: Option<Running>,
    generation: Generation,
    /// Assigned by nobody but ourselves, because nobody owned the shard.
    borrowed: bool,
    stopping: bool,
    ended: bool,
    underway: Underway,
    /// An append that takes long is told once.
    slow: Seldom,
    unreadable: Seldom,
    /// A new fold could not be made yet.
    restoring: bool,
    head: Saying,
    /// When the brokers last kept a step of ours.
    kept: Instant,
    phase: Phase,
}

/// When the head is said next.
#[derive(Clone, Copy, Debug)]
struct Saying {
    /// Something was accepted since.
    due: bool,
    said: Instant,
}

/// A reading of the log that is under way.
#[derive(Clone, Copy, Debug)]
struct Slice {
    ticket: Token,
    next: u64,
    bounds: Option<(u64, u64)>,
}

/// The running state.
struct Running {
    areas: Areas,
    inbox: Inbox,
    at: Timestamp,
    batch: Batch,
    written: Instant,
    seen: Timestamp,
    excused: Timestamp,
    swapped: bool,
    more_due: bool,
    opened: usize,
}

/// What one step has come to so far.
#[derive(Default)]
struct Batch {
    effects: Vec<Effect>,
    taken: Vec<Taken>,
    refused: Vec<Refused>,
    outage: Option<Outage>,
    bytes: usize,
    /// Somebody waits for it, or it decided something.
    matters: bool,
}

impl Shard {
    /// A shard that owns nothing yet. `owner` is new.
    #[must_use]
    pub fn new(parts: Parts, owner: Owner) -> Self {
        let (clients, mailbox, shard) = (Arc::clone(&parts.clients), Arc::clone(&parts.mailbox), parts.shard);
        let options = parts.options.clone();
        let writer = Writer::new(Arc::clone(&clients), mailbox, shard);
        let reader = LogReader::new(clients, shard);
        Self {
            parts,
            owner,
            writer,
            reader,
            reading: None,
            running: None,
            generation: 0,
            borrowed: false,
            stopping: false,
            ended: false,
            underway: Underway::new(Bounds { inputs_max: options.inputs_max, effects_max: options.effects_max }),
            slow: Seldom::new(TOLD_EVERY),
            unreadable: Seldom::new(TOLD_EVERY),
            restoring: false,
            head: Saying { due: false, said: Instant::now() },
            kept: Instant::now(),
            phase: Phase::Following,
        }
    }

    /// Works until it is told to stop and has released the shard.
    pub fn run(mut self) {
        while !self.ended {
            for mail in self.parts.mailbox.wait(self.rest()) {
                self.hear(mail);
            }
            self.owner.tick(self.parts.clock.now());
            self.carry_out();
            if self.restoring {
                self.restore();
            }
            self.read_on();
            self.carry_out();
            self.work();
            self.carry_out();
            self.tell();
        }
        self.writer.give_up();
    }

    /// How long nothing needs to be done here unless mail comes.
    fn rest(&self) -> Duration {
        let Some(running) = &self.running else {
            return if self.reading.is_some() { AT_ONCE } else { LOOK_EVERY };
        };
        if self.reading.is_some() {
            return AT_ONCE;
        }
        let can_work = self.may_work();
        if can_work && (running.more_due || !running.inbox.is_empty()) {
            return AT_ONCE;
        }
        let due = running.areas.next_due().map(|due| due.since(self.parts.clock.now()));
        match due {
            Some(due) if can_work && !running.inbox.is_behind() => Duration::from_millis(due.0).min(LOOK_EVERY),
            _ => LOOK_EVERY,
        }
    }

    // In

    fn hear(&mut self, mail: Mail) {
        match mail {
            Mail::Assign => {
                self.borrowed = false;
                if !self.stopping {
                    self.owner.assign();
                }
            }
            Mail::Revoke => self.owner.revoke(),
            Mail::Stop => {
                self.stopping = true;
                self.owner.revoke();
            }
            Mail::Free => {
                if !self.stopping && !self.owner.is_assigned() {
                    self.borrowed = true;
                    self.owner.assign();
                }
            }
            Mail::Emitted(number) => {
                self.owner.emitted(number);
            }
            Mail::Reported(token, landed) => self.owner.reported(token, landed),
            Mail::TooLarge(token, bytes) => self.too_large(token, bytes),
            Mail::Failed(why) => self.parts.watch.failed("append", why),
            Mail::Disturbed(why) => {
                warn!(shard = self.parts.shard, why, "kafka.disturbed");
                self.owner.disturbed();
            }
            Mail::Opened(generation, door, first, end) if generation == self.generation => {
                if let Some(running) = &mut self.running {
                    running.inbox.opened(door, first, end);
                    running.opened += 1;
                }
            }
            Mail::Cut(generation, door, from) if generation == self.generation => {
                self.running.iter_mut().for_each(|running| running.inbox.cut(door, from));
            }
            Mail::Messages(generation, door, messages, next) if generation == self.generation => {
                if let Some(running) = &mut self.running {
                    running.take_in(door, messages, next);
                    self.parts.mailbox.shut(running.inbox.is_full());
                }
            }
            Mail::Ahead(generation, messages) if generation == self.generation => {
                if let Some(running) = &mut self.running {
                    let wanted = |m: &Message| running.inbox.wants_ahead(m.door, m.offset);
                    let messages: Vec<Message> = messages.into_iter().filter(wanted).collect();
                    for message in messages {
                        running.inbox.put_ahead(message);
                    }
                }
            }
            Mail::Scouting(generation) if generation == self.generation => {
                self.running.iter_mut().for_each(|running| running.inbox.scouting(true));
            }
            Mail::Scouted(generation) if generation == self.generation => {
                self.running.iter_mut().for_each(|running| running.inbox.scouting(false));
            }
            Mail::Lost(generation, door, position) if generation == self.generation => {
                self.input_lost(door, position);
            }
            Mail::Opened(..)
            | Mail::Messages(..)
            | Mail::Cut(..)
            | Mail::Ahead(..)
            | Mail::Scouting(_)
            | Mail::Scouted(_)
            | Mail::Lost(..) => {}
        }
        self.carry_out();
    }

    /// An input begins above where it was decided to: what lay between was never seen.
    fn input_lost(&mut self, door: Door, position: u64) {
        error!(
            shard = self.parts.shard,
            door = door.as_str(),
            position,
            "kafka.input_lost: what comes after is not there"
        );
        self.owner.input_lost(door.as_str(), position);
    }

    // The owner's word

    fn carry_out(&mut self) {
        while let Some(action) = self.owner.poll() {
            match action {
                Action::Read { ticket, from } => self.reading = Some(Slice { ticket, next: from, bounds: None }),
                Action::Append { token, record } => self.append(token, &record),
                Action::Begin => self.begin(),
                Action::Accepted(step) => self.accepted(&step),
                Action::Drop(why) => {
                    warn!(shard = self.parts.shard, why = why.as_str(), "kafka.dropped: the state is made anew");
                    self.parts.watch.dropped(self.parts.shard, why.as_str());
                    self.stop_running();
                    self.writer.give_up();
                }
                Action::Hold(alarm) => {
                    error!(shard = self.parts.shard, %alarm, "kafka.held: nothing is decided here");
                    self.stop_running();
                }
                Action::Restore => self.restore(),
                Action::Released => {
                    info!(shard = self.parts.shard, "kafka.released");
                    self.say_head();
                    self.stop_running();
                    self.ended = self.stopping;
                }
            }
        }
    }

    fn append(&mut self, token: Token, record: &Arc<Record>) {
        let bytes = record.encode();
        self.underway.sent(token, record);
        self.parts.watch.wrote(self.parts.shard, bytes.len());
        if matches!(record.body, RecordBody::Step(_)) && bytes.len() > self.parts.options.record_bytes_max {
            self.too_large(token, bytes.len());
        } else {
            self.writer.append(token, &bytes);
        }
    }

    /// The journal does not take a record: the same again in smaller steps, or a person has to look.
    fn too_large(&mut self, token: Token, bytes: usize) {
        let shard = self.parts.shard;
        match self.underway.too_large(token) {
            None => {}
            Some(TooLarge::Split(bounds)) => {
                warn!(
                    shard,
                    bytes,
                    inputs_max = bounds.inputs_max,
                    "kafka.step_too_large: the same again in smaller steps"
                );
                self.owner.disturbed();
            }
            Some(TooLarge::Alone(of)) => {
                error!(shard, bytes, of, "kafka.input_too_large: it cannot be split");
                self.owner.unfit(format!(
                    "{of} makes a record of {bytes} bytes, which the journal does not take; raise record_bytes_max \
                     in [kafka] and max.message.bytes of the journal's topic, then start this node again"
                ));
                // In any other phase than its own it is none of the owner's business any more.
                self.owner.disturbed();
            }
        }
    }

    fn stop_running(&mut self) {
        self.running = None;
        self.underway.clear();
        self.parts.trimmer.disowned(self.parts.shard);
        self.generation += 1;
        self.parts.inputs.close();
        self.parts.mailbox.shut(false);
    }

    fn restore(&mut self) {
        self.owner.knows(self.parts.folds.known(self.parts.shard));
        let made = self.parts.folds.fold(self.parts.shard);
        self.restoring = made.is_err();
        match made {
            Ok(fold) => self.owner.restored(fold),
            Err(error) => {
                if self.unreadable.now().is_some() {
                    warn!(shard = self.parts.shard, error, "kafka.restore_failed: trying again");
                }
            }
        }
    }

    /// The shard is ours: the state from the fold, the inputs from its positions, what may not have left the house again.
    fn begin(&mut self) {
        let began = Instant::now();
        let (shard, shards) = (self.parts.shard, self.parts.shards);
        let mine = |area: &CommandArea| partition_of(area.as_str().as_bytes(), shards) == shard;
        let fold = self.owner.fold();
        let areas = match Areas::restore(&self.parts.playbooks, mine, fold.documents()) {
            Ok(areas) => areas,
            Err(why) => {
                self.owner.unfit(why.to_string());
                return;
            }
        };
        let inbox = Inbox::new(self.parts.options.inbox, fold.positions(), fold.ahead());
        let (at, alive, now) = (fold.stand().at, fold.alive(), self.parts.clock.now());
        let positions = Door::ALL.into_iter().filter_map(|d| Some((d, *fold.positions().get(d.as_str())?))).collect();
        let number = fold.stand().step;
        for step in fold.unemitted() {
            self.parts.emitter.emit(step, Vec::new());
        }
        let mut running = Running {
            areas,
            inbox,
            at,
            batch: Batch::default(),
            written: Instant::now(),
            seen: now,
            excused: Timestamp(0),
            swapped: false,
            more_due: false,
            opened: 0,
        };
        let due = running.areas.next_due().is_some_and(|due| due <= now);
        if number > 0 && (due || now.since(alive.max(at)) >= self.parts.options.outage_min) {
            running.outage(Outage { from: alive.max(at).min(now), to: now });
        }
        self.generation += 1;
        self.parts.inputs.open(self.generation, positions, at);
        self.running = Some(running);
        let (documents, bytes) = self.owner.fold().size();
        let took_ms = began.elapsed().as_millis();
        info!(
            shard,
            epoch = self.owner.fold().stand().epoch,
            step = number,
            documents,
            bytes,
            took_ms,
            "kafka.took_over"
        );
    }

    fn accepted(&mut self, step: &Arc<Step>) {
        let (spent, swept) = self.underway.accepted(step.number);
        self.head.due = true;
        self.kept = Instant::now();
        self.parts.emitter.emit(step, swept);
        self.parts.told.accepted(self.parts.shard, step);
        self.parts.watch.accepted(self.parts.shard, step, spent);
    }

    // Reading the log

    /// Reads a slice of the log, if the owner asked for it.
    fn read_on(&mut self) {
        let Some(mut slice) = self.reading.take() else { return };
        match self.slice(&mut slice) {
            Ok(true) => {
                let (first, end) = slice.bounds.unwrap_or_default();
                self.owner.reached(slice.ticket, first, end, self.parts.clock.now());
                if self.owner.phase() == &Phase::Owning {
                    self.reader.rest();
                }
            }
            // The owner may have asked for another reading meanwhile.
            Ok(false) => self.reading = self.reading.take().or(Some(slice)),
            Err(error) => {
                self.parts.watch.failed("read", Trouble::of(&error).as_str());
                if let Some(kept_back) = self.unreadable.now() {
                    warn!(%error, shard = self.parts.shard, kept_back, "kafka.journal_unreadable: trying again");
                }
                std::thread::sleep(Duration::from_millis(200));
                self.reading = Some(Slice { bounds: None, ..slice });
            }
        }
    }

    /// Whether the end has been reached.
    fn slice(&mut self, slice: &mut Slice) -> Result<bool, rdkafka::error::KafkaError> {
        let (first, end) = match slice.bounds {
            Some(bounds) => bounds,
            None => *slice.bounds.insert(self.reader.bounds()?),
        };
        slice.next = slice.next.max(first);
        if slice.next >= end {
            return Ok(true);
        }
        for stored in self.reader.read(slice.next, end)? {
            slice.next = stored.offset + 1;
            match Record::decode(&stored.bytes) {
                Ok(record) => self.owner.read(slice.ticket, stored.offset, stored.appended, &record),
                Err(why) => {
                    if matches!(why, Malformed::Foreign(_)) {
                        warn!(shard = self.parts.shard, offset = stored.offset, %why, "kafka.journal_foreign");
                    }
                    self.owner.malformed(slice.ticket, stored.offset, stored.appended, why);
                }
            }
        }
        Ok(slice.next >= end)
    }

    // Deciding

    /// Nobody decides in the dark: while nothing is kept, a mark that fell due would be stepped in time, and its orders
    /// leave long after.
    fn may_work(&self) -> bool {
        let options = &self.parts.options;
        let emission_keeps_up = self.owner.fold().owed() < options.unemitted_max;
        let is_kept = self.underway.waits().is_none_or(|waited| waited < options.unkept_max);
        let may_append = self.running.is_some() && self.owner.may_append();
        let is_heard = || self.kept.elapsed() < options.unkept_max || self.parts.folds.brokers_answer();
        may_append && emission_keeps_up && is_kept && is_heard()
    }

    /// Steps what waits and what is due, and appends it, while steps may be under way.
    fn work(&mut self) {
        while self.may_work() {
            let Some(running) = &mut self.running else { return };
            // Until all doors are open nobody knows what lies unread.
            if running.opened < Door::ALL.len() {
                return;
            }
            let (options, clock) = (&self.parts.options, &self.parts.clock);
            if let Some(late) = running.stalled(clock.now(), options.outage_min) {
                running.outage(late);
            }
            if !running.swapped && !running.inbox.is_behind() && !running.owes() {
                running.swap(&self.parts.playbooks);
            }
            running.step_batch(options, self.underway.bounds(), clock, self.parts.watch.as_ref(), self.parts.shard);
            running.seen = clock.now();
            let Some(step) = running.cut(self.owner.next_step(), options.idle_write) else { return };
            let again = running.more_due || !running.inbox.is_empty();
            self.parts.mailbox.shut(running.inbox.is_full());
            self.owner.append(Arc::new(step));
            self.carry_out();
            if !again {
                return;
            }
        }
    }

    /// Says how far the journal has come, where anything came to it.
    fn say_head(&mut self) {
        if !std::mem::take(&mut self.head.due) {
            return;
        }
        self.head.said = Instant::now();
        let head = Head::of(self.parts.shard, self.owner.fold());
        self.parts.trimmer.owned(self.parts.shard, head.low.offset);
        self.parts.emitter.head(head);
    }

    /// Says where we are, when that has changed.
    fn tell(&mut self) {
        if self.head.said.elapsed() >= HEAD_EVERY {
            self.say_head();
        }
        if let Some(waited) = self.underway.waits().filter(|waited| *waited >= SLOW_AFTER) {
            let waited_ms = waited.as_millis();
            if self.slow.now().is_some() {
                let in_flight = self.owner.in_flight();
                warn!(
                    shard = self.parts.shard,
                    waited_ms, in_flight, "kafka.append_waits: nothing leaves before it is kept"
                );
            }
        }
        if *self.owner.phase() != self.phase {
            self.phase = self.owner.phase().clone();
            self.parts.watch.phase(self.parts.shard, &self.phase, self.owner.fold().stand());
            if self.borrowed && matches!(self.phase, Phase::Resting { .. }) {
                // Another was first; the group will say whose it is.
                self.stopping = true;
                self.owner.revoke();
                self.carry_out();
            }
        }
        if let Some(running) = &self.running {
            let (bottom_line, ordinary, bytes) = running.inbox.depth();
            let unemitted = self.owner.fold().owed();
            let depth = Depth { bottom_line, ordinary, bytes, in_flight: self.owner.in_flight(), unemitted };
            self.parts.watch.depth(self.parts.shard, depth);
        }
    }
}

impl Running {
    fn take_in(&mut self, door: Door, messages: Vec<Message>, next: u64) {
        for message in messages {
            match message.content {
                Content::Again(..) => self.inbox.put_again(message),
                _ if self.inbox.wants(door, message.offset) => self.inbox.put(message),
                _ => self.inbox.pass(door, message.offset + 1),
            }
        }
        self.inbox.pass(door, next);
    }

    /// Says that nobody was here, before anything that fell due meanwhile is fired.
    fn outage(&mut self, outage: Outage) {
        self.excused = outage.to;
        self.areas.outage(self.at, outage, &mut self.batch.effects);
        self.batch.outage = Some(outage);
        self.batch.matters = true;
    }

    /// The time since we last looked, when something fell due in it so long ago that we were not there.
    fn stalled(&self, now: Timestamp, least: Millis) -> Option<Outage> {
        let due = self.areas.next_due()?;
        let is_late = due <= now && now.since(due) >= least && due > self.excused && now.since(self.seen) >= least;
        is_late.then(|| Outage { from: self.seen.min(due), to: now })
    }

    /// Whether something is left to do, or due and not fired: another playbook comes after it.
    fn owes(&self) -> bool {
        self.areas.next_due().is_some_and(|due| due <= self.at)
    }

    fn swap(&mut self, playbooks: &Playbooks) {
        self.swapped = true;
        for area in self.areas.swap(self.at, playbooks, &mut self.batch.effects) {
            info!(%area, "kafka.playbook_swapped");
            self.batch.matters = true;
        }
    }

    /// Fires what is due and steps what waits, at most a batch.
    fn step_batch(&mut self, options: &ShardOptions, bounds: Bounds, clock: &Clock, watch: &dyn Watch, shard: u32) {
        let over = Instant::now() + options.span_max;
        let mut lane = None;
        loop {
            let now = clock.now();
            self.at = self.at.max(self.inbox.until(self.at, now));
            if let Some(due) = self.areas.next_due().filter(|due| *due <= self.at) {
                watch.fired(shard, now.since(due));
            }
            self.more_due = !self.areas.advance(self.at, bounds.effects_max, &mut self.batch.effects);
            if self.more_due || self.batch.effects.len() >= bounds.effects_max {
                return;
            }
            let Some((message, of)) = self.inbox.pop(lane) else { return };
            lane = Some(of);
            self.step(message, watch, shard);
            let full = self.batch.taken.len() + self.batch.refused.len() >= bounds.inputs_max
                || self.batch.effects.len() >= bounds.effects_max
                || self.batch.bytes >= options.bytes_max;
            if full || Instant::now() >= over {
                return;
            }
        }
    }

    fn step(&mut self, message: Message, watch: &dyn Watch, shard: u32) {
        let Message { door, offset, received, bytes, wants_answer, content } = message;
        self.batch.bytes += bytes;
        let answer = match content {
            Content::Event(area, mut event, verdict) => {
                event.received = received.min(self.at);
                let is_position = matches!(event.body, Body::Position(_));
                let known = self.areas.step(&area, self.at, *event, verdict.map(|v| *v), &mut self.batch.effects);
                self.batch.matters |= !is_position;
                known.filter(|_| wants_answer && !is_position)
            }
            Content::Again(area, event) => {
                let mut unsaid = Vec::new();
                self.areas.step(&area, self.at, *event, None, &mut unsaid);
                return;
            }
            Content::Foreign(area, event) => {
                watch.forwarded(shard);
                self.batch.effects.push(Effect::Forward(area, event));
                self.batch.matters = true;
                wants_answer.then(|| Answer::applied(None))
            }
            Content::Refused(refused) => {
                self.batch.refused.push(refused);
                self.batch.matters = true;
                None
            }
        };
        self.batch.taken.push(Taken { door: door.as_str().into(), offset, at: self.at, answer });
        self.inbox.decided(door, offset);
    }

    /// Makes the batch a step, if there is anything to write.
    fn cut(&mut self, number: u64, idle_write: Duration) -> Option<Step> {
        let documents = self.areas.take_changed();
        let batch = &self.batch;
        let matters = batch.matters || !documents.is_empty() || !batch.effects.is_empty();
        let rides = !batch.taken.is_empty() && self.written.elapsed() >= idle_write;
        if !matters && !rides {
            return None;
        }
        let Batch { effects, taken, refused, outage, .. } = std::mem::take(&mut self.batch);
        self.written = Instant::now();
        let consumed = Consumed { ahead: self.inbox.ahead(), outage, taken, refused };
        Some(Step { number, at: self.at, positions: self.inbox.positions(), documents, effects, consumed })
    }
}
