//! An engine that is restored from its documents goes on exactly as one that never stopped.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::sync::Arc;

use muster::engine::{Effect, Engine, Input};
use muster::model::{Body, Digest, Event, Meta, Report, Timestamp};
use muster::playbook::Playbook;

fn minimal() -> Arc<Playbook> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/playbooks/minimal");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is part of the repository") {
        let path = entry.unwrap().path();
        files.push((path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap()));
    }
    files.sort();
    Arc::new(Playbook::load(&files).unwrap_or_else(|problems| panic!("{problems:#?}")))
}

fn report(id: &str, at: Timestamp, text: &str) -> Input {
    let mut report = Report { text: text.into(), ..Report::default() };
    report.place.id = Some("lotus-plaza".into());
    let meta = Meta {
        source: "110/desk-1".into(),
        id: id.into(),
        time: None,
        traceparent: None,
        digest: Digest::of(text.as_bytes()),
    };
    Input::Event(Box::new(Event { meta, received: at, body: Body::Report(Box::new(report)) }), None)
}

fn pass(engine: &mut Engine, to: Timestamp) -> Vec<Effect> {
    let mut effects = Vec::new();
    while !engine.advance(to, &mut effects) {}
    effects
}

#[test]
fn restored_at_any_second_the_story_is_the_same() {
    let start = Timestamp::parse("2026-11-23T08:00:00+08:00").unwrap();
    let at = |s: i64| Timestamp(start.0 + s * 1000);
    let begin = || {
        let mut engine = Engine::new(minimal());
        let mut effects = Vec::new();
        engine.step(start, report("a1", start, "商场冒烟 有明火"), &mut effects);
        while !engine.advance(at(5), &mut effects) {}
        engine.step(at(5), report("a2", at(5), "有人晕倒"), &mut effects);
        assert!(effects.iter().any(|e| matches!(e, Effect::Order(_))), "somebody was sent");
        engine
    };
    for stop in [0, 36, 59, 60, 61, 119, 120, 299, 300, 301, 500, 3_700] {
        let (mut one, mut other) = (begin(), begin());
        pass(&mut one, at(stop));
        pass(&mut other, at(stop));
        let mut restored = Engine::restore(minimal(), one.take_changed()).expect("its own documents");
        assert_eq!(restored.next_due(), other.next_due(), "stopped at {stop} s");
        assert_eq!(restored.deadlines(), other.deadlines(), "stopped at {stop} s");
        assert_eq!(pass(&mut restored, at(9_000)), pass(&mut other, at(9_000)), "stopped at {stop} s");
    }
}
