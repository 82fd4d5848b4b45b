//! What can be said of the protocol without a history; the rest is said by `tests/simulation`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use smol_str::{SmolStr, format_smolstr};

use super::*;
use crate::engine::{Document, Effect, Notice, NoticeKind};
use crate::journal::{Consumed, Refused, Step, Taken};
use crate::model::{Desk, Millis, Timestamp};

const SHARDS: u32 = 4;

fn stand(epoch: u64, owner: &str, step: u64) -> Stand {
    Stand { epoch, owner: OwnerName::new(owner), step, at: Timestamp(100) }
}

fn record(epoch: u64, owner: &str, body: RecordBody) -> Record {
    let owner = OwnerName::new(owner);
    Record { epoch, owner, shards: SHARDS, low: Low::default(), after: 0, emitted: 0, swept: Vec::new(), body }
}

fn step(number: u64) -> RecordBody {
    RecordBody::Step(Arc::new(Step { number, at: Timestamp(100), ..Step::default() }))
}

fn acceptance(beyond: Stand) -> RecordBody {
    RecordBody::Acceptance { by: "operator".into(), reason: "two disks were lost".to_owned(), beyond }
}

// The rule

#[test]
fn each_record_is_judged_by_the_stand_before_it() {
    use Verdict::{Accepted, Unclaimed, Void as No};
    use Void::{NotNext, OldEpoch, OtherOwner};
    let early = RecordBody::Step(Arc::new(Step { number: 8, at: Timestamp(99), ..Step::default() }));
    // Of epoch and owner; what it says; what comes of it after nobody, after A in epoch 2 with 7 steps, after its release.
    let table: Vec<(u64, &str, RecordBody, [Verdict; 3])> = vec![
        (1, "A", RecordBody::Claim, [Accepted, No(OldEpoch), No(OldEpoch)]),
        (2, "A", RecordBody::Claim, [Accepted, No(OtherOwner), No(OtherOwner)]),
        (2, "B", RecordBody::Claim, [Accepted, No(OtherOwner), No(OtherOwner)]),
        (3, "B", RecordBody::Claim, [Accepted, Accepted, Accepted]),
        (9, "A", RecordBody::Claim, [Accepted, Accepted, Accepted]),
        (1, "A", step(8), [Unclaimed, No(OldEpoch), No(OldEpoch)]),
        (2, "A", step(7), [Unclaimed, No(NotNext), No(OtherOwner)]),
        (2, "A", step(8), [Unclaimed, Accepted, No(OtherOwner)]),
        (2, "A", early, [Unclaimed, No(NotNext), No(OtherOwner)]),
        (2, "A", step(9), [Unclaimed, No(NotNext), No(OtherOwner)]),
        (2, "B", step(8), [Unclaimed, No(OtherOwner), No(OtherOwner)]),
        (2, "", step(8), [Unclaimed, No(OtherOwner), No(OtherOwner)]),
        (3, "A", step(8), [Unclaimed, Unclaimed, Unclaimed]),
        (1, "A", RecordBody::Release, [Unclaimed, No(OldEpoch), No(OldEpoch)]),
        (2, "A", RecordBody::Release, [Unclaimed, Accepted, No(OtherOwner)]),
        (2, "B", RecordBody::Release, [Unclaimed, No(OtherOwner), No(OtherOwner)]),
        (0, "", acceptance(stand(5, "", 9)), [Accepted, Accepted, Accepted]),
    ];
    let stands = [Stand::default(), stand(2, "A", 7), stand(2, "", 7)];
    for (epoch, owner, body, expected) in table {
        let record = record(epoch, owner, body);
        let found = stands.each_ref().map(|stand| stand.judge(&record));
        assert_eq!(found, expected, "epoch {epoch}, owner {owner:?}: {:?}", record.body);
    }
}

#[test]
fn a_record_whose_writer_knew_of_more_than_stands_is_void() {
    let bodies = [RecordBody::Claim, step(8), RecordBody::Release];
    for (after, void) in [(6, false), (7, false), (8, true)] {
        for body in bodies.clone() {
            let epoch = if body == RecordBody::Claim { 3 } else { 2 };
            let verdict = stand(2, "A", 7).judge(&Record { after, ..record(epoch, "A", body) });
            assert_eq!(verdict == Verdict::Void(Void::Unfounded), void, "{after}");
            assert_eq!(verdict == Verdict::Accepted, !void, "{after}");
        }
    }
}

#[test]
fn each_accepted_record_moves_the_stand() {
    let after = |epoch, owner, body| {
        let mut stand = stand(2, "A", 7);
        stand.apply(&record(epoch, owner, body));
        stand
    };
    assert_eq!(after(3, "B", RecordBody::Claim), stand(3, "B", 7));
    assert_eq!(after(2, "A", step(8)), stand(2, "A", 8));
    assert_eq!(after(2, "A", RecordBody::Release), stand(2, "", 7));
    assert_eq!(after(0, "", acceptance(stand(5, "", 9))), stand(5, "", 9));
    assert_eq!(after(0, "", acceptance(stand(1, "", 3))), stand(2, "", 7), "numbers never go down");
}

// The form on the log

fn notice(id: &str) -> Effect {
    Effect::Notice(Box::new(Notice {
        id: id.into(),
        incident: None,
        desk: Desk::Duty,
        kind: NoticeKind::Opened,
        text: "at the \"lotus\" plaza 莲花广场".to_owned(),
        severity: None,
        take_by: None,
        at: Timestamp(3),
        drill: false,
    }))
}

fn document(key: &str, body: Option<&str>) -> Document {
    Document { key: key.into(), body: body.map(Into::into) }
}

#[test]
fn a_record_is_read_back_as_it_was_written() {
    let whole = Step {
        number: 8,
        at: Timestamp(1_763_900_000_123),
        positions: BTreeMap::from([("reports".into(), 17), ("field".into(), 0)]),
        documents: vec![
            document("head", Some(r#"{"v":1,"words":"引号 \" 反斜杠 \\","n":1.50,"big":12345678901234567890}"#)),
            document("order/1", None),
        ],
        effects: vec![notice("4304-20261123-1-n1")],
        consumed: Consumed {
            ahead: BTreeMap::from([("reports".into(), BTreeSet::from([19, 23]))]),
            outage: None,
            taken: vec![Taken { door: "reports".into(), offset: 16, at: Timestamp(5), answer: None }],
            refused: vec![Refused {
                door: "field".into(),
                offset: 3,
                reason: "bad-json".into(),
                field: Some("data.at".into()),
                detail: "no instant".to_owned(),
            }],
        },
    };
    let bodies = [
        RecordBody::Claim,
        RecordBody::Release,
        RecordBody::Step(Arc::new(Step { number: 1, ..Step::default() })),
        RecordBody::Step(Arc::new(whole)),
        acceptance(stand(5, "", 9)),
    ];
    for body in bodies {
        let mut written = record(3, "host-1/7f3a", body);
        written.low = Low { offset: 12, stand: stand(2, "host-2/9", 6) };
        written.after = 7;
        written.emitted = 5;
        written.swept = vec![document("post/P-017", Some("[1,2]"))];
        assert_eq!(Record::decode(&written.encode()), Ok(written));
    }
}

#[test]
fn what_is_no_record_of_ours_says_why() {
    let written = String::from_utf8(record(1, "A", RecordBody::Claim).encode()).unwrap();
    let newer = written.replace(r#""v":1"#, r#""v":2,"shape":"unknown""#);
    assert_eq!(Record::decode(newer.as_bytes()), Err(Malformed::Newer(2)));
    assert!(Malformed::Newer(2).to_string().contains("start the newer Muster"));
    let foreign =
        ["", "null", "[]", "{}", "hello", r#"{"v":1}"#, r#"{"v":-1}"#, "{\"v\":1,\"kind\":\"claim\"", "\u{0}"];
    for text in foreign {
        assert!(matches!(Record::decode(text.as_bytes()), Err(Malformed::Foreign(_))), "{text}");
    }
    let lacking = written.replace(r#""claim""#, r#""step""#);
    let Err(Malformed::Foreign(why)) = Record::decode(lacking.as_bytes()) else {
        panic!("a step without a step was read")
    };
    assert_eq!(why, "it lacks its step");
}

// The fold

/// Something that comes to stand on the log.
#[derive(Clone, Debug)]
enum Landing {
    Step { changes: Vec<(u8, bool)>, takes: bool, ahead: bool, tells: bool },
    Emitted(u64),
    TakeOver,
    Zombie,
    Garbage,
}

fn landing() -> impl Strategy<Value = Landing> {
    prop_oneof![
        8 => (prop::collection::vec((0..12u8, any::<bool>()), 0..4), any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(changes, takes, ahead, tells)| Landing::Step { changes, takes, ahead, tells }),
        4 => (0..4u64).prop_map(Landing::Emitted),
        1 => Just(Landing::TakeOver),
        1 => Just(Landing::Zombie),
        1 => Just(Landing::Garbage),
    ]
}

/// What stands on a log; `None` is no record.
type Stood = Vec<Option<Record>>;

/// A log written by the rule, with the fold of all of it.
fn write(landings: &[Landing], sweep_age: u64) -> (Stood, Fold) {
    let mut fold = Fold::from(Low::default(), SHARDS);
    let (mut log, mut next_input) = (Stood::new(), 0);
    let mut put = |fold: &mut Fold, record: Option<Record>| {
        let (offset, appended) = (fold.next(), Timestamp(1_000));
        match &record {
            Some(record) => _ = fold.read(offset, appended, record).unwrap(),
            None => fold.skip(offset, appended).unwrap(),
        }
        log.push(record);
    };
    for landing in std::iter::once(&Landing::TakeOver).chain(landings) {
        let body = match landing {
            Landing::Step { changes, takes, ahead, tells } => {
                next_input += u64::from(*takes);
                let documents = changes
                    .iter()
                    .map(|(key, live)| document(&format_smolstr!("d{key}"), live.then_some(&*next_input.to_string())));
                let number = fold.stand().step + 1;
                let mut step = Step { number, documents: documents.collect(), ..Step::default() };
                step.at = fold.stand().at;
                if *takes {
                    step.positions = BTreeMap::from([("reports".into(), next_input)]);
                }
                if *ahead {
                    step.positions.clone_from(&fold.positions().clone());
                    step.consumed.ahead = BTreeMap::from([("reports".into(), BTreeSet::from([next_input + 3]))]);
                }
                step.effects.extend(tells.then(|| notice(&number.to_string())));
                RecordBody::Step(Arc::new(step))
            }
            Landing::Emitted(back) => {
                fold.emitted(fold.stand().step.saturating_sub(*back));
                continue;
            }
            Landing::TakeOver => RecordBody::Claim,
            Landing::Zombie => step(1),
            Landing::Garbage => {
                put(&mut fold, None);
                continue;
            }
        };
        let held_back: BTreeSet<SmolStr> = match &body {
            RecordBody::Step(step) => step.documents.iter().map(|d| d.key.clone()).collect(),
            _ => BTreeSet::new(),
        };
        let now = fold.stand().clone();
        let (epoch, owner) = match landing {
            Landing::TakeOver => (now.epoch + 1, format_smolstr!("H{}", now.epoch + 1)),
            Landing::Zombie => (now.epoch - 1, "H0".into()),
            _ => (now.epoch, now.owner.as_str().into()),
        };
        let sweeps = matches!(landing, Landing::Step { .. });
        let swept = if sweeps { fold.sweep(4, sweep_age, &held_back) } else { Vec::new() };
        let (low, emitted) = (fold.low(), fold.last_emitted());
        put(&mut fold, Some(Record { low, emitted, swept, ..record(epoch, &owner, body) }));
    }
    (log, fold)
}

fn read_from(low: &Low, log: &Stood) -> Fold {
    let mut fold = Fold::from(low.clone(), SHARDS);
    for (offset, stood) in log.iter().enumerate().skip(usize::try_from(low.offset).unwrap()) {
        match stood {
            Some(record) => _ = fold.read(offset as u64, Timestamp(1_000), record).unwrap(),
            None => fold.skip(offset as u64, Timestamp(1_000)).unwrap(),
        }
    }
    fold
}

/// All that a fold is to whoever takes it over.
fn state(fold: &Fold) -> impl PartialEq + std::fmt::Debug {
    let documents: Vec<Document> = fold.documents().collect();
    let unemitted: Vec<Arc<Step>> = fold.unemitted().map(Arc::clone).collect();
    (fold.stand().clone(), documents, fold.positions().clone(), fold.ahead().clone(), unemitted, fold.last_emitted())
}

proptest! {
    #[test]
    fn from_any_mark_that_an_accepted_record_carries_the_state_is_the_same(
        landings in prop::collection::vec(landing(), 0..60), sweep_age in 1..12u64,
    ) {
        let (log, _) = write(&landings, sweep_age);
        let whole = read_from(&Low::default(), &log);
        let mut fold = Fold::from(Low::default(), SHARDS);
        for (offset, stood) in log.iter().enumerate() {
            let Some(record) = stood else {
                fold.skip(offset as u64, Timestamp(1_000)).unwrap();
                continue;
            };
            if fold.read(offset as u64, Timestamp(1_000), record) == Ok(Verdict::Accepted) {
                let restored = read_from(&record.low, &log);
                prop_assert!(restored.is_complete());
                prop_assert_eq!(state(&restored), state(&whole));
            }
        }
    }

    #[test]
    fn a_restore_leads_to_the_same_state_from_any_hint_and_after_any_trimming(
        landings in prop::collection::vec(landing(), 0..60), hint in 0..60usize, trimmed in 0..60usize,
    ) {
        let (log, _) = write(&landings, 3);
        let whole = read_from(&Low::default(), &log);
        let marks: Vec<&Low> = log.iter().flatten().map(|record| &record.low).collect();
        let hint = marks.get(hint).map(|low| (*low).clone());
        // Trimmed below a mark that an accepted record carries, as its owner does it.
        let first = whole.carried().map_or(0, |low| low.offset.min(trimmed as u64 / PLACES_EVERY * PLACES_EVERY));
        let first = if marks.iter().any(|low| low.offset == first) { first } else { 0 };
        let fold = restore(hint, &log, first);
        prop_assert_eq!(fold.map(|fold| format!("{:?}", state(&fold))), Ok(format!("{:?}", state(&whole))));
    }

    #[test]
    fn a_sweep_moves_the_mark_on(documents in 1..40u64, sweep_age in 1..20u64) {
        let all = (0..documents).map(|key| (u8::try_from(key).unwrap(), true)).collect();
        let mut landings = vec![Landing::Step { changes: all, takes: true, ahead: false, tells: false }];
        for _ in 0..documents + sweep_age + 2 * PLACES_EVERY {
            landings.push(Landing::Step { changes: Vec::new(), takes: true, ahead: false, tells: false });
            landings.push(Landing::Emitted(0));
        }
        let (log, fold) = write(&landings, sweep_age);
        prop_assert!(fold.low().offset > 1, "{} documents hold the mark at {}", documents, fold.low().offset);
        prop_assert_eq!(fold.size().0 as u64, documents);
        prop_assert!(log.iter().flatten().all(|record| record.swept.len() <= 4), "a sweep keeps to its bytes");
    }
}

/// The places that everybody remembers.
const PLACES_EVERY: u64 = 4;

fn restore(hint: Option<Low>, log: &Stood, first: u64) -> Result<Fold, Alarm> {
    let mut restore = Restore::new(hint, SHARDS);
    let mut want = restore.start();
    loop {
        let (ticket, from) = match want {
            Want::Read { ticket, from } => (ticket, from),
            Want::Done(done) => return done.map(|fold| *fold),
        };
        for (offset, stood) in log.iter().enumerate().skip(usize::try_from(from.max(first)).unwrap()) {
            match stood {
                Some(record) => restore.record(ticket, offset as u64, Timestamp(1_000), record),
                None => {
                    let why = Malformed::Foreign("by hand".to_owned());
                    restore.malformed(ticket, offset as u64, Timestamp(1_000), why);
                }
            }
        }
        want = restore.reached(ticket, first, log.len() as u64).unwrap();
    }
}

#[test]
fn a_log_of_other_shards_is_refused() {
    let mut fold = Fold::from(Low::default(), 8);
    let Err(missing) = fold.read(0, Timestamp(1), &record(1, "A", RecordBody::Claim)) else { panic!("it was read") };
    assert_eq!(missing, Missing::Shards { expected: 8, found: 4 });
    assert!(missing.to_string().contains("the number of partitions cannot change"));
}

// The owner

/// An owner with a log of its own, and whatever it wants done.
struct Alone {
    owner: Owner,
    log: Stood,
    appended: Vec<Timestamp>,
    now: Timestamp,
    token: Token,
}

impl Alone {
    fn new() -> Self {
        let owner = Owner::new(OwnerName::new("A"), SHARDS, OwnerOptions::default(), 7);
        Self { owner, log: Vec::new(), appended: Vec::new(), now: Timestamp(1_000_000), token: 0 }
    }

    /// Does what it wants, and tells what that was; appends are left to the test.
    fn act(&mut self) -> Vec<&'static str> {
        let mut did = Vec::new();
        while let Some(action) = self.owner.poll() {
            did.push(match action {
                Action::Read { ticket, from } => {
                    let there = self.log.iter().zip(&self.appended).enumerate();
                    for (offset, (stood, appended)) in there.skip(usize::try_from(from).unwrap()) {
                        self.owner.read(ticket, offset as u64, *appended, stood.as_ref().unwrap());
                    }
                    self.owner.reached(ticket, 0, self.log.len() as u64, self.now);
                    continue;
                }
                Action::Append { token, record } => {
                    self.token = token;
                    self.log.push(Some((*record).clone()));
                    self.appended.push(self.now);
                    "append"
                }
                Action::Restore => {
                    self.owner.restored(restore(None, &self.log, 0));
                    continue;
                }
                Action::Begin => "begin",
                Action::Accepted(_) => "accepted",
                Action::Drop(why) => why.as_str(),
                Action::Hold(_) => "hold",
                Action::Released => "released",
            });
        }
        did
    }

    fn report(&mut self) -> Vec<&'static str> {
        let offset = self.log.len() as u64 - 1;
        self.owner.reported(self.token, Some((offset, *self.appended.last().unwrap())));
        self.act()
    }

    /// Until it claims, owns, or has a step under way.
    fn claiming() -> Self {
        let mut alone = Self::new();
        alone.act();
        alone.owner.tick(alone.now);
        alone.owner.assign();
        assert_eq!(alone.act(), ["append"]);
        alone
    }

    fn owning() -> Self {
        let mut alone = Self::claiming();
        assert_eq!(alone.report(), ["begin"]);
        alone
    }

    fn deciding() -> Self {
        let mut alone = Self::owning();
        alone.owner.append(Arc::new(Step { number: 1, ..Step::default() }));
        assert_eq!(alone.act(), ["append"]);
        alone
    }

    fn pass(&mut self, millis: u64) -> Vec<&'static str> {
        self.now = self.now + Millis(millis);
        self.owner.tick(self.now);
        self.act()
    }
}

#[test]
fn a_step_is_accepted_when_its_own_report_says_that_it_is_next() {
    let mut alone = Alone::deciding();
    assert_eq!(alone.report(), ["accepted"]);
    assert_eq!(alone.owner.fold().stand().step, 1);
}

#[test]
fn a_revocation_is_answered_once_in_every_phase() {
    let mut restoring = Alone::new();
    restoring.owner.revoke();
    assert_eq!(restoring.act(), ["released"]);

    let mut following = Alone::new();
    following.act();
    following.owner.revoke();
    assert_eq!(following.act(), ["released"]);

    // The claim stands, so it is released; else whoever comes next would take us for alive.
    let mut claiming = Alone::claiming();
    claiming.owner.revoke();
    assert_eq!(claiming.act(), [] as [&str; 0]);
    assert_eq!(claiming.report(), ["append"]);
    assert_eq!(claiming.report(), ["released"]);

    let mut failed = Alone::claiming();
    failed.owner.revoke();
    failed.owner.reported(failed.token, None);
    assert_eq!(failed.act(), ["released"]);

    let mut owning = Alone::owning();
    owning.owner.revoke();
    assert_eq!(owning.act(), ["append"]);
    // Nobody knows whether the release was written: the group's word stands either way.
    owning.owner.reported(owning.token, None);
    assert_eq!(owning.act(), ["released"]);

    let mut deciding = Alone::deciding();
    deciding.owner.revoke();
    assert_eq!(deciding.report(), ["accepted", "append"]);
    assert_eq!(deciding.report(), ["released"]);

    let mut resting = Alone::claiming();
    resting.owner.reported(resting.token, None);
    resting.owner.revoke();
    assert_eq!(resting.act(), ["released"]);

    // A claim of which nobody knew turns out to stand.
    let mut stands = Alone::claiming();
    stands.owner.reported(stands.token, None);
    assert!((0..4).any(|_| stands.pass(250) == ["append"]));
    stands.owner.reported(stands.token, None);
    assert_eq!(stands.pass(250), [] as [&str; 0]);
    stands.owner.revoke();
    assert_eq!(stands.act(), ["append"]);
    assert_eq!(stands.report(), ["released"]);

    let mut held = Alone::owning();
    held.log.clear();
    for _ in 0..OwnerOptions::default().short_looks {
        held.pass(2_000);
    }
    assert!(matches!(held.owner.phase(), Phase::Held(Alarm::Shrunk { .. })), "{:?}", held.owner.phase());
    held.owner.revoke();
    assert_eq!(held.act(), ["released"]);
}

#[test]
fn what_nobody_answers_is_given_up() {
    // A report that never comes: the step is in the log, so the next claim carries it.
    let mut alone = Alone::deciding();
    assert_eq!(alone.pass(29_000), [] as [&str; 0]);
    assert_eq!(alone.pass(2_000), ["unknown", "append"]);
    assert_eq!(alone.report(), ["begin"]);
    assert_eq!(alone.owner.fold().stand().step, 1);

    // A reading that never ends is asked again.
    let mut alone = Alone::new();
    alone.act();
    alone.pass(0);
    alone.owner.assign();
    assert!(matches!(alone.owner.poll(), Some(Action::Read { .. })));
    alone.owner.tick(alone.now + Millis(1_000));
    assert_eq!(alone.owner.poll(), None);
    alone.owner.tick(alone.now + Millis(3_000));
    assert!(matches!(alone.owner.poll(), Some(Action::Read { .. })));
}

#[test]
fn a_clock_that_is_set_back_stops_nobody() {
    let mut alone = Alone::claiming();
    alone.owner.reported(alone.token, None);
    assert_eq!(alone.act(), [] as [&str; 0]);
    alone.now = Timestamp(alone.now.0 - 3_600_000);
    let looks: Vec<&str> = (0..4).flat_map(|_| alone.pass(250)).collect();
    assert_eq!(looks, ["append"], "it rests, looks and claims anew");
}

#[test]
fn a_clock_that_is_off_holds_the_shard() {
    let mut alone = Alone::claiming();
    let offset = alone.log.len() as u64 - 1;
    alone.owner.reported(alone.token, Some((offset, Timestamp(alone.now.0 - 1_001))));
    assert_eq!(alone.act(), ["hold"]);
    assert_eq!(*alone.owner.phase(), Phase::Held(Alarm::Skew(1_001)));
}

#[test]
fn an_append_that_lands_before_what_is_known_is_an_alarm() {
    let mut alone = Alone::deciding();
    alone.owner.reported(alone.token, Some((0, alone.now)));
    assert_eq!(alone.act(), ["alarm", "hold"]);
}

#[test]
fn rests_grow_until_a_step_is_accepted() {
    let mut alone = Alone::claiming();
    let mut spans = Vec::new();
    for _ in 0..8 {
        alone.owner.reported(alone.token, None);
        let Phase::Resting { span, .. } = *alone.owner.phase() else { panic!("{:?}", alone.owner.phase()) };
        spans.push(span.0);
        assert!((0..40).any(|_| alone.pass(250) == ["append"]), "{:?}", alone.owner.phase());
    }
    let OwnerOptions { rest_min, rest_max, .. } = OwnerOptions::default();
    assert!(spans[0] < rest_min.0 && spans[7] >= rest_max.0 / 2 && spans.iter().all(|s| *s < rest_max.0), "{spans:?}");
}
