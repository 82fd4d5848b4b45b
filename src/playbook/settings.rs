//! Every number of the rule book that is not a table of its own: each with its name, default and unit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::model::{AreaId, CommandArea, Desk, Hours, Kind, Millis, PlanId, Position, Ring, SourceId};

/// `[playbook]`: who this is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The playbook's name, such as `hengyang`.
    pub name: SmolStr,
    /// What people call it.
    pub title: SmolStr,
    /// The author's version.
    pub version: SmolStr,
    /// The area this centre answers for.
    pub command_area: CommandArea,
    /// Of local dates, hours and weekdays: an IANA name.
    pub time_zone: SmolStr,
    /// Which ready-made set of marks is in force; every other set ships beside it.
    pub set: SmolStr,
    /// The plan for incidents at an unknown place, whose marks must hold one with milestone `located`.
    pub unknown_place_plan: PlanId,
    /// The vintage a township code without one is read in. Needed only where there are tables of several.
    #[serde(default)]
    pub vintage: Option<SmolStr>,
}

/// `[rings]`: how fast a place must be reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rings {
    /// Key sites.
    pub one: Millis,
    /// The central urban area.
    pub three: Millis,
    /// Other urban areas.
    pub five: Millis,
    /// Outside the rings.
    pub rural: Millis,
}

impl Default for Rings {
    fn default() -> Self {
        let [one, three, five, rural] = [1, 3, 5, 15].map(Millis::from_mins);
        Self { one, three, five, rural }
    }
}

impl Rings {
    /// The limit of a ring.
    #[must_use]
    pub fn limit(&self, ring: Ring) -> Millis {
        match ring {
            Ring::One => self.one,
            Ring::Three => self.three,
            Ring::Five => self.five,
            Ring::Rural => self.rural,
        }
    }
}

/// `[travel]`: how long a post needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Travel {
    /// Street speed by kind of post, km/h.
    pub speed_kmh: BTreeMap<Kind, f64>,
    /// Time from order to wheels turning, by kind.
    pub turnout: BTreeMap<Kind, Millis>,
    /// Streets are this much longer than the crow flies.
    pub detour: f64,
    /// Hours in which everybody is slower.
    pub rush: Vec<Rush>,
    /// Lines that are crossed only at their crossings, such as a river.
    pub barriers: Vec<Barrier>,
}

/// Slow hours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rush {
    /// When.
    pub hours: Hours,
    /// Travel time is multiplied by this.
    pub factor: f64,
}

/// A line that is crossed only at its crossings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Barrier {
    /// What people call it.
    pub name: SmolStr,
    /// The line.
    pub line: Vec<Position>,
    /// Bridges, ferries, tunnels.
    pub crossings: Vec<Position>,
}

impl Default for Travel {
    fn default() -> Self {
        Self {
            speed_kmh: Kind::ALL.into_iter().zip([6.0, 36.0, 36.0, 18.0]).collect(),
            turnout: Kind::ALL.into_iter().zip([0, 0, 45, 0].map(Millis::from_secs)).collect(),
            detour: 1.3,
            rush: Vec::new(),
            barriers: Vec::new(),
        }
    }
}

/// `[cost]`: what a pick costs beyond its travel, all in seconds of travel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cost {
    /// Taking a post from a task of severity I, II, III, IV.
    pub task_s: [f64; 4],
    /// How long a task of severity I, II, III, IV presumably still takes: what an order that waits behind it waits.
    pub task_remaining_s: [f64; 4],
    /// Each post by which the pick leaves its area under its minimum cover.
    pub cover_s: f64,
    /// Coming from another county.
    pub mutual_aid_s: f64,
    /// A standing post leaving its fixed point, beyond its radius.
    pub leave_site_s: f64,
    /// A post farther away than this is not asked, in metres.
    pub reach_m: f64,
    /// How many rejected posts are named with their reasons; the others are counted by reason.
    pub rejections_named: usize,
}

impl Default for Cost {
    fn default() -> Self {
        Self {
            task_s: [1200.0, 600.0, 300.0, 120.0],
            task_remaining_s: [3600.0, 2400.0, 1500.0, 900.0],
            cover_s: 90.0,
            mutual_aid_s: 60.0,
            leave_site_s: 240.0,
            reach_m: 40_000.0,
            rejections_named: 6,
        }
    }
}

/// `[limits]`: every bound of the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// A position older than this is not used.
    pub position_stale: Millis,
    /// Assignments waiting behind the active one of a post.
    pub queue_max: usize,
    /// How long the digests of events are known.
    pub repeats_known: Millis,
    /// A closed incident is kept in reach of late reports this long.
    pub closed_kept: Millis,
    /// A producer's clock may be ahead of ours by this much before it is a notice.
    pub clock_ahead: Millis,
    /// A producer's clock may be behind ours by this much before it is a notice.
    pub clock_behind: Millis,
    /// Orders of one incident, all rounds together.
    pub orders_per_incident: u32,
    /// Reports of one incident that keep a document of their own; further ones are counted.
    pub reports_per_incident: u32,
    /// Links of one incident to others that its document holds; further ones stand with the others alone.
    pub links_per_incident: usize,
    /// Reports that one split or merge moves.
    pub reports_moved: usize,
    /// Units that one all-call calls, the nearest ones.
    pub all_call_units: usize,
    /// Units an all-call calls in one step.
    pub all_call_per_step: usize,
    /// A mark that is missed again and again stops repeating after this many times; the notice goes on.
    pub mark_repeats: u32,
    /// The place of an incident without one must be found within this.
    pub located_within: Millis,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            position_stale: Millis::from_secs(60),
            queue_max: 2,
            repeats_known: Millis::from_mins(24 * 60),
            closed_kept: Millis::from_mins(24 * 60),
            clock_ahead: Millis::from_mins(2),
            clock_behind: Millis::from_mins(60),
            orders_per_incident: 64,
            reports_per_incident: 1_000,
            links_per_incident: 64,
            reports_moved: 20,
            all_call_units: 4_800,
            all_call_per_step: 200,
            mark_repeats: 20,
            located_within: Millis::from_secs(60),
        }
    }
}

/// `[folding]`: how a flood becomes one counted incident. One token bucket per source × family × county.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Folding {
    /// Tokens a bucket holds.
    pub burst: u32,
    /// One token comes back after this.
    pub refill: Millis,
    /// The flood incident takes no more reports after this long without one.
    pub quiet: Millis,
    /// Buckets kept; the one longest unused goes first.
    pub buckets_max: usize,
    /// The disposition with which the flood's incident closes by itself when it has been quiet.
    pub disposition: crate::model::DispositionCode,
}

impl Default for Folding {
    fn default() -> Self {
        Self {
            burst: 20,
            refill: Millis::from_secs(6),
            quiet: Millis::from_mins(10),
            buckets_max: 4096,
            disposition: "flood-over".into(),
        }
    }
}

/// `[[source]]`: what is known of producers, by prefix of their name; the longest prefix wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// A prefix of the event's `source`.
    pub prefix: SourceId,
    /// For metrics: `desk`, `button`, `panel`, `grid`, `app`, `camera`, `centre`.
    pub kind: SmolStr,
    /// A person judges each report: never folded.
    #[serde(default)]
    pub manned: bool,
    /// Its clock is trusted for marks.
    #[serde(default)]
    pub trusted_clock: bool,
    /// Where it stands, if it stands anywhere: trigger-at-once orders go there when a report has no place.
    #[serde(default)]
    pub position: Option<Position>,
    /// The assessed area it stands in.
    #[serde(default)]
    pub area: Option<AreaId>,
    /// More trigger-at-once reports than this a minute raise a suspect-source notice. They keep their orders.
    #[serde(default = "plausible")]
    pub at_once_per_minute: u32,
}

fn plausible() -> u32 {
    6
}

/// `[[disposition]]`: how an incident may end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disposition {
    /// Its code.
    pub code: crate::model::DispositionCode,
    /// Chinese name.
    pub zh: SmolStr,
    /// English name.
    pub en: SmolStr,
    /// The code a refuted incident is closed with when the operator names none. Exactly one.
    #[serde(default)]
    pub refuted: bool,
}

/// `[[agency]]`: an outside body that is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agency {
    /// Its id.
    pub id: crate::model::AgencyId,
    /// Chinese name.
    pub zh: SmolStr,
    /// English name.
    pub en: SmolStr,
    /// The desk that speaks with it.
    pub desk: Desk,
}
