//! The shape of the house: imports run downwards only, the core knows no shell, no clock and no I/O.
//!
//! The table below is the reading order of `lib.rs`, from the ground up. A module may name those before it; siblings
//! among the shells meet only in `http`, `deliver` and above. Read from the source itself, so that it cannot drift from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Each module of the crate and those it may import.
const MAY: [(&str, &[&str]); 21] = [
    ("model", &[]),
    ("decode", &["model"]),
    ("playbook", &["model"]),
    ("classify", &["model", "decode", "playbook"]),
    ("engine", &["model", "decode", "playbook", "classify"]),
    ("scenario", &["model", "decode", "playbook", "classify", "engine"]),
    ("journal", &["model", "engine"]),
    ("runtime", &["model", "decode", "playbook", "classify", "engine", "journal"]),
    ("wire", &["model", "playbook", "engine"]),
    ("board", &["model", "playbook", "engine", "journal", "wire"]),
    ("telemetry", &["model", "playbook", "engine", "journal", "runtime", "board"]),
    ("deliver", &["model", "playbook", "engine", "journal", "runtime", "wire", "board", "telemetry"]),
    (
        "kafka",
        &[
            "model",
            "decode",
            "playbook",
            "classify",
            "engine",
            "journal",
            "runtime",
            "wire",
            "board",
            "telemetry",
            "deliver",
        ],
    ),
    ("intake", &["model", "decode", "playbook", "classify", "engine", "journal"]),
    ("screen", &["telemetry"]),
    ("access", &["model", "board"]),
    (
        "http",
        &[
            "model",
            "decode",
            "playbook",
            "classify",
            "engine",
            "journal",
            "runtime",
            "wire",
            "board",
            "telemetry",
            "deliver",
            "screen",
            "access",
        ],
    ),
    ("rehearsal", &["model", "playbook"]),
    (
        "config",
        &[
            "model",
            "decode",
            "playbook",
            "engine",
            "journal",
            "runtime",
            "board",
            "telemetry",
            "deliver",
            "kafka",
            "intake",
            "access",
            "http",
            "rehearsal",
        ],
    ),
    ("load", &["model", "playbook", "runtime", "rehearsal", "config"]),
    (
        "cli",
        &[
            "model",
            "decode",
            "playbook",
            "classify",
            "engine",
            "scenario",
            "journal",
            "runtime",
            "wire",
            "board",
            "telemetry",
            "deliver",
            "kafka",
            "intake",
            "access",
            "http",
            "rehearsal",
            "config",
            "load",
        ],
    ),
];

/// The pure core: what it must not even spell.
const CORE: [&str; 6] = ["model", "decode", "playbook", "classify", "engine", "scenario"];
const BANNED: [(&str, &str); 13] = [
    ("std::fs", "the core reads no file: texts are handed in"),
    ("std::net", "the core opens no socket"),
    ("std::io", "the core does no I/O"),
    ("std::thread", "the core has no thread"),
    ("std::sync::Mutex", "the core shares nothing that changes"),
    ("std::sync::RwLock", "the core shares nothing that changes"),
    ("std::time", "the core knows no clock; instants enter as `Timestamp`"),
    ("std::env", "the core asks no environment"),
    ("Timestamp::now", "the core knows no clock"),
    ("HashMap", "its order differs between runs"),
    ("HashSet", "its order differs between runs"),
    ("async fn", "the core does not wait"),
    ("rand::", "the core knows no chance"),
];

fn sources() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("src is part of the repository") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && path.file_name().is_some_and(|n| n != "tests.rs") {
                let inner =
                    path.strip_prefix(&root).expect("found below it").components().next().expect("a file has a name");
                let name = inner.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
                found.push((name, path));
            }
        }
    }
    found.sort();
    found
}

/// The source without comments and without what stands in `#[cfg(test)] mod tests { … }` at its end. Tests in a file of
/// their own, `tests.rs`, are not looked at: they may read what they test.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("a source file is text");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The modules named after `crate::`, also inside braces.
fn imports(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut named = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => named.push(word(rest)),
            Some(list) => {
                let mut depth = 0;
                let mut begins = true;
                for (ix, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        c if begins && c.is_alphabetic() => {
                            named.push(word(&list[ix..]));
                            begins = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    named
}

#[test]
fn imports_run_downwards_only() {
    let may: BTreeMap<&str, &[&str]> = MAY.into_iter().collect();
    let mut wrong = Vec::new();
    for (module, path) in sources() {
        if module == "lib" || module == "main" {
            continue;
        }
        let Some(allowed) = may.get(module.as_str()) else {
            wrong.push(format!("{} is in no module of the table", path.display()));
            continue;
        };
        for import in imports(&code(&path)) {
            if import != module && may.contains_key(import.as_str()) && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{}: `{module}` imports `{import}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_core_spells_no_clock_and_no_io() {
    let mut wrong = Vec::new();
    for (module, path) in sources().into_iter().filter(|(module, _)| CORE.contains(&module.as_str())) {
        let code = code(&path);
        for (word, why) in BANNED {
            if code.contains(word) {
                wrong.push(format!("{} (`{module}`) names `{word}`: {why}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_imports_sees_what_it_must() {
    let text = "use crate::journal::Step;\nuse crate::{http, model::{Report, Place}};\nlet x = crate::runtime::go();";
    assert_eq!(imports(text), ["journal", "http", "model", "runtime"]);
}
