//! `muster token` and `muster audit`, as a person at a shell meets them.

#![cfg(feature = "service")]
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}{}", self.out, self.err))
    }
}

fn muster(folder: &Path, args: &[&str]) -> Said {
    let done = Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(args)
        .current_dir(folder)
        .env("MUSTER_ACCESS_TOKENS", "tokens.toml")
        .env("MUSTER_ACCESS_AUDIT", "audit.jsonl")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: done.status.code().unwrap(), out: text(done.stdout), err: text(done.stderr) }
}

#[test]
fn a_token_is_shown_once_and_its_life_is_in_the_trail() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| muster(folder.path(), args);
    let made =
        run(&["token", "new", "desk-fire-2", "--role", "operator", "--area", "430408", "--expires", "90d", "--json"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let token = made.json()["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("mst_desk-fire-2_") && made.json()["expires_at"].is_string());
    let post = run(&["token", "new", "S-001", "--role", "post"]);
    assert_eq!(post.out.trim().len(), "mst_S-001_".len() + 64);
    assert!(post.err.contains("shown once"), "{}", post.err);

    let list = run(&["token", "list"]);
    assert!(
        list.out.contains("desk-fire-2") && list.out.contains("in 430408") && list.out.contains("as S-001"),
        "{}",
        list.out
    );
    assert_eq!(run(&["token", "rotate", "desk-fire-2", "--overlap", "1h"]).code, 0);
    assert_eq!(run(&["token", "list", "--json"]).json()["items"][1]["state"], "rotating");
    assert_eq!(run(&["token", "revoke", "desk-fire-2"]).code, 0);
    assert_eq!(run(&["token", "list", "--json"]).json()["items"][1]["state"], "revoked");

    for (args, part) in [
        (&["token", "new", "desk-fire-2", "--role", "viewer", "--area", "*"][..], "rotate"),
        (&["token", "new", "a b", "--role", "metrics"], "never of a person"),
        (&["token", "new", "x", "--role", "viewer"], "--area"),
        (&["token", "new", "x", "--role", "metrics", "--area", "*"], "no --area"),
        (&["token", "new", "x", "--role", "producer"], "`source` is missing"),
        (&["token", "new", "x", "--role", "boss"], "roles are"),
        (&["token", "revoke", "nobody"], "no principal"),
        (&["token", "rotate", "desk-fire-2"], "revoked"),
    ] {
        let refused = run(args);
        assert!(refused.code == 2 && refused.err.contains(part), "{args:?}: {} {}", refused.code, refused.err);
    }
    let show = run(&["audit", "show", "--json"]).json();
    let actions: Vec<_> = show["items"].as_array().unwrap().iter().map(|l| l["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["token.new", "token.new", "token.rotate", "token.revoke"]);
    assert!(!fs::read_to_string(folder.path().join("tokens.toml")).unwrap().contains(&token[16..]));
    assert_eq!(run(&["audit", "show", "--action", "token.new", "--target", "S-001"]).out.lines().count(), 1);
}

#[test]
fn tampering_is_found_with_its_line_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| muster(folder.path(), args);
    for id in ["a", "b", "c", "d"] {
        assert_eq!(run(&["token", "new", id, "--role", "metrics"]).code, 0);
    }
    let good = run(&["audit", "verify"]);
    assert!(good.code == 0 && good.out.ends_with("good\n") && good.out.contains("4 lines in 1 file"), "{}", good.out);
    let head = good.out.lines().find_map(|l| l.strip_prefix("head ")).unwrap().to_owned();
    let path = folder.path().join("audit.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let changed = whole.replacen("\"target\":\"b\"", "\"target\":\"x\"", 1);
    for (text, line) in [
        (changed, "audit.jsonl:2: was changed"),
        ([lines[0], lines[2], lines[3]].concat(), "audit.jsonl:2: 1 lines before it are missing (seq 2 to 2)"),
        ([lines[0], lines[2], lines[1], lines[3]].concat(), "audit.jsonl:3: stands in the wrong place"),
        (whole[..whole.len() - 20].to_owned(), "audit.jsonl:4: is cut off"),
    ] {
        fs::write(&path, text).unwrap();
        let found = run(&["audit", "verify", "audit.jsonl"]);
        assert!(found.code == 1 && found.out.contains(line), "{line}: {} {}", found.code, found.out);
        let told = run(&["audit", "verify", "audit.jsonl", "--json"]);
        assert!(told.code == 1 && told.json()["good"] == false, "{}", told.out);
    }
    fs::write(&path, lines[..3].concat()).unwrap();
    assert_eq!(run(&["audit", "verify"]).code, 0, "a shorter trail is whole by itself");
    let short = run(&["audit", "verify", "--head", &head]);
    assert!(short.code == 1 && short.out.contains("taken off its end"), "{}", short.out);
    assert_eq!(run(&["audit", "verify", "nowhere.jsonl"]).code, 2);
}
