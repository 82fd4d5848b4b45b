//! Desks: they verify, find places, take notices, say what is under control, and close; and the volunteers they call answer.

use serde_json::{Value, json};

use super::{City, Deed};
use crate::model::{Millis, Position, Timestamp};
use crate::playbook::{Milestone, Plan};

impl City<'_> {
    pub(super) async fn desks_look(&mut self, now: Timestamp) -> anyhow::Result<()> {
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

    pub(super) async fn command(&mut self, incident: &str, verb: &'static str) -> anyhow::Result<()> {
        let mut command = json!({ "command": verb, "incident": incident, "reason": "rehearsal" });
        if verb == "correct_place" {
            let sites: Vec<Position> = self.playbook.areas.sites.values().map(|s| s.position).collect();
            let Some(at) = self.chance.one(&sites).copied() else { return Ok(()) };
            let at = at.offset_m(400.0, 250.0);
            command["place"] = json!({ "position": { "lon": at.lon, "lat": at.lat } });
        }
        self.say(&command).await.map(|_| ())
    }

    /// The first crew on the scene of a search: somebody will be found after a while, and a desk says so.
    pub(super) async fn looks_for_somebody(&mut self, now: Timestamp, id: &str) -> anyhow::Result<()> {
        let chapter = self.door.read(&format!("/v1/incidents/{id}")).await?;
        let plan = self.playbook.plans.get(chapter["plan"].as_str().unwrap_or_default());
        let is_search = |p: &Plan| !p.mediation && p.marks.iter().any(|m| m.milestone == Milestone::Controlled);
        if plan.is_some_and(|p| is_search(p)) && self.first_time(&format!("find {id}")) {
            let at = now + self.within(self.script.desks.find);
            self.plan(at, Deed::Command { incident: id.to_owned(), verb: "controlled" });
        }
        Ok(())
    }

    /// Says of what is finished that it is under control, and closes it a little later.
    pub(super) async fn control(&mut self, now: Timestamp, id: &str) -> anyhow::Result<()> {
        let chapter = self.door.read(&format!("/v1/incidents/{id}")).await?;
        if chapter["state"].as_str() == Some("handling") && !is_waited_for(&chapter) {
            self.say(&json!({ "command": "controlled", "incident": id })).await?;
        }
        let at = now + self.within(self.script.desks.close);
        self.plan(at, Deed::Close(id.to_owned()));
        Ok(())
    }

    /// Closes what is finished; what is not is looked at again later.
    pub(super) async fn close(&mut self, now: Timestamp, id: &str) -> anyhow::Result<()> {
        let chapter = self.door.read(&format!("/v1/incidents/{id}")).await?;
        let state = chapter["state"].as_str().unwrap_or_default();
        if matches!(state, "closed" | "cancelled" | "duplicate-of") {
            return Ok(());
        }
        if is_waited_for(&chapter) {
            self.plan(now + Millis::from_mins(5), Deed::Close(id.to_owned()));
            return Ok(());
        }
        if state == "handling" {
            self.say(&json!({ "command": "controlled", "incident": id })).await?;
        }
        let desks = &self.script.desks;
        let drill = chapter["drill"].as_bool() == Some(true);
        let disposition = if drill { &desks.disposition_of_drills } else { &desks.disposition };
        self.say(&json!({ "command": "close", "incident": id, "disposition": disposition })).await.map(|_| ())
    }
}

/// Whether somebody is still on an incident, or wanted there.
fn is_waited_for(chapter: &Value) -> bool {
    let busy = ["issued", "signed", "en-route", "on-scene", "first-report"];
    let live = |o: &Value| o["state"].as_str().is_some_and(|s| busy.contains(&s));
    let counts = |o: &Value| !matches!(o["role"].as_str(), Some("cover" | "all-call"));
    let sent = chapter["orders"].as_array().into_iter().flatten().any(|o| live(o) && counts(o));
    sent || chapter["waiting_for_a_post"].as_bool() == Some(true)
}
