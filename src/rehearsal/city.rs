//! The city at work: reporters, crews and desks, each a deed on one agenda.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Pace;
use super::chance::Chance;
use super::day::Day;
use super::door::{Door, event};
use super::script::{Script, Span};
use crate::model::{Millis, Position, Timestamp};
use crate::playbook::Playbook;

/// How often the desks look round.
const DESK_LOOKS_EVERY: Millis = Millis::from_secs(10);

/// What somebody is going to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    /// A producer reports.
    Report(usize),
    /// A post acts on an order.
    Act { order: String, post: String, act: &'static str },
    /// A called team answers.
    Answer { incident: String, team: String, coming: bool },
    /// A desk commands.
    Command { incident: String, verb: &'static str },
    /// A desk takes a notice.
    Take(String),
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
    /// Orders that a crew has heard of, with their incident; `false` once it is done with it.
    orders: BTreeMap<String, (String, bool)>,
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
            Deed::Act { order, post, act } => {
                self.tell("/v1/acts", "muster.act", &post, &json!({ "order": order, "post": post, "act": act }))
                    .await?;
                if matches!(act, "cleared" | "declined") {
                    self.done(now, &order);
                }
                Ok(())
            }
            Deed::Answer { incident, team, coming } => {
                let act = if coming { "signed" } else { "declined" };
                let data = json!({ "incident": incident, "post": team, "act": act });
                self.tell("/v1/acts", "muster.act", &team, &data).await.map(|_| ())
            }
            Deed::Command { incident, verb } => self.command(&incident, verb).await,
            Deed::Take(notice) => self.say(&json!({ "command": "take_notice", "notice": notice })).await,
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

    /// Sends an act or a command; whether it was done.
    async fn tell(&mut self, path: &str, kind: &str, source: &str, data: &Value) -> anyhow::Result<bool> {
        self.drawn += 1;
        let id = format!("d{}", self.drawn);
        let reply = self.door.send(path, &event(kind, source, &id, data)).await?;
        self.told.refused += u64::from(!reply.is_good());
        Ok(reply.is_good())
    }

    async fn say(&mut self, command: &Value) -> anyhow::Result<()> {
        let mut data = command.clone();
        data["by"] = json!("command/seat-1");
        self.tell("/v1/commands", "muster.command", "console/seat-1", &data).await.map(|_| ())
    }

    // Crews

    /// Each crew reads its new orders and decides what it will do.
    async fn crews_look(&mut self, now: Timestamp) -> anyhow::Result<()> {
        let mut new = self.door.list("/v1/orders?state=issued").await?;
        new.retain(|o| o["id"].as_str().is_some_and(|id| !self.orders.contains_key(id)));
        new.sort_by_key(|o| o["id"].to_string());
        for order in &new {
            self.hear(now, order);
        }
        Ok(())
    }

    fn hear(&mut self, now: Timestamp, order: &Value) {
        let text = |name: &str| order[name].as_str().unwrap_or_default().to_owned();
        let (id, incident, post) = (text("id"), text("incident"), text("post"));
        self.orders.insert(id.clone(), (incident, true));
        let crews = self.script.crews.clone();
        if self.chance.percent(crews.unheard_percent) {
            self.finished(&id);
            return;
        }
        let act = |act| Deed::Act { order: id.clone(), post: post.clone(), act };
        let mut at = now + self.within(crews.sign);
        if self.chance.percent(crews.declined_percent) {
            return self.plan(at, act("declined"));
        }
        self.plan(at, act("signed"));
        at = at + self.within(crews.set_out);
        self.plan(at, act("en_route"));
        let travel = order["weighed"]["travel_s"].as_u64().unwrap_or(180) * 1000;
        let percent = self.chance.between(crews.travel_percent[0], crews.travel_percent[1]);
        at = at + Millis(travel).percent(percent);
        self.plan(at, act("on_scene"));
        if order["role"].as_str() == Some("cover") {
            return self.finished(&id);
        }
        at = at + self.within(crews.look_round);
        self.plan(at, act("first_report"));
        at = at + self.within(crews.work);
        self.plan(at, act("cleared"));
    }

    fn finished(&mut self, order: &str) {
        if let Some(known) = self.orders.get_mut(order) {
            known.1 = false;
        }
    }

    /// An order is done with; when it was the last of its incident, a desk closes that a little later.
    fn done(&mut self, now: Timestamp, order: &str) {
        self.finished(order);
        let Some((incident, _)) = self.orders.get(order).cloned() else { return };
        if !self.orders.values().any(|(of, busy)| *busy && *of == incident) {
            let at = now + self.within(self.script.desks.close);
            self.plan(at, Deed::Close(incident));
        }
    }

    // Desks

    async fn desks_look(&mut self, now: Timestamp) -> anyhow::Result<()> {
        let desks = self.script.desks.clone();
        for incident in self.door.list("/v1/incidents?state=received,verifying,dispatching,handling").await? {
            let id = incident["id"].as_str().unwrap_or_default().to_owned();
            let unknown = incident["place"]["spot"].as_str() == Some("unknown");
            let state = incident["state"].as_str().unwrap_or_default();
            let slow =
                self.playbook.plans.get(incident["plan"].as_str().unwrap_or_default()).is_some_and(|p| p.mediation);
            if state == "verifying" && self.first_time(&format!("verify {id}")) {
                let verb = if self.chance.percent(desks.refute_percent) { "refute" } else { "confirm" };
                let at = now + self.within(desks.confirm);
                self.plan(at, Deed::Command { incident: id.clone(), verb });
            }
            if unknown && self.first_time(&format!("locate {id}")) {
                let at = now + self.within(desks.locate);
                self.plan(at, Deed::Command { incident: id.clone(), verb: "correct_place" });
            }
            if slow && self.first_time(&format!("mediate {id}")) {
                let at = now + self.within(desks.mediate);
                self.plan(at, Deed::Close(id.clone()));
            }
            if incident["all_call"].as_bool() == Some(true) {
                self.volunteers_look(now, &id).await?;
            }
        }
        for notice in self.door.list("/v1/notices?waiting=true").await? {
            let id = notice["id"].as_str().unwrap_or_default().to_owned();
            if self.first_time(&format!("take {id}")) {
                let at = now + self.within(desks.take);
                self.plan(at, Deed::Take(id));
            }
        }
        Ok(())
    }

    fn first_time(&mut self, what: &str) -> bool {
        self.in_hand.insert(what.to_owned())
    }

    /// Teams that were called make up their minds.
    async fn volunteers_look(&mut self, now: Timestamp, id: &str) -> anyhow::Result<()> {
        let chapter = self.door.read(&format!("/v1/incidents/{id}")).await?;
        let call = &chapter["all_call"];
        if !call["ended"].is_null() {
            return Ok(());
        }
        let teams: Vec<String> = call["units"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|u| u["team"].as_str().or_else(|| u["post"].as_str()).map(ToOwned::to_owned))
            .collect();
        for team in teams {
            if self.first_time(&format!("call {id} {team}")) {
                let coming = self.chance.percent(self.script.crews.volunteers_come_percent);
                let at = now + Millis(self.chance.between(10_000, 400_000));
                self.plan(at, Deed::Answer { incident: id.to_owned(), team, coming });
            }
        }
        Ok(())
    }

    async fn command(&mut self, incident: &str, verb: &'static str) -> anyhow::Result<()> {
        let mut command = json!({ "command": verb, "incident": incident, "reason": "rehearsal" });
        if verb == "correct_place" {
            let sites: Vec<Position> = self.playbook.areas.sites.values().map(|s| s.position).collect();
            let Some(at) = self.chance.one(&sites).copied() else { return Ok(()) };
            let at = at.offset_m(400.0, 250.0);
            command["place"] = json!({ "position": { "lon": at.lon, "lat": at.lat } });
        }
        self.say(&command).await
    }

    /// Closes what is finished; what is not is looked at again later.
    async fn close(&mut self, now: Timestamp, id: &str) -> anyhow::Result<()> {
        let chapter = self.door.read(&format!("/v1/incidents/{id}")).await?;
        let state = chapter["state"].as_str().unwrap_or_default();
        if matches!(state, "closed" | "cancelled" | "duplicate-of") {
            return Ok(());
        }
        let busy = ["issued", "signed", "en-route", "on-scene", "first-report"];
        let live =
            |o: &&Value| o["role"].as_str() != Some("cover") && o["state"].as_str().is_some_and(|s| busy.contains(&s));
        let waiting = chapter["orders"].as_array().into_iter().flatten().any(|o| live(&o));
        if waiting || chapter["waiting_for_a_post"].as_bool() == Some(true) {
            self.plan(now + Millis::from_mins(5), Deed::Close(id.to_owned()));
            return Ok(());
        }
        if state == "handling" {
            self.say(&json!({ "command": "controlled", "incident": id })).await?;
        }
        let disposition = self.script.desks.disposition.clone();
        self.say(&json!({ "command": "close", "incident": id, "disposition": disposition })).await
    }
}
