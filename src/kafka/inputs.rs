//! The thread that reads a shard's three input topics: fetch, decode, judge, hand over.
//!
//! It is told to begin at positions (a *generation*) or to stop; what it hands over carries the generation, so that a
//! word of an earlier one is known as such. Each door is taken by exact offset: what was handed over before is not
//! handed over again, whatever the client does after a broker's trouble. So a consumer that failed is simply followed by
//! another, from the same place: the shard need not know. A watch compares each door's place with the end of its log: a
//! door that stands still although more is there gets a new consumer, too. What the shard is told is a log that does not
//! hold what was not decided yet, or ends before what was: then messages are lost, and a person has to look.
//!
//! Back-pressure pauses the reports (and only them): what posts and operators say always comes in.

#![expect(clippy::disallowed_methods, reason = "a silent door is noticed, and a failed one renewed, in real time")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use tracing::{info, warn};

use super::clients::{Clients, Reader as LogConsumer};
use super::inbox::{Content, Door, Message};
use super::mailbox::{Generation, Mail, Mailbox};
use super::reading::{Raw, Reading};
use super::scout::Scout;
use super::trouble::{Backoff, Seldom, Trouble};
use crate::model::{Body, Millis, Timestamp};
use crate::runtime::Clock;

/// Positions of posts older than this are not used, so they are read again from so long before.
const POSITIONS_FRESH: Millis = Millis(60_000);
/// Messages handed over at once.
const BATCH: usize = 512;
/// A fetch waits for at most so long, and so long a word to this thread may wait.
const POLL: Duration = Duration::from_millis(20);
/// A question to a broker is given up after so long, and asked again.
const ASK: Duration = Duration::from_secs(3);
/// A backlog of reports longer than this is scouted before anything ordinary of it is decided.
const BACKLOG: u64 = 5_000;
/// A door on which nothing came for so long is looked at.
const WATCH_AFTER: Duration = Duration::from_secs(5);
/// That question is given up sooner: other doors wait meanwhile.
const WATCH_ASK: Duration = Duration::from_millis(500);
/// A log that has lost its end holds, from where it was cut on, messages that nobody has decided, under offsets that were
/// decided before. What was appended so long before the last step is read again, too: what was decided of it is known by
/// its id and is a repeat.
const CUT_SLACK: Millis = Millis(600_000);
/// A log that stays shorter than what was decided of it for so long has lost messages.
const SHORT_WITHIN: Duration = Duration::from_secs(5);
/// A consumer that failed is followed by another after so long, and ever later.
const AGAIN: Duration = Duration::from_millis(50);
/// But never later than this.
const AGAIN_MAX: Duration = Duration::from_secs(2);
/// Errors are told at most so often.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// Tells the thread what to do.
#[derive(Debug)]
pub struct Inputs {
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Order {
    Open(Generation, BTreeMap<Door, u64>, Timestamp),
    Close,
}

impl Inputs {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn start(
        clients: Arc<Clients>,
        reading: Reading,
        mailbox: Arc<Mailbox>,
        clock: Clock,
    ) -> std::io::Result<Self> {
        let (orders, ordered) = channel();
        let name = format!("inputs-{}", reading.shard);
        let scout = Scout::start(Arc::clone(&clients), reading.clone(), Arc::clone(&mailbox))?;
        let reader = Reader { clients, reading, mailbox, clock, scout, open: None };
        let thread = std::thread::Builder::new().name(name).spawn(move || reader.run(&ordered))?;
        Ok(Self { orders, thread: Some(thread) })
    }

    /// Reads from these positions on, which were decided by `decided_at`. What was handed over in an earlier generation is
    /// void.
    pub fn open(&self, generation: Generation, positions: BTreeMap<Door, u64>, decided_at: Timestamp) {
        // The thread ends only when this handle does.
        let _ = self.orders.send(Order::Open(generation, positions, decided_at));
    }

    /// Reads nothing until it is told to open again.
    pub fn close(&self) {
        let _ = self.orders.send(Order::Close);
    }
}

impl Drop for Inputs {
    fn drop(&mut self) {
        let (nobody, _) = channel();
        self.orders = nobody;
        if let Some(thread) = self.thread.take() {
            // A panic there has been told already.
            let _ = thread.join();
        }
    }
}

struct Reader {
    clients: Arc<Clients>,
    reading: Reading,
    mailbox: Arc<Mailbox>,
    clock: Clock,
    scout: Scout,
    open: Option<Open>,
}

/// A reading of the doors, from one take-over to the next.
struct Open {
    generation: Generation,
    /// As the shard said when it began.
    positions: BTreeMap<Door, u64>,
    /// What lies below them was decided by then.
    decided_at: Timestamp,
    /// Empty until it is known where the logs are.
    doors: BTreeMap<Door, Place>,
    /// None while the brokers cannot be asked, or the last one failed.
    consumer: Option<LogConsumer>,
    /// There is to be one then.
    due: Instant,
    backoff: Backoff,
    /// Since when a log has ended before what was decided of it.
    short: Option<Instant>,
    told: Seldom,
    paused: bool,
    /// The scout is out, and does not come back before the reader has come to here.
    scouting: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    /// The next offset to be decided, as the shard said when it began.
    decided: u64,
    /// The next offset to be read.
    next: u64,
    heard: Instant,
}

impl Open {
    fn new(generation: Generation, positions: BTreeMap<Door, u64>, decided_at: Timestamp) -> Self {
        Self {
            generation,
            positions,
            decided_at,
            doors: BTreeMap::new(),
            consumer: None,
            due: Instant::now(),
            backoff: Backoff::new(AGAIN, AGAIN_MAX),
            short: None,
            told: Seldom::new(TOLD_EVERY),
            paused: false,
            scouting: None,
        }
    }

    /// The next offset of a door, if it is known.
    fn next(&self, door: Door) -> Option<u64> {
        match self.doors.get(&door) {
            Some(place) => Some(place.next.max(place.decided)),
            None => self.positions.get(&door).copied(),
        }
    }

    /// Another consumer goes on from where this one came to.
    fn renew(&mut self) {
        self.consumer = None;
        self.paused = false;
        self.due = Instant::now() + self.backoff.failed();
    }
}

impl Reader {
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            let order = match &self.open {
                Some(_) => orders.try_recv(),
                None => orders.recv().map_err(|_| TryRecvError::Disconnected),
            };
            match order {
                Ok(Order::Open(generation, positions, decided_at)) => {
                    self.scout.close();
                    self.open = Some(Open::new(generation, positions, decided_at));
                }
                Ok(Order::Close) => {
                    self.scout.close();
                    self.open = None;
                }
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {}
            }
            if let Some(mut open) = self.open.take() {
                self.round(&mut open);
                self.open = Some(open);
            }
        }
    }

    /// Reads what has come, or sees to it that something can come.
    fn round(&self, open: &mut Open) {
        if open.consumer.is_some() {
            self.read(open);
        } else if Instant::now() < open.due {
            std::thread::sleep(POLL);
        } else if let Err(why) = self.connect(open) {
            if let Some(kept_back) = open.told.now() {
                warn!(why, shard = self.reading.shard, kept_back, "kafka.inputs_unavailable: trying again");
            }
            open.renew();
        }
    }

    /// Asks where the logs are, and goes on from where we are. What lies between what was decided and what is there is told.
    fn connect(&self, open: &mut Open) -> Result<(), String> {
        let said = |error: KafkaError| error.to_string();
        let consumer = self.clients.reader().map_err(said)?;
        let mut found = Vec::new();
        for door in Door::ALL {
            let topic = self.clients.topic(door.as_str());
            let (first, end) = consumer.fetch_watermarks(&topic, self.partition(), ASK).map_err(said)?;
            found.push((door, offset(first), offset(end)));
        }
        let known: Vec<Option<u64>> = found.iter().map(|(door, ..)| open.next(*door)).collect();
        self.seems_short(open, &found, &known)?;
        let begins = open.doors.is_empty();
        let mut doors = BTreeMap::new();
        for ((door, first, end), known) in found.iter().copied().zip(&known) {
            let mut decided = known.unwrap_or(first).max(first);
            if decided > end {
                let since = Timestamp(open.decided_at.0.saturating_sub_unsigned(CUT_SLACK.0));
                decided = self.since(&consumer, door, since).map_err(said)?.unwrap_or(end).clamp(first, end);
            }
            let fresh = door == Door::Field && begins;
            let next = if fresh { self.fresh(&consumer, decided).map_err(said)?.max(first) } else { decided };
            doors.insert(door, Place { decided, next, heard: Instant::now() });
        }
        self.assign(&consumer, &doors).map_err(said)?;
        for ((door, first, end), known) in found.iter().copied().zip(known) {
            let known = known.unwrap_or(0);
            if begins {
                self.mailbox.post(Mail::Opened(open.generation, door, first, end));
            }
            if known > end {
                self.mailbox.post(Mail::Cut(open.generation, door, doors[&door].decided));
            }
            if (known < first && known > 0) || known > end {
                self.mailbox.say(Mail::Lost(open.generation, door, known));
            }
        }
        let next: Vec<u64> = doors.values().map(|place| place.next).collect();
        info!(shard = self.reading.shard, generation = open.generation, begins, ?next, "kafka.inputs_opened");
        (open.doors, open.consumer) = (doors, Some(consumer));
        if begins {
            let end = found.iter().find(|(door, ..)| *door == Door::Reports).map_or(0, |(_, _, end)| *end);
            self.scout_backlog(open, end);
        }
        Ok(())
    }

    /// A log that ends before what was decided of it has lost messages, unless its new leader only does not know yet how
    /// far it goes: that is over soon.
    fn seems_short(&self, open: &mut Open, found: &[(Door, u64, u64)], known: &[Option<u64>]) -> Result<(), String> {
        let ends_before = |((_, _, end), known): &(&(Door, u64, u64), &Option<u64>)| known.is_some_and(|k| k > *end);
        let Some(((door, _, end), known)) = found.iter().zip(known).find(ends_before) else {
            open.short = None;
            return Ok(());
        };
        if open.short.get_or_insert_with(Instant::now).elapsed() >= SHORT_WITHIN {
            return Ok(());
        }
        let known = known.unwrap_or_default();
        Err(format!("{} ends at {end}, but was decided up to {known}", self.clients.topic(door.as_str())))
    }

    /// Where the positions of posts that are still fresh begin, if that is before `decided`.
    fn fresh(&self, consumer: &LogConsumer, decided: u64) -> Result<u64, KafkaError> {
        let since = Timestamp(self.clock.now().0.saturating_sub_unsigned(POSITIONS_FRESH.0));
        Ok(self.since(consumer, Door::Field, since)?.map_or(decided, |first| first.min(decided)))
    }

    /// The first message of a door that was appended at or after an instant, if there is one.
    fn since(&self, consumer: &LogConsumer, door: Door, at: Timestamp) -> Result<Option<u64>, KafkaError> {
        let topic = self.clients.topic(door.as_str());
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(&topic, self.partition(), Offset::Offset(at.0))?;
        let told = consumer.offsets_for_times(asked, ASK)?;
        let place = told.elements().first().map(|element| (element.error(), element.offset()));
        match place {
            Some((Err(error), _)) => Err(error),
            Some((Ok(()), Offset::Offset(first))) => Ok(Some(offset(first))),
            _ => Ok(None),
        }
    }

    fn assign(&self, consumer: &LogConsumer, doors: &BTreeMap<Door, Place>) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for (door, place) in doors {
            let at = Offset::Offset(i64::try_from(place.next).unwrap_or(i64::MAX));
            list.add_partition_offset(&self.clients.topic(door.as_str()), self.partition(), at)?;
        }
        consumer.assign(&list)
    }

    /// Reads what has come, at most a batch.
    fn read(&self, open: &mut Open) {
        let Some(consumer) = open.consumer.take() else { return };
        let mut read: BTreeMap<Door, Vec<Message>> = BTreeMap::new();
        let (mut wait, mut count, mut failed) = (POLL, 0, false);
        while count < BATCH
            && !failed
            && let Some(polled) = consumer.poll(wait)
        {
            wait = Duration::ZERO;
            count += 1;
            match polled {
                Ok(message) => self.take(&message, &mut open.doors, &mut read),
                Err(error) => failed = !self.is_passing(&error, &mut open.told),
            }
        }
        if !read.is_empty() {
            open.backoff.worked();
        }
        for (door, messages) in read {
            let Some(place) = open.doors.get(&door) else { continue };
            self.mailbox.post(Mail::Messages(open.generation, door, messages, place.next.max(place.decided)));
        }
        failed |= self.stands_still(open, &consumer);
        if failed {
            open.renew();
            return;
        }
        self.hold_back(open, &consumer);
        self.scout(open);
        open.consumer = Some(consumer);
    }

    /// Whether the client goes on by itself. What is refused is told, and may be granted again.
    fn is_passing(&self, error: &KafkaError, told: &mut Seldom) -> bool {
        let shard = self.reading.shard;
        match Trouble::of(error) {
            Trouble::End => {}
            _ if !is_passing(error) => {
                warn!(%error, shard, "kafka.inputs_failed: a new consumer goes on from the same place");
                return false;
            }
            _ => {
                if let Some(kept_back) = told.now() {
                    warn!(%error, shard, kept_back, "kafka.inputs_disturbed: the client tries again");
                }
            }
        }
        true
    }

    fn take(
        &self,
        message: &BorrowedMessage<'_>,
        doors: &mut BTreeMap<Door, Place>,
        read: &mut BTreeMap<Door, Vec<Message>>,
    ) {
        let Some(door) = Door::ALL.into_iter().find(|door| self.clients.is_topic(message.topic(), door.as_str()))
        else {
            return;
        };
        let Some(place) = doors.get_mut(&door) else { return };
        let at = offset(message.offset());
        place.heard = Instant::now();
        if at < place.next {
            return;
        }
        place.next = at + 1;
        let mut read_one = self.reading.read(door, &raw(message, at));
        if at < place.decided {
            // Read again only for where posts are.
            match read_one.content {
                Content::Event(area, event, _) if matches!(event.body, Body::Position(_)) => {
                    read_one.content = Content::Again(area, event);
                }
                _ => return,
            }
        }
        read.entry(door).or_default().push(read_one);
    }

    /// A long backlog is scouted to its end before anything ordinary of it is decided.
    fn scout_backlog(&self, open: &mut Open, end: u64) {
        let generation = open.generation;
        let Some(next) = open.doors.get(&Door::Reports).map(|place| place.next) else { return };
        if end.saturating_sub(next) > BACKLOG {
            open.scouting = Some(end);
            self.mailbox.post(Mail::Scouting(generation));
            self.scout.open(generation, next, end);
        }
    }

    /// While the shard is full the scout is out; it comes back when the reader has come to where it is.
    fn scout(&self, open: &mut Open) {
        let Some(next) = open.doors.get(&Door::Reports).map(|place| place.next) else { return };
        match open.scouting {
            Some(until) if !open.paused && next >= until.max(self.scout.next()) => {
                open.scouting = None;
                self.scout.close();
                // Whoever waits for its word waits no longer: all that it was to look at has been read.
                self.mailbox.post(Mail::Scouted(open.generation));
            }
            None if open.paused => {
                open.scouting = Some(0);
                self.scout.open(open.generation, next, u64::MAX);
            }
            _ => {}
        }
    }

    /// Pauses the reports while the shard is full, and takes them up again.
    fn hold_back(&self, open: &mut Open, consumer: &LogConsumer) {
        let full = !self.mailbox.has_room();
        if full == open.paused {
            return;
        }
        let mut reports = TopicPartitionList::new();
        reports.add_partition(&self.clients.topic(Door::Reports.as_str()), self.partition());
        let done = if full { consumer.pause(&reports) } else { consumer.resume(&reports) };
        match done {
            Ok(()) => open.paused = full,
            Err(error) => warn!(%error, shard = self.reading.shard, "kafka.pause_failed: trying again"),
        }
    }

    /// Whether a door stands still although its log goes on: seen after brokers were killed, without any error.
    fn stands_still(&self, open: &mut Open, consumer: &LogConsumer) -> bool {
        for (door, place) in &mut open.doors {
            if place.heard.elapsed() < WATCH_AFTER || (*door == Door::Reports && open.paused) {
                continue;
            }
            place.heard = Instant::now();
            let topic = self.clients.topic(door.as_str());
            // Who does not answer now is asked again later: the other doors are not held up by it.
            let Ok((_, end)) = consumer.fetch_watermarks(&topic, self.partition(), WATCH_ASK) else { continue };
            if offset(end) > place.next {
                let (shard, door, next) = (self.reading.shard, door.as_str(), place.next);
                warn!(shard, door, next, end, "kafka.input_stands_still: a new consumer goes on from the same place");
                return true;
            }
        }
        false
    }

    fn partition(&self) -> i32 {
        i32::try_from(self.reading.shard).unwrap_or(i32::MAX)
    }
}

pub(super) fn raw<'m>(message: &'m BorrowedMessage<'_>, offset: u64) -> Raw<'m> {
    let headers = message
        .headers()
        .map(|headers| headers.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect());
    Raw {
        offset,
        appended: Timestamp(message.timestamp().to_millis().unwrap_or_default()),
        key: message.key(),
        payload: message.payload(),
        headers: headers.unwrap_or_default(),
    }
}

pub(super) fn offset(signed: i64) -> u64 {
    u64::try_from(signed).unwrap_or(0)
}

/// Errors after which the client goes on by itself, and the watch sees when it does not.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    !matches!(Trouble::of(error), Trouble::Fatal | Trouble::OutOfRange)
}
