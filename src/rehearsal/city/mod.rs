//! The city at work: reporters, crews and desks, each a deed on one agenda.

mod crews;
mod desks;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use self::crews::Task;
use super::Pace;
use super::chance::Chance;
use super::day::{Day, Duty};
use super::door::{Door, event};
use super::fleet::Fleet;
use super::script::{Script, Span};
use crate::model::{Millis, Timestamp};
use crate::playbook::Playbook;

/// How often the desks look round.
const DESK_LOOKS_EVERY: Millis = Millis::from_secs(10);

/// What somebody is going to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    /// A producer reports.
    Report(usize),
    /// A crew acts on an order.
    Act { order: String, act: &'static str },
    /// A crew drops out, or is back.
    Duty(usize),
    /// A desk calls a crew by radio.
    Radio(String),
    /// A called team answers.
    Answer { incident: String, team: String, coming: bool },
    /// The terminals of the patrols say where they are.
    Positions,
    /// A desk commands.
    Command { incident: String, verb: &'static str },
    /// A desk takes a notice.
    Take(String),
    /// A desk says that what is finished is under control.
    Control(String),
    /// A desk closes what is finished.
    Close(String),
    /// The desks look round.
    Look,
}

/// What became of the day, as the city itself counted it.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Reports sent.
    pub reports: u64,
    /// Reports the door refused.
    pub rejected: u64,
    /// Acts and commands that came too late or were not possible.
    pub refused: u64,
    /// Positions sent.
    pub positions: u64,
    /// Every report that was accepted, as `source` and `id`.
    pub accepted: Vec<(String, String)>,
}

/// The city.
pub struct City<'a> {
    script: &'a Script,
    playbook: &'a Playbook,
    day: Day,
    door: Door,
    chance: Chance,
    agenda: BTreeSet<(Timestamp, u64, Deed)>,
    drawn: u64,
    fleet: Fleet<'a>,
    /// Orders that a crew has heard of.
    orders: BTreeMap<String, Task>,
    /// What a desk has in hand already.
    in_hand: BTreeSet<String>,
    told: Told,
}

impl<'a> City<'a> {
    /// A city that lives this day.
    #[must_use]
    pub fn new(script: &'a Script, playbook: &'a Playbook, day: Day, door: Door, seed: u64) -> Self {
        let mut city = Self {
            script,
            playbook,
            fleet: Fleet::new(playbook, &script.crews, seed, day.start),
            day,
            door,
            chance: Chance::new(seed ^ 0x00C1_7E5E_ED00),
            agenda: BTreeSet::new(),
            drawn: 0,
            orders: BTreeMap::new(),
            in_hand: BTreeSet::new(),
            told: Told::default(),
        };
        for n in 0..city.day.reports.len() {
            city.plan(city.day.reports[n].at, Deed::Report(n));
        }
        for n in 0..city.day.duties.len() {
            city.plan(city.day.duties[n].at, Deed::Duty(n));
        }
        city.plan(city.day.start, Deed::Positions);
        city.plan(city.day.start, Deed::Look);
        city
    }

    /// Lives the day.
    ///
    /// # Errors
    /// When a door does not answer, or time cannot be moved.
    pub async fn live(mut self, pace: &mut impl Pace, mut progress: impl FnMut(Timestamp)) -> anyhow::Result<Told> {
        loop {
            let next = self.agenda.first().map_or(self.day.end, |(at, ..)| (*at).min(self.day.end));
            let (now, news) = pace.pass(next).await?;
            progress(now);
            if news {
                self.crews_look(now).await?;
            }
            while let Some((at, ..)) = self.agenda.first() {
                if *at > now || *at >= self.day.end {
                    break;
                }
                let Some((_, _, deed)) = self.agenda.pop_first() else { break };
                self.act(now, deed).await?;
            }
            if now >= self.day.end {
                return Ok(self.told);
            }
        }
    }

    fn plan(&mut self, at: Timestamp, deed: Deed) {
        self.drawn += 1;
        self.agenda.insert((at, self.drawn, deed));
    }

    fn within(&mut self, span: Span) -> Millis {
        Millis(self.chance.between(span[0].0, span[1].0))
    }

    async fn act(&mut self, now: Timestamp, deed: Deed) -> anyhow::Result<()> {
        match deed {
            Deed::Report(n) => self.report(n).await,
            Deed::Act { order, act } => self.crew_acts(now, &order, act).await,
            Deed::Duty(n) => self.duty(n).await,
            Deed::Radio(order) => self.radio(now, &order).await,
            Deed::Answer { incident, team, coming } => {
                let act = if coming { "signed" } else { "declined" };
                let data = json!({ "incident": incident, "post": team, "act": act });
                self.tell("/v1/acts", "muster.act", &team, &data).await.map(|_| ())
            }
            Deed::Positions => {
                self.crews_hear_recalls(now).await?;
                self.positions(now).await?;
                self.plan(now + self.script.crews.positions_every, Deed::Positions);
                Ok(())
            }
            Deed::Command { incident, verb } => self.command(&incident, verb).await,
            Deed::Take(notice) => self.say(&json!({ "command": "take_notice", "notice": notice })).await.map(|_| ()),
            Deed::Control(incident) => self.control(now, &incident).await,
            Deed::Close(incident) => self.close(now, &incident).await,
            Deed::Look => {
                self.desks_look(now).await?;
                self.plan(now + DESK_LOOKS_EVERY, Deed::Look);
                Ok(())
            }
        }
    }

    async fn report(&mut self, n: usize) -> anyhow::Result<()> {
        let sent = &self.day.reports[n];
        let reply = self.door.send("/v1/reports", &sent.event).await?;
        self.told.reports += 1;
        if reply.is_good() {
            self.told.accepted.push((sent.source.clone(), sent.id.clone()));
        } else {
            self.told.rejected += 1;
        }
        Ok(())
    }

    async fn duty(&mut self, n: usize) -> anyhow::Result<()> {
        let Duty { post, act, reason, .. } = self.day.duties[n].clone();
        let data = json!({ "post": post, "act": act, "reason": reason });
        self.tell("/v1/acts", "muster.act", post.as_str(), &data).await.map(|_| ())
    }

    /// Sends an act or a command; whether it was done.
    async fn tell(&mut self, path: &str, kind: &str, source: &str, data: &Value) -> anyhow::Result<bool> {
        self.drawn += 1;
        let id = format!("d{}", self.drawn);
        let reply = self.door.send(path, &event(kind, source, &id, data)).await?;
        self.told.refused += u64::from(!reply.is_good());
        Ok(reply.is_good())
    }

    /// A desk commands; whether it was done.
    async fn say(&mut self, command: &Value) -> anyhow::Result<bool> {
        let mut data = command.clone();
        data["by"] = json!("command/seat-1");
        self.tell("/v1/commands", "muster.command", "console/seat-1", &data).await
    }
}
