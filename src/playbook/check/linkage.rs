//! Linkage tables: rows that can fit, needs that somebody can serve.

use crate::model::{Kind, Need, Ring, Role, Severity};
use crate::playbook::problem::{Part, Problems};
use crate::playbook::text::{Entry, Text};
use crate::playbook::{Linkage, NeedRow};

/// The most posts of one need.
const COUNT_MAX: u16 = 64;
/// Station and patrol, district, city.
const ECHELONS: std::ops::RangeInclusive<u8> = 1..=3;

/// Notes what is wrong with the linkage tables.
pub(super) fn check(text: &Text, problems: &mut Problems) {
    let roster = Roster::of(text);
    text.linkages.iter().for_each(|linkage| check_linkage(linkage, &roster, problems));
}

/// Whether the row speaks of this ring and severity.
pub(super) fn fits(row: &NeedRow, ring: Ring, severity: Severity) -> bool {
    (row.ring.is_empty() || row.ring.contains(&ring)) && (row.severity.is_empty() || row.severity.contains(&severity))
}

fn check_linkage(linkage: &Entry<Linkage>, roster: &Roster<'_>, problems: &mut Problems) {
    let who = format!("linkage `{}`", linkage.id);
    let open = |row: &NeedRow| row.ring.is_empty() && row.severity.is_empty();
    match linkage.rows.last() {
        None => _ = problems.at(linkage, &["row".into()], format!("{who} has no rows")),
        Some(last) if !open(last) => {
            let path = &["row".into(), (linkage.rows.len() - 1).into()];
            problems.at(linkage, path, format!("the last row of {who} must fit every ring and severity"));
        }
        Some(_) => {}
    }
    for (i, row) in linkage.rows.iter().enumerate() {
        let path: &[Part<'_>] = &["row".into(), i.into()];
        let hidden = cases().all(|(r, s)| !fits(row, r, s) || linkage.rows[..i].iter().any(|above| fits(above, r, s)));
        if hidden {
            problems.at(linkage, path, format!("row {} of {who} can never fit: rows above it fit all it does", i + 1));
        }
        if !row.needs.iter().any(|need| need.role == Role::First) {
            let what = format!(
                "row {} of {who} asks for nobody in the role `first`, so nobody would be first on scene",
                i + 1
            );
            problems.at(linkage, path, what);
        }
        for (n, need) in row.needs.iter().enumerate() {
            let path = &["row".into(), i.into(), "needs".into(), n.into()];
            check_need(linkage, path, &format!("row {} of {who}", i + 1), need, roster, problems);
        }
    }
}

fn cases() -> impl Iterator<Item = (Ring, Severity)> {
    let rings = [Ring::One, Ring::Three, Ring::Five, Ring::Rural];
    rings.into_iter().flat_map(|ring| Severity::ALL.map(|severity| (ring, severity)))
}

fn check_need(
    linkage: &Entry<Linkage>,
    path: &[Part<'_>],
    who: &str,
    need: &Need,
    roster: &Roster<'_>,
    problems: &mut Problems,
) {
    if need.kinds.is_empty() {
        problems.at(linkage, path, format!("{who} asks for a post of no kind"));
        return;
    }
    if !(1..=COUNT_MAX).contains(&need.count) {
        problems.at(linkage, path, format!("{who} asks for {} posts; a need asks for 1 to {COUNT_MAX}", need.count));
        return;
    }
    if !ECHELONS.contains(&need.echelon) {
        problems.at(linkage, path, format!("{who} asks for echelon {}; there are 1, 2 and 3", need.echelon));
    }
    if need.role == Role::AllCall {
        let what = format!("{who} asks for the role `all-call`, which only an all-call gives");
        problems.at(linkage, path, what);
    }
    let able = roster.able(need);
    if !roster.is_empty() && able < usize::from(need.count) {
        let kinds: Vec<String> = need.kinds.iter().map(ToString::to_string).collect();
        let with = need.capability.as_ref().map_or(String::new(), |c| format!(" with `{c}`"));
        let what = format!("{who} asks for {} of {}{with}, but the roster has {able}", need.count, kinds.join(" or "));
        problems.at(linkage, path, what);
        if let Some(capability) = need.capability.as_deref().filter(|c| !roster.capabilities().any(|known| known == *c))
        {
            problems.suggest(capability, roster.capabilities());
        }
    }
}

/// Kind, capabilities and number of every entry of the roster.
struct Roster<'t>(Vec<(Kind, &'t [smol_str::SmolStr], usize)>);

impl<'t> Roster<'t> {
    fn of(text: &'t Text) -> Self {
        let posts = text.posts.iter().map(|p| (p.kind, p.value.capabilities.as_slice(), 1));
        let blocks = text.post_blocks.iter().map(|b| (b.kind, b.value.capabilities.as_slice(), usize::from(b.count)));
        // A roster of which a part cannot be read is no ground to say what it lacks.
        let unread = text.broken.iter().any(|(table, _)| ["post", "post_block"].contains(table));
        Self(if unread { Vec::new() } else { posts.chain(blocks).collect() })
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn able(&self, need: &Need) -> usize {
        let can =
            |capabilities: &[smol_str::SmolStr]| need.capability.as_ref().is_none_or(|c| capabilities.contains(c));
        self.0.iter().filter(|(kind, caps, _)| need.kinds.contains(kind) && can(caps)).map(|(_, _, n)| n).sum()
    }

    fn capabilities(&self) -> impl Iterator<Item = &'t str> {
        self.0.iter().flat_map(|(_, capabilities, _)| capabilities.iter().map(smol_str::SmolStr::as_str))
    }
}
