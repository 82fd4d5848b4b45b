//! A small city for the tests and benches of linkage: a playbook without rules, and posts put where a test wants them.

use std::sync::OnceLock;

use muster::engine::Task;
use muster::model::{
    AreaCode, AreaId, CommandArea, Hours, IncidentId, Kind, Lane, LocalTime, OrderId, OrderState, Position, PostId,
    PostSpec, RiskClass, Role, Severity, Timestamp, Weekday,
};
use muster::playbook::{Area, Areas, Automaton, Cost, Limits, Playbook, Taxonomy, Travel};

/// The middle of the city.
pub const MIDDLE: Position = Position { lon: 112.6, lat: 26.9 };
/// The instant of every decision.
pub const NOW: Timestamp = Timestamp(1_795_420_800_000);
/// Monday noon.
pub const NOON: LocalTime = LocalTime { date: 20_261_123, minute: 12 * 60, weekday: Weekday::Mon };

/// The shipped playbook without its city: no places, no posts, and the default numbers, so that a test says what it needs.
pub fn playbook() -> Playbook {
    static STRIPPED: OnceLock<Playbook> = OnceLock::new();
    STRIPPED.get_or_init(strip).clone()
}

fn strip() -> Playbook {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/playbooks/hengyang");
    let files = std::fs::read_dir(folder).expect("the shipped playbook").map(|entry| {
        let path = entry.expect("a readable folder").path();
        (path.display().to_string(), std::fs::read_to_string(&path).expect("a readable file"))
    });
    let mut playbook = Playbook::load(&files.collect::<Vec<_>>()).expect("the shipped playbook loads");
    playbook.areas = Areas::default();
    playbook.posts.clear();
    playbook.teams.clear();
    // Nothing is classified here, and properties copy this some thousand times.
    playbook.automaton = Automaton::of(&[]);
    playbook.taxonomy = Taxonomy::default();
    playbook.rules.clear();
    playbook.rule_conditions.clear();
    playbook.keywords.clear();
    playbook.plans.clear();
    playbook.sources.clear();
    (playbook.travel, playbook.cost, playbook.limits) = (Travel::default(), Cost::default(), Limits::default());
    playbook
}

/// Metres east and north of the middle.
pub fn at(east: f64, north: f64) -> Position {
    MIDDLE.offset_m(east, north)
}

pub fn area(id: &str, county: &str, min_cover: u16, centre: Position) -> Area {
    Area {
        id: AreaId::from(id),
        name: id.into(),
        county: AreaCode::from(county),
        class: RiskClass::try_from(2).expect("one of three"),
        centre,
        reach_m: 15_000.0,
        min_cover,
    }
}

pub fn post(id: &str, kind: Kind, area: &str, base: Position) -> PostSpec {
    PostSpec {
        id: PostId::from(id),
        kind,
        name: id.into(),
        area: AreaId::from(area),
        base,
        hours: Hours::always(),
        strength: 2,
        capabilities: Vec::new(),
        radius_m: None,
    }
}

pub fn order(incident: u32, n: u32) -> OrderId {
    OrderId { incident: IncidentId { area: CommandArea::from("4304"), date: 20_261_123, n: incident }, n }
}

pub fn task(order: OrderId, severity: Severity, lane: Lane, state: OrderState, target: Position) -> Task {
    Task { order, severity, lane, drill: false, role: Role::First, state, target, robbed: false, covers: None }
}
