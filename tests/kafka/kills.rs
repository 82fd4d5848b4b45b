//! Nodes that die, freeze and quarrel: every report is decided once, whatever happens to whoever decides.
//!
//! Short form: a few of each. `MUSTER_LONG=1`: as often as it takes to believe it. `MUSTER_SEED` repeats the moments.

use std::collections::BTreeSet;
use std::time::Duration;

use muster::model::Timestamp;
use serde_json::{Value, json};

use super::broker::Cluster;
use super::brokers::{fire, playbook};
use super::load::{Chance, Load, is_long, until};
use super::outside::{Audit, Reports, all, changes, settle};
use super::process::{Process, topics};

/// Whatever is waited for comes within this, on a machine that has other work.
const WITHIN: Duration = Duration::from_secs(60);

#[test]
fn a_node_that_is_killed_loses_nothing_and_decides_nothing_twice() {
    let Some(cluster) = Cluster::start(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    topics(&cluster, 1);
    let mut chance = Chance::new();
    let mut node = Process::new(&cluster, folder.path(), "a", 1, &[]);
    node.start();
    let load = Load::start(&cluster.brokers(), 100);
    let kills = if is_long() { 20 } else { 4 };
    for _ in 0..kills {
        std::thread::sleep(Duration::from_millis(chance.between(1_500, 5_000)));
        node.kill();
        std::thread::sleep(Duration::from_millis(chance.between(0, 1_500)));
        node.start();
    }
    std::thread::sleep(Duration::from_secs(3));
    let sent = load.end();
    settle(&cluster.brokers(), Duration::from_secs(4), Duration::from_secs(300));
    Audit::read(&cluster.brokers()).check(0..sent);
    assert!(node.runs());
    node.stop();
}

/// A node that is killed is replaced when its session is over; one that ends in order, at once. Whoever takes over has a copy
/// of the state at hand.
#[test]
fn another_node_takes_over_from_one_that_dies_and_from_one_that_leaves() {
    let Some(cluster) = Cluster::start(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    topics(&cluster, 1);
    let brokers = cluster.brokers();
    let mut nodes = ["a", "b"].map(|name| Process::new(&cluster, folder.path(), name, 1, &[]));
    nodes.iter_mut().for_each(Process::start);
    let load = Load::start(&brokers, 100);
    let owned = || changes(&brokers).len();
    until("an owner", WITHIN, || owned() > 0);
    std::thread::sleep(Duration::from_secs(6));
    let (mut died, mut left) = (Vec::new(), Vec::new());
    for _ in 0..if is_long() { 5 } else { 1 } {
        for dies in [true, false] {
            let (index, before) = (usize::from(owner(&brokers).starts_with("b/")), owned());
            if dies {
                nodes[index].kill();
            } else {
                println!("it left within {:?}", nodes[index].stop());
            }
            until("another owner", WITHIN, || owned() > before);
            let gap = changes(&brokers)[before].gap;
            println!("{} is followed after {gap:?}", if dies { "one that dies" } else { "one that leaves" });
            if dies {
                died.push(gap);
            } else {
                left.push(gap);
            }
            std::thread::sleep(Duration::from_secs(2));
            nodes[index].start();
            std::thread::sleep(Duration::from_secs(6));
        }
    }
    let sent = load.end();
    settle(&brokers, Duration::from_secs(4), Duration::from_secs(300));
    Audit::read(&brokers).check(0..sent);
    let warm: Vec<Duration> = nodes.iter().flat_map(|node| restores(&node.log())).collect();
    println!("from a warm copy to owning: {warm:?}");
    nodes.iter_mut().for_each(|node| _ = node.stop());
    if is_long() {
        assert!(died.iter().all(|gap| *gap <= Duration::from_secs(10)), "{died:?}");
        assert!(left.iter().all(|gap| *gap <= Duration::from_secs(1)), "{left:?}");
        assert!(warm.iter().all(|took| *took <= Duration::from_millis(500)), "{warm:?}");
    }
}

/// How long it took, each time, from the word that a shard is ours to deciding for it. A node logs its phases.
fn restores(log: &str) -> Vec<Duration> {
    let (mut since, mut took) = (None, Vec::new());
    for line in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let at = || Timestamp::parse(line["timestamp"].as_str().unwrap()).unwrap();
        match (line["message"].as_str(), line["phase"].as_str()) {
            (Some("kafka.phase"), Some("catching-up" | "claiming" | "restoring")) if since.is_none() => {
                since = Some(at());
            }
            (Some("kafka.phase"), Some("owning")) => {
                took.extend(since.take().map(|since| Duration::from_millis(at().since(since).0)));
            }
            (Some("kafka.phase"), Some("resting" | "following" | "held")) => since = None,
            _ => {}
        }
    }
    took
}

/// What a post did in time counts as done in time, also when nobody decides until long after.
#[test]
fn acts_that_arrive_while_nobody_decides_keep_the_marks_they_were_in_time_for() {
    const FIRES: usize = 8;
    let Some(cluster) = Cluster::start(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    topics(&cluster, 1);
    let limit = 12;
    playbook(&folder.path().join("9900"), limit);
    let home = folder.path().join("9900").display().to_string();
    let mut node = Process::new(&cluster, folder.path(), "a", 1, &[("MUSTER_PLAYBOOK_DIR", &home)]);
    node.start();
    let brokers = cluster.brokers();
    until("topics that a node has joined", WITHIN, || node.log().contains("kafka.took_over"));
    let reports = Reports::to(&brokers);
    (0..FIRES).for_each(|n| reports.put("muster.reports", "9900", 0, &fire(n)));
    reports.flush();
    let issued = || -> Vec<Value> {
        let orders = all(&brokers, "muster.orders");
        orders.iter().map(|(_, _, order)| serde_json::from_slice::<Value>(order).unwrap()["data"].clone()).collect()
    };
    let incidents =
        |orders: &[Value]| -> BTreeSet<String> { orders.iter().map(|order| order["incident"].to_string()).collect() };
    let waited = until("an order for each fire", Duration::from_secs(limit), || incidents(&issued()).len() == FIRES);
    node.kill();
    // Every second incident's posts sign, and nobody is there to hear it.
    let orders = issued();
    let signs = |order: &Value| !order["incident"].as_str().unwrap().ends_with(['1', '3', '5', '7', '9']);
    let signed: Vec<&Value> = orders.iter().filter(|order| signs(order)).collect();
    for (n, order) in signed.iter().enumerate() {
        let data = json!({ "order": order["id"], "post": order["post"], "act": "signed" });
        let act = json!({
            "specversion": "1.0", "type": "muster.act", "source": "terminal/1", "id": format!("s{n}"), "data": data,
        });
        reports.put("muster.field", "9900", 0, &act.to_string());
    }
    reports.flush();
    assert!(waited < Duration::from_secs(limit - 2), "they could not be signed in time: {waited:?}");
    std::thread::sleep(Duration::from_secs(limit + 3));
    node.start();
    until("that it goes on", WITHIN, || node.log_now().contains("kafka.took_over"));
    settle(&brokers, Duration::from_secs(4), Duration::from_secs(60));
    let audit = Audit::read(&brokers);
    audit.check(0..FIRES);
    let mark = |order: &Value| format!("{} \"signed\" {}", order["incident"], order["id"]);
    let missed = |order: &Value| audit.missed.contains_key(&format!("{} 1", mark(order)));
    for order in &signed {
        assert!(audit.kept.contains(&mark(order)) && !missed(order), "{} was signed in time", mark(order));
    }
    let silent: Vec<&Value> = orders.iter().filter(|order| !signs(order) && missed(order)).collect();
    // An order may be taken back for another incident's sake; the first one of an incident that nobody signs is missed.
    let first = silent.iter().filter(|order| order["id"].as_str().unwrap().ends_with("-1")).count();
    assert_eq!(first, FIRES / 2, "{:?}", audit.missed);
    for order in &silent {
        let mark = format!("{} 1", mark(order));
        assert!(audit.outage.contains_key(&mark), "{mark} was missed through our own outage");
    }
    println!("{} marks were kept while nobody decided, {} were missed", signed.len(), silent.len());
    node.stop();
}

/// Who owns the first shard.
fn owner(brokers: &str) -> String {
    changes(brokers).pop().map(|change| change.owner).unwrap_or_default()
}

/// A zombie: stopped for longer than its session, replaced, and awake again in the middle of what it was doing.
#[test]
fn a_node_that_wakes_up_after_its_session_decides_nothing() {
    let Some(cluster) = Cluster::start(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    topics(&cluster, 1);
    let mut nodes = ["a", "b"].map(|name| Process::new(&cluster, folder.path(), name, 1, &[]));
    nodes.iter_mut().for_each(Process::start);
    let load = Load::start(&cluster.brokers(), 100);
    std::thread::sleep(Duration::from_secs(6));
    for _ in 0..if is_long() { 4 } else { 1 } {
        let frozen = usize::from(owner(&cluster.brokers()).starts_with("b/"));
        nodes[frozen].freeze();
        std::thread::sleep(Duration::from_secs(15));
        nodes[frozen].thaw();
        std::thread::sleep(Duration::from_secs(8));
    }
    let sent = load.end();
    settle(&cluster.brokers(), Duration::from_secs(4), Duration::from_secs(300));
    for change in changes(&cluster.brokers()) {
        println!("epoch {} to {} after {:?}", change.epoch, change.owner, change.gap);
    }
    Audit::read(&cluster.brokers()).check(0..sent);
    nodes.iter_mut().for_each(|node| _ = node.stop());
}

/// Split brain: two nodes in two groups, each of which believes that all is its own.
#[test]
fn two_that_both_believe_to_own_a_shard_decide_everything_once() {
    let Some(cluster) = Cluster::start(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    topics(&cluster, 1);
    let mut nodes =
        ["a", "b"].map(|name| Process::new(&cluster, folder.path(), name, 1, &[("MUSTER_KAFKA_GROUP", name)]));
    let load = Load::start(&cluster.brokers(), 100);
    nodes.iter_mut().for_each(Process::start);
    std::thread::sleep(Duration::from_secs(if is_long() { 60 } else { 20 }));
    let sent = load.end();
    settle(&cluster.brokers(), Duration::from_secs(4), Duration::from_secs(300));
    let changes = changes(&cluster.brokers());
    println!("{} changes of owner", changes.len());
    Audit::read(&cluster.brokers()).check(0..sent);
    nodes.iter_mut().for_each(|node| _ = node.stop());
}
