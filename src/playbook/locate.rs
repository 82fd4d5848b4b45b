//! How a place is found: from what a report says to an area, a ring and a point to which posts are sent.
//!
//! A report may name a place by id, by a township's code, by a position, by several of these, or not at all. What it
//! says is weighed in this order, and the first that leads into this command area decides:
//!
//! 1. *Id*: a key site or an assessed area. The point is the reported one where it lies at the site, else the site's
//!    own: a sensor bolted to a wall knows its name better than its coordinates.
//! 2. *Position* in one of our counties or within reach of one of our areas. It comes before the code, because posts are
//!    sent to it and because codes deceive (below). One that is less accurate than its area is wide tells the area only,
//!    and that only where no code does.
//! 3. *Township code*, read in its vintage, or in the playbook's default where none is given. The same code names other
//!    places in other tables, so a code that its own table does not hold is unknown, whatever another table says.
//! 4. A code or a position of a *neighbour*: another centre's, to be forwarded.
//!
//! Whatever is left is unknown: also a valid point outside everything we know of, since nobody may be sent to the sea
//! because a device is wrong. Only a playbook without any area takes every valid point.
//!
//! The ring is 1 at a key site, else that of the fastest zone around the point, else rural. With only an area the point is
//! its centre; being at a key site is then never claimed.
//!
//! # Index
//! A grid over all that has a place. Each cell lists what touches it, so that a look-up weighs a few candidates with plane
//! geometry: at the distances of a city the earth is flat to a part in a thousand.

use smol_str::SmolStr;

use super::{Area, Areas, County, Neighbour, Site, Zone};
use crate::model::{AreaCode, CommandArea, Place, PlaceRef, Position, Ring, Spot};

impl Areas {
    /// Finds the place a report speaks of.
    #[must_use]
    pub fn locate(&self, named: &PlaceRef) -> Place {
        let point = named.position.filter(|p| p.is_valid());
        let accuracy_m = named.accuracy_m.filter(|m| m.is_finite() && *m >= 0.0);
        let by_position = || self.by_position(point?, accuracy_m);
        self.by_id(named.id.as_ref(), point, accuracy_m)
            .or_else(|| by_position().filter(|place| place.accuracy_m == accuracy_m))
            .or_else(|| self.by_code(named))
            .or_else(by_position)
            .or_else(|| self.foreign(named, point))
            .unwrap_or_else(|| self.unknown(named))
    }

    /// The assessed area a point lies in: of those within their reach, and of its county where that is known, the
    /// nearest.
    #[must_use]
    pub fn area_at(&self, point: Position) -> Option<&Area> {
        let cell = self.index.cell(point)?;
        self.nearest_area(cell, point, self.county_at(cell, point))
    }

    fn by_id(&self, id: Option<&SmolStr>, point: Option<Position>, accuracy_m: Option<f64>) -> Option<Place> {
        let id = id?.as_str();
        if let Some(site) = self.sites.get(id) {
            let slack = accuracy_m.unwrap_or(0.0);
            let at_site = point.filter(|p| p.distance_m(site.position) <= site.radius_m + slack);
            let area = self.areas.get(&site.area)?;
            let accuracy_m = if at_site.is_some() { accuracy_m } else { None };
            let place = self.in_area(area, at_site.unwrap_or(site.position), accuracy_m);
            return Some(Place { ring: Ring::One, site: Some(site.id.clone()), ..place });
        }
        let area = self.areas.get(id)?;
        // The point may well lie in the area; then it is the better one.
        match point.and_then(|p| self.by_position(p, accuracy_m)).filter(|found| found.area.as_ref() == Some(&area.id))
        {
            Some(found) => Some(found),
            None => Some(self.in_area(area, area.centre, None)),
        }
    }

    fn by_position(&self, point: Position, accuracy_m: Option<f64>) -> Option<Place> {
        if self.areas.is_empty() && self.counties.is_empty() {
            let ring = self.index.cell(point).map_or(Ring::Rural, |cell| self.ring_at(cell, point));
            let spot = Spot::Known;
            return Some(Place { spot, position: Some(point), accuracy_m, ring, ..Place::unknown() });
        }
        let cell = self.index.cell(point)?;
        let county = self.county_at(cell, point);
        if county.is_none() && self.neighbour_at(cell, point).is_some() {
            return None;
        }
        let Some(area) = self.nearest_area(cell, point, county) else {
            let ring = self.ring_at(cell, point);
            let county = Some(county?.code.clone());
            return Some(Place {
                spot: Spot::Known,
                county,
                position: Some(point),
                accuracy_m,
                ring,
                ..Place::unknown()
            });
        };
        if accuracy_m.is_some_and(|m| m > area.reach_m) {
            return Some(self.in_area(area, area.centre, None));
        }
        let place = self.in_area(area, point, accuracy_m);
        Some(match self.site_at(cell, point) {
            Some(site) => Place { ring: Ring::One, site: Some(site.id.clone()), ..place },
            None => place,
        })
    }

    fn by_code(&self, named: &PlaceRef) -> Option<Place> {
        let code = named.township.as_ref()?;
        let vintage = named.vintage.as_ref().unwrap_or(&self.default_vintage);
        let township = self.townships.get(&(vintage.clone(), code.clone()))?;
        let area = self.areas.get(township.area.as_ref()?)?;
        Some(self.in_area(area, area.centre, None))
    }

    fn foreign(&self, named: &PlaceRef, point: Option<Position>) -> Option<Place> {
        let by_point = || self.neighbour_at(self.index.cell(point?)?, point?).map(|n| &n.command_area);
        let neighbour = named.township.as_ref().and_then(|code| self.neighbour_of(code)).or_else(by_point)?;
        let spot = Spot::Foreign(neighbour.clone());
        Some(Place { spot, position: point, accuracy_m: named.accuracy_m, ..Place::unknown() })
    }

    /// The county may be known where the place is not: a township that is no assessed area, or the code of a county.
    fn unknown(&self, named: &PlaceRef) -> Place {
        let vintage = named.vintage.as_ref().unwrap_or(&self.default_vintage);
        let of_township = |code: &AreaCode| self.townships.get(&(vintage.clone(), code.clone())).map(|t| &t.county);
        let of_county = |code: &AreaCode| self.counties.get(code).map(|c| c.code.clone());
        let county = named.township.as_ref().and_then(|code| of_township(code).cloned().or_else(|| of_county(code)));
        Place { county, ..Place::unknown() }
    }

    fn in_area(&self, area: &Area, point: Position, accuracy_m: Option<f64>) -> Place {
        Place {
            spot: Spot::Known,
            area: Some(area.id.clone()),
            county: Some(area.county.clone()),
            position: Some(point),
            accuracy_m,
            ring: self.index.cell(point).map_or(Ring::Rural, |cell| self.ring_at(cell, point)),
            risk_class: Some(area.class),
            site: None,
        }
    }

    /// A code of our own tables is never a neighbour's, whatever it begins with.
    fn neighbour_of(&self, code: &AreaCode) -> Option<&CommandArea> {
        let ours = |code: &AreaCode| self.index.codes.binary_search(code).is_ok();
        let theirs = |n: &&Neighbour| n.codes.iter().any(|prefix| code.as_str().starts_with(prefix.as_str()));
        self.neighbours.iter().filter(|_| !ours(code)).find(theirs).map(|n| &n.command_area)
    }

    fn county_at(&self, cell: &Cell, point: Position) -> Option<&County> {
        let candidates = cell.counties.iter().map(|i| &self.index.counties[usize::from(*i)]);
        let code = candidates.into_iter().find(|(_, outline)| point.is_within(outline)).map(|(code, _)| code)?;
        self.counties.get(code)
    }

    fn neighbour_at(&self, cell: &Cell, point: Position) -> Option<&Neighbour> {
        let mut candidates = cell.neighbours.iter().map(|i| &self.neighbours[usize::from(*i)]);
        candidates.find(|n| point.is_within(&n.outline))
    }

    fn nearest_area(&self, cell: &Cell, point: Position, county: Option<&County>) -> Option<&Area> {
        let plane = Plane::at(point);
        let mut best: Option<(f64, &Spotted)> = None;
        for spotted in cell.areas.iter().map(|i| &self.index.areas[usize::from(*i)]) {
            let away = plane.away_m2(spotted.centre);
            let in_county = county.is_none_or(|c| c.code == spotted.county);
            if in_county && away <= spotted.reach_m2 && best.is_none_or(|(nearest, _)| away < nearest) {
                best = Some((away, spotted));
            }
        }
        self.areas.get(best?.1.id.as_str())
    }

    fn site_at(&self, cell: &Cell, point: Position) -> Option<&Site> {
        let plane = Plane::at(point);
        let mut best: Option<(f64, &Spotted)> = None;
        for spotted in cell.sites.iter().map(|i| &self.index.sites[usize::from(*i)]) {
            let away = plane.away_m2(spotted.centre);
            if away <= spotted.reach_m2 && best.is_none_or(|(nearest, _)| away < nearest) {
                best = Some((away, spotted));
            }
        }
        self.sites.get(best?.1.id.as_str())
    }

    fn ring_at(&self, cell: &Cell, point: Position) -> Ring {
        let holding = cell.zones.iter().map(|i| &self.zones[usize::from(*i)]).filter(|zone| zone.holds(point));
        holding.map(|zone| zone.ring).min().unwrap_or(Ring::Rural)
    }
}

impl Zone {
    /// Whether the point lies in the zone.
    #[must_use]
    pub fn holds(&self, point: Position) -> bool {
        let in_circle = |centre| Plane::at(point).away_m2(centre) <= self.radius_m * self.radius_m;
        self.centre.is_some_and(in_circle) || point.is_within(&self.outline)
    }
}

/// The tangent plane at a point.
struct Plane {
    at: Position,
    lon_m: f64,
}

/// Metres of a degree of latitude, on a sphere of the earth's mean radius.
const LAT_M: f64 = 111_195.08;

impl Plane {
    fn at(point: Position) -> Self {
        Self { at: point, lon_m: LAT_M * point.lat.to_radians().cos() }
    }

    /// The square of the distance in metres.
    fn away_m2(&self, other: Position) -> f64 {
        let (east, north) = ((other.lon - self.at.lon) * self.lon_m, (other.lat - self.at.lat) * LAT_M);
        east * east + north * north
    }
}

/// The grid.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    south_west: (f64, f64),
    step: f64,
    columns: usize,
    rows: usize,
    cells: Vec<Cell>,
    areas: Vec<Spotted>,
    sites: Vec<Spotted>,
    counties: Vec<(AreaCode, Vec<Position>)>,
    /// Every township code of every table, in order.
    codes: Vec<AreaCode>,
}

/// What touches a cell, as numbers into the lists of the index, or of the playbook.
#[derive(Clone, Debug, Default)]
struct Cell {
    areas: Vec<u16>,
    sites: Vec<u16>,
    zones: Vec<u16>,
    counties: Vec<u16>,
    neighbours: Vec<u16>,
}

/// A circle with a name.
#[derive(Clone, Debug)]
struct Spotted {
    id: SmolStr,
    county: AreaCode,
    centre: Position,
    reach_m2: f64,
}

/// West, south, east, north.
#[derive(Clone, Copy, Debug)]
struct Extent([f64; 4]);

impl Extent {
    const NOTHING: Self = Self([f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY]);

    fn circle(centre: Position, radius_m: f64) -> Self {
        // A little more than the circle, since the plane of another point measures it.
        let (lat, lon) = (radius_m * 1.01 / LAT_M, radius_m * 1.01 / Plane::at(centre).lon_m.max(1.0));
        Self([centre.lon - lon, centre.lat - lat, centre.lon + lon, centre.lat + lat])
    }

    fn outline(corners: &[Position]) -> Self {
        corners.iter().fold(Self::NOTHING, |e, c| e.and(Self([c.lon, c.lat, c.lon, c.lat])))
    }

    fn and(self, other: Self) -> Self {
        let ([w, s, e, n], [w2, s2, e2, n2]) = (self.0, other.0);
        Self([w.min(w2), s.min(s2), e.max(e2), n.max(n2)])
    }
}

impl Index {
    /// A cell is at least this wide, in degrees: some two kilometres.
    const STEP_MIN: f64 = 0.02;
    /// The grid has at most so many columns and rows.
    const SIDE_MAX: f64 = 128.0;

    pub(super) fn of(areas: &Areas) -> Self {
        let circle = |id: &str, county: &AreaCode, centre, reach_m: f64| Spotted {
            id: id.into(),
            county: county.clone(),
            centre,
            reach_m2: reach_m * reach_m,
        };
        let mut codes: Vec<AreaCode> = areas.townships.values().map(|t| t.code.clone()).collect();
        codes.sort();
        let with_outline = areas.counties.values().filter(|c| !c.outline.is_empty());
        let mut index = Self {
            areas: areas.areas.values().map(|a| circle(a.id.as_str(), &a.county, a.centre, a.reach_m)).collect(),
            sites: areas
                .sites
                .values()
                .map(|s| circle(s.id.as_str(), &AreaCode::default(), s.position, s.radius_m))
                .collect(),
            counties: with_outline.map(|c| (c.code.clone(), c.outline.clone())).collect(),
            codes,
            ..Self::default()
        };
        let of_circle = |s: &Spotted| Extent::circle(s.centre, s.reach_m2.sqrt());
        let of_zone = |z: &Zone| {
            let outline = Extent::outline(&z.outline);
            z.centre.map_or(outline, |centre| outline.and(Extent::circle(centre, z.radius_m)))
        };
        let layers: [Vec<Extent>; 5] = [
            index.areas.iter().map(of_circle).collect(),
            index.sites.iter().map(of_circle).collect(),
            areas.zones.iter().map(of_zone).collect(),
            index.counties.iter().map(|(_, outline)| Extent::outline(outline)).collect(),
            areas.neighbours.iter().map(|n| Extent::outline(&n.outline)).collect(),
        ];
        index.lay_out(&layers);
        index
    }

    fn lay_out(&mut self, layers: &[Vec<Extent>; 5]) {
        let Extent([west, south, east, north]) =
            layers.iter().flatten().fold(Extent::NOTHING, |e, other| e.and(*other));
        if west > east {
            return;
        }
        self.south_west = (west, south);
        self.step = ((east - west).max(north - south) / Self::SIDE_MAX).max(Self::STEP_MIN);
        let side = |from: f64, to: f64| steps(from, to, self.step) + 1;
        (self.columns, self.rows) = (side(west, east), side(south, north));
        self.cells = vec![Cell::default(); self.columns * self.rows];
        for (layer, extents) in layers.iter().enumerate() {
            for (number, extent) in extents.iter().enumerate() {
                let number = u16::try_from(number).expect("the check bounds each list of places");
                self.enter(layer, number, *extent);
            }
        }
    }

    fn enter(&mut self, layer: usize, number: u16, Extent([west, south, east, north]): Extent) {
        if west > east {
            return;
        }
        let (lon0, lat0) = self.south_west;
        for row in steps(lat0, south, self.step)..=steps(lat0, north, self.step).min(self.rows - 1) {
            for column in steps(lon0, west, self.step)..=steps(lon0, east, self.step).min(self.columns - 1) {
                let cell = &mut self.cells[row * self.columns + column];
                let list = match layer {
                    0 => &mut cell.areas,
                    1 => &mut cell.sites,
                    2 => &mut cell.zones,
                    3 => &mut cell.counties,
                    _ => &mut cell.neighbours,
                };
                list.push(number);
            }
        }
    }

    fn cell(&self, point: Position) -> Option<&Cell> {
        let (west, south) = self.south_west;
        if point.lon < west || point.lat < south || self.cells.is_empty() {
            return None;
        }
        let (column, row) = (steps(west, point.lon, self.step), steps(south, point.lat, self.step));
        if column >= self.columns { None } else { self.cells.get(row * self.columns + column) }
    }
}

/// Whole steps from `from` up to `to`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a grid has few cells and begins at its west"
)]
fn steps(from: f64, to: f64, step: f64) -> usize {
    ((to - from) / step).max(0.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playbook::{Playbook, minimal};

    const PLAZA: (f64, f64) = (112.60, 26.89);

    fn at(lon: f64, lat: f64) -> PlaceRef {
        PlaceRef { position: Some(Position { lon, lat }), ..PlaceRef::default() }
    }

    fn code(code: &str, vintage: Option<&str>) -> PlaceRef {
        PlaceRef { township: Some(code.into()), vintage: vintage.map(Into::into), ..PlaceRef::default() }
    }

    /// `area ring site`, or the kind of spot where it is not known.
    fn found(playbook: &Playbook, named: &PlaceRef) -> String {
        let place = playbook.areas.locate(named);
        let area = place.area.as_ref().map_or("-", |a| a.as_str());
        let site = place.site.as_ref().map_or("-", |s| s.as_str());
        match &place.spot {
            Spot::Known => format!("{area} {} {site}", place.ring),
            Spot::Unknown => "unknown".to_owned(),
            Spot::Foreign(to) => format!("foreign {to}"),
        }
    }

    #[test]
    fn position_finds_site_zone_and_area() {
        let playbook = minimal();
        assert_eq!(found(&playbook, &at(112.601, 26.891)), "quay 1 lotus-plaza");
        assert_eq!(found(&playbook, &at(112.606, 26.893)), "quay 3 -", "outside the site's 250 m");
        assert_eq!(found(&playbook, &at(112.66, 26.93)), "market 5 -", "outside the town, in the suburbs");
        assert_eq!(found(&playbook, &at(112.75, 26.90)), "valley rural -");
        let place = playbook.areas.locate(&at(112.75, 26.90));
        assert_eq!((place.county, place.risk_class.map(u8::from)), (Some("990002".into()), Some(3)));
    }

    #[test]
    fn an_area_of_another_county_is_not_taken_though_its_centre_is_nearer() {
        let playbook = minimal();
        // 695 m west of the county line; Valley's centre is nearer than Market's.
        let point = Position { lon: 112.693, lat: 26.915 };
        let [valley, market] = ["valley", "market"].map(|id| playbook.areas.areas[id].centre.distance_m(point));
        assert!(market < 6000.0 && (valley - market).abs() < 1500.0);
        assert_eq!(playbook.areas.locate(&at(112.693, 26.915)).county, Some("990001".into()));
        assert_eq!(playbook.areas.area_at(Position { lon: 112.707, lat: 26.915 }).unwrap().id.as_str(), "valley");
    }

    #[test]
    fn a_point_in_a_county_beyond_every_area_is_known_and_one_in_the_sea_is_not() {
        let playbook = minimal();
        assert_eq!(found(&playbook, &at(112.999, 26.801)), "- rural -");
        assert_eq!(found(&playbook, &at(112.75, 26.60)), "unknown");
        assert_eq!(found(&playbook, &at(0.0, 0.0)), "unknown");
        assert_eq!(found(&playbook, &at(f64::NAN, 26.9)), "unknown");
        assert_eq!(found(&playbook, &at(-122.4, 37.7)), "unknown");
        assert_eq!(found(&playbook, &PlaceRef::default()), "unknown");
    }

    #[test]
    fn a_neighbours_place_is_foreign_unless_something_else_is_ours() {
        let playbook = minimal();
        assert_eq!(found(&playbook, &at(112.40, 26.90)), "foreign 9800");
        assert_eq!(found(&playbook, &code("980012345", None)), "foreign 9800");
        let ours = PlaceRef { position: Some(PLAZA.into()), ..code("980012345", None) };
        assert_eq!(found(&playbook, &ours), "quay 1 lotus-plaza", "where it is counts, not where it is registered");
        let ours = PlaceRef { position: Some((112.40, 26.90).into()), ..code("990001002", None) };
        assert_eq!(found(&playbook, &ours), "quay 3 -");
    }

    #[test]
    fn a_code_is_read_in_its_own_table_and_never_guessed() {
        let playbook = minimal();
        assert_eq!(found(&playbook, &code("990001002", None)), "quay 3 -");
        assert_eq!(found(&playbook, &code("990001002", Some("old-2021"))), "market 3 -");
        assert_eq!(found(&playbook, &code("990001009", None)), "unknown", "known in the old table only");
        assert_eq!(found(&playbook, &code("990001002", Some("other-1999"))), "unknown");
        let not_assessed = playbook.areas.locate(&code("990002003", None));
        assert_eq!((not_assessed.spot, not_assessed.county), (Spot::Unknown, Some("990002".into())));
        let county = playbook.areas.locate(&code("990002", None));
        assert_eq!((county.spot, county.county), (Spot::Unknown, Some("990002".into())));
    }

    #[test]
    fn an_id_comes_first_and_keeps_a_near_point_only() {
        let playbook = minimal();
        let near = PlaceRef { id: Some("lotus-plaza".into()), ..at(112.601, 26.891) };
        assert_eq!(playbook.areas.locate(&near).position, Some((112.601, 26.891).into()));
        let far = PlaceRef { id: Some("lotus-plaza".into()), accuracy_m: Some(20.0), ..at(112.88, 26.92) };
        let place = playbook.areas.locate(&far);
        assert_eq!((place.position, place.accuracy_m), (Some(PLAZA.into()), None));
        assert_eq!(found(&playbook, &far), "quay 1 lotus-plaza");
        let area = PlaceRef { id: Some("ridge".into()), ..PlaceRef::default() };
        assert_eq!(found(&playbook, &area), "ridge rural -");
        let unheard_of = PlaceRef { id: Some("nowhere".into()), ..at(112.75, 26.90) };
        assert_eq!(found(&playbook, &unheard_of), "valley rural -");
    }

    #[test]
    fn a_point_less_accurate_than_its_area_tells_the_area_only() {
        let playbook = minimal();
        let vague = PlaceRef { accuracy_m: Some(5000.0), ..at(112.601, 26.891) };
        assert_eq!(found(&playbook, &vague), "quay 3 -");
        assert_eq!(
            playbook.areas.locate(&vague).position,
            Some(PLAZA.into()),
            "the centre, which is no claim of the site"
        );
    }

    #[test]
    fn the_grid_finds_what_looking_at_everything_finds() {
        let playbook = minimal();
        for i in 0..60 {
            for j in 0..40 {
                let point = Position { lon: 112.45 + f64::from(i) * 0.01, lat: 26.78 + f64::from(j) * 0.006 };
                // Where an area just ends, the plane and the sphere may differ by a thousandth.
                let ends = |a: &Area| (a.centre.distance_m(point) / a.reach_m - 1.0).abs() < 1e-3;
                if playbook.areas.areas.values().any(ends) {
                    continue;
                }
                let areas = playbook.areas.areas.values();
                let county = playbook.areas.counties.values().find(|c| point.is_within(&c.outline));
                let fits =
                    |a: &&Area| a.centre.distance_m(point) <= a.reach_m && county.is_none_or(|c| c.code == a.county);
                let away = |a: &&Area| a.centre.distance_m(point);
                let nearest = areas.filter(fits).min_by(|a, b| away(a).total_cmp(&away(b)));
                assert_eq!(playbook.areas.area_at(point).map(|a| &a.id), nearest.map(|a| &a.id), "{point:?}");
                let ring = playbook.areas.zones.iter().filter(|z| z.holds(point)).map(|z| z.ring).min();
                let place = playbook.areas.locate(&PlaceRef { position: Some(point), ..PlaceRef::default() });
                if place.spot == Spot::Known && place.site.is_none() {
                    assert_eq!(place.ring, ring.unwrap_or(Ring::Rural), "{point:?}");
                }
            }
        }
    }
}
