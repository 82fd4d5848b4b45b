//! The door, from bytes to events: the contract's shapes, every refusal by its field, and bad input of all kinds.
//!
//! Hostile files are read in place from `../shared/data`; a test whose data is absent says so and passes.

use std::path::{Path, PathBuf};

use muster::decode::{
    Decoded, EventType, Limits, Mode, Reason, Rejection, Sender, decode_bare, decode_batch, decode_binary,
    decode_structured,
};
use muster::model::{Act, Body, CommandKind, Position, Report, Status, Timestamp, Urgency};
use proptest::prelude::*;
use serde_json::{Value, json};

const RECEIVED: Timestamp = Timestamp(1_795_392_000_000);

fn decode(event: &Value) -> Result<Decoded, Rejection> {
    decode_text(&event.to_string())
}

fn decode_text(text: &str) -> Result<Decoded, Rejection> {
    decode_structured(text.as_bytes(), RECEIVED, &Limits::default())
}

fn event(kind: &str, data: &Value) -> Value {
    json!({ "specversion": "1.0", "type": kind, "source": "110/desk-3", "id": "a1", "data": data })
}

fn report_of(data: &Value) -> Result<Report, Rejection> {
    match decode(&event("muster.report", data))?.event.body {
        Body::Report(report) => Ok(*report),
        other => panic!("{other:?} is no report"),
    }
}

/// Reason and field of a refusal.
fn refused(result: Result<Decoded, Rejection>) -> (Reason, String) {
    let rejection = result.expect_err("must be refused");
    (rejection.reason, rejection.field.unwrap_or_default())
}

fn command(data: &Value) -> Result<CommandKind, Rejection> {
    match decode(&event("muster.command", data))?.event.body {
        Body::Command(command) => Ok(command.kind),
        other => panic!("{other:?} is no command"),
    }
}

const CONTRACT_EXAMPLE: &str = r#"
{ "specversion":"1.0", "type":"muster.report", "source":"110/desk-3", "id":"a1", "time":"2026-11-23T08:00:00+08:00",
  "datacontenttype":"application/json", "traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  "data": { "code":"JQ-0301", "text":"商场冒烟 有明火", "status":"actual",
            "urgency":"immediate", "severity":"severe", "certainty":"observed",
            "place": { "id":"lotus-plaza", "township":"430408001", "vintage":"mca-2026",
                       "position": { "lon":112.60, "lat":26.89, "accuracy_m":30, "crs":"wgs84" } },
            "attributes": { "smoke_ppm": 410 }, "callback":"opaque", "references":["110/desk-3:a0"] } }"#;

#[test]
fn contract_example_is_read_whole() {
    let Decoded { event, dropped } = decode_text(CONTRACT_EXAMPLE).unwrap();
    assert_eq!((event.received, dropped), (RECEIVED, 0));
    assert_eq!((event.meta.source.as_str(), event.meta.id.as_str()), ("110/desk-3", "a1"));
    assert_eq!(event.meta.time, Some(Timestamp::parse("2026-11-23T00:00:00Z").unwrap()));
    assert_eq!(event.meta.traceparent.as_deref(), Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    let Body::Report(report) = event.body else { panic!("no report") };
    assert_eq!((report.code.as_deref(), report.text.reveal()), (Some("JQ-0301"), "商场冒烟 有明火"));
    assert_eq!((report.status, report.urgency), (Status::Actual, Some(Urgency::Immediate)));
    assert_eq!(report.place.id.as_deref(), Some("lotus-plaza"));
    assert_eq!(report.place.position, Some(Position { lon: 112.60, lat: 26.89 }));
    assert_eq!((report.place.accuracy_m, report.attributes["smoke_ppm"]), (Some(30.0), 410.0));
    assert_eq!((report.callback.as_deref(), report.references.len()), (Some("opaque"), 1));
}

#[test]
fn report_needs_nothing_but_an_object() {
    assert_eq!(report_of(&json!({})).unwrap(), Report::default());
    assert_eq!(report_of(&json!({ "text": "着火了" })).unwrap().text.reveal(), "着火了");
    let nulls = json!({ "code": null, "text": null, "place": { "position": null, "id": "" }, "attributes": null,
                        "references": null, "status": null });
    assert_eq!(report_of(&nulls).unwrap(), Report::default());
    for data in [json!("text"), json!([]), json!(1), json!(true)] {
        assert_eq!(refused(decode(&event("muster.report", &data))), (Reason::Invalid, "data".into()));
    }
    assert_eq!(refused(decode(&event("muster.report", &Value::Null))), (Reason::Missing, "data".into()));
}

#[test]
fn unknown_members_are_dropped_and_counted_wherever_they_stand() {
    let mut with = event(
        "muster.report",
        &json!({
            "text": "x", "name": "张三", "phone": { "mobile": ["13800138000"] },
            "place": { "door": 3, "position": { "lon": 112.6, "lat": 26.89, "altitude": 70 } }
        }),
    );
    with["partitionkey"] = json!("4304");
    let Decoded { event: decoded, dropped } = decode(&with).unwrap();
    assert_eq!(dropped, 5, "name, phone, door, altitude, partitionkey");
    let stored = serde_json::to_string(&decoded).unwrap();
    assert!(!stored.contains("张三") && !stored.contains("1380"), "{stored}");
    // The same however the members are ordered: data before type is read at the end.
    let late =
        r#"{"data":{"name":"张三","text":"x"},"id":"a","source":"s","specversion":"1.0","type":"muster.report"}"#;
    assert_eq!(decode_text(late).unwrap().dropped, 1);
}

#[test]
fn refusal_names_the_member_and_never_its_value() {
    let secret = "13800138000";
    let position = |lon: f64, lat: f64| json!({ "place": { "position": { "lon": lon, "lat": lat } } });
    let cases = [
        (position(112.6, 90.5), Reason::Invalid, "data.place.position.lat"),
        (position(-180.5, 26.0), Reason::Invalid, "data.place.position.lon"),
        (json!({ "place": { "position": { "lon": 1.0 } } }), Reason::Missing, "data.place.position.lat"),
        (json!({ "place": { "position": { "lon": secret, "lat": 1 } } }), Reason::Invalid, "data.place.position.lon"),
        (
            json!({ "place": { "position": { "lon": 1, "lat": 1, "crs": secret } } }),
            Reason::Invalid,
            "data.place.position.crs",
        ),
        (
            json!({ "place": { "position": { "lon": 1, "lat": 1, "accuracy_m": -1 } } }),
            Reason::Invalid,
            "data.place.position.accuracy_m",
        ),
        (json!({ "place": secret }), Reason::Invalid, "data.place"),
        (json!({ "text": 13_800_138_000_u64 }), Reason::Invalid, "data.text"),
        (json!({ "code": "a\u{7}13800138000" }), Reason::Invalid, "data.code"),
        (json!({ "urgency": secret }), Reason::Invalid, "data.urgency"),
        (json!({ "status": secret }), Reason::Invalid, "data.status"),
        (json!({ "attributes": { "smoke_ppm": secret } }), Reason::Invalid, "data.attributes.smoke_ppm"),
        (json!({ "references": [secret, 13_800_138_000_u64] }), Reason::Invalid, "data.references[1]"),
        (json!({ "callback": secret.repeat(30) }), Reason::TooLong, "data.callback"),
        (json!({ "text": secret.repeat(1000) }), Reason::TooLong, "data.text"),
        (json!({ "references": vec![secret; 17] }), Reason::TooMany, "data.references[16]"),
    ];
    for (data, reason, field) in cases {
        let rejection = decode(&event("muster.report", &data)).expect_err(field);
        assert_eq!((rejection.reason, rejection.field.as_deref()), (reason, Some(field)), "{rejection}");
        let said = serde_json::to_string(&rejection).unwrap() + &rejection.to_string();
        assert!(!said.contains("13800138000"), "{said}");
        assert!(!rejection.hint.is_empty() && !rejection.detail.is_empty());
    }
    let many: serde_json::Map<String, Value> = (0..65).map(|n| (format!("a{n}"), json!(n))).collect();
    assert_eq!(refused(decode(&event("muster.report", &json!({ "attributes": many })))).0, Reason::TooMany);
}

#[test]
fn numbers_that_are_none_are_refused() {
    for number in ["1e999", "-1e999"] {
        let text = CONTRACT_EXAMPLE.replace("410", number);
        assert_eq!(refused(decode_text(&text)), (Reason::Invalid, "data.attributes.smoke_ppm".into()));
    }
    for number in ["NaN", "Infinity", "-Infinity", "0x10", "01", "1.", "+1"] {
        let text = CONTRACT_EXAMPLE.replace("410", number);
        assert_eq!(refused(decode_text(&text)).0, Reason::Json, "{number}");
    }
}

#[test]
fn chinese_map_coordinates_are_turned_into_wgs84() {
    let wgs = Position { lon: 112.60, lat: 26.89 };
    let gcj = wgs.to_gcj02();
    let data = json!({ "place": { "position": { "crs": "gcj02", "lon": gcj.lon, "lat": gcj.lat } } });
    let place = report_of(&data).unwrap().place;
    assert!(place.position.unwrap().distance_m(wgs) < 0.01);
}

#[test]
fn doubled_member_is_refused_by_name() {
    for (text, field) in [
        (CONTRACT_EXAMPLE.replacen("\"id\":\"a1\"", "\"id\":\"a1\",\"id\":\"a1\"", 1), "id"),
        (CONTRACT_EXAMPLE.replacen("\"status\":\"actual\"", "\"text\":\"另\",\"status\":\"actual\"", 1), "data.text"),
        (CONTRACT_EXAMPLE.replacen("\"smoke_ppm\"", "\"smoke_ppm\":1,\"smoke_ppm\"", 1), "data.attributes.smoke_ppm"),
        (CONTRACT_EXAMPLE.replacen("\"data\":", "\"other\":{\"a\":[{\"b\":1,\"b\":1}]},\"data\":", 1), "other"),
    ] {
        let (reason, found) = refused(decode_text(&text));
        assert!(reason == Reason::DuplicateMember && found == field || found == "other", "{reason} {found}");
    }
    let nested = CONTRACT_EXAMPLE.replacen("\"code\"", "\"extra\":{\"a\":[{\"b\":1,\"b\":1}]},\"code\"", 1);
    assert_eq!(refused(decode_text(&nested)), (Reason::DuplicateMember, "data.extra.a[0].b".into()));
}

#[test]
fn digest_is_of_what_is_said() {
    let digest = |text: &str| decode_text(text).unwrap().event.meta.digest;
    let first = digest(CONTRACT_EXAMPLE);
    let value: Value = serde_json::from_str(CONTRACT_EXAMPLE).unwrap();
    for same in [
        value.to_string(),
        serde_json::to_string_pretty(&value).unwrap(),
        CONTRACT_EXAMPLE.replace("08:00:00", "09:00:00"),
        CONTRACT_EXAMPLE.replace("商场", "\\u5546\\u573a"),
        CONTRACT_EXAMPLE.replace("410", "4.1e2"),
        CONTRACT_EXAMPLE.replace("\"code\"", "\"unknown\":1,\"code\""),
    ] {
        assert_eq!(digest(&same), first, "{same}");
    }
    for other in
        [("商场", "商厦"), ("410", "411"), ("immediate", "expected"), ("desk-3:a0", "desk-3:a9"), ("26.89", "26.90")]
    {
        assert_ne!(digest(&CONTRACT_EXAMPLE.replace(other.0, other.1)), first, "{other:?}");
    }
    let swapped = |code: &str, id: &str| {
        let data = json!({ "code": code, "place": { "id": id } });
        decode(&event("muster.report", &data)).unwrap().event.meta.digest
    };
    assert_ne!(swapped("ab", "c"), swapped("a", "bc"), "lengths keep members apart");
}

#[test]
fn act_is_read_with_its_order_or_its_incident() {
    let act = |data: Value| decode(&event("muster.act", &data));
    let signed = act(json!({ "order": "4304-20261123-1-2", "post": "P-017", "act": "signed",
                             "done_at": "2026-11-23T08:00:00Z", "reason": "盲区" }))
    .unwrap();
    let Body::Act(signed) = signed.event.body else { panic!("no act") };
    assert_eq!((signed.act, signed.post.as_str()), (Act::Signed, "P-017"));
    assert_eq!(signed.order.unwrap().to_string(), "4304-20261123-1-2");
    assert_eq!(signed.reason.unwrap().reveal(), "盲区");
    let seen = act(json!({ "post": "P-1", "act": "on_view", "report": { "text": "打架" } })).unwrap();
    let Body::Act(seen) = seen.event.body else { panic!("no act") };
    assert_eq!(seen.report.unwrap().text.reveal(), "打架");
    assert_eq!(refused(act(json!({ "act": "signed" }))), (Reason::Missing, "data.post".into()));
    assert_eq!(refused(act(json!({ "post": "P-1" }))), (Reason::Missing, "data.act".into()));
    assert_eq!(refused(act(json!({ "post": "P-1", "act": "singed" }))), (Reason::Invalid, "data.act".into()));
    let wrong = json!({ "post": "P-1", "act": "signed", "order": "4304-1" });
    assert_eq!(refused(act(wrong)), (Reason::Invalid, "data.order".into()));
    let two = json!({ "post": "P-1", "act": "signed", "order": "4304-20261123-1-2", "incident": "4304-20261123-2" });
    assert_eq!(refused(act(two)), (Reason::Invalid, "data.incident".into()));
    let bad =
        json!({ "post": "P-1", "act": "on_view", "report": { "place": { "position": { "lon": 1, "lat": 100 } } } });
    assert_eq!(refused(act(bad)), (Reason::Invalid, "data.report.place.position.lat".into()));
}

#[test]
fn position_needs_a_fix() {
    let at = |lon: f64, lat: f64| {
        let position = json!({ "lon": lon, "lat": lat });
        decode(&event(
            "muster.position",
            &json!({ "post": "P-1", "position": position, "fixed_at": "2026-11-23T08:00:00Z" }),
        ))
    };
    let Body::Position(fix) = at(112.6, 26.89).unwrap().event.body else { panic!("no position") };
    assert_eq!(fix.position, Position { lon: 112.6, lat: 26.89 });
    assert_eq!(refused(at(0.0, 0.0)), (Reason::Invalid, "data.position".into()));
    assert_eq!(refused(at(0.0, 99.0)), (Reason::Invalid, "data.position.lat".into()));
}

#[test]
fn every_verb_is_read_with_what_it_needs() {
    let (incident, order) = ("4304-20261123-1", "4304-20261123-1-1");
    let extras = [
        ("create", json!({ "report": { "text": "x" }, "severity": "II" }), None),
        ("correct_place", json!({ "place": { "id": "lotus-plaza" } }), Some("place")),
        ("reclassify", json!({ "severity": "I" }), Some("category")),
        ("order", json!({ "post": "P-1", "role": "reinforce" }), Some("post")),
        ("stand_down", json!({ "order": order }), Some("order")),
        ("confirm", json!({}), None),
        ("refute", json!({}), None),
        ("link", json!({ "other": "4304-20261123-2" }), Some("other")),
        ("split", json!({ "reports": [1, 2] }), Some("reports")),
        ("merge", json!({ "into": "4304-20261123-2" }), Some("into")),
        ("hold", json!({ "reason": "路断" }), None),
        ("all_call", json!({ "radius_m": 800 }), None),
        ("recall", json!({}), None),
        ("controlled", json!({}), None),
        ("close", json!({ "disposition": "handled" }), Some("disposition")),
        ("cancel", json!({}), None),
        ("reopen", json!({}), None),
        ("sign_on_behalf", json!({ "order": order, "words": "收到" }), Some("order")),
        ("take_notice", json!({ "notice": "n-1" }), Some("notice")),
        (
            "silence",
            json!({ "matchers": { "kinds": ["opened"] }, "until": "2026-11-23T10:00:00+08:00" }),
            Some("matchers"),
        ),
        ("unsilence", json!({ "silence": "4304-20261123-s1" }), Some("silence")),
    ];
    for (verb, extra, needs) in extras {
        let mut data = json!({ "command": verb, "by": "command/seat-2", "incident": incident });
        data.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let kind = command(&data).unwrap_or_else(|e| panic!("{verb}: {e}"));
        assert_eq!(kind.as_str(), verb);
        if let Some(member) = needs {
            for name in extra.as_object().unwrap().keys() {
                data.as_object_mut().unwrap().remove(name);
            }
            let absent = decode(&event("muster.command", &data));
            assert_eq!(refused(absent), (Reason::Missing, format!("data.{member}")), "{verb}");
        }
        data.as_object_mut().unwrap().remove("by");
        assert!(decode(&event("muster.command", &data)).is_err(), "{verb} without a seat");
    }
    let no_incident = json!({ "command": "confirm", "by": "command/seat-2" });
    assert_eq!(refused(decode(&event("muster.command", &no_incident))), (Reason::Missing, "data.incident".into()));
}

#[test]
fn unknown_verb_is_answered_with_the_nearest_known_one() {
    let rejection = command(&json!({ "command": "reclasify", "by": "s" })).unwrap_err();
    assert_eq!((rejection.reason, rejection.field.as_deref()), (Reason::Invalid, Some("data.command")));
    assert!(rejection.hint.starts_with("did you mean `reclassify`?"), "{}", rejection.hint);
    let rejection = command(&json!({ "command": "explode", "by": "s" })).unwrap_err();
    assert!(rejection.hint.contains("sign_on_behalf") && !rejection.hint.contains("explode"), "{}", rejection.hint);
}

#[test]
fn other_versions_and_content_types_are_refused_with_the_way_out() {
    let mut old = event("muster.report", &json!({}));
    old["specversion"] = json!("0.3");
    let rejection = decode(&old).unwrap_err();
    assert_eq!((rejection.reason, rejection.field.as_deref()), (Reason::SpecVersion, Some("specversion")));
    assert!(rejection.hint.contains("1.0"));
    let mut xml = event("muster.report", &json!({}));
    xml["datacontenttype"] = json!("application/xml");
    assert_eq!(refused(decode(&xml)), (Reason::ContentType, "datacontenttype".into()));
    xml["datacontenttype"] = json!("application/vnd.city+json; charset=utf-8");
    assert!(decode(&xml).is_ok());
    let mut trace = event("muster.report", &json!({}));
    trace["traceparent"] = json!("00-zz");
    let decoded = decode(&trace).unwrap();
    assert_eq!((decoded.event.meta.traceparent, decoded.dropped), (None, 1), "a broken trace never costs a report");
}

#[test]
fn data_in_base64_is_read_like_data() {
    let mut event = event("muster.report", &Value::Null);
    event["data_base64"] = json!("eyJ0ZXh0IjoiZmlyZSJ9");
    let Body::Report(report) = decode(&event).unwrap().event.body else { panic!("no report") };
    assert_eq!(report.text.reveal(), "fire");
    for (wrong, reason) in
        [("eyJ0ZXh0IjoiZmlyZSJ", Reason::Invalid), ("AAAA", Reason::Invalid), ("Wzdd", Reason::Invalid)]
    {
        event["data_base64"] = json!(wrong);
        assert_eq!(refused(decode(&event)), (reason, "data_base64".into()), "{wrong}");
    }
}

#[test]
fn batch_keeps_its_elements_apart() {
    let good = event("muster.report", &json!({ "text": "一" })).to_string();
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    let batch = format!("[{good}, 7, {{\"a\":1,\"a\":2}}, {deep},\n {good} ,{{}}]");
    let results = decode_batch(batch.as_bytes(), RECEIVED, &Limits::default()).unwrap();
    let reasons: Vec<Option<Reason>> = results.iter().map(|r| r.as_ref().err().map(|e| e.reason)).collect();
    let expected = [None, Some(Reason::NotAnEvent), Some(Reason::AttributeName), Some(Reason::NotAnEvent), None];
    assert_eq!(reasons[0], expected[0]);
    assert_eq!(reasons[1], expected[1]);
    assert!(reasons[2].is_some() && reasons[3].is_some() && reasons[5] == Some(Reason::Missing));
    assert_eq!(reasons[4], None, "the one after all the bad ones");
    for broken in ["[", "[{]", "[1,]", "{}", "", "[1] 2", "[\"\\ud800\"]"] {
        assert!(decode_batch(broken.as_bytes(), RECEIVED, &Limits::default()).is_err(), "{broken}");
    }
    let limits = Limits { batch_events_max: 2, ..Limits::default() };
    assert_eq!(decode_batch(b"[1,2,3]", RECEIVED, &limits).unwrap_err().reason, Reason::TooMany);
    assert_eq!(decode_batch(b"[]", RECEIVED, &limits).unwrap().len(), 0);
}

#[test]
fn binary_mode_takes_attributes_from_headers() {
    let headers: Vec<(&str, &[u8])> = vec![
        ("Content-Type", b"application/json; charset=utf-8"),
        ("ce-specversion", b"1.0"),
        ("CE-Type", b"muster.report"),
        ("ce-source", b"\"119/%E5%8F%B0\""),
        ("ce-id", b"b%201"),
        ("ce-time", b"2026-11-23T08:00:00+08:00"),
        ("ce-partitionkey", b"4304"),
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let decode = |headers: &[(&'static str, &'static [u8])], body: &str| {
        decode_binary(headers.iter().copied(), Some("application/json"), body.as_bytes(), RECEIVED, &Limits::default())
    };
    let decoded = decode(&headers, r#"{"text":"着火","name":"x"}"#).unwrap();
    assert_eq!((decoded.event.meta.source.as_str(), decoded.event.meta.id.as_str()), ("119/台", "b 1"));
    assert_eq!(decoded.dropped, 2);
    assert!(decoded.event.meta.time.is_some() && decoded.event.meta.traceparent.is_some());
    assert_eq!(refused(decode(&headers, "")), (Reason::Missing, "data".into()));
    assert_eq!(refused(decode(&headers, "{")).0, Reason::Json);
    assert_eq!(refused(decode(&headers, r#"{"text":1}"#)), (Reason::Invalid, "data.text".into()));
    assert_eq!(refused(decode(&headers[..4], "{}")), (Reason::Missing, "id".into()));
    let twice = [&headers[..], &[("Ce-Id", b"2".as_slice())]].concat();
    assert_eq!(refused(decode(&twice, "{}")), (Reason::DuplicateMember, "id".into()));
    let other = [&headers[..], &[("ce-data", b"2".as_slice())]].concat();
    assert!(decode(&other, "{}").is_ok(), "an attribute named data is an extension in binary mode");
}

#[test]
fn bare_data_takes_the_senders_name_and_a_whole_event_keeps_its_own() {
    let sender = || Sender { kind: EventType::Report, source: "http/anonymous".into(), id: "x-1".into() };
    let bare = |text: &str| decode_bare(text.as_bytes(), sender(), RECEIVED, &Limits::default());
    let decoded = bare(r#"{"text":"着火了"}"#).unwrap();
    assert_eq!((decoded.event.meta.source.as_str(), decoded.event.meta.id.as_str()), ("http/anonymous", "x-1"));
    assert_eq!(bare(CONTRACT_EXAMPLE).unwrap().event.meta.source.as_str(), "110/desk-3");
    assert_eq!(refused(bare(r#"{"text":1}"#)), (Reason::Invalid, "data.text".into()));
    assert_eq!(refused(bare(r#"["text"]"#)), (Reason::Invalid, "data".into()));
    assert_eq!(refused(bare(r#"{"text":"#)).0, Reason::Json);
}

#[test]
fn mode_follows_the_content_type() {
    for (content_type, ce, mode) in [
        (Some("application/cloudevents+json; charset=utf-8"), false, Mode::Structured),
        (Some("Application/CloudEvents-Batch+JSON"), true, Mode::Batch),
        (Some("application/json"), true, Mode::Binary),
        (Some("application/json"), false, Mode::Bare),
        (None, false, Mode::Bare),
    ] {
        assert_eq!(Mode::of(content_type, ce), Ok(mode), "{content_type:?}");
    }
    for content_type in ["text/plain", "json", "", "application/xml"] {
        assert_eq!(Mode::of(Some(content_type), false).unwrap_err().reason, Reason::ContentType);
    }
}

#[test]
fn element_over_its_limit_is_refused_unread() {
    let large = format!("{}{}", CONTRACT_EXAMPLE, " ".repeat(64 * 1024));
    assert_eq!(refused(decode_text(&large)).0, Reason::TooLarge);
    let wordy: Vec<String> = (0..16).map(|_| "s".repeat(512)).collect();
    let much = json!({ "text": "火".repeat(2_700), "references": wordy });
    assert_eq!(refused(decode(&event("muster.report", &much))), (Reason::TooLarge, "data".into()));
}

// Hostile files

/// A folder of the shared data, or `None` with a word on the terminal.
fn data(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(folder);
    let found = path.exists();
    if !found {
        eprintln!("SKIPPED: {} missing", path.display());
    }
    found.then_some(path)
}

#[test]
fn json_test_suite_is_sorted_as_it_says() {
    let Some(folder) = data("hostile-json/test_parsing") else { return };
    let (mut accepted, mut rejected, mut either) = (0, 0, 0);
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        let limits = Limits { element_bytes_max: 1 << 20, ..Limits::default() };
        let single = decode_structured(&bytes, RECEIVED, &limits).expect_err(&name);
        let batch = decode_batch(&bytes, RECEIVED, &limits);
        let headers: [(&str, &[u8]); 4] =
            [("ce-specversion", b"1.0"), ("ce-type", b"muster.report"), ("ce-source", b"s"), ("ce-id", b"1")];
        let binary = decode_binary(headers, None, &bytes, RECEIVED, &limits);
        match name.as_bytes()[0] {
            b'y' => {
                accepted += 1;
                assert_ne!(single.reason, Reason::Json, "{name}: {single}");
                assert!(batch.as_ref().err().is_none_or(|e| e.reason == Reason::NotAnEvent), "{name}");
                assert!(binary.as_ref().err().is_none_or(|e| e.reason != Reason::Json), "{name}: {binary:?}");
            }
            b'n' => {
                rejected += 1;
                assert_eq!(single.reason, Reason::Json, "{name}: {single}");
                assert_eq!(batch.expect_err(&name).reason, Reason::Json, "{name}");
                let reason = binary.expect_err(&name).reason;
                assert!(reason == Reason::Json || bytes.trim_ascii().is_empty(), "{name}: {reason}");
            }
            _ => either += 1,
        }
    }
    assert_eq!((accepted, rejected, either), (95, 188, 35));
}

#[test]
fn open_brackets_neither_crash_nor_grow() {
    let limits = Limits { element_bytes_max: 1 << 20, ..Limits::default() };
    for text in ["[".repeat(100_000), "{\"a\":".repeat(100_000), "[{\"\":".repeat(50_000)] {
        assert_eq!(decode_structured(text.as_bytes(), RECEIVED, &limits).unwrap_err().reason, Reason::Json);
        assert_eq!(decode_batch(text.as_bytes(), RECEIVED, &limits).unwrap_err().reason, Reason::Json);
        let within = CONTRACT_EXAMPLE.replace("410", &text);
        assert_eq!(decode_structured(within.as_bytes(), RECEIVED, &limits).unwrap_err().reason, Reason::Json);
    }
    let closed = format!("{{\"data\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(decode_structured(closed.as_bytes(), RECEIVED, &limits).unwrap_err().reason, Reason::TooDeep);
}

fn cases(file: &str) -> Option<Vec<Value>> {
    let path = data("cloudevents/json")?.join(file);
    let text = std::fs::read_to_string(path).expect("the file is there");
    let file: Value = serde_json::from_str(&text).expect("the file is JSON");
    Some(file["tests"].as_array().expect("the file lists tests").clone())
}

#[test]
fn cloudevents_valid_events_are_only_of_an_unknown_type() {
    let Some(cases) = cases("valid-events.json") else { return };
    assert_eq!(cases.len(), 10);
    for case in cases {
        let (reason, field) = refused(decode(&case["event"]));
        assert_eq!((reason, field.as_str()), (Reason::UnknownType, "type"), "{}", case["id"]);
        // With our type and data it is taken, whatever extensions it has.
        let mut ours = case["event"].clone();
        ours["type"] = json!("muster.report");
        ours["datacontenttype"] = json!("application/json");
        ours["data"] = json!({});
        decode(&ours).unwrap_or_else(|e| panic!("{}: {e}", case["id"]));
    }
}

#[test]
fn cloudevents_invalid_events_are_refused_by_their_attribute() {
    let Some(cases) = cases("invalid-events.json") else { return };
    assert_eq!(cases.len(), 25);
    for case in cases {
        let id = case["id"].as_str().unwrap();
        let attribute = match id {
            "invalidCapitalizedExtension" => "MyExtension",
            "invalidPunctuatedExtension" | "invalidNonIntegerExtensionValue" => "my.extension",
            "invalidBothDataAndDataBase64" => "data_base64",
            _ if id.contains("SpecVersion") => "specversion",
            _ if id.contains("DataContentType") => "datacontenttype",
            _ if id.contains("DataSchema") => "dataschema",
            _ if id.contains("Time") => "time",
            _ if id.contains("Type") => "type",
            _ if id.contains("Source") => "source",
            _ if id.contains("Subject") => "subject",
            _ if id.ends_with("Id") => "id",
            other => panic!("no expectation for {other}"),
        };
        for kind in [None, Some("muster.report")] {
            let mut event = case["event"].clone();
            if let Some(kind) = kind.filter(|_| attribute != "type") {
                event["type"] = json!(kind);
                if attribute != "data_base64" {
                    event["data"] = json!({});
                }
            }
            let (reason, field) = refused(decode(&event));
            assert_ne!(reason, Reason::UnknownType, "{id}");
            // Data that is text is refused for that before anything is said of its double.
            let alone = attribute == "data_base64" && kind.is_some();
            assert!(field == attribute || alone && field == "data", "{id}: {reason} {field}");
        }
    }
}

#[test]
fn cloudevents_batches_are_answered_element_by_element() {
    let (Some(valid), Some(invalid)) = (cases("valid-batches.json"), cases("invalid-batches.json")) else { return };
    let reasons = |case: &Value| -> Vec<Reason> {
        let bytes = case["batch"].to_string();
        let results = decode_batch(bytes.as_bytes(), RECEIVED, &Limits::default()).unwrap();
        results.into_iter().map(|r| r.unwrap_err().reason).collect()
    };
    for case in &valid {
        assert!(reasons(case).iter().all(|r| *r == Reason::UnknownType), "{}", case["id"]);
    }
    for case in &invalid {
        assert!(reasons(case).iter().any(|r| *r != Reason::UnknownType), "{}", case["id"]);
    }
    assert!(!valid.is_empty() && invalid.len() == 3);
}

#[test]
fn naughty_strings_pass_unchanged_or_are_refused_by_name() {
    let Some(folder) = data("naughty-strings") else { return };
    let strings: Vec<String> =
        serde_json::from_str(&std::fs::read_to_string(folder.join("blns.json")).unwrap()).unwrap();
    assert!(strings.len() > 500);
    for s in &strings {
        let words = report_of(&json!({ "text": s })).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(words.text.reveal(), s);
        let act = json!({ "post": "P-1", "act": "declined", "reason": s });
        let Body::Act(act) = decode(&event("muster.act", &act)).unwrap().event.body else { panic!("no act") };
        assert_eq!(act.reason.map(|r| r.reveal().to_owned()).unwrap_or_default(), *s);
        let hold = json!({ "command": "sign_on_behalf", "by": "s", "order": "4304-20261123-1-1", "words": s });
        match decode(&event("muster.command", &hold)) {
            Ok(decoded) => match decoded.event.body {
                Body::Command(command) => {
                    assert!(matches!(command.kind, CommandKind::SignOnBehalf { words, .. } if words.reveal() == s));
                }
                other => panic!("{other:?}"),
            },
            Err(e) => assert!(s.is_empty() && e.reason == Reason::Missing, "{e}"),
        }
        // Ids carry anything but control characters and more than 256 bytes.
        let ids =
            json!({ "code": s, "callback": s, "place": { "id": s, "township": s, "vintage": s }, "references": ["x"] });
        match report_of(&ids) {
            Ok(report) => {
                for kept in [&report.code, &report.callback, &report.place.id, &report.place.vintage] {
                    assert_eq!(kept.as_deref().unwrap_or_default(), s);
                }
            }
            Err(e) => assert!(s.chars().any(char::is_control) || s.len() > 256, "{e}"),
        }
        let mut source = event("muster.report", &json!({}));
        source["source"] = json!(s);
        match decode(&source) {
            Ok(decoded) => assert_eq!(decoded.event.meta.source.as_str(), s),
            Err(e) => {
                assert_eq!(e.field.as_deref(), Some("source"));
                assert!(s.is_empty() || s.chars().any(char::is_control) || s.len() > 256, "{e}");
            }
        }
    }
}

proptest! {
    /// No mutation of a good event panics, and what is refused says nothing of what stood there.
    #[test]
    fn mutated_events_never_panic(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6)
    ) {
        let mut bytes = CONTRACT_EXAMPLE.as_bytes().to_vec();
        for (at, byte, how) in edits {
            // A truncation and a removal may have left nothing to change.
            let at = if bytes.is_empty() { 0 } else { at.index(bytes.len()) };
            match how {
                _ if bytes.is_empty() => bytes.push(byte),
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at + 1),
            }
        }
        let limits = Limits::default();
        if let Err(e) = decode_structured(&bytes, RECEIVED, &limits) {
            prop_assert!(!e.to_string().contains("商场") && !e.hint.contains("商场"));
        }
        let _ = decode_batch(&bytes, RECEIVED, &limits);
        let sender = Sender { kind: EventType::Command, source: "s".into(), id: "1".into() };
        let _ = decode_bare(&bytes, sender, RECEIVED, &limits);
        let _ = decode_binary([("ce-id", &bytes[..])], None, &bytes, RECEIVED, &limits);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_structured(&bytes, RECEIVED, &Limits::default());
        let _ = decode_batch(&bytes, RECEIVED, &Limits::default());
    }
}
