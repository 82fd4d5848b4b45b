//! The listener: one terminal at the public stream, which counts what happens and tells it to whoever shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::door::{Door, Error};

/// Everything counted so far.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// Incidents opened.
    pub incidents: u64,
    /// Reports that joined one.
    pub merged: u64,
    /// Incidents linked to another they may belong to.
    pub suggested: u64,
    /// Reports folded into a flood.
    pub folded: u64,
    /// Orders issued.
    pub orders: u64,
    /// Marks kept.
    pub marks_kept: u64,
    /// Marks missed, each counted once.
    pub marks_missed: u64,
    /// On-scene marks by ring: kept, missed.
    pub on_scene_by_ring: BTreeMap<String, (u64, u64)>,
    /// Levels climbed.
    pub escalations: u64,
    /// All-calls.
    pub all_calls: u64,
    /// Needs that nobody could serve.
    pub shortfalls: u64,
    /// Incidents that are drills.
    pub drills: u64,
    /// Notices raised.
    pub notices: u64,
}

/// What the listener knows.
#[derive(Debug, Default)]
pub struct Heard {
    /// The counts.
    pub counts: Counts,
    /// Every report that some line of the timeline names, as `source` and `id`.
    pub named: BTreeSet<(String, String)>,
    /// The newest `rev` heard.
    pub rev: u64,
    /// The stream is open.
    pub ready: bool,
    /// Heartbeats heard: each says that everything before it has been told.
    pub heartbeats: u64,
    /// The stream said that something was lost.
    pub resync: bool,
    rings: BTreeMap<String, String>,
}

/// Shared with whoever shows it.
pub type Shared = Arc<Mutex<Heard>>;

/// Listens until the stream ends; lines of the timeline go to `lines`.
///
/// # Errors
/// When the stream cannot be opened.
pub async fn listen(door: Door, heard: Shared, lines: mpsc::UnboundedSender<Value>) -> Result<(), Error> {
    let mut stream = door.stream().await?;
    let mut buffer = Vec::new();
    let mut event = (String::new(), String::new());
    while let Ok(Some(chunk)) = stream.chunk().await {
        buffer.extend_from_slice(&chunk);
        while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            if let Some(name) = line.strip_prefix("event:") {
                name.trim().clone_into(&mut event.0);
            } else if let Some(id) = line.strip_prefix("id:") {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.rev = heard.rev.max(id.trim().parse().unwrap_or(0));
            } else if let Some(data) = line.strip_prefix("data:") {
                event.1.push_str(data.trim_start());
            } else if line.is_empty() {
                let (name, data) = std::mem::take(&mut event);
                hear(&heard, &name, &data, &lines);
            }
        }
    }
    Ok(())
}

fn hear(heard: &Shared, name: &str, data: &str, lines: &mpsc::UnboundedSender<Value>) {
    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    match name {
        "muster.ready" => heard.ready = true,
        "muster.heartbeat" => heard.heartbeats += 1,
        "muster.resync" => heard.resync = true,
        "muster.timeline" => {
            let Ok(line) = serde_json::from_str::<Value>(data) else { return };
            heard.line(&line);
            // Nobody may be looking.
            let _ = lines.send(line);
        }
        _ => {}
    }
}

impl Heard {
    fn line(&mut self, line: &Value) {
        let detail = &line["detail"];
        let named = detail["source"].as_str().zip(detail["event"].as_str());
        if let Some((source, event)) = named {
            self.named.insert((source.to_owned(), event.to_owned()));
        }
        let incident = line["incident"].as_str().unwrap_or_default().to_owned();
        let counts = &mut self.counts;
        match line["what"].as_str().unwrap_or_default() {
            "opened" => {
                counts.incidents += 1;
                counts.drills += u64::from(line["drill"].as_bool().unwrap_or(false));
                let ring = detail["classification"]["ring"].as_str().unwrap_or("?").to_owned();
                self.rings.insert(incident, ring);
            }
            "joined" => counts.merged += 1,
            "suggested" => counts.suggested += 1,
            "folded" => counts.folded += 1,
            "ordered" => counts.orders += 1,
            "level-raised" => counts.escalations += 1,
            "all-call-began" => counts.all_calls += 1,
            "shortfall" => counts.shortfalls += 1,
            "noticed" => counts.notices += 1,
            "kept" => {
                counts.marks_kept += 1;
                self.on_scene(&incident, detail, true);
            }
            "missed" if detail["round"].as_u64().unwrap_or(1) <= 1 => {
                counts.marks_missed += 1;
                self.on_scene(&incident, detail, false);
            }
            _ => {}
        }
    }

    fn on_scene(&mut self, incident: &str, detail: &Value, kept: bool) {
        if detail["mark"].as_str() == Some("on-scene") {
            let ring = self.rings.get(incident).cloned().unwrap_or_else(|| "?".to_owned());
            let of_ring = self.counts.on_scene_by_ring.entry(ring).or_default();
            if kept {
                of_ring.0 += 1;
            } else {
                of_ring.1 += 1;
            }
        }
    }
}
