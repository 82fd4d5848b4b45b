//! Classification rules as data: conditions, rules, modifiers, keyword groups.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::model::{
    AreaId, CategoryId, Certainty, Hours, KeywordGroup, PlanId, ReportSeverity, Ring, RiskClass, RuleId, Severity,
    Urgency, Weekday,
};

/// A named group of words that mean the same to a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keywords {
    /// The group's name.
    pub id: KeywordGroup,
    /// What people call it.
    #[serde(default)]
    pub zh: SmolStr,
    /// The words; Latin letters match whatever their case.
    pub words: Vec<SmolStr>,
    /// Phrases that deny the group, matched first: a word of the group that lies within one does not count
    /// (无人员伤亡 holds no 伤亡).
    #[serde(default)]
    pub negations: Vec<SmolStr>,
}

/// When a rule or a modifier speaks. Every part given must hold; a part left out holds always.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    /// The report's type code begins with one of these.
    pub code: Vec<SmolStr>,
    /// The source begins with one of these.
    pub source: Vec<SmolStr>,
    /// At least one of these groups has a hit.
    pub any: Vec<KeywordGroup>,
    /// Each of these groups has a hit.
    pub all: Vec<KeywordGroup>,
    /// None of these groups has a hit.
    pub none: Vec<KeywordGroup>,
    /// The place lies in one of these assessed areas.
    pub area: Vec<AreaId>,
    /// The risk class of the area.
    pub risk_class: Vec<RiskClass>,
    /// The ring.
    pub ring: Vec<Ring>,
    /// At a key site, or not.
    pub key_site: Option<bool>,
    /// The local hour of receipt.
    pub hours: Hours,
    /// The local day of receipt.
    pub weekdays: Vec<Weekday>,
    /// CAP urgency.
    pub urgency: Vec<Urgency>,
    /// CAP severity.
    pub severity: Vec<ReportSeverity>,
    /// CAP certainty.
    pub certainty: Vec<Certainty>,
    /// Numeric readings.
    pub attributes: Vec<Reading>,
    /// The category decided so far (prefixes). Modifiers only.
    pub category: Vec<CategoryId>,
}

/// A condition on one numeric attribute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// The attribute.
    pub name: SmolStr,
    /// Holds from this value up.
    #[serde(default)]
    pub at_least: Option<f64>,
    /// Holds below this value.
    #[serde(default)]
    pub below: Option<f64>,
}

/// A classification rule. The first that matches wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its id, recorded with every decision.
    pub id: RuleId,
    /// When it speaks; the default rule, last in the list, has none.
    #[serde(default)]
    pub when: When,
    /// What it says.
    pub category: CategoryId,
    /// How bad.
    pub severity: Severity,
    /// Which plan.
    pub plan: PlanId,
}

/// A modifier: acts after the match.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modifier {
    /// Its id, recorded when it acts.
    pub id: SmolStr,
    /// When it speaks.
    pub when: When,
    /// Up or down.
    pub effect: ModifierEffect,
}

/// What a modifier does to the severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModifierEffect {
    /// A step worse; all raises together are at most one step, and not up to I.
    Raise,
    /// A step worse, because people are hurt: with it two steps are possible, and severity I.
    RaiseCasualties,
    /// A step milder; never trigger-at-once or bottom-line.
    Lower,
}
