//! The engine: the whole rule book as one state machine that knows no clock and does no I/O.
//!
//! # In, out, look
//! In: [`Engine::step`] takes one [`Input`] at an instant, [`Engine::advance`] lets time pass. Out: every
//! [`Effect`] goes into a buffer that the caller owns, every changed piece of state is handed out as a
//! [`Document`] by [`Engine::take_changed`]. Look: the read methods. The shell commits positions, documents and
//! effects of a batch together, and only then delivers.
//!
//! # How a report goes through
//! `reports` asks whether it is a repeat (`repeats`), whether it belongs to another centre, to an open incident or to a
//! closed one (`matching`), whether a flood folds it (`folding`), and else opens an incident. `plan` puts the plan in
//! force: its marks (`marks`) and its needs. `dispatch` serves needs: it asks `linkage` for the cheapest posts and issues
//! orders. Posts answer through `acts`, operators through `commands`; both pass the one guard in `lifecycle`. When a
//! deadline falls due, `marks` finds what was missed and `escalation` does what the plan says: next post, next echelon,
//! next level, all-call (`allcall`), notice (`notices`). What a silence (`silences`) or a planned window (`windows`) keeps from
//! the desks is said when it ends, if it is still true (`about`).
//!
//! # Time
//! A deadline fires *as of its own instant*, however late the shell calls: decisions do not depend on how often the
//! clock is looked at, and a history replayed gives the same bytes. An input that is received at that very instant comes
//! before it, since a limit belongs to the time that is given: the shell lets time pass up to the instant before. Only what fell due during our own outage fires as
//! of the restart, once, marked late. At one instant deadlines fire in the order of their content, never of their
//! insertion, so that a restored engine goes on exactly as one that never stopped.
//!
//! # Small steps
//! One input, and one call of `advance`, changes at most [`CHANGED_MAX`] documents and gives at most [`EFFECTS_MAX`] effects.
//! What is more is left on an agenda (`agenda`), which is worked off at the same instant before anything else happens; so
//! the caller lets time pass until [`Engine::advance`] says that nothing is left, and only then steps the next input.
//!
//! # Invariants
//! Every accepted report belongs to exactly one incident. Levels only climb. Closing leaves no timer. No order leaves
//! the state `recalled`. Drill and real never mix. Ordered maps everywhere: no order of iteration can reach an effect
//! that is not the order of the ids.

mod about;
mod acts;
mod agenda;
mod allcall;
mod commands;
mod deadline;
mod dispatch;
mod effect;
mod escalation;
mod fleet;
mod folding;
mod grid;
mod hours;
mod input;
mod lifecycle;
pub mod linkage;
mod marks;
mod matching;
mod notices;
mod plan;
mod repeats;
mod reports;
mod roster;
mod silences;
mod snapshot;
pub mod state;
mod timeline;
pub mod travel;
pub mod wheel;
mod windows;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

pub use about::About;
pub use agenda::{CHANGED_MAX, EFFECTS_MAX, Todo};
pub use effect::{
    AgencyMessage, Answer, Call, Callee, Effect, Notice, NoticeKind, OrderMessage, Refusal, ReportAnswer, ReportOutcome,
};
pub use fleet::{Duty, Fleet, KnownBy, Released, Task, Unit, Whereabouts};
pub use input::{Delivery, DeliveryOutcome, Input, Outage, RosterChange};
pub use snapshot::{DOCUMENT_BYTES_MAX, Document};
pub use timeline::{Actor, Entry, Lateness, Weighed, What};
pub use words::{Clock, Words, elapsed};

// What the engine takes from the door and from classification.
pub use crate::model::Verdict;

use crate::model::{Body, Event, IncidentId, Lane, LocalTime, Millis, OrderId, PostId, Severity, Timestamp};
use crate::playbook::Playbook;
use agenda::Spent;
use deadline::Deadline;
use repeats::Repeats;
use snapshot::Key;
use state::{
    Bucket, CallList, Head, Hidden, Incident, Left, OpenNotice, Order, PostRecord, ReportRecord, STATE_VERSION, Silence,
};

/// Deadlines fired, and entries of the agenda worked off, by one call of [`Engine::advance`].
const FIRED_MAX: usize = 64;

/// One command area: its incidents, posts and marks.
#[derive(Debug)]
pub struct Engine {
    playbook: Arc<Playbook>,
    now: Timestamp,
    /// Our own outage, until all that fell due in it has been fired.
    outage: Option<Outage>,
    /// What is being fired now fell due in it.
    excused: bool,

    // State: each entry is a document.
    head: Head,
    incidents: BTreeMap<IncidentId, Incident>,
    orders: BTreeMap<OrderId, Order>,
    reports: BTreeMap<(IncidentId, u32), ReportRecord>,
    calls: BTreeMap<(IncidentId, u32, u32), CallList>,
    posts: BTreeMap<PostId, PostRecord>,
    notices: BTreeMap<SmolStr, OpenNotice>,
    buckets: BTreeMap<SmolStr, Bucket>,
    silences: BTreeMap<SmolStr, Silence>,
    hidden: BTreeMap<u64, Hidden>,
    repeats: Repeats,
    /// What is left to do, the first to be done in front.
    agenda: BTreeMap<i64, Left>,
    changed: BTreeSet<Key>,

    // Derived: built anew by a restore.
    fleet: Fleet,
    wheel: wheel::Wheel<Deadline>,
    /// Incidents with a need that nobody could serve, the one to be served first in front.
    queue: BTreeSet<(Lane, Severity, Timestamp, IncidentId)>,
    near: matching::Nearby,

    /// The post that reports what it came upon, while that report is taken in.
    viewing: Option<PostId>,
    /// What the input, deadline or entry of the agenda that is worked off now has come to.
    piece: agenda::Piece,
    /// The caller's buffer, while a step runs.
    out: Vec<Effect>,
}

/// Why a state cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("document `{key}` cannot be read back: {reason}")]
pub struct RestoreError {
    /// Its key.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Engine {
    /// An engine with nothing but the playbook's roster.
    #[must_use]
    pub fn new(playbook: Arc<Playbook>) -> Self {
        let fleet = Fleet::of(&playbook);
        let head = Head { v: STATE_VERSION, playbook: playbook.hash.clone(), ..Head::default() };
        Self {
            playbook,
            now: Timestamp(0),
            outage: None,
            excused: false,
            head,
            incidents: BTreeMap::new(),
            orders: BTreeMap::new(),
            reports: BTreeMap::new(),
            calls: BTreeMap::new(),
            posts: BTreeMap::new(),
            notices: BTreeMap::new(),
            buckets: BTreeMap::new(),
            silences: BTreeMap::new(),
            hidden: BTreeMap::new(),
            repeats: Repeats::default(),
            agenda: BTreeMap::new(),
            changed: BTreeSet::new(),
            fleet,
            wheel: wheel::Wheel::default(),
            queue: BTreeSet::new(),
            near: matching::Nearby::default(),
            viewing: None,
            piece: agenda::Piece::default(),
            out: Vec::new(),
        }
    }

    /// The engine whose newest documents these are, in any order.
    ///
    /// # Errors
    /// When a document is not one this version wrote.
    pub fn restore(
        playbook: Arc<Playbook>,
        documents: impl IntoIterator<Item = Document>,
    ) -> Result<Self, RestoreError> {
        let mut engine = Self::new(playbook);
        for document in documents {
            engine.read_back(&document)?;
        }
        engine.now = engine.head.at;
        engine.derive();
        Ok(engine)
    }

    /// Builds everything that is derived from documents.
    fn derive(&mut self) {
        // A head of an older version does not say what hours have begun and ended: then all by now.
        if self.now != Timestamp(0) && self.head.hours.is_none() {
            self.hours_up_to_now();
        }
        if self.now != Timestamp(0) && self.head.windows.is_none() {
            self.put_in_front(Todo::MatchWindows);
            self.windows_up_to_now();
        }
        let posts: Vec<_> = self.posts.iter().map(|(id, record)| (id.clone(), record.clone())).collect();
        for (id, record) in posts {
            if record.gone {
                self.fleet.remove(&id);
            } else if let Some(spec) = record.spec {
                self.fleet.put(spec);
            }
            self.fleet.set_duty(&id, record.duty);
        }
        let held: Vec<OrderId> = self.posts.values().flat_map(|record| record.orders.clone()).collect();
        for order in held {
            self.put_task(&order);
        }
        self.arm_all();
        self.look_for_the_gone();
    }

    /// Puts every deadline on an empty wheel: after a restore, and after a playbook whose spans may be others.
    fn arm_all(&mut self) {
        self.wheel = wheel::Wheel::default();
        self.arm_all_hours();
        for minute in self.repeats.minutes().collect::<BTreeSet<_>>() {
            self.wheel.insert(Repeats::dies(minute, self.playbook.limits.repeats_known), Deadline::Forget(minute));
        }
        for notice in self.notices.values().filter(|notice| !notice.held) {
            self.wheel.insert(notice.take_by, Deadline::Take(notice.id.clone()));
        }
        self.arm_all_windows();
        for silence in self.silences.values().filter(|silence| silence.ended.is_none()) {
            self.wheel.insert(silence.until, Deadline::SilenceEnds(silence.id.clone()));
        }
        let ids: Vec<IncidentId> = self.incidents.keys().cloned().collect();
        for id in ids {
            self.derive_incident(&id);
        }
    }

    fn derive_incident(&mut self, id: &IncidentId) {
        let incident = &self.incidents[id];
        self.near.put(incident);
        for (ix, run) in incident.marks.iter().enumerate() {
            marks::arm(&mut self.wheel, id, 0, ix, run);
        }
        if let Some(closing) = &incident.closed {
            self.wheel.insert(closing.at + self.playbook.limits.closed_kept, Deadline::Retire(id.clone()));
        }
        if incident.flood.is_some() && incident.state.is_open() {
            self.wheel.insert(incident.last_report + self.playbook.folding.quiet, Deadline::Quiet(id.clone()));
        }
        if let Some(call) = &incident.all_call {
            if call.ended.is_none() {
                self.wheel.insert(call.until, Deadline::CallEnds(id.clone()));
            }
            if let Some(at) = call.goes_on {
                self.wheel.insert(at, Deadline::CallGoesOn(id.clone()));
            }
        }
        if incident.waits() {
            self.queue.insert(Self::queue_key(incident));
        }
        for n in 1..=incident.orders {
            let Some(order) = self.orders.get(&incident.order_id(n)) else { continue };
            for (ix, run) in order.marks.iter().enumerate() {
                marks::arm(&mut self.wheel, id, n, ix, run);
            }
            if order.state == crate::model::OrderState::Issued {
                self.wheel.insert(order.expires, Deadline::Expiry(order.id.clone()));
            }
        }
    }

    /// The first instant an engine hears of: from then on hours begin and end.
    fn wake(&mut self, at: Timestamp) {
        if self.now == Timestamp(0) {
            self.now = at;
            self.touch(Key::Head);
            self.hours_up_to_now();
            self.arm_all_hours();
            self.windows_up_to_now();
            self.arm_all_windows();
            self.match_windows();
        }
    }

    // In

    /// Applies one input at `at` (never before an earlier step's `at`). Everything due before `at` has been fired by then,
    /// and nothing is left to do: [`Engine::advance`] said so. What falls due at the very instant fires after the input,
    /// unless time was let pass up to and including it. What the input leaves to do is done by `advance`.
    ///
    /// # Panics
    /// When something due before `at`, or left to do, stands before the input: it would be decided on a half state, and
    /// one step would grow without bound. Only an outage and a set clock, which change nothing but what is said, may come in.
    pub fn step(&mut self, at: Timestamp, input: Input, effects: &mut Vec<Effect>) -> Answer {
        let comes_in = matches!(input, Input::Outage(_) | Input::WallSet(_));
        assert!(comes_in || self.next_due().is_none_or(|due| due >= at && self.agenda.is_empty()), "advance first");
        std::mem::swap(&mut self.out, effects);
        self.open_piece();
        self.wake(at);
        self.now = self.now.max(at);
        let answer = match input {
            Input::Event(event, verdict) => self.event(*event, verdict.map(|v| *v)),
            Input::Roster(change) => self.roster(change),
            Input::Playbook(playbook) => self.swap_playbook(playbook),
            Input::Delivery(delivery) => self.delivery(&delivery),
            Input::WallSet(by_ms) => self.wall_set(by_ms),
            Input::Outage(outage) => self.resume(outage),
        };
        // What changed nothing (a post's position) leaves no document, so that nobody has to write it.
        self.close_piece(&mut Spent::default());
        std::mem::swap(&mut self.out, effects);
        answer
    }

    /// Lets time pass: does what was left to do, then fires what is due up to and including `to`, in order, as much as one
    /// step may do. Returns whether nothing is left and everything due has been fired; else the caller calls again.
    pub fn advance(&mut self, to: Timestamp, effects: &mut Vec<Effect>) -> bool {
        std::mem::swap(&mut self.out, effects);
        let mut spent = Spent::default();
        self.open_piece();
        self.wake(to);
        self.close_piece(&mut spent);
        for _ in 0..FIRED_MAX {
            if !self.next_piece(to, &mut spent) {
                break;
            }
        }
        let done = self.next_due().is_none_or(|next| next > to) && self.agenda.is_empty();
        if done && self.outage.is_some_and(|outage| outage.to <= to) {
            self.outage = None;
        }
        if done && to > self.now {
            self.now = to;
        }
        std::mem::swap(&mut self.out, effects);
        done
    }

    /// Works off the next entry of the agenda, else fires the next deadline. False when nothing is due, or has room.
    fn next_piece(&mut self, to: Timestamp, spent: &mut Spent) -> bool {
        if let Some((&n, _)) = self.agenda.first_key_value() {
            if !spent.leaves(agenda::ANY) {
                return false;
            }
            self.open_piece();
            self.work_off(n);
            return self.close_piece(spent);
        }
        let has_room = |deadline: &Deadline| spent.leaves(agenda::at_most(deadline));
        if !self.wheel.first(to).is_some_and(has_room) {
            return false;
        }
        let Some((due, deadline)) = self.wheel.pop(to) else { return false };
        self.open_piece();
        self.touch(Key::Head);
        // What fell due during our own outage fires as of our return; all else as of its own instant.
        let back = self.outage.map(|outage| outage.to).filter(|back| due <= *back);
        self.excused = back.is_some();
        self.now = self.now.max(back.map_or(due, |back| back.min(to)));
        self.fire(due, deadline);
        self.excused = false;
        self.close_piece(spent)
    }

    /// Fires one deadline, and with a miss those of the same incident at the same instant.
    fn fire(&mut self, due: Timestamp, deadline: Deadline) {
        match deadline {
            Deadline::Warn(incident, mark) => self.warn(&incident, 0, mark),
            Deadline::WarnOrder(order, mark) => self.warn(&order.incident, order.n, mark),
            Deadline::Due(incident, order, mark) => self.miss_all(due, &incident, (order, mark)),
            Deadline::Expiry(order) => self.expire(&order),
            Deadline::Take(notice) => self.pass_notice(&notice),
            Deadline::CallEnds(incident) => self.end_call(&incident, "time is over"),
            Deadline::CallGoesOn(incident) => self.work_call(&incident),
            Deadline::Hours(post) => self.hours_changed(due, &post),
            Deadline::Quiet(incident) => self.flood_quiet(&incident),
            Deadline::Forget(minute) => self.forget_minute(minute),
            Deadline::Retire(incident) => self.retire(&incident),
            Deadline::WindowOpens(window) => self.window_opens(due, &window),
            Deadline::SilenceEnds(silence) => self.end_silence(&silence, None),
        }
    }

    /// We were down: what fell due until our return fires once, marked late through our own outage, as time is advanced;
    /// so acts that were received before their marks, and read only now, can still come in between.
    fn resume(&mut self, outage: Outage) -> Answer {
        self.outage = Some(outage);
        let overdue = self.wheel.next_at().is_some_and(|next| next <= outage.to);
        self.say(None, Actor::Engine, What::Outage { from: outage.from, to: outage.to });
        if overdue {
            let text = format!("marks fell due while nobody watched, {} until {}", outage.from, outage.to);
            self.notice(None, NoticeKind::Outage, text);
        }
        Answer::applied(None)
    }

    fn wall_set(&mut self, by_ms: i64) -> Answer {
        let way = if by_ms < 0 { "back" } else { "forward" };
        let text = format!(
            "the clock on the wall was set {way} by {}; marks go on as they were",
            Millis(by_ms.unsigned_abs())
        );
        self.notice(None, NoticeKind::ClockSkew, text);
        Answer::applied(None)
    }

    fn event(&mut self, event: Event, verdict: Option<Verdict>) -> Answer {
        let Event { meta, received, body } = event;
        match body {
            Body::Report(report) => self.report(meta, received, *report, verdict),
            Body::Position(fix) => self.position(&fix),
            Body::Act(act) => self.once(&meta, |engine, meta| engine.act(meta, received, act)),
            Body::Command(command) => self.once(&meta, |engine, meta| engine.command(meta, received, *command)),
        }
    }

    // Out

    /// The next instant at which something falls due; the present one while something is left to do.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.agenda_at().or_else(|| self.wheel.next_at())
    }

    // Look

    /// The playbook in force.
    #[must_use]
    pub fn playbook(&self) -> &Arc<Playbook> {
        &self.playbook
    }

    /// The last instant stepped.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The posts.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// An incident by its id; closed ones are kept as long as late reports can reach them.
    #[must_use]
    pub fn incident(&self, id: &IncidentId) -> Option<&Incident> {
        self.incidents.get(id)
    }

    /// Every incident that is kept, oldest first.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values()
    }

    /// An order by its id.
    #[must_use]
    pub fn order(&self, id: &OrderId) -> Option<&Order> {
        self.orders.get(id)
    }

    /// Every order of an incident, oldest first.
    pub fn orders_of<'a>(&'a self, id: &IncidentId) -> impl Iterator<Item = &'a Order> {
        let from = OrderId { incident: id.clone(), n: 0 };
        let to = OrderId { incident: id.clone(), n: u32::MAX };
        self.orders.range(from..=to).map(|(_, order)| order)
    }

    /// Its orders since it was opened, or last reopened: those that count for the needs and marks of now.
    pub(crate) fn orders_of_now<'a>(&'a self, id: &IncidentId) -> impl Iterator<Item = &'a Order> {
        let before = self.incidents.get(id).map_or(0, |incident| incident.orders_before);
        self.orders_of(id).filter(move |order| order.id.n > before)
    }

    /// Every report of an incident, oldest first, with its number.
    pub fn reports_of<'a>(&'a self, id: &IncidentId) -> impl Iterator<Item = (u32, &'a ReportRecord)> {
        self.reports.range((id.clone(), 0)..=(id.clone(), u32::MAX)).map(|((_, n), record)| (*n, record))
    }

    /// Incidents that wait for a post, the one to be served first in front.
    pub fn queue(&self) -> impl Iterator<Item = &IncidentId> {
        self.queue.iter().map(|(_, _, _, id)| id)
    }

    /// Notices that a person must take.
    pub fn open_notices(&self) -> impl Iterator<Item = &OpenNotice> {
        self.notices.values()
    }

    /// Silences and stretches of planned windows: those that run, those that are yet to begin, and the last that ended.
    pub fn silences(&self) -> impl Iterator<Item = &Silence> {
        self.silences.values()
    }

    /// Notices that are hidden, the one hidden first in front.
    pub fn hidden(&self) -> impl Iterator<Item = &Hidden> {
        self.hidden.values()
    }

    /// Deadlines that are armed; none of them belongs to a closed incident, apart from its own retirement.
    #[must_use]
    pub fn deadlines(&self) -> usize {
        self.wheel.len()
    }

    /// Entries of the agenda: what an input or a deadline began and left to the steps that follow.
    #[must_use]
    pub fn left_to_do(&self) -> usize {
        self.agenda.len()
    }

    // Shared by the parts

    fn local(&self, at: Timestamp) -> LocalTime {
        at.local(&self.playbook.zone)
    }

    /// Writes a line of the timeline.
    fn say(&mut self, incident: Option<&IncidentId>, by: Actor, what: What) {
        let drill = incident.and_then(|id| self.incidents.get(id)).is_some_and(Incident::drill);
        let entry = Entry { at: self.now, incident: incident.cloned(), drill, by, what };
        self.out.push(Effect::Timeline(Box::new(entry)));
    }

    /// The incident, to be changed; its document will be written.
    fn incident_mut(&mut self, id: &IncidentId) -> &mut Incident {
        self.touch(Key::Incident(id.clone()));
        self.incidents.get_mut(id).expect("ids inside the engine come from its own map")
    }

    /// The order, to be changed; its document will be written.
    fn order_mut(&mut self, id: &OrderId) -> &mut Order {
        self.touch(Key::Order(id.clone()));
        self.orders.get_mut(id).expect("ids inside the engine come from its own map")
    }

    fn queue_key(incident: &Incident) -> (Lane, Severity, Timestamp, IncidentId) {
        let Incident { classification, received, id, .. } = incident;
        (classification.lane, classification.severity, *received, id.clone())
    }
}

impl Answer {
    pub(crate) fn applied(incident: Option<IncidentId>) -> Self {
        Self::Applied { incident, orders: Vec::new(), repeat: false }
    }
}

impl Refusal {
    pub(crate) fn new(code: &str, field: Option<&str>, detail: String, hint: Option<&str>) -> Self {
        Self { code: code.into(), field: field.map(Into::into), detail, hint: hint.map(Into::into) }
    }
}
