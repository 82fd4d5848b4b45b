//! How a host reads the log, for its owner and for a restore: it asks where the log begins and ends, is told after a while,
//! and takes what lies between in several deliveries, in which the log may change.

use crate::city::{City, Event, SHARDS, say};
use crate::host::ToHost;
use crate::journal::log::{Alarm, Fold, Low, Malformed, Restore, Token, Want};
use crate::mutations::Fault;

pub struct Reading {
    pub id: u64,
    pub whose: Whose,
    pub at: u64,
    pub first: u64,
    pub end: u64,
}

#[derive(Clone, Copy)]
pub enum Whose {
    Owner(Token),
    Restore(Token),
}

/// Records that one delivery brings at most.
const DELIVERY_MAX: u64 = 8;

impl City {
    // Reading

    pub fn read(&mut self, host: usize, whose: Whose, from: u64) {
        // A consumer may bring something yet of what it was told to let be.
        let kept = usize::from(self.dice.chance(300));
        let to = self.host(host);
        to.readings.drain(..to.readings.len().saturating_sub(kept));
        to.asked += 1;
        let id = to.asked;
        to.readings.push(Reading { id, whose, at: from, first: 0, end: 0 });
        if !self.dice.chance(self.weather.unread) {
            let (delay, start) = (self.delay(), self.hosts[host].start);
            self.after(delay, Event::Ask { to: (host, start), reading: id });
        } else if matches!(whose, Whose::Restore(_)) {
            // A restore is the host's own business, and asks again by itself.
            let (delay, start) = (self.delay() + 500, self.hosts[host].start);
            self.after(delay, Event::Ask { to: (host, start), reading: id });
        }
    }

    pub fn bounds(&mut self, host: usize, id: u64, first: u64, end: u64) {
        let Some(reading) = self.host(host).readings.iter_mut().find(|reading| reading.id == id) else { return };
        (reading.first, reading.end) = (first, end);
        reading.at = reading.at.max(first);
        let at = reading.at;
        say!(self, "{} reads from {at} to {end}", self.hosts[host].title());
        self.records(host, id);
    }

    pub fn records(&mut self, host: usize, id: u64) {
        let first = self.log.first();
        let Some(reading) = self.host(host).readings.iter_mut().find(|reading| reading.id == id) else { return };
        // What was trimmed away meanwhile is passed over, as a consumer does that is told to go to what there is.
        reading.at = reading.at.max(first);
        let (whose, from) = (reading.whose, reading.at);
        let to = reading.end.min(from + DELIVERY_MAX);
        let (first, end) = (reading.first, reading.end);
        reading.at = to.max(from);
        for offset in from..to {
            self.hand_over(host, whose, offset);
        }
        if to < end {
            let (delay, start) = (self.delay(), self.hosts[host].start);
            self.after(delay, Event::To(host, start, ToHost::Records { reading: id }));
        } else {
            self.read_through(host, whose, first, end);
        }
    }

    fn hand_over(&mut self, host: usize, whose: Whose, offset: u64) {
        let Some(entry) = self.log.get(offset) else { return };
        let (appended, record) = (entry.appended, entry.record.clone());
        let foreign = || Malformed::Foreign("somebody wrote it by hand".to_owned());
        let to = &mut self.hosts[host];
        match (whose, record) {
            (Whose::Owner(ticket), Some(record)) => {
                self.owner(host, |owner| owner.read(ticket, offset, appended, &record));
            }
            (Whose::Owner(ticket), None) => {
                self.owner(host, |owner| owner.malformed(ticket, offset, appended, foreign()));
            }
            (Whose::Restore(ticket), record) => {
                let Some(restore) = to.restore.as_mut() else { return };
                match record {
                    Some(record) => restore.record(ticket, offset, appended, &record),
                    None => restore.malformed(ticket, offset, appended, foreign()),
                }
            }
        }
    }

    fn read_through(&mut self, host: usize, whose: Whose, first: u64, end: u64) {
        let now = self.clock(host);
        match whose {
            Whose::Owner(ticket) => {
                let asked = self.plan.fault != Some(Fault::OutputsAreNotAsked);
                let newest = if asked { self.outputs.newest() } else { 0 };
                self.owner(host, |owner| {
                    owner.knows(newest);
                    owner.reached(ticket, first, end, now);
                });
            }
            Whose::Restore(ticket) => {
                let want = self.host(host).restore.as_mut().and_then(|restore| restore.reached(ticket, first, end));
                if let Some(want) = want {
                    self.want(host, want);
                }
            }
        }
    }

    // Restoring

    pub fn begin_restore(&mut self, host: usize) {
        self.seen.restores += 1;
        let hint = self.hint();
        say!(self, "{} restores from {:?}", self.hosts[host].title(), hint.as_ref().map(|low| low.offset));
        let mut restore = Restore::new(hint, SHARDS);
        let want = restore.start();
        self.host(host).restore = Some(restore);
        self.want(host, want);
    }

    /// None, the newest, or one of any age.
    fn hint(&mut self) -> Option<Low> {
        match self.dice.below(3) {
            0 => None,
            1 => self.hints.last().cloned(),
            _ => {
                let any = self.dice.below(self.hints.len());
                self.hints.get(any).cloned()
            }
        }
    }

    fn want(&mut self, host: usize, want: Want) {
        match want {
            Want::Read { ticket, from } => self.read(host, Whose::Restore(ticket), from),
            Want::Done(done) => {
                self.host(host).restore = None;
                self.restored(host, done.map(|fold| *fold));
            }
        }
    }

    fn restored(&mut self, host: usize, fold: Result<Fold, Alarm>) {
        say!(self, "{} has restored: {:?}", self.hosts[host].title(), fold.as_ref().map(Fold::next));
        if let Ok(fold) = &fold
            && self.loss_is_past()
        {
            self.hosts[host].shaken = false;
            self.hosts[host].warned = false;
            self.hosts[host].touched = false;
            let checked = self.truth.check_fold(fold);
            self.must(checked);
        }
        self.owner(host, |owner| owner.restored(fold));
        self.act(host);
    }

    /// A restore from this mark comes to the accepted state, if it says that it is complete.
    pub fn check_restore(&mut self, low: Low) -> Result<(), String> {
        if low.offset < self.log.first() {
            return Ok(());
        }
        let mut fold = Fold::from(low.clone(), SHARDS);
        for offset in low.offset..self.log.end() {
            let entry = self.log.get(offset).expect("it is there");
            let read = match &entry.record {
                Some(record) => fold.read(offset, entry.appended, record).map(|_| ()),
                None => fold.skip(offset, entry.appended),
            };
            read.map_err(|missing| format!("from the mark at {}: {missing}", low.offset))?;
        }
        if fold.is_complete() { self.truth.check_fold(&fold) } else { Ok(()) }
    }
}
