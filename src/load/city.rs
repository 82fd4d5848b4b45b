//! What is reported: the kinds, words and sources of a rehearsal's script, spread over the whole command area.
//!
//! Report *n* is a function of the seed and of *n* alone: whichever connection sends it, and however often, it is the same
//! report, with the sequence number in its id. Two things differ from the rehearsed day. Places are drawn evenly from
//! within the counties' outlines, a share of them in town: at hundreds of reports a second the rehearsal's few places would
//! be one pile, in which everything merges and nothing is proved. And sources are as many as a city has, not six of each.

use std::fmt::Write as _;

use crate::model::{Position, Status, Timestamp};
use crate::playbook::Playbook;
use crate::rehearsal::{Chance, Kind, Script, Where};

/// Of a hundred reports so many speak of what one of the reports just before spoke of.
const AGAIN_PERCENT: u64 = 6;
/// Of those just before, one of so many.
const AGAIN_AMONG: u64 = 8;
/// Of a hundred happenings so many are in town.
const TOWN_PERCENT: u64 = 5;
/// In town means so near the centre of an area of class 1.
const TOWN_M: f64 = 2_500.0;
/// Each further caller stands so far from what happened, at most.
const CALLERS_WITHIN_M: f64 = 40.0;
/// Names of sources of one kind, unless a flood asks for others.
const SOURCES: u64 = 300;
/// Draws until a place lies in the command area; outlines fill a good part of their box.
const DRAWS: usize = 64;

/// The city, as far as it reports.
pub struct City {
    kinds: Vec<Told>,
    weight: u64,
    flood: Told,
    towns: Vec<Position>,
    sites: Vec<Position>,
    outlines: Vec<Vec<Position>>,
    corners: (Position, Position),
    seed: u64,
    run: String,
    status: Status,
}

/// A kind of happening, with its words as they stand in JSON.
struct Told {
    weight: u64,
    texts: Vec<String>,
    sources: Vec<String>,
    data: String,
    at: Where,
    many: bool,
}

/// How much ordinary traffic of how many sources comes on top.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flood {
    /// Times the city's own rate.
    pub times: u32,
    /// Sources that it comes from.
    pub sources: u32,
}

/// Which stream of reports one belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stream {
    /// What the city reports.
    City,
    /// Ordinary reports, from so many sources.
    Flood(u32),
}

impl City {
    /// The city of a playbook, with the kinds of a script; `run` stands in every id, so that runs do not repeat each other.
    ///
    /// # Errors
    /// When the playbook has no counties to draw places from, or the script no words for a flood.
    pub fn new(script: &Script, playbook: &Playbook, seed: u64, run: &str, status: Status) -> Result<Self, String> {
        let areas = &playbook.areas;
        let outlines: Vec<Vec<Position>> = areas.counties.values().map(|c| c.outline.clone()).collect();
        let corners = corners(&outlines).ok_or("the playbook has no county with an outline to draw places from")?;
        let scene = script.scenes.iter().max_by_key(|s| s.count).ok_or("the script has no scene to make a flood of")?;
        let flood = Told {
            weight: 1,
            texts: scene.texts.iter().map(|t| quoted(t)).collect(),
            sources: vec!["app/flood-".to_owned()],
            data: String::new(),
            at: Where::Anywhere,
            many: false,
        };
        let kinds: Vec<Told> = script.kinds.iter().map(Told::of).collect();
        Ok(Self {
            weight: kinds.iter().map(|k| k.weight).sum(),
            kinds,
            flood,
            towns: areas.areas.values().filter(|a| u8::from(a.class) == 1).map(|a| a.centre).collect(),
            sites: areas.sites.values().map(|s| s.position).collect(),
            outlines,
            corners,
            seed,
            run: run.to_owned(),
            status,
        })
    }

    /// Writes report `n` as one CloudEvent.
    pub fn write(&self, n: u32, stream: Stream, at: Timestamp, out: &mut String) {
        let mut own = self.chance(n, 1);
        let (kind, place) = match stream {
            Stream::City => self.happening(self.subject(n, &mut own)),
            Stream::Flood(_) => (&self.flood, self.anywhere(&mut own)),
        };
        let text = own.one(&kind.texts).map_or("\"\"", String::as_str);
        let source = own.one(&kind.sources).map_or("load", String::as_str);
        let names = if let Stream::Flood(sources) = stream { u64::from(sources) } else { SOURCES };
        let _ = write!(out, r#"{{"specversion":"1.0","type":"muster.report","source":"{source}"#);
        if source.ends_with('-') {
            let _ = write!(out, "{}", own.between(1, names.max(1)));
        }
        let _ = write!(out, r#"","id":"{}-{n}","time":"{}","#, self.run, at.to_rfc3339());
        let _ = write!(out, r#""datacontenttype":"application/json","data":{{"text":{text}{}"#, kind.data);
        if let Some(middle) = place {
            let seen = own.near(middle, CALLERS_WITHIN_M);
            let _ = write!(
                out,
                r#","place":{{"position":{{"lon":{:.6},"lat":{:.6},"accuracy_m":30}}}}"#,
                seen.lon, seen.lat
            );
        }
        match self.status {
            Status::Actual => {}
            Status::Exercise => out.push_str(r#","status":"exercise""#),
            Status::Test => out.push_str(r#","status":"test""#),
        }
        out.push_str("}}");
    }

    /// The number of the report that first spoke of what this one speaks of: mostly its own.
    fn subject(&self, n: u32, own: &mut Chance) -> u32 {
        let back = own.between(1, AGAIN_AMONG);
        let again = own.percent(AGAIN_PERCENT);
        let earlier = n.checked_sub(u32::try_from(back).unwrap_or(1)).filter(|_| again);
        earlier.filter(|earlier| self.happening(*earlier).0.many).unwrap_or(n)
    }

    /// What happened, and where.
    fn happening(&self, n: u32) -> (&Told, Option<Position>) {
        let mut chance = self.chance(n, 2);
        let mut left = chance.between(1, self.weight.max(1));
        let chosen = self.kinds.iter().find(|k| {
            let found = left <= k.weight;
            left = left.saturating_sub(k.weight);
            found
        });
        let kind = chosen.unwrap_or(&self.flood);
        let place = match kind.at {
            Where::Nowhere => None,
            // A panel stands somewhere; that all of them are at the few key sites is the day's, not the load's.
            Where::Site if chance.percent(TOWN_PERCENT) => chance.one(&self.sites).copied(),
            _ if chance.percent(TOWN_PERCENT) => self.in_town(&mut chance),
            _ => self.anywhere(&mut chance),
        };
        (kind, place)
    }

    fn in_town(&self, chance: &mut Chance) -> Option<Position> {
        let centre = chance.one(&self.towns).copied()?;
        Some(chance.near(centre, TOWN_M))
    }

    /// Evenly over all counties.
    fn anywhere(&self, chance: &mut Chance) -> Option<Position> {
        let (low, high) = self.corners;
        let mut draw = || Position {
            lon: low.lon + chance.share() * (high.lon - low.lon),
            lat: low.lat + chance.share() * (high.lat - low.lat),
        };
        let inside = |p: &Position| self.outlines.iter().any(|outline| p.is_within(outline));
        (0..DRAWS).map(|_| draw()).find(inside).or_else(|| self.towns.first().copied())
    }

    fn chance(&self, n: u32, salt: u64) -> Chance {
        Chance::new(self.seed ^ (u64::from(n) << 8 | salt).wrapping_mul(0xA24B_AED4_963E_E407))
    }
}

impl Told {
    fn of(kind: &Kind) -> Self {
        let mut data = String::new();
        if let Some(code) = &kind.code {
            let _ = write!(data, r#","code":{}"#, quoted(code));
        }
        if !kind.attributes.is_empty() {
            let members: Vec<String> = kind.attributes.iter().map(|(k, v)| format!("{}:{v}", quoted(k))).collect();
            let _ = write!(data, r#","attributes":{{{}}}"#, members.join(","));
        }
        Self {
            weight: kind.weight,
            texts: kind.texts.iter().map(|t| quoted(t)).collect(),
            sources: kind.sources.clone(),
            data,
            at: kind.at,
            many: kind.callers[1] > 1,
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn corners(outlines: &[Vec<Position>]) -> Option<(Position, Position)> {
    let first = outlines.iter().flatten().copied().next()?;
    let wider = |(low, high): (Position, Position), p: &Position| {
        let low = Position { lon: low.lon.min(p.lon), lat: low.lat.min(p.lat) };
        (low, Position { lon: high.lon.max(p.lon), lat: high.lat.max(p.lat) })
    };
    Some(outlines.iter().flatten().fold((first, first), wider))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::playbook::load_dir;

    fn city(seed: u64) -> City {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let script =
            Script::read(&std::fs::read_to_string(root.join("config/rehearsal/hengyang.toml")).unwrap()).unwrap();
        let playbook = load_dir(&root.join("config/playbooks/hengyang"), None).unwrap();
        City::new(&script, &playbook, seed, "t", Status::Actual).unwrap()
    }

    fn report(city: &City, n: u32, stream: Stream) -> serde_json::Value {
        let mut out = String::new();
        city.write(n, stream, Timestamp(1_764_000_000_000), &mut out);
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
    }

    #[test]
    fn a_report_is_a_function_of_the_seed_and_its_number() {
        let (a, b, other) = (city(1), city(1), city(2));
        for n in [0, 1, 77, 100_000] {
            assert_eq!(report(&a, n, Stream::City), report(&b, n, Stream::City));
        }
        assert!((0..20).any(|n| report(&a, n, Stream::City) != report(&other, n, Stream::City)));
        assert_eq!(report(&a, 12, Stream::City)["id"], "t-12");
    }

    #[test]
    fn reports_are_spread_over_the_command_area_and_few_speak_of_one_thing() {
        let city = city(3);
        let subjects = (0..5_000).filter(|n| city.subject(*n, &mut city.chance(*n, 1)) != *n).count();
        assert!((50..400).contains(&subjects), "{subjects} of 5000 speak of an earlier one");
        let places: Vec<Position> = (0..2_000).filter_map(|n| city.happening(n).1).collect();
        assert!(places.len() > 1_900, "few callers cannot say where: {}", places.len());
        let inside = |p: &&Position| city.outlines.iter().any(|o| p.is_within(o));
        assert!(places.iter().filter(inside).count() * 100 >= places.len() * 97);
        let flood = report(&city, 9, Stream::Flood(4));
        assert!(flood["source"].as_str().unwrap().starts_with("app/flood-"), "{flood}");
    }
}
