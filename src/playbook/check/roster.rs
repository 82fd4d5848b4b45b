//! The roster: posts that stand in their areas, blocks that fit theirs, names that are not given twice.

use std::collections::BTreeMap;

use super::Known;
use super::places::stands_in;
use crate::model::{AreaId, Kind};
use crate::playbook::problem::Problems;
use crate::playbook::text::{Entry, Text};

/// The most posts of a command area.
const POSTS_MAX: usize = 10_000;
/// The most teams of a command area.
const TEAMS_MAX: usize = 50_000;

/// Notes what is wrong with posts, teams and their blocks.
pub(super) fn check(text: &Text, known: &Known<'_>, problems: &mut Problems) {
    let posts = text.posts.len() + text.post_blocks.iter().map(|b| usize::from(b.count)).sum::<usize>();
    let teams = text.teams.iter().map(|b| usize::from(b.count)).sum::<usize>();
    for (what, count, most) in [("posts", posts, POSTS_MAX), ("teams", teams, TEAMS_MAX)] {
        if count > most {
            problems.missing(format!("the roster has {count} {what}; at most {most}"));
        }
    }
    for post in &text.posts {
        let who = format!("post `{}`", post.id);
        stands_in(post, "base", &who, post.base, (&post.area, "area"), text, known, problems);
        let spec = Spec { who, kind: post.kind, strength: post.strength, holds_m: post.radius_m, holds: "radius_m" };
        spec.check(post, post.hours.is_always(), problems);
    }
    for block in &text.post_blocks {
        let who = format!("post block `{}`", block.prefix);
        check_block(block, &who, &block.area, block.count, block.radius_m, (text, known), problems);
        let spec = Spec { who, kind: block.kind, strength: block.strength, holds_m: block.holds_m, holds: "holds_m" };
        spec.check(block, block.hours.is_always(), problems);
    }
    for block in &text.teams {
        let who = format!("team block `{}`", block.prefix);
        check_block(block, &who, &block.area, block.count, block.radius_m, (text, known), problems);
        if block.strength == 0 {
            problems.at(block, &["strength".into()], format!("{who} has teams of nobody"));
        }
    }
    check_call_signs(text, problems);
}

/// What posts and blocks of posts have in common.
struct Spec {
    who: String,
    kind: Kind,
    strength: u16,
    holds_m: Option<f64>,
    holds: &'static str,
}

impl Spec {
    fn check<T>(&self, entry: &Entry<T>, always: bool, problems: &mut Problems) {
        let Self { who, kind, strength, holds_m, holds } = self;
        if *kind == Kind::Peak && always {
            problems.at(entry, &["hours".into()], format!("{who} is a peak post without hours"));
        }
        if *strength == 0 {
            problems.at(entry, &["strength".into()], format!("{who} has nobody in it"));
        }
        if holds_m.is_some() && *kind != Kind::Standing {
            let what = format!("{who} has `{holds}`, but only a standing post holds a scene");
            problems.at(entry, &[(*holds).into()], what);
        }
        if holds_m.is_some_and(|m| !(m > 0.0 && m <= 10_000.0)) {
            problems.at(entry, &[(*holds).into()], format!("{who} holds scenes within no distance a person can walk"));
        }
    }
}

fn check_block<T>(
    block: &Entry<T>,
    who: &str,
    area: &AreaId,
    count: u16,
    radius_m: f64,
    (text, known): (&Text, &Known<'_>),
    problems: &mut Problems,
) {
    known.refer(problems, (block, &["area".into()]), who, ("area", area.as_str()));
    if count == 0 {
        problems.at(block, &["count".into()], format!("{who} holds nobody"));
    }
    let reach = text.areas.iter().find(|a| a.id == *area).map_or(f64::INFINITY, |a| a.reach_m);
    if !(radius_m > 0.0 && radius_m <= reach) {
        let what = format!("{who} spreads over {radius_m} m; more than 0, at most the {reach} m its area reaches");
        problems.at(block, &["radius_m".into()], what);
    }
}

/// A block's call signs are its prefix with a number; a post may not have one of them.
fn check_call_signs(text: &Text, problems: &mut Problems) {
    let blocks: BTreeMap<&str, u16> = text.post_blocks.iter().map(|b| (b.value.prefix.as_str(), b.count)).collect();
    for post in &text.posts {
        let Some((prefix, number)) = post.id.as_str().rsplit_once('-') else { continue };
        let taken = |count: &u16| number.len() >= 3 && number.parse::<u16>().is_ok_and(|n| (1..=*count).contains(&n));
        if blocks.get(prefix).is_some_and(taken) {
            problems.at(post, &["id".into()], format!("post `{}` has a call sign of the block `{prefix}`", post.id));
        }
    }
}
