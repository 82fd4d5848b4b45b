//! The running state of a shard: its areas and its inbox, ahead of the log by the steps under way, and the batch that the next
//! step is cut from.

#![expect(clippy::disallowed_methods, reason = "a batch is bounded in real time")]

use std::time::{Duration, Instant};

use tracing::info;

use super::{ShardOptions, Watch};
use crate::engine::{Answer, Effect, Outage};
use crate::journal::{Consumed, Refused, Step, Taken};
use crate::kafka::areas::{Areas, Playbooks};
use crate::kafka::inbox::{Content, Door, Inbox, Message};
use crate::kafka::underway::Bounds;
use crate::model::{Body, Millis, Timestamp};
use crate::runtime::Clock;

/// The running state.
pub(super) struct Running {
    pub(super) areas: Areas,
    pub(super) inbox: Inbox,
    pub(super) at: Timestamp,
    pub(super) batch: Batch,
    pub(super) written: Instant,
    pub(super) seen: Timestamp,
    pub(super) excused: Timestamp,
    pub(super) swapped: bool,
    pub(super) more_due: bool,
    pub(super) opened: usize,
}

/// What one step has come to so far.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) effects: Vec<Effect>,
    pub(super) taken: Vec<Taken>,
    pub(super) refused: Vec<Refused>,
    pub(super) outage: Option<Outage>,
    pub(super) bytes: usize,
    /// Somebody waits for it, or it decided something.
    pub(super) matters: bool,
}

impl Running {
    pub(super) fn take_in(&mut self, door: Door, messages: Vec<Message>, next: u64) {
        for message in messages {
            match message.content {
                Content::Again(..) => self.inbox.put_again(message),
                _ if self.inbox.wants(door, message.offset) => self.inbox.put(message),
                _ => self.inbox.pass(door, message.offset + 1),
            }
        }
        self.inbox.pass(door, next);
    }

    /// Says that nobody was here, before anything that fell due meanwhile is fired.
    pub(super) fn outage(&mut self, outage: Outage) {
        self.excused = outage.to;
        self.areas.outage(self.at, outage, &mut self.batch.effects);
        self.batch.outage = Some(outage);
        self.batch.matters = true;
    }

    /// The time since we last looked, when something fell due in it so long ago that we were not there.
    pub(super) fn stalled(&self, now: Timestamp, least: Millis) -> Option<Outage> {
        let due = self.areas.next_due()?;
        let is_late = due <= now && now.since(due) >= least && due > self.excused && now.since(self.seen) >= least;
        is_late.then(|| Outage { from: self.seen.min(due), to: now })
    }

    /// Whether something is left to do, or due and not fired: another playbook comes after it.
    pub(super) fn owes(&self) -> bool {
        self.areas.next_due().is_some_and(|due| due <= self.at)
    }

    pub(super) fn swap(&mut self, playbooks: &Playbooks) {
        self.swapped = true;
        for area in self.areas.swap(self.at, playbooks, &mut self.batch.effects) {
            info!(%area, "kafka.playbook_swapped");
            self.batch.matters = true;
        }
    }

    /// Fires what is due and steps what waits, at most a batch.
    pub(super) fn step_batch(
        &mut self,
        options: &ShardOptions,
        bounds: Bounds,
        clock: &Clock,
        watch: &dyn Watch,
        shard: u32,
    ) {
        let over = Instant::now() + options.span_max;
        let mut lane = None;
        loop {
            let now = clock.now();
            self.at = self.at.max(self.inbox.until(self.at, now));
            if let Some(due) = self.areas.next_due().filter(|due| *due <= self.at) {
                watch.fired(shard, now.since(due));
            }
            self.more_due = !self.areas.advance(self.at, bounds.effects_max, &mut self.batch.effects);
            if self.more_due || self.batch.effects.len() >= bounds.effects_max {
                return;
            }
            let Some((message, of)) = self.inbox.pop(lane) else { return };
            lane = Some(of);
            self.step(message, watch, shard);
            let full = self.batch.taken.len() + self.batch.refused.len() >= bounds.inputs_max
                || self.batch.effects.len() >= bounds.effects_max
                || self.batch.bytes >= options.bytes_max;
            if full || Instant::now() >= over {
                return;
            }
        }
    }

    fn step(&mut self, message: Message, watch: &dyn Watch, shard: u32) {
        let Message { door, offset, received, bytes, wants_answer, content } = message;
        self.batch.bytes += bytes;
        let answer = match content {
            Content::Event(area, mut event, verdict) => {
                event.received = received.min(self.at);
                let is_position = matches!(event.body, Body::Position(_));
                let known = self.areas.step(&area, self.at, *event, verdict.map(|v| *v), &mut self.batch.effects);
                self.batch.matters |= !is_position;
                known.filter(|_| wants_answer && !is_position)
            }
            Content::Again(area, event) => {
                let mut unsaid = Vec::new();
                self.areas.step(&area, self.at, *event, None, &mut unsaid);
                return;
            }
            Content::Foreign(area, event) => {
                watch.forwarded(shard);
                self.batch.effects.push(Effect::Forward(area, event));
                self.batch.matters = true;
                wants_answer.then(|| Answer::applied(None))
            }
            Content::Refused(refused) => {
                self.batch.refused.push(refused);
                self.batch.matters = true;
                None
            }
        };
        self.batch.taken.push(Taken { door: door.as_str().into(), offset, at: self.at, answer });
        self.inbox.decided(door, offset);
    }

    /// Makes the batch a step, if there is anything to write.
    pub(super) fn cut(&mut self, number: u64, idle_write: Duration) -> Option<Step> {
        let documents = self.areas.take_changed();
        let batch = &self.batch;
        let matters = batch.matters || !documents.is_empty() || !batch.effects.is_empty();
        let rides = !batch.taken.is_empty() && self.written.elapsed() >= idle_write;
        if !matters && !rides {
            return None;
        }
        let Batch { effects, taken, refused, outage, .. } = std::mem::take(&mut self.batch);
        self.written = Instant::now();
        let consumed = Consumed { ahead: self.inbox.ahead(), outage, taken, refused };
        Some(Step { number, at: self.at, positions: self.inbox.positions(), documents, effects, consumed })
    }
}
