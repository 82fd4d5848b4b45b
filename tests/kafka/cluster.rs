//! The ground itself: a broker of the tests takes what it is given and keeps it through a `kill -9`; a cluster goes on
//! without a node.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use super::broker::Cluster;

const TOPIC: &str = "things";

fn create(cluster: &Cluster, partitions: i32, copies: i32) {
    let admin: AdminClient<DefaultClientContext> = client(cluster).create().unwrap();
    let topic = NewTopic::new(TOPIC, partitions, TopicReplication::Fixed(copies));
    let made = admin.create_topics([&topic], &AdminOptions::new());
    let made = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(made);
    assert_eq!(made.unwrap(), [Ok(TOPIC.to_owned())]);
}

fn client(cluster: &Cluster) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.brokers()).set("acks", "all").set("enable.idempotence", "true");
    // By default a client waits for a frozen leader for a minute.
    config.set("socket.timeout.ms", "4000").set("request.timeout.ms", "4000");
    config
}

fn produce(cluster: &Cluster, numbers: std::ops::Range<u32>) {
    let producer: ThreadedProducer<DefaultProducerContext> = client(cluster).create().unwrap();
    for number in numbers {
        let text = number.to_string();
        producer.send(BaseRecord::to(TOPIC).partition(0).key("k").payload(&text)).map_err(|(why, _)| why).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

/// Everything in the partition, from its beginning.
fn consume(cluster: &Cluster, count: usize) -> Vec<u32> {
    // A name is asked for also by whoever is in no group.
    let consumer: BaseConsumer = client(cluster).set("group.id", "nobody").create().unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
    consumer.assign(&from).unwrap();
    let began = Instant::now();
    let mut found = Vec::new();
    while found.len() < count && began.elapsed() < Duration::from_secs(30) {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            found.push(std::str::from_utf8(message.payload().unwrap()).unwrap().parse().unwrap());
        }
    }
    found
}

#[test]
fn a_broker_keeps_what_it_took_through_a_kill() {
    let Some(mut cluster) = Cluster::start(1) else { return };
    create(&cluster, 2, 1);
    produce(&cluster, 0..100);
    assert_eq!(consume(&cluster, 100), (0..100).collect::<Vec<_>>());
    cluster.kill(1);
    cluster.restart(1);
    produce(&cluster, 100..200);
    assert_eq!(consume(&cluster, 200), (0..200).collect::<Vec<_>>());
}

#[test]
fn a_cluster_goes_on_without_a_node() {
    let Some(mut cluster) = Cluster::start(3) else { return };
    create(&cluster, 1, 3);
    produce(&cluster, 0..100);
    let leader = cluster.leader(TOPIC, 0);
    cluster.kill(leader);
    produce(&cluster, 100..200);
    assert_eq!(consume(&cluster, 200), (0..200).collect::<Vec<_>>());
    cluster.restart(leader);
    let other = leader % 3 + 1;
    cluster.freeze(other);
    produce(&cluster, 200..300);
    cluster.thaw(other);
    cluster.stop(other);
    assert_eq!(consume(&cluster, 300), (0..300).collect::<Vec<_>>());
}
