//! The record: what one append writes, and its form on the log.
//!
//! A record is JSON that a person can read in any tool that shows a log; it opens with its version. Documents stand in it
//! as the JSON they are. `swept` are documents that did not change: they are written anew so that the low-water mark moves on.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use smol_str::SmolStr;

use super::fold::Fold;
use super::rule::Stand;
use crate::engine::{Document, Effect, Outage};
use crate::journal::{Consumed, Refused, Step, Taken};
use crate::model::Timestamp;

/// The version of the stored form.
pub const RECORD_VERSION: u8 = 1;

/// An owner as it names itself, anew at every start; the empty name is nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnerName(SmolStr);

impl OwnerName {
    /// A name; whoever makes it sees to it that no other start ever has the same.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Whether it names nobody.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.0.is_empty()
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OwnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.is_nobody() { "nobody" } else { &self.0 })
    }
}

/// The low-water mark: where a restore may begin, and where the rule stood before the record there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Low {
    /// The offset of the first record to be read.
    pub offset: u64,
    /// What all records before it came to.
    pub stand: Stand,
}

/// One append.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Of which epoch.
    pub epoch: u64,
    /// By whom.
    pub owner: OwnerName,
    /// Shards of the whole; a record of another number is not ours.
    pub shards: u32,
    /// Where a restore may begin.
    pub low: Low,
    /// The last accepted step that its writer knew of.
    pub after: u64,
    /// The last step whose effects are known to have left the house, with those of all before it.
    pub emitted: u64,
    /// Unchanged documents, written anew.
    pub swept: Vec<Document>,
    /// What it says.
    pub body: RecordBody,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordBody {
    /// Its owner wants to be the one who writes.
    Claim,
    /// A batch was decided.
    Step(Arc<Step>),
    /// Its owner writes no more.
    Release,
    /// An operator accepts that the log has lost records.
    Acceptance {
        /// Who.
        by: SmolStr,
        /// Why.
        reason: String,
        /// Numbers go on above these: the highest known to have been given out.
        beyond: Stand,
    },
}

/// Why a record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A newer Muster wrote it; this one must not guess.
    #[error("it has version {0}, this program reads version {RECORD_VERSION}; start the newer Muster")]
    Newer(u8),
    /// It is no record of ours.
    #[error("it is no record of a journal: {0}")]
    Foreign(String),
}

// The form on the log, mapped by hand: what is read back years later does not change with a field's name in the code.

#[derive(Serialize, Deserialize)]
struct Head {
    v: u8,
}

#[derive(Serialize, Deserialize)]
struct Form<'a> {
    v: u8,
    kind: Kind,
    epoch: u64,
    owner: OwnerName,
    shards: u32,
    low: Low,
    after: u64,
    emitted: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<StepForm<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acceptance: Option<AcceptanceForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    swept: Vec<DocumentForm<'a>>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Claim,
    Step,
    Release,
    Acceptance,
}

#[derive(Serialize, Deserialize)]
struct AcceptanceForm {
    by: SmolStr,
    reason: String,
    beyond: Stand,
}

#[derive(Serialize, Deserialize)]
struct StepForm<'a> {
    number: u64,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "no_entry")]
    positions: Cow<'a, BTreeMap<SmolStr, u64>>,
    #[serde(default, skip_serializing_if = "no_entry")]
    ahead: Cow<'a, BTreeMap<SmolStr, BTreeSet<u64>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outage: Option<Outage>,
    #[serde(default, skip_serializing_if = "none")]
    taken: Cow<'a, [Taken]>,
    #[serde(default, skip_serializing_if = "none")]
    refused: Cow<'a, [Refused]>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    documents: Vec<DocumentForm<'a>>,
    #[serde(default, skip_serializing_if = "none")]
    effects: Cow<'a, [Effect]>,
}

#[derive(Serialize, Deserialize)]
struct DocumentForm<'a> {
    key: SmolStr,
    body: Option<Cow<'a, RawValue>>,
}

#[expect(clippy::ptr_arg, reason = "serde hands over the member as it is declared")]
fn none<T: Clone>(list: &Cow<'_, [T]>) -> bool {
    list.is_empty()
}

#[expect(clippy::ptr_arg, reason = "serde hands over the member as it is declared")]
fn no_entry<V: Clone>(map: &Cow<'_, BTreeMap<SmolStr, V>>) -> bool {
    map.is_empty()
}

impl Record {
    /// What an operator writes who accepts that records are lost: the state begins at the mark of this fold, which was made
    /// from what is left, and numbers go on above `beyond`. Its step must be above all that was ever given out, its epoch
    /// above all that may have been claimed, by so much that no claim that is still under way can stand: whoever made
    /// it may have read what is lost.
    #[must_use]
    pub fn acceptance(fold: &Fold, by: &str, reason: &str, beyond: Stand) -> Self {
        Self {
            epoch: fold.stand().epoch,
            owner: OwnerName::default(),
            shards: fold.shards(),
            low: fold.low(),
            after: fold.stand().step,
            emitted: fold.last_emitted(),
            swept: Vec::new(),
            body: RecordBody::Acceptance { by: by.into(), reason: reason.to_owned(), beyond },
        }
    }

    /// The form on the log.
    ///
    /// # Panics
    /// When a document is no JSON, which the engine that made it excludes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (kind, step, acceptance) = match &self.body {
            RecordBody::Claim => (Kind::Claim, None, None),
            RecordBody::Release => (Kind::Release, None, None),
            RecordBody::Step(step) => (Kind::Step, Some(StepForm::of(step)), None),
            RecordBody::Acceptance { by, reason, beyond } => {
                let form = AcceptanceForm { by: by.clone(), reason: reason.clone(), beyond: beyond.clone() };
                (Kind::Acceptance, None, Some(form))
            }
        };
        let form = Form {
            v: RECORD_VERSION,
            kind,
            epoch: self.epoch,
            owner: self.owner.clone(),
            shards: self.shards,
            low: self.low.clone(),
            after: self.after,
            emitted: self.emitted,
            step,
            acceptance,
            swept: self.swept.iter().map(DocumentForm::of).collect(),
        };
        serde_json::to_vec(&form).expect("a record has text keys only, so it is always JSON")
    }

    /// Reads a record back.
    ///
    /// # Errors
    /// When it is none of ours, or a newer Muster's.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let foreign = |e: serde_json::Error| Malformed::Foreign(e.to_string());
        let Head { v } = serde_json::from_slice(bytes).map_err(foreign)?;
        if v != RECORD_VERSION {
            return Err(Malformed::Newer(v));
        }
        let form: Form<'static> = serde_json::from_slice(bytes).map_err(foreign)?;
        let lacks = |what: &str| Malformed::Foreign(format!("it lacks its {what}"));
        let body = match form.kind {
            Kind::Claim => RecordBody::Claim,
            Kind::Release => RecordBody::Release,
            Kind::Step => RecordBody::Step(Arc::new(form.step.ok_or_else(|| lacks("step"))?.into_step())),
            Kind::Acceptance => {
                let AcceptanceForm { by, reason, beyond } = form.acceptance.ok_or_else(|| lacks("acceptance"))?;
                RecordBody::Acceptance { by, reason, beyond }
            }
        };
        Ok(Self {
            epoch: form.epoch,
            owner: form.owner,
            shards: form.shards,
            low: form.low,
            after: form.after,
            emitted: form.emitted,
            swept: form.swept.into_iter().map(DocumentForm::into_document).collect(),
            body,
        })
    }
}

impl<'a> StepForm<'a> {
    fn of(step: &'a Step) -> Self {
        Self {
            number: step.number,
            at: step.at,
            positions: Cow::Borrowed(&step.positions),
            ahead: Cow::Borrowed(&step.consumed.ahead),
            outage: step.consumed.outage,
            taken: Cow::Borrowed(&step.consumed.taken),
            refused: Cow::Borrowed(&step.consumed.refused),
            documents: step.documents.iter().map(DocumentForm::of).collect(),
            effects: Cow::Borrowed(&step.effects),
        }
    }

    fn into_step(self) -> Step {
        let consumed = Consumed {
            ahead: self.ahead.into_owned(),
            outage: self.outage,
            taken: self.taken.into_owned(),
            refused: self.refused.into_owned(),
        };
        Step {
            number: self.number,
            at: self.at,
            positions: self.positions.into_owned(),
            documents: self.documents.into_iter().map(DocumentForm::into_document).collect(),
            effects: self.effects.into_owned(),
            consumed,
        }
    }
}

impl<'a> DocumentForm<'a> {
    fn of(document: &'a Document) -> Self {
        let raw = |body: &'a str| -> &'a RawValue { serde_json::from_str(body).expect("a document's body is JSON") };
        Self { key: document.key.clone(), body: document.body.as_deref().map(|body| Cow::Borrowed(raw(body))) }
    }

    fn into_document(self) -> Document {
        Document { key: self.key, body: self.body.map(|raw| raw.into_owned().into()) }
    }
}
