//! Two nodes as processes, each with a door: whichever takes an event in, the owner decides it and the answer carries the
//! decision; when one dies, the other takes everything and shows everything.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::broker::Cluster;
use super::process::{Process, topics};
use super::reads::{another_playbook, minimal_playbook};

/// Where it listens, as it says itself.
async fn address(node: &Process) -> String {
    let began = Instant::now();
    loop {
        let log = node.log_now();
        let said =
            log.lines().rev().find_map(|line| line.split_once("listens on ").map(|(_, at)| at.trim().to_owned()));
        if let Some(address) = said {
            return address;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "it does not listen: {log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A node's door.
pub struct Door {
    pub base: String,
    pub client: Client,
}

impl Door {
    pub async fn to(node: &Process) -> Self {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(15)).build().unwrap();
        Self { base: address(node).await, client }
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        let response = self.client.get(format!("{}{path}", self.base)).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    pub async fn ready(&self) {
        let began = Instant::now();
        while self.get("/readyz").await.0 != StatusCode::OK {
            assert!(began.elapsed() < Duration::from_secs(120), "{}", self.get("/readyz").await.1);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn metrics(&self) -> String {
        self.client.get(format!("{}/metrics", self.base)).send().await.unwrap().text().await.unwrap()
    }

    /// Reports that this node counted as decided.
    async fn counted(&self) -> u64 {
        let text = self.metrics().await;
        let lines = text.lines().filter(|line| line.starts_with("muster_reports_total{"));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    }

    /// Sends a report until it is taken, as a producer does. Its incident, once it is decided.
    pub async fn report(&self, id: &str, place: &str) -> String {
        let data = json!({ "text": format!("商场冒烟 {id}"), "place": { "id": place } });
        let event =
            json!({ "specversion": "1.0", "type": "muster.report", "source": "110/desk-3", "id": id, "data": data });
        self.report_event(&event.to_string()).await
    }

    /// The same of an event as it stands.
    pub async fn report_event(&self, event: &str) -> String {
        let began = Instant::now();
        let mut see: Option<String> = None;
        loop {
            let answer = match &see {
                Some(see) => self.get(see).await,
                None => {
                    let request = self.client.post(format!("{}/v1/reports", self.base));
                    let request = request.header("content-type", "application/cloudevents+json").body(event.to_owned());
                    let response = request.send().await.unwrap();
                    (response.status(), response.json().await.unwrap())
                }
            };
            match answer {
                (_, told) if told["incident"].is_string() => return told["incident"].as_str().unwrap().to_owned(),
                (StatusCode::ACCEPTED, told) => see = told["see"].as_str().map(str::to_owned),
                (StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE, _) => {}
                (status, told) => panic!("{status}: {told}"),
            }
            assert!(began.elapsed() < Duration::from_secs(30), "not decided: {event}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_node_takes_an_event_in_the_answer_carries_the_decision() {
    let Some(cluster) = Cluster::start(1) else { return };
    topics(&cluster, 3);
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("8800");
    another_playbook(&other);
    let (home, other) = (minimal_playbook().display().to_string(), other.display().to_string());
    let more = [("MUSTER_PLAYBOOK_DIR", home.as_str()), ("MUSTER_KAFKA_PLAYBOOKS", other.as_str())];
    let mut nodes = ["a", "b"].map(|name| Process::new(&cluster, folder.path(), name, 3, &more));
    nodes.iter_mut().for_each(Process::start);
    let [a, b] = [Door::to(&nodes[0]).await, Door::to(&nodes[1]).await];
    a.ready().await;
    b.ready().await;

    let mut incidents = BTreeSet::new();
    let mut slowest = Duration::ZERO;
    for n in 0..40 {
        let (door, place) = (if n % 2 == 0 { &a } else { &b }, if n % 4 < 2 { "lotus-plaza" } else { "east-gate" });
        let began = Instant::now();
        incidents.insert(door.report(&format!("r{n}"), place).await);
        if n >= 10 {
            slowest = slowest.max(began.elapsed());
        }
    }
    assert_eq!(incidents.iter().map(|id| &id[..5]).collect::<Vec<_>>(), ["8800-", "9900-"], "{incidents:?}");
    println!("the slowest answer of thirty took {slowest:?}");

    // Every node shows everything; each happening is counted by one of them.
    let began = Instant::now();
    while a.counted().await + b.counted().await != 40 {
        assert!(began.elapsed() < Duration::from_secs(10), "{} and {}", a.counted().await, b.counted().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // One dies; whoever was sent to it comes to the other.
    nodes[0].kill();
    let began = Instant::now();
    for n in 40..60 {
        let place = if n % 2 == 0 { "lotus-plaza" } else { "east-gate" };
        let incident = b.report(&format!("r{n}"), place).await;
        assert!(incidents.contains(&incident), "{incident} is none of {incidents:?}");
    }
    println!("twenty more, across the take-over, took {:?}", began.elapsed());
    for id in &incidents {
        // The answer may be here a moment before the board is.
        let began = Instant::now();
        loop {
            let (status, told) = b.get(&format!("/v1/incidents/{id}")).await;
            assert_eq!(status, StatusCode::OK);
            let (reports, folded) = (told["reports_count"].as_u64().unwrap(), told["folded"].as_u64().unwrap());
            if reports + folded >= 30 {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(10), "{id}: {reports} reports, {folded} folded");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let text = b.metrics().await;
    assert!(text.contains("muster_gate_total{outcome=\"decided\"}"), "{text}");
    nodes[1].stop();
}
