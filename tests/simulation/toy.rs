//! A decider in place of the engine, as small as one can be that would show a wrong history: each decision carries a running
//! number, so that what is decided from another state than the accepted one looks different.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::{SmolStr, format_smolstr};

use crate::engine::{Document, Effect, Notice, NoticeKind};
use crate::journal::{Consumed, Step, Taken};
use crate::model::{Desk, Timestamp};

/// The inputs' logs.
pub const DOORS: [&str; 2] = ["reports", "field"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Issues an order and says so.
    Report,
    /// Takes back the order of a report.
    Recall(u64),
    /// Forgets a report: its documents are deleted.
    Close(u64),
    /// Writes a document that lives for long.
    Roster(u64),
}

pub struct Arrived {
    pub input: Input,
    /// It is looked for ahead of its turn.
    pub urgent: bool,
}

/// The newest version of each document.
pub type Documents = BTreeMap<SmolStr, Box<str>>;

/// The state of a running decider.
#[derive(Clone, Debug, Default)]
pub struct Toy {
    pub documents: Documents,
    pub positions: BTreeMap<SmolStr, u64>,
    pub ahead: BTreeMap<SmolStr, BTreeSet<u64>>,
    pub at: Timestamp,
    changed: BTreeSet<SmolStr>,
    effects: Vec<Effect>,
    taken: Vec<Taken>,
}

impl Toy {
    pub fn new(documents: Documents) -> Self {
        Self { documents, ..Self::default() }
    }

    pub fn position(&self, door: usize) -> u64 {
        self.positions.get(DOORS[door]).copied().unwrap_or(0)
    }

    pub fn has_ahead(&self, door: usize, offset: u64) -> bool {
        self.ahead.get(DOORS[door]).is_some_and(|ahead| ahead.contains(&offset))
    }

    /// Decides one input.
    pub fn take(&mut self, door: usize, offset: u64, input: Input) {
        self.consume(door, offset);
        self.taken.push(Taken { door: DOORS[door].into(), offset, at: self.at, answer: None });
        let id = match input {
            Input::Report => offset,
            Input::Recall(id) | Input::Close(id) | Input::Roster(id) => id,
        };
        let (report, order) = (format_smolstr!("report/{id}"), format_smolstr!("order/{id}"));
        match input {
            Input::Report => {
                let n = self.documents.get("head").map_or(0, |n| n.parse::<u64>().expect("a number")) + 1;
                self.put("head".into(), Some(n.to_string()));
                self.put(report, Some(n.to_string()));
                self.put(order.clone(), Some("\"issued\"".to_owned()));
                self.tell(order, format!("issued as {n}"));
            }
            Input::Recall(_) if self.documents.get(&order).is_some_and(|state| **state == *"\"issued\"") => {
                self.put(order.clone(), Some("\"recalled\"".to_owned()));
                self.tell(order, RECALLED.to_owned());
            }
            Input::Close(_) if self.documents.contains_key(&report) => {
                self.put(report, None);
                self.put(order, None);
            }
            Input::Roster(k) => self.put(format_smolstr!("roster/{}", k % 5), Some(k.to_string())),
            Input::Recall(_) | Input::Close(_) => {}
        }
    }

    /// What was decided since the last step.
    pub fn step(&mut self, number: u64) -> Step {
        let documents = std::mem::take(&mut self.changed).into_iter().map(|key| {
            let body = self.documents.get(&key).cloned();
            Document { key, body }
        });
        Step {
            number,
            at: self.at,
            positions: self.positions.clone(),
            documents: documents.collect(),
            effects: std::mem::take(&mut self.effects),
            consumed: Consumed {
                ahead: self.ahead.clone(),
                taken: std::mem::take(&mut self.taken),
                ..Consumed::default()
            },
        }
    }

    /// Membership decides: what is behind the position or in the set was decided.
    fn consume(&mut self, door: usize, offset: u64) {
        let name = SmolStr::new_static(DOORS[door]);
        let position = self.positions.entry(name.clone()).or_default();
        let ahead = self.ahead.entry(name.clone()).or_default();
        if *position == offset {
            *position += 1;
            while ahead.remove(position) {
                *position += 1;
            }
        } else {
            ahead.insert(offset);
        }
        if ahead.is_empty() {
            self.ahead.remove(&name);
        }
    }

    fn put(&mut self, key: SmolStr, body: Option<String>) {
        match body {
            Some(body) => _ = self.documents.insert(key.clone(), body.into()),
            None => _ = self.documents.remove(&key),
        }
        self.changed.insert(key);
    }

    fn tell(&mut self, id: SmolStr, text: String) {
        self.effects.push(Effect::Notice(Box::new(Notice {
            id,
            incident: None,
            desk: Desk::Duty,
            kind: NoticeKind::Opened,
            text,
            severity: None,
            take_by: None,
            at: self.at,
            drill: false,
        })));
    }
}

/// What an effect says of an order that was taken back.
pub const RECALLED: &str = "recalled";

/// The id of an effect, and what it says.
pub fn told(effect: &Effect) -> (&SmolStr, &str) {
    match effect {
        Effect::Notice(notice) => (&notice.id, &notice.text),
        other => unreachable!("the toy gives notices only, not {other:?}"),
    }
}
