//! Response plans: marks, linkage, agencies, owner level (in a CAD, a "run card").
//!
//! "1-3-5 minutes" is practised in four ways; one shape of a mark covers all four. A mark says which milestone has
//! to be reached within which limit, counted from which anchor, for which rings, severities, categories and hours;
//! whether there is one per order or one per incident; and what is done when it is missed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;

use crate::model::{
    AgencyId, CategoryId, Desk, Hours, Level, LinkageId, MarkName, Millis, Need, PlanId, Ring, Severity,
};

/// A response plan. An incident's document holds its plan whole, so it keeps the one that opened it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Its id.
    pub id: PlanId,
    /// What people call it.
    #[serde(default)]
    pub title: SmolStr,
    /// The ready-made set it belongs to, such as `by-place`; default `general`, which is always in force.
    #[serde(default = "general")]
    pub set: SmolStr,
    /// Begins with a verification mark; a post is ordered only after confirmation or when that mark lapses.
    #[serde(default)]
    pub verify_first: bool,
    /// Mediation cases: no post, no all-call; `linkage` must be absent.
    #[serde(default)]
    pub mediation: bool,
    /// Every order is given by a person, or was by a record that is replayed: the plan picks nobody; `linkage` must be
    /// absent.
    #[serde(default)]
    pub by_hand: bool,
    /// Which posts are asked for. Every plan needs one but a mediation plan and one by hand.
    #[serde(default)]
    pub linkage: Option<LinkageId>,
    /// The needs of the linkage, put in when the playbook is compiled; refused in its text. They travel with the plan into
    /// an incident's document, which has no playbook beside it.
    #[serde(default)]
    pub needs: Vec<NeedRow>,
    /// Who owns the incident at first, by severity. Default: I city, II county, III township, IV village.
    #[serde(default = "default_owner")]
    pub owner: BTreeMap<Severity, Level>,
    /// Told when the incident opens, beside the list of its category.
    #[serde(default)]
    pub agencies: Vec<AgencyId>,
    /// Radius of an all-call in metres.
    #[serde(default = "default_radius")]
    pub all_call_radius_m: f64,
    /// How long an all-call lasts unless it is recalled before.
    #[serde(default = "default_all_call")]
    pub all_call_for: Millis,
    /// An all-call of its own when the incident is of severity I.
    #[serde(default = "yes")]
    pub all_call_at_severity_one: bool,
    /// An unsigned order is delivered no longer than this.
    #[serde(default = "default_expiry")]
    pub expiry: Millis,
    /// The marks, in the order in which they are due.
    #[serde(default, rename = "mark")]
    pub marks: Vec<Mark>,
}

/// One row of a linkage table: at these rings and severities, these posts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeedRow {
    /// Any of these rings; empty means all.
    #[serde(default)]
    pub ring: Vec<Ring>,
    /// Any of these severities; empty means all.
    #[serde(default)]
    pub severity: Vec<Severity>,
    /// What is asked for.
    pub needs: Vec<Need>,
}

/// A linkage table (四岗联动): the first row that fits ring and severity says what is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linkage {
    /// Its id.
    pub id: LinkageId,
    /// The rows, first match wins. The last one must fit everything.
    #[serde(rename = "row")]
    pub rows: Vec<NeedRow>,
}

/// A named deadline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Its name, unique within one plan for one scope and one "applies when".
    pub name: MarkName,
    /// One per order, or one per incident.
    pub scope: Scope,
    /// What has to be reached.
    pub milestone: Milestone,
    /// Counted from when.
    pub anchor: Anchor,
    /// Within what.
    pub limit: Limit,
    /// Added to the limit.
    #[serde(default)]
    pub plus: Millis,
    /// The limit is at least this.
    #[serde(default)]
    pub at_least: Millis,
    /// A warning at this share of the limit, in percent. 0: none.
    #[serde(default = "sixty")]
    pub warning_percent: u8,
    /// A missed incident mark repeats its actions this often until reached. Default: its limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Millis>,
    /// What a miss causes, in this order.
    #[serde(default)]
    pub on_miss: Vec<OnMiss>,
    /// Which share of incidents should keep it, in percent (NENA: 90 % in 15 s). For supervision; it fires all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_percent: Option<u8>,
    /// Only posts of this echelon start or reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echelon: Option<u8>,
    /// Only in these rings; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ring: Vec<Ring>,
    /// Only at these severities; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub severity: Vec<Severity>,
    /// Only for these categories (prefixes); empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub category: Vec<CategoryId>,
    /// Only within these hours of the anchor's local day.
    #[serde(default, skip_serializing_if = "Hours::is_always")]
    pub hours: Hours,
}

/// The limit of a mark: the text `"ring"`, or a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The limit of the incident's ring.
    Ring,
    /// A fixed span.
    Fixed(Millis),
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Ring => serializer.serialize_str("ring"),
            Self::Fixed(span) => span.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        if text == "ring" {
            return Ok(Self::Ring);
        }
        let span = Millis::deserialize(serde::de::value::CowStrDeserializer::<D::Error>::new(text.clone()));
        let wrong =
            || serde::de::Error::custom(format!("`{text}` is no limit; write \"ring\" or a span such as \"90s\""));
        span.map(Self::Fixed).map_err(|_| wrong())
    }
}

/// Whose mark it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// One per order.
    Order,
    /// One per incident.
    Incident,
}

/// What a mark waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Milestone {
    /// Incident: it has a usable place.
    Located,
    /// Incident: confirmed or refuted.
    Verified,
    /// Incident: a person has taken it up (any operator's command, or the first signature).
    Taken,
    /// Incident: the first order is out.
    Ordered,
    /// Order: signed. Incident: any order is signed.
    Signed,
    /// Order or incident: on its way.
    EnRoute,
    /// Order: it stands there. Incident: any `first` post does (with an echelon: any post of that echelon).
    OnScene,
    /// Incident: every role asked for stands there.
    JointOnScene,
    /// Order or incident: told what was found.
    FirstReport,
    /// Order: cleared. Incident: every order is cleared or controlled is said.
    Cleared,
    /// Incident: controlled.
    Controlled,
    /// Incident: closed.
    Closed,
}

/// What a mark is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Anchor {
    /// Our receipt of the first report.
    Received,
    /// The order's issue; for an incident mark, the first order's.
    Ordered,
    /// Confirmation, or the lapse of verification; receipt where the plan does not verify.
    Confirmed,
}

/// What a missed mark causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnMiss {
    /// The next best post is ordered for the same need.
    NextPost,
    /// The next echelon is called.
    NextEchelon,
    /// The incident climbs a level.
    NextLevel,
    /// Everybody near is called.
    AllCall,
    /// A notice to the desk that commands.
    Notice,
    /// A notice to the supervision desk.
    Supervise,
}

fn general() -> SmolStr {
    super::compile::GENERAL_SET.into()
}
fn yes() -> bool {
    true
}
fn sixty() -> u8 {
    60
}
fn default_radius() -> f64 {
    3_000.0
}
fn default_all_call() -> Millis {
    Millis::from_mins(60)
}
fn default_expiry() -> Millis {
    Millis::from_mins(5)
}
fn default_owner() -> BTreeMap<Severity, Level> {
    Severity::ALL.into_iter().zip([Level::City, Level::County, Level::Township, Level::Village]).collect()
}

impl Plan {
    /// What is asked for at this ring and severity.
    #[must_use]
    pub fn needs(&self, ring: Ring, severity: Severity) -> &[Need] {
        let fits = |row: &&NeedRow| {
            (row.ring.is_empty() || row.ring.contains(&ring))
                && (row.severity.is_empty() || row.severity.contains(&severity))
        };
        self.needs.iter().find(fits).map_or(&[], |row| &row.needs)
    }

    /// Who owns the incident at first.
    #[must_use]
    pub fn owner(&self, severity: Severity) -> Level {
        self.owner.get(&severity).copied().unwrap_or(Level::City)
    }
}

impl Mark {
    /// Whether the mark applies to an incident of this kind whose anchor lies at this minute of the local day.
    #[must_use]
    pub fn applies(&self, ring: Ring, severity: Severity, category: &CategoryId, minute: u16) -> bool {
        (self.ring.is_empty() || self.ring.contains(&ring))
            && (self.severity.is_empty() || self.severity.contains(&severity))
            && (self.category.is_empty() || self.category.iter().any(|c| covers(c, category)))
            && self.hours.contains(minute)
    }

    /// The span from anchor to deadline.
    #[must_use]
    pub fn limit(&self, ring_limit: Millis) -> Millis {
        let base = match self.limit {
            Limit::Ring => ring_limit,
            Limit::Fixed(span) => span,
        };
        (base + self.plus).max(self.at_least)
    }

    /// The span from anchor to warning, if one is given.
    #[must_use]
    pub fn warning(&self, ring_limit: Millis) -> Option<Millis> {
        (self.warning_percent > 0).then(|| self.limit(ring_limit).percent(u64::from(self.warning_percent)))
    }
}

/// Whether `category` is `prefix` or lies below it in the taxonomy.
#[must_use]
pub fn covers(prefix: &CategoryId, category: &CategoryId) -> bool {
    let (prefix, category) = (prefix.as_str(), category.as_str());
    category.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

macro_rules! kebab_display {
    ($($name:ident)*) => {$(
        /// The word as it stands in a playbook.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Serialize::serialize(self, f)
            }
        }
    )*};
}

kebab_display! { Scope Milestone Anchor OnMiss }

/// A desk's subscription to notices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// Who receives.
    pub desk: Desk,
    /// Which kinds; `*` for all.
    pub kinds: Vec<SmolStr>,
    /// Only at these severities; empty means all.
    #[serde(default)]
    pub severity: Vec<Severity>,
    /// A person must take it within this, else it goes to `next`.
    #[serde(default)]
    pub take_within: Option<Millis>,
    /// The desk that gets what was not taken.
    #[serde(default)]
    pub next: Option<Desk>,
}
