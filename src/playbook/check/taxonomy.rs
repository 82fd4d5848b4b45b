//! The taxonomy: its shape, the kinds of risk, and what may not be said of a mediation case.

use std::collections::BTreeMap;

use super::Known;
use crate::playbook::problem::Problems;
use crate::playbook::text::{Entry, ItemText, Text};
use crate::playbook::{MatchMode, Matching};

/// The rule book knows five kinds of risk.
const RISK_KINDS: usize = 5;

/// Notes what is wrong with domains, classes and items.
pub(super) fn check(text: &Text, known: &Known<'_>, problems: &mut Problems) {
    let kinds = text.risk_kinds.len();
    let unread = text.broken.iter().any(|(table, _)| *table == "risk_kind");
    if kinds != RISK_KINDS && !unread {
        let what = format!("there are {kinds} kinds of risk; the rule book has {RISK_KINDS}");
        match text.risk_kinds.last() {
            Some(last) => problems.at(last, &[], what),
            None => problems.missing(what),
        };
    }
    for class in &text.classes {
        let (who, id) = (format!("class `{}`", class.id), class.id.as_str());
        match id.split_once('/') {
            Some((domain, name)) if !name.is_empty() && !name.contains('/') => {
                known.refer(problems, (class, &["id".into()]), &who, ("domain", domain));
            }
            _ => _ = problems.at(class, &["id".into()], format!("{who} must read `domain/class`")),
        }
        known.refer(problems, (class, &["risk".into()]), &who, ("risk_kind", &class.risk));
        for (i, agency) in class.agencies.iter().enumerate() {
            known.refer(problems, (class, &["agencies".into(), i.into()]), &who, ("agency", agency.as_str()));
        }
        matching(class, &who, class.matching, problems);
        let below = |item: &Entry<ItemText>| item.id.as_str().rsplit_once('/').is_some_and(|(above, _)| above == id);
        if !text.items.iter().any(below) && text.broken.iter().all(|(table, _)| *table != "item") {
            problems.at(class, &["id".into()], format!("{who} has no item, so nothing can ever be of it"));
        }
    }
    for item in &text.items {
        check_item(item, known, problems);
    }
    families(text, known, problems);
}

fn check_item(item: &Entry<ItemText>, known: &Known<'_>, problems: &mut Problems) {
    let who = format!("item `{}`", item.id);
    match item.id.as_str().rsplit_once('/') {
        Some((class, name)) if !name.is_empty() && class.matches('/').count() == 1 => {
            known.refer(problems, (item, &["id".into()]), &who, ("class", class));
        }
        _ => _ = problems.at(item, &["id".into()], format!("{who} must read `domain/class/item`")),
    }
    for (i, agency) in item.agencies.iter().flatten().enumerate() {
        known.refer(problems, (item, &["agencies".into(), i.into()]), &who, ("agency", agency.as_str()));
    }
    if let Some(given) = item.matching {
        matching(item, &who, given, problems);
    }
    let Some(category) = known.categories.get(item.id.as_str()) else { return };
    for (field, forbidden) in [("trigger_at_once", category.trigger_at_once), ("bottom_line", category.bottom_line)] {
        if category.mediation && forbidden {
            let what = format!("{who} is a mediation case, which may not be `{field}`");
            let hint = "danger on the spot is an incident of its own category";
            problems.at(item, &[field.into()], what).hint(hint);
        }
    }
}

fn matching<T>(entry: &Entry<T>, who: &str, matching: Matching, problems: &mut Problems) {
    let far = matching.distance_m.is_finite() && (0.0..=100_000.0).contains(&matching.distance_m);
    if !far {
        let what = format!("{who} matches within {} m; that must lie between 0 and 100000", matching.distance_m);
        problems.at(entry, &["matching".into(), "distance_m".into()], what);
    } else if matching.mode != MatchMode::Never && (matching.distance_m == 0.0 || matching.window.0 == 0) {
        let what = format!("{who} matches within no distance or no time, so never");
        problems.at(entry, &["matching".into()], what).hint("write `mode = \"never\"`");
    }
}

/// A family may not hold mediation cases and others: a report of danger would join a dispute and order nobody.
fn families(text: &Text, known: &Known<'_>, problems: &mut Problems) {
    let mut first: BTreeMap<&str, (&str, bool)> = BTreeMap::new();
    for item in &text.items {
        let Some(category) = known.categories.get(item.id.as_str()) else { continue };
        let (other, mediation) = *first.entry(&category.family).or_insert((item.id.as_str(), category.mediation));
        if mediation != category.mediation {
            let family = &category.family;
            let what =
                format!("item `{}` and `{other}` are of the family `{family}`, but only one is mediation", item.id);
            problems.at(item, &[], what).hint("a report of danger would join a dispute and order nobody");
        }
    }
}
