//! `muster explain` as a person calls it, with the shipped playbook of Hengyang.
#![cfg(feature = "service")]

use std::io::{ErrorKind, Write as _};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const AT: &str = "2026-11-23T08:10:00+08:00";

/// Exit code, standard output and standard error of `muster explain - <options>` with this report.
fn explain(report: &Value, options: &[&str]) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_muster"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["explain", "-", "--at", AT])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    // Who refuses an option may have ended before it reads: what it then says is what is tested.
    let written = child.stdin.take().expect("it is piped").write_all(report.to_string().as_bytes());
    assert!(written.is_ok() || written.is_err_and(|e| e.kind() == ErrorKind::BrokenPipe), "it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes UTF-8");
    (output.status.code().expect("it was not killed"), text(output.stdout), text(output.stderr))
}

fn page(report: &Value) -> String {
    let (code, page, error) = explain(report, &[]);
    assert_eq!((code, error.as_str()), (0, ""), "{page}");
    page
}

#[track_caller]
fn assert_has(page: &str, wanted: &[&str]) {
    for words in wanted {
        assert!(page.contains(words), "no `{words}` in\n{page}");
    }
}

#[test]
fn fire_at_a_key_site_shows_rule_posts_runner_up_and_marks() {
    let report = json!({ "text": "广场三楼商铺冒烟 有明火 目前无人员伤亡", "name": "not to be shown",
                         "place": { "position": { "lon": 112.60, "lat": 26.89 } } });
    let page = page(&report);
    assert_has(
        &page,
        &[
            "received 2026-11-23 08:10:00, 1 unknown member dropped",
            "key site lotus-plaza",
            "ring 1 (60s)",
            "伤亡 denied by 无人员伤亡",
            "class      public-safety/fire/structure II  lane bottom-line  plan rapid-response",
            "fire.flame (its any, none held)",
            "key-site held",
            "fire.smoke → public-safety/fire/structure III; matches too, and comes later",
            "runner-up ",
            "on-scene of the incident: 60s (ring 1) from received, due 08:11:00; a miss causes",
            "signed of each order: 60s from ordered, due 08:11:00 ",
        ],
    );
    assert!(!page.contains("三楼") && !page.contains("not to be shown"), "only the playbook's words are shown\n{page}");
    assert!(page.matches("\norder ").count() >= 2, "{page}");
}

#[test]
fn panel_alarm_is_verified_first_and_still_shows_its_posts() {
    let report = json!({ "specversion": "1.0", "type": "muster.report", "source": "panel/7", "id": "p1",
                         "data": { "code": "JQ-0306", "place": { "id": "lotus-plaza" } } });
    let page = page(&report);
    assert_has(&page, &["plan verify-first", "posts go when it is confirmed, or when verification lapses", "\norder "]);
}

#[test]
fn unknown_place_orders_nobody_and_a_dispute_never_does() {
    let nowhere = page(&json!({ "text": "冒烟" }));
    assert_has(
        &nowhere,
        &["place      unknown", "plan place-unknown", "no post is ordered", "located of the incident: 60s"],
    );
    let dispute = page(&json!({ "text": "邻里纠纷", "place": { "id": "lotus-plaza" } }));
    assert_has(&dispute, &["lane ordinary", "a mediation case orders no post", "due 2026-11-28 08:10:00"]);
    assert!(!nowhere.contains("\norder ") && !dispute.contains("\norder "));
}

#[test]
fn json_is_one_object_with_the_same_answers() {
    let report = json!({ "text": "冒烟", "place": { "id": "lotus-plaza" } });
    let (code, out, _) = explain(&report, &["--json"]);
    let object: Value = serde_json::from_str(&out).expect("one JSON text");
    assert_eq!(code, 0);
    assert_eq!(object["explanation"]["classification"]["category"], "public-safety/fire/structure");
    assert_eq!(object["explanation"]["place"]["site"], "lotus-plaza");
    assert!(object["orders"][0]["weighed"]["travel_s"].is_u64(), "{object}");
    assert!(object["incident"]["marks"].as_array().is_some_and(|marks| !marks.is_empty()), "{object}");
    assert_eq!(object["report"]["received"], "2026-11-23T00:10:00.000Z");
}

#[test]
fn bad_input_is_told_and_exits_with_two() {
    let (code, out, error) = explain(&json!({ "place": { "position": { "lon": 112, "lat": 99 } } }), &[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert_has(&error, &["data.place.position.lat", "must lie between -90 and 90"]);
    let act = json!({ "specversion": "1.0", "type": "muster.act", "source": "s", "id": "1",
                      "data": { "post": "P-1", "act": "on_duty" } });
    assert_has(&explain(&act, &[]).2, &["only a report can be explained"]);
    assert_eq!(explain(&json!({}), &["--playbook", "no/such/folder"]).0, 2);
    assert_eq!(explain(&json!({}), &["--no-such-option"]).0, 2);
}
