//! A report: one message that says something happened, or is still happening.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{FreeText, PlaceRef};

/// What a producer says happened. Every member may be absent; an unknown member is dropped at the door and counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The producer's type code, such as `JQ-0301`.
    pub code: Option<SmolStr>,
    /// The words.
    pub text: FreeText,
    /// Real, exercise or test. Only this makes a drill; the word "drill" in the text does not.
    pub status: Status,
    /// CAP urgency.
    pub urgency: Option<Urgency>,
    /// CAP severity.
    pub severity: Option<ReportSeverity>,
    /// CAP certainty.
    pub certainty: Option<Certainty>,
    /// Where, as the producer said it.
    pub place: PlaceRef,
    /// Numeric readings, such as `smoke_ppm`.
    pub attributes: BTreeMap<SmolStr, f64>,
    /// An opaque reference by which the producer can reach the caller again. Never a phone number.
    pub callback: Option<SmolStr>,
    /// Earlier reports this one speaks of, as `source:id`.
    pub references: Vec<SmolStr>,
}

/// CAP 1.2 `status`, as far as it concerns dispatch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A real event.
    #[default]
    Actual,
    /// A drill with people in it.
    Exercise,
    /// A technical test.
    Test,
}

impl Status {
    /// Exercise or test: never mixed with the real.
    #[must_use]
    pub fn is_drill(self) -> bool {
        self != Self::Actual
    }
}

/// CAP 1.2 `urgency`, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words of CAP 1.2, section 3.2.2")]
pub enum Urgency {
    Immediate,
    Expected,
    Future,
    Past,
    Unknown,
}

/// CAP 1.2 `severity`, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words of CAP 1.2, section 3.2.2")]
pub enum ReportSeverity {
    Extreme,
    Severe,
    Moderate,
    Minor,
    Unknown,
}

/// CAP 1.2 `certainty`, surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words of CAP 1.2, section 3.2.2")]
pub enum Certainty {
    Observed,
    Likely,
    Possible,
    Unlikely,
    Unknown,
}
