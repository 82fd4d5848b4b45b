//! In: everything that can change a decision. There is no other door.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::model::{Event, OrderId, PostId, PostSpec, Timestamp, Verdict};
use crate::playbook::Playbook;

/// Something that changes a decision.
#[derive(Clone, Debug)]
pub enum Input {
    /// A report, an act, a position or a command, as decoded. For a report the shell may hand in the verdict it has
    /// already reached (it needed the lane); the engine takes it when it was reached under the playbook in force.
    Event(Box<Event>, Option<Box<Verdict>>),
    /// A change of the roster between playbooks.
    Roster(RosterChange),
    /// Another playbook, swapped whole. Incidents keep the plan that opened them.
    Playbook(Arc<Playbook>),
    /// What became of an attempt to deliver an order.
    Delivery(Delivery),
    /// The shell was down, or its inputs lagged, from then until now: what fell due meanwhile is marked late through
    /// our own outage, and an all-call then needs an operator.
    Outage(Outage),
    /// The clock on the wall was set, by so many milliseconds. Our time did not follow, so nothing falls due by it; the
    /// desks are told, since what they read off the wall is no longer what the marks run by.
    WallSet(i64),
}

/// A change of the roster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RosterChange {
    /// A post is added, or replaced with its state kept.
    Post(Box<PostSpec>),
    /// A post leaves the roster; its live orders are recalled and served anew.
    Gone(PostId),
}

/// The outcome of delivery, as the channel saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Which order.
    pub order: OrderId,
    /// Over which channel.
    pub channel: SmolStr,
    /// What happened.
    pub outcome: DeliveryOutcome,
}

/// What a channel can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryOutcome {
    /// Handed to the channel.
    Sent,
    /// The post's device has it.
    Delivered,
    /// The channel gave up. The next post is ordered, as after a decline.
    Failed,
}

/// A time in which we were not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// The last instant that was stepped before.
    pub from: Timestamp,
    /// The first instant after.
    pub to: Timestamp,
}
