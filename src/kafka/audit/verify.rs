//! A shard's journal decided again, from the inputs as they stand in the topics.
//!
//! The journal is read from its beginning, or, where that is trimmed away, from a mark that one of its records carries. A step
//! is decided again when all its inputs are still there; the others are counted. The inputs are read in their order, and
//! what was decided out of turn (the bottom line of a backlog) is looked up.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rdkafka::consumer::Consumer;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::Journal;
use crate::decode::Limits;
use crate::journal::Step;
use crate::journal::log::{Fold, Low, Record, RecordBody, Stand, Verdict};
use crate::kafka::areas::Playbooks;
use crate::kafka::clients::{Clients, Reader};
use crate::kafka::inbox::{Door, Message};
use crate::kafka::inputs::{offset, raw};
use crate::kafka::reading::Reading;
use crate::kafka::replay::{Difference, Replay};
use crate::kafka::shard::ShardOptions;
use crate::kafka::trouble::Trouble;
use crate::model::{Millis, Timestamp};
use crate::runtime::Clock;

/// An input so far behind the next one is looked up alone: what lies between is not kept for it.
const FAR: u64 = 10_000;
/// Differences that are told; more are counted.
const TOLD_MAX: usize = 20;
/// Positions of posts older than this are used by nobody.
const FRESH: Millis = Millis(60_000);
/// A fetch waits at most so long before it is asked again whether waiting is over.
const POLL: std::time::Duration = std::time::Duration::from_millis(100);

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verified {
    /// Where the journal begins and ends.
    pub records: (u64, u64),
    /// Steps that were decided again.
    pub steps: u64,
    /// Their inputs.
    pub inputs: u64,
    /// Their effects, all of them compared.
    pub effects: u64,
    /// Take-overs, at each of which the state was made anew from what is recorded.
    pub claims: u64,
    /// Steps that could not be decided again, because an input or what came before is trimmed away.
    pub beyond: u64,
    /// Where something else came out; the first ones.
    pub differences: Vec<Difference>,
    /// How many there are.
    pub different: u64,
}

/// Decides the journal of a shard again, with these playbooks and bounds of an event. `progress` hears of each record: its
/// offset, and where they end.
///
/// # Errors
/// When the brokers do not answer, a record cannot be read, or a playbook that decided is not among these.
pub fn verify(
    journal: &mut Journal,
    shard: u32,
    playbooks: Arc<Playbooks>,
    limits: &Limits,
    mut progress: impl FnMut(u64, u64),
) -> anyhow::Result<Verified> {
    let (first, end) = journal.bounds("journal", shard)?;
    let begin = beginning(journal, shard, first, end)?;
    let reading = Reading { playbooks: Arc::clone(&playbooks), shard, shards: journal.shards, limits: limits.clone() };
    let replay = Replay::new(playbooks, shard, journal.shards, ShardOptions::default().effects_max);
    let mut verifier = Verifier {
        fold: Fold::from(begin.clone(), journal.shards),
        inputs: Inputs::new(Arc::clone(&journal.clients), reading),
        replay,
        told: Verified { records: (first, end), ..Verified::default() },
    };
    let mut failed = Ok(());
    journal.read("journal", shard, begin.offset, end, |stored| {
        progress(stored.offset, end);
        let at = stored.offset;
        failed = verifier.record(at, stored.appended, &stored.bytes).with_context(|| format!("record {at}"));
        failed.is_ok()
    })?;
    failed?;
    Ok(verifier.told)
}

/// Where reading begins: at the beginning of all, or at the first mark that leads to something that is still there.
fn beginning(journal: &mut Journal, shard: u32, first: u64, end: u64) -> anyhow::Result<Low> {
    if first == 0 {
        return Ok(Low::default());
    }
    let mut found = None;
    journal.read("journal", shard, first, end, |stored| {
        let low = Record::decode(&stored.bytes).ok().map(|record| record.low);
        found = low.filter(|low| low.offset >= first);
        found.is_none()
    })?;
    found.context("no record carries a mark of what is still there; nothing can be decided again")
}

struct Verifier {
    fold: Fold,
    inputs: Inputs,
    replay: Replay,
    told: Verified,
}

impl Verifier {
    fn record(&mut self, at: u64, appended: Timestamp, bytes: &[u8]) -> anyhow::Result<()> {
        let record = Record::decode(bytes)?;
        let stand: &Stand = self.fold.stand();
        let stands = stand.judge(&record) == Verdict::Accepted;
        if let (true, RecordBody::Step(step)) = (stands, &record.body) {
            self.step(step, appended)?;
        }
        self.fold.read(at, appended, &record)?;
        if stands && matches!(record.body, RecordBody::Claim) {
            // Whoever owns the shard now made its state from what is recorded.
            self.told.claims += 1;
            self.replay.forget();
        }
        if stands && matches!(record.body, RecordBody::Acceptance { .. }) {
            self.replay.forget();
        }
        Ok(())
    }

    fn step(&mut self, step: &Arc<Step>, appended: Timestamp) -> anyhow::Result<()> {
        if !self.replay.is_begun() {
            if !self.fold.is_complete() {
                self.told.beyond += 1;
                return Ok(());
            }
            self.begin(appended)?;
        }
        let Some(inputs) = self.inputs.of(step)? else {
            self.told.beyond += 1;
            self.replay.forget();
            return Ok(());
        };
        self.told.steps += 1;
        self.told.inputs += inputs.len() as u64;
        self.told.effects += step.effects.len() as u64;
        if let Some(difference) = self.replay.step(step, inputs)? {
            self.told.different += 1;
            if self.told.differences.len() < TOLD_MAX {
                self.told.differences.push(difference);
            }
        }
        Ok(())
    }

    /// The state as it is recorded, and where posts were.
    fn begin(&mut self, appended: Timestamp) -> anyhow::Result<()> {
        let positions = self.fold.positions();
        for door in Door::ALL {
            self.inputs.go_to(door, positions.get(door.as_str()).copied());
        }
        let decided = positions.get(Door::Field.as_str()).copied().unwrap_or(0);
        let again = self.inputs.since(Timestamp(appended.0.saturating_sub_unsigned(FRESH.0)), decided)?;
        self.replay.begin(self.fold.documents(), self.fold.stand().at, again)?;
        Ok(())
    }
}

/// The inputs of a shard, as the topics hold them.
struct Inputs {
    clients: Arc<Clients>,
    reading: Reading,
    doors: BTreeMap<Door, Ahead>,
}

/// One topic, read on from a place.
#[derive(Default)]
struct Ahead {
    reader: Option<Reader>,
    /// Where it begins and ends, when it was asked.
    bounds: (u64, u64),
    next: u64,
    held: BTreeMap<u64, Message>,
}

impl Inputs {
    fn new(clients: Arc<Clients>, reading: Reading) -> Self {
        Self { clients, reading, doors: BTreeMap::new() }
    }

    /// Reading of a door goes on there.
    fn go_to(&mut self, door: Door, next: Option<u64>) {
        let ahead = self.doors.entry(door).or_default();
        ahead.held.clear();
        ahead.reader = None;
        ahead.next = next.unwrap_or(0);
    }

    /// The inputs of a step, in the order in which they were taken; `None` where one is not there any more.
    fn of(&mut self, step: &Step) -> anyhow::Result<Option<Vec<Message>>> {
        let mut inputs = Vec::with_capacity(step.consumed.taken.len());
        for taken in &step.consumed.taken {
            let Some(door) = Door::ALL.into_iter().find(|door| door.as_str() == taken.door) else {
                bail!("step {} took an input from `{}`, which is no door", step.number, taken.door);
            };
            let Some(message) = self.at(door, taken.offset)? else { return Ok(None) };
            inputs.push(message);
        }
        for (door, position) in &step.positions {
            let door = Door::ALL.into_iter().find(|d| d.as_str() == *door);
            if let Some(ahead) = door.and_then(|door| self.doors.get_mut(&door)) {
                ahead.held = ahead.held.split_off(position);
            }
        }
        Ok(Some(inputs))
    }

    fn at(&mut self, door: Door, wanted: u64) -> anyhow::Result<Option<Message>> {
        let mut ahead = self.doors.remove(&door).unwrap_or_default();
        let found = self.find(door, &mut ahead, wanted);
        self.doors.insert(door, ahead);
        found
    }

    fn find(&self, door: Door, ahead: &mut Ahead, wanted: u64) -> anyhow::Result<Option<Message>> {
        if let Some(message) = ahead.held.remove(&wanted) {
            return Ok(Some(message));
        }
        if ahead.reader.is_none() {
            ahead.bounds = self.bounds(door)?;
            ahead.next = ahead.next.max(ahead.bounds.0);
            ahead.reader = Some(self.reader(door, ahead.next)?);
        }
        if wanted < ahead.bounds.0 || wanted >= ahead.bounds.1 {
            return Ok(None);
        }
        let Some(reader) = &ahead.reader else { return Ok(None) };
        if wanted < ahead.next || wanted > ahead.next + FAR {
            return Ok(self.next(door, &self.reader(door, wanted)?, wanted, wanted)?.filter(|m| m.offset == wanted));
        }
        while ahead.next <= wanted {
            let Some(message) = self.next(door, reader, ahead.next, wanted)? else { return Ok(None) };
            ahead.next = message.offset + 1;
            if message.offset == wanted {
                return Ok(Some(message));
            }
            ahead.held.insert(message.offset, message);
        }
        Ok(None)
    }

    /// Positions of posts that were appended since then, below an offset of their door.
    fn since(&self, at: Timestamp, below: u64) -> anyhow::Result<Vec<Message>> {
        let (reader, mut asked) = (self.clients.reader()?, TopicPartitionList::new());
        asked.add_partition_offset(&self.topic(Door::Field), self.partition(), Offset::Offset(at.0))?;
        let told = reader.offsets_for_times(asked, self.patience())?;
        let Some(Offset::Offset(from)) =
            told.elements().first().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset)
        else {
            return Ok(Vec::new());
        };
        let mut next = offset(from);
        let (reader, mut messages) = (self.reader(Door::Field, next)?, Vec::new());
        while next < below {
            let Some(message) = self.next(Door::Field, &reader, next, below - 1)? else { break };
            next = message.offset + 1;
            if message.offset < below {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    /// The first message at or after `from`, which is there by `wanted` if it is there at all.
    fn next(&self, door: Door, reader: &Reader, from: u64, wanted: u64) -> anyhow::Result<Option<Message>> {
        let clock = Clock::wall();
        let until = clock.now() + self.clients.options().start_timeout;
        while clock.now() < until {
            match reader.poll(POLL) {
                Some(Ok(message)) if offset(message.offset()) >= from => {
                    let at = offset(message.offset());
                    return Ok(Some(self.reading.read(door, &raw(&message, at))));
                }
                Some(Err(error)) if !matches!(Trouble::of(&error), Trouble::End | Trouble::Passing) => {
                    return Err(error).context(self.topic(door));
                }
                _ => {}
            }
        }
        bail!("{}: offset {wanted} does not come within {}", self.topic(door), self.clients.options().start_timeout)
    }

    fn bounds(&self, door: Door) -> anyhow::Result<(u64, u64)> {
        let (topic, reader) = (self.topic(door), self.clients.reader()?);
        let told = reader.fetch_watermarks(&topic, self.partition(), self.patience());
        let (first, end) = told.with_context(|| format!("where {topic} begins and ends"))?;
        Ok((offset(first), offset(end)))
    }

    fn reader(&self, door: Door, from: u64) -> anyhow::Result<Reader> {
        let (reader, mut list) = (self.clients.reader()?, TopicPartitionList::new());
        let at = Offset::Offset(i64::try_from(from).unwrap_or(i64::MAX));
        list.add_partition_offset(&self.topic(door), self.partition(), at)?;
        reader.assign(&list)?;
        Ok(reader)
    }

    fn topic(&self, door: Door) -> String {
        self.clients.topic(door.as_str())
    }

    fn partition(&self) -> i32 {
        i32::try_from(self.reading.shard).unwrap_or(i32::MAX)
    }

    fn patience(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.clients.options().start_timeout.0)
    }
}
