//! The scout: finds the bottom line in a backlog of reports, ahead of whoever decides them.
//!
//! A flood of ordinary reports fills the inbox, and reading stops; what is urgent would wait behind all of it. So a
//! second reader goes on from there to the end of the log, judges every report, keeps nothing but the bottom line, and hands that over
//! out of turn. What is decided so is remembered by its offset, so the reader that comes by later passes over it.
//!
//! Where a backlog is found at the very beginning, the shard decides no ordinary report before the scout has reached
//! the end that the log had then: that costs a small part of what the backlog itself will take, and no report of the bottom
//! line waits longer than it takes to read what stands before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use tracing::{info, warn};

use super::clients::{Clients, Reader};
use super::inbox::{Content, Door, Message};
use super::inputs::{is_passing, offset, raw};
use super::mailbox::{Generation, Mail, Mailbox};
use super::reading::Reading;
use crate::model::Lane;

/// Messages between two looks at what it is told.
const BATCH: usize = 4_096;
/// A fetch waits for at most so long.
const POLL: Duration = Duration::from_millis(20);

/// The scout of a shard.
#[derive(Debug)]
pub struct Scout {
    orders: Option<Sender<Order>>,
    next: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Order {
    Open { generation: Generation, from: u64, goal: u64 },
    Close,
}

impl Scout {
    /// A scout that rests.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn start(clients: Arc<Clients>, reading: Reading, mailbox: Arc<Mailbox>) -> std::io::Result<Self> {
        let (orders, ordered) = channel();
        let next = Arc::new(AtomicU64::new(0));
        let place = Arc::clone(&next);
        let name = format!("scout-{}", reading.shard);
        let work = move || Work { clients, reading, mailbox, next: place, open: None }.run(&ordered);
        let thread = std::thread::Builder::new().name(name).spawn(work)?;
        Ok(Self { orders: Some(orders), next, thread: Some(thread) })
    }

    /// Goes ahead from `from`, and says so when it has reached `goal`.
    pub fn open(&self, generation: Generation, from: u64, goal: u64) {
        self.next.store(from, Ordering::Release);
        self.say(Order::Open { generation, from, goal });
    }

    /// Rests.
    pub fn close(&self) {
        self.say(Order::Close);
    }

    /// The next offset that it will read.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    fn say(&self, order: Order) {
        // The thread ends only when this handle does.
        if let Some(orders) = &self.orders {
            let _ = orders.send(order);
        }
    }
}

impl Drop for Scout {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been told already.
            let _ = thread.join();
        }
    }
}

struct Work {
    clients: Arc<Clients>,
    reading: Reading,
    mailbox: Arc<Mailbox>,
    next: Arc<AtomicU64>,
    open: Option<Open>,
}

struct Open {
    generation: Generation,
    consumer: Reader,
    goal: u64,
    reached: bool,
}

impl Work {
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            let order = match &self.open {
                Some(_) => orders.try_recv(),
                None => orders.recv().map_err(|_| TryRecvError::Disconnected),
            };
            match order {
                Ok(Order::Open { generation, from, goal }) => self.begin(generation, from, goal),
                Ok(Order::Close) => self.open = None,
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {}
            }
            if let Some(mut open) = self.open.take() {
                match self.round(&mut open) {
                    Ok(()) => self.open = Some(open),
                    Err(error) => self.give_up(open.generation, &error),
                }
            }
        }
    }

    fn begin(&mut self, generation: Generation, from: u64, goal: u64) {
        let assign = || -> Result<Reader, KafkaError> {
            let consumer = self.clients.reader()?;
            let mut list = TopicPartitionList::new();
            let partition = i32::try_from(self.reading.shard).unwrap_or(i32::MAX);
            let at = Offset::Offset(i64::try_from(from).unwrap_or(i64::MAX));
            list.add_partition_offset(&self.clients.topic(Door::Reports.as_str()), partition, at)?;
            consumer.assign(&list)?;
            Ok(consumer)
        };
        match assign() {
            Ok(consumer) => {
                info!(shard = self.reading.shard, from, goal, "kafka.scout_out");
                self.open = Some(Open { generation, consumer, goal, reached: false });
            }
            Err(error) => self.give_up(generation, &error),
        }
    }

    /// Without a scout everything comes in its turn: later, but it comes.
    fn give_up(&mut self, generation: Generation, error: &KafkaError) {
        warn!(%error, shard = self.reading.shard, "kafka.scout_failed: the bottom line comes in its turn");
        self.open = None;
        self.next.store(u64::MAX, Ordering::Release);
        self.mailbox.say(Mail::Scouted(generation));
    }

    fn round(&self, open: &mut Open) -> Result<(), KafkaError> {
        let (mut urgent, mut wait) = (Vec::new(), POLL);
        let mut next = self.next.load(Ordering::Acquire);
        for _ in 0..BATCH {
            let Some(polled) = open.consumer.poll(wait) else { break };
            wait = Duration::ZERO;
            let message = match polled {
                Ok(message) => message,
                Err(error) if is_passing(&error) => continue,
                Err(error) => return Err(error),
            };
            let at = offset(message.offset());
            if at < next {
                continue;
            }
            next = at + 1;
            let read = self.reading.read(Door::Reports, &raw(&message, at));
            if is_urgent(&read) {
                urgent.push(read);
            }
        }
        if !urgent.is_empty() {
            self.mailbox.post(Mail::Ahead(open.generation, urgent));
        }
        self.next.store(next, Ordering::Release);
        if !open.reached && next >= open.goal {
            open.reached = true;
            info!(shard = self.reading.shard, next, "kafka.scout_reached_the_end");
            self.mailbox.post(Mail::Scouted(open.generation));
        }
        Ok(())
    }
}

fn is_urgent(message: &Message) -> bool {
    matches!(&message.content, Content::Event(_, _, Some(verdict)) if verdict.classification.lane == Lane::BottomLine)
}
