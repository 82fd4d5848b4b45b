//! What must hold, told independently of the code under test: the rule once more, in its own words, and from it the one
//! history that counts. Everything that anybody writes, accepts, emits or holds is held against it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use crate::journal::Step;
use crate::journal::log::{Fold, Low, OwnerName, Record, RecordBody, Stand};
use crate::toy::{Arrived, DOORS, RECALLED, Toy, told};

/// The history that counts, record by record as they land.
#[derive(Default)]
pub struct Truth {
    records: Vec<Option<Arc<Record>>>,
    /// Where the rule stood before each record; the last entry is where it stands now.
    stands: Vec<Stand>,
    /// What all accepted records before each record came to.
    digests: Vec<u64>,
    /// The offset of the newest version of each document.
    written: BTreeMap<SmolStr, u64>,
    /// The decider fed with what was accepted.
    toy: Toy,
    /// The accepted steps and where they stand.
    steps: BTreeMap<u64, (u64, Arc<Step>)>,
    carrier: Option<u64>,
    /// Where the state begins: steps from before have been given up with an acceptance, and nobody emits them any more.
    begins: u64,
    /// Steps that stood when an acceptance was written, from where it said that the state begins; most of them stand again.
    given_up: Vec<Arc<Step>>,
    /// The last acceptance stands before this.
    line: u64,
    /// Records were lost, and nobody has accepted that: a mark may speak of what is no more.
    shaken: bool,
    pub void: u64,
    pub claims: u64,
    pub releases: u64,
}

impl Truth {
    pub fn new() -> Self {
        let mut truth = Self { stands: vec![Stand::default()], ..Self::default() };
        truth.digests.push(truth.digest(&Stand::default()));
        truth
    }

    /// A record landed at the next offset.
    pub fn land(&mut self, record: Option<&Arc<Record>>, doors: &[Vec<Arrived>; 2]) -> Result<bool, String> {
        let offset = self.records.len() as u64;
        let mut stand = self.stand().clone();
        let mut accepted = false;
        if let Some(record) = record {
            accepted = accepts(&mut stand, record);
            // Once records were lost, marks may speak of a log that is no more, but for those of accepted steps.
            let step = accepted && matches!(record.body, RecordBody::Step(_));
            if !self.shaken && (step || self.line == 0) {
                self.check_low(offset, record)?;
            }
            match &record.body {
                RecordBody::Acceptance { .. } => self.begin_at(&record.low, &mut stand, record),
                _ if accepted => self.count(offset, record, doors)?,
                _ => self.void += 1,
            }
        }
        self.records.push(record.map(Arc::clone));
        self.digests.push(self.digest(&stand));
        self.stands.push(stand);
        Ok(accepted)
    }

    /// The log has lost what stood from here on. Tells which accepted steps are lost.
    pub fn lose(&mut self, from: u64, doors: &[Vec<Arrived>; 2]) -> Vec<Arc<Step>> {
        let mut records = std::mem::take(&mut self.records);
        records.truncate(usize::try_from(from).expect("small"));
        let before = std::mem::replace(self, Self::new());
        for record in &records {
            // What is wrong with them was said when they landed.
            self.shaken = before.shaken;
            _ = self.land(record.as_ref(), doors);
        }
        self.shaken = true;
        let lost = before
            .steps
            .into_iter()
            .filter(|(number, (_, step))| self.steps.get(number).is_none_or(|(_, stands)| !Arc::ptr_eq(stands, step)));
        lost.map(|(_, (_, step))| step).collect()
    }

    /// An operator has accepted a loss: the state is what is read from this mark on, nothing else.
    fn begin_at(&mut self, low: &Low, stand: &mut Stand, acceptance: &Record) {
        let offset = self.records.len() as u64;
        *stand = low.stand.clone();
        self.toy = Toy::default();
        self.written.clear();
        self.carrier = None;
        self.begins = low.offset;
        self.line = offset + 1;
        self.shaken = false;
        let given_up = self
            .steps
            .split_off(&self.steps.iter().find(|(_, (at, _))| *at >= low.offset).map_or(u64::MAX, |(n, _)| *n));
        self.given_up.extend(given_up.into_values().map(|(_, step)| step));
        for at in low.offset..offset {
            let place = usize::try_from(at).expect("small");
            self.stands[place] = stand.clone();
            self.digests[place] = self.digest(stand);
            if let Some(record) = self.records[place].clone()
                && accepts(stand, &record)
            {
                self.apply(at, &record);
            }
        }
        let place = usize::try_from(offset).expect("small");
        self.stands[place] = stand.clone();
        self.digests[place] = self.digest(stand);
        accepts(stand, acceptance);
    }

    fn apply(&mut self, offset: u64, record: &Record) {
        let step = match &record.body {
            RecordBody::Step(step) => Some(step),
            _ => None,
        };
        for document in record.swept.iter().chain(step.iter().flat_map(|step| &step.documents)) {
            match &document.body {
                Some(body) => {
                    self.toy.documents.insert(document.key.clone(), body.clone());
                    self.written.insert(document.key.clone(), offset);
                }
                None => {
                    self.toy.documents.remove(&document.key);
                    self.written.remove(&document.key);
                }
            }
        }
        let Some(step) = step else { return };
        if !step.positions.is_empty() {
            self.toy.positions.clone_from(&step.positions);
            self.toy.ahead.clone_from(&step.consumed.ahead);
            self.carrier = Some(offset);
        }
        self.toy.at = step.at;
        self.steps.insert(step.number, (offset, Arc::clone(step)));
    }

    /// The first accepted step after `number` whose effects are still owed.
    fn owed_after(&self, number: u64) -> Option<u64> {
        self.steps.range(number + 1..).find(|(_, (at, _))| *at >= self.begins).map(|(next, _)| *next)
    }

    pub fn stand(&self) -> &Stand {
        self.stands.last().expect("there is one from the beginning")
    }

    pub fn steps(&self) -> &BTreeMap<u64, (u64, Arc<Step>)> {
        &self.steps
    }

    /// Whether every input was decided.
    pub fn has_decided_all(&self, doors: &[Vec<Arrived>; 2]) -> bool {
        (0..DOORS.len()).all(|door| self.toy.position(door) == doors[door].len() as u64)
    }

    /// Whether this step stands, as it is, or stood before an operator said where the state begins.
    pub fn has(&self, step: &Arc<Step>) -> bool {
        let same = |other: &Arc<Step>| Arc::ptr_eq(other, step) || other == step;
        self.steps.get(&step.number).is_some_and(|(_, stands)| same(stands)) || self.given_up.iter().any(same)
    }

    /// A fold must be what all accepted records before its next one come to. What was read before an acceptance that
    /// comes after may be of another state than the one that it made the state from there on.
    pub fn check_fold(&self, fold: &Fold) -> Result<(), String> {
        let next = usize::try_from(fold.next()).expect("small");
        if fold.next() < self.line {
            return Ok(());
        }
        match self.digests.get(next) {
            Some(digest) if *digest == digest_of(fold) => Ok(()),
            Some(_) => Err(format!(
                "the fold up to offset {next} differs from that of all accepted records: {:?} against {:?}",
                fold.stand(),
                self.stands[next]
            )),
            None => Err(format!("the fold goes to offset {next}, beyond the end of the log")),
        }
    }

    /// A mark must point to nothing that is needed from before, and say truly where the rule stood there.
    fn check_low(&self, offset: u64, record: &Record) -> Result<(), String> {
        let low = &record.low;
        let unemitted = self.owed_after(record.emitted).map(|number| self.steps[&number].0);
        let needed = self.written.values().copied().chain(unemitted).chain(self.carrier).min().unwrap_or(offset);
        if low.offset > needed {
            return Err(format!("record {offset} says that nothing is needed below {}, but {needed} is", low.offset));
        }
        if self.stands[usize::try_from(low.offset).expect("small")] != low.stand {
            return Err(format!("record {offset} says that the rule stood at {:?} before {}", low.stand, low.offset));
        }
        Ok(())
    }

    fn count(&mut self, offset: u64, record: &Record, doors: &[Vec<Arrived>; 2]) -> Result<(), String> {
        for document in &record.swept {
            if document.body.is_none() || self.toy.documents.get(&document.key) != document.body.as_ref() {
                return Err(format!("record {offset} sweeps {} with a version that is not the newest", document.key));
            }
            self.written.insert(document.key.clone(), offset);
        }
        match &record.body {
            RecordBody::Step(step) => self.decide(offset, step, doors)?,
            RecordBody::Claim => self.claims += 1,
            RecordBody::Release => self.releases += 1,
            RecordBody::Acceptance { .. } => {}
        }
        Ok(())
    }

    /// Decides once more what the step decided: each input once, from the accepted state, to the same end.
    fn decide(&mut self, offset: u64, step: &Arc<Step>, doors: &[Vec<Arrived>; 2]) -> Result<(), String> {
        self.toy.at = step.at;
        for taken in &step.consumed.taken {
            let door = DOORS.iter().position(|door| *door == taken.door).expect("one of ours");
            if taken.offset < self.toy.position(door) || self.toy.has_ahead(door, taken.offset) {
                return Err(format!("{} {} is decided again by step {}", taken.door, taken.offset, step.number));
            }
            let input = &doors[door][usize::try_from(taken.offset).expect("small")];
            self.toy.take(door, taken.offset, input.input);
        }
        let expected = self.toy.step(step.number);
        let positions_left_out = step.consumed.taken.is_empty() && step.positions.is_empty();
        let same = if positions_left_out {
            step.documents == expected.documents && step.effects == expected.effects
        } else {
            **step == expected
        };
        if !same {
            return Err(format!(
                "step {} was decided from another state than the accepted one:\n{step:?}\ninstead of\n{expected:?}",
                step.number
            ));
        }
        for document in &step.documents {
            match document.body {
                Some(_) => _ = self.written.insert(document.key.clone(), offset),
                None => _ = self.written.remove(&document.key),
            }
        }
        if !positions_left_out {
            self.carrier = Some(offset);
        }
        self.steps.insert(step.number, (offset, Arc::clone(step)));
        Ok(())
    }

    fn digest(&self, stand: &Stand) -> u64 {
        let mut digest = Digest::new(stand);
        self.toy.documents.iter().for_each(|(key, body)| digest.document(key, body));
        self.toy.positions.iter().for_each(|(door, position)| digest.position(door, *position));
        self.toy
            .ahead
            .iter()
            .flat_map(|(door, ahead)| ahead.iter().map(move |o| (door, o)))
            .for_each(|(d, o)| digest.position(d, *o));
        digest.0
    }
}

/// The rule, once more.
fn accepts(stand: &mut Stand, record: &Record) -> bool {
    let acceptance = matches!(record.body, RecordBody::Acceptance { .. });
    if !acceptance && record.after > stand.step {
        return false;
    }
    let writes = !stand.owner.is_nobody() && record.owner == stand.owner && record.epoch == stand.epoch;
    match &record.body {
        RecordBody::Claim if record.epoch > stand.epoch => {
            stand.epoch = record.epoch;
            stand.owner = record.owner.clone();
            true
        }
        RecordBody::Step(step) if writes && step.number == stand.step + 1 && step.at >= stand.at => {
            stand.step += 1;
            stand.at = step.at;
            true
        }
        RecordBody::Release if writes => {
            stand.owner = OwnerName::default();
            true
        }
        RecordBody::Acceptance { beyond, .. } => {
            stand.epoch = stand.epoch.max(beyond.epoch);
            stand.step = stand.step.max(beyond.step);
            stand.at = stand.at.max(beyond.at);
            stand.owner = OwnerName::default();
            true
        }
        _ => false,
    }
}

/// FNV-1a (Fowler, Noll, Vo) of all that a state is.
struct Digest(u64);

impl Digest {
    fn new(stand: &Stand) -> Self {
        let mut digest = Self(0xCBF2_9CE4_8422_2325);
        for number in [stand.epoch, stand.step, stand.at.0.cast_unsigned()] {
            digest.bytes(&number.to_le_bytes());
        }
        digest.bytes(stand.owner.as_str().as_bytes());
        digest
    }

    fn document(&mut self, key: &str, body: &str) {
        self.bytes(key.as_bytes());
        self.bytes(b"=");
        self.bytes(body.as_bytes());
    }

    fn position(&mut self, door: &str, offset: u64) {
        self.bytes(door.as_bytes());
        self.bytes(&offset.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }
}

fn digest_of(fold: &Fold) -> u64 {
    let mut digest = Digest::new(fold.stand());
    fold.documents().for_each(|document| digest.document(&document.key, document.body.as_deref().unwrap_or_default()));
    fold.positions().iter().for_each(|(door, position)| digest.position(door, *position));
    fold.ahead()
        .iter()
        .flat_map(|(door, ahead)| ahead.iter().map(move |o| (door, o)))
        .for_each(|(d, o)| digest.position(d, *o));
    digest.0
}

/// Where an effect stands: its step, and its place in it.
pub type Rev = (u64, usize);

/// The logs of effects and whoever reads them.
#[derive(Default)]
pub struct Outputs {
    /// The steps all of whose effects have arrived.
    arrived: BTreeSet<u64>,
    complete_to: u64,
    /// What a reader shows of each id.
    shown: BTreeMap<SmolStr, (Rev, String)>,
    pub repeats: u64,
}

impl Outputs {
    /// The effects of a step arrive. A reader heeds `rev`, unless it is a broken one.
    pub fn arrive(&mut self, step: &Arc<Step>, heeds_rev: bool) -> Result<(), String> {
        if !self.arrived.insert(step.number) {
            self.repeats += 1;
        }
        for (index, effect) in step.effects.iter().enumerate() {
            let (id, text) = told(effect);
            let rev = (step.number, index);
            let before = self.shown.get(id);
            if before.is_some_and(|(shown, _)| heeds_rev && *shown >= rev) {
                continue;
            }
            if before.is_some_and(|(_, before)| before == RECALLED && text != RECALLED) {
                return Err(format!("{id} was recalled, and stands again by step {}", step.number));
            }
            self.shown.insert(id.clone(), (rev, text.to_owned()));
        }
        Ok(())
    }

    /// Whether the effects of all accepted steps have arrived.
    pub fn has_all(&mut self, truth: &Truth) -> bool {
        self.first_missing(truth).is_none()
    }

    /// The first accepted step whose effects have not arrived.
    pub fn first_missing(&mut self, truth: &Truth) -> Option<u64> {
        loop {
            match truth.owed_after(self.complete_to) {
                Some(next) if self.arrived.contains(&next) => self.complete_to = next,
                owed => return owed,
            }
        }
    }

    pub fn has(&self, number: u64) -> bool {
        self.arrived.contains(&number)
    }

    /// The newest step of which a reader has seen an effect.
    pub fn newest(&self) -> u64 {
        self.arrived.last().copied().unwrap_or(0)
    }

    /// What a reader shows, as a projection would hold it.
    pub fn shown(&self) -> impl Iterator<Item = (&SmolStr, &str)> {
        self.shown.iter().map(|(id, (_, text))| (id, text.as_str()))
    }
}
