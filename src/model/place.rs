//! Where: positions on the earth, the place a producer names, and the place the playbook made of it.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{AreaCode, AreaId, CommandArea, Ring, RiskClass, SiteId};

/// A point in WGS-84 degrees. Longitude first, as in GeoJSON.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "(f64, f64)", into = "(f64, f64)")]
pub struct Position {
    /// Degrees east.
    pub lon: f64,
    /// Degrees north.
    pub lat: f64,
}

/// The system a producer's coordinates are in. Inside there is only WGS-84.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Crs {
    /// GPS.
    #[default]
    Wgs84,
    /// Chinese map data; 300–600 m away from WGS-84, more than a whole ring.
    Gcj02,
}

/// A place as a report names it: any part may be absent. Positions are already in WGS-84.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlaceRef {
    /// A place the playbook may know, such as a key site.
    pub id: Option<SmolStr>,
    /// A township's code.
    pub township: Option<AreaCode>,
    /// The vintage of the code table, such as `mca-2026`. The same code means other places in other vintages.
    pub vintage: Option<SmolStr>,
    /// The point.
    pub position: Option<Position>,
    /// The radius in metres within which the point is right.
    pub accuracy_m: Option<f64>,
}

/// A place as the playbook resolved it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Whether it is usable, unknown, or another centre's.
    pub spot: Spot,
    /// The assessed area it lies in.
    pub area: Option<AreaId>,
    /// The county it lies in.
    pub county: Option<AreaCode>,
    /// The point posts are sent to: the one reported, else that of the key site, else the area's centre.
    pub position: Option<Position>,
    /// The radius in metres within which the point is right.
    pub accuracy_m: Option<f64>,
    /// How fast it must be reached.
    pub ring: Ring,
    /// The risk class of the area.
    pub risk_class: Option<RiskClass>,
    /// The key site it is at.
    pub site: Option<SiteId>,
}

/// What a place is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spot {
    /// A post can be sent there.
    Known,
    /// No usable place was given: the incident waits for its `located` mark.
    Unknown,
    /// A known area of another command centre: forwarded, never rejected.
    Foreign(CommandArea),
}

impl From<(f64, f64)> for Position {
    fn from((lon, lat): (f64, f64)) -> Self {
        Self { lon, lat }
    }
}

impl From<Position> for (f64, f64) {
    fn from(p: Position) -> Self {
        (p.lon, p.lat)
    }
}

impl Position {
    /// Mean radius of the earth in metres (IUGG).
    const EARTH_M: f64 = 6_371_008.8;

    /// Whether both coordinates are numbers on the globe. The point 0°, 0° is what a device sends that has no fix.
    #[must_use]
    pub fn is_valid(self) -> bool {
        (-180.0..=180.0).contains(&self.lon)
            && (-90.0..=90.0).contains(&self.lat)
            && !(self.lon.abs() < 1e-6 && self.lat.abs() < 1e-6)
    }

    /// Great-circle distance in metres (haversine).
    #[must_use]
    pub fn distance_m(self, other: Self) -> f64 {
        let (a, b) = (self.lat.to_radians(), other.lat.to_radians());
        let half_lat = ((b - a) / 2.0).sin();
        let half_lon = ((other.lon - self.lon).to_radians() / 2.0).sin();
        let h = half_lat * half_lat + a.cos() * b.cos() * half_lon * half_lon;
        2.0 * Self::EARTH_M * h.sqrt().min(1.0).asin()
    }

    /// The point `east` and `north` metres away, good for distances of a city.
    #[must_use]
    pub fn offset_m(self, east: f64, north: f64) -> Self {
        let lat = self.lat + (north / Self::EARTH_M).to_degrees();
        let lon = self.lon + (east / (Self::EARTH_M * self.lat.to_radians().cos())).to_degrees();
        Self { lon, lat }
    }

    /// Whether the point lies within the closed ring of `outline` (even-odd rule).
    #[must_use]
    pub fn is_within(self, outline: &[Self]) -> bool {
        let mut inside = false;
        let mut before = match outline.last() {
            Some(last) => *last,
            None => return false,
        };
        for &corner in outline {
            if (corner.lat > self.lat) != (before.lat > self.lat) {
                let t = (self.lat - corner.lat) / (before.lat - corner.lat);
                if self.lon < corner.lon + t * (before.lon - corner.lon) {
                    inside = !inside;
                }
            }
            before = corner;
        }
        inside
    }

    /// Reads a GCJ-02 point as WGS-84, by iterating the published forward transform until it agrees within a
    /// centimetre. Outside China the two are the same.
    #[must_use]
    pub fn from_gcj02(gcj: Self) -> Self {
        let mut wgs = gcj;
        for _ in 0..6 {
            let back = wgs.to_gcj02();
            wgs = Self { lon: wgs.lon + gcj.lon - back.lon, lat: wgs.lat + gcj.lat - back.lat };
        }
        wgs
    }

    /// The forward transform WGS-84 → GCJ-02 (Krasovsky 1940 ellipsoid, as published in many open implementations).
    #[must_use]
    pub fn to_gcj02(self) -> Self {
        const A: f64 = 6_378_245.0;
        const EE: f64 = 0.006_693_421_622_965_943;
        if !(72.004..=137.8347).contains(&self.lon) || !(0.8293..=55.8271).contains(&self.lat) {
            return self;
        }
        let pi = std::f64::consts::PI;
        let (x, y) = (self.lon - 105.0, self.lat - 35.0);
        let wave = (20.0 * (6.0 * x * pi).sin() + 20.0 * (2.0 * x * pi).sin()) * 2.0 / 3.0;
        let d_lat = -100.0
            + 2.0 * x
            + 3.0 * y
            + 0.2 * y * y
            + 0.1 * x * y
            + 0.2 * x.abs().sqrt()
            + wave
            + (20.0 * (y * pi).sin() + 40.0 * (y / 3.0 * pi).sin()) * 2.0 / 3.0
            + (160.0 * (y / 12.0 * pi).sin() + 320.0 * (y * pi / 30.0).sin()) * 2.0 / 3.0;
        let d_lon = 300.0
            + x
            + 2.0 * y
            + 0.1 * x * x
            + 0.1 * x * y
            + 0.1 * x.abs().sqrt()
            + wave
            + (20.0 * (x * pi).sin() + 40.0 * (x / 3.0 * pi).sin()) * 2.0 / 3.0
            + (150.0 * (x / 12.0 * pi).sin() + 300.0 * (x / 30.0 * pi).sin()) * 2.0 / 3.0;
        let rad = self.lat.to_radians();
        let magic = 1.0 - EE * rad.sin() * rad.sin();
        Self {
            lat: self.lat + d_lat * 180.0 / (A * (1.0 - EE) / (magic * magic.sqrt()) * pi),
            lon: self.lon + d_lon * 180.0 / (A / magic.sqrt() * rad.cos() * pi),
        }
    }
}

impl Place {
    /// A place of which nothing is known, to be reached within the rural limit until it is located.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            spot: Spot::Unknown,
            area: None,
            county: None,
            position: None,
            accuracy_m: None,
            ring: Ring::Rural,
            risk_class: None,
            site: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_of_one_degree_north_is_111_km() {
        let (a, b) = (Position { lon: 112.6, lat: 26.0 }, Position { lon: 112.6, lat: 27.0 });
        assert!((a.distance_m(b) - 111_195.0).abs() < 10.0);
        let moved = a.offset_m(300.0, 400.0);
        assert!((a.distance_m(moved) - 500.0).abs() < 0.5);
    }

    #[test]
    fn gcj02_comes_back_within_a_centimetre_and_is_hundreds_of_metres_away() {
        let wgs = Position { lon: 112.60, lat: 26.89 };
        let gcj = wgs.to_gcj02();
        assert!((300.0..800.0).contains(&wgs.distance_m(gcj)), "{}", wgs.distance_m(gcj));
        assert!(Position::from_gcj02(gcj).distance_m(wgs) < 0.01);
        let abroad = Position { lon: -122.4, lat: 37.7 };
        assert_eq!(abroad.to_gcj02(), abroad);
    }

    #[test]
    fn no_fix_is_no_position() {
        assert!(!Position { lon: 0.0, lat: 0.0 }.is_valid());
        assert!(!Position { lon: f64::NAN, lat: 1.0 }.is_valid() && !Position { lon: 181.0, lat: 0.0 }.is_valid());
    }

    #[test]
    fn a_point_is_within_its_outline_only() {
        let square: Vec<Position> = [(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)].map(Position::from).to_vec();
        assert!(Position { lon: 1.0, lat: 1.0 }.is_within(&square));
        assert!(!Position { lon: 3.0, lat: 1.0 }.is_within(&square) && !Position { lon: 1.0, lat: 1.0 }.is_within(&[]));
    }
}
