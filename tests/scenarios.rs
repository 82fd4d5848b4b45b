//! Every scenario of `tests/scenarios` prints what is recorded in it. The files are read here; the core sees only text.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use muster::scenario;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == extension));
    files.sort();
    files
}

fn playbook(folder: &str) -> Result<Vec<(String, String)>, String> {
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text))
    };
    files(&root().join(folder), "toml").into_iter().map(read).collect()
}

#[test]
fn every_scenario_prints_what_is_recorded() {
    let mut files = files(&root().join("tests/scenarios"), "txt");
    assert!(files.len() >= 80, "only {} scenarios", files.len());
    // For whoever works on one of them, or on a few: `MUSTER_SCENARIO=a,b`.
    if let Ok(names) = std::env::var("MUSTER_SCENARIO") {
        files.retain(|file| file.file_stem().is_some_and(|stem| names.split(',').any(|name| stem == name)));
    }
    let mut failed = Vec::new();
    let mut runner = scenario::Runner::new(&playbook);
    for file in &files {
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        let text = fs::read_to_string(file).unwrap();
        // A panic of the engine names the scenario too.
        let run = AssertUnwindSafe(|| runner.run(&text, "config/playbooks/hengyang"));
        let run = std::panic::catch_unwind(run);
        match run {
            Err(_) => failed.push(format!("{name}: the engine panicked")),
            Ok(Err(error)) => failed.push(format!("{name}: {error}")),
            Ok(Ok(outcome)) => {
                failed.extend(outcome.mismatches.iter().map(|m| format!("{name}:{}\n{}", m.line, m.diff)));
            }
        }
    }
    assert!(failed.is_empty(), "{} of {} scenarios failed:\n{}", failed.len(), files.len(), failed.join("\n"));
}

#[test]
fn every_scenario_stands_in_the_list_of_rules() {
    let rules = fs::read_to_string(root().join("tests/scenarios/RULES.md")).unwrap();
    // Names of scenarios have no dot and no slash; what else stands in such quotes is a file or a word.
    let words = rules.split('`').skip(1).step_by(2).filter(|word| word.contains('_') && !word.contains(['.', '/']));
    let named: BTreeSet<&str> = words.collect();
    let files = files(&root().join("tests/scenarios"), "txt");
    let stems: BTreeSet<&str> = files.iter().map(|file| file.file_stem().unwrap().to_str().unwrap()).collect();
    let (unlisted, unknown): (Vec<_>, Vec<_>) =
        (stems.difference(&named).collect(), named.difference(&stems).collect());
    assert!(
        unlisted.is_empty() && unknown.is_empty(),
        "not in RULES.md: {unlisted:#?}; not in the folder: {unknown:#?}"
    );
}
