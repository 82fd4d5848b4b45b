//! The embedded journal on a bad day: its process is killed, its disk is full, its flushes fail. Each time a child
//! process appends and says what was accepted; afterwards the journal must hold at least that, whole and in order.
#![cfg(all(feature = "service", unix))]
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use muster::engine::{Actor, Document, Effect, Entry, What};
use muster::journal::{Journal, JournalOptions, Sqlite, Step};
use muster::model::Timestamp;

const CHILD: &str = "MUSTER_TEST_JOURNAL";

fn options(folder: &Path) -> JournalOptions {
    // Small, so that folding the log into the main file happens often, and is hit too.
    JournalOptions { path: folder.into(), checkpoint_pages: 50, ..JournalOptions::default() }
}

fn open(folder: &Path) -> Sqlite {
    Sqlite::open(&options(folder), &"4304".into(), Timestamp(0)).unwrap()
}

/// Documents `a` and `b` always carry the number of their step: a torn step would show.
fn step(number: u64) -> Arc<Step> {
    let body = |key: &str| Document { key: key.into(), body: Some(format!("{number} {}", "x".repeat(600)).into()) };
    let at = Timestamp(i64::try_from(number).unwrap());
    let entry = Entry { at, incident: None, drill: false, by: Actor::Engine, what: What::Held { mark: None } };
    let effects = vec![Effect::Timeline(Box::new(entry)); 3];
    let documents = vec![body("a"), body("b"), body(&format!("k/{}", number % 50))];
    Arc::new(Step { number, at, positions: [("file".into(), number)].into(), documents, effects, ..Step::default() })
}

/// Not a test of its own: the child process, which appends until something stops it.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let mut journal = open(&folder);
    let mut number = journal.restore().unwrap().last.map_or(0, |last| last.0);
    println!("\nrestored {number}");
    loop {
        let steps: Vec<_> = (number + 1..=number + 1 + number % 3).map(step).collect();
        if let Err(error) = journal.append(&steps) {
            println!("stopped: {error}");
            let again = journal.append(&steps).expect_err("an error is final");
            let note = journal.note(1, Timestamp(0)).expect_err("for every call");
            assert_eq!((again.to_string(), note.to_string()), (error.to_string(), error.to_string()));
            std::process::abort();
        }
        number += u64::try_from(steps.len()).unwrap();
        println!("accepted {number}");
        if number.is_multiple_of(7) {
            journal.note(number - 5, Timestamp(0)).unwrap_or_else(|e| println!("stopped: {e}"));
        }
    }
}

fn command(folder: &Path, before: &str) -> Command {
    let exe = std::env::current_exe().unwrap();
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{before} exec \"$0\" --exact child --nocapture")).arg(exe);
    command.env(CHILD, folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn last_number(lines: &str, word: &str) -> Option<u64> {
    lines.lines().rev().find_map(|line| line.strip_prefix(word)?.trim().parse().ok())
}

/// What must hold whatever happened: all that was accepted is there, and every step that is there is whole.
fn check(folder: &Path, accepted: u64) -> u64 {
    let mut journal = open(folder);
    let restored = journal.restore().unwrap();
    let last = restored.last.map_or(0, |l| l.0);
    assert!(last >= accepted, "accepted {accepted}, but only {last} is there");
    assert!(last <= accepted + 3, "{last} is there, but nothing beyond {accepted} and one write was ever tried");
    for document in restored.documents.iter().filter(|d| !d.key.starts_with("k/")) {
        let body = document.body.as_deref().unwrap();
        assert!(body.starts_with(&format!("{last} ")), "{} is not of step {last}", document.key);
    }
    assert_eq!(restored.positions.get("file").copied().unwrap_or(0), last);
    let numbers: Vec<u64> = restored.unemitted.iter().map(|s| s.number).collect();
    let first = numbers.first().copied().unwrap_or(last + 1);
    assert_eq!(numbers, (first..=last).collect::<Vec<_>>());
    assert!(restored.unemitted.iter().all(|s| s.effects.len() == 3));
    last
}

#[test]
fn killed_at_any_moment_it_holds_what_it_accepted() {
    let rounds = if std::env::var_os("MUSTER_LONG").is_some() { 100 } else { 8 };
    let folder = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..rounds {
        let mut child = command(folder.path(), "").spawn().unwrap();
        let accepted = read_until_killed(&mut child, Duration::from_millis(20 + (round * 37) % 190)).max(last);
        last = check(folder.path(), accepted);
    }
    assert!(last > rounds, "each round got somewhere: {last}");
}

/// Lets the child go on for `span` after its first word, kills it, and returns the last number it had accepted.
fn read_until_killed(child: &mut Child, span: Duration) -> u64 {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reader = std::thread::Builder::new().spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>().join("\n"));
    std::thread::sleep(span);
    child.kill().unwrap();
    child.wait().unwrap();
    let lines = reader.unwrap().join().unwrap();
    last_number(&lines, "accepted ").or_else(|| last_number(&lines, "restored ")).unwrap_or(0)
}

/// Runs the child to its own end; it must have stopped by itself, with a word.
fn stops(command: &mut Command, word: &str) -> u64 {
    let Output { status, stdout, .. } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stdout);
    let stopped = said.lines().find(|line| line.starts_with("stopped: ")).unwrap_or_else(|| panic!("{said}"));
    assert!(stopped.contains(word) && stopped.contains("Muster stops"), "{stopped}");
    assert!(!status.success());
    last_number(&said, "accepted ").or_else(|| last_number(&said, "restored ")).unwrap_or(0)
}

#[test]
fn a_file_that_cannot_grow_stops_it() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    // 400 KiB a file; the signal that goes with it is ignored, so that the write returns an error.
    let accepted = stops(&mut command(folder.path(), "trap '' XFSZ; ulimit -f 800;"), "check it, then start again");
    assert!(accepted > 0);
    check(folder.path(), accepted);
}

#[test]
fn a_full_disk_stops_it() {
    let Some(shim) = shim() else { return };
    let folder = tempfile::tempdir().unwrap();
    let accepted = stops(failing(&mut command(folder.path(), ""), &shim.1, "write:300"), "no space is left");
    assert!(accepted > 0);
    let last = check(folder.path(), accepted);
    let accepted = stops(failing(&mut command(folder.path(), ""), &shim.1, "write:100"), "no space is left");
    assert!(accepted > last, "with space again it went on, until there was none again");
    check(folder.path(), accepted);
}

#[test]
fn a_flush_that_fails_stops_it() {
    let Some(shim) = shim() else { return };
    let folder = tempfile::tempdir().unwrap();
    for nth in ["fsync:17", "fsync:40", "fsync:41"] {
        let accepted = stops(failing(&mut command(folder.path(), ""), &shim.1, nth), "failed");
        check(folder.path(), accepted);
    }
}

fn failing<'a>(command: &'a mut Command, shim: &Path, plan: &str) -> &'a mut Command {
    command.env("LD_PRELOAD", shim).env("FAILING_DISK", plan)
}

/// The disk that fails, compiled; `None` where there is no C compiler.
fn shim() -> Option<(tempfile::TempDir, PathBuf)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/failing_disk.c");
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("failing_disk.so");
    let cc = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").status();
    if cc.is_ok_and(|status| status.success()) {
        return Some((folder, library));
    }
    eprintln!("SKIPPED: no C compiler (cc) to build a failing disk with");
    None
}
