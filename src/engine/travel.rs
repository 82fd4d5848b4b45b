//! How long a post needs from one place to another: by kind, hour and barriers.
//!
//! `seconds = metres × detour ÷ speed of the kind × factor of the hour`, where the metres are the straight line, or, where the
//! line leads across a barrier such as a river, the way over the cheapest crossings. A barrier is a line that is crossed
//! only at its crossings. Whether it parts two places is told by counting: an odd number of cuts means that they lie on
//! its two sides, an even number that they lie on the same side and streets go round the bend, which the detour factor
//! stands for. Several barriers are taken in the order in which the straight line meets them, one crossing of each, the
//! cheapest combination of all (a shortest path through layers). The pieces between crossings are straight and not cut
//! again: a crossing is believed to lead where it has to.
//!
//! Because a way is never shorter than the straight line, straight line ÷ fastest speed is a lower bound, on which the
//! search of `linkage` rests. Time to get going (`turnout`) is apart: it is due only when a post was at rest.
//!
//! The factor of the hour is that of the first entry of `rush` that holds. Left out: streets. A city that has a router can
//! set crossings and detour from it; a choice must not wait for an outside service.

use smol_str::{SmolStr, format_smolstr};

use crate::model::{Kind, LocalTime, Position};
use crate::playbook::{Barrier, Travel};

/// The ways of a city at one hour.
#[derive(Clone, Debug)]
pub struct Roads<'a> {
    travel: &'a Travel,
    factor: f64,
    /// The box around each barrier: low corner, high corner.
    boxes: Vec<(Position, Position)>,
}

/// A way from one place to another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Way {
    /// Metres before the detour factor.
    pub metres: f64,
    /// Which crossing of which barrier, in order.
    pub over: Vec<(usize, usize)>,
}

impl<'a> Roads<'a> {
    /// The ways as they are at this hour.
    #[must_use]
    pub fn at(travel: &'a Travel, local: LocalTime) -> Self {
        let holds = travel.rush.iter().find(|rush| rush.hours.contains(local.minute));
        let boxes = travel.barriers.iter().map(|barrier| bounds(&barrier.line)).collect();
        Self { travel, factor: holds.map_or(1.0, |rush| rush.factor), boxes }
    }

    /// Seconds a metre of straight line takes; `None` for a kind to which the playbook gives no speed.
    #[must_use]
    pub fn pace(&self, kind: Kind) -> Option<f64> {
        let speed_kmh = self.travel.speed_kmh.get(&kind).copied().filter(|speed| *speed > 0.0)?;
        Some(self.travel.detour.max(1.0) * self.factor * 3.6 / speed_kmh)
    }

    /// Seconds from order to wheels turning.
    #[must_use]
    pub fn turnout_s(&self, kind: Kind) -> f64 {
        self.travel.turnout.get(&kind).map_or(0.0, |turnout| turnout.as_secs_f64())
    }

    /// The way between two places that lie `metres` apart.
    ///
    /// # Errors
    /// With the barrier that has no crossing, when there is no way.
    pub fn way(&self, from: Position, to: Position, metres: f64) -> Result<Way, &'a Barrier> {
        let mut parting: Vec<(f64, usize)> = Vec::new();
        for (i, barrier) in self.travel.barriers.iter().enumerate() {
            if overlap(self.boxes[i], from, to)
                && let Some(first) = parts(&barrier.line, from, to)
            {
                parting.push((first, i));
            }
        }
        if parting.is_empty() {
            return Ok(Way { metres, over: Vec::new() });
        }
        parting.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let way = self.cheapest(from, to, parting.iter().map(|(_, barrier)| *barrier))?;
        Ok(Way { metres: way.metres.max(metres), ..way })
    }

    /// A way in words: `over Xiang crossing 2`.
    #[must_use]
    pub fn crossings(&self, way: &Way) -> Option<SmolStr> {
        let name = |&(barrier, crossing): &(usize, usize)| {
            format!("{} crossing {}", self.travel.barriers[barrier].name, crossing + 1)
        };
        let names: Vec<_> = way.over.iter().map(name).collect();
        (!names.is_empty()).then(|| format_smolstr!("over {}", names.join(" and ")))
    }

    /// The shortest way over one crossing of each barrier in turn. Ties: the crossing named first.
    fn cheapest(
        &self,
        from: Position,
        to: Position,
        barriers: impl Iterator<Item = usize>,
    ) -> Result<Way, &'a Barrier> {
        let mut layer = vec![(from, Way::default())];
        for barrier in barriers {
            let crossings = &self.travel.barriers[barrier].crossings;
            let reached = crossings.iter().enumerate().filter_map(|(c, &crossing)| {
                let mut way = shortest(&layer, crossing)?;
                way.over.push((barrier, c));
                Some((crossing, way))
            });
            layer = reached.collect();
            if layer.is_empty() {
                return Err(&self.travel.barriers[barrier]);
            }
        }
        Ok(shortest(&layer, to).unwrap_or_default())
    }
}

/// The shortest continuation of any of the ways to a point.
fn shortest(layer: &[(Position, Way)], to: Position) -> Option<Way> {
    let metres = |(at, way): &(Position, Way)| way.metres + at.distance_m(to);
    let best = layer.iter().min_by(|a, b| metres(a).total_cmp(&metres(b)))?;
    Some(Way { metres: metres(best), over: best.1.over.clone() })
}

fn bounds(line: &[Position]) -> (Position, Position) {
    let none = (Position { lon: 1e9, lat: 1e9 }, Position { lon: -1e9, lat: -1e9 });
    line.iter().fold(none, |(low, high), p| {
        (
            Position { lon: low.lon.min(p.lon), lat: low.lat.min(p.lat) },
            Position { lon: high.lon.max(p.lon), lat: high.lat.max(p.lat) },
        )
    })
}

fn overlap((low, high): (Position, Position), a: Position, b: Position) -> bool {
    a.lon.min(b.lon) <= high.lon
        && a.lon.max(b.lon) >= low.lon
        && a.lat.min(b.lat) <= high.lat
        && a.lat.max(b.lat) >= low.lat
}

/// If the straight line from `a` to `b` cuts `line` an odd number of times: where it does so first, from 0 at `a` to 1 at `b`.
/// A point exactly on a line counts to its left, so that a line through a corner is cut once, not twice.
fn parts(line: &[Position], a: Position, b: Position) -> Option<f64> {
    let side =
        |p: Position, q: Position, r: Position| (q.lon - p.lon) * (r.lat - p.lat) - (q.lat - p.lat) * (r.lon - p.lon);
    let (mut cuts, mut first) = (0_u32, f64::INFINITY);
    for piece in line.windows(2) {
        let (p, q) = (piece[0], piece[1]);
        if (side(a, b, p) >= 0.0) == (side(a, b, q) >= 0.0) {
            continue;
        }
        let (of_a, of_b) = (side(p, q, a), side(p, q, b));
        if (of_a >= 0.0) != (of_b >= 0.0) {
            cuts += 1;
            first = first.min(of_a / (of_a - of_b));
        }
    }
    (cuts % 2 == 1).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Millis, Timestamp, Weekday};
    use crate::playbook::Rush;

    const MIDDLE: Position = Position { lon: 112.6, lat: 26.9 };

    fn at(east: f64, north: f64) -> Position {
        MIDDLE.offset_m(east, north)
    }

    /// A river from south to north through the middle, with bridges 1 km south and 3 km north.
    fn river(name: &str, east: f64, bridges: &[f64]) -> Barrier {
        Barrier {
            name: name.into(),
            line: vec![at(east, -10_000.0), at(east, 0.0), at(east, 10_000.0)],
            crossings: bridges.iter().map(|&north| at(east, north)).collect(),
        }
    }

    fn noon() -> LocalTime {
        LocalTime { date: 20_261_123, minute: 12 * 60, weekday: Weekday::Mon }
    }

    fn way(travel: &Travel, from: Position, to: Position) -> Result<Way, String> {
        Roads::at(travel, noon()).way(from, to, from.distance_m(to)).map_err(|b| b.name.to_string())
    }

    #[test]
    fn the_way_across_a_river_leads_over_the_cheapest_bridge() {
        let travel = Travel { barriers: vec![river("Xiang", 0.0, &[-1000.0, 3000.0])], ..Travel::default() };
        let over = way(&travel, at(-500.0, 0.0), at(500.0, 0.0)).unwrap();
        assert_eq!(over.over, [(0, 0)]);
        assert!((over.metres - 2.0 * 500.0_f64.hypot(1000.0)).abs() < 2.0, "{}", over.metres);
        assert_eq!(Roads::at(&travel, noon()).crossings(&over).unwrap(), "over Xiang crossing 1");
        let north = way(&travel, at(-500.0, 2500.0), at(500.0, 2500.0)).unwrap();
        assert_eq!(north.over, [(0, 1)]);
        let same_side = way(&travel, at(-500.0, 0.0), at(-500.0, 4000.0)).unwrap();
        assert_eq!((same_side.over.len(), same_side.metres.round()), (0, 4000.0));
    }

    #[test]
    fn a_line_through_a_corner_of_the_bank_is_cut_once() {
        let travel = Travel { barriers: vec![river("Xiang", 0.0, &[0.0])], ..Travel::default() };
        assert_eq!(way(&travel, at(-300.0, 0.0), at(300.0, 0.0)).unwrap().over, [(0, 0)]);
    }

    #[test]
    fn a_bend_cut_twice_needs_no_bridge() {
        let bend = Barrier {
            name: "bend".into(),
            line: vec![at(-200.0, -2000.0), at(0.0, 500.0), at(200.0, -2000.0)],
            crossings: Vec::new(),
        };
        let travel = Travel { barriers: vec![bend], ..Travel::default() };
        assert_eq!(way(&travel, at(-800.0, 0.0), at(800.0, 0.0)).unwrap().over, []);
        assert_eq!(way(&travel, at(-800.0, 0.0), at(0.0, 0.0)), Err("bend".to_owned()), "no crossing, no way");
    }

    #[test]
    fn two_rivers_are_crossed_in_turn_by_the_cheapest_pair_of_bridges() {
        let rivers = vec![river("Lei", 1000.0, &[-2000.0, 2500.0]), river("Xiang", 0.0, &[-1500.0, 2600.0])];
        let travel = Travel { barriers: rivers, ..Travel::default() };
        let over = way(&travel, at(-500.0, 0.0), at(1500.0, 0.0)).unwrap();
        assert_eq!(over.over, [(1, 0), (0, 0)], "the Xiang is met first");
        let back = way(&travel, at(1500.0, 0.0), at(-500.0, 0.0)).unwrap();
        assert_eq!(back.over, [(0, 0), (1, 0)]);
        assert!((over.metres - back.metres).abs() < 1e-6);
    }

    #[test]
    fn rush_hours_slow_everybody_and_a_kind_without_speed_does_not_travel() {
        let rush = vec![Rush { hours: "07:00-09:00".parse().unwrap(), factor: 1.5 }];
        let mut travel = Travel { rush, ..Travel::default() };
        travel.turnout.insert(Kind::Base, Millis::from_secs(45));
        travel.speed_kmh.remove(&Kind::Peak);
        let morning = Timestamp::parse("2026-11-23T08:00:00Z").unwrap().local(&jiff::tz::TimeZone::UTC);
        let (calm, rush) = (Roads::at(&travel, noon()), Roads::at(&travel, morning));
        let per_km = calm.pace(Kind::Patrol).unwrap() * 1000.0;
        assert!((per_km - 130.0).abs() < 1e-9, "1 km × 1.3 at 36 km/h, {per_km}");
        assert!((rush.pace(Kind::Patrol).unwrap() * 1000.0 - 195.0).abs() < 1e-9);
        assert_eq!((calm.turnout_s(Kind::Base), calm.pace(Kind::Peak)), (45.0, None));
    }
}
