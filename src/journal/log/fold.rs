//! The fold: what the accepted records of a log come to. It is the state of record of a shard: an owner keeps it beside
//! its running engine, a standby holds nothing else, and a restore makes it from the log.
//!
//! Each document is held with the offset of its newest version, so that the low-water mark is known at any time and the
//! documents that hold it down can be swept. A mark also says where the rule stood; that is remembered at every fourth
//! record, and the mark is the highest of these places at or below what is needed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use smol_str::SmolStr;

use super::record::{Low, OwnerName, Record, RecordBody};
use super::rule::{Stand, Verdict, Void};
use crate::engine::Document;
use crate::journal::Step;
use crate::model::Timestamp;

/// The rule's stand is remembered at every so many records.
const PLACES_EVERY: u64 = 4;

/// Why a record cannot be folded in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The log goes on elsewhere than where it was read to.
    #[error("record {expected} was expected and {found} came")]
    Gap {
        /// The next offset.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// A record of an epoch that nobody has claimed in what was read.
    #[error("record {offset} is of epoch {epoch}, which nobody claimed in what was read: records before it are lost")]
    Unclaimed {
        /// Where it stands.
        offset: u64,
        /// Its epoch.
        epoch: u64,
    },
    /// A record says otherwise than we where the rule stood: whoever wrote it, or we, had read a log that is no more.
    #[error(
        "record {offset} says that the rule stood otherwise before {low} than what was read there says: records are lost"
    )]
    Disagrees {
        /// Where it stands.
        offset: u64,
        /// What it speaks of.
        low: u64,
    },
    /// A record speaks of more than there is before it: whoever wrote it had read records that are not there now.
    #[error("record {offset} knows of step {told}, but only {step} stand before it: records are lost")]
    Lost {
        /// Where it stands.
        offset: u64,
        /// The last step that its writer knew of.
        told: u64,
        /// The last step that stands.
        step: u64,
    },
    /// An acceptance says that the state begins elsewhere than where reading began.
    #[error("an operator has accepted that records are lost; the state begins at offset {}", .0.offset)]
    Line(Low),
    /// The log belongs to another arrangement of shards.
    #[error(
        "the journal was written for {found} shards, this is one of {expected}; the number of partitions cannot change"
    )]
    Shards {
        /// As configured.
        expected: u32,
        /// As written.
        found: u32,
    },
}

/// What the accepted records come to.
#[derive(Clone, Debug)]
pub struct Fold {
    shards: u32,
    /// Where reading began.
    began: Low,
    /// The offset of the next record.
    next: u64,
    /// The last record that was read, and where: what stands there now can be held against it.
    last: Option<(u64, Seen)>,
    stand: Stand,
    /// The highest mark that an accepted record carries, of those that were read.
    carried: Option<Low>,
    /// An accepted record has said of some place what we say of it.
    confirmed: bool,
    documents: BTreeMap<SmolStr, Held>,
    /// The same by age.
    by_age: BTreeSet<(u64, SmolStr)>,
    bytes: usize,
    positions: BTreeMap<SmolStr, u64>,
    ahead: BTreeMap<SmolStr, BTreeSet<u64>>,
    /// The newest accepted step that carries positions stands there.
    carrier: Option<u64>,
    emitted: u64,
    unemitted: VecDeque<(u64, Arc<Step>)>,
    places: VecDeque<Low>,
    alive: Timestamp,
    /// A record was read that cannot be where it is unless records are lost, and no acceptance since.
    shaken: Option<Missing>,
    /// An operator has accepted a loss since the last step.
    loss_accepted: bool,
}

#[derive(Clone, Debug)]
struct Held {
    offset: u64,
    body: Arc<str>,
}

/// What tells a record from any other at its offset.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    appended: Timestamp,
    epoch: u64,
    owner: OwnerName,
    step: Option<u64>,
}

impl Seen {
    /// Something that is no record.
    fn foreign(appended: Timestamp) -> Self {
        Self { appended, epoch: 0, owner: OwnerName::default(), step: None }
    }

    fn of(appended: Timestamp, record: &Record) -> Self {
        let step = match &record.body {
            RecordBody::Step(step) => Some(step.number),
            _ => None,
        };
        Self { appended, epoch: record.epoch, owner: record.owner.clone(), step }
    }
}

impl Fold {
    /// A fold that begins to read at a mark.
    #[must_use]
    pub fn from(low: Low, shards: u32) -> Self {
        Self {
            shards,
            began: low.clone(),
            next: low.offset,
            last: None,
            stand: low.stand.clone(),
            carried: None,
            confirmed: false,
            documents: BTreeMap::new(),
            by_age: BTreeSet::new(),
            bytes: 0,
            positions: BTreeMap::new(),
            ahead: BTreeMap::new(),
            carrier: None,
            emitted: 0,
            unemitted: VecDeque::new(),
            places: VecDeque::from([low]),
            alive: Timestamp(0),
            shaken: None,
            loss_accepted: false,
        }
    }

    // In

    /// Folds in the next record, if it is accepted.
    ///
    /// # Errors
    /// When it is not the next one, or was written for another arrangement.
    pub fn read(&mut self, offset: u64, appended: Timestamp, record: &Record) -> Result<Verdict, Missing> {
        if offset != self.next {
            return Err(Missing::Gap { expected: self.next, found: offset });
        }
        if record.shards != self.shards {
            return Err(Missing::Shards { expected: self.shards, found: record.shards });
        }
        self.remember_place();
        let verdict = self.stand.judge(record);
        if verdict == Verdict::Unclaimed {
            return Err(Missing::Unclaimed { offset, epoch: record.epoch });
        }
        if verdict == Verdict::Accepted {
            if matches!(record.body, RecordBody::Acceptance { .. }) && !self.begins_at_line(&record.low) {
                return Err(Missing::Line(record.low.clone()));
            }
            self.compare(offset, record);
            self.stand.apply(record);
            self.apply(offset, record);
            self.alive = self.alive.max(appended);
        } else if verdict == Verdict::Void(Void::Unfounded) {
            self.shaken = Some(Missing::Lost { offset, told: record.after, step: self.stand.step });
        }
        self.last = Some((offset, Seen::of(appended, record)));
        self.next += 1;
        Ok(verdict)
    }

    /// What an accepted record says of the log before it must be what we read there. An acceptance says that it need not be.
    fn compare(&mut self, offset: u64, record: &Record) {
        let low = record.low.offset;
        if matches!(record.body, RecordBody::Acceptance { .. }) {
            self.shaken = None;
        } else if low > offset || self.confirms(&record.low) == Some(false) {
            self.shaken = Some(Missing::Disagrees { offset, low });
        }
    }

    /// Whether this record is what we read there, or `None` that it was none of ours; as far as we remember: only the
    /// last one is remembered.
    #[must_use]
    pub fn agrees(&self, offset: u64, appended: Timestamp, record: Option<&Record>) -> bool {
        let seen = || record.map_or(Seen::foreign(appended), |record| Seen::of(appended, record));
        self.last.as_ref().is_none_or(|(last, before)| *last != offset || *before == seen())
    }

    /// An operator who accepts a loss says where the state begins, and everybody begins there or above.
    fn begins_at_line(&self, line: &Low) -> bool {
        self.began.offset > line.offset || self.began == *line
    }

    /// Passes over something that is no record.
    ///
    /// # Errors
    /// When it is not the next one.
    pub fn skip(&mut self, offset: u64, appended: Timestamp) -> Result<(), Missing> {
        if offset != self.next {
            return Err(Missing::Gap { expected: self.next, found: offset });
        }
        self.remember_place();
        self.last = Some((offset, Seen::foreign(appended)));
        self.next += 1;
        Ok(())
    }

    /// Notes that the effects of all steps up to `number` have left the house.
    pub fn emitted(&mut self, number: u64) {
        self.emitted = self.emitted.max(number.min(self.stand.step));
        while self.unemitted.front().is_some_and(|(_, step)| step.number <= self.emitted) {
            self.unemitted.pop_front();
        }
    }

    fn apply(&mut self, offset: u64, record: &Record) {
        match record.body {
            RecordBody::Acceptance { .. } => self.loss_accepted = true,
            RecordBody::Step(_) => self.loss_accepted = false,
            RecordBody::Claim | RecordBody::Release => {}
        }
        self.carry(offset, record);
        for document in &record.swept {
            self.put(offset, document);
        }
        if let RecordBody::Step(step) = &record.body {
            for document in &step.documents {
                self.put(offset, document);
            }
            // A step that took nothing says nothing of positions; any other says all of them, read ahead or not.
            if !step.positions.is_empty() || !step.consumed.ahead.is_empty() {
                self.positions.clone_from(&step.positions);
                self.ahead.clone_from(&step.consumed.ahead);
                self.carrier = Some(offset);
            }
            self.unemitted.push_back((offset, Arc::clone(step)));
        }
        self.emitted(record.emitted);
    }

    /// What a restore may begin at. Marks of several owners need not rise, for each remembers other places; any that was
    /// accepted is as good as another. An acceptance draws a line: what was said before it may be of a log that is no
    /// more.
    fn carry(&mut self, offset: u64, record: &Record) {
        let line = matches!(record.body, RecordBody::Acceptance { .. });
        let confirmed = self.confirms(&record.low) == Some(true);
        self.confirmed = if line { self.began == record.low } else { self.confirmed || confirmed };
        if record.low.offset > offset {
            return;
        }
        if line || self.carried.as_ref().is_none_or(|carried| carried.offset < record.low.offset) {
            self.carried = Some(record.low.clone());
        }
    }

    /// Whether a mark says what we say of where the rule stood there; `None` where we do not remember.
    fn confirms(&self, low: &Low) -> Option<bool> {
        let place = self.places.binary_search_by_key(&low.offset, |place| place.offset).ok()?;
        Some(self.places[place].stand == low.stand)
    }

    fn put(&mut self, offset: u64, document: &Document) {
        if let Some(old) = self.documents.remove(&document.key) {
            self.by_age.remove(&(old.offset, document.key.clone()));
            self.bytes -= old.body.len();
        }
        let Some(body) = &document.body else { return };
        self.bytes += body.len();
        self.by_age.insert((offset, document.key.clone()));
        self.documents.insert(document.key.clone(), Held { offset, body: body.as_ref().into() });
    }

    fn remember_place(&mut self) {
        // Everybody remembers the same places, so that marks can be compared; and where one began.
        let due = self.next.is_multiple_of(PLACES_EVERY) && self.places.back().is_none_or(|p| p.offset < self.next);
        if due {
            self.places.push_back(Low { offset: self.next, stand: self.stand.clone() });
        }
        let carried = self.carried.as_ref().map_or(self.began.offset, |carried| carried.offset);
        let kept = self.needed().min(carried);
        while self.places.get(1).is_some_and(|place| place.offset <= kept) {
            self.places.pop_front();
        }
    }

    /// The lowest offset that a restore must read.
    fn needed(&self) -> u64 {
        let oldest = self.by_age.first().map(|(offset, _)| *offset);
        let unemitted = self.unemitted.front().map(|(offset, _)| *offset);
        [oldest, unemitted, self.carrier].into_iter().flatten().min().unwrap_or(self.next)
    }

    // Look

    /// The low-water mark: a restore that begins there misses nothing.
    ///
    /// # Panics
    /// Never: the place where reading began is remembered until a higher one takes its place.
    #[must_use]
    pub fn low(&self) -> Low {
        let needed = self.needed();
        let place = self.places.iter().rev().find(|place| place.offset <= needed);
        place.or(self.places.front()).cloned().expect("the first place is never given up without another")
    }

    /// The highest mark that an accepted record carries: below it the log may be trimmed, for a restore finds it, and it is
    /// what a hint should say.
    #[must_use]
    pub fn carried(&self) -> Option<&Low> {
        self.carried.as_ref()
    }

    /// Whether reading began where every log begins, or at or below a mark that an accepted record carries and that says what
    /// we say: else something may be missing, or we began at a mark of a log that is no more. Where nothing was
    /// accepted since, nobody has said that nothing is needed from before.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.began == Low::default() || self.confirmed
    }

    /// The offset of the last record that was read; from there on what stands can be held against what was read.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.last.as_ref().map(|(offset, _)| *offset)
    }

    /// The oldest documents that are not in `held_back`, for being written anew: at most `bytes_max` bytes, and only what
    /// has not been written within the last `age_min` records. At least one if any is so old.
    #[must_use]
    pub fn sweep(&self, bytes_max: usize, age_min: u64, held_back: &BTreeSet<SmolStr>) -> Vec<Document> {
        let mut bytes = 0;
        let old = self.by_age.iter().take_while(|(offset, _)| offset + age_min <= self.next);
        old.filter(|(_, key)| !held_back.contains(key))
            .map(|(_, key)| self.document(key))
            .take_while(|document| {
                let first = bytes == 0;
                bytes += document.body.as_ref().map_or(0, |body| body.len());
                first || bytes <= bytes_max
            })
            .collect()
    }

    fn document(&self, key: &SmolStr) -> Document {
        Document { key: key.clone(), body: self.documents.get(key).map(|held| held.body.as_ref().into()) }
    }

    /// The newest version of each live document.
    pub fn documents(&self) -> impl Iterator<Item = Document> + '_ {
        self.documents.keys().map(|key| self.document(key))
    }

    /// What was read and cannot be so unless records are lost, if anything: then nothing may be decided from this state, until
    /// an operator has accepted it.
    #[must_use]
    pub fn shaken(&self) -> Option<&Missing> {
        self.shaken.as_ref()
    }

    /// The highest step that anything which was read knew of, whether it stands or not.
    #[must_use]
    pub fn highest_told(&self) -> u64 {
        match self.shaken {
            Some(Missing::Lost { told, .. }) => self.stand.step.max(told),
            _ => self.stand.step,
        }
    }

    /// Whether an operator has accepted a loss since the last step.
    #[must_use]
    pub fn is_loss_accepted(&self) -> bool {
        self.loss_accepted
    }

    /// How many there are, and their bytes.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.documents.len(), self.bytes)
    }

    /// Where the rule stands.
    #[must_use]
    pub fn stand(&self) -> &Stand {
        &self.stand
    }

    /// The offset of the next record.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Shards of the whole.
    #[must_use]
    pub fn shards(&self) -> u32 {
        self.shards
    }

    /// Next offset of each input.
    #[must_use]
    pub fn positions(&self) -> &BTreeMap<SmolStr, u64> {
        &self.positions
    }

    /// Offsets of each input at or after its position that are decided already.
    #[must_use]
    pub fn ahead(&self) -> &BTreeMap<SmolStr, BTreeSet<u64>> {
        &self.ahead
    }

    /// The last step whose effects are known to have left the house.
    #[must_use]
    pub fn last_emitted(&self) -> u64 {
        self.emitted
    }

    /// How many accepted steps have effects that are not known to have left the house.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.unemitted.len()
    }

    /// Accepted steps whose effects are not known to have left the house, oldest first.
    pub fn unemitted(&self) -> impl Iterator<Item = &Arc<Step>> {
        self.unemitted.iter().map(|(_, step)| step)
    }

    /// The append time of the newest accepted record: somebody owned the shard then.
    #[must_use]
    pub fn alive(&self) -> Timestamp {
        self.alive
    }
}
