//! The script of a day: a TOML file that says what may happen, how often, and how crews and desks behave.

use std::collections::BTreeMap;

use serde::Deserialize;
use smol_str::SmolStr;

use crate::model::{AreaId, Millis, Position, PostId, SiteId, Status};

/// A day that can be rehearsed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// When it begins, RFC 3339.
    pub start: String,
    /// How long it is.
    pub hours: u32,
    /// Happenings that begin in each hour of the local day.
    pub per_hour: [u32; 24],
    /// How crews act.
    pub crews: Crews,
    /// How desks act.
    pub desks: Desks,
    /// What happens by chance.
    #[serde(rename = "kind")]
    pub kinds: Vec<Kind>,
    /// What happens once.
    #[serde(rename = "scene", default)]
    pub scenes: Vec<Scene>,
    /// Posts that drop out for a while.
    #[serde(rename = "absence", default)]
    pub absences: Vec<Absence>,
}

/// From, to.
pub type Span = [Millis; 2];

/// How crews act on an order.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crews {
    /// From the order to its signature.
    pub sign: Span,
    /// From there until they set out.
    pub set_out: Span,
    /// Of the travel the order reckons.
    pub travel_percent: [u64; 2],
    /// How often the patrols' terminals say where they are.
    pub positions_every: Millis,
    /// A patrol's beat: so far around its base.
    pub beat_m: f64,
    /// How fast it drives along it.
    pub beat_kmh: f64,
    /// From arrival to the first report.
    pub look_round: Span,
    /// From there until they clear.
    pub work: Span,
    /// Orders the crew does not hear until it is called by radio.
    pub unheard_percent: u64,
    /// Orders that are refused.
    pub declined_percent: u64,
    /// Volunteer teams that come when called.
    pub volunteers_come_percent: u64,
}

/// How desks act.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Desks {
    /// Until a verification is answered.
    pub confirm: Span,
    /// Of which so many are refuted.
    pub refute_percent: u64,
    /// Until an unknown place is found.
    pub locate: Span,
    /// Until a crew that has not heard its order is called by radio.
    pub radio: Span,
    /// From the first crew on the scene until somebody who is missing is found.
    pub find: Span,
    /// Until a notice is taken.
    pub take: Span,
    /// From the last clearing until the incident is said to be under control.
    pub control: Span,
    /// From there until it is closed.
    pub close: Span,
    /// Until a mediation case is closed.
    pub mediate: Span,
    /// With which code an incident is closed.
    pub disposition: SmolStr,
    /// And a drill.
    pub disposition_of_drills: SmolStr,
}

/// Something that happens by chance.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// For people.
    pub name: SmolStr,
    /// How often, against the others.
    pub weight: u64,
    /// What is said, one of these.
    pub texts: Vec<String>,
    /// Who says it; a name that ends in `-` gets a number.
    pub sources: Vec<String>,
    /// How many callers: from, to.
    pub callers: [u64; 2],
    /// Where.
    #[serde(default)]
    pub at: Where,
    /// The producer's code.
    #[serde(default)]
    pub code: Option<SmolStr>,
    /// Readings.
    #[serde(default)]
    pub attributes: BTreeMap<SmolStr, f64>,
}

/// Where something happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Where {
    /// Near the centre of some area.
    #[default]
    Anywhere,
    /// Near the centre of an area of class 1: in town.
    Town,
    /// At a key site.
    Site,
    /// The caller cannot say.
    Nowhere,
}

/// Something that happens once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    /// For people.
    pub name: SmolStr,
    /// Local time, `10:12`.
    pub at: String,
    /// What is said, in turn.
    pub texts: Vec<String>,
    /// Who says it.
    pub sources: Vec<String>,
    /// How many reports.
    pub count: u64,
    /// One after the other, so far apart.
    pub every: Millis,
    /// So far from the place, at most.
    pub spread_m: f64,
    /// At this area's centre.
    #[serde(default)]
    pub area: Option<AreaId>,
    /// At this site.
    #[serde(default)]
    pub site: Option<SiteId>,
    /// At this point.
    #[serde(default)]
    pub position: Option<Position>,
    /// A drill?
    #[serde(default)]
    pub status: Status,
}

/// A post that drops out for a while.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absence {
    /// Who.
    pub post: PostId,
    /// Local time, `15:20`.
    pub from: String,
    /// Until when.
    pub until: String,
    /// Why, as the crew says it.
    pub reason: String,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// When it is no script, with the line.
    pub fn read(text: &str) -> Result<Self, String> {
        let script: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        if script.kinds.iter().all(|k| k.weight == 0) {
            return Err("no kind has a weight".to_owned());
        }
        let mute = script.kinds.iter().find(|k| k.texts.is_empty() || k.sources.is_empty()).map(|k| &k.name);
        let mute =
            mute.or_else(|| script.scenes.iter().find(|s| s.texts.is_empty() || s.sources.is_empty()).map(|s| &s.name));
        match mute {
            Some(name) => Err(format!("`{name}` needs at least one text and one source")),
            None => Ok(script),
        }
    }
}
