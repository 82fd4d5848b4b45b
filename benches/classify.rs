//! What it costs to say what a report is, with the playbook of Hengyang.
//!
//! * `words`: the scan of some sixty Chinese characters for all keyword groups.
//! * `place`: from a position to area, ring and site.
//! * `classify`: words, rules and modifiers; the place is known.
//! * `decode + classify`: from bytes to a verdict, place included; the live path before the engine.
//! * `plain`: the same job as a plain program does it: `serde_json`, the `aho-corasick` crate's DFA for words and negations, a
//!   hash map of hits, every rule in order. Without digest, place and modifiers: a lower bound for it. The target for us is 0.45 of it.
//! * `rules/n`: `classify` with the rules multiplied up to n by rules that seldom hold, with the index, and `linear/n` without.

#![allow(clippy::disallowed_types, reason = "the plain program is plain")]

#[allow(dead_code)]
mod events;

use std::collections::HashMap;
use std::hint::black_box;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use criterion::{Criterion, criterion_group, criterion_main};
use muster::classify::{Facts, classify, verdict};
use muster::decode::{Limits, decode_structured};
use muster::model::{Body, Event, Place, Report, Timestamp};
use muster::playbook::{Condition, Playbook, RuleIndex, When};
use serde::Deserialize;

const RECEIVED: Timestamp = Timestamp(1_795_392_000_000);
const DISTINCT: usize = 20_000;

fn decoded(text: &str) -> Event {
    decode_structured(text.as_bytes(), RECEIVED, &Limits::default()).expect("a good event").event
}

fn report_of(event: &Event) -> &Report {
    match &event.body {
        Body::Report(report) => report,
        _ => panic!("the events are reports"),
    }
}

/// The members a plain program would name.
#[derive(Deserialize)]
#[allow(dead_code, reason = "read, as the program would go on to use them")]
struct PlainEvent<'a> {
    specversion: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    source: &'a str,
    id: &'a str,
    time: &'a str,
    #[serde(borrow)]
    data: PlainData<'a>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "as above")]
struct PlainData<'a> {
    code: Option<&'a str>,
    text: &'a str,
    urgency: Option<&'a str>,
    severity: Option<&'a str>,
    certainty: Option<&'a str>,
    callback: Option<&'a str>,
}

/// A plain program's classifier.
struct Plain<'p> {
    playbook: &'p Playbook,
    words: AhoCorasick,
    /// Per pattern: its group, and whether it denies.
    patterns: Vec<(usize, bool)>,
}

impl<'p> Plain<'p> {
    fn new(playbook: &'p Playbook) -> Self {
        let (mut texts, mut patterns) = (Vec::new(), Vec::new());
        for (group, keywords) in playbook.keywords.iter().enumerate() {
            for (list, denies) in [(&keywords.words, false), (&keywords.negations, true)] {
                texts.extend(list.iter().map(ToString::to_string));
                patterns.extend(list.iter().map(|_| (group, denies)));
            }
        }
        let mut automaton = AhoCorasick::builder();
        automaton.kind(Some(AhoCorasickKind::DFA)).match_kind(MatchKind::Standard).ascii_case_insensitive(true);
        let words = automaton.build(texts).expect("a city's words fit a DFA");
        Self { playbook, words, patterns }
    }

    /// The number of the first rule that holds.
    fn rule(&self, bytes: &[u8]) -> usize {
        let event: PlainEvent = serde_json::from_slice(bytes).expect("JSON");
        let text = event.data.text;
        let mut denied: Vec<(usize, usize, usize)> = Vec::new();
        let mut found: Vec<(usize, usize, usize)> = Vec::new();
        for hit in self.words.find_overlapping_iter(text) {
            let (group, denies) = self.patterns[hit.pattern().as_usize()];
            if denies { &mut denied } else { &mut found }.push((group, hit.start(), hit.end()));
        }
        let mut hits: HashMap<&str, bool> = HashMap::new();
        for (group, start, end) in found {
            if !denied.iter().any(|(g, from, to)| *g == group && *from <= start && end <= *to) {
                hits.insert(self.playbook.keywords[group].id.as_str(), true);
            }
        }
        let (code, source) = (event.data.code, event.source);
        let hit = |group: &muster::model::KeywordGroup| hits.contains_key(group.as_str());
        let holds = |when: &When| {
            (when.any.is_empty() || when.any.iter().any(hit))
                && when.all.iter().all(hit)
                && !when.none.iter().any(hit)
                && (when.code.is_empty() || code.is_some_and(|c| when.code.iter().any(|p| c.starts_with(p.as_str()))))
                && (when.source.is_empty() || when.source.iter().any(|p| source.starts_with(p.as_str())))
                && when.attributes.is_empty()
                && when.urgency.is_empty()
                && when.severity.is_empty()
                && when.certainty.is_empty()
                && when.hours.is_always()
        };
        self.playbook.rules.iter().position(|rule| holds(&rule.when)).expect("the default rule holds")
    }
}

/// The playbook with its rules multiplied: copies that ask for a code besides, which few reports have.
fn multiplied(playbook: &Playbook, to: usize) -> Playbook {
    let mut playbook = playbook.clone();
    let own = playbook.rules.clone();
    let mut rules = Vec::new();
    for n in 0..to.saturating_sub(own.len()) {
        let mut rule = own[n % (own.len() - 1)].clone();
        rule.when.code = vec![format!("Y-{n}").into()];
        rules.push(rule);
    }
    rules.extend(own);
    playbook.rule_conditions = rules.iter().map(|r| Condition::of(&r.when, &playbook.keywords)).collect();
    playbook.rule_index = RuleIndex::of(&playbook.rule_conditions);
    playbook.rules = rules;
    playbook
}

fn benches(c: &mut Criterion) {
    let playbook = events::hengyang();
    let texts: Vec<String> = (0..DISTINCT).map(events::event).collect();
    let decoded: Vec<(Event, Place)> = texts
        .iter()
        .map(|text| decoded(text))
        .map(|event| (event.clone(), playbook.areas.locate(&report_of(&event).place)))
        .collect();
    let plain = Plain::new(&playbook);
    same_answers(&playbook, &plain, &texts, &decoded);

    let mut group = c.benchmark_group("classify");
    let mut turn = decoded.iter().cycle();
    let mut next = || turn.next().expect("it goes round");
    group.bench_function("words", |b| b.iter(|| playbook.keyword_hits(black_box(report_of(&next().0).text.reveal()))));
    group.bench_function("place", |b| b.iter(|| playbook.areas.locate(black_box(&report_of(&next().0).place))));
    let judge = |playbook: &Playbook, (event, place): &(Event, Place)| {
        classify(playbook, report_of(event), &event.meta.source, RECEIVED, place)
    };
    group.bench_function("classify", |b| b.iter(|| judge(&playbook, black_box(next()))));
    let mut turn = texts.iter().cycle();
    let mut bytes = || turn.next().expect("it goes round").as_bytes();
    let limits = Limits::default();
    group.bench_function("decode + classify", |b| {
        b.iter(|| {
            let event = decode_structured(black_box(bytes()), RECEIVED, &limits).expect("a good event").event;
            verdict(&playbook, &event.meta, report_of(&event), RECEIVED)
        });
    });
    group.bench_function("plain", |b| b.iter(|| plain.rule(black_box(bytes()))));
    for rules in [220, 2_000, 20_000] {
        let many = multiplied(&playbook, rules);
        group.bench_function(format!("rules/{rules}"), |b| b.iter(|| judge(&many, black_box(next()))));
        group.bench_function(format!("linear/{rules}"), |b| {
            b.iter(|| {
                let (event, place) = black_box(next());
                let facts = Facts::of(&many, report_of(event), &event.meta.source, RECEIVED, place);
                many.rule_conditions.iter().position(|condition| condition.holds(&facts, None))
            });
        });
    }
    group.finish();
}

/// A comparison of times is worth nothing if the answers differ.
fn same_answers(playbook: &Playbook, plain: &Plain, texts: &[String], decoded: &[(Event, Place)]) {
    let mut other_than_default = 0;
    for (text, (event, place)) in texts.iter().zip(decoded) {
        let ours = classify(playbook, report_of(event), &event.meta.source, RECEIVED, place).rule;
        let theirs = &playbook.rules[plain.rule(text.as_bytes())].id;
        assert_eq!(ours, *theirs, "{text}");
        other_than_default += usize::from(ours != playbook.rules.last().expect("there are rules").id);
    }
    let bytes = texts.iter().map(String::len).sum::<usize>() / texts.len();
    eprintln!("{} events of {bytes} bytes, {other_than_default} of them other than by the default rule", texts.len());
}

criterion_group!(all, benches);
criterion_main!(all);
