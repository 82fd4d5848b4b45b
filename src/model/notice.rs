//! The kinds of notice: what a desk may be told, and what a playbook may subscribe it to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kinds of notice. The kebab-case name is what a playbook subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// An incident was opened.
    Opened,
    /// A mark's warning.
    MarkWarning,
    /// A mark was missed.
    MarkMissed,
    /// A need that no post can serve.
    Shortfall,
    /// A step of the plan reached nobody.
    NobodyReached,
    /// The incident climbed a level.
    LevelRaised,
    /// An all-call began.
    AllCallBegan,
    /// An all-call is due, but after our own outage an operator must say it.
    AllCallNeedsWord,
    /// A report may belong to another incident.
    MatchSuggested,
    /// Same source and id, other content.
    RecycledId,
    /// A source sends more trigger-at-once reports than it plausibly can.
    SuspectSource,
    /// A producer's clock is off.
    ClockSkew,
    /// An incident has no usable place.
    PlaceUnknown,
    /// Verification lapsed; posts are ordered.
    VerificationLapsed,
    /// A flood of reports is folded.
    Flood,
    /// A late report on a closed incident.
    LateReport,
    /// A post was taken from its task.
    PreEmption,
    /// An area fell below its minimum cover and nobody can move up.
    CoverThin,
    /// An order could not be delivered.
    DeliveryFailed,
    /// Marks fell due while we were down.
    Outage,
    /// A prevention task on an area (源头预防).
    Prevention,
    /// Something was handed over or forwarded.
    HandOver,
    /// The reconciler found an incident or an order that nobody accounts for.
    Unaccounted,
    /// A limit of the playbook was reached.
    LimitReached,
}

impl NoticeKind {
    /// Every kind, for the playbook's check.
    pub const ALL: [Self; 24] = [
        Self::Opened,
        Self::MarkWarning,
        Self::MarkMissed,
        Self::Shortfall,
        Self::NobodyReached,
        Self::LevelRaised,
        Self::AllCallBegan,
        Self::AllCallNeedsWord,
        Self::MatchSuggested,
        Self::RecycledId,
        Self::SuspectSource,
        Self::ClockSkew,
        Self::PlaceUnknown,
        Self::VerificationLapsed,
        Self::Flood,
        Self::LateReport,
        Self::PreEmption,
        Self::CoverThin,
        Self::DeliveryFailed,
        Self::Outage,
        Self::Prevention,
        Self::HandOver,
        Self::Unaccounted,
        Self::LimitReached,
    ];

    /// Whether a silence or a planned window may hide it. What is about a loss may not: an order that reached nobody, a need
    /// that nobody is left for, an all-call that waits for a word, what a bound turned away, what nobody accounts for, and
    /// our own outage. To hide such a notice would be to lose what it is about.
    #[must_use]
    pub fn may_be_silenced(self) -> bool {
        !matches!(
            self,
            Self::NobodyReached
                | Self::AllCallNeedsWord
                | Self::DeliveryFailed
                | Self::Outage
                | Self::Unaccounted
                | Self::LimitReached
        )
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Serialize::serialize(self, f)
    }
}
