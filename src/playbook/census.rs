//! What a playbook holds, counted: the first thing its author looks at.

use std::collections::BTreeMap;

use serde::Serialize;
use smol_str::SmolStr;

use super::Playbook;

/// The counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "each is the number of what it names")]
pub struct Census {
    pub name: SmolStr,
    pub version: SmolStr,
    pub hash: SmolStr,
    pub set: SmolStr,
    pub sets: Vec<SmolStr>,
    pub domains: usize,
    pub classes: usize,
    pub items: usize,
    pub risk_kinds: usize,
    pub trigger_at_once: usize,
    pub mediation_items: usize,
    pub rules: usize,
    pub modifiers: usize,
    pub keyword_groups: usize,
    pub words: usize,
    pub negations: usize,
    pub plans: usize,
    pub marks: usize,
    pub counties: usize,
    pub townships: BTreeMap<SmolStr, usize>,
    pub areas: usize,
    /// By risk class, 1 to 3.
    pub areas_by_class: BTreeMap<String, usize>,
    pub sites: usize,
    pub zones: usize,
    pub neighbours: usize,
    pub posts: usize,
    pub posts_by_kind: BTreeMap<String, usize>,
    pub teams: usize,
    pub agencies: usize,
    pub subscriptions: usize,
    pub dispositions: usize,
    pub sources: usize,
}

impl Playbook {
    /// Counts everything.
    #[must_use]
    pub fn census(&self) -> Census {
        let categories = || self.taxonomy.categories.values();
        Census {
            name: self.head.name.clone(),
            version: self.head.version.clone(),
            hash: self.hash.clone(),
            set: self.head.set.clone(),
            sets: self.sets.iter().cloned().collect(),
            domains: self.taxonomy.domains.len(),
            classes: self.taxonomy.classes.len(),
            items: categories().count(),
            risk_kinds: self.taxonomy.risks.len(),
            trigger_at_once: categories().filter(|c| c.trigger_at_once).count(),
            mediation_items: categories().filter(|c| c.mediation).count(),
            rules: self.rules.len(),
            modifiers: self.modifiers.len(),
            keyword_groups: self.keywords.len(),
            words: self.keywords.iter().map(|k| k.words.len()).sum(),
            negations: self.keywords.iter().map(|k| k.negations.len()).sum(),
            plans: self.plans.len(),
            marks: self.plans.values().map(|p| p.marks.len()).sum(),
            counties: self.areas.counties.len(),
            townships: tally(self.areas.townships.keys().map(|(vintage, _)| vintage.clone())),
            areas: self.areas.areas.len(),
            areas_by_class: tally(self.areas.areas.values().map(|a| u8::from(a.class).to_string())),
            sites: self.areas.sites.len(),
            zones: self.areas.zones.len(),
            neighbours: self.areas.neighbours.len(),
            posts: self.posts.len(),
            posts_by_kind: tally(self.posts.values().map(|p| p.kind.to_string())),
            teams: self.teams.len(),
            agencies: self.agencies.len(),
            subscriptions: self.subscriptions.len(),
            dispositions: self.dispositions.len(),
            sources: self.sources.len(),
        }
    }
}

fn tally<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_minimal_playbook_is_counted() {
        let census = crate::playbook::minimal().census();
        assert_eq!((census.domains, census.classes, census.items, census.risk_kinds), (1, 6, 7, 5));
        assert_eq!((census.plans, census.marks, census.trigger_at_once, census.mediation_items), (4, 10, 1, 1));
        assert_eq!(
            census.townships.into_iter().map(|(v, n)| format!("{v}={n}")).collect::<Vec<_>>(),
            ["new-2026=5", "old-2021=2"]
        );
        assert_eq!((census.posts, census.posts_by_kind["patrol"], census.teams), (9, 5, 20));
    }
}
