//! The follower: one thread a node that reads the journals of all shards and tells the node what was decided, wherever
//! that was. It never takes part in deciding.
//!
//! ```text
//!  asker ──► where each log begins and ends ──┐
//!                                             ▼
//!  journal ──► one consumer, all partitions ──► a Track each (what counts, by the rule) ──► herald ──► board, stream, answers
//!  field ────► the same consumer ────────────► where posts are, which no journal holds ──► board
//! ```
//! Each journal is taken by exact offset: what the client tells twice, or from before a new beginning, is passed over. Whatever
//! goes wrong, it goes on and says so; a journal that cannot be read is tried again, and the picture grows older.
//!
//! A consumer that stands still although records lie unread is replaced (seen after brokers were killed, without any error).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use tracing::{info, warn};

use super::asker::{Asker, Learnt, Questions};
use super::clients::{Clients, Reader};
use super::herald::Herald;
use super::inbox::Door;
use super::inputs::raw;
use super::picture::Picture;
use super::reading::decoded;
use super::route::Routes;
use super::track::{Heard, Stage};
use super::trouble::Trouble;
use crate::decode::Limits;
use crate::model::{Body, Millis, Timestamp};
use crate::runtime::Clock;
use crate::telemetry::Metrics;
use crate::wire::Shard;

/// A fetch waits for at most so long, and so long what the asker learnt may wait.
const POLL: Duration = Duration::from_millis(20);
/// A consumer that cannot be made is tried again after so long.
const AGAIN: Duration = Duration::from_secs(1);
/// Reading begins elsewhere at most so often: each time all that was fetched ahead is fetched again.
const TURN_EVERY: Millis = Millis(20);
/// After an offset that was not there, reading begins elsewhere not before this.
const REST: Millis = Millis(500);
/// Records that lie unread for so long: the consumer stands still. One that was made meanwhile has as long again, and each
/// further one twice as long: on a busy machine a new consumer needs its time until it brings anything.
const STILL: Millis = Millis(5_000);
/// But never longer than this.
const STILL_MAX: Millis = Millis(60_000);
/// The same trouble is told at most so often.
const TELL_EVERY: Millis = Millis(5_000);
/// Positions of posts are read from so long before: older ones are not used.
const POSITIONS_FRESH: Millis = Millis(60_000);
/// The end of the thread is waited for at most so long.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// What a follower is made of.
pub struct FollowerParts {
    /// Clients of the brokers.
    pub clients: Arc<Clients>,
    /// Shards of the whole.
    pub shards: u32,
    /// What it fills.
    pub picture: Picture,
    /// Whom it tells.
    pub herald: Herald,
    /// Which posts there are.
    pub routes: Arc<Routes>,
    /// Bounds of an event.
    pub limits: Limits,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// What time it is.
    pub clock: Clock,
}

/// The thread that follows; dropped, it ends.
#[derive(Debug)]
pub struct Follower {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Starts to follow. Brokers that are away are waited for, for ever.
    ///
    /// # Errors
    /// When the system has no thread.
    pub fn start(parts: FollowerParts) -> std::io::Result<Self> {
        let ends = Arc::new(AtomicBool::new(false));
        let field = parts.clients.topic(Door::Field.as_str());
        let fresh = Timestamp(parts.clock.now().0 - POSITIONS_FRESH.0.cast_signed());
        let questions = Questions { shards: parts.shards, since: (field.clone(), fresh) };
        let asker = Asker::start(Arc::clone(&parts.clients), questions, parts.clock.clone())?;
        let following = Following {
            journal: parts.clients.topic("journal"),
            field,
            parts,
            asker,
            ends: Arc::clone(&ends),
            reader: None,
            made: Timestamp(0),
            still: STILL,
            assigned: BTreeMap::new(),
            fields: BTreeMap::new(),
            changed: true,
            turned: Timestamp(0),
            complained: Timestamp(0),
        };
        let thread = std::thread::Builder::new().name("follower".to_owned()).spawn(move || following.run())?;
        Ok(Self { ends, thread: Some(thread) })
    }

    /// Ends it.
    pub fn end(&mut self) {
        self.ends.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return };
        let mut left = ENDS_WITHIN;
        while !thread.is_finished() && !left.is_zero() {
            std::thread::sleep(POLL);
            left = left.saturating_sub(POLL);
        }
        if thread.is_finished() {
            // A panic there has been told already.
            let _ = thread.join();
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.end();
    }
}

struct Following {
    parts: FollowerParts,
    journal: String,
    field: String,
    asker: Asker,
    ends: Arc<AtomicBool>,
    reader: Option<Reader>,
    /// When that consumer was made.
    made: Timestamp,
    /// Records may lie unread for so long now.
    still: Millis,
    /// By shard, the turn for which its journal is assigned: what comes of an earlier one is void.
    assigned: BTreeMap<u32, u64>,
    /// The next offset of each partition of the field's topic.
    fields: BTreeMap<u32, Offset>,
    /// Reading has to begin elsewhere, somewhere.
    changed: bool,
    /// When that was done last.
    turned: Timestamp,
    /// When trouble was told last.
    complained: Timestamp,
}

impl Following {
    fn run(mut self) {
        while !self.ends.load(Ordering::Acquire) {
            if let Some(learnt) = self.asker.learnt() {
                self.learn(learnt);
            }
            let now = self.parts.clock.now();
            if self.changed && now.since(self.turned) >= TURN_EVERY {
                self.turn(now);
            }
            match self.reader.take() {
                Some(reader) => {
                    let goes_on = self.poll(&reader);
                    if goes_on {
                        self.reader = Some(reader);
                    } else {
                        self.give_up(reader);
                    }
                }
                None => std::thread::sleep(POLL),
            }
        }
        self.asker.end();
    }

    // What the asker learnt

    fn learn(&mut self, learnt: Learnt) {
        let now = self.parts.clock.now();
        for head in learnt.heads {
            if let Some(mut track) = self.parts.picture.track(head.shard) {
                track.hinted(head);
            }
        }
        if let Some(since) = learnt.since {
            // Where nothing is as young as that, what comes from now on is.
            let young = |offset| if matches!(offset, Offset::Offset(_)) { offset } else { Offset::End };
            self.fields = since.into_iter().map(|(partition, offset)| (partition, young(offset))).collect();
            self.changed = true;
        }
        if let Some(silence) = learnt.silence {
            self.parts.picture.silence(silence);
        }
        if let Some(asked) = learnt.bounds.values().map(|bounds| bounds.asked).max() {
            self.parts.picture.answered(asked);
        }
        let (mut still, mut all_read) = (false, !learnt.bounds.is_empty());
        let is_new = now.since(self.made) < self.still;
        for (shard, bounds) in learnt.bounds {
            let Some(mut track) = self.parts.picture.track(shard) else { continue };
            track.bounded(bounds);
            let settled = track.settled(now);
            let of = track.shard();
            let is_assigned = self.assigned.get(&shard) == Some(&track.turns());
            still |= !is_new && is_assigned && track.stands_still(now, self.still);
            all_read &= track.lag() == Some(0);
            self.changed |= self.assigned.get(&shard) != Some(&track.turns());
            let renewed = track.renewed();
            drop(track);
            self.tell(of, settled, renewed);
        }
        if all_read {
            self.still = STILL;
        }
        if still && let Some(reader) = self.reader.take() {
            warn!("follower.stood_still: a new consumer");
            self.count("stood-still");
            self.still = Millis(self.still.0.saturating_mul(2)).min(STILL_MAX);
            self.give_up(reader);
        }
        self.measure();
    }

    fn measure(&self) {
        let metrics = &self.parts.metrics;
        for track in self.parts.picture.tracks() {
            let shard = track.shard().number.to_string();
            let lag = track.lag().and_then(|lag| i64::try_from(lag).ok()).unwrap_or(0);
            metrics.follower_lag.with_label_values(&[&shard]).set(lag);
            metrics.restore_progress.with_label_values(&[&shard]).set(track.progress());
        }
        if let Some(age) = self.parts.picture.age() {
            metrics.picture_age.set(age.as_secs_f64());
        }
    }

    fn tell(&self, shard: Shard, heard: impl IntoIterator<Item = Heard>, renewed: Option<&'static str>) {
        for heard in heard {
            let restored = matches!(heard, Heard::Restored(..));
            self.parts.herald.tell(shard, heard);
            if restored {
                self.parts.picture.shown(shard.number);
            }
        }
        if let Some(why) = renewed {
            warn!(shard = shard.number, why, "follower.renewed: the journal is read anew");
            self.count(why);
        }
    }

    fn count(&self, event: &str) {
        self.parts.metrics.follower_events.with_label_values(&[event]).inc();
    }

    // Reading

    /// Reads every journal from where its track wants to.
    fn turn(&mut self, now: Timestamp) {
        self.turned = now;
        if self.reader.is_none() {
            match self.parts.clients.reader() {
                Ok(reader) => (self.reader, self.made) = (Some(reader), now),
                Err(error) => {
                    self.complain(&error.to_string());
                    std::thread::sleep(AGAIN);
                    return;
                }
            }
        }
        let (list, assigned) = self.wanted();
        let done = self.reader.as_ref().map_or(Ok(()), |reader| reader.assign(&list));
        match done {
            Ok(()) => (self.assigned, self.changed) = (assigned, false),
            Err(error) => {
                self.complain(&error.to_string());
                self.turned = now + TELL_EVERY;
            }
        }
    }

    fn wanted(&self) -> (TopicPartitionList, BTreeMap<u32, u64>) {
        let mut list = TopicPartitionList::new();
        let mut assigned = BTreeMap::new();
        let mut want = |topic: &str, shard: u32, offset: Offset| {
            let partition = i32::try_from(shard).unwrap_or(i32::MAX);
            // Refused is only an offset that cannot be, and these were told by the brokers.
            let _ = list.add_partition_offset(topic, partition, offset);
        };
        for track in self.parts.picture.tracks() {
            let shard = track.shard().number;
            assigned.insert(shard, track.turns());
            if let Some(next) = track.reading() {
                want(&self.journal, shard, Offset::Offset(i64::try_from(next).unwrap_or(i64::MAX)));
            }
        }
        for (partition, next) in &self.fields {
            want(&self.field, *partition, *next);
        }
        (list, assigned)
    }

    /// Takes what comes. Whether the consumer can be kept.
    fn poll(&mut self, reader: &Reader) -> bool {
        match reader.poll(POLL) {
            None => true,
            Some(Ok(message)) if message.topic() == self.journal => {
                self.record(&message);
                true
            }
            Some(Ok(message)) => {
                self.position(&message);
                true
            }
            Some(Err(error)) => self.trouble(&error),
        }
    }

    fn record(&mut self, message: &BorrowedMessage<'_>) {
        let (Ok(shard), Ok(offset)) = (u32::try_from(message.partition()), u64::try_from(message.offset())) else {
            return;
        };
        let Some(mut track) = self.parts.picture.track(shard) else { return };
        if self.assigned.get(&shard) != Some(&track.turns()) {
            return;
        }
        let appended = Timestamp(message.timestamp().to_millis().unwrap_or_default());
        let now = self.parts.clock.now();
        let heard = track.read(offset, appended, message.payload().unwrap_or_default(), now);
        self.changed |= self.assigned.get(&shard) != Some(&track.turns());
        let broken = if let Stage::Broken { why, .. } = track.stage() { Some(why.clone()) } else { None };
        let (of, renewed) = (track.shard(), track.renewed());
        drop(track);
        if let Some(why) = broken {
            warn!(shard, why, "follower.broken: the journal cannot be read; trying again");
            self.count("broken");
        }
        self.tell(of, heard, renewed);
    }

    /// Where a post says it is. Only of posts that some roster has: others would fill the board.
    fn position(&mut self, message: &BorrowedMessage<'_>) {
        let (Ok(partition), offset) = (u32::try_from(message.partition()), message.offset()) else { return };
        self.fields.insert(partition, Offset::Offset(offset + 1));
        let raw = raw(message, u64::try_from(offset).unwrap_or(0));
        if let Ok(event) = decoded(&raw, raw.appended, &self.parts.limits)
            && let Body::Position(fix) = &event.body
            && self.parts.routes.knows(&fix.post)
        {
            self.parts.herald.board().position(fix);
        }
    }

    /// What an error of the consumer means here. Whether the consumer can be kept.
    fn trouble(&mut self, error: &KafkaError) -> bool {
        let trouble = Trouble::of(error);
        if trouble != Trouble::End {
            self.complain(&error.to_string());
        }
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::LogTruncation) {
            // Of which journal the client does not say.
            self.parts.picture.tracks().for_each(|mut track| track.doubted());
        }
        if trouble == Trouble::OutOfRange {
            // Where to go on the asker will say for the journals; positions of posts from now on will do.
            self.fields.values_mut().for_each(|next| *next = Offset::End);
            self.changed = true;
            self.turned = self.parts.clock.now() + REST;
        }
        trouble != Trouble::Fatal
    }

    fn complain(&mut self, error: &str) {
        let now = self.parts.clock.now();
        if now.since(self.complained) >= TELL_EVERY {
            self.complained = now;
            warn!(error, "follower.trouble: going on");
        }
    }

    /// Closes a consumer, which may take a while, elsewhere.
    fn give_up(&mut self, reader: Reader) {
        self.assigned.clear();
        self.changed = true;
        let closed = std::thread::Builder::new().name("follower-close".to_owned()).spawn(move || drop(reader));
        if let Err(error) = closed {
            info!(%error, "follower.closed_here");
        }
    }
}
