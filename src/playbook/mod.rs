//! The playbook: all that a city decides, from text files to one immutable, checked, compiled value.
//!
//! A folder of TOML files is read as one text: every table may stand in any file, and the file names are for people.
//! Reading has four steps, one file each: *text* (the TOML shape, unknown keys refused, every entry with its file and
//! line), *check* (references, overlaps, what can never match or fire), *compile* (keyword automaton, rule index, area
//! index), and the result, [`Playbook`], which nothing can change. A playbook is swapped whole: an incident keeps the plan
//! that opened it, and every decision stores the hash of the playbook that made it.

mod text;

mod check;

mod compile;

mod conditions;
mod keywords;
mod rule_index;

mod locate;

mod census;

mod areas;
mod plans;
mod problem;
mod roster;
mod rules;
mod settings;
mod taxonomy;
mod templates;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

pub use areas::{Area, Areas, County, Neighbour, Site, Township, Zone};
pub use census::Census;
pub use conditions::{Condition, Mask, Masked};
pub use keywords::{Automaton, GROUPS_MAX, Hits};
pub use plans::{Anchor, Limit, Linkage, Mark, Milestone, NeedRow, OnMiss, Plan, Scope, Subscription, covers};
pub use problem::Problem;
pub use rule_index::{Offered, RuleIndex};
pub use rules::{Keywords, Modifier, ModifierEffect, Reading, Rule, When};
pub use settings::{Agency, Barrier, Cost, Disposition, Folding, Head, Limits, Rings, Rush, Source, Travel};
pub use taxonomy::{Category, LateAction, LateRule, MatchMode, Matching, Taxonomy};
pub use templates::{Language, Telling, Template, Templates};
pub use windows::{Suppression, Window};

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
    /// What [`Playbook::keyword_hits`] asks.
    pub automaton: Automaton,
    /// The conditions of `rules`, compiled, in the same order.
    pub rule_conditions: Vec<Condition>,
    /// Which of them can hold at all.
    pub rule_index: RuleIndex,
    /// The conditions of `modifiers`, compiled, in the same order.
    pub modifier_conditions: Vec<Condition>,
    /// Those of the set in force and of the set `general`, by id, with their needs filled in. Plans of different sets may
    /// have one id: rules name a plan, and `[playbook] set` says which of its forms is meant. Where the set has none of its
    /// own, the general form is.
    pub plans: BTreeMap<PlanId, Arc<Plan>>,
    /// Every set some plan belongs to.
    pub sets: BTreeSet<SmolStr>,
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
    /// What may be silenced, and how notices are grouped.
    pub suppression: Suppression,
    /// Planned windows, by id.
    pub windows: BTreeMap<SmolStr, Window>,
    /// What is told in words.
    pub templates: Templates,
}

impl Playbook {
    /// Which keyword groups a text speaks of, by their number in [`Playbook::keywords`].
    #[must_use]
    pub fn keyword_hits(&self, text: &str) -> Hits {
        self.automaton.scan(text)
    }

    /// What is known of a producer: the entry with the longest prefix of its name.
    #[must_use]
    pub fn source(&self, source: &SourceId) -> Option<&Source> {
        let name = source.as_str();
        let mut prefixes = (0..=name.len()).rev().filter(|&end| name.is_char_boundary(end));
        prefixes.find_map(|end| self.sources.get(&name[..end]))
    }
}

/// The smallest playbook that has one of everything, for the tests of the core.
#[cfg(test)]
pub(crate) fn minimal() -> Playbook {
    Playbook::load(&minimal_files()).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    })
}

/// The files of [`minimal`], for tests that change a line of it.
#[cfg(test)]
pub(crate) fn minimal_files() -> Vec<(String, String)> {
    [
        ("categories.toml", include_str!("../../tests/playbooks/minimal/categories.toml")),
        ("places.toml", include_str!("../../tests/playbooks/minimal/places.toml")),
        ("playbook.toml", include_str!("../../tests/playbooks/minimal/playbook.toml")),
    ]
    .map(|(name, text)| (name.to_owned(), text.to_owned()))
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimal_playbook_loads_and_inherits() {
        let playbook = minimal();
        assert_eq!((playbook.hash.len(), playbook.head.command_area.as_str()), (12, "9900"));
        let panel = &playbook.taxonomy.categories["safety/alarm/panel"];
        assert_eq!(
            (panel.family.as_str(), panel.class.as_str(), panel.risk.as_str()),
            ("safety/fire", "safety/alarm", "safety")
        );
        assert_eq!(playbook.taxonomy.categories["safety/fire/structure"].family, "safety/fire");
        assert!(playbook.taxonomy.categories["safety/violence/knife"].trigger_at_once);
        assert_eq!(playbook.plans["rapid-response"].needs.len(), 3);
        assert_eq!((playbook.posts.len(), playbook.teams.len()), (9, 20));
        assert_eq!(playbook.areas.default_vintage, "new-2026");
    }
}
