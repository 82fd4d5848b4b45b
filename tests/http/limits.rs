//! The bounds of the door: the governor, the full queue, the time before the shard is at work.

use std::num::NonZeroU32;
use std::sync::Arc;

use muster::board::Board;
use muster::cli::server::sorter;
use muster::config::playbook::load_dir;
use muster::deliver::hub::Hub;
use muster::http::{self, App, Options};
use muster::journal::Store;
use muster::runtime::{Clock, RuntimeOptions, Setup};
use muster::telemetry::Metrics;
use reqwest::StatusCode;
use serde_json::json;
use tokio::sync::watch;

use crate::kit::{FIRE, Kit, client, envelope, playbook, report, told};

#[tokio::test]
async fn the_governor_holds_back_ordinary_reports_only() {
    let one = NonZeroU32::MIN;
    let kit = Kit::with(|c| (c.http.rate_per_source, c.http.rate_burst) = (one, one)).await;
    let noise = |id: &str| report(id, "邻居噪音扰民");
    assert_eq!(kit.event("/v1/reports", &noise("g1")).await.0, StatusCode::ACCEPTED);
    let held = kit.post("/v1/reports", "application/cloudevents+json", noise("g2").to_string()).await;
    let after: u64 = held.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=2).contains(&after));
    let (status, problem) = told(held).await;
    assert_eq!((status, &problem["type"]), (StatusCode::TOO_MANY_REQUESTS, &json!("urn:muster:problem:rate")));
    for n in 0..5 {
        let (status, told) = kit.event("/v1/reports", &report(&format!("f{n}"), FIRE)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "the bottom line passes: {told}");
    }
    let other = envelope("muster.report", "app/7", "g3", &json!({ "text": "噪音" }));
    assert_eq!(kit.event("/v1/reports", &other).await.0, StatusCode::ACCEPTED, "another source has its own share");
    let batch = json!([noise("g4"), noise("g5")]).to_string();
    let response = kit.post("/v1/reports", "application/cloudevents-batch+json", batch).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS, "all elements met the same fate");
    assert!(response.headers().contains_key("retry-after"));
}

/// A door before a shard that is not at work yet.
#[tokio::test]
async fn before_the_shard_is_at_work_it_is_not_ready_and_the_queue_is_bounded() {
    let playbook = Arc::new(load_dir(&playbook(), None).unwrap());
    let mut setup = Setup::new(playbook, Box::new(Store::default().journal()), Clock::wall(), sorter());
    setup.options = RuntimeOptions { queue_max: 5, reserve_percent: 20, ..RuntimeOptions::default() };
    setup.undelivered = true;
    let opened = setup.open().unwrap();
    let (handle, board) = (opened.handle(), Arc::new(Board::new(muster::board::Options::default(), None)));
    let (stop, stopping) = watch::channel(false);
    let app = App::new(
        Arc::new(handle.clone()),
        board,
        Hub::new(10, 10),
        Arc::new(Metrics::new()),
        Options::default(),
        stopping.clone(),
    );
    let listener = http::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let door = tokio::spawn(http::serve(listener, app, stopping));

    let client = client();
    let (status, ready) = told(client.get(format!("{base}/readyz")).send().await.unwrap()).await;
    assert_eq!((status, &ready["phase"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("restoring")));
    assert_eq!(
        client.get(format!("{base}/livez")).send().await.unwrap().status(),
        StatusCode::OK,
        "alive all the same"
    );

    let send = |id: String, text: &'static str| {
        let request = client.post(format!("{base}/v1/reports")).header("content-type", "application/cloudevents+json");
        let request = request.body(report(&id, text).to_string());
        tokio::spawn(async move { request.send().await.unwrap() })
    };
    let waiting: Vec<_> = (0..4).map(|n| send(format!("q{n}"), "噪音")).collect();
    crate::kit::until("four wait", async || handle.status().ordinary.0 == 4).await;
    let full = send("q4".to_owned(), "噪音").await.unwrap();
    assert!(full.headers().contains_key("retry-after"));
    let (status, problem) = told(full).await;
    assert_eq!((status, &problem["type"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("urn:muster:problem:busy")));
    let fire = send("f1".to_owned(), FIRE);
    crate::kit::until("a fifth is kept for the bottom line", async || handle.status().bottom_line.0 == 1).await;

    let running = opened.run().unwrap();
    for answer in waiting.into_iter().chain([fire]) {
        assert_eq!(answer.await.unwrap().status(), StatusCode::ACCEPTED, "what waited is answered");
    }
    // The board may be a moment behind whoever was answered.
    crate::kit::until("ready", async || {
        client.get(format!("{base}/readyz")).send().await.unwrap().status() == StatusCode::OK
    })
    .await;
    handle.drain(std::time::Duration::from_secs(5)).await.unwrap();
    let (status, problem) = told(send("z".to_owned(), FIRE).await.unwrap()).await;
    assert_eq!((status, &problem["type"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("urn:muster:problem:stopped")));
    stop.send(true).unwrap();
    door.await.unwrap().unwrap();
    running.join().unwrap();
}

#[tokio::test]
async fn the_door_opens_on_loopback_only() {
    for elsewhere in ["0.0.0.0:0", "[::]:0", "10.1.2.3:80"] {
        let refused = http::bind(elsewhere.parse().unwrap()).await.unwrap_err().to_string();
        assert!(refused.contains("access control") && refused.contains(elsewhere), "{refused}");
    }
}
