//! The pages and the reads that they need.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::kit::{FIRE, Kit, envelope, report, until};

async fn fetch(kit: &Kit, path: &str) -> (StatusCode, HeaderMap, String) {
    let answer = kit.client.get(format!("{}{path}", kit.base)).send().await.unwrap();
    (answer.status(), answer.headers().clone(), answer.text().await.unwrap())
}

#[tokio::test]
async fn pages_are_narrow_and_their_files_never_change() {
    let kit = Kit::start().await;
    for page in ["/", "/post", "/sign-in"] {
        let (status, headers, text) = fetch(&kit, page).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "report-uri /csp"] {
            assert!(policy.contains(part), "{page}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{page}: {policy}");
        assert_eq!(
            (&headers["x-frame-options"], &headers["referrer-policy"]),
            (&"DENY".parse().unwrap(), &"no-referrer".parse().unwrap())
        );
        assert_eq!(headers["cache-control"], "no-cache");
        let again = kit.client.get(format!("{}{page}", kit.base)).header("if-none-match", &headers["etag"]);
        assert_eq!(again.send().await.unwrap().status(), StatusCode::NOT_MODIFIED, "{page}");
        assert!(!text.contains("/app/~/"), "{page} names its files by their digest");
        assert!(
            !text.contains("<script>") && !text.contains("<style") && !text.contains("://"),
            "{page}: nothing inline or foreign"
        );
        for named in text.split("\"/app/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            let (status, headers, _) = fetch(&kit, &format!("/app/{named}")).await;
            assert_eq!(status, StatusCode::OK, "{named}");
            assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable", "{named}");
        }
    }
    let (status, ..) = fetch(&kit, "/app/000000000000/centre.js").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "another program's");
    let (status, headers, text) = fetch(&kit, "/post-worker.js").await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (StatusCode::OK, "text/javascript; charset=utf-8"));
    assert!(text.contains("/phone.js\""), "the worker knows every file");
    let manifest: Value = serde_json::from_str(&fetch(&kit, "/post.webmanifest").await.2).unwrap();
    assert_eq!(manifest["scope"], "/post");
}

#[tokio::test]
async fn what_is_large_is_compressed_for_whoever_asks() {
    let kit = Kit::start().await;
    let (_, _, page) = fetch(&kit, "/").await;
    let file = page.split("\"/app/").nth(2).unwrap().split('"').next().unwrap();
    for path in [format!("/app/{file}"), "/v1/areas".into()] {
        let ask = kit.client.get(format!("{}{path}", kit.base)).header("accept-encoding", "gzip");
        let answer = ask.send().await.unwrap();
        assert_eq!(answer.headers().get("content-encoding").unwrap(), "gzip", "{path}");
    }
}

#[tokio::test]
async fn a_breach_of_the_policy_is_counted() {
    let kit = Kit::start().await;
    assert!(kit.metric("muster_csp_reports_total 0").await);
    let told = json!({ "csp-report": { "effective-directive": "script-src-elem", "blocked-uri": "inline" } });
    let answer = kit.post("/csp", "application/csp-report", told.to_string()).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert!(kit.metric("muster_csp_reports_total 1").await);
}

#[tokio::test]
async fn cards_show_an_incident_at_a_glance() {
    let kit = Kit::start().await;
    let id = kit.fire("c1").await["incident"].as_str().unwrap().to_owned();
    until("a card", async || !kit.ok("/v1/cards").await["items"].as_array().unwrap().is_empty()).await;
    let cards = kit.ok("/v1/cards").await;
    assert_eq!(cards["more"], false);
    let card = &cards["items"][0];
    assert_eq!((&card["id"], &card["words"]), (&json!(id), &json!(FIRE)));
    assert!(card["marks"].as_array().unwrap().iter().all(|m| m["state"] == "running"), "{card}");
    assert!(card["orders"][0]["weighed"].is_null() && card["orders"][0]["state"] == "issued", "{card}");
    let named = kit.ok(&format!("/v1/cards?incident={id},9900-20200101-1")).await;
    assert_eq!(named["gone"], json!(["9900-20200101-1"]));
    assert_eq!(named["items"].as_array().unwrap().len(), 1);
    assert_eq!(kit.get("/v1/cards?incident=nobody").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_post_sees_its_orders_and_the_calls_that_wait_for_it() {
    let kit = Kit::start().await;
    let fire = kit.fire("u1").await;
    let incident = fire["incident"].as_str().unwrap();
    until("an order", async || {
        !kit.ok(&format!("/v1/incidents/{incident}")).await["orders"].as_array().unwrap().is_empty()
    })
    .await;
    let order = kit.ok(&format!("/v1/incidents/{incident}")).await["orders"][0].clone();
    let post = order["post"].as_str().unwrap();
    let seen = kit.ok(&format!("/v1/posts/{post}")).await;
    assert_eq!((&seen["orders"][0]["id"], &seen["orders"][0]["words"]), (&order["id"], &json!(FIRE)), "{seen}");
    assert!(seen["orders"][0]["weighed"].is_null() && seen["now"].is_string(), "{seen}");
    assert_eq!(kit.get("/v1/posts/nobody").await.0, StatusCode::NOT_FOUND);

    let call =
        json!({ "command": "all_call", "incident": incident, "by": "seat", "reason": "trapped", "radius_m": 20_000 });
    let (status, told) = kit.event("/v1/commands", &envelope("muster.command", "centre", "call-1", &call)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    let units = async || kit.ok(&format!("/v1/incidents/{incident}")).await["all_call"]["units"].clone();
    until("called", async || units().await.as_array().is_some_and(|u| u.iter().any(|u| u["post"].is_string()))).await;
    let called = units().await.as_array().unwrap().iter().find(|u| u["post"].is_string()).unwrap()["post"].clone();
    let called = called.as_str().unwrap();
    assert_eq!(kit.ok(&format!("/v1/posts/{called}")).await["calls"][0]["incident"], incident);
    let answer = json!({ "incident": incident, "post": called, "act": "declined" });
    let (status, told) = kit.event("/v1/acts", &envelope("muster.act", "terminal/x", "answer-1", &answer)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    until("answered", async || kit.ok(&format!("/v1/posts/{called}")).await["calls"] == json!([])).await;
}

#[tokio::test]
async fn the_archive_finds_two_characters_and_its_table_holds_no_formula() {
    let kit = Kit::start().await;
    for (id, text) in [("a1", FIRE), ("a2", "有人晕倒"), ("a3", "=HYPERLINK(\"http://x\") 邻居噪音")] {
        let (status, told) = kit.event("/v1/reports", &report(id, text)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    }
    let found = async |query: &str| kit.ok(&format!("/v1/archive?{query}")).await["items"].as_array().unwrap().len();
    until("all are there", async || found("").await == 3).await;
    assert_eq!(found("q=%E5%86%92%E7%83%9F").await, 1, "冒烟");
    assert_eq!(found("q=%E6%99%95%E5%80%92").await, 1, "晕倒");
    assert_eq!(found("q=%E5%86%92%E7%83%9F%20%E6%99%95%E5%80%92").await, 0, "both words");
    assert_eq!(
        found("category=safety").await + found("category=order").await,
        found("").await,
        "a category and those below it"
    );
    assert_eq!((found("area=quay").await, found("area=ridge").await, found("open=false").await), (3, 0, 0));
    assert_eq!((found("since=2100-01-01T00:00:00Z").await, found("until=2000-01-01T00:00:00Z").await), (0, 0));
    let page = kit.ok("/v1/archive?limit=2").await;
    let next = page["next"].as_str().unwrap();
    assert_eq!(kit.ok(&format!("/v1/archive?limit=2&cursor={next}")).await["items"].as_array().unwrap().len(), 1);
    let (status, headers, table) = fetch(&kit, "/v1/archive.csv").await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (StatusCode::OK, "text/csv; charset=utf-8"));
    assert!(table.starts_with("\u{feff}incident,"), "{table}");
    assert!(table.contains("\"'=HYPERLINK(\"\"http://x\"\") 邻居噪音\""), "{table}");
    assert_eq!(table.lines().count(), 4);
}

#[tokio::test]
async fn the_map_and_the_rules_are_the_playbooks() {
    let kit = Kit::start().await;
    let map = kit.ok("/v1/areas").await;
    assert!(map["areas"].as_array().unwrap().iter().any(|a| a["id"] == "quay" && a["centre"][0].is_f64()), "{map}");
    assert!(map["sites"].as_array().unwrap().iter().any(|s| s["id"] == "lotus-plaza"), "{map}");
    let rules = kit.ok("/v1/rules").await;
    assert_eq!(rules["hash"], kit.server.handle().playbook().hash.as_str());
    assert!(rules["rules"].as_array().unwrap().iter().all(|r| r["id"].is_string() && r["severity"].is_string()));
    assert_eq!(kit.get("/v1/areas?area=0000").await.0, StatusCode::NOT_FOUND);
}
