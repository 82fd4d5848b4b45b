//! The journal: one atomic step a batch; nobody acts before it is accepted.
//!
//! A step holds what a batch of inputs came to: the positions consumed, the documents changed, the effects. Only effects
//! of accepted steps leave the house. After a crash the state is exactly what the last accepted step says.

pub mod log;
mod memory;
mod sqlite;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, format_smolstr};

pub use memory::{Memory, Store};
pub use sqlite::{JournalOptions, Sqlite, SqliteReader, open_read_only};

use crate::engine::{Answer, Document, Effect, Outage};
use crate::model::{CommandArea, Timestamp};

/// The key of a document in a journal that several command areas share.
#[must_use]
pub fn shared_key(area: &CommandArea, key: &str) -> SmolStr {
    format_smolstr!("{area}:{key}")
}

/// The command area and the engine's own key of a document in a journal that several command areas share; `None` in a
/// journal of one.
#[must_use]
pub fn own_key(key: &str) -> Option<(&str, &str)> {
    key.split_once(':').filter(|(area, _)| !area.contains('/'))
}

/// What a batch of inputs came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Counts up by one.
    pub number: u64,
    /// The instant of the last input in it; never before that of the step before.
    pub at: Timestamp,
    /// Next position of each input that can be read again (a file's line, a partition's offset).
    pub positions: BTreeMap<SmolStr, u64>,
    /// The documents changed, newest version each.
    pub documents: Vec<Document>,
    /// What shall happen, in order. The `rev` of an effect is (step number, index).
    pub effects: Vec<Effect>,
    /// What was consumed from logs beside `positions`; empty where inputs come from none.
    #[serde(default)]
    pub consumed: Consumed,
}

/// What a step took from the logs its inputs come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Consumed {
    /// Offsets at or after the position of each log that are decided already (the bottom line, read ahead).
    pub ahead: BTreeMap<SmolStr, BTreeSet<u64>>,
    /// We were not there, and said so before anything else in this step.
    pub outage: Option<Outage>,
    /// What was stepped, in that order.
    pub taken: Vec<Taken>,
    /// What could not be read.
    pub refused: Vec<Refused>,
}

/// One input that was stepped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// The log it came from.
    #[serde(rename = "d")]
    pub door: SmolStr,
    /// Its offset there.
    #[serde(rename = "o")]
    pub offset: u64,
    /// The instant at which it was stepped.
    #[serde(rename = "t")]
    pub at: Timestamp,
    /// What became of it, for whoever sent it; `None` where nobody can be waiting.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}

/// One message that could not be read: why and where from, never what it said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The log it came from.
    pub door: SmolStr,
    /// Its offset there.
    pub offset: u64,
    /// A stable word.
    pub reason: SmolStr,
    /// The field at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<SmolStr>,
    /// What is wrong, in words, without any value of the message.
    pub detail: String,
}

/// What a journal holds when it is opened.
#[derive(Debug, Default)]
pub struct Restored {
    /// The last accepted step: its number and instant. `None` for an empty journal.
    pub last: Option<(u64, Timestamp)>,
    /// When the last owner was last seen alive: at or after the last step, and before any outage.
    pub alive: Option<Timestamp>,
    /// Next positions of the inputs.
    pub positions: BTreeMap<SmolStr, u64>,
    /// Newest version of each live document.
    pub documents: Vec<Document>,
    /// Accepted steps whose effects were not yet marked as emitted, oldest first. Their documents may be missing: the
    /// newest versions are in `documents`.
    pub unemitted: Vec<Arc<Step>>,
}

/// What can go wrong, by what the caller must do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Stop: the store may not hold what was appended. Never retried.
    #[error("the journal cannot be trusted any more: {0}; Muster stops rather than act on what may not be kept")]
    Fatal(String),
    /// Another process owns the journal.
    #[error("the data folder {path} is in use{holder}; stop that process first, or name another folder")]
    Locked {
        /// The folder.
        path: String,
        /// Who holds it, as far as known, with a leading space.
        holder: String,
    },
    /// Fix the input: what is stored was written by a newer version, or is no journal.
    #[error("{0}")]
    Unreadable(String),
}

/// A journal with one writer. Both the embedded store and Kafka keep this contract.
pub trait Journal: Send {
    /// Reads what was accepted. Called once, before the first append.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn restore(&mut self) -> Result<Restored, Error>;

    /// Appends one step, or several as one write. When it returns, all of them are accepted, durably, in order.
    ///
    /// # Errors
    /// Nothing may be acted on after an error.
    fn append(&mut self, steps: &[Arc<Step>]) -> Result<(), Error>;

    /// Notes that the effects of all steps up to `emitted` have left the house, and that we were alive at `alive`. May
    /// be lost by a crash: effects are delivered at least once, with stable ids and a `rev`.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn note(&mut self, emitted: u64, alive: Timestamp) -> Result<(), Error>;

    /// What opens readers beside the writer.
    fn readers(&self) -> Readers;

    /// Leaves the store in order. Dropping without it loses nothing; the next start only takes longer.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn close(self: Box<Self>) -> Result<(), Error>;
}

/// Opens a [`Reader`], from any thread.
pub type Readers = Box<dyn Fn() -> Result<Box<dyn Reader>, Error> + Send + Sync>;

/// Reads what was accepted, beside the writer and without holding it up: for whoever fell behind the stream of steps.
pub trait Reader: Send {
    /// The last accepted step's number, and the newest version of each live document as of it.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn state(&mut self) -> Result<(u64, Vec<Document>), Error>;

    /// Accepted steps after `number` that are not yet marked as emitted, oldest first, at most `max`. Their documents
    /// may be missing: the newest versions are in [`Reader::state`].
    ///
    /// # Errors
    /// When the store cannot be read.
    fn unemitted(&mut self, number: u64, max: usize) -> Result<Vec<Arc<Step>>, Error>;
}
