//! Decided again: the journal's recorded inputs, at their recorded instants, through the engine of this process, come to the
//! same incidents, classes, posts, marks and ids, document by document and effect by effect.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use super::broker::Cluster;
use super::load::{Load, is_long};
use super::outside::{Audit, Reports, all, settle};
use super::process::{Process, topics};

/// Posts that do what they are ordered: they sign, go, arrive, say so, and are somewhere meanwhile.
struct Field {
    ends: Arc<AtomicBool>,
    said: Arc<AtomicUsize>,
    thread: std::thread::JoinHandle<()>,
}

impl Field {
    fn start(brokers: &str) -> Self {
        let (ends, said) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (told, count, brokers) = (Arc::clone(&ends), Arc::clone(&said), brokers.to_owned());
        let work = move || {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", &brokers).set("group.id", "field");
            let orders: BaseConsumer = config.create().unwrap();
            let mut list = TopicPartitionList::new();
            list.add_partition_offset("muster.orders", 0, Offset::Beginning).unwrap();
            orders.assign(&list).unwrap();
            let (field, mut stage, mut heard) = (Reports::to(&brokers), BTreeMap::new(), 0);
            while !told.load(Ordering::Acquire) {
                let Some(Ok(message)) = orders.poll(Duration::from_millis(50)) else { continue };
                let order: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
                let (id, post) = (order["data"]["id"].as_str().unwrap(), order["data"]["post"].as_str().unwrap());
                let known = stage.entry(id.to_owned()).or_insert(0);
                if *known > 0 || order["data"]["state"] != "issued" {
                    continue;
                }
                *known += 1;
                // Every fourth post says what it does; the others are silent, and their marks are missed.
                heard += 1;
                if heard % 4 != 0 {
                    continue;
                }
                let n = count.fetch_add(4, Ordering::AcqRel);
                let say = |k: usize, kind: &str, data: Value| {
                    let id = format!("f{}", n + k);
                    let event = json!({
                        "specversion": "1.0", "type": kind, "source": "terminal/1", "id": id, "data": data,
                    });
                    field.put("muster.field", "4304", 0, &event.to_string());
                };
                // Some decline, and somebody else has to go.
                let act = if n % 28 == 0 { "declined" } else { "signed" };
                say(0, "muster.act", json!({ "order": id, "post": post, "act": act }));
                let (lon, lat) = (112.55 + 0.001 * (n % 90) as f64, 26.85 + 0.001 * (n % 70) as f64);
                let fixed_at = muster::runtime::Clock::wall().now().to_rfc3339();
                let position = json!({ "lon": lon, "lat": lat });
                say(1, "muster.position", json!({ "post": post, "position": position, "fixed_at": fixed_at }));
                say(2, "muster.act", json!({ "order": id, "post": post, "act": "on_scene" }));
                say(3, "muster.act", json!({ "order": id, "post": post, "act": "cleared" }));
            }
            field.flush();
        };
        Self { ends, said, thread: std::thread::spawn(work) }
    }

    fn end(self) -> usize {
        self.ends.store(true, Ordering::Release);
        self.thread.join().unwrap();
        self.said.load(Ordering::Acquire)
    }
}

/// `muster journal verify`, and whether it found nothing.
fn verify(cluster: &Cluster, partitions: u32, more: &[(&str, &str)]) -> (bool, Value) {
    let ran = Command::new(env!("CARGO_BIN_EXE_muster"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["journal", "verify", "--text", "--json"])
        .env("MUSTER_KAFKA_BROKERS", cluster.brokers())
        .env("MUSTER_KAFKA_DEVELOPMENT", (cluster.size() < 3).to_string())
        .env("MUSTER_KAFKA_PARTITIONS", partitions.to_string())
        .envs(more.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let told = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&ran.stderr)));
    (ran.status.success(), told)
}

#[test]
fn everything_that_was_decided_is_decided_so_again() {
    let Some(cluster) = Cluster::start(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    topics(&cluster, 1);
    let brokers = cluster.brokers();
    let mut node = Process::new(&cluster, folder.path(), "a", 1, &[]);
    node.start();
    let field = Field::start(&brokers);
    let (wanted, a_second) = if is_long() { (200_000, 1_000) } else { (3_000, 250) };
    let load = Load::start(&brokers, a_second);
    // Half of them; then somebody else has to go on from what is recorded; then nobody is there for a while.
    let half = Duration::from_secs(u64::from(wanted / a_second / 2));
    std::thread::sleep(half);
    node.kill();
    node.start();
    std::thread::sleep(half / 2);
    node.freeze();
    std::thread::sleep(Duration::from_secs(3));
    node.thaw();
    std::thread::sleep(half / 2);
    let sent = load.end();
    settle(&brokers, Duration::from_secs(4), Duration::from_secs(300));
    let said = field.end();
    settle(&brokers, Duration::from_secs(2), Duration::from_secs(300));
    node.stop();
    Audit::read(&brokers).check(0..sent);
    let (good, told) = verify(&cluster, 1, &[]);
    let shard = &told["shards"][0];
    println!("{sent} reports, {said} words of posts: {shard}");
    assert!(good, "{shard:#}");
    assert_eq!((&shard["different"], &shard["beyond"]), (&json!(0), &json!(0)));
    // Every message of the three topics was taken once: a position, too.
    let inputs: usize =
        ["reports", "field", "commands"].iter().map(|door| all(&brokers, &format!("muster.{door}")).len()).sum();
    assert_eq!(shard["inputs"], json!(inputs));
    assert!(shard["claims"].as_u64().unwrap() >= 2, "{shard}");
}

/// Who has another playbook is told that, and which.
#[test]
fn a_journal_is_not_decided_again_by_another_playbook() {
    let Some(cluster) = Cluster::start(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    topics(&cluster, 1);
    let mut node = Process::new(&cluster, folder.path(), "a", 1, &[]);
    node.start();
    let load = Load::start(&cluster.brokers(), 50);
    std::thread::sleep(Duration::from_secs(2));
    let sent = load.end();
    settle(&cluster.brokers(), Duration::from_secs(3), Duration::from_secs(60));
    node.stop();
    Audit::read(&cluster.brokers()).check(0..sent);
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/playbooks/minimal");
    let ran = Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(["journal", "verify"])
        .env("MUSTER_KAFKA_BROKERS", cluster.brokers())
        .env("MUSTER_KAFKA_DEVELOPMENT", "true")
        .env("MUSTER_KAFKA_PARTITIONS", "1")
        .env("MUSTER_PLAYBOOK_DIR", other)
        .output()
        .unwrap();
    let why = String::from_utf8_lossy(&ran.stderr);
    assert!(!ran.status.success() && why.contains("4304") && why.contains("[kafka] playbooks"), "{why}");
}
