//! The states of an incident, who owns it, and who is told.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::IncidentId;

/// Where an incident stands in its life (四个环节). The guard of moves lives in the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentState {
    /// Accepted, nothing decided yet (a place unknown waits here).
    Received,
    /// The plan begins with a verification mark.
    Verifying,
    /// Orders are out, nobody stands there.
    Dispatching,
    /// A post is on scene.
    Handling,
    /// The danger is over.
    Controlled,
    /// Finished with a disposition.
    Closed,
    /// Called off before anybody was needed.
    Cancelled,
    /// Another incident seen twice.
    DuplicateOf(IncidentId),
}

impl IncidentState {
    /// Whether the incident still has a clock.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(self, Self::Closed | Self::Cancelled | Self::DuplicateOf(_))
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Verifying => "verifying",
            Self::Dispatching => "dispatching",
            Self::Handling => "handling",
            Self::Controlled => "controlled",
            Self::Closed => "closed",
            Self::Cancelled => "cancelled",
            Self::DuplicateOf(_) => "duplicate-of",
        }
    }
}

impl fmt::Display for IncidentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateOf(other) => write!(f, "duplicate-of {other}"),
            state => f.pad(state.as_str()),
        }
    }
}

/// Two incidents that belong together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The other one.
    pub other: IncidentId,
    /// Why: suggested by the matcher, said by an operator, a late report, split out.
    pub reason: String,
    /// The matcher's score in percent, where it was the matcher.
    pub score: Option<u8>,
}

/// Who owns the incident now. Climbs on missed marks, never falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Level {
    Village,
    Township,
    County,
    City,
}

impl Level {
    /// The next one up; none above the city.
    #[must_use]
    pub fn up(self) -> Option<Self> {
        match self {
            Self::Village => Some(Self::Township),
            Self::Township => Some(Self::County),
            Self::County => Some(Self::City),
            Self::City => None,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Village => "village",
            Self::Township => "township",
            Self::County => "county",
            Self::City => "city",
        })
    }
}

/// One of the five desks that receive notices (情·指·勤·舆·督).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Desk {
    /// 情
    Intelligence,
    /// 指
    Command,
    /// 勤
    Duty,
    /// 舆
    PublicInformation,
    /// 督
    Supervision,
}

impl fmt::Display for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Intelligence => "intelligence",
            Self::Command => "command",
            Self::Duty => "duty",
            Self::PublicInformation => "public-information",
            Self::Supervision => "supervision",
        })
    }
}
