//! Silences: made and ended by command, read with what they hid, and bounded by what a token may see.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::guarded::Guarded;
use crate::kit::{Kit, envelope, report, until};

fn in_an_hour() -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string()
}

async fn command(kit: &Kit, id: &str, mut data: Value) -> (StatusCode, Value) {
    data["by"] = json!("command/seat-1");
    kit.event("/v1/commands", &envelope("muster.command", "command/seat-1", id, &data)).await
}

#[tokio::test]
async fn what_a_silence_hides_is_read_and_is_said_when_it_ends() {
    let kit = Kit::start().await;
    let silence = json!({
        "command": "silence", "reason": "the console is repaired", "until": in_an_hour(),
        "matchers": { "kinds": ["recycled-id"], "sources": ["110/"] },
    });
    let (status, told) = command(&kit, "c1", silence).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    for text in ["邻居噪音扰民", "邻居噪音扰民 还在继续"] {
        let (status, told) = kit.event("/v1/reports", &report("n1", text)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    }
    let first = async || kit.ok("/v1/silences").await["items"][0].clone();
    until("it hid one", async || first().await["hidden"] == json!({ "recycled-id": 1 })).await;
    let seen = first().await;
    assert_eq!((&seen["state"], &seen["reason"]), (&json!("active"), &json!("the console is repaired")));
    assert_eq!(seen["latest"][0]["kind"], "recycled-id");
    let told_of = async || {
        let notices = kit.ok("/v1/notices").await;
        notices["items"].as_array().unwrap().iter().filter(|n| n["kind"] == "recycled-id").count()
    };
    assert_eq!(told_of().await, 0, "no desk was told");

    let id = seen["id"].as_str().unwrap();
    let (status, told) = command(&kit, "c2", json!({ "command": "unsilence", "silence": id })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    until("it is said", async || told_of().await == 1).await;
    let seen = first().await;
    assert_eq!((&seen["state"], &seen["said"], &seen["over"]), (&json!("ended"), &json!(1), &json!(0)));
    assert_eq!(seen["ended"]["by"], "command/seat-1");
    let metric = "muster_notices_hidden_total{drill=\"false\",kind=\"recycled-id\"} 1";
    assert!(kit.metric(metric).await, "{metric}");
    for (state, count) in [("active", 0), ("ended", 1), ("planned", 0)] {
        let list = kit.ok(&format!("/v1/silences?state={state}")).await;
        assert_eq!(list["items"].as_array().unwrap().len(), count, "{state}");
    }
    assert_eq!(kit.get("/v1/silences?state=loud").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_silence_survives_a_restart() {
    let kit = Kit::start().await;
    let silence =
        json!({ "command": "silence", "reason": "x", "until": in_an_hour(), "matchers": { "areas": ["quay"] } });
    assert_eq!(command(&kit, "c1", silence).await.0, StatusCode::ACCEPTED);
    until("it is on the board", async || !kit.ok("/v1/silences").await["items"].as_array().unwrap().is_empty()).await;
    let before = kit.ok("/v1/silences").await;
    let kit = kit.restart().await;
    assert_eq!(kit.ok("/v1/silences").await, before);
}

#[tokio::test]
async fn whoever_sees_some_areas_silences_those_alone() {
    let g = Guarded::start().await;
    let silence = |areas: &[&str]| {
        json!({
            "command": "silence", "by": "x", "reason": "works", "until": in_an_hour(),
            "matchers": { "kinds": ["opened"], "areas": areas },
        })
    };
    for (n, areas) in [&[][..], &["990001"], &["990002", "quay"], &["9900"]].into_iter().enumerate() {
        assert_eq!(g.command("far", &format!("c{n}"), silence(areas)).await.0, StatusCode::FORBIDDEN, "{areas:?}");
    }
    let (status, told) = g.command("far", "c9", silence(&["990002"])).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    until("it is on the board", async || g.count("far", "/v1/silences").await == 1).await;
    let (_, list) = g.get("far", "/v1/silences").await;
    let end = json!({ "command": "unsilence", "by": "x", "silence": list["items"][0]["id"] });
    assert_eq!(g.command("near", "e1", end.clone()).await.0, StatusCode::NOT_FOUND);
    assert_eq!(g.command("far", "e2", end).await.0, StatusCode::ACCEPTED);
}
