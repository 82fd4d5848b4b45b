//! A shard on a real broker: reports in, orders out, and nothing lost or decided twice when its owner goes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster::config::playbook::load_dir;
use muster::decode::Limits;
use muster::journal::Step;
use muster::journal::log::{Phase, Stand};
use muster::kafka::answers::Told;
use muster::kafka::areas::Playbooks;
use muster::kafka::clients::Clients;
use muster::kafka::folds::LogFolds;
use muster::kafka::group::Members;
use muster::kafka::node::{Node, NodeParts};
use muster::kafka::shard::{Depth, ShardOptions, Watch};
use muster::model::Millis;
use muster::runtime::Clock;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use super::broker::Cluster;

struct Quiet;

impl Watch for Quiet {
    fn phase(&self, shard: u32, phase: &Phase, stand: &Stand) {
        println!("shard {shard}: {phase:?} at {stand:?}");
    }
    fn accepted(&self, _: u32, _: &Arc<Step>, _: Duration) {}
    fn dropped(&self, shard: u32, why: &'static str) {
        println!("shard {shard}: dropped {why}");
    }
    fn depth(&self, _: u32, _: Depth) {}
    fn fired(&self, _: u32, _: Millis) {}
    fn forwarded(&self, _: u32) {}
}

impl Told for Quiet {
    fn accepted(&self, _: u32, _: &Arc<Step>) {}
}

pub fn create(cluster: &Cluster, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", cluster.brokers()).create().unwrap();
    let names: Vec<String> = [
        "reports",
        "field",
        "commands",
        "journal",
        "orders",
        "notices",
        "timeline",
        "rejected",
        "heads",
        "incidents",
        "posts",
    ]
    .map(|name| format!("muster.{name}"))
    .to_vec();
    let topics: Vec<NewTopic<'_>> = names
        .iter()
        .map(|name| {
            NewTopic::new(name, partitions, TopicReplication::Fixed(1)).set("message.timestamp.type", "LogAppendTime")
        })
        .collect();
    let options = AdminOptions::new();
    let made = admin.create_topics(topics.iter(), &options);
    let made = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(made).unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}

pub fn node(cluster: &Cluster, name: &str) -> Node {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/playbooks/hengyang");
    let playbook = Arc::new(load_dir(&root, None).unwrap());
    let options = muster::kafka::Options { partitions: 1, ..super::options(cluster, "muster") };
    let clients = Arc::new(Clients::new(options));
    Node::new(NodeParts {
        name: name.to_owned(),
        shards: 1,
        options: ShardOptions::default(),
        playbooks: Arc::new(Playbooks::new([playbook])),
        clients: Arc::clone(&clients),
        clock: Clock::wall(),
        limits: Limits::default(),
        watch: Arc::new(Quiet),
        told: Arc::new(Quiet),
        projections: true,
        trim_after: Millis::from_secs(86_400),
        folds: Arc::new(LogFolds::new(clients, 1, None)),
        chance: Instant::now().elapsed().as_nanos() as u64 + u64::from(std::process::id()),
    })
    .unwrap()
}

/// Every report is of this trace.
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn produce(cluster: &Cluster, numbers: std::ops::Range<u32>) {
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", cluster.brokers()).create().unwrap();
    for n in numbers {
        let text = format!(
            r#"{{"specversion":"1.0","type":"muster.report","source":"110/desk-3","id":"r{n}",
                "traceparent":"{TRACE}","data":{{
                "text":"商场冒烟 有明火","place":{{"position":{{"lon":{},"lat":{}}}}}}}}}"#,
            112.4 + f64::from(n % 40) * 0.01,
            26.6 + f64::from(n / 40) * 0.01
        );
        producer.send(BaseRecord::to("muster.reports").key("4304").payload(&text)).map_err(|(why, _)| why).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

/// What stands in a topic after so long a silence.
fn consume(cluster: &Cluster, topic: &str, quiet: Duration) -> Vec<serde_json::Value> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", cluster.brokers()).set("group.id", "test").create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut read = Vec::new();
    let mut heard = Instant::now();
    while heard.elapsed() < quiet {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            heard = Instant::now();
            read.push(serde_json::from_slice(message.payload().unwrap()).unwrap());
        }
    }
    read
}

#[test]
fn a_shard_goes_on_where_its_owner_left_off() {
    let Some(cluster) = Cluster::start(1) else { return };
    create(&cluster, 1);
    produce(&cluster, 0..200);
    let all = BTreeSet::from([0]);
    let first = node(&cluster, "a");
    first.assigned(&all);
    let told = consume(&cluster, "muster.timeline", Duration::from_secs(3));
    assert!(!told.is_empty());
    first.stop();
    produce(&cluster, 200..400);
    let second = node(&cluster, "b");
    second.assigned(&all);
    let timeline = consume(&cluster, "muster.timeline", Duration::from_secs(3));
    second.stop();
    let mut opened: BTreeMap<String, u32> = BTreeMap::new();
    for line in &timeline {
        if line["data"]["what"] == "opened" || line["data"]["what"] == "joined" {
            *opened.entry(line["data"]["by"]["id"].to_string() + &line["data"]["detail"].to_string()).or_default() += 1;
        }
    }
    let journal = consume(&cluster, "muster.journal", Duration::from_secs(1));
    let taken: Vec<u64> = journal
        .iter()
        .filter_map(|record| record["step"]["taken"].as_array())
        .flatten()
        .map(|taken| taken["o"].as_u64().unwrap())
        .collect();
    println!("{} timeline lines, {} records, {} taken", timeline.len(), journal.len(), taken.len());
    let mut sorted = taken.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..400).collect::<Vec<_>>(), "each report is decided once");
    let orders = consume(&cluster, "muster.orders", Duration::from_secs(1));
    assert!(orders.len() > 100, "{}", orders.len());
    assert!(orders.iter().all(|order| order["traceparent"] == TRACE), "an order carries its report's trace on");
}
