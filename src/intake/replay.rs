//! A history through the engine.
//!
//! *As recorded*: every report is received at its instant, every row is an operator's order to a named post and that post's
//! acts, and the incident is closed when the record ends. Its plan is by hand, so no choice is ours;
//! marks, matching, queues and states are the engine's own work, and every figure is read from its timeline, never from
//! the file.
//!
//! *Deciding* ([`decide`]): at the instant of the first recorded order the engine picks among the posts that the record says
//! are free; what it picks is written down beside what was really sent, and taken back, so that the next choice starts
//! from the recorded state again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use smol_str::{SmolStr, format_smolstr};

use super::book::Codes;
use super::choice::{Choices, Free};
use super::history::{Deed, History, Recorded};
use super::mapping::Mapping;
use super::tally::{Legs, Stopwatch, Tally};
use crate::engine::{Answer, Effect, Engine, Entry, Input, What};
use crate::model::{
    Act, Body, Command, CommandKind, Digest, Event, EventId, FieldAct, FreeText, IncidentId, Meta, Millis, OrderId,
    PlaceRef, PostId, Report, SourceId, Timestamp,
};
use crate::playbook::Playbook;

/// What takes every entry of the timeline, such as a file.
pub type Sink<'s> = dyn FnMut(&Entry) -> std::io::Result<()> + 's;

/// What a replay came to, beside the counts that every run tells.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// Legs of the way, as recorded.
    pub legs: Legs,
    /// Orders that never arrived.
    pub missing_on_scene: usize,
    /// Most distinct posts bound at once.
    pub busy_max: usize,
    /// Incidents whose place the record names, but that lies in no area of the playbook.
    pub outside: u64,
    /// Incidents without any place in the record.
    pub placeless: u64,
    /// Inputs of any kind fed to the engine.
    pub inputs: u64,
    /// Entries of the timeline.
    pub entries: u64,
    /// What the engine refused, by its reason's word.
    pub refused: BTreeMap<SmolStr, u64>,
    /// Ids that neither a timeline nor a rejection names, the first few.
    pub unaccounted_ids: Vec<SmolStr>,
    /// What was chosen, with `--decide`.
    pub decide: Option<Choices>,
}

/// Ids of what is not accounted for that are named.
const NAMED_MAX: usize = 100;

/// Replays a history as it was recorded. `progress` is told the happenings done.
///
/// # Errors
/// When the sink cannot write.
pub fn recorded(
    sheet: &Sheet<'_>,
    playbook: Arc<Playbook>,
    sink: &mut Sink<'_>,
    progress: &mut dyn FnMut(u64),
) -> std::io::Result<(Tally, Outcome)> {
    let mut run = Run::new(sheet, playbook);
    for (done, happening) in sheet.history.happenings.iter().enumerate() {
        let incident = &sheet.history.incidents[happening.incident];
        match happening.deed {
            Deed::Received => run.receive(happening.incident, happening.at, sink)?,
            Deed::Ordered(s) => run.order((happening.incident, s), happening.at, sink)?,
            Deed::Acted(s, a) => run.act((happening.incident, s), incident.sent[s].acts[a], happening.at, sink)?,
            Deed::Finished => run.close(happening.incident, happening.at, sink)?,
        }
        if done % 256 == 0 {
            progress(done as u64);
        }
    }
    Ok(run.end())
}

/// Lets the engine choose the first unit of every recorded incident.
///
/// # Errors
/// When the sink cannot write.
pub fn decide(
    sheet: &Sheet<'_>,
    playbook: Arc<Playbook>,
    sink: &mut Sink<'_>,
    progress: &mut dyn FnMut(u64),
) -> std::io::Result<(Tally, Outcome)> {
    let mut free = Free::new(&playbook);
    let mut choices = Choices::default();
    let mut run = Run::new(sheet, playbook);
    for (done, happening) in sheet.history.happenings.iter().enumerate() {
        let (at, index) = (happening.at, happening.incident);
        let incident = &sheet.history.incidents[index];
        match happening.deed {
            Deed::Received if incident.sent.is_empty() => run.receive(index, at, sink)?,
            Deed::Ordered(s) => {
                if s == 0 {
                    run.receive(index, at, sink)?;
                    choices.compare(incident, run.picked.take(), &free);
                    run.close(index, at, sink)?;
                }
                if free.bind(&incident.sent[s]) {
                    run.duty((index, s), Act::OutOfService, at, sink)?;
                }
            }
            Deed::Acted(s, a) if incident.sent[s].acts[a].0 == Act::Cleared => {
                if free.release(&incident.sent[s]) {
                    run.duty((index, s), Act::OnDuty, at, sink)?;
                }
            }
            // The report is fed with its first order; of the acts only clearing matters to who is free.
            Deed::Received | Deed::Acted(..) => {}
            Deed::Finished => {
                // A unit whose row never says that it was free again is free when its incident is over.
                for (s, sent) in incident.sent.iter().enumerate() {
                    if free.release(sent) {
                        run.duty((index, s), Act::OnDuty, at, sink)?;
                    }
                }
                run.close(index, at, sink)?;
            }
        }
        if done % 256 == 0 {
            progress(done as u64);
        }
    }
    let (tally, mut outcome) = run.end();
    outcome.decide = Some(choices);
    Ok((tally, outcome))
}

/// A history with everything needed to feed it.
#[derive(Debug)]
pub struct Sheet<'h> {
    /// How its rows were read.
    pub mapping: &'h Mapping,
    /// What they say.
    pub history: &'h History,
    /// What its codes mean.
    pub codes: &'h Codes<'h>,
}

/// A pick of the engine for the first role.
#[derive(Debug)]
pub(super) struct Picked {
    pub post: PostId,
    pub travel_s: u32,
    pub runner_up: Option<(PostId, u32)>,
}

struct Run<'h> {
    sheet: &'h Sheet<'h>,
    engine: Engine,
    tally: Tally,
    watch: Stopwatch,
    effects: Vec<Effect>,
    /// Which incident of the engine each recorded one became.
    incidents: Vec<Option<IncidentId>>,
    orders: BTreeMap<(usize, usize), OrderId>,
    closed: BTreeSet<IncidentId>,
    /// Recorded incidents of one incident of the engine that are not over.
    open: BTreeMap<IncidentId, u32>,
    /// The engine's own first pick since it was last taken.
    picked: Option<Picked>,
    /// Whether the timeline has told of an order or of a refusal since this was last cleared.
    answered: bool,
    /// Rows whose order the timeline neither tells nor refuses.
    lost: Vec<SmolStr>,
    /// Reports whose incident lies in no area.
    no_area: BTreeSet<EventId>,
    inputs: u64,
    entries: u64,
    span: Option<(Timestamp, Timestamp)>,
    desk: SourceId,
}

impl<'h> Run<'h> {
    fn new(sheet: &'h Sheet<'h>, playbook: Arc<Playbook>) -> Self {
        Self {
            sheet,
            engine: Engine::new(playbook),
            tally: Tally::default(),
            watch: Stopwatch::default(),
            effects: Vec::new(),
            incidents: vec![None; sheet.history.incidents.len()],
            orders: BTreeMap::new(),
            closed: BTreeSet::new(),
            open: BTreeMap::new(),
            picked: None,
            answered: false,
            lost: Vec::new(),
            no_area: BTreeSet::new(),
            inputs: 0,
            entries: 0,
            span: None,
            desk: SourceId::from(format!("{}/record", sheet.mapping.history.source)),
        }
    }

    /// The one door: feeds an input and reads what comes of it.
    fn feed(&mut self, about: &EventId, at: Timestamp, event: Event, sink: &mut Sink<'_>) -> std::io::Result<Answer> {
        // What falls due at the very instant of the input fires after it.
        while !self.engine.advance(at - Millis(1), &mut self.effects) {
            self.read(about, sink)?;
        }
        self.read(about, sink)?;
        let answer = self.engine.step(at, Input::Event(Box::new(event), None), &mut self.effects);
        self.inputs += 1;
        self.span = Some((self.span.map_or(at, |s| s.0), at));
        self.tally.answer(&answer);
        self.read(about, sink)?;
        Ok(answer)
    }

    fn read(&mut self, about: &EventId, sink: &mut Sink<'_>) -> std::io::Result<()> {
        for effect in self.effects.drain(..) {
            let Effect::Timeline(entry) = effect else { continue };
            self.entries += 1;
            self.tally.see(&entry);
            self.watch.see(about, &entry);
            self.answered |= matches!(entry.what, What::Ordered { .. } | What::Refused { .. });
            if let What::Opened { area: None, event, .. } = &entry.what {
                self.no_area.insert(event.clone());
            }
            if let What::Ordered { post, weighed: Some(weighed), .. } = &entry.what {
                let pick =
                    || Picked { post: post.clone(), travel_s: weighed.travel_s, runner_up: weighed.runner_up.clone() };
                self.picked.get_or_insert_with(pick);
            }
            sink(&entry)?;
        }
        Ok(())
    }

    fn recorded(&self, index: usize) -> &'h Recorded {
        &self.sheet.history.incidents[index]
    }

    fn receive(&mut self, index: usize, at: Timestamp, sink: &mut Sink<'_>) -> std::io::Result<()> {
        let incident = self.recorded(index);
        let report = Report {
            code: self.sheet.codes.report_code(incident),
            severity: Some(incident.severity.unwrap_or(crate::model::ReportSeverity::Unknown)),
            place: PlaceRef { position: incident.place, ..PlaceRef::default() },
            ..Report::default()
        };
        let source = &self.sheet.mapping.history.source;
        let event = event(source, incident.id.clone(), at, Body::Report(Box::new(report)));
        self.tally.counts.reports += 1;
        self.picked = None;
        let answer = self.feed(&incident.id, at, event, sink)?;
        if let Answer::Report(answer) = answer
            && let Some(id) = answer.incident
        {
            *self.open.entry(id.clone()).or_default() += 1;
            self.incidents[index] = Some(id);
        }
        Ok(())
    }

    fn command(
        &mut self,
        index: usize,
        id: &str,
        at: Timestamp,
        kind: CommandKind,
        sink: &mut Sink<'_>,
    ) -> std::io::Result<Answer> {
        let by = self.sheet.mapping.history.seat.clone();
        let command = Command { by, reason: None, incident: self.incidents[index].clone(), kind };
        let event = event(&self.desk, id.into(), at, Body::Command(Box::new(command)));
        self.feed(&self.recorded(index).id, at, event, sink)
    }

    fn order(&mut self, (index, s): (usize, usize), at: Timestamp, sink: &mut Sink<'_>) -> std::io::Result<()> {
        let sent = &self.recorded(index).sent[s];
        let kind = CommandKind::Order { post: sent.unit.clone(), role: None };
        let id = format_smolstr!("{}/{}/order", sent.row, sent.unit);
        self.answered = false;
        let answer = self.command(index, &id, at, kind, sink)?;
        if !self.answered {
            self.lost.push(sent.row.clone());
        }
        if let Answer::Applied { orders, .. } = answer
            && let Some(order) = orders.into_iter().next()
        {
            self.orders.insert((index, s), order);
        }
        Ok(())
    }

    fn act(
        &mut self,
        (index, s): (usize, usize),
        (act, _, done_at): (Act, Timestamp, Option<Timestamp>),
        at: Timestamp,
        sink: &mut Sink<'_>,
    ) -> std::io::Result<()> {
        // Without its order the act has nothing to speak of; the refusal of that order is in the timeline.
        let Some(order) = self.orders.get(&(index, s)).cloned() else { return Ok(()) };
        let sent = &self.recorded(index).sent[s];
        let field = FieldAct {
            post: sent.unit.clone(),
            act,
            order: Some(order),
            incident: None,
            reason: None,
            done_at,
            report: None,
        };
        let id = EventId::from(format!("{}/{}/{act}", sent.row, sent.unit));
        let event = event(&self.desk, id, at, Body::Act(field));
        self.feed(&self.recorded(index).id, at, event, sink).map(drop)
    }

    /// The record binds a post, or frees it, for something that is none of the engine's orders.
    fn duty(
        &mut self,
        (index, s): (usize, usize),
        act: Act,
        at: Timestamp,
        sink: &mut Sink<'_>,
    ) -> std::io::Result<()> {
        let sent = &self.recorded(index).sent[s];
        let reason = (act == Act::OutOfService).then(|| FreeText::from("sent, as recorded"));
        let field =
            FieldAct { post: sent.unit.clone(), act, order: None, incident: None, reason, done_at: None, report: None };
        let id = EventId::from(format!("{}/{}/{act}", sent.row, sent.unit));
        let event = event(&self.desk, id, at, Body::Act(field));
        self.feed(&self.recorded(index).id, at, event, sink).map(drop)
    }

    /// Closes the incident when all that the record has of it is over; one that two recorded ones joined, after both.
    fn close(&mut self, index: usize, at: Timestamp, sink: &mut Sink<'_>) -> std::io::Result<()> {
        let Some(id) = self.incidents[index].clone() else { return Ok(()) };
        let left = self.open.entry(id.clone()).or_default();
        *left = left.saturating_sub(1);
        if *left > 0 || !self.closed.insert(id.clone()) {
            return Ok(());
        }
        self.open.remove(&id);
        let incident = self.recorded(index);
        let kind = CommandKind::Close { disposition: incident.disposition.as_str().into(), prevention: false };
        self.command(index, &format_smolstr!("{}/close", incident.id), at, kind, sink).map(drop)
    }

    fn end(mut self) -> (Tally, Outcome) {
        let (from, to) = self.span.unwrap_or_default();
        self.tally.counts.simulated_s = to.since(from).0 / 1000;
        let mut outcome = Outcome {
            legs: self.watch.legs(),
            missing_on_scene: self.watch.missing_on_scene(),
            busy_max: self.watch.busy_max,
            inputs: self.inputs,
            entries: self.entries,
            refused: self.tally.refused.clone(),
            ..Outcome::default()
        };
        for incident in &self.sheet.history.incidents {
            outcome.placeless += u64::from(incident.place.is_none());
            outcome.outside += u64::from(incident.place.is_some() && self.no_area.contains(&incident.id));
            if !self.tally.names(&self.sheet.mapping.history.source, &incident.id) {
                self.lost.push(incident.id.as_str().into());
            }
        }
        self.tally.counts.unaccounted = self.lost.len() as u64;
        self.lost.truncate(NAMED_MAX);
        outcome.unaccounted_ids = self.lost;
        (self.tally, outcome)
    }
}

fn event(source: &SourceId, id: EventId, at: Timestamp, body: Body) -> Event {
    let digest = Digest::of(format!("{source} {id} {at}").as_bytes());
    let meta = Meta { source: source.clone(), id, time: Some(at), traceparent: None, digest };
    Event { meta, received: at, body }
}
