//! Start and end: from a journal to a running shard, and back.
//!
//! [`Setup::open`] reads back what was accepted and makes the engine; whoever wants every step (the board, the deliverers)
//! now reads [`Opened::restored`] and subscribes; [`Opened::run`] starts the thread. It first tells the steps whose
//! effects had not left the house once more, then that we were away, if we were; then it works.
//!
//! The end, on the parts that take part in it: `Handle::drain` closes the queue; the shard finishes what waits, notes how
//! far effects have left the house, closes the journal, and its thread ends, which `Running::join` waits for.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::clock::Clock;
use super::handle::{Handle, Phase, Shared, Sorter};
use super::observer::{Deaf, Observer};
use super::options::RuntimeOptions;
use super::shard::{Ending, Shard};
use crate::engine::{Engine, Outage, RestoreError};
use crate::journal::{self, Journal, Restored};
use crate::model::Timestamp;
use crate::playbook::Playbook;

/// What a shard is made of.
pub struct Setup {
    /// The playbook in force.
    pub playbook: Arc<Playbook>,
    /// Where accepted steps are kept.
    pub journal: Box<dyn Journal>,
    /// What time it is.
    pub clock: Clock,
    /// Judges reports at the door.
    pub sorter: Sorter,
    /// Bounds.
    pub options: RuntimeOptions,
    /// Hears what the shard sees.
    pub observer: Arc<dyn Observer>,
    /// Nobody delivers effects or calls [`Handle::emitted`]: they count as delivered once accepted. For trials only.
    pub undelivered: bool,
}

/// Why a shard could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// What it holds cannot be understood.
    #[error("{0}; it may have been written by another version: start that one, or name another data folder")]
    Restore(#[from] RestoreError),
    /// The system has no thread for it.
    #[error("the shard's thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// A shard with its state read back, not yet at work.
pub struct Opened {
    handle: Handle,
    restored: Restored,
    shard: Shard,
    gap: Option<Outage>,
}

/// A shard at work.
pub struct Running {
    /// The door to it.
    pub handle: Handle,
    thread: JoinHandle<Result<(), journal::Error>>,
}

impl Setup {
    /// A set-up with everything by default.
    #[must_use]
    pub fn new(playbook: Arc<Playbook>, journal: Box<dyn Journal>, clock: Clock, sorter: Sorter) -> Self {
        let (options, observer) = (RuntimeOptions::default(), Arc::new(Deaf));
        Self { playbook, journal, clock, sorter, options, observer, undelivered: false }
    }

    /// Reads back what was accepted.
    ///
    /// # Errors
    /// When the journal cannot be read, or what it holds cannot be understood.
    pub fn open(mut self) -> Result<Opened, StartError> {
        let mut restored = self.journal.restore()?;
        let documents = std::mem::take(&mut restored.documents);
        let engine = match restored.last {
            Some(_) => Engine::restore(Arc::clone(&self.playbook), documents.iter().cloned())?,
            None => Engine::new(Arc::clone(&self.playbook)),
        };
        restored.documents = documents;
        let (number, at) = restored.last.unwrap_or_default();
        self.clock.run_on_from(at);
        let gap = gap(&restored, &self.options, self.clock.now(), engine.next_due());
        let readers = self.journal.readers();
        let handle =
            Handle { shared: Arc::new(Shared::new(self.options, self.clock, self.sorter, self.playbook, readers)) };
        handle.shared.accepted(number, at);
        let emitted = restored.unemitted.first().map_or(number, |step| step.number - 1);
        handle.emitted(if self.undelivered { number } else { emitted });
        let (observer, undelivered) = (self.observer, self.undelivered);
        let shard = Shard::new(engine, self.journal, Arc::clone(&handle.shared), observer, undelivered, (number, at));
        Ok(Opened { handle, restored, shard, gap })
    }
}

/// The time in which nobody was here, if it was long or if something fell due in it.
fn gap(restored: &Restored, options: &RuntimeOptions, now: Timestamp, due: Option<Timestamp>) -> Option<Outage> {
    let (_, at) = restored.last?;
    let from = restored.alive.map_or(at, |alive| alive.max(at)).min(now);
    let missed = due.is_some_and(|due| due <= now) && from < now;
    (missed || now.since(from) >= options.outage_min).then_some(Outage { from, to: now })
}

impl Opened {
    /// The door to it. Subscribe before [`Opened::run`] to miss no step.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// What the journal held.
    #[must_use]
    pub fn restored(&self) -> &Restored {
        &self.restored
    }

    /// Starts the shard's thread.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn run(self) -> Result<Running, StartError> {
        let Self { handle, restored, mut shard, gap } = self;
        let bell = Arc::downgrade(&handle.shared);
        handle.shared.clock.on_move(move || bell.upgrade().into_iter().for_each(|shared| shared.queue.ring()));
        let name = format!("shard-{}", handle.playbook().head.command_area);
        let work = move || {
            // Declared here, it ends before the shard does, also by a panic.
            let ending = Ending::of(&shard);
            for step in restored.unemitted {
                // Nobody may be listening.
                let _ = shard.shared.steps.send(step);
            }
            let ended = shard.run(gap);
            if ended.is_err() {
                ending.tell(&ended);
                return ended;
            }
            let closed = shard.close();
            ending.tell(&closed);
            closed
        };
        let thread = std::thread::Builder::new().name(name).spawn(work)?;
        Ok(Running { handle, thread })
    }
}

impl Running {
    /// Waits for the shard's thread to end.
    ///
    /// # Errors
    /// When the journal failed, or the shard did.
    pub fn join(self) -> Result<(), journal::Error> {
        let crashed = |_| Err(journal::Error::Fatal("the shard ended by a panic".to_owned()));
        self.thread.join().unwrap_or_else(crashed)
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.handle.status().phase, Phase::Stopped { .. })
    }
}
