//! Sessions of pages: the cookie, what it may do and when it ends.

use muster::access::{edit, now};
use muster::model::Millis;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::guarded::Guarded;
use crate::kit::{told, until};

async fn sign_in(g: &Guarded, token: &str) -> Response {
    let request = g.client.post(format!("{}/v1/session", g.kit.base)).header("content-type", "application/json");
    request.body(json!({ "token": token }).to_string()).send().await.unwrap()
}

/// The cookie's pair, and what was told.
async fn session(g: &Guarded, who: &str) -> (String, Value) {
    let response = sign_in(g, &g.tokens[who]).await;
    let cookie = response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let (status, body) = told(response).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    (cookie, body)
}

fn with(g: &Guarded, method: Method, path: &str, cookie: &str) -> RequestBuilder {
    g.client.request(method, format!("{}{path}", g.kit.base)).header("cookie", cookie)
}

#[tokio::test]
async fn a_session_is_a_cookie_that_no_script_reads_and_no_other_site_sends() {
    let g = Guarded::start().await;
    let response = sign_in(&g, &g.tokens["near"]).await;
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    for part in ["muster-session=", "; Path=/", "; HttpOnly", "; SameSite=Strict", "; Max-Age=43200"] {
        assert!(cookie.contains(part), "{part}: {cookie}");
    }
    assert!(!cookie.contains("Secure"), "there is no TLS here");
    let (_, body) = told(response).await;
    assert_eq!(
        (&body["principal"], &body["role"], &body["areas"], &body["post"]),
        (&json!("near"), &json!("operator"), &json!(["990001"]), &json!(null))
    );
    let cookie = cookie.split(';').next().unwrap();
    let again = told(with(&g, Method::GET, "/v1/session", cookie).send().await.unwrap()).await;
    assert_eq!(again, (StatusCode::OK, body), "the same body");
    assert_eq!(with(&g, Method::GET, "/v1/incidents", cookie).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(with(&g, Method::GET, "/metrics", cookie).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let (_, post) = session(&g, "S-1").await;
    assert_eq!((&post["role"], &post["post"]), (&json!("post"), &json!("S-1")));
    let text = std::fs::read_to_string(g.audit()).unwrap();
    assert!(!text.contains(cookie.split('=').next_back().unwrap()));
    assert_eq!(g.said(|l| l.action == "session.begin" && l.outcome == "200").len(), 2);
}

#[tokio::test]
async fn what_changes_something_needs_the_header_that_our_page_knows() {
    let g = Guarded::start().await;
    let (cookie, body) = session(&g, "operator").await;
    let (_, other) = session(&g, "operator").await;
    let (csrf, foreign) = (body["csrf"].as_str().unwrap(), other["csrf"].as_str().unwrap());
    let create = json!({
        "specversion": "1.0", "type": "muster.command", "source": "console", "id": "c1",
        "data": { "command": "create", "by": "command/seat-2", "report": { "text": "火", "place": { "id": "lotus-plaza" } } },
    });
    let send = async |csrf: Option<&str>| {
        let mut request = with(&g, Method::POST, "/v1/commands", &cookie).body(create.to_string());
        request = request.header("content-type", "application/cloudevents+json");
        told(csrf.into_iter().fold(request, |r, csrf| r.header("muster-csrf", csrf)).send().await.unwrap()).await
    };
    for wrong in [None, Some(""), Some("x"), Some(foreign)] {
        let (status, problem) = send(wrong).await;
        assert_eq!((status, &problem["type"]), (StatusCode::FORBIDDEN, &json!("urn:muster:problem:csrf")), "{wrong:?}");
    }
    assert_eq!(g.said(|l| l.outcome == "403 csrf" && l.principal == "operator").len(), 4);
    let (status, told_) = send(Some(csrf)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told_}");
    assert_eq!(g.said(|l| l.action == "command.create" && l.principal == "operator").len(), 1);

    let end = || with(&g, Method::DELETE, "/v1/session", &cookie);
    assert_eq!(end().send().await.unwrap().status(), StatusCode::FORBIDDEN, "nobody is signed out by another site");
    let ended = end().header("muster-csrf", csrf).send().await.unwrap();
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    assert!(ended.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(with(&g, Method::GET, "/v1/session", &cookie).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(g.said(|l| l.action == "session.end").len(), 1);
}

#[tokio::test]
async fn nobody_signs_in_with_what_is_not_good() {
    let g = Guarded::start().await;
    let wrong = format!("mst_operator_{}", "0".repeat(64));
    assert_eq!(sign_in(&g, &wrong).await.status(), StatusCode::UNAUTHORIZED);
    let lines = g.said(|l| l.action == "session.begin");
    assert_eq!((lines.len(), lines[0].outcome.as_str(), lines[0].principal.as_str()), (1, "401 wrong", "operator"));
    let post = |kind: &'static str, body: &'static str| {
        let request = g.client.post(format!("{}/v1/session", g.kit.base)).header("content-type", kind);
        request.body(body).send()
    };
    let form = post("application/x-www-form-urlencoded", "token=x").await.unwrap();
    assert_eq!(form.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "a form of another site signs nobody in");
    for body in ["", "{", "{\"token\":7}", "{\"token\":\"x\",\"name\":\"y\"}"] {
        assert_eq!(post("application/json", body).await.unwrap().status(), StatusCode::BAD_REQUEST, "{body}");
    }
    let forged = with(&g, Method::GET, "/v1/session", "muster-session=0000").send().await.unwrap();
    assert_eq!(forged.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(g.said(|l| l.outcome == "401 no-session").len(), 1);
}

#[tokio::test]
async fn a_session_ends_by_rest_and_with_its_token() {
    let g = Guarded::with(|config| config.access.session_idle = Millis(700)).await;
    let (cookie, _) = session(&g, "viewer").await;
    let status = async |cookie: &str| with(&g, Method::GET, "/v1/marks", cookie).send().await.unwrap().status();
    for _ in 0..6 {
        assert_eq!(status(&cookie).await, StatusCode::OK, "in use");
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(900)).await;
    assert_eq!(status(&cookie).await, StatusCode::UNAUTHORIZED);
    let (cookie, _) = session(&g, "viewer").await;
    edit(&g.file(), |k| k.revoke("viewer", now())).unwrap();
    until("it ends with its token", async || status(&cookie).await == StatusCode::UNAUTHORIZED).await;
}

#[tokio::test]
async fn there_are_so_many_sessions_and_no_more() {
    let g = Guarded::with(|config| {
        config.access.sessions_max = 3;
        config.access.sessions_per_principal_max = 2.try_into().unwrap();
    })
    .await;
    let (first, _) = session(&g, "viewer").await;
    session(&g, "viewer").await;
    session(&g, "viewer").await;
    let (status, told_) = told(with(&g, Method::GET, "/v1/session", &first).send().await.unwrap()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "of one's own the oldest goes: {told_}");
    session(&g, "operator").await;
    assert_eq!(sign_in(&g, &g.tokens["near"]).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(g.get("supervisor", "/v1/access").await.1["sessions"], 3);
}
