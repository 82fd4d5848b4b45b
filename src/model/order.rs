//! What an order asks of a post, and how far it has come.

use std::fmt;

use serde::{Deserialize, Serialize};

/// In which role a post is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// First to be there; keeps the on-scene mark.
    First,
    /// Strength and special capability.
    Reinforce,
    /// Traffic and crowd.
    Cordon,
    /// Covers an area that a pick left thin, or holds a neighbouring point.
    Cover,
    /// Answers an all-call.
    AllCall,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::First => "first",
            Self::Reinforce => "reinforce",
            Self::Cordon => "cordon",
            Self::Cover => "cover",
            Self::AllCall => "all-call",
        })
    }
}

/// How far an order has come. Belongs to the assignment, never to the post. Orders by progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderState {
    /// Decided and committed; sent and delivered are facts of their own.
    Issued,
    /// The post acknowledged it.
    Signed,
    /// Set out.
    EnRoute,
    /// Stands there.
    OnScene,
    /// Told what it found.
    FirstReport,
    /// Done.
    Cleared,
    /// Refused by the post.
    Declined,
    /// Not signed before its expiry. A late signature still counts, unless the order was recalled.
    Expired,
    /// Taken back. Final: no later state leads out of it.
    Recalled,
}

impl OrderState {
    /// Whether the post is still bound by it.
    #[must_use]
    pub fn is_live(self) -> bool {
        self < Self::Cleared
    }
}

impl fmt::Display for OrderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Issued => "issued",
            Self::Signed => "signed",
            Self::EnRoute => "en-route",
            Self::OnScene => "on-scene",
            Self::FirstReport => "first-report",
            Self::Cleared => "cleared",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::Recalled => "recalled",
        })
    }
}

/// Why an order was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recall {
    /// Somebody else filled the need first.
    NeedFilled,
    /// Taken for a bottom-line incident, or a drill's post for a real one.
    PreEmpted,
    /// An operator said so.
    StoodDown,
    /// The incident is controlled or closed.
    Ended,
    /// The incident turned out to be another one.
    Merged,
    /// The place was corrected, and this post is now the wrong one.
    PlaceCorrected,
    /// The post went off duty or out of service.
    OutOfService,
    /// Cover: the original is back.
    OriginalBack,
    /// The category or severity fell, by an operator's word.
    NotNeeded,
}

impl fmt::Display for Recall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NeedFilled => "need-filled",
            Self::PreEmpted => "pre-empted",
            Self::StoodDown => "stood-down",
            Self::Ended => "ended",
            Self::Merged => "merged",
            Self::PlaceCorrected => "place-corrected",
            Self::OutOfService => "out-of-service",
            Self::OriginalBack => "original-back",
            Self::NotNeeded => "not-needed",
        })
    }
}
