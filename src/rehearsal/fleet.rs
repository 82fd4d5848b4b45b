//! The crews of the city: where each is, and which orders it has in hand.
//!
//! A patrol is on its beat: it drives from one point near its base to the next, and its terminal says where it is. A crew
//! that is sent goes to the scene, stays until it has cleared, and goes home. It does one order at a time: one that
//! comes while it is busy waits its turn, unless it takes the crew from what it does.
//!
//! Left out: streets and bridges. How long a way takes, the order says; where a crew is on it, a straight line tells.

use std::collections::BTreeMap;

use super::chance::Chance;
use super::script::Crews;
use crate::model::{Kind, Millis, Position, PostId, PostSpec, Timestamp};
use crate::playbook::{Playbook, Travel};

/// All crews.
pub(super) struct Fleet<'a> {
    crews: BTreeMap<PostId, Crew<'a>>,
    travel: &'a Travel,
    beat_m: f64,
    beat_kmh: f64,
    /// Of its own: where patrols drive about changes nothing else of the day.
    chance: Chance,
}

/// One crew.
struct Crew<'a> {
    spec: &'a PostSpec,
    way: Way,
    /// Orders, the one it is at first.
    in_hand: Vec<String>,
}

/// From where to where, and when.
struct Way {
    from: Position,
    to: Position,
    start: Timestamp,
    end: Timestamp,
}

impl Way {
    #[expect(clippy::cast_precision_loss, reason = "a way takes hours at most")]
    fn at(&self, now: Timestamp) -> Position {
        let (gone, whole) = (now.since(self.start).0 as f64, self.end.since(self.start).0 as f64);
        let share = if whole > 0.0 { (gone / whole).clamp(0.0, 1.0) } else { 1.0 };
        let between = |a: f64, b: f64| a + (b - a) * share;
        Position { lon: between(self.from.lon, self.to.lon), lat: between(self.from.lat, self.to.lat) }
    }
}

impl<'a> Fleet<'a> {
    /// Everybody at home.
    pub fn new(playbook: &'a Playbook, crews: &Crews, seed: u64, start: Timestamp) -> Self {
        let at_home = |spec: &'a PostSpec| Crew {
            spec,
            way: Way { from: spec.base, to: spec.base, start, end: start },
            in_hand: Vec::new(),
        };
        Self {
            crews: playbook.posts.iter().map(|(id, spec)| (id.clone(), at_home(spec))).collect(),
            travel: &playbook.travel,
            beat_m: crews.beat_m,
            beat_kmh: crews.beat_kmh,
            chance: Chance::new(seed ^ 0x00BE_A700),
        }
    }

    /// A crew has signed an order. Says whether it sets out for it now, and which orders it leaves for it: one that does not
    /// wait its turn takes the crew from whatever it has in hand.
    pub fn takes_up(&mut self, post: &str, order: &str, waits: bool) -> (bool, Vec<String>) {
        let Some(crew) = self.crews.get_mut(post) else { return (false, Vec::new()) };
        let left = if waits { Vec::new() } else { std::mem::take(&mut crew.in_hand) };
        crew.in_hand.push(order.to_owned());
        (crew.in_hand.len() == 1, left)
    }

    /// A crew is on its way, and will be there then.
    pub fn goes(&mut self, post: &str, to: Position, now: Timestamp, there: Timestamp) {
        if let Some(crew) = self.crews.get_mut(post) {
            crew.way = Way { from: crew.way.at(now), to, start: now, end: there };
        }
    }

    /// How long a crew needs from where it is, at street speed.
    pub fn needs(&self, post: &str, to: Position, now: Timestamp) -> Millis {
        let Some(crew) = self.crews.get(post) else { return Millis::ZERO };
        let speed = self.travel.speed_kmh.get(&crew.spec.kind).copied().unwrap_or(self.beat_kmh);
        span(crew.way.at(now).distance_m(to) * self.travel.detour.max(1.0), speed)
    }

    /// A crew is done with an order, or it was taken back. Says which one it sets out for now; with none it goes home.
    pub fn frees(&mut self, post: &str, order: &str, now: Timestamp) -> Option<String> {
        let crew = self.crews.get_mut(post)?;
        let at = crew.in_hand.iter().position(|o| o == order)?;
        crew.in_hand.remove(at);
        if at > 0 {
            return None;
        }
        let (next, home) = (crew.in_hand.first().cloned(), crew.spec.base);
        if next.is_none() {
            let there = now + self.needs(post, home, now);
            self.goes(post, home, now, there);
        }
        next
    }

    /// Where the patrols are. One that has come to the end of a way and has nothing in hand drives on along its beat.
    pub fn patrols(&mut self, now: Timestamp) -> Vec<(&'a PostId, Position)> {
        let mut told = Vec::new();
        for crew in self.crews.values_mut().filter(|crew| crew.spec.kind == Kind::Patrol) {
            let here = crew.way.at(now);
            if crew.in_hand.is_empty() && crew.way.end <= now {
                let to = self.chance.near(crew.spec.base, self.beat_m);
                let end = now + span(here.distance_m(to), self.beat_kmh);
                crew.way = Way { from: here, to, start: now, end };
            }
            told.push((&crew.spec.id, here));
        }
        told
    }
}

/// So many metres at this speed.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a way within a city, never negative")]
fn span(metres: f64, speed_kmh: f64) -> Millis {
    Millis((metres * 3600.0 / speed_kmh.max(1.0)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Position = Position { lon: 112.6, lat: 26.9 };
    const NOON: Timestamp = Timestamp(1_800_000_000_000);

    fn crew(spec: &PostSpec) -> Fleet<'_> {
        static TRAVEL: std::sync::OnceLock<Travel> = std::sync::OnceLock::new();
        let way = Way { from: spec.base, to: spec.base, start: NOON, end: NOON };
        Fleet {
            crews: [(spec.id.clone(), Crew { spec, way, in_hand: Vec::new() })].into(),
            travel: TRAVEL.get_or_init(Travel::default),
            beat_m: 300.0,
            beat_kmh: 20.0,
            chance: Chance::new(1),
        }
    }

    fn patrol() -> PostSpec {
        PostSpec {
            id: "P1".into(),
            kind: Kind::Patrol,
            name: "".into(),
            area: "a".into(),
            base: HERE,
            hours: crate::model::Hours::always(),
            strength: 2,
            capabilities: Vec::new(),
            radius_m: None,
        }
    }

    #[test]
    fn a_crew_does_one_order_at_a_time_and_leaves_it_for_one_that_does_not_wait() {
        let spec = patrol();
        let mut fleet = crew(&spec);
        assert_eq!(fleet.takes_up("P1", "1-1", false), (true, Vec::new()));
        assert_eq!(fleet.takes_up("P1", "2-1", true), (false, Vec::new()));
        assert_eq!(fleet.frees("P1", "1-1", NOON), Some("2-1".to_owned()));
        assert_eq!(fleet.takes_up("P1", "3-1", false), (true, vec!["2-1".to_owned()]));
        assert_eq!(fleet.frees("P1", "2-1", NOON), None, "it was left before");
        assert_eq!(fleet.frees("P1", "3-1", NOON), None);
        assert!(fleet.crews["P1"].in_hand.is_empty());
    }

    #[test]
    fn a_crew_is_where_its_way_has_brought_it_and_a_patrol_stays_on_its_beat() {
        let spec = patrol();
        let mut fleet = crew(&spec);
        let scene = HERE.offset_m(2000.0, 0.0);
        let needs = fleet.needs("P1", scene, NOON);
        assert!((259_990..=260_010).contains(&needs.0), "2 km × 1.3 at 36 km/h: {needs:?}");
        fleet.takes_up("P1", "1-1", false);
        fleet.goes("P1", scene, NOON, NOON + needs);
        let half = fleet.patrols(NOON + Millis(needs.0 / 2))[0].1;
        assert!((half.distance_m(HERE) - 1000.0).abs() < 5.0, "{}", half.distance_m(HERE));
        let long_after = NOON + Millis::from_mins(60);
        assert!(fleet.patrols(long_after)[0].1.distance_m(scene) < 1.0, "it stays until it has cleared");
        fleet.frees("P1", "1-1", long_after);
        for n in 10..40 {
            let at = fleet.patrols(long_after + Millis::from_mins(n))[0].1;
            assert!(at.distance_m(HERE) <= 301.0, "{}", at.distance_m(HERE));
        }
    }
}
