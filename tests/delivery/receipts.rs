//! What comes back: the five facts of an order, its texts in both languages, recalls that late attempts never undo.

use std::fmt::Write as _;
use std::path::Path;

use muster::cli::server::Server;
use muster::config::Config;
use muster::deliver::log::{Did, Query};
use muster::deliver::webhook::Options;
use muster::engine::DeliveryOutcome;
use muster::model::{Millis, OrderState};
use muster::wire::Kind;
use reqwest::Client;
use serde_json::{Value, json};

use crate::channel::{Rig, order};
use crate::outside::{Health, Outside, until};

async fn post(client: &Client, base: &str, route: &str, kind: &str, id: &str, data: Value) -> Value {
    let event = json!({ "specversion": "1.0", "type": kind, "source": "t", "id": id, "data": data });
    let request = client.post(format!("{base}{route}")).header("content-type", "application/cloudevents+json");
    let answer = request.body(event.to_string()).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, 202, "{text}");
    serde_json::from_str(&text).unwrap()
}

async fn get(client: &Client, url: String) -> Value {
    serde_json::from_str(&client.get(url).send().await.unwrap().text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn an_order_has_its_five_facts_with_time_and_channel_and_its_text_in_two_languages() {
    let folder = tempfile::tempdir().unwrap();
    let (zh, en) = (Outside::listen(Health::Well).await, Outside::listen(Health::Well).await);
    let mut text = String::new();
    for (name, target, more) in [("zh", &zh, ""), ("en", &en, "language = \"en\"\ncarries = false\n")] {
        write!(text, "[[target]]\nname = \"{name}\"\nurl = \"{}\"\nposts = [\"S-1\"]\n{more}", target.url()).unwrap();
    }
    let targets = folder.path().join("targets.toml");
    std::fs::write(&targets, text).unwrap();
    let mut config = Config::default();
    config.playbook.dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/playbooks/minimal");
    config.journal.path = folder.path().join("data");
    config.http.listen = ([127, 0, 0, 1], 0).into();
    config.webhook.targets = targets;
    config.webhook.types = vec![Kind::Order];
    config.webhook.allow_private = vec!["127.0.0.0/8".parse().unwrap()];
    let server = Server::start(config).await.unwrap();
    server.handle().ready().await;
    let (base, client) = (format!("http://{}", server.address()), Client::builder().no_proxy().build().unwrap());

    let place = json!({ "text": "商场冒烟 有明火", "place": { "id": "lotus-plaza" } });
    post(&client, &base, "/v1/reports", "muster.report", "r1", place).await;
    until("both are told", async || [&zh, &en].iter().all(|t| !t.heard.lock().unwrap().is_empty())).await;
    let body = |target: &Outside| -> Value { serde_json::from_slice(&target.heard.lock().unwrap()[0].body).unwrap() };
    let (told_zh, told_en) = (body(&zh), body(&en));
    assert_eq!(told_zh["id"], told_en["id"], "the same message");
    let (words_zh, words_en) =
        (told_zh["data"]["message"].as_str().unwrap(), told_en["data"]["message"].as_str().unwrap());
    assert!(words_zh.contains("签收") && words_zh.contains("Lotus Plaza"), "{words_zh}");
    assert!(words_en.contains("sign by") && words_en.contains("S-1"), "{words_en}");
    assert!(!words_en.contains('—') && !words_zh.contains('—'), "every fact is known: {words_zh} {words_en}");

    let id = told_zh["data"]["id"].as_str().unwrap().to_owned();
    let act = |n: &str, act: &str| (n.to_owned(), json!({ "order": id, "post": "S-1", "act": act }));
    for (n, data) in [act("a1", "received"), act("a2", "signed"), act("a3", "cleared")] {
        post(&client, &base, "/v1/acts", "muster.act", &n, data).await;
    }
    let mut facts = Value::Null;
    until("all five facts are told", async || {
        let orders = get(&client, format!("{base}/v1/orders?post=S-1")).await;
        let order = orders["items"].as_array().unwrap().iter().find(|o| o["id"] == *id).cloned();
        facts = order.unwrap()["facts"].clone();
        facts.as_array().unwrap().len() == 5
    })
    .await;
    let of = |fact: &str| facts.as_array().unwrap().iter().find(|f| f["fact"] == fact).unwrap().clone();
    for (fact, channel) in
        [("sent", "webhook:zh"), ("delivered", "terminal"), ("signed", "terminal"), ("cleared", "terminal")]
    {
        assert_eq!(of(fact)["channel"], channel, "{facts}");
        assert!(of(fact)["at"].is_string());
    }
    let log = get(&client, format!("{base}/v1/deliveries?order={id}")).await;
    let lines = log["items"].as_array().unwrap();
    assert!(lines.iter().any(|l| l["target"] == "zh" && l["did"] == "sent"), "{log}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_older_rev_is_never_sent_after_a_newer_one_was_acknowledged() {
    let target = Outside::listen(Health::Well).await;
    *target.answers.lock().unwrap() = vec![503];
    let options = Options {
        url: target.url(),
        allow_private: vec!["127.0.0.0/8".parse().unwrap()],
        retry: vec![Millis(0), Millis(300)],
        ..Options::default()
    };
    let rig = Rig::start(&options);
    let lives = Millis::from_mins(5);
    rig.webhook.send(&order(1, 1, rig.now, lives, true, OrderState::Issued), false).await;
    until("the first attempt failed", async || rig.count("failed") == 1).await;
    rig.webhook.send(&order(2, 1, rig.now, lives, true, OrderState::Recalled), false).await;
    until("the recall is told", async || rig.count("sent") == 1).await;
    // It comes again, as after a restart; and its own second attempt would have been due by now.
    rig.webhook.send(&order(1, 1, rig.now, lives, true, OrderState::Issued), false).await;
    until("it is dropped", async || rig.count("superseded") == 2).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let states: Vec<Value> = target
        .heard
        .lock()
        .unwrap()
        .iter()
        .map(|h| serde_json::from_slice::<Value>(&h.body).unwrap()["data"]["state"].clone())
        .collect();
    assert_eq!(states, ["issued", "recalled"]);
    let (lines, _) = rig.log.find(&Query { did: Some(Did::Superseded), limit: 9, ..Query::default() });
    assert!(lines.iter().all(|line| line.reason.contains("newer")), "{lines:?}");
    assert_eq!(rig.unaccounted(), 0);
}

#[tokio::test]
async fn an_order_fails_when_all_who_carry_it_have_given_up_and_not_before() {
    let (broken, well) = (Outside::listen(Health::Broken).await, Outside::listen(Health::Well).await);
    let start = |second: &Outside, more: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!(
            "[[target]]\nname = \"a\"\nurl = \"{}\"\n[[target]]\nname = \"b\"\nurl = \"{}\"\n{more}",
            broken.url(),
            second.url()
        );
        std::fs::write(file.path(), text).unwrap();
        Rig::start(&Options {
            targets: file.path().to_owned(),
            allow_private: vec!["127.0.0.0/8".parse().unwrap()],
            retry: vec![Millis(0), Millis(20)],
            ..Options::default()
        })
    };
    let lives = Millis::from_mins(5);
    // One of two took it: it is sent, and nothing failed.
    let rig = start(&well, "delivers = true\n");
    rig.webhook.send(&order(1, 1, rig.now, lives, false, OrderState::Issued), false).await;
    until("one gave up, one took it", async || rig.count("gave-up") == 1 && rig.count("sent") == 1).await;
    let outcomes = |rig: &Rig| rig.told.outcomes.lock().unwrap().iter().map(|(.., o)| *o).collect::<Vec<_>>();
    assert_eq!(outcomes(&rig), [DeliveryOutcome::Sent, DeliveryOutcome::Delivered]);
    // The one that took it only watches: it failed.
    let rig = start(&well, "carries = false\n");
    rig.webhook.send(&order(1, 1, rig.now, lives, false, OrderState::Issued), false).await;
    until("one gave up, one took it", async || rig.count("gave-up") == 1 && rig.count("sent") == 1).await;
    assert_eq!(outcomes(&rig), [DeliveryOutcome::Failed]);
    // Both gave up: it failed once.
    let rig = start(&Outside::listen(Health::Resets).await, "");
    rig.webhook.send(&order(1, 1, rig.now, lives, false, OrderState::Issued), false).await;
    until("both gave up", async || rig.count("gave-up") == 2).await;
    assert_eq!(outcomes(&rig), [DeliveryOutcome::Failed]);
    // A listener of the stream carries it too: it did not fail.
    let rig = start(&Outside::listen(Health::Resets).await, "");
    rig.webhook.send(&order(1, 1, rig.now, lives, false, OrderState::Issued), true).await;
    until("both gave up", async || rig.count("gave-up") == 2).await;
    assert!(outcomes(&rig).is_empty());
}

#[tokio::test]
async fn a_queue_is_bounded_and_the_bottom_line_finds_room_in_it() {
    let target = Outside::listen(Health::Hangs).await;
    let options = Options {
        url: target.url(),
        allow_private: vec!["127.0.0.0/8".parse().unwrap()],
        queue_max: 10,
        requests_max: 1,
        timeout: Millis::from_mins(1),
        ..Options::default()
    };
    let rig = Rig::start(&options);
    let lives = Millis::from_mins(5);
    for n in 1..=20 {
        rig.webhook.send(&order(u64::from(n), n, rig.now, lives, false, OrderState::Issued), false).await;
    }
    until("four fifths wait, the rest is given up", async || rig.count("overflowed") == 12 && rig.waiting() == 8).await;
    for n in 21..=24 {
        rig.webhook.send(&order(u64::from(n), n, rig.now, lives, true, OrderState::Issued), false).await;
    }
    until("the bottom line took their place", async || rig.count("overflowed") == 14 && rig.waiting() == 10).await;
    assert_eq!(rig.unaccounted(), 0);
    let failed = rig.told.outcomes.lock().unwrap().len();
    assert_eq!(failed, 14, "each that was given up is a failure to deliver");
}
