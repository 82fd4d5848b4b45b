//! Everything that can be wrong with a playbook beyond its shape.

mod names;

use smol_str::SmolStr;

use super::Head;
use super::Township;
use super::problem::Problems;
use super::text::{Entry, Text};

/// Notes every fault of a text.
pub(super) fn check(text: &Text, problems: &mut Problems) {
    head(text, problems);
    names::check(text, problems);
    for plan in text.plans.iter().filter(|p| p.says("needs")) {
        let what = format!("plan `{}` gives `needs` itself; they come from its linkage", plan.id);
        problems.at(plan, &["needs".into()], what);
    }
}

/// A zone of the time-zone database that is compiled in: the same everywhere.
pub(super) fn zone(name: &str) -> Option<jiff::tz::TimeZone> {
    jiff::tz::TimeZoneDatabase::bundled().get(name).ok()
}

/// The vintage a township code without one is read in: the one the head names, else that of the first table.
pub(super) fn default_vintage(head: &Head, townships: &[Entry<Township>]) -> SmolStr {
    let first = || townships.first().map(|t| t.vintage.clone());
    head.vintage.clone().or_else(first).unwrap_or_default()
}

fn head(text: &Text, problems: &mut Problems) {
    let Some(head) = &text.head else {
        if !text.broken.contains(&("playbook", String::new())) && !text.broken.iter().any(|(t, _)| *t == "playbook") {
            problems.missing("no file has a table `[playbook]`");
        }
        return;
    };
    if zone(&head.time_zone).is_none() {
        problems.at(head, &["time_zone".into()], format!("no time zone is called `{}`", head.time_zone));
    }
}
