//! What a principal may not see is not there for it; what is not its own to say it cannot say.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::guarded::{Guarded, is_refusal};
use crate::kit::{envelope, report, until};

async fn fire_at_the_quay(g: &Guarded) -> (String, Vec<String>) {
    let told = g.fire("s1").await;
    let id = told["incident"].as_str().unwrap().to_owned();
    let orders = told["orders"].as_array().unwrap().iter().map(|o| o.as_str().unwrap().to_owned()).collect();
    until("it is on the board", async || g.count("operator", "/v1/incidents").await == 1).await;
    (id, orders)
}

#[tokio::test]
async fn another_countys_incident_is_not_there() {
    let g = Guarded::start().await;
    let (id, _) = fire_at_the_quay(&g).await;
    for path in ["/v1/incidents", "/v1/orders", "/v1/marks", &format!("/v1/marks?incident={id}"), "/v1/notices"] {
        assert!(g.count("near", path).await > 0, "{path}");
        assert_eq!(g.count("far", path).await, 0, "{path}");
    }
    for path in [format!("/v1/incidents/{id}"), format!("/v1/incidents/{id}/timeline")] {
        assert_eq!(g.get("near", &path).await.0, StatusCode::OK, "{path}");
        let (hidden, nothing) = (g.get("far", &path).await, g.get("far", &path.replace(&id, "9900-20200101-9")).await);
        assert_eq!(hidden, nothing, "as if it were not");
        assert_eq!(hidden.0, StatusCode::NOT_FOUND);
    }
    let posts = async |who: &str| -> Vec<String> {
        let (_, list) = g.get(who, "/v1/posts").await;
        list["items"].as_array().unwrap().iter().map(|u| u["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(posts("far").await, ["B-2", "P-4", "P-5"]);
    assert_eq!(posts("near").await.len() + 3, posts("operator").await.len());
    assert_eq!(g.get("far", "/v1/playbook").await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_the_screen_reads_hides_the_same() {
    let g = Guarded::start().await;
    let (id, _) = fire_at_the_quay(&g).await;
    for path in ["/v1/cards".to_owned(), format!("/v1/cards?incident={id}"), "/v1/archive".to_owned()] {
        assert_eq!((g.count("near", &path).await, g.count("far", &path).await), (1, 0), "{path}");
    }
    let (_, told) = g.get("far", &format!("/v1/cards?incident={id}")).await;
    assert_eq!(told["gone"], json!([id]), "as if it were not");
    let table = g.ask(Method::GET, "/v1/archive.csv", &g.tokens["far"]).send().await.unwrap().text().await.unwrap();
    assert!(!table.contains(&id), "{table}");
    // A post sees itself and no other; a desk the posts of its areas.
    let (status, told) = g.get("S-1", "/v1/posts/S-1").await;
    assert_eq!((status, &told["orders"][0]["incident"]), (StatusCode::OK, &json!(id)), "{told}");
    assert_eq!(g.get("S-1", "/v1/posts/P-4").await.0, StatusCode::NOT_FOUND);
    assert_eq!(g.get("far", "/v1/posts/P-4").await.0, StatusCode::OK);
    assert_eq!(g.get("far", "/v1/posts/S-1").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_command_about_another_countys_incident_is_about_nothing() {
    let g = Guarded::start().await;
    let (id, orders) = fire_at_the_quay(&g).await;
    let order = &orders[0];
    let none = "9900-20200101-9";
    for (n, data) in [
        json!({ "command": "close", "incident": id, "disposition": "handled" }),
        json!({ "command": "hold", "incident": id, "reason": "x" }),
        json!({ "command": "sign_on_behalf", "incident": id, "order": order, "words": "signed" }),
        json!({ "command": "recall", "order": order }),
        json!({ "command": "take_notice", "notice": format!("{id}-n1") }),
        json!({ "command": "create", "report": { "text": "火", "place": { "id": "lotus-plaza" } } }),
    ]
    .into_iter()
    .enumerate()
    {
        let before = g.said(is_refusal).len();
        let (status, problem) = g.command("far", &format!("c{n}"), data.clone()).await;
        let expected = if data["command"] == "create" { StatusCode::FORBIDDEN } else { StatusCode::NOT_FOUND };
        assert_eq!(status, expected, "{data}: {problem}");
        assert_eq!(g.said(is_refusal).len(), before + 1, "{data}: one line");
    }
    let about = |id: &str| json!({ "command": "confirm", "incident": id });
    let hidden = g.command("far", "h1", about(&id)).await;
    let nothing = g.command("operator", "h2", about(none)).await;
    assert_eq!(hidden.1.to_string().replace(&id, none), nothing.1.to_string(), "in the same words");
    let (status, told) = g.command("near", "n1", json!({ "command": "hold", "incident": id, "reason": "road" })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    let lines = g.said(|l| l.action == "command.hold" && l.principal == "near");
    assert_eq!(
        (lines.len(), lines[0].target.as_str(), lines[0].outcome.clone()),
        (1, id.as_str(), format!("202 {id}"))
    );
    let text = std::fs::read_to_string(g.audit()).unwrap();
    assert!(!text.contains("road") && !text.contains("火"), "no words of anybody");
}

#[tokio::test]
async fn a_post_acts_as_itself_and_reads_its_own_orders() {
    let g = Guarded::start().await;
    let mut stream = g.ask(Method::GET, "/v1/stream", &g.tokens["P-5"]).send().await.unwrap();
    let (_, orders) = fire_at_the_quay(&g).await;
    let of =
        |list: &Value| -> Vec<Value> { list["items"].as_array().unwrap().iter().map(|o| o["post"].clone()).collect() };
    let own = of(&g.get("S-1", "/v1/orders").await.1);
    assert!(!own.is_empty() && own.iter().all(|post| post == "S-1"), "{own:?}");
    assert_eq!(g.count("S-1", "/v1/orders?post=P-1").await, 0);
    assert_eq!(g.count("P-5", "/v1/orders").await, 0);

    let act = |who: &str, post: &str, order: &str, id: &str| {
        envelope(
            "muster.act",
            &format!("terminal/{who}"),
            id,
            &json!({ "post": post, "order": order, "act": "signed" }),
        )
    };
    let list = g.get("operator", "/v1/orders?post=S-1").await.1;
    let order = list["items"][0]["id"].as_str().unwrap();
    assert!(orders.iter().any(|o| o == order));
    for (event, status, outcome) in [
        (act("P-5", "S-1", order, "a1"), StatusCode::FORBIDDEN, "403 post"),
        (act("S-1", "P-5", order, "a2"), StatusCode::FORBIDDEN, "403 source"),
        (act("P-5", "P-5", order, "a3"), StatusCode::NOT_FOUND, "404 scope"),
    ] {
        let before = g.said(is_refusal).len();
        let (came, problem) = g.send("P-5", "/v1/acts", &event).await;
        assert_eq!(came, status, "{problem}");
        assert!(!problem.to_string().contains("given to"), "not whose it is: {problem}");
        let lines = g.said(is_refusal);
        assert_eq!((lines.len(), lines.last().unwrap().outcome.as_str()), (before + 1, outcome));
    }
    let fix = |post: &str| json!({ "post": post, "position": { "lon": 112.6, "lat": 26.89 }, "fixed_at": "2026-01-01T00:00:00Z" });
    let position = |post: &str, id: &str| envelope("muster.position", "terminal/P-5", id, &fix(post));
    assert_eq!(g.send("P-5", "/v1/positions", &position("S-1", "p1")).await.0, StatusCode::FORBIDDEN);
    assert_eq!(g.send("P-5", "/v1/positions", &position("P-5", "p2")).await.0, StatusCode::ACCEPTED);
    let (status, told) = g.send("S-1", "/v1/acts", &act("S-1", "S-1", order, "a4")).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    let lines = g.said(|l| l.action == "act.signed" && !is_refusal(l));
    assert_eq!((lines.len(), lines[0].principal.as_str(), lines[0].target.as_str()), (1, "S-1", order));

    // What it heard meanwhile: that it listens, and of nobody's order.
    let mut heard = String::new();
    while let Ok(Ok(Some(chunk))) = tokio::time::timeout(std::time::Duration::from_millis(300), stream.chunk()).await {
        heard.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(
        heard.contains("muster.ready") && !heard.contains("muster.order") && !heard.contains("muster.timeline"),
        "{heard}"
    );
}

#[tokio::test]
async fn a_post_hears_its_orders_and_a_county_what_is_in_it() {
    let g = Guarded::start().await;
    let ask = |who: &str| g.ask(Method::GET, "/v1/stream", &g.tokens[who]).send();
    let mut streams = [ask("S-1").await.unwrap(), ask("near").await.unwrap(), ask("far").await.unwrap()];
    fire_at_the_quay(&g).await;
    let mut heard = [const { String::new() }; 3];
    for (stream, heard) in streams.iter_mut().zip(&mut heard) {
        while let Ok(Ok(Some(chunk))) =
            tokio::time::timeout(std::time::Duration::from_millis(400), stream.chunk()).await
        {
            heard.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
    let [post, near, far] = heard;
    assert!(post.contains("event: muster.order") && post.contains("\"post\":\"S-1\""), "{post}");
    assert!(
        !post.contains("muster.notice") && !post.contains("muster.timeline") && !post.contains("\"post\":\"P-"),
        "{post}"
    );
    assert!(near.contains("muster.order") && near.contains("muster.notice") && near.contains("muster.timeline"));
    assert!(!far.contains("lotus-plaza") && !far.contains("muster.order") && !far.contains("muster.timeline"), "{far}");
}

#[tokio::test]
async fn a_producer_reports_under_its_own_source() {
    let g = Guarded::start().await;
    let mut foreign = report("r1", "噪音");
    foreign["source"] = "110/desk-31".into();
    let before = g.said(is_refusal).len();
    let (status, problem) = g.send("producer", "/v1/reports", &foreign).await;
    assert_eq!((status, &problem["field"]), (StatusCode::FORBIDDEN, &json!("source")), "{problem}");
    let lines = g.said(is_refusal);
    assert_eq!((lines.len(), lines.last().unwrap().outcome.as_str()), (before + 1, "403 source"));
    // A batch of them is one line.
    let batch = json!([foreign, foreign, report("r2", "噪音")]).to_string();
    let request = g.ask(Method::POST, "/v1/reports", &g.tokens["producer"]).body(batch);
    let request = request.header("content-type", "application/cloudevents-batch+json");
    let (_, told) = crate::kit::told(request.send().await.unwrap()).await;
    assert_eq!((&told[0]["status"], &told[2]["status"]), (&json!(403), &json!(202)), "{told}");
    let lines = g.said(is_refusal);
    assert_eq!((lines.len(), lines.last().unwrap().outcome.as_str()), (before + 2, "403 source and 1 more"));
    // Data without an envelope are the token's own.
    let bare = g.ask(Method::POST, "/v1/reports", &g.tokens["producer"]).header("content-type", "application/json");
    let (status, told) =
        crate::kit::told(bare.body("{\"text\":\"有人晕倒\",\"place\":{\"id\":\"lotus-plaza\"}}").send().await.unwrap())
            .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    let id = told["incident"].as_str().unwrap();
    until("it is told", async || g.get("viewer", &format!("/v1/incidents/{id}")).await.0 == StatusCode::OK).await;
    let (_, incident) = g.get("viewer", &format!("/v1/incidents/{id}")).await;
    let sources: Vec<_> =
        incident["reports"].as_array().unwrap().iter().map(|r| r["source"].as_str().unwrap()).collect();
    assert!(sources.contains(&"110/desk-3"), "{sources:?}");
}
