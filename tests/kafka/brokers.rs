//! Brokers that die, freeze and come back under load: every report is decided once, and whoever reads meanwhile is told
//! how old what he sees is.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use muster::config::playbook::read_dir;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::broker::Cluster;
use super::doors::Door;
use super::load::{Load, is_long, until};
use super::outside::{Audit, Reports, all, history, settle};
use super::process::{Process, topics};
use super::reads::minimal_playbook;

/// Everything comes back within this, on a machine that has other work.
const BACK_WITHIN: Duration = Duration::from_secs(90);

/// Brokers, nodes, and reports that go in.
struct City {
    cluster: Cluster,
    nodes: Vec<Process>,
    load: Load,
    /// Removed when all else is gone.
    _folder: TempDir,
}

impl City {
    fn start(brokers: usize, nodes: &[&str]) -> Option<Self> {
        let cluster = Cluster::start(brokers)?;
        let folder = tempfile::tempdir().unwrap();
        topics(&cluster, 1);
        let node = |name: &&str| {
            let mut node = Process::new(&cluster, folder.path(), name, 1, &[]);
            node.start();
            node
        };
        let nodes = nodes.iter().map(node).collect();
        let load = Load::start(&cluster.brokers(), 100);
        let city = Self { cluster, nodes, load, _folder: folder };
        println!("decides after {:?}", city.goes_on());
        Some(city)
    }

    /// Waits until the shard takes steps, or takes them again.
    fn goes_on(&self) -> Duration {
        let brokers = self.cluster.brokers();
        let began = Instant::now();
        let steps = history(&brokers, 0).steps;
        until("the next steps", BACK_WITHIN, || history(&brokers, 0).steps > steps + 3);
        began.elapsed()
    }

    /// One trouble: what is done, how long it lasts, how it ends; and that the shard goes on after it.
    fn trouble(
        &mut self,
        what: &str,
        begin: impl FnOnce(&mut Cluster),
        lasts: Duration,
        end: impl FnOnce(&mut Cluster),
    ) {
        begin(&mut self.cluster);
        std::thread::sleep(lasts);
        end(&mut self.cluster);
        println!("{what}: goes on {:?} after it", self.goes_on());
    }

    /// Ends the load, waits until all is decided, and counts.
    fn end(mut self) {
        let sent = self.load.end();
        let brokers = self.cluster.brokers();
        settle(&brokers, Duration::from_secs(4), Duration::from_secs(300));
        let history = history(&brokers, 0);
        println!("{} steps, the longest gap between two {:?}", history.steps, history.longest_gap);
        for change in &history.changes {
            println!("epoch {} to {} after {:?}", change.epoch, change.owner, change.gap);
        }
        Audit::read(&brokers).check(0..sent);
        for node in &mut self.nodes {
            assert!(node.runs());
            node.stop();
        }
    }
}

fn journal_leader(cluster: &Cluster) -> usize {
    cluster.leader("muster.journal", 0)
}

#[test]
fn a_cluster_whose_leaders_die_and_freeze_decides_everything_once() {
    let Some(mut city) = City::start(3, &["a", "b"]) else { return };
    for _ in 0..if is_long() { 4 } else { 1 } {
        let leader = journal_leader(&city.cluster);
        city.trouble(
            "a leader is killed",
            |cluster| cluster.kill(leader),
            Duration::from_secs(5),
            |cluster| cluster.restart(leader),
        );
        let leader = journal_leader(&city.cluster);
        city.trouble(
            "a leader is frozen",
            |cluster| cluster.freeze(leader),
            Duration::from_secs(if is_long() { 15 } else { 8 }),
            |cluster| cluster.thaw(leader),
        );
    }
    city.end();
}

#[test]
fn a_cluster_that_is_restarted_node_by_node_decides_everything_once() {
    let Some(mut city) = City::start(3, &["a", "b"]) else { return };
    for _ in 0..if is_long() { 3 } else { 1 } {
        let rolling = |cluster: &mut Cluster| {
            for node in 1..=3 {
                cluster.stop(node);
                cluster.restart(node);
            }
        };
        city.trouble("a rolling restart", rolling, Duration::ZERO, |_| {});
    }
    city.end();
}

#[test]
fn a_cluster_that_loses_its_majority_decides_nothing_until_it_has_it_again() {
    let Some(mut city) = City::start(3, &["a", "b"]) else { return };
    for _ in 0..if is_long() { 3 } else { 1 } {
        let leader = journal_leader(&city.cluster);
        let other = leader % 3 + 1;
        city.trouble(
            "two brokers are down",
            |cluster| [leader, other].into_iter().for_each(|node| cluster.kill(node)),
            Duration::from_secs(if is_long() { 20 } else { 5 }),
            |cluster| {
                [leader, other].into_iter().for_each(|node| cluster.launch(node));
                cluster.await_ready();
            },
        );
    }
    city.end();
}

#[test]
fn the_only_broker_that_is_killed_again_and_again_costs_nothing_but_time() {
    let Some(mut city) = City::start(1, &["a"]) else { return };
    for _ in 0..if is_long() { 10 } else { 5 } {
        city.trouble(
            "the broker is killed",
            |cluster| cluster.kill(1),
            Duration::from_millis(500),
            |cluster| cluster.restart(1),
        );
    }
    city.end();
}

/// The smallest playbook, whose orders must be signed within so many seconds.
pub fn playbook(folder: &Path, sign_within_s: u64) {
    fs::create_dir_all(folder).unwrap();
    for (name, text) in read_dir(&minimal_playbook()).unwrap() {
        fs::write(folder.join(name), text.replace("limit = \"60s\"", &format!("limit = \"{sign_within_s}s\"")))
            .unwrap();
    }
}

pub fn fire(n: usize) -> String {
    let (lon, lat) = (112.56 + 0.005 * (n % 20) as f64, 26.86 + 0.005 * (n / 20) as f64);
    json!({
        "specversion": "1.0", "type": "muster.report", "source": "110/desk-3", "id": format!("n{n}"),
        "data": { "text": "商场冒烟 有明火", "place": { "position": { "lon": lon, "lat": lat } } },
    })
    .to_string()
}

/// What a read says, and how old it says that is.
async fn seen(door: &Door) -> (StatusCode, usize, u64) {
    let response = door.client.get(format!("{}/v1/incidents", door.base)).send().await.unwrap();
    let age = response.headers()["muster-picture-age-ms"].to_str().unwrap().parse().unwrap();
    let (status, told) = (response.status(), response.json::<Value>().await.unwrap());
    (status, told["items"].as_array().unwrap().len(), age)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_brokers_readers_are_told_the_age_and_what_fell_due_fires_once_marked_late() {
    const FIRES: usize = 12;
    let Some(mut cluster) = Cluster::start(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    topics(&cluster, 1);
    let away = Duration::from_secs(if is_long() { 60 } else { 15 });
    // All of them fall due while nobody is there to fire them: the marks begin no earlier than the last fire, and end before
    // the brokers are back.
    let limit = away.as_secs() * 2 / 3;
    playbook(&folder.path().join("9900"), limit);
    let home = folder.path().join("9900").display().to_string();
    let mut node = Process::new(&cluster, folder.path(), "a", 1, &[("MUSTER_PLAYBOOK_DIR", &home)]);
    node.start();
    let door = Door::to(&node).await;
    door.ready().await;
    let reports = Reports::to(&cluster.brokers());
    (0..FIRES).for_each(|n| reports.put("muster.reports", "9900", 0, &fire(n)));
    reports.flush();
    let began = Instant::now();
    while seen(&door).await.1 < FIRES {
        assert!(began.elapsed() < Duration::from_secs(limit), "they are not decided in time for this test");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.kill(1);

    let gone = Instant::now();
    let mut oldest = 0;
    let mut refused = 0;
    while gone.elapsed() < away {
        let (status, incidents, age) = seen(&door).await;
        assert_eq!((status, incidents), (StatusCode::OK, FIRES), "what was decided stays readable");
        // The last answer may have come a moment before the end.
        let least = u64::try_from(gone.elapsed().as_millis()).unwrap().saturating_sub(2_000);
        assert!(age + 500 >= least, "the picture is {age} ms old, and the brokers are away for {least} ms at least");
        oldest = oldest.max(age);
        let asked = Instant::now();
        let request = door.client.post(format!("{}/v1/reports", door.base));
        let request = request.header("content-type", "application/cloudevents+json").body(fire(FIRES));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key("retry-after"));
        assert!(asked.elapsed() < Duration::from_secs(12), "turned away only after {:?}", asked.elapsed());
        refused += 1;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("away for {away:?}: {refused} events were turned away, the picture became {oldest} ms old");
    cluster.restart(1);
    // Who was turned away comes again; it may have been kept after all, which does no harm.
    let incident = door.report_event(&fire(FIRES)).await;
    println!("{:?} after the brokers left, {incident} is decided", gone.elapsed());
    settle(&cluster.brokers(), Duration::from_secs(4), Duration::from_secs(60));
    let audit = Audit::read(&cluster.brokers());
    audit.check(0..=FIRES);
    let signed: Vec<_> = audit.outage.iter().filter(|(mark, _)| mark.contains("\"signed\"")).collect();
    println!("{} marks were found due only after our own outage: {:?}", audit.outage.len(), signed.first());
    let missed = audit.missed.keys().filter(|mark| mark.contains("\"signed\"")).count();
    // The one that came after the brokers were back may have missed a mark of its own by now.
    let after = audit.missed.keys().filter(|mark| mark.contains(&incident) && mark.contains("\"signed\"")).count();
    assert!(signed.len() >= FIRES, "each order of {FIRES} incidents went unsigned: {:?}", audit.missed);
    assert_eq!(signed.len(), missed - after, "all that fell due meanwhile is marked late: {:?}", audit.missed);
    let (_, _, age) = seen(&door).await;
    assert!(age < 5_000, "the picture is {age} ms old, and the brokers are back");
    let outages = all(&cluster.brokers(), "muster.timeline")
        .iter()
        .filter(|(_, _, line)| serde_json::from_slice::<Value>(line).unwrap()["data"]["what"] == "outage")
        .count();
    assert!(outages > 0, "the outage itself is said");
    node.stop();
}
