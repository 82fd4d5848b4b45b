//! The rehearsed day has the shape it is told for: one flood, one all-call, a shortfall, a drill, crews who mostly keep
//! their marks, and nothing unaccounted for. Every day a morning of two hours into which the scenes of the script are
//! moved; with `MUSTER_LONG=1` the seeded day itself.
#![cfg(feature = "service")]
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const SCRIPT: &str = "config/rehearsal/hengyang.toml";

/// Of a hundred first posts, at least so many stand there in time, in each ring.
const KEPT_PERCENT: u64 = 85;

/// What `muster demo` tells as one object.
fn lived(arguments: &[&str]) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(env!("CARGO_BIN_EXE_muster"))
        .current_dir(root)
        .args(["demo", "--json"])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "exit code {:?}: {said}", output.status.code());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn count(day: &Value, what: &str) -> u64 {
    day[what].as_u64().unwrap_or_else(|| panic!("no {what} in {day}"))
}

#[track_caller]
fn assert_shape(day: &Value) {
    assert_eq!(count(day, "unaccounted"), 0, "{day}");
    assert_eq!(count(day, "rejected"), 0, "{day}");
    assert!((1..=3).contains(&count(day, "all_calls")), "about one all-call: {day}");
    assert!(count(day, "folded") > 40, "one flood: {day}");
    assert!(count(day, "shortfalls") >= 1, "a shortfall: {day}");
    assert_eq!(count(day, "drills"), 1, "one drill: {day}");
    assert!(count(day, "merged") > 10, "several callers see one thing: {day}");
    let rings = day["on_scene_by_ring"].as_object().unwrap();
    assert_eq!(rings.len(), 4, "something happens in each ring: {day}");
    for (ring, marks) in rings {
        let (kept, missed) = (marks[0].as_u64().unwrap(), marks[1].as_u64().unwrap());
        assert!(kept * 100 >= KEPT_PERCENT * (kept + missed), "ring {ring}: kept {kept}, missed {missed}");
    }
    let (kept, missed) = (count(day, "marks_kept"), count(day, "marks_missed"));
    assert!(kept * 100 >= 95 * (kept + missed), "all marks: kept {kept}, missed {missed}");
}

/// The script with everything that happens once in one morning: instants of the day become instants of the two hours.
fn morning() -> String {
    let mut script = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(SCRIPT)).unwrap();
    let moves = [
        ("2026-11-23T00:00:00+08:00", "2026-11-23T10:00:00+08:00"),
        ("\"10:12\"", "\"00:12\""),
        ("\"11:00\"", "\"00:20\""),
        ("\"14:30\"", "\"00:30\""),
        ("\"15:20\"", "\"00:35\""),
        ("\"15:41\"", "\"00:41\""),
        ("\"16:05\"", "\"01:05\""),
    ];
    for (of_the_day, of_the_morning) in moves {
        assert_eq!(script.matches(of_the_day).count(), 1, "{SCRIPT} has {of_the_day} once");
        script = script.replace(of_the_day, of_the_morning);
    }
    let per_hour = script.lines().find(|line| line.starts_with("per_hour")).unwrap().to_owned();
    script.replace(&per_hour, &format!("per_hour = {:?}", [30; 24]))
}

#[test]
fn a_morning_has_the_shape_of_the_day() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("morning.toml");
    std::fs::write(&script, morning()).unwrap();
    assert_shape(&lived(&["--hours", "2", "--script", script.to_str().unwrap()]));
}

#[test]
fn the_seeded_day_has_its_shape() {
    if std::env::var_os("MUSTER_LONG").is_none() {
        eprintln!("SKIPPED: a day takes its time; MUSTER_LONG=1 lives it");
        return;
    }
    let day = lived(&[]);
    assert_shape(&day);
    assert!((200..600).contains(&count(&day, "incidents")), "a few hundred incidents: {day}");
}
