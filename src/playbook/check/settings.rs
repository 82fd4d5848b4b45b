//! The head and every number that is not part of a list.

use smol_str::SmolStr;

use super::Known;
use crate::model::{Kind, Millis, Position};
use crate::playbook::problem::{Part, Problems};
use crate::playbook::text::{Entry, Text};
use crate::playbook::{Cost, Folding, Head, Limits, Rings, Township, Travel};

/// A zone of the time-zone database that is compiled in: the same everywhere.
pub(in crate::playbook) fn zone(name: &str) -> Option<jiff::tz::TimeZone> {
    jiff::tz::TimeZoneDatabase::bundled().get(name).ok()
}

/// The vintage a township code without one is read in: the one the head names, else that of the first table.
pub(in crate::playbook) fn default_vintage(head: &Head, townships: &[Entry<Township>]) -> SmolStr {
    let first = || townships.first().map(|t| t.vintage.clone());
    head.vintage.clone().or_else(first).unwrap_or_default()
}

/// Notes what is wrong with the head and the single tables.
pub(super) fn check(text: &Text, known: &Known<'_>, problems: &mut Problems) {
    match &text.head {
        Some(entry) => head(entry, text, known, problems),
        None if text.broken.iter().any(|(table, _)| *table == "playbook") => {}
        None => _ = problems.missing("no file has the table `[playbook]`"),
    }
    if let Some(entry) = &text.rings {
        rings(entry, problems);
    }
    if let Some(entry) = &text.travel {
        travel(entry, problems);
    }
    if let Some(entry) = &text.cost {
        cost(entry, problems);
    }
    if let Some(entry) = &text.limits {
        limits(entry, problems);
    }
    if let Some(entry) = &text.folding {
        folding(entry, problems);
    }
}

fn head(head: &Entry<Head>, text: &Text, known: &Known<'_>, problems: &mut Problems) {
    let area = head.command_area.as_str();
    if area.is_empty() || area.contains(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))) {
        let what = format!("`{area}` cannot begin an incident's id");
        problems.at(head, &["command_area".into()], what).hint("letters, digits, `-`, `_` and `.`");
    }
    if zone(&head.time_zone).is_none() {
        let what = format!("no time zone is called `{}`", head.time_zone);
        problems.at(head, &["time_zone".into()], what).hint("an IANA name such as \"Asia/Shanghai\"");
    }
    let sets = || text.plans.iter().map(|p| p.set.as_str());
    if !sets().any(|set| set == head.set) && text.broken.iter().all(|(table, _)| *table != "plan") {
        problems.at(head, &["set".into()], format!("no plan belongs to the set `{}`", head.set));
        problems.suggest(&head.set, sets());
    }
    known.refer(
        problems,
        (head, &["unknown_place_plan".into()]),
        "[playbook]",
        ("plan", head.unknown_place_plan.as_str()),
    );
    vintage(head, text, problems);
}

fn vintage(head: &Entry<Head>, text: &Text, problems: &mut Problems) {
    let vintages: std::collections::BTreeSet<&str> = text.townships.iter().map(|t| t.vintage.as_str()).collect();
    match &head.vintage {
        Some(vintage) if !vintages.contains(vintage.as_str()) => {
            problems.at(head, &["vintage".into()], format!("no township is of the table `{vintage}`"));
            problems.suggest(vintage, vintages);
        }
        None if vintages.len() > 1 => {
            let what = format!("there are townships of {}", super::listed(vintages));
            problems.at(head, &[], what).hint("`vintage` says in which a code is read that brings none");
        }
        _ => {}
    }
}

fn rings(rings: &Entry<Rings>, problems: &mut Problems) {
    let [one, three, five, rural] = [rings.one, rings.three, rings.five, rings.rural];
    let ordered = [("one", one, "three", three), ("three", three, "five", five), ("five", five, "rural", rural)];
    if one == Millis::ZERO {
        problems.at(rings, &["one".into()], "ring `one` has no time at all");
    }
    for (inner, fast, outer, slow) in ordered {
        if fast > slow {
            problems.at(
                rings,
                &[outer.into()],
                format!("ring `{outer}` ({slow}) is faster than ring `{inner}` ({fast})"),
            );
        }
    }
}

/// A number with the range in which it makes sense.
struct Bound<'b> {
    path: &'b [Part<'b>],
    name: &'b str,
    value: f64,
    from: f64,
    to: f64,
}

fn bounded<T>(entry: &Entry<T>, problems: &mut Problems, bounds: &[Bound<'_>]) {
    for Bound { path, name, value, from, to } in bounds {
        if !(from..=to).contains(&value) {
            problems.at(entry, path, format!("`{name}` is {value}; it must lie between {from} and {to}"));
        }
    }
}

/// Nothing on the road is faster than this, in km/h.
const SPEED_MAX: f64 = 200.0;

fn travel(travel: &Entry<Travel>, problems: &mut Problems) {
    for kind in Kind::ALL {
        let name = kind.to_string();
        let path: &[Part<'_>] = &["speed_kmh".into(), name.as_str().into()];
        match travel.speed_kmh.get(&kind) {
            None => _ = problems.at(travel, path, format!("`speed_kmh` has no `{kind}`")),
            Some(&value) => {
                let named = format!("speed_kmh.{kind}");
                bounded(travel, problems, &[Bound { path, name: &named, value, from: 0.1, to: SPEED_MAX }]);
            }
        }
    }
    bounded(
        travel,
        problems,
        &[Bound { path: &["detour".into()], name: "detour", value: travel.detour, from: 1.0, to: 5.0 }],
    );
    for (i, rush) in travel.rush.iter().enumerate() {
        let path: &[Part<'_>] = &["rush".into(), i.into()];
        bounded(travel, problems, &[Bound { path, name: "rush.factor", value: rush.factor, from: 0.2, to: 10.0 }]);
    }
    for (i, barrier) in travel.barriers.iter().enumerate() {
        let path: &[Part<'_>] = &["barriers".into(), i.into()];
        let valid = |points: &[Position]| points.iter().all(|p| p.is_valid());
        if barrier.line.len() < 2 || !valid(&barrier.line) || !valid(&barrier.crossings) {
            let what = format!("barrier `{}` needs a line of two or more points on the globe", barrier.name);
            problems.at(travel, path, what);
        }
        if barrier.crossings.is_empty() {
            let what = format!("barrier `{}` has no crossing; nobody could ever be sent across", barrier.name);
            problems.at(travel, path, what);
        }
    }
}

fn cost(cost: &Entry<Cost>, problems: &mut Problems) {
    /// More than a day of travel outweighs everything.
    const DAY_S: f64 = 86_400.0;
    fn seconds<'b>(path: &'b [Part<'b>], name: &'b str, value: f64) -> Bound<'b> {
        Bound { path, name, value, from: 0.0, to: DAY_S }
    }
    bounded(
        cost,
        problems,
        &[
            seconds(&["cover_s".into()], "cover_s", cost.cover_s),
            seconds(&["mutual_aid_s".into()], "mutual_aid_s", cost.mutual_aid_s),
            seconds(&["leave_site_s".into()], "leave_site_s", cost.leave_site_s),
            Bound { path: &["reach_m".into()], name: "reach_m", value: cost.reach_m, from: 100.0, to: 1_000_000.0 },
        ],
    );
    for (i, &value) in cost.task_s.iter().enumerate() {
        let path: &[Part<'_>] = &["task_s".into(), i.into()];
        bounded(cost, problems, &[seconds(path, "task_s", value)]);
        if i > 0 && value > cost.task_s[i - 1] {
            problems.at(cost, path, "`task_s` must fall from severity I to IV: a worse task is dearer to interrupt");
        }
    }
    if cost.rejections_named > 32 {
        problems.at(
            cost,
            &["rejections_named".into()],
            "`rejections_named` is at most 32: it is stored with every choice",
        );
    }
}

fn limits(limits: &Entry<Limits>, problems: &mut Problems) {
    let spans = [
        ("position_stale", limits.position_stale),
        ("repeats_known", limits.repeats_known),
        ("closed_kept", limits.closed_kept),
        ("clock_ahead", limits.clock_ahead),
        ("clock_behind", limits.clock_behind),
        ("located_within", limits.located_within),
    ];
    for (name, span) in spans {
        if span == Millis::ZERO {
            problems.at(limits, &[name.into()], format!("`{name}` is no time at all"));
        }
    }
    let counts: [(&str, u64, u64, u64); 8] = [
        ("queue_max", limits.queue_max as u64, 0, 8),
        ("orders_per_incident", limits.orders_per_incident.into(), 1, 1_000),
        ("reports_per_incident", limits.reports_per_incident.into(), 1, 100_000),
        ("links_per_incident", limits.links_per_incident as u64, 1, 64),
        ("reports_moved", limits.reports_moved as u64, 1, 20),
        ("all_call_units", limits.all_call_units as u64, 1, 4_800),
        ("all_call_per_step", limits.all_call_per_step as u64, 1, 200),
        ("mark_repeats", limits.mark_repeats.into(), 1, 1_000),
    ];
    for (name, count, from, to) in counts {
        if !(from..=to).contains(&count) {
            problems.at(limits, &[name.into()], format!("`{name}` is {count}; it must lie between {from} and {to}"));
        }
    }
}

fn folding(folding: &Entry<Folding>, problems: &mut Problems) {
    let bare = [
        ("burst", folding.burst == 0),
        ("refill", folding.refill == Millis::ZERO),
        ("quiet", folding.quiet == Millis::ZERO),
        ("buckets_max", folding.buckets_max == 0),
    ];
    for (name, _) in bare.iter().filter(|(_, bare)| *bare) {
        problems.at(folding, &[(*name).into()], format!("`{name}` must be more than nothing"));
    }
}
