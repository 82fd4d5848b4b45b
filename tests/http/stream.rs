//! The stream.

use std::time::Duration;

use muster::model::Millis;
use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::kit::{FIRE, Kit, report};

/// One event of the stream.
#[derive(Debug)]
struct Heard {
    event: String,
    id: u64,
    data: Value,
}

struct Ear {
    response: Response,
    buffer: Vec<u8>,
}

impl Ear {
    async fn on(kit: &Kit, query: &str, last: Option<u64>) -> Self {
        let mut request = kit.client.get(format!("{}/v1/stream{query}", kit.base));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, buffer: Vec::new() }
    }

    /// The next event; `None` when the stream ended.
    async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|w| w == b"\n\n") {
                let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let event = String::from_utf8(event).unwrap();
                let field =
                    |name: &str| event.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().to_owned();
                let data = serde_json::from_str(&field("data: ")).unwrap();
                let id = field("id: ").parse().unwrap_or_default();
                return Some(Heard { event: field("event: "), id, data });
            }
            let chunk = tokio::time::timeout(Duration::from_secs(5), self.response.chunk());
            self.buffer.extend(chunk.await.expect("in time").unwrap()?);
        }
    }

    /// The next event of this type.
    async fn hear(&mut self, event: &str) -> Heard {
        loop {
            let heard = self.next().await.expect("the stream goes on");
            if heard.event == event {
                return heard;
            }
        }
    }
}

#[tokio::test]
async fn an_order_is_heard_and_who_comes_back_misses_nothing_and_hears_nothing_twice() {
    let kit = Kit::start().await;
    let mut ear = Ear::on(&kit, "", None).await;
    assert_eq!(ear.next().await.unwrap().event, "muster.ready");
    let fire = kit.fire("s1").await;
    let order = ear.hear("muster.order").await;
    assert_eq!(order.data["incident"], fire["incident"]);
    assert_eq!(order.data["rev"], order.id);
    assert_eq!(order.data["state"], "issued");
    assert_eq!(order.data["text"], FIRE);
    for instant in ["issued_at", "sign_by", "on_scene_by", "expires_at"] {
        assert!(order.data[instant].as_str().unwrap().ends_with('Z'), "{instant}: {}", order.data);
    }
    assert_eq!(order.data["place"]["position"]["crs"], "wgs84");
    let last = order.id;
    drop(ear);

    let second = kit.fire("s2").await;
    assert_eq!(second["incident"], fire["incident"]);
    let (_, told) = kit.event("/v1/reports", &report("s3", "有人晕倒")).await;
    let mut ear = Ear::on(&kit, "", Some(last)).await;
    assert_eq!(ear.next().await.unwrap().event, "muster.ready");
    let mut revs = Vec::new();
    loop {
        let heard = ear.next().await.unwrap();
        assert!(heard.event.starts_with("muster."), "{heard:?}");
        revs.push(heard.id);
        if heard.event == "muster.order" && heard.data["incident"] == told["incident"] {
            break;
        }
    }
    assert!(revs[0] > last && revs.is_sorted_by(|a, b| a < b), "after {last}, each once, in order: {revs:?}");
}

#[tokio::test]
async fn a_terminal_hears_its_own_post_and_a_desk_its_notices() {
    let kit = Kit::start().await;
    let mut post = Ear::on(&kit, "?post=S-1&type=order", None).await;
    let mut desk = Ear::on(&kit, "?desk=command", None).await;
    let mut other = Ear::on(&kit, "?area=ridge", None).await;
    kit.fire("p1").await;
    assert_eq!(post.hear("muster.order").await.data["post"], "S-1");
    assert_eq!(desk.hear("muster.notice").await.data["desk"], "command");
    let ridge = serde_json::json!({ "text": "有人晕倒", "place": { "position": { "lon": 112.88, "lat": 26.92 } } });
    let (_, told) = kit.event("/v1/reports", &crate::kit::envelope("muster.report", "110/x", "p2", &ridge)).await;
    let first = loop {
        let heard = other.next().await.unwrap();
        if heard.event != "muster.ready" {
            break heard;
        }
    };
    assert_eq!(first.data["incident"], told["incident"], "nothing of the quay was heard");
    // A terminal that named the post carries its orders: the engine hears that they were sent.
    crate::kit::until("sent", async || {
        let orders = kit.ok("/v1/orders?post=S-1").await;
        orders["items"].as_array().unwrap().iter().any(|o| o["sent_at"].is_string())
    })
    .await;
}

#[tokio::test]
async fn who_was_away_too_long_is_told_to_read_anew() {
    let kit = Kit::with(|c| c.deliver.kept = 4).await;
    kit.fire("w1").await;
    let mut ear = Ear::on(&kit, "", Some(1)).await;
    let resync = ear.next().await.unwrap();
    assert_eq!(resync.event, "muster.resync");
    // From the future: another data folder's `rev`.
    let mut ear = Ear::on(&kit, "", Some(u64::MAX / 2)).await;
    assert_eq!(ear.next().await.unwrap().event, "muster.resync");
    // With the `rev` it was given it goes on.
    let mut ear = Ear::on(&kit, "", Some(resync.id)).await;
    assert_eq!(ear.next().await.unwrap().event, "muster.ready");
}

#[tokio::test]
async fn a_quiet_stream_shows_that_it_lives() {
    let kit = Kit::with(|c| c.http.stream_heartbeat = Millis(150)).await;
    kit.fire("h1").await;
    let mut ear = Ear::on(&kit, "?post=nobody", None).await;
    let heartbeat = ear.hear("muster.heartbeat").await;
    assert!(heartbeat.id > 0, "its id lets a listener go on where it was");
}

#[tokio::test]
async fn an_open_stream_does_not_hold_up_the_end() {
    let kit = Kit::start().await;
    let mut ear = Ear::on(&kit, "", None).await;
    ear.hear("muster.ready").await;
    kit.fire("o1").await;
    let begin = std::time::Instant::now();
    kit.server.stop().await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    let mut orders = 0;
    while let Some(heard) = ear.next().await {
        orders += usize::from(heard.event == "muster.order");
    }
    assert!(orders > 0, "what was accepted before the end was told before it");
}

#[tokio::test]
async fn listeners_are_bounded() {
    let kit = Kit::with(|c| c.http.stream_clients_max = 1).await;
    let ear = Ear::on(&kit, "", None).await;
    let (status, problem) = kit.get("/v1/stream").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    drop(ear);
    crate::kit::until("the seat is free again", async || {
        kit.client.get(format!("{}/v1/stream", kit.base)).send().await.unwrap().status() == StatusCode::OK
    })
    .await;
}

#[tokio::test]
async fn a_board_that_fell_behind_reads_back_and_nobody_misses_a_message() {
    // So few steps are kept that a burst outruns the pump.
    let kit = Kit::with(|c| {
        c.runtime.steps_kept = 1;
        c.runtime.batch_inputs_max = 1;
    })
    .await;
    let mut ear = Ear::on(&kit, "?type=timeline", None).await;
    let batch: Vec<Value> = (0..200).map(|n| report(&format!("b{n}"), "有人晕倒")).collect();
    let response = kit.post("/v1/reports", "application/cloudevents-batch+json", Value::from(batch).to_string()).await;
    let (status, answers) = crate::kit::told(response).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let mut incidents: std::collections::BTreeSet<String> = answers
        .as_array()
        .unwrap()
        .iter()
        .filter(|a| a["outcome"] != "joined")
        .map(|a| a["incident"].to_string())
        .collect();
    let all = incidents.len();
    let mut last = 0;
    while !incidents.is_empty() {
        let heard = ear.next().await.expect("the stream goes on");
        assert!(heard.event == "muster.ready" || heard.id > last, "in order, each once");
        last = heard.id;
        if heard.data["what"] == "opened" {
            incidents.remove(&heard.data["incident"].to_string());
        }
    }
    let listed = kit.ok("/v1/incidents?limit=1000").await["items"].as_array().unwrap().len();
    assert_eq!(listed, all);
    let text = kit.client.get(format!("{}/metrics", kit.base)).send().await.unwrap().text().await.unwrap();
    eprintln!("{}", text.lines().find(|l| l.starts_with("muster_read_backs_total")).unwrap());
}

#[tokio::test]
async fn what_the_door_refused_is_heard_by_whoever_asks_for_it_without_its_payload() {
    let kit = Kit::start().await;
    let mut asked = Ear::on(&kit, "?type=rejected", None).await;
    assert_eq!(asked.next().await.unwrap().event, "muster.ready");
    let response = kit.post("/v1/reports", "application/json", r#"{"text":{"secret":"words"}}"#).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let heard = asked.next().await.unwrap();
    assert_eq!(heard.event, "muster.rejected");
    assert_eq!((&heard.data["origin"], &heard.data["field"]), (&Value::from("http"), &Value::from("data.text")));
    assert!(!heard.data.to_string().contains("words"));
}
