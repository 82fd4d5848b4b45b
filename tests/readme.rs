//! The README and its Chinese twin tell the same: the same headings in the same order, the same commands.
//!
//! A heading of the twin carries the English one beside it, in a comment that no reader sees.

use std::path::Path;

fn text(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("it is part of the repository")
}

/// Each line with whether it stands within a fence, and the word after that fence.
fn fenced(text: &str) -> Vec<(&str, Option<&str>)> {
    let mut fence = None;
    let mut lines = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("```"), fence) {
            (Some(_), Some(_)) => fence = None,
            (Some(kind), None) => fence = Some(kind),
            _ => lines.push((line, fence)),
        }
    }
    lines
}

fn headings(text: &str) -> Vec<&str> {
    fenced(text).into_iter().filter(|(line, fence)| fence.is_none() && line.starts_with('#')).map(|(l, _)| l).collect()
}

fn commands(text: &str) -> Vec<&str> {
    fenced(text).into_iter().filter(|(_, fence)| *fence == Some("sh")).map(|(line, _)| line).collect()
}

/// The first cells of the tables that name commands.
fn named(text: &str) -> Vec<&str> {
    fenced(text)
        .into_iter()
        .filter(|(l, _)| l.starts_with("| `muster "))
        .map(|(l, _)| l.split('`').nth(1).expect("a command between ticks"))
        .collect()
}

#[test]
fn the_twin_has_the_same_headings() {
    let (english, chinese) = (text("README.md"), text("README.zh-CN.md"));
    let twins: Vec<String> = headings(&chinese)
        .into_iter()
        .map(|line| {
            let level = line.split(' ').next().unwrap();
            let meant = line.split_once("<!-- ").and_then(|(_, rest)| rest.strip_suffix(" -->"));
            format!("{level} {}", meant.unwrap_or_else(|| panic!("`{line}` does not say which heading it is")))
        })
        .collect();
    assert!(twins.len() > 10);
    assert_eq!(headings(&english), twins);
}

#[test]
fn the_twin_has_the_same_commands() {
    let (english, chinese) = (text("README.md"), text("README.zh-CN.md"));
    assert!(commands(&english).len() > 10 && named(&english).len() > 5);
    assert_eq!(commands(&english), commands(&chinese));
    assert_eq!(named(&english), named(&chinese));
}

#[test]
fn every_picture_is_there_and_small() {
    for name in ["README.md", "README.zh-CN.md"] {
        let text = text(name);
        let pictures: Vec<&str> =
            text.split("](docs/pictures/").skip(1).map(|r| r.split(')').next().unwrap()).collect();
        assert!(pictures.len() >= 5, "{name}");
        for picture in pictures {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures").join(picture);
            let bytes = std::fs::metadata(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())).len();
            assert!((1..150_000).contains(&bytes), "{picture}: {bytes} bytes");
        }
    }
}
