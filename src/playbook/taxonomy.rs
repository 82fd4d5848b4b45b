//! The taxonomy: domains, classes, items; and what holds for a category beyond its name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::model::{AgencyId, CategoryId, Millis};

/// A category with everything that holds for it, inherited from its class where the item is silent.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts, each a word in the playbook's text")]
pub struct Category {
    /// `domain/class/item`
    pub id: CategoryId,
    /// Chinese name.
    pub zh: SmolStr,
    /// English name.
    pub en: SmolStr,
    /// `domain`
    pub domain: SmolStr,
    /// `domain/class`
    pub class: SmolStr,
    /// One of the five kinds of risk.
    pub risk: SmolStr,
    /// Reports of one family may be reports of one happening. Default: the class.
    pub family: SmolStr,
    /// How reports of one happening find each other.
    pub matching: Matching,
    /// What a late report on a closed incident does.
    pub late: LateRule,
    /// 一触即发: skips verification and every limiter.
    pub trigger_at_once: bool,
    /// In the bottom-line lane whatever the severity.
    pub bottom_line: bool,
    /// A dispute or a petition: never raised by place or text, no all-call, no post.
    pub mediation: bool,
    /// Volunteers are not called to it (violence, terror, hazardous material).
    pub volunteers_barred: bool,
    /// The "iron triangle + N" list.
    pub agencies: Vec<AgencyId>,
}

/// How reports of one happening find each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matching {
    /// Joined by itself, only suggested, or never.
    pub mode: MatchMode,
    /// Farther apart than this they are two, in metres.
    pub distance_m: f64,
    /// Longer ago than this they are two.
    pub window: Millis,
}

/// Where a class is silent: suggested within 150 m and 10 min. Some 5 % of real incidents have an earlier one of their
/// type that near, and the desk kept them apart; so nothing is joined unless the playbook says so.
impl Default for Matching {
    fn default() -> Self {
        Self { mode: MatchMode::Suggested, distance_m: 150.0, window: Millis::from_mins(10) }
    }
}

/// What the matcher may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchMode {
    /// A fire seen by ten callers: joined.
    Automatic,
    /// A medical call next door: two incidents and a link.
    Suggested,
    /// Never looked for.
    Never,
}

/// What a late report on a closed incident does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LateRule {
    /// The deed.
    #[serde(rename = "do")]
    pub action: LateAction,
    /// Within this after closing; later it is an incident of its own without a link.
    pub within: Millis,
}

/// Where a class is silent: within a day a new incident with a link.
impl Default for LateRule {
    fn default() -> Self {
        Self { action: LateAction::New, within: Millis::from_mins(24 * 60) }
    }
}

/// The deeds of a [`LateRule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LateAction {
    /// Kept with the closed incident; nothing is opened.
    Append,
    /// The incident is reopened.
    Reopen,
    /// A new incident, linked to the closed one.
    New,
}

/// The taxonomy, by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taxonomy {
    /// The kinds of risk in the order of the file: id, Chinese, English.
    pub risks: Vec<(SmolStr, SmolStr, SmolStr)>,
    /// Domains in the order of the file: id, Chinese, English.
    pub domains: Vec<(SmolStr, SmolStr, SmolStr)>,
    /// Classes in the order of the file: id, Chinese, English.
    pub classes: Vec<(SmolStr, SmolStr, SmolStr)>,
    /// Every item.
    pub categories: BTreeMap<CategoryId, Category>,
}
