//! Following one shard's journal: where to begin, how far it has been read, what it came to. A machine without I/O, as
//! the owner's is; it never takes part in deciding.
//!
//! ```text
//!           bounds known        records read for a mark        goal reached, complete
//!   Waiting ────────────► Asking ───────────────────► Restoring ─────────────────────► Following
//!     ▲ ▲                   ▲                             │                                │
//!     │ │                   └── once more, thoroughly ◄───┤ cannot be folded               │
//!     │ └── after a rest ── Broken ◄──────────────────────┘                                │
//!     └── the log begins above, or ends below, where it was read to; an acceptance ◄───────┘
//! ```
//! A restore begins at the mark of the newest record whose mark is still in the log: that is quick. Where it does not lead
//! to the end, it is made once more as an owner makes it: from the log's beginning, or from the lowest mark of all records
//! since the last acceptance. Of heads only this is taken: how far the log must reach. A log that was damaged is read anew
//! now and then: an operator's acceptance mends it.

use std::sync::Arc;

use super::heads::Head;
use crate::engine::Document;
use crate::journal::Step;
use crate::journal::log::{Fold, Low, Malformed, OwnerName, Record, RecordBody, Stand, Verdict};
use crate::model::{Millis, Timestamp};
use crate::wire::Shard;

/// So many of the newest records are asked for a mark.
const ASKED: u64 = 64;
/// A journal that cannot be read is tried again after so long.
const REST: Millis = Millis(5_000);
/// A log that stays shorter than what was read for so long has lost records; a new leader may only not know better yet.
const SHORT: Millis = Millis(5_000);

/// Where a log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset that is still there.
    pub first: u64,
    /// The offset after the last one.
    pub end: u64,
    /// When that was asked: whatever was appended before is below `end`.
    pub asked: Timestamp,
}

/// What a record of the log is to whoever follows.
#[derive(Debug, PartialEq)]
pub enum Heard {
    /// Nothing to tell.
    Nothing,
    /// A step that was accepted before we were here: its documents come with the restore.
    Past(Arc<Step>),
    /// A step that was accepted now, by this owner.
    Accepted(Arc<Step>, OwnerName),
    /// It counts for nothing, for this reason.
    Void(&'static str),
    /// All that was there is read: the newest documents as of this step.
    Restored(u64, Vec<Document>),
}

/// Marks that records carry and that are still in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    newest: Option<Low>,
    /// The lowest since the last acceptance: before it, marks may speak of a log that is no more.
    lowest: Option<Low>,
    line: bool,
}

/// How far a journal is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Until it is known where the log begins and ends.
    Waiting,
    /// Records are read for a mark.
    Asking {
        /// The next one.
        next: u64,
        /// Up to here.
        until: u64,
        /// What was found.
        marks: Marks,
        /// All of them are read, not only the newest.
        thorough: bool,
    },
    /// Reads from a mark to what was the end when it began.
    Restoring {
        /// The mark.
        from: u64,
        /// That end.
        goal: u64,
        /// The mark was sought thoroughly.
        thorough: bool,
    },
    /// Reads what comes.
    Following,
    /// It cannot be read.
    Broken {
        /// Why.
        why: String,
        /// It is tried again then.
        until: Timestamp,
    },
}

impl Stage {
    /// The word for it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting | Self::Asking { .. } => "waiting",
            Self::Restoring { .. } => "restoring",
            Self::Following => "following",
            Self::Broken { .. } => "broken",
        }
    }
}

/// One shard's journal as it is followed.
#[derive(Debug)]
pub struct Track {
    shard: Shard,
    stage: Stage,
    fold: Fold,
    /// The highest step that was ever seen accepted, here or in a head.
    known: Stand,
    /// The last step that was told as accepted now; `None` before the first restore.
    told: Option<u64>,
    bounds: Option<Bounds>,
    /// Everything appended before was read.
    current: Option<Timestamp>,
    /// When the last record was read.
    moved: Timestamp,
    short_since: Option<Timestamp>,
    /// Counts up whenever reading goes on elsewhere than after the last record.
    turns: u64,
    /// Why reading began anew, until somebody asks.
    renewed: Option<&'static str>,
}

impl Track {
    /// A journal of which nothing is known yet.
    #[must_use]
    pub fn new(shard: Shard) -> Self {
        Self {
            shard,
            stage: Stage::Waiting,
            fold: Fold::from(Low::default(), shard.of),
            known: Stand::default(),
            told: None,
            bounds: None,
            current: None,
            moved: Timestamp(0),
            short_since: None,
            turns: 0,
            renewed: None,
        }
    }

    // In

    /// A hint from outside the log: so much was accepted.
    pub fn hinted(&mut self, head: Head) {
        if head.stand.step > self.known.step {
            self.known = head.stand;
        }
    }

    /// The log begins and ends here.
    pub fn bounded(&mut self, bounds: Bounds) {
        self.bounds = Some(bounds);
        let now = bounds.asked;
        let next = match &self.stage {
            Stage::Waiting => return self.begin(bounds),
            Stage::Broken { until, .. } if now >= *until => return self.anew("broken"),
            Stage::Broken { .. } => return,
            Stage::Asking { next, .. } => *next,
            Stage::Restoring { .. } | Stage::Following => self.fold.next(),
        };
        if bounds.first > next {
            return self.anew("trimmed");
        }
        if bounds.end < next {
            let since = *self.short_since.get_or_insert(now);
            if now.since(since) >= SHORT {
                self.anew("short");
            }
            return;
        }
        self.short_since = None;
        if bounds.end == next && self.stage == Stage::Following {
            self.current = Some(now);
        }
    }

    /// The next thing of the log, as it stands there.
    ///
    /// What is not the next one is passed over: a client may tell twice, or begin early.
    pub fn read(&mut self, offset: u64, appended: Timestamp, bytes: &[u8], now: Timestamp) -> Vec<Heard> {
        if self.reading() != Some(offset) {
            if self.reading().is_some_and(|next| offset > next) {
                self.broke("the log has a gap", now);
            }
            return Vec::new();
        }
        self.moved = now;
        if let Stage::Asking { .. } = self.stage {
            self.ask(bytes);
            return Vec::new();
        }
        let mut heard = Vec::new();
        match Record::decode(bytes) {
            Ok(record) => heard.push(self.record(offset, appended, &record, now)),
            Err(why @ Malformed::Newer(_)) => self.broke(&why.to_string(), now),
            Err(Malformed::Foreign(_)) => {
                if let Err(missing) = self.fold.skip(offset, appended) {
                    self.broke(&missing.to_string(), now);
                }
            }
        }
        heard.extend(self.restored(now));
        heard.retain(|heard| *heard != Heard::Nothing);
        heard
    }

    /// Something odd was seen, after which nobody knows whether what was read still stands in the log.
    pub fn doubted(&mut self) {
        if self.reading().is_some() {
            self.anew("doubted");
        }
    }

    /// What is to be told without any record: a log that ends where the restore began is restored at once.
    pub fn settled(&mut self, now: Timestamp) -> Option<Heard> {
        self.restored(now)
    }

    /// Why reading began anew since this was asked last.
    pub fn renewed(&mut self) -> Option<&'static str> {
        self.renewed.take()
    }

    // Look

    /// The next offset to be read; `None` while there is none.
    #[must_use]
    pub fn reading(&self) -> Option<u64> {
        match &self.stage {
            Stage::Waiting | Stage::Broken { .. } => None,
            Stage::Asking { next, .. } => Some(*next),
            Stage::Restoring { .. } | Stage::Following => Some(self.fold.next()),
        }
    }

    /// Counts up whenever reading goes on elsewhere.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// Which shard.
    #[must_use]
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// How far it is followed.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// What the records came to, as far as they were read.
    #[must_use]
    pub fn fold(&self) -> &Fold {
        &self.fold
    }

    /// What is known to have been accepted, here or by a hint.
    #[must_use]
    pub fn known(&self) -> &Stand {
        &self.known
    }

    /// Everything appended before this instant was read.
    #[must_use]
    pub fn current(&self) -> Option<Timestamp> {
        self.current
    }

    /// Records that are in the log and not read yet, as far as is known.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        let next = self.reading().unwrap_or(0);
        self.bounds.map(|bounds| bounds.end.saturating_sub(next.max(bounds.first)))
    }

    /// How much of the restore is done, from 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    pub fn progress(&self) -> f64 {
        match &self.stage {
            Stage::Following => 1.0,
            Stage::Restoring { from, goal, .. } => {
                (self.fold.next() - from) as f64 / (goal.saturating_sub(*from)).max(1) as f64
            }
            _ => 0.0,
        }
    }

    /// Whether records lie unread although none came for so long.
    #[must_use]
    pub fn stands_still(&self, now: Timestamp, within: Millis) -> bool {
        let waits = self.reading().zip(self.bounds).is_some_and(|(next, bounds)| next < bounds.end);
        waits && now.since(self.moved) >= within
    }

    // Inside

    fn begin(&mut self, bounds: Bounds) {
        self.moved = bounds.asked;
        if bounds.first == bounds.end {
            return self.restore(Low { offset: bounds.first, stand: Stand::default() }, bounds.end, true);
        }
        self.seek(bounds, false);
    }

    /// Looks for a mark among the newest records, or among all.
    fn seek(&mut self, bounds: Bounds, thorough: bool) {
        let Bounds { first, end, .. } = bounds;
        if thorough && first == 0 {
            return self.restore(Low::default(), end, true);
        }
        let next = if thorough { first } else { end.saturating_sub(ASKED).max(first) };
        self.stage = Stage::Asking { next, until: end, marks: Marks::default(), thorough };
        self.turns += 1;
    }

    /// One of the records asked for its mark.
    fn ask(&mut self, bytes: &[u8]) {
        let first = self.bounds.map_or(0, |bounds| bounds.first);
        let Stage::Asking { next, until, marks, thorough } = &mut self.stage else { return };
        *next += 1;
        if let Ok(record) = Record::decode(bytes) {
            marks.note(&record, first);
        }
        if next == until {
            let (until, thorough) = (*until, *thorough);
            let low = if thorough { marks.lowest.take() } else { marks.newest.take() };
            self.restore(low.unwrap_or(Low { offset: first, stand: Stand::default() }), until, thorough);
        }
    }

    fn restore(&mut self, low: Low, goal: u64, thorough: bool) {
        self.stage = Stage::Restoring { from: low.offset, goal, thorough };
        self.fold = Fold::from(low, self.shard.of);
        self.turns += 1;
    }

    fn record(&mut self, offset: u64, appended: Timestamp, record: &Record, now: Timestamp) -> Heard {
        match self.fold.read(offset, appended, record) {
            Err(missing) => {
                self.broke(&missing.to_string(), now);
                Heard::Nothing
            }
            Ok(Verdict::Accepted) => self.accepted(record),
            Ok(Verdict::Void(why)) => Heard::Void(why.as_str()),
            // The fold makes an error of it.
            Ok(Verdict::Unclaimed) => Heard::Nothing,
        }
    }

    fn accepted(&mut self, record: &Record) -> Heard {
        let stand = self.fold.stand();
        match &record.body {
            RecordBody::Step(step) => {
                if stand.step > self.known.step {
                    self.known = stand.clone();
                }
                match &mut self.told {
                    Some(told) if step.number > *told => {
                        *told = step.number;
                        Heard::Accepted(Arc::clone(step), record.owner.clone())
                    }
                    _ => Heard::Past(Arc::clone(step)),
                }
            }
            RecordBody::Acceptance { .. } => {
                self.known = stand.clone();
                if self.stage == Stage::Following {
                    // What we read may be what was lost.
                    self.anew("acceptance");
                }
                Heard::Nothing
            }
            RecordBody::Claim | RecordBody::Release => Heard::Nothing,
        }
    }

    fn restored(&mut self, now: Timestamp) -> Option<Heard> {
        let Stage::Restoring { goal, thorough, .. } = self.stage else { return None };
        if self.fold.next() < goal {
            return None;
        }
        // Of a log that holds nothing there is nothing that could be missing.
        if !self.fold.is_complete() && !self.is_empty() {
            self.useless(thorough, "what is needed lies below where the log begins", now);
            return None;
        }
        self.stage = Stage::Following;
        let step = self.fold.stand().step;
        self.told = Some(self.told.unwrap_or(step).max(step));
        Some(Heard::Restored(step, self.fold.documents().collect()))
    }

    /// What was read cannot be folded in: once more from a mark, and if that fails, later.
    fn broke(&mut self, why: &str, now: Timestamp) {
        match self.stage {
            Stage::Following => self.anew("broken"),
            Stage::Restoring { thorough, .. } => self.useless(thorough, why, now),
            _ => self.rest(why, now),
        }
    }

    /// A restore led nowhere.
    fn useless(&mut self, thorough: bool, why: &str, now: Timestamp) {
        match self.bounds.filter(|_| !thorough) {
            Some(bounds) => self.seek(bounds, true),
            None => self.rest(why, now),
        }
    }

    fn is_empty(&self) -> bool {
        self.bounds.is_some_and(|bounds| bounds.first == bounds.end)
    }

    fn rest(&mut self, why: &str, now: Timestamp) {
        self.stage = Stage::Broken { why: why.to_owned(), until: now + REST };
        self.turns += 1;
    }

    fn anew(&mut self, why: &'static str) {
        self.stage = Stage::Waiting;
        self.short_since = None;
        self.turns += 1;
        self.renewed = Some(why);
    }
}

impl Marks {
    fn note(&mut self, record: &Record, first: u64) {
        if record.low.offset < first {
            return;
        }
        let line = matches!(record.body, RecordBody::Acceptance { .. });
        let lower = self.lowest.as_ref().is_none_or(|low| record.low.offset < low.offset);
        if line || (lower && !self.line) {
            self.lowest = Some(record.low.clone());
            self.line |= line;
        }
        self.newest = Some(record.low.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::log::{Action, Owner, OwnerOptions};

    const SHARD: Shard = Shard { number: 1, of: 3 };

    /// A log in memory, and an owner that writes to it by the protocol.
    struct Log {
        records: Vec<Vec<u8>>,
        /// When each was appended.
        times: Vec<Timestamp>,
        owner: Owner,
        now: i64,
    }

    impl Log {
        fn new(name: &str, records: Vec<Vec<u8>>) -> Self {
            let mut fold = Fold::from(Low::default(), SHARD.of);
            for (offset, bytes) in records.iter().enumerate() {
                fold.read(offset as u64, Timestamp(0), &Record::decode(bytes).unwrap()).unwrap();
            }
            let options = OwnerOptions { sweep_age: 4, ..OwnerOptions::default() };
            let mut owner = Owner::new(OwnerName::new(name), SHARD.of, options, 7);
            owner.restored(Ok(fold));
            let times = vec![Timestamp(0); records.len()];
            let mut log = Self { records, times, owner, now: 1_000 };
            log.owner.assign();
            log.work();
            log
        }

        fn work(&mut self) {
            while let Some(action) = self.owner.poll() {
                match action {
                    Action::Read { ticket, from } => {
                        let from = usize::try_from(from).unwrap();
                        for (offset, bytes) in self.records.iter().enumerate().skip(from) {
                            let record = Record::decode(bytes).unwrap();
                            self.owner.read(ticket, offset as u64, self.times[offset], &record);
                        }
                        self.owner.reached(ticket, 0, self.records.len() as u64, Timestamp(self.now));
                    }
                    Action::Append { token, record } => {
                        self.records.push(record.encode());
                        self.times.push(Timestamp(self.now));
                        let offset = self.records.len() as u64 - 1;
                        self.owner.reported(token, Some((offset, Timestamp(self.now))));
                    }
                    _ => {}
                }
            }
        }

        fn step(&mut self, key: &str) {
            self.now += 1;
            let document = Document { key: key.into(), body: Some(format!("{{\"n\":{}}}", self.now).into()) };
            let step = Step {
                number: self.owner.next_step(),
                at: Timestamp(self.now),
                documents: vec![document],
                ..Step::default()
            };
            self.owner.append(Arc::new(step));
            self.work();
            let step = self.owner.fold().stand().step;
            self.owner.emitted(step);
        }

        fn end(&self) -> u64 {
            self.records.len() as u64
        }
    }

    fn bounds(first: u64, end: u64, asked: i64) -> Bounds {
        Bounds { first, end, asked: Timestamp(asked) }
    }

    /// Reads the log from wherever the track wants to, and tells what was heard.
    fn follow(track: &mut Track, log: &Log) -> Vec<Heard> {
        let mut heard = Vec::new();
        while let Some(next) = track.reading().filter(|next| *next < log.end()) {
            let bytes = &log.records[usize::try_from(next).unwrap()];
            heard.extend(track.read(next, Timestamp(0), bytes, Timestamp(0)));
        }
        heard.extend(track.settled(Timestamp(0)));
        heard
    }

    fn keys(track: &Track) -> Vec<(String, Option<Box<str>>)> {
        track.fold().documents().map(|d| (d.key.to_string(), d.body)).collect()
    }

    fn numbers(heard: &[Heard]) -> Vec<u64> {
        heard.iter().filter_map(|h| if let Heard::Accepted(step, _) = h { Some(step.number) } else { None }).collect()
    }

    #[test]
    fn an_empty_log_is_followed_from_its_beginning() {
        let mut track = Track::new(SHARD);
        track.bounded(bounds(0, 0, 5));
        assert_eq!(track.settled(Timestamp(5)), Some(Heard::Restored(0, Vec::new())));
        track.bounded(bounds(0, 0, 9));
        assert_eq!((track.current(), track.lag(), track.stage()), (Some(Timestamp(9)), Some(0), &Stage::Following));
        let mut log = Log::new("a", Vec::new());
        (0..3).for_each(|n| log.step(&format!("4304:incident/{n}")));
        assert_eq!(numbers(&follow(&mut track, &log)), [1, 2, 3]);
    }

    #[test]
    fn without_a_hint_the_newest_record_says_where_to_begin() {
        let mut log = Log::new("a", Vec::new());
        (0..300).for_each(|n| log.step(&format!("4304:incident/{}", n % 7)));
        let mut track = Track::new(SHARD);
        track.bounded(bounds(0, log.end(), 0));
        assert_eq!(track.reading(), Some(log.end() - ASKED));
        let heard = follow(&mut track, &log);
        let Stage::Following = track.stage() else { panic!("{:?}", track.stage()) };
        assert!(heard.len() < 200, "it does not read from the beginning: {}", heard.len());
        assert!(matches!(heard.last(), Some(Heard::Restored(300, documents)) if documents.len() == 7));
        assert_eq!(numbers(&heard), [0; 0], "what was accepted before is no news");
        assert_eq!(track.fold().stand(), log.owner.fold().stand());
        // What comes now is.
        log.step("4304:incident/8");
        assert_eq!(numbers(&follow(&mut track, &log)), [301]);
        assert_eq!(keys(&track), log.owner.fold().documents().map(|d| (d.key.to_string(), d.body)).collect::<Vec<_>>());
    }

    #[test]
    fn a_head_says_how_far_the_log_must_reach_and_nothing_else() {
        let mut log = Log::new("a", Vec::new());
        (0..10).for_each(|n| log.step(&format!("4304:incident/{n}")));
        let mut head = Head::of(1, log.owner.fold());
        // A head of another log, whose mark fits nothing here.
        head.low.stand = Stand { epoch: 9, owner: OwnerName::new("z"), step: 4, at: Timestamp(1) };
        head.stand.step = 77;
        let mut track = Track::new(SHARD);
        track.hinted(head);
        track.bounded(bounds(0, log.end(), 0));
        follow(&mut track, &log);
        assert_eq!((track.stage(), track.fold().stand().step), (&Stage::Following, 10));
        assert_eq!(track.known().step, 77, "an owner that takes over will ask where the rest is");
    }

    #[test]
    fn a_log_that_begins_above_where_it_was_read_to_is_restored_anew_and_nothing_is_told_twice() {
        let mut log = Log::new("a", Vec::new());
        (0..10).for_each(|n| log.step(&format!("4304:incident/{}", n % 3)));
        let mut track = Track::new(SHARD);
        track.bounded(bounds(0, log.end(), 0));
        follow(&mut track, &log);
        (0..40).for_each(|n| log.step(&format!("4304:incident/{}", n % 3)));
        // We slept, and the owner trimmed.
        let low = Record::decode(log.records.last().unwrap()).unwrap().low.offset;
        assert!(low > track.fold().next());
        track.bounded(bounds(low, log.end(), 1));
        assert_eq!(track.renewed(), Some("trimmed"));
        let turns = track.turns();
        track.bounded(bounds(low, log.end(), 2));
        assert!(track.turns() > turns, "whoever reads must go elsewhere");
        let heard = follow(&mut track, &log);
        let told = numbers(&heard);
        assert_eq!(told.last(), Some(&50), "what is still in the log is news");
        assert!(told[0] > 10 && told.is_sorted());
        assert!(matches!(heard.last(), Some(Heard::Restored(50, _))));
        assert_eq!(keys(&track).len(), 3);
    }

    #[test]
    fn a_mark_that_leads_nowhere_is_followed_by_a_thorough_search() {
        for first in [0, 1] {
            let mut log = Log::new("a", Vec::new());
            (0..100).for_each(|n| log.step(&format!("4304:incident/{}", n % 7)));
            // An owner that lost wrote last, and its mark lies above what the winner needs.
            let last = Record::decode(log.records.last().unwrap()).unwrap();
            let low = Low { offset: log.end() - 1, stand: log.owner.fold().stand().clone() };
            let stand = Stand { step: low.stand.step - 1, ..low.stand };
            let void = Record { epoch: 0, owner: OwnerName::new("z"), low: Low { stand, ..low }, ..last };
            log.records.push(void.encode());
            let mut track = Track::new(SHARD);
            track.bounded(bounds(first, log.end(), 0));
            let heard = follow(&mut track, &log);
            assert!(heard.contains(&Heard::Void("old-epoch")));
            assert_eq!((track.stage(), keys(&track).len()), (&Stage::Following, 7), "from {first}");
        }
    }

    #[test]
    fn a_short_log_may_be_a_new_leader_and_only_later_a_loss() {
        let mut log = Log::new("a", Vec::new());
        (0..20).for_each(|n| log.step(&format!("4304:incident/{}", n % 3)));
        let mut track = Track::new(SHARD);
        track.bounded(bounds(0, log.end(), 0));
        follow(&mut track, &log);
        let end = log.end();
        track.bounded(bounds(0, end - 3, 1_000));
        assert_eq!(track.renewed(), None);
        track.bounded(bounds(0, end, 2_000));
        assert_eq!(track.renewed(), None, "it came back");
        track.bounded(bounds(0, end - 3, 3_000));
        assert_eq!(track.renewed(), None);
        track.bounded(bounds(0, end - 3, 8_000));
        assert_eq!(track.renewed(), Some("short"));
        log.records.truncate(usize::try_from(end - 3).unwrap());
        track.bounded(bounds(0, end - 3, 8_100));
        follow(&mut track, &log);
        assert_eq!(track.fold().stand().step, 17);
        assert_eq!(track.known().step, 20, "what was lost is not forgotten");
    }

    #[test]
    fn a_record_that_says_nothing_here_is_passed_over_and_a_newer_one_is_not() {
        let log = Log::new("a", Vec::new());
        let mut track = Track::new(SHARD);
        track.bounded(bounds(0, 0, 0));
        track.settled(Timestamp(0));
        assert!(track.read(0, Timestamp(0), b"no record", Timestamp(1)).is_empty());
        assert_eq!(track.reading(), Some(1));
        track.read(0, Timestamp(0), &log.records[0], Timestamp(1));
        assert_eq!(track.reading(), Some(1), "what is not the next one is not taken");
        track.read(1, Timestamp(0), br#"{"v":99}"#, Timestamp(2));
        assert_eq!(track.renewed(), Some("broken"));
        assert_eq!(track.stage(), &Stage::Waiting);
        track.bounded(bounds(0, 2, 3));
        while let Some(next) = track.reading() {
            track.read(next, Timestamp(0), br#"{"v":99}"#, Timestamp(4));
        }
        let Stage::Broken { why, until } = track.stage().clone() else { panic!("{:?}", track.stage()) };
        assert!(why.contains("start the newer Muster"), "{why}");
        track.bounded(bounds(0, 2, until.0 - 1));
        assert_eq!(track.renewed(), None);
        track.bounded(bounds(0, 2, until.0));
        assert_eq!(track.renewed(), Some("broken"));
    }

    #[test]
    fn what_lies_unread_for_too_long_stands_still() {
        let mut track = Track::new(SHARD);
        track.bounded(bounds(0, 4, 100));
        assert!(!track.stands_still(Timestamp(200), Millis(5_000)));
        assert!(track.stands_still(Timestamp(6_000), Millis(5_000)));
        assert_eq!(track.lag(), Some(4));
    }
}
