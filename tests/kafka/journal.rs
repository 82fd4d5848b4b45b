//! What keeps the journal and explains it: projections, trimming, `muster journal`, and a journal or an input that has lost
//! records.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use muster::config::playbook::load_dir;
use muster::decode::Limits;
use muster::engine::state::{Incident, PostRecord};
use muster::journal::log::{Alarm, Fold, OwnerOptions, Phase, Stand};
use muster::journal::{Step, own_key};
use muster::kafka::areas::Playbooks;
use muster::kafka::clients::Clients;
use muster::kafka::folds::LogFolds;
use muster::kafka::group::Members;
use muster::kafka::node::{Node, NodeParts};
use muster::kafka::shard::{Depth, Folds, ShardOptions, Watch};
use muster::model::{Millis, PostId};
use muster::runtime::Clock;
use muster::wire;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

use super::broker::Cluster;
use super::outside::{Audit, Reports, all, settle};
use super::process::{Process, topics};

/// Two command areas that live in two shards of two.
const AREAS: [(&str, i32); 2] = [("4304", 1), ("PS", 0)];

fn clients(cluster: &Cluster, partitions: u32) -> Arc<Clients> {
    let brokers = cluster.brokers().split(',').map(str::to_owned).collect();
    let (member, development) = ("test".to_owned(), true);
    Arc::new(Clients::new(muster::kafka::Options { brokers, member, development, partitions, ..Default::default() }))
}

fn fold(cluster: &Cluster, partitions: u32, shard: u32) -> Fold {
    LogFolds::new(clients(cluster, partitions), partitions, None).fold(shard).unwrap().unwrap()
}

/// Waits until it is so.
fn until(what: &str, within: u64, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(within), "not within {within} s: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// `muster journal …`.
fn journal(cluster: &Cluster, partitions: u32, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_muster"))
        .arg("journal")
        .args(args)
        .args(["--brokers", &cluster.brokers(), "--partitions", &partitions.to_string()])
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn bounds(cluster: &Cluster, topic: &str, partition: i32) -> (i64, i64) {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", cluster.brokers()).create().unwrap();
    consumer.fetch_watermarks(topic, partition, Duration::from_secs(20)).unwrap()
}

// In this process

/// Hears what shards come to.
#[derive(Default)]
struct Heard {
    phases: Mutex<BTreeMap<u32, Phase>>,
    trimmed: Mutex<Vec<(u32, u64)>>,
    dropped: AtomicUsize,
}

impl Heard {
    fn is(&self, shard: u32, what: impl Fn(&Phase) -> bool) -> bool {
        self.phases.lock().unwrap().get(&shard).is_some_and(what)
    }
}

impl Watch for Heard {
    fn phase(&self, shard: u32, phase: &Phase, _: &Stand) {
        self.phases.lock().unwrap().insert(shard, phase.clone());
    }
    fn accepted(&self, _: u32, _: &Arc<Step>, _: Duration) {}
    fn dropped(&self, _: u32, _: &'static str) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
    fn depth(&self, _: u32, _: Depth) {}
    fn fired(&self, _: u32, _: Millis) {}
    fn forwarded(&self, _: u32) {}
    fn trimmed(&self, shard: u32, first: u64, _: u64) {
        self.trimmed.lock().unwrap().push((shard, first));
    }
}

struct Nobody;

impl muster::kafka::answers::Told for Nobody {
    fn accepted(&self, _: u32, _: &Arc<Step>) {}
}

fn node(cluster: &Cluster, name: &str, options: ShardOptions, trim_after: Millis) -> (Node, Arc<Heard>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/playbooks/hengyang");
    let clients = clients(cluster, 1);
    let heard = Arc::new(Heard::default());
    let node = Node::new(NodeParts {
        name: name.to_owned(),
        shards: 1,
        options,
        playbooks: Arc::new(Playbooks::new([Arc::new(load_dir(&root, None).unwrap())])),
        clients: Arc::clone(&clients),
        clock: Clock::wall(),
        limits: Limits::default(),
        watch: Arc::clone(&heard) as _,
        told: Arc::new(Nobody),
        projections: true,
        trim_after,
        folds: Arc::new(LogFolds::new(clients, 1, None)),
        chance: u64::from(std::process::id()),
    })
    .unwrap();
    node.assigned(&[0].into());
    (node, heard)
}

#[test]
fn projections_are_what_the_documents_say_and_the_journal_explains_itself() {
    let Some(cluster) = Cluster::start(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    topics(&cluster, 1);
    let mut node = Process::new(&cluster, folder.path(), "a", 1, &[]);
    node.start();
    let reports = Reports::to(&cluster.brokers());
    (0..60).for_each(|n| reports.send("4304", 0, n));
    reports.flush();
    until("all are decided", 60, || Audit::read(&cluster.brokers()).lost(0..60).is_empty());
    settle(&cluster.brokers(), Duration::from_secs(2), Duration::from_secs(60));
    node.stop();

    let fold = fold(&cluster, 1, 0);
    let (mut incidents, mut posts) = (BTreeMap::new(), BTreeMap::new());
    for document in fold.documents() {
        let (area, own) = own_key(&document.key).unwrap();
        let body = document.body.as_deref().unwrap();
        match own.split_once('/') {
            Some(("incident", id)) => {
                let incident: Incident = serde_json::from_str(body).unwrap();
                incidents.insert(id.to_owned(), wire::incident(&incident));
            }
            Some(("post", id)) => {
                let post: PostRecord = serde_json::from_str(body).unwrap();
                posts.insert(format!("{area}:{id}"), wire::post(&PostId::from(id), &post));
            }
            _ => {}
        }
    }
    assert!(incidents.len() > 10 && posts.len() > 5, "{} incidents, {} posts", incidents.len(), posts.len());
    assert_eq!(projected(&cluster, "muster.incidents"), incidents);
    assert_eq!(projected(&cluster, "muster.posts"), posts);

    let (_, end) = bounds(&cluster, "muster.journal", 0);
    let page = said(&journal(&cluster, 1, &["show", "--shard", "0", "--from", "0"]));
    println!("{}", page.lines().take(30).collect::<Vec<_>>().join("\n"));
    let records = page.lines().filter(|line| line.starts_with("shard 0  offset ")).count();
    assert_eq!(records as i64, end);
    assert!(page.lines().filter(|line| line.starts_with("shard")).all(|line| line.ends_with("accepted")), "{page}");
    assert!(page.contains("claim") && page.contains("release") && page.contains("  took reports 0"), "{page}");
    assert!(page.contains(" opened ") && page.contains("documents: 4304:"), "{page}");
    assert!(!page.contains("噪音"), "what people wrote is shown only to who asks");
    assert!(said(&journal(&cluster, 1, &["show", "--from", "0", "--text"])).contains("噪音"));
    let told: Value = serde_json::from_slice(&journal(&cluster, 1, &["show", "--last", "3", "--json"]).stdout).unwrap();
    assert_eq!(told["shards"][0]["records"].as_array().unwrap().len(), 3);
    assert!(!told.to_string().contains("噪音"));

    let described = journal(&cluster, 1, &["describe", "--json"]);
    let told: Value = serde_json::from_slice(&described.stdout).unwrap();
    let shard = &told["shards"][0];
    assert!(described.status.success(), "{told}");
    assert_eq!(shard["documents"], fold.size().0);
    // The release came after the last head.
    assert!(shard["head_lag"].as_u64().unwrap() <= 1 && shard["alarm"].is_null(), "{told}");
}

/// The newest of each key of a compacted topic, without its `rev`.
fn projected(cluster: &Cluster, topic: &str) -> BTreeMap<String, Value> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", cluster.brokers()).set("group.id", "test").create().unwrap();
    let (first, end) = bounds(cluster, topic, 0);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(first)).unwrap();
    consumer.assign(&list).unwrap();
    let mut newest = BTreeMap::new();
    let mut next = first;
    while next < end {
        let Some(Ok(message)) = consumer.poll(Duration::from_secs(5)) else { panic!("{topic} ends at {end}") };
        next = message.offset() + 1;
        let key = String::from_utf8_lossy(message.key().unwrap()).into_owned();
        let Some(payload) = message.payload() else {
            newest.remove(&key);
            continue;
        };
        let mut event: Value = serde_json::from_slice(payload).unwrap();
        assert_eq!(event["specversion"], "1.0");
        let rev = event["data"].as_object_mut().unwrap().remove("rev").unwrap();
        assert!(rev.as_u64().unwrap() > 0);
        newest.insert(key, event["data"].take());
    }
    newest
}

#[test]
fn what_is_trimmed_is_not_missed() {
    let Some(cluster) = Cluster::start(1) else { return };
    topics(&cluster, 1);
    let owner = OwnerOptions { sweep_age: 32, ..OwnerOptions::default() };
    let options = ShardOptions { owner, inputs_max: 4, ..ShardOptions::default() };
    let (first, heard) = node(&cluster, "a", options.clone(), Millis::from_secs(1));
    let reports = Reports::to(&cluster.brokers());
    let mut sent = 0;
    until("the journal is trimmed", 120, || {
        (sent..sent + 20).for_each(|n| reports.send("4304", 0, n));
        reports.flush();
        sent += 20;
        heard.trimmed.lock().unwrap().len() >= 2
    });
    let begins = bounds(&cluster, "muster.journal", 0).0;
    println!("{sent} reports; the journal begins at {begins}; trimmed {:?}", heard.trimmed.lock().unwrap());
    assert!(begins > 0);
    settle(&cluster.brokers(), Duration::from_secs(3), Duration::from_secs(60));
    let documents = |fold: Fold| fold.documents().map(|d| (d.key, d.body)).collect::<BTreeMap<_, _>>();
    first.stop();
    let before = documents(fold(&cluster, 1, 0));
    let (second, heard) = node(&cluster, "b", options, Millis::from_secs(86_400));
    until("another owner goes on", 20, || heard.is(0, |phase| *phase == Phase::Owning));
    (sent..sent + 20).for_each(|n| reports.send("4304", 0, n));
    reports.flush();
    settle(&cluster.brokers(), Duration::from_secs(3), Duration::from_secs(60));
    second.stop();
    Audit::read(&cluster.brokers()).check(0..sent + 20);
    let after = documents(fold(&cluster, 1, 0));
    let gone = before.keys().filter(|key| key.contains("incident/") && !after.contains_key(*key)).count();
    assert_eq!(gone, 0, "no incident is forgotten");
}

#[test]
fn a_step_that_is_too_large_is_split_and_one_that_cannot_be_is_named() {
    let Some(cluster) = Cluster::start(1) else { return };
    topics(&cluster, 1);
    let reports = Reports::to(&cluster.brokers());
    (0..120).for_each(|n| reports.send("4304", 0, n));
    reports.flush();
    let options = ShardOptions { record_bytes_max: 30_000, ..ShardOptions::default() };
    let (node, heard) = node(&cluster, "a", options, Millis::from_secs(86_400));
    settle(&cluster.brokers(), Duration::from_secs(3), Duration::from_secs(90));
    let audit = Audit::read(&cluster.brokers());
    audit.check(0..120);
    let journal = all(&cluster.brokers(), "muster.journal");
    let largest = journal.iter().map(|(_, _, bytes)| bytes.len()).max().unwrap();
    println!("{} records, the largest of {largest} bytes", journal.len());
    assert!(largest <= 30_000 && heard.dropped.load(Ordering::Relaxed) > 0);
    node.stop();

    // Not even one report fits: nothing is decided, and the alarm names it.
    reports.send("4304", 0, 120);
    reports.flush();
    let options = ShardOptions { record_bytes_max: 1_000, ..ShardOptions::default() };
    let (narrow, heard) = self::node(&cluster, "b", options, Millis::from_secs(86_400));
    let names_it =
        |phase: &Phase| matches!(phase, Phase::Held(Alarm::Unfit(why)) if why.starts_with("offset 120 of reports"));
    until("the shard is held", 60, || heard.is(0, names_it));
    narrow.stop();
    assert_eq!(Audit::read(&cluster.brokers()).lost([120]), [120]);
    let (wide, _) = self::node(&cluster, "c", ShardOptions::default(), Millis::from_secs(86_400));
    until("a node that takes it decides it", 60, || Audit::read(&cluster.brokers()).lost([120]).is_empty());
    wide.stop();
}

// As processes, with a journal that is cut

/// Another playbook whose command area lives in the other shard.
fn second_playbook(folder: &Path) -> PathBuf {
    let (from, to) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("config/playbooks/harbour"), folder.join("PS"));
    fs::create_dir(&to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap().path();
        let text = fs::read_to_string(&file).unwrap();
        let text = text.replace("command_area = \"port-sable\"", "command_area = \"PS\"");
        fs::write(to.join(file.file_name().unwrap()), text).unwrap();
    }
    to
}

/// Cuts the log of a partition back to this part of its batches, as a disk does that forgot what it had confirmed. The
/// broker must not run.
fn cut(cluster: &Cluster, partition: &str, keep: f64) {
    let folder = cluster.folder().join("1/data").join(partition);
    let mut removed = 0;
    for file in fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()) {
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("log") => {
                let bytes = fs::read(&file).unwrap();
                let mut starts = Vec::new();
                let mut at = 0;
                // A batch: its first offset (8 bytes), the length of what follows (4 bytes), and that.
                while at + 12 <= bytes.len() {
                    let length = u32::from_be_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
                    if length == 0 {
                        break;
                    }
                    starts.push(at);
                    at += 12 + length;
                }
                let kept = (starts.len() as f64 * keep) as usize;
                removed += starts.len() - kept;
                let file = OpenOptions::new().write(true).open(&file).unwrap();
                file.set_len(starts[kept] as u64).unwrap();
            }
            Some("index" | "timeindex" | "snapshot") => fs::remove_file(&file).unwrap(),
            _ => {}
        }
    }
    println!("cut {removed} batches off {partition}");
    assert!(removed > 0);
}

/// A node with two areas in two shards, each with some reports that are decided.
fn two_shards(cluster: &Cluster, folder: &Path) -> (Process, Reports) {
    topics(cluster, 2);
    let second = second_playbook(folder).display().to_string();
    let mut node = Process::new(cluster, folder, "a", 2, &[("MUSTER_KAFKA_PLAYBOOKS", &second)]);
    node.start();
    let reports = Reports::to(&cluster.brokers());
    for (n, (area, partition)) in (0..40).zip(AREAS.into_iter().cycle()) {
        reports.send(area, partition, n);
    }
    reports.flush();
    until("all are decided", 60, || Audit::read(&cluster.brokers()).lost(0..40).is_empty());
    // A head is written within a second.
    std::thread::sleep(Duration::from_millis(1_500));
    (node, reports)
}

/// The shard with the damage is held and emits nothing, the other one goes on; once it is accepted, it goes on as well.
fn held_until_accepted(cluster: &Cluster, node: &Process, reports: &Reports, lost: &str) {
    until("the shard is held", 60, || node.said("kafka.held") > 0);
    reports.send("4304", 1, 100);
    reports.send("PS", 0, 101);
    reports.flush();
    until("the other shard goes on", 30, || Audit::read(&cluster.brokers()).lost([101]).is_empty());
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(Audit::read(&cluster.brokers()).lost([100]), [100], "nothing is decided in the held one");

    let refused = journal(cluster, 2, &["accept", "--shard", "1", "--reason", " ", "--yes"]);
    assert_eq!(refused.status.code(), Some(2));
    let unsure = journal(cluster, 2, &["accept", "--shard", "1", "--reason", "a disk forgot"]);
    println!("{}", said(&unsure));
    assert!(said(&unsure).contains(lost) && said(&unsure).contains("nothing was written"), "{}", said(&unsure));
    assert_eq!(Audit::read(&cluster.brokers()).lost([100]), [100]);

    let accept = ["accept", "--shard", "1", "--reason", "a disk forgot", "--by", "command/seat-1", "--yes"];
    let accepted = journal(cluster, 2, &accept);
    println!("{}", said(&accepted));
    assert!(accepted.status.success());
    until("the shard goes on", 60, || Audit::read(&cluster.brokers()).lost([100]).is_empty());
    let page = said(&journal(cluster, 2, &["show", "--shard", "1", "--last", "200"]));
    assert!(page.contains("by command/seat-1: a disk forgot"), "{page}");
    assert!(journal(cluster, 2, &["describe"]).status.success());
}

#[test]
fn a_journal_that_was_cut_is_held_until_it_is_accepted() {
    let Some(mut cluster) = Cluster::start(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut node, reports) = two_shards(&cluster, folder.path());
    let before = fold(&cluster, 2, 1).stand().step;
    node.kill();
    cluster.kill(1);
    cut(&cluster, "muster.journal-1", 0.6);
    cluster.restart(1);

    let described = journal(&cluster, 2, &["describe"]);
    println!("{}", said(&described));
    assert_eq!(described.status.code(), Some(1));
    assert!(said(&described).contains("HELD"), "{}", said(&described));
    node.start();
    held_until_accepted(&cluster, &node, &reports, "the head knows of them");
    assert!(fold(&cluster, 2, 1).stand().step > before, "no step number is given out twice");
    node.stop();
}

#[test]
fn an_input_that_was_cut_is_held_until_it_is_accepted() {
    let Some(mut cluster) = Cluster::start(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut node, reports) = two_shards(&cluster, folder.path());
    node.kill();
    cluster.kill(1);
    cut(&cluster, "muster.reports-1", 0.5);
    cluster.restart(1);
    node.start();
    held_until_accepted(&cluster, &node, &reports, "what comes takes their offsets");
    node.stop();
}

#[test]
fn an_input_that_was_trimmed_too_far_is_held_until_it_is_accepted() {
    let Some(cluster) = Cluster::start(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut node, reports) = two_shards(&cluster, folder.path());
    node.kill();
    (50..60).for_each(|n| reports.send("4304", 1, n));
    reports.flush();
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", cluster.brokers()).create().unwrap();
    let mut below = TopicPartitionList::new();
    let end = bounds(&cluster, "muster.reports", 1).1;
    below.add_partition_offset("muster.reports", 1, Offset::Offset(end - 2)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(admin.delete_records(&below, &AdminOptions::new())).unwrap();
    node.start();
    held_until_accepted(&cluster, &node, &reports, "never decided");
    assert_eq!(Audit::read(&cluster.brokers()).lost(50..60), (50..58).collect::<Vec<_>>(), "what is left is decided");
    node.stop();
}

/// Sets a property of a topic.
fn alter(cluster: &Cluster, topic: &str, name: &str, value: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", cluster.brokers()).create().unwrap();
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(name, value);
    let done = admin.alter_configs([&change], &AdminOptions::new());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(done).unwrap().iter().all(Result::is_ok));
}

#[test]
fn an_output_that_is_refused_holds_up_no_other_and_is_never_given_up() {
    let Some(cluster) = Cluster::start(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    topics(&cluster, 1);
    let mut node = Process::new(&cluster, folder.path(), "a", 1, &[]);
    node.start();
    let reports = Reports::to(&cluster.brokers());
    reports.send("4304", 0, 0);
    reports.flush();
    until("the node works", 60, || Audit::read(&cluster.brokers()).lost([0]).is_empty());
    // Not before: a node does not start on a topic that takes so little.
    alter(&cluster, "muster.notices", "max.message.bytes", "100");
    let before = all(&cluster.brokers(), "muster.notices").len();
    for n in 1..20 {
        reports.send("4304", 0, n);
        reports.flush();
    }
    until("orders leave the house", 60, || Audit::read(&cluster.brokers()).lost(0..20).is_empty());
    until("the refusal is told", 20, || node.said("kafka.output_refused") > 0);
    assert_eq!(all(&cluster.brokers(), "muster.notices").len(), before);
    assert!(node.said("kafka.output_refused") < 20, "a storm of errors is no storm of lines");
    alter(&cluster, "muster.notices", "max.message.bytes", "1048576");
    until("what waited leaves", 30, || all(&cluster.brokers(), "muster.notices").len() >= before + 19);
    node.stop();
    let page = said(&journal(&cluster, 1, &["show", "--last", "1"]));
    assert!(page.contains("release"), "{page}");
    Audit::read(&cluster.brokers()).check(0..20);
}
