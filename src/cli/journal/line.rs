//! A record in words, and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use smol_str::SmolStr;

use crate::engine::{Document, Effect, What};
use crate::journal::Step;
use crate::journal::log::{Record, RecordBody, Verdict};
use crate::kafka::audit::{Seen, Verified};
use crate::kafka::replay::Difference;
use crate::model::FreeText;

/// The record as lines of text.
pub fn page(shard: u32, seen: &Seen, text: bool) -> String {
    let head = format!("shard {shard}  offset {}  {}", seen.offset, seen.appended.to_rfc3339());
    let record = match &seen.record {
        Ok(record) => record,
        Err(why) => return format!("{head}  unreadable: {why}\n"),
    };
    let mut page =
        format!("{head}  epoch {}  {}  {}  {}\n", record.epoch, record.owner, kind(record), verdict(seen.verdict));
    let _ = writeln!(page, "    low {}  emitted {}", record.low.offset, record.emitted);
    if let RecordBody::Acceptance { by, reason, beyond } = &record.body {
        let _ = writeln!(page, "    by {by}: {reason}; goes on above step {} and epoch {}", beyond.step, beyond.epoch);
    }
    if let RecordBody::Step(step) = &record.body {
        page += &of_step(step, text);
    }
    if !record.swept.is_empty() {
        let _ = writeln!(page, "    written anew: {}", keys(&record.swept));
    }
    page
}

fn of_step(step: &Step, text: bool) -> String {
    let mut page = format!("    at {}", step.at.to_rfc3339());
    let taken = taken(step);
    if !taken.is_empty() {
        let _ = write!(page, "  took {}", taken.join(", "));
    }
    if let Some(outage) = step.consumed.outage {
        let _ = write!(page, "  nobody was here from {} to {}", outage.from.to_rfc3339(), outage.to.to_rfc3339());
    }
    page.push('\n');
    for refused in &step.consumed.refused {
        let _ =
            writeln!(page, "    refused {} {}: {} ({})", refused.door, refused.offset, refused.reason, refused.detail);
    }
    if !step.documents.is_empty() {
        let _ = writeln!(page, "    documents: {}", keys(&step.documents));
    }
    for effect in &step.effects {
        let _ = writeln!(page, "    {}", words(effect, text));
    }
    if text {
        for (key, words) in step.documents.iter().filter_map(report_text) {
            let _ = writeln!(page, "    {key} says: {words}");
        }
    }
    page
}

/// The record as an object. What people wrote is in it only by `text`: then the record is there as it stands, too.
pub fn object(seen: &Seen, text: bool) -> Value {
    let mut told = json!({ "offset": seen.offset, "appended_at": seen.appended.to_rfc3339() });
    let record = match &seen.record {
        Ok(record) => record,
        Err(why) => {
            told["unreadable"] = why.to_string().into();
            return told;
        }
    };
    told["epoch"] = record.epoch.into();
    told["owner"] = record.owner.as_str().into();
    told["kind"] = word(record).into();
    told["verdict"] = verdict(seen.verdict).into();
    told["low"] = record.low.offset.into();
    told["emitted"] = record.emitted.into();
    told["written_anew"] = json!(record.swept.iter().map(|document| &document.key).collect::<Vec<_>>());
    match &record.body {
        RecordBody::Acceptance { by, reason, beyond } => {
            told["acceptance"] = json!({ "by": by, "reason": reason, "beyond": beyond });
        }
        RecordBody::Step(step) => {
            told["step"] = json!({
                "number": step.number, "at": step.at.to_rfc3339(), "positions": step.positions,
                "taken": step.consumed.taken.iter().map(|t| json!({ "door": t.door, "offset": t.offset })).collect::<Vec<_>>(),
                "refused": step.consumed.refused,
                "documents": step.documents.iter().map(|d| json!({ "key": d.key, "gone": d.body.is_none() })).collect::<Vec<_>>(),
                "effects": step.effects.iter().map(|effect| words(effect, text)).collect::<Vec<_>>(),
            });
        }
        RecordBody::Claim | RecordBody::Release => {}
    }
    if text {
        told["record"] = serde_json::from_slice(&seen.bytes).unwrap_or_default();
    }
    told
}

fn word(record: &Record) -> &'static str {
    match record.body {
        RecordBody::Claim => "claim",
        RecordBody::Step(_) => "step",
        RecordBody::Release => "release",
        RecordBody::Acceptance { .. } => "acceptance",
    }
}

fn kind(record: &Record) -> String {
    match &record.body {
        RecordBody::Step(step) => format!("step {}", step.number),
        _ => word(record).to_owned(),
    }
}

fn verdict(verdict: Option<Verdict>) -> String {
    match verdict {
        Some(Verdict::Accepted) => String::from("accepted"),
        Some(Verdict::Void(why)) => format!("void ({})", why.as_str()),
        Some(Verdict::Unclaimed) => String::from("unclaimed: records before it are lost"),
        None => String::from("not judged: what came before is trimmed away"),
    }
}

/// Offsets taken of each door, as runs.
fn taken(step: &Step) -> Vec<String> {
    let mut doors: BTreeMap<&SmolStr, Vec<(u64, u64)>> = BTreeMap::new();
    for taken in &step.consumed.taken {
        let runs = doors.entry(&taken.door).or_default();
        match runs.last_mut() {
            Some((_, to)) if *to + 1 == taken.offset => *to = taken.offset,
            _ => runs.push((taken.offset, taken.offset)),
        }
    }
    let run = |(from, to): &(u64, u64)| if from == to { from.to_string() } else { format!("{from}–{to}") };
    let door = |(door, runs): (&SmolStr, Vec<(u64, u64)>)| {
        format!("{door} {}", runs.iter().map(run).collect::<Vec<_>>().join(" "))
    };
    doors.into_iter().map(door).collect()
}

fn keys(documents: &[Document]) -> String {
    let key = |d: &Document| if d.body.is_some() { d.key.to_string() } else { format!("{} (gone)", d.key) };
    documents.iter().map(key).collect::<Vec<_>>().join(", ")
}

/// What came of deciding a shard again.
pub fn verified(shard: u32, v: &Verified, text: bool) -> Value {
    let difference = |d: &Difference| {
        let mut told = json!({ "step": d.step, "at": d.at });
        if text {
            (told["recorded"], told["replayed"]) = (d.recorded.clone(), d.replayed.clone());
        }
        told
    };
    json!({
        "shard": shard, "first": v.records.0, "end": v.records.1, "steps": v.steps, "inputs": v.inputs,
        "effects": v.effects, "claims": v.claims, "beyond": v.beyond, "different": v.different,
        "differences": v.differences.iter().map(difference).collect::<Vec<_>>(),
    })
}

/// An effect in words.
fn words(effect: &Effect, text: bool) -> String {
    let also = |words: &FreeText| match (text, words.is_empty()) {
        (true, false) => format!(": {}", words.reveal()),
        _ => String::new(),
    };
    match effect {
        Effect::Timeline(entry) => {
            let of = entry.incident.as_ref().map(|id| format!("{id} ")).unwrap_or_default();
            let said = if let What::Said { words, .. } = &entry.what { also(words) } else { String::new() };
            format!("{} {of}{}{said}", entry.at.to_rfc3339(), entry.what)
        }
        Effect::Order(o) => format!("order {} → {} {}{}", o.id, o.post, o.state, also(&o.text)),
        Effect::Call(c) => format!("call {} of {}{}", c.n, c.incident, if c.recalled { ", taken back" } else { "" }),
        Effect::Notice(n) => format!("notice {} → {}: {}", n.id, n.desk, n.text),
        Effect::Agency(a) => format!("told {} of {}: {}", a.agency, a.incident, a.reason),
        Effect::Forward(to, event) => format!("handed {} {} over to {to}", event.meta.source, event.meta.id),
    }
}

/// What the report of a document says.
fn report_text(document: &Document) -> Option<(&SmolStr, String)> {
    let (_, own) = crate::journal::own_key(&document.key)?;
    let body = document.body.as_deref().filter(|_| own.starts_with("report/"))?;
    let report: Value = serde_json::from_str(body).ok()?;
    let words = report["report"]["text"].as_str().filter(|words| !words.is_empty())?;
    Some((&document.key, words.to_owned()))
}
