//! The wheel of marks against a plain ordered set, at 50,000 and a million live marks.
//!
//! * `insert-cancel`: one mark is set and an older one cancelled, as when an order is signed in time; the most frequent.
//! * `insert-pop`: one mark is set and the earliest fires.
//! * `next`: the shell asks when to wake up.

use std::collections::BTreeSet;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use muster::engine::wheel::Wheel;
use muster::model::{CommandArea, IncidentId, Timestamp};

/// What the engine holds in its wheel: a mark's name within its incident.
type Due = (IncidentId, u32, u8);

/// Both structures behind one face.
trait Marks: Default {
    fn insert(&mut self, at: Timestamp, due: Due);
    fn cancel(&mut self, at: Timestamp, due: &Due) -> bool;
    fn next_at(&self) -> Option<Timestamp>;
    fn pop(&mut self, to: Timestamp) -> Option<(Timestamp, Due)>;
}

impl Marks for Wheel<Due> {
    fn insert(&mut self, at: Timestamp, due: Due) {
        Wheel::insert(self, at, due);
    }
    fn cancel(&mut self, at: Timestamp, due: &Due) -> bool {
        Wheel::cancel(self, at, due)
    }
    fn next_at(&self) -> Option<Timestamp> {
        Wheel::next_at(self)
    }
    fn pop(&mut self, to: Timestamp) -> Option<(Timestamp, Due)> {
        Wheel::pop(self, to)
    }
}

impl Marks for BTreeSet<(Timestamp, Due)> {
    fn insert(&mut self, at: Timestamp, due: Due) {
        BTreeSet::insert(self, (at, due));
    }
    fn cancel(&mut self, at: Timestamp, due: &Due) -> bool {
        self.remove(&(at, due.clone()))
    }
    fn next_at(&self) -> Option<Timestamp> {
        self.first().map(|(at, _)| *at)
    }
    fn pop(&mut self, to: Timestamp) -> Option<(Timestamp, Due)> {
        if self.first()?.0 <= to { self.pop_first() } else { None }
    }
}

/// The mark number `n`: incidents come in order, their marks fall due after 1, 3, 5 or 15 minutes, some after days.
fn mark(n: u32, live: u32) -> (Timestamp, Due) {
    let incident = IncidentId { area: CommandArea::from("4304"), date: 20_261_123, n: n / 3 };
    // `live` marks are spread over the longest of the short spans.
    let received = i64::from(n) * 900_000 / i64::from(live);
    let span =
        [60_000, 180_000, 300_000, 900_000, 259_200_000][(n.wrapping_mul(2_654_435_761) >> 16) as usize % 41 / 10];
    (Timestamp(1_795_000_000_000 + received + span), (incident, n % 3, 0))
}

fn bench<M: Marks>(c: &mut Criterion, name: &str, live: u32) {
    let filled = || {
        let mut marks = M::default();
        for n in 0..live {
            let (at, due) = mark(n, live);
            marks.insert(at, due);
        }
        marks
    };
    let (mut marks, mut n) = (filled(), live);
    c.bench_function(&format!("marks/{live}/insert-cancel/{name}"), |b| {
        b.iter(|| {
            let (at, due) = mark(n, live);
            marks.insert(at, due);
            let (at, due) = mark(n - live / 7, live);
            marks.insert(at, due.clone());
            let found = marks.cancel(at, &due);
            n += 1;
            black_box(found)
        });
    });
    let (mut marks, mut n) = (filled(), live);
    c.bench_function(&format!("marks/{live}/insert-pop/{name}"), |b| {
        b.iter(|| {
            let (at, due) = mark(n, live);
            marks.insert(at, due);
            n += 1;
            black_box(marks.pop(Timestamp(i64::MAX)))
        });
    });
    c.bench_function(&format!("marks/{live}/next/{name}"), |b| b.iter(|| black_box(marks.next_at())));
}

fn marks(c: &mut Criterion) {
    for live in [50_000, 1_000_000] {
        bench::<Wheel<Due>>(c, "wheel", live);
        bench::<BTreeSet<(Timestamp, Due)>>(c, "btree-set", live);
    }
}

criterion_group!(benches, marks);
criterion_main!(benches);
