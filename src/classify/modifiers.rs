//! What modifiers do to the severity of a rule.
//!
//! * All raises together are at most one step; two with casualties among them.
//! * Severity I is reached only by casualties (or by the rule itself).
//! * Lowering takes one step at most and never touches the bottom line: no category named so, none that triggers at
//!   once, no severity I or II. Raises count first, so what a raise has brought into the bottom line stays there.
//! * A mediation case is moved by nothing.
//!
//! Which of several raises is credited with the step: casualties first, then the playbook's order. The result does not
//! depend on it. A modifier whose condition holds and that moves nothing is recorded as held.

use crate::model::{ModifierHit, Severity, SeverityStep};
use crate::playbook::{Category, ModifierEffect, Playbook};

use super::Facts;

/// The severity after all modifiers, and what each of them did.
pub(super) fn apply(
    playbook: &Playbook,
    category: &Category,
    severity: Severity,
    facts: &Facts,
) -> (Severity, Vec<ModifierHit>) {
    let mut hits: Vec<ModifierHit> = Vec::new();
    let mut effects = Effects::default();
    for (modifier, condition) in playbook.modifiers.iter().zip(&playbook.modifier_conditions) {
        if condition.holds(facts, Some(&category.id)) {
            effects.count(modifier.effect);
            hits.push(ModifierHit { id: modifier.id.clone(), step: SeverityStep::Held });
        }
    }
    if hits.is_empty() || category.mediation {
        return (severity, hits);
    }
    let raised = effects.raised(severity);
    let protected = category.bottom_line || category.trigger_at_once || raised <= Severity::II;
    let lowered = if effects.lowers > 0 && !protected { raised.lowered(1) } else { raised };
    credit(playbook, &mut hits, severity.number() - raised.number(), lowered.number() - raised.number());
    (lowered, hits)
}

/// How many modifiers of each kind spoke.
#[derive(Default)]
struct Effects {
    raises: u8,
    casualties: u8,
    lowers: u8,
}

impl Effects {
    fn count(&mut self, effect: ModifierEffect) {
        let count = match effect {
            ModifierEffect::Raise => &mut self.raises,
            ModifierEffect::RaiseCasualties => &mut self.casualties,
            ModifierEffect::Lower => &mut self.lowers,
        };
        *count = count.saturating_add(1);
    }

    fn raised(&self, severity: Severity) -> Severity {
        let (steps_max, limit) = if self.casualties > 0 { (2, Severity::I) } else { (1, Severity::II) };
        severity.raised(self.raises.saturating_add(self.casualties).min(steps_max), limit)
    }
}

/// Says of so many of the hits that they raised or lowered, the others having been held.
fn credit(playbook: &Playbook, hits: &mut [ModifierHit], raised: u8, lowered: u8) {
    let effect_of = |hit: &ModifierHit| playbook.modifiers.iter().find(|m| m.id == hit.id).map(|m| m.effect);
    let mut say = |effect: ModifierEffect, step: SeverityStep, left: &mut u8| {
        for hit in hits.iter_mut().filter(|hit| hit.step == SeverityStep::Held) {
            if *left > 0 && effect_of(hit) == Some(effect) {
                hit.step = step;
                *left -= 1;
            }
        }
    };
    let mut left = raised;
    say(ModifierEffect::RaiseCasualties, SeverityStep::Raised, &mut left);
    say(ModifierEffect::Raise, SeverityStep::Raised, &mut left);
    say(ModifierEffect::Lower, SeverityStep::Lowered, &mut { lowered });
}
