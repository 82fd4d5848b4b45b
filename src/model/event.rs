//! An event as it passes the door: who sent it, when we received it, and what it carries.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;

use super::{Command, EventId, FieldAct, PositionFix, Report, SourceId, Timestamp};

/// A decoded CloudEvent with our receipt time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The envelope.
    pub meta: Meta,
    /// When *we* received it: acceptance over HTTP, or the broker's append time. Marks are anchored here.
    pub received: Timestamp,
    /// What it says.
    pub body: Body,
}

/// The envelope of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// CloudEvents `source`.
    pub source: SourceId,
    /// CloudEvents `id`.
    pub id: EventId,
    /// CloudEvents `time`: the producer's own clock, stored and measured, never trusted unless declared so.
    pub time: Option<Timestamp>,
    /// W3C trace context, carried through.
    pub traceparent: Option<SmolStr>,
    /// Of the content without `time`: tells a repeat from a recycled id.
    pub digest: Digest,
}

/// What an event carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// `muster.report`
    Report(Box<Report>),
    /// `muster.act`
    Act(FieldAct),
    /// `muster.position`
    Position(PositionFix),
    /// `muster.command`
    Command(Box<Command>),
}

/// 128 bits of BLAKE3 over what an event says, apart from its `time`. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub u128);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let hash = blake3::hash(bytes);
        let mut half = [0; 16];
        half.copy_from_slice(&hash.as_bytes()[..16]);
        Self(u128::from_be_bytes(half))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}
