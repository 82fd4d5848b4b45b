//! The shard: one thread that owns one command area's engine and its journal.
//!
//! ```text
//!            ┌───────────────────────────────────────────────────────────────┐
//!   wait ──► look around ──► step what waits and what is due ──► commit ────►┘
//!   (work,    (clock set?     (bottom line first; bounded by      (journal accepts; only then: tell the
//!    due,      stalled?        inputs, effects and real time)      subscribers, answer who waits)
//!    bell)     emitted?)
//! ```
//! Invariants:
//! * Nothing leaves before the step that holds it is accepted: no answer, no effect.
//! * `at` never goes back: it is the later of the clock and the last `at`. A receipt is never after its `at`.
//! * A step that changed nothing and says nothing (a post's position) is not written; its answer waits for nobody.
//! * An error of the journal ends the shard. Who waits is told that it is not known what was kept.
//! * Deadlines and inputs are merged by time of receipt as far as it matters: an act received by its mark, its very instant
//!   included, keeps it, also when it had to wait; one received after it comes too late, also when nobody had looked.

#![expect(clippy::disallowed_methods, reason = "a batch is bounded, and a stall is seen, in real time")]

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::clock::{self, Wait};
use super::handle::{Phase, Shared, Work};
use super::observer::Observer;
use super::pace::Pace;
use crate::engine::{Answer, Effect, Engine, Input, Outage};
use crate::journal::{Error, Journal, Step};
use crate::model::{Lane, Millis, Timestamp};

/// What time is counted in: an instant is over when the next one begins.
const INSTANT: Millis = Millis(1);

/// The loop looks around at least so often, in real time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Shard {
    engine: Engine,
    journal: Box<dyn Journal>,
    pub shared: Arc<Shared>,
    observer: Arc<dyn Observer>,
    /// Nobody delivers: effects count as emitted once accepted.
    undelivered: bool,
    batch: Batch,
    /// An input taken from the queue, before which more has fallen due than one step may fire.
    held: Option<Work>,
    /// Number and instant of the last accepted step.
    number: u64,
    at: Timestamp,
    noted: Noted,
    pace: Pace,
}

/// How a round ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    /// More has fallen due than one step may fire.
    MoreDue,
    /// More waits than one step may take.
    MoreWork,
    /// Nothing is left to do.
    Settled,
}

/// What one step has come to so far.
#[derive(Default)]
struct Batch {
    inputs: usize,
    effects: Vec<Effect>,
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
}

/// What was last seen and told, and when.
struct Noted {
    looked: Instant,
    told: Instant,
    /// What was told last.
    emitted: u64,
    /// When the loop last came round, on our clock.
    seen: Timestamp,
    /// The end of the last outage: what fell due before is excused already.
    outage_to: Option<Timestamp>,
}

impl Shard {
    pub fn new(
        engine: Engine,
        journal: Box<dyn Journal>,
        shared: Arc<Shared>,
        observer: Arc<dyn Observer>,
        undelivered: bool,
        (number, at): (u64, Timestamp),
    ) -> Self {
        let emitted = shared.emitted.load(Ordering::Acquire);
        let (looked, seen) = (Instant::now(), shared.clock.now());
        let noted = Noted { looked, told: looked, emitted, seen, outage_to: None };
        let pace = Pace::new(shared.options.batch_inputs_max, Duration::from_millis(shared.options.append_span.0));
        let (batch, held) = (Batch::default(), None);
        Self { engine, journal, shared, observer, undelivered, batch, held, number, at, noted, pace }
    }

    /// Works until it is drained or the journal fails. `gap` is the time in which nobody was here.
    pub fn run(&mut self, gap: Option<Outage>) -> Result<(), Error> {
        match gap {
            Some(gap) => self.step_outage(gap)?,
            None if self.number == 0 => self.begin()?,
            None => {}
        }
        loop {
            self.shared.queue.wait(self.rest());
            self.look_around()?;
            let round = self.step_batch();
            self.commit()?;
            if round != Round::MoreDue {
                self.enter_ready();
            }
            if round == Round::Settled {
                self.tell_settled();
                // The queue is closed before the phase changes: what is empty now stays empty.
                if *self.shared.phase.borrow() == Phase::Draining && self.shared.queue.is_empty() {
                    return Ok(());
                }
            }
        }
    }

    /// The first instant of an engine that has seen nothing yet: from now on the hours of posts begin and end.
    fn begin(&mut self) -> Result<(), Error> {
        self.at = self.shared.clock.now();
        self.engine.advance(self.at, &mut self.batch.effects);
        self.commit()
    }

    /// How long nothing needs to be done: until something falls due, or it is time to look around.
    fn rest(&self) -> Wait {
        let due = self.fires_at().map_or(Wait::UntilMoved, |at| self.shared.clock.until(at));
        match due {
            Wait::None => Wait::None,
            _ if self.held.is_some() => Wait::None,
            // Nobody shall wait for us to look around only to hear that we are ready.
            _ if *self.shared.phase.borrow() == Phase::Restoring => Wait::None,
            Wait::For(span) => Wait::For(span.min(LOOK_EVERY)),
            Wait::UntilMoved => Wait::For(LOOK_EVERY),
        }
    }

    /// Fires what is due and steps what waits, in the order of receipt, at most a batch.
    fn step_batch(&mut self) -> Round {
        let (inputs_max, effects_max) = (self.pace.inputs(), self.shared.options.batch_effects_max);
        let over = Instant::now() + Duration::from_millis(self.shared.options.batch_span_max.0);
        let mut lane = None;
        loop {
            let (work, until) = self.next(lane);
            if !self.advance(until, over) {
                self.held = work;
                return Round::MoreDue;
            }
            let Some(work) = work else { break };
            lane = Some(work.lane);
            self.step(work);
            self.batch.inputs += 1;
            if self.batch.inputs >= inputs_max || self.batch.effects.len() >= effects_max || Instant::now() >= over {
                break;
            }
        }
        match () {
            () if self.engine.left_to_do() > 0 => Round::MoreDue,
            () if self.shared.queue.is_empty() => Round::Settled,
            () => Round::MoreWork,
        }
    }

    /// The next input, and the instant to which time may go before it is stepped.
    fn next(&mut self, lane: Option<Lane>) -> (Option<Work>, Timestamp) {
        let clock = &self.shared.clock;
        match self.held.take() {
            Some(work) if work.lane == Lane::BottomLine => {
                let until = work.received.map_or_else(|| clock.now(), |received| received.min(clock.now()));
                (Some(work), until)
            }
            Some(work) => (Some(work), self.at),
            None => self.shared.queue.pop(lane, || clock.now()),
        }
    }

    /// Lets time pass, as far as one batch goes. Whether everything due before `until` has been fired, and nothing is left of
    /// it. What falls due at that very instant waits until it is over: an act that is received at the limit is in time.
    fn advance(&mut self, until: Timestamp, over: Instant) -> bool {
        self.at = self.at.max(until);
        let passed = self.at - INSTANT;
        while self.fires_at().is_some_and(|at| at <= self.at) {
            let due = self.engine.next_due().unwrap_or(passed);
            self.observer.fired(self.shared.clock.now().since(due));
            if self.engine.advance(passed, &mut self.batch.effects) {
                break;
            }
            if self.batch.effects.len() >= self.shared.options.batch_effects_max || Instant::now() >= over {
                return false;
            }
        }
        true
    }

    /// When there is something to do though nobody sends anything: at once for what was left, else as soon as the instant at
    /// which the next falls due is over.
    fn fires_at(&self) -> Option<Timestamp> {
        let due = self.engine.next_due()?;
        Some(if self.engine.left_to_do() > 0 { due } else { due + INSTANT })
    }

    fn step(&mut self, work: Work) {
        let mut input = work.input;
        if let Input::Event(event, _) = &mut input {
            event.received = work.received.unwrap_or(event.received).min(self.at);
        }
        let answer = self.engine.step(self.at, input, &mut self.batch.effects);
        self.batch.answers.extend(work.reply.map(|reply| (reply, answer)));
    }

    /// Makes the batch a step, and acts on it once the journal has accepted it.
    fn commit(&mut self) -> Result<(), Error> {
        let documents = self.engine.take_changed();
        let effects = std::mem::take(&mut self.batch.effects);
        let inputs = std::mem::take(&mut self.batch.inputs);
        if !documents.is_empty() || !effects.is_empty() {
            let (number, positions) = (self.number + 1, BTreeMap::new());
            self.accept(
                Arc::new(Step { number, at: self.at, positions, documents, effects, ..Step::default() }),
                inputs,
            )?;
        }
        self.publish_playbook();
        for (reply, answer) in self.batch.answers.drain(..) {
            // Who has given up waiting is told nothing.
            let _ = reply.send(answer);
        }
        Ok(())
    }

    fn accept(&mut self, step: Arc<Step>, inputs: usize) -> Result<(), Error> {
        let begun = Instant::now();
        self.journal.append(std::slice::from_ref(&step))?;
        let spent = begun.elapsed();
        self.pace.appended(inputs, spent);
        self.observer.accepted(&step, spent);
        self.number = step.number;
        self.shared.accepted(step.number, step.at);
        if self.undelivered {
            self.shared.emitted.fetch_max(step.number, Ordering::AcqRel);
        }
        // Nobody may be listening.
        let _ = self.shared.steps.send(step);
        Ok(())
    }

    fn publish_playbook(&self) {
        let in_force = self.engine.playbook();
        if !Arc::ptr_eq(&self.shared.playbook.load(), in_force) {
            self.shared.playbook.store(Arc::clone(in_force));
        }
    }

    /// What has to be seen now and then: a stall of our own, a set clock, how far effects have left the house.
    fn look_around(&mut self) -> Result<(), Error> {
        if let Some(outage) = self.stalled() {
            self.step_outage(outage)?;
        }
        self.noted.seen = self.shared.clock.now();
        if self.noted.looked.elapsed() >= LOOK_EVERY {
            self.noted.looked = Instant::now();
            self.check_clock()?;
        }
        let every = Duration::from_millis(self.shared.options.emitted_every.0);
        if self.noted.told.elapsed() >= every { self.note() } else { Ok(()) }
    }

    /// A wall that was set is a notice; a machine that slept was away.
    fn check_clock(&mut self) -> Result<(), Error> {
        let Some(step) = self.shared.clock.check() else { return Ok(()) };
        self.observer.clock(step);
        match step {
            clock::Step::Set { by_ms } => {
                self.engine.step(self.at, Input::WallSet(by_ms), &mut self.batch.effects);
                self.commit()
            }
            clock::Step::Slept { by } => {
                let to = self.shared.clock.now();
                self.step_outage(Outage { from: to - by, to })
            }
        }
    }

    /// The time since we last looked, when something fell due in it so long ago that we were not there: the process was
    /// stopped, the machine slept, the journal hung. On a driven clock nobody is ever late.
    fn stalled(&self) -> Option<Outage> {
        let least = self.shared.clock.span(Duration::from_millis(self.shared.options.outage_min.0))?;
        let (due, now) = (self.engine.next_due()?, self.shared.clock.now());
        let excused = self.noted.outage_to.is_some_and(|to| due <= to);
        let is_late = due <= now && now.since(due) >= least && !excused;
        is_late.then(|| Outage { from: self.noted.seen.min(due), to: now })
    }

    /// Says that we were not there, before anything that fell due meanwhile is fired.
    fn step_outage(&mut self, outage: Outage) -> Result<(), Error> {
        self.observer.outage(outage);
        *self.shared.outage.lock().unwrap_or_else(PoisonError::into_inner) = Some(outage);
        self.noted.outage_to = Some(outage.to);
        self.engine.step(self.at, Input::Outage(outage), &mut self.batch.effects);
        self.commit()
    }

    /// Tells the journal how far effects have left the house and that we are alive, when there is something to tell.
    fn note(&mut self) -> Result<(), Error> {
        let emitted = self.shared.emitted.load(Ordering::Acquire).min(self.number);
        let idle = emitted == self.noted.emitted && self.noted.told.elapsed() < LOOK_EVERY;
        if idle {
            return Ok(());
        }
        self.noted = Noted { told: Instant::now(), emitted, ..self.noted };
        self.journal.note(emitted, self.shared.clock.now())
    }

    fn tell_settled(&mut self) {
        let due = self.fires_at();
        if due.is_some_and(|due| due <= self.shared.clock.now()) {
            return;
        }
        let waiting = std::mem::take(&mut *self.shared.settling.lock().unwrap_or_else(PoisonError::into_inner));
        for settled in waiting {
            let _ = settled.send(due);
        }
    }

    /// Notes how far effects have left the house, and leaves the journal in order.
    pub fn close(mut self) -> Result<(), Error> {
        self.noted.emitted = u64::MAX;
        self.note()?;
        self.journal.close()
    }

    /// At work, once what fell due while we were away has been fired.
    fn enter_ready(&self) {
        self.shared.phase.send_if_modified(|phase| {
            let restoring = *phase == Phase::Restoring;
            if restoring {
                *phase = Phase::Ready;
            }
            restoring
        });
    }
}

/// Ends the shard's phase however its thread ends, a panic included.
pub(super) struct Ending {
    shared: Arc<Shared>,
    observer: Arc<dyn Observer>,
    reason: Arc<str>,
    clean: bool,
}

impl Ending {
    pub fn of(shard: &Shard) -> Self {
        let reason = "the shard ended by a panic: a defect of Muster; what was accepted is kept".into();
        Self { shared: Arc::clone(&shard.shared), observer: Arc::clone(&shard.observer), reason, clean: false }
    }

    /// It ended by itself, so. Says it while who waits for an answer still waits, so that he is told why.
    pub fn tell(mut self, ended: &Result<(), Error>) {
        self.clean = ended.is_ok();
        self.reason = ended.as_ref().map_or_else(|e| e.to_string().into(), |()| "drained".into());
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let (reason, clean) = (Arc::clone(&self.reason), self.clean);
        self.observer.stopped(&reason, clean);
        self.shared.phase.send_replace(Phase::Stopped { reason, clean });
        self.shared.queue.close();
        // Their senders dropped, who waits is told that we stopped.
        self.shared.queue.clear();
        self.shared.settling.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
