//! Places: every area in a county, every site in its area, every outline an outline.

use std::collections::BTreeMap;

use super::Known;
use crate::model::{AreaCode, AreaId, Position, Ring};
use crate::playbook::problem::{Part, Problems};
use crate::playbook::text::{Entry, Text};
use crate::playbook::{Area, Township, Zone};

/// The most entries of one list of places: the grid numbers them in 16 bits.
const PLACES_MAX: usize = 60_000;
/// An area that reaches farther is no township.
const REACH_MAX_M: f64 = 200_000.0;
/// A site that is wider is no site.
const SITE_MAX_M: f64 = 10_000.0;

/// Notes what is wrong with counties, townships, areas, sites, zones and neighbours.
pub(super) fn check(text: &Text, known: &Known<'_>, problems: &mut Problems) {
    let counts = [text.areas.len(), text.sites.len(), text.zones.len(), text.counties.len(), text.neighbours.len()];
    if counts.into_iter().any(|n| n > PLACES_MAX) {
        problems.missing(format!("a list of places holds more than {PLACES_MAX}"));
    }
    for county in &text.counties {
        outline(county, &county.outline, &format!("county `{}`", county.code), problems);
    }
    text.areas.iter().for_each(|area| check_area(area, known, problems));
    check_townships(text, known, problems);
    for site in &text.sites {
        let who = format!("site `{}`", site.id);
        let path: &[Part<'_>] = &["radius_m".into()];
        if !(site.radius_m > 0.0 && site.radius_m <= SITE_MAX_M) {
            let what = format!("{who} has a radius of {} m; more than 0, at most {SITE_MAX_M}", site.radius_m);
            problems.at(site, path, what);
        }
        stands_in(site, "position", &who, site.position, (&site.area, "area"), text, known, problems);
    }
    text.zones.iter().for_each(|zone| check_zone(zone, problems));
    for neighbour in &text.neighbours {
        let who = format!("neighbour `{}`", neighbour.command_area);
        outline(neighbour, &neighbour.outline, &who, problems);
        if neighbour.codes.is_empty() && neighbour.outline.is_empty() {
            problems.at(
                neighbour,
                &[],
                format!("{who} has neither codes nor an outline, so nothing is known to be its"),
            );
        }
        if neighbour.codes.iter().any(smol_str::SmolStr::is_empty) {
            problems.at(neighbour, &["codes".into()], format!("{who} claims every code there is"));
        }
        if text.head.as_ref().is_some_and(|head| head.command_area == neighbour.command_area) {
            problems.at(neighbour, &["command_area".into()], format!("{who} is this command area itself"));
        }
    }
}

fn check_area(area: &Entry<Area>, known: &Known<'_>, problems: &mut Problems) {
    let who = format!("area `{}`", area.id);
    known.refer(problems, (area, &["county".into()]), &who, ("county", area.county.as_str()));
    if !area.centre.is_valid() {
        let what = format!("{who} has its centre nowhere on the globe");
        problems.at(area, &["centre".into()], what).hint("longitude first");
    }
    if !(area.reach_m > 0.0 && area.reach_m <= REACH_MAX_M) {
        let what = format!("{who} reaches {} m; more than 0, at most {REACH_MAX_M}", area.reach_m);
        problems.at(area, &["reach_m".into()], what);
    }
}

fn check_townships(text: &Text, known: &Known<'_>, problems: &mut Problems) {
    let default = text.head.as_ref().map(|head| super::default_vintage(head, &text.townships));
    let mut named: BTreeMap<&AreaId, &Entry<Township>> = BTreeMap::new();
    for township in &text.townships {
        let who = format!("township `{}` of the table `{}`", township.code, township.vintage);
        known.refer(problems, (township, &["county".into()]), &who, ("county", township.county.as_str()));
        let Some(area) = &township.area else { continue };
        known.refer(problems, (township, &["area".into()]), &who, ("area", area.as_str()));
        // Older tables may have had several townships where one area is now, and other counties.
        if default.as_ref() != Some(&township.vintage) {
            continue;
        }
        if let Some(other) = named.insert(area, township) {
            let what = format!("{who} and `{}` are both the area `{area}`", other.code);
            problems.at(township, &["area".into()], what);
        }
        let county = text.areas.iter().find(|a| a.id == *area).map(|a| &a.county);
        let known = |county: &&AreaCode| known.has("county", county.as_str());
        if county.filter(known).is_some_and(|county| known(&&township.county) && *county != township.county) {
            let what = format!("{who} lies in the county `{}`, but its area `{area}` in another", township.county);
            problems.at(township, &["county".into()], what);
        }
    }
}

fn check_zone(zone: &Entry<Zone>, problems: &mut Problems) {
    let who = format!("zone `{}`", zone.name);
    if matches!(zone.ring, Ring::One | Ring::Rural) {
        let what = format!("{who} is of ring {}; a zone is of ring 3 or 5", zone.ring);
        problems.at(zone, &["ring".into()], what).hint("ring 1 is at key sites, rural is what is left");
    }
    match (zone.centre, zone.outline.is_empty()) {
        (Some(centre), true) if centre.is_valid() && zone.radius_m > 0.0 => {}
        (Some(_), true) => _ = problems.at(zone, &["centre".into()], format!("{who} is no circle on the globe")),
        (None, false) => outline(zone, &zone.outline, &who, problems),
        _ => _ = problems.at(zone, &[], format!("{who} must be either a circle or an outline")),
    }
}

/// An outline may be absent; one that is there has three corners on the globe.
fn outline<T>(entry: &Entry<T>, corners: &[Position], who: &str, problems: &mut Problems) {
    if !corners.is_empty() && (corners.len() < 3 || !corners.iter().all(|c| c.is_valid())) {
        problems.at(
            entry,
            &["outline".into()],
            format!("{who} has an outline that is none: three or more points, longitude first"),
        );
    }
}

/// Notes a thing whose area is unknown, or that stands outside of it.
#[expect(clippy::too_many_arguments, reason = "one fault, told of five kinds of things")]
pub(super) fn stands_in<T>(
    entry: &Entry<T>,
    field: &'static str,
    who: &str,
    at: Position,
    (area, area_field): (&AreaId, &'static str),
    text: &Text,
    known: &Known<'_>,
    problems: &mut Problems,
) {
    known.refer(problems, (entry, &[area_field.into()]), who, ("area", area.as_str()));
    if !at.is_valid() {
        problems.at(entry, &[field.into()], format!("{who} stands nowhere on the globe")).hint("longitude first");
        return;
    }
    let Some(area) = text.areas.iter().find(|a| a.id == *area).filter(|a| a.centre.is_valid() && a.reach_m > 0.0)
    else {
        return;
    };
    let away = at.distance_m(area.centre);
    if away > area.reach_m {
        let what = format!(
            "{who} stands {:.1} km from the centre of its area `{}`, which reaches {:.1} km",
            away / 1000.0,
            area.id,
            area.reach_m / 1000.0
        );
        problems.at(entry, &[field.into()], what);
    }
}
