//! The board: what a reader sees. A fold of accepted steps, never a door to the engine.
//!
//! The newest documents are held typed, in ordered maps behind one lock that is held only while a step is folded in or
//! while a reader clones pointers out; turning them into JSON happens outside. Documents are read before the lock is
//! taken. A step that was folded already is skipped, so reading back and following may overlap.
//!
//! What is bounded here: notices and, where there is no archive, timeline entries (the oldest go first). Incidents,
//! orders, reports and posts are as many as the engine holds; it lets closed ones go after `[limits] closed_kept`, and
//! from then on only the archive knows them.
//!
//! Left out: full-text search.

mod archive;
mod query;
mod reconcile;
mod state;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

pub use archive::{Archive, ArchiveError, Line};
pub use query::{Chapter, IncidentQuery, MarkLine, NoticeQuery, OrderQuery, Page, Unit};
pub use reconcile::{UNACCOUNTED, Unaccounted};
pub use state::NoticeLine;

use crate::engine::Document;
use crate::engine::state::{Incident, Order};
use crate::journal::Step;
use crate::model::{AreaCode, AreaId, IncidentId, Millis, OrderId, PositionFix};

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

    /// Everything anew: the newest documents as of step `number`.
    pub fn restore(&self, number: u64, documents: &[Document]) {
        let changes: Vec<Change> = documents.iter().map(Change::of).collect();
        let mut state = self.write();
        let kept = std::mem::take(&mut *state);
        state.carry_over(kept);
        state.step = number;
        for change in changes {
            state.apply(change);
        }
    }

    /// Folds one accepted step, unless it has been folded already.
    pub fn fold(&self, step: &Step) {
        let changes: Vec<Change> = step.documents.iter().map(Change::of).collect();
        let mut state = self.write();
        if step.number > state.step {
            state.step = step.number;
            state.at = step.at;
            for change in changes {
                state.apply(change);
            }
        }
        let timeline_kept = if self.archive.is_some() { 0 } else { self.options.timeline_kept };
        state.happened(step, self.options.notices_kept, timeline_kept);
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

    /// The assessed area and the county an incident lies in.
    #[must_use]
    pub fn whereabouts(&self, id: &IncidentId) -> Option<(Option<AreaId>, Option<AreaCode>)> {
        self.read().incidents.get(id).map(|i| (i.place.area.clone(), i.place.county.clone()))
    }

    /// The number of the last step folded in.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.read().step
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}
