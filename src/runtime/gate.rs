//! The gate: all that a door (HTTP) asks of what decides behind it, whether that is a shard of this process or one of many
//! on other machines.
//!
//! In: [`Gate::judge`], then [`Gate::submit`], which has put the event where it will be decided, or refused it, before it
//! returns; the future only waits for what became of it. Look: [`Gate::fate`] for whoever did not wait, and the rest.
//!
//! What was submitted is not taken back by whoever gives up waiting.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use smol_str::SmolStr;

use super::handle::{Handle, Phase, SubmitError};
use crate::engine::{Answer, Verdict};
use crate::journal::Refused;
use crate::model::{Event, Millis, Timestamp};
use crate::playbook::Playbook;

/// An event with the bytes it came as.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// What it says.
    pub event: Event,
    /// How it was judged.
    pub judged: Judged,
    /// As it came.
    pub form: Form,
}

/// Where an event goes, and what a report is.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The playbook of the command area it goes to.
    pub playbook: Arc<Playbook>,
    /// A report's place and class.
    pub verdict: Option<Verdict>,
}

/// The bytes of one event, in the mode in which they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON with its envelope.
    Structured(Bytes),
    /// Data alone; the door gave it source and id.
    Bare(Bytes),
    /// Attributes in headers, data in the body.
    Binary {
        /// The attributes by their own names, as text.
        attributes: Vec<(SmolStr, String)>,
        /// The body's type.
        content_type: Option<SmolStr>,
        /// The data.
        body: Bytes,
    },
}

/// What became of an event, as far as somebody waited for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was decided.
    Decided(Answer),
    /// It is kept and will be decided; here it can be asked for.
    Kept(Kept),
    /// Whoever was to decide it could not read it.
    Refused(Refused),
}

/// Where an event is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    /// The log it is in: `reports`, `field` or `commands`.
    pub door: SmolStr,
    /// The partition, which is the shard.
    pub partition: u32,
    /// The place there.
    pub offset: u64,
}

/// What is known of an event that was kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// Nothing has been decided about it yet.
    Waiting,
    /// It was decided.
    Decided(Answer),
    /// Whoever was to decide it could not read it.
    Refused(Refused),
    /// It was decided; the answer is no longer kept.
    Past,
    /// There is nothing at that place, or nobody here knows the place.
    Unknown,
}

/// Whether events are taken, and how it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Readiness {
    /// They are.
    pub ready: bool,
    /// What there is to say, as an object.
    pub told: Value,
}

/// What became of an event, to come.
pub type Awaited = Pin<Box<dyn Future<Output = Result<Outcome, SubmitError>> + Send>>;

/// What a door asks of whatever decides behind it.
pub trait Gate: Send + Sync {
    // In

    /// Says where an event goes, and what a report is.
    fn judge(&self, event: &Event) -> Judged;

    /// Hands an event in. What cannot be taken is refused by what is returned, at once.
    fn submit(&self, arrival: Arrival) -> Awaited;

    // Look

    /// What became of an event that was kept.
    fn fate(&self, kept: &Kept) -> Fate {
        let _ = kept;
        Fate::Unknown
    }

    /// What time it is.
    fn now(&self) -> Timestamp;

    /// The playbooks that are in force or wanted here, that of the home area first. Never empty.
    fn playbooks(&self) -> Vec<Arc<Playbook>>;

    /// Whether events are taken, and how it stands.
    fn readiness(&self) -> Readiness;

    /// How old the picture is that readers see; `None` where it is of the same process as the decisions.
    fn picture_age(&self) -> Option<Millis> {
        None
    }
}

impl Gate for Handle {
    fn judge(&self, event: &Event) -> Judged {
        Judged { playbook: self.playbook(), verdict: Handle::judge(self, event) }
    }

    fn submit(&self, arrival: Arrival) -> Awaited {
        let answer = self.submit_judged(arrival.event, arrival.judged.verdict);
        Box::pin(async { answer.await.map(Outcome::Decided) })
    }

    fn now(&self) -> Timestamp {
        Handle::now(self)
    }

    fn playbooks(&self) -> Vec<Arc<Playbook>> {
        vec![self.playbook()]
    }

    fn readiness(&self) -> Readiness {
        let status = self.status();
        let mut told = serde_json::to_value(&status).unwrap_or_default();
        told["at"] = status.at.to_rfc3339().into();
        told["now"] = status.now.to_rfc3339().into();
        let outage = status.outage.map(|o| json!({ "from": o.from.to_rfc3339(), "to": o.to.to_rfc3339() }));
        told["outage"] = outage.unwrap_or_default();
        Readiness { ready: status.phase == Phase::Ready, told }
    }
}
