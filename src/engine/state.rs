//! What the engine remembers: one struct, one kind of document.
//!
//! An incident's document holds its plan whole, its marks, its needs and its links; each order and each report is a
//! document of its own, so that none outgrows its bound. Everything else the engine holds (the wheel, the fleet's
//! tasks, the waiting queue, the index of places) is derived from these and built anew by a restore.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::about::About;
use super::agenda::Todo;
use super::effect::{Callee, NoticeKind};
use super::fleet::Duty;
use super::timeline::{Actor, Weighed};
use crate::model::{
    AgencyId, AreaId, CategoryId, Classification, Desk, DispositionCode, EventId, FreeText, IncidentId, IncidentState,
    Level, Link, MarkName, Matchers, Need, OrderId, OrderState, Place, PostId, PostSpec, Recall, Report, Role,
    Severity, SourceId, Status, Timestamp,
};
use crate::playbook::Plan;

/// The version of every stored form.
pub const STATE_VERSION: u8 = 1;

/// An incident: the thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Version of this form.
    pub v: u8,
    /// Its id.
    pub id: IncidentId,
    /// Real, exercise or test; never mixed.
    pub status: Status,
    /// Who reported it first.
    pub source: SourceId,
    /// What that source calls it.
    pub event: EventId,
    /// The trace it belongs to, as the first report said it: its orders carry it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<SmolStr>,
    /// Our receipt of the first report.
    pub received: Timestamp,
    /// What `received` marks are counted from: receipt, or the instant at which it was split out, reopened or located.
    pub clock_from: Timestamp,
    /// Where it stands.
    pub state: IncidentState,
    /// Who owns it.
    pub level: Level,
    /// Where it is.
    pub place: Place,
    /// What it is judged to be now.
    pub classification: Classification,
    /// The plan that is followed, whole.
    pub plan: Arc<Plan>,
    /// When the first order went out.
    pub ordered: Option<Timestamp>,
    /// When it was confirmed, or verification lapsed.
    pub confirmed: Option<Timestamp>,
    /// Echelons called so far.
    pub echelon: u8,
    /// Reports, those folded included.
    pub reports: u32,
    /// Reports that were folded into it; only a flood has any.
    pub folded: u32,
    /// Receipt of the newest report.
    pub last_report: Timestamp,
    /// Orders issued so far: the number of the newest.
    pub orders: u32,
    /// Orders up to this number belong to the time before it was reopened: they fill no need and reach no mark of now.
    #[serde(default)]
    pub orders_before: u32,
    /// Notices raised so far: the number of the newest.
    pub notices: u32,
    /// Marks of the incident, in plan order.
    pub marks: Vec<MarkRun>,
    /// What is asked for, and by whom it is served.
    pub needs: Vec<NeedRun>,
    /// Others it belongs with.
    pub links: Vec<Link>,
    /// The all-call, if there was one.
    pub all_call: Option<AllCall>,
    /// Who has been told.
    pub agencies: BTreeSet<AgencyId>,
    /// Marks an operator has explained; `None` inside explains all.
    pub holds: Vec<Option<MarkName>>,
    /// A person has taken it up.
    pub taken: bool,
    /// It lost a post to a more urgent one, and is not robbed again.
    pub robbed: bool,
    /// It is the counted incident of a flood, under this bucket's key.
    pub flood: Option<SmolStr>,
    /// How and when it ended.
    pub closed: Option<Closing>,
}

/// How an incident ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// When.
    pub at: Timestamp,
    /// How.
    pub disposition: Option<DispositionCode>,
}

/// A running mark. Those that are over are in the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkRun {
    /// Its place in the plan's list.
    pub mark: u16,
    /// What it is counted from.
    pub anchor: Timestamp,
    /// The first deadline. An act done by then keeps the mark, whenever it is told.
    pub limit_at: Timestamp,
    /// When it next falls due.
    pub due: Timestamp,
    /// When it warns; `None` once it has.
    pub warn: Option<Timestamp>,
    /// How far it is.
    pub state: MarkState,
    /// How often it was missed.
    pub rounds: u32,
    /// A person has taken it that nobody is left to call: that is no notice any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gap_taken: bool,
}

/// How far a mark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarkState {
    /// The clock runs.
    Running,
    /// Missed, and (an incident's mark) repeating until reached.
    Missed,
    /// Reached before its limit.
    Kept,
    /// Reached after it.
    ReachedLate,
    /// No longer asked for.
    Cancelled,
}

impl MarkState {
    /// Whether it still waits for its milestone.
    #[must_use]
    pub fn waits(self) -> bool {
        matches!(self, Self::Running | Self::Missed)
    }
}

/// A need of the plan with the orders that serve it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedRun {
    /// What is asked for.
    pub need: Need,
    /// How many, after all evaluations.
    pub wanted: u16,
    /// Nobody could serve it since then: it waits in the queue.
    pub waiting: Option<Timestamp>,
    /// How many lacked when that was last said.
    #[serde(default)]
    pub said_short: u16,
}

/// An order: one post, one incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Version of this form.
    pub v: u8,
    /// Its id.
    pub id: OrderId,
    /// To whom.
    pub post: PostId,
    /// As what.
    pub role: Role,
    /// In which echelon.
    pub echelon: u8,
    /// Which need of the incident it serves.
    pub need: Option<u16>,
    /// Why it was issued: `plan`, `unsigned`, `declined`, `operator`, …
    pub cause: SmolStr,
    /// Who issued it.
    pub by: Actor,
    /// How far it has come.
    pub state: OrderState,
    /// When each state was entered: signed, en route, on scene, first report, cleared.
    pub times: OrderTimes,
    /// When it was issued.
    pub issued: Timestamp,
    /// When delivery is given up.
    pub expires: Timestamp,
    /// Why it was taken back.
    pub recall: Option<Recall>,
    /// Its signature was missed or refused and another was ordered for the same need.
    pub superseded: bool,
    /// Called beyond what the plan asks, because nobody stood there in time: a signature takes it back from nobody and by
    /// nobody; it is taken back when somebody stands there before it has set out.
    #[serde(default)]
    pub beyond: bool,
    /// Its marks.
    pub marks: Vec<MarkRun>,
    /// How the pick was weighed; absent for a named post.
    pub weighed: Option<Box<Weighed>>,
    /// A cover: for which area, and until which post is back.
    pub covers: Option<(AreaId, PostId)>,
    /// First handed to a channel.
    pub sent: Option<Timestamp>,
    /// First seen on the post's device.
    pub delivered: Option<Timestamp>,
    /// Over which channel each fact came.
    #[serde(default, skip_serializing_if = "Channels::is_empty")]
    pub over: Channels,
}

/// Over which channel the facts of an order came: that of its delivery, or the terminal or a voice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Channels {
    /// Who took it to carry it on.
    pub sent: Option<SmolStr>,
    /// Where it was seen.
    pub delivered: Option<SmolStr>,
    /// How it was signed: `terminal`, or `voice` where an operator wrote it down.
    pub signed: Option<SmolStr>,
    /// How it was cleared.
    pub cleared: Option<SmolStr>,
}

impl Channels {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// When an order entered each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names of the states")]
pub struct OrderTimes {
    pub signed: Option<Timestamp>,
    pub en_route: Option<Timestamp>,
    pub on_scene: Option<Timestamp>,
    pub first_report: Option<Timestamp>,
    pub cleared: Option<Timestamp>,
}

/// A report as it is kept with its incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportRecord {
    /// Version of this form.
    pub v: u8,
    /// Who sent it.
    pub source: SourceId,
    /// What it is called there.
    pub event: EventId,
    /// When we received it.
    pub received: Timestamp,
    /// What the producer's clock said.
    pub time: Option<Timestamp>,
    /// What it says.
    pub report: Report,
    /// Where it is.
    pub place: Place,
    /// How it was judged by itself.
    pub classification: Classification,
    /// Why it belongs here: `first`, or the matcher's reason with its score in percent.
    pub reason: SmolStr,
    /// The matcher's score.
    pub score: u8,
    /// It was folded here.
    pub folded: bool,
}

/// An all-call (一呼百应).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AllCall {
    /// Which of this incident, from 1; only an operator calls a second time.
    pub n: u32,
    /// Why.
    pub reason: SmolStr,
    /// Metres.
    pub radius_m: u32,
    /// When it ends by itself.
    pub until: Timestamp,
    /// Units in the list.
    pub listed: u32,
    /// Units called so far, nearest first: the cursor.
    pub called: u32,
    /// Units that answered.
    pub answered: u32,
    /// Units that are coming.
    pub coming: u32,
    /// Ended, and why; from then on the cursor takes calls back.
    pub ended: Option<SmolStr>,
    /// Units whose call was taken back: the second cursor.
    pub recalled: u32,
    /// When the next stretch is worked off, if one is left.
    pub goes_on: Option<Timestamp>,
}

/// A stretch of an all-call's list: `call/<incident>/<n>/<k>`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallList {
    /// Version of this form.
    pub v: u8,
    /// The units, nearest first.
    pub units: Vec<Called>,
}

/// A unit on an all-call's list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Called {
    /// Who.
    #[serde(rename = "u")]
    pub unit: Callee,
    /// Metres away.
    #[serde(rename = "d")]
    pub distance_m: u32,
    /// Coming or not; `None` before it answers.
    #[serde(rename = "a")]
    pub coming: Option<bool>,
}

/// A post where it differs from the playbook's roster, or has orders.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PostRecord {
    /// Version of this form.
    pub v: u8,
    /// Put by a roster change.
    pub spec: Option<PostSpec>,
    /// Taken off the roster.
    pub gone: bool,
    /// Whether it can be sent.
    pub duty: Duty,
    /// Its live orders: the active one, then those that wait.
    pub orders: Vec<OrderId>,
}

/// A notice that a person must take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenNotice {
    /// Version of this form.
    pub v: u8,
    /// Its id.
    pub id: SmolStr,
    /// About which incident.
    pub incident: Option<IncidentId>,
    /// At which desk it is now.
    pub desk: Desk,
    /// Of which kind.
    pub kind: NoticeKind,
    /// Its text.
    pub text: String,
    /// Of which severity.
    pub severity: Option<Severity>,
    /// To be taken by then.
    pub take_by: Timestamp,
    /// How often it was passed on.
    pub passed: u8,
    /// About a drill.
    pub drill: bool,
    /// What precisely it is about, where that is more than the incident.
    #[serde(default, skip_serializing_if = "About::is_plain")]
    pub(super) about: About,
    /// Its span is over, and a silence keeps it from passing on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
}

/// A silence, or a stretch of a planned window: `silence/<id>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// Version of this form.
    pub v: u8,
    /// `<command area>-<date>-s<k>`.
    pub id: SmolStr,
    /// The planned window whose stretch it is.
    pub window: Option<SmolStr>,
    /// Who made it: an operator's seat, or the author of the window.
    pub by: SmolStr,
    /// Why.
    pub reason: FreeText,
    /// Which notices it means.
    pub matchers: Matchers,
    /// When it was made.
    pub made: Timestamp,
    /// From when it hides.
    pub from: Timestamp,
    /// Until when, that instant not included.
    pub until: Timestamp,
    /// How it ended.
    pub ended: Option<SilenceEnd>,
    /// Notices it hid, by kind; the same said again counts again.
    pub hidden: BTreeMap<NoticeKind, u32>,
    /// Of those it hid: said when nothing hid them any more, since they were still true.
    pub said: u32,
    /// And no longer true by then.
    pub over: u32,
    /// The newest of those it hid, the oldest in front.
    pub latest: Vec<HiddenLine>,
}

/// How a silence ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceEnd {
    /// When.
    pub at: Timestamp,
    /// Who ended it; `None` where its time was over, or its window is no longer planned.
    pub by: Option<SmolStr>,
}

/// A line of what a silence hid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HiddenLine {
    /// When.
    pub at: Timestamp,
    /// About which incident.
    pub incident: Option<IncidentId>,
    /// Of which kind.
    pub kind: NoticeKind,
    /// Its text, as far as it is kept.
    pub text: String,
}

/// A notice that is hidden: `hidden/<n>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hidden {
    /// Version of this form.
    pub v: u8,
    /// Its number, in the order of hiding.
    pub n: u64,
    /// The silence that counts it.
    pub by: SmolStr,
    /// What it is about.
    pub about: About,
    /// The desk it was for; all that subscribed if absent.
    pub desk: Option<Desk>,
    /// Of which kind.
    pub kind: NoticeKind,
    /// Its text, as it was said last.
    pub text: String,
    /// When it was hidden first.
    pub since: Timestamp,
    /// How often it was said meanwhile.
    pub times: u32,
    /// The notice waiting to be taken that it keeps from passing on.
    pub waits: Option<SmolStr>,
}

/// A token bucket of the folding, or of a suspect source: `bucket/<key>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Version of this form.
    pub v: u8,
    /// Thousandths of a token.
    pub tokens: u64,
    /// When it was last touched.
    pub at: Timestamp,
    /// The flood incident that is open for it.
    pub flood: Option<IncidentId>,
}

/// What is known of one event for 24 hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Digest of source and id, in hexadecimal.
    #[serde(rename = "i")]
    pub id: crate::model::Digest,
    /// Digest of source, id and content.
    #[serde(rename = "c")]
    pub content: crate::model::Digest,
    /// When.
    #[serde(rename = "t")]
    pub at: Timestamp,
    /// The incident it went to.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    /// The number of the report within it; 0 for an act or a command.
    #[serde(rename = "r", default)]
    pub report: u32,
    /// Orders issued by it: first and last number within the incident.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<(u32, u32)>,
    /// What was done with it.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<super::effect::ReportOutcome>,
    /// Why it was refused.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Box<super::Refusal>>,
}

impl Seen {
    /// About how many bytes it takes in its document.
    pub(super) fn weight(&self) -> usize {
        let words = |r: &super::Refusal| r.detail.len() + r.hint.as_ref().map_or(0, String::len) + 100;
        160 + self.refused.as_deref().map_or(0, words)
    }
}

/// A stretch of what is known: `digests/<minute>/<k>`; dies whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenList {
    /// Version of this form.
    pub v: u8,
    /// In order of arrival.
    pub seen: Vec<Seen>,
}

/// The head: counters of the command area.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Version of this form.
    pub v: u8,
    /// The last instant stepped.
    pub at: Timestamp,
    /// The local date of the newest incident, `yyyymmdd`.
    pub date: u32,
    /// Incidents of that date.
    pub incidents: u32,
    /// Notices of that date that concern no incident.
    pub notices: u32,
    /// Hash of the playbook in force.
    pub playbook: SmolStr,
    /// The newest beginning or end of a post's hours that has been fired: those after it, by instant and post, are to come.
    #[serde(default)]
    pub hours: Option<(Timestamp, PostId)>,
    /// Silences of that date.
    #[serde(default)]
    pub silences: u32,
    /// The number of the newest hidden notice.
    #[serde(default)]
    pub hidden: u64,
    /// The newest opening of a planned window: those after it, by instant and window, are to come.
    #[serde(default)]
    pub windows: Option<(Timestamp, SmolStr)>,
}

/// What was begun and is not done yet: `todo/<n>`, worked off in the order of the numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Left {
    /// Version of this form.
    pub v: u8,
    /// What is to be done.
    pub todo: Todo,
}

impl OpenNotice {
    /// What it is about.
    #[must_use]
    pub fn about(&self) -> About {
        About { incident: self.incident.clone(), ..self.about.clone() }
    }
}

impl Incident {
    /// Exercise or test.
    #[must_use]
    pub fn drill(&self) -> bool {
        self.status.is_drill()
    }

    /// The id of its `n`th order.
    #[must_use]
    pub fn order_id(&self, n: u32) -> OrderId {
        OrderId { incident: self.id.clone(), n }
    }

    /// Its category.
    #[must_use]
    pub fn category(&self) -> &CategoryId {
        &self.classification.category
    }

    /// Whether posts are asked for: not while it is verified, and not once it is controlled.
    #[must_use]
    pub fn asks(&self) -> bool {
        matches!(self.state, IncidentState::Received | IncidentState::Dispatching | IncidentState::Handling)
    }

    /// Whether any need waits for a post.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.asks() && self.needs.iter().any(|n| n.waiting.is_some())
    }

    /// Whether an operator has explained this mark.
    #[must_use]
    pub fn is_held(&self, mark: &MarkName) -> bool {
        self.holds.iter().any(|h| h.as_ref().is_none_or(|name| name == mark))
    }
}

impl Order {
    /// Whether the post is still bound by it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state.is_live()
    }

    /// Whether a recall still means something to its post: it is bound by it, or may yet sign it.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.is_live() || self.may_yet_come()
    }

    /// Whether it counts towards its need: live and not replaced, or done.
    #[must_use]
    pub fn serves(&self) -> bool {
        (self.state.is_live() && !self.superseded) || self.state == OrderState::Cleared
    }

    /// Whether its post has not set out but still may: also one that did not sign in time, whose late signature counts.
    #[must_use]
    pub fn may_yet_come(&self) -> bool {
        self.state < OrderState::EnRoute || self.state == OrderState::Expired
    }

    /// Whether its post stands there now, or stood there and cleared.
    #[must_use]
    pub fn has_been_on_scene(&self) -> bool {
        self.times.on_scene.is_some() && (self.state.is_live() || self.state == OrderState::Cleared)
    }
}
