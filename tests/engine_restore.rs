use std::sync::Arc;
use muster::engine::*;
use muster::model::*;
use muster::playbook::Playbook;
fn load() -> Arc<Playbook> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/playbooks/minimal");
    let mut files = Vec::new();
    for e in std::fs::read_dir(dir).unwrap() { let p = e.unwrap().path(); files.push((p.file_name().unwrap().to_string_lossy().to_string(), std::fs::read_to_string(&p).unwrap())); }
    files.sort();
    Arc::new(Playbook::load(&files).unwrap_or_else(|p| panic!("{}", p.iter().map(|p| p.to_string()).collect::<Vec<_>>().join("\n"))))
}
fn ev(id: &str, at: i64, body: Body) -> Input {
    Input::Event(Box::new(Event { meta: Meta { source: "110/desk-1".into(), id: id.into(), time: None, traceparent: None, digest: Digest::of(id.as_bytes()) }, received: Timestamp(at), body }), None)
}
fn show(fx: &mut Vec<Effect>, t0: i64) { for e in fx.drain(..) { if let Effect::Timeline(e) = e { println!("+{}s {}", (e.at.0 - t0) / 1000, e.what); } } }
#[test]
fn story() {
    let t0 = Timestamp::parse("2026-11-23T08:00:00+08:00").unwrap().0;
    let mut e = Engine::new(load());
    let mut fx = Vec::new();
    let mut r = Report { text: "商场冒烟 有明火".into(), ..Report::default() };
    r.place.id = Some("lotus-plaza".into());
    let a = e.step(Timestamp(t0), ev("a1", t0, Body::Report(Box::new(r.clone()))), &mut fx);
    println!("{a:?}");
    show(&mut fx, t0);
    for s in [59, 60, 61, 300, 420, 600] { while !e.advance(Timestamp(t0 + s * 1000), &mut fx) {} show(&mut fx, t0); println!("-- {s}"); }
    let docs = e.take_changed();
    for d in &docs { println!("{} {}", d.key, d.body.as_ref().map_or(0, |b| b.len())); }
    let e2 = Engine::restore(load(), docs).unwrap();
    assert_eq!(e2.next_due(), e.next_due());
    assert_eq!(e2.deadlines(), e.deadlines());
}
