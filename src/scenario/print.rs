//! What is printed: the timeline's own lines, shortened, and what `show` asks for.
//!
//! Within a scenario an incident `4304-20261123-1` is `1` and its first order `1-1`; instants are counted from the start,
//! and a line without one stands for the start itself. A notice that only repeats the line above it is left out unless
//! the header says `show: notices`, and one notice to several desks is one line.

use super::stage::Stage;
use crate::engine::{Clock, DeliveryOutcome, Entry, NoticeKind, What, elapsed};
use crate::model::{IncidentState, Timestamp};

/// Instants are counted from the start.
pub(super) fn clock(stage: &Stage<'_>) -> Clock<'static> {
    Clock::Since(stage.header.start)
}

/// A line at an instant, with short ids.
pub(super) fn line(stage: &Stage<'_>, at: Timestamp, words: &str) -> String {
    let words = words.replace(&stage.prefix(), "");
    if at == stage.header.start { words } else { format!("{} {words}", clock(stage).show(at)) }
}

/// The lines of some entries.
pub(super) fn entries(stage: &Stage<'_>, entries: &[&Entry]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = entries;
    while let Some((entry, after)) = rest.split_first() {
        rest = after;
        if !is_shown(stage, &entry.what) {
            continue;
        }
        if let What::Noticed { kind, text, take_by, .. } = &entry.what {
            let same = |other: &&Entry| matches!(&other.what, What::Noticed { kind: k, text: t, .. } if k == kind && t == text);
            let more = rest.iter().take_while(|other| same(other)).count();
            let desks: Vec<String> = std::iter::once(entry).chain(&rest[..more]).filter_map(|e| desk(e)).collect();
            rest = &rest[more..];
            let about = entry.incident.as_ref().map_or_else(String::new, |id| format!(" incident={id}"));
            let taken = take_by.map_or_else(String::new, |by| format!("  take-by={}", clock(stage).show(by)));
            let drill = if entry.drill { "DRILL " } else { "" };
            let words = format!("{drill}notice {kind}{about} → {}  {text}{taken}", desks.join(", "));
            lines.push(line(stage, entry.at, &words));
            continue;
        }
        let words = entry.words(clock(stage)).to_string();
        // Where no position is ever told, every post counts at its base; that need not be said each time.
        let at_base = [
            "   position stale, counted at its base, ",
            ", position stale, counted at its base",
            "   position stale, counted at its base",
        ];
        let words = if stage.header.positions {
            words
        } else {
            words.replace(at_base[0], "   ").replace(at_base[1], "").replace(at_base[2], "")
        };
        lines.push(line(stage, entry.at, &words));
        if let What::Ordered { weighed: Some(weighed), .. } = &entry.what
            && stage.header.show.contains("rejected")
        {
            let at_base = if stage.header.positions { "\0" } else { ": position stale, counted at its base" };
            lines.extend(
                weighed.rejected.iter().map(|(post, why)| format!("    not {post}: {}", why.replace(at_base, ""))),
            );
            lines.extend(weighed.rejected_counts.iter().map(|(why, n)| format!("    {n} × {why}")));
        }
    }
    lines
}

/// `command n3`: the desk with the number of its notice, by which it is taken.
fn desk(entry: &Entry) -> Option<String> {
    let What::Noticed { notice, desk, .. } = &entry.what else { return None };
    Some(format!("{desk} {notice}"))
}

fn is_shown(stage: &Stage<'_>, what: &What) -> bool {
    let shows = |word: &str| stage.header.show.contains(word);
    match what {
        What::Noticed { kind, .. } => shows("notices") || !repeats_a_line(*kind),
        What::NoticePassed { .. } | What::NoticeTaken { .. } => shows("notices"),
        What::AgencyTold { .. } => shows("agencies"),
        What::State { from, .. } => shows("states") || *from != IncidentState::Received,
        What::Delivery { outcome, .. } => shows("delivery") || *outcome == DeliveryOutcome::Failed,
        _ => true,
    }
}

/// Kinds that a line of their own stands for.
fn repeats_a_line(kind: NoticeKind) -> bool {
    matches!(
        kind,
        NoticeKind::Opened
            | NoticeKind::MarkWarning
            | NoticeKind::MarkMissed
            | NoticeKind::Shortfall
            | NoticeKind::NobodyReached
            | NoticeKind::LevelRaised
            | NoticeKind::AllCallBegan
            | NoticeKind::MatchSuggested
            | NoticeKind::LateReport
            | NoticeKind::PreEmption
            | NoticeKind::Prevention
    )
}

/// What `show …` prints.
pub(super) fn show(stage: &mut Stage<'_>, what: &str, incident: Option<&str>) -> Result<Vec<String>, String> {
    let id = incident.map(|word| stage.incident_id(word)).transpose()?;
    let (clock, prefix, now) = (clock(stage), stage.prefix(), stage.now);
    let local = now.local(&stage.playbook.zone);
    let engine = stage.engine();
    let one = || id.clone().ok_or_else(|| format!("show {what}: of which incident?"));
    let mut lines = Vec::new();
    match what {
        "incident" => {
            let id = one()?;
            let incident = engine.incident(&id).ok_or_else(|| format!("no incident {id}"))?;
            let class = &incident.classification;
            let drill = if incident.drill() { "DRILL " } else { "" };
            lines.push(format!(
                "{drill}incident {id} {}  {} {} {} ring={} level={} plan={} area={} reports={} orders={}",
                incident.state,
                class.category,
                class.severity,
                class.lane,
                class.ring,
                incident.level,
                incident.plan.id,
                incident.place.area.as_ref().map_or("none", |a| a.as_str()),
                incident.reports,
                incident.orders
            ));
            lines.extend(incident.links.iter().map(|link| format!("    link {}  {}", link.other, link.reason)));
            for need in incident.needs.iter().filter(|need| need.waiting.is_some()) {
                lines.push(format!("    waits for {} × {}", need.wanted, need.need.role));
            }
        }
        "reports" => {
            for (n, report) in engine.reports_of(&one()?) {
                let (source, event) = (&report.source, &report.event);
                let area = report.place.area.as_ref().map_or("none", |a| a.as_str());
                lines.push(format!("    report {n}  {source} {event}  area={area}  {}", report.reason));
            }
        }
        "orders" => {
            for order in engine.orders_of(&one()?) {
                lines.push(format!("    order {} {} {} {}", order.id, order.post, order.role, order.state));
            }
        }
        "marks" => {
            let id = one()?;
            let incident = engine.incident(&id).ok_or_else(|| format!("no incident {id}"))?;
            let name = |mark: u16| incident.plan.marks.get(usize::from(mark)).map_or("?", |m| m.name.as_str());
            let mark = |of: &str, run: &crate::engine::state::MarkRun| {
                format!("    mark {}{of} {:?} due={}", name(run.mark), run.state, clock.show(run.due)).to_lowercase()
            };
            lines.extend(incident.marks.iter().map(|run| mark("", run)));
            for order in engine.orders_of(&id) {
                lines.extend(order.marks.iter().map(|run| mark(&format!(" order={}", order.id), run)));
            }
        }
        "posts" => {
            for unit in engine.fleet().iter() {
                let duty = if unit.is_on_duty(local) { "on duty" } else { "off duty" };
                let tasks: Vec<String> =
                    unit.tasks.iter().map(|t| format!("{} {} {}", t.order, t.role, t.state)).collect();
                let tasks = if tasks.is_empty() { "idle".to_owned() } else { tasks.join(", then ") };
                lines.push(format!("    {} {} {duty}  {tasks}", unit.spec.id, unit.spec.kind));
            }
        }
        "queue" => lines.extend(engine.queue().map(|id| format!("    incident {id} waits"))),
        "notices" => {
            for notice in engine.open_notices() {
                let left = elapsed(notice.take_by.since(now));
                lines.push(format!("    notice {} {} at {}, {left} left", notice.id, notice.kind, notice.desk));
            }
        }
        "silences" => {
            for silence in engine.silences() {
                let kinds: Vec<String> = silence.hidden.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
                let ended = silence.ended.as_ref().map_or("", |_| ", ended");
                let hid = if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") };
                let (said, over) = (silence.said, silence.over);
                lines.push(format!(
                    "    silence {} of {}{ended}: hid {hid}; said {said}, over {over}",
                    silence.id, silence.by
                ));
                lines.extend(silence.latest.iter().map(|line| format!("        {} {}", line.kind, line.text)));
            }
            lines.extend(engine.hidden().map(|h| format!("    hidden {} by {} times={}", h.kind, h.by, h.times)));
        }
        "timers" => lines.push(format!("    {} timers", engine.deadlines())),
        _ => {
            return Err(format!(
                "show {what}; known are incident, reports, orders, marks, posts, queue, notices, silences, timers"
            ));
        }
    }
    Ok(lines.into_iter().map(|line| line.replace(&prefix, "")).collect())
}
