//! Rules and modifiers compiled: names of keyword groups become numbers, lists of few values become masks.
//!
//! Whether a condition holds for a report is asked by `classify`; here is only the shape it asks in, and what the check
//! needs to know of two conditions: whether one says no more than the other, and whether both can hold at once.

use smol_str::SmolStr;

use super::keywords::Hits;
use super::{Keywords, Reading, When};
use crate::model::{
    AreaId, CategoryId, Certainty, Hours, KeywordGroup, ReportSeverity, Ring, RiskClass, Urgency, Weekday,
};

/// A compiled [`When`]. Every part must hold; an empty list or mask holds always.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// At least one of these groups has a hit.
    pub any: Hits,
    /// Each of these groups has a hit.
    pub all: Hits,
    /// None of these groups has a hit.
    pub none: Hits,
    /// The report's type code begins with one of these.
    pub code: Vec<SmolStr>,
    /// The source begins with one of these.
    pub source: Vec<SmolStr>,
    /// The place lies in one of these assessed areas.
    pub area: Vec<AreaId>,
    /// The risk class of the area.
    pub risk_class: Mask,
    /// The ring.
    pub ring: Mask,
    /// At a key site, or not.
    pub key_site: Option<bool>,
    /// The local hour of receipt.
    pub hours: Hours,
    /// The local day of receipt.
    pub weekdays: Mask,
    /// CAP urgency.
    pub urgency: Mask,
    /// CAP severity.
    pub severity: Mask,
    /// CAP certainty.
    pub certainty: Mask,
    /// Numeric readings; each must hold, and one that the report does not carry does not.
    pub attributes: Vec<Reading>,
    /// The category decided so far (prefixes). Modifiers only.
    pub category: Vec<CategoryId>,
}

/// A set of values of one small enumeration. The empty one admits everything, also where nothing was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mask(u8);

/// A value that a [`Mask`] can hold.
pub trait Masked: Copy {
    /// Its number, 0 ..= 7.
    fn bit(self) -> u8;
}

macro_rules! masked {
    ($($name:ty)*) => {$(
        impl Masked for $name {
            fn bit(self) -> u8 {
                self as u8
            }
        }
    )*};
}

masked! { Ring Weekday Urgency ReportSeverity Certainty }

impl Masked for RiskClass {
    fn bit(self) -> u8 {
        u8::from(self)
    }
}

impl Mask {
    /// Whether the value is admitted.
    #[must_use]
    pub fn admits<T: Masked>(self, value: T) -> bool {
        self.0 == 0 || self.0 >> value.bit() & 1 == 1
    }

    /// Whether the value is admitted, where there may be none: only the empty mask admits nothing said.
    #[must_use]
    pub fn admits_maybe<T: Masked>(self, value: Option<T>) -> bool {
        value.map_or(self.0 == 0, |v| self.admits(v))
    }

    /// Whether everything is admitted.
    #[must_use]
    pub fn is_open(self) -> bool {
        self.0 == 0
    }

    /// Whether everything that `other` admits is admitted.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.0 == 0 || other.0 != 0 && self.0 & other.0 == other.0
    }

    /// Whether some value is admitted by both.
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        self.0 == 0 || other.0 == 0 || self.0 & other.0 != 0
    }
}

impl<T: Masked> FromIterator<T> for Mask {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self(values.into_iter().fold(0, |mask, value| mask | 1 << value.bit()))
    }
}

impl Condition {
    /// Compiles a condition against the groups of its playbook; a group it does not know is left out, which the check
    /// has refused before.
    #[must_use]
    pub fn of(when: &When, groups: &[Keywords]) -> Self {
        let number = |name: &KeywordGroup| groups.iter().position(|g| g.id == *name);
        let hits = |names: &[KeywordGroup]| -> Hits { names.iter().filter_map(number).collect() };
        Self {
            any: hits(&when.any),
            all: hits(&when.all),
            none: hits(&when.none),
            code: when.code.clone(),
            source: when.source.clone(),
            area: when.area.clone(),
            risk_class: when.risk_class.iter().copied().collect(),
            ring: when.ring.iter().copied().collect(),
            key_site: when.key_site,
            hours: when.hours.clone(),
            weekdays: when.weekdays.iter().copied().collect(),
            urgency: when.urgency.iter().copied().collect(),
            severity: when.severity.iter().copied().collect(),
            certainty: when.certainty.iter().copied().collect(),
            attributes: when.attributes.clone(),
            category: when.category.clone(),
        }
    }

    /// Whether the words of a text satisfy `any`, `all` and `none`.
    #[must_use]
    pub fn words_hold(&self, hits: &Hits) -> bool {
        (self.any.is_empty() || self.any.meets(hits)) && hits.holds(&self.all) && !self.none.meets(hits)
    }
}
