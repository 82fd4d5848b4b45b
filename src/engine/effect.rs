//! Out: everything that shall happen, as plain data; one match arm each in the shell, and nothing happens before the
//! step that holds it is accepted.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::timeline::Entry;
pub use crate::model::NoticeKind;
use crate::model::{
    AgencyId, Classification, CommandArea, Desk, Event, FreeText, IncidentId, OrderId, OrderState, Place, PostId,
    Recall, Role, Severity, TeamId, Timestamp,
};

/// What shall happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Written into the timeline: everything that happened, in order, with who, when, why.
    Timeline(Box<Entry>),
    /// Sent to a post: an order, or a change of one (its recall, a new deadline).
    Order(Box<OrderMessage>),
    /// Sent to a unit that an all-call calls, or recalls.
    Call(Box<Call>),
    /// Sent to a desk.
    Notice(Box<Notice>),
    /// Told to an outside body.
    Agency(Box<AgencyMessage>),
    /// Handed to another command centre, once, with its receipt time.
    Forward(CommandArea, Box<Event>),
}

/// An order as its post receives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderMessage {
    /// Stable; a later message with the same id replaces an earlier one when its `rev` is higher. The shell adds `rev`.
    pub id: OrderId,
    /// The incident it serves.
    pub incident: IncidentId,
    /// To whom.
    pub post: PostId,
    /// As what.
    pub role: Role,
    /// How far it has come.
    pub state: OrderState,
    /// Why it was taken back, if it was.
    pub recall: Option<Recall>,
    /// When it was decided.
    pub issued_at: Timestamp,
    /// To be signed by.
    pub sign_by: Option<Timestamp>,
    /// To be there by.
    pub on_scene_by: Option<Timestamp>,
    /// Delivery is given up then.
    pub expires_at: Timestamp,
    /// Where.
    pub place: Place,
    /// What, in one line: category and severity.
    pub headline: SmolStr,
    /// What was reported.
    pub text: FreeText,
    /// Why this post.
    pub reason: String,
    /// Bottom-line orders pass every limiter.
    pub bottom_line: bool,
    /// Exercise or test.
    pub drill: bool,
    /// The trace of the report that opened the incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<SmolStr>,
}

/// What an all-call sends to a unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The incident.
    pub incident: IncidentId,
    /// Which all-call of this incident, from 1.
    pub n: u32,
    /// Who is called.
    pub unit: Callee,
    /// Metres from the incident.
    pub distance_m: u32,
    /// Why everybody is called.
    pub reason: String,
    /// The call ends then.
    pub until: Timestamp,
    /// The call is taken back.
    pub recalled: bool,
    /// Where.
    pub place: Place,
    /// Exercise or test.
    pub drill: bool,
}

/// Who can be called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Callee {
    /// A post.
    Post(PostId),
    /// A volunteer team.
    Team(TeamId),
}

/// A notice to a desk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// `<incident>-n<k>`, or `<command area>-<date>-n<k>` where no incident is concerned.
    pub id: SmolStr,
    /// The incident, if one is concerned.
    pub incident: Option<IncidentId>,
    /// Who is told.
    pub desk: Desk,
    /// One of the kinds a playbook may subscribe to.
    pub kind: NoticeKind,
    /// What happened, without any words of a report.
    pub text: String,
    /// How bad the incident is.
    pub severity: Option<Severity>,
    /// A person must take it by then.
    pub take_by: Option<Timestamp>,
    /// When it was raised.
    pub at: Timestamp,
    /// Exercise or test.
    pub drill: bool,
}

/// Told to an outside body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgencyMessage {
    /// Whom.
    pub agency: AgencyId,
    /// About which incident.
    pub incident: IncidentId,
    /// Why it is told.
    pub reason: SmolStr,
    /// What it is.
    pub classification: Classification,
    /// Where.
    pub place: Place,
    /// When.
    pub at: Timestamp,
    /// Exercise or test.
    pub drill: bool,
}

/// What became of one input; the shell gives it to whoever sent it, after the commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// A report's.
    Report(Box<ReportAnswer>),
    /// An act, a position or a command was applied; with the incident and the orders it concerned.
    Applied {
        /// The incident, if one was concerned.
        incident: Option<IncidentId>,
        /// The orders issued by it.
        orders: Vec<OrderId>,
        /// It had been applied before.
        repeat: bool,
    },
    /// It cannot be done; nothing changed but the timeline.
    Refused(Refusal),
}

/// What became of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportAnswer {
    /// The incident it belongs to; absent only when it was forwarded.
    pub incident: Option<IncidentId>,
    /// How it was judged.
    pub classification: Option<Classification>,
    /// Orders issued because of it.
    pub orders: Vec<OrderId>,
    /// Known already; nothing was applied.
    pub repeat: bool,
    /// What was done with it.
    pub outcome: ReportOutcome,
}

/// What was done with a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportOutcome {
    /// Opened an incident.
    Opened,
    /// Joined an open one.
    Joined,
    /// Opened one, and is linked to another it may belong to.
    Suggested,
    /// Folded into a flood.
    Folded,
    /// Appended to a closed one.
    Late,
    /// Reopened a closed one.
    Reopened,
    /// Handed to another centre.
    Forwarded,
}

/// Why something cannot be done: which field, what is wrong, and the way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// A stable word, such as `unknown-incident` or `closed`.
    pub code: SmolStr,
    /// The field at fault.
    pub field: Option<SmolStr>,
    /// What is wrong.
    pub detail: String,
    /// The way out.
    pub hint: Option<String>,
}
