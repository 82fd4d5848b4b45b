//! Plans: what each must have, and what a mediation plan may not.

use std::collections::BTreeSet;

use super::{Known, marks};
use crate::model::{Level, Millis, Severity};
use crate::playbook::compile::GENERAL_SET;
use crate::playbook::problem::Problems;
use crate::playbook::text::{Entry, Text};
use crate::playbook::{Anchor, Mark, Milestone, OnMiss, Plan, Scope};

/// The most bytes of a plan, with the needs of its linkage, as an incident's document holds it.
const PLAN_BYTES_MAX: usize = 5 * 1024;

/// Notes what is wrong with the plans.
pub(super) fn check(text: &Text, known: &Known<'_>, problems: &mut Problems) {
    let rings = text.rings.as_ref().map(|r| r.value.clone()).unwrap_or_default();
    for plan in &text.plans {
        check_plan(plan, known, problems);
        check_size(plan, text, problems);
        check_unknown_place(plan, text, known, problems);
        marks::check(plan, text, &rings, known, problems);
    }
    check_used(text, problems);
}

fn check_plan(plan: &Entry<Plan>, known: &Known<'_>, problems: &mut Problems) {
    let who = format!("plan `{}`", plan.id);
    if plan.says("needs") {
        problems.at(plan, &["needs".into()], format!("{who} gives `needs` itself; they come from its linkage"));
    }
    for (i, agency) in plan.agencies.iter().enumerate() {
        known.refer(problems, (plan, &["agencies".into(), i.into()]), &who, ("agency", agency.as_str()));
    }
    match &plan.linkage {
        // A mediation plan may have none; that it has one is noted below.
        _ if plan.mediation => {}
        Some(_) if plan.by_hand => {
            let what = format!("{who} is by hand and has a `linkage`, which would pick");
            problems.at(plan, &["linkage".into()], what);
        }
        None if plan.by_hand => {}
        Some(linkage) => known.refer(problems, (plan, &["linkage".into()]), &who, ("linkage", linkage.as_str())),
        None => _ = problems.at(plan, &[], format!("{who} has no `linkage`, so it would order nobody")),
    }
    if plan.marks.is_empty() {
        problems.at(plan, &[], format!("{who} has no marks"));
    }
    if plan.expiry == Millis::ZERO {
        problems.at(plan, &["expiry".into()], format!("{who} lets an order expire at once"));
    }
    if !(plan.all_call_radius_m > 0.0 && plan.all_call_radius_m <= 200_000.0) || plan.all_call_for == Millis::ZERO {
        problems.at(plan, &["all_call_radius_m".into()], format!("{who} has an all-call without room or time"));
    }
    check_owner(plan, &who, problems);
    if plan.mediation {
        check_mediation(plan, &who, problems);
    }
    if plan.by_hand {
        check_by_hand(plan, &who, problems);
    }
    if plan.verify_first {
        check_verification(plan, &who, problems);
    }
}

/// An incident keeps its plan, so that its document stays small.
fn check_size(plan: &Entry<Plan>, text: &Text, problems: &mut Problems) {
    let linkage = text.linkages.iter().find(|linkage| Some(&linkage.id) == plan.linkage.as_ref());
    let needs = linkage.map_or_else(Vec::new, |linkage| linkage.rows.clone());
    let stored = Plan { needs, ..plan.value.clone() };
    let bytes = serde_json::to_string(&stored).map_or(0, |stored| stored.len());
    if bytes > PLAN_BYTES_MAX {
        let what = format!(
            "plan `{}` takes {bytes} bytes in the document of each of its incidents; at most {PLAN_BYTES_MAX}",
            plan.id
        );
        problems.at(plan, &[], what).hint("give it fewer marks or agencies, or its linkage fewer rows");
    }
}

/// Where a person gives every order, no miss may give one.
fn check_by_hand(plan: &Entry<Plan>, who: &str, problems: &mut Problems) {
    if plan.mediation {
        problems.at(plan, &["by_hand".into()], format!("{who} is by hand, but mediation orders nobody at all"));
    }
    for (i, mark) in plan.marks.iter().enumerate() {
        for on_miss in mark.on_miss.iter().filter(|m| matches!(m, OnMiss::NextPost | OnMiss::NextEchelon)) {
            let what = format!("{who} is by hand, but answers a miss of `{}` with `{on_miss}`", mark.name);
            problems.at(plan, &["mark".into(), i.into(), "on_miss".into()], what);
        }
    }
}

/// A worse incident is never owned lower.
fn check_owner(plan: &Entry<Plan>, who: &str, problems: &mut Problems) {
    let levels: Vec<(Severity, Level)> = Severity::ALL.into_iter().map(|s| (s, plan.owner(s))).collect();
    for pair in levels.windows(2) {
        let [(worse, above), (milder, below)] = [pair[0], pair[1]];
        if above < below {
            let what = format!("{who} gives severity {worse} to the {above} and the milder {milder} to the {below}");
            problems.at(plan, &["owner".into()], what);
        }
    }
}

/// A dispute or a petition: nobody is sent, nobody is called.
fn check_mediation(plan: &Entry<Plan>, who: &str, problems: &mut Problems) {
    let who = format!("mediation {who}");
    for field in ["linkage", "all_call_radius_m", "all_call_for", "expiry"] {
        if plan.says(field) {
            problems.at(plan, &[field.into()], format!("{who} has `{field}`, but it orders and calls nobody"));
        }
    }
    if plan.says("all_call_at_severity_one") && plan.all_call_at_severity_one {
        problems.at(plan, &["all_call_at_severity_one".into()], format!("{who} asks for an all-call"));
    }
    if plan.verify_first {
        problems.at(plan, &["verify_first".into()], format!("{who} verifies first, but it has no post to hold back"));
    }
    for (i, mark) in plan.marks.iter().enumerate() {
        let path = |field: &'static str| ["mark".into(), i.into(), field.into()];
        if mark.scope == Scope::Order || marks::needs_post(mark.milestone) {
            let what = format!("{who} has the mark `{}`, which only a post can reach", mark.name);
            problems.at(plan, &path("milestone"), what);
        }
        let sends = |on_miss: &&OnMiss| matches!(on_miss, OnMiss::NextPost | OnMiss::NextEchelon | OnMiss::AllCall);
        for on_miss in mark.on_miss.iter().filter(sends) {
            problems.at(plan, &path("on_miss"), format!("{who} answers a miss of `{}` with `{on_miss}`", mark.name));
        }
    }
}

/// A plan that verifies first begins with a mark that ends the wait, and its posts are not late for that wait.
fn check_verification(plan: &Entry<Plan>, who: &str, problems: &mut Problems) {
    let ends = |m: &&Mark| m.milestone == Milestone::Verified && marks::always(m);
    if !plan.marks.iter().any(|m| ends(&m)) {
        let what = format!("{who} verifies first, but has no incident mark `verified` that always applies");
        problems.at(plan, &["verify_first".into()], what).hint("without it an unanswered alarm would wait for ever");
    }
    for (i, mark) in plan.marks.iter().enumerate() {
        if marks::needs_post(mark.milestone) && mark.anchor == Anchor::Received {
            let what = format!("{who} verifies first, but counts its mark `{}` from receipt", mark.name);
            let path = ["mark".into(), i.into(), "anchor".into()];
            problems.at(plan, &path, what).hint("count it from `confirmed` or `ordered`");
        }
    }
}

/// The plan for unknown places finds the place out; no other has to.
fn check_unknown_place(plan: &Entry<Plan>, text: &Text, known: &Known<'_>, problems: &mut Problems) {
    let Some(head) = text.head.as_ref().filter(|head| known.has("plan", head.unknown_place_plan.as_str())) else {
        return;
    };
    let named = plan.id == head.unknown_place_plan;
    let located = |m: &Mark| m.milestone == Milestone::Located;
    if named && !plan.marks.iter().any(|m| located(m) && marks::always(m)) {
        let what = format!("plan `{}` is for unknown places, but has no mark `located` that always applies", plan.id);
        problems.at(plan, &["mark".into()], what);
    }
    if named && (plan.mediation || plan.verify_first) {
        let what = format!("plan `{}` is for unknown places; it can be neither mediation nor verify first", plan.id);
        problems.at(plan, &[], what);
    }
    for (i, mark) in plan.marks.iter().enumerate().filter(|(_, m)| located(m) && !named) {
        let what = format!(
            "plan `{}` has the mark `{}` (`located`), but only `{}` is for unknown places",
            plan.id, mark.name, head.unknown_place_plan
        );
        problems.at(plan, &["mark".into(), i.into(), "milestone".into()], what);
    }
}

/// A plan of the set in force that no rule names never fires a mark.
fn check_used(text: &Text, problems: &mut Problems) {
    let Some(head) = &text.head else { return };
    if text.broken.iter().any(|(table, _)| *table == "rule") {
        return;
    }
    let mut used: BTreeSet<&str> = text.rules.iter().map(|r| r.plan.as_str()).collect();
    used.insert(head.unknown_place_plan.as_str());
    let in_force = |plan: &&Entry<Plan>| plan.set == head.set || plan.set == GENERAL_SET;
    for plan in text.plans.iter().filter(in_force).filter(|p| !used.contains(p.id.as_str())) {
        let what = format!("plan `{}` is in force, but no rule names it, so its marks can never fire", plan.id);
        problems.at(plan, &["id".into()], what);
    }
}
