//! What operators order: the verbs of the command centre, each with what it needs.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{
    Act, CategoryId, DispositionCode, FreeText, IncidentId, Matchers, OrderId, PlaceRef, PostId, Report, Role,
    Severity, Timestamp,
};

/// An operator's command. The same guard serves it as serves a post's act and the automation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The desk or operator's seat that gave it, such as `command/seat-2`. A seat, not a person.
    pub by: SmolStr,
    /// Why.
    pub reason: Option<FreeText>,
    /// The incident it is about; absent only where the verb makes or names one itself.
    pub incident: Option<IncidentId>,
    /// The verb.
    #[serde(flatten)]
    pub kind: CommandKind,
}

/// The verbs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum CommandKind {
    /// Opens an incident by hand. Never merged by itself.
    Create {
        /// What it is about.
        report: Box<Report>,
        /// Overrides the classification's category.
        category: Option<CategoryId>,
        /// Overrides the severity.
        severity: Option<Severity>,
    },
    /// The place is another: ring, plan and area are found anew.
    CorrectPlace {
        /// The right place.
        place: PlaceRef,
    },
    /// Category or severity is another: plan, lane and marks are found anew. Only an operator may lower.
    Reclassify {
        /// The right category, if it changes.
        category: Option<CategoryId>,
        /// The right severity, if it changes.
        severity: Option<Severity>,
    },
    /// Orders a named post, whatever the linkage would choose.
    Order {
        /// Which.
        post: PostId,
        /// As what; default `first` when nobody has that role yet, else `reinforce`.
        role: Option<Role>,
    },
    /// Takes an order back from a post.
    StandDown {
        /// Which order.
        order: Option<OrderId>,
        /// Or the order of which post.
        post: Option<PostId>,
    },
    /// Verification says: it is real.
    Confirm,
    /// Verification says: it is not. Closes with a code, no post.
    Refute {
        /// How it ended; default the playbook's `refuted` code.
        disposition: Option<DispositionCode>,
    },
    /// The two belong together, and stay two.
    Link {
        /// The other one.
        other: IncidentId,
    },
    /// Takes reports out of an incident into one of their own.
    Split {
        /// The numbers of the reports within the incident, counted from 1.
        reports: Vec<u32>,
    },
    /// This incident is that one seen twice: its reports join it, it becomes `duplicate-of`.
    Merge {
        /// The one that goes on.
        into: IncidentId,
    },
    /// Road blocked, wrong place: recorded; explains a miss, does not hide it.
    Hold {
        /// The mark it explains; all running ones if absent.
        mark: Option<SmolStr>,
    },
    /// Calls everybody near (一呼百应). Needs a reason.
    AllCall {
        /// Metres; default the plan's.
        radius_m: Option<f64>,
        /// Call volunteers to a drill too.
        #[serde(default)]
        volunteers: bool,
    },
    /// Ends the all-call, or recalls one order.
    Recall {
        /// One order; the all-call if absent.
        order: Option<OrderId>,
    },
    /// The danger is over: the all-call is recalled, posts may clear.
    Controlled,
    /// Finished. Needs a disposition; cancels every timer.
    Close {
        /// How it ended.
        disposition: DispositionCode,
        /// Opens a prevention task on the area (源头预防).
        #[serde(default)]
        prevention: bool,
    },
    /// The incident was cancelled before anybody was needed.
    Cancel,
    /// It is not over after all.
    Reopen,
    /// A unit said it by voice; the operator writes it down, with the words.
    SignOnBehalf {
        /// Which order.
        order: OrderId,
        /// What was said to have been done; default signed.
        act: Option<Act>,
        /// The words.
        words: FreeText,
    },
    /// A person takes a notice that asked to be taken.
    TakeNotice {
        /// Its id.
        notice: SmolStr,
    },
    /// Hides notices from the desks for a time; never orders, marks or all-calls, and nothing of the bottom line. Needs a
    /// reason.
    Silence {
        /// Which notices.
        matchers: Matchers,
        /// From when; default now.
        from: Option<Timestamp>,
        /// Until when, that instant not included.
        until: Timestamp,
    },
    /// Ends a silence, or the present stretch of a planned window: what is still true is said at once.
    Unsilence {
        /// Its id.
        silence: SmolStr,
    },
}

impl Command {
    /// What it is about, as an id: its order, notice or silence, else its incident, else nothing.
    #[must_use]
    pub fn about(&self) -> String {
        let named = match &self.kind {
            CommandKind::SignOnBehalf { order, .. } => Some(order.to_string()),
            CommandKind::StandDown { order, .. } | CommandKind::Recall { order } => {
                order.as_ref().map(OrderId::to_string)
            }
            CommandKind::TakeNotice { notice } => Some(notice.to_string()),
            CommandKind::Unsilence { silence } => Some(silence.to_string()),
            _ => None,
        };
        named.or_else(|| self.incident.as_ref().map(IncidentId::to_string)).unwrap_or_default()
    }
}

impl CommandKind {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::CorrectPlace { .. } => "correct_place",
            Self::Reclassify { .. } => "reclassify",
            Self::Order { .. } => "order",
            Self::StandDown { .. } => "stand_down",
            Self::Confirm => "confirm",
            Self::Refute { .. } => "refute",
            Self::Link { .. } => "link",
            Self::Split { .. } => "split",
            Self::Merge { .. } => "merge",
            Self::Hold { .. } => "hold",
            Self::AllCall { .. } => "all_call",
            Self::Recall { .. } => "recall",
            Self::Controlled => "controlled",
            Self::Close { .. } => "close",
            Self::Cancel => "cancel",
            Self::Reopen => "reopen",
            Self::SignOnBehalf { .. } => "sign_on_behalf",
            Self::TakeNotice { .. } => "take_notice",
            Self::Silence { .. } => "silence",
            Self::Unsilence { .. } => "unsilence",
        }
    }
}
