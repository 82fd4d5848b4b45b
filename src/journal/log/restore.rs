//! A restore: from the log, and perhaps a hint, to the fold. A machine without I/O, like the owner.
//!
//! It needs a mark to begin at, and tries, in this order: the hint, if the log still has what it points to; the beginning,
//! if the log still has it; else the lowest mark, of those that records carry, that the log still has. Every mark says the
//! truth, whoever wrote it, for it speaks of what its writer had read; so the lowest one can lack nothing that another
//! has. Only an acceptance draws a line: marks from before it may speak of a log that is no more.
//!
//! What came of it is handed out only when it is complete: when an accepted record says that nothing is needed from
//! before. A hint that leads elsewhere is dropped without a word, for it is a hint.

use super::fold::{Fold, Missing};
use super::owner::{Alarm, Token};
use super::record::{Low, Malformed, Record, RecordBody};
use super::rule::Stand;
use crate::model::Timestamp;

/// How often the log may be trimmed away under a restore, or an acceptance lead elsewhere, before it gives up.
const DETOURS_MAX: u32 = 16;

/// What whoever drives the restore shall do next.
#[derive(Clone, Debug)]
pub enum Want {
    /// Ask where the log begins and ends, read it from here (or from where it begins, if that is later) to that end, hand over
    /// each record, then call `reached`.
    Read {
        /// Which reading.
        ticket: Token,
        /// The first offset to be read.
        from: u64,
    },
    /// It is over.
    Done(Result<Box<Fold>, Alarm>),
}

/// The machine.
#[derive(Debug)]
pub struct Restore {
    shards: u32,
    ticket: Token,
    work: Work,
    detours: u32,
    /// What was in the way of the fold, if anything was.
    wrong: Option<Wrong>,
}

#[derive(Debug)]
enum Work {
    /// Folds from a mark.
    Fold { fold: Box<Fold>, from: From },
    /// Looks for the lowest mark at or above the first record that is still there.
    Scan(Marks),
    /// Makes what can be made of a log that has lost its beginning.
    Salvage(Option<Box<Fold>>),
}

#[derive(Debug, Default)]
struct Marks {
    begin: Option<u64>,
    lowest: Option<Low>,
    /// An acceptance said where to begin.
    line: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Hint,
    Beginning,
    Mark,
}

#[derive(Debug)]
enum Wrong {
    Missing(Missing),
    Newer(Malformed),
}

impl Restore {
    /// A restore that begins at a hint, if there is one and it leads anywhere.
    #[must_use]
    pub fn new(hint: Option<Low>, shards: u32) -> Self {
        let from = if hint.is_some() { From::Hint } else { From::Beginning };
        let fold = Box::new(Fold::from(hint.unwrap_or_default(), shards));
        Self { shards, ticket: 0, work: Work::Fold { fold, from }, detours: 0, wrong: None }
    }

    /// A restore of what is left of a log from which more is lost than can be mended: it begins at the first step from which
    /// the rule leads to the end. Only an [acceptance](RecordBody::Acceptance) may be made from it.
    #[must_use]
    pub fn salvage(shards: u32) -> Self {
        Self { work: Work::Salvage(None), ..Self::new(None, shards) }
    }

    /// What is to be read first.
    pub fn start(&mut self) -> Want {
        self.read()
    }

    // In

    /// The next record of the log, and when it was appended.
    pub fn record(&mut self, ticket: Token, offset: u64, appended: Timestamp, record: &Record) {
        if !self.listens(ticket, offset) {
            return;
        }
        match &mut self.work {
            Work::Fold { fold, .. } => self.wrong = fold.read(offset, appended, record).err().map(Wrong::Missing),
            Work::Scan(marks) => marks.note(offset, record),
            Work::Salvage(fold) => salvage(fold, self.shards, offset, appended, record),
        }
    }

    /// The next thing of the log, which is no record we can read.
    pub fn malformed(&mut self, ticket: Token, offset: u64, appended: Timestamp, why: Malformed) {
        if !self.listens(ticket, offset) {
            return;
        }
        match (&mut self.work, why) {
            (_, why @ Malformed::Newer(_)) => self.wrong = Some(Wrong::Newer(why)),
            (Work::Fold { fold, .. } | Work::Salvage(Some(fold)), _) => {
                self.wrong = fold.skip(offset, appended).err().map(Wrong::Missing);
            }
            (Work::Scan(marks), _) => _ = marks.begin.get_or_insert(offset),
            (Work::Salvage(None), _) => {}
        }
    }

    /// The reading came to `end`, which was the end of the log when it was asked; the log began at `first`. `None` when
    /// another reading is awaited.
    pub fn reached(&mut self, ticket: Token, first: u64, end: u64) -> Option<Want> {
        if ticket != self.ticket {
            return None;
        }
        let wrong = self.wrong.take();
        if let Some(Wrong::Newer(why)) = wrong {
            return Some(Want::Done(Err(Alarm::Newer(why))));
        }
        let none = || Box::new(Fold::from(Low { offset: end, ..Low::default() }, self.shards));
        Some(match &mut self.work {
            Work::Salvage(fold) => Want::Done(Ok(fold.take().unwrap_or_else(none))),
            Work::Scan(marks) => match marks.lowest.take() {
                Some(low) => self.fold_from(low, From::Mark),
                None => Want::Done(Err(Alarm::Trimmed { first })),
            },
            Work::Fold { fold, .. } if wrong.is_none() && (first..end).contains(&fold.next()) => self.read(),
            // Whoever takes over a shaken fold holds the shard; but it may be the hint that is of a log that is no more.
            Work::Fold { fold, from }
                if wrong.is_none()
                    && fold.next() == end
                    && fold.is_complete()
                    && (*from != From::Hint || fold.shaken().is_none()) =>
            {
                Want::Done(Ok(std::mem::replace(fold, none())))
            }
            Work::Fold { from, .. } => {
                let from = *from;
                self.next_way(from, wrong, first)
            }
        })
    }

    // Inside

    /// Whether what comes is to be looked at. Where the log does not begin at its beginning any more, that way is
    /// over before it began, and what comes is scanned for a mark.
    fn listens(&mut self, ticket: Token, offset: u64) -> bool {
        if ticket != self.ticket || self.wrong.is_some() {
            return false;
        }
        if matches!(&self.work, Work::Fold { fold, from: From::Beginning } if fold.next() == 0 && offset > 0) {
            self.work = Work::Scan(Marks::default());
        }
        true
    }

    /// One way did not lead to the end: the next one.
    fn next_way(&mut self, from: From, wrong: Option<Wrong>, first: u64) -> Want {
        let may = self.detours < DETOURS_MAX;
        self.detours += 1;
        match (from, wrong) {
            (_, Some(Wrong::Missing(missing @ Missing::Shards { .. }))) => Want::Done(Err(Alarm::Missing(missing))),
            (_, Some(Wrong::Missing(Missing::Line(low)))) if may => self.fold_from(low, From::Mark),
            (From::Hint, _) => self.fold_from(Low::default(), From::Beginning),
            // It was trimmed while it was read, or an acceptance may say where to begin.
            (From::Beginning, _) | (From::Mark, None | Some(Wrong::Missing(Missing::Gap { .. }))) if may => {
                self.work = Work::Scan(Marks::default());
                self.read()
            }
            (_, Some(Wrong::Missing(missing))) if !matches!(missing, Missing::Gap { .. }) => {
                Want::Done(Err(Alarm::Missing(missing)))
            }
            _ => Want::Done(Err(Alarm::Trimmed { first })),
        }
    }

    fn fold_from(&mut self, low: Low, from: From) -> Want {
        self.work = Work::Fold { fold: Box::new(Fold::from(low, self.shards)), from };
        self.read()
    }

    fn read(&mut self) -> Want {
        self.ticket += 1;
        let from = match &self.work {
            Work::Fold { fold, .. } => fold.next(),
            Work::Scan(_) | Work::Salvage(_) => 0,
        };
        Want::Read { ticket: self.ticket, from }
    }
}

impl Marks {
    /// Notes the lowest mark that is still there.
    fn note(&mut self, offset: u64, record: &Record) {
        if record.low.offset < *self.begin.get_or_insert(offset) {
            return;
        }
        let line = matches!(record.body, RecordBody::Acceptance { .. });
        let lower = self.lowest.as_ref().is_none_or(|low| record.low.offset < low.offset);
        if line || (lower && !self.line) {
            self.lowest = Some(record.low.clone());
            self.line |= line;
        }
    }
}

/// Folds what is left: where the rule does not lead on, from the next step on as if all before it were in order.
fn salvage(fold: &mut Option<Box<Fold>>, shards: u32, offset: u64, appended: Timestamp, record: &Record) {
    if fold.as_mut().is_some_and(|fold| fold.read(offset, appended, record).is_ok()) {
        return;
    }
    *fold = None;
    let RecordBody::Step(step) = &record.body else { return };
    let before = step.number.saturating_sub(1);
    let stand = Stand { epoch: record.epoch, owner: record.owner.clone(), step: before, at: step.at };
    let mut begun = Box::new(Fold::from(Low { offset, stand }, shards));
    if begun.read(offset, appended, record).is_ok() {
        *fold = Some(begun);
    }
}
