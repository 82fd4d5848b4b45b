//! A shard on Kafka: one thread that owns the running state of its command areas while the log says that it may.
//!
//! ```text
//!        ┌────────────────────────────────────────────────────────────────────────────────────┐
//!   mail ──► hear ──► carry out what the owner says ──► work: step what waits and what is due ──┘
//!   (inputs, reports of     (read the log, append,            (bottom line first; bounded; one record
//!    appends, the group)     begin, accepted, drop)            a step; several under way)
//! ```
//! The protocol is [`Owner`]'s; this loop lends it a log, a clock and inputs. The running state (`Areas`, `Inbox`) exists
//! between the actions `Begin` and `Drop` and runs ahead of the log by the steps under way; nothing of them is told to
//! anybody before `Accepted`. What is dropped is made anew from the fold, and its inputs are read again.
//!
//! `parts`: what it is made of. `running`: the state, and how a step is cut. `carrying`: what the owner says is carried out.
//! `reading`: the log.
//!
//! Invariants: `at` never goes back. A receipt is never after the `at` at which it is stepped. What fell due while nobody owned
//! the shard fires once, marked late. A step that changed nothing and that nobody waits for rides with the next one.

#![expect(clippy::disallowed_methods, reason = "a batch is bounded, and a stall is seen, in real time")]

mod carrying;
mod parts;
mod reading;
mod running;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, warn};

use self::reading::Slice;
use self::running::Running;
use super::heads::Head;
use super::inbox::{Door, Message};
use super::logreader::LogReader;
use super::mailbox::{Generation, Mail};
use super::trouble::Seldom;
use super::underway::{Bounds, Underway};
use super::writer::Writer;
use crate::journal::log::{Owner, Phase};

pub use self::parts::{Depth, Folds, Parts, ShardOptions, Watch};

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
    /// When the brokers last kept a step of ours, or gave us an input.
    heard: Instant,
    phase: Phase,
}

/// When the head is said next.
#[derive(Clone, Copy, Debug)]
struct Saying {
    /// Something was accepted since.
    due: bool,
    said: Instant,
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
            heard: Instant::now(),
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
                self.heard = Instant::now();
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

    // Deciding

    /// Nobody decides in the dark: while nothing is kept, a mark that fell due would be stepped in time, and its orders
    /// leave long after.
    fn may_work(&self) -> bool {
        let options = &self.parts.options;
        let emission_keeps_up = self.owner.fold().owed() < options.unemitted_max;
        let is_kept = self.underway.waits().is_none_or(|waited| waited < options.unkept_max);
        let may_append = self.running.is_some() && self.owner.may_append();
        let is_heard = || self.heard.elapsed() < options.unkept_max || !self.parts.folds.brokers_silent();
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
