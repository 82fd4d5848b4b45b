//! Reports, acts, positions and commands in.

use reqwest::StatusCode;
use serde_json::json;

use crate::kit::{FIRE, Kit, envelope, report, told};

#[tokio::test]
async fn a_report_in_every_content_mode_is_answered_after_the_commit() {
    let kit = Kit::start().await;
    let structured = kit.fire("a1").await;
    assert_eq!(structured["outcome"], "opened");
    assert_eq!(structured["classification"]["category"], "safety/fire/structure");
    assert_eq!(structured["classification"]["lane"], "bottom-line");
    assert!(!structured["orders"].as_array().unwrap().is_empty(), "{structured}");
    let incident = structured["incident"].as_str().unwrap();

    let binary = kit
        .client
        .post(format!("{}/v1/reports", kit.base))
        .header("ce-specversion", "1.0")
        .header("ce-type", "muster.report")
        .header("ce-source", "110/desk-4")
        .header("ce-id", "b1")
        .header("content-type", "application/json")
        .body(json!({ "text": FIRE, "place": { "id": "lotus-plaza" } }).to_string());
    let (status, binary) = told(binary.send().await.unwrap()).await;
    assert_eq!((status, &binary["outcome"]), (StatusCode::ACCEPTED, &json!("joined")), "{binary}");
    assert_eq!(binary["incident"], incident, "the same happening");

    let bare = kit.post("/v1/reports", "application/json", json!({ "text": "邻居噪音扰民" }).to_string()).await;
    let (status, bare) = told(bare).await;
    assert_eq!((status, &bare["outcome"]), (StatusCode::ACCEPTED, &json!("opened")), "{bare}");
    assert_eq!(bare["classification"]["rule"], "nuisance.noise");

    // What was answered is on the board, with its reports.
    crate::kit::until("the board", async || kit.ok(&format!("/v1/incidents/{incident}")).await["reports_count"] == 2)
        .await;
    let chapter = kit.ok(&format!("/v1/incidents/{incident}")).await;
    assert_eq!(chapter["reports"][1]["source"], "110/desk-4");
    assert_eq!(chapter["reports"][0]["text"], FIRE);
    assert!(chapter["received_at"].as_str().unwrap().ends_with('Z'), "RFC 3339");
}

#[tokio::test]
async fn a_bad_element_spoils_no_other() {
    let kit = Kit::start().await;
    let unknown = envelope("muster.unheard-of", "110/desk-3", "x", &json!({}));
    let act = envelope("muster.act", "t", "y", &json!({ "post": "P-1", "act": "on_duty" }));
    let batch = json!([report("c1", FIRE), unknown, act, report("c2", "邻居吵架 纠纷")]);
    let response = kit.post("/v1/reports", "application/cloudevents-batch+json", batch.to_string()).await;
    let (status, told) = told(response).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let statuses: Vec<_> = told.as_array().unwrap().iter().map(|e| e["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [202, 400, 422, 202], "{told}");
    assert_eq!(told[1]["field"], "type");
    assert_eq!(told[2]["hint"], "POST it to /v1/acts");
    assert_eq!(told[3]["classification"]["category"], "safety/dispute/neighbours");
    assert_eq!(told[3]["orders"], json!([]), "mediation orders nobody");
}

#[tokio::test]
async fn an_exact_repeat_is_answered_alike_and_not_applied_again() {
    let kit = Kit::start().await;
    let first = kit.fire("d1").await;
    let again = kit.fire("d1").await;
    assert_eq!(again["repeat"], true);
    assert_eq!((&again["incident"], &again["orders"]), (&first["incident"], &first["orders"]));
    let id = first["incident"].as_str().unwrap();
    assert_eq!(kit.ok(&format!("/v1/incidents/{id}")).await["reports_count"], 1);
    let repeated =
        async || kit.metric(r#"muster_reports_total{drill="false",outcome="repeat",source_kind="desk"} 1"#).await;
    crate::kit::until("the repeat is counted", repeated).await;
}

#[tokio::test]
async fn a_bare_body_is_known_again_by_its_idempotency_key_only() {
    let kit = Kit::start().await;
    let send = async |key: Option<&str>| {
        let mut request =
            kit.client.post(format!("{}/v1/reports", kit.base)).header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        told(request.body(r#"{"text":"有人晕倒"}"#).send().await.unwrap()).await.1
    };
    let first = send(Some("k1")).await;
    assert_eq!(first["repeat"], false);
    assert_eq!(send(Some("k1")).await["repeat"], true);
    assert_eq!(send(Some("k2")).await["repeat"], false);
    // Two callers who say the same without a key are two.
    assert_eq!(send(None).await["repeat"], false);
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    assert_eq!(send(None).await["repeat"], false);
    assert_eq!(send(Some("")).await["field"], "Idempotency-Key");
}

#[tokio::test]
async fn acts_positions_and_commands_reach_the_incident() {
    let kit = Kit::start().await;
    let fire = kit.fire("e1").await;
    let order = &fire["orders"][0];
    let path = format!("/v1/orders?incident={}", fire["incident"].as_str().unwrap());
    crate::kit::until("the order is on the board", async || {
        !kit.ok(&path).await["items"].as_array().unwrap().is_empty()
    })
    .await;
    let orders = kit.ok(&path).await;
    let mine = orders["items"].as_array().unwrap().iter().find(|o| &o["id"] == order).unwrap().clone();
    let post = mine["post"].as_str().unwrap();

    let (status, told) = kit.act("s1", order, post, "signed").await;
    assert_eq!((status, &told["incident"]), (StatusCode::ACCEPTED, &fire["incident"]), "{told}");
    crate::kit::until("signed", async || {
        let live = kit.ok(&format!("/v1/orders?post={post}&state=signed")).await;
        live["items"][0]["id"] == *order && live["items"][0]["signed_at"].is_string()
    })
    .await;

    let here =
        json!({ "post": post, "position": { "lon": 112.6001, "lat": 26.8901 }, "fixed_at": "2026-11-23T08:00:00Z" });
    let (status, told) = kit.event("/v1/positions", &envelope("muster.position", "avl", "p1", &here)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    let units = kit.ok("/v1/posts?busy=true").await;
    let unit = units["items"].as_array().unwrap().iter().find(|u| u["id"] == post).unwrap().clone();
    assert_eq!(unit["position"]["lon"], 112.6001);

    let close =
        json!({ "incident": fire["incident"], "command": "close", "by": "command/seat-1", "disposition": "handled" });
    let (status, told) = kit.event("/v1/commands", &envelope("muster.command", "console", "c1", &close)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    crate::kit::until("closed", async || {
        kit.ok("/v1/incidents?state=closed").await["items"][0]["id"] == fire["incident"]
    })
    .await;
    assert_eq!(kit.ok("/v1/marks").await["items"], json!([]), "closing cancels every mark");
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_as_a_problem() {
    let kit = Kit::start().await;
    let (status, told) = kit.act("s1", &json!("9900-20261123-77-1"), "P-1", "signed").await;
    assert!(status == StatusCode::NOT_FOUND || status == StatusCode::CONFLICT, "{status} {told}");
    assert!(told["type"].as_str().unwrap().starts_with("urn:muster:problem:"), "{told}");
    assert!(told["detail"].is_string());
}

#[tokio::test]
async fn what_was_accepted_survives_a_restart() {
    let kit = Kit::start().await;
    let fire = kit.fire("r1").await;
    let id = fire["incident"].as_str().unwrap().to_owned();
    let timeline = format!("/v1/incidents/{id}/timeline?limit=1000");
    crate::kit::until("told", async || kit.ok(&timeline).await["items"].as_array().unwrap().len() > 3).await;
    let issued = kit.ok(&format!("/v1/incidents/{id}")).await["orders"].as_array().unwrap().len();
    assert!(issued >= fire["orders"].as_array().unwrap().len());
    let before = kit.ok(&timeline).await["items"].as_array().unwrap().clone();
    let kit = kit.restart().await;
    let chapter = kit.ok(&format!("/v1/incidents/{id}")).await;
    assert_eq!(chapter["state"], "dispatching");
    assert_eq!(chapter["orders"].as_array().unwrap().len(), issued);
    let after = kit.ok(&timeline).await["items"].as_array().unwrap().clone();
    assert_eq!(after[..before.len()], before[..], "the archive is never changed");
    assert_eq!(kit.fire("r1").await["repeat"], true, "a repeat is known across the restart");
}
