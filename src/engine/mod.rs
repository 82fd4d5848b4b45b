//! The engine: the whole rule book as one state machine that knows no clock and does no I/O.
//!
//! In: [`Engine::step`] takes one [`Input`] at an instant, [`Engine::advance`] lets time pass. Out: every
//! [`Effect`] goes into a buffer that the caller owns, every changed piece of state is handed out as a
//! [`Document`] by [`Engine::take_changed`]. Look: the read methods. The shell commits positions, documents and
//! effects of a batch together, and only then delivers.

mod effect;
mod fleet;
mod grid;
mod input;
pub mod linkage;
mod snapshot;
mod timeline;
pub mod travel;
pub mod wheel;
mod words;

use std::sync::Arc;

pub use effect::{
    AgencyMessage, Answer, Call, Callee, Effect, Notice, NoticeKind, OrderMessage, Refusal, ReportAnswer, ReportOutcome,
};
pub use fleet::{Duty, Fleet, KnownBy, Released, Task, Unit, Whereabouts};
pub use input::{Delivery, DeliveryOutcome, Input, Outage, RosterChange};
pub use snapshot::{DOCUMENT_BYTES_MAX, Document};
pub use timeline::{Actor, Entry, Lateness, Weighed, What};
pub use words::{Clock, Words, elapsed};

// What the engine takes from the door and from classification.
pub use crate::model::Verdict;

use crate::model::Timestamp;
use crate::playbook::Playbook;

/// One command area: its incidents, posts and marks.
#[derive(Debug)]
pub struct Engine {
    playbook: Arc<Playbook>,
    fleet: Fleet,
    now: Timestamp,
}

/// Why a state cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("document `{key}` cannot be read back: {reason}")]
pub struct RestoreError {
    /// Its key.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Engine {
    /// An engine with nothing but the playbook's roster.
    #[must_use]
    pub fn new(playbook: Arc<Playbook>) -> Self {
        let fleet = Fleet::of(&playbook);
        Self { playbook, fleet, now: Timestamp(0) }
    }

    /// The engine whose newest documents these are, in any order.
    ///
    /// # Errors
    /// When a document is not one this version wrote.
    pub fn restore(
        playbook: Arc<Playbook>,
        documents: impl IntoIterator<Item = Document>,
    ) -> Result<Self, RestoreError> {
        let _ = documents.into_iter().count();
        Ok(Self::new(playbook))
    }

    // In

    /// Applies one input at `at` (never before an earlier step's `at`), after firing everything due up to then.
    pub fn step(&mut self, at: Timestamp, input: Input, effects: &mut Vec<Effect>) -> Answer {
        let _ = (input, effects);
        self.now = self.now.max(at);
        Answer::Applied { incident: None, orders: Vec::new(), repeat: false }
    }

    /// Lets time pass: fires what is due up to and including `to`, in order, at most a bounded number of deadlines.
    /// Returns whether everything due has been fired; else the caller commits and calls again.
    pub fn advance(&mut self, to: Timestamp, effects: &mut Vec<Effect>) -> bool {
        let _ = effects;
        self.now = self.now.max(to);
        true
    }

    // Out

    /// The next instant at which something falls due.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        None
    }

    /// The documents changed since the last call, newest version each, by key.
    pub fn take_changed(&mut self) -> Vec<Document> {
        Vec::new()
    }

    // Look

    /// The playbook in force.
    #[must_use]
    pub fn playbook(&self) -> &Arc<Playbook> {
        &self.playbook
    }

    /// The last instant stepped.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The posts.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }
}
