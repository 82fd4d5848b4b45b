//! Muster seen from outside: reports go in with numbers of our own, and what comes out on the topics is counted. No part
//! of Muster is asked what it thinks it did.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

/// A producer of reports: each has a number, and a place far enough from its neighbours' that nothing is merged by chance.
pub struct Reports {
    producer: ThreadedProducer<DefaultProducerContext>,
}

impl Reports {
    pub fn to(brokers: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("enable.idempotence", "true").set("linger.ms", "2");
        // By default a frozen leader is waited for a minute, and one that was killed looked for ever more seldom.
        config
            .set("socket.timeout.ms", "4000")
            .set("request.timeout.ms", "4000")
            .set("reconnect.backoff.max.ms", "1000");
        Self { producer: config.create().unwrap() }
    }

    /// Sends the report of this number for a command area. Sent is not yet taken: see [`Reports::flush`].
    pub fn send(&self, area: &str, partition: i32, n: usize) {
        self.put("muster.reports", area, partition, &report(n));
    }

    /// Sends anything, as it is.
    pub fn put(&self, topic: &str, area: &str, partition: i32, text: &str) {
        loop {
            let record = BaseRecord::to(topic).partition(partition).key(area).payload(text);
            match self.producer.send(record) {
                Ok(()) => return,
                Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err((error, _)) => panic!("{error}"),
            }
        }
    }

    /// Sends bytes, or a tombstone, with headers.
    pub fn raw(&self, topic: &str, area: &str, payload: Option<&[u8]>, headers: &[(&str, &str)]) {
        loop {
            let all = headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
                all.insert(rdkafka::message::Header { key, value: Some(*value) })
            });
            let record = BaseRecord::<str, [u8]>::to(topic).partition(0).key(area).headers(all);
            let record = if let Some(payload) = payload { record.payload(payload) } else { record };
            match self.producer.send(record) {
                Ok(()) => return,
                Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err((error, _)) => panic!("{error}"),
            }
        }
    }

    /// Waits until the brokers have all of them.
    pub fn flush(&self) {
        self.producer.flush(Duration::from_secs(120)).unwrap();
    }
}

/// Every hundredth is a fire, the others are such as few posts are asked for.
pub fn report(n: usize) -> String {
    let (lon, lat) = (112.40 + 0.004 * (n % 100) as f64, 26.60 + 0.004 * (n / 100 % 100) as f64);
    report_at(n, lon, lat)
}

/// The same at a place of its own.
pub fn report_at(n: usize, lon: f64, lat: f64) -> String {
    let text = if n.is_multiple_of(100) { "商场冒烟 有明火" } else { "噪音扰民，请派人处理" };
    format!(
        r#"{{"specversion":"1.0","type":"muster.report","source":"110/desk-{}","id":"n{n}","data":{{"text":"{text}","place":{{"position":{{"lon":{lon:.4},"lat":{lat:.4}}}}}}}}}"#,
        n % 7
    )
}

/// Where a partition begins and ends. Asked again while its leader is being found.
fn bounds(consumer: &BaseConsumer, topic: &str, partition: i32) -> (i64, i64) {
    let began = Instant::now();
    loop {
        match consumer.fetch_watermarks(topic, partition, Duration::from_secs(2)) {
            Ok(told) => return told,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(90), "{topic}/{partition}: {error}"),
        }
        // The question sticks to a leader that is gone until somebody asks who leads now.
        let _ = consumer.fetch_metadata(Some(topic), Duration::from_secs(2));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Everything in all partitions of a topic, up to the ends that it has when asked.
pub fn all(brokers: &str, topic: &str) -> Vec<(i32, i64, Vec<u8>)> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "outside").set("fetch.wait.max.ms", "10");
    let consumer: BaseConsumer = config.create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(20)).unwrap();
    let mut list = TopicPartitionList::new();
    let mut missing = BTreeMap::new();
    for partition in metadata.topics()[0].partitions() {
        let (first, end) = bounds(&consumer, topic, partition.id());
        if end > first {
            missing.insert(partition.id(), end);
            list.add_partition_offset(topic, partition.id(), Offset::Offset(first)).unwrap();
        }
    }
    consumer.assign(&list).unwrap();
    let mut read = Vec::new();
    let began = Instant::now();
    while !missing.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(120), "{topic} could not be read to its end: {missing:?}");
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) else { continue };
        if missing.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
            missing.remove(&message.partition());
        }
        read.push((message.partition(), message.offset(), message.payload().unwrap_or_default().to_vec()));
    }
    read
}

/// What the topics say became of numbered reports.
#[derive(Debug, Default)]
pub struct Audit {
    /// Of each report (its id), the places in the journal at which it was decided.
    pub decided: BTreeMap<String, BTreeSet<u64>>,
    /// Of each order, the places at which it was issued.
    pub ordered: BTreeMap<String, BTreeSet<u64>>,
    /// Messages that came again under the same `rev` and said something else.
    pub differing: usize,
    /// Messages that came again and said the same.
    pub again: usize,
    /// Marks that were missed, by incident, mark, order and round, each with the places at which that was said.
    pub missed: BTreeMap<String, BTreeSet<u64>>,
    /// Those of them that fell due in an outage of our own, and how late they were found.
    pub outage: BTreeMap<String, String>,
    /// Marks that were reached in time, by incident, mark and order.
    pub kept: BTreeSet<String>,
    /// Lines of the timeline.
    pub lines: usize,
}

impl Audit {
    /// Reads the timeline and the orders.
    pub fn read(brokers: &str) -> Self {
        let mut audit = Self::default();
        let mut said: BTreeMap<(&str, u64), Vec<u8>> = BTreeMap::new();
        for topic in ["muster.timeline", "muster.orders", "muster.notices"] {
            for (_, _, payload) in all(brokers, topic) {
                let event: Value = serde_json::from_slice(&payload).unwrap();
                let rev = event["data"]["rev"].as_u64().unwrap();
                match said.get(&(topic, rev)) {
                    Some(before) if *before == payload => audit.again += 1,
                    Some(_) => audit.differing += 1,
                    None => {
                        if topic == "muster.timeline" {
                            audit.line(rev, &event["data"]);
                        }
                        said.insert((topic, rev), payload);
                    }
                }
            }
        }
        audit
    }

    fn line(&mut self, rev: u64, line: &Value) {
        self.lines += 1;
        let detail = &line["detail"];
        match line["what"].as_str().unwrap() {
            "opened" | "joined" | "folded" | "late-report" => {
                let id = detail["event"].as_str().unwrap().to_owned();
                self.decided.entry(id).or_default().insert(rev);
            }
            "ordered" => {
                let order = detail["order"].as_str().unwrap().to_owned();
                self.ordered.entry(order).or_default().insert(rev);
            }
            "kept" => {
                self.kept.insert(format!("{} {} {}", line["incident"], detail["mark"], detail["order"]));
            }
            "missed" => {
                let mark = format!("{} {} {} {}", line["incident"], detail["mark"], detail["order"], detail["round"]);
                if let Some(late) = detail["lateness"]["own-outage"].as_str() {
                    self.outage.insert(mark.clone(), late.to_owned());
                }
                self.missed.entry(mark).or_default().insert(rev);
            }
            _ => {}
        }
    }

    /// Reports of these numbers that nothing was decided about.
    pub fn lost(&self, numbers: impl IntoIterator<Item = usize>) -> Vec<usize> {
        numbers.into_iter().filter(|n| !self.decided.contains_key(&format!("n{n}"))).collect()
    }

    /// Reports that were decided, orders that were issued and marks that were missed more than once, with where.
    pub fn twice(&self) -> Vec<(&String, &BTreeSet<u64>)> {
        let more = |places: &BTreeSet<u64>| places.len() > 1;
        let reports = self.decided.iter().filter(|(_, places)| more(places));
        let said = self.ordered.iter().chain(&self.missed);
        reports.chain(said.filter(|(_, places)| more(places))).collect()
    }

    /// Fails unless all of these were decided, once, and every repeat said the same.
    pub fn check(&self, numbers: impl IntoIterator<Item = usize>) {
        let lost = self.lost(numbers);
        let twice = self.twice();
        println!(
            "decided {}, ordered {}, lines {}, repeats {}; lost {}, twice {}, differing {}",
            self.decided.len(),
            self.ordered.len(),
            self.lines,
            self.again,
            lost.len(),
            twice.len(),
            self.differing
        );
        assert!(lost.is_empty(), "lost: {:?}", &lost[..lost.len().min(20)]);
        assert!(twice.is_empty(), "decided twice: {:?}", &twice[..twice.len().min(20)]);
        assert_eq!(self.differing, 0, "a repeat said something else than the first");
    }
}

/// Waits until all reports are decided, as the journals tell, and for `quiet` after that, in which what was decided leaves;
/// at most for `at_most`. Marks go on being missed meanwhile.
pub fn settle(brokers: &str, quiet: Duration, at_most: Duration) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "outside").set("fetch.wait.max.ms", "10");
    let consumer: BaseConsumer = config.create().unwrap();
    let began = Instant::now();
    let (mut since, mut last) = (None, None);
    while began.elapsed() < at_most && since.is_none_or(|since: Instant| since.elapsed() < quiet) {
        std::thread::sleep(Duration::from_millis(250));
        last = undecided(&consumer);
        since = if last == Some(0) { since.or(Some(Instant::now())) } else { None };
    }
    println!("at rest after {:?}, {last:?} reports undecided", began.elapsed());
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Option<Vec<i32>> {
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(5)).ok()?;
    Some(metadata.topics().first()?.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect())
}

/// Reports beyond the position that the journal told last, in all shards.
fn undecided(consumer: &BaseConsumer) -> Option<i64> {
    let mut all = 0;
    for shard in partitions(consumer, "muster.reports")? {
        let end = consumer.fetch_watermarks("muster.reports", shard, Duration::from_secs(5)).ok()?.1;
        all += (end - position(consumer, shard)?).max(0);
    }
    Some(all)
}

/// The position of the reports in the newest record that says one; its last hundred records hold one, or it has none.
fn position(consumer: &BaseConsumer, shard: i32) -> Option<i64> {
    let (first, end) = consumer.fetch_watermarks("muster.journal", shard, Duration::from_secs(5)).ok()?;
    let (mut next, mut position) = (first.max(end - 100), 0);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("muster.journal", shard, Offset::Offset(next)).unwrap();
    consumer.assign(&list).ok()?;
    let began = Instant::now();
    while next < end {
        if began.elapsed() > Duration::from_secs(5) {
            return None;
        }
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) else { continue };
        next = message.offset() + 1;
        let record: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
        position = record["step"]["positions"]["reports"].as_i64().unwrap_or(position);
    }
    Some(position)
}

/// One change of owner as the journal tells it.
#[derive(Debug)]
pub struct Change {
    /// The new epoch.
    pub epoch: u64,
    /// Who has it.
    pub owner: String,
    /// From the last step of the owner before to the first of this one.
    pub gap: Duration,
}

/// The changes of owner of the first shard, in order.
pub fn changes(brokers: &str) -> Vec<Change> {
    history(brokers, 0).changes
}

/// What the journal of a shard tells of its owners.
#[derive(Debug, Default)]
pub struct History {
    /// Who came when.
    pub changes: Vec<Change>,
    /// The longest time in which nothing was decided. Under a steady load it is the longest in which nobody owned the shard.
    pub longest_gap: Duration,
    /// Steps that stand.
    pub steps: u64,
    /// And by whom, without what is new at every start.
    pub by_member: BTreeMap<String, u64>,
}

/// Reads the journal of a shard from its beginning.
pub fn history(brokers: &str, shard: i32) -> History {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "outside");
    let consumer: BaseConsumer = config.create().unwrap();
    let (first, end) = bounds(&consumer, "muster.journal", shard);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("muster.journal", shard, Offset::Offset(first)).unwrap();
    consumer.assign(&list).unwrap();
    let (mut told, mut last, mut stand) = (History::default(), None, (0, String::new(), 0));
    let (mut next, mut heard) = (first, Instant::now());
    while next < end {
        assert!(heard.elapsed() < Duration::from_secs(60), "the journal of shard {shard} is not read beyond {next}");
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(500)) else { continue };
        (next, heard) = (message.offset() + 1, Instant::now());
        let at = message.timestamp().to_millis().unwrap();
        let record: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
        let (epoch, owner) = (record["epoch"].as_u64().unwrap(), record["owner"].as_str().unwrap().to_owned());
        match record["kind"].as_str().unwrap() {
            "claim" if epoch > stand.0 => stand = (epoch, owner, stand.2),
            "step" if epoch == stand.0 && owner == stand.1 && record["step"]["number"] == stand.2 + 1 => {
                stand.2 += 1;
                let gap = Duration::from_millis(last.map_or(0, |last: i64| at - last).max(0).unsigned_abs());
                if told.changes.last().is_none_or(|change| change.epoch != epoch) {
                    told.changes.push(Change { epoch, owner: owner.clone(), gap });
                }
                let member = owner.split('/').next().unwrap_or_default().to_owned();
                *told.by_member.entry(member).or_default() += 1;
                told.longest_gap = told.longest_gap.max(gap);
                last = Some(at);
            }
            _ => {}
        }
    }
    told.steps = stand.2;
    told
}
