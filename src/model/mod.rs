//! The nouns: what Muster talks about, as plain data.
//!
//! Nothing here decides anything. A type of this module has fields, an order, a text form and, where it crosses
//! a boundary or rests in the journal, a serde form; it reads no clock and asks nobody. One word has one meaning,
//! and the words are those of the command centre: a *report* says that something happened, an *incident* is the
//! thing that happened, a *post* is a unit on duty, an *order* sends one post to one incident, a *mark* is a
//! deadline with a name.
//!
//! There is no noun for a person. Muster dispatches to incidents and places; a report has no name, number, phone
//! or plate to carry, so nothing behind this door can ever store one.

mod act;
mod calendar;
mod classification;
mod command;
mod event;
mod ids;
mod lifecycle;
mod matchers;
mod notice;
mod order;
mod place;
mod post;
mod report;
mod text;
mod time;

pub use act::{Act, FieldAct, PositionFix};
pub use calendar::{Calendar, Day};
pub use classification::{Classification, Lane, ModifierHit, Ring, RiskClass, Severity, Step as SeverityStep, Verdict};
pub use command::{Command, CommandKind};
pub use event::{Body, Digest, Event, Meta};
pub use ids::{
    AgencyId, AreaCode, AreaId, CategoryId, CommandArea, DispositionCode, EventId, IncidentId, KeywordGroup, LinkageId,
    MarkName, OrderId, PlanId, PostId, RuleId, SiteId, SourceId, TeamId,
};
pub use lifecycle::{Desk, IncidentState, Level, Link};
pub use matchers::Matchers;
pub use notice::NoticeKind;
pub use order::{OrderState, Recall, Role};
pub use place::{Crs, Place, PlaceRef, Position, Spot};
pub use post::{Kind, Need, PostSpec, Team};
pub use report::{Certainty, Report, ReportSeverity, Status, Urgency};
pub use text::FreeText;
pub use time::{Hours, LocalTime, Millis, ParseSpan, Timestamp, Weekday};
