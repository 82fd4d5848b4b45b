//! Repeats: what was received before, known for 24 hours or while its incident is open.
//!
//! A repeat is the same source, the same id and the same content (without its `time`): it gets the same answer and is not
//! applied again. The same source and id with other content is a report of its own: a panel restarted its counter.
//! Digests live in lists by the minute of their arrival, each at most [`LIST_MAX`] long so that a document stays small,
//! and die with their minute.

use std::collections::BTreeMap;

use super::state::{STATE_VERSION, Seen, SeenList};
use crate::model::{Digest, Meta, Timestamp};

/// Entries in one document.
const LIST_MAX: usize = 64;

/// Documents of a minute that are dropped at once.
const FORGOTTEN_AT_ONCE: usize = 16;

/// Bytes in one document, roughly: refusals are kept with their words.
const LIST_BYTES: usize = 12_000;

fn fits(list: &SeenList, one: &Seen) -> bool {
    list.seen.iter().map(Seen::weight).sum::<usize>() + one.weight() <= LIST_BYTES
}

/// Everything known.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    lists: BTreeMap<(i64, u32), SeenList>,
    by_content: BTreeMap<Digest, (i64, u32, usize)>,
    /// Newest entry of a source and id, whatever its content.
    by_id: BTreeMap<Digest, (i64, u32, usize)>,
}

/// What an event is, against what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Never heard of.
    New,
    /// Heard, with the same content.
    Repeat,
    /// Heard, with other content.
    Recycled,
}

/// The digest of a source and an id, as `references` write them: `source:id`.
pub(super) fn id_digest(reference: &str) -> Digest {
    Digest::of(reference.as_bytes())
}

/// Both digests of an event: of source and id, and of those with its content.
pub(super) fn digests(meta: &Meta) -> (Digest, Digest) {
    let id = id_digest(&format!("{}:{}", meta.source, meta.id));
    let mut both = [0; 32];
    both[..16].copy_from_slice(&id.0.to_be_bytes());
    both[16..].copy_from_slice(&meta.digest.0.to_be_bytes());
    (id, Digest::of(&both))
}

impl Repeats {
    pub(super) fn known(&self, id: Digest, content: Digest) -> (Known, Option<&Seen>) {
        if let Some(at) = self.by_content.get(&content) {
            return (Known::Repeat, self.at(*at));
        }
        match self.by_id.get(&id) {
            Some(at) => (Known::Recycled, self.at(*at)),
            None => (Known::New, None),
        }
    }

    /// The event that a reference names.
    pub(super) fn referenced(&self, reference: &str) -> Option<&Seen> {
        self.by_id.get(&id_digest(reference)).and_then(|at| self.at(*at))
    }

    /// Remembers an event; returns the document that changed.
    pub(super) fn put(&mut self, seen: Seen) -> (i64, u32) {
        let minute = seen.at.0.div_euclid(60_000);
        let newest = self.lists.range((minute, 0)..=(minute, u32::MAX)).next_back();
        let k = match newest {
            Some((&(_, k), list)) if list.seen.len() < LIST_MAX && fits(list, &seen) => k,
            Some((&(_, k), _)) => k + 1,
            None => 0,
        };
        let list = self.lists.entry((minute, k)).or_insert_with(|| SeenList { v: STATE_VERSION, seen: Vec::new() });
        let at = (minute, k, list.seen.len());
        self.by_content.insert(seen.content, at);
        self.by_id.insert(seen.id, at);
        list.seen.push(seen);
        (minute, k)
    }

    /// Drops a stretch of a minute; returns the documents that are gone and the entries they held.
    pub(super) fn forget(&mut self, minute: i64) -> (Vec<(i64, u32)>, Vec<Seen>) {
        let all = self.lists.range((minute, 0)..=(minute, u32::MAX));
        let keys: Vec<_> = all.map(|(key, _)| *key).take(FORGOTTEN_AT_ONCE).collect();
        let mut dropped = Vec::new();
        for key in &keys {
            let list = self.lists.remove(key).unwrap_or_default();
            for (ix, seen) in list.seen.into_iter().enumerate() {
                let at = (key.0, key.1, ix);
                for (index, digest) in [(&mut self.by_content, seen.content), (&mut self.by_id, seen.id)] {
                    if index.get(&digest) == Some(&at) {
                        index.remove(&digest);
                    }
                }
                dropped.push(seen);
            }
        }
        (keys, dropped)
    }

    pub(super) fn list(&self, minute: i64, k: u32) -> Option<&SeenList> {
        self.lists.get(&(minute, k))
    }

    /// Whether anything of a minute is held.
    pub(super) fn list_of(&self, minute: i64) -> bool {
        self.lists.range((minute, 0)..=(minute, u32::MAX)).next().is_some()
    }

    /// Reads a list back. Lists may come in any order, so the newest entry of an id is found by its instant.
    pub(super) fn put_list(&mut self, minute: i64, k: u32, list: SeenList) {
        for (ix, seen) in list.seen.iter().enumerate() {
            let at = (minute, k, ix);
            self.by_content.insert(seen.content, at);
            let newest = self.by_id.entry(seen.id).or_insert(at);
            *newest = (*newest).max(at);
        }
        self.lists.insert((minute, k), list);
    }

    /// Every minute that is held.
    pub(super) fn minutes(&self) -> impl Iterator<Item = i64> {
        self.lists.keys().map(|(minute, _)| *minute)
    }

    /// The instant at which a minute dies, when entries are known for `span`.
    pub(super) fn dies(minute: i64, span: crate::model::Millis) -> Timestamp {
        Timestamp((minute + 1) * 60_000) + span
    }

    fn at(&self, (minute, k, ix): (i64, u32, usize)) -> Option<&Seen> {
        self.lists.get(&(minute, k)).and_then(|list| list.seen.get(ix))
    }
}
