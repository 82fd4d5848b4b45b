//! `muster explain REPORT.json`: what would be done about a report, and why. Nothing is stored and nobody is ordered.
//!
//! The report is decoded, classified and stepped through a fresh engine that holds nothing but the playbook's roster: every post
//! idle at its base within its hours. So the answer is what the playbook says, not what the city is busy with at the moment.
//! Where the plan verifies first, time is let pass until verification lapses, so that the posts are shown all the same.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};

use crate::classify::{self, Explanation, Failed, RuleLine};
use crate::config::playbook::load_dir;
use crate::decode::{Decoded, EventType, Limits, Sender, decode_bare};
use crate::engine::state::{Incident, Order};
use crate::engine::{Clock, Effect, Engine, Entry, Input, Weighed, What, elapsed};
use crate::model::{Body, Event, Millis, Report, SeverityStep, Spot, Timestamp};
use crate::playbook::{Limit, Mark, Milestone, Playbook, Scope};
use crate::runtime::Clock as WallClock;

/// Explain a report: its class, its posts with the runners-up, its marks; and for each of them why.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The report: a `CloudEvents` event as JSON, or its data alone; `-` reads standard input.
    #[arg(value_name = "REPORT.json")]
    report: PathBuf,
    /// The playbook's folder.
    #[arg(long, value_name = "DIR", default_value = "config/playbooks/hengyang")]
    playbook: PathBuf,
    /// Explain with this set of marks in force instead of the one the playbook names.
    #[arg(long)]
    set: Option<String>,
    /// When it is received, as RFC 3339. Default: the event's own time, else now.
    #[arg(long)]
    at: Option<String>,
    /// Who sent it, where the report does not say.
    #[arg(long, default_value = "explain")]
    source: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Explains one report.
///
/// # Errors
/// When the playbook or the report cannot be read, or the report would be refused at the door.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let playbook = Arc::new(load_dir(&args.playbook, args.set.as_deref())?);
    let Decoded { event, dropped } = read(args)?;
    let Body::Report(report) = &event.body else {
        bail!("only a report can be explained; this is an act, a position or a command");
    };
    let why = classify::explain(&playbook, report, &event.meta.source, event.received);
    let outcome = Outcome::of(&playbook, &event);
    if args.json {
        println!("{}", as_json(&event, dropped, &why, &outcome));
    } else {
        print!("{}", Page { playbook: &playbook, event: &event, report, dropped, why: &why, outcome: &outcome }.text());
    }
    Ok(super::good())
}

fn read(args: &Args) -> anyhow::Result<Decoded> {
    let bytes = if args.report == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("standard input cannot be read")?;
        bytes
    } else {
        std::fs::read(&args.report).with_context(|| format!("{} cannot be read", args.report.display()))?
    };
    let given = args.at.as_deref().map(Timestamp::parse).transpose();
    let given = given.map_err(|e| anyhow!("--at is no RFC 3339 instant ({e}); write 2026-11-23T08:00:00+08:00"))?;
    let sender = Sender { kind: EventType::Report, source: args.source.as_str().into(), id: "1".into() };
    let refused = |r: crate::decode::Rejection| anyhow!("the report is refused: {r}; {}", r.hint);
    let mut decoded = decode_bare(&bytes, sender, Timestamp(0), &Limits::default()).map_err(refused)?;
    decoded.event.received = given.or(decoded.event.meta.time).unwrap_or_else(|| WallClock::wall().now());
    Ok(decoded)
}

/// What the engine did with it.
struct Outcome {
    /// The incident; none when it was forwarded.
    incident: Option<Incident>,
    orders: Vec<Order>,
    timeline: Vec<Entry>,
    /// How long verification was let run, where the plan begins with it.
    lapsed: Option<Timestamp>,
}

impl Outcome {
    fn of(playbook: &Arc<Playbook>, event: &Event) -> Self {
        let mut engine = Engine::new(playbook.clone());
        let mut effects = Vec::new();
        engine.step(event.received, Input::Event(Box::new(event.clone()), None), &mut effects);
        while !engine.advance(event.received, &mut effects) {}
        let first = engine.incidents().next().cloned();
        let lapsed = first.as_ref().and_then(verification_ends);
        if let Some(to) = lapsed {
            while !engine.advance(to, &mut effects) {}
        }
        let incident = engine.incidents().next().cloned();
        let orders = incident.iter().flat_map(|i| engine.orders_of(&i.id)).cloned().collect();
        let entry = |effect: Effect| if let Effect::Timeline(entry) = effect { Some(*entry) } else { None };
        Self { incident, orders, timeline: effects.into_iter().filter_map(entry).collect(), lapsed }
    }

    /// How the pick of an order was weighed.
    fn weighed(&self, order: &Order) -> Option<&Weighed> {
        self.timeline.iter().find_map(|entry| match &entry.what {
            What::Ordered { order: id, weighed, .. } if *id == order.id => weighed.as_deref(),
            _ => None,
        })
    }
}

/// When verification lapses, where it runs.
fn verification_ends(incident: &Incident) -> Option<Timestamp> {
    let waits =
        |mark: u16| incident.plan.marks.get(usize::from(mark)).is_some_and(|m| m.milestone == Milestone::Verified);
    incident.marks.iter().find(|run| waits(run.mark)).map(|run| run.limit_at)
}

/// The page for people.
struct Page<'a> {
    playbook: &'a Playbook,
    event: &'a Event,
    report: &'a Report,
    dropped: u32,
    why: &'a Explanation,
    outcome: &'a Outcome,
}

impl Page<'_> {
    fn text(&self) -> String {
        let sections =
            [self.head(), self.words(), self.class(), self.near(), self.posts(), self.marks(), self.happenings()];
        sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
    }

    fn clock(&self) -> Clock<'_> {
        Clock::Wall(&self.playbook.zone)
    }

    /// With its date, as the clock on the wall shows it.
    fn instant(&self, at: Timestamp) -> String {
        let date = at.local(&self.playbook.zone).date;
        format!("{}-{:02}-{:02} {}", date / 10_000, date / 100 % 100, date % 100, self.clock().show(at))
    }

    /// When a mark is due: the clock, with the date where that is not within a day.
    fn due(&self, at: Timestamp) -> String {
        let far = at.since(self.event.received) >= Millis::from_mins(24 * 60);
        if far { self.instant(at) } else { self.clock().show(at) }
    }

    fn head(&self) -> String {
        let Event { meta, received, .. } = self.event;
        let dropped = match self.dropped {
            0 => String::new(),
            1 => ", 1 unknown member dropped".to_owned(),
            n => format!(", {n} unknown members dropped"),
        };
        let received = self.instant(*received);
        let drill = if self.report.status.is_drill() { "  DRILL" } else { "" };
        let mut text = format!("report     {} of {}, received {received}{dropped}{drill}\n", meta.id, meta.source);
        let place = &self.why.place;
        let spot = match &place.spot {
            Spot::Known => "known".to_owned(),
            Spot::Unknown => "unknown".to_owned(),
            Spot::Foreign(centre) => format!("another centre's: forwarded to {centre}"),
        };
        let parts = [
            place.site.as_ref().map(|site| format!("key site {site}")),
            place.area.as_ref().map(|area| match place.risk_class {
                Some(class) => format!("area {area} of risk class {}", u8::from(class)),
                None => format!("area {area}"),
            }),
            place.county.as_ref().map(|county| format!("county {county}")),
            place.position.map(|at| format!("at {:.5}, {:.5}", at.lon, at.lat)),
            place.accuracy_m.map(|m| format!("± {m} m")),
        ];
        let limit = elapsed(self.playbook.rings.limit(place.ring));
        let parts = std::iter::once(spot).chain(parts.into_iter().flatten()).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "place      {parts}; ring {} ({limit})", place.ring);
        text
    }

    fn words(&self) -> String {
        let mut text = String::new();
        for group in &self.why.words {
            let denied = |d: &classify::Denied| format!("{} denied by {}", d.word, d.by);
            let words = group.words.iter().map(ToString::to_string).chain(group.denied.iter().map(denied));
            let _ = writeln!(text, "words      {}: {}", group.group, words.collect::<Vec<_>>().join(", "));
        }
        text
    }

    fn class(&self) -> String {
        let (c, winner) = (&self.why.classification, &self.why.winner);
        let at_once = if c.trigger_at_once { ", triggers at once" } else { "" };
        let mut text = format!(
            "class      {} {}  lane {}  plan {}{at_once}\n           by rule {} of {}: {} ({})\n",
            c.category,
            c.severity,
            c.lane,
            c.plan,
            winner.number,
            self.why.rules,
            winner.rule,
            if winner.held.is_empty() { "asks for nothing".to_owned() } else { held(winner) },
        );
        if c.severity != winner.severity {
            let _ = writeln!(text, "           the rule says {}; modifiers made it {}", winner.severity, c.severity);
        }
        for line in self.why.modifiers.iter().filter(|line| line.step.is_some()) {
            let did = match line.step {
                Some(SeverityStep::Raised) => "raised it a step",
                Some(SeverityStep::Lowered) => "lowered it a step",
                _ => "held: it matched and may move nothing (more)",
            };
            let _ = writeln!(text, "modifier   {} {did}", line.id);
        }
        text
    }

    fn near(&self) -> String {
        let mut text = String::new();
        for line in &self.why.near {
            let why =
                if line.failed.is_empty() { "matches too, and comes later".to_owned() } else { lacked(&line.failed) };
            let _ = writeln!(
                text,
                "near       rule {}: {} → {} {}; {why}",
                line.number, line.rule, line.category, line.severity
            );
        }
        text
    }

    fn posts(&self) -> String {
        let Some(incident) = &self.outcome.incident else { return String::new() };
        let mut text =
            format!("incident   {} plan {}, owned by the {}\n", incident.id, incident.plan.id, incident.level);
        if let Some(at) = self.outcome.lapsed {
            let _ = writeln!(
                text,
                "           posts go when it is confirmed, or when verification lapses, as here at {}",
                self.clock().show(at)
            );
        }
        if self.outcome.orders.is_empty() {
            let why = if incident.plan.mediation { "a mediation case orders no post" } else { "no post is ordered" };
            let _ = writeln!(text, "           {why}");
        }
        for order in &self.outcome.orders {
            let _ = write!(text, "order      {} → {} {}, echelon {}", order.id, order.post, order.role, order.echelon);
            match self.outcome.weighed(order) {
                Some(weighed) => text.push_str(&pick(weighed)),
                None => text.push('\n'),
            }
        }
        text
    }

    fn marks(&self) -> String {
        let Some(incident) = &self.outcome.incident else { return String::new() };
        let mut text = String::new();
        for (ix, mark) in incident.plan.marks.iter().enumerate().filter(|(_, m)| self.applies(incident, m)) {
            let runs = match mark.scope {
                Scope::Incident => incident.marks.iter().map(|run| (run, String::new())).collect::<Vec<_>>(),
                Scope::Order => self
                    .outcome
                    .orders
                    .iter()
                    .flat_map(|o| o.marks.iter().map(|run| (run, format!(" {}", o.post))))
                    .collect(),
            };
            let due = runs.iter().filter(|(run, _)| usize::from(run.mark) == ix);
            let due: Vec<String> = due.map(|(run, whose)| format!("{}{whose}", self.due(run.limit_at))).collect();
            let due = if due.is_empty() {
                format!("not yet: waits for {}", mark.anchor)
            } else {
                format!("due {}", due.join(", "))
            };
            let actions = mark.on_miss.iter().map(ToString::to_string).collect::<Vec<_>>().join(", then ");
            let actions = if actions.is_empty() { "a note".to_owned() } else { actions };
            let _ = writeln!(
                text,
                "mark       {} of {}: {} from {}, {due}; a miss causes {actions}",
                mark.name,
                if mark.scope == Scope::Order { "each order" } else { "the incident" },
                self.limit(incident, mark),
                mark.anchor
            );
        }
        text
    }

    fn limit(&self, incident: &Incident, mark: &Mark) -> String {
        let limit = elapsed(mark.limit(self.playbook.rings.limit(incident.classification.ring)));
        match mark.limit {
            Limit::Ring => format!("{limit} (ring {})", incident.classification.ring),
            Limit::Fixed(_) => limit,
        }
    }

    fn applies(&self, incident: &Incident, mark: &Mark) -> bool {
        let c = &incident.classification;
        mark.applies(c.ring, c.severity, &c.category, incident.received.local(&self.playbook.zone).minute)
    }

    /// All else that would happen, in the words of the timeline.
    fn happenings(&self) -> String {
        let told = |entry: &&Entry| !matches!(entry.what, What::Opened { .. } | What::Ordered { .. });
        let mut text = String::new();
        for entry in self.outcome.timeline.iter().filter(told) {
            let _ = writeln!(text, "then       {} {}", self.clock().show(entry.at), entry.words(self.clock()));
        }
        text
    }
}

fn held(line: &RuleLine) -> String {
    format!("its {} held", line.held.join(", "))
}

fn lacked(failed: &[Failed]) -> String {
    let one = |f: &Failed| format!("{} asks for {} and found {}", f.part, f.wanted, f.found);
    failed.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn pick(weighed: &Weighed) -> String {
    let mut text = format!("\n           {} s away, cost {} s", weighed.travel_s, weighed.cost_s);
    let _ = match &weighed.runner_up {
        Some((post, more)) => write!(text, "; runner-up {post}, {more} s more"),
        None => write!(text, "; no runner-up"),
    };
    if !weighed.reasons.is_empty() {
        let _ = write!(text, "; {}", weighed.reasons.join(", "));
    }
    text.push('\n');
    for (post, reason) in &weighed.rejected {
        let _ = writeln!(text, "           not {post}: {reason}");
    }
    let counted: Vec<String> = weighed.rejected_counts.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    if !counted.is_empty() {
        let _ = writeln!(text, "           not taken in all: {}", counted.join(", "));
    }
    text
}

fn as_json(event: &Event, dropped: u32, why: &Explanation, outcome: &Outcome) -> Value {
    let order = |order: &Order| {
        let weighed = outcome.weighed(order);
        json!({ "id": order.id, "post": order.post, "role": order.role, "echelon": order.echelon,
                "issued_at": order.issued.to_rfc3339(), "marks": marks(outcome, &order.marks), "weighed": weighed })
    };
    let incident = outcome.incident.as_ref().map(|incident| {
        json!({ "id": incident.id, "state": incident.state, "level": incident.level, "plan": incident.plan.id,
                "classification": incident.classification, "marks": marks(outcome, &incident.marks) })
    });
    json!({
        "report": { "source": event.meta.source, "id": event.meta.id, "received": event.received.to_rfc3339(), "dropped": dropped },
        "explanation": why,
        "incident": incident,
        "verification_lapses": outcome.lapsed.map(Timestamp::to_rfc3339),
        "orders": outcome.orders.iter().map(order).collect::<Vec<_>>(),
        "timeline": outcome.timeline.iter().map(|entry| {
            json!({ "at": entry.at.to_rfc3339(), "text": entry.words(Clock::Utc).to_string() })
        }).collect::<Vec<_>>(),
    })
}

fn marks(outcome: &Outcome, runs: &[crate::engine::state::MarkRun]) -> Vec<Value> {
    let Some(incident) = &outcome.incident else { return Vec::new() };
    let named = |run: &crate::engine::state::MarkRun| {
        let mark = incident.plan.marks.get(usize::from(run.mark))?;
        Some(
            json!({ "name": mark.name, "milestone": mark.milestone, "anchor": mark.anchor, "from": run.anchor.to_rfc3339(),
                     "due": run.limit_at.to_rfc3339(), "warns": run.warn.map(Timestamp::to_rfc3339), "on_miss": mark.on_miss }),
        )
    };
    runs.iter().filter_map(named).collect()
}
