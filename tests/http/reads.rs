//! What readers see.

use muster::access::Permission;
use reqwest::StatusCode;
use serde_json::json;

use crate::kit::{Kit, report, until};

#[tokio::test]
async fn lists_are_filtered_and_paged_newest_first() {
    let kit = Kit::start().await;
    for (id, text) in [("l1", "有人晕倒"), ("l2", "邻居噪音扰民"), ("l3", "有人持刀")] {
        let (status, told) = kit.event("/v1/reports", &report(id, text)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    }
    until("three incidents", async || kit.ok("/v1/incidents").await["items"].as_array().unwrap().len() == 3).await;
    let first = kit.ok("/v1/incidents?limit=2").await;
    let numbers = |page: &serde_json::Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|i| i["id"].as_str().unwrap().rsplit_once('-').unwrap().1.to_owned()).collect()
    };
    assert_eq!(numbers(&first), ["3", "2"]);
    let next = first["next"].as_str().unwrap();
    let rest = kit.ok(&format!("/v1/incidents?limit=2&cursor={next}")).await;
    assert_eq!((numbers(&rest), &rest["next"]), (vec!["1".to_owned()], &json!(null)));
    let count = async |query: &str| kit.ok(&format!("/v1/incidents?{query}")).await["items"].as_array().unwrap().len();
    assert_eq!(count("lane=bottom-line").await, 2, "the knife, and the collapse that the key site raised");
    assert_eq!(count("lane=ordinary&state=open").await, 1);
    assert_eq!(count("area=quay").await, 3);
    assert_eq!(count("area=990001&state=dispatching").await, 3, "a county");
    assert_eq!(count("area=ridge").await, 0);
    assert_eq!(count("since=2000-01-01T00:00:00Z").await, 3);
    assert_eq!(count("since=2100-01-01T00:00:00Z").await, 0);
    assert_eq!(count("drill=true").await, 0);
}

#[tokio::test]
async fn marks_run_and_notices_wait() {
    let kit = Kit::start().await;
    let fire = kit.fire("m1").await;
    let id = fire["incident"].as_str().unwrap();
    until("marks", async || !kit.ok("/v1/marks").await["items"].as_array().unwrap().is_empty()).await;
    let marks = kit.ok(&format!("/v1/marks?incident={id}")).await;
    let names: Vec<_> = marks["items"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"signed") && names.contains(&"on-scene"), "{names:?}");
    let due: Vec<_> = marks["items"].as_array().unwrap().iter().map(|m| m["due_at"].as_str().unwrap()).collect();
    assert!(due.is_sorted(), "next due first: {due:?}");
    assert_eq!(marks["items"][0]["state"], "running");

    let notices = kit.ok(&format!("/v1/notices?incident={id}")).await;
    assert!(notices["items"].as_array().unwrap().iter().any(|n| n["kind"] == "opened"), "{notices}");
    let timeline = kit.ok(&format!("/v1/incidents/{id}/timeline")).await;
    let lines = timeline["items"].as_array().unwrap();
    assert_eq!(lines[0]["what"], "opened");
    assert_eq!(lines[0]["by"], json!({ "kind": "source", "id": "110/desk-3" }));
    assert!(lines.iter().any(|l| l["what"] == "ordered" && l["detail"]["sign_by"].is_string()), "{timeline}");
    let page = kit.ok(&format!("/v1/incidents/{id}/timeline?limit=1")).await;
    let next = page["next"].as_str().unwrap();
    let after = kit.ok(&format!("/v1/incidents/{id}/timeline?limit=1&cursor={next}")).await;
    assert_eq!(after["items"][0], lines[1]);
}

#[tokio::test]
async fn the_playbook_and_the_probes_answer() {
    let kit = Kit::start().await;
    let playbook = kit.ok("/v1/playbook").await;
    assert_eq!(playbook["hash"], kit.server.handle().playbook().hash.as_str());
    assert!(!playbook["plans"].as_array().unwrap().is_empty());
    let ready = kit.ok("/readyz").await;
    assert_eq!(ready["phase"], "ready");
    let live = kit.client.get(format!("{}/livez", kit.base)).send().await.unwrap();
    assert_eq!(live.status(), StatusCode::OK);
    assert!(kit.metric("muster_build_info{version=\"0.1.0\"} 1").await);
    assert!(kit.metric("muster_unaccounted{what=\"incident\"} 0").await);
    let posts = kit.ok("/v1/posts?kind=standing").await;
    assert_eq!(posts["items"][0]["id"], "S-1");
}

#[tokio::test]
async fn a_drill_looks_different_everywhere() {
    let kit = Kit::start().await;
    let mut event = report("x1", crate::kit::FIRE);
    event["data"]["status"] = json!("exercise");
    let (_, told) = kit.event("/v1/reports", &event).await;
    let id = told["incident"].as_str().unwrap();
    until("drill", async || !kit.ok("/v1/incidents?drill=true").await["items"].as_array().unwrap().is_empty()).await;
    assert_eq!(kit.ok(&format!("/v1/incidents/{id}")).await["drill"], true);
    assert_eq!(kit.ok("/v1/incidents?drill=false").await["items"], json!([]));
    let counted =
        async || kit.metric(r#"muster_reports_total{drill="true",outcome="opened",source_kind="desk"} 1"#).await;
    until("counted apart", counted).await;
}

/// What the document promises is there, and what is there is in the document.
#[tokio::test]
async fn the_openapi_document_and_the_router_agree() {
    let kit = Kit::start().await;
    let document = kit.ok("/openapi.json").await;
    let paths = document["paths"].as_object().unwrap();
    let mut promised: Vec<(String, String)> = Vec::new();
    for (path, item) in paths {
        promised.extend(item.as_object().unwrap().keys().map(|method| (path.clone(), method.to_uppercase())));
    }
    // Pages of the screen are no interface: they may be left out of the document.
    let is_told = |r: &&muster::http::Route| r.permission != Permission::Public || paths.contains_key(r.path);
    let told = muster::http::ROUTES.iter().filter(is_told);
    let mut served: Vec<_> = told.map(|r| (r.path.to_owned(), r.method.to_string())).collect();
    promised.sort();
    served.sort();
    assert_eq!(promised, served, "left: the document promises, right: what is served");
    let named = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    for used in text.split("#/components/schemas/").skip(1).map(|rest| rest.split_once('"').unwrap().0) {
        assert!(named.contains_key(used), "{used} is used and not described");
    }
}
