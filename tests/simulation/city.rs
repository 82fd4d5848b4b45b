//! One history: hosts that come and go, a log, inputs, outputs, a group that says who should own the shard, and trouble. One
//! thread, one queue of events in the order of true time; the seed decides everything.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::dice::Dice;
use crate::host::{Host, ToHost};
use crate::invariants::{Outputs, Truth};
use crate::journal::Step;
use crate::journal::log::{Low, Owner, OwnerOptions, Phase, Record, RecordBody, Token};
use crate::model::{Millis, Timestamp};
use crate::mutations::Fault;
use crate::toy::{Arrived, Input};

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
    pub trace: bool,
    /// Somebody breaks the protocol.
    pub fault: Option<Fault>,
}

/// How well the network does, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// The longest delay of one way, in ms.
    pub delay: i64,
    /// An append lands, its report does not come through.
    pub unacknowledged: u64,
    /// It never lands, and that is reported as unknown.
    pub lost: u64,
    /// It is reported as unknown, and lands much later.
    pub late: u64,
    /// It lands twice.
    pub duplicated: u64,
    /// It lands, and its offset is not told.
    pub unplaced: u64,
    /// Nothing is ever reported.
    pub silent: u64,
    /// A reading comes to nothing.
    pub unread: u64,
    /// Effects do not arrive, or their arrival is not told.
    pub unemitted: u64,
    /// Appends of one producer overtake each other.
    pub overtaking: bool,
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
    Peace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Crash,
    Stall,
    Drift,
    ClockJump,
    Rebalance,
    TwoAssigned,
    NobodyAssigned,
    NewLeader,
    Storm,
    BrokerDown,
    ProducerLost,
    Garbage,
}

/// What was lived through, for knowing that the histories are worth something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub histories: u64,
    pub events: u64,
    pub records: u64,
    pub steps: u64,
    pub void: u64,
    pub claims: u64,
    pub releases: u64,
    pub drops: [u64; 5],
    pub holds: u64,
    pub restores: u64,
    pub repeats: u64,
    pub trims: u64,
    pub crashes: u64,
    pub stalls: u64,
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
    /// Until then, readers are told that the log ends here.
    lag: (i64, u64),
    /// The longest lag of the readers' end in this history.
    pub lag_max: i64,
    pub hints: Vec<Low>,
    /// Records are written and read as they stand on a log.
    pub in_bytes: bool,
    pub peace: bool,
    twice: bool,
    pub failure: Option<String>,
    pub seen: Seen,
}

use crate::log::Log;

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
            lag_max: 0,
            hints: Vec::new(),
            in_bytes: dice.chance(60),
            peace: false,
            twice: dice.chance(150),
            failure: None,
            seen: Seen { histories: 1, ..Seen::default() },
            dice,
        };
        city.lay_out();
        city
    }

    /// Everything that will come from outside.
    fn lay_out(&mut self) {
        let trouble = self.dice.between(2_000, 8_000);
        let calm = self.dice.chance(300);
        self.weather = if calm { calm_weather(&mut self.dice) } else { bad_weather(&mut self.dice) };
        for host in 0..self.hosts.len() {
            let at = self.now + self.dice.between(0, 300);
            self.at(at, Event::Start(host));
        }
        self.at(self.now + 100, Event::Trouble(Trouble::Rebalance));
        for _ in 0..self.dice.between(4, 40) {
            let at = self.now + self.dice.between(0, trouble + 1_000);
            let (door, input) = self.input();
            let urgent = self.dice.chance(200);
            self.at(at, Event::Input(door, input, urgent));
        }
        for _ in 0..self.dice.between(1, 10) {
            let at = self.now + self.dice.between(200, trouble);
            let kind = self.dice.pick(&TROUBLES);
            self.at(at, Event::Trouble(kind));
        }
        self.at(self.now + trouble, Event::Peace);
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

    pub fn at(&mut self, at: i64, event: Event) {
        self.count += 1;
        self.queue.push(Due { at: at.max(self.now), count: self.count, event });
    }

    pub fn after(&mut self, span: i64, event: Event) {
        self.at(self.now + span, event);
    }

    pub fn fail(&mut self, what: impl Into<String>) {
        let what = what.into();
        say!(self, "WRONG: {what}");
        self.failure.get_or_insert(what);
    }

    pub fn holds(&mut self, checked: Result<(), String>) {
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
            if self.peace {
                settled_since = if self.is_settled() { settled_since.or(Some(self.now)) } else { None };
                if settled_since.is_some_and(|since| self.now - since > SETTLED_FOR) {
                    break;
                }
            }
            if self.now > START + LONGEST {
                let why = self.unsettled();
                self.fail(format!("it does not settle: {why}"));
            }
        }
        self.at_the_end();
        self.seen.records = self.log.end();
        self.seen.void = self.truth.void;
        self.seen.claims = self.truth.claims;
        self.seen.releases = self.truth.releases;
        self.seen.steps = self.truth.steps().len() as u64;
        self.seen.repeats = self.outputs.repeats;
        self.failure.map_or(Ok(self.seen), Err)
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
                say!(self, "input {door}/{} {input:?}{}", self.doors[door].len(), if urgent { " urgent" } else { "" });
                self.doors[door].push(Arrived { appended: Timestamp(self.now), input, urgent });
            }
            Event::Garbage => {
                say!(self, "something that is no record lands at {}", self.log.end());
                self.log.append(Timestamp(self.now), None);
                let landed = self.truth.land(None, &self.doors);
                self.holds(landed);
            }
            Event::Trouble(trouble) => self.trouble(trouble),
            Event::Wake(host) => self.wake(host),
            Event::Start(host) => self.start(host),
            Event::Weather(weather) => {
                say!(self, "weather {weather:?}");
                self.weather = weather;
            }
            Event::Peace => self.make_peace(),
        }
    }

    // The broker

    fn land(&mut self, record: Arc<Record>, to: (usize, u32), token: Token, report: Option<(bool, i64)>) {
        let record = if self.in_bytes {
            let read = Record::decode(&record.encode()).expect("what was written can be read");
            if read != *record {
                self.fail(format!("a record is read back differently: {record:?} as {read:?}"));
            }
            Arc::new(read)
        } else {
            record
        };
        let appended = Timestamp(self.now);
        let offset = self.log.append(appended, Some(Arc::clone(&record)));
        say!(self, "log {offset}: {}", line(&record));
        let landed = self.truth.land(Some(&record), &self.doors);
        self.holds(landed);
        if let Some((placed, delay)) = report {
            let landed = placed.then_some((offset, appended));
            self.after(delay, Event::To(to.0, to.1, ToHost::Report { token, landed }));
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
        let heeds = self.plan.fault != Some(Fault::ReaderIgnoresRev);
        let arrived = self.outputs.arrive(&step, &self.truth, heeds);
        self.holds(arrived);
        if told {
            let delay = self.delay();
            self.after(delay, Event::To(to.0, to.1, ToHost::Arrived { sent, number: step.number }));
        }
    }

    pub fn delay(&mut self) -> i64 {
        let delay = self.dice.between(1, self.weather.delay);
        (self.broker_back - self.now).max(0) + delay
    }

    // Trouble

    fn trouble(&mut self, trouble: Trouble) {
        if self.peace {
            return;
        }
        let host = self.dice.below(self.hosts.len());
        match trouble {
            Trouble::Crash => self.crash(host),
            Trouble::Stall => self.stall(host),
            Trouble::Drift => {
                let by = self.dice.between(-400, 400);
                self.set_clock(host, by);
            }
            Trouble::ClockJump => {
                let by = self.dice.pick(&[-3_600_000, -20_000, -2_500, 1_500, 5_000, 40_000, 3_600_000]);
                self.set_clock(host, by);
            }
            Trouble::Rebalance => self.rebalance(),
            Trouble::TwoAssigned => {
                say!(self, "group: {host} beside whoever else");
                self.assign(host);
            }
            Trouble::NobodyAssigned => (0..self.hosts.len()).for_each(|host| self.revoke(host)),
            Trouble::NewLeader => self.new_leader(),
            Trouble::Storm => {
                let (before, storm) = (self.weather, bad_weather(&mut self.dice));
                let span = self.dice.between(300, 2_500);
                self.after(0, Event::Weather(storm));
                self.after(span, Event::Weather(before));
            }
            Trouble::BrokerDown => {
                let span = self.dice.between(200, 4_000);
                say!(self, "broker down for {span} ms");
                self.broker_back = self.now + span;
            }
            Trouble::ProducerLost => self.lose_producer(host),
            Trouble::Garbage => self.after(0, Event::Garbage),
        }
    }

    fn set_clock(&mut self, host: usize, off: i64) {
        say!(self, "clock of {} is {off} ms off", self.hosts[host].title());
        self.hosts[host].set_clock(off);
    }

    /// The group names one; the others hear of it sooner or later, or much later.
    fn rebalance(&mut self) {
        let chosen = self.dice.below(self.hosts.len());
        say!(self, "group: {chosen} from now on");
        for host in (0..self.hosts.len()).filter(|host| *host != chosen) {
            if !self.dice.chance(150) {
                self.revoke(host);
            }
        }
        self.assign(chosen);
    }

    fn assign(&mut self, host: usize) {
        let delay = self.dice.pick(&[0, 1, 20, 300, 1_500]);
        let start = self.hosts[host].start;
        self.after(delay, Event::To(host, start, ToHost::Assign(self.count)));
    }

    fn revoke(&mut self, host: usize) {
        let delay = self.dice.pick(&[0, 0, 5, 100, 2_000]);
        let start = self.hosts[host].start;
        self.after(delay, Event::To(host, start, ToHost::Revoke(self.count)));
    }

    /// Another replica leads: for a while it does not know how far the log goes, and clients see that something happened.
    fn new_leader(&mut self) {
        let span = self.dice.pick(&[50, 400, 1_200, 6_000]);
        let back = self.dice.between(0, 4).unsigned_abs();
        self.lag = (self.now + span, self.log.end().saturating_sub(back).max(self.log.first()));
        self.lag_max = self.lag_max.max(span);
        say!(self, "new leader: the log seems to end at {} for {span} ms", self.lag.1);
        for host in 0..self.hosts.len() {
            if self.dice.chance(700) {
                let (delay, start) = (self.dice.between(0, 200), self.hosts[host].start);
                self.after(delay, Event::To(host, start, ToHost::Disturbed));
            }
        }
    }

    /// Trouble ends: whoever was down comes up, clocks are set, the network is good, the group has one word.
    fn make_peace(&mut self) {
        say!(self, "peace");
        self.peace = true;
        self.weather = Weather { delay: 20, ..Weather::default() };
        self.lag.0 = self.lag.0.min(self.now + 500);
        self.broker_back = self.broker_back.min(self.now + 500);
        for host in 0..self.hosts.len() {
            self.hosts[host].set_clock(0);
            if !self.hosts[host].up {
                self.at(self.now, Event::Start(host));
            }
            self.at(self.now, Event::Wake(host));
        }
        let chosen = self.dice.below(self.hosts.len());
        for host in 0..self.hosts.len() {
            let named = host == chosen || self.twice;
            let word = if named { ToHost::Assign(self.count) } else { ToHost::Revoke(self.count) };
            let start = self.hosts[host].start + u32::from(!self.hosts[host].up);
            let delay = self.dice.between(1, 300);
            self.after(delay, Event::To(host, start, word));
        }
    }

    // The end

    /// Exactly one owner, and nothing left to do.
    fn is_settled(&mut self) -> bool {
        let owners = self.hosts.iter().filter(|host| host.is_owning()).count();
        owners == 1
            && self.hosts.iter().all(|host| host.is_at_rest(self.twice))
            && self.truth.has_decided_all(&self.doors)
            && self.outputs.has_all_to(self.truth.stand().step, &self.truth)
    }

    fn unsettled(&mut self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(Host::to_string).collect();
        let decided = self.truth.has_decided_all(&self.doors);
        let emitted = self.outputs.has_all_to(self.truth.stand().step, &self.truth);
        format!("{}; all decided: {decided}, all emitted: {emitted}", hosts.join("; "))
    }

    /// From any mark that is still there, and by a restore from any hint, the state is the same.
    fn at_the_end(&mut self) {
        let lows: Vec<Low> = (self.log.first()..self.log.end())
            .filter_map(|offset| self.log.get(offset)?.record.as_ref().map(|record| record.low.clone()))
            .collect();
        for _ in 0..2 {
            if self.failure.is_some() || lows.is_empty() {
                return;
            }
            let low = lows[self.dice.below(lows.len())].clone();
            let checked = self.check_restore(low);
            self.holds(checked);
        }
    }
}

/// Nothing may change any more for so long.
const SETTLED_FOR: i64 = 3_000;
/// A history that is not settled by then never will be.
const LONGEST: i64 = 90_000;

const TROUBLES: [Trouble; 20] = [
    Trouble::Crash,
    Trouble::Crash,
    Trouble::Crash,
    Trouble::Stall,
    Trouble::Stall,
    Trouble::Stall,
    Trouble::Drift,
    Trouble::ClockJump,
    Trouble::Rebalance,
    Trouble::Rebalance,
    Trouble::Rebalance,
    Trouble::TwoAssigned,
    Trouble::TwoAssigned,
    Trouble::NobodyAssigned,
    Trouble::NewLeader,
    Trouble::NewLeader,
    Trouble::Storm,
    Trouble::BrokerDown,
    Trouble::ProducerLost,
    Trouble::Garbage,
];

fn options(dice: &mut Dice) -> OwnerOptions {
    OwnerOptions {
        in_flight_max: dice.pick(&[1, 2, 4]),
        sweep_age: dice.pick(&[2, 6, 20]),
        skew_max: Millis(1_000),
        rest_min: Millis(50),
        rest_max: Millis(800),
        alive_within: Millis(1_500),
        look_every: Millis(250),
        idle_look_every: Millis(700),
        short_looks: 8,
        read_within: Millis(1_000),
        report_within: Millis(4_000),
    }
}

fn calm_weather(dice: &mut Dice) -> Weather {
    Weather { delay: dice.pick(&[2, 10, 60]), ..Weather::default() }
}

fn bad_weather(dice: &mut Dice) -> Weather {
    let often = dice.pick(&[5, 30, 120]);
    let mut some = || if dice.chance(500) { often } else { 0 };
    Weather {
        unacknowledged: some(),
        lost: some(),
        late: some(),
        duplicated: some(),
        unplaced: some(),
        silent: some() / 4,
        unread: some(),
        unemitted: some(),
        overtaking: some() > 0,
        delay: dice.pick(&[2, 20, 150, 600]),
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
    format!(
        "e{} {} {what}, low {}, emitted {}, swept {}",
        record.epoch,
        record.owner,
        record.low.offset,
        record.emitted,
        record.swept.len()
    )
}

/// Whether it owns the shard now, as far as it knows.
pub fn owns(owner: &Owner) -> bool {
    *owner.phase() == Phase::Owning
}
