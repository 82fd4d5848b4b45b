//! An owner of all shards for a test, by the protocol's own machine: it takes inputs, decides them with the engines, and
//! appends one step for each. It can be told to wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use muster::decode::{Limits, decode_structured};
use muster::engine::Effect;
use muster::journal::log::{Action, Fold, Low, Owner, OwnerName, OwnerOptions, Phase, Record};
use muster::journal::{Consumed, Step, Taken};
use muster::kafka::Options;
use muster::kafka::areas::{Areas, Playbooks};
use muster::kafka::clients::{Clients, Reader};
use muster::kafka::inbox::Door;
use muster::kafka::logreader::LogReader;
use muster::kafka::partition::partition_of;
use muster::model::{CommandArea, Timestamp};
use muster::runtime::Clock;
use rdkafka::consumer::Consumer;
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

/// The thread; dropped, it ends.
pub struct Decider {
    holds: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Decider {
    /// Owns every shard from now on.
    pub fn start(options: &Options, name: &str, playbooks: Playbooks) -> Self {
        let (holds, ends) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (told, over, name, options) = (Arc::clone(&holds), Arc::clone(&ends), name.to_owned(), options.clone());
        let work = move || {
            let clients = Arc::new(Clients::new(options.clone()));
            let mut shards: Vec<Shard> =
                (0..options.partitions).map(|n| Shard::take(&clients, &options, &name, n, &playbooks)).collect();
            while !over.load(Ordering::Acquire) {
                for shard in &mut shards {
                    if told.load(Ordering::Acquire) {
                        std::thread::sleep(Duration::from_millis(5));
                    } else {
                        shard.decide_one();
                    }
                }
            }
        };
        Self { holds, ends, thread: Some(std::thread::spawn(work)) }
    }

    /// Decides nothing until it is let go.
    pub fn hold(&self, hold: bool) {
        self.holds.store(hold, Ordering::Release);
    }
}

impl Drop for Decider {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Hears where a record landed.
struct Landed;

impl ClientContext for Landed {}

impl ProducerContext for Landed {
    type DeliveryOpaque = Box<std::sync::mpsc::Sender<Option<(u64, Timestamp)>>>;

    fn delivery(&self, result: &rdkafka::message::DeliveryResult<'_>, tell: Self::DeliveryOpaque) {
        let landed =
            result.as_ref().ok().map(|m| (m.offset().cast_unsigned(), Timestamp(m.timestamp().to_millis().unwrap())));
        let _ = tell.send(landed);
    }
}

struct Shard {
    number: u32,
    owner: Owner,
    log: LogReader,
    journal: String,
    writer: BaseProducer<Landed>,
    inputs: Reader,
    topics: BTreeMap<String, Door>,
    positions: BTreeMap<Door, u64>,
    areas: Areas,
    clock: Clock,
}

impl Shard {
    fn take(clients: &Arc<Clients>, options: &Options, name: &str, number: u32, playbooks: &Playbooks) -> Self {
        let mine = |area: &CommandArea| partition_of(area.as_str().as_bytes(), options.partitions) == number;
        // A document that was not written for so long is written anew: often, so that the journal can be trimmed soon.
        let sweeping = OwnerOptions { sweep_age: 32, ..OwnerOptions::default() };
        let owner = Owner::new(OwnerName::new(&format!("{name}/{number}")), options.partitions, sweeping, 7);
        let writer = options.client(muster::kafka::Role::JournalProducer).unwrap().create_with_context(Landed).unwrap();
        let topics: BTreeMap<String, Door> =
            Door::ALL.into_iter().map(|door| (clients.topic(door.as_str()), door)).collect();
        let mut shard = Self {
            number,
            owner,
            log: LogReader::new(Arc::clone(clients), number),
            journal: clients.topic("journal"),
            writer,
            inputs: clients.reader().unwrap(),
            topics,
            positions: Door::ALL.into_iter().map(|door| (door, 0)).collect(),
            areas: Areas::restore(playbooks, mine, []).unwrap(),
            clock: Clock::wall(),
        };
        shard.owner.assign();
        while shard.owner.phase() != &Phase::Owning {
            shard.owner.tick(shard.clock.now());
            shard.carry_out(options.partitions);
        }
        let fold = shard.owner.fold();
        shard.areas = Areas::restore(playbooks, mine, fold.documents()).unwrap();
        for (door, next) in &mut shard.positions {
            *next = fold.positions().get(door.as_str()).copied().unwrap_or(0);
        }
        shard.assign();
        shard
    }

    fn partition(&self) -> i32 {
        i32::try_from(self.number).unwrap()
    }

    fn assign(&self) {
        let mut list = TopicPartitionList::new();
        for (topic, door) in &self.topics {
            let next = Offset::Offset(self.positions[door].cast_signed());
            list.add_partition_offset(topic, self.partition(), next).unwrap();
        }
        self.inputs.assign(&list).unwrap();
    }

    /// Does what the owner asks for.
    fn carry_out(&mut self, shards: u32) {
        while let Some(action) = self.owner.poll() {
            match action {
                Action::Restore => self.owner.restored(Ok(Fold::from(Low::default(), shards))),
                Action::Read { ticket, from } => {
                    let (first, end) = self.log.bounds().unwrap();
                    let mut next = from.max(first);
                    while next < end {
                        for stored in self.log.read(next, end).unwrap() {
                            next = stored.offset + 1;
                            let record = Record::decode(&stored.bytes).unwrap();
                            self.owner.read(ticket, stored.offset, stored.appended, &record);
                        }
                    }
                    self.owner.reached(ticket, first, end, self.clock.now());
                }
                Action::Append { token, record } => {
                    let landed = self.append(&record.encode());
                    self.owner.reported(token, landed);
                }
                Action::Accepted(step) => self.owner.emitted(step.number),
                Action::Hold(alarm) => panic!("shard {}: {alarm}", self.number),
                Action::Begin | Action::Drop(_) | Action::Released => {}
            }
        }
    }

    fn append(&self, bytes: &[u8]) -> Option<(u64, Timestamp)> {
        let (tell, told) = std::sync::mpsc::channel();
        let record: BaseRecord<'_, (), [u8], _> =
            BaseRecord::with_opaque_to(&self.journal, Box::new(tell)).partition(self.partition()).payload(bytes);
        self.writer.send(record).map_err(|(error, _)| error).unwrap();
        self.writer.flush(Duration::from_secs(30)).unwrap();
        told.recv().unwrap()
    }

    /// Takes the next input, if there is one, and makes a step of it.
    fn decide_one(&mut self) {
        let Some(Ok(message)) = self.inputs.poll(Duration::from_millis(5)) else { return };
        let (door, offset) = (self.topics[message.topic()], message.offset().cast_unsigned());
        let key = std::str::from_utf8(message.key().expect("the gate names the area")).unwrap();
        let area = CommandArea::from(key);
        let waits = message.headers().is_some_and(|all| all.iter().any(|header| header.key == "muster-reply"));
        let received = Timestamp(message.timestamp().to_millis().unwrap());
        let event = decode_structured(message.payload().unwrap(), received, &Limits::default()).unwrap().event;
        let at = self.clock.now().max(self.owner.fold().stand().at);
        let mut effects: Vec<Effect> = Vec::new();
        while !self.areas.advance(at, usize::MAX, &mut effects) {}
        let answer = self.areas.step(&area, at, event, None, &mut effects).expect("the gate found the right shard");
        self.positions.insert(door, offset + 1);
        let taken = Taken { door: door.as_str().into(), offset, at, answer: waits.then_some(answer) };
        let step = Step {
            number: self.owner.next_step(),
            at,
            positions: self.positions.iter().map(|(door, next)| (door.as_str().into(), *next)).collect(),
            documents: self.areas.take_changed(),
            effects,
            consumed: Consumed { taken: vec![taken], ..Consumed::default() },
        };
        self.owner.append(Arc::new(step));
        let began = Instant::now();
        while self.owner.in_flight() > 0 {
            assert!(began.elapsed() < Duration::from_secs(30), "the step is not accepted");
            self.carry_out(0);
        }
    }
}
