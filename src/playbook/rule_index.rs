//! Which rules can match at all: so that twenty thousand rules cost little more than two hundred.
//!
//! First match wins, so the answer is the least number of a rule whose condition holds. Nearly every condition demands
//! something that few reports have: a word of some group, a type code, a source, an area. Each rule is listed under one
//! such demand, the one that the fewest rules share; a rule that demands none of them (the default rule, one that asks
//! for the hour alone) is listed apart. A report looks only into the lists of what it has, each from its beginning and no
//! farther than the best match so far.
//!
//! Invariant: the answer is that of trying every rule in order. The index leaves out only rules of which one necessary
//! part fails; whether a listed rule holds is asked in full.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::{Condition, GROUPS_MAX, Hits};
use crate::model::AreaId;

/// The numbers of rules by what they demand, each list ascending.
#[derive(Clone, Debug, Default)]
pub struct RuleIndex {
    by_group: Vec<Vec<u32>>,
    /// The groups under which anything is listed.
    groups: Hits,
    by_code: Prefixes,
    by_source: Prefixes,
    by_area: BTreeMap<AreaId, Vec<u32>>,
    others: Vec<u32>,
}

/// What a report has to offer, as far as the index asks.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'a> {
    /// The keyword groups it speaks of.
    pub hits: &'a Hits,
    /// Its type code.
    pub code: Option<&'a str>,
    /// Its source.
    pub source: &'a str,
    /// The area it lies in.
    pub area: Option<&'a AreaId>,
}

/// A demand under which a rule may be listed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Group(usize),
    Code(SmolStr),
    Source(SmolStr),
    Area(AreaId),
}

impl RuleIndex {
    /// The index over conditions, by their numbers.
    #[must_use]
    pub fn of(conditions: &[Condition]) -> Self {
        let mut shared: BTreeMap<Key, usize> = BTreeMap::new();
        for key in conditions.iter().flat_map(demands).flatten() {
            *shared.entry(key).or_default() += 1;
        }
        let mut index = Self { by_group: vec![Vec::new(); GROUPS_MAX], ..Self::default() };
        for (number, condition) in (0..).zip(conditions) {
            // The fewest rules share the demand: the smallest sum of the lists it stands in.
            let rivals = |keys: &Vec<Key>| keys.iter().map(|k| shared[k]).sum::<usize>();
            match demands(condition).into_iter().min_by_key(rivals) {
                Some(keys) => keys.into_iter().collect::<BTreeSet<_>>().into_iter().for_each(|k| index.list(k, number)),
                None => index.others.push(number),
            }
        }
        index
    }

    fn list(&mut self, key: Key, number: u32) {
        match key {
            Key::Group(group) => {
                self.groups.insert(group);
                self.by_group[group].push(number);
            }
            Key::Code(prefix) => self.by_code.list(prefix, number),
            Key::Source(prefix) => self.by_source.list(prefix, number),
            Key::Area(area) => self.by_area.entry(area).or_default().push(number),
        }
    }

    /// The least number for which `holds` is true, asking only where it can be.
    pub fn first(&self, offered: Offered, mut holds: impl FnMut(usize) -> bool) -> Option<usize> {
        let mut best = u32::MAX;
        let mut look = |list: &[u32]| {
            for &number in list {
                if number >= best {
                    break;
                }
                if holds(number as usize) {
                    best = number;
                    break;
                }
            }
        };
        for group in offered.hits.iter_with(&self.groups) {
            look(&self.by_group[group]);
        }
        if let Some(code) = offered.code {
            self.by_code.each(code, &mut look);
        }
        if let Some(list) = offered.area.and_then(|area| self.by_area.get(area)) {
            look(list);
        }
        self.by_source.each(offered.source, &mut look);
        look(&self.others);
        (best < u32::MAX).then_some(best as usize)
    }
}

/// The demands of a condition of which each is necessary; within one, any of its keys will do.
fn demands(condition: &Condition) -> Vec<Vec<Key>> {
    let mut demands: Vec<Vec<Key>> = condition.all.iter().map(|g| vec![Key::Group(g)]).collect();
    demands.push(condition.any.iter().map(Key::Group).collect());
    demands.push(condition.code.iter().cloned().map(Key::Code).collect());
    demands.push(condition.area.iter().cloned().map(Key::Area).collect());
    demands.push(condition.source.iter().cloned().map(Key::Source).collect());
    demands.retain(|keys| !keys.is_empty());
    demands
}

/// Lists by prefix of a text.
#[derive(Clone, Debug, Default)]
struct Prefixes {
    lists: BTreeMap<SmolStr, Vec<u32>>,
    /// The lengths that occur, so that a long text costs no more look-ups than there are lengths.
    lengths: BTreeSet<usize>,
}

impl Prefixes {
    fn list(&mut self, prefix: SmolStr, number: u32) {
        self.lengths.insert(prefix.len());
        self.lists.entry(prefix).or_default().push(number);
    }

    fn each(&self, text: &str, look: &mut impl FnMut(&[u32])) {
        for prefix in self.lengths.iter().map_while(|length| text.as_bytes().get(..*length)) {
            let prefix = std::str::from_utf8(prefix).unwrap_or_default();
            if let Some(list) = self.lists.get(prefix) {
                look(list);
            }
        }
    }
}
