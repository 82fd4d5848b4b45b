//! The herald: tells this node of what the shards decided, wherever that was. What the pump is to the embedded shard, it is
//! to the journal's topic: the board folds, the stream hears, whoever waits is answered.
//!
//! Every node tells its own readers of everything; but a happening is counted and logged once in the whole, by the node
//! whose shard decided it, so that the nodes' metrics may be added up.

use std::sync::Arc;

use smol_str::SmolStr;
use tracing::info;

use super::answers::Told;
use super::track::Heard;
use crate::board::Board;
use crate::deliver::hub::Hub;
use crate::deliver::message::message;
use crate::journal::Step;
use crate::journal::log::OwnerName;
use crate::playbook::Playbook;
use crate::telemetry::{Metrics, Tally};
use crate::wire::Shard;

/// Who is told.
pub struct Herald {
    board: Arc<Board>,
    hub: Hub,
    told: Arc<dyn Told>,
    tally: Tally,
    metrics: Arc<Metrics>,
    playbooks: Vec<Arc<Playbook>>,
    /// Names of owners begin with this where they are ours.
    node: SmolStr,
}

impl Herald {
    /// Tells these; the owners' names of the node `node` begin with it.
    #[must_use]
    pub fn new(
        node: &str,
        playbooks: &[Arc<Playbook>],
        board: Arc<Board>,
        hub: Hub,
        told: Arc<dyn Told>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let tally = Tally::new(Arc::clone(&metrics), Arc::clone(&board));
        for playbook in playbooks {
            metrics.foresee(playbook);
        }
        Self { board, hub, told, tally, metrics, playbooks: playbooks.to_vec(), node: node.into() }
    }

    /// What readers see.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Tells what was heard of a shard.
    pub fn tell(&self, shard: Shard, heard: Heard) {
        match heard {
            Heard::Nothing => {}
            Heard::Past(step) => {
                self.told.accepted(shard.number, &step);
                self.board.happened(shard, &step);
            }
            Heard::Accepted(step, owner) => self.accepted(shard, &step, &owner),
            Heard::Void(why) => self.metrics.journal_void.with_label_values(&[why]).inc(),
            Heard::Restored(step, documents) => {
                info!(shard = shard.number, step, documents = documents.len(), "follower.restored");
                self.board.restore(shard, step, &documents);
                if shard.of == 1 {
                    // Of the only shard every process has the same order, so a place in it is one everywhere.
                    self.hub.begin(shard.rev(step + 1, 0) - 1);
                }
            }
        }
    }

    fn accepted(&self, shard: Shard, step: &Arc<Step>, owner: &OwnerName) {
        self.told.accepted(shard.number, step);
        self.board.fold(shard, step);
        if self.is_ours(owner) {
            self.tally.step(step, &self.playbooks);
        }
        let whereabouts = |id: &_| self.board.whereabouts(id);
        for index in 0..step.effects.len() {
            self.hub.publish(Arc::new(message(shard, step, index, &whereabouts)));
        }
    }

    fn is_ours(&self, owner: &OwnerName) -> bool {
        owner.as_str().strip_prefix(self.node.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }
}
