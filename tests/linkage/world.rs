//! A small city for the tests and benches of linkage: a playbook without rules, and posts put where a test wants them.

use muster::engine::Task;
use muster::model::{
    AreaCode, AreaId, CommandArea, Hours, IncidentId, Kind, Lane, LocalTime, OrderId, OrderState, Position, PostId,
    PostSpec, RiskClass, Role, Severity, Timestamp, Weekday,
};
use muster::playbook::{Area, Playbook};

/// The middle of the city.
pub const MIDDLE: Position = Position { lon: 112.6, lat: 26.9 };
/// The instant of every decision.
pub const NOW: Timestamp = Timestamp(1_795_420_800_000);
/// Monday noon.
pub const NOON: LocalTime = LocalTime { date: 20_261_123, minute: 12 * 60, weekday: Weekday::Mon };

const HEAD: &str = r#"
[playbook]
name = "linkage"
title = "A city for tests of linkage"
version = "1"
command_area = "4304"
time_zone = "Asia/Shanghai"
set = "by-place"
unknown_place_plan = "rapid-response"
"#;

/// A playbook with the default costs, and nothing else.
pub fn playbook() -> Playbook {
    Playbook::load(&[("head.toml".to_owned(), HEAD.to_owned())]).expect("the head alone is a playbook")
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
