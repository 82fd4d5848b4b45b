//! Random histories of silences, planned windows, incidents and restarts against a small model of what a suppression may do.
//!
//! The model knows nothing of how the engine does it. It is told every line of the timeline and every notice, and asks, after
//! every instant: does something hide each notice that is hidden? Did each that left produce its notice, once, if what it is
//! about is still so? Was anything hidden that belongs to the bottom line, or that is about a loss? The only thing it takes
//! from the engine is the state of incidents, by which it judges for itself what is still true.
//! A failing history is shrunk by the test library, which prints its seed; `PROPTEST_CASES` sets how many are tried.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::collections::BTreeMap;
use std::sync::Arc;

use muster::engine::state::{Hidden, MarkState, Silence};
use muster::engine::{
    CHANGED_MAX, DOCUMENT_BYTES_MAX, Document, EFFECTS_MAX, Effect, Engine, Input, Notice, NoticeKind, What,
};
use muster::model::{
    Act, AreaId, Body, Command, CommandKind, Desk, Digest, Event, FieldAct, Lane, Matchers, Meta, Millis, PlaceRef,
    Report, Severity, Spot, Timestamp,
};
use muster::playbook::{Playbook, Subscription, Window};
use proptest::prelude::*;

const START: &str = "2026-11-23T06:55:00+08:00";

/// Something that happens. Numbers choose among what there is at that moment.
#[derive(Clone, Debug)]
enum Happening {
    Report { text: usize, place: usize },
    Act { post: usize, act: usize },
    Close { incident: usize },
    Reclassify { incident: usize, severity: usize },
    Silence { matchers: usize, after_s: u64, for_s: u64 },
    Unsilence { which: usize },
    TakeNotice { which: usize },
    Swap { windows: usize },
    Wait { secs: u64 },
    Restart,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (0..6usize, 0..4usize).prop_map(|(text, place)| Happening::Report { text, place }),
        4 => (0..9usize, 0..5usize).prop_map(|(post, act)| Happening::Act { post, act }),
        1 => (0..8usize).prop_map(|incident| Happening::Close { incident }),
        2 => (0..8usize, 0..4usize).prop_map(|(incident, severity)| Happening::Reclassify { incident, severity }),
        5 => (0..8usize, prop_oneof![Just(0), 0..300u64], 1..900u64)
            .prop_map(|(matchers, after_s, for_s)| Happening::Silence { matchers, after_s, for_s }),
        2 => (0..6usize).prop_map(|which| Happening::Unsilence { which }),
        1 => (0..6usize).prop_map(|which| Happening::TakeNotice { which }),
        1 => (0..3usize).prop_map(|windows| Happening::Swap { windows }),
        7 => prop_oneof![0..70u64, 0..600u64].prop_map(|secs| Happening::Wait { secs }),
        1 => Just(Happening::Restart),
    ]
}

const TEXTS: [&str; 6] = ["噪音扰民", "有人晕倒", "冒烟", "求助 不知何事", "有人持刀砍人", "邻里纠纷 要求调解"];
const PLACES: [&str; 4] = ["lotus-plaza", "", "quay", "nowhere"];
const ACTS: [Act; 5] = [Act::Signed, Act::OnScene, Act::Cleared, Act::Declined, Act::OutOfService];

/// What silences may mean: a kind, some kinds, an area, a source, a category, everything here.
fn matchers(n: usize) -> Matchers {
    let kinds = |kinds: &[NoticeKind]| Matchers { kinds: kinds.to_vec(), ..Matchers::default() };
    match n {
        0 => kinds(&[NoticeKind::Opened]),
        1 => kinds(&[NoticeKind::MarkMissed, NoticeKind::MarkWarning]),
        2 => kinds(&[NoticeKind::Shortfall]),
        3 => Matchers { areas: vec!["quay".into()], ..Matchers::default() },
        4 => Matchers { sources: vec!["app/".into()], ..Matchers::default() },
        5 => Matchers { categories: vec!["safety".into()], ..Matchers::default() },
        6 => Matchers { sources: vec!["110/".into()], ..kinds(&[NoticeKind::Opened, NoticeKind::LevelRaised]) },
        _ => Matchers { areas: vec!["9900".into()], ..Matchers::default() },
    }
}

/// A city in which two desks hear everything, the one with a span to take it in, and windows open in the first hours.
fn playbook(windows: usize) -> Arc<Playbook> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/playbooks/minimal");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is part of the repository") {
        let path = entry.unwrap().path();
        files.push((path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap()));
    }
    files.sort();
    let mut playbook = Playbook::load(&files).unwrap();
    let hears = |desk, take_within| Subscription {
        desk,
        kinds: vec!["*".into()],
        severity: Vec::new(),
        take_within,
        next: (take_within.is_some()).then_some(Desk::Duty),
    };
    playbook.subscriptions = vec![hears(Desk::Command, Some(Millis::from_secs(90))), hears(Desk::Supervision, None)];
    let window = |id: &str, hours: &str, n| Window {
        id: id.into(),
        author: "duty".into(),
        reason: "works".into(),
        matchers: matchers(n),
        weekdays: Vec::new(),
        hours: hours.parse().unwrap(),
        from: None,
        to: None,
    };
    let all = [window("morning", "07:00-07:10,07:20-07:30", 7), window("marks", "07:05-07:25", 1)];
    playbook.windows = all.into_iter().take(windows).map(|w| (w.id.clone(), w)).collect();
    playbook.hash = format!("windows-{windows}").into();
    Arc::new(playbook)
}

/// The engine, and the model of it.
struct World {
    playbooks: Vec<Arc<Playbook>>,
    playbook: Arc<Playbook>,
    engine: Engine,
    documents: BTreeMap<String, Box<str>>,
    now: Timestamp,
    count: u32,
    /// Lines `hidden`, by silence.
    hid: BTreeMap<String, u32>,
    /// What is hidden, as of the instant before.
    hidden: BTreeMap<u64, Hidden>,
    /// What the present instant said so far.
    said: Vec<Effect>,
    /// An input may change what is true after it let something out; time alone does not.
    by_time: bool,
}

impl World {
    fn new(playbooks: &[Arc<Playbook>]) -> Self {
        let playbook = playbooks[1].clone();
        let now = Timestamp::parse(START).unwrap();
        let mut engine = Engine::new(playbook.clone());
        while !engine.advance(now, &mut Vec::new()) {}
        Self {
            playbooks: playbooks.to_vec(),
            playbook,
            engine,
            documents: BTreeMap::new(),
            now,
            count: 0,
            hid: BTreeMap::new(),
            hidden: BTreeMap::new(),
            said: Vec::new(),
            by_time: true,
        }
    }

    fn live(&mut self, happening: &Happening) {
        match happening {
            Happening::Wait { secs } => self.wait(Millis::from_secs(*secs)),
            Happening::Restart => self.restart(),
            Happening::Swap { windows } => {
                self.playbook = self.playbooks[*windows].clone();
                let playbook = self.playbook.clone();
                self.step(Input::Playbook(playbook));
            }
            Happening::Report { text, place } => {
                let place = Some(PLACES[*place]).filter(|place| !place.is_empty());
                let place = match place {
                    Some("quay") => {
                        PlaceRef { position: Some(self.playbook.areas.areas["quay"].centre), ..PlaceRef::default() }
                    }
                    id => PlaceRef { id: id.map(Into::into), ..PlaceRef::default() },
                };
                let report = Report { text: TEXTS[*text].into(), place, ..Report::default() };
                self.event(["110/desk-1", "app/a"][text % 2], Body::Report(Box::new(report)));
            }
            Happening::Act { post, act } => {
                let post = self.playbook.posts.keys().nth(*post).unwrap().clone();
                let (order, incident, done_at, report) = (None, None, None, None);
                let reason = Some("必要".into());
                let act = FieldAct { post, act: ACTS[*act], order, incident, reason, done_at, report };
                self.event("field/x", Body::Act(act));
            }
            Happening::Close { .. } | Happening::Reclassify { .. } => self.about_incident(happening),
            Happening::Silence { matchers: n, after_s, for_s } => {
                let from = self.now + Millis::from_secs(*after_s);
                let until = from + Millis::from_secs(*for_s);
                self.command(None, CommandKind::Silence { matchers: matchers(*n), from: Some(from), until });
            }
            Happening::Unsilence { which } => {
                let silence = self.engine.silences().nth(*which).map(|s| s.id.clone());
                if let Some(silence) = silence {
                    self.command(None, CommandKind::Unsilence { silence });
                }
            }
            Happening::TakeNotice { which } => {
                let notice = self.engine.open_notices().nth(*which).map(|n| n.id.clone());
                if let Some(notice) = notice {
                    self.command(None, CommandKind::TakeNotice { notice });
                }
            }
        }
    }

    fn about_incident(&mut self, happening: &Happening) {
        let (Happening::Close { incident } | Happening::Reclassify { incident, .. }) = happening else { return };
        let id = self.engine.incidents().nth(*incident).map(|i| i.id.clone());
        let Some(id) = id else { return };
        let kind = match happening {
            Happening::Reclassify { severity, .. } => {
                CommandKind::Reclassify { category: None, severity: Some(Severity::ALL[*severity]) }
            }
            _ => CommandKind::Close { disposition: "handled".into(), prevention: true },
        };
        self.command(Some(id), kind);
    }

    fn command(&mut self, incident: Option<muster::model::IncidentId>, kind: CommandKind) {
        let command = Command { by: "command/seat-1".into(), reason: Some("必要".into()), incident, kind };
        self.event("console", Body::Command(Box::new(command)));
    }

    fn event(&mut self, source: &str, body: Body) {
        self.count += 1;
        let digest = Digest::of(&self.count.to_be_bytes());
        let id = format!("e{}", self.count).as_str().into();
        let meta = Meta { source: source.into(), id, time: None, traceparent: None, digest };
        self.step(Input::Event(Box::new(Event { meta, received: self.now, body }), None));
    }

    fn step(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.by_time = false;
        self.engine.step(self.now, input, &mut effects);
        self.keep(effects);
        while self.engine.left_to_do() > 0 {
            let mut effects = Vec::new();
            self.engine.advance(self.now - Millis(1), &mut effects);
            self.keep(effects);
        }
        self.judge();
        self.wait(Millis::ZERO);
    }

    /// From one instant at which something falls due to the next.
    fn wait(&mut self, span: Millis) {
        let end = self.now + span;
        loop {
            let due = self.engine.next_due().map_or(end, |due| due.max(self.now).min(end));
            self.now = due;
            self.by_time = true;
            loop {
                let mut effects = Vec::new();
                let done = self.engine.advance(due, &mut effects);
                self.keep(effects);
                if done {
                    break;
                }
            }
            self.judge();
            if due == end {
                return;
            }
        }
    }

    fn restart(&mut self) {
        let documents = self.documents.iter().map(|(key, body)| Document { key: key.into(), body: Some(body.clone()) });
        let restored = Engine::restore(self.playbook.clone(), documents).unwrap();
        if !self.documents.is_empty() {
            assert_eq!(restored.next_due(), self.engine.next_due(), "a restart moves no deadline");
            assert_eq!(restored.deadlines(), self.engine.deadlines(), "a restart neither loses nor leaves a deadline");
            assert!(restored.silences().eq(self.engine.silences()) && restored.hidden().eq(self.engine.hidden()));
            self.engine = restored;
        }
    }

    fn keep(&mut self, effects: Vec<Effect>) {
        let changed = self.engine.take_changed();
        assert!(changed.len() <= CHANGED_MAX && effects.len() <= EFFECTS_MAX, "one call does a bounded amount");
        for document in changed {
            match document.body {
                Some(body) => {
                    assert!(body.len() <= DOCUMENT_BYTES_MAX, "{} has {} bytes", document.key, body.len());
                    self.documents.insert(document.key.to_string(), body);
                }
                None => drop(self.documents.remove(document.key.as_str())),
            }
        }
        self.said.extend(effects);
    }

    // The model.

    /// Asks everything of the instant that is over.
    fn judge(&mut self) {
        let said = std::mem::take(&mut self.said);
        for effect in &said {
            let Effect::Timeline(entry) = effect else { continue };
            if let What::NoticeHidden { silence, kind, .. } = &entry.what {
                *self.hid.entry(silence.to_string()).or_default() += 1;
                assert!(kind.may_be_silenced(), "{kind} was hidden");
            }
        }
        let now: BTreeMap<u64, Hidden> = self.engine.hidden().map(|h| (h.n, h.clone())).collect();
        for hidden in now.values() {
            assert!(self.is_hidden_by_something(hidden), "nothing hides {hidden:?}, and it is hidden still");
        }
        let before = std::mem::replace(&mut self.hidden, now);
        let gone: Vec<&Hidden> = before.values().filter(|h| !self.hidden.contains_key(&h.n)).collect();
        for hidden in gone {
            self.left(hidden, &said);
        }
        self.counted();
    }

    /// One of the silences that run hides it, and its incident is ordinary.
    fn is_hidden_by_something(&self, hidden: &Hidden) -> bool {
        let incident = hidden.about.incident.as_ref().and_then(|id| self.engine.incident(id));
        let ordinary = incident.is_none_or(|i| i.classification.lane == Lane::Ordinary);
        let runs = |s: &&Silence| s.ended.is_none() && s.from <= self.now && self.now < s.until;
        let means = |s: &Silence| {
            let m = &s.matchers;
            let source = incident.map_or("", |i| i.source.as_str());
            let area = incident.and_then(|i| i.place.area.as_ref()).map_or("", |a| a.as_str());
            let category = incident.map_or("", |i| i.classification.category.as_str());
            (m.kinds.is_empty() || m.kinds.contains(&hidden.kind))
                && (m.sources.is_empty() || m.sources.iter().any(|p| source.starts_with(p.as_str())))
                && (m.areas.is_empty() || m.areas.iter().any(|a| a == "9900" || a == area))
                && (m.categories.is_empty() || m.categories.iter().any(|c| category.starts_with(c.as_str())))
        };
        ordinary && self.engine.silences().filter(runs).any(means)
    }

    /// What is hidden no longer was said in this instant, once at each desk, if it is still true; and not at all if not.
    fn left(&self, hidden: &Hidden, said: &[Effect]) {
        let of = hidden.about.incident.as_ref();
        if let Some(waits) = &hidden.waits {
            // It waited to be taken: it goes on to the next desk, or somebody took it, or its incident is over.
            let passed = |e: &&Effect| matches!(e, Effect::Notice(n) if n.id == *waits);
            let times = said.iter().filter(passed).count();
            let waits_still = self.engine.open_notices().any(|n| n.id == *waits);
            assert_eq!(times > 0, waits_still, "{waits} waits, and was said {times} times");
            return;
        }
        let mut desks: BTreeMap<(Desk, String), u32> = BTreeMap::new();
        for effect in said {
            if let Effect::Notice(n) = effect
                && n.kind == hidden.kind
                && n.incident.as_ref() == of
                && n.text == hidden.text
            {
                *desks.entry((n.desk, n.text.clone())).or_default() += 1;
            }
        }
        assert!(desks.values().all(|times| *times == 1), "said more than once: {hidden:?} {desks:?}");
        if self.holds(hidden) {
            // Where the same waits to be taken already, saying it again is silent when its words are the same.
            let waits = self.engine.open_notices().any(|n| n.kind == hidden.kind && n.incident.as_ref() == of);
            let newer = said
                .iter()
                .any(|e| matches!(e, Effect::Notice(n) if n.kind == hidden.kind && n.incident.as_ref() == of));
            assert!(!desks.is_empty() || newer || waits, "true, and lost: {hidden:?}\n{}", lines(said));
        } else if self.by_time {
            // What fell due at the same instant comes before a silence ends, and may have been said by itself.
            let ends = |e: &Effect| matches!(e, Effect::Timeline(t) if matches!(t.what, What::SilenceEnded { .. }));
            let mut let_out = said.iter().skip_while(|e| !ends(e));
            // One that waited to be taken goes on to the next desk until somebody takes it.
            let passed: Vec<_> = said
                .iter()
                .filter_map(|e| match e {
                    Effect::Timeline(t) => Some(&t.what),
                    _ => None,
                })
                .filter_map(|what| if let What::NoticePassed { notice, .. } = what { Some(notice) } else { None })
                .collect();
            let of_it = |n: &Notice| n.kind == hidden.kind && n.text == hidden.text && n.incident.as_ref() == of;
            let same = |e: &Effect| matches!(e, Effect::Notice(n) if of_it(n) && !passed.contains(&&n.id));
            assert!(!let_out.any(same), "no longer true, and said: {hidden:?}\n{}", lines(said));
        }
    }

    /// Whether what a hidden notice is about is so: judged by what anybody sees of the incident.
    fn holds(&self, hidden: &Hidden) -> bool {
        let Some(incident) = hidden.about.incident.as_ref().and_then(|id| self.engine.incident(id)) else {
            return hidden.kind == NoticeKind::HandOver;
        };
        let mark = || {
            let (name, order) = hidden.about.mark.as_ref().unwrap();
            let ix = incident.plan.marks.iter().position(|m| m.name == *name)?;
            let mut runs = match order {
                0 => incident.marks.iter(),
                n => self.engine.order(&incident.order_id(*n))?.marks.iter(),
            };
            runs.find(|run| usize::from(run.mark) == ix).map(|run| run.state)
        };
        let so = match hidden.kind {
            NoticeKind::Prevention | NoticeKind::LateReport => return true,
            NoticeKind::MarkMissed => mark() == Some(MarkState::Missed),
            NoticeKind::MarkWarning => mark() == Some(MarkState::Running),
            NoticeKind::Shortfall => self.engine.queue().any(|id| *id == incident.id),
            NoticeKind::AllCallBegan => incident.all_call.as_ref().is_some_and(|call| call.ended.is_none()),
            NoticeKind::PlaceUnknown => incident.place.spot == Spot::Unknown,
            NoticeKind::Flood => incident.flood.is_some(),
            NoticeKind::CoverThin => return self.is_thin(hidden.about.area.as_ref().unwrap()),
            _ => true,
        };
        so && incident.state.is_open()
    }

    /// Whether fewer posts than its minimum are free in an area.
    fn is_thin(&self, area: &AreaId) -> bool {
        let local = self.now.local(&self.playbook.zone);
        self.engine.fleet().cover(area, local) < usize::from(self.playbook.areas.areas[area.as_str()].min_cover)
    }

    /// Every hidden notice stands in the report of one silence.
    fn counted(&self) {
        for silence in self.engine.silences() {
            let counted: u32 = silence.hidden.values().sum();
            let said = self.hid.get(silence.id.as_str()).copied().unwrap_or_default();
            assert_eq!(counted, said, "silence {} counts what it hid", silence.id);
            let still = self.engine.hidden().filter(|h| h.by == silence.id).count();
            let all = silence.said + silence.over + u32::try_from(still).unwrap();
            assert!(all <= counted, "silence {} let out more than it hid", silence.id);
        }
    }
}

/// The lines of an instant, for whoever looks for what went wrong in it.
fn lines(said: &[Effect]) -> String {
    let line = |effect: &Effect| match effect {
        Effect::Timeline(entry) => Some(entry.words(muster::engine::Clock::Utc).to_string()),
        _ => None,
    };
    said.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

fn histories() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(96);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(histories())]

    #[test]
    fn whatever_is_true_when_a_suppression_ends_has_produced_its_notice(
        history in prop::collection::vec(happening(), 1..70),
    ) {
        static PLAYBOOKS: std::sync::OnceLock<Vec<Arc<Playbook>>> = std::sync::OnceLock::new();
        let playbooks = PLAYBOOKS.get_or_init(|| (0..3).map(playbook).collect());
        let mut world = World::new(playbooks);
        for happening in &history {
            world.live(happening);
        }
        // Every silence ends, and then nothing is hidden any more.
        world.wait(Millis::from_mins(60));
        prop_assert_eq!(world.engine.hidden().count(), 0);
    }
}
