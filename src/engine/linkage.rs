//! Four-post linkage (四岗联动): which posts serve an incident, and why these.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::effect::Callee;
use super::fleet::Fleet;
use super::timeline::Weighed;
use crate::model::{
    AreaCode, AreaId, Lane, LocalTime, Need, OrderId, Position, PostId, Role, Severity, Team, TeamId, Timestamp,
};
use crate::playbook::Playbook;

/// What an incident asks for.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// Where posts are sent to.
    pub target: Position,
    /// The county of the incident: posts of others come as mutual aid.
    pub county: Option<&'a AreaCode>,
    /// How bad it is.
    pub severity: Severity,
    /// Only the bottom line pre-empts.
    pub lane: Lane,
    /// Exercise or test: pre-empts nothing real.
    pub drill: bool,
    /// False for an incident that was robbed itself: no chain.
    pub may_preempt: bool,
    /// Needs of a higher echelon are left alone (neither picked nor short).
    pub echelon_max: u8,
    /// What is still wanted, in the plan's order.
    pub needs: Vec<Wanted<'a>>,
    /// Posts that are not asked, each with the reason in short (`declined`, `unsigned`, `already ordered`).
    pub excluded: &'a BTreeMap<PostId, SmolStr>,
    /// The instant of the decision.
    pub now: Timestamp,
    /// The same on the clock on the wall.
    pub local: LocalTime,
}

/// One need and how many posts it still lacks.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The index by which the caller knows the need again.
    pub need: usize,
    /// What is asked for.
    pub spec: &'a Need,
    /// How many are still lacking; may be less than `spec.count`.
    pub count: u16,
}

/// Who serves it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// In the order in which they were chosen: role `first` before the others, then by echelon, then as the plan lists them.
    pub picks: Vec<Pick>,
    /// Needs that nobody can serve, in the same order.
    pub short: Vec<Shortfall>,
}

/// A post that was chosen.
///
/// The caller makes it true in this order: every order in `drops` is recalled and released; then, with `preempts`, the
/// new task replaces that order ([`Fleet::replace`]), else it is assigned ([`Fleet::assign`]) and waits if `queued_behind`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pick {
    /// [`Wanted::need`].
    pub need: usize,
    /// The post.
    pub post: PostId,
    /// As what.
    pub role: Role,
    /// Of the need.
    pub echelon: u8,
    /// How it was weighed, in words that a dispatcher can read.
    pub weighed: Weighed,
    /// The active order it is taken from.
    pub preempts: Option<OrderId>,
    /// The order after which its turn comes.
    pub queued_behind: Option<OrderId>,
    /// Drills and moves-up that end by this pick.
    pub drops: Vec<OrderId>,
    /// The area that has fewer idle posts than its minimum by this pick: a move-up is due.
    pub uncovers: Option<AreaId>,
}

/// A need that nobody can serve.
#[derive(Clone, Debug, PartialEq)]
pub struct Shortfall {
    /// [`Wanted::need`].
    pub need: usize,
    /// As what.
    pub role: Role,
    /// How many are lacking.
    pub count: u16,
    /// Every post of the command area that was not taken for it, counted by reason.
    pub reasons: Vec<(SmolStr, u32)>,
}

/// Chooses posts for what is asked: least cost, every pick and every rejection with its reason.
#[must_use]
pub fn choose(playbook: &Playbook, fleet: &Fleet, ask: &Ask<'_>) -> Choice {
    let _ = (playbook, fleet, ask);
    unimplemented!("signature first")
}

/// The nearest idle post of an area above its own minimum, to cover `area` (补位). One hop: a post that has moved up
/// already is not asked. `need` of the pick is 0, `role` is `cover`.
#[must_use]
pub fn move_up(
    playbook: &Playbook,
    fleet: &Fleet,
    area: &AreaId,
    excluded: &BTreeMap<PostId, SmolStr>,
    now: Timestamp,
    local: LocalTime,
) -> Option<Pick> {
    let _ = (playbook, fleet, area, excluded, now, local);
    unimplemented!("signature first")
}

/// Whom an all-call asks for.
#[derive(Clone, Debug)]
pub struct Around<'a> {
    /// The middle.
    pub centre: Position,
    /// In metres.
    pub radius_m: f64,
    /// Exercise or test: no post is called away from anything real.
    pub drill: bool,
    /// Whether volunteer teams are called.
    pub volunteers: bool,
    /// Posts that are not called, such as those ordered already.
    pub excluded: &'a BTreeMap<PostId, SmolStr>,
    /// The instant of the decision.
    pub now: Timestamp,
    /// The same on the clock on the wall.
    pub local: LocalTime,
}

/// A unit that an all-call may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Near {
    /// Metres from the middle, rounded.
    pub distance_m: u32,
    /// Who.
    pub unit: Callee,
}

/// Every post and team within the radius that an all-call may call, nearest first; and who may not, counted by reason.
/// Never a post on a bottom-line task, never one whose area would fall below its minimum.
#[must_use]
pub fn within_radius(
    playbook: &Playbook,
    fleet: &Fleet,
    teams: &BTreeMap<TeamId, Team>,
    around: &Around<'_>,
) -> (Vec<Near>, Vec<(SmolStr, u32)>) {
    let _ = (playbook, fleet, teams, around);
    unimplemented!("signature first")
}
