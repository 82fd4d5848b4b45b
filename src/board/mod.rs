//! The board: what a reader sees. A fold of accepted steps, never a door to the engine.
//!
//! The newest documents are held typed, in ordered maps behind one lock that is held only while a step is folded in or
//! while a reader clones pointers out; turning them into JSON happens outside. Documents are read before the lock is
//! taken. A step that was folded already is skipped, so reading back and following may overlap.
//!
//! Each shard is folded by itself: its steps count on their own, and what its documents said is replaced as a whole when
//! it is read back. Between shards nothing depends on which is farther.
//!
//! What is bounded here: notices and, where there is no archive, timeline entries (the oldest go first). Incidents,
//! orders, reports and posts are as many as the engine holds; it lets closed ones go after `[limits] closed_kept`, and
//! from then on only the archive knows them.

mod ages;
mod archive;
mod cards;
mod query;
mod reconcile;
mod search;
mod sight;
mod state;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

pub use archive::{Archive, ArchiveError, Line};
pub use cards::Card;
pub use query::{Chapter, IncidentQuery, MarkLine, NoticePlace, NoticeQuery, OrderQuery, Page, Story, Unit};
pub use reconcile::{UNACCOUNTED, Unaccounted};
pub use search::{Found, SearchQuery};
pub use sight::Sight;
pub use state::NoticeLine;

use crate::engine::Document;
use crate::engine::state::{Incident, Order, Silence};
use crate::journal::Step;
use crate::model::{AreaCode, AreaId, IncidentId, Millis, OrderId, PositionFix};
use crate::wire::Shard;

use state::{Change, State};

/// `[board]`: the read model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Notices kept for reading; the oldest that needs nobody goes first.
    pub notices_kept: usize,
    /// Timeline entries kept in memory where the journal keeps no archive.
    pub timeline_kept: usize,
    /// How long something may look unaccounted for before it is counted: a step may be on its way.
    pub unaccounted_after: Millis,
}

impl Default for Options {
    fn default() -> Self {
        Self { notices_kept: 5_000, timeline_kept: 100_000, unaccounted_after: Millis::from_secs(5) }
    }
}

/// What a reader sees.
#[derive(Debug)]
pub struct Board {
    options: Options,
    state: RwLock<State>,
    archive: Option<Archive>,
}

impl Board {
    /// An empty board. `archive`: the journal's file, where it keeps the timeline.
    #[must_use]
    pub fn new(options: Options, archive: Option<PathBuf>) -> Self {
        Self { options, state: RwLock::default(), archive: archive.map(Archive::new) }
    }

    // In

    /// Everything of a shard anew: the newest documents as of its step `number`.
    pub fn restore(&self, shard: Shard, number: u64, documents: &[Document]) {
        let mut changes: Vec<Change> = documents.iter().map(Change::of).collect();
        // Incidents of an area in their order, since an age follows from those before.
        changes.sort_by(|a, b| a.incident().cmp(&b.incident()));
        let mut state = self.write();
        state.forget(shard.number);
        state.shards.entry(shard.number).or_default().step = number;
        for change in changes {
            state.apply(shard.number, change);
        }
    }

    /// Folds one accepted step, unless it has been folded already.
    pub fn fold(&self, shard: Shard, step: &Step) {
        let changes: Vec<Change> = step.documents.iter().map(Change::of).collect();
        let mut state = self.write();
        let folded = state.shards.entry(shard.number).or_default();
        if step.number > folded.step {
            (folded.step, folded.at) = (step.number, step.at);
            for change in changes {
                state.apply(shard.number, change);
            }
        }
        self.tell(&mut state, shard, step);
    }

    /// Takes from a step only what stands in no document: notices, lines of the timeline. For steps that are read on the
    /// way to the newest documents, which then come whole.
    pub fn happened(&self, shard: Shard, step: &Step) {
        self.tell(&mut self.write(), shard, step);
    }

    fn tell(&self, state: &mut State, shard: Shard, step: &Step) {
        let timeline_kept = if self.archive.is_some() { 0 } else { self.options.timeline_kept };
        state.happened(shard, step, self.options.notices_kept, timeline_kept);
    }

    /// Where a post said it is. Positions change no document, so they come here from the door, once accepted.
    pub fn position(&self, fix: &PositionFix) {
        self.write().position(fix);
    }

    // Look

    /// An incident.
    #[must_use]
    pub fn incident(&self, id: &IncidentId) -> Option<Arc<Incident>> {
        self.read().incidents.get(id).cloned()
    }

    /// An order.
    #[must_use]
    pub fn order(&self, id: &OrderId) -> Option<Arc<Order>> {
        self.read().orders.get(id).cloned()
    }

    /// A silence, or a stretch of a planned window.
    #[must_use]
    pub fn silence(&self, id: &str) -> Option<Arc<Silence>> {
        self.read().silences.get(id).map(|(_, silence)| Arc::clone(silence))
    }

    /// Silences and stretches of planned windows: those that run or are yet to begin, and the last that ended; by what they
    /// are called. As many as the engine keeps.
    #[must_use]
    pub fn silences(&self) -> Vec<Arc<Silence>> {
        self.read().silences.values().map(|(_, silence)| Arc::clone(silence)).collect()
    }

    /// The assessed area and the county an incident lies in.
    #[must_use]
    pub fn whereabouts(&self, id: &IncidentId) -> Option<(Option<AreaId>, Option<AreaCode>)> {
        self.read().incidents.get(id).map(|i| (i.place.area.clone(), i.place.county.clone()))
    }

    /// The number of the last step folded in, by shard.
    #[must_use]
    pub fn steps(&self) -> BTreeMap<u32, u64> {
        self.read().shards.iter().map(|(shard, folded)| (*shard, folded.step)).collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}
