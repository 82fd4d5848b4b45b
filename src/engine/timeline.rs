//! The timeline: what happened, in the words of the command centre. One variant, one kind of happening; its `Display`
//! is the line that scenarios, the terminal and the timeline route show.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::effect::{Callee, NoticeKind, Refusal};
use crate::model::{
    Act, AgencyId, AreaId, Classification, Desk, DispositionCode, EventId, FreeText, IncidentId, IncidentState, Level,
    MarkName, Matchers, Millis, OrderId, PostId, Recall, Role, Severity, SourceId, Timestamp,
};
use crate::playbook::OnMiss;

/// A line of the timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it happened.
    pub at: Timestamp,
    /// The incident it belongs to.
    pub incident: Option<IncidentId>,
    /// Exercise or test.
    pub drill: bool,
    /// Who: a source, a post, a seat, or the engine itself.
    pub by: Actor,
    /// What.
    pub what: What,
}

/// Who made it happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// The rules and the clock.
    Engine,
    /// A producer.
    Source(SourceId),
    /// A post or a team.
    Unit(SmolStr),
    /// An operator's seat.
    Seat(SmolStr),
}

/// How late, and through whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lateness {
    /// In time.
    InTime,
    /// By so much, through the field.
    By(Millis),
    /// Found due only after our own outage.
    OwnOutage(Millis),
    /// Kept when it was done, told later by so much.
    ReportedLate(Millis),
}

/// How a pick was weighed, in seconds of travel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weighed {
    /// Travel from where it is thought to be.
    pub travel_s: u32,
    /// Travel plus everything else.
    pub cost_s: u32,
    /// The next best and how much more it would have cost.
    pub runner_up: Option<(PostId, u32)>,
    /// Why it is not simply the nearest, how its position is known, from whom it was taken: short words in order.
    pub reasons: Vec<SmolStr>,
    /// Why the others were not taken: the nearest ones by name.
    pub rejected: Vec<(PostId, SmolStr)>,
    /// And all by reason.
    pub rejected_counts: Vec<(SmolStr, u32)>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each variant says what its fields are by their types and names")]
pub enum What {
    /// An incident was opened by a report, an operator or a post.
    Opened { classification: Box<Classification>, level: Level, area: Option<AreaId>, source: SourceId, event: EventId },
    /// A report joined it.
    Joined { source: SourceId, event: EventId, score: u8, reason: SmolStr, report: u32 },
    /// A report may belong to another incident.
    Suggested { other: IncidentId, score: u8, reason: SmolStr },
    /// A report was folded into it.
    Folded { source: SourceId, event: EventId, folded: u32 },
    /// A late report on a closed incident, and what the rule does.
    LateReport { source: SourceId, event: EventId, action: SmolStr },
    /// A report came again, exactly.
    Repeated { source: SourceId, event: EventId },
    /// A report was handed to another centre.
    Forwarded { to: SmolStr, source: SourceId, event: EventId },
    /// The classification changed.
    Reclassified { from: Box<Classification>, to: Box<Classification>, why: SmolStr },
    /// The place was corrected or found.
    Located { area: Option<AreaId>, ring: crate::model::Ring, why: SmolStr },
    /// The state changed.
    State { from: IncidentState, to: IncidentState },
    /// The owner changed.
    LevelRaised { from: Level, to: Level },
    /// An order was issued.
    Ordered {
        order: OrderId,
        post: PostId,
        role: Role,
        echelon: u8,
        cause: SmolStr,
        sign_by: Option<Timestamp>,
        on_scene_by: Option<Timestamp>,
        queued: u8,
        weighed: Option<Box<Weighed>>,
    },
    /// An order was taken back.
    Recalled { order: OrderId, post: PostId, reason: Recall },
    /// A post acted.
    Acted { order: Option<OrderId>, post: SmolStr, act: Act, lateness: Lateness, on_behalf: bool },
    /// What the post or the operator said with it. Apart, so that it can be sealed.
    Said { order: Option<OrderId>, words: FreeText },
    /// An order ended unsigned.
    Expired { order: OrderId, post: PostId },
    /// Delivery went so.
    Delivery { order: OrderId, channel: SmolStr, outcome: super::input::DeliveryOutcome },
    /// A warning.
    Warning { mark: MarkName, order: Option<OrderId>, lateness: Lateness },
    /// A mark was reached in time.
    Kept { mark: MarkName, order: Option<OrderId>, spent: Millis, lateness: Lateness },
    /// A mark was missed; `round` counts from 1.
    Missed { mark: MarkName, order: Option<OrderId>, round: u32, held: bool, lateness: Lateness },
    /// A missed mark was reached at last.
    ReachedLate { mark: MarkName, order: Option<OrderId>, late: Millis },
    /// An action of the plan reached nobody.
    NobodyReached { action: OnMiss, mark: MarkName },
    /// Nobody can serve a need.
    Shortfall { role: Role, count: u16, waiting: bool, reasons: Vec<(SmolStr, u32)> },
    /// A post was taken from a lesser task.
    PreEmpted { order: OrderId, post: PostId, from: IncidentId },
    /// An area is covered by another post.
    MovedUp { area: AreaId, post: PostId, order: OrderId },
    /// An all-call began.
    AllCallBegan { n: u32, reason: SmolStr, radius_m: u32, posts: u32, teams: u32, until: Timestamp },
    /// A unit answered it.
    AllCallAnswered { n: u32, unit: Callee, coming: bool, answered: u32, called: u32 },
    /// It ended or was recalled.
    AllCallEnded { n: u32, reason: SmolStr, called: u32, answered: u32 },
    /// An agency was told.
    AgencyTold { agency: AgencyId, reason: SmolStr },
    /// A notice went to a desk.
    Noticed { notice: SmolStr, desk: Desk, kind: NoticeKind, text: String, take_by: Option<Timestamp> },
    /// A person took it.
    NoticeTaken { notice: SmolStr },
    /// Nobody took it in time; it went to the next desk.
    NoticePassed { notice: SmolStr, from: Desk, to: Desk },
    /// Notices are silenced: by an operator, or as a window plans it.
    Silenced { silence: SmolStr, window: Option<SmolStr>, matchers: Box<Matchers>, from: Timestamp, until: Timestamp },
    /// A silence ended, having hidden so many.
    SilenceEnded { silence: SmolStr, hidden: u32 },
    /// A notice was hidden, for the so manieth time.
    NoticeHidden { silence: SmolStr, kind: NoticeKind, text: String, times: u32 },
    /// A hold was recorded.
    Held { mark: Option<MarkName> },
    /// Two incidents were linked.
    Linked { other: IncidentId, reason: SmolStr },
    /// Reports were taken out into an incident of their own.
    Split { into: IncidentId, reports: u32 },
    /// Reports came in from an incident that was merged into this one.
    Merged { from: IncidentId, reports: u32 },
    /// Closed, with how it ended.
    Closed { disposition: DispositionCode },
    /// A prevention task was opened on the area.
    Prevention { area: Option<AreaId> },
    /// A post began or ended its duty.
    Duty { post: PostId, state: SmolStr },
    /// Something was asked that cannot be done.
    Refused { what: SmolStr, refusal: Refusal },
    /// Severity as it stands, for what the plan evaluates anew.
    Evaluated { severity: Severity, why: SmolStr },
    /// We were not there.
    Outage { from: Timestamp, to: Timestamp },
}
