//! The shard from outside: what it answers and when, what it does when the journal is slow or fails, when time passes,
//! when it is flooded, when it comes back.
#![cfg(feature = "service")]
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use muster::classify;
use muster::engine::{Answer, Effect, Input, Lateness, NoticeKind, Outage, ReportAnswer, What};
use muster::journal::{Error, Journal, Memory, Reader, Readers, Restored, Step, Store};
use muster::model::{
    Act, Body, Digest, Event, FieldAct, FreeText, Lane, Meta, Millis, OrderId, Position, PositionFix, Report, Timestamp,
};
use muster::playbook::Playbook;
use muster::runtime::{Answering, Clock, Driver, Handle, Observer, Phase, Running, Setup, Sorter, SubmitError};
use tokio::sync::broadcast::Receiver;

/// A Monday morning in the model city.
const MORNING: Timestamp = Timestamp(1_795_392_000_000);

// What the tests stand on

fn playbook() -> Arc<Playbook> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/playbooks/minimal");
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap()))
        .collect();
    files.sort();
    Arc::new(Playbook::load(&files).unwrap())
}

fn sorter() -> Sorter {
    Arc::new(|playbook, event| match &event.body {
        Body::Report(report) => Some(classify::verdict(playbook, &event.meta, report, event.received)),
        _ => None,
    })
}

fn event(id: &str, body: Body) -> Event {
    let digest = Digest::of(id.as_bytes());
    let meta = Meta { source: "110/desk-1".into(), id: id.into(), time: None, traceparent: None, digest };
    Event { meta, received: Timestamp(0), body }
}

/// A report on the quay. "着火" makes it bottom line, "噪音" ordinary.
fn report(id: &str, text: &str) -> Event {
    let mut report = Report { text: FreeText::from(text), ..Report::default() };
    report.place.id = Some("lotus-plaza".into());
    event(id, Body::Report(Box::new(report)))
}

fn sign(id: &str, order: &OrderId, post: &str) -> Event {
    let (order, post) = (Some(order.clone()), post.into());
    event(
        id,
        Body::Act(FieldAct {
            post,
            act: Act::Signed,
            order,
            incident: None,
            reason: None,
            done_at: None,
            report: None,
        }),
    )
}

fn position(id: &str, post: &str) -> Event {
    let position = Position { lon: 112.6, lat: 26.89 };
    event(id, Body::Position(PositionFix { post: post.into(), position, fixed_at: MORNING }))
}

struct City {
    store: Store,
    driver: Driver,
    running: Running,
    steps: Receiver<Arc<Step>>,
    /// Steps up to here were accepted before, and are told again when they had not left the house.
    before: u64,
}

impl City {
    fn new() -> Self {
        Self::on(&Store::default(), MORNING, |setup| setup)
    }

    fn on(store: &Store, now: Timestamp, change: impl FnOnce(Setup) -> Setup) -> Self {
        let (clock, driver) = Clock::driven(now);
        let mut setup = Setup::new(playbook(), Box::new(store.journal()), clock, sorter());
        setup.undelivered = true;
        let opened = change(setup).open().unwrap();
        let steps = opened.handle().subscribe();
        let before = opened.restored().last.map_or(0, |last| last.0);
        let running = opened.run().unwrap();
        Self { before, store: store.clone(), driver, running, steps }
    }

    fn handle(&self) -> &Handle {
        &self.running.handle
    }

    /// Moves the clock on and waits until everything has been done.
    fn advance(&mut self, span: Millis) -> Vec<What> {
        self.driver.advance(span);
        self.settle()
    }

    /// Waits until everything has been done, and tells what happened.
    fn settle(&mut self) -> Vec<What> {
        self.handle().settled_blocking().unwrap();
        let mut happened = Vec::new();
        while let Ok(step) = self.steps.try_recv() {
            happened.extend(whats(&step).into_iter().filter(|_| step.number > self.before));
        }
        happened
    }

    /// The process is gone, the store stays.
    fn crash(self) -> Store {
        self.store
    }
}

fn whats(step: &Step) -> Vec<What> {
    let timeline = |effect: &Effect| match effect {
        Effect::Timeline(entry) => Some(entry.what.clone()),
        _ => None,
    };
    step.effects.iter().filter_map(timeline).collect()
}

fn opened(answer: Result<Answer, SubmitError>) -> ReportAnswer {
    match answer.unwrap() {
        Answer::Report(answer) => *answer,
        other => panic!("{other:?}"),
    }
}

fn orders(happened: &[What]) -> Vec<(OrderId, String)> {
    let order = |what: &What| match what {
        What::Ordered { order, post, .. } => Some((order.clone(), post.to_string())),
        _ => None,
    };
    happened.iter().filter_map(order).collect()
}

fn missed(happened: &[What]) -> Vec<(String, Lateness)> {
    let missed = |what: &What| match what {
        What::Missed { mark, lateness, .. } => Some((mark.to_string(), *lateness)),
        _ => None,
    };
    happened.iter().filter_map(missed).collect()
}

/// A journal that can be held up, and that can fail.
struct Hindered {
    inner: Memory,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
    /// Fails on the append that makes it zero.
    fails_in: AtomicU32,
    appending: AtomicU32,
}

impl Gate {
    fn shut(&self) {
        *self.shut.lock().unwrap() = true;
    }

    fn open(&self) {
        *self.shut.lock().unwrap() = false;
        self.opened.notify_all();
    }

    /// Waits until the shard stands before the gate.
    fn reached(&self) {
        while self.appending.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Journal for Hindered {
    fn restore(&mut self) -> Result<Restored, Error> {
        self.inner.restore()
    }

    fn append(&mut self, steps: &[Arc<Step>]) -> Result<(), Error> {
        self.gate.appending.fetch_add(1, Ordering::SeqCst);
        drop(self.gate.opened.wait_while(self.gate.shut.lock().unwrap(), |shut| *shut).unwrap());
        self.gate.appending.fetch_sub(1, Ordering::SeqCst);
        let left = self.gate.fails_in.load(Ordering::SeqCst);
        self.gate.fails_in.store(left.saturating_sub(1), Ordering::SeqCst);
        if left == 1 { Err(Error::Fatal("the disk is on fire".into())) } else { self.inner.append(steps) }
    }

    fn note(&mut self, emitted: u64, alive: Timestamp) -> Result<(), Error> {
        self.inner.note(emitted, alive)
    }

    fn readers(&self) -> Readers {
        self.inner.readers()
    }

    fn close(self: Box<Self>) -> Result<(), Error> {
        Ok(())
    }
}

fn hindered(change: impl FnOnce(&mut Setup)) -> (City, Arc<Gate>) {
    let gate = Arc::<Gate>::default();
    let (store, held) = (Store::default(), Arc::clone(&gate));
    let mut city = City::on(&store, MORNING, |mut setup| {
        setup.journal = Box::new(Hindered { inner: store.journal(), gate: held });
        change(&mut setup);
        setup
    });
    // The first step, that the engine began, is out of the way.
    city.settle();
    (city, gate)
}

/// Whether an answer is there by now.
fn is_answered(answering: &mut Answering) -> bool {
    let waker = std::task::Waker::noop();
    std::pin::Pin::new(answering).poll(&mut std::task::Context::from_waker(waker)).is_ready()
}

// Answers

#[test]
fn an_answer_comes_after_the_commit_and_not_before() {
    let (mut city, gate) = hindered(|_| {});
    gate.shut();
    let mut answering = city.handle().submit(report("a", "商场着火"));
    gate.reached();
    std::thread::sleep(Duration::from_millis(20));
    assert!(!is_answered(&mut answering));
    assert!(city.steps.try_recv().is_err(), "nobody hears of a step that is not accepted");
    gate.open();
    let answer = opened(answering.wait());
    assert!(answer.incident.is_some() && !answer.orders.is_empty());
    let happened = city.settle();
    let ordered: Vec<OrderId> = orders(&happened).into_iter().map(|o| o.0).collect();
    assert_eq!(ordered, answer.orders);
    assert!(city.store.clone().state().unwrap().0 >= 1);
}

#[test]
fn a_batch_is_answered_element_by_element() {
    let city = City::new();
    let answers =
        city.handle().submit_many(vec![report("a", "商场着火"), report("b", "噪音"), report("a", "商场着火")]);
    let answers: Vec<_> = answers.into_iter().map(|a| opened(a.wait())).collect();
    assert_eq!(answers.iter().map(|a| a.repeat).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(answers[0].incident, answers[2].incident);
}

#[test]
fn a_repeat_has_the_same_answer_after_a_crash() {
    let city = City::new();
    let first = opened(city.handle().submit(report("a", "商场着火")).wait());
    let city = City::on(&city.crash(), MORNING + Millis(500), |setup| setup);
    let again = opened(city.handle().submit(report("a", "商场着火")).wait());
    assert_eq!((again.incident, again.repeat), (first.incident, true));
}

#[test]
fn a_position_is_answered_and_not_written() {
    let mut city = City::new();
    city.settle();
    let before = city.handle().status().step;
    city.handle().submit(position("p1", "P-1")).wait().unwrap();
    let after = city.store.clone().state().unwrap();
    assert_eq!(after.0, before, "{after:?}");
    assert!(city.settle().is_empty());
}

// The journal fails

#[test]
fn a_journal_that_fails_ends_the_shard_and_nothing_leaves() {
    let (mut city, gate) = hindered(|_| {});
    opened(city.handle().submit(report("a", "商场着火")).wait());
    city.settle();
    gate.fails_in.store(1, Ordering::SeqCst);
    let lost = city.handle().submit(report("b", "持刀砍人")).wait();
    let Err(SubmitError::Stopped { reason }) = lost else { panic!("{lost:?}") };
    assert!(reason.contains("the disk is on fire"), "{reason}");
    assert!(city.steps.try_recv().is_err(), "no effect of it leaves");
    let later = city.handle().submit(report("c", "商场着火")).wait();
    assert!(matches!(later, Err(SubmitError::Stopped { .. })), "{later:?}");
    assert!(matches!(city.handle().status().phase, Phase::Stopped { clean: false, .. }));
    assert!(matches!(city.running.join(), Err(Error::Fatal(_))));
    let held = city.store.clone().journal().restore().unwrap();
    let reported: usize =
        held.unemitted.iter().flat_map(|s| whats(s)).filter(|w| matches!(w, What::Opened { .. })).count();
    assert_eq!(reported, 1, "only the first was accepted");
}

#[test]
fn a_drain_finishes_what_waits() {
    let (city, gate) = hindered(|_| {});
    gate.shut();
    let first = city.handle().submit(report("a", "商场着火"));
    gate.reached();
    let waiting = city.handle().submit_many((0..50).map(|n| report(&format!("n{n}"), "噪音")).collect());
    city.handle().close();
    let late = city.handle().submit(report("late", "商场着火")).wait();
    assert!(matches!(late, Err(SubmitError::Stopped { .. })), "{late:?}");
    gate.open();
    opened(first.wait());
    for answer in waiting {
        opened(answer.wait());
    }
    let store = city.store.clone();
    assert!(city.running.join().is_ok());
    assert!(store.journal().restore().unwrap().alive.is_some());
}

// Time

#[test]
fn a_mark_fires_when_its_instant_is_over_with_nobody_sending_anything() {
    let mut city = City::new();
    opened(city.handle().submit(report("a", "商场着火")).wait());
    city.settle();
    assert!(missed(&city.advance(Millis(60_000))).is_empty(), "the limit belongs to the time that is given");
    let happened = city.advance(Millis(1));
    let signed: Vec<_> = missed(&happened).into_iter().filter(|m| m.0 == "signed").collect();
    assert!(!signed.is_empty() && signed.iter().all(|m| m.1 == Lateness::InTime), "{happened:?}");
    assert!(missed(&city.advance(Millis(1))).is_empty(), "once");
}

#[test]
fn settled_tells_when_something_is_due_next() {
    let city = City::new();
    opened(city.handle().submit(report("a", "商场着火")).wait());
    let mut due = city.handle().settled_blocking().unwrap();
    let mut visited = 0;
    while let Some(at) = due.filter(|at| *at <= MORNING + Millis::from_mins(10)) {
        assert!(at > city.handle().now(), "what is due has been done");
        city.driver.set(at);
        due = city.handle().settled_blocking().unwrap();
        visited += 1;
    }
    assert!(visited > 4, "warnings and misses, each at its instant: {visited}");
}

#[test]
fn an_act_received_before_its_mark_keeps_it_though_it_had_to_wait() {
    let (mut city, gate) = hindered(|_| {});
    opened(city.handle().submit(report("a", "商场着火")).wait());
    let all = orders(&city.settle());
    city.advance(Millis(59_000));
    // The journal hangs on something else; meanwhile the first post signs, and its minute goes by.
    gate.shut();
    let other = city.handle().submit(report("b", "持刀砍人"));
    gate.reached();
    let (order, post) = &all[0];
    let signature = city.handle().submit(sign("s1", order, post));
    city.driver.advance(Millis(5_000));
    let late = city.handle().submit(sign("s2", &all[1].0, &all[1].1));
    gate.open();
    other.wait().unwrap();
    signature.wait().unwrap();
    late.wait().unwrap();
    let happened = city.settle();
    let missed_signature = |of: &OrderId| {
        let is =
            |w: &&What| matches!(w, What::Missed { mark, order: Some(o), .. } if mark.as_str() == "signed" && o == of);
        happened.iter().filter(is).count()
    };
    assert_eq!((missed_signature(order), missed_signature(&all[1].0)), (0, 1), "{happened:?}");
}

#[test]
fn on_a_running_clock_a_mark_is_not_late() {
    #[derive(Default)]
    struct Late(Mutex<Vec<Millis>>);
    impl Observer for Late {
        fn fired(&self, late: Millis) {
            self.0.lock().unwrap().push(late);
        }
    }
    let late = Arc::<Late>::default();
    let heard = Arc::clone(&late);
    let store = Store::default();
    // A minute passes in a second.
    let clock = Clock::scaled(MORNING, 60.0);
    let mut setup = Setup::new(playbook(), Box::new(store.journal()), clock, sorter());
    (setup.undelivered, setup.observer) = (true, heard);
    let opened_shard = setup.open().unwrap();
    let mut steps = opened_shard.handle().subscribe();
    let running = opened_shard.run().unwrap();
    for n in 0..20 {
        opened(running.handle.submit(report(&format!("a{n}"), "商场着火")).wait());
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_secs(2));
    running.handle.close();
    running.join().unwrap();
    let mut late = std::mem::take(&mut *late.0.lock().unwrap());
    late.sort();
    let median = late[late.len() / 2];
    // 60 ms of this clock are one real millisecond; a busy test machine is granted a hundred of these.
    assert!(median <= Millis(6_000), "by {median} at the median, {} at worst", late[late.len() - 1]);
    let mut happened = Vec::new();
    while let Ok(step) = steps.try_recv() {
        happened.extend(whats(&step));
    }
    assert!(missed(&happened).iter().any(|m| m.0 == "signed"), "the minute for signing was over for some");
}

#[test]
fn a_wall_that_was_set_is_told_and_moves_no_mark() {
    let mut city = City::new();
    opened(city.handle().submit(report("a", "商场着火")).wait());
    let due = city.handle().settled_blocking().unwrap();
    city.settle();
    city.handle().apply(Input::WallSet(-5_000)).wait().unwrap();
    assert_eq!(city.handle().settled_blocking().unwrap(), due);
    let told = |what: &What| match what {
        What::Noticed { kind: NoticeKind::ClockSkew, text, .. } => Some(text.clone()),
        _ => None,
    };
    let told: Vec<_> = city.settle().iter().filter_map(told).collect();
    assert_eq!(told, ["the clock on the wall was set back by 5s; marks go on as they were"]);
}

// Coming back

#[test]
fn what_fell_due_while_nobody_was_there_fires_once_and_says_so() {
    let mut city = City::new();
    opened(city.handle().submit(report("a", "商场着火")).wait());
    city.settle();
    let later = MORNING + Millis::from_mins(2);
    let mut city = City::on(&city.crash(), later, |setup| setup);
    let happened = city.settle();
    let gap = Outage { from: MORNING, to: later };
    assert!(happened.contains(&What::Outage { from: gap.from, to: gap.to }), "{happened:?}");
    assert_eq!(city.handle().status().outage, Some(gap));
    let first = missed(&happened);
    assert!(!first.is_empty() && first.iter().all(|m| matches!(m.1, Lateness::OwnOutage(_))), "{first:?}");
    let mut again = City::on(&city.crash(), later + Millis(10), |setup| setup);
    let happened = again.settle();
    assert!(missed(&happened).is_empty(), "what has fired does not fire again: {happened:?}");
}

#[test]
fn a_short_break_is_no_outage() {
    let city = City::new();
    opened(city.handle().submit(report("a", "商场着火")).wait());
    let mut city = City::on(&city.crash(), MORNING + Millis(400), |setup| setup);
    assert!(city.settle().iter().all(|w| !matches!(w, What::Outage { .. })));
    assert_eq!(city.handle().status().outage, None);
}

#[test]
fn a_clock_behind_the_last_step_runs_on_from_there() {
    let mut city = City::new();
    opened(city.handle().submit(report("a", "商场着火")).wait());
    city.advance(Millis(30_000));
    let at = city.handle().status().at;
    let city = City::on(&city.crash(), MORNING - Millis::from_mins(60), |setup| setup);
    assert!(city.handle().now() >= at, "{} is before {at}", city.handle().now());
}

#[test]
fn effects_that_had_not_left_the_house_are_told_again_first() {
    let store = Store::default();
    let delivered = |mut setup: Setup| {
        setup.undelivered = false;
        setup
    };
    let city = City::on(&store, MORNING, delivered);
    opened(city.handle().submit(report("a", "商场着火")).wait());
    opened(city.handle().submit(report("b", "噪音")).wait());
    let city = City::on(&city.crash(), MORNING + Millis(10), delivered);
    opened(city.handle().submit(report("c", "晕倒")).wait());
    let mut steps = city.steps;
    let told: Vec<_> = std::iter::from_fn(|| steps.try_recv().ok()).map(|s| s.number).collect();
    assert_eq!(told, (1..=told.len() as u64).collect::<Vec<_>>(), "from the first, in order, none twice");
    assert!(told.len() >= 3);
    city.running.handle.emitted(2);
    city.running.handle.close();
    city.running.join().unwrap();
    assert_eq!(store.journal().restore().unwrap().unemitted[0].number, 3);
}

// Floods

#[test]
fn under_a_flood_ordinary_reports_wait_and_the_bottom_line_does_not() {
    let (mut city, gate) = hindered(|setup| setup.options.queue_max = 100);
    gate.shut();
    let first = city.handle().submit(report("first", "噪音"));
    gate.reached();
    let flood: Vec<_> = (0..100).map(|n| city.handle().submit(report(&format!("n{n}"), "噪音"))).collect();
    let urgent: Vec<_> = (0..20).map(|n| city.handle().submit(report(&format!("u{n}"), "持刀砍人"))).collect();
    let full = city.handle().submit(report("u20", "持刀砍人")).wait();
    assert_eq!(full, Err(SubmitError::Busy { retry_after: Millis(1_000) }), "all of it is a bound too");
    let status = city.handle().status();
    assert_eq!((status.bottom_line, status.ordinary), ((20, 100), (80, 80)));
    gate.open();
    first.wait().unwrap();
    let refused = flood.into_iter().map(Answering::wait).filter(|a| matches!(a, Err(SubmitError::Busy { .. }))).count();
    assert_eq!(refused, 20);
    for answer in urgent {
        assert_eq!(opened(answer.wait()).classification.unwrap().lane, Lane::BottomLine);
    }
    // Within the step that took both, every bottom-line report stands before every ordinary one.
    let texts: Vec<_> = city.settle();
    let lanes: Vec<_> = texts.iter().filter_map(source_event).skip(1).map(|id| id.starts_with('u')).collect();
    assert_eq!(lanes.iter().filter(|urgent| **urgent).count(), 20);
    assert!(lanes.is_sorted_by(|a, b| a >= b), "{lanes:?}");
}

fn source_event(what: &What) -> Option<String> {
    match what {
        What::Opened { event, .. } | What::Joined { event, .. } | What::Folded { event, .. } => Some(event.to_string()),
        _ => None,
    }
}

#[test]
fn effects_that_do_not_leave_the_house_stop_intake_the_bottom_line_last() {
    let store = Store::default();
    let city = City::on(&store, MORNING, |mut setup| {
        (setup.undelivered, setup.options.unemitted_max) = (false, 100);
        setup
    });
    let submit = |n: u32, text: &str| city.handle().submit(report(&format!("r{n}"), text)).wait();
    let until_busy = |text: &str, from: u32| (from..from + 200).find(|n| submit(*n, text).is_err()).expect("a bound");
    let ordinary = until_busy("噪音", 0);
    assert!((80..=82).contains(&ordinary), "{ordinary}");
    let urgent = until_busy("持刀砍人", 1_000) - 1_000;
    assert!((19..=21).contains(&urgent), "{urgent}");
    city.handle().emitted(city.handle().status().step);
    assert!(submit(5_000, "噪音").is_ok(), "it goes on once they have left");
}
