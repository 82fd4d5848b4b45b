//! Each role's client does on a real broker what its settings promise.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use muster::kafka::client::Context;
use muster::kafka::topics::{self, Topic};
use muster::kafka::{Options, Role};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::broker::Cluster;

/// Notes what became of each record, in the order of the reports.
#[derive(Default)]
struct Reports(Mutex<Vec<i64>>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.0.lock().unwrap().push(result.as_ref().unwrap().offset());
    }
}

fn append(options: &Options, texts: &[&str]) -> Vec<i64> {
    let producer: BaseProducer<Reports> =
        options.client(Role::JournalProducer).unwrap().create_with_context(Reports::default()).unwrap();
    let journal = options.topic(Topic::Journal);
    for text in texts {
        producer.send(BaseRecord::<(), _>::to(&journal).partition(1).payload(*text)).map_err(|(why, _)| why).unwrap();
    }
    producer.flush(Duration::from_secs(20)).unwrap();
    producer.context().0.lock().unwrap().clone()
}

fn reader(options: &Options, from: i64) -> BaseConsumer<Context> {
    let config = options.client(Role::JournalReader).unwrap();
    let reader: BaseConsumer<Context> = config.create_with_context(Context::new(options)).unwrap();
    let mut at = TopicPartitionList::new();
    at.add_partition_offset(&options.topic(Topic::Journal), 1, Offset::Offset(from)).unwrap();
    reader.assign(&at).unwrap();
    reader
}

/// Reads until the end, or until something goes wrong.
fn read(reader: &BaseConsumer<Context>) -> Result<Vec<String>, KafkaError> {
    let began = Instant::now();
    let mut texts = Vec::new();
    while began.elapsed() < Duration::from_secs(20) {
        match reader.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => texts.push(String::from_utf8_lossy(message.payload().unwrap()).into_owned()),
            Some(Err(KafkaError::PartitionEOF(1))) => return Ok(texts),
            Some(Err(other)) => return Err(other),
            None => {}
        }
    }
    panic!("neither an end nor an error within 20 s; so far {texts:?}");
}

#[test]
fn a_journal_is_appended_without_gaps_and_read_to_its_end() {
    let Some(cluster) = Cluster::shared() else { return };
    let options = super::options(cluster, "journal");
    topics::create(&options).unwrap();
    assert_eq!(append(&options, &["a", "b", "c"]), [0, 1, 2]);
    assert_eq!(append(&options, &["d"]), [3], "another producer goes on where the first ended");
    assert_eq!(read(&reader(&options, 0)).unwrap(), ["a", "b", "c", "d"]);
    assert_eq!(read(&reader(&options, 2)).unwrap(), ["c", "d"]);
    assert!(read(&reader(&options, 4)).unwrap().is_empty(), "the end is told also where nothing follows");
}

#[test]
fn a_position_that_is_not_there_is_an_error_and_never_the_beginning() {
    let Some(cluster) = Cluster::shared() else { return };
    let options = super::options(cluster, "positions");
    topics::create(&options).unwrap();
    append(&options, &["a", "b"]);
    let wrong = read(&reader(&options, 7)).unwrap_err();
    assert_eq!(wrong.rdkafka_error_code(), Some(RDKafkaErrorCode::AutoOffsetReset), "{wrong}");
}

#[test]
fn a_record_that_is_too_large_fails_at_once_and_alone() {
    let Some(cluster) = Cluster::shared() else { return };
    let options = super::options(cluster, "large");
    topics::create(&options).unwrap();
    let producer: BaseProducer<Reports> =
        options.client(Role::JournalProducer).unwrap().create_with_context(Reports::default()).unwrap();
    let journal = options.topic(Topic::Journal);
    let large = "x".repeat(1_100_000);
    let refused = producer.send(BaseRecord::<(), _>::to(&journal).partition(1).payload(&large)).unwrap_err().0;
    assert_eq!(refused.rdkafka_error_code(), Some(RDKafkaErrorCode::MessageSizeTooLarge));
    let largest = "x".repeat(512 * 1024);
    producer.send(BaseRecord::<(), _>::to(&journal).partition(1).payload(&largest)).map_err(|(why, _)| why).unwrap();
    producer.flush(Duration::from_secs(20)).unwrap();
    assert_eq!(*producer.context().0.lock().unwrap(), [0], "what may be as large as a record leaves");
}

#[test]
fn an_input_consumer_is_a_static_member_of_the_group() {
    let Some(cluster) = Cluster::shared() else { return };
    let options = Options { group: "members".into(), ..super::options(cluster, "members") };
    topics::create(&options).unwrap();
    let config = options.client(Role::Input).unwrap();
    let consumer: BaseConsumer<Context> = config.create_with_context(Context::new(&options)).unwrap();
    consumer.subscribe(&[&options.topic(Topic::Reports)]).unwrap();
    let began = Instant::now();
    while consumer.assignment().unwrap().count() == 0 && began.elapsed() < Duration::from_secs(20) {
        // Without positions and with `auto.offset.reset=error` each partition says that it does not know where to begin.
        let _ = consumer.poll(Duration::from_millis(50));
    }
    assert_eq!(consumer.assignment().unwrap().count(), 4);
    let groups = consumer.fetch_group_list(Some("members"), Duration::from_secs(10)).unwrap();
    let group = &groups.groups()[0];
    assert_eq!((group.protocol(), group.members().len()), ("cooperative-sticky", 1));
    assert_eq!(group.members()[0].client_id(), "muster-test-input");
}
