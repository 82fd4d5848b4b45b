//! Posts and teams as the roster names them, and what a plan asks of them.

use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{AreaId, Hours, Position, PostId, Role, TeamId};

/// The four kinds of post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// 立岗: a fixed point at a key site.
    Standing,
    /// 巡岗: moves on a beat.
    Patrol,
    /// 基地快处岗: a crew ready at a base.
    Base,
    /// 高峰岗: on duty only in its hours.
    Peak,
}

impl Kind {
    /// All four, in the rule book's order.
    pub const ALL: [Self; 4] = [Self::Standing, Self::Patrol, Self::Base, Self::Peak];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Standing => "standing",
            Self::Patrol => "patrol",
            Self::Base => "base",
            Self::Peak => "peak",
        })
    }
}

/// A post as the roster names it: what it is, not what it is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostSpec {
    /// Its call sign.
    pub id: PostId,
    /// Which of the four kinds.
    pub kind: Kind,
    /// What people call it.
    #[serde(default)]
    pub name: SmolStr,
    /// The assessed area it belongs to, whose cover it counts for.
    pub area: AreaId,
    /// Its base, fixed point or middle of its beat.
    pub base: Position,
    /// On duty when. Default round the clock.
    #[serde(default)]
    pub hours: Hours,
    /// How many people.
    #[serde(default = "one")]
    pub strength: u16,
    /// What it can do, such as `first-aid`.
    #[serde(default)]
    pub capabilities: Vec<SmolStr>,
    /// Standing posts: the radius in metres within which it holds a scene instead of covering.
    #[serde(default)]
    pub radius_m: Option<f64>,
}

fn one() -> u16 {
    1
}

/// A volunteer team.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// The assessed area it belongs to.
    pub area: AreaId,
    /// Where it musters.
    pub base: Position,
    /// How many people.
    pub strength: u16,
}

/// One line of a linkage table: so many posts of these kinds, in this role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// Any of these kinds will do; cheapest wins.
    pub kinds: Vec<Kind>,
    /// How many.
    #[serde(default = "one")]
    pub count: u16,
    /// In which role.
    pub role: Role,
    /// Each must have this capability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<SmolStr>,
    /// 1, 2 or 3: station and patrol, district, city.
    #[serde(default = "first_echelon")]
    pub echelon: u8,
}

impl Need {
    /// Whether it asks for the same as `other`, however many.
    #[must_use]
    pub fn asks_like(&self, other: &Self) -> bool {
        let kinds = self.kinds.len() == other.kinds.len() && self.kinds.iter().all(|kind| other.kinds.contains(kind));
        kinds && (self.role, self.echelon, &self.capability) == (other.role, other.echelon, &other.capability)
    }
}

fn first_echelon() -> u8 {
    1
}
