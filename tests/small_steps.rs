//! Small steps: whatever happens, one input and one call of `advance` stay within the bound of a journal's record, and what
//! they leave is done by those that follow, as if there were no bound; also when the engine is thrown away in between.
//!
//! Each history is large where the rule book allows it to be: as many orders, posts, notices and names as a playbook may
//! ask for. It runs twice, straight through and with a restart from its documents after every call that left something
//! to do; both must say the same, byte by byte.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::collections::BTreeMap;
use std::sync::Arc;

use muster::engine::state::Incident;
use muster::engine::{
    Answer, CHANGED_MAX, DOCUMENT_BYTES_MAX, Document, EFFECTS_MAX, Effect, Engine, Input, Lateness, Outage,
    RosterChange, What,
};
use muster::model::{
    Act, Body, Command, CommandKind, Desk, Digest, Event, FieldAct, Hours, IncidentId, IncidentState, Kind, Meta,
    Millis, OrderId, OrderState, PlaceRef, Position, PostId, PostSpec, Report, Severity, Status, Team, Timestamp,
};
use muster::playbook::{Playbook, Subscription};

const HERE: Position = Position { lon: 112.60, lat: 26.89 };

fn minimal() -> Playbook {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/playbooks/minimal");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is part of the repository") {
        let path = entry.unwrap().path();
        files.push((path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap()));
    }
    files.sort();
    Playbook::load(&files).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// A city of so many patrols, in which all five desks hear of everything and have to take it.
fn city(posts: usize) -> Playbook {
    let mut playbook = minimal();
    playbook.posts.clear();
    for n in 0..posts {
        let spec = post(n);
        playbook.posts.insert(spec.id.clone(), spec);
    }
    let desks = [Desk::Intelligence, Desk::Command, Desk::Duty, Desk::PublicInformation, Desk::Supervision];
    let hears = |desk| Subscription {
        desk,
        kinds: vec!["*".into()],
        severity: Vec::new(),
        take_within: Some(Millis::from_mins(10)),
        next: None,
    };
    playbook.subscriptions = desks.into_iter().map(hears).collect();
    playbook.limits.orders_per_incident = 1_000;
    playbook
}

fn post(n: usize) -> PostSpec {
    let east = f64::from(u32::try_from(n).unwrap()) * 2.5;
    PostSpec {
        id: format!("P-{n:04}").as_str().into(),
        kind: Kind::Patrol,
        name: "".into(),
        area: "valley".into(),
        base: HERE.offset_m(100.0 + east, 0.0),
        hours: Hours::default(),
        strength: 2,
        capabilities: Vec::new(),
        radius_m: None,
    }
}

/// Every plan asks for so many patrols, in the role `first`.
fn asking(mut playbook: Playbook, count: u16) -> Playbook {
    for plan in playbook.plans.values_mut() {
        let plan = Arc::make_mut(plan);
        plan.needs.retain(|row| row.ring.is_empty() && row.severity.is_empty());
        for need in plan.needs.iter_mut().flat_map(|row| &mut row.needs) {
            (need.kinds, need.count) = (vec![Kind::Patrol], count);
        }
    }
    playbook
}

/// An engine, its documents as a journal keeps them, and all that it said.
struct Centre {
    playbook: Arc<Playbook>,
    engine: Engine,
    documents: BTreeMap<String, Box<str>>,
    now: Timestamp,
    events: u32,
    /// Whether it is to be restarted, and whether it is by now.
    restarts: (bool, bool),
    said: Vec<Effect>,
    /// Calls so far, and the most documents and effects of one.
    calls: usize,
    most: (usize, usize),
}

impl Centre {
    fn new(playbook: Playbook, restarts: bool) -> Self {
        let now = Timestamp::parse("2026-11-23T12:00:00+08:00").unwrap();
        let playbook = Arc::new(playbook);
        let engine = Engine::new(playbook.clone());
        let (documents, said) = (BTreeMap::new(), Vec::new());
        let restarts = (restarts, false);
        Self { playbook, engine, documents, now, events: 0, restarts, said, calls: 0, most: (0, 0) }
    }

    /// The large part of a history begins: from now on it is restarted, if it is the one that is.
    fn large_part_begins(&mut self) {
        self.restarts.1 = self.restarts.0;
    }

    /// Keeps what one call changed and said, and asks whether it was a small step.
    fn keep(&mut self, effects: Vec<Effect>) {
        let changed = self.engine.take_changed();
        let keys = || changed.iter().map(|d| d.key.as_str()).collect::<Vec<_>>().join(" ");
        assert!(changed.len() <= CHANGED_MAX, "one call changed {} documents: {}", changed.len(), keys());
        assert!(effects.len() <= EFFECTS_MAX, "one call gave {} effects", effects.len());
        self.calls += 1;
        self.most = (self.most.0.max(changed.len()), self.most.1.max(effects.len()));
        for Document { key, body } in changed {
            match body {
                Some(body) => {
                    assert!(body.len() <= DOCUMENT_BYTES_MAX, "{key} has {} bytes: {body}", body.len());
                    self.documents.insert(key.to_string(), body);
                }
                None => drop(self.documents.remove(key.as_str())),
            }
        }
        self.said.extend(effects);
        if self.restarts.1 && (self.engine.left_to_do() > 0 || self.calls.is_multiple_of(16)) {
            self.restart();
        }
    }

    fn restart(&mut self) {
        let documents = self.documents.iter().map(|(key, body)| Document { key: key.into(), body: Some(body.clone()) });
        let restored = Engine::restore(self.playbook.clone(), documents).expect("its own documents");
        assert_eq!(restored.next_due(), self.engine.next_due(), "a restart moves no deadline");
        assert_eq!(restored.deadlines(), self.engine.deadlines(), "a restart neither loses nor leaves a deadline");
        assert_eq!(restored.left_to_do(), self.engine.left_to_do(), "a restart forgets nothing");
        assert!(restored.queue().eq(self.engine.queue()), "a restart keeps the queue");
        self.engine = restored;
    }

    fn step(&mut self, input: Input) -> Answer {
        let mut effects = Vec::new();
        let answer = self.engine.step(self.now, input, &mut effects);
        self.keep(effects);
        self.wait(0);
        answer
    }

    fn wait(&mut self, secs: i64) {
        self.now = self.now + Millis(secs.unsigned_abs() * 1000);
        loop {
            let mut effects = Vec::new();
            let done = self.engine.advance(self.now, &mut effects);
            self.keep(effects);
            if done {
                assert_eq!(self.engine.left_to_do(), 0);
                return;
            }
        }
    }

    fn put(&mut self, body: Body) -> Answer {
        self.events += 1;
        let id = format!("e{}", self.events);
        let digest = Digest::of(&serde_json::to_vec(&body).unwrap());
        let meta = Meta { source: "110/desk-1".into(), id: id.as_str().into(), time: None, traceparent: None, digest };
        self.step(Input::Event(Box::new(Event { meta, received: self.now, body }), None))
    }

    fn report(&mut self, text: &str, east_m: f64) -> IncidentId {
        self.report_as(text, east_m, Status::Actual)
    }

    fn report_as(&mut self, text: &str, east_m: f64, status: Status) -> IncidentId {
        let place = PlaceRef { position: Some(HERE.offset_m(east_m, 0.0)), ..PlaceRef::default() };
        let report = Report { text: text.into(), place, status, ..Report::default() };
        match self.put(Body::Report(Box::new(report))) {
            Answer::Report(answer) => answer.incident.expect("it is ours"),
            other => panic!("{other:?}"),
        }
    }

    fn act(&mut self, post: &PostId, act: Act, order: Option<OrderId>, incident: Option<&IncidentId>) -> Answer {
        let act = FieldAct {
            post: post.clone(),
            act,
            order,
            incident: incident.cloned(),
            reason: None,
            done_at: None,
            report: None,
        };
        self.put(Body::Act(act))
    }

    fn command(&mut self, incident: &IncidentId, kind: CommandKind) -> Answer {
        let (by, reason, incident) = ("command/seat-1".into(), Some("必要".into()), Some(incident.clone()));
        self.put(Body::Command(Box::new(Command { by, reason, incident, kind })))
    }

    fn incident(&self, id: &IncidentId) -> &Incident {
        self.engine.incident(id).expect("it is kept")
    }

    fn live(&self, id: &IncidentId) -> Vec<OrderId> {
        self.engine.orders_of(id).filter(|o| o.is_live()).map(|o| o.id.clone()).collect()
    }

    fn count(&self, which: impl Fn(&What) -> bool) -> usize {
        self.said.iter().filter(|e| matches!(e, Effect::Timeline(t) if which(&t.what))).count()
    }

    /// What holds whenever nothing is left to do: posts and orders agree, and nobody is bound by what is over.
    fn check(&self) {
        let mut tasks = 0;
        for unit in self.engine.fleet().iter() {
            for task in &unit.tasks {
                let order = self.engine.order(&task.order).expect("a task has its order");
                assert!(order.is_live() && order.post == unit.spec.id, "{} of {}", order.id, unit.spec.id);
                tasks += 1;
            }
        }
        let mut live = 0;
        for incident in self.engine.incidents() {
            let bound = self.live(&incident.id).len();
            assert!(
                bound == 0 || incident.state.is_open(),
                "{} is {}, {bound} live orders",
                incident.id,
                incident.state
            );
            assert_eq!(self.engine.queue().any(|id| *id == incident.id), incident.waits(), "{}", incident.id);
            live += bound;
        }
        assert_eq!(tasks, live, "every live order is a task of its post");
    }
}

/// Runs a history straight through and with restarts.
fn told_twice(playbook: impl Fn() -> Playbook, history: impl Fn(&mut Centre)) -> Centre {
    let run = |restarts| {
        let mut centre = Centre::new(playbook(), restarts);
        history(&mut centre);
        centre.check();
        centre
    };
    let (straight, restarted) = (run(false), run(true));
    let parted = straight.said.iter().zip(&restarted.said).find(|(one, other)| one != other);
    assert!(parted.is_none(), "a restart changed the story: {parted:#?}");
    assert_eq!(straight.said.len(), restarted.said.len(), "a restart changed the story");
    println!("{} calls, at most {} documents and {} effects in one", straight.calls, straight.most.0, straight.most.1);
    straight
}

/// An incident to which everybody came: an all-call that so many answered.
fn crowd(centre: &mut Centre, posts: usize) -> IncidentId {
    let fire = centre.report("起火 有人受伤", 0.0);
    assert_eq!(centre.incident(&fire).classification.severity, Severity::I);
    centre.wait(1);
    for n in 0..posts {
        let order = centre.engine.orders_of(&fire).find(|o| o.post == post(n).id && o.is_live()).map(|o| o.id.clone());
        let named = order.is_some();
        centre.act(&post(n).id, Act::Signed, order, Some(&fire).filter(|_| !named));
    }
    assert_eq!(centre.live(&fire).len(), posts);
    centre.large_part_begins();
    fire
}

#[test]
fn a_crowd_goes_home_when_the_incident_is_closed() {
    let centre = told_twice(
        || city(150),
        |centre| {
            let fire = crowd(centre, 150);
            centre.command(&fire, CommandKind::Close { disposition: "handled".into(), prevention: true });
            assert_eq!(centre.incident(&fire).state, IncidentState::Closed);
            assert!(centre.incident(&fire).closed.is_some());
            assert_eq!(centre.live(&fire).len(), 0);
        },
    );
    assert_eq!(centre.count(|what| matches!(what, What::Recalled { .. })), 150);
    assert_eq!(centre.count(|what| matches!(what, What::Closed { .. } | What::Prevention { .. })), 2);
}

/// The most orders that a playbook allows.
#[test]
fn a_thousand_orders_end_in_small_steps() {
    let mut centre = Centre::new(city(1_000), false);
    let fire = crowd(&mut centre, 1_000);
    let calls = centre.calls;
    centre.command(&fire, CommandKind::Close { disposition: "handled".into(), prevention: false });
    assert!(centre.calls - calls > 1_000 / CHANGED_MAX);
    assert_eq!(centre.live(&fire).len(), 0);
    centre.restart();
    centre.check();
}

#[test]
fn a_crowd_goes_home_when_the_danger_is_over() {
    let centre = told_twice(
        || city(150),
        |centre| {
            let fire = crowd(centre, 150);
            for order in centre.live(&fire).into_iter().step_by(3) {
                let post = centre.engine.order(&order).unwrap().post.clone();
                centre.act(&post, Act::OnScene, Some(order), None);
            }
            centre.command(&fire, CommandKind::Controlled);
            assert_eq!(centre.live(&fire).len(), 50, "who stands there stays");
        },
    );
    assert_eq!(centre.count(|what| matches!(what, What::Recalled { .. })), 100);
}

#[test]
fn a_crowd_goes_over_to_the_incident_it_was_merged_into() {
    told_twice(
        || city(150),
        |centre| {
            let other = centre.report("起火", 1_500.0);
            let fire = crowd(centre, 150 - centre.live(&other).len());
            for order in centre.live(&fire).into_iter().step_by(2) {
                let post = centre.engine.order(&order).unwrap().post.clone();
                centre.act(&post, Act::EnRoute, Some(order), None);
            }
            let on_the_way = centre.engine.orders_of(&fire).filter(|o| o.state == OrderState::EnRoute).count();
            assert!(on_the_way > 60);
            let before = centre.live(&other).len();
            centre.command(&fire, CommandKind::Merge { into: other.clone() });
            assert_eq!(centre.incident(&fire).state, IncidentState::DuplicateOf(other.clone()));
            assert_eq!(centre.live(&fire).len(), 0);
            assert!(centre.live(&other).len() >= on_the_way, "{before} and {on_the_way}");
            assert_eq!(
                centre.incident(&other).classification.severity,
                Severity::I,
                "it has learnt what that one knew"
            );
        },
    );
}

#[test]
fn a_crowd_hears_of_another_place_class_and_plan() {
    told_twice(
        || city(150),
        |centre| {
            let fire = crowd(centre, 150);
            let place = PlaceRef { position: Some(HERE.offset_m(900.0, 0.0)), ..PlaceRef::default() };
            centre.command(&fire, CommandKind::CorrectPlace { place });
            // Verification has other marks, so the marks of every order change.
            let alarm = CommandKind::Reclassify { category: Some("safety/alarm/panel".into()), severity: None };
            centre.command(&fire, alarm);
            assert_eq!(centre.incident(&fire).plan.id.as_str(), "verify-first");
            for order in centre.engine.orders_of(&fire) {
                for run in &order.marks {
                    assert!(usize::from(run.mark) < centre.incident(&fire).plan.marks.len(), "{}", order.id);
                }
            }
            centre.command(&fire, CommandKind::Reclassify { category: None, severity: Some(Severity::IV) });
            // A dispute sends nobody: whoever has not set out is taken back.
            let dispute =
                CommandKind::Reclassify { category: Some("safety/dispute/neighbours".into()), severity: None };
            centre.command(&fire, dispute);
            assert!(centre.incident(&fire).plan.mediation);
        },
    );
}

#[test]
fn sixty_four_unsigned_orders_are_missed_at_one_instant() {
    let centre = told_twice(
        || asking(city(200), 64),
        |centre| {
            let noise = centre.report("噪音扰民", 0.0);
            assert_eq!(centre.live(&noise).len(), 64);
            let level = centre.incident(&noise).level;
            centre.large_part_begins();
            centre.wait(60);
            assert_eq!(centre.live(&noise).len(), 128, "the next post for each");
            assert_eq!(Some(centre.incident(&noise).level), level.up(), "one level for all");
            centre.wait(900);
        },
    );
    assert!(centre.count(|what| matches!(what, What::Missed { .. })) > 200);
}

#[test]
fn an_outage_excuses_what_fell_due_in_it_however_much() {
    // Once: an outage is the shell's to tell again after a restart.
    let mut centre = Centre::new(asking(city(200), 64), false);
    let fire = centre.report("起火", 0.0);
    let from = centre.now;
    centre.now = from + Millis::from_mins(20);
    centre.step(Input::Outage(Outage { from, to: centre.now }));
    assert!(centre.incident(&fire).all_call.is_none(), "no all-call through our own outage");
    let excused = |what: &What| matches!(what, What::Missed { lateness: Lateness::OwnOutage(_), .. });
    assert!(centre.count(excused) > 64);
    assert_eq!(centre.count(excused), centre.count(|what| matches!(what, What::Missed { .. })));
}

#[test]
fn three_hundred_busy_posts_leave_the_roster_with_one_playbook() {
    let centre = told_twice(
        || asking(city(340), 30),
        |centre| {
            for n in 0..12 {
                centre.report("有人晕倒", f64::from(n) * 1_000.0);
            }
            let busy = centre.engine.fleet().iter().filter(|unit| !unit.tasks.is_empty()).count();
            assert!(busy >= 300, "{busy} are busy");
            centre.large_part_begins();
            let mut other = asking(city(340), 30);
            other.posts.retain(|id, _| id.as_str() >= "P-0300");
            other.hash = "another".into();
            centre.playbook = Arc::new(other);
            centre.step(Input::Playbook(centre.playbook.clone()));
            assert_eq!(centre.engine.fleet().len(), 40);
        },
    );
    assert!(centre.count(|what| matches!(what, What::Recalled { .. })) >= 300);
}

#[test]
fn a_restart_under_another_roster_takes_back_the_orders_of_who_is_gone() {
    let mut centre = Centre::new(asking(city(120), 60), false);
    let noise = centre.report("噪音扰民", 0.0);
    let mut other = asking(city(120), 60);
    other.posts.retain(|id, _| id.as_str() >= "P-0040");
    let documents = centre.documents.iter().map(|(key, body)| Document { key: key.into(), body: Some(body.clone()) });
    centre.engine = Engine::restore(Arc::new(other.clone()), documents).unwrap();
    centre.playbook = Arc::new(other);
    centre.wait(0);
    centre.check();
    let served = centre.engine.orders_of(&noise).filter(|o| o.is_live()).all(|o| o.post.as_str() >= "P-0040");
    assert!(served && centre.live(&noise).len() == 60);
}

#[test]
fn a_hundred_shifts_end_at_one_instant() {
    told_twice(
        || {
            let mut playbook = asking(city(120), 30);
            for spec in playbook.posts.values_mut().take(100) {
                spec.hours = "08:00-12:05".parse().unwrap();
            }
            playbook
        },
        |centre| {
            for n in 0..8 {
                centre.report("有人晕倒", f64::from(n) * 1_000.0);
            }
            centre.wait(299);
            centre.large_part_begins();
            centre.wait(101);
        },
    );
}

#[test]
fn a_city_that_waits_is_served_when_everybody_is_free() {
    told_twice(
        || {
            let mut playbook = asking(city(150), 3);
            playbook.limits.queue_max = 0;
            playbook
        },
        |centre| {
            let fire = crowd(centre, 150);
            for n in 1..60 {
                centre.report("有人晕倒", f64::from(n) * 400.0);
            }
            assert!(centre.engine.queue().count() >= 50);
            centre.command(&fire, CommandKind::Close { disposition: "handled".into(), prevention: false });
            assert!(centre.engine.queue().count() < 20, "{}", centre.engine.queue().count());
        },
    );
}

#[test]
fn a_bottom_line_incident_takes_sixty_four_posts_from_as_many_incidents() {
    let centre = told_twice(
        || {
            let mut playbook = asking(city(80), 1);
            // What is worse asks for nearly everybody.
            let plan = Arc::make_mut(playbook.plans.get_mut("rapid-response").unwrap());
            let mut everybody = plan.needs[0].clone();
            everybody.needs[0].count = 64;
            plan.needs[0].severity = vec![Severity::III, Severity::IV];
            plan.needs.push(everybody);
            playbook.limits.queue_max = 8;
            playbook
        },
        |centre| {
            // Drills fill their queues, then one real call binds each.
            for n in 0..50 {
                centre.report_as("有人晕倒", f64::from(n) * 200.0, Status::Exercise);
            }
            for n in 0..80 {
                centre.report("噪音扰民", f64::from(n) * 250.0);
            }
            centre.large_part_begins();
            let knife = centre.report("有人持刀砍人", 10.0);
            assert_eq!(centre.live(&knife).len(), 64);
        },
    );
    assert!(centre.count(|what| matches!(what, What::PreEmpted { .. })) >= 64);
}

#[test]
fn the_largest_all_call_is_listed_and_called_in_small_steps() {
    let playbook = || {
        let mut playbook = city(40);
        for n in 0..6_000 {
            let (id, base) = (format!("V-{n:04}"), HERE.offset_m(f64::from(n % 100) * 10.0, f64::from(n / 100)));
            let id: muster::model::TeamId = id.as_str().into();
            playbook.teams.insert(id.clone(), Team { id, area: "quay".into(), base, strength: 5 });
        }
        playbook
    };
    let mut centre = Centre::new(playbook(), false);
    let fire = centre.report("起火 有人受伤", 0.0);
    centre.wait(1);
    assert_eq!(centre.incident(&fire).all_call.as_ref().unwrap().called, 4_800);
    centre.command(&fire, CommandKind::Controlled);
    centre.wait(1);
    assert_eq!(centre.incident(&fire).all_call.as_ref().unwrap().recalled, 4_800);
    let calls = centre.said.iter().filter(|e| matches!(e, Effect::Call(_))).count();
    assert_eq!(calls, 9_600);
    centre.restart();
}

#[test]
fn a_post_with_a_full_queue_goes_off_the_roster() {
    told_twice(
        || {
            let mut playbook = asking(city(40), 10);
            playbook.limits.queue_max = 8;
            playbook
        },
        |centre| {
            for n in 0..30 {
                centre.report("有人晕倒", f64::from(n) * 700.0);
            }
            let tasks = centre.engine.fleet().iter().map(|unit| unit.tasks.len()).max();
            assert!(tasks >= Some(8), "{tasks:?}");
            centre.large_part_begins();
            for n in 0..10 {
                centre.step(Input::Roster(RosterChange::Gone(post(n).id)));
            }
            assert_eq!(centre.engine.fleet().len(), 30);
        },
    );
}

/// What producers call themselves and their events is theirs to choose, up to the bound of the door.
#[test]
fn an_incident_that_everything_refers_to_outgrows_no_document() {
    let mut playbook = city(20);
    playbook.limits.reports_per_incident = 1;
    let mut centre = Centre::new(playbook, false);
    let (source, id) = ("s".repeat(256), "i".repeat(256));
    for n in 0..100 {
        let references = if n == 0 { Vec::new() } else { vec![format!("{source}:{id}").into()] };
        let report = Report { text: "有人晕倒".into(), references, ..Report::default() };
        let (event, digest) = (if n == 0 { id.clone() } else { format!("{n:0>256}") }, Digest::of(&[n]));
        let meta =
            Meta { source: source.as_str().into(), id: event.as_str().into(), time: None, traceparent: None, digest };
        let event = Event { meta, received: centre.now, body: Body::Report(Box::new(report)) };
        centre.step(Input::Event(Box::new(event), None));
    }
    let most = centre.engine.incidents().map(|incident| incident.links.len()).max();
    assert!(most > Some(16), "{most:?} links");
}

#[test]
#[should_panic(expected = "advance first")]
fn nothing_comes_in_between() {
    let mut centre = Centre::new(city(100), false);
    let fire = crowd(&mut centre, 100);
    let body = Body::Command(Box::new(Command {
        by: "command/seat-1".into(),
        reason: None,
        incident: Some(fire),
        kind: CommandKind::Close { disposition: "handled".into(), prevention: false },
    }));
    let meta =
        Meta { source: "110/desk-1".into(), id: "x".into(), time: None, traceparent: None, digest: Digest::of(b"x") };
    let close = Input::Event(Box::new(Event { meta, received: centre.now, body }), None);
    centre.engine.step(centre.now, close, &mut Vec::new());
    assert!(centre.engine.left_to_do() > 0);
    centre.engine.step(centre.now, Input::Roster(RosterChange::Gone(post(1).id)), &mut Vec::new());
}
