//! Hours: a post is on duty by its hours, and each instant at which they begin or end is a deadline.
//!
//! What has begun and ended is remembered in one place, the head: the instant and the post of the newest change that has
//! been fired. Changes fire by instant, then by post; so those after it, and only those, are still to come. An engine that
//! is restored in the middle of an instant at which hundreds of shifts change goes on with the next of them.

use super::deadline::Deadline;
use super::{Duty, Engine};
use crate::model::{Millis, PostId, Timestamp};

impl Engine {
    /// The roster changes, so other hours count from now on: everything before this instant has been fired.
    pub(super) fn hours_up_to_now(&mut self) {
        let now = (self.now, PostId::default());
        if self.head.hours.as_ref().is_none_or(|fired| *fired < now) {
            self.head.hours = Some(now);
        }
    }

    pub(super) fn arm_all_hours(&mut self) {
        let posts: Vec<PostId> = self.fleet.iter().map(|u| u.spec.id.clone()).collect();
        for post in posts {
            self.arm_hours(&post);
        }
    }

    /// Arms the instant at which a post's hours next begin or end.
    pub(super) fn arm_hours(&mut self, post: &PostId) {
        if let Some(at) = self.hours_change(post) {
            self.wheel.insert(at, Deadline::Hours(post.clone()));
        }
    }

    /// Its hours are about to be others, or it is about to go.
    pub(super) fn disarm_hours(&mut self, post: &PostId) {
        if let Some(at) = self.hours_change(post) {
            self.wheel.cancel(at, &Deadline::Hours(post.clone()));
        }
    }

    /// The first change of its hours after the newest one that has been fired.
    fn hours_change(&self, post: &PostId) -> Option<Timestamp> {
        let hours = &self.fleet.get(post)?.spec.hours;
        let (at, last) = self.head.hours.as_ref()?;
        let from = if post > last { *at - Millis(1) } else { *at };
        let minutes = hours.minutes_to_change(self.local(from).minute)?;
        Some(Timestamp((from.0.div_euclid(60_000) + i64::from(minutes)) * 60_000))
    }

    /// A post's hours began or ended; what it said itself about an earlier shift is over.
    pub(super) fn hours_changed(&mut self, due: Timestamp, post: &PostId) {
        self.head.hours = self.head.hours.take().max(Some((due, post.clone())));
        self.arm_hours(post);
        let local = self.local(self.now);
        let Some(unit) = self.fleet.get(post) else { return };
        let begins = unit.spec.hours.contains(local.minute);
        if matches!(unit.duty, Duty::On | Duty::Off) {
            self.set_duty(post, Duty::ByHours);
        }
        if begins {
            self.serve_queue(post);
        } else if self.fleet.get(post).is_some_and(|unit| !unit.is_on_duty(local)) {
            self.give_up_waiting(post);
        }
    }
}
