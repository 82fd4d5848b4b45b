//! The roster: posts and teams by name, and whole blocks of like ones spread over an area.
//!
//! A city of 4,800 teams does not list them one by one. A block says how many stand in which area; they are laid on a
//! golden-angle spiral around the area's centre (Vogel 1979: point *i* of *n* at the angle *i* · 137.5° and the radius
//! *R* · √((i + ½) / n)), which fills a disc evenly for any *n* and needs no randomness. Coordinates are rounded to a
//! millionth of a degree (11 cm), so that they are the same on every machine whatever its sine.

use std::collections::BTreeMap;

use super::Area;
use super::text::{Entry, PostBlock, TeamBlock};
use crate::model::{AreaId, Position, PostId, PostSpec, Team, TeamId};

/// The posts of a block, with their names.
pub(super) fn posts_of<'b>(block: &'b PostBlock, area: &Area) -> impl Iterator<Item = PostSpec> + 'b {
    // Blocks of different kinds in one area would else stand on the very same points.
    let turn = f64::from(block.kind as u8) * 0.25;
    spiral(area.centre, block.radius_m, block.count, turn).map(|(n, base)| PostSpec {
        id: PostId::from(format!("{}-{n:03}", block.prefix)),
        kind: block.kind,
        name: block.prefix.clone(),
        area: block.area.clone(),
        base,
        hours: block.hours.clone(),
        strength: block.strength,
        capabilities: block.capabilities.clone(),
        radius_m: block.holds_m,
    })
}

/// The teams of a block.
pub(super) fn teams_of<'b>(block: &'b TeamBlock, area: &Area) -> impl Iterator<Item = Team> + 'b {
    spiral(area.centre, block.radius_m, block.count, 0.125).map(|(n, base)| Team {
        id: TeamId::from(format!("{}-{n:03}", block.prefix)),
        area: block.area.clone(),
        base,
        strength: block.strength,
    })
}

/// Every post of the roster; of two with one name the first.
pub(super) fn posts(
    posts: &[Entry<PostSpec>],
    blocks: &[Entry<PostBlock>],
    areas: &BTreeMap<AreaId, Area>,
) -> BTreeMap<PostId, PostSpec> {
    let of_blocks = blocks.iter().filter_map(|b| areas.get(&b.area).map(|area| posts_of(&b.value, area))).flatten();
    let all = posts.iter().map(|p| p.value.clone()).chain(of_blocks);
    all.map(|post| (post.id.clone(), post)).collect()
}

/// Every team of the roster.
pub(super) fn teams(blocks: &[Entry<TeamBlock>], areas: &BTreeMap<AreaId, Area>) -> BTreeMap<TeamId, Team> {
    let of_blocks = blocks.iter().filter_map(|b| areas.get(&b.area).map(|area| teams_of(&b.value, area))).flatten();
    of_blocks.map(|team| (team.id.clone(), team)).collect()
}

/// `count` points within `radius_m` of `centre`, numbered from 1; `turn` (0 ..= 1) turns the whole figure.
fn spiral(centre: Position, radius_m: f64, count: u16, turn: f64) -> impl Iterator<Item = (u16, Position)> {
    const GOLDEN_ANGLE: f64 = 2.399_963_229_728_653;
    (0..count).map(move |i| {
        let angle = f64::from(i) * GOLDEN_ANGLE + turn * std::f64::consts::TAU;
        let away = radius_m * ((f64::from(i) + 0.5) / f64::from(count)).sqrt();
        let p = centre.offset_m(away * angle.cos(), away * angle.sin());
        let rounded = |degrees: f64| (degrees * 1e6).round() / 1e6;
        (i + 1, Position { lon: rounded(p.lon), lat: rounded(p.lat) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spiral_fills_its_disc_and_stays_within() {
        let centre = Position { lon: 112.6, lat: 26.9 };
        let points: Vec<Position> = spiral(centre, 1000.0, 100, 0.0).map(|(_, p)| p).collect();
        assert!(points.iter().all(|p| p.distance_m(centre) <= 1000.5));
        // Even: the inner half of the area holds half of the points.
        let inner = points.iter().filter(|p| p.distance_m(centre) <= 1000.0 * 0.5_f64.sqrt()).count();
        assert!((45..=55).contains(&inner), "{inner}");
        // Apart: nobody stands on somebody else (a square grid would be 177 m apart).
        for (i, a) in points.iter().enumerate() {
            assert!(points[..i].iter().all(|b| a.distance_m(*b) > 80.0));
        }
    }
}
