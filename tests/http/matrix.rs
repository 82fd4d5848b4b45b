//! Every route × every role, written out.

use std::fmt::Write as _;

use muster::http::ROUTES;
use reqwest::StatusCode;

use crate::guarded::{Guarded, is_refusal};

/// What each role is answered on each route; `ok` is anything but 401 and 403: it came to the handler.
const EXPECTED: &str = "
                                                     nobody wrong producer post operator supervisor viewer metrics
POST   /v1/reports                                   401    401   ok       403  403      403        403    403
POST   /v1/acts                                      401    401   403      ok   403      403        403    403
POST   /v1/positions                                 401    401   403      ok   403      403        403    403
POST   /v1/commands                                  401    401   403      403  ok       ok         403    403
GET    /v1/incidents                                 401    401   403      403  ok       ok         ok     403
GET    /v1/incidents/{id}                            401    401   403      403  ok       ok         ok     403
GET    /v1/incidents/{id}/timeline                   401    401   403      403  ok       ok         ok     403
GET    /v1/cards                                     401    401   403      403  ok       ok         ok     403
GET    /v1/archive                                   401    401   403      403  ok       ok         ok     403
GET    /v1/archive.csv                               401    401   403      403  ok       ok         ok     403
GET    /v1/areas                                     401    401   403      403  ok       ok         ok     403
GET    /v1/rules                                     401    401   403      403  ok       ok         ok     403
GET    /v1/posts/{id}                                401    401   403      ok   ok       ok         ok     403
GET    /v1/posts                                     401    401   403      403  ok       ok         ok     403
GET    /v1/orders                                    401    401   403      ok   ok       ok         ok     403
GET    /v1/marks                                     401    401   403      403  ok       ok         ok     403
GET    /v1/notices                                   401    401   403      403  ok       ok         ok     403
GET    /v1/silences                                  401    401   403      403  ok       ok         ok     403
GET    /v1/deliveries                                401    401   403      403  ok       ok         ok     403
GET    /v1/inputs/{door}/{partition}/{offset}        401    401   403      403  ok       ok         ok     403
GET    /v1/playbook                                  401    401   403      403  ok       ok         ok     403
GET    /v1/stream                                    401    401   403      ok   ok       ok         ok     403
POST   /v1/session                                   ok     ok    ok       ok   ok       ok         ok     ok
GET    /v1/session                                   401    401   ok       ok   ok       ok         ok     ok
DELETE /v1/session                                   401    401   ok       ok   ok       ok         ok     ok
GET    /v1/access                                    401    401   403      403  403      ok         403    403
GET    /livez                                        ok     ok    ok       ok   ok       ok         ok     ok
GET    /readyz                                       ok     ok    ok       ok   ok       ok         ok     ok
GET    /metrics                                      401    401   403      403  403      403        403    ok
GET    /openapi.json                                 ok     ok    ok       ok   ok       ok         ok     ok
";

/// Whose token is shown, and how wide the column is.
const WHO: [(&str, usize); 8] = [
    ("nobody", 7),
    ("wrong", 6),
    ("producer", 9),
    ("S-1", 5),
    ("operator", 9),
    ("supervisor", 11),
    ("viewer", 7),
    ("metrics", 0),
];

#[tokio::test]
async fn every_route_for_every_role() {
    let g = Guarded::start().await;
    let wrong = format!("mst_operator_{}", "0".repeat(64));
    let (mut came, mut refused) = (EXPECTED.lines().take(2).collect::<Vec<_>>().join("\n"), 0);
    for route in ROUTES {
        let path = route.path.replace("{id}", "9900-20261123-1").replace("{door}/{partition}/{offset}", "reports/0/1");
        write!(came, "\n{:<6} {:<45} ", route.method.as_str(), route.path).unwrap();
        for (who, width) in WHO {
            let request = g.client.request(route.method.clone(), format!("{}{path}", g.kit.base));
            let request = match who {
                "nobody" => request,
                "wrong" => request.bearer_auth(&wrong),
                who => request.bearer_auth(&g.tokens[who]),
            };
            let response = request.send().await.unwrap();
            let status = response.status();
            let challenged = response.headers().contains_key("www-authenticate");
            assert_eq!(challenged, status == StatusCode::UNAUTHORIZED, "{who} {path}");
            let stopped = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            if stopped {
                refused += 1;
                let kind = response.headers()["content-type"].to_str().unwrap();
                assert_eq!(kind, "application/problem+json", "{who} {path}");
            }
            let word = if stopped { status.as_str() } else { "ok" };
            write!(came, "{word:<width$}").unwrap();
        }
    }
    assert_eq!(format!("{came}\n"), EXPECTED, "left: what came");
    let lines = g.said(is_refusal);
    assert_eq!(lines.len(), refused, "one line for each refusal");
    assert!(lines.iter().all(|l| l.from.is_some_and(|from| from.is_loopback())), "{:?}", lines.first());
    assert!(
        lines.iter().any(|l| l.principal == "?" && l.action == "GET /v1/incidents/{id}" && l.outcome == "401 missing")
    );
    assert!(lines.iter().any(|l| l.principal == "operator" && l.action == "GET /metrics" && l.outcome == "401 wrong"));
    assert!(
        lines.iter().any(|l| l.principal == "viewer" && l.action == "POST /v1/commands" && l.outcome == "403 role")
    );
}

/// The table is the only way to a handler: one that is added beside it would be without a permission.
#[test]
fn no_route_stands_outside_the_table() {
    let door = include_str!("../../src/http/app.rs");
    assert_eq!(door.matches(".route(").count(), 1, "src/http/app.rs adds routes from ROUTES and nowhere else");
    // The pages of the screen hold no data; whoever may read is asked by the routes that they read from.
    let door = door.replace(".merge(crate::screen::routes(&app.metrics))", "");
    for way in [".nest(", ".nest_service(", ".merge(", ".route_service(", ".fallback_service("] {
        assert!(!door.contains(way), "{way} leads past the table");
    }
}

/// `/readyz` says yes or no to everybody, and how it stands only to those who may read.
#[tokio::test]
async fn readiness_tells_strangers_no_more_than_that() {
    let g = Guarded::start().await;
    let (_, told) = g.kit.get("/readyz").await;
    assert_eq!(told, serde_json::json!({ "ready": true }));
    for who in ["viewer", "metrics"] {
        assert_eq!(g.get(who, "/readyz").await.1["phase"], "ready", "{who}");
    }
    assert_eq!(g.get("producer", "/readyz").await.1["phase"], serde_json::Value::Null);
}

/// Without access control everything is as ever, and whoever asks is told that it is open.
#[tokio::test]
async fn without_tokens_the_door_is_open_and_says_so() {
    let kit = crate::kit::Kit::start().await;
    let told = kit.ok("/v1/session").await;
    let open = serde_json::json!({
        "principal": "open", "role": "open", "areas": ["*"], "post": null, "source": null, "csrf": null, "expires_at": null,
    });
    assert_eq!(told, open);
    let (status, problem) =
        crate::kit::told(kit.post("/v1/session", "application/json", "{\"token\":\"x\"}").await).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &"urn:muster:problem:access-off".into()));
    assert_eq!(kit.ok("/v1/access").await["on"], false);
}
