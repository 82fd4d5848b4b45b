//! The roster: who is on it, and what becomes of the orders of a post that can serve them no more.
//!
//! Each such order is taken back and served anew at once, one after the other; a post that leaves the roster leaves it
//! with its last order. Posts that a new playbook does not know are off the roster at once, since nobody may ask them
//! any more; their orders are found by their documents, which hold them until they are taken back. So it is after a restart
//! under another playbook, too.

use std::sync::Arc;

use super::agenda::Todo;
use super::dispatch::Cause;
use super::state::PostRecord;
use super::{Answer, Duty, Engine, Refusal, RosterChange};
use crate::model::{OrderId, OrderState, PostId, Recall};
use crate::playbook::Playbook;

impl Engine {
    /// A change of the roster.
    pub(super) fn roster(&mut self, change: RosterChange) -> Answer {
        match change {
            RosterChange::Post(spec) => {
                let post = spec.id.clone();
                self.disarm_hours(&post);
                self.hours_up_to_now();
                self.windows_up_to_now();
                self.fleet.put((*spec).clone());
                let record = self.post_record(&post);
                (record.spec, record.gone) = (Some(*spec), false);
                self.arm_hours(&post);
                self.serve_queue(&post);
            }
            RosterChange::Gone(post) => {
                // First nobody may ask it any more.
                self.set_duty(&post, Duty::OutOfService("off the roster".into()));
                self.lose(&post, true);
            }
        }
        Answer::applied(None)
    }

    /// A post can serve none of its orders any more: each is taken back and served anew at once.
    pub(super) fn lose(&mut self, post: &PostId, leaves: bool) {
        loop {
            let first = self.fleet.get(post).and_then(|unit| unit.tasks.first()).map(|task| task.order.clone());
            let Some(order) = first else { break };
            if self.enough() {
                return self.leave(Todo::Lose { post: post.clone(), leaves });
            }
            self.serve_elsewhere(&order);
        }
        if leaves {
            self.disarm_hours(post);
            self.fleet.remove(post);
            let record = self.post_record(post);
            (record.spec, record.gone, record.duty) = (None, true, Duty::default());
        }
    }

    /// A shift that ends on an assignment ends after clearing that one: what waits behind it goes to others at once.
    pub(super) fn give_up_waiting(&mut self, post: &PostId) {
        let tasks = self.fleet.get(post).map(|unit| unit.tasks.as_slice()).unwrap_or_default();
        let waiting = tasks.iter().skip(1).filter(|task| task.state < OrderState::EnRoute);
        let waiting: Vec<OrderId> = waiting.map(|task| task.order.clone()).collect();
        for order in waiting {
            if self.enough() {
                return self.leave(Todo::GiveUp(post.clone()));
            }
            self.serve_elsewhere(&order);
        }
    }

    /// The post of an order cannot serve it: it is taken back, and the next post is asked.
    fn serve_elsewhere(&mut self, order: &OrderId) {
        self.recall(order, Recall::OutOfService);
        self.replace_or_say(order, Cause::Lost(Recall::OutOfService));
    }

    /// Another playbook: rules, places and roster are its from now on; incidents keep their plans.
    pub(super) fn swap_playbook(&mut self, playbook: Arc<Playbook>) -> Answer {
        if playbook.head.command_area != self.playbook.head.command_area {
            let detail = format!(
                "the playbook is for {}, this is {}",
                playbook.head.command_area, self.playbook.head.command_area
            );
            return Answer::Refused(Refusal::new(
                "other-command-area",
                Some("playbook"),
                detail,
                Some("load it at its own centre"),
            ));
        }
        self.head.playbook = playbook.hash.clone();
        self.hours_up_to_now();
        self.touch(super::Key::Head);
        let before: Vec<PostId> = self.fleet.iter().map(|u| u.spec.id.clone()).collect();
        self.playbook = playbook;
        let own = |record: Option<&PostRecord>| record.is_some_and(|r| r.spec.is_some());
        for post in before {
            if !self.playbook.posts.contains_key(&post) && !own(self.posts.get(&post)) {
                self.fleet.remove(&post);
            }
        }
        let posts: Vec<_> = self.playbook.posts.values().cloned().collect();
        for spec in posts {
            let id = spec.id.clone();
            if !self.posts.get(&id).is_some_and(|r| r.gone || r.spec.is_some()) {
                let duty = self.posts.get(&id).map(|record| record.duty.clone()).unwrap_or_default();
                self.fleet.put(spec);
                self.fleet.set_duty(&id, duty);
            }
        }
        // Hours, spans and quiet times are the new playbook's: what the old one had armed by them is armed anew.
        self.arm_all();
        self.match_windows();
        self.then(Todo::Sweep);
        Answer::applied(None)
    }

    /// Takes back, and serves anew, the orders of posts that are on no roster any more.
    pub(super) fn sweep(&mut self) {
        while let Some(order) = self.order_of_the_gone() {
            if self.enough() {
                return self.leave(Todo::Sweep);
            }
            self.serve_elsewhere(&order);
        }
    }

    /// After a restore: the playbook may be another one than before, or the last sweep was not done.
    pub(super) fn look_for_the_gone(&mut self) {
        let sweeps = self.left().any(|todo| *todo == Todo::Sweep);
        if !sweeps && self.order_of_the_gone().is_some() {
            self.put_in_front(Todo::Sweep);
        }
    }

    fn order_of_the_gone(&self) -> Option<OrderId> {
        let held = self.posts.iter().find(|(post, record)| !record.orders.is_empty() && self.fleet.get(post).is_none());
        held.map(|(_, record)| record.orders[0].clone())
    }
}
