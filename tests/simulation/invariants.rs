//! What must hold, told independently of the code under test: the rule once more, in its own words, and from it the one
//! history that counts. Everything that anybody writes, accepts, emits or holds is held against it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use crate::journal::Step;
use crate::journal::log::{Fold, OwnerName, Record, RecordBody, Stand};
use crate::toy::{Arrived, DOORS, RECALLED, Toy, told};

/// The history that counts, record by record as they land.
#[derive(Default)]
pub struct Truth {
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
    pub void: u64,
    pub claims: u64,
    pub releases: u64,
}

impl Truth {
    pub fn new() -> Self {
        let mut truth = Self { stands: vec![Stand::default()], ..Self::default() };
        truth.digests.push(truth.digest());
        truth
    }

    /// A record landed at the next offset.
    pub fn land(&mut self, record: Option<&Record>, doors: &[Vec<Arrived>; 2]) -> Result<(), String> {
        let offset = self.stands.len() as u64 - 1;
        let mut stand = self.stand().clone();
        if let Some(record) = record {
            self.check_low(offset, record)?;
            if accepts(&mut stand, record) {
                self.count(offset, record, doors)?;
            } else {
                self.void += 1;
            }
        }
        self.stands.push(stand);
        self.digests.push(self.digest());
        Ok(())
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

    /// Whether this step stands, as it is.
    pub fn has(&self, step: &Arc<Step>) -> bool {
        self.steps.get(&step.number).is_some_and(|(_, stands)| Arc::ptr_eq(stands, step) || stands == step)
    }

    /// A fold must be what all accepted records before its next one come to.
    pub fn check_fold(&self, fold: &Fold) -> Result<(), String> {
        let next = usize::try_from(fold.next()).expect("small");
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
        let unemitted = self.steps.range(record.emitted + 1..).next().map(|(_, (at, _))| *at);
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
            RecordBody::Step(step) => self.decide(offset, step, doors),
            RecordBody::Claim => {
                self.claims += 1;
                Ok(())
            }
            RecordBody::Release => {
                self.releases += 1;
                Ok(())
            }
            RecordBody::Acceptance { .. } => Ok(()),
        }
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

    fn digest(&self) -> u64 {
        let mut digest = Digest::new(self.stand());
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
    pub fn arrive(&mut self, step: &Arc<Step>, truth: &Truth, heeds_rev: bool) -> Result<(), String> {
        if !truth.has(step) {
            return Err(format!("effects of step {} left the house, which does not stand", step.number));
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
        if !self.arrived.insert(step.number) {
            self.repeats += 1;
        }
        Ok(())
    }

    /// Whether the effects of all accepted steps up to `number` have arrived.
    pub fn has_all_to(&mut self, number: u64, truth: &Truth) -> bool {
        while let Some((next, _)) = truth.steps().range(self.complete_to + 1..=number.max(self.complete_to + 1)).next()
        {
            if !self.arrived.contains(next) {
                break;
            }
            self.complete_to = *next;
        }
        truth.steps().range(self.complete_to + 1..).next().is_none_or(|(next, _)| *next > number)
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
