//! The log loses what it has acknowledged, as after an unclean election. No rule can mend that; what can be asked is that
//! whoever can know of it stops and says so, that nobody decides anew what was seen to be decided, and that an operator's
//! word lets it go on.

use std::sync::Arc;

use crate::city::{City, Event, SHARDS, say};
use crate::host::ToHost;
use crate::journal::Step;
use crate::journal::log::{Alarm, Malformed, Missing, Owner, Phase, Record, Restore, Stand, Want};

#[derive(Default)]
pub struct Loss {
    /// The steps that were accepted and are no more.
    steps: Vec<Arc<Step>>,
    /// When the newest of them was seen to have been emitted: its number, and when.
    seen: Vec<(u64, i64)>,
    /// From here on.
    from: u64,
    /// An operator has accepted it.
    accepted: bool,
    /// Only records that counted for nothing were lost, or claims: what stands is all that was ever accepted.
    harmless: bool,
}

impl City {
    pub fn lose(&mut self) {
        // A second loss comes when the first one is over for everybody.
        let over = |owner: &Owner| !matches!(owner.phase(), Phase::Held(_) | Phase::Restoring);
        let over = self.loss.is_none()
            || (!self.loss_is_unaccepted() && self.hosts.iter().filter_map(|host| host.owner.as_ref()).all(over));
        if self.peace || self.log.end() <= self.log.first() || !over {
            return;
        }
        let back = self.dice.between(1, 6).unsigned_abs();
        let from = self.log.end().saturating_sub(back).max(self.log.first());
        self.log.lose(from);
        let steps = self.truth.lose(from, &self.doors);
        say!(self, "LOSS: the log ends at {from} now, {} accepted steps are lost", steps.len());
        let seen = steps.iter().map(|step| step.number).filter(|number| self.outputs.has(*number));
        let seen = seen.map(|number| (number, self.now)).collect();
        let harmless = steps.is_empty();
        // Those of an earlier loss may still be under way.
        let before = self.loss.take().unwrap_or_default();
        let steps = before.steps.into_iter().chain(steps).collect();
        self.loss = Some(Loss { steps, seen, from, accepted: false, harmless });
        for host in 0..self.hosts.len() {
            self.hosts[host].shaken_by_loss(from);
            // Every client hears that another replica leads before anything else can come to it.
            self.tell(host, self.hosts[host].start, ToHost::Shaken);
        }
        self.after(1_000, Event::Operator);
    }

    pub fn was_lost(&self, step: &Arc<Step>) -> bool {
        self.loss.as_ref().is_some_and(|loss| loss.steps.iter().any(|lost| lost == step))
    }

    /// Effects of a lost step may arrive after the loss, too.
    pub fn note_lost_effects(&mut self, number: u64) {
        let now = self.now;
        if let Some(loss) = &mut self.loss
            && loss.steps.iter().any(|lost| lost.number == number)
        {
            loss.seen.push((number, now));
        }
    }

    /// Whoever claims when a lost step was seen to be emitted must know that the log is too short.
    pub fn check_loss(&mut self, record: &Arc<Record>, step: &Arc<Step>) {
        let Some(loss) = &self.loss else { return };
        let Some(claimed) = self.claims.get(&(record.owner.clone(), record.epoch)) else { return };
        let known = loss.seen.iter().any(|(number, at)| *number >= step.number && at < claimed);
        if known && !loss.accepted {
            self.fail(format!(
                "step {} is decided anew, though it was emitted before {} claimed",
                step.number, record.owner
            ));
        }
    }

    pub fn loss_is_unaccepted(&self) -> bool {
        self.loss.as_ref().is_some_and(|loss| !loss.accepted)
    }

    /// Whether who restores now has nothing left to know of a loss: there was none, nothing accepted was lost (then an earlier
    /// acceptance may rightly end a hold, it covers all that anybody knew of), it is accepted, or what could tell of it was
    /// trimmed away.
    pub fn loss_is_past(&self) -> bool {
        self.loss.as_ref().is_none_or(|loss| loss.accepted || loss.harmless || self.log.first() > loss.from)
    }

    pub fn loss_is_accepted(&mut self) {
        if let Some(loss) = &mut self.loss {
            loss.accepted = true;
        }
    }

    /// A person looks, and accepts if anybody is held.
    pub fn operator(&mut self) {
        self.after(1_500, Event::Operator);
        let held = self.hosts.iter().filter(|host| host.up).filter_map(|host| host.owner.as_ref());
        let lost = |phase: &Phase| matches!(phase, Phase::Held(alarm) if !matches!(alarm, Alarm::Skew(_)));
        if !held.clone().any(|owner| lost(owner.phase())) {
            return;
        }
        // The highest that anybody knows to have been given out.
        let mut beyond = Stand { step: self.outputs.newest(), ..self.truth.stand().clone() };
        for owner in held {
            let stand = owner.fold().stand();
            beyond.epoch = beyond.epoch.max(stand.epoch);
            beyond.at = beyond.at.max(stand.at);
            beyond.step = beyond.step.max(stand.step);
            match owner.phase() {
                Phase::Held(Alarm::Shrunk { known, .. } | Alarm::Replaced { known, .. }) => {
                    beyond.step = beyond.step.max(*known);
                }
                // Whoever wrote a claim knew of steps that nobody may have seen elsewhere.
                Phase::Held(Alarm::Missing(Missing::Lost { told, .. })) => beyond.step = beyond.step.max(*told),
                _ => {}
            }
        }
        // No claim that is under way can stand.
        beyond.epoch += 1_000;
        let fold = self.read_all(Restore::new(None, SHARDS)).or_else(|_| self.read_all(Restore::salvage(SHARDS)));
        let fold = fold.expect("a salvage always comes to something");
        let record = Record::acceptance(&fold, "operator", "the disk of two brokers was lost", beyond);
        say!(self, "an operator accepts the loss from {}", record.low.offset);
        self.land(Arc::new(record), (0, u32::MAX), 0, None);
    }

    fn read_all(&self, mut restore: Restore) -> Result<Box<crate::journal::log::Fold>, Alarm> {
        let mut want = restore.start();
        loop {
            let (ticket, from) = match want {
                Want::Read { ticket, from } => (ticket, from),
                Want::Done(done) => return done,
            };
            let (first, end) = (self.log.first(), self.log.end());
            for offset in from.max(first)..end {
                let entry = self.log.get(offset).expect("it is there");
                match &entry.record {
                    Some(record) => restore.record(ticket, offset, entry.appended, record),
                    None => restore.malformed(ticket, offset, entry.appended, Malformed::Foreign("by hand".to_owned())),
                }
            }
            want = restore.reached(ticket, first, end).expect("it is the reading under way");
        }
    }
}
