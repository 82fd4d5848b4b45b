//! State as documents: what a step changed, whole; what a restore reads back.
//!
//! A document is a key and a JSON text of at most 16 KiB that carries its version. What grows is split: an incident, each
//! of its orders, each of its reports, each minute of digests, each stretch of an all-call, each silence, each hidden notice and each entry of the agenda are
//! documents of their own.
//! A restore puts them back and derives the rest: the wheel from marks, expiries and notices; the fleet's tasks from
//! live orders; the waiting queue from needs; the index of places from incidents.

use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, ToSmolStr};

use super::state::{
    Bucket, CallList, Head, Hidden, Incident, Left, OpenNotice, Order, PostRecord, ReportRecord, STATE_VERSION,
    SeenList, Silence,
};
use super::{Engine, RestoreError};
use crate::model::{IncidentId, OrderId, PostId};

/// The newest version of one piece of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// `<kind>/<id>`: `head`, `incident/4304-20261123-1`, `order/…`, `report/…/1`, `post/P-017`, `digests/<minute>/<k>`, …
    pub key: SmolStr,
    /// JSON; `None` when the document is gone.
    pub body: Option<Box<str>>,
}

/// A document must not be larger than this, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024;

/// The key of a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Head,
    Incident(IncidentId),
    Order(OrderId),
    Report(IncidentId, u32),
    Call(IncidentId, u32, u32),
    Post(PostId),
    Notice(SmolStr),
    Bucket(SmolStr),
    Silence(SmolStr),
    Hidden(u64),
    Digests(i64, u32),
    Todo(i64),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("head"),
            Self::Incident(id) => write!(f, "incident/{id}"),
            Self::Order(id) => write!(f, "order/{id}"),
            Self::Report(id, n) => write!(f, "report/{id}/{n}"),
            Self::Call(id, n, k) => write!(f, "call/{id}/{n}/{k}"),
            Self::Post(id) => write!(f, "post/{id}"),
            Self::Notice(id) => write!(f, "notice/{id}"),
            Self::Bucket(key) => write!(f, "bucket/{key}"),
            Self::Silence(id) => write!(f, "silence/{id}"),
            Self::Hidden(n) => write!(f, "hidden/{n}"),
            Self::Digests(minute, k) => write!(f, "digests/{minute}/{k}"),
            Self::Todo(n) => write!(f, "todo/{n}"),
        }
    }
}

impl FromStr for Key {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once('/').unwrap_or((text, ""));
        let number = |t: &str| t.parse::<u32>().map_err(|e| e.to_string());
        match kind {
            "head" => Ok(Self::Head),
            "incident" => rest.parse().map(Self::Incident),
            "order" => rest.parse().map(Self::Order),
            "post" => Ok(Self::Post(rest.into())),
            "notice" => Ok(Self::Notice(rest.into())),
            "bucket" => Ok(Self::Bucket(rest.into())),
            "silence" => Ok(Self::Silence(rest.into())),
            "hidden" => rest.parse().map(Self::Hidden).map_err(|e: std::num::ParseIntError| e.to_string()),
            "todo" => rest.parse().map(Self::Todo).map_err(|e: std::num::ParseIntError| e.to_string()),
            "report" => {
                let (id, n) = rest.rsplit_once('/').ok_or("no number")?;
                Ok(Self::Report(id.parse()?, number(n)?))
            }
            "call" => {
                let (rest, k) = rest.rsplit_once('/').ok_or("no stretch")?;
                let (id, n) = rest.rsplit_once('/').ok_or("no number")?;
                Ok(Self::Call(id.parse()?, number(n)?, number(k)?))
            }
            "digests" => {
                let (minute, k) = rest.rsplit_once('/').ok_or("no stretch")?;
                Ok(Self::Digests(minute.parse::<i64>().map_err(|e| e.to_string())?, number(k)?))
            }
            other => Err(format!("`{other}` is no kind of document")),
        }
    }
}

fn json<T: Serialize>(value: &T) -> Box<str> {
    serde_json::to_string(value).expect("state has text keys only, so it is always JSON").into_boxed_str()
}

impl Engine {
    /// The hash of the playbook in force, as the head among these documents says; `None` where there is no head.
    ///
    /// # Errors
    /// When the head is not one this version wrote.
    pub fn playbook_hash(documents: &[Document]) -> Result<Option<SmolStr>, RestoreError> {
        let head = documents.iter().find(|d| d.key == "head").and_then(|d| d.body.as_deref());
        let wrong = |reason: String| RestoreError { key: "head".to_owned(), reason };
        head.map(|body| read::<Head>(body).map(|head| head.playbook)).transpose().map_err(wrong)
    }

    /// The documents changed since the last call, newest version each, by key.
    pub fn take_changed(&mut self) -> Vec<Document> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|key| Document { body: self.body(&key), key: key.to_smolstr() }).collect()
    }

    fn body(&self, key: &Key) -> Option<Box<str>> {
        match key {
            Key::Head => Some(json(&Head { at: self.now, ..self.head.clone() })),
            Key::Incident(id) => self.incidents.get(id).map(json),
            Key::Order(id) => self.orders.get(id).map(json),
            Key::Report(id, n) => self.reports.get(&(id.clone(), *n)).map(json),
            Key::Call(id, n, k) => self.calls.get(&(id.clone(), *n, *k)).map(json),
            Key::Post(id) => self.posts.get(id).map(json),
            Key::Notice(id) => self.notices.get(id).map(json),
            Key::Bucket(key) => self.buckets.get(key).map(json),
            Key::Silence(id) => self.silences.get(id).map(json),
            Key::Hidden(n) => self.hidden.get(n).map(json),
            Key::Digests(minute, k) => self.repeats.list(*minute, *k).map(json),
            Key::Todo(n) => self.agenda.get(n).map(json),
        }
    }

    pub(super) fn read_back(&mut self, document: &Document) -> Result<(), RestoreError> {
        let wrong = |reason: String| RestoreError { key: document.key.to_string(), reason };
        let key: Key = document.key.parse().map_err(wrong)?;
        let Some(body) = document.body.as_deref() else { return Ok(()) };
        match key {
            Key::Head => self.head = read::<Head>(body).map_err(wrong)?,
            Key::Incident(id) => drop(self.incidents.insert(id, read::<Incident>(body).map_err(wrong)?)),
            Key::Order(id) => drop(self.orders.insert(id, read::<Order>(body).map_err(wrong)?)),
            Key::Report(id, n) => drop(self.reports.insert((id, n), read::<ReportRecord>(body).map_err(wrong)?)),
            Key::Call(id, n, k) => drop(self.calls.insert((id, n, k), read::<CallList>(body).map_err(wrong)?)),
            Key::Post(id) => drop(self.posts.insert(id, read::<PostRecord>(body).map_err(wrong)?)),
            Key::Notice(id) => drop(self.notices.insert(id, read::<OpenNotice>(body).map_err(wrong)?)),
            Key::Bucket(key) => drop(self.buckets.insert(key, read::<Bucket>(body).map_err(wrong)?)),
            Key::Silence(id) => drop(self.silences.insert(id, read::<Silence>(body).map_err(wrong)?)),
            Key::Hidden(n) => drop(self.hidden.insert(n, read::<Hidden>(body).map_err(wrong)?)),
            Key::Digests(minute, k) => self.repeats.put_list(minute, k, read::<SeenList>(body).map_err(wrong)?),
            Key::Todo(n) => drop(self.agenda.insert(n, read::<Left>(body).map_err(wrong)?)),
        }
        Ok(())
    }
}

/// Every stored form opens with its version; a newer one is refused rather than guessed at.
fn read<T: DeserializeOwned>(body: &str) -> Result<T, String> {
    #[derive(Deserialize)]
    struct Version {
        v: u8,
    }
    let version: Version = serde_json::from_str(body).map_err(|e| e.to_string())?;
    if version.v != STATE_VERSION {
        return Err(format!("it has version {}, this program reads version {STATE_VERSION}", version.v));
    }
    serde_json::from_str(body).map_err(|e| e.to_string())
}
