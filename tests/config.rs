//! The shipped configuration: every playbook loads, and says what it is meant to say.

use std::fs;
use std::path::Path;

use muster::playbook::Playbook;

/// The files of a shipped playbook, as (name, text).
fn files(name: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/playbooks").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "toml"));
    paths.map(|p| (p.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&p).unwrap())).collect()
}

fn load(name: &str) -> Playbook {
    Playbook::load(&files(name)).unwrap_or_else(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{name}: {} problems\n{}", lines.len(), lines.join("\n"))
    })
}

#[test]
fn hengyang_loads_with_the_published_counts() {
    let playbook = load("hengyang");
    assert_eq!(playbook.areas.areas.len(), 188);
}

#[test]
fn harbour_loads() {
    load("harbour");
}
