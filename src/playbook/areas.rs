//! Areas: counties, townships in several code tables, the assessed areas, key sites and rings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::model::{AreaCode, AreaId, CommandArea, Position, Ring, RiskClass, SiteId};

/// A county-level division.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct County {
    /// Its code.
    pub code: AreaCode,
    /// Its name.
    pub name: SmolStr,
    /// Its outline, coarse; without one the nearest area decides.
    #[serde(default)]
    pub outline: Vec<Position>,
}

/// A row of a township code table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Township {
    /// Its code in this table.
    pub code: AreaCode,
    /// The table's vintage, such as `mca-2026`.
    pub vintage: SmolStr,
    /// Its name.
    pub name: SmolStr,
    /// Its county.
    pub county: AreaCode,
    /// The assessed area it is, if it is one.
    #[serde(default)]
    pub area: Option<AreaId>,
}

/// An assessed area: one of the city's own list (Hengyang: 188), naming no or one township of the table in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// Its id.
    pub id: AreaId,
    /// Its name.
    pub name: SmolStr,
    /// Its county.
    pub county: AreaCode,
    /// 1, 2 or 3.
    pub class: RiskClass,
    /// Its centre.
    pub centre: Position,
    /// A point farther than this from the centre is not in the area, in metres.
    #[serde(default = "default_reach")]
    pub reach_m: f64,
    /// So many idle posts should stay in it.
    #[serde(default)]
    pub min_cover: u16,
}

fn default_reach() -> f64 {
    15_000.0
}

/// A key site: ring 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Its id, which a report may name.
    pub id: SiteId,
    /// Its name.
    pub name: SmolStr,
    /// Its assessed area.
    pub area: AreaId,
    /// Its middle.
    pub position: Position,
    /// Its radius in metres.
    pub radius_m: f64,
}

/// A zone of a ring: a circle or an outline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// What people call it.
    pub name: SmolStr,
    /// Ring 3 or 5.
    pub ring: Ring,
    /// The middle of a circle.
    #[serde(default)]
    pub centre: Option<Position>,
    /// The radius of the circle in metres.
    #[serde(default)]
    pub radius_m: f64,
    /// Or an outline.
    #[serde(default)]
    pub outline: Vec<Position>,
}

/// A neighbouring command area, to which reports are forwarded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neighbour {
    /// Its key.
    pub command_area: CommandArea,
    /// Its name.
    pub name: SmolStr,
    /// Township codes that begin with one of these are its.
    #[serde(default)]
    pub codes: Vec<SmolStr>,
    /// Its outline, coarse.
    #[serde(default)]
    pub outline: Vec<Position>,
}

/// Everything about places, with its indexes. See `locate` for how a place is found.
#[derive(Clone, Debug, Default)]
pub struct Areas {
    /// By code.
    pub counties: BTreeMap<AreaCode, County>,
    /// By vintage and code.
    pub townships: BTreeMap<(SmolStr, AreaCode), Township>,
    /// By id.
    pub areas: BTreeMap<AreaId, Area>,
    /// By id.
    pub sites: BTreeMap<SiteId, Site>,
    /// In the order of the file; the fastest ring that holds the point wins.
    pub zones: Vec<Zone>,
    /// Other centres.
    pub neighbours: Vec<Neighbour>,
    /// The vintage a code without one is read in.
    pub default_vintage: SmolStr,
    /// The grid by which a point is looked up.
    pub(super) index: super::locate::Index,
}

impl Areas {
    /// Builds the grid; needed after every change of the lists.
    #[must_use]
    pub fn indexed(mut self) -> Self {
        self.index = super::locate::Index::of(&self);
        self
    }
}
