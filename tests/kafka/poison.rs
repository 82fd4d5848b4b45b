//! Poison: whatever stands in the topics that is no event of ours, in between good reports. Every good one is decided, every other
//! one is explained, and nothing of what it said gets out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::broker::Cluster;
use super::load::is_long;
use super::outside::{Audit, Reports, all, report, settle};
use super::process::{Process, topics};

/// In every poison that is of our making; it must not come out anywhere.
const CANARY: &str = "canary-7f3a";

/// One message, as a producer might send it.
#[derive(Clone, Debug)]
struct Poison {
    payload: Option<Vec<u8>>,
    headers: Vec<(&'static str, String)>,
    /// The id by which it is known if it should turn out to be an event of ours after all.
    id: Option<String>,
}

impl Poison {
    fn bare(payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: Some(payload.into()), headers: Vec::new(), id: None }
    }
}

fn data(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(folder);
    if !path.exists() {
        println!("SKIPPED: {} missing", path.display());
        return None;
    }
    Some(path)
}

/// The JSON test suite, each file once as it is and once as the data of a report.
fn hostile_json() -> Vec<Poison> {
    let Some(folder) = data("hostile-json/test_parsing") else { return Vec::new() };
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let read = |(n, path): (usize, &PathBuf)| {
        let bytes = fs::read(path).unwrap();
        let id = format!("h{n}");
        let head =
            format!(r#"{{"specversion":"1.0","type":"muster.report","source":"110/{CANARY}","id":"{id}","data":"#);
        let wrapped = [head.as_bytes(), &bytes, b"}"].concat();
        [Poison::bare(bytes), Poison { id: Some(id), ..Poison::bare(wrapped) }]
    };
    files.iter().enumerate().flat_map(read).collect()
}

/// What the makers of `CloudEvents` say is an event or is none; neither is one of ours.
fn cloudevents() -> Vec<Poison> {
    let Some(folder) = data("cloudevents/json") else { return Vec::new() };
    let mut found = Vec::new();
    for name in ["invalid-events", "valid-events", "invalid-batches", "valid-batches"] {
        let text = fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        let told: Value = serde_json::from_str(&text).unwrap();
        let cases = told["tests"].as_array().unwrap();
        found.extend(
            cases
                .iter()
                .map(|case| case.get("event").unwrap_or(&case["batch"]))
                .map(|case| Poison::bare(case.to_string())),
        );
    }
    found
}

/// What else can stand in a topic.
fn odd() -> Vec<Poison> {
    let headers = |list: &[(&'static str, &str)]| list.iter().map(|(k, v)| (*k, (*v).to_owned())).collect::<Vec<_>>();
    let event = |kind: &str, data: Value| {
        json!({ "specversion": "1.0", "type": kind, "source": CANARY, "id": "x", "data": data }).to_string()
    };
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    vec![
        Poison { payload: None, ..Poison::bare("") },
        Poison::bare(""),
        Poison::bare(vec![0_u8; 64]),
        Poison::bare((0..=255).collect::<Vec<u8>>()),
        Poison::bare(CANARY.repeat(20_000)),
        Poison::bare(deep),
        Poison::bare(event("muster.report", json!({ "text": CANARY.repeat(10_000) }))),
        Poison::bare(event("muster.report", json!([CANARY]))),
        Poison::bare(event("muster.report", json!({ "text": 7, "place": CANARY }))),
        Poison::bare(event("muster.report", json!({ "place": { "position": { "lon": 720, "lat": -91 } } }))),
        Poison::bare(event("muster.act", json!({ "post": "S-1", "act": "signed", "note": CANARY }))),
        Poison::bare(event("muster.command", json!({ "command": "confirm", "by": CANARY, "incident": "4304-1" }))),
        Poison::bare(event("muster.nothing", json!({ "text": CANARY }))),
        Poison { headers: headers(&[("content-type", "application/cloudevents-batch+json")]), ..Poison::bare("[]") },
        Poison { headers: headers(&[("content-type", "text/plain")]), ..Poison::bare(CANARY) },
        Poison { headers: headers(&[("ce_specversion", "1.0"), ("ce_type", "muster.report")]), ..Poison::bare("{}") },
        Poison {
            headers: headers(&[
                ("content-type", "application/json"),
                ("ce_specversion", "0.3"),
                ("ce_type", "muster.report"),
                ("ce_source", CANARY),
                ("ce_id", "y"),
            ]),
            ..Poison::bare("{}")
        },
    ]
}

/// All of it again and again, until there is so much.
fn poison(count: usize) -> Vec<Poison> {
    let kinds: Vec<Poison> = [odd(), cloudevents(), hostile_json()].concat();
    println!("{} kinds of poison", kinds.len());
    kinds.into_iter().cycle().take(count).collect()
}

#[test]
fn poison_is_explained_and_stops_nobody() {
    let Some(cluster) = Cluster::start(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    topics(&cluster, 1);
    let brokers = cluster.brokers();
    let poison = poison(if is_long() { 100_000 } else { 2_000 });
    let mut node = Process::new(&cluster, folder.path(), "a", 1, &[]);
    node.start();
    // One producer and one partition: what is sent as the n-th lies at offset n.
    let producer = Reports::to(&brokers);
    for (n, poison) in poison.iter().enumerate() {
        producer.raw("muster.reports", "4304", Some(report(n).as_bytes()), &[]);
        let headers: Vec<(&str, &str)> = poison.headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
        producer.raw("muster.reports", "4304", poison.payload.as_deref(), &headers);
    }
    producer.flush();
    settle(&brokers, Duration::from_secs(6), Duration::from_secs(if is_long() { 1_800 } else { 120 }));

    let audit = Audit::read(&brokers);
    audit.check(0..poison.len());
    let mut explained: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for (_, _, payload) in all(&brokers, "muster.rejected") {
        let text = String::from_utf8(payload).unwrap();
        assert!(!text.contains(CANARY), "what was sent got out: {text}");
        let event: Value = serde_json::from_str(&text).unwrap();
        let told = &event["data"];
        let origin = told["origin"].as_str().unwrap();
        let offset = origin.strip_prefix("muster.reports/0/").unwrap().parse().unwrap();
        let reason = told["reason"].as_str().unwrap();
        assert!(!reason.is_empty() && !told["detail"].as_str().unwrap().is_empty(), "{told}");
        *reasons.entry(reason.to_owned()).or_default() += 1;
        // A message that leaves twice is the same twice.
        explained.entry(offset).or_default().insert(text);
    }
    println!("{} messages are explained: {reasons:?}", explained.len());
    let mut accepted = 0;
    for (n, poison) in poison.iter().enumerate() {
        let offset = 2 * n as u64 + 1;
        let is_event = poison.id.as_ref().is_some_and(|id| audit.decided.contains_key(id));
        accepted += usize::from(is_event);
        let explained = explained.get(&offset).map_or(0, BTreeSet::len);
        assert_eq!(explained, usize::from(!is_event), "offset {offset}: {:?}", poison.id);
    }
    assert!(explained.keys().all(|offset| offset % 2 == 1), "a good report was refused");
    // Well-formed data with members that nobody knows is a report all the same; that is the smaller part.
    println!("{accepted} of {} were events after all", poison.len());
    assert!(accepted * 3 < poison.len());
    assert!(reasons.len() >= 4, "{reasons:?}");
    assert!(node.runs() && !node.log().contains(CANARY), "what was sent stands in the log");
    node.stop();
}
