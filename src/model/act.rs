//! What posts tell us: their acts and their positions.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FreeText, IncidentId, OrderId, Position, PostId, Report, Timestamp};

/// An act of a post, about an order, an incident, or the post itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldAct {
    /// Who acted.
    pub post: PostId,
    /// What was done.
    pub act: Act,
    /// The order it answers. Without one, the post's active assignment (or that of `incident`) is meant.
    pub order: Option<OrderId>,
    /// The incident it concerns, where no order is named.
    pub incident: Option<IncidentId>,
    /// Why: road blocked, wrong place, vehicle out of order.
    pub reason: Option<FreeText>,
    /// When it was done, if it was done in a dead spot and is told only now.
    pub done_at: Option<Timestamp>,
    /// On-view only: what the post came upon.
    pub report: Option<Box<Report>>,
}

/// What a post can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// The order stands on the post's terminal: nobody need have read it yet. A receipt, no progress.
    Received,
    /// Acknowledged the order (签收).
    Signed,
    /// Refused it; a miss at that instant.
    Declined,
    /// Set out.
    EnRoute,
    /// Stands there.
    OnScene,
    /// Told what it found.
    FirstReport,
    /// Done with this assignment.
    Cleared,
    /// Began its duty.
    OnDuty,
    /// Ended its duty; on an assignment, after clearing.
    OffDuty,
    /// Cannot be sent, with the reason.
    OutOfService,
    /// Came upon something itself: opens an incident, already assigned.
    OnView,
}

impl Act {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Signed => "signed",
            Self::Declined => "declined",
            Self::EnRoute => "en_route",
            Self::OnScene => "on_scene",
            Self::FirstReport => "first_report",
            Self::Cleared => "cleared",
            Self::OnDuty => "on_duty",
            Self::OffDuty => "off_duty",
            Self::OutOfService => "out_of_service",
            Self::OnView => "on_view",
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a post is, by its own receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PositionFix {
    /// Whose.
    pub post: PostId,
    /// Where, in WGS-84.
    pub position: Position,
    /// When the receiver fixed it.
    pub fixed_at: Timestamp,
}
