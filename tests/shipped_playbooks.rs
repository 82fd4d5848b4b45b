//! Every playbook under `config/playbooks` loads with each of its sets, and `muster check` says so with its exit code.
#![cfg(feature = "service")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use muster::config::playbook::load_dir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shipped() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("config/playbooks")).expect("the playbooks are shipped");
    let mut dirs: Vec<PathBuf> = entries.map(|e| e.expect("readable").path()).filter(|p| p.is_dir()).collect();
    dirs.sort();
    dirs
}

fn check(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_muster")).arg("check").args(args).current_dir(root()).output().expect("it runs")
}

#[test]
fn every_shipped_playbook_loads_with_each_of_its_sets() {
    let dirs = shipped();
    assert!(!dirs.is_empty(), "no playbook is shipped");
    for dir in dirs {
        let playbook = load_dir(&dir, None).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        assert!(!playbook.rules.is_empty() && !playbook.posts.is_empty(), "{} decides nothing", dir.display());
        for set in playbook.sets.iter().filter(|set| *set != "general") {
            let other = load_dir(&dir, Some(set)).unwrap_or_else(|e| panic!("{} --set {set}: {e}", dir.display()));
            assert_eq!(other.head.set, *set);
            assert_ne!(other.hash, playbook.hash, "whoever put the set in force from outside decided something");
        }
    }
}

#[test]
fn check_exits_0_for_a_good_playbook_and_counts_it() {
    let out = check(&["tests/playbooks/minimal", "--json"]);
    assert_eq!(out.status.code(), Some(0));
    let said: serde_json::Value = serde_json::from_slice(&out.stdout).expect("one object");
    assert_eq!(
        (&said["good"], &said["census"]["areas"], &said["census"]["teams"]),
        (&true.into(), &4.into(), &20.into())
    );
    let page = String::from_utf8(check(&["tests/playbooks/minimal"]).stdout).expect("text");
    assert!(page.contains("posts      9: 2 base, 5 patrol, 1 peak, 1 standing") && page.ends_with("good\n"), "{page}");
}

#[test]
fn check_exits_1_for_a_broken_playbook_and_names_file_and_line() {
    let dir = tempfile::tempdir().expect("a folder");
    for file in ["categories.toml", "places.toml", "playbook.toml"] {
        let text = std::fs::read_to_string(root().join("tests/playbooks/minimal").join(file)).expect("readable");
        let text = text.replace("plan = \"mediation\" }", "plan = \"meditation\" }");
        std::fs::write(dir.path().join(file), text).expect("writable");
    }
    let path = dir.path().to_str().expect("text");
    let out = check(&[path]);
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8(out.stdout).expect("text");
    let first = said.lines().next().unwrap_or_default();
    assert!(first.starts_with("categories.toml:") && first.ends_with("(did you mean \"mediation\"?)"), "{said}");
    let said: serde_json::Value = serde_json::from_slice(&check(&[path, "--json"]).stdout).expect("one object");
    assert_eq!((&said["good"], &said["problems"][0]["file"]), (&false.into(), &"categories.toml".into()));
    assert!(said["problems"][0]["line"].as_u64().is_some_and(|line| line > 1), "{said}");
}

#[test]
fn check_exits_2_where_there_is_no_playbook() {
    let out = check(&["tests/playbooks/none"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("tests/playbooks/none cannot be read"));
    assert_eq!(check(&["--sett", "x"]).status.code(), Some(2));
}
