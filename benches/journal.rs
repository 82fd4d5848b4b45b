//! `journal/append`: one accepted step of the embedded journal, by the number of inputs in it.
//!
//! An input here is a report that opens an incident: three documents (incident, order, report), an order, a notice's worth
//! of JSON and three timeline entries. The flush is paid once a step, so the cost of an input falls with the batch until
//! the writing itself decides. What is emitted is noted now and then, as the shard does.

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use muster::engine::{Actor, Document, Effect, Entry, Notice, NoticeKind, What};
use muster::journal::{Journal, JournalOptions, Sqlite, Step};
use muster::model::{Desk, IncidentId, Timestamp};
use smol_str::format_smolstr;

fn documents(n: u64, input: u64) -> [Document; 3] {
    let body = |bytes: usize| Some(format!("{{\"v\":1,\"n\":{n},\"text\":\"{}\"}}", "火".repeat(bytes / 3)).into());
    let doc =
        |kind: &str, bytes| Document { key: format_smolstr!("{kind}/4304-20261123-{n}-{input}"), body: body(bytes) };
    [doc("incident", 1_200), doc("order", 400), doc("report", 600)]
}

fn effects(n: u64, input: u64) -> Vec<Effect> {
    let at = Timestamp(i64::try_from(n).unwrap_or(0));
    let incident = Some(IncidentId { area: "4304".into(), date: 20_261_123, n: u32::try_from(n).unwrap_or(1) });
    let what = || What::Noticed {
        notice: format_smolstr!("4304-20261123-{n}-n{input}"),
        desk: Desk::Command,
        kind: NoticeKind::ALL[0],
        text: "商场冒烟".repeat(10),
        take_by: Some(at),
    };
    let entry = || {
        Effect::Timeline(Box::new(Entry {
            at,
            incident: incident.clone(),
            drill: false,
            by: Actor::Engine,
            what: what(),
        }))
    };
    let notice = Effect::Notice(Box::new(Notice {
        id: format_smolstr!("4304-20261123-{n}-n{input}"),
        incident: incident.clone(),
        desk: Desk::Command,
        kind: NoticeKind::ALL[0],
        text: "商场冒烟".repeat(20),
        severity: None,
        take_by: Some(at),
        at,
        drill: false,
    }));
    vec![entry(), notice, entry(), entry()]
}

fn step(number: u64, inputs: u64) -> Arc<Step> {
    Arc::new(Step {
        number,
        at: Timestamp(i64::try_from(number).unwrap_or(0)),
        documents: (0..inputs).flat_map(|input| documents(number, input)).collect(),
        effects: (0..inputs).flat_map(|input| effects(number, input)).collect(),
        ..Step::default()
    })
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("journal/append");
    group.sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    for inputs in [1, 16, 64, 256] {
        let folder = tempfile::tempdir().expect("a folder for the bench");
        let options = JournalOptions { path: folder.path().into(), ..JournalOptions::default() };
        let mut journal = Sqlite::open(&options, &"4304".into(), Timestamp(0)).expect("a journal");
        let mut number = 0;
        group.throughput(Throughput::Elements(inputs));
        group.bench_function(BenchmarkId::from_parameter(inputs), |b| {
            b.iter_batched(
                || {
                    number += 1;
                    step(number, inputs)
                },
                |step| {
                    journal.append(std::slice::from_ref(&step)).expect("accepted");
                    if step.number % 64 == 0 {
                        journal.note(step.number, step.at).expect("noted");
                    }
                },
                criterion::BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
