//! Show 1, its second half: the process is killed in the middle. Afterwards every healthy target has everything, and what
//! it hears twice it hears under the same id, with the same words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use reqwest::Client;
use serde_json::{Value, json};

use crate::outside::{Health, Outside, until};

fn start(folder: &Path) -> (Child, String) {
    let playbook = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/playbooks/minimal");
    let mut child = Command::new(env!("CARGO_BIN_EXE_muster"))
        .current_dir(folder)
        .env_clear()
        .args(["run", "--playbook"])
        .arg(playbook)
        .env("MUSTER_HTTP_LISTEN", "127.0.0.1:0")
        .env("MUSTER_WEBHOOK_TARGETS", "targets.toml")
        .env("MUSTER_WEBHOOK_TYPES", "order,notice")
        .env("MUSTER_WEBHOOK_ALLOW_PRIVATE", "127.0.0.0/8")
        .env("MUSTER_WEBHOOK_RETRY", "0s,50ms,100ms")
        .env("MUSTER_WEBHOOK_TIMEOUT", "2s")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let base = line.trim().rsplit_once(' ').expect("a line that ends with the address").1.to_owned();
    (child, base)
}

/// A report of its own place, so that it opens an incident of its own.
async fn report(client: &Client, base: &str, n: u32) {
    let place =
        json!({ "position": { "lon": 112.58 + 0.02 * f64::from(n % 8), "lat": 26.86 + 0.02 * f64::from(n / 8) } });
    let event = json!({ "specversion": "1.0", "type": "muster.report", "source": "110/desk", "id": format!("k{n}"),
        "data": { "text": "有人晕倒", "place": place } });
    let request = client.post(format!("{base}/v1/reports")).header("content-type", "application/cloudevents+json");
    let answer = request.body(event.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 202);
}

/// Every item of a list, by its id.
async fn ids(client: &Client, base: &str, list: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let text =
            client.get(format!("{base}/v1/{list}?limit=1000{cursor}")).send().await.unwrap().text().await.unwrap();
        let told: Value = serde_json::from_str(&text).unwrap();
        ids.extend(told["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match told["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_in_the_middle_nothing_is_missed_and_repeats_carry_the_same_id() {
    let folder = tempfile::tempdir().unwrap();
    let mut targets = Vec::new();
    let health =
        [Health::Well, Health::Well, Health::Well, Health::Well, Health::Broken, Health::Hangs, Health::Resets];
    for health in health {
        targets.push(Outside::listen(health).await);
    }
    let well = &targets[..4];
    let mut text = String::new();
    for (n, target) in targets.iter().enumerate() {
        write!(text, "[[target]]\nname = \"t-{n}\"\nurl = \"{}\"\n", target.url()).unwrap();
    }
    std::fs::write(folder.path().join("targets.toml"), text).unwrap();
    let client = Client::builder().no_proxy().build().unwrap();

    let (mut child, base) = start(folder.path());
    for n in 0..24 {
        report(&client, &base, n).await;
    }
    // At once: some has been told, some is on its way, some waits, and for the sick ones all of it does.
    child.kill().unwrap();
    child.wait().unwrap();
    let before: Vec<usize> = well.iter().map(|w| w.heard.lock().unwrap().len()).collect();

    let (mut child, base) = start(folder.path());
    for n in 24..48 {
        report(&client, &base, n).await;
    }
    let mut expected = BTreeSet::new();
    until("every healthy target has everything", async || {
        expected = ids(&client, &base, "orders").await;
        expected.extend(ids(&client, &base, "notices").await);
        well.iter().all(|target| {
            let heard = target.heard.lock().unwrap();
            let keys: BTreeSet<String> = heard.iter().map(|h| subject(&h.body)).collect();
            keys.is_superset(&expected)
        })
    })
    .await;
    let skips = client.get(format!("{base}/v1/deliveries?target=t-4&limit=1000")).send().await.unwrap();
    let skips: Value = serde_json::from_str(&skips.text().await.unwrap()).unwrap();
    let skips = skips["items"].as_array().unwrap();
    assert!(skips.len() > 3 && skips.iter().all(|line| line["reason"].is_string()), "{skips:?}");
    child.kill().unwrap();
    child.wait().unwrap();

    let mut repeats = 0;
    for target in well {
        let mut bodies: BTreeMap<String, BTreeSet<Vec<u8>>> = BTreeMap::new();
        let mut of_message: BTreeMap<(String, u64), BTreeSet<String>> = BTreeMap::new();
        let heard = target.heard.lock().unwrap();
        for h in heard.iter() {
            let event: Value = serde_json::from_slice(&h.body).unwrap();
            let message = (subject(&h.body), event["data"]["rev"].as_u64().unwrap());
            of_message.entry(message).or_default().insert(h.id.clone());
            bodies.entry(h.id.clone()).or_default().insert(h.body.to_vec());
        }
        assert!(of_message.values().all(|ids| ids.len() == 1), "one message, one id");
        assert!(bodies.values().all(|bodies| bodies.len() == 1), "one id, the same words");
        repeats += heard.len() - bodies.len();
    }
    eprintln!(
        "{} orders and notices, told before the kill to each: {before:?}; {repeats} repeats after it",
        expected.len()
    );
}

fn subject(body: &[u8]) -> String {
    let event: Value = serde_json::from_slice(body).unwrap();
    event["subject"].as_str().unwrap().to_owned()
}
