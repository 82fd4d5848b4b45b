//! `muster load` counts from outside and judges itself: a small run on an instance of its own loses nothing, and a run that
//! proves nothing is called void.
#![cfg(feature = "service")]
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn load(arguments: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    Command::new(env!("CARGO_BIN_EXE_muster")).current_dir(root).arg("load").args(arguments).output().unwrap()
}

/// What a run came to, and its exit code.
fn told(arguments: &[&str]) -> (Value, i32) {
    let output = load(&[&["--self", "--json", "--duration", "2s", "--warm-up", "500ms"], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    let told = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {said}"));
    (told, output.status.code().unwrap())
}

fn count(told: &Value, path: &str) -> u64 {
    told.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {path} in {told}"))
}

#[test]
fn a_small_run_loses_nothing_and_says_so() {
    let (told, code) = told(&["--rate", "40", "--open", "40", "--roster", "3x", "--work", "300ms"]);
    assert_eq!(code, 0, "{told}");
    assert_eq!((told["void"].as_array().unwrap().len(), told["findings"].as_array().unwrap().len()), (0, 0), "{told}");
    // Counted: every report that was sent was answered, and every one that was acknowledged was found.
    assert_eq!((count(&told, "/counts/sent"), count(&told, "/counts/acknowledged")), (80, 80), "{told}");
    assert_eq!(count(&told, "/found/lost"), 0);
    let found = ["on_the_board", "in_a_timeline", "elsewhere"].map(|part| count(&told, &format!("/found/{part}")));
    assert_eq!(found.iter().sum::<u64>(), count(&told, "/found/looked_for"), "{told}");
    assert!(found[0] >= 80 && count(&told, "/found/looked_for") >= 40 + 80, "filled, warmed up, measured: {told}");
    assert!(count(&told, "/repeats/known") >= 1 && count(&told, "/repeats/applied_twice") == 0, "{told}");
    // Crews act, and the desk keeps as many open as was asked.
    assert!(count(&told, "/field/acts") > 80 && count(&told, "/field/closed") > 40, "{told}");
    assert!((36..=60).contains(&count(&told, "/open/least")), "{told}");
    // Both lanes are measured, in the answer and on the stream.
    for lane in ["bottom_line", "ordinary"] {
        for what in ["report_to_answer", "report_to_order", "report_to_push"] {
            let (n, p99) = (count(&told, &format!("/{what}/{lane}/count")), &told[what][lane]["p99_ms"]);
            assert!(n > 0 && p99.as_f64().is_some_and(|ms| ms > 0.0), "{what} {lane}: {told}");
        }
    }
}

#[test]
fn batches_and_a_flood_are_counted_apart() {
    let arguments = ["--rate", "20", "--open", "20", "--batch", "8", "--connections", "2", "--flood", "20x"];
    let (told, _) = told(&[&arguments[..], &["--flood-sources", "2", "--work", "300ms"]].concat());
    assert_eq!((count(&told, "/counts/sent"), count(&told, "/counts/acknowledged")), (40, 40), "{told}");
    let flood = |what: &str| count(&told, &format!("/flood/counts/{what}"));
    assert_eq!((flood("sent"), flood("acknowledged")), (800, 800), "{told}");
    assert!(flood("folded") > 100, "two sources fold: {told}");
    assert_eq!((count(&told, "/counts/folded"), count(&told, "/found/lost")), (0, 0), "the city's are not: {told}");
}

#[test]
fn a_run_that_proves_nothing_is_void() {
    // Nobody hears any order, so posts are used up.
    let (told, code) = told(&["--rate", "60", "--open", "3000", "--unheard", "100"]);
    assert_eq!(code, 1, "{told}");
    let void = told["void"].as_array().unwrap();
    assert!(void.iter().any(|why| why.as_str().unwrap().contains("short of a post")), "{void:?}");
    assert_eq!(count(&told, "/found/lost"), 0, "and yet nothing is lost: {told}");
}

#[test]
fn a_drill_is_what_a_target_that_lives_on_hears() {
    let own = Instance::start();
    let output = load(&["--target", &own.url, "--rate", "20", "--duration", "1s", "--open", "20", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(count(&told, "/found/lost"), 0, "{told}");
    let client = |path: &str| own.get(path);
    let open = client("/v1/incidents?state=open");
    assert_eq!(open["items"].as_array().unwrap().len(), 0, "what was opened is closed: {open}");
    let all = client("/v1/incidents?limit=1000");
    let items = all["items"].as_array().unwrap();
    assert!(items.len() >= 30 && items.iter().all(|i| i["drill"] == Value::Bool(true)), "{}", items.len());
}

#[test]
fn what_cannot_be_asked_is_refused_with_a_reason() {
    let refused = |arguments: &[&str], word: &str| {
        let output = load(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(word), "{arguments:?}: {said}");
    };
    refused(&["--target", "ftp://x", "--duration", "1s"], "no address to drive");
    refused(&["--target", "http://127.0.0.1:1", "--duration", "1s"], "did not begin in time");
    refused(&["--rate", "0"], "--rate");
    refused(&["--rate", "1000000", "--duration", "2h"], "more than the");
    refused(&["--roster", "0x"], "1x");
    refused(&["--find", "p50=3"], "p99=25ms");
    refused(&["--bursts", "5"], "5x/10s");
}

/// An instance that lives on, on a free port.
struct Instance {
    child: std::process::Child,
    url: String,
    /// Removed with it.
    _folder: tempfile::TempDir,
}

impl Instance {
    fn start() -> Self {
        use std::io::BufRead as _;
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_muster"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["run", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let url = lines.find_map(|line| Some(line.split_once("listens on ")?.1.to_owned())).unwrap();
        Self { child, url, _folder: folder }
    }

    fn get(&self, path: &str) -> Value {
        use std::io::{Read as _, Write as _};
        let host = self.url.strip_prefix("http://").unwrap();
        let mut stream = std::net::TcpStream::connect(host).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_else(|e| panic!("{e}: {answer}"))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
