//! Search in what the board holds: open incidents, and closed ones until `[limits] closed_kept` lets them go.
//!
//! The words are looked for as they stand, each anywhere in the text of a report, in the names the asker adds, in ids and
//! call signs: so two Chinese characters are found as well as a whole sentence, which an index of words or of groups of
//! three characters would miss. It is a walk, newest first, that ends with the page; the lock is held for a stretch at
//! a time, and nothing is compared under it.

use std::ops::Bound;
use std::sync::Arc;

use smol_str::SmolStr;

use super::{Board, Page, Sight};
use crate::engine::state::{Incident, Order, ReportRecord};
use crate::model::{IncidentId, PostId, Timestamp};

/// What is looked for. All that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct SearchQuery {
    /// Only what the asker may see.
    pub sight: Sight,
    /// Each of these words, in small letters.
    pub words: Vec<String>,
    /// In this assessed area or county.
    pub area: Option<SmolStr>,
    /// Of this category, or of one below it.
    pub category: Option<SmolStr>,
    /// With an order to this post.
    pub post: Option<PostId>,
    /// Open or not.
    pub open: Option<bool>,
    /// Received at or after.
    pub since: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
    /// Only drills, or only real ones.
    pub drill: Option<bool>,
    /// Go on after this one.
    pub cursor: Option<IncidentId>,
    /// At most so many.
    pub limit: usize,
}

/// An incident that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Itself.
    pub incident: Arc<Incident>,
    /// Its reports, oldest first.
    pub reports: Vec<Arc<ReportRecord>>,
    /// Its orders, oldest first.
    pub orders: Vec<Arc<Order>>,
}

/// So many incidents are taken out under one lock.
const STRETCH: usize = 256;

impl Board {
    /// What was found, newest first. `names`: the names by which a person may look for an incident, such as its area's.
    #[must_use]
    pub fn search(&self, q: &SearchQuery, names: impl Fn(&Incident) -> String) -> Page<Found, IncidentId> {
        let mut found = Vec::new();
        let mut from = q.cursor.clone();
        while found.len() <= q.limit {
            let stretch = self.stretch(from.as_ref());
            let Some(last) = stretch.last() else { break };
            from = Some(last.incident.id.clone());
            found.extend(stretch.into_iter().filter(|f| q.wants(f, &names)));
        }
        let more = found.len() > q.limit;
        found.truncate(q.limit);
        let next = found.last().filter(|_| more).map(|f| f.incident.id.clone());
        Page { items: found, next }
    }

    fn stretch(&self, from: Option<&IncidentId>) -> Vec<Found> {
        let state = self.read();
        let end = from.and_then(|id| state.ages.place(id)).map_or(Bound::Unbounded, Bound::Excluded);
        let found = |id: &IncidentId| {
            Some(Found {
                incident: state.incidents.get(id)?.clone(),
                reports: state.reports_of(id).map(|(_, r)| r.clone()).collect(),
                orders: state.orders_of(id).cloned().collect(),
            })
        };
        state.ages.below(end).take(STRETCH).filter_map(found).collect()
    }
}

impl SearchQuery {
    fn wants(&self, f: &Found, names: &impl Fn(&Incident) -> String) -> bool {
        let i = &*f.incident;
        let here = |a: &SmolStr| {
            let (area, county) = (i.place.area.as_ref(), i.place.county.as_ref());
            area.is_some_and(|x| x.as_str() == a) || county.is_some_and(|x| x.as_str() == a)
        };
        let below = |c: &SmolStr| {
            let rest = i.category().as_str().strip_prefix(c.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.sight.incident(i)
            && self.open.is_none_or(|open| i.state.is_open() == open)
            && self.since.is_none_or(|since| i.received >= since)
            && self.until.is_none_or(|until| i.received < until)
            && self.drill.is_none_or(|drill| i.drill() == drill)
            && self.area.as_ref().is_none_or(here)
            && self.category.as_ref().is_none_or(below)
            && self.post.as_ref().is_none_or(|post| f.orders.iter().any(|o| o.post == *post))
            && (self.words.is_empty() || self.reads(f, &names(i)))
    }

    fn reads(&self, f: &Found, names: &str) -> bool {
        let mut text = names.to_lowercase();
        let mut add = |more: &str| {
            text.push('\n');
            text.push_str(&more.to_lowercase());
        };
        add(&f.incident.id.to_string());
        f.reports.iter().for_each(|r| add(r.report.text.reveal()));
        f.orders.iter().for_each(|o| add(o.post.as_str()));
        self.words.iter().all(|word| text.contains(word))
    }
}
