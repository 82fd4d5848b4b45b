//! The playbook: all that a city decides, from text files to one immutable, checked, compiled value.
//!
//! A folder of TOML files is read as one text: every table may stand in any file, and the file names are for people.
//! Reading has four steps, one file each: *text* (the TOML shape, unknown keys refused, every entry with its file and
//! line), *check* (references, overlaps, what can never match or fire), *compile* (keyword automaton, rule index, area
//! index), and the result, [`Playbook`], which nothing can change. A playbook is swapped whole: an incident keeps the plan
//! that opened it, and every decision stores the hash of the playbook that made it.

mod areas;
mod plans;
mod rules;
mod settings;
mod taxonomy;

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;

pub use areas::{Area, Areas, County, Neighbour, Site, Township, Zone};
pub use plans::{
    Anchor, Limit, Linkage, Mark, Milestone, NeedRow, OnMiss, Plan, RingWord, Scope, Subscription, covers,
};
pub use rules::{Keywords, Modifier, ModifierEffect, Reading, Rule, When};
pub use settings::{Agency, Barrier, Cost, Disposition, Folding, Head, Limits, Rings, Rush, Source, Travel};
pub use taxonomy::{Category, LateAction, LateRule, MatchMode, Matching, Taxonomy};

use crate::model::{AgencyId, DispositionCode, PlanId, PostId, PostSpec, SourceId, Team, TeamId};

/// A checked, compiled playbook. Immutable; shared by everybody who decides.
#[derive(Clone, Debug)]
pub struct Playbook {
    /// Who it is for.
    pub head: Head,
    /// The first 12 hexadecimal digits of the BLAKE3 hash of its text: stored with every decision.
    pub hash: SmolStr,
    /// The zone of `head.time_zone`.
    pub zone: jiff::tz::TimeZone,
    /// Categories.
    pub taxonomy: Taxonomy,
    /// In order; the last is the default.
    pub rules: Vec<Rule>,
    /// In order.
    pub modifiers: Vec<Modifier>,
    /// Keyword groups, in the order of the file.
    pub keywords: Vec<Keywords>,
    /// By id, with their needs filled in.
    pub plans: BTreeMap<PlanId, Arc<Plan>>,
    /// Places.
    pub areas: Areas,
    /// Minutes of the rings.
    pub rings: Rings,
    /// The roster's posts.
    pub posts: BTreeMap<PostId, PostSpec>,
    /// The roster's teams.
    pub teams: BTreeMap<TeamId, Team>,
    /// Which desk hears what.
    pub subscriptions: Vec<Subscription>,
    /// Outside bodies.
    pub agencies: BTreeMap<AgencyId, Agency>,
    /// How an incident may end.
    pub dispositions: BTreeMap<DispositionCode, Disposition>,
    /// Producers, by prefix.
    pub sources: BTreeMap<SourceId, Source>,
    /// How long a post needs.
    pub travel: Travel,
    /// What a pick costs.
    pub cost: Cost,
    /// Bounds.
    pub limits: Limits,
    /// Floods.
    pub folding: Folding,
}

impl Playbook {
    /// What is known of a producer: the entry with the longest prefix of its name.
    #[must_use]
    pub fn source(&self, source: &SourceId) -> Option<&Source> {
        let name = source.as_str();
        let prefixes = (0..=name.len()).rev().filter(|&end| name.is_char_boundary(end));
        prefixes.filter_map(|end| self.sources.get(&name[..end])).next()
    }
}
