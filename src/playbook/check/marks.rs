//! Marks: each can be reached, can fire, and falls due no earlier than the one it follows.

use super::conditions::hours_meet;
use super::linkage::fits;
use super::{Known, rules};
use crate::model::{Millis, Ring, Severity};
use crate::playbook::problem::{Part, Problems};
use crate::playbook::text::{Entry, Text};
use crate::playbook::{Anchor, Mark, Milestone, Plan, Rings, Scope};

const RINGS: [Ring; 4] = [Ring::One, Ring::Three, Ring::Five, Ring::Rural];

/// Notes what is wrong with a plan's marks.
pub(super) fn check(plan: &Entry<Plan>, text: &Text, rings: &Rings, known: &Known<'_>, problems: &mut Problems) {
    for (i, mark) in plan.marks.iter().enumerate() {
        let here = Here { plan, i, who: format!("mark `{}` of plan `{}`", mark.name, plan.id) };
        check_numbers(&here, mark, rings, problems);
        check_reachable(&here, mark, problems);
        check_echelon(&here, mark, text, problems);
        check_category(&here, mark, text, known, problems);
    }
    check_twice(plan, problems);
    check_order(plan, rings, problems);
}

/// A mark's place in the text.
struct Here<'p> {
    plan: &'p Entry<Plan>,
    i: usize,
    who: String,
}

impl Here<'_> {
    fn note<'q>(&self, problems: &'q mut Problems, field: &str, what: String) -> &'q mut Problems {
        let path: [Part<'_>; 3] = ["mark".into(), self.i.into(), field.into()];
        problems.at(self.plan, &path, what)
    }
}

/// Whether only a post can reach the milestone.
pub(super) fn needs_post(milestone: Milestone) -> bool {
    use Milestone as M;
    matches!(milestone, M::Ordered | M::Signed | M::EnRoute | M::OnScene | M::JointOnScene | M::FirstReport)
}

/// Whether an incident mark applies to every incident of its plan.
pub(super) fn always(mark: &Mark) -> bool {
    let Mark { ring, severity, category, hours, .. } = mark;
    mark.scope == Scope::Incident
        && (ring.is_empty() && severity.is_empty() && category.is_empty())
        && (hours.is_always() && mark.echelon.is_none())
}

fn check_numbers(here: &Here<'_>, mark: &Mark, rings: &Rings, problems: &mut Problems) {
    let who = &here.who;
    let none = RINGS.iter().any(|ring| mark.limit(rings.limit(*ring)) == Millis::ZERO);
    if none {
        here.note(problems, "limit", format!("{who} has no time at all"));
    }
    if mark.warning_percent > 99 {
        let what = format!("{who} warns at {} percent of its limit", mark.warning_percent);
        here.note(problems, "warning_percent", what).hint("1 to 99, or 0 for no warning");
    }
    if mark.repeat == Some(Millis::ZERO) {
        here.note(problems, "repeat", format!("{who} repeats after no time at all"));
    }
    if mark.target_percent.is_some_and(|percent| !(1..=100).contains(&percent)) {
        here.note(problems, "target_percent", format!("{who} has a target that is no share between 1 and 100 percent"));
    }
    let mut seen = Vec::new();
    for on_miss in &mark.on_miss {
        if seen.contains(&on_miss) {
            here.note(problems, "on_miss", format!("{who} answers a miss with `{on_miss}` twice"));
        }
        seen.push(on_miss);
    }
}

fn check_reachable(here: &Here<'_>, mark: &Mark, problems: &mut Problems) {
    use Milestone as M;
    let (who, milestone) = (&here.who, mark.milestone);
    let of_order = matches!(milestone, M::Signed | M::EnRoute | M::OnScene | M::FirstReport | M::Cleared);
    if mark.scope == Scope::Order && !of_order {
        here.note(problems, "milestone", format!("{who} is an order's, but no order ever reaches `{milestone}`"));
    }
    if milestone == M::Verified && !here.plan.verify_first {
        let what = format!("{who} waits for `verified`, but the plan does not verify");
        here.note(problems, "milestone", what).hint("`verify_first = true`");
    }
    if matches!(milestone, M::Verified | M::Located) && mark.anchor != Anchor::Received {
        let what = format!("{who} is counted from `{}`, which comes after it", mark.anchor);
        here.note(problems, "anchor", what).hint("`received`");
    }
    if here.plan.mediation && mark.anchor == Anchor::Ordered {
        here.note(problems, "anchor", format!("{who} is counted from an order, and a mediation plan has none"));
    }
    if milestone == M::Ordered && mark.anchor == Anchor::Ordered {
        here.note(problems, "anchor", format!("{who} waits for the order it is counted from"));
    }
}

fn check_echelon(here: &Here<'_>, mark: &Mark, text: &Text, problems: &mut Problems) {
    let Some(echelon) = mark.echelon else { return };
    let Some(linkage) = text.linkages.iter().find(|l| Some(&l.id) == here.plan.linkage.as_ref()) else { return };
    let asked = cases(mark).any(|(ring, severity)| {
        let row = linkage.rows.iter().find(|row| fits(row, ring, severity));
        row.is_some_and(|row| row.needs.iter().any(|need| need.echelon == echelon))
    });
    if !asked {
        let what = format!(
            "{} can never fire: linkage `{}` asks for nobody of echelon {echelon} where it applies",
            here.who, linkage.id
        );
        here.note(problems, "echelon", what);
    }
}

/// Rings and severities to which a mark applies.
fn cases(mark: &Mark) -> impl Iterator<Item = (Ring, Severity)> {
    let rings = RINGS.into_iter().filter(|r| mark.ring.is_empty() || mark.ring.contains(r));
    rings.flat_map(|ring| {
        let severities = Severity::ALL.into_iter().filter(|s| mark.severity.is_empty() || mark.severity.contains(s));
        severities.map(move |severity| (ring, severity))
    })
}

/// A category filter under which no category has this plan excludes everything.
fn check_category(here: &Here<'_>, mark: &Mark, text: &Text, known: &Known<'_>, problems: &mut Problems) {
    let plan = here.plan;
    let has_plan =
        |prefix| text.rules.iter().any(|r| r.plan == plan.id && crate::playbook::covers(prefix, &r.category));
    let special = text.head.as_ref().is_some_and(|head| head.unknown_place_plan == plan.id);
    let named = text.rules.iter().any(|r| r.plan == plan.id);
    for (c, prefix) in mark.category.iter().enumerate() {
        let path = ["mark".into(), here.i.into(), "category".into(), c.into()];
        let before = problems.len();
        rules::check_prefix(plan, &path, &here.who, prefix, known, problems);
        if problems.len() == before && named && !special && !has_plan(prefix) {
            let what = format!("{} can never fire for `{prefix}`: no rule gives it this plan", here.who);
            problems.at(plan, &path, what);
        }
    }
}

/// One name, one scope, one case: one mark.
fn check_twice(plan: &Entry<Plan>, problems: &mut Problems) {
    for (i, mark) in plan.marks.iter().enumerate() {
        let alike = |m: &&Mark| m.name == mark.name && m.scope == mark.scope && case(m, mark).is_some();
        if plan.marks[..i].iter().any(|m| alike(&m)) {
            let what = format!("plan `{}` has the mark `{}` twice for the same incidents", plan.id, mark.name);
            problems.at(plan, &["mark".into(), i.into(), "name".into()], what);
        }
    }
}

/// A case to which both marks apply.
fn case(a: &Mark, b: &Mark) -> Option<(Ring, Severity)> {
    let categories_meet = a.category.is_empty()
        || b.category.is_empty()
        || a.category
            .iter()
            .any(|x| b.category.iter().any(|y| crate::playbook::covers(x, y) || crate::playbook::covers(y, x)));
    let echelons_meet = a.echelon.is_none() || b.echelon.is_none() || a.echelon == b.echelon;
    if !categories_meet || !echelons_meet || !hours_meet(&a.hours, &b.hours) {
        return None;
    }
    cases(a).find(|case| cases(b).any(|other| other == *case))
}

/// The course of an incident. What may come in any order has one rank.
fn rank(milestone: Milestone) -> Option<u8> {
    use Milestone as M;
    Some(match milestone {
        M::Located => 0,
        M::Verified => 1,
        M::Ordered => 2,
        M::Signed => 3,
        M::EnRoute => 4,
        M::OnScene => 5,
        M::JointOnScene | M::FirstReport => 6,
        M::Controlled | M::Cleared => 7,
        M::Closed => 8,
        M::Taken => return None,
    })
}

/// Whether two spans may be compared: they begin at the same instant, or the plan orders at once.
fn same_start(plan: &Plan, a: &Mark, b: &Mark) -> bool {
    let waits = |m: &Mark| matches!(m.milestone, Milestone::Located | Milestone::Verified);
    let held_back = plan.verify_first && (a.anchor == Anchor::Received) != (b.anchor == Anchor::Received);
    a.anchor == b.anchor || !held_back && !waits(a) && !waits(b)
}

/// Of two marks that both apply, the later milestone is not due earlier.
fn check_order(plan: &Entry<Plan>, rings: &Rings, problems: &mut Problems) {
    for (i, later) in plan.marks.iter().enumerate() {
        for earlier in &plan.marks {
            let follows = rank(earlier.milestone).zip(rank(later.milestone)).is_some_and(|(e, l)| e < l);
            if !follows || case(earlier, later).is_none() || !same_start(plan, earlier, later) {
                continue;
            }
            let both =
                |(ring, _): &(Ring, Severity)| earlier.limit(rings.limit(*ring)) > later.limit(rings.limit(*ring));
            let shared = cases(later).filter(|case| cases(earlier).any(|other| other == *case));
            if let Some((ring, severity)) = shared.into_iter().find(both) {
                let [due, before] = [later, earlier].map(|m| m.limit(rings.limit(ring)));
                let what = format!(
                    "plan `{}`: mark `{}` is due after {due}, before `{}` after {before} (ring {ring}, severity {severity})",
                    plan.id, later.name, earlier.name
                );
                let path = ["mark".into(), i.into(), "limit".into()];
                problems.at(plan, &path, what).hint("marks must fall due in the order in which they are reached");
            }
        }
    }
}
