//! London Fire Brigade, January 2024: does the choice send the pump that was really sent?
//!
//! Measured: 221 with the stations where the records put them, 233 where the brigades' list puts them, 232 with the Thames
//! as a barrier on top of that.
//!
//! Each of the 84 stations that sent a first pump is a base post, idle and on duty; each of the 321 attendances asks for one
//! post. The record does not say which pumps were busy, so no choice can be right every time; a straight line names the
//! station that was sent in 221 cases, and the choice must not fall behind that. For every other case the test prints
//! who was chosen, the runner-up, the difference, and what the station really sent would have cost more.
//!
//! The figures are read in place from `../shared/data/dispatch-dev/london-fire`, and the test says so when they are not there.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::unreadable_literal,
    reason = "a test: small numbers, and a panic is its way to fail"
)]

#[path = "linkage/world.rs"]
#[allow(dead_code, reason = "shared with the other tests of linkage")]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use muster::engine::Fleet;
use muster::engine::linkage::{Ask, Pick, Wanted, choose};
use muster::model::{Kind, Lane, LocalTime, Need, Position, Role, Severity};
use muster::playbook::{Barrier, Playbook};

/// What a straight line from the 84 stations' recorded places gives.
const STRAIGHT_LINE: usize = 221;

/// One attendance, as far as it matters here.
struct Attendance {
    number: String,
    sent: String,
    hour: u16,
    incident: Position,
    /// Where this record says that its station is.
    station: Position,
}

fn file(name: &str) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/dispatch-dev/london-fire").join(name);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        eprintln!("SKIPPED: {} missing", path.display());
    }
    text
}

/// Rows of a table whose fields hold neither quotes nor line breaks, by the names of its header.
fn rows(text: &str) -> Vec<BTreeMap<&str, &str>> {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    lines.map(|line| header.iter().copied().zip(line.split(',')).collect()).collect()
}

fn position(row: &BTreeMap<&str, &str>, lat: &str, lon: &str) -> Option<Position> {
    Some(Position { lon: row.get(lon)?.parse().ok()?, lat: row.get(lat)?.parse().ok()? })
}

fn attendances() -> Option<Vec<Attendance>> {
    let text = file("lfb-attendance-2024-01.csv")?;
    let read = |row: &BTreeMap<&str, &str>| {
        Some(Attendance {
            number: (*row.get("IncidentNumber")?).to_owned(),
            sent: (*row.get("DeployedFromStationName")?).to_owned(),
            hour: row.get("HourOfCall")?.parse::<f64>().ok()? as u16,
            incident: position(row, "LatitudeIncident", "LongitudeIncident")?,
            station: position(row, "LatitudeStation", "LongitudeStation")?,
        })
    };
    let all: Vec<_> =
        rows(&text).iter().map(|row| read(row).unwrap_or_else(|| panic!("unreadable row {row:?}"))).collect();
    Some(all)
}

/// The 84 stations where the attendance records put them.
fn recorded(attendances: &[Attendance]) -> BTreeMap<String, Position> {
    attendances.iter().map(|a| (a.sent.clone(), a.station)).collect()
}

/// The same stations where the brigades' own list of June 2021 puts them, which corrects places such as Forest Hill's
/// (a lost minus sign, 6 km off).
fn listed(attendances: &[Attendance]) -> Option<BTreeMap<String, Position>> {
    let text = file("lfb-stations-jun2021.csv")?;
    let rows = rows(&text);
    let of = |row: &BTreeMap<&str, &str>| {
        let place = position(row, "Station_Latitude", "Station_Longitude")?;
        Some(((*row.get("Station_Name")?).to_owned(), place))
    };
    let list: BTreeMap<String, Position> = rows.iter().filter_map(of).collect();
    let mut stations = recorded(attendances);
    for (name, place) in &mut stations {
        *place = list.get(name).copied().unwrap_or(*place);
    }
    Some(stations)
}

fn fleet(stations: &BTreeMap<String, Position>) -> Fleet {
    let mut fleet = Fleet::default();
    for (name, place) in stations {
        fleet.put(world::post(name, Kind::Base, "london", *place));
    }
    fleet
}

fn first_pump(playbook: &Playbook, fleet: &Fleet, attendance: &Attendance) -> Pick {
    let need = Need { kinds: vec![Kind::Base], count: 1, role: Role::First, capability: None, echelon: 1 };
    let excluded = BTreeMap::new();
    let ask = Ask {
        target: attendance.incident,
        county: None,
        severity: Severity::III,
        lane: Lane::Ordinary,
        drill: false,
        may_preempt: true,
        echelon_max: 1,
        needs: vec![Wanted { need: 0, spec: &need, count: 1 }],
        excluded: &excluded,
        now: world::NOW,
        local: LocalTime { minute: attendance.hour * 60, ..world::NOON },
    };
    choose(playbook, fleet, &ask).picks.into_iter().next().expect("a station in reach")
}

/// How often the station really sent is chosen; the others are printed.
fn agreement(
    title: &str,
    playbook: &Playbook,
    stations: &BTreeMap<String, Position>,
    attendances: &[Attendance],
) -> usize {
    let fleet = fleet(stations);
    let (mut same, mut runner_up_was_sent) = (0, 0);
    println!("# {title}");
    for attendance in attendances {
        let pick = first_pump(playbook, &fleet, attendance);
        if pick.post.as_str() == attendance.sent {
            same += 1;
            continue;
        }
        let (runner_up, difference_s) = pick.weighed.runner_up.clone().expect("84 stations in reach");
        runner_up_was_sent += usize::from(runner_up.as_str() == attendance.sent);
        let dearer = pick.weighed.rejected.iter().find(|(post, _)| post.as_str() == attendance.sent);
        println!(
            "{}: {} by {}s   runner-up {runner_up} +{difference_s}s   really sent {} {}   {}",
            attendance.number,
            pick.post,
            pick.weighed.travel_s,
            attendance.sent,
            dearer.map_or("(not among the nearest)", |(_, why)| why.as_str()),
            pick.weighed.reasons.join(", "),
        );
    }
    println!("{title}: {same} of {} as sent; in {runner_up_was_sent} more the runner-up was sent\n", attendances.len());
    same
}

#[test]
fn the_first_pump_is_the_one_sent_at_least_as_often_as_by_straight_line() {
    let Some(attendances) = attendances() else { return };
    let Some(listed) = listed(&attendances) else { return };
    let recorded = recorded(&attendances);
    assert_eq!((attendances.len(), recorded.len()), (321, 84));
    let by_line = |a: &&Attendance| {
        let nearest =
            recorded.iter().min_by(|x, y| a.incident.distance_m(*x.1).total_cmp(&a.incident.distance_m(*y.1)));
        nearest.is_some_and(|(name, _)| *name == a.sent)
    };
    assert_eq!(attendances.iter().filter(by_line).count(), STRAIGHT_LINE);
    let mut playbook = world::playbook();
    let open = agreement("stations as recorded", &playbook, &recorded, &attendances);
    assert!(open >= STRAIGHT_LINE, "{open}");
    let corrected = agreement("stations as listed", &playbook, &listed, &attendances);
    assert!(corrected >= open, "{corrected}");
    playbook.travel.barriers.push(thames());
    let across =
        agreement("stations as listed, the Thames crossed only at its crossings", &playbook, &listed, &attendances);
    // London has so many bridges that the river hardly turns anybody away; it must not mislead either.
    assert!(across >= STRAIGHT_LINE, "{across}");
    let crossed: BTreeSet<_> =
        attendances.iter().flat_map(|a| first_pump(&playbook, &fleet(&listed), a).weighed.reasons).collect();
    println!("crossings in use: {crossed:?}");
}

/// The river from Kingston to Dartford, and what crosses it for vehicles, read off the public map to some 100 m.
/// Hammersmith Bridge is closed to them.
#[rustfmt::skip]
fn thames() -> Barrier {
    let line = [
        (-0.3300, 51.3900), (-0.3080, 51.4010), (-0.3086, 51.4110), (-0.3100, 51.4270), (-0.3240, 51.4330),
        (-0.3190, 51.4460), (-0.3074, 51.4571), (-0.3230, 51.4630), (-0.3170, 51.4760), (-0.3030, 51.4850),
        (-0.2874, 51.4870), (-0.2740, 51.4810), (-0.2693, 51.4729), (-0.2550, 51.4710), (-0.2510, 51.4790),
        (-0.2390, 51.4880), (-0.2300, 51.4882), (-0.2270, 51.4800), (-0.2240, 51.4720), (-0.2130, 51.4668),
        (-0.2000, 51.4630), (-0.1880, 51.4648), (-0.1800, 51.4720), (-0.1725, 51.4811), (-0.1600, 51.4838),
        (-0.1497, 51.4846), (-0.1380, 51.4850), (-0.1268, 51.4875), (-0.1230, 51.4945), (-0.1218, 51.5009),
        (-0.1195, 51.5070), (-0.1168, 51.5086), (-0.1036, 51.5098), (-0.0940, 51.5090), (-0.0877, 51.5079),
        (-0.0754, 51.5055), (-0.0620, 51.5030), (-0.0535, 51.5045), (-0.0400, 51.5090), (-0.0290, 51.5060),
        (-0.0290, 51.4930), (-0.0200, 51.4860), (-0.0080, 51.4835), (0.0000, 51.4870), (0.0010, 51.5000),
        (0.0025, 51.5055), (0.0090, 51.5050), (0.0180, 51.4960), (0.0370, 51.4950), (0.0620, 51.4955),
        (0.0800, 51.5050), (0.1000, 51.5130), (0.1250, 51.5120), (0.1500, 51.5060), (0.1800, 51.4920),
        (0.2100, 51.4800), (0.2587, 51.4646), (0.3000, 51.4620),
    ];
    let crossings = [
        (-0.3086, 51.4110), (-0.3074, 51.4571), (-0.3170, 51.4605), (-0.2874, 51.4870), (-0.2693, 51.4729),
        (-0.2130, 51.4668), (-0.1880, 51.4648), (-0.1725, 51.4811), (-0.1668, 51.4822), (-0.1497, 51.4846),
        (-0.1268, 51.4875), (-0.1230, 51.4945), (-0.1218, 51.5009), (-0.1168, 51.5086), (-0.1036, 51.5098),
        (-0.0940, 51.5090), (-0.0877, 51.5079), (-0.0754, 51.5055), (-0.0535, 51.5045), (0.0025, 51.5030),
        (0.0620, 51.4955), (0.2587, 51.4646),
    ];
    Barrier {
        name: "Thames".into(),
        line: line.map(Position::from).to_vec(),
        crossings: crossings.map(Position::from).to_vec(),
    }
}
