//! Where, in the words of a scenario.
//!
//! `at key-site lotus-plaza` · `at area <id>` · `at township 430408001 [vintage mca-2026]` · `at 112.60,26.89` ·
//! `at scene` · `at post P1` · `at 0.4km [north-east] [of <any of these>]` · `nowhere`.
//! A bare distance is counted from the scene, that is the place of the first report; a bearing left out is north.

use smol_str::SmolStr;

use super::line::Line;
use crate::model::{AreaCode, AreaId, PlaceRef, Position, PostId, SiteId};
use crate::playbook::Playbook;

/// A place as a scenario names it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Where {
    Nowhere,
    Scene,
    Site(SiteId),
    Area(AreaId),
    Township { code: AreaCode, vintage: Option<SmolStr> },
    Point(Position),
    Post(PostId),
    Off { metres: f64, bearing: f64, of: Box<Where> },
}

/// What places are resolved against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grounds<'a> {
    pub playbook: &'a Playbook,
    pub scene: Option<&'a Where>,
}

const BEARINGS: [(&str, f64); 8] = [
    ("north", 0.0),
    ("north-east", 45.0),
    ("east", 90.0),
    ("south-east", 135.0),
    ("south", 180.0),
    ("south-west", 225.0),
    ("west", 270.0),
    ("north-west", 315.0),
];

impl Where {
    /// Takes a place off the line, if one is named.
    pub fn take(line: &mut Line) -> Result<Option<Self>, String> {
        if line.takes("nowhere") {
            return Ok(Some(Self::Nowhere));
        }
        if line.takes("at") { Self::named(line).map(Some) } else { Ok(None) }
    }

    fn named(line: &mut Line) -> Result<Self, String> {
        let word = line.word("a place after `at`")?;
        Ok(match word.as_str() {
            "scene" => Self::Scene,
            "nowhere" => Self::Nowhere,
            "key-site" => Self::Site(line.word("a key site")?.into()),
            "area" => Self::Area(line.word("an area")?.into()),
            "post" => Self::Post(line.word("a post")?.into()),
            "township" => {
                let code = line.word("a township's code")?.into();
                let vintage = if line.takes("vintage") { Some(line.word("a vintage")?.into()) } else { None };
                Self::Township { code, vintage }
            }
            point if point.contains(',') => Self::Point(self::point(point)?),
            distance => {
                let metres = metres(distance)?;
                let bearing = line.peek().and_then(|w| BEARINGS.iter().find(|(name, _)| *name == w)).map(|b| b.1);
                if bearing.is_some() {
                    line.next();
                }
                let of = if line.takes("of") { Self::named(line)? } else { Self::Scene };
                Self::Off { metres, bearing: bearing.unwrap_or(0.0), of: Box::new(of) }
            }
        })
    }

    /// The point it stands for.
    pub fn position(&self, on: Grounds<'_>) -> Result<Position, String> {
        match self {
            Self::Nowhere => Err("nowhere has no position".to_owned()),
            Self::Scene => match on.scene {
                Some(scene) if *scene != Self::Scene => scene.position(on),
                _ => Err("there is no scene; name one with `scene: key-site …` or in a report".to_owned()),
            },
            Self::Site(id) => {
                let site = on.playbook.areas.sites.get(id).ok_or_else(|| format!("no key site `{id}`"))?;
                Ok(site.position)
            }
            Self::Area(id) => {
                let area = on.playbook.areas.areas.get(id).ok_or_else(|| format!("no area `{id}`"))?;
                Ok(area.centre)
            }
            Self::Township { code, vintage } => {
                let vintage = vintage.as_ref().unwrap_or(&on.playbook.areas.default_vintage);
                let known = on.playbook.areas.townships.get(&(vintage.clone(), code.clone()));
                let area = known.and_then(|t| t.area.clone()).ok_or_else(|| format!("no area for township {code}"))?;
                Self::Area(area).position(on)
            }
            Self::Point(position) => Ok(*position),
            Self::Post(id) => {
                let post = on.playbook.posts.get(id).ok_or_else(|| format!("no post `{id}` on the roster"))?;
                Ok(post.base)
            }
            Self::Off { metres, bearing, of } => {
                let (east, north) = bearing.to_radians().sin_cos();
                Ok(of.position(on)?.offset_m(metres * east, metres * north))
            }
        }
    }

    /// What a report that names this place carries.
    pub fn place_ref(&self, on: Grounds<'_>) -> Result<PlaceRef, String> {
        Ok(match self {
            Self::Nowhere => PlaceRef::default(),
            Self::Scene => match on.scene {
                Some(scene) if *scene != Self::Scene => scene.place_ref(on)?,
                _ => return self.position(on).map(|_| PlaceRef::default()),
            },
            // As a producer would name it, known or not: resolving is the playbook's business.
            Self::Site(id) => PlaceRef { id: Some(id.as_str().into()), ..PlaceRef::default() },
            Self::Township { code, vintage } => {
                PlaceRef { township: Some(code.clone()), vintage: vintage.clone(), ..PlaceRef::default() }
            }
            _ => PlaceRef { position: Some(self.position(on)?), ..PlaceRef::default() },
        })
    }

    /// The assessed area it belongs to: that of the site or area it is said from, else the one whose centre is nearest.
    pub fn area(&self, on: Grounds<'_>) -> Result<AreaId, String> {
        if let Self::Area(id) = self {
            return Ok(id.clone());
        }
        if let Self::Site(id) = self
            && let Some(site) = on.playbook.areas.sites.get(id)
        {
            return Ok(site.area.clone());
        }
        match self {
            Self::Off { of, .. } => return of.area(on),
            Self::Scene => {
                if let Some(scene) = on.scene.filter(|scene| **scene != Self::Scene) {
                    return scene.area(on);
                }
            }
            _ => {}
        }
        let here = self.position(on)?;
        let nearest = on.playbook.areas.areas.values().min_by(|a, b| {
            a.centre.distance_m(here).total_cmp(&b.centre.distance_m(here)).then_with(|| a.id.cmp(&b.id))
        });
        nearest.map(|area| area.id.clone()).ok_or_else(|| "the playbook has no areas".to_owned())
    }
}

/// `0.4km`, `250m`.
pub(super) fn metres(text: &str) -> Result<f64, String> {
    let wrong = || format!("`{text}` is no distance; write `0.4km` or `250m`");
    let (number, unit) = match text.strip_suffix("km") {
        Some(number) => (number, 1000.0),
        None => (text.strip_suffix('m').ok_or_else(wrong)?, 1.0),
    };
    let metres = number.parse::<f64>().map_err(|_| wrong())? * unit;
    if (0.0..=1_000_000.0).contains(&metres) { Ok(metres) } else { Err(wrong()) }
}

fn point(text: &str) -> Result<Position, String> {
    let (lon, lat) = text.split_once(',').unwrap_or_default();
    match (lon.parse(), lat.parse()) {
        (Ok(lon), Ok(lat)) => Ok(Position { lon, lat }),
        _ => Err(format!("`{text}` is no point; write longitude,latitude as in `112.60,26.89`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::line::split;

    fn taken(text: &str) -> Where {
        let mut line = split(text).unwrap().remove(0);
        let place = Where::take(&mut line).unwrap().unwrap();
        line.end().unwrap();
        place
    }

    #[test]
    fn places_read_as_they_are_said() {
        assert_eq!(taken("nowhere"), Where::Nowhere);
        assert_eq!(taken("at key-site lotus-plaza"), Where::Site("lotus-plaza".into()));
        let near = Where::Off { metres: 400.0, bearing: 0.0, of: Box::new(Where::Scene) };
        assert_eq!(taken("at 0.4km"), near);
        let east = Where::Off { metres: 200.0, bearing: 90.0, of: Box::new(Where::Site("x".into())) };
        assert_eq!(taken("at 200m east of key-site x"), east);
        assert_eq!(taken("at 112.6,26.9"), Where::Point(Position { lon: 112.6, lat: 26.9 }));
        assert!(metres("4 miles").is_err() && metres("-1km").is_err());
    }
}
