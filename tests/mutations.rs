//! Each scenario was seen to fail when its rule is broken: `tests/mutations.txt` lists small breakages of the
//! source, each with the scenarios that have to notice it; every scenario is named by one of them at least.
//!
//! The list is checked with every run of the tests (so that it does not rot); the breakages themselves are tried by
//! `cargo test --no-default-features --test mutations -- --ignored --nocapture`, which the long CI runs: it builds a copy
//! of the package under `target/mutants` once per breakage.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One breakage.
struct Mutation {
    line: usize,
    file: String,
    original: String,
    broken: String,
    scenarios: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Blocks parted by blank lines: `# why`, the file, `- original` lines, `+ broken` lines, a `! scenario` line for each.
fn list() -> Vec<Mutation> {
    let text = fs::read_to_string(root().join("tests/mutations.txt")).unwrap();
    let mut mutations = Vec::new();
    let mut at = 0;
    for block in text.split("\n\n") {
        let line = at + 1;
        at += block.matches('\n').count() + 2;
        let part = |sign: &str| -> String {
            let lines: Vec<&str> =
                block.lines().filter_map(|l| l.strip_prefix(sign)).map(|l| l.strip_prefix(' ').unwrap_or(l)).collect();
            lines.join("\n")
        };
        let Some(file) = block.lines().find(|l| l.starts_with("src/")) else { continue };
        mutations.push(Mutation {
            line,
            file: file.to_owned(),
            original: part("-"),
            broken: part("+"),
            scenarios: part("!").lines().map(ToOwned::to_owned).collect(),
        });
    }
    mutations
}

#[test]
fn every_breakage_of_the_list_still_applies() {
    let mut wrong = Vec::new();
    for mutation in list() {
        let source = fs::read_to_string(root().join(&mutation.file)).unwrap_or_default();
        let found = source.matches(&mutation.original).count();
        if found != 1 || mutation.original.is_empty() {
            wrong.push(format!("line {}: stands {found} times in {}", mutation.line, mutation.file));
        }
        if mutation.scenarios.is_empty() {
            wrong.push(format!("line {}: no scenario has to notice it", mutation.line));
        }
        for scenario in &mutation.scenarios {
            if !root().join(format!("tests/scenarios/{scenario}.txt")).is_file() {
                wrong.push(format!("line {}: no scenario {scenario}", mutation.line));
            }
        }
    }
    assert!(wrong.is_empty(), "tests/mutations.txt:\n{}", wrong.join("\n"));
}

#[test]
fn every_scenario_has_a_breakage_that_it_must_notice() {
    let named: BTreeSet<String> = list().into_iter().flat_map(|mutation| mutation.scenarios).collect();
    let scenarios = fs::read_dir(root().join("tests/scenarios")).unwrap().map(|entry| entry.unwrap().path());
    let texts = scenarios.filter(|path| path.extension().is_some_and(|e| e == "txt"));
    let stems = texts.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
    let unnamed: BTreeSet<String> = stems.filter(|stem| !named.contains(stem)).collect();
    assert!(unnamed.is_empty(), "tests/mutations.txt names no breakage for {unnamed:#?}");
}

#[test]
#[ignore = "builds the package once per breakage; run by the long CI"]
fn every_breakage_is_seen_by_its_scenario() {
    let copy = root().join("target/mutants/package");
    mirror(root(), &copy);
    let only = std::env::var("MUSTER_MUTATION").unwrap_or_default();
    let mut unseen = Vec::new();
    for mutation in list().iter().filter(|m| m.scenarios.iter().any(|s| s.contains(&only))) {
        let path = copy.join(&mutation.file);
        let source = fs::read_to_string(&path).unwrap();
        fs::write(&path, source.replacen(&mutation.original, &mutation.broken, 1)).unwrap();
        let seen = fail(&copy, &mutation.scenarios);
        fs::write(&path, &source).unwrap();
        let names = mutation.scenarios.join(", ");
        println!("{} {names} ({}:{})", if seen.is_ok() { "seen  " } else { "UNSEEN" }, mutation.file, mutation.line);
        if let Err(why) = seen {
            unseen.push(format!("line {}: {names}: {why}", mutation.line));
        }
    }
    assert!(unseen.is_empty(), "breakages that nobody noticed:\n{}", unseen.join("\n"));
}

/// Runs scenarios against the copy; good when each fails as a scenario, not as a build.
fn fail(copy: &Path, scenarios: &[String]) -> Result<(), String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--offline", "--quiet", "--no-default-features", "--test", "scenarios"]);
    cargo
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", root().join("target/mutants/build"))
        // It is built some hundred times and never looked into.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_INCREMENTAL", "1")
        .env("MUSTER_SCENARIO", scenarios.join(","));
    let output = cargo.output().map_err(|e| e.to_string())?;
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() && !told.contains("scenarios failed:") {
        return Err(format!("it does not build:\n{told}"));
    }
    let unnoticed = |scenario: &&String| !told.contains(&format!("tests/scenarios/{scenario}.txt:"));
    let blind: Vec<&str> = scenarios.iter().filter(unnoticed).map(String::as_str).collect();
    if blind.is_empty() { Ok(()) } else { Err(format!("not noticed by {}", blind.join(", "))) }
}

/// Copies what the core needs to build and to test, writing only what differs so that builds stay short.
fn mirror(from: &Path, to: &Path) {
    for part in ["Cargo.toml", "Cargo.lock", "src", "tests", "config", "benches"] {
        copy(&from.join(part), &to.join(part));
    }
}

fn copy(from: &PathBuf, to: &PathBuf) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else if from.is_file() && fs::read(from).ok() != fs::read(to).ok() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}
