//! The board: a fold of accepted steps that says what the engine decided, and nothing else.
#![cfg(feature = "service")]
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]
use std::path::Path;
use std::sync::Arc;

use muster::board::{Board, IncidentQuery, NoticeQuery, Options, OrderQuery, Sight, Unaccounted};
use muster::config::playbook::load_dir;
use muster::engine::{Document, Engine, Input};
use muster::journal::Step;
use muster::model::{Body, Digest, Event, Meta, Report, Timestamp};
use muster::wire::Shard;
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
            self.steps.push(Arc::new(Step { number, at, documents, effects, ..Step::default() }));
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
    let marks = board.marks(&Sight::default(), None, 1000);
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
        followed.fold(Shard::ONLY, step);
        for document in &step.documents {
            documents.insert(document.key.clone(), document.clone());
        }
        if n % 7 == 0 {
            let restored = board();
            let live: Vec<Document> = documents.values().filter(|d| d.body.is_some()).cloned().collect();
            restored.restore(Shard::ONLY, step.number, &live);
            assert_eq!(seen(&restored), seen(&followed), "after step {}", step.number);
            // A step that comes again, as after a restart, changes nothing.
            restored.fold(Shard::ONLY, step);
            restored.fold(Shard::ONLY, &story.steps[0]);
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
            board.fold(Shard::ONLY, step);
        }
        folded = story.steps.len();
        assert_eq!(board.unaccounted(story.at(second)), Unaccounted::default(), "at second {second}");
    }
}

#[test]
fn an_incident_without_order_or_reason_and_a_forgotten_order_are_counted_after_the_grace() {
    let mut story = Story::new();
    story.report(0, "商场冒烟", at_plaza);
    let board = board();
    for step in &story.steps {
        let mut step = Step::clone(step);
        for document in step.documents.iter_mut().filter(|d| d.key.starts_with("incident/")) {
            let mut body: serde_json::Value = serde_json::from_str(document.body.as_deref().unwrap()).unwrap();
            body["orders"] = 0.into();
            document.body = Some(body.to_string().into());
        }
        board.fold(Shard::ONLY, &step);
    }
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
    story.steps.iter().for_each(|step| few.fold(Shard::ONLY, step));
    let all = few.notices(&muster::board::NoticeQuery { limit: 100, ..muster::board::NoticeQuery::default() });
    assert_eq!(all.items.len(), 5);
    let revs: Vec<u64> = all.items.iter().map(|n| n.rev).collect();
    assert!(revs.is_sorted_by(|a, b| a > b), "newest first: {revs:?}");
    let ample = board();
    story.steps.iter().for_each(|step| ample.fold(Shard::ONLY, step));
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
        all.fold(Shard::ONLY, step);
        few.fold(Shard::ONLY, step);
    }
    let id = "9900-20261123-1".parse().unwrap();
    let lines = all.timeline(&id, None, 10_000).unwrap().lines.items;
    assert!(lines.len() > 10 && lines.iter().all(|l| l.entry.incident.as_ref() == Some(&id)));
    assert!(lines.is_sorted_by(|a, b| a.rev < b.rev));
    assert!(few.timeline(&id, None, 10_000).unwrap().lines.items.len() <= 10);
}

/// A story as another shard would have it: another command area, keys that name it.
fn elsewhere(story: &Story, area: &str) -> Vec<Step> {
    let renamed = |text: &str| text.replace("9900-", &format!("{area}-"));
    let document = |d: &Document| Document {
        key: SmolStr::from(format!("{area}:{}", renamed(&d.key))),
        body: d.body.as_deref().map(|body| renamed(body).into()),
    };
    let step = |step: &Arc<Step>| {
        let effects = serde_json::to_string(&step.effects).unwrap();
        Step {
            documents: step.documents.iter().map(document).collect(),
            effects: serde_json::from_str(&renamed(&effects)).unwrap(),
            ..Step::clone(step)
        }
    };
    story.steps.iter().map(step).collect()
}

fn fold(board: &Board, shard: Shard, steps: &[Step]) {
    for step in steps {
        board.fold(shard, step);
    }
}

#[test]
fn shards_are_folded_by_themselves_and_told_together() {
    let mut story = silence();
    story.pass(60);
    let shards = [0, 1].map(|number| Shard { number, of: 2 });
    let (west, east) = (elsewhere(&story, "4301"), elsewhere(&story, "4304"));
    let board = board();
    fold(&board, shards[0], &west);
    // The other shard's steps have the same numbers, and come late.
    assert!(board.incident(&"4304-20261123-1".parse().unwrap()).is_none());
    fold(&board, shards[1], &east);
    assert_eq!(board.steps().into_values().collect::<Vec<_>>(), [west.len() as u64; 2]);

    let all = board.incidents(&IncidentQuery { limit: 1000, ..IncidentQuery::default() }).items;
    assert!(all.len() >= 10 && all.len().is_multiple_of(2));
    assert!(all.is_sorted_by(|a, b| a.received >= b.received), "newest first, whatever the area");
    let mut paged = Vec::new();
    let mut cursor = None;
    loop {
        let page = board.incidents(&IncidentQuery { limit: 3, cursor, ..IncidentQuery::default() });
        paged.extend(page.items.into_iter().map(|i| i.id.clone()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(paged, all.iter().map(|i| i.id.clone()).collect::<Vec<_>>(), "page by page the same");
    let orders = |limit, cursor| board.orders(&OrderQuery { limit, cursor, ..OrderQuery::default() });
    let (whole, mut paged, mut cursor) = (orders(1000, None).items, Vec::new(), None);
    loop {
        let page = orders(2, cursor);
        paged.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(paged, whole);

    let notices = |limit, cursor| board.notices(&NoticeQuery { limit, cursor, ..NoticeQuery::default() });
    let whole = notices(1000, None).items;
    let revs: std::collections::BTreeSet<u64> = whole.iter().map(|n| n.rev).collect();
    assert_eq!(revs.len(), whole.len(), "none hides another");
    assert!(whole.is_sorted_by(|a, b| a.raised >= b.raised));
    let first = notices(5, None);
    let next: muster::board::NoticePlace = first.next.unwrap().to_string().parse().unwrap();
    assert_eq!(notices(1, Some(next)).items[0].rev, whole[5].rev);
}

#[test]
fn a_shard_that_is_read_back_replaces_its_own_and_leaves_the_other() {
    let mut story = silence();
    story.pass(60);
    let shards = [0, 1].map(|number| Shard { number, of: 2 });
    let (west, east) = (elsewhere(&story, "4301"), elsewhere(&story, "4304"));
    let board = board();
    fold(&board, shards[0], &west);
    fold(&board, shards[1], &east);
    let before = seen(&board);
    // The log of the second shard was read anew, and one of its incidents is no longer in it.
    let mut newest = std::collections::BTreeMap::new();
    for document in east.iter().flat_map(|step| &step.documents) {
        newest.insert(document.key.clone(), document.clone());
    }
    let documents: Vec<Document> = newest.into_values().filter(|d| d.body.is_some()).collect();
    board.restore(shards[1], east.len() as u64, &documents);
    assert_eq!(seen(&board), before, "the same documents, the same board");
    let gone = "4304-20261123-1";
    let fewer: Vec<Document> = documents.into_iter().filter(|d| !d.key.contains(gone)).collect();
    board.restore(shards[1], east.len() as u64, &fewer);
    assert!(board.incident(&gone.parse().unwrap()).is_none());
    assert!(board.chapter(&"4301-20261123-1".parse().unwrap()).is_some_and(|c| !c.orders.is_empty()));
    let query = OrderQuery { incident: Some(gone.parse().unwrap()), limit: 10, ..OrderQuery::default() };
    assert!(board.orders(&query).items.is_empty());
}

#[test]
fn a_timeline_says_when_its_beginning_is_no_longer_held() {
    let mut story = silence();
    story.pass(300);
    let id = "9900-20261123-1".parse().unwrap();
    let ample = board();
    story.steps.iter().for_each(|step| ample.fold(Shard::ONLY, step));
    assert!(!ample.timeline(&id, None, 10).unwrap().cut);
    let few = Board::new(Options { timeline_kept: 40, ..Options::default() }, None);
    story.steps.iter().for_each(|step| few.fold(Shard::ONLY, step));
    assert!(few.timeline(&id, None, 10).unwrap().cut);
    // A board that began in the middle knows what happened since, and that it is not all.
    let late = board();
    story.steps.iter().skip(20).for_each(|step| late.happened(Shard::ONLY, step));
    let told = late.timeline(&id, None, 1000).unwrap();
    assert!(told.cut && !told.lines.items.is_empty());
}
