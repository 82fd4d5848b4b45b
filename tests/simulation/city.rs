//! One history: hosts that come and go, a log, inputs, outputs, a group that says who should own the shard, and trouble.
//! One thread, one queue of events in the order of true time; the seed decides everything.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::dice::Dice;
use crate::host::{Host, ToHost};
use crate::invariants::{Outputs, Truth};
use crate::journal::Step;
use crate::journal::log::{Low, OwnerName, OwnerOptions, Record, RecordBody, Token, Why};
use crate::log::Log;
use crate::loss::Loss;
use crate::model::{Millis, Timestamp};
use crate::mutations::Fault;
use crate::toy::{Arrived, Input};
use crate::trouble::{Trouble, Weather};

/// Shards of the whole; the one that is simulated is any of them.
pub const SHARDS: u32 = 4;
pub const START: i64 = 1_000_000;

/// Says what happens, when one history is looked at.
macro_rules! say {
    ($city:expr, $($words:tt)*) => {
        if $city.plan.trace {
            println!("{:>7} {}", $city.now - $crate::city::START, format!($($words)*));
        }
    };
}
pub(crate) use say;

/// How a history goes.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    pub kind: Kind,
    pub trace: bool,
    /// Somebody breaks the protocol.
    pub fault: Option<Fault>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Trouble of all kinds, but the log keeps what it has acknowledged; then peace.
    Trouble,
    /// Once, the log loses its newest records: the cluster has broken its word.
    Loss,
    /// Two hosts believe for an hour that the shard is theirs, and there is little to do.
    TwoForAnHour,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trouble => "trouble",
            Self::Loss => "loss",
            Self::TwoForAnHour => "two",
        })
    }
}

impl FromStr for Kind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "trouble" => Ok(Self::Trouble),
            "loss" => Ok(Self::Loss),
            "two" => Ok(Self::TwoForAnHour),
            other => Err(format!("`{other}` is no kind of history: trouble, loss or two")),
        }
    }
}

pub enum Event {
    To(usize, u32, ToHost),
    /// An append comes to the broker.
    Land {
        record: Arc<Record>,
        to: (usize, u32),
        token: Token,
        report: Option<(bool, i64)>,
    },
    /// A reading asks the broker where the log begins and ends.
    Ask {
        to: (usize, u32),
        reading: u64,
    },
    /// Effects come to their topics.
    Emit {
        step: Arc<Step>,
        to: (usize, u32),
        sent: u64,
        told: bool,
    },
    Trim(u64),
    Input(usize, Input, bool),
    Garbage,
    Trouble(Trouble),
    Wake(usize),
    Start(usize),
    Weather(Weather),
    Lose,
    Operator,
    Peace,
}

/// What was lived through, for knowing that the histories are worth something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub histories: u64,
    pub events: u64,
    pub records: u64,
    pub steps: u64,
    pub void: u64,
    pub claims: u64,
    /// Claims that were accepted after the trouble was over.
    pub claims_in_peace: u64,
    /// How long it took from peace to rest, at most.
    pub rest_ms: i64,
    pub drops: [u64; 5],
    pub holds: u64,
    pub acceptances: u64,
    pub restores: u64,
    pub repeats: u64,
    pub trims: u64,
    pub crashes: u64,
    pub stalls: u64,
}

impl Seen {
    pub fn add(&mut self, other: &Self) {
        self.histories += other.histories;
        self.events += other.events;
        self.records += other.records;
        self.steps += other.steps;
        self.void += other.void;
        self.claims += other.claims;
        self.claims_in_peace = self.claims_in_peace.max(other.claims_in_peace);
        self.rest_ms = self.rest_ms.max(other.rest_ms);
        for (mine, theirs) in self.drops.iter_mut().zip(other.drops) {
            *mine += theirs;
        }
        self.holds += other.holds;
        self.acceptances += other.acceptances;
        self.restores += other.restores;
        self.repeats += other.repeats;
        self.trims += other.trims;
        self.crashes += other.crashes;
        self.stalls += other.stalls;
    }

    /// Histories in which nothing goes wrong prove nothing.
    pub fn is_worth_something(&self) {
        let often = |what: &str, count: u64, least: u64| {
            assert!(count * 1_000 >= least * self.histories, "{what} was seen {count} times only: {self}");
        };
        often("a step", self.steps, 8_000);
        often("a void record", self.void, 300);
        often("a take-over", self.claims, 2_500);
        often("an unknown append", self.drops[Why::Unknown as usize], 250);
        often("somebody else's record in between", self.drops[Why::NotNext as usize], 100);
        often("a new leader seen", self.drops[Why::Disturbed as usize], 50);
        often("a shard lost while idle", self.drops[Why::Lost as usize], 50);
        often("a crash", self.crashes, 400);
        often("a stall", self.stalls, 400);
        often("effects emitted again", self.repeats, 500);
        often("a trimmed log", self.trims, 200);
        often("a hold", self.holds, 20);
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { histories, events, records, steps, void, claims, drops, holds, .. } = self;
        write!(
            f,
            "{histories} histories, {events} events, {records} records: {steps} steps, {claims} claims, {void} void; "
        )?;
        for (why, count) in [Why::Unknown, Why::NotNext, Why::Disturbed, Why::Lost, Why::Alarm].iter().zip(drops) {
            write!(f, "{} {count}, ", why.as_str())?;
        }
        let Self { acceptances, restores, repeats, trims, crashes, stalls, .. } = self;
        write!(
            f,
            "{holds} holds, {acceptances} acceptances, {restores} restores, {repeats} repeats, {trims} trims, {crashes} crashes, {stalls} stalls; at most {} claims in peace, at rest after {} ms",
            self.claims_in_peace, self.rest_ms
        )
    }
}

pub struct City {
    pub plan: Plan,
    pub dice: Dice,
    pub now: i64,
    queue: BinaryHeap<Due>,
    count: u64,
    pub log: Log,
    pub doors: [Vec<Arrived>; 2],
    pub truth: Truth,
    pub outputs: Outputs,
    pub hosts: Vec<Host>,
    pub options: OwnerOptions,
    pub weather: Weather,
    /// Nothing comes through before.
    pub broker_back: i64,
    /// Until then, readers are told that the log ends there.
    pub lag: (i64, u64),
    /// For how long they have been told so without a pause, and the longest such time.
    pub lagging: (i64, i64),
    /// Marks that were written down outside the log.
    pub hints: Vec<Low>,
    /// Who claimed which epoch when.
    pub claims: BTreeMap<(OwnerName, u64), i64>,
    /// Records are written and read as they stand on a log.
    in_bytes: bool,
    pub peace: bool,
    pub peace_since: i64,
    /// In peace, too, two are assigned.
    pub twice: bool,
    pub loss: Option<Loss>,
    inputs_in_peace: u64,
    failure: Option<String>,
    pub seen: Seen,
}

struct Due {
    at: i64,
    count: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The heap gives the greatest first, so the earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.count).cmp(&(self.at, self.count))
    }
}

impl City {
    pub fn new(plan: Plan) -> Self {
        let mut dice = Dice::new(plan.seed);
        let options = options(&mut dice);
        let hosts = 2 + dice.below(2);
        let mut city = Self {
            plan,
            now: START,
            queue: BinaryHeap::new(),
            count: 0,
            log: Log::default(),
            doors: [Vec::new(), Vec::new()],
            truth: Truth::new(),
            outputs: Outputs::default(),
            hosts: (0..hosts).map(Host::new).collect(),
            options,
            weather: Weather::default(),
            broker_back: 0,
            lag: (0, 0),
            lagging: (0, 0),
            hints: Vec::new(),
            claims: BTreeMap::new(),
            in_bytes: dice.chance(60),
            peace: false,
            peace_since: 0,
            twice: plan.kind == Kind::TwoForAnHour || (plan.kind == Kind::Trouble && dice.chance(150)),
            loss: None,
            inputs_in_peace: 0,
            failure: None,
            seen: Seen { histories: 1, ..Seen::default() },
            dice,
        };
        city.lay_out();
        city
    }

    /// Everything that will come from outside.
    fn lay_out(&mut self) {
        let trouble = match self.plan.kind {
            Kind::TwoForAnHour => 2_000,
            Kind::Trouble | Kind::Loss => self.dice.between(2_000, 8_000),
        };
        self.weather = if self.dice.chance(300) { Weather::good(&mut self.dice) } else { Weather::bad(&mut self.dice) };
        for host in 0..self.hosts.len() {
            let at = self.now + self.dice.between(0, 300);
            self.at(at, Event::Start(host));
        }
        self.after(100, Event::Trouble(Trouble::Rebalance));
        for _ in 0..self.dice.between(4, 40) {
            let at = self.now + self.dice.between(0, trouble + 1_000);
            let (door, input) = self.input();
            let urgent = self.dice.chance(200);
            self.at(at, Event::Input(door, input, urgent));
        }
        for _ in 0..self.dice.between(1, 10) {
            let at = self.now + self.dice.between(200, trouble);
            let kind = Trouble::any(&mut self.dice);
            self.at(at, Event::Trouble(kind));
        }
        if self.plan.kind == Kind::Loss {
            let at = self.now + self.dice.between(500, trouble);
            self.at(at, Event::Lose);
        }
        self.after(trouble, Event::Peace);
    }

    fn input(&mut self) -> (usize, Input) {
        let id = self.dice.below(16) as u64;
        match self.dice.below(10) {
            0..=4 => (0, Input::Report),
            5 | 6 => (1, Input::Recall(id)),
            7 => (1, Input::Close(id)),
            _ => (0, Input::Roster(id)),
        }
    }

    // Time

    pub fn at(&mut self, at: i64, event: Event) {
        self.count += 1;
        self.queue.push(Due { at: at.max(self.now), count: self.count, event });
    }

    pub fn after(&mut self, span: i64, event: Event) {
        self.at(self.now + span, event);
    }

    /// Counts up with everything that is to happen.
    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn fail(&mut self, what: impl Into<String>) {
        let what = what.into();
        say!(self, "WRONG: {what}");
        self.failure.get_or_insert(what);
    }

    pub fn must(&mut self, checked: Result<(), String>) {
        if let Err(what) = checked {
            self.fail(what);
        }
    }

    /// Lives through the history.
    pub fn run(mut self) -> Result<Seen, String> {
        let mut settled_since = None;
        while self.failure.is_none() {
            let Some(due) = self.queue.pop() else { break };
            self.now = due.at;
            self.seen.events += 1;
            self.happen(due.event);
            if self.peace && self.now >= self.peace_since + self.peace_lasts() {
                settled_since = if self.is_settled() { settled_since.or(Some(self.now)) } else { None };
                if let Some(since) = settled_since.filter(|since| self.now - since > SETTLED_FOR) {
                    self.seen.rest_ms = since - self.peace_since - self.peace_lasts();
                    break;
                }
            }
            let last = self.peace_since + self.peace_lasts() + REST_WITHIN;
            if (self.peace && self.now > last) || self.seen.events > EVENTS_MAX {
                break;
            }
        }
        self.at_the_end();
        self.seen.records = self.log.end();
        self.seen.void = self.truth.void;
        self.seen.claims = self.truth.claims;
        self.seen.steps = self.truth.steps().len() as u64;
        self.seen.repeats = self.outputs.repeats;
        self.failure.map_or(Ok(self.seen), Err)
    }

    /// For so long after the trouble, at least.
    fn peace_lasts(&self) -> i64 {
        if self.plan.kind == Kind::TwoForAnHour { 3_600_000 } else { 0 }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::To(host, start, what) => self.tell(host, start, what),
            Event::Land { record, to, token, report } => self.land(record, to, token, report),
            Event::Ask { to, reading } => self.ask(to, reading),
            Event::Emit { step, to, sent, told } => self.emit(step, to, sent, told),
            Event::Trim(below) => {
                say!(self, "log trimmed below {below}");
                self.seen.trims += u64::from(below > self.log.first());
                self.log.trim(below);
            }
            Event::Input(door, input, urgent) => {
                let offset = self.doors[door].len();
                say!(self, "input {door}/{offset} {input:?}{}", if urgent { " urgent" } else { "" });
                self.inputs_in_peace += u64::from(self.peace);
                self.doors[door].push(Arrived { input, urgent });
            }
            Event::Garbage => {
                say!(self, "log {}: no record", self.log.end());
                self.log.append(Timestamp(self.now), None);
                let landed = self.truth.land(None, &self.doors);
                self.must(landed.map(|_| ()));
            }
            Event::Trouble(trouble) => self.trouble(trouble),
            Event::Wake(host) => self.wake(host),
            Event::Start(host) => self.start(host),
            Event::Weather(weather) => {
                if !self.peace {
                    say!(self, "{weather:?}");
                    self.weather = weather;
                }
            }
            Event::Lose => self.lose(),
            Event::Operator => self.operator(),
            Event::Peace => self.make_peace(),
        }
    }

    // The broker

    pub fn land(&mut self, record: Arc<Record>, to: (usize, u32), token: Token, report: Option<(bool, i64)>) {
        let record = if self.in_bytes { self.through_bytes(&record) } else { record };
        let appended = Timestamp(self.now);
        let offset = self.log.append(appended, Some(Arc::clone(&record)));
        say!(self, "log {offset}: {}", line(&record));
        match self.truth.land(Some(&record), &self.doors) {
            Ok(accepted) if accepted => self.stands(&record),
            Ok(_) => {}
            Err(what) => self.fail(what),
        }
        if let Some((placed, delay)) = report {
            let landed = placed.then_some((offset, appended));
            self.after(delay, Event::To(to.0, to.1, ToHost::Report { token, landed }));
        }
    }

    fn through_bytes(&mut self, record: &Arc<Record>) -> Arc<Record> {
        let read = Record::decode(&record.encode()).expect("what was written can be read");
        if read != **record {
            self.fail(format!("a record is read back differently: {record:?} as {read:?}"));
        }
        Arc::new(read)
    }

    /// An accepted record has landed.
    fn stands(&mut self, record: &Arc<Record>) {
        match &record.body {
            RecordBody::Claim => self.seen.claims_in_peace += u64::from(self.peace),
            RecordBody::Step(step) => self.check_loss(record, step),
            RecordBody::Acceptance { .. } => {
                self.seen.acceptances += 1;
                self.loss_is_accepted();
            }
            RecordBody::Release => {}
        }
    }

    fn ask(&mut self, to: (usize, u32), reading: u64) {
        let end = if self.now < self.lag.0 { self.lag.1.min(self.log.end()) } else { self.log.end() };
        let bounds = ToHost::Bounds { reading, first: self.log.first(), end };
        let delay = self.delay();
        self.after(delay, Event::To(to.0, to.1, bounds));
    }

    fn emit(&mut self, step: Arc<Step>, to: (usize, u32), sent: u64, told: bool) {
        say!(self, "out: step {} from {}", step.number, self.hosts[to.0].title());
        if !self.truth.has(&step) && !self.was_lost(&step) {
            self.fail(format!("effects of step {} left the house, which does not stand", step.number));
        }
        self.note_lost_effects(step.number);
        let heeds = self.plan.fault != Some(Fault::ReaderIgnoresRev);
        let arrived = self.outputs.arrive(&step, heeds);
        if self.loss.is_none() {
            self.must(arrived);
        }
        if told {
            let delay = self.delay();
            self.after(delay, Event::To(to.0, to.1, ToHost::Arrived { sent, number: step.number }));
        }
    }

    pub fn delay(&mut self) -> i64 {
        (self.broker_back - self.now).max(0) + self.dice.between(1, self.weather.delay)
    }

    // The end

    /// Exactly one owner, and nothing left to do.
    fn is_settled(&mut self) -> bool {
        self.hosts.iter().filter(|host| host.is_owning()).count() == 1
            && self.hosts.iter().all(|host| host.is_at_rest(self.twice))
            && self.truth.has_decided_all(&self.doors)
            && self.outputs.has_all(&self.truth)
    }

    fn at_the_end(&mut self) {
        if self.failure.is_none() && !self.is_settled() {
            let hosts: Vec<String> = self.hosts.iter().map(Host::to_string).collect();
            let decided = self.truth.has_decided_all(&self.doors);
            let emitted = self.outputs.first_missing(&self.truth);
            self.fail(format!(
                "it does not settle: {}; all decided: {decided}, not emitted: {emitted:?}",
                hosts.join("; ")
            ));
        }
        if self.seen.claims_in_peace > CLAIMS_IN_PEACE_MAX * (1 + self.inputs_in_peace) {
            self.fail(format!("{} claims were made in peace", self.seen.claims_in_peace));
        }
        if self.plan.kind == Kind::TwoForAnHour {
            let newest =
                (self.log.first()..self.log.end()).rev().find_map(|offset| self.log.get(offset)?.record.as_ref());
            let low = newest.map_or(0, |record| record.low.offset);
            if self.log.end() > low + MARK_BEHIND_MAX {
                self.fail(format!("the log goes to {}, and its mark stays at {low}", self.log.end()));
            }
        }
        // From any mark that is still there the state is the same.
        for _ in 0..2 {
            let any =
                self.log.first() + self.dice.below(usize::try_from(self.log.end() - self.log.first()).unwrap()) as u64;
            let low = self.log.get(any).and_then(|entry| Some(entry.record.as_ref()?.low.clone()));
            if let Some(low) = low.filter(|low| low.offset >= self.log.first() && self.loss.is_none()) {
                let checked = self.check_restore(low);
                self.must(checked);
            }
        }
    }
}

/// A history of more events goes round in circles.
const EVENTS_MAX: u64 = 1_000_000;
/// A history that has not come to rest so long after the trouble ended never will; what was under way may take ten seconds.
const REST_WITHIN: i64 = 30_000;
/// Nothing may change any more for so long.
const SETTLED_FOR: i64 = 2_500;
/// However long a log is, its mark is no farther behind: some fifty documents are swept, one at least with each step.
const MARK_BEHIND_MAX: u64 = 150;
/// However long the hosts disagree on who owns the shard, they write no more than so many claims, and as many for each input
/// that comes in between.
const CLAIMS_IN_PEACE_MAX: u64 = 12;

/// Small bounds, so that short histories reach them.
fn options(dice: &mut Dice) -> OwnerOptions {
    OwnerOptions {
        in_flight_max: dice.pick(&[1, 2, 4]),
        sweep_age: dice.pick(&[2, 6, 20]),
        skew_max: Millis(1_000),
        rest_min: Millis(50),
        rest_max: Millis(800),
        alive_within: Millis(1_500),
        look_every: Millis(500),
        idle_look_every: Millis(1_000),
        short_looks: 5,
        read_within: Millis(1_000),
        report_within: Millis(4_000),
    }
}

/// A record in one line.
fn line(record: &Record) -> String {
    let what = match &record.body {
        RecordBody::Claim => "claim".to_owned(),
        RecordBody::Release => "release".to_owned(),
        RecordBody::Acceptance { beyond, .. } => format!("acceptance beyond {}", beyond.step),
        RecordBody::Step(step) => {
            let taken: Vec<String> =
                step.consumed.taken.iter().map(|t| format!("{}/{}", &t.door[..1], t.offset)).collect();
            format!("step {} took {}", step.number, taken.join(" "))
        }
    };
    let Record { epoch, owner, low, emitted, swept, .. } = record;
    format!("e{epoch} {owner} {what}, low {}, emitted {emitted}, swept {}", low.offset, swept.len())
}
