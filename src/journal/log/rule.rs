//! The rule by which everybody who reads the log decides, record by record, what counts.

use serde::{Deserialize, Serialize};

use super::record::{OwnerName, Record, RecordBody};
use crate::model::Timestamp;

/// Where the log stands after some record: all that the rule has to know about what came before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stand {
    /// The highest epoch claimed.
    pub epoch: u64,
    /// Who claimed it first; empty before the first claim, and after a release or an acceptance.
    pub owner: OwnerName,
    /// The last accepted step.
    pub step: u64,
    /// Its instant.
    pub at: Timestamp,
}

/// What a record comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Accepted,
    /// It is as if it had never been written, for this reason.
    Void(Void),
    /// It cannot stand here: nobody writes in an epoch before its claim stands, so records before it are lost.
    Unclaimed,
}

/// Why a record is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Void {
    /// Another epoch has been claimed since.
    OldEpoch,
    /// Another owner claimed this epoch first, or the owner has released it.
    OtherOwner,
    /// It is not the step after the last accepted one.
    NotNext,
    /// Whoever wrote it knew of more than stands before it: the log has lost records, or another one had them.
    Unfounded,
}

impl Void {
    /// The word for a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OldEpoch => "old-epoch",
            Self::OtherOwner => "other-owner",
            Self::NotNext => "not-next",
            Self::Unfounded => "unfounded",
        }
    }
}

impl Stand {
    /// Judges the next record of the log.
    #[must_use]
    pub fn judge(&self, record: &Record) -> Verdict {
        let theirs = || record.owner == self.owner && !self.owner.is_nobody();
        let void = |why| Verdict::Void(why);
        match &record.body {
            RecordBody::Acceptance { .. } => Verdict::Accepted,
            _ if record.after > self.step => void(Void::Unfounded),
            RecordBody::Claim if record.epoch > self.epoch => Verdict::Accepted,
            RecordBody::Claim if record.epoch == self.epoch => void(Void::OtherOwner),
            _ if record.epoch < self.epoch => void(Void::OldEpoch),
            _ if record.epoch > self.epoch => Verdict::Unclaimed,
            _ if !theirs() => void(Void::OtherOwner),
            RecordBody::Step(step) if step.number != self.step + 1 || step.at < self.at => void(Void::NotNext),
            RecordBody::Step(_) | RecordBody::Release => Verdict::Accepted,
            RecordBody::Claim => void(Void::OldEpoch),
        }
    }

    /// Where the log stands after a record that was accepted.
    pub fn apply(&mut self, record: &Record) {
        match &record.body {
            RecordBody::Claim => {
                self.epoch = record.epoch;
                self.owner = record.owner.clone();
            }
            RecordBody::Step(step) => {
                self.step = step.number;
                self.at = step.at;
            }
            RecordBody::Release => self.owner = OwnerName::default(),
            RecordBody::Acceptance { beyond, .. } => {
                self.epoch = self.epoch.max(beyond.epoch);
                self.step = self.step.max(beyond.step);
                self.at = self.at.max(beyond.at);
                self.owner = OwnerName::default();
            }
        }
    }

    /// Whether this owner may write now.
    #[must_use]
    pub fn is_owned_by(&self, epoch: u64, owner: &OwnerName) -> bool {
        self.epoch == epoch && self.owner == *owner && !owner.is_nobody()
    }
}
