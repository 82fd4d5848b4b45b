//! Everything that can be wrong with a playbook beyond its shape.
//!
//! A fault found here is one that would cost minutes at three in the morning: a rule that never speaks, a mark that can
//! never fire or falls due before the one it should follow, a post that stands in no area, a dispute that orders a
//! patrol. All faults are noted, and each is noted where it can be mended. What an entry that cannot be read might have
//! meant is unknown, so its name counts as known.
//!
//! One file a part of the text, in the order in which its author writes it.

mod names;
mod settings;
mod taxonomy;

mod conditions;
mod keywords;
mod rules;

mod linkage;
mod marks;
mod plans;

mod desks;
mod places;
mod roster;
mod templates;
mod windows;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use settings::{default_vintage, zone};

use super::Category;
use super::compile::inherit;
use super::problem::{Part, Problems};
use super::text::{Entry, Text};

/// Notes every fault of a text.
pub(super) fn check(text: &Text, problems: &mut Problems) {
    let known = Known::of(text);
    names::check(text, problems);
    settings::check(text, &known, problems);
    taxonomy::check(text, &known, problems);
    keywords::check(text, problems);
    rules::check(text, &known, problems);
    linkage::check(text, problems);
    plans::check(text, &known, problems);
    places::check(text, &known, problems);
    roster::check(text, &known, problems);
    desks::check(text, &known, problems);
    templates::check(text, problems);
    windows::check(text, &known, problems);
}

/// The names that may be referred to, and the categories as they will be compiled.
struct Known<'t> {
    names: BTreeMap<&'static str, BTreeSet<&'t str>>,
    categories: BTreeMap<&'t str, Category>,
}

impl<'t> Known<'t> {
    fn of(text: &'t Text) -> Self {
        let mut names: BTreeMap<&'static str, BTreeSet<&'t str>> = BTreeMap::new();
        names.insert("risk_kind", text.risk_kinds.iter().map(|w| w.id.as_str()).collect());
        names.insert("domain", text.domains.iter().map(|w| w.id.as_str()).collect());
        names.insert("class", text.classes.iter().map(|c| c.id.as_str()).collect());
        names.insert("item", text.items.iter().map(|i| i.id.as_str()).collect());
        names.insert("keywords", text.keywords.iter().map(|k| k.id.as_str()).collect());
        names.insert("linkage", text.linkages.iter().map(|l| l.id.as_str()).collect());
        names.insert("plan", text.plans.iter().map(|p| p.id.as_str()).collect());
        names.insert("county", text.counties.iter().map(|c| c.code.as_str()).collect());
        names.insert("area", text.areas.iter().map(|a| a.id.as_str()).collect());
        names.insert("agency", text.agencies.iter().map(|a| a.id.as_str()).collect());
        for (table, name) in &text.broken {
            names.entry(table).or_default().insert(name);
        }
        let classes: BTreeMap<&str, _> = text.classes.iter().map(|c| (c.id.as_str(), &c.value)).collect();
        let compiled = |item: &'t Entry<super::text::ItemText>| {
            let class = classes.get(item.id.as_str().rsplit_once('/')?.0)?;
            Some((item.id.as_str(), inherit(class, item)))
        };
        Self { names, categories: text.items.iter().filter_map(compiled).collect() }
    }

    fn all(&self, table: &'static str) -> impl Iterator<Item = &'t str> {
        self.names.get(table).into_iter().flatten().copied()
    }

    fn has(&self, table: &'static str, name: &str) -> bool {
        self.names.get(table).is_some_and(|names| names.contains(name))
    }

    /// Notes a name that nothing has. `who` is the one that says it, such as "rule `x`".
    fn refer<T>(
        &self,
        problems: &mut Problems,
        (entry, path): (&Entry<T>, &[Part<'_>]),
        who: &str,
        (table, given): (&'static str, &str),
    ) {
        if self.has(table, given) {
            return;
        }
        let what = match table {
            "item" => "category",
            "keywords" => "keyword group",
            "risk_kind" => "kind of risk",
            other => other,
        };
        problems.at(entry, path, format!("{who} names the {what} `{given}`, which does not exist"));
        problems.suggest(given, self.all(table));
    }
}

/// `a`, `b` and 3 more
fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    const SHOWN: usize = 4;
    let names: Vec<String> = names.into_iter().map(|n| format!("`{n}`")).collect();
    let more = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - more].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}
