//! The day: a script and a seed become a list of reports, each with its instant and its CloudEvent.

use serde_json::{Value, json};

use super::chance::Chance;
use super::script::{Absence, Kind, Scene, Script, Where};
use crate::model::{Millis, Position, PostId, Status, Timestamp};
use crate::playbook::Playbook;

/// A report that will be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub source: String,
    /// Under which id.
    pub id: String,
    /// The CloudEvent.
    pub event: Value,
}

/// A post that drops out, or is back.
#[derive(Clone, Debug, PartialEq)]
pub struct Duty {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub post: PostId,
    /// `out_of_service` or `on_duty`.
    pub act: &'static str,
    /// Why.
    pub reason: String,
}

/// What will happen by itself on a day, in the order of its instants.
#[derive(Debug)]
pub struct Day {
    /// When it begins.
    pub start: Timestamp,
    /// When it ends.
    pub end: Timestamp,
    /// What is reported.
    pub reports: Vec<Sent>,
    /// Who drops out and is back.
    pub duties: Vec<Duty>,
}

struct Writer<'a> {
    playbook: &'a Playbook,
    chance: Chance,
    reports: Vec<Sent>,
}

impl Day {
    /// Writes the day.
    ///
    /// # Errors
    /// When the script names an instant or a place that is none.
    pub fn write(script: &Script, playbook: &Playbook, seed: u64, hours: Option<u32>) -> Result<Self, String> {
        let start = Timestamp::parse(&script.start).map_err(|e| format!("start: {e}"))?;
        let hours = hours.unwrap_or(script.hours);
        let end = start + Millis::from_mins(u64::from(hours) * 60);
        let mut writer = Writer { playbook, chance: Chance::new(seed), reports: Vec::new() };
        for hour in 0..hours {
            let count = script.per_hour[(hour % 24) as usize];
            for _ in 0..count {
                let at = start + Millis(u64::from(hour) * 3_600_000 + writer.chance.between(0, 3_599_999));
                writer.happening(&script.kinds, at);
            }
        }
        for scene in &script.scenes {
            let at = start
                + clock_time(&scene.at)
                    .ok_or_else(|| format!("scene `{}`: `{}` is no time of day", scene.name, scene.at))?;
            writer.scene(scene, at)?;
        }
        let mut reports = writer.reports;
        reports.retain(|r| r.at < end);
        reports.sort_by(|a, b| (a.at, &a.source, &a.id).cmp(&(b.at, &b.source, &b.id)));
        let mut duties = Vec::new();
        for absence in &script.absences {
            duties.extend(away(absence, playbook, start)?);
        }
        duties.retain(|d| d.at < end);
        duties.sort_by(|a, b| (a.at, &a.post).cmp(&(b.at, &b.post)));
        Ok(Self { start, end, reports, duties })
    }
}

impl Writer<'_> {
    fn happening(&mut self, kinds: &[Kind], at: Timestamp) {
        let mut left = self.chance.between(1, kinds.iter().map(|k| k.weight).sum());
        let chosen = kinds.iter().find(|k| {
            let found = left <= k.weight;
            left = left.saturating_sub(k.weight);
            found
        });
        let Some(kind) = chosen else { return };
        let place = self.place(kind.at);
        let callers = self.chance.between(kind.callers[0], kind.callers[1]);
        let mut at = at;
        for _ in 0..callers {
            // Each caller stands somewhere else and says it in other words.
            let seen = place.map(|p| self.chance.near(p, 40.0));
            let mut data = json!({ "text": self.chance.one(&kind.texts) });
            if let Some(code) = &kind.code {
                data["code"] = json!(code);
            }
            if !kind.attributes.is_empty() {
                data["attributes"] = json!(kind.attributes);
            }
            let source = self.source(&kind.sources);
            self.send(at, source, data, seen, Status::Actual);
            at = at + Millis(self.chance.between(4_000, 70_000));
        }
    }

    fn scene(&mut self, scene: &Scene, at: Timestamp) -> Result<(), String> {
        let unknown = || format!("scene `{}` names no place of this playbook", scene.name);
        let area = scene.area.as_ref().and_then(|id| self.playbook.areas.areas.get(id)).map(|a| a.centre);
        let site = scene.site.as_ref().and_then(|id| self.playbook.areas.sites.get(id)).map(|s| s.position);
        let middle = scene.position.or(site).or(area).ok_or_else(unknown)?;
        for (n, text) in (0..scene.count).zip(scene.texts.iter().cycle()) {
            let seen = self.chance.near(middle, scene.spread_m);
            let source = self.source(&scene.sources);
            self.send(at + Millis(n * scene.every.0), source, json!({ "text": text }), Some(seen), scene.status);
        }
        Ok(())
    }

    fn send(&mut self, at: Timestamp, source: String, mut data: Value, place: Option<Position>, status: Status) {
        if let Some(p) = place {
            let round = |x: f64| (x * 1e6).round() / 1e6;
            data["place"] = json!({ "position": { "lon": round(p.lon), "lat": round(p.lat), "accuracy_m": 30 } });
        }
        if status.is_drill() {
            data["status"] = json!(status);
        }
        let id = format!("r{}", self.reports.len() + 1);
        let event = json!({
            "specversion": "1.0", "type": "muster.report", "source": source, "id": id, "time": at.to_rfc3339(),
            "datacontenttype": "application/json", "data": data,
        });
        self.reports.push(Sent { at, source, id, event });
    }

    fn source(&mut self, of: &[String]) -> String {
        let Some(name) = self.chance.one(of).cloned() else { return String::new() };
        if name.ends_with('-') { format!("{name}{}", self.chance.between(1, 6)) } else { name }
    }

    /// Where something happens: more often where more posts are kept, that is, in town.
    fn place(&mut self, at: Where) -> Option<Position> {
        match at {
            Where::Nowhere => None,
            Where::Site => {
                let sites: Vec<Position> = self.playbook.areas.sites.values().map(|s| s.position).collect();
                self.chance.one(&sites).copied()
            }
            Where::Anywhere | Where::Town => {
                let all =
                    self.playbook.areas.areas.values().filter(|a| at == Where::Anywhere || u8::from(a.class) == 1);
                let areas: Vec<(Position, u16)> = all.map(|a| (a.centre, a.min_cover)).collect();
                let pull = |cover: u16| 1 + u64::from(cover) * 10;
                let mut left = self.chance.between(1, areas.iter().map(|(_, c)| pull(*c)).sum::<u64>().max(1));
                let (centre, _) = areas.iter().find(|(_, c)| {
                    let found = left <= pull(*c);
                    left = left.saturating_sub(pull(*c));
                    found
                })?;
                Some(self.chance.near(*centre, 1_200.0))
            }
        }
    }
}

/// When a post goes, and when it is back.
fn away(absence: &Absence, playbook: &Playbook, start: Timestamp) -> Result<[Duty; 2], String> {
    let Absence { post, from, until, reason } = absence;
    if !playbook.posts.contains_key(post) {
        return Err(format!("absence of `{post}`: this playbook has no such post"));
    }
    let at = |text: &str| clock_time(text).map(|span| start + span);
    let at = |text: &str| at(text).ok_or_else(|| format!("absence of `{post}`: `{text}` is no time of day"));
    let duty = |at, act| Duty { at, post: post.clone(), act, reason: reason.clone() };
    Ok([duty(at(from)?, "out_of_service"), duty(at(until)?, "on_duty")])
}

/// `10:12` as a span from midnight.
fn clock_time(text: &str) -> Option<Millis> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute): (u64, u64) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then(|| Millis::from_mins(hour * 60 + minute))
}
