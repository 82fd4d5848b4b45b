//! What a shard is made of, what bounds it, and who hears of it.

use std::sync::Arc;
use std::time::Duration;

use crate::journal::Step;
use crate::journal::log::{Alarm, Fold, OwnerOptions, Phase, Stand};
use crate::kafka::answers::Told;
use crate::kafka::areas::Playbooks;
use crate::kafka::clients::Clients;
use crate::kafka::inbox::InboxBounds;
use crate::kafka::inputs::Inputs;
use crate::kafka::mailbox::Mailbox;
use crate::kafka::outputs::Emitter;
use crate::kafka::trim::Trimmer;
use crate::model::Millis;
use crate::runtime::Clock;

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

    /// Whether no broker answers, where somebody asks them all the time. One that is slow is not silent.
    fn brokers_silent(&self) -> bool {
        false
    }
}
