//! The board: a fold of accepted steps that says what the engine decided, and nothing else.
#![cfg(feature = "service")]
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]
use std::path::Path;
use std::sync::Arc;

use muster::board::{Board, IncidentQuery, Options, OrderQuery, Unaccounted};
use muster::config::playbook::load_dir;
use muster::engine::{Document, Engine, Input};
use muster::journal::Step;
use muster::model::{Body, Digest, Event, Meta, Report, Timestamp};
use smol_str::SmolStr;

/// An engine whose every batch is a step.
struct Story {
    engine: Engine,
    start: Timestamp,
    steps: Vec<Arc<Step>>,
}

impl Story {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/playbooks/minimal");
        let playbook = Arc::new(load_dir(&folder, None).unwrap());
        let start = Timestamp::parse("2026-11-23T08:00:00+08:00").unwrap();
        Self { engine: Engine::new(playbook), start, steps: Vec::new() }
    }

    fn at(&self, second: i64) -> Timestamp {
        Timestamp(self.start.0 + second * 1000)
    }

    fn commit(&mut self, at: Timestamp, effects: Vec<muster::engine::Effect>) {
        let documents = self.engine.take_changed();
        if !documents.is_empty() || !effects.is_empty() {
            let number = self.steps.len() as u64 + 1;
            self.steps.push(Arc::new(Step {
                number,
                at,
                positions: std::collections::BTreeMap::new(),
                documents,
                effects,
            }));
        }
    }

    fn report(&mut self, second: i64, text: &str, change: impl FnOnce(&mut Report)) {
        if !self.steps.is_empty() {
            self.pass(second);
        }
        let at = self.at(second);
        let mut report = Report { text: text.into(), ..Report::default() };
        change(&mut report);
        let id = SmolStr::from(format!("r{}", self.steps.len()));
        let digest = Digest::of(id.as_bytes());
        let meta = Meta { source: "110/desk-1".into(), id: id.as_str().into(), time: None, traceparent: None, digest };
        let event = Event { meta, received: at, body: Body::Report(Box::new(report)) };
        let mut effects = Vec::new();
        let _ = self.engine.step(at, Input::Event(Box::new(event), None), &mut effects);
        self.commit(at, effects);
        self.pass(second);
    }

    fn pass(&mut self, second: i64) {
        let at = self.at(second);
        loop {
            let mut effects = Vec::new();
            let done = self.engine.advance(at, &mut effects);
            self.commit(at, effects);
            if done {
                return;
            }
        }
    }
}

fn board() -> Board {
    Board::new(Options::default(), None)
}

/// All that a reader can see, as text.
fn seen(board: &Board) -> String {
    let incidents = board.incidents(&IncidentQuery { limit: 1000, ..IncidentQuery::default() });
    let orders = board.orders(&OrderQuery { limit: 1000, ..OrderQuery::default() });
    let marks = board.marks(None, 1000);
    format!("{incidents:#?}\n{orders:#?}\n{marks:#?}\n{:?}", board.open_counts())
}

fn at_plaza(report: &mut Report) {
    report.place.id = Some("lotus-plaza".into());
}

/// One of everything, and nobody does anything: every mark is missed, every order expires.
fn silence() -> Story {
    let mut story = Story::new();
    story.report(0, "商场冒烟 有明火 多人受伤", at_plaza);
    story.report(2, "有人持刀", at_plaza);
    story.report(4, "有人晕倒", |_| {});
    story.report(6, "邻居吵架 纠纷", at_plaza);
    story.report(8, "", |r| {
        at_plaza(r);
        r.code = Some("FP-1".into());
    });
    for n in 0..30 {
        story.report(10 + n, "噪音扰民", at_plaza);
    }
    story
}

#[test]
fn a_board_read_back_at_any_step_shows_what_one_that_followed_shows() {
    let mut story = silence();
    story.pass(900);
    let (followed, mut documents) = (board(), std::collections::BTreeMap::new());
    for (n, step) in story.steps.iter().enumerate() {
        followed.fold(step);
        for document in &step.documents {
            documents.insert(document.key.clone(), document.clone());
        }
        if n % 7 == 0 {
            let restored = board();
            let live: Vec<Document> = documents.values().filter(|d| d.body.is_some()).cloned().collect();
            restored.restore(step.number, &live);
            assert_eq!(seen(&restored), seen(&followed), "after step {}", step.number);
            // A step that comes again, as after a restart, changes nothing.
            restored.fold(step);
            restored.fold(&story.steps[0]);
            assert_eq!(seen(&restored), seen(&followed), "after step {} again", step.number);
        }
    }
    assert!(story.steps.len() > 30, "a story worth telling");
}

#[test]
fn nothing_is_unaccounted_for_while_everybody_is_silent() {
    let mut story = silence();
    let (board, mut folded) = (board(), 0);
    for second in 0..1_200 {
        story.pass(second);
        for step in &story.steps[folded..] {
            board.fold(step);
        }
        folded = story.steps.len();
        assert_eq!(board.unaccounted(story.at(second)), Unaccounted::default(), "at second {second}");
    }
}

#[test]
fn an_incident_without_order_or_reason_and_a_forgotten_order_are_counted_after_the_grace() {
    let mut story = Story::new();
    story.report(0, "商场冒烟", at_plaza);
    let mut step = Step::clone(&story.steps[0]);
    for document in &mut step.documents {
        let mut body: serde_json::Value = serde_json::from_str(document.body.as_deref().unwrap_or("{}")).unwrap();
        if document.key.starts_with("incident/") {
            body["orders"] = 0.into();
        }
        document.body = Some(body.to_string().into());
    }
    let board = board();
    board.fold(&step);
    let (incident, order) = ("9900-20261123-1".parse().unwrap(), "9900-20261123-1-1".parse().unwrap());
    assert_eq!(board.unaccounted(story.at(3)), Unaccounted::default(), "a step may be on its way");
    assert_eq!(board.unaccounted(story.at(6)).incidents, [incident]);
    let expires = board.order(&order).unwrap().expires;
    assert!(board.unaccounted(expires).orders.is_empty());
    assert!(board.unaccounted(Timestamp(expires.0 + 6_000)).orders.contains(&order));
}

#[test]
fn notices_are_bounded_and_one_that_waits_for_a_person_goes_last() {
    let mut story = silence();
    story.pass(900);
    let few = Board::new(Options { notices_kept: 5, ..Options::default() }, None);
    story.steps.iter().for_each(|step| few.fold(step));
    let all = few.notices(&muster::board::NoticeQuery { limit: 100, ..muster::board::NoticeQuery::default() });
    assert_eq!(all.items.len(), 5);
    let revs: Vec<u64> = all.items.iter().map(|n| n.rev).collect();
    assert!(revs.is_sorted_by(|a, b| a > b), "newest first: {revs:?}");
    let ample = board();
    story.steps.iter().for_each(|step| ample.fold(step));
    let waiting = muster::board::NoticeQuery { limit: 100, waiting: true, ..muster::board::NoticeQuery::default() };
    let (of_all, of_few) = (ample.notices(&waiting).items.len(), few.notices(&waiting).items.len());
    assert!(of_all > 0);
    assert_eq!(of_few, of_all.min(5), "those that need nobody went first");
}

#[test]
fn where_there_is_no_archive_the_newest_lines_are_kept_in_memory() {
    let mut story = silence();
    story.pass(300);
    let (all, few) = (board(), Board::new(Options { timeline_kept: 10, ..Options::default() }, None));
    for step in &story.steps {
        all.fold(step);
        few.fold(step);
    }
    let id = "9900-20261123-1".parse().unwrap();
    let lines = all.timeline(&id, None, 10_000).unwrap().items;
    assert!(lines.len() > 10 && lines.iter().all(|l| l.entry.incident.as_ref() == Some(&id)));
    assert!(lines.is_sorted_by(|a, b| a.rev < b.rev));
    assert!(few.timeline(&id, None, 10_000).unwrap().items.len() <= 10);
}
