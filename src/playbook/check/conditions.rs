//! What can be known of two conditions without a report: whether one covers the other, whether both can hold at once.
//!
//! *Covers*: whenever the later holds, the earlier holds, so that a rule below it never speaks. *Meets*: some report
//! satisfies both. Both answers are exact in each single part and safe as a whole: `covers` is never said wrongly, `meets`
//! is said unless a part excludes it.

use smol_str::SmolStr;

use crate::model::Hours;
use crate::playbook::{Condition, Hits, Reading};

/// Whether `earlier` holds whenever `later` does.
pub(super) fn covers(earlier: &Condition, later: &Condition) -> bool {
    earlier.key_site.is_none_or(|asked| later.key_site == Some(asked))
        && earlier.risk_class.covers(later.risk_class)
        && earlier.ring.covers(later.ring)
        && earlier.weekdays.covers(later.weekdays)
        && earlier.urgency.covers(later.urgency)
        && earlier.severity.covers(later.severity)
        && earlier.certainty.covers(later.certainty)
        && (earlier.hours.is_always() || minutes().all(|m| earlier.hours.contains(m) || !later.hours.contains(m)))
        && listed_cover(&earlier.area, &later.area, |a, b| a == b)
        && listed_cover(&earlier.category, &later.category, crate::playbook::covers)
        && listed_cover(&earlier.code, &later.code, begins)
        && listed_cover(&earlier.source, &later.source, begins)
        && words_cover(earlier, later)
        && earlier.attributes.iter().all(|e| later.attributes.iter().any(|l| reading_covers(e, l)))
}

/// Whether some report may satisfy both.
pub(super) fn meets(a: &Condition, b: &Condition) -> bool {
    (a.key_site.is_none() || b.key_site.is_none() || a.key_site == b.key_site)
        && a.risk_class.meets(b.risk_class)
        && a.ring.meets(b.ring)
        && a.weekdays.meets(b.weekdays)
        && a.urgency.meets(b.urgency)
        && a.severity.meets(b.severity)
        && a.certainty.meets(b.certainty)
        && hours_meet(&a.hours, &b.hours)
        && listed_meet(&a.area, &b.area, |x, y| x == y)
        && listed_meet(&a.code, &b.code, |x, y| begins(x, y) || begins(y, x))
        && listed_meet(&a.source, &b.source, |x, y| begins(x, y) || begins(y, x))
        && !words_exclude(a, b)
        && !words_exclude(b, a)
        && a.attributes.iter().all(|x| b.attributes.iter().all(|y| readings_meet(x, y)))
}

/// Whether some minute of the day lies within both.
pub(super) fn hours_meet(a: &Hours, b: &Hours) -> bool {
    a.is_always() || b.is_always() || minutes().any(|m| a.contains(m) && b.contains(m))
}

fn minutes() -> impl Iterator<Item = u16> {
    0..24 * 60
}

/// Whether every value that `later` admits is admitted by `earlier`; an empty list admits all.
fn listed_cover<T>(earlier: &[T], later: &[T], covers: impl Fn(&T, &T) -> bool) -> bool {
    earlier.is_empty() || !later.is_empty() && later.iter().all(|l| earlier.iter().any(|e| covers(e, l)))
}

fn listed_meet<T>(a: &[T], b: &[T], meet: impl Fn(&T, &T) -> bool) -> bool {
    a.is_empty() || b.is_empty() || a.iter().any(|x| b.iter().any(|y| meet(x, y)))
}

fn begins(prefix: &SmolStr, text: &SmolStr) -> bool {
    text.starts_with(prefix.as_str())
}

fn words_cover(earlier: &Condition, later: &Condition) -> bool {
    let one_of_any = later.any.iter().nth(1).is_none();
    let surely = |group: usize| later.all.has(group) || one_of_any && later.any.has(group);
    let any_holds = earlier.any.is_empty()
        || earlier.any.meets(&later.all)
        || !later.any.is_empty() && earlier.any.holds(&later.any);
    earlier.all.iter().all(surely) && any_holds && later.none.holds(&earlier.none)
}

/// Whether `a` asks for the absence of words that `b` needs.
fn words_exclude(a: &Condition, b: &Condition) -> bool {
    a.none.meets(&b.all) || !b.any.is_empty() && a.none.holds(&b.any)
}

/// Whether a condition asks for words and for their absence.
pub(super) fn contradicts_itself(condition: &Condition) -> bool {
    condition.none != Hits::NONE && words_exclude(condition, condition)
}

fn reading_covers(earlier: &Reading, later: &Reading) -> bool {
    let above = |e: Option<f64>, l: Option<f64>| e.is_none_or(|e| l.is_some_and(|l| l >= e));
    let below = |e: Option<f64>, l: Option<f64>| e.is_none_or(|e| l.is_some_and(|l| l <= e));
    earlier.name == later.name && above(earlier.at_least, later.at_least) && below(earlier.below, later.below)
}

fn readings_meet(a: &Reading, b: &Reading) -> bool {
    let apart = |low: &Reading, high: &Reading| low.below.zip(high.at_least).is_some_and(|(below, from)| below <= from);
    a.name != b.name || !apart(a, b) && !apart(b, a)
}
