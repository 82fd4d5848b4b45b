//! Delivery to one outside address.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use muster::model::Millis;
use muster::wire::Kind;
use serde_json::{Value, json};

use crate::kit::{Kit, until};

/// An outside system: answers as it is told, and remembers what it heard.
#[derive(Clone, Default)]
pub struct Outside {
    pub heard: Arc<Mutex<Vec<Value>>>,
    /// Answers still to give instead of 204.
    pub answers: Arc<Mutex<Vec<u16>>>,
    pub always: Option<u16>,
    /// Before each answer.
    pub delay: Duration,
}

impl Outside {
    pub async fn listen(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/hook", post(hear)).with_state(self.clone());
        tokio::spawn(axum::serve(listener, app).into_future());
        address
    }

    pub fn of(&self, kind: &str) -> Vec<Value> {
        self.heard.lock().unwrap().iter().filter(|e| e["type"] == kind).cloned().collect()
    }
}

async fn hear(State(outside): State<Outside>, headers: HeaderMap, body: String) -> (StatusCode, HeaderMap) {
    assert_eq!(headers["content-type"], "application/cloudevents+json; charset=utf-8");
    outside.heard.lock().unwrap().push(serde_json::from_str(&body).unwrap());
    tokio::time::sleep(outside.delay).await;
    let status = outside.always.or_else(|| outside.answers.lock().unwrap().pop()).unwrap_or(204);
    let mut reply = HeaderMap::new();
    reply.insert("location", "http://127.0.0.1:1/elsewhere".parse().unwrap());
    (StatusCode::from_u16(status).unwrap(), reply)
}

async fn kit(address: SocketAddr, retry: &[u64]) -> Kit {
    let retry: Vec<Millis> = retry.iter().map(|ms| Millis(*ms)).collect();
    Kit::with(|c| {
        c.webhook.url = format!("http://{address}/hook");
        c.webhook.allow_private = vec!["127.0.0.0/8".parse().unwrap()];
        c.webhook.types = vec![Kind::Order, Kind::Notice];
        c.webhook.retry = retry;
        c.webhook.tail = Millis(100);
    })
    .await
}

#[tokio::test]
async fn orders_and_notices_are_told_as_cloud_events() {
    let outside = Outside::default();
    let kit = kit(outside.listen().await, &[0, 50]).await;
    let fire = kit.fire("k1").await;
    let orders = fire["orders"].as_array().unwrap().len();
    until("every order", async || outside.of("muster.order").len() >= orders).await;
    let event = outside.of("muster.order")[0].clone();
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["source"], format!("muster/{}", kit.server.handle().playbook().head.command_area));
    assert_eq!(event["datacontenttype"], "application/json");
    assert_eq!(event["subject"], event["data"]["id"]);
    let (id, rev) = (event["id"].as_str().unwrap(), &event["data"]["rev"]);
    assert_eq!(id, format!("{}/{rev}", event["data"]["id"].as_str().unwrap()));
    until("a notice", async || outside.of("muster.notice").iter().any(|n| n["data"]["kind"] == "opened")).await;
    until("sent is told", async || {
        let orders = kit.ok("/v1/orders").await;
        orders["items"].as_array().unwrap().iter().all(|o| o["sent_at"].is_string())
    })
    .await;
    until("all has left the house", async || {
        let status = kit.server.handle().status();
        status.emitted == status.step
    })
    .await;
}

#[tokio::test]
async fn a_failed_attempt_is_made_again_with_the_same_id_and_a_redirect_is_not_followed() {
    let outside = Outside { answers: Arc::new(Mutex::new(vec![302, 500])), ..Outside::default() };
    let address = outside.listen().await;
    let kit = Kit::with(|c| {
        c.webhook.url = format!("http://{address}/hook");
        c.webhook.allow_private = vec!["127.0.0.0/8".parse().unwrap()];
        c.webhook.types = vec![Kind::Order];
        c.webhook.retry = vec![Millis(0), Millis(30), Millis(30), Millis(30)];
        c.webhook.requests_max = 1;
    })
    .await;
    kit.fire("k2").await;
    until("told at last", async || {
        kit.metric(r#"muster_deliveries_total{channel="webhook",outcome="failed"} 2"#).await
    })
    .await;
    until("sent", async || {
        let orders = kit.ok("/v1/orders").await;
        orders["items"].as_array().unwrap().iter().all(|o| o["sent_at"].is_string())
    })
    .await;
    let ids: Vec<_> = outside.of("muster.order").iter().map(|e| e["id"].clone()).collect();
    let mut different = ids.clone();
    different.sort_by_key(ToString::to_string);
    different.dedup();
    assert_eq!(ids.len(), different.len() + 2, "two attempts failed, each was made again under its id: {ids:?}");
}

#[tokio::test]
async fn a_channel_that_gave_up_is_told_to_the_engine_and_the_next_post_is_ordered() {
    let outside = Outside { always: Some(503), ..Outside::default() };
    let kit = kit(outside.listen().await, &[0, 20, 20]).await;
    let fire = kit.fire("k3").await;
    let id = fire["incident"].as_str().unwrap();
    let path = format!("/v1/incidents/{id}/timeline?limit=1000");
    until("the failure is in the timeline", async || {
        let lines = kit.ok(&path).await;
        lines["items"].as_array().unwrap().iter().any(|l| l["what"] == "delivery" && l["detail"]["outcome"] == "failed")
    })
    .await;
    until("another post is ordered", async || {
        kit.ok(&format!("/v1/orders?incident={id}")).await["items"].as_array().unwrap().len()
            > fire["orders"].as_array().unwrap().len()
    })
    .await;
}

#[tokio::test]
async fn a_recall_overtakes_its_order() {
    let outside = Outside { always: Some(503), ..Outside::default() };
    let kit = kit(outside.listen().await, &[0, 60_000]).await;
    let fire = kit.fire("k4").await;
    until("the first attempt", async || outside.of("muster.order").len() >= fire["orders"].as_array().unwrap().len())
        .await;
    let close =
        json!({ "incident": fire["incident"], "command": "close", "by": "command/seat-1", "disposition": "handled" });
    let close = crate::kit::envelope("muster.command", "console", "c1", &close);
    assert_eq!(kit.event("/v1/commands", &close).await.0, 202);
    until("the recall is told at once", async || {
        outside.of("muster.order").iter().any(|e| e["data"]["state"] == "recalled")
    })
    .await;
    let order = &fire["orders"][0];
    let of_order: Vec<_> = outside.of("muster.order").into_iter().filter(|e| e["data"]["id"] == *order).collect();
    let (first, last) = (&of_order[0], of_order.last().unwrap());
    assert_eq!(last["data"]["state"], "recalled");
    assert!(last["data"]["rev"].as_u64() > first["data"]["rev"].as_u64(), "the higher rev counts");
}

#[tokio::test]
async fn an_address_that_cannot_be_trusted_is_refused_at_the_start() {
    for (url, why) in [
        ("ftp://x/", "scheme"),
        ("http://u:p@x/", "password"),
        ("x", "relative"),
        ("http://127.0.0.1:9/", "allow_private"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut config = muster::config::Config::default();
        config.playbook.dir = crate::kit::playbook();
        config.journal.path = folder.path().join("data");
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config.webhook.url = url.to_owned();
        let refused = muster::cli::server::Server::start(config).await.err().expect(url).to_string();
        assert!(refused.contains("[webhook]") && refused.contains("url") && refused.contains(why), "{refused}");
    }
}

#[tokio::test]
async fn a_slow_receiver_full_of_ordinary_messages_still_hears_the_bottom_line_at_once() {
    let outside = Outside { delay: Duration::from_secs(2), ..Outside::default() };
    let address = outside.listen().await;
    let kit = Kit::with(|c| {
        c.webhook.url = format!("http://{address}/hook");
        c.webhook.allow_private = vec!["127.0.0.0/8".parse().unwrap()];
        c.webhook.types = vec![Kind::Order];
        (c.webhook.requests_max, c.webhook.reserve_percent) = (5, 20);
    })
    .await;
    for n in 0..10 {
        let data = json!({ "text": "噪音扰民", "place": { "position": { "lon": 112.60 + 0.02 * f64::from(n), "lat": 26.9 } } });
        let event = crate::kit::envelope("muster.report", &format!("app/{n}"), "n1", &data);
        assert_eq!(kit.event("/v1/reports", &event).await.0, 202);
    }
    until("ordinary orders fill their share", async || outside.of("muster.order").len() >= 4).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(outside.of("muster.order").len(), 4, "a fifth of the requests is kept");
    let fire = kit.fire("f1").await;
    let first = outside.clone();
    until("the fire is told while they hang", async || {
        first.of("muster.order").iter().any(|e| e["data"]["incident"] == fire["incident"])
    })
    .await;
    assert!(outside.of("muster.order").len() <= 6, "before the ordinary ones that waited longer");
}
