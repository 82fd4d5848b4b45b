//! The search for the cheapest post: outward, until nothing unseen can be the runner-up; and the account of it.

use smol_str::{SmolStr, format_smolstr};

use super::offer::{Offer, Reason, Terms, Trip};
use super::{Ask, Pick, Wanted};
use crate::engine::fleet::{Fleet, KnownBy, Task, Unit, Whereabouts};
use crate::engine::grid::Rings;
use crate::engine::timeline::Weighed;
use crate::model::{AreaCode, AreaId, IncidentId, Kind, Need, PostId, Role};
use crate::playbook::Playbook;

/// One question to the fleet: what was seen so far, and what was taken.
pub(super) struct Search<'a> {
    terms: Terms<'a>,
    fleet: &'a Fleet,
    rings: Rings<'a>,
    /// Every post nearer than this was seen.
    bound_m: f64,
    seen: Vec<Seen<'a>>,
    areas: Vec<AreaFacts<'a>>,
    /// Incidents that lost a post in this choice.
    robbed: Vec<&'a IncidentId>,
    /// For the need at hand: what each of `seen` would cost, in milliseconds, or why it does not serve.
    weighed: Vec<Result<u64, Reason<'a>>>,
}

/// A post as it was seen.
struct Seen<'a> {
    unit: &'a Unit,
    at: Whereabouts,
    distance_m: f64,
    offer: Result<Offer<'a>, Reason<'a>>,
    /// Indexes into `areas`: where it belongs, and which area's cover it counts for.
    home: usize,
    covers: usize,
    chosen: bool,
}

/// What a pick has to know of an area.
struct AreaFacts<'a> {
    id: &'a AreaId,
    county: Option<&'a AreaCode>,
    min: usize,
    /// Idle posts, without those chosen already.
    cover: usize,
}

/// How a post comes to serve.
#[derive(Clone, Copy)]
enum Deal<'s, 'a> {
    Comes,
    Taken(&'s Task, &'a IncidentId),
    Waits(&'s Task),
}

/// What one post costs for one need.
struct Quote<'s, 'a> {
    cost_ms: u64,
    trip: &'s Trip,
    deal: Deal<'s, 'a>,
    task_s: f64,
    leave_s: f64,
    aid_s: f64,
    cover_s: f64,
    uncovers: bool,
}

/// A cost and who has it.
type Found = (u64, usize);

/// Posts not taken, counted by reason.
type Counts<'a> = Vec<(Reason<'a>, u32)>;

impl<'a> Search<'a> {
    pub(super) fn begin(playbook: &'a Playbook, fleet: &'a Fleet, ask: &'a Ask<'a>) -> Self {
        Self {
            terms: Terms::of(playbook, ask),
            fleet,
            rings: fleet.around(ask.target),
            bound_m: 0.0,
            seen: Vec::new(),
            areas: Vec::new(),
            robbed: Vec::new(),
            weighed: Vec::new(),
        }
    }

    /// Asks only idle posts that their area can spare.
    pub(super) fn for_cover_of(mut self, area: &'a AreaId) -> Self {
        self.terms.cover_of = Some(area);
        self
    }

    /// Takes the cheapest post for one more place of this need.
    ///
    /// # Errors
    /// With all posts counted by reason, when nobody can serve it.
    pub(super) fn take_best(&mut self, wanted: &Wanted<'_>) -> Result<Pick, Vec<(SmolStr, u32)>> {
        let (best, radius_m) = self.find(wanted.spec);
        let Some((best, runner_up)) = best else {
            return Err(in_words(self.rejected(wanted.spec, None, radius_m).0));
        };
        let pick = self.account(wanted, best, runner_up, radius_m);
        self.mark(best, wanted.spec);
        Ok(pick)
    }

    // Seeing

    /// The cheapest and its runner-up, and the distance within which all posts were weighed to be sure of them.
    fn find(&mut self, need: &Need) -> (Option<(usize, Option<usize>)>, f64) {
        let paces = need.kinds.iter().filter_map(|&kind| self.terms.roads.pace(kind));
        let pace = paces.reduce(f64::min).filter(|pace| *pace > 0.0);
        let (mut first, mut second): (Option<Found>, Option<Found>) = (None, None);
        self.weighed.clear();
        loop {
            for i in self.weighed.len()..self.seen.len() {
                let cost_ms = self.quote(i, need).map(|quote| quote.cost_ms);
                self.weighed.push(cost_ms);
                let Ok(cost_ms) = cost_ms else { continue };
                let this = Some((cost_ms, i));
                if self.is_before(this, first) {
                    (first, second) = (this, first);
                } else if self.is_before(this, second) {
                    second = this;
                }
            }
            let radius_m = match (second, pace) {
                (Some((cost_ms, _)), Some(pace)) => self.radius_m(cost_ms, pace),
                _ => self.terms.playbook.cost.reach_m,
            };
            if self.bound_m > radius_m {
                return (first.map(|(_, best)| (best, second.map(|(_, i)| i))), radius_m);
            }
            self.see_farther();
        }
    }

    /// Least cost first, then the lower id.
    fn is_before(&self, this: Option<Found>, other: Option<Found>) -> bool {
        let key = |found: Found| (found.0, &self.seen[found.1].unit.spec.id);
        match (this, other) {
            (Some(this), Some(other)) => key(this) < key(other),
            (this, _) => this.is_some(),
        }
    }

    /// Beyond this a post costs more than `cost_ms`, even on an open road. A metre more outweighs any rounding.
    fn radius_m(&self, cost_ms: u64, pace: f64) -> f64 {
        let seconds = crate::model::Millis(cost_ms).as_secs_f64();
        (seconds / pace * 1.000_1 + 1.0).min(self.terms.playbook.cost.reach_m)
    }

    /// Looks at the next ring of the grid.
    fn see_farther(&mut self) {
        let Self { terms, fleet, rings, seen, areas, .. } = self;
        let (ask, stale) = (terms.ask, terms.playbook.limits.position_stale);
        self.bound_m = rings.next_ring(|listed| {
            let Some((unit, at)) = fleet.seen(listed, ask.now, stale) else { return };
            let distance_m = ask.target.distance_m(at.position);
            // What no need asks for is not weighed at all; `quote` gives the need's own reason before it looks here.
            let asked = ask.needs.iter().any(|wanted| fits(wanted.spec, unit).is_ok());
            let mut offer = if asked { terms.offer(unit, at, distance_m) } else { Err(Reason::OtherKind) };
            let (mut home, mut covers) = (0, 0);
            if offer.is_ok() {
                home = facts_of(areas, terms, fleet, &unit.spec.area);
                covers = facts_of(areas, terms, fleet, unit.covers());
                if terms.cover_of.is_some() && areas[covers].cover <= areas[covers].min {
                    offer = Err(Reason::NoneToSpare);
                }
            }
            seen.push(Seen { unit, at, distance_m, offer, home, covers, chosen: false });
        });
    }

    // Weighing

    /// What this post would cost for this need.
    fn quote<'s>(&'s self, i: usize, need: &Need) -> Result<Quote<'s, 'a>, Reason<'a>> {
        let seen = &self.seen[i];
        if seen.chosen {
            return Err(Reason::Chosen);
        }
        fits(need, seen.unit)?;
        let offer = seen.offer.as_ref().map_err(|reason| *reason)?;
        let cost = &self.terms.playbook.cost;
        let (deal, trip, task_s) = self.cheapest_deal(offer)?;
        let leave_s = if leaves_site(seen, need.role) { cost.leave_site_s } else { 0.0 };
        let abroad = self.terms.ask.county.is_some() && self.areas[seen.home].county != self.terms.ask.county;
        let aid_s = if abroad { cost.mutual_aid_s } else { 0.0 };
        let (mut cover_s, mut uncovers) = (0.0, false);
        if matches!(deal, Deal::Comes) && !self.terms.ask.drill {
            let area = &self.areas[seen.covers];
            let lacking = (area.min + 1).saturating_sub(area.cover);
            uncovers = area.min > 0 && lacking > 0;
            cover_s = if uncovers { cost.cover_s * f64::from(u32::try_from(lacking).unwrap_or(u32::MAX)) } else { 0.0 };
        }
        let cost_ms = millis(trip.seconds + task_s + leave_s + aid_s + cover_s);
        Ok(Quote { cost_ms, trip, deal, task_s, leave_s, aid_s, cover_s, uncovers })
    }

    /// Of taking it and waiting for it, the cheaper; waiting when they cost the same, since it robs nobody.
    fn cheapest_deal<'s>(&self, offer: &'s Offer<'a>) -> Result<(Deal<'s, 'a>, &'s Trip, f64), Reason<'a>> {
        if let Some(trip) = &offer.comes {
            return Ok((Deal::Comes, trip, 0.0));
        }
        let waits = offer.waits.as_ref().map(|(trip, behind)| (Deal::Waits(behind), trip, 0.0));
        let fresh = |(_, from): &&(Trip, &'a Task)| !self.robbed.contains(&&from.order.incident);
        let taken = offer.taken.as_ref().filter(fresh).map(|(trip, from)| {
            let task_s = self.terms.playbook.cost.task_s[from.severity as usize];
            (Deal::Taken(from, &from.order.incident), trip, task_s)
        });
        let cost = |(_, trip, task_s): &(Deal<'s, 'a>, &'s Trip, f64)| trip.seconds + task_s;
        match (waits, taken) {
            (Some(waits), Some(taken)) => Ok(if cost(&taken) < cost(&waits) { taken } else { waits }),
            (waits, taken) => waits.or(taken).ok_or(Reason::RobbedBefore),
        }
    }

    /// Makes a choice hold for the needs that follow.
    fn mark(&mut self, best: usize, need: &Need) {
        let (robbed, counted) = match self.quote(best, need).map(|quote| quote.deal) {
            Ok(Deal::Taken(_, incident)) => (Some(incident), false),
            Ok(Deal::Comes) => (None, !self.terms.ask.drill),
            _ => (None, false),
        };
        self.robbed.extend(robbed);
        let covers = self.seen[best].covers;
        self.seen[best].chosen = true;
        self.areas[covers].cover = self.areas[covers].cover.saturating_sub(usize::from(counted));
    }

    // Accounting

    fn account(&self, wanted: &Wanted<'_>, best: usize, runner_up: Option<usize>, radius_m: f64) -> Pick {
        let need = wanted.spec;
        let quote = self.quote(best, need).unwrap_or_else(|_| unreachable!("the best post has a quote"));
        let runner_up = runner_up.and_then(|i| Some((i, self.quote(i, need).ok()?)));
        let seen = &self.seen[best];
        let (counts, named) = self.rejected(need, Some((best, quote.cost_ms)), radius_m);
        let order = |task: &Task| Some(task.order.clone());
        let (preempts, queued_behind) = match quote.deal {
            Deal::Comes => (None, None),
            Deal::Taken(task, _) => (order(task), None),
            Deal::Waits(task) => (None, order(task)),
        };
        let gives_way = |task: &&Task| !self.terms.ask.drill && task.gives_way();
        let weighed = Weighed {
            travel_s: seconds(millis(quote.trip.seconds)),
            cost_s: seconds(quote.cost_ms),
            runner_up: runner_up
                .map(|(i, other)| (self.seen[i].unit.spec.id.clone(), seconds(other.cost_ms - quote.cost_ms))),
            reasons: self.reasons(seen, &quote),
            rejected: named,
            rejected_counts: in_words(counts),
        };
        Pick {
            need: wanted.need,
            post: seen.unit.spec.id.clone(),
            role: need.role,
            echelon: need.echelon,
            weighed,
            preempts,
            queued_behind,
            drops: seen.unit.tasks.iter().filter(gives_way).map(|task| task.order.clone()).collect(),
            uncovers: quote.uncovers.then(|| self.areas[seen.covers].id.clone()),
        }
    }

    /// Who was not taken and why: all by count, the nearest of the kinds asked for by name.
    fn rejected(&self, need: &Need, best: Option<(usize, u64)>, radius_m: f64) -> (Counts<'a>, Vec<(PostId, SmolStr)>) {
        let cost = &self.terms.playbook.cost;
        let mut counts: Counts<'a> = Vec::new();
        let mut near = Nearest { seen: &self.seen, at_most: cost.rejections_named, found: Vec::new() };
        let mut within = 0;
        for (i, weighed) in self.weighed.iter().enumerate().filter(|(i, _)| self.seen[*i].distance_m <= radius_m) {
            within += 1;
            if best.is_some_and(|(best, _)| best == i) {
                continue;
            }
            let reason = weighed.err().unwrap_or(Reason::Dearer);
            count(&mut counts, reason, 1);
            if reason != Reason::OtherKind {
                near.offer(i);
            }
        }
        let farther = if radius_m < cost.reach_m { Reason::Farther } else { Reason::BeyondReach };
        count(&mut counts, farther, u32::try_from(self.fleet.len() - within).unwrap_or(u32::MAX));
        let best_ms = best.map_or(0, |(_, cost_ms)| cost_ms);
        let named = near.found.iter().map(|&i| (self.seen[i].unit.spec.id.clone(), self.why_not(i, need, best_ms)));
        (counts, named.collect())
    }

    /// `+41s`, with what made it dearer; or what keeps it from serving at all.
    fn why_not(&self, i: usize, need: &Need, best_ms: u64) -> SmolStr {
        let quote = match self.quote(i, need) {
            Ok(quote) => quote,
            Err(reason) => return reason.words(),
        };
        let more_s = seconds(quote.cost_ms.saturating_sub(best_ms));
        let reasons = self.reasons(&self.seen[i], &quote);
        if reasons.is_empty() {
            format_smolstr!("+{more_s}s")
        } else {
            format_smolstr!("+{more_s}s: {}", reasons.join(", "))
        }
    }

    /// How its position is known, and everything that it costs beyond a straight road, in words.
    fn reasons(&self, seen: &Seen<'a>, quote: &Quote<'_, 'a>) -> Vec<SmolStr> {
        let mut words = Vec::new();
        if seen.at.known_by == KnownBy::StaleAtBase {
            words.push(SmolStr::new_static("position stale, counted at its base"));
        }
        if holds_scene(seen) {
            words.push(SmolStr::new_static("holds the scene"));
        }
        words.extend(self.terms.roads.crossings(&quote.trip.leg));
        match quote.deal {
            Deal::Comes => {}
            Deal::Taken(task, _) => {
                words.push(format_smolstr!(
                    "taken from {} severity {} +{:.0}s",
                    task.order,
                    task.severity,
                    quote.task_s
                ));
            }
            Deal::Waits(task) => words.push(format_smolstr!("queued behind {}", task.order)),
        }
        for task in seen.unit.tasks.iter().filter(|task| task.gives_way() && !self.terms.ask.drill) {
            let what = if task.drill { "drill" } else { "move-up" };
            words.push(format_smolstr!("leaves {what} {}", task.order));
        }
        if quote.leave_s > 0.0 {
            words.push(format_smolstr!("leaves its site +{:.0}s", quote.leave_s));
        }
        if quote.aid_s > 0.0 {
            let county = self.areas[seen.home].county.map_or("another county", AreaCode::as_str);
            words.push(format_smolstr!("mutual aid from {county} +{:.0}s", quote.aid_s));
        }
        if quote.uncovers {
            let area = &self.areas[seen.covers];
            let left = area.cover.saturating_sub(1);
            words.push(format_smolstr!("leaves {} with {left} of {} +{:.0}s", area.id, area.min, quote.cover_s));
        }
        words
    }
}

/// The nearest few of many, in order: distance, then id.
struct Nearest<'s, 'a> {
    seen: &'s [Seen<'a>],
    at_most: usize,
    found: Vec<usize>,
}

impl Nearest<'_, '_> {
    fn offer(&mut self, i: usize) {
        let key = |i: usize| (self.seen[i].distance_m, &self.seen[i].unit.spec.id);
        let before = |a: usize, b: usize| {
            let (a, b) = (key(a), key(b));
            a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)).is_lt()
        };
        let place = self.found.iter().rposition(|&held| before(held, i)).map_or(0, |held| held + 1);
        if place < self.at_most {
            self.found.truncate(self.at_most - 1);
            self.found.insert(place, i);
        }
    }
}

/// What is known of an area, looked up once per question.
fn facts_of<'a>(areas: &mut Vec<AreaFacts<'a>>, terms: &Terms<'a>, fleet: &Fleet, id: &'a AreaId) -> usize {
    if let Some(known) = areas.iter().position(|area| area.id == id) {
        return known;
    }
    let area = terms.playbook.areas.areas.get(id);
    let min = area.map_or(0, |area| usize::from(area.min_cover));
    // An area without a minimum loses nothing; a move-up asks which areas have one to spare.
    let counts = min > 0 || terms.cover_of.is_some();
    let cover = if counts { fleet.cover(id, terms.ask.local) } else { 0 };
    areas.push(AreaFacts { id, county: area.map(|area| &area.county), min, cover });
    areas.len() - 1
}

/// Whether a post is of a kind and has the capability that a need asks for.
pub(super) fn fits<'a>(need: &Need, unit: &Unit) -> Result<(), Reason<'a>> {
    if !need.kinds.contains(&unit.spec.kind) {
        return Err(Reason::OtherKind);
    }
    match &need.capability {
        Some(asked) if !unit.spec.capabilities.contains(asked) => Err(Reason::Lacks),
        _ => Ok(()),
    }
}

/// A standing post within its radius of the incident.
fn holds_scene(seen: &Seen<'_>) -> bool {
    seen.unit.spec.kind == Kind::Standing && seen.unit.spec.radius_m.is_some_and(|radius| seen.distance_m <= radius)
}

fn leaves_site(seen: &Seen<'_>, role: Role) -> bool {
    seen.unit.spec.kind == Kind::Standing && role != Role::Cover && !holds_scene(seen)
}

fn count<'a>(counts: &mut Counts<'a>, reason: Reason<'a>, n: u32) {
    match counts.iter_mut().find(|(known, _)| *known == reason) {
        Some((_, total)) => *total += n,
        None if n > 0 => counts.push((reason, n)),
        None => {}
    }
}

/// The most frequent reason first.
fn in_words(counts: Counts<'_>) -> Vec<(SmolStr, u32)> {
    let mut words: Vec<_> = counts.into_iter().map(|(reason, n)| (reason.words(), n)).collect();
    words.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    words
}

/// A cost in whole milliseconds, so that ties are ties on every machine.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to some thirty years")]
fn millis(seconds: f64) -> u64 {
    (seconds * 1000.0).round().clamp(0.0, 1e12) as u64
}

/// Whole seconds for people, rounded.
fn seconds(ms: u64) -> u32 {
    u32::try_from((ms + 500) / 1000).unwrap_or(u32::MAX)
}
