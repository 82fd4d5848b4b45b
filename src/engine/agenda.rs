//! Small steps: how much one step may do, and what becomes of the rest.
//!
//! One input changes at most [`CHANGED_MAX`] documents and gives at most [`EFFECTS_MAX`] effects, and so does one call of
//! `advance`: a record of the journal is sized for that. What may be many (the orders of an incident that ends, the posts
//! of a need, the orders of posts that leave the roster, the marks missed at one instant) is therefore done one after the
//! other, nearest first, and only until the step has come to *enough*; what is left is written on the agenda.
//!
//! * A *piece* is an input, a deadline that fires, or one entry of the agenda. Its measure is taken from its own start;
//!   so what is done at once, and what is left, never depends on how the caller cuts time or fills its batches.
//! * Each entry of the agenda is a document: an engine that is restored goes on exactly there.
//! * It is worked off before anything else falls due or comes in, as of the instant at which it was left. Nobody sees a
//!   half state as a whole one: `step` takes no input before, and what the agenda still evaluates is served by nobody.
//! * What a piece leaves goes in front of what was left before: things happen in the order in which they would have
//!   happened if there were no bound.
//!
//! Why it holds: a loop begins nothing more once the piece has come to [`CHANGED_ENOUGH`] or [`EFFECTS_ENOUGH`]; what was begun
//! by then (one pick with all that it takes its post from, one order taken back) ends within the room between enough and
//! the bound; and a notice, which five desks may hear, is left once enough is done. `tests/small_steps.rs` and
//! `tests/invariants.rs` ask after every call.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::about::About;
use super::deadline::Deadline;
use super::escalation::Escalation;
use super::lifecycle::Ending;
use super::plan::Evaluation;
use super::snapshot::Key;
use super::state::{Left, STATE_VERSION};
use super::{Engine, NoticeKind};
use crate::model::{AreaId, Desk, IncidentId, PostId, Recall, Timestamp};

/// Documents that one input, or one call of `advance`, changes at most.
pub const CHANGED_MAX: usize = 64;

/// Effects that one input, or one call of `advance`, gives at most.
pub const EFFECTS_MAX: usize = 256;

/// Documents and effects after which a piece begins nothing more.
const CHANGED_ENOUGH: usize = 24;
const EFFECTS_ENOUGH: usize = 120;

/// Kept free by whoever asks for room, for what is said and changed on the way out.
const CHANGED_SPARE: usize = 14;
const EFFECTS_SPARE: usize = 40;

/// What was begun and is not done yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Todo {
    /// Needs are served further.
    Serve {
        /// Of these incidents, in turn.
        incidents: Vec<IncidentId>,
        /// Why, in the word that their orders carry.
        cause: SmolStr,
    },
    /// A pick thinned an area: somebody covers it.
    MoveUp {
        /// For which incident the post went.
        incident: IncidentId,
        /// Which area.
        area: AreaId,
        /// Which post.
        original: PostId,
    },
    /// Orders of an incident are taken back.
    TakeBack {
        /// Of which incident.
        incident: IncidentId,
        /// Their numbers, in the order in which they are taken back.
        orders: Vec<u32>,
        /// Why.
        reason: Recall,
    },
    /// A post has been released: what follows from that.
    Released(PostId),
    /// A post can serve none of its orders any more.
    Lose {
        /// Which.
        post: PostId,
        /// It goes off the roster with the last of them.
        leaves: bool,
    },
    /// A post's shift is over: what waits behind its present order goes to others.
    GiveUp(PostId),
    /// Orders of posts that are on no roster any more are taken back and served anew.
    Sweep,
    /// A notice that is still to be raised.
    Notice {
        /// About what.
        #[serde(flatten)]
        about: About,
        /// To this desk; to all who subscribed if absent.
        desk: Option<Desk>,
        /// Of which kind.
        kind: NoticeKind,
        /// What happened.
        text: String,
    },
    /// Agencies are told.
    Agencies {
        /// About which incident.
        incident: IncidentId,
        /// Why.
        reason: SmolStr,
    },
    /// Notices of an incident that is over wait for nobody any more.
    DropNotices(IncidentId),
    /// Hidden notices that nothing hides any more leave, those after this number.
    LetOut {
        /// The last that has been looked at.
        after: u64,
    },
    /// Windows are opened and ended as the playbook in force plans them.
    MatchWindows,
    /// An all-call by rule is made.
    CallAll {
        /// For which incident.
        incident: IncidentId,
        /// Why.
        reason: SmolStr,
    },
    /// What misses of one instant cause.
    Escalate(Box<Escalation>),
    /// An incident has become another one.
    Evaluate(Box<Evaluation>),
    /// An incident ends.
    End(Box<Ending>),
    /// Posts that have set out for a duplicate go on for the other one, and then it ends.
    Merge {
        /// The duplicate.
        incident: IncidentId,
        /// The one that goes on.
        into: IncidentId,
        /// Reports that went over.
        reports: u32,
    },
    /// The duplicate has ended; the other one learns what it knew.
    Merged {
        /// The duplicate.
        incident: IncidentId,
        /// The one that goes on.
        into: IncidentId,
        /// Reports that went over.
        reports: u32,
    },
}

/// What the present piece has come to so far.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// Documents it has changed.
    touched: BTreeSet<Key>,
    /// Effects in the caller's buffer before it.
    said_before: usize,
    /// What it leaves.
    left: Vec<Todo>,
}

/// What one call of `advance` has come to so far: documents beside the head, effects.
#[derive(Debug, Default)]
pub(super) struct Spent {
    changed: usize,
    said: usize,
}

impl Spent {
    /// Whether a piece that can come to so much still has room. The first always has.
    pub(super) fn leaves(&self, (changed, said): (usize, usize)) -> bool {
        let fits = self.changed + changed < CHANGED_MAX && self.said + said <= EFFECTS_MAX;
        fits || (self.changed, self.said) == (0, 0)
    }
}

/// What any piece can come to: documents beside the head, effects.
pub(super) const ANY: (usize, usize) = (CHANGED_MAX - 1, EFFECTS_MAX);

/// What a deadline can come to: documents beside the head, effects.
pub(super) fn at_most(deadline: &Deadline) -> (usize, usize) {
    match deadline {
        // The mark, and a notice at five desks with what was hidden of it; a notice that is passed on, or held back.
        Deadline::Warn(..) | Deadline::WarnOrder(..) | Deadline::Take(_) => (10, 13),
        _ => ANY,
    }
}

impl Engine {
    /// A piece begins.
    pub(super) fn open_piece(&mut self) {
        debug_assert!(self.piece.touched.is_empty() && self.piece.left.is_empty(), "the one before has ended");
        self.piece.said_before = self.out.len();
    }

    /// The piece has ended: what it left goes in front of the agenda. Whether anything came of it.
    pub(super) fn close_piece(&mut self, spent: &mut Spent) -> bool {
        let left = std::mem::take(&mut self.piece.left);
        let said = self.said_so_far();
        if left.is_empty() && self.piece.touched.is_empty() && said == 0 {
            return false;
        }
        self.touch(Key::Head);
        for todo in left.into_iter().rev() {
            let n = self.put_in_front(todo);
            self.touch(Key::Todo(n));
        }
        let touched = std::mem::take(&mut self.piece.touched);
        spent.changed += touched.len() - 1;
        spent.said += said;
        // One by one: a caller who never takes them has many.
        self.changed.extend(touched);
        true
    }

    fn said_so_far(&self) -> usize {
        self.out.len() - self.piece.said_before
    }

    /// A document is changed by the present piece.
    pub(super) fn touch(&mut self, key: Key) {
        self.piece.touched.insert(key);
    }

    /// Puts something in front of what is left to do; returns its number.
    pub(super) fn put_in_front(&mut self, todo: Todo) -> i64 {
        let n = self.agenda.first_key_value().map_or(0, |(first, _)| first - 1);
        self.agenda.insert(n, Left { v: STATE_VERSION, todo });
        n
    }

    /// Works off an entry of the agenda, as far as one piece goes.
    pub(super) fn work_off(&mut self, n: i64) {
        self.touch(Key::Todo(n));
        if let Some(left) = self.agenda.remove(&n) {
            self.work(left.todo);
        }
    }

    /// Documents that the present piece has changed, with those of what it leaves.
    fn changed_so_far(&self) -> usize {
        self.piece.touched.len() + self.piece.left.len()
    }

    /// Whether the piece has done enough: what is not begun yet is left.
    pub(super) fn enough(&self) -> bool {
        self.changed_so_far() >= CHANGED_ENOUGH || self.said_so_far() >= EFFECTS_ENOUGH
    }

    /// Whether so many documents and effects more still fit, with some to spare.
    pub(super) fn has_room(&self, changed: usize, said: usize) -> bool {
        self.changed_so_far() + changed + CHANGED_SPARE <= CHANGED_MAX
            && self.said_so_far() + said + EFFECTS_SPARE <= EFFECTS_MAX
    }

    /// Effects that still fit, with some to spare.
    pub(super) fn room_to_say(&self) -> usize {
        EFFECTS_MAX.saturating_sub(self.said_so_far() + EFFECTS_SPARE)
    }

    /// Leaves something for the steps that follow, at the same instant; once, however often it is asked for.
    pub(super) fn leave(&mut self, todo: Todo) {
        if !self.left().any(|known| *known == todo) {
            self.piece.left.push(todo);
        }
    }

    /// Whether what comes next has to be left: enough is done, or what it stands on is left itself.
    pub(super) fn must_wait(&self) -> bool {
        self.enough() || !self.piece.left.is_empty()
    }

    /// Does what comes next, or leaves it.
    pub(super) fn then(&mut self, todo: Todo) {
        if self.must_wait() { self.leave(todo) } else { self.work(todo) }
    }

    /// What is left to do, whatever falls due meanwhile.
    pub(super) fn left(&self) -> impl Iterator<Item = &Todo> {
        self.piece.left.iter().chain(self.agenda.values().map(|left| &left.todo))
    }

    /// Whether an incident is half evaluated: it is served when that is done.
    pub(super) fn is_half(&self, id: &IncidentId) -> bool {
        self.left().any(|todo| matches!(todo, Todo::Evaluate(half) if half.incident == *id))
    }

    /// The instant at which what is left has to be done: that at which it was left.
    pub(super) fn agenda_at(&self) -> Option<Timestamp> {
        (!self.agenda.is_empty()).then_some(self.now)
    }

    /// Does what was left, as far as the present piece goes.
    pub(super) fn work(&mut self, todo: Todo) {
        match todo {
            Todo::Serve { incidents, cause } => self.serve_each(&incidents, &cause),
            Todo::MoveUp { incident, area, original } => self.move_up(&incident, &area, &original),
            Todo::TakeBack { incident, orders, reason } => self.take_back(&incident, &orders, reason),
            Todo::Released(post) => self.after_release(&post),
            Todo::Lose { post, leaves } => self.lose(&post, leaves),
            Todo::GiveUp(post) => self.give_up_waiting(&post),
            Todo::Sweep => self.sweep(),
            Todo::Notice { about, desk, kind, text } => self.notice_of(about, desk, kind, text),
            Todo::Agencies { incident, reason } => self.tell_agencies(&incident, &reason),
            Todo::DropNotices(incident) => self.drop_notices_of(&incident),
            Todo::LetOut { after } => self.let_out(after),
            Todo::MatchWindows => self.match_windows(),
            Todo::CallAll { incident, reason } => _ = self.call_all(&incident, &reason),
            Todo::Escalate(escalation) => self.escalate(*escalation),
            Todo::Evaluate(evaluation) => drop(self.go_on_evaluating(*evaluation)),
            Todo::End(ending) => self.ended(*ending),
            Todo::Merge { incident, into, reports } => drop(self.merge_orders(&incident, &into, reports)),
            Todo::Merged { incident, into, reports } => drop(self.merged(&incident, &into, reports)),
        }
    }
}
