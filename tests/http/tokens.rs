//! Tokens that are not good, and those that stop being so.

use muster::access::{Role, edit, now};
use muster::model::Millis;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::guarded::{Guarded, is_refusal, principal, token};
use crate::kit::{envelope, report, told, until};

/// Each is refused in the same words, and the trail tells them apart in one line each.
#[tokio::test]
async fn a_token_that_is_not_good_is_a_401_and_one_line() {
    let g = Guarded::start().await;
    let good = g.tokens["viewer"].clone();
    let mut stolen = good.clone();
    stolen.replace_range(stolen.len() - 1.., if stolen.ends_with('0') { "1" } else { "0" });
    let (expired, held) = token("brief", Some(now()));
    edit(&g.file(), |k| k.add(principal("brief", Role::Metrics), held)).unwrap();
    let (rotated, held) = token("worn", None);
    edit(&g.file(), |k| k.add(principal("worn", Role::Metrics), held)).unwrap();
    edit(&g.file(), |k| k.rotate("worn", token("worn", None).1, now())).unwrap();
    let (revoked, held) = token("gone", None);
    edit(&g.file(), |k| k.add(principal("gone", Role::Metrics), held)).unwrap();
    edit(&g.file(), |k| k.revoke("gone", now())).unwrap();
    until("the file is read again", async || {
        g.said(|l| l.action == "tokens.read" && l.outcome == "13 principals").len() == 1
    })
    .await;

    let mut answers = Vec::new();
    for (bad, who, why) in [
        (stolen.as_str(), "viewer", "wrong"),
        (&expired, "brief", "expired"),
        (&rotated, "worn", "expired"),
        (&revoked, "gone", "revoked"),
        (&good.replace("viewer", "nobody"), "?", "unknown"),
        ("mst_viewer_12", "?", "malformed"),
        ("\u{fc}", "?", "malformed"),
    ] {
        let before = g.said(is_refusal).len();
        let response = g.ask(Method::GET, "/v1/incidents", bad).send().await.unwrap();
        let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert_eq!(challenge, "Bearer realm=\"muster\", error=\"invalid_token\"");
        let (status, problem) = told(response).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{why}");
        answers.push(problem);
        let lines = g.said(is_refusal);
        assert_eq!(lines.len(), before + 1, "{why}: one line");
        let line = lines.last().unwrap();
        let expected = (who, "GET /v1/incidents", format!("401 {why}"));
        assert_eq!((line.principal.as_str(), line.action.as_str(), line.outcome.clone()), expected);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "nobody is told which it was: {answers:?}");
    let basic = g.client.get(format!("{}/v1/incidents", g.kit.base)).basic_auth("viewer", Some(&good));
    assert_eq!(basic.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let text = std::fs::read_to_string(g.audit()).unwrap();
    for secret in g.tokens.values().chain([&expired, &rotated, &revoked]) {
        assert!(!text.contains(secret.rsplit('_').next().unwrap()), "a secret is in the trail");
    }
}

#[tokio::test]
async fn a_token_is_exchanged_without_a_gap_and_revoked_without_a_restart() {
    let g = Guarded::start().await;
    let old = g.tokens["viewer"].clone();
    let (new, held) = token("viewer", None);
    edit(&g.file(), |k| k.rotate("viewer", held, now() + Millis(1_500))).unwrap();
    let status = async |token: &str| g.ask(Method::GET, "/v1/marks", token).send().await.unwrap().status();
    until("the new one is good", async || status(&new).await == StatusCode::OK).await;
    assert_eq!(status(&old).await, StatusCode::OK, "both are, for a while");
    until("the old one ends", async || status(&old).await == StatusCode::UNAUTHORIZED).await;
    assert_eq!(status(&new).await, StatusCode::OK);

    // A file that cannot be read changes nothing.
    let text = std::fs::read_to_string(g.file()).unwrap();
    std::fs::write(g.file(), "[[principal]]\nid = 7\n").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(status(&new).await, StatusCode::OK);
    std::fs::write(g.file(), text).unwrap();
    edit(&g.file(), |k| k.revoke("viewer", now())).unwrap();
    until("revoked", async || status(&new).await == StatusCode::UNAUTHORIZED).await;
    assert_eq!(g.said(|l| l.outcome == "401 revoked").len(), 1);
}

/// A stream that was begun with a token ends with it.
#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let g = Guarded::start().await;
    let mut stream = g.ask(Method::GET, "/v1/stream", &g.tokens["viewer"]).send().await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    edit(&g.file(), |k| k.revoke("viewer", now())).unwrap();
    let ended = async { while stream.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), ended).await.expect("it ends, and not by a heartbeat");
}

/// One token cannot take every place at the stream.
#[tokio::test]
async fn streams_are_bounded_by_principal() {
    let g = Guarded::with(|config| config.access.streams_per_principal_max = 2.try_into().unwrap()).await;
    let listen = async |who: &str| g.ask(Method::GET, "/v1/stream", &g.tokens[who]).send().await.unwrap();
    let held = [listen("viewer").await, listen("viewer").await];
    let third = listen("viewer").await;
    assert_eq!(third.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(third.headers().contains_key("retry-after"));
    assert_eq!(listen("operator").await.status(), StatusCode::OK);
    drop(held);
    until("a place is free again", async || listen("viewer").await.status() == StatusCode::OK).await;
}

/// Guessing is held back by address, and costs nobody with a good token anything.
#[tokio::test]
async fn failures_are_held_back_and_counted_and_a_good_token_passes() {
    let g = Guarded::with(|config| config.access.failures_per_minute = 5.try_into().unwrap()).await;
    let wrong = format!("mst_viewer_{}", "0".repeat(64));
    let mut answers = Vec::new();
    for _ in 0..25 {
        answers.push(g.ask(Method::GET, "/v1/posts", &wrong).send().await.unwrap());
    }
    let refused = answers.iter().filter(|a| a.status() == StatusCode::UNAUTHORIZED).count();
    let held = answers.iter().filter(|a| a.status() == StatusCode::TOO_MANY_REQUESTS).collect::<Vec<_>>();
    assert_eq!((refused + held.len(), (5..=6).contains(&refused)), (25, true), "{refused}");
    assert!(held[0].headers().contains_key("retry-after"));
    assert_eq!(g.get("viewer", "/v1/posts").await.0, StatusCode::OK);
    assert_eq!(g.said(is_refusal).len(), refused);
    let counted = || {
        g.said(|l| l.outcome.starts_with("429 held-back "))
            .iter()
            .map(|l| l.outcome[14..].parse::<usize>().unwrap())
            .sum::<usize>()
    };
    until("one line counts them", async || counted() == held.len()).await;
}

/// What one principal asks is limited by itself; what is said of incidents is not.
#[tokio::test]
async fn reads_are_limited_by_principal_and_acts_are_not() {
    let g = Guarded::with(|config| {
        (config.access.rate_per_principal, config.access.rate_burst) = (1.try_into().unwrap(), 3.try_into().unwrap());
        (config.http.rate_per_source, config.http.rate_burst) = (1.try_into().unwrap(), 1.try_into().unwrap());
    })
    .await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(g.get("viewer", "/v1/marks").await.0);
    }
    assert!(statuses.contains(&StatusCode::OK) && statuses.contains(&StatusCode::TOO_MANY_REQUESTS), "{statuses:?}");
    assert_eq!(g.get("supervisor", "/v1/marks").await.0, StatusCode::OK, "another has its own share");
    for n in 0..6 {
        let duty =
            envelope("muster.act", "terminal/S-1", &format!("d{n}"), &json!({ "post": "S-1", "act": "on_duty" }));
        assert_ne!(g.send("S-1", "/v1/acts", &duty).await.0, StatusCode::TOO_MANY_REQUESTS);
        g.fire(&format!("f{n}")).await;
    }
    // A producer of many sources is one to the governor.
    let noise = |n: u32| {
        let mut noise = report(&format!("n{n}"), "邻居噪音扰民");
        noise["source"] = format!("110/desk-3/{n}").into();
        noise
    };
    let mut last = StatusCode::ACCEPTED;
    for n in 0..6 {
        last = g.send("producer", "/v1/reports", &noise(n)).await.0;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
}
