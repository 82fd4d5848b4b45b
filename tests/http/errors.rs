//! Every error is `application/problem+json`, says which field, and names the way out.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::kit::{Kit, report, told};

fn is_problem(status: StatusCode, told: &Value, code: &str) {
    assert_eq!(told["type"], format!("urn:muster:problem:{code}"), "{told}");
    assert_eq!(told["status"], status.as_u16(), "{told}");
    assert!(told["title"].is_string() && told["detail"].is_string(), "{told}");
}

#[tokio::test]
async fn routes_and_methods_that_are_not_there() {
    let kit = Kit::start().await;
    let (status, told_) = kit.get("/v2/reports").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    is_problem(status, &told_, "not-found");
    for (method, path, hint) in [(Method::GET, "/v1/reports", "use POST"), (Method::DELETE, "/v1/incidents", "use GET")]
    {
        let response = kit.client.request(method, format!("{}{path}", kit.base)).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert!(response.headers().contains_key("allow"), "{path}");
        let (status, problem) = told(response).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        is_problem(status, &problem, "method");
        assert_eq!(problem["hint"], hint);
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_taken() {
    let kit = Kit::start().await;
    let json_ = "application/json";
    let large = json!({ "text": "火".repeat(30_000) }).to_string();
    let huge = "x".repeat(1024 * 1024 + 1);
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(500), "]".repeat(500));
    for (content_type, body, status, code) in [
        ("text/plain", r#"{"text":"x"}"#, 415, "content-type"),
        ("application/x-www-form-urlencoded", "text=x", 415, "content-type"),
        (json_, "{", 400, "json"),
        (json_, "\"text\"", 400, "invalid"),
        (json_, r#"{"text":"a","text":"b"}"#, 400, "duplicate-member"),
        (json_, &deep, 400, "too-deep"),
        (json_, &large, 413, "too-large"),
        (json_, &huge, 413, "too-large"),
        (
            "application/cloudevents+json",
            r#"{"specversion":"1.0","type":"muster.report","id":"a","data":{}}"#,
            400,
            "missing",
        ),
        ("application/cloudevents-batch+json", "{}", 400, "not-an-event"),
    ] {
        let (answered, problem) = told(kit.post("/v1/reports", content_type, body.to_owned()).await).await;
        let shown: String = body.chars().take(40).collect();
        assert_eq!(answered.as_u16(), status, "{content_type} {shown}: {problem}");
        is_problem(answered, &problem, code);
    }
    let (_, problem) = kit
        .event("/v1/reports", &json!({ "specversion": "1.0", "type": "muster.report", "id": "a", "data": {} }))
        .await;
    assert_eq!(problem["field"], "source");
    assert!(problem["hint"].is_string());
    assert!(kit.metric(r#"muster_reports_total{drill="false",outcome="rejected",source_kind="unknown"} 11"#).await);
    assert_eq!(kit.ok("/v1/incidents").await["items"], json!([]), "nothing of it became an incident");
}

#[tokio::test]
async fn a_body_without_a_type_or_with_a_coding_is_not_guessed_at() {
    let kit = Kit::start().await;
    let request = || kit.client.post(format!("{}/v1/reports", kit.base)).body(r#"{"text":"x"}"#);
    let (status, _) = told(request().send().await.unwrap()).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let gzip = request().header("content-type", "application/json").header("content-encoding", "gzip");
    let (status, problem) = told(gzip.send().await.unwrap()).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    is_problem(status, &problem, "content-encoding");
}

#[tokio::test]
async fn queries_are_read_strictly() {
    let kit = Kit::start().await;
    for (path, field) in [
        ("/v1/incidents?stat=open", "stat"),
        ("/v1/incidents?state=opened", "state"),
        ("/v1/incidents?lane=fast", "lane"),
        ("/v1/incidents?since=yesterday", "since"),
        ("/v1/incidents?limit=many", "limit"),
        ("/v1/incidents?cursor=1", "cursor"),
        ("/v1/incidents/1", "id"),
        ("/v1/orders?incident=x", "incident"),
        ("/v1/notices?desk=coffee", "desk"),
        ("/v1/posts?kind=flying", "kind"),
        ("/v1/stream?type=gossip", "type"),
        ("/v1/stream?last_event_id=x", "last_event_id"),
        ("/v1/playbook?x=1", "x"),
    ] {
        let (status, problem) = kit.get(path).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {problem}");
        assert_eq!(problem["field"], field, "{path}: {problem}");
    }
    let (status, _) = kit.get("/v1/incidents/9900-20261123-1/timeline").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_name_that_is_not_ours_is_not_served() {
    let kit = Kit::start().await;
    let foreign = kit.client.get(format!("{}/v1/incidents", kit.base)).header("host", "evil.example");
    let (status, problem) = told(foreign.send().await.unwrap()).await;
    assert_eq!(status, StatusCode::MISDIRECTED_REQUEST);
    is_problem(status, &problem, "host");
    // Nor is another origin told that it may read the answer.
    let cross = kit.client.get(format!("{}/v1/incidents", kit.base)).header("origin", "http://evil.example");
    let response = cross.send().await.unwrap();
    assert!(!response.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn unknown_members_are_dropped_and_counted() {
    let kit = Kit::start().await;
    let mut event = report("u1", "有人晕倒");
    event["data"]["name"] = json!("somebody");
    event["data"]["phone"] = json!("13800138000");
    let (status, answer) = kit.event("/v1/reports", &event).await;
    assert_eq!((status, &answer["dropped"]), (StatusCode::ACCEPTED, &json!(2)), "{answer}");
    assert!(kit.metric("muster_dropped_members_total 2").await);
    let stored = std::fs::read(kit.config().journal.file()).unwrap();
    let wal = std::fs::read(kit.config().journal.path.join("muster.db-wal")).unwrap_or_default();
    for bytes in [stored, wal] {
        assert!(!bytes.windows(11).any(|w| w == b"13800138000"), "never stored");
    }
}
