//! A host: whatever drives an owner, as the service does, with the toy in place of the engine. It crashes and comes back under
//! a new name, stalls while its letters pile up, has a clock of its own, and emits what was accepted.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::city::{City, Event, SHARDS, say};
use crate::dice::Dice;
use crate::journal::Step;
use crate::journal::log::{Action, Alarm, Owner, OwnerName, Phase, Record, RecordBody, Restore, Token};
use crate::model::Timestamp;
use crate::mutations::Fault;
use crate::reading::{Reading, Whose};
use crate::toy::{DOORS, Documents, RECALLED, Toy};
use crate::trouble::Trouble;

pub struct Host {
    pub id: usize,
    /// How often it has started.
    pub start: u32,
    pub up: bool,
    pub stalled: bool,
    pub inbox: VecDeque<ToHost>,
    /// How far its clock is off now, and the farthest since it started.
    pub clock: i64,
    pub clock_worst: i64,
    pub owner: Option<Owner>,
    pub restore: Option<Restore>,
    /// Readings under way; the last one is meant, but one before may yet bring something.
    pub readings: Vec<Reading>,
    pub asked: u64,
    pub toy: Option<Toy>,
    /// The group's last word.
    pub assigned: bool,
    pub word: u64,
    /// A revocation is not yet answered.
    pub revoked: bool,
    /// Nothing it sends is at the broker before, so that its appends keep their order.
    pub lane: i64,
    /// Nothing is reported to it before.
    lane_back: i64,
    /// Accepted steps whose effects are to leave, in order; the first may be on its way.
    pub leaving: VecDeque<Arc<Step>>,
    pub on_its_way: Option<u64>,
    pub sent: u64,
    /// Appends whose report is to come, by token.
    pub awaited: Vec<(Token, Option<Arc<Step>>)>,
    /// The highest epoch that it has claimed since its start.
    pub claimed: u64,
    pub checked: u64,
    /// It has read what the log has lost, and cannot have read yet that this was accepted.
    pub shaken: bool,
    /// It has been told that something happened to the log, and what it had read was lost.
    pub warned: bool,
    pub touched: bool,
}

/// What comes to a host; all of it waits while the host is stalled.
pub enum ToHost {
    Turn,
    /// What the group says, and when it said so.
    Assign(u64),
    Revoke(u64),
    Disturbed,
    Shaken,
    Report {
        token: Token,
        landed: Option<(u64, Timestamp)>,
    },
    Bounds {
        reading: u64,
        first: u64,
        end: u64,
    },
    Records {
        reading: u64,
    },
    Arrived {
        sent: u64,
        number: u64,
    },
    Retry {
        sent: u64,
    },
}

/// Actions that come of one letter at most.
const ACTIONS_MAX: u32 = 1_000;
/// How far ahead of its position a host looks for what is urgent.
const LOOK_AHEAD: u64 = 6;
/// Steps whose effects have not left stop the intake.
const LEAVING_MAX: usize = 5;

impl Host {
    pub fn new(id: usize) -> Self {
        Self {
            id,
            start: 0,
            up: false,
            stalled: false,
            inbox: VecDeque::new(),
            clock: 0,
            clock_worst: 0,
            owner: None,
            restore: None,
            readings: Vec::new(),
            asked: 0,
            toy: None,
            assigned: false,
            word: 0,
            revoked: false,
            lane: 0,
            lane_back: 0,
            leaving: VecDeque::new(),
            on_its_way: None,
            sent: 0,
            awaited: Vec::new(),
            claimed: 0,
            checked: u64::MAX,
            shaken: false,
            warned: false,
            touched: false,
        }
    }

    pub fn title(&self) -> String {
        format!("{}{}", char::from(b'A' + u8::try_from(self.id).expect("few")), self.start)
    }

    pub fn set_clock(&mut self, off: i64) {
        self.clock = off;
        self.clock_worst = self.clock_worst.max(off.abs());
    }

    pub fn is_owning(&self) -> bool {
        self.up && self.owner.as_ref().is_some_and(|owner| *owner.phase() == Phase::Owning)
    }

    pub fn shaken_by_loss(&mut self, from: u64) {
        self.shaken = true;
        let read = self.owner.as_ref().and_then(|owner| owner.fold().last());
        self.touched = read.is_some_and(|last| last >= from);
    }

    /// Nothing is under way here. Where two are assigned for good, one of them rests.
    pub fn is_at_rest(&self, twice: bool) -> bool {
        let rests = |phase: &Phase| match phase {
            Phase::Owning | Phase::Following => true,
            Phase::Resting { .. } => twice,
            _ => false,
        };
        self.up && !self.revoked && self.owner.as_ref().is_some_and(|o| rests(o.phase()) && o.in_flight() == 0)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = self.owner.as_ref().map(Owner::phase);
        write!(f, "{} up {} assigned {} {phase:?}", self.title(), self.up, self.assigned)
    }
}

impl City {
    pub fn host(&mut self, host: usize) -> &mut Host {
        &mut self.hosts[host]
    }

    /// What the host's clock says.
    pub fn clock(&self, host: usize) -> Timestamp {
        Timestamp(self.now + self.hosts[host].clock)
    }

    // Coming and going

    pub fn start(&mut self, host: usize) {
        if self.hosts[host].up {
            return;
        }
        let before = &self.hosts[host];
        let (start, clock) = (before.start + 1, before.clock);
        *self.host(host) = Host { up: true, start, ..Host::new(host) };
        self.host(host).set_clock(clock);
        say!(self, "{} starts", self.hosts[host].title());
        let name = OwnerName::new(&self.hosts[host].title());
        let chance = self.dice.next();
        let owner = Owner::new(name, SHARDS, self.options.clone(), chance);
        self.host(host).owner = Some(owner);
        self.after(0, Event::To(host, start, ToHost::Turn));
    }

    pub fn crash(&mut self, host: usize) {
        if !self.hosts[host].up {
            return;
        }
        say!(self, "{} crashes", self.hosts[host].title());
        self.seen.crashes += 1;
        self.host(host).up = false;
        let down = self.dice.pick(&[10, 500, 3_000]);
        self.after(down, Event::Start(host));
        if self.dice.chance(800) {
            let span = self.dice.between(100, 1_500);
            self.after(span, Event::Trouble(Trouble::Rebalance));
        }
    }

    pub fn stall(&mut self, host: usize) {
        if !self.hosts[host].up {
            return;
        }
        let span = self.dice.pick(&[30, 400, 2_500, 15_000]);
        say!(self, "{} stalls for {span} ms", self.hosts[host].title());
        self.seen.stalls += 1;
        self.host(host).stalled = true;
        self.after(span, Event::Wake(host));
    }

    pub fn wake(&mut self, host: usize) {
        if !std::mem::take(&mut self.host(host).stalled) {
            return;
        }
        say!(self, "{} wakes", self.hosts[host].title());
        for letter in std::mem::take(&mut self.host(host).inbox) {
            self.hear(host, letter);
        }
    }

    /// The producer gives up: nothing more is reported of what is under way, some of which lands yet.
    pub fn lose_producer(&mut self, host: usize) {
        say!(self, "{} loses its producer", self.hosts[host].title());
        self.host(host).awaited.clear();
        let start = self.hosts[host].start;
        self.after(1, Event::To(host, start, ToHost::Disturbed));
    }

    // What it hears

    pub fn tell(&mut self, host: usize, start: u32, letter: ToHost) {
        let to = self.host(host);
        if !to.up || to.start != start {
            return;
        }
        if to.stalled {
            // One turn is as good as many.
            if !matches!((&letter, to.inbox.back()), (ToHost::Turn, Some(ToHost::Turn))) {
                to.inbox.push_back(letter);
            }
        } else {
            self.hear(host, letter);
        }
    }

    fn hear(&mut self, host: usize, letter: ToHost) {
        match letter {
            ToHost::Turn => self.turn(host),
            ToHost::Assign(word) | ToHost::Revoke(word) if word < self.hosts[host].word => {}
            ToHost::Assign(word) => {
                self.host(host).word = word;
                say!(self, "{} is assigned", self.hosts[host].title());
                self.host(host).assigned = true;
                self.owner(host, Owner::assign);
            }
            ToHost::Revoke(word) => {
                self.host(host).word = word;
                say!(self, "{} is revoked", self.hosts[host].title());
                let to = self.host(host);
                to.assigned = false;
                to.revoked = to.owner.is_some();
                self.owner(host, Owner::revoke);
            }
            ToHost::Disturbed => self.owner(host, Owner::disturbed),
            ToHost::Shaken => {
                self.host(host).warned = self.hosts[host].touched && self.loss_is_unaccepted();
                self.owner(host, Owner::disturbed);
            }
            ToHost::Report { token, landed } => self.reported(host, token, landed),
            ToHost::Bounds { reading, first, end } => self.bounds(host, reading, first, end),
            ToHost::Records { reading } => self.records(host, reading),
            ToHost::Arrived { sent, number } => self.arrived(host, sent, number),
            ToHost::Retry { sent } => {
                if self.hosts[host].on_its_way == Some(sent) {
                    self.host(host).on_its_way = None;
                    self.send_off(host);
                }
            }
        }
        self.act(host);
    }

    fn turn(&mut self, host: usize) {
        let now = self.clock(host);
        self.owner(host, |owner| owner.tick(now));
        let (start, span) = (self.hosts[host].start, self.dice.between(80, 400));
        self.after(span, Event::To(host, start, ToHost::Turn));
    }

    pub fn owner(&mut self, host: usize, tell: impl FnOnce(&mut Owner)) {
        if let Some(owner) = self.host(host).owner.as_mut() {
            tell(owner);
        }
    }

    fn reported(&mut self, host: usize, token: Token, landed: Option<(u64, Timestamp)>) {
        let awaited = &mut self.host(host).awaited;
        let Some(place) = awaited.iter().position(|(awaited, _)| *awaited == token) else { return };
        let (_, step) = awaited.remove(place);
        say!(self, "{} hears of append {token}: {:?}", self.hosts[host].title(), landed.map(|(offset, _)| offset));
        if self.plan.fault == Some(Fault::AnyAcknowledgedIsAccepted) && landed.is_some() {
            self.host(host).leaving.extend(step);
        }
        self.owner(host, |owner| owner.reported(token, landed));
    }

    // What it does

    /// Does what the owner says until it says nothing more.
    pub fn act(&mut self, host: usize) {
        self.perform_all(host);
        self.decide(host);
        self.perform_all(host);
        self.check(host);
    }

    fn perform_all(&mut self, host: usize) {
        for n in 0.. {
            let Some(action) = self.host(host).owner.as_mut().and_then(Owner::poll) else { return };
            self.perform(host, action);
            if n > ACTIONS_MAX {
                self.fail(format!("{} acts without end", self.hosts[host].title()));
                return;
            }
        }
    }

    fn check(&mut self, host: usize) {
        let to = &mut self.hosts[host];
        let Some(owner) = &to.owner else { return };
        if to.checked != owner.fold().next() && !to.shaken {
            to.checked = owner.fold().next();
            let checked = self.truth.check_fold(owner.fold());
            self.must(checked);
        }
    }

    fn perform(&mut self, host: usize, action: Action) {
        match action {
            Action::Read { ticket, from } => self.read(host, Whose::Owner(ticket), from),
            Action::Append { token, record } => self.append(host, token, record),
            Action::Begin => self.begin(host),
            Action::Accepted(step) => self.accepted(host, step),
            Action::Drop(why) => {
                say!(self, "{} drops its state: {}", self.hosts[host].title(), why.as_str());
                self.seen.drops[why as usize] += 1;
                if self.plan.fault != Some(Fault::StateIsKept) {
                    self.host(host).toy = None;
                }
            }
            Action::Hold(alarm) => self.hold(host, &alarm),
            Action::Restore => self.begin_restore(host),
            Action::Released => {
                say!(self, "{} has let go", self.hosts[host].title());
                self.host(host).revoked = false;
                self.host(host).toy = None;
            }
        }
    }

    fn begin(&mut self, host: usize) {
        let fold = self.hosts[host].owner.as_ref().expect("it began").fold();
        let mut toy = Toy::new(fold.documents().filter_map(|d| Some((d.key, d.body?))).collect());
        toy.positions.clone_from(fold.positions());
        toy.ahead.clone_from(fold.ahead());
        toy.at = fold.stand().at;
        let unemitted: VecDeque<Arc<Step>> = fold.unemitted().map(Arc::clone).collect();
        say!(self, "{} begins after step {}, {} to emit", self.hosts[host].title(), fold.stand().step, unemitted.len());
        if self.plan.fault == Some(Fault::RestoredFromProjection) {
            toy.documents = self.projection(&toy.documents);
        }
        let kept = self.plan.fault == Some(Fault::StateIsKept);
        let to = self.host(host);
        if to.toy.is_none() || !kept {
            to.toy = Some(toy);
        }
        if self.plan.fault != Some(Fault::UnemittedIsForgotten) {
            self.host(host).leaving = unemitted;
        }
        self.host(host).on_its_way = None;
        self.send_off(host);
    }

    /// The orders as a reader of the outputs shows them.
    fn projection(&self, documents: &Documents) -> Documents {
        let mut projected = documents.clone();
        for (id, text) in self.outputs.shown() {
            let state = if text == RECALLED { "\"recalled\"" } else { "\"issued\"" };
            if projected.contains_key(id) {
                projected.insert(id.clone(), state.into());
            }
        }
        projected
    }

    fn hold(&mut self, host: usize, alarm: &Alarm) {
        say!(self, "{} is held: {alarm}", self.hosts[host].title());
        self.seen.holds += 1;
        let cause = match alarm {
            Alarm::Skew(_) => self.hosts[host].clock_worst.unsigned_abs() > self.options.skew_max.0,
            // Whose clock jumps may count a short while as a long one: an alarm too early, which ends by itself.
            Alarm::Shrunk { .. } | Alarm::Trimmed { .. } => {
                self.lagging.1 > 1_500 || (self.lagging.1 > 0 && self.hosts[host].clock_worst.unsigned_abs() > 1_000)
            }
            _ => false,
        };
        if !cause && self.loss.is_none() {
            self.fail(format!("{} is held without cause: {alarm}", self.hosts[host].title()));
        }
    }

    // Writing

    fn append(&mut self, host: usize, token: Token, record: Arc<Record>) {
        if matches!(record.body, RecordBody::Claim) {
            let claimed = std::mem::replace(&mut self.host(host).claimed, record.epoch);
            if claimed >= record.epoch {
                self.fail(format!("{} claims epoch {} after {claimed}", self.hosts[host].title(), record.epoch));
            }
            let now = self.now;
            self.claims.insert((record.owner.clone(), record.epoch), now);
        }
        let step = match &record.body {
            RecordBody::Step(step) => Some(Arc::clone(step)),
            _ => None,
        };
        if self.plan.fault == Some(Fault::EmittedBeforeAccepted) {
            self.host(host).leaving.extend(step.clone());
            self.send_off(host);
        }
        self.host(host).awaited.push((token, step));
        self.send(host, token, record);
    }

    /// Sends a record on its way to the broker, and decides what becomes of it.
    fn send(&mut self, host: usize, token: Token, record: Arc<Record>) {
        let to = (host, self.hosts[host].start);
        let weather = self.weather;
        let mut there = self.now + self.delay();
        if !weather.overtaking {
            there = there.max(self.hosts[host].lane);
            self.host(host).lane = there;
        }
        let (mut back, timeout) = (self.delay(), self.dice.pick(&[1, 100, 1_000]));
        if !weather.overtaking {
            back = back.max(self.hosts[host].lane_back - there);
            self.host(host).lane_back = there + back;
        }
        let gave_up = ToHost::Report { token, landed: None };
        let land = |city: &mut Self, at: i64, report| {
            city.at(at, Event::Land { record: Arc::clone(&record), to, token, report });
        };
        if self.dice.chance(weather.lost) {
            self.after(timeout, Event::To(host, to.1, gave_up));
        } else if self.dice.chance(weather.late) {
            let late = there + self.dice.pick(&[100, 1_000, 10_000]);
            self.after(timeout, Event::To(host, to.1, gave_up));
            land(self, late, None);
        } else if self.dice.chance(weather.unacknowledged) {
            land(self, there, None);
            self.at(there + timeout, Event::To(host, to.1, gave_up));
        } else if self.dice.chance(weather.duplicated) {
            let again = there + self.dice.pick(&[0, 5, 300, 3_000]);
            let told_first = self.dice.chance(500);
            let placed = self.dice.chance(700);
            land(self, there, told_first.then_some((placed, back)));
            land(self, again, (!told_first).then_some((placed, back)));
        } else if self.dice.chance(weather.silent) {
            land(self, there, None);
        } else {
            let placed = !self.dice.chance(weather.unplaced);
            land(self, there, Some((placed, back)));
        }
    }

    // Deciding

    fn decide(&mut self, host: usize) {
        while self.may_decide(host) && self.dice.chance(700) {
            let now = self.clock(host);
            let mut toy = self.host(host).toy.take().expect("it may decide");
            toy.at = toy.at.max(now);
            for _ in 0..=self.dice.below(3) {
                let Some((door, offset)) = self.next_input(&toy) else { break };
                let input = self.doors[door][usize::try_from(offset).expect("small")].input;
                toy.take(door, offset, input);
            }
            let owner = self.hosts[host].owner.as_mut().expect("it may decide");
            let mut step = toy.step(owner.next_step());
            self.hosts[host].toy = Some(toy);
            if step.consumed.taken.is_empty() {
                // A mark fired, and came to nothing that is written.
                if !self.dice.chance(20) {
                    return;
                }
                if self.dice.chance(500) {
                    step.positions.clear();
                    step.consumed.ahead.clear();
                }
            }
            if self.plan.fault == Some(Fault::ReadAheadIsForgotten) {
                step.consumed.ahead.clear();
            }
            self.owner(host, |owner| owner.append(Arc::new(step)));
        }
    }

    fn may_decide(&self, host: usize) -> bool {
        let host = &self.hosts[host];
        let may = host.owner.as_ref().is_some_and(Owner::may_append);
        may && host.toy.is_some() && host.leaving.len() < LEAVING_MAX
    }

    /// What is urgent and near goes first.
    fn next_input(&mut self, toy: &Toy) -> Option<(usize, u64)> {
        let waiting = |door: usize, offset: u64| {
            let arrived = self.doors[door].get(usize::try_from(offset).expect("small"))?;
            (!toy.has_ahead(door, offset)).then_some((offset, arrived.urgent))
        };
        for door in 0..DOORS.len() {
            let position = toy.position(door);
            let urgent = (position..position + LOOK_AHEAD)
                .filter_map(|offset| waiting(door, offset))
                .find(|(_, urgent)| *urgent);
            if let Some((offset, _)) = urgent {
                return Some((door, offset));
            }
        }
        let doors = [0, 1].map(|door| waiting(door, toy.position(door)).map(|(offset, _)| (door, offset)));
        let first = usize::from(Dice::chance(&mut self.dice, 400));
        doors[first].or(doors[1 - first])
    }

    fn accepted(&mut self, host: usize, step: Arc<Step>) {
        say!(self, "{} accepts step {}", self.hosts[host].title(), step.number);
        if self.hosts[host].warned {
            self.fail(format!("{} acts on, though what it had read is lost", self.hosts[host].title()));
        }
        self.hosts[host].touched |= self.was_lost(&step);
        if !self.truth.has(&step) && !self.was_lost(&step) {
            self.fail(format!("{} accepts step {}, which does not stand", self.hosts[host].title(), step.number));
        }
        if !matches!(self.plan.fault, Some(Fault::EmittedBeforeAccepted | Fault::AnyAcknowledgedIsAccepted)) {
            self.host(host).leaving.push_back(step);
        }
        self.send_off(host);
        let fold = self.hosts[host].owner.as_ref().expect("it accepted").fold();
        let low = if self.plan.fault == Some(Fault::TrimmedBelowWhatNobodyCarries) {
            Some(fold.low())
        } else {
            fold.carried().cloned()
        };
        let Some(low) = low else { return };
        if self.dice.chance(300) {
            self.hints.push(low.clone());
        }
        if self.dice.chance(200) {
            let span = self.dice.between(0, 3_000);
            self.after(span, Event::Trim(low.offset));
        }
    }

    // Emitting

    /// Effects leave one step after the other; the next when those of the one before are known to have arrived.
    fn send_off(&mut self, host: usize) {
        if self.hosts[host].on_its_way.is_some() {
            return;
        }
        let Some(step) = self.hosts[host].leaving.front().map(Arc::clone) else { return };
        let to = self.host(host);
        to.sent += 1;
        to.on_its_way = Some(to.sent);
        let (sent, start, number) = (to.sent, to.start, step.number);
        let delay = self.delay();
        let arrives = !self.dice.chance(self.weather.unemitted);
        let told = arrives && !self.dice.chance(self.weather.unemitted);
        if arrives {
            let late = !self.peace && self.dice.chance(50);
            let delay = if late { delay + 3_000 } else { delay };
            self.after(delay, Event::Emit { step, to: (host, start), sent, told });
        }
        if !told {
            self.after(delay + 700, Event::To(host, start, ToHost::Retry { sent }));
        }
        if self.plan.fault == Some(Fault::EmittedWhenSent) {
            self.owner(host, |owner| owner.emitted(number));
        }
    }

    fn arrived(&mut self, host: usize, sent: u64, number: u64) {
        self.owner(host, |owner| owner.emitted(number));
        let to = self.host(host);
        if to.on_its_way == Some(sent) {
            to.on_its_way = None;
            to.leaving.pop_front();
            self.send_off(host);
        }
    }
}
