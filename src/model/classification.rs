//! What a report was judged to be, and by which rule.

use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{CategoryId, Place, PlanId, RuleId};

/// How bad, as in national emergency plans. Orders worst first: `Severity::I < Severity::IV`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Severity {
    /// Extreme.
    I,
    /// Major.
    II,
    /// Serious.
    III,
    /// Minor.
    IV,
}

impl Severity {
    /// All four, worst first.
    pub const ALL: [Self; 4] = [Self::I, Self::II, Self::III, Self::IV];

    /// 1 for I … 4 for IV.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8 + 1
    }

    /// Worse by `steps`, but never above `limit`.
    #[must_use]
    pub fn raised(self, steps: u8, limit: Self) -> Self {
        let to = (self as u8).saturating_sub(steps).max(limit as u8).min(self as u8);
        Self::ALL[usize::from(to)]
    }

    /// Milder by `steps`, at mildest IV.
    #[must_use]
    pub fn lowered(self, steps: u8) -> Self {
        Self::ALL[usize::from((self as u8 + steps).min(3))]
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(["I", "II", "III", "IV"][*self as usize])
    }
}

/// How fast a place must be reached; the minutes themselves stand in the playbook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Ring {
    /// Key sites.
    #[serde(rename = "1")]
    One,
    /// The central urban area.
    #[serde(rename = "3")]
    Three,
    /// Other urban areas.
    #[serde(rename = "5")]
    Five,
    /// Outside the rings.
    #[serde(rename = "rural")]
    Rural,
}

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::One => "1",
            Self::Three => "3",
            Self::Five => "5",
            Self::Rural => "rural",
        })
    }
}

/// The 20/80 rule: a fifth of every bounded resource is kept for the bottom line. Orders bottom line first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// Severity I–II and the categories the playbook names.
    BottomLine,
    /// Everything else.
    Ordinary,
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::BottomLine => "bottom-line",
            Self::Ordinary => "ordinary",
        })
    }
}

/// The risk class of an assessed area: 1 (highest), 2 or 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct RiskClass(u8);

impl TryFrom<u8> for RiskClass {
    type Error = String;
    fn try_from(class: u8) -> Result<Self, String> {
        (1..=3).contains(&class).then_some(Self(class)).ok_or_else(|| format!("risk class {class} is none of 1, 2, 3"))
    }
}

impl From<RiskClass> for u8 {
    fn from(class: RiskClass) -> Self {
        class.0
    }
}

/// Category, severity, ring, lane and plan, with the rule that said so and the version of the playbook it stands in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    /// The leaf of the taxonomy.
    pub category: CategoryId,
    /// After all modifiers.
    pub severity: Severity,
    /// The ring of the place.
    pub ring: Ring,
    /// The lane.
    pub lane: Lane,
    /// The plan that will be followed.
    pub plan: PlanId,
    /// The first rule that matched.
    pub rule: RuleId,
    /// The modifiers that acted, in the playbook's order.
    pub modifiers: Vec<ModifierHit>,
    /// Named categories that skip verification and every limiter (一触即发).
    pub trigger_at_once: bool,
    /// The hash of the playbook that decided, in short form.
    pub playbook: SmolStr,
}

/// A modifier that acted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModifierHit {
    /// Its id in the playbook.
    pub id: SmolStr,
    /// What it did.
    pub step: Step,
}

/// What a modifier does, or would have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// One step worse.
    Raised,
    /// One step milder.
    Lowered,
    /// It matched, but another raise had used up the step, or the category may not be moved.
    Held,
}

/// A report's place and class together: what classification hands to the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Where it is.
    pub place: Place,
    /// What it is.
    pub classification: Classification,
}
