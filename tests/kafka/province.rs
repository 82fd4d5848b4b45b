//! The topology of a province: three brokers, two nodes, fourteen command areas, all of them processes. Both nodes decide,
//! either may die, and the sum is right. And nodes that come and go under load.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use muster::config::playbook::read_dir;
use muster::kafka::partition::partition_of;
use reqwest::StatusCode;

use super::broker::Cluster;
use super::doors::Door;
use super::load::{Load, is_long, until};
use super::outside::{Audit, Change, History, history, report_at, settle};
use super::process::{Process, topics};
use super::reads::minimal_playbook;

const AREAS: usize = 14;
const SHARDS: u32 = 8;
/// Nobody owns a shard for at most so long. The machine of a short run has other work.
const UNOWNED_SHORT: Duration = Duration::from_secs(30);
const UNOWNED_LONG: Duration = Duration::from_secs(10);
/// A node that decides for a province holds no more than this; a debug build, too.
const RESIDENT_MAX: u64 = 1 << 30;

fn area(k: usize) -> String {
    format!("77{k:02}")
}

/// Where the places of a command area begin, in degrees east.
fn east(k: usize) -> usize {
    70 + 3 * k
}

/// The smallest playbook again and again: for each command area with posts and places of other names, elsewhere.
fn playbooks(folder: &Path) -> Vec<String> {
    let files = read_dir(&minimal_playbook()).unwrap();
    let write = |k: usize| {
        let own = folder.join(area(k));
        fs::create_dir_all(&own).unwrap();
        for (name, text) in &files {
            let text =
                text.replace("\"9900\"", &format!("\"{}\"", area(k))).replace("[112.", &format!("[{}.", east(k)));
            let text =
                text.replace("[113.", &format!("[{}.", east(k) + 1)).replace("lotus-plaza", &format!("plaza-{k}"));
            let rename = |text: String, kind: &&str| text.replace(&format!("\"{kind}-"), &format!("\"{kind}{k}-"));
            let text = ["S", "P", "B", "H", "V"].iter().fold(text, rename);
            fs::write(own.join(name), text).unwrap();
        }
        own.display().to_string()
    };
    (0..AREAS).map(write).collect()
}

/// A report of each command area in turn, sent to the shard that holds the area.
fn load(brokers: &str, a_second: u32) -> Load {
    Load::of(brokers, a_second, |reports, n| {
        let (k, m) = (n % AREAS, n / AREAS);
        let (lon, lat) = (east(k) as f64 + 0.56 + 0.004 * (m % 80) as f64, 26.84 + 0.002 * (m / 80 % 60) as f64);
        let partition = i32::try_from(partition_of(area(k).as_bytes(), SHARDS)).unwrap();
        reports.put("muster.reports", &area(k), partition, &report_at(n, lon, lat));
    })
}

/// The shards that hold a command area: the others have nothing to do.
fn busy() -> Vec<i32> {
    let mut shards: Vec<i32> =
        (0..AREAS).map(|k| i32::try_from(partition_of(area(k).as_bytes(), SHARDS)).unwrap()).collect();
    shards.sort_unstable();
    shards.dedup();
    shards
}

/// What the journals tell, and that no shard was without an owner for too long.
fn owners(brokers: &str) -> BTreeMap<i32, History> {
    let told: BTreeMap<i32, History> = busy().into_iter().map(|shard| (shard, history(brokers, shard))).collect();
    for (shard, history) in &told {
        let change = |change: &Change| format!("{} after {:?}", change.owner.split('/').next().unwrap(), change.gap);
        let owners: Vec<_> = history.changes.iter().map(change).collect();
        println!(
            "shard {shard}: {} steps by {:?} in turn {owners:?}, the longest gap {:?}",
            history.steps, history.by_member, history.longest_gap
        );
    }
    told
}

fn check_gaps(told: &BTreeMap<i32, History>) {
    let longest = told.values().map(|history| history.longest_gap).max().unwrap();
    let most = if is_long() { UNOWNED_LONG } else { UNOWNED_SHORT };
    assert!(longest <= most, "a shard had no owner for {longest:?}");
}

fn check_memory(nodes: &[Process]) {
    for node in nodes {
        let resident = node.resident_bytes();
        println!("a node holds {} MiB", resident >> 20);
        assert!(resident < RESIDENT_MAX, "{resident} bytes");
    }
}

/// The incidents that a reader of this node sees.
async fn incidents(door: &Door) -> BTreeSet<String> {
    let (mut seen, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let (status, page) = door.get(&format!("/v1/incidents?limit=1000{cursor}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen,
        }
    }
}

/// The reports of all of them, added up; those that were folded are counted among them.
async fn sum(door: &Door, incidents: &BTreeSet<String>) -> u64 {
    let mut sum = 0;
    for id in incidents {
        let (status, told) = door.get(&format!("/v1/incidents/{id}")).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        sum += told["reports_count"].as_u64().unwrap();
    }
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn a_province_on_three_brokers_and_two_nodes_decides_everything_once_whoever_dies() {
    let Some(cluster) = Cluster::start(3) else { return };
    topics(&cluster, SHARDS);
    let folder = tempfile::tempdir().unwrap();
    let playbooks = playbooks(folder.path());
    let (home, others) = (playbooks[0].clone(), playbooks[1..].join(","));
    let more = [("MUSTER_PLAYBOOK_DIR", home.as_str()), ("MUSTER_KAFKA_PLAYBOOKS", others.as_str())];
    let mut nodes = ["a", "b"].map(|name| Process::new(&cluster, folder.path(), name, SHARDS, &more));
    nodes.iter_mut().for_each(Process::start);
    for node in &nodes {
        Door::to(node).await.ready().await;
    }
    let brokers = cluster.brokers();
    let load = load(&brokers, if is_long() { 700 } else { 70 });
    let both = |brokers: &str| {
        let mut members: Vec<String> = Vec::new();
        busy().into_iter().for_each(|shard| members.extend(history(brokers, shard).by_member.into_keys()));
        members.sort();
        members.dedup();
        members.len() == 2
    };
    println!("both decide after {:?}", until("that both decide", Duration::from_secs(60), || both(&brokers)));
    for _ in 0..if is_long() { 4 } else { 1 } {
        for node in &mut nodes {
            node.kill();
            std::thread::sleep(Duration::from_secs(if is_long() { 20 } else { 9 }));
            node.start();
            until("that it is a node again", Duration::from_secs(120), || node.log_now().contains("kafka.joined"));
            std::thread::sleep(Duration::from_secs(if is_long() { 20 } else { 6 }));
        }
    }
    let sent = load.end();
    settle(&brokers, Duration::from_secs(4), Duration::from_secs(300));
    Audit::read(&brokers).check(0..sent);
    let told = owners(&brokers);
    check_gaps(&told);
    check_memory(&nodes);
    let doors = [Door::to(&nodes[0]).await, Door::to(&nodes[1]).await];
    let (mut seen, mut total) = ([BTreeSet::new(), BTreeSet::new()], 0);
    for _ in 0..10 {
        seen = [incidents(&doors[0]).await, incidents(&doors[1]).await];
        total = sum(&doors[1], &seen[1]).await;
        if seen[0] == seen[1] && total == sent as u64 {
            break;
        }
        // A reader may be behind for a while.
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(total, sent as u64, "the reports of all incidents that a reader sees, added up");
    assert_eq!(seen[0], seen[1], "readers of either node see the same incidents");
    println!("{sent} reports were sent, and readers of either node see as many, in {} incidents", seen[0].len());
    nodes.iter_mut().for_each(|node| _ = node.stop());
}

#[test]
fn nodes_come_and_go_under_load_and_no_shard_is_long_without_an_owner() {
    let Some(cluster) = Cluster::start(1) else { return };
    topics(&cluster, SHARDS);
    let folder = tempfile::tempdir().unwrap();
    let playbooks = playbooks(folder.path());
    let (home, others) = (playbooks[0].clone(), playbooks[1..].join(","));
    let more = [("MUSTER_PLAYBOOK_DIR", home.as_str()), ("MUSTER_KAFKA_PLAYBOOKS", others.as_str())];
    let mut nodes: Vec<Process> =
        ["a", "b", "c"].iter().map(|name| Process::new(&cluster, folder.path(), name, SHARDS, &more)).collect();
    let brokers = cluster.brokers();
    nodes[0].start();
    let load = load(&brokers, if is_long() { 1_400 } else { 70 });
    let all_decide = || busy().into_iter().all(|shard| history(&brokers, shard).steps > 0);
    until("that all shards decide", Duration::from_secs(60), all_decide);
    let rest = Duration::from_secs(if is_long() { 60 } else { 7 });
    for node in &mut nodes[1..] {
        node.start();
        std::thread::sleep(rest);
    }
    check_memory(&nodes);
    for node in &mut nodes[..2] {
        println!("a node left within {:?}", node.stop());
        std::thread::sleep(rest);
    }
    let sent = load.end();
    settle(&brokers, Duration::from_secs(4), Duration::from_secs(300));
    check_memory(&nodes[2..]);
    Audit::read(&brokers).check(0..sent);
    let told = owners(&brokers);
    check_gaps(&told);
    let members = told.values().flat_map(|history| history.by_member.keys()).collect::<BTreeSet<_>>();
    assert_eq!(members.len(), 3, "each of the three decided: {members:?}");
    nodes[2].stop();
}
