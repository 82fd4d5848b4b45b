//! What the owner says is carried out: records are appended, the running state is begun and dropped, accepted steps leave.

#![expect(clippy::disallowed_methods, reason = "how long a take-over takes is told in real time")]

use std::sync::Arc;
use std::time::Instant;

use tracing::{error, info, warn};

use super::Shard;
use super::reading::Slice;
use super::running::{Batch, Running};
use crate::engine::Outage;
use crate::journal::Step;
use crate::journal::log::{Action, Record, RecordBody, Token};
use crate::kafka::areas::Areas;
use crate::kafka::inbox::{Door, Inbox};
use crate::kafka::partition::partition_of;
use crate::kafka::underway::TooLarge;
use crate::model::{CommandArea, Timestamp};

impl Shard {
    pub(super) fn carry_out(&mut self) {
        while let Some(action) = self.owner.poll() {
            match action {
                Action::Read { ticket, from } => self.reading = Some(Slice { ticket, next: from, bounds: None }),
                Action::Append { token, record } => self.append(token, &record),
                Action::Begin => self.begin(),
                Action::Accepted(step) => self.accepted(&step),
                Action::Drop(why) => {
                    warn!(shard = self.parts.shard, why = why.as_str(), "kafka.dropped: the state is made anew");
                    self.parts.watch.dropped(self.parts.shard, why.as_str());
                    self.stop_running();
                    self.writer.give_up();
                }
                Action::Hold(alarm) => {
                    error!(shard = self.parts.shard, %alarm, "kafka.held: nothing is decided here");
                    self.stop_running();
                }
                Action::Restore => self.restore(),
                Action::Released => {
                    info!(shard = self.parts.shard, "kafka.released");
                    self.say_head();
                    self.stop_running();
                    self.ended = self.stopping;
                }
            }
        }
    }

    fn append(&mut self, token: Token, record: &Arc<Record>) {
        let bytes = record.encode();
        self.underway.sent(token, record);
        self.parts.watch.wrote(self.parts.shard, bytes.len());
        if matches!(record.body, RecordBody::Step(_)) && bytes.len() > self.parts.options.record_bytes_max {
            self.too_large(token, bytes.len());
        } else {
            self.writer.append(token, &bytes);
        }
    }

    /// The journal does not take a record: the same again in smaller steps, or a person has to look.
    pub(super) fn too_large(&mut self, token: Token, bytes: usize) {
        let shard = self.parts.shard;
        match self.underway.too_large(token) {
            None => {}
            Some(TooLarge::Split(bounds)) => {
                warn!(
                    shard,
                    bytes,
                    inputs_max = bounds.inputs_max,
                    "kafka.step_too_large: the same again in smaller steps"
                );
                self.owner.disturbed();
            }
            Some(TooLarge::Alone(of)) => {
                error!(shard, bytes, of, "kafka.input_too_large: it cannot be split");
                self.owner.unfit(format!(
                    "{of} makes a record of {bytes} bytes, which the journal does not take; raise record_bytes_max \
                     in [kafka] and max.message.bytes of the journal's topic, then start this node again"
                ));
                // In any other phase than its own it is none of the owner's business any more.
                self.owner.disturbed();
            }
        }
    }

    fn stop_running(&mut self) {
        self.running = None;
        self.underway.clear();
        self.parts.trimmer.disowned(self.parts.shard);
        self.generation += 1;
        self.parts.inputs.close();
        self.parts.mailbox.shut(false);
    }

    pub(super) fn restore(&mut self) {
        self.owner.knows(self.parts.folds.known(self.parts.shard));
        let made = self.parts.folds.fold(self.parts.shard);
        self.restoring = made.is_err();
        match made {
            Ok(fold) => self.owner.restored(fold),
            Err(error) => {
                if self.unreadable.now().is_some() {
                    warn!(shard = self.parts.shard, error, "kafka.restore_failed: trying again");
                }
            }
        }
    }

    /// The shard is ours: the state from the fold, the inputs from its positions, what may not have left the house again.
    fn begin(&mut self) {
        let began = Instant::now();
        let (shard, shards) = (self.parts.shard, self.parts.shards);
        let mine = |area: &CommandArea| partition_of(area.as_str().as_bytes(), shards) == shard;
        let fold = self.owner.fold();
        let areas = match Areas::restore(&self.parts.playbooks, mine, fold.documents()) {
            Ok(areas) => areas,
            Err(why) => {
                self.owner.unfit(why.to_string());
                return;
            }
        };
        let inbox = Inbox::new(self.parts.options.inbox, fold.positions(), fold.ahead());
        let (at, alive, now) = (fold.stand().at, fold.alive(), self.parts.clock.now());
        let positions = Door::ALL.into_iter().filter_map(|d| Some((d, *fold.positions().get(d.as_str())?))).collect();
        let number = fold.stand().step;
        for step in fold.unemitted() {
            self.parts.emitter.emit(step, Vec::new());
        }
        let mut running = Running {
            areas,
            inbox,
            at,
            batch: Batch::default(),
            written: Instant::now(),
            seen: now,
            excused: Timestamp(0),
            swapped: false,
            more_due: false,
            opened: 0,
        };
        let due = running.areas.next_due().is_some_and(|due| due <= now);
        if number > 0 && (due || now.since(alive.max(at)) >= self.parts.options.outage_min) {
            running.outage(Outage { from: alive.max(at).min(now), to: now });
        }
        self.generation += 1;
        self.parts.inputs.open(self.generation, positions, at);
        self.running = Some(running);
        let (documents, bytes) = self.owner.fold().size();
        let took_ms = began.elapsed().as_millis();
        info!(
            shard,
            epoch = self.owner.fold().stand().epoch,
            step = number,
            documents,
            bytes,
            took_ms,
            "kafka.took_over"
        );
    }

    fn accepted(&mut self, step: &Arc<Step>) {
        let (spent, swept) = self.underway.accepted(step.number);
        self.head.due = true;
        self.heard = Instant::now();
        self.parts.emitter.emit(step, swept);
        self.parts.told.accepted(self.parts.shard, step);
        self.parts.watch.accepted(self.parts.shard, step, spent);
    }
}
