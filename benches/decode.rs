//! What it costs to turn bytes into an event.
//!
//! * `structured`: one event of 480 bytes, every member in the order in which most producers send it; the live path.
//! * `structured, data first`: the data stands before the type and is walked twice.
//! * `structured, escaped`: the same text as `\u` escapes, so that no string can be borrowed.
//! * `batch of 100`: a list of a hundred such events; per batch.
//! * `refused`: a bad latitude; the text is then scanned once more to see whether it is JSON at all.
//! * `serde_json, typed`: `serde_json` into borrowed members, unchecked: what a plain program would do, for comparison.
//! * `digest`: the share of the digest in `structured`.

#[allow(dead_code)]
mod events;

use std::borrow::Cow;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use muster::decode::{Limits, decode_batch, decode_structured};
use muster::model::{Digest, Timestamp};
use serde::Deserialize;

const RECEIVED: Timestamp = Timestamp(1_795_392_000_000);
const DISTINCT: usize = 20_000;

/// The members a plain program would name; others are skipped.
#[derive(Deserialize)]
#[allow(dead_code)]
struct Plain<'a> {
    specversion: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    source: &'a str,
    id: &'a str,
    time: Option<&'a str>,
    #[serde(borrow)]
    data: PlainData<'a>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct PlainData<'a> {
    code: Option<&'a str>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    urgency: Option<&'a str>,
    severity: Option<&'a str>,
    certainty: Option<&'a str>,
    place: Option<PlainPlace>,
    callback: Option<&'a str>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct PlainPlace {
    position: Option<PlainPosition>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct PlainPosition {
    lon: f64,
    lat: f64,
}

/// Runs one case over all events in turn.
fn each(c: &mut Criterion, name: &str, events: &[String], mut work: impl FnMut(&[u8])) {
    let bytes = events.iter().map(String::len).sum::<usize>() / events.len();
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Bytes(bytes as u64));
    let mut turn = events.iter().cycle();
    group.bench_function(name, |b| b.iter(|| work(black_box(turn.next().expect("it goes round").as_bytes()))));
    group.finish();
}

fn benches(c: &mut Criterion) {
    let events: Vec<String> = (0..DISTINCT).map(events::event).collect();
    let limits = Limits::default();
    let take = |bytes: &[u8]| decode_structured(bytes, RECEIVED, &limits).expect("a good event");
    each(c, "structured", &events, |bytes| drop(black_box(take(bytes))));

    let data_first = |e: &String| {
        let (head, data) = e.split_once(r#","data":"#).expect("it has data");
        format!(r#"{{"data":{},{}}}"#, &data[..data.len() - 1], &head[1..])
    };
    let turned: Vec<String> = events.iter().map(data_first).collect();
    each(c, "structured, data first", &turned, |bytes| drop(black_box(take(bytes))));

    let escape = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", c as u32) };
    let escaped: Vec<String> = events.iter().map(|e| e.chars().map(escape).collect()).collect();
    each(c, "structured, escaped", &escaped, |bytes| drop(black_box(take(bytes))));

    let batches: Vec<String> = events.chunks(100).map(|chunk| format!("[{}]", chunk.join(","))).collect();
    each(c, "batch of 100", &batches, |bytes| drop(black_box(decode_batch(bytes, RECEIVED, &limits))));

    let bad: Vec<String> = events.iter().map(|e| e.replace("\"lat\":", "\"lat\":9")).collect();
    each(c, "refused", &bad, |bytes| {
        drop(black_box(decode_structured(bytes, RECEIVED, &limits).expect_err("a bad one")));
    });

    each(c, "serde_json, typed", &events, |bytes| {
        drop(black_box(serde_json::from_slice::<Plain>(bytes).expect("a good event")));
    });

    each(c, "digest", &events, |bytes| {
        black_box(Digest::of(&bytes[..bytes.len().min(260)]));
    });
}

criterion_group!(all, benches);
criterion_main!(all);
