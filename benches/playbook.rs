//! What it costs to bring a playbook into force.
//!
//! * `load`: Hengyang from text to the compiled value, all checks included; the limit is 100 ms, since a swap of the
//!   playbook happens beside a running city.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use muster::playbook::Playbook;

fn load(c: &mut Criterion) {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/config/playbooks/hengyang");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).expect("the playbook is shipped") {
        let path = entry.expect("readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push((name, std::fs::read_to_string(path).expect("readable")));
    }
    c.benchmark_group("playbook").sample_size(20).bench_function("load", |b| {
        b.iter(|| Playbook::load(black_box(&files)).expect("it is in order"));
    });
}

criterion_group!(benches, load);
criterion_main!(benches);
