//! Crews: they hear their orders by reading them, act one step after the other, and hear it when an order is taken back.

use serde_json::{Value, json};

use super::{City, Deed};
use crate::model::{AreaId, Millis, Position, Timestamp};
use crate::rehearsal::door::event;

/// An order that a crew has heard of.
#[derive(Clone, Debug)]
pub(super) struct Task {
    incident: String,
    post: String,
    /// Where it leads.
    target: Position,
    /// What the order reckons for the way there.
    travel: Millis,
    /// It covers an area until it is called back.
    covers: bool,
    /// Its turn comes after what the crew has in hand.
    waits: bool,
    /// How far it is.
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The crew has not heard it.
    Unheard,
    /// The crew acts on it.
    Busy,
    /// Nobody acts on it any more.
    Over,
}

impl Task {
    fn is_busy(&self) -> bool {
        self.stage == Stage::Busy
    }
}

impl City<'_> {
    /// Each crew reads its new orders and decides what it will do. Who answered an all-call finds its order signed.
    pub(super) async fn crews_look(&mut self, now: Timestamp) -> anyhow::Result<()> {
        let mut new = self.door.list("/v1/orders?state=issued,signed").await?;
        new.retain(|o| o["id"].as_str().is_some_and(|id| !self.orders.contains_key(id)));
        new.sort_by_key(|o| o["id"].to_string());
        for order in &new {
            let target = self.target(order).await?;
            self.hear(now, order, target);
        }
        Ok(())
    }

    /// Where an order leads: the place of its incident, or the middle of the area it covers.
    async fn target(&self, order: &Value) -> anyhow::Result<Option<Position>> {
        if let Some(area) = order["covers"]["area"].as_str() {
            return Ok(self.playbook.areas.areas.get(&AreaId::from(area)).map(|a| a.centre));
        }
        let incident = order["incident"].as_str().unwrap_or_default();
        let chapter = self.door.read(&format!("/v1/incidents/{incident}")).await?;
        let at = &chapter["place"]["position"];
        Ok(at["lon"].as_f64().zip(at["lat"].as_f64()).map(|(lon, lat)| Position { lon, lat }))
    }

    fn hear(&mut self, now: Timestamp, order: &Value, target: Option<Position>) {
        let text = |name: &str| order[name].as_str().unwrap_or_default().to_owned();
        let (id, post) = (text("id"), text("post"));
        let weighed = &order["weighed"];
        let mut reasons = weighed["reasons"].as_array().into_iter().flatten();
        let waits = reasons.any(|r| r.as_str().is_some_and(|r| r.starts_with("queued behind")));
        let home = self.playbook.posts.get(post.as_str()).map(|p| p.base);
        let task = Task {
            incident: text("incident"),
            post,
            target: target.or(home).unwrap_or(Position { lon: 0.0, lat: 0.0 }),
            travel: Millis::from_secs(weighed["travel_s"].as_u64().unwrap_or(180)),
            covers: text("role") == "cover",
            waits,
            stage: Stage::Busy,
        };
        self.orders.insert(id.clone(), task.clone());
        let crews = self.script.crews.clone();
        if order["state"].as_str() == Some("signed") {
            return self.take_up(now, &id, &task);
        }
        if self.chance.percent(crews.unheard_percent) {
            self.orders.insert(id.clone(), Task { stage: Stage::Unheard, ..task });
            let at = now + self.within(self.script.desks.radio);
            return self.plan(at, Deed::Radio(id));
        }
        let act = if self.chance.percent(crews.declined_percent) { "declined" } else { "signed" };
        let at = now + self.within(crews.sign);
        self.plan(at, Deed::Act { order: id, act });
    }

    /// A desk calls a crew that has not heard its order, and signs for it with the words that came back.
    pub(super) async fn radio(&mut self, now: Timestamp, order: &str) -> anyhow::Result<()> {
        let command = json!({ "command": "sign_on_behalf", "order": order, "words": "收到 马上出发" });
        if self.say(&command).await?
            && let Some(task) = self.orders.get_mut(order)
        {
            task.stage = Stage::Busy;
            let task = task.clone();
            self.take_up(now, order, &task);
        }
        Ok(())
    }

    /// A crew takes the next step of an order, and plans the one after it.
    pub(super) async fn crew_acts(&mut self, now: Timestamp, order: &str, act: &'static str) -> anyhow::Result<()> {
        let Some(task) = self.orders.get(order).filter(|task| task.is_busy()).cloned() else { return Ok(()) };
        let data = json!({ "order": order, "post": task.post, "act": act });
        let done = self.tell("/v1/acts", "muster.act", &task.post, &data).await?;
        let crews = &self.script.crews;
        let (travel_percent, look_round, work) = (crews.travel_percent, crews.look_round, crews.work);
        let (next, after) = match act {
            // It was taken back, or refused by the crew itself.
            _ if !done || matches!(act, "declined" | "cleared") => {
                self.leave(now, order);
                return Ok(());
            }
            "signed" => {
                self.take_up(now, order, &task);
                return Ok(());
            }
            "en_route" => {
                let reckoned = if task.waits { self.fleet.needs(&task.post, task.target, now) } else { task.travel };
                let travel = reckoned.percent(self.chance.between(travel_percent[0], travel_percent[1]));
                self.fleet.goes(&task.post, task.target, now, now + travel);
                ("on_scene", travel)
            }
            // Until the order is taken back.
            "on_scene" if task.covers => return Ok(()),
            "on_scene" => {
                self.looks_for_somebody(now, &task.incident).await?;
                ("first_report", self.within(look_round))
            }
            _ => ("cleared", self.within(work)),
        };
        self.plan(now + after, Deed::Act { order: order.to_owned(), act: next });
        Ok(())
    }

    fn take_up(&mut self, now: Timestamp, order: &str, task: &Task) {
        let (sets_out, left) = self.fleet.takes_up(&task.post, order, task.waits);
        for former in left {
            self.leave(now, &former);
        }
        if sets_out {
            self.set_out(now, order);
        }
    }

    fn set_out(&mut self, now: Timestamp, order: &str) {
        let at = now + self.within(self.script.crews.set_out);
        self.plan(at, Deed::Act { order: order.to_owned(), act: "en_route" });
    }

    /// A crew is done with an order and goes on with its next one. When it was the last of its incident, a desk says a little
    /// later that it is under control.
    fn leave(&mut self, now: Timestamp, order: &str) {
        let Some(task) = self.orders.get_mut(order).filter(|task| task.is_busy()) else { return };
        task.stage = Stage::Over;
        let (post, incident) = (task.post.clone(), task.incident.clone());
        if let Some(next) = self.fleet.frees(&post, order, now) {
            self.set_out(now, &next);
        }
        if !self.orders.values().any(|task| task.is_busy() && !task.covers && task.incident == incident) {
            let at = now + self.within(self.script.desks.control);
            self.plan(at, Deed::Control(incident));
        }
    }

    /// Crews whose order is no longer among the live ones were called back.
    pub(super) async fn crews_hear_recalls(&mut self, now: Timestamp) -> anyhow::Result<()> {
        if !self.orders.values().any(Task::is_busy) {
            return Ok(());
        }
        let live = self.door.list("/v1/orders?state=live").await?;
        let live: std::collections::BTreeSet<&str> = live.iter().filter_map(|o| o["id"].as_str()).collect();
        let busy = self.orders.iter().filter(|(id, task)| task.is_busy() && !live.contains(id.as_str()));
        for order in busy.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.leave(now, &order);
        }
        Ok(())
    }

    /// The patrols' terminals say where they are, all in one batch.
    pub(super) async fn positions(&mut self, now: Timestamp) -> anyhow::Result<()> {
        let fixed_at = now.to_rfc3339();
        let of = |(post, at): (&crate::model::PostId, Position)| {
            let data = json!({ "post": post, "position": { "lon": at.lon, "lat": at.lat }, "fixed_at": fixed_at });
            event("muster.position", &format!("avl/{post}"), &fixed_at, &data)
        };
        let batch: Vec<Value> = self.fleet.patrols(now).into_iter().map(of).collect();
        self.told.positions += batch.len() as u64;
        self.door.send_batch("/v1/positions", batch).await?;
        Ok(())
    }
}
