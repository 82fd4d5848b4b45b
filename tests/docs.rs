//! The documents say what the code does: each line of the log and each error has its place in `docs/kafka.md`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect("it is part of the repository")
}

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("src is part of the repository") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(std::fs::read_to_string(path).expect("a source file is text"));
        }
    }
}

/// Words such as `kafka.held` after this mark.
fn events(text: &str, before: char) -> BTreeSet<String> {
    let families = ["kafka.", "follower.", "asker.", "gate."];
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices(before) {
        let word: String =
            text[at + 1..].chars().take_while(|c| c.is_ascii_lowercase() || matches!(c, '_' | '.')).collect();
        if families.iter().any(|family| word.starts_with(family) && word.len() > family.len()) {
            found.insert(word);
        }
    }
    found
}

#[test]
fn every_line_of_the_log_about_kafka_is_explained() {
    let mut code = Vec::new();
    sources(&root().join("src"), &mut code);
    let said: BTreeSet<String> = code.iter().flat_map(|text| events(text, '"')).filter(|e| !is_a_file(e)).collect();
    let explained = events(&text("docs/kafka.md"), '`');
    assert!(said.len() > 40, "the reader of names reads nothing: {said:?}");
    let missing: Vec<_> = said.difference(&explained).collect();
    let dead: Vec<_> = explained.difference(&said).collect();
    assert!(missing.is_empty() && dead.is_empty(), "not in docs/kafka.md: {missing:?}; nobody says: {dead:?}");
}

/// Metrics and events share their form with names of files.
fn is_a_file(word: &str) -> bool {
    [".rs", ".md", ".toml"].iter().any(|ending| word.ends_with(ending))
}

#[test]
fn every_error_that_the_code_tells_apart_has_a_row() {
    let code = text("src/kafka/trouble.rs");
    let code = code.split("#[cfg(test)]").next().unwrap();
    let named: BTreeSet<String> = code
        .match_indices("Code::")
        .map(|(at, mark)| code[at + mark.len()..].chars().take_while(char::is_ascii_alphanumeric).collect())
        .collect();
    assert!(named.len() > 40, "{named:?}");
    let docs = text("docs/kafka.md");
    let missing: Vec<_> =
        named.iter().filter(|name| *name != "NoError" && !docs.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "not in docs/kafka.md: {missing:?}");
}

#[test]
fn every_metric_that_is_named_exists() {
    let metrics = text("src/telemetry/metrics.rs");
    let docs = text("docs/kafka.md");
    for (at, _) in docs.match_indices("`muster_") {
        let name: String = docs[at + 1..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
        assert!(metrics.contains(&format!("\"{name}\"")), "{name}");
    }
}
