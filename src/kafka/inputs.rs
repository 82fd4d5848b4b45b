//! The thread that reads a shard's three input topics: fetch, decode, judge, hand over.
//!
//! It is told to begin at positions (a *generation*) or to stop; what it hands over carries the generation, so that a
//! word of an earlier one is known as such. Each door is taken by exact offset: what was handed over before is not
//! handed over again, whatever the client does after a broker's trouble. A watch compares each door's place with the end
//! of its log: a door that stands still although more is there gets a new consumer.
//!
//! Back-pressure pauses the reports (and only them): what posts and operators say always comes in.

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

/// Tells the thread what to do.
#[derive(Debug)]
pub struct Inputs {
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Order {
    Open(Generation, BTreeMap<Door, u64>),
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

    /// Reads from these positions on. What was handed over in an earlier generation is void.
    pub fn open(&self, generation: Generation, positions: BTreeMap<Door, u64>) {
        // The thread ends only when this handle does.
        let _ = self.orders.send(Order::Open(generation, positions));
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

struct Open {
    generation: Generation,
    consumer: LogConsumer,
    doors: BTreeMap<Door, Place>,
    paused: bool,
    scouting: bool,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    /// The next offset to be decided, as the shard said when it began.
    decided: u64,
    /// The next offset to be read.
    next: u64,
    heard: Instant,
}

impl Reader {
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            let order = match &self.open {
                Some(_) => orders.try_recv(),
                None => orders.recv().map_err(|_| TryRecvError::Disconnected),
            };
            match order {
                Ok(Order::Open(generation, positions)) => self.begin(generation, &positions),
                Ok(Order::Close) => self.close(),
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {}
            }
            if let Some(mut open) = self.open.take() {
                self.open = self.round(&mut open).then_some(open);
            }
        }
    }

    /// Asks where the logs are, until it is known or no longer wanted, and begins.
    fn begin(&mut self, generation: Generation, positions: &BTreeMap<Door, u64>) {
        self.close();
        let consumer = match self.clients.reader() {
            Ok(consumer) => consumer,
            Err(error) => {
                warn!(%error, shard = self.reading.shard, "kafka.inputs_unavailable");
                self.mailbox.say(Mail::Disturbed("no consumer"));
                return;
            }
        };
        match self.places(generation, &consumer, positions) {
            Ok((doors, end)) => {
                let open = Open { generation, consumer, doors, paused: false, scouting: false };
                if let Err(error) = self.assign(&open) {
                    warn!(%error, shard = self.reading.shard, "kafka.inputs_unavailable");
                    self.mailbox.say(Mail::Disturbed("no assignment"));
                    return;
                }
                info!(shard = self.reading.shard, generation, ?positions, "kafka.inputs_opened");
                self.open = Some(open);
                self.scout_backlog(generation, end);
            }
            Err(error) => {
                warn!(%error, shard = self.reading.shard, "kafka.inputs_unavailable");
                self.mailbox.say(Mail::Disturbed("inputs not reachable"));
            }
        }
    }

    fn places(
        &self,
        generation: Generation,
        consumer: &LogConsumer,
        positions: &BTreeMap<Door, u64>,
    ) -> Result<(BTreeMap<Door, Place>, u64), KafkaError> {
        let (mut doors, mut reports_end) = (BTreeMap::new(), 0);
        for door in Door::ALL {
            let topic = self.clients.topic(door.as_str());
            let (first, end) = consumer.fetch_watermarks(&topic, self.partition(), ASK)?;
            let (first, end) = (offset(first), offset(end));
            let known = positions.get(&door).copied();
            if let Some(known) = known.filter(|known| *known < first && *known > 0) {
                self.mailbox.say(Mail::Lost(generation, door, known));
            }
            self.mailbox.post(Mail::Opened(generation, door, first, end));
            if door == Door::Reports {
                reports_end = end;
            }
            let decided = known.unwrap_or(0).max(first);
            let next = if door == Door::Field { self.fresh(consumer, decided)?.max(first) } else { decided };
            doors.insert(door, Place { decided, next, heard: Instant::now() });
        }
        Ok((doors, reports_end))
    }

    /// Where the positions of posts that are still fresh begin, if that is before `decided`.
    fn fresh(&self, consumer: &LogConsumer, decided: u64) -> Result<u64, KafkaError> {
        let since = Timestamp(self.clock.now().0.saturating_sub_unsigned(POSITIONS_FRESH.0));
        let topic = self.clients.topic(Door::Field.as_str());
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(&topic, self.partition(), Offset::Offset(since.0))?;
        let told = consumer.offsets_for_times(asked, ASK)?;
        let place = told.elements().first().map(|element| (element.error(), element.offset()));
        match place {
            Some((Err(error), _)) => Err(error.into()),
            Some((Ok(()), Offset::Offset(first))) => Ok(offset(first).min(decided)),
            _ => Ok(decided),
        }
    }

    fn assign(&self, open: &Open) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for (door, place) in &open.doors {
            let at = Offset::Offset(i64::try_from(place.next).unwrap_or(i64::MAX));
            list.add_partition_offset(&self.clients.topic(door.as_str()), self.partition(), at)?;
        }
        open.consumer.assign(&list)
    }

    /// Reads what has come, at most a batch. Whether to go on.
    fn round(&self, open: &mut Open) -> bool {
        let mut read: BTreeMap<Door, Vec<Message>> = BTreeMap::new();
        let (mut wait, mut count) = (POLL, 0);
        while count < BATCH
            && let Some(polled) = open.consumer.poll(wait)
        {
            wait = Duration::ZERO;
            count += 1;
            match polled {
                Ok(message) => self.take(&message, &mut open.doors, &mut read),
                Err(error) if is_passing(&error) => {}
                Err(error) => {
                    warn!(%error, shard = self.reading.shard, "kafka.inputs_failed: a new consumer");
                    self.mailbox.say(Mail::Disturbed("inputs failed"));
                    return false;
                }
            }
        }
        for (door, messages) in read {
            let Some(place) = open.doors.get(&door) else { continue };
            self.mailbox.post(Mail::Messages(open.generation, door, messages, place.next.max(place.decided)));
        }
        self.hold_back(open);
        self.scout(open);
        self.watch(open)
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

    fn close(&mut self) {
        self.open = None;
        self.scout.close();
    }

    /// A long backlog is scouted to its end before anything ordinary of it is decided.
    fn scout_backlog(&mut self, generation: Generation, end: u64) {
        let Some(open) = &mut self.open else { return };
        let Some(next) = open.doors.get(&Door::Reports).map(|place| place.next) else { return };
        if end.saturating_sub(next) > BACKLOG {
            open.scouting = true;
            self.mailbox.post(Mail::Scouting(generation));
            self.scout.open(generation, next, end);
        }
    }

    /// While the shard is full the scout is out; it comes back when the reader has come to where it is.
    fn scout(&self, open: &mut Open) {
        let Some(next) = open.doors.get(&Door::Reports).map(|place| place.next) else { return };
        if open.scouting && !open.paused && next >= self.scout.next() {
            open.scouting = false;
            self.scout.close();
        } else if open.paused && !open.scouting {
            open.scouting = true;
            self.scout.open(open.generation, next, u64::MAX);
        }
    }

    /// Pauses the reports while the shard is full, and takes them up again.
    fn hold_back(&self, open: &mut Open) {
        let full = !self.mailbox.has_room();
        if full == open.paused {
            return;
        }
        let mut reports = TopicPartitionList::new();
        reports.add_partition(&self.clients.topic(Door::Reports.as_str()), self.partition());
        let done = if full { open.consumer.pause(&reports) } else { open.consumer.resume(&reports) };
        match done {
            Ok(()) => open.paused = full,
            Err(error) => warn!(%error, shard = self.reading.shard, "kafka.pause_failed: trying again"),
        }
    }

    /// A door that stands still although its log goes on: seen after brokers were killed, without any error.
    fn watch(&self, open: &mut Open) -> bool {
        for (door, place) in &mut open.doors {
            if place.heard.elapsed() < WATCH_AFTER || (*door == Door::Reports && open.paused) {
                continue;
            }
            place.heard = Instant::now();
            let topic = self.clients.topic(door.as_str());
            let Ok((_, end)) = open.consumer.fetch_watermarks(&topic, self.partition(), ASK) else { continue };
            if offset(end) > place.next {
                warn!(
                    shard = self.reading.shard,
                    door = door.as_str(),
                    next = place.next,
                    end,
                    "kafka.input_stands_still"
                );
                self.mailbox.say(Mail::Disturbed("an input stood still"));
                return false;
            }
        }
        true
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

/// Errors of a broker that comes back: the client goes on by itself, and the watch sees when it does not.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    !matches!(error, KafkaError::MessageConsumptionFatal(_))
        && !matches!(
            error.rdkafka_error_code(),
            Some(
                rdkafka::error::RDKafkaErrorCode::OffsetOutOfRange | rdkafka::error::RDKafkaErrorCode::AutoOffsetReset
            )
        )
}
