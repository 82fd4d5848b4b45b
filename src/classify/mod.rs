//! Report × Playbook → [`Classification`]: keyword scan, rules in order, modifiers, explanation.
//!
//! # The algorithm
//! 1. The text is scanned once: which keyword groups does it speak of, denials not counted (无人员伤亡 holds no 伤亡).
//! 2. The rules are tried in order and the first whose condition holds decides category, severity and plan. The last
//!    rule has no condition, so every report gets a class. An index leaves out rules that cannot match; the answer is that
//!    of trying all.
//! 3. Modifiers move the severity (see `modifiers`), and each whose condition holds is recorded with what it did.
//! 4. The lane is the bottom line for severity I and II and for the categories the playbook names.
//!
//! # Invariants
//! * The same report, source, receipt time and playbook give the same classification, whoever asks and when.
//! * A drill is what `status` says; the word "drill" in a text is a word.
//! * The hour and the weekday are those of our receipt, on the clock of the playbook's zone.
//! * A report at an unknown or a foreign place is classified like any other; what to do about the place is the
//!   engine's business, and until then the plan is the rule's.
//! * A category that triggers at once is never verified first, and a mediation case is never moved: the playbook's check
//!   refuses rules that would have it otherwise.
//! * Nothing is allocated but what the result itself holds; most reports need none of it.
//!
//! Left out: the CAP matrix as a severity of its own (the playbook says by rules what urgency, severity and certainty
//! mean), learning, and anything about persons.

mod conditions;

mod modifiers;

mod explain;

pub use conditions::Facts;
pub use explain::{Denied, Explanation, Failed, GroupHits, ModifierLine, RuleLine, explain};

use crate::model::{Classification, Lane, Meta, Place, Report, Severity, SourceId, Timestamp, Verdict};
use crate::playbook::{Category, Playbook, Rule};

/// Place and class of a report.
#[must_use]
pub fn verdict(playbook: &Playbook, meta: &Meta, report: &Report, received: Timestamp) -> Verdict {
    let place = playbook.areas.locate(&report.place);
    let classification = classify(playbook, report, &meta.source, received, &place);
    Verdict { place, classification }
}

/// The class of a report whose place is known, as far as it is known.
///
/// # Panics
/// With a playbook that never passed its check: without a default rule, or with a rule of an unknown category.
#[must_use]
pub fn classify(
    playbook: &Playbook,
    report: &Report,
    source: &SourceId,
    received: Timestamp,
    place: &Place,
) -> Classification {
    let facts = Facts::of(playbook, report, source, received, place);
    let rule = &playbook.rules[first_rule(playbook, &facts)];
    conclude(playbook, rule, &facts)
}

/// The number of the first rule whose condition holds.
fn first_rule(playbook: &Playbook, facts: &Facts) -> usize {
    let holds = |number: usize| playbook.rule_conditions[number].holds(facts, None);
    playbook.rule_index.first(facts.offered(), holds).expect("the last rule of a checked playbook has no condition")
}

/// What follows from a rule: modifiers, lane, plan.
fn conclude(playbook: &Playbook, rule: &Rule, facts: &Facts) -> Classification {
    let category = category(playbook, rule);
    let (severity, modifiers) = modifiers::apply(playbook, category, rule.severity, facts);
    Classification {
        category: rule.category.clone(),
        severity,
        ring: facts.place.ring,
        lane: lane(category, severity),
        plan: rule.plan.clone(),
        rule: rule.id.clone(),
        modifiers,
        trigger_at_once: category.trigger_at_once,
        playbook: playbook.hash.clone(),
    }
}

fn category<'p>(playbook: &'p Playbook, rule: &Rule) -> &'p Category {
    playbook
        .taxonomy
        .categories
        .get(&rule.category)
        .expect("a checked playbook knows the category of each of its rules")
}

/// The lane of a category at a severity: also what the engine asks when an operator reclassifies.
#[must_use]
pub fn lane(category: &Category, severity: Severity) -> Lane {
    let is_bottom_line = severity <= Severity::II || category.bottom_line || category.trigger_at_once;
    if is_bottom_line { Lane::BottomLine } else { Lane::Ordinary }
}

#[cfg(test)]
mod tests;
