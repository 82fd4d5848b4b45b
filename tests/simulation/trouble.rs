//! Trouble, and its end.

use crate::city::{City, Event, Kind, say};
use crate::dice::Dice;
use crate::host::ToHost;

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

impl Weather {
    pub fn good(dice: &mut Dice) -> Self {
        Self { delay: dice.pick(&[2, 10, 60]), ..Self::default() }
    }

    pub fn bad(dice: &mut Dice) -> Self {
        let often = dice.pick(&[5, 30, 120]);
        let mut some = || if dice.chance(500) { often } else { 0 };
        Self {
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

impl Trouble {
    pub fn any(dice: &mut Dice) -> Self {
        match dice.below(20) {
            0..=2 => Self::Crash,
            3..=5 => Self::Stall,
            6 => Self::Drift,
            7 => Self::ClockJump,
            8..=10 => Self::Rebalance,
            11 | 12 => Self::TwoAssigned,
            13 => Self::NobodyAssigned,
            14 | 15 => Self::NewLeader,
            16 => Self::Storm,
            17 => Self::BrokerDown,
            18 => Self::ProducerLost,
            _ => Self::Garbage,
        }
    }
}

impl City {
    pub fn trouble(&mut self, trouble: Trouble) {
        if self.peace {
            return;
        }
        let host = self.dice.below(self.hosts.len());
        match trouble {
            Trouble::Crash => self.crash(host),
            Trouble::Stall => self.stall(host),
            Trouble::Drift => {
                let off = self.dice.between(-400, 400);
                self.set_clock(host, off);
            }
            Trouble::ClockJump => {
                let off = self.dice.pick(&[-3_600_000, -20_000, -2_500, 1_500, 5_000, 40_000, 3_600_000]);
                self.set_clock(host, off);
            }
            Trouble::Rebalance => self.rebalance(),
            Trouble::TwoAssigned => {
                say!(self, "group: {host} beside whoever else");
                self.assign(host);
            }
            Trouble::NobodyAssigned => (0..self.hosts.len()).for_each(|host| self.revoke(host)),
            Trouble::NewLeader => self.new_leader(),
            Trouble::Storm => {
                let (before, storm) = (self.weather, Weather::bad(&mut self.dice));
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

    /// The group names one; the others hear of it sooner or later, or much later, or never.
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
        let word = ToHost::Assign(self.count());
        self.after(delay, Event::To(host, self.hosts[host].start, word));
    }

    fn revoke(&mut self, host: usize) {
        let delay = self.dice.pick(&[0, 0, 5, 100, 2_000]);
        let word = ToHost::Revoke(self.count());
        self.after(delay, Event::To(host, self.hosts[host].start, word));
    }

    /// Another replica leads: for a while it does not know how far the log goes, and clients see that something happened.
    fn new_leader(&mut self) {
        let span = self.dice.pick(&[50, 400, 1_200, 6_000]);
        let back = self.dice.between(0, 4).unsigned_abs();
        let (before, longest) = if self.now < self.lag.0 + LAG_PAUSE { self.lagging } else { (0, self.lagging.1) };
        self.lagging = (before + span, longest.max(before + span));
        self.lag = (self.now + span, self.log.end().saturating_sub(back).max(self.log.first()));
        say!(self, "new leader: the log seems to end at {} for {span} ms", self.lag.1);
        for host in 0..self.hosts.len() {
            if self.dice.chance(700) {
                let (delay, start) = (self.dice.between(0, 200), self.hosts[host].start);
                self.after(delay, Event::To(host, start, ToHost::Disturbed));
            }
        }
    }

    /// Trouble ends: whoever was down comes up, clocks are set, the network is good, the group has one word.
    pub fn make_peace(&mut self) {
        say!(self, "peace");
        self.peace = true;
        self.peace_since = self.now;
        self.weather = Weather { delay: 20, ..Weather::default() };
        self.lag.0 = self.lag.0.min(self.now + 500);
        self.broker_back = self.broker_back.min(self.now + 500);
        for host in 0..self.hosts.len() {
            self.hosts[host].set_clock(0);
            if !self.hosts[host].up {
                self.after(0, Event::Start(host));
            }
            self.after(0, Event::Wake(host));
        }
        let chosen = self.dice.below(self.hosts.len());
        for host in 0..self.hosts.len() {
            let named = host == chosen || (self.twice && host < 2);
            let word = if named { ToHost::Assign(self.count()) } else { ToHost::Revoke(self.count()) };
            let start = self.hosts[host].start + u32::from(!self.hosts[host].up);
            let delay = self.dice.between(1, 300);
            self.after(delay, Event::To(host, start, word));
        }
        if self.plan.kind == Kind::TwoForAnHour {
            for _ in 0..20 {
                let span = self.dice.between(1_000, 3_500_000);
                self.after(span, Event::Input(0, crate::toy::Input::Report, false));
            }
        }
    }
}

/// Two lags with less than this between them are one: nobody has looked meanwhile.
const LAG_PAUSE: i64 = 1_000;
