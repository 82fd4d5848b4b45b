//! The contract of a journal, run against every journal there is: what was accepted is there again, whole and in order,
//! however the owner ended; what was not accepted is not there at all.
#![cfg(feature = "service")]
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::collections::BTreeMap;
use std::sync::Arc;

use muster::engine::{Actor, Document, Effect, Entry, Notice, NoticeKind, What};
use muster::journal::{Error, Journal, JournalOptions, Restored, Sqlite, Step, Store};
use muster::model::{CommandArea, Desk, FreeText, IncidentId, Millis, Timestamp};
use proptest::prelude::*;
use smol_str::{SmolStr, format_smolstr};

/// Opens the same journal again and again; the one before has been dropped by then.
type Open<'a> = &'a mut dyn FnMut() -> Box<dyn Journal>;

fn on_memory(check: impl Fn(Open<'_>)) {
    let store = Store::default();
    check(&mut || Box::new(store.journal()));
}

fn on_sqlite(check: impl Fn(Open<'_>)) {
    let folder = tempfile::tempdir().unwrap();
    let options = JournalOptions { path: folder.path().join("data"), ..JournalOptions::default() };
    check(&mut || Box::new(Sqlite::open(&options, &CommandArea::from("4304"), Timestamp(0)).unwrap()));
}

macro_rules! contract {
    ($($name:ident)*) => {
        mod memory { $(#[test] fn $name() { super::on_memory(super::$name); })* }
        mod sqlite { $(#[test] fn $name() { super::on_sqlite(super::$name); })* }
    };
}

contract! {
    an_empty_journal_holds_nothing
    what_was_appended_is_there_again
    the_newest_version_of_a_document_counts
    a_document_that_is_gone_stays_gone
    several_steps_are_one_write_in_their_order
    a_write_with_a_bad_step_leaves_nothing_of_itself
    a_step_must_follow_the_last_one
    positions_are_kept_each_by_its_name
    effects_come_back_until_they_are_emitted
    what_is_not_yet_accepted_cannot_be_emitted
    a_reader_sees_what_was_accepted_beside_the_writer
    a_reader_pages_through_what_was_not_emitted
    free_text_and_odd_bytes_survive
    being_alive_is_noted
    histories_fold_to_the_same_state
}

// Making steps

fn entry(at: i64, what: What) -> Effect {
    let incident = Some(IncidentId { area: "4304".into(), date: 20_261_123, n: 1 });
    Effect::Timeline(Box::new(Entry { at: Timestamp(at), incident, drill: false, by: Actor::Engine, what }))
}

fn notice(n: u64) -> Effect {
    Effect::Notice(Box::new(Notice {
        id: format_smolstr!("4304-20261123-1-n{n}"),
        incident: None,
        desk: Desk::Command,
        kind: NoticeKind::ALL[0],
        text: "what happened".into(),
        severity: None,
        take_by: Some(Timestamp(1)),
        at: Timestamp(0),
        drill: true,
    }))
}

fn doc(key: &str, body: &str) -> Document {
    Document { key: key.into(), body: (!body.is_empty()).then(|| body.into()) }
}

/// Step `number`, one second after the one before, with effects of both kinds mixed.
fn step(number: u64, documents: &[Document]) -> Arc<Step> {
    let at = i64::try_from(number).unwrap() * 1_000;
    let effects = vec![
        notice(number),
        entry(at, What::NoticeTaken { notice: "n1".into() }),
        notice(number + 100),
        entry(at, What::Held { mark: None }),
    ];
    Arc::new(Step { number, at: Timestamp(at), documents: documents.to_vec(), effects, ..Step::default() })
}

fn bodies(restored: &Restored) -> BTreeMap<SmolStr, String> {
    let body = |d: &Document| d.body.as_deref().expect("a live document has a body").to_owned();
    restored.documents.iter().map(|d| (d.key.clone(), body(d))).collect()
}

fn numbers(steps: &[Arc<Step>]) -> Vec<u64> {
    steps.iter().map(|s| s.number).collect()
}

// The contract

fn an_empty_journal_holds_nothing(open: Open<'_>) {
    for _ in 0..2 {
        let restored = open().restore().unwrap();
        assert_eq!((restored.last, restored.alive), (None, None));
        assert!(restored.positions.is_empty() && restored.documents.is_empty() && restored.unemitted.is_empty());
    }
    open().append(&[]).unwrap();
    assert_eq!(open().restore().unwrap().last, None, "an empty append is no step");
}

fn what_was_appended_is_there_again(open: Open<'_>) {
    let mut journal = open();
    let (one, two) = (step(1, &[doc("incident/1", "{\"v\":1}")]), step(2, &[doc("post/P-1", "{}")]));
    journal.append(&[Arc::clone(&one)]).unwrap();
    journal.append(&[Arc::clone(&two)]).unwrap();
    drop(journal);
    let restored = open().restore().unwrap();
    assert_eq!(restored.last, Some((2, Timestamp(2_000))));
    assert_eq!(bodies(&restored).len(), 2);
    let again: Vec<_> = restored.unemitted.iter().map(|s| (s.number, s.at, s.effects.clone())).collect();
    assert_eq!(again, [(1, one.at, one.effects.clone()), (2, two.at, two.effects.clone())]);
}

fn the_newest_version_of_a_document_counts(open: Open<'_>) {
    let mut journal = open();
    journal.append(&[step(1, &[doc("a", "1"), doc("b", "1")])]).unwrap();
    journal.append(&[step(2, &[doc("b", "2")]), step(3, &[doc("b", "3"), doc("c", "3")])]).unwrap();
    drop(journal);
    let mut journal = open();
    assert_eq!(
        bodies(&journal.restore().unwrap()),
        [("a", "1"), ("b", "3"), ("c", "3")].map(|(k, v)| (k.into(), v.to_owned())).into()
    );
    journal.append(&[step(4, &[doc("a", "4")])]).unwrap();
    drop(journal);
    assert_eq!(bodies(&open().restore().unwrap())["a"], "4");
}

fn a_document_that_is_gone_stays_gone(open: Open<'_>) {
    let mut journal = open();
    journal.append(&[step(1, &[doc("a", "1"), doc("b", "1")]), step(2, &[doc("a", ""), doc("never", "")])]).unwrap();
    drop(journal);
    let mut journal = open();
    assert_eq!(bodies(&journal.restore().unwrap()).into_keys().collect::<Vec<_>>(), ["b"]);
    journal.append(&[step(3, &[doc("a", "3")])]).unwrap();
    drop(journal);
    assert_eq!(bodies(&open().restore().unwrap())["a"], "3", "it may come back");
}

fn several_steps_are_one_write_in_their_order(open: Open<'_>) {
    let steps: Vec<_> = (1..=40).map(|n| step(n, &[doc("a", &n.to_string())])).collect();
    let mut journal = open();
    journal.append(&steps).unwrap();
    drop(journal);
    let restored = open().restore().unwrap();
    assert_eq!(numbers(&restored.unemitted), (1..=40).collect::<Vec<_>>());
    assert_eq!(bodies(&restored)["a"], "40");
}

fn a_write_with_a_bad_step_leaves_nothing_of_itself(open: Open<'_>) {
    let mut journal = open();
    journal.append(&[step(1, &[doc("a", "1")])]).unwrap();
    let wrong = journal.append(&[step(2, &[doc("a", "2"), doc("b", "2")]), step(4, &[doc("a", "4")])]);
    assert!(matches!(wrong, Err(Error::Fatal(_))), "{wrong:?}");
    drop(journal);
    let restored = open().restore().unwrap();
    assert_eq!(restored.last, Some((1, Timestamp(1_000))));
    assert_eq!(bodies(&restored), BTreeMap::from([("a".into(), "1".to_owned())]));
    assert_eq!(numbers(&restored.unemitted), [1]);
}

fn a_step_must_follow_the_last_one(open: Open<'_>) {
    let early = Step { at: Timestamp(5), ..(*step(2, &[])).clone() };
    for wrong in [step(1, &[]), step(3, &[]), Arc::new(early)] {
        let mut journal = open();
        let last = journal.restore().unwrap().last;
        if last.is_none() {
            journal.append(&[step(1, &[])]).unwrap();
        }
        assert!(matches!(journal.append(std::slice::from_ref(&wrong)), Err(Error::Fatal(_))), "{wrong:?}");
    }
    assert_eq!(open().restore().unwrap().last, Some((1, Timestamp(1_000))));
}

fn positions_are_kept_each_by_its_name(open: Open<'_>) {
    let at = |number, positions: &[(&str, u64)]| {
        let positions = positions.iter().map(|(name, next)| (SmolStr::new(name), *next)).collect();
        Arc::new(Step { positions, ..(*step(number, &[])).clone() })
    };
    let mut journal = open();
    journal.append(&[at(1, &[("file/a", 10), ("file/b", 7)]), at(2, &[("file/a", 12)])]).unwrap();
    drop(journal);
    let restored = open().restore().unwrap();
    assert_eq!(restored.positions, [("file/a".into(), 12), ("file/b".into(), 7)].into());
}

fn effects_come_back_until_they_are_emitted(open: Open<'_>) {
    let mut journal = open();
    journal.append(&(1..=5).map(|n| step(n, &[])).collect::<Vec<_>>()).unwrap();
    journal.note(3, Timestamp(9_000)).unwrap();
    drop(journal);
    let mut journal = open();
    assert_eq!(numbers(&journal.restore().unwrap().unemitted), [4, 5]);
    journal.note(5, Timestamp(9_001)).unwrap();
    drop(journal);
    let mut journal = open();
    let restored = journal.restore().unwrap();
    assert_eq!((restored.last, restored.unemitted.len()), (Some((5, Timestamp(5_000))), 0));
    journal.append(&[step(6, &[])]).unwrap();
    drop(journal);
    assert_eq!(numbers(&open().restore().unwrap().unemitted), [6], "counting goes on where it was");
}

fn what_is_not_yet_accepted_cannot_be_emitted(open: Open<'_>) {
    let mut journal = open();
    journal.append(&[step(1, &[])]).unwrap();
    journal.note(1_000, Timestamp(1_000)).unwrap();
    journal.append(&[step(2, &[])]).unwrap();
    drop(journal);
    assert_eq!(numbers(&open().restore().unwrap().unemitted), [2]);
}

fn a_reader_sees_what_was_accepted_beside_the_writer(open: Open<'_>) {
    let mut journal = open();
    let readers = journal.readers();
    let mut reader = readers().unwrap();
    assert_eq!(reader.state().unwrap(), (0, Vec::new()));
    journal.append(&[step(1, &[doc("a", "1")])]).unwrap();
    assert_eq!(reader.state().unwrap(), (1, vec![doc("a", "1")]));
    journal.append(&[step(2, &[doc("a", ""), doc("b", "2")])]).unwrap();
    journal.note(2, Timestamp(0)).unwrap();
    assert_eq!(reader.state().unwrap(), (2, vec![doc("b", "2")]), "also when everything was emitted");
}

fn a_reader_pages_through_what_was_not_emitted(open: Open<'_>) {
    let mut journal = open();
    journal.append(&(1..=6).map(|n| step(n, &[])).collect::<Vec<_>>()).unwrap();
    journal.note(2, Timestamp(0)).unwrap();
    let mut reader = journal.readers()().unwrap();
    assert_eq!(numbers(&reader.unemitted(0, 3).unwrap()), [3, 4, 5]);
    assert_eq!(numbers(&reader.unemitted(5, 3).unwrap()), [6]);
    assert_eq!(reader.unemitted(3, 1).unwrap()[0].effects, step(4, &[]).effects);
}

fn free_text_and_odd_bytes_survive(open: Open<'_>) {
    let words = "他说\"what\":{\"opened\"}: 商场冒烟\n\u{0}\u{1F525}";
    let said = entry(1_000, What::Said { order: None, words: FreeText::from(words) });
    let body = format!("{{\"t\":\"{}\"}}", "文".repeat(5_000));
    let odd =
        Step { effects: vec![said.clone()], documents: vec![doc("report/é/1", &body)], ..(*step(1, &[])).clone() };
    let mut journal = open();
    journal.append(&[Arc::new(odd)]).unwrap();
    drop(journal);
    let restored = open().restore().unwrap();
    assert_eq!(restored.unemitted[0].effects, [said]);
    assert_eq!(bodies(&restored)["report/é/1"], body);
}

fn being_alive_is_noted(open: Open<'_>) {
    let mut journal = open();
    journal.append(&[step(1, &[])]).unwrap();
    journal.note(0, Timestamp(77_000)).unwrap();
    journal.close().unwrap();
    let restored = open().restore().unwrap();
    assert_eq!((restored.alive, numbers(&restored.unemitted)), (Some(Timestamp(77_000)), vec![1]));
}

// Random histories

#[derive(Clone, Debug)]
enum Deed {
    /// Steps of one write, each with documents `(key, body)`; an empty body is a tombstone.
    Append(Vec<Vec<(u8, String)>>),
    /// Marks so many of the unemitted as emitted.
    Emit(u8),
    /// The owner ends, and another begins.
    Reopen,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let document = (0..12_u8, prop_oneof!["[a-z]{1,40}", Just(String::new())]);
    let steps = prop::collection::vec(prop::collection::vec(document, 0..5), 1..4);
    let deed =
        prop_oneof![5 => steps.prop_map(Deed::Append), 2 => any::<u8>().prop_map(Deed::Emit), 1 => Just(Deed::Reopen)];
    prop::collection::vec(deed, 1..30)
}

/// What the contract says the journal holds, kept in the plainest way.
#[derive(Default)]
struct Model {
    last: u64,
    emitted: u64,
    documents: BTreeMap<SmolStr, String>,
}

fn histories_fold_to_the_same_state(open: Open<'_>) {
    // One store takes all histories, one after the other: each begins where the last one ended.
    let open = std::cell::RefCell::new(open);
    let model = std::cell::RefCell::new(Model::default());
    let config =
        ProptestConfig { cases: 40, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(history in deeds())| {
        let (mut open, mut model) = (open.borrow_mut(), model.borrow_mut());
        let mut journal = Some(open());
        for deed in history {
            match deed {
                Deed::Append(steps) => journal.as_mut().expect("open").append(&model.apply(steps)).unwrap(),
                Deed::Emit(some) => {
                    model.emitted = (model.emitted + u64::from(some) % 4).min(model.last);
                    journal.as_mut().expect("open").note(model.emitted, Timestamp(0)).unwrap();
                }
                Deed::Reopen => {
                    journal = None;
                    journal = journal.or_else(|| Some(open()));
                }
            }
        }
        drop(journal);
        let restored = open().restore().unwrap();
        prop_assert_eq!(restored.last.map_or(0, |l| l.0), model.last);
        prop_assert_eq!(bodies(&restored), model.documents.clone());
        prop_assert_eq!(numbers(&restored.unemitted), (model.emitted + 1..=model.last).collect::<Vec<_>>());
    });
}

impl Model {
    fn apply(&mut self, steps: Vec<Vec<(u8, String)>>) -> Vec<Arc<Step>> {
        let mut made = Vec::new();
        for documents in steps {
            self.last += 1;
            let documents: Vec<_> = documents.iter().map(|(key, body)| doc(&format!("k/{key}"), body)).collect();
            for document in &documents {
                match &document.body {
                    Some(body) => _ = self.documents.insert(document.key.clone(), body.to_string()),
                    None => _ = self.documents.remove(&document.key),
                }
            }
            made.push(step(self.last, &documents));
        }
        made
    }
}

// The embedded store's own promises

fn options(folder: &tempfile::TempDir) -> JournalOptions {
    JournalOptions { path: folder.path().into(), busy_timeout: Millis(200), ..JournalOptions::default() }
}

fn refused(options: &JournalOptions, area: &str) -> String {
    match Sqlite::open(options, &area.into(), Timestamp(0)) {
        Ok(_) => panic!("opened"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_second_owner_is_told_who_holds_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder);
    let first = Sqlite::open(&options, &"4304".into(), Timestamp(1_700_000_000_000)).unwrap();
    let words = refused(&options, "4304");
    let holder = format!("process {} since 2023-11-14T22:13:20.000Z", std::process::id());
    assert!(words.contains(&holder) && words.contains("stop that process first"), "{words}");
    drop(first);
    Sqlite::open(&options, &"4304".into(), Timestamp(0)).expect("the lock ends with its owner");
}

#[test]
fn a_journal_of_another_command_area_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Sqlite::open(&options(&folder), &"4304".into(), Timestamp(0)).unwrap());
    let words = refused(&options(&folder), "4301");
    assert!(words.contains("is the journal of command area 4304, the playbook is for 4301"), "{words}");
}

#[test]
fn a_store_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Sqlite::open(&options(&folder), &"4304".into(), Timestamp(0)).unwrap());
    let db = rusqlite::Connection::open(options(&folder).file()).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    let words = refused(&options(&folder), "4304");
    assert!(words.contains("newer Muster (store version 99, known here: 1)"), "{words}");
}

#[test]
fn what_is_no_journal_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let db = rusqlite::Connection::open(options(&folder).file()).unwrap();
    db.execute_batch("CREATE TABLE recipes (name TEXT)").unwrap();
    drop(db);
    assert!(refused(&options(&folder), "4304").contains("is a database of something else"));
    std::fs::write(options(&folder).file(), "this is no database at all, though it is long enough".repeat(100))
        .unwrap();
    assert!(refused(&options(&folder), "4304").contains("restore it from a backup"));
}

#[test]
fn the_archive_keeps_what_the_outbox_lets_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Sqlite::open(&options(&folder), &"4304".into(), Timestamp(0)).unwrap();
    journal.append(&[step(1, &[]), step(2, &[])]).unwrap();
    let db = muster::journal::open_read_only(&options(&folder).file(), Millis(100)).unwrap();
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((count("SELECT count(*) FROM outbox"), count("SELECT count(*) FROM timeline")), (4, 4));
    journal.note(2, Timestamp(0)).unwrap();
    assert_eq!((count("SELECT count(*) FROM outbox"), count("SELECT count(*) FROM timeline")), (0, 4));
    assert_eq!(count("SELECT count(*) FROM timeline WHERE kind = 'notice-taken' AND incident = '4304-20261123-1'"), 2);
    assert_eq!(count("SELECT count(*) FROM timeline WHERE kind = 'held' AND at = 2000"), 1);
    assert!(db.execute("DELETE FROM timeline", []).is_err(), "a reader cannot write");
}
