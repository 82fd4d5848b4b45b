//! A key lies where every Kafka client that is set to murmur2 puts it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use muster::kafka::Role;
use muster::kafka::partition::partition_of;
use muster::kafka::topics::{self, Topic};
use rdkafka::ClientContext;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::broker::Cluster;

/// Notes where each key landed.
#[derive(Default)]
struct Landed(Mutex<BTreeMap<Vec<u8>, i32>>);

impl ClientContext for Landed {}

impl ProducerContext for Landed {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let message = result.as_ref().unwrap();
        self.0.lock().unwrap().insert(message.key().unwrap().to_vec(), message.partition());
    }
}

#[test]
fn a_key_lands_where_we_say_by_the_library_too() {
    let Some(cluster) = Cluster::shared() else { return };
    let options = muster::kafka::Options { partitions: 14, ..super::options(cluster, "keys") };
    topics::create(&options).unwrap();
    let producer: ThreadedProducer<Landed> =
        options.client(Role::OutputProducer).unwrap().create_with_context(Landed::default()).unwrap();
    // Command areas as they are, keys of every length, and bytes that are no text.
    let areas = (4301..=4331).map(|area| area.to_string().into_bytes());
    let lengths = (1..64).map(|length| vec![b'k'; length]);
    let bytes = (0..=255_u8).map(|byte| vec![byte, 255 - byte, byte ^ 0x5a]);
    let keys: Vec<Vec<u8>> = areas.chain(lengths).chain(bytes).collect();
    let topic = options.topic(Topic::Orders);
    for key in &keys {
        producer.send(BaseRecord::to(&topic).key(key).payload("x")).map_err(|(why, _)| why).unwrap();
    }
    producer.flush(Duration::from_secs(20)).unwrap();
    let landed = producer.context().0.lock().unwrap();
    assert_eq!(landed.len(), keys.len());
    for (key, partition) in &*landed {
        assert_eq!(partition_of(key, 14), u32::try_from(*partition).unwrap(), "{key:?}");
    }
}
