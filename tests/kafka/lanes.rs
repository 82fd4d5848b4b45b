//! The bottom line behind a backlog: a report that stands at the end of a long queue of ordinary ones is ordered within
//! the time that it takes to read them, not to decide them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use muster::kafka::group::Members;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use super::broker::Cluster;
use super::shard::{create, node};

/// An ordinary report: a nuisance at a known place.
fn ordinary(n: usize) -> String {
    format!(
        r#"{{"specversion":"1.0","type":"muster.report","source":"grid/{}","id":"o{n}","data":{{"text":"路边有人占道经营，噪音扰民，请派人处理","place":{{"position":{{"lon":112.60,"lat":26.89}}}}}}}}"#,
        n % 1000
    )
}

const URGENT: &str = r#"{"specversion":"1.0","type":"muster.report","source":"110/desk-3","id":"urgent","data":{
    "text":"商场冒烟 有明火 多人被困","place":{"id":"lotus-plaza"}}}"#;

fn backlog(cluster: &Cluster, ordinary_reports: usize) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.brokers()).set("linger.ms", "20").set("batch.size", "1000000");
    let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
    for n in 0..ordinary_reports {
        let text = ordinary(n);
        loop {
            match producer.send(BaseRecord::to("muster.reports").partition(0).key("4304").payload(&text)) {
                Ok(()) => break,
                Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err((error, _)) => panic!("{error}"),
            }
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    producer
        .send(BaseRecord::to("muster.reports").partition(0).key("4304").payload(URGENT))
        .map_err(|(e, _)| e)
        .unwrap();
    producer.flush(Duration::from_secs(60)).unwrap();
}

fn consumer(cluster: &Cluster, topic: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.brokers()).set("group.id", "test").set("fetch.wait.max.ms", "10");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    consumer
}

/// How long a bare consumer needs to read so many messages.
fn bare(cluster: &Cluster, messages: usize) -> Duration {
    let began = Instant::now();
    let consumer = consumer(cluster, "muster.reports");
    let mut read = 0;
    while read < messages {
        if let Some(Ok(_)) = consumer.poll(Duration::from_secs(1)) {
            read += 1;
        }
    }
    began.elapsed()
}

#[test]
fn the_bottom_line_behind_a_backlog_waits_for_its_reading_only() {
    let Some(cluster) = Cluster::start(1) else { return };
    let long = std::env::var_os("MUSTER_LONG").is_some();
    let backlog_reports = if long { 1_000_000 } else { 50_000 };
    create(&cluster, 1);
    backlog(&cluster, backlog_reports);
    let bare = [bare(&cluster, backlog_reports), bare(&cluster, backlog_reports)].into_iter().min().unwrap();
    let orders = consumer(&cluster, "muster.orders");
    let node = node(&cluster, "lanes");
    let began = Instant::now();
    node.assigned(&BTreeSet::from([0]));
    let ordered = loop {
        assert!(began.elapsed() < Duration::from_secs(120), "the report of the bottom line was not ordered");
        let Some(Ok(message)) = orders.poll(Duration::from_secs(1)) else { continue };
        let order: serde_json::Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
        if order["data"]["place"]["site"] == "lotus-plaza" {
            break began.elapsed();
        }
    };
    let ratio = ordered.as_secs_f64() / bare.as_secs_f64();
    println!(
        "{backlog_reports} reports: a bare consumer read them in {bare:?}, the order came after {ordered:?}, {ratio:.2} times that"
    );
    // What takes its constant time (opening, a claim) weighs little against a long backlog only, and a build for debugging
    // reads slower than it fetches.
    let most = if long && !cfg!(debug_assertions) { 2.0 } else { 60.0 };
    assert!(ratio <= most, "{ratio:.2}");
    node.stop();
}
