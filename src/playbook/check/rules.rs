//! Rules and modifiers: what they refer to, and what their order makes of them.

use super::conditions::{contradicts_itself, covers, meets};
use super::{Known, listed};
use crate::model::{KeywordGroup, Ring, Severity};
use crate::playbook::compile::GENERAL_SET;
use crate::playbook::problem::Problems;
use crate::playbook::text::{Entry, Text};
use crate::playbook::{Condition, Keywords, Modifier, Rule, When};

/// Notes what is wrong with rules and modifiers.
pub(super) fn check(text: &Text, known: &Known<'_>, problems: &mut Problems) {
    let groups: Vec<Keywords> = text.keywords.iter().map(|k| k.value.clone()).collect();
    let conditions: Vec<Condition> = text.rules.iter().map(|r| Condition::of(&r.when, &groups)).collect();
    for (rule, condition) in text.rules.iter().zip(&conditions) {
        let who = format!("rule `{}`", rule.id);
        check_when(rule, &rule.when, condition, &who, known, problems);
        check_verdict(rule, text, known, problems);
        if !rule.when.category.is_empty() {
            let what = format!("{who} asks for a category, which no rule has decided yet");
            problems.at(rule, &["when".into(), "category".into()], what).hint("only modifiers may ask for it");
        }
    }
    check_last(text, problems);
    check_order(text, &conditions, known, problems);
    for modifier in &text.modifiers {
        let who = format!("modifier `{}`", modifier.id);
        let condition = Condition::of(&modifier.when, &groups);
        check_when(modifier, &modifier.when, &condition, &who, known, problems);
        check_modifier(modifier, &who, known, problems);
    }
}

/// The default rule catches the rest, so that every report gets a class.
fn check_last(text: &Text, problems: &mut Problems) {
    match text.rules.last() {
        None if text.broken.iter().any(|(table, _)| *table == "rule") => {}
        None => _ = problems.missing("there is no rule; the last one must be the default, without `when`"),
        Some(last) if last.when != When::default() => {
            let what =
                format!("rule `{}` is the last and has a condition; a report it does not fit has no class", last.id);
            problems.at(last, &["when".into()], what).hint("the last rule must be the default, without `when`");
        }
        Some(_) => {}
    }
}

fn check_verdict(rule: &Entry<Rule>, text: &Text, known: &Known<'_>, problems: &mut Problems) {
    let who = format!("rule `{}`", rule.id);
    known.refer(problems, (rule, &["category".into()]), &who, ("item", rule.category.as_str()));
    known.refer(problems, (rule, &["plan".into()]), &who, ("plan", rule.plan.as_str()));
    let Some(in_force) = text.head.as_ref().map(|head| head.set.as_str()) else { return };
    let forms: Vec<_> = text.plans.iter().filter(|p| p.id == rule.plan).collect();
    let of_set = |set: &str| forms.iter().find(|p| p.set == set);
    let Some(plan) = of_set(in_force).or_else(|| of_set(GENERAL_SET)) else {
        // A set that nobody knows is one fault, not one for every rule.
        if !forms.is_empty() && text.plans.iter().any(|p| p.set == in_force) {
            let sets = listed(forms.iter().map(|p| p.set.as_str()));
            let what = format!("{who} names the plan `{}` of the set {sets}, but `{in_force}` is in force", rule.plan);
            problems.at(rule, &["plan".into()], what);
        }
        return;
    };
    let Some(category) = known.categories.get(rule.category.as_str()) else { return };
    if category.mediation && !plan.mediation {
        let what =
            format!("{who} gives the mediation case `{}` the plan `{}`, which orders posts", category.id, plan.id);
        problems.at(rule, &["plan".into()], what).hint("a mediation case needs a plan with `mediation = true`");
    }
    if plan.mediation && !category.mediation {
        let what = format!("{who} gives `{}` the mediation plan `{}`, which orders nobody", category.id, plan.id);
        problems.at(rule, &["plan".into()], what).hint("only a category with `mediation = true` may have it");
    }
    if category.trigger_at_once && plan.verify_first {
        let what = format!(
            "{who} gives `{}`, which triggers at once, the plan `{}`, which verifies first",
            category.id, plan.id
        );
        problems.at(rule, &["plan".into()], what);
    }
}

fn check_modifier(modifier: &Entry<Modifier>, who: &str, known: &Known<'_>, problems: &mut Problems) {
    if modifier.when == When::default() {
        problems.at(modifier, &[], format!("{who} has no condition, so it would act on every report"));
    }
    for (i, prefix) in modifier.when.category.iter().enumerate() {
        let path = &["when".into(), "category".into(), i.into()];
        check_prefix(modifier, path, who, prefix, known, problems);
        let mut below = known.categories.values().filter(|c| crate::playbook::covers(prefix, &c.id)).peekable();
        if below.peek().is_some() && below.all(|c| c.mediation) {
            let what =
                format!("{who} names the mediation category `{prefix}`; nothing raises or lowers a mediation case");
            problems.at(modifier, path, what);
        }
    }
}

/// Notes a prefix under which no category lies.
pub(super) fn check_prefix<T>(
    entry: &Entry<T>,
    path: &[crate::playbook::problem::Part<'_>],
    who: &str,
    prefix: &crate::model::CategoryId,
    known: &Known<'_>,
    problems: &mut Problems,
) {
    let tables = ["item", "class", "domain"];
    if !tables.iter().any(|table| known.has(table, prefix.as_str())) {
        problems.at(entry, path, format!("{who} names the category `{prefix}`, which does not exist"));
        problems.suggest(prefix.as_str(), tables.into_iter().flat_map(|table| known.all(table)));
    }
}

fn check_when<T>(
    entry: &Entry<T>,
    when: &When,
    condition: &Condition,
    who: &str,
    known: &Known<'_>,
    problems: &mut Problems,
) {
    for (field, groups) in [("any", &when.any), ("all", &when.all), ("none", &when.none)] {
        for (i, group) in groups.iter().enumerate() {
            let path = &["when".into(), field.into(), i.into()];
            known.refer(problems, (entry, path), who, ("keywords", group.as_str()));
        }
    }
    for (i, area) in when.area.iter().enumerate() {
        known.refer(problems, (entry, &["when".into(), "area".into(), i.into()]), who, ("area", area.as_str()));
    }
    for (i, reading) in when.attributes.iter().enumerate() {
        let path = &["when".into(), "attributes".into(), i.into()];
        let bounds = [reading.at_least, reading.below];
        let sound = bounds.iter().flatten().all(|b| b.is_finite()) && bounds.iter().any(Option::is_some);
        let empty = reading.at_least.zip(reading.below).is_some_and(|(from, to)| from >= to);
        if !sound || empty {
            let what = format!("{who} asks `{}` for no value it could have", reading.name);
            problems.at(entry, path, what).hint("give `at_least`, `below` or both, the first being the smaller");
        }
    }
    if contradicts_itself(condition) {
        let what = format!("{who} asks for words and for their absence, so it never holds");
        problems.at(entry, &["when".into(), "none".into()], what);
    }
    let fits = |ring: &Ring| when.key_site.is_none_or(|site| site == (*ring == Ring::One));
    if !when.ring.is_empty() && !when.ring.iter().any(fits) {
        let what =
            format!("{who} asks for a key site and for rings that exclude each other; ring 1 is at key sites only");
        problems.at(entry, &["when".into(), "ring".into()], what);
    }
}

/// A rule that is covered never speaks; an ordinary rule above a bottom-line rule takes reports from it.
fn check_order(text: &Text, conditions: &[Condition], known: &Known<'_>, problems: &mut Problems) {
    let urgent = |rule: &Rule| {
        let category = known.categories.get(rule.category.as_str());
        rule.severity <= Severity::II || category.is_some_and(|c| c.bottom_line || c.trigger_at_once)
    };
    // What a rule with an unknown group would hold for is unknown too.
    let compiled = |group: &KeywordGroup| text.keywords.iter().any(|k| k.id == *group);
    let clear = |rule: &Rule| [&rule.when.any, &rule.when.all, &rule.when.none].into_iter().flatten().all(compiled);
    for (later, rule) in text.rules.iter().enumerate().filter(|(_, rule)| clear(rule)) {
        let above = || text.rules.iter().zip(conditions).take(later).filter(|(rule, _)| clear(rule));
        if let Some((earlier, _)) = above().find(|(_, condition)| covers(condition, &conditions[later])) {
            let place = problems.place(earlier);
            let what = format!("rule `{}` can never match: `{}` ({place}) holds whenever it does", rule.id, earlier.id);
            problems.at(rule, &["when".into()], what).hint("put the narrower rule first");
            continue;
        }
        if !urgent(rule) {
            continue;
        }
        let taking = above().filter(|(earlier, condition)| !urgent(earlier) && meets(condition, &conditions[later]));
        let taking: Vec<&str> = taking.map(|(earlier, _)| earlier.id.as_str()).collect();
        if !taking.is_empty() {
            let what = format!(
                "bottom-line rule `{}` stands below the ordinary {}, which may take its reports",
                rule.id,
                listed(taking)
            );
            problems.at(rule, &[], what).hint("no ordinary rule may stand above a bottom-line rule it overlaps");
        }
    }
}
