//! Nodes that die, freeze and quarrel: every report is decided once, whatever happens to whoever decides.
//!
//! Short form: a few of each. `MUSTER_LONG=1`: as often as it takes to believe it. `MUSTER_SEED` repeats the moments.

use std::time::Duration;

use super::broker::Cluster;
use super::load::{Chance, Load, is_long};
use super::outside::{Audit, changes, settle};
use super::process::{Process, topics};

#[test]
fn a_node_that_is_killed_loses_nothing_and_decides_nothing_twice() {
    let Some(cluster) = Cluster::start(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    topics(&cluster, 1);
    let mut chance = Chance::new();
    let mut node = Process::new(&cluster, folder.path(), "a", 1, &[]);
    node.start();
    let load = Load::start(&cluster.brokers(), 200);
    let kills = if is_long() { 20 } else { 4 };
    for _ in 0..kills {
        std::thread::sleep(Duration::from_millis(chance.between(1_500, 5_000)));
        node.kill();
        std::thread::sleep(Duration::from_millis(chance.between(0, 1_500)));
        node.start();
    }
    std::thread::sleep(Duration::from_secs(3));
    let sent = load.end();
    settle(&cluster.brokers(), Duration::from_secs(4), Duration::from_secs(120));
    Audit::read(&cluster.brokers()).check(0..sent);
    assert!(node.runs());
    node.stop();
}

/// A node that is killed is replaced when its session is over; one that ends in order, at once.
#[test]
fn another_node_takes_over_from_one_that_dies_and_from_one_that_leaves() {
    let Some(cluster) = Cluster::start(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    topics(&cluster, 1);
    let mut nodes = ["a", "b"].map(|name| Process::new(&cluster, folder.path(), name, 1, &[]));
    nodes.iter_mut().for_each(Process::start);
    let load = Load::start(&cluster.brokers(), 200);
    std::thread::sleep(Duration::from_secs(6));
    let rounds = if is_long() { 5 } else { 1 };
    for _ in 0..rounds {
        let owner = owner(&cluster.brokers());
        let index = usize::from(owner.starts_with("b/"));
        nodes[index].kill();
        std::thread::sleep(Duration::from_secs(12));
        nodes[index].start();
        std::thread::sleep(Duration::from_secs(8));
        let owner = self::owner(&cluster.brokers());
        let index = usize::from(owner.starts_with("b/"));
        println!("{owner} left within {:?}", nodes[index].stop());
        std::thread::sleep(Duration::from_secs(4));
        nodes[index].start();
        std::thread::sleep(Duration::from_secs(6));
    }
    let sent = load.end();
    settle(&cluster.brokers(), Duration::from_secs(4), Duration::from_secs(120));
    let changes = changes(&cluster.brokers());
    for change in &changes {
        println!("epoch {} to {} after {:?}", change.epoch, change.owner, change.gap);
    }
    Audit::read(&cluster.brokers()).check(0..sent);
    nodes.iter_mut().for_each(|node| _ = node.stop());
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
    let load = Load::start(&cluster.brokers(), 200);
    std::thread::sleep(Duration::from_secs(6));
    for _ in 0..if is_long() { 4 } else { 1 } {
        let frozen = usize::from(owner(&cluster.brokers()).starts_with("b/"));
        nodes[frozen].freeze();
        std::thread::sleep(Duration::from_secs(15));
        nodes[frozen].thaw();
        std::thread::sleep(Duration::from_secs(8));
    }
    let sent = load.end();
    settle(&cluster.brokers(), Duration::from_secs(4), Duration::from_secs(120));
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
    let load = Load::start(&cluster.brokers(), 200);
    nodes.iter_mut().for_each(Process::start);
    std::thread::sleep(Duration::from_secs(if is_long() { 60 } else { 20 }));
    let sent = load.end();
    settle(&cluster.brokers(), Duration::from_secs(4), Duration::from_secs(120));
    let changes = changes(&cluster.brokers());
    println!("{} changes of owner", changes.len());
    Audit::read(&cluster.brokers()).check(0..sent);
    nodes.iter_mut().for_each(|node| _ = node.stop());
}
