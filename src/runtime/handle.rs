//! The door to the shard: cheap to clone, the same for every thread.
//!
//! In: [`Handle::submit`] and its kin put an input into the work queue at once and hand back an [`Answering`], which is
//! answered only after the step that holds the input has been accepted by the journal. Out: [`Handle::subscribe`] tells
//! of every accepted step, in order. Look: [`Handle::status`], [`Handle::playbook`], [`Handle::reader`].
//!
//! Who gives up waiting takes nothing back: the input is stepped all the same, and a repeat of it is known as one.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Serialize;
use tokio::sync::{broadcast, oneshot, watch};

use super::clock::Clock;
use super::options::RuntimeOptions;
use super::queue::{Bounds, Depth, Full, Item, Queue};
use crate::engine::{Answer, Input, Outage, Verdict};
use crate::journal::{self, Reader, Readers, Step};
use crate::model::{Body, Event, Lane, Millis, Timestamp};
use crate::playbook::Playbook;

/// Judges a report at the door, where its lane is needed, by the same pure code the engine uses.
pub type Sorter = Arc<dyn Fn(&Playbook, &Event) -> Option<Verdict> + Send + Sync>;

/// Why an input was not taken, or its answer cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Come again: the share of this lane is used up.
    #[error("too much is waiting; come again in {retry_after}")]
    Busy {
        /// In so long.
        retry_after: Millis,
    },
    /// Come again: whoever keeps events cannot be reached, or did not say in time that it has this one. It may have it all
    /// the same: submit it again under the same source and id.
    #[error("the brokers are away; come again in {retry_after}")]
    Away {
        /// In so long.
        retry_after: Millis,
    },
    /// This process will answer nothing more. What was submitted may or may not have been kept: submit it again
    /// elsewhere or later, under the same source and id.
    #[error("stopped: {reason}")]
    Stopped {
        /// Why.
        reason: Arc<str>,
    },
}

/// Where the shard is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "phase", rename_all = "kebab-case")]
pub enum Phase {
    /// Reads back what was accepted, and catches up with what fell due meanwhile. Inputs are queued.
    Restoring,
    /// At work.
    Ready,
    /// Takes nothing in any more, and finishes what waits.
    Draining,
    /// Ended.
    Stopped {
        /// Why.
        reason: Arc<str>,
        /// Whether it ended in order; else the process has to end with an error.
        clean: bool,
    },
}

/// What can be told about the shard without asking it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// Where it is in its life.
    #[serde(flatten)]
    pub phase: Phase,
    /// Waiting bottom-line inputs, and how many of all may wait.
    pub bottom_line: (usize, usize),
    /// Waiting ordinary inputs, and at how many in all they are refused.
    pub ordinary: (usize, usize),
    /// Bytes of what waits.
    pub queue_bytes: usize,
    /// The number of the last accepted step; 0 before the first.
    pub step: u64,
    /// Its instant.
    pub at: Timestamp,
    /// The last step whose effects have all left the house.
    pub emitted: u64,
    /// What time it is here.
    pub now: Timestamp,
    /// The last time in which we were not there.
    pub outage: Option<Outage>,
}

/// Why a drain did not end in order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DrainError {
    /// The time was over first. Nothing accepted is lost; what still waited has no answer.
    #[error("{waiting} inputs were still waiting when the time to drain was over")]
    Deadline {
        /// So many.
        waiting: usize,
    },
    /// The shard stopped by itself first.
    #[error("stopped before it was drained: {0}")]
    Stopped(Arc<str>),
}

/// The door to the shard.
#[derive(Clone)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
}

/// What the door and the shard have in common.
pub(super) struct Shared {
    pub options: RuntimeOptions,
    pub clock: Clock,
    pub sorter: Sorter,
    pub queue: Queue<Work>,
    pub phase: watch::Sender<Phase>,
    pub steps: broadcast::Sender<Arc<Step>>,
    pub playbook: ArcSwap<Playbook>,
    /// Number and instant of the last accepted step.
    pub last: Mutex<(u64, Timestamp)>,
    /// How far effects have left the house, as the deliverers say.
    pub emitted: AtomicU64,
    pub outage: Mutex<Option<Outage>>,
    /// Who waits until nothing is left to do.
    pub settling: Mutex<Vec<oneshot::Sender<Option<Timestamp>>>>,
    pub readers: Readers,
}

/// One input on its way to the shard.
pub(super) struct Work {
    pub input: Input,
    pub lane: Lane,
    /// When it was received; stamped as it enters the queue, unless that was done elsewhere.
    pub received: Option<Timestamp>,
    pub bytes: usize,
    pub reply: Option<oneshot::Sender<Answer>>,
}

impl Item for Work {
    fn lane(&self) -> Lane {
        self.lane
    }
    fn received(&self) -> Timestamp {
        self.received.unwrap_or_default()
    }
    fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Handle {
    // In

    /// Submits an event that has just been received: judges it for its lane, stamps its receipt and puts it into the
    /// queue before it returns. Await the result, or [`Answering::wait`] for it.
    pub fn submit(&self, mut event: Event) -> Answering {
        event.received = self.now();
        self.enqueue_one(self.work(event, None))
    }

    /// As [`Handle::submit`], for an event that has been judged already, by [`Handle::judge`].
    pub fn submit_judged(&self, mut event: Event, verdict: Option<Verdict>) -> Answering {
        event.received = self.now();
        self.enqueue_one(work(event, verdict, None))
    }

    /// Submits an event whose receipt was stamped elsewhere (by a broker, by another centre). A receipt in our future
    /// counts as now.
    pub fn submit_received(&self, event: Event) -> Answering {
        let received = event.received;
        self.enqueue_one(self.work(event, Some(received)))
    }

    /// Submits several events as one: admitted one by one, in order, under one lock; an answer for each.
    pub fn submit_many(&self, events: Vec<Event>) -> Vec<Answering> {
        let received = self.now();
        let stamped = events.into_iter().map(|event| self.work(Event { received, ..event }, None));
        self.enqueue(stamped.collect())
    }

    /// Submits what is no event: a roster change, another playbook, the outcome of a delivery. Never waits behind a flood.
    pub fn apply(&self, input: Input) -> Answering {
        self.enqueue_one(Work { input, lane: Lane::BottomLine, received: None, bytes: 0, reply: None })
    }

    /// Tells that every effect of the steps up to `number` has left the house, or needs not.
    pub fn emitted(&self, number: u64) {
        self.shared.emitted.fetch_max(number, Ordering::AcqRel);
    }

    /// Takes nothing in any more, finishes what waits, and closes the journal; at most for `deadline`.
    ///
    /// # Errors
    /// When the time is over first, or the shard stopped by itself.
    pub async fn drain(&self, deadline: Duration) -> Result<(), DrainError> {
        self.close();
        match tokio::time::timeout(deadline, self.stopped()).await {
            Ok(Phase::Stopped { clean: false, reason }) => Err(DrainError::Stopped(reason)),
            Ok(_) => Ok(()),
            Err(_) => {
                let depth = self.shared.queue.depth();
                Err(DrainError::Deadline { waiting: depth.bottom_line + depth.ordinary })
            }
        }
    }

    /// Takes nothing in any more. The shard finishes what waits, closes the journal and ends.
    pub fn close(&self) {
        self.shared.queue.close();
        self.shared.phase.send_if_modified(|phase| {
            let open = matches!(phase, Phase::Restoring | Phase::Ready);
            if open {
                *phase = Phase::Draining;
            }
            open
        });
        self.shared.queue.ring();
    }

    // Out

    /// Every step accepted from now on, in order. A receiver that lags by more than `steps_kept` is told so and resyncs
    /// through [`Handle::reader`]. Subscribe before the shard starts (see `super::start`) to miss none.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Step>> {
        self.shared.steps.subscribe()
    }

    // Look

    /// Judges a report as the door does when it submits it: where it is and what it is, hence its lane.
    pub fn judge(&self, event: &Event) -> Option<Verdict> {
        (self.shared.sorter)(&self.shared.playbook.load(), event)
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The playbook in force.
    pub fn playbook(&self) -> Arc<Playbook> {
        self.shared.playbook.load_full()
    }

    /// What can be told without asking the shard.
    pub fn status(&self) -> Status {
        let shared = &self.shared;
        let (Depth { bottom_line, ordinary, bytes }, bounds) = (shared.queue.depth(), shared.queue.bounds());
        let (step, at) = *shared.last.lock().unwrap_or_else(PoisonError::into_inner);
        Status {
            phase: shared.phase.borrow().clone(),
            bottom_line: (bottom_line, bounds.of(Lane::BottomLine).0),
            ordinary: (ordinary, bounds.of(Lane::Ordinary).0),
            queue_bytes: bytes,
            step,
            at,
            emitted: shared.emitted.load(Ordering::Acquire),
            now: self.now(),
            outage: *shared.outage.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// The phase, and its changes.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.shared.phase.subscribe()
    }

    /// Waits until the shard is at work. The phase it came to: `Ready`, or an end.
    pub async fn ready(&self) -> Phase {
        self.until(|phase| *phase != Phase::Restoring).await
    }

    /// Waits until the shard has ended, and tells how.
    pub async fn stopped(&self) -> Phase {
        self.until(|phase| matches!(phase, Phase::Stopped { .. })).await
    }

    /// Waits until nothing is left to do at this instant: all that waits is stepped, all that is due has fired. The next
    /// instant at which something falls due. For whoever drives the clock; on a clock that runs it is a snapshot.
    ///
    /// # Errors
    /// When the shard has stopped.
    pub async fn settled(&self) -> Result<Option<Timestamp>, SubmitError> {
        self.settling().await.map_err(|_| self.shared.stopped())
    }

    /// As [`Handle::settled`], on this thread. Not to be called on a thread of the async runtime.
    ///
    /// # Errors
    /// When the shard has stopped.
    pub fn settled_blocking(&self) -> Result<Option<Timestamp>, SubmitError> {
        self.settling().blocking_recv().map_err(|_| self.shared.stopped())
    }

    fn settling(&self) -> oneshot::Receiver<Option<Timestamp>> {
        let (tell, told) = oneshot::channel();
        let mut settling = self.shared.settling.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*self.shared.phase.borrow(), Phase::Stopped { .. }) {
            settling.push(tell);
        }
        drop(settling);
        self.shared.queue.ring();
        told
    }

    async fn until(&self, is: impl FnMut(&Phase) -> bool) -> Phase {
        let mut phase = self.phase();
        let seen = phase.wait_for(is).await.map(|p| p.clone());
        seen.unwrap_or_else(|_| self.shared.phase.borrow().clone())
    }

    /// Reads what was accepted, beside the shard.
    ///
    /// # Errors
    /// When the store cannot be opened for reading.
    pub fn reader(&self) -> Result<Box<dyn Reader>, journal::Error> {
        (self.shared.readers)()
    }

    // Inside

    fn work(&self, event: Event, received: Option<Timestamp>) -> Work {
        let verdict = self.judge(&event);
        work(event, verdict, received)
    }

    fn enqueue_one(&self, work: Work) -> Answering {
        let refused = || Answering { state: State::Refused(self.shared.stopped()), shared: Arc::clone(&self.shared) };
        self.enqueue(vec![work]).pop().unwrap_or_else(refused)
    }

    fn enqueue(&self, mut works: Vec<Work>) -> Vec<Answering> {
        let mut answers = Vec::with_capacity(works.len());
        for work in &mut works {
            let (reply, answer) = oneshot::channel();
            work.reply = Some(reply);
            answers.push(Answering { state: State::Waiting(answer), shared: Arc::clone(&self.shared) });
        }
        let lagging = self.lagging();
        let refused = self.shared.queue.push(works, |work| {
            work.received.get_or_insert_with(|| self.now());
            lagging.is_none_or(|lane| work.lane < lane)
        });
        for (index, full) in refused {
            let error = match full {
                Full::Lane => SubmitError::Busy { retry_after: self.shared.options.retry_after },
                Full::Closed => self.shared.stopped(),
            };
            answers[index].state = State::Refused(error);
        }
        answers
    }

    /// The lane from which on everybody has to wait because effects do not leave the house.
    fn lagging(&self) -> Option<Lane> {
        let step = self.shared.last.lock().unwrap_or_else(PoisonError::into_inner).0;
        let behind = step.saturating_sub(self.shared.emitted.load(Ordering::Acquire));
        let max = self.shared.options.unemitted_max;
        let ordinary = max / 100 * (100 - u64::from(self.shared.options.reserve_percent.min(100)));
        match behind {
            _ if behind > max => Some(Lane::BottomLine),
            _ if behind > ordinary => Some(Lane::Ordinary),
            _ => None,
        }
    }
}

impl Shared {
    pub fn new(
        options: RuntimeOptions,
        clock: Clock,
        sorter: Sorter,
        playbook: Arc<Playbook>,
        readers: Readers,
    ) -> Self {
        let bounds = Bounds {
            items: options.queue_max,
            bytes: options.queue_bytes_max,
            reserve_percent: options.reserve_percent,
        };
        Self {
            queue: Queue::new(bounds),
            phase: watch::Sender::new(Phase::Restoring),
            steps: broadcast::Sender::new(options.steps_kept.max(1)),
            playbook: ArcSwap::new(playbook),
            last: Mutex::new((0, Timestamp(0))),
            emitted: AtomicU64::new(0),
            outage: Mutex::new(None),
            settling: Mutex::new(Vec::new()),
            options,
            clock,
            sorter,
            readers,
        }
    }

    /// The last accepted step is this.
    pub fn accepted(&self, number: u64, at: Timestamp) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = (number, at);
    }

    /// Why nothing is taken in or answered any more.
    fn stopped(&self) -> SubmitError {
        match &*self.phase.borrow() {
            Phase::Stopped { reason, .. } => SubmitError::Stopped { reason: Arc::clone(reason) },
            _ => SubmitError::Stopped { reason: "Muster is shutting down".into() },
        }
    }
}

/// An event with its lane: a report's is judged; a post's or an operator's word never waits behind a flood.
fn work(event: Event, verdict: Option<Verdict>, received: Option<Timestamp>) -> Work {
    let lane = match &event.body {
        Body::Report(_) => verdict.as_ref().map_or(Lane::Ordinary, |v| v.classification.lane),
        Body::Position(_) => Lane::Ordinary,
        Body::Act(_) | Body::Command(_) => Lane::BottomLine,
    };
    let bytes = bytes_of(&event);
    let input = Input::Event(Box::new(event), verdict.map(Box::new));
    Work { input, lane, received, bytes, reply: None }
}

/// What grows with the sender's will; the rest is a constant.
fn bytes_of(event: &Event) -> usize {
    const FIXED: usize = 512;
    let report = |r: &crate::model::Report| {
        r.text.reveal().len() + r.attributes.len() * 48 + r.references.iter().map(|x| x.len() + 24).sum::<usize>()
    };
    FIXED
        + match &event.body {
            Body::Report(r) => report(r),
            Body::Act(act) => act.report.as_ref().map_or(0, |r| report(r)),
            Body::Position(_) => 0,
            Body::Command(command) => command.reason.as_ref().map_or(0, |r| r.reveal().len()),
        }
}

/// An answer to come: after the commit, never before. Await it, or block on it with [`Answering::wait`].
#[must_use = "the input is submitted; this is its answer"]
pub struct Answering {
    state: State,
    shared: Arc<Shared>,
}

enum State {
    Refused(SubmitError),
    Waiting(oneshot::Receiver<Answer>),
}

impl Answering {
    /// Waits for the answer on this thread. Not to be called on a thread of the async runtime.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub fn wait(self) -> Result<Answer, SubmitError> {
        match self.state {
            State::Refused(error) => Err(error),
            State::Waiting(answer) => answer.blocking_recv().map_err(|_| self.shared.stopped()),
        }
    }
}

impl Future for Answering {
    type Output = Result<Answer, SubmitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            State::Refused(error) => Poll::Ready(Err(error.clone())),
            State::Waiting(answer) => {
                let answer = ready!(Pin::new(answer).poll(context));
                Poll::Ready(answer.map_err(|_| self.shared.stopped()))
            }
        }
    }
}
