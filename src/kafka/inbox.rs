//! What was read from the input topics and is not decided yet, in the order in which it shall be.
//!
//! # Positions
//! Of each door (input topic) the inbox knows the *next* offset, below which everything is decided, and the set of
//! offsets *ahead* of it that are decided already: the bottom line is taken out of turn. Both go into every step, so that
//! a successor neither loses nor doubles what was taken ahead; membership of that set decides, never the classification
//! anew. The set is bounded: when it is full, nothing more is taken out of turn until the door has caught up.
//!
//! # Order, and how far time may go
//! What posts and operators say goes first, with the bottom-line reports, in the order of receipt; ordinary reports follow.
//! A post's act that was received before its mark keeps it, also when it is read later: so time goes only to
//! the receipt of the first word of a post or an operator that waits; and while such words may still lie unread in a log
//! that we are behind (`goal`), time stands still. Ordinary reports hold nothing up.
//!
//! The design asked that a backlog of reports, too, be decided as of its receipts. Then an order would be issued in the
//! past, its signature overdue before it can leave the house, and the next post called for nothing. So a report is decided as of now;
//! what counts from its receipt (the marks of the incident) still does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use smol_str::SmolStr;

use crate::journal::Refused;
use crate::model::{Body, CommandArea, Event, Lane, Timestamp, Verdict};

/// An input topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Door {
    /// What operators command.
    Commands,
    /// What posts say and do.
    Field,
    /// What producers report.
    Reports,
}

impl Door {
    /// All of them. At one instant, operators come before posts and posts before producers.
    pub const ALL: [Self; 3] = [Self::Commands, Self::Field, Self::Reports];

    /// The name in positions, and the topic's name without its prefix.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Field => "field",
            Self::Reports => "reports",
        }
    }
}

/// One message, read and judged.
#[derive(Debug)]
pub struct Message {
    /// Where it came in.
    pub door: Door,
    /// Its offset there.
    pub offset: u64,
    /// The broker's append time.
    pub received: Timestamp,
    /// Bytes of it.
    pub bytes: usize,
    /// Somebody waits for its answer.
    pub wants_answer: bool,
    /// What it is.
    pub content: Content,
}

/// What a message is.
#[derive(Debug)]
pub enum Content {
    /// An event of one of our command areas.
    Event(CommandArea, Box<Event>, Option<Box<Verdict>>),
    /// A report that belongs into another shard.
    Foreign(CommandArea, Box<Event>),
    /// It could not be read.
    Refused(Refused),
    /// A position that was decided before, read again after a restore: applied, never decided.
    Again(CommandArea, Box<Event>),
}

impl Message {
    fn lane(&self) -> Lane {
        match &self.content {
            Content::Event(_, _, Some(verdict)) => verdict.classification.lane,
            Content::Event(_, event, None) if matches!(event.body, Body::Report(_)) => Lane::Ordinary,
            Content::Event(..) | Content::Again(..) => Lane::BottomLine,
            // Cheap, but nobody waits for them.
            Content::Foreign(..) | Content::Refused(_) => Lane::Ordinary,
        }
    }
}

/// The bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxBounds {
    /// Messages that may wait.
    pub messages: usize,
    /// Bytes that they may hold.
    pub bytes: usize,
    /// Percent of both that only the bottom line may use.
    pub reserve_percent: u8,
    /// Offsets of one door that may be decided ahead of its position.
    pub ahead: usize,
}

#[derive(Debug, Default)]
struct Place {
    /// Everything below is decided.
    next: u64,
    /// Decided at or after `next`.
    ahead: BTreeSet<u64>,
    /// The offset after the last one read.
    read: u64,
    /// Where the log ended when we took over: until it is read to there, words of posts may lie unread.
    goal: u64,
    /// Waiting here.
    waiting: BTreeSet<u64>,
    /// Those of them that were read ahead of `read`.
    scouted: BTreeSet<u64>,
}

/// The inbox of a shard.
#[derive(Debug)]
pub struct Inbox {
    bounds: InboxBounds,
    places: BTreeMap<Door, Place>,
    /// Words of posts and operators, by receipt.
    words: BTreeMap<(Timestamp, Door, u64), Message>,
    /// Bottom-line reports, in the order of the log.
    urgent: BTreeMap<u64, Message>,
    ordinary: VecDeque<Message>,
    bytes: usize,
    /// The scout is on its way to the end of a backlog: nothing ordinary is decided before it has been there.
    scouting: bool,
}

impl Inbox {
    /// An inbox that goes on from these positions.
    #[must_use]
    pub fn new(
        bounds: InboxBounds,
        positions: &BTreeMap<SmolStr, u64>,
        ahead: &BTreeMap<SmolStr, BTreeSet<u64>>,
    ) -> Self {
        let place = |door: Door| {
            let next = positions.get(door.as_str()).copied().unwrap_or(0);
            let ahead = ahead.get(door.as_str()).cloned().unwrap_or_default();
            (door, Place { next, ahead, read: next, ..Place::default() })
        };
        Self {
            bounds,
            places: Door::ALL.into_iter().map(place).collect(),
            words: BTreeMap::new(),
            urgent: BTreeMap::new(),
            ordinary: VecDeque::new(),
            bytes: 0,
            scouting: false,
        }
    }

    // In

    /// The log of this door begins at `first` and ended at `end` when we took over. Where nothing was decided yet, reading
    /// begins at its beginning.
    pub fn opened(&mut self, door: Door, first: u64, end: u64) {
        let place = self.place(door);
        if place.next < first {
            place.next = first;
            place.ahead = place.ahead.split_off(&first);
        }
        place.read = place.read.max(place.next);
        place.goal = end;
    }

    /// The log of this door has lost its end, and somebody has accepted that: it is read again from here, for what stands there
    /// now took the offsets of what is lost.
    pub fn cut(&mut self, door: Door, from: u64) {
        let place = self.place(door);
        (place.next, place.read) = (from, from);
        place.ahead.clear();
    }

    /// Whether this offset is still to be read: neither decided, nor waiting here already.
    #[must_use]
    pub fn wants(&self, door: Door, offset: u64) -> bool {
        self.places
            .get(&door)
            .is_some_and(|p| offset >= p.read && !p.ahead.contains(&offset) && !p.waiting.contains(&offset))
    }

    /// Whether this offset, read ahead of turn, can be taken: not yet reached, decided or waiting, and there is room.
    #[must_use]
    pub fn wants_ahead(&self, door: Door, offset: u64) -> bool {
        let room = |p: &Place| p.ahead.len() + p.scouted.len() < self.bounds.ahead;
        self.wants(door, offset) && self.places.get(&door).is_some_and(room)
    }

    /// Passes over offsets up to `offset`, which hold nothing for us (decided ahead, or no message at all).
    pub fn pass(&mut self, door: Door, offset: u64) {
        let place = self.place(door);
        place.read = place.read.max(offset);
        place.scouted = place.scouted.split_off(&offset);
        self.settle(door);
    }

    /// Takes in the next message of its door. Offsets before it that were never read hold nothing.
    pub fn put(&mut self, message: Message) {
        let place = self.place(message.door);
        place.read = place.read.max(message.offset + 1);
        place.scouted.remove(&message.offset);
        self.keep(message);
    }

    /// Takes in a bottom-line report from farther on, out of turn.
    pub fn put_ahead(&mut self, message: Message) {
        self.place(message.door).scouted.insert(message.offset);
        self.keep(message);
    }

    /// Takes in a position of a post that was decided before: applied again, never decided again.
    pub fn put_again(&mut self, message: Message) {
        self.bytes += message.bytes;
        self.words.insert((message.received, message.door, message.offset), message);
    }

    /// The scout is on its way to the end of a backlog, or has been there.
    pub fn scouting(&mut self, is_out: bool) {
        self.scouting = is_out;
    }

    fn keep(&mut self, message: Message) {
        self.bytes += message.bytes;
        self.place(message.door).waiting.insert(message.offset);
        match (message.door, message.lane()) {
            (Door::Reports, Lane::BottomLine) => _ = self.urgent.insert(message.offset, message),
            (Door::Reports, Lane::Ordinary) => self.ordinary.push_back(message),
            (door, _) => _ = self.words.insert((message.received, door, message.offset), message),
        }
    }

    // Out

    /// The next message of a step whose last one was of lane `after`. The bottom line first; once a step has reached the
    /// ordinary reports, what comes in for the bottom line opens the next one.
    pub fn pop(&mut self, after: Option<Lane>) -> Option<(Message, Lane)> {
        let ordinary_waits = self.scouting;
        let urgent_may = self.urgent.first_key_value().filter(|(offset, _)| self.may_be_next(**offset));
        let urgent = urgent_may.map(|(offset, message)| (message.received, *offset));
        let word = self.words.first_key_value().map(|((received, ..), _)| *received);
        let is_urgent = word.is_some() || urgent.is_some();
        if is_urgent && after == Some(Lane::Ordinary) {
            return None;
        }
        let message = match (word, urgent) {
            (Some(word), Some((received, offset))) if received < word => self.urgent.remove(&offset)?,
            (Some(_), _) => self.words.pop_first()?.1,
            (None, Some((_, offset))) => self.urgent.remove(&offset)?,
            (None, None) if ordinary_waits => return None,
            (None, None) => self.ordinary.pop_front()?,
        };
        self.bytes -= message.bytes;
        Some((message, if is_urgent { Lane::BottomLine } else { Lane::Ordinary }))
    }

    /// An offset may be decided now: it is the next one of the reports, or there is room to decide it ahead.
    fn may_be_next(&self, offset: u64) -> bool {
        self.places.get(&Door::Reports).is_some_and(|p| offset == p.next || p.ahead.len() < self.bounds.ahead)
    }

    /// This offset is decided.
    pub fn decided(&mut self, door: Door, offset: u64) {
        let place = self.place(door);
        place.waiting.remove(&offset);
        place.scouted.remove(&offset);
        if offset >= place.next {
            place.ahead.insert(offset);
        }
        self.settle(door);
    }

    /// Moves the position over everything that is decided or holds nothing.
    fn settle(&mut self, door: Door) {
        let place = self.place(door);
        // What was read and does not wait is decided, or was nothing.
        let to = place.waiting.first().copied().unwrap_or(place.read).min(place.read);
        if to > place.next {
            place.next = to;
            place.ahead = place.ahead.split_off(&to);
        }
        while place.ahead.remove(&place.next) {
            place.next += 1;
        }
        place.read = place.read.max(place.next);
    }

    // Look

    /// How far time may go before the next message is stepped: see the module. `last` is the instant of the last step.
    #[must_use]
    pub fn until(&self, last: Timestamp, now: Timestamp) -> Timestamp {
        let waits = self.words.first_key_value().map(|((received, ..), _)| *received);
        match waits {
            Some(received) => received.min(now).max(last),
            None if self.is_behind() => last,
            None => now.max(last),
        }
    }

    /// Whether words of posts or operators from before we took over may still lie unread.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        [Door::Commands, Door::Field].iter().any(|door| self.places.get(door).is_some_and(|p| p.read < p.goal))
    }

    /// Whether nothing waits that could be decided now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && self.urgent.is_empty() && (self.ordinary.is_empty() || self.scouting)
    }

    /// Whether ordinary reports have to wait outside. What posts and operators say always comes in.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let share = 100 - usize::from(self.bounds.reserve_percent.min(100));
        let waiting = self.words.len() + self.urgent.len() + self.ordinary.len();
        waiting * 100 >= self.bounds.messages * share || self.bytes / 100 * 100 >= self.bounds.bytes / 100 * share
    }

    /// Messages and bytes that wait, the bottom line apart.
    #[must_use]
    pub fn depth(&self) -> (usize, usize, usize) {
        (self.words.len() + self.urgent.len(), self.ordinary.len(), self.bytes)
    }

    /// The offset after the last one read at a door.
    #[must_use]
    pub fn read_to(&self, door: Door) -> u64 {
        self.places.get(&door).map_or(0, |p| p.read)
    }

    /// The next offset of each door, for a step.
    #[must_use]
    pub fn positions(&self) -> BTreeMap<SmolStr, u64> {
        self.places.iter().map(|(door, place)| (door.as_str().into(), place.next)).collect()
    }

    /// The offsets ahead of them that are decided, for a step.
    #[must_use]
    pub fn ahead(&self) -> BTreeMap<SmolStr, BTreeSet<u64>> {
        let some = self.places.iter().filter(|(_, place)| !place.ahead.is_empty());
        some.map(|(door, place)| (door.as_str().into(), place.ahead.clone())).collect()
    }

    fn place(&mut self, door: Door) -> &mut Place {
        self.places.entry(door).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Digest, Meta, Report};

    const BOUNDS: InboxBounds = InboxBounds { messages: 10, bytes: 10_000, reserve_percent: 20, ahead: 3 };

    fn refused(door: Door, offset: u64, received: i64) -> Message {
        let content = Content::Refused(Refused {
            door: door.as_str().into(),
            offset,
            reason: "not-json".into(),
            field: None,
            detail: String::new(),
        });
        Message { door, offset, received: Timestamp(received), bytes: 10, wants_answer: false, content }
    }

    /// A report as it stands after its judgement: only its lane matters here.
    fn report(offset: u64, received: i64, lane: Lane) -> Message {
        let meta =
            Meta { source: "110".into(), id: "1".into(), time: None, traceparent: None, digest: Digest::of(b"1") };
        let event = Event { meta, received: Timestamp(received), body: Body::Report(Box::<Report>::default()) };
        let mut verdict = verdict();
        verdict.classification.lane = lane;
        let content = Content::Event("4304".into(), Box::new(event), Some(Box::new(verdict)));
        Message { door: Door::Reports, offset, received: Timestamp(received), bytes: 10, wants_answer: false, content }
    }

    fn verdict() -> Verdict {
        let text = r#"{"place":{"spot":"unknown","area":null,"county":null,"site":null,"ring":"rural","risk_class":null,
            "accuracy_m":null,"position":null},"classification":{"category":"a/b/c","severity":"III","ring":"rural",
            "lane":"ordinary","plan":"p","rule":"r","modifiers":[],"trigger_at_once":false,"playbook":"h"}}"#;
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        Verdict {
            place: serde_json::from_value(value["place"].clone()).unwrap(),
            classification: serde_json::from_value(value["classification"].clone()).unwrap(),
        }
    }

    fn inbox() -> Inbox {
        Inbox::new(BOUNDS, &BTreeMap::new(), &BTreeMap::new())
    }

    fn take(inbox: &mut Inbox, after: Option<Lane>) -> Option<(Door, u64)> {
        let (message, _) = inbox.pop(after)?;
        inbox.decided(message.door, message.offset);
        Some((message.door, message.offset))
    }

    #[test]
    fn the_bottom_line_is_taken_out_of_turn_and_remembered_ahead() {
        let mut inbox = inbox();
        for offset in 0..4 {
            inbox.put(report(offset, 100, if offset == 2 { Lane::BottomLine } else { Lane::Ordinary }));
        }
        assert_eq!(take(&mut inbox, None), Some((Door::Reports, 2)));
        assert_eq!(inbox.positions()["reports"], 0);
        assert_eq!(inbox.ahead()["reports"], BTreeSet::from([2]));
        assert_eq!(take(&mut inbox, None), Some((Door::Reports, 0)));
        assert_eq!(take(&mut inbox, Some(Lane::Ordinary)), Some((Door::Reports, 1)));
        assert_eq!(inbox.positions()["reports"], 3, "what was decided ahead is passed over");
        assert!(inbox.ahead().is_empty());
    }

    #[test]
    fn a_successor_goes_on_from_position_and_set() {
        let ahead = BTreeMap::from([("reports".into(), BTreeSet::from([7, 9]))]);
        let mut inbox = Inbox::new(BOUNDS, &BTreeMap::from([("reports".into(), 6)]), &ahead);
        inbox.opened(Door::Reports, 0, 11);
        let wanted: Vec<u64> = (4..11).filter(|offset| inbox.wants(Door::Reports, *offset)).collect();
        assert_eq!(wanted, [6, 8, 10]);
        for offset in wanted {
            inbox.put(report(offset, 1, Lane::Ordinary));
        }
        while take(&mut inbox, None).is_some() {}
        assert_eq!(inbox.positions()["reports"], 11);
        assert!(inbox.ahead().is_empty());
    }

    #[test]
    fn a_log_that_was_cut_is_read_again_from_there() {
        let ahead = BTreeMap::from([("reports".into(), BTreeSet::from([12]))]);
        let mut inbox = Inbox::new(BOUNDS, &BTreeMap::from([("reports".into(), 10)]), &ahead);
        inbox.opened(Door::Reports, 0, 6);
        inbox.cut(Door::Reports, 4);
        assert!(inbox.wants(Door::Reports, 4) && inbox.ahead().is_empty());
        inbox.put(report(4, 1, Lane::Ordinary));
        assert_eq!(take(&mut inbox, None), Some((Door::Reports, 4)));
        assert_eq!(inbox.positions()["reports"], 5);
    }

    #[test]
    fn words_of_posts_come_by_receipt_and_hold_time() {
        let mut inbox = inbox();
        inbox.put(refused(Door::Field, 0, 50));
        inbox.put(refused(Door::Commands, 0, 40));
        inbox.put(report(0, 10, Lane::Ordinary));
        inbox.put(report(1, 45, Lane::BottomLine));
        assert_eq!(inbox.until(Timestamp(5), Timestamp(99)), Timestamp(40));
        assert_eq!(take(&mut inbox, None), Some((Door::Commands, 0)));
        assert_eq!(take(&mut inbox, None), Some((Door::Reports, 1)));
        assert_eq!(inbox.until(Timestamp(5), Timestamp(99)), Timestamp(50));
        assert_eq!(take(&mut inbox, None), Some((Door::Field, 0)));
        assert_eq!(inbox.until(Timestamp(5), Timestamp(99)), Timestamp(99), "an ordinary report holds nothing up");
        assert_eq!(take(&mut inbox, None), Some((Door::Reports, 0)));
    }

    #[test]
    fn time_stands_still_while_words_may_lie_unread() {
        let mut inbox = inbox();
        inbox.opened(Door::Field, 0, 2);
        assert!(inbox.is_behind());
        assert_eq!(inbox.until(Timestamp(5), Timestamp(99)), Timestamp(5));
        inbox.put(refused(Door::Field, 0, 30));
        assert_eq!(inbox.until(Timestamp(5), Timestamp(99)), Timestamp(30));
        inbox.pass(Door::Field, 2);
        assert!(!inbox.is_behind());
    }

    #[test]
    fn the_set_ahead_is_bounded() {
        let mut inbox = inbox();
        inbox.put(report(0, 1, Lane::Ordinary));
        for offset in 1..6 {
            inbox.put(report(offset, 1, Lane::BottomLine));
        }
        let taken: Vec<u64> = std::iter::from_fn(|| take(&mut inbox, None)).map(|(_, offset)| offset).take(6).collect();
        assert_eq!(taken, [1, 2, 3, 0, 4, 5], "after three ahead the first has to be decided");
        assert_eq!(inbox.positions()["reports"], 6);
    }

    #[test]
    fn what_was_scouted_is_read_once() {
        let mut inbox = inbox();
        inbox.put(report(0, 1, Lane::Ordinary));
        assert!(inbox.wants_ahead(Door::Reports, 500));
        inbox.put_ahead(report(500, 2, Lane::BottomLine));
        assert!(!inbox.wants(Door::Reports, 500));
        assert_eq!(take(&mut inbox, None), Some((Door::Reports, 500)));
        assert_eq!(inbox.ahead()["reports"], BTreeSet::from([500]));
        assert!(!inbox.wants(Door::Reports, 500) && inbox.wants(Door::Reports, 499));
        inbox.pass(Door::Reports, 499);
        inbox.put(report(499, 3, Lane::Ordinary));
        while take(&mut inbox, None).is_some() {}
        assert_eq!(inbox.positions()["reports"], 501);
    }

    #[test]
    fn ordinary_reports_wait_outside_at_four_fifths() {
        let mut inbox = inbox();
        for offset in 0..8 {
            assert!(!inbox.is_full());
            inbox.put(report(offset, 1, Lane::Ordinary));
        }
        assert!(inbox.is_full());
    }
}
