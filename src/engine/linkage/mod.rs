//! Four-post linkage (四岗联动): which posts serve an incident, and why these.
//!
//! The cheapest post wins, where `cost = travel + value of its present task + cover lost + mutual aid + leaving its site`,
//! all in seconds of travel; ties go to the lower id. Needs are served one after the other, role `first` before all
//! others, then by echelon, then as the plan lists them; a post serves one need of an incident. What each part means:
//!
//! * *Travel* is `travel`'s, plus turnout when the post is at rest. A post that has a task may *wait behind* it: then travel
//!   also holds the way to that task, the time such a task presumably still takes, and so on for each one waiting.
//! * *Value of the present task*: a post is *taken* from a lesser task only for a bottom-line incident that was not
//!   itself robbed, never from a bottom-line task (an active or a waiting one), never from an incident robbed before,
//!   never from on scene unless two severities higher. Where both are open, waiting and taking, the cheaper is weighed.
//! * Drills and moves-up give way to anything real, at no value. A drill asks no post that has a real task.
//! * *Cover lost*: for each idle post by which the pick leaves an area under its minimum. Drills lose no cover.
//! * *Mutual aid*: the post's county is not the incident's.
//! * *Leaving its site*: a standing post outside its radius, in any role but `cover`.
//!
//! How it is searched: outward over the fleet's grid, all needs over one growing list of posts seen. A need is settled when
//! the way to any post not yet seen must cost more than the runner-up, since no cost is less than straight line ÷ fastest
//! speed. So the result is that of the exhaustive search, at the price of a few dozen posts.
//!
//! Every rejection keeps its reason: the nearest by name, all by count. The posts that lie so far away that even on
//! an open road they would cost more than the runner-up are one such count, `farther`. That radius follows from the costs
//! alone, so the words do not depend on how the grid happens to be cut.

mod call;
mod offer;
mod search;

use std::collections::BTreeMap;

use smol_str::SmolStr;

pub use call::{Around, Near, within_radius};

use self::offer::Terms;
use self::search::Search;
use super::fleet::Fleet;
use super::timeline::Weighed;
use crate::model::{
    AreaCode, AreaId, Kind, Lane, LocalTime, Need, OrderId, Position, PostId, Role, Severity, Timestamp,
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
    let mut wanted: Vec<&Wanted<'_>> = ask.needs.iter().filter(|w| w.spec.echelon <= ask.echelon_max).collect();
    wanted.sort_by_key(|w| (w.spec.role != Role::First, w.spec.echelon));
    let mut search = Search::begin(playbook, fleet, ask);
    let mut choice = Choice::default();
    for wanted in wanted {
        for served in 0..wanted.count {
            match search.take_best(wanted) {
                Ok(pick) => choice.picks.push(pick),
                Err(reasons) => {
                    let count = wanted.count - served;
                    choice.short.push(Shortfall { need: wanted.need, role: wanted.spec.role, count, reasons });
                    break;
                }
            }
        }
    }
    choice
}

/// Whether this one post could serve any of what is asked: the cheap question before [`choose`] is asked again for an
/// incident that waits, when one post has become free or has said where it is.
#[must_use]
pub fn could_serve(playbook: &Playbook, fleet: &Fleet, ask: &Ask<'_>, post: &PostId) -> bool {
    let Some(unit) = fleet.get(post) else { return false };
    let within = |wanted: &&Wanted<'_>| wanted.spec.echelon <= ask.echelon_max && wanted.count > 0;
    let at = unit.whereabouts(ask.now, playbook.limits.position_stale);
    ask.needs.iter().filter(within).any(|wanted| search::fits(wanted.spec, unit).is_ok())
        && Terms::of(playbook, ask).offer(unit, at, ask.target.distance_m(at.position)).is_ok()
}

/// The nearest idle post of an area above its own minimum, to cover `area` (补位). One hop: a post that has moved up
/// already is not asked; nor is a standing post, whose fixed point is its cover. `need` of the pick is 0, its role `cover`.
#[must_use]
pub fn move_up(
    playbook: &Playbook,
    fleet: &Fleet,
    area: &AreaId,
    excluded: &BTreeMap<PostId, SmolStr>,
    now: Timestamp,
    local: LocalTime,
) -> Option<Pick> {
    let place = playbook.areas.areas.get(area)?;
    let spec = Need {
        kinds: vec![Kind::Patrol, Kind::Base, Kind::Peak],
        count: 1,
        role: Role::Cover,
        capability: None,
        echelon: 1,
    };
    let ask = Ask {
        target: place.centre,
        county: Some(&place.county),
        severity: Severity::IV,
        lane: Lane::Ordinary,
        drill: false,
        may_preempt: false,
        echelon_max: 1,
        needs: vec![Wanted { need: 0, spec: &spec, count: 1 }],
        excluded,
        now,
        local,
    };
    let mut search = Search::begin(playbook, fleet, &ask).for_cover_of(area);
    search.take_best(&ask.needs[0]).ok()
}
