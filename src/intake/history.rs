//! Records to history: incidents with their reports, orders and acts, in the order in which they happened.
//!
//! A table is written by incident or newest first; an engine is fed by time. Rows of one incident are put together (the
//! earliest receipt counts, the first row that names a code, a place or an end), each assignment becomes an order and its
//! acts, and all of it is sorted by the instant, then by cause: what belongs to an earlier order first, so that a
//! unit is free before it is sent again in the same second, then reports, then orders and the acts of the same
//! second in the order of procedure. Nothing is ever dropped here. An act recorded before the one it follows is told at
//! the instant of that one, with its own time beside it, as a post does that was in a dead spot.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::book::{self, NAME_BYTES_MAX, short};
use super::mapping::Mapping;
use super::rows::{Assignment, Notes, Record, Table};
use crate::model::{Act, EventId, Kind, Position, PostId, ReportSeverity, Timestamp};

/// What a table says happened.
#[derive(Debug, Default)]
pub struct History {
    /// By receipt, then by id.
    pub incidents: Vec<Recorded>,
    /// Every unit that was ever sent.
    pub units: BTreeMap<PostId, UnitSeen>,
    /// In the order in which they are fed.
    pub happenings: Vec<Happening>,
    /// What was decided by a rule while putting rows together.
    pub notes: Notes,
}

/// An incident as the city recorded it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its number in the record.
    pub id: EventId,
    /// The first row that names it.
    pub line: u64,
    /// When the report was received.
    pub received: Timestamp,
    /// What kind, in the city's words.
    pub code: Option<SmolStr>,
    /// How bad, where the record says.
    pub severity: Option<ReportSeverity>,
    /// Where.
    pub place: Option<Position>,
    /// How it ended.
    pub disposition: SmolStr,
    /// Whom it was sent, by the instant, then by the record's own sequence, then by line.
    pub sent: Vec<Sent>,
}

/// One unit sent to one incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// The row that says so.
    pub row: SmolStr,
    /// Where it stands.
    pub line: u64,
    /// Which unit.
    pub unit: PostId,
    /// When; never before receipt.
    pub at: Timestamp,
    sequence: u32,
    /// Whether the unit can be sent nowhere else meanwhile.
    pub binds: bool,
    /// When each act was told, and when it was done if the record has it earlier.
    pub acts: Vec<(Act, Timestamp, Option<Timestamp>)>,
}

/// What is known of a unit.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitSeen {
    /// Its name in the record; its post's id is made of it.
    pub name: SmolStr,
    /// Its kind of post.
    pub kind: Kind,
    /// Its base where the file names it, else the middle of the places it was sent to.
    pub base: Option<Position>,
    /// Assignments.
    pub sent: u32,
    /// The first line that names it.
    pub line: u64,
}

/// Something that is fed to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happening {
    /// When.
    pub at: Timestamp,
    /// Of which incident: an index into [`History::incidents`].
    pub incident: usize,
    /// What.
    pub deed: Deed,
}

/// What is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// The report.
    Received,
    /// The order to a unit: an index into [`Recorded::sent`].
    Ordered(usize),
    /// An act on that order: an index into [`Sent::acts`].
    Acted(usize, usize),
    /// The incident is closed.
    Finished,
}

impl Recorded {
    /// The instant of the last thing recorded of it.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        let told = self.sent.iter().flat_map(|s| s.acts.iter().map(|a| a.1).chain([s.at]));
        told.fold(self.received, Timestamp::max)
    }

    /// The unit that was sent first.
    #[must_use]
    pub fn first(&self) -> Option<&Sent> {
        self.sent.first()
    }
}

impl History {
    /// Puts the records of a table in the order of time.
    #[must_use]
    pub fn of(mapping: &Mapping, table: &Table) -> Self {
        let mut history = Self::default();
        let signs = call_signs(table);
        let mut by_id: BTreeMap<&SmolStr, Vec<&Record>> = BTreeMap::new();
        for record in &table.records {
            by_id.entry(&record.incident).or_default().push(record);
        }
        for (id, records) in by_id {
            let incident = history.incident(id, &records, &signs);
            history.incidents.push(incident);
        }
        history.incidents.sort_by(|a, b| (a.received, &a.id).cmp(&(b.received, &b.id)));
        history.units = units(&history.incidents, table, &signs);
        history.keep_within_reach(mapping);
        history.happenings = happenings(&history.incidents, mapping);
        history
    }

    fn incident(&mut self, id: &SmolStr, records: &[&Record], signs: &CallSigns<'_>) -> Recorded {
        let received = records.iter().map(|r| r.received).min().expect("an incident has a row");
        let agree = |same: fn(&Record, &Record) -> bool| records.iter().all(|r| same(r, records[0]));
        for (what, same) in [
            ("rows-of-one-incident-that-disagree-about-receipt", agree(|a, b| a.received == b.received)),
            ("rows-of-one-incident-that-disagree-about-its-code", agree(|a, b| a.code == b.code)),
            ("rows-of-one-incident-that-disagree-about-its-place", agree(|a, b| a.place == b.place)),
        ] {
            if !same {
                self.notes.add(what, records[0].line);
            }
        }
        let mut sent: Vec<Sent> = Vec::new();
        for record in records {
            sent.extend(record.assignments.iter().map(|a| self.sent(record, a, received, signs)));
        }
        sent.sort_by_key(|s| (s.at, s.sequence, s.line));
        Recorded {
            id: id.as_str().into(),
            line: records[0].line,
            received,
            code: records.iter().find_map(|r| r.code.clone()),
            severity: records.iter().filter_map(|r| r.severity).min(),
            place: records.iter().find_map(|r| r.place),
            disposition: records[0].disposition.clone(),
            sent,
        }
    }

    /// A unit whose base lies outside its area stands at the area's centre: a post belongs to where its area is.
    fn keep_within_reach(&mut self, mapping: &Mapping) {
        let Some((centre, reach_m)) = book::reach(mapping) else { return };
        for unit in self.units.values_mut() {
            if unit.base.is_some_and(|base| base.distance_m(centre) > reach_m) {
                unit.base = None;
                self.notes.add("unit-whose-base-lies-outside-the-area-and-is-taken-as-its-centre", unit.line);
            }
        }
    }

    fn sent(&mut self, record: &Record, assignment: &Assignment, received: Timestamp, signs: &CallSigns<'_>) -> Sent {
        if assignment.dispatched < received {
            self.notes.add("unit-sent-before-receipt", record.line);
        }
        let at = assignment.dispatched.max(received);
        let mut told = at;
        let acts = assignment.acts.iter().map(|&(act, done)| {
            told = told.max(done);
            (act, told, (done < told).then_some(done))
        });
        let acts = acts.collect();
        let (unit, sequence) = (signs[&assignment.unit].clone(), assignment.sequence);
        Sent { row: record.row.clone(), line: record.line, unit, at, sequence, binds: assignment.binds, acts }
    }
}

type CallSigns<'t> = BTreeMap<&'t SmolStr, PostId>;

/// A call sign for each unit: its name without spaces. Two names that come out alike stay two.
fn call_signs(table: &Table) -> CallSigns<'_> {
    let names: BTreeSet<&SmolStr> = table.records.iter().flat_map(|r| &r.assignments).map(|a| &a.unit).collect();
    let mut taken: BTreeSet<PostId> = BTreeSet::new();
    let sign = |name: &SmolStr, taken: &BTreeSet<PostId>| {
        let joined: String = name.split(|c: char| c.is_whitespace() || c.is_control()).collect::<Vec<_>>().join("-");
        let joined = short(&joined, NAME_BYTES_MAX - 8);
        let signs = std::iter::once(joined.to_owned()).chain((2_u32..).map(|n| format!("{joined}-{n}")));
        signs.map(PostId::from).find(|sign| !taken.contains(sign)).unwrap_or_default()
    };
    let mut signs = BTreeMap::new();
    // A name that is a call sign already keeps it, whatever another one becomes.
    let (whole, other): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| !name.contains(char::is_whitespace));
    for name in whole.into_iter().chain(other) {
        let sign = sign(name, &taken);
        taken.insert(sign.clone());
        signs.insert(name, sign);
    }
    signs
}

/// Every unit, with its kind as first said and its base as said, else the middle of the places it went to.
fn units(incidents: &[Recorded], table: &Table, signs: &CallSigns<'_>) -> BTreeMap<PostId, UnitSeen> {
    let mut units: BTreeMap<PostId, UnitSeen> = BTreeMap::new();
    let all = table.records.iter().flat_map(|r| r.assignments.iter().map(|a| (r.line, a)));
    for (line, assignment) in all {
        let Assignment { kind, base, unit: name, .. } = assignment;
        let unit = units.entry(signs[name].clone());
        let unit = unit.or_insert(UnitSeen { name: name.clone(), kind: *kind, base: *base, sent: 0, line });
        unit.base = unit.base.or(assignment.base);
        unit.sent += 1;
    }
    let mut middles: BTreeMap<&PostId, (f64, f64, f64)> = BTreeMap::new();
    for (incident, sent) in incidents.iter().flat_map(|i| i.sent.iter().map(move |s| (i, s))) {
        if let Some(place) = incident.place {
            let (lon, lat, n) = middles.entry(&sent.unit).or_default();
            (*lon, *lat, *n) = (*lon + place.lon, *lat + place.lat, *n + 1.0);
        }
    }
    for (unit, (lon, lat, n)) in middles {
        if let Some(unit) = units.get_mut(unit) {
            unit.base = unit.base.or(Some(Position { lon: lon / n, lat: lat / n }));
        }
    }
    units
}

/// Everything in the order in which it is fed.
fn happenings(incidents: &[Recorded], mapping: &Mapping) -> Vec<Happening> {
    let mut keyed = Vec::new();
    for (index, incident) in incidents.iter().enumerate() {
        let mut put = |at, phase: u8, deed| keyed.push((at, phase, index, Happening { at, incident: index, deed }));
        put(incident.received, 1, Deed::Received);
        for (s, sent) in incident.sent.iter().enumerate() {
            put(sent.at, 2, Deed::Ordered(s));
            for (a, (_, told, _)) in sent.acts.iter().enumerate() {
                put(*told, if *told > sent.at { 0 } else { 2 }, Deed::Acted(s, a));
            }
        }
        put(incident.last() + mapping.history.close_after, 3, Deed::Finished);
    }
    // Stable, so that within an incident and a phase the order is that of procedure.
    keyed.sort_by_key(|k| (k.0, k.1, k.2));
    keyed.into_iter().map(|(.., happening)| happening).collect()
}
