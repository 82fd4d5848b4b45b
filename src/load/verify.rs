//! After the run: is every report that was acknowledged really there?
//!
//! Incidents that a report opened are read from the board's list, page by page: each names the source and the event that
//! opened it. A report that belongs to an incident which another opened is looked for in that incident's timeline. What is
//! found in neither is lost, and must not be. For a run on an instance that lives on, the list may be long: only that part
//! of it is read which came since the run began.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::client::{Client, Error};
use super::driver::Shared;
use super::ledger::{Fate, Key};
use crate::model::Timestamp;

/// Incidents of one page.
const PAGE: u32 = 1000;
/// Lines of a timeline's page, and pages of a timeline at most: a flood's holds a thousand reports.
const LINES: u32 = 1000;
const LINE_PAGES_MAX: u32 = 50;
/// Examples of lost reports that are named.
const NAMED_MAX: usize = 10;
/// Timelines are read over so many connections.
const READERS: usize = 4;

/// What the count came to.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Found {
    /// Acknowledged reports that were looked for.
    pub looked_for: u64,
    /// Found on the board: the incident names them.
    pub on_the_board: u64,
    /// Found in a timeline.
    pub in_a_timeline: u64,
    /// Handed to another centre: its board is not ours to read.
    pub elsewhere: u64,
    /// Found nowhere. Must be 0.
    pub lost: u64,
    /// Some of those, by id.
    pub examples: Vec<String>,
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Incident {
    event: String,
}

#[derive(Deserialize)]
struct Line {
    detail: Detail,
}

#[derive(Deserialize)]
struct Detail {
    event: Option<String>,
}

/// Looks for the first `reports` reports of a run that began at `since`.
///
/// # Errors
/// When the instance does not answer.
pub async fn verify(shared: &Arc<Shared>, reports: u32, since: Timestamp) -> Result<Found, Error> {
    let mut seen = vec![false; reports as usize];
    if (0..reports).any(|n| matches!(shared.ledger.fate(n), Fate::Opened(_))) {
        board(shared, since, &mut seen).await?;
    }
    let mut found = Found::default();
    let mut asked: BTreeMap<Key, Vec<u32>> = BTreeMap::new();
    for n in 0..reports {
        match shared.ledger.fate(n) {
            Fate::Unknown | Fate::Refused => continue,
            Fate::Elsewhere => found.elsewhere += 1,
            Fate::Opened(_) if seen[n as usize] => found.on_the_board += 1,
            Fate::Opened(key) | Fate::Belongs(key) => asked.entry(key).or_default().push(n),
        }
        found.looked_for += 1;
    }
    timelines(shared, asked, &mut found).await?;
    Ok(found)
}

/// Marks every report of ours that some incident names as its first.
async fn board(shared: &Shared, since: Timestamp, seen: &mut [bool]) -> Result<(), Error> {
    let mut client = Client::to(&shared.target);
    let base = format!("/v1/incidents?limit={PAGE}&since={}", escaped(&since.to_rfc3339()));
    let mut path = base.clone();
    loop {
        let body = client.get(&path).await?;
        let page: Page<Incident> = parse(&path, &body)?;
        for incident in &page.items {
            if let Some(slot) = shared.number(&incident.event).and_then(|n| seen.get_mut(n as usize)) {
                *slot = true;
            }
        }
        match page.next {
            Some(next) => path = format!("{base}&cursor={}", cursor(&next)),
            None => return Ok(()),
        }
    }
}

async fn timelines(shared: &Arc<Shared>, asked: BTreeMap<Key, Vec<u32>>, found: &mut Found) -> Result<(), Error> {
    let all: Vec<(Key, Vec<u32>)> = asked.into_iter().collect();
    let share = all.len().div_ceil(READERS).max(1);
    let reading = all.chunks(share).map(|part| {
        let (shared, part) = (Arc::clone(shared), part.to_vec());
        tokio::spawn(async move { read_timelines(&shared, part).await })
    });
    for part in futures_util::future::join_all(reading).await {
        let (in_a_timeline, lost) = part.map_err(|e| Error::Silent("a timeline".to_owned(), e.to_string()))??;
        found.in_a_timeline += in_a_timeline;
        found.lost += lost.len() as u64;
        let room = NAMED_MAX.saturating_sub(found.examples.len());
        found.examples.extend(lost.iter().take(room).map(|n| format!("{}-{n}", shared.run)));
    }
    Ok(())
}

async fn read_timelines(shared: &Shared, part: Vec<(Key, Vec<u32>)>) -> Result<(u64, Vec<u32>), Error> {
    let mut client = Client::to(&shared.target);
    let (mut there, mut lost) = (0, Vec::new());
    for (key, mut reports) in part {
        let base = format!("/v1/incidents/{}/timeline?limit={LINES}", shared.ledger.incident(key));
        let (mut path, before) = (base.clone(), reports.len());
        for _ in 0..LINE_PAGES_MAX {
            let body = match client.get(&path).await {
                Err(Error::Odd { status: 404, .. }) => break,
                body => body?,
            };
            let page: Page<Line> = parse(&path, &body)?;
            for line in &page.items {
                if let Some(n) = line.detail.event.as_deref().and_then(|event| shared.number(event)) {
                    reports.retain(|asked| *asked != n);
                }
            }
            match page.next {
                Some(next) if !reports.is_empty() => path = format!("{base}&cursor={}", cursor(&next)),
                _ => break,
            }
        }
        there += (before - reports.len()) as u64;
        lost.extend(reports);
    }
    Ok((there, lost))
}

impl Shared {
    /// The sequence number in an event's id, where it is one of this run.
    fn number(&self, event: &str) -> Option<u32> {
        event.strip_prefix(&self.run)?.strip_prefix('-')?.parse().ok()
    }
}

fn parse<T: serde::de::DeserializeOwned>(path: &str, body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|e| Error::Odd {
        path: path.to_owned(),
        status: 200,
        body: format!("what the driver cannot read: {e}"),
    })
}

fn cursor(next: &serde_json::Value) -> String {
    match next {
        serde_json::Value::String(text) => escaped(text),
        other => other.to_string(),
    }
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
