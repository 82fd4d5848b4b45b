//! Hostile input through the doors of a running server and through the file that `muster explain` reads: nothing panics, hangs or
//! grows, every refusal names its reason, and what is accepted comes back as it was sent.
//!
//! The data is read in place from `../shared/data`; a test whose data is absent says so and passes.
#![cfg(feature = "service")]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may fail where it stands, and measures real time"
)]

#[allow(dead_code, reason = "the kit of the tests of the door")]
#[path = "http/kit.rs"]
mod kit;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kit::{Kit, envelope, told};
use muster::model::Millis;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
const BARE: &str = "application/json";
const ROUTES: [(&str, &str); 4] = [
    ("/v1/reports", "muster.report"),
    ("/v1/acts", "muster.act"),
    ("/v1/positions", "muster.position"),
    ("/v1/commands", "muster.command"),
];

/// A folder of the shared data, or `None` with a word on the terminal.
fn data(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(folder);
    let found = path.exists();
    if !found {
        eprintln!("SKIPPED: {} missing", path.display());
    }
    found.then_some(path)
}

/// Name and bytes of every file of the JSON test suite.
fn suite() -> Option<Vec<(String, Vec<u8>)>> {
    let files = std::fs::read_dir(data("hostile-json/test_parsing")?).unwrap().map(|file| file.unwrap().path());
    let read = |path: PathBuf| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap());
    let files: Vec<_> = files.map(read).collect();
    assert_eq!(files.len(), 95 + 188 + 35);
    Some(files)
}

/// A door that the governor leaves alone.
async fn open() -> Kit {
    let many = NonZeroU32::new(1_000_000).unwrap();
    Kit::with(|c| (c.http.rate_per_source, c.http.rate_burst, c.http.rate_total) = (many, many, many)).await
}

async fn binary(kit: &Kit, path: &str, kind: &str, id: usize, body: Vec<u8>) -> Response {
    let request = kit.client.post(format!("{}{path}", kit.base)).header("content-type", BARE);
    let request = request.header("ce-specversion", "1.0").header("ce-type", kind);
    request.header("ce-source", "110/hostile").header("ce-id", id.to_string()).body(body).send().await.unwrap()
}

/// The answer, which must be an acceptance or a problem that the sender can act on, and must not hold what was sent.
async fn sound(what: &str, response: Response) -> (StatusCode, Value) {
    let kind = response.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned());
    let (status, answer) = told(response).await;
    assert!(status == StatusCode::ACCEPTED || status.is_client_error(), "{what}: {status} {answer}");
    if status.is_client_error() && !answer.is_array() {
        assert_eq!(kind.as_deref(), Some("application/problem+json"), "{what}");
        assert!(
            answer["detail"].is_string() && answer["title"].is_string() && answer["hint"].is_string(),
            "{what}: {answer}"
        );
    }
    (status, answer)
}

#[tokio::test]
async fn json_test_suite_through_every_door() {
    let Some(files) = suite() else { return };
    let kit = open().await;
    for (n, (name, bytes)) in files.iter().enumerate() {
        let bad = name.starts_with('n');
        let large = bytes.len() > 64 * 1024;
        for (path, kind) in ROUTES {
            let structured = sound(name, kit.post(path, STRUCTURED, bytes.clone()).await).await;
            assert_ne!(structured.0, StatusCode::ACCEPTED, "{name}: no file of the suite is an event");
            let batch = sound(name, kit.post(path, BATCH, bytes.clone()).await).await;
            assert!(batch.0 != StatusCode::ACCEPTED || batch.1.is_array(), "{name}");
            let bare = sound(name, kit.post(path, BARE, bytes.clone()).await).await;
            let binary = sound(name, binary(&kit, path, kind, n, bytes.clone()).await).await;
            for (status, problem) in [&structured, &bare, &binary] {
                if large {
                    assert_eq!(*status, StatusCode::PAYLOAD_TOO_LARGE, "{name}");
                } else if bad {
                    assert_eq!(*status, StatusCode::BAD_REQUEST, "{name}");
                    let empty = problem["type"] == "urn:muster:problem:missing" && bytes.trim_ascii().is_empty();
                    assert!(empty || problem["type"] == "urn:muster:problem:json", "{name}: {problem}");
                } else if name.starts_with('y') {
                    assert_ne!(problem["type"], "urn:muster:problem:json", "{name}: {problem}");
                }
            }
            if bad {
                assert!(batch.0.is_client_error(), "{name}: a list that cannot be taken apart is refused whole");
            }
        }
    }
    assert_eq!(kit.get("/readyz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn cloudevents_cases_through_the_door() {
    let Some(folder) = data("cloudevents/json") else { return };
    let read = |file: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["tests"].as_array().unwrap().clone()
    };
    let kit = open().await;
    for case in read("valid-events.json") {
        let name = case["id"].to_string();
        let (status, problem) =
            sound(&name, kit.post("/v1/reports", STRUCTURED, case["event"].to_string()).await).await;
        assert!(status.is_client_error(), "{name}");
        assert_eq!(problem["type"], "urn:muster:problem:unknown-type", "{name}: {problem}");
        let mut ours = case["event"].clone();
        (ours["type"], ours["datacontenttype"], ours["data"]) = (json!("muster.report"), json!(BARE), json!({}));
        let (status, answer) = sound(&name, kit.post("/v1/reports", STRUCTURED, ours.to_string()).await).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{name}: {answer}");
    }
    for case in read("invalid-events.json") {
        let name = case["id"].to_string();
        let (status, problem) =
            sound(&name, kit.post("/v1/reports", STRUCTURED, case["event"].to_string()).await).await;
        assert!(status.is_client_error() && problem["field"].is_string(), "{name}: {problem}");
        assert_ne!(problem["type"], "urn:muster:problem:unknown-type", "{name}");
    }
    for file in ["valid-batches.json", "invalid-batches.json"] {
        for case in read(file) {
            let (name, batch) = (case["id"].to_string(), &case["batch"]);
            let (_, answers) = sound(&name, kit.post("/v1/reports", BATCH, batch.to_string()).await).await;
            assert_eq!(answers.as_array().unwrap().len(), batch.as_array().unwrap().len(), "{name}");
            let mut answers_ = answers.as_array().unwrap().iter();
            let all_unknown = answers_.all(|a| a["type"] == "urn:muster:problem:unknown-type");
            assert_eq!(all_unknown, file.starts_with("valid"), "{name}: {answers}");
        }
    }
}

#[tokio::test]
async fn naughty_strings_come_back_as_they_were_sent() {
    let Some(folder) = data("naughty-strings") else { return };
    let text = std::fs::read_to_string(folder.join("blns.json")).unwrap();
    let strings: Vec<String> = serde_json::from_str(&text).unwrap();
    let kit = open().await;
    let mut incidents: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (n, words) in strings.iter().enumerate() {
        let data = json!({ "text": words, "place": { "id": "lotus-plaza" } });
        let event = envelope("muster.report", "110/hostile", &format!("w{n}"), &data);
        let (status, answer) = sound(words, kit.post("/v1/reports", STRUCTURED, event.to_string()).await).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{n}: {answer}");
        incidents.entry(answer["incident"].as_str().unwrap().to_owned()).or_default().push(n);
        // As an id, a code, a reference it is taken or refused by name, never changed and never an error of ours.
        let data = json!({ "code": words, "callback": words, "place": { "id": words, "township": words }, "references": [words] });
        let event = envelope("muster.report", words, words, &data);
        let (status, answer) = sound(words, kit.post("/v1/reports", STRUCTURED, event.to_string()).await).await;
        assert!(status == StatusCode::ACCEPTED || answer["field"].is_string(), "{n}: {answer}");
        // In a query it finds nothing, and breaks nothing.
        let area: String = words.bytes().map(|b| format!("%{b:02x}")).collect();
        let found = kit.client.get(format!("{}/v1/incidents?area={area}", kit.base)).send().await.unwrap();
        assert!(found.status() == StatusCode::OK || found.status().is_client_error(), "{n}: {}", found.status());
    }
    let mut seen = 0;
    for (incident, sent) in incidents {
        let shown = kit.ok(&format!("/v1/incidents/{incident}")).await;
        for n in sent {
            let event = format!("w{n}");
            let report = shown["reports"].as_array().unwrap().iter().find(|r| r["event"] == event);
            let words = report.unwrap_or_else(|| panic!("{event} is not shown in {incident}"))["text"].clone();
            assert_eq!(words.as_str().unwrap_or_default(), strings[n], "{event}");
            seen += 1;
        }
        // The timeline and the metrics hold none of it.
        let timeline = kit.ok(&format!("/v1/incidents/{incident}/timeline")).await.to_string();
        assert!(!timeline.contains("<script>"), "{incident}");
    }
    assert_eq!(seen, strings.len());
    let metrics = kit.client.get(format!("{}/metrics", kit.base)).send().await.unwrap().text().await.unwrap();
    assert!(!metrics.contains("hostile") && !metrics.contains("script"), "no source and no text is a label");
}

#[tokio::test]
async fn sizes_are_held_at_the_byte() {
    let kit = open().await;
    let event = |id: &str, bytes: usize| {
        let mut event = envelope("muster.report", "110/sizes", id, &json!({ "text": "x" })).to_string();
        event.insert_str(event.len() - 1, &" ".repeat(bytes - event.len()));
        event
    };
    let (element, body) = (64 * 1024, 1024 * 1024);
    for (bytes, status) in [(element, StatusCode::ACCEPTED), (element + 1, StatusCode::PAYLOAD_TOO_LARGE)] {
        let (answered, answer) =
            sound("one", kit.post("/v1/reports", STRUCTURED, event(&bytes.to_string(), bytes)).await).await;
        assert_eq!(answered, status, "{bytes}: {answer}");
    }
    let three = format!("[{},{},{}]", event("b1", 200), event("b2", element + 1), event("b3", 200));
    let (status, answers) = sound("batch", kit.post("/v1/reports", BATCH, three).await).await;
    let statuses: Vec<u64> = answers.as_array().unwrap().iter().map(|a| a["status"].as_u64().unwrap()).collect();
    assert_eq!((status, statuses), (StatusCode::ACCEPTED, vec![202, 413, 202]), "a large element spoils no other");
    let full: String = format!("[{}]", vec![event("f", element); 15].join(","));
    let padded = |bytes: usize| format!("{full}{}", " ".repeat(bytes - full.len()));
    assert_eq!(kit.post("/v1/reports", BATCH, padded(body)).await.status(), StatusCode::ACCEPTED);
    assert_eq!(kit.post("/v1/reports", BATCH, padded(body + 1)).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let many = format!("[{}]", vec!["0"; 5_000].join(","));
    let (status, problem) = sound("many", kit.post("/v1/reports", BATCH, many).await).await;
    assert!(status.is_client_error() && problem["type"] == "urn:muster:problem:too-many", "{problem}");
}

/// What the process holds, in bytes; 0 where the system does not tell.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().unwrap_or(0) * 1024
}

#[tokio::test]
async fn open_brackets_by_the_hundred_thousand_neither_crash_nor_grow() {
    let kit = open().await;
    let bodies = ["[".repeat(65_000), "[".repeat(1_000_000), "{\"a\":".repeat(12_000), "[[\"\\".repeat(16_000)];
    let closed = format!("[{}{}]", "[".repeat(400_000), "]".repeat(400_000));
    let mut held = 0;
    for round in 0..12 {
        for body in bodies.iter().chain([&closed]) {
            for kind in [STRUCTURED, BATCH, BARE] {
                let (status, _) = sound("brackets", kit.post("/v1/reports", kind, body.clone()).await).await;
                assert!(status.is_client_error());
            }
        }
        // What the allocator keeps after the first rounds is all it may keep.
        held = if round == 2 { resident() } else { held };
    }
    assert!(resident() < held + 32 * 1024 * 1024, "{} bytes after {held}", resident());
    assert_eq!(kit.get("/readyz").await.0, StatusCode::OK);
}

/// What the server answers to these bytes, until it closes or the time is over.
fn raw(address: &str, bytes: &[u8], within: Duration) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(within)).unwrap();
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    let until = Instant::now() + within;
    while Instant::now() < until {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(n) => answer.extend_from_slice(&chunk[..n]),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_requests_hold_nobody_up() {
    let kit = Kit::with(|c| c.http.request_timeout = Millis::from_secs(1)).await;
    let address = kit.base.trim_start_matches("http://").to_owned();
    let host = address.clone();
    let head = |length: &str| {
        format!(
            "POST /v1/reports HTTP/1.1\r\nhost: {host}\r\ncontent-type: {STRUCTURED}\r\nconnection: close\r\n{length}\r\n"
        )
    };
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), &["400", ""]),
        ("a line without end", vec![b'G'; 200_000], &["400", "414", "431", ""]),
        (
            "a hundred thousand headers",
            [head("").trim_end().as_bytes(), &b"\r\na: b".repeat(100_000)].concat(),
            &["431", "400", ""],
        ),
        (
            "two lengths",
            format!("{}{{}}", head("content-length: 2\r\ncontent-length: 9\r\n")).into_bytes(),
            &["400", ""],
        ),
        ("a length that is none", format!("{}{{}}", head("content-length: -2\r\n")).into_bytes(), &["400", ""]),
        ("a body that never comes", head("content-length: 20\r\n").into_bytes(), &["408", "503", "504", ""]),
        (
            "a body that stops",
            format!("{}{{\"spec", head("content-length: 20\r\n")).into_bytes(),
            &["408", "503", "504", ""],
        ),
        (
            "a chunk that never ends",
            format!("{}5\r\nabc", head("transfer-encoding: chunked\r\n")).into_bytes(),
            &["408", "503", "504", ""],
        ),
        ("a length beyond all", head("content-length: 99999999999999\r\n").into_bytes(), &["413", "408", ""]),
        (
            "a path that climbs",
            format!("GET /v1/../../etc/passwd HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").into_bytes(),
            &["404", "400"],
        ),
        (
            "a nul in the path",
            format!("GET /v1/incidents/%00 HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").into_bytes(),
            &["400", "404"],
        ),
        (
            "no UTF-8 in the path",
            format!("GET /v1/incidents/%ff%fe HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").into_bytes(),
            &["400", "404"],
        ),
    ];
    // Forty who begin and never go on.
    let idle: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.write_all(b"POST /v1/reports HTTP/1.1\r\nhos").unwrap();
            stream
        })
        .collect();
    for (name, bytes, allowed) in cases {
        let address = address.clone();
        let answer = tokio::task::spawn_blocking(move || raw(&address, &bytes, Duration::from_secs(5))).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        assert!(allowed.contains(&status.as_str()), "{name}: {answer}");
    }
    let begun = Instant::now();
    kit.fire("alive").await;
    assert!(begun.elapsed() < Duration::from_secs(1), "a fire is taken while forty idle: {:?}", begun.elapsed());
    drop(idle);
}

#[test]
fn files_of_all_kinds_are_explained_or_refused() {
    let Some(files) = suite() else { return };
    let folder = tempfile::tempdir().unwrap();
    // One in six, the long ones, and every kind by name: each is a process of its own.
    let picked = files
        .iter()
        .enumerate()
        .filter(|(n, (name, bytes))| n % 6 == 0 || bytes.len() > 900 || name.contains("surrogate"));
    for (_, (name, bytes)) in picked {
        let path = folder.path().join("report.json");
        std::fs::write(&path, bytes).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_muster"))
            .arg("explain")
            .arg(&path)
            .args(["--at", "2026-11-23T08:00:00Z", "--playbook"])
            .arg(kit::playbook())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        let code = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status.code(),
                None if Instant::now() > until => panic!("{name} hangs"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let mut error = String::new();
        child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        let accepted = code == Some(0) && !name.starts_with('n');
        assert!(accepted || code == Some(2) && error.contains("refused"), "{name}: {code:?} {error}");
        assert!(!error.contains("panicked"), "{name}: {error}");
    }
}
