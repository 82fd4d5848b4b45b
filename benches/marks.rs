//! The wheel of marks at 50,000 and a million live marks.
//!
//! * `insert-cancel`: a mark is set and an older one cancelled, as when an order is signed in time; the most frequent.
//! * `insert-pop`: a mark is set and the earliest fires.
//! * `next`: the shell asks when to wake up.

#![allow(missing_docs, reason = "the functions that criterion generates")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use muster::engine::wheel::Wheel;
use muster::model::{CommandArea, IncidentId, Timestamp};

/// What the engine holds in its wheel: a mark's name within its incident.
type Due = (IncidentId, u32, u8);

/// The mark number `n`: incidents come in order, their marks fall due after 1, 3, 5 or 15 minutes, some after days.
fn mark(n: u32, live: u32) -> (Timestamp, Due) {
    let incident = IncidentId { area: CommandArea::from("4304"), date: 20_261_123, n: n / 3 };
    // `live` marks are spread over the longest of the short spans.
    let received = i64::from(n) * 900_000 / i64::from(live);
    let span =
        [60_000, 180_000, 300_000, 900_000, 259_200_000][(n.wrapping_mul(2_654_435_761) >> 16) as usize % 41 / 10];
    (Timestamp(1_795_000_000_000 + received + span), (incident, n % 3, 0))
}

fn filled(live: u32) -> Wheel<Due> {
    let mut wheel = Wheel::default();
    for n in 0..live {
        let (at, due) = mark(n, live);
        wheel.insert(at, due);
    }
    wheel
}

fn marks(c: &mut Criterion) {
    for live in [50_000, 1_000_000] {
        let (mut wheel, mut n) = (filled(live), live);
        c.bench_function(&format!("marks/{live}/insert-cancel"), |b| {
            b.iter(|| {
                let ((at, due), (old_at, old)) = (mark(n, live), mark(n - live / 7, live));
                wheel.insert(at, due);
                n += 1;
                black_box(wheel.cancel(old_at, &old))
            });
        });
        let (mut wheel, mut n) = (filled(live), live);
        c.bench_function(&format!("marks/{live}/insert-pop"), |b| {
            b.iter(|| {
                let (at, due) = mark(n, live);
                wheel.insert(at, due);
                n += 1;
                black_box(wheel.pop(Timestamp(i64::MAX)))
            });
        });
        c.bench_function(&format!("marks/{live}/next"), |b| b.iter(|| black_box(wheel.next_at())));
    }
}

criterion_group!(benches, marks);
criterion_main!(benches);
