//! The fleet: every post with its duty, position and tasks, and the index that finds the near ones.
//!
//! A post has one active assignment and up to `queue_max` waiting behind it; status belongs to the assignment, not to the
//! post. The fleet is a derived view: duty and roster come from post documents, tasks from order documents, positions
//! from the field (they change no document; after a restart they are heard anew).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::model::{
    AreaId, Lane, LocalTime, OrderId, OrderState, Position, PostId, PostSpec, Role, Severity, Timestamp,
};
use crate::playbook::Playbook;

/// Whether a post can be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duty {
    /// As its hours say.
    #[default]
    ByHours,
    /// On duty by its own word, outside its hours too.
    On,
    /// Off duty by its own word.
    Off,
    /// Off duty as soon as it has cleared.
    EndsAfterClearing,
    /// Cannot be sent, with the short reason.
    OutOfService(SmolStr),
}

/// One assignment as the choice of posts sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// The order.
    pub order: OrderId,
    /// Of the incident it serves.
    pub severity: Severity,
    /// Of the incident it serves.
    pub lane: Lane,
    /// Exercise or test.
    pub drill: bool,
    /// As what.
    pub role: Role,
    /// How far it has come.
    pub state: OrderState,
    /// Where it leads.
    pub target: Position,
    /// Whether the incident it serves has already lost a post to a more urgent one: then it is not robbed again.
    pub robbed: bool,
}

/// A post with what it is doing.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// What it is.
    pub spec: PostSpec,
    /// Whether it can be sent.
    pub duty: Duty,
    /// Where it last said it was, and when that was fixed.
    pub fix: Option<(Position, Timestamp)>,
    /// The active assignment first, then the waiting ones.
    pub tasks: Vec<Task>,
}

/// Every post of the command area.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    units: BTreeMap<PostId, Unit>,
}

impl Fleet {
    /// The posts of the playbook's roster, idle and on duty by their hours.
    #[must_use]
    pub fn of(playbook: &Playbook) -> Self {
        let mut fleet = Self::default();
        for spec in playbook.posts.values() {
            fleet.put(spec.clone());
        }
        fleet
    }

    /// Adds a post, or replaces its spec with its state kept.
    pub fn put(&mut self, spec: PostSpec) {
        let unit = Unit { spec, duty: Duty::default(), fix: None, tasks: Vec::new() };
        self.units.entry(unit.spec.id.clone()).and_modify(|u| u.spec = unit.spec.clone()).or_insert(unit);
    }

    /// A post by its id.
    #[must_use]
    pub fn get(&self, post: &PostId) -> Option<&Unit> {
        self.units.get(post)
    }

    /// Every post, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Unit> {
        self.units.values()
    }

    /// Idle posts on duty in an area: what its minimum cover counts.
    #[must_use]
    pub fn cover(&self, area: &AreaId, local: LocalTime) -> usize {
        self.units.values().filter(|u| &u.spec.area == area && u.is_on_duty(local) && u.tasks.is_empty()).count()
    }
}

impl Unit {
    /// Whether it is on duty at this local time.
    #[must_use]
    pub fn is_on_duty(&self, local: LocalTime) -> bool {
        match self.duty {
            Duty::ByHours => self.spec.hours.contains(local.minute),
            Duty::On | Duty::EndsAfterClearing => true,
            Duty::Off | Duty::OutOfService(_) => false,
        }
    }
}
