//! Whether what is said is the caller's to say: under its own source, as its own post, about its own areas.
//!
//! What a caller may not see is not there for it: a command about it is answered as one about nothing (404). What it may
//! see and not do is refused (403).

use axum::http::StatusCode;

use super::{App, Problem};
use crate::access::Caller;
use crate::model::{Body, Command, CommandKind, Event, FieldAct, IncidentId, Matchers, OrderId, PostId, Report};
use crate::runtime::Judged;

/// What is wrong, and the word for the trail.
pub struct Outside {
    /// What is answered.
    pub problem: Box<Problem>,
    /// For the trail.
    pub why: &'static str,
}

/// Whether this event is the caller's to send.
pub fn within(app: &App, caller: &Caller, event: &Event, judged: &Judged) -> Result<(), Outside> {
    let p = &*caller.principal;
    if !p.owns(&event.meta.source) {
        let begins = p.source.as_deref().unwrap_or_default();
        return Err(forbidden("source", "source", format!("this token sends as {begins}, and what stands below it")));
    }
    match &event.body {
        Body::Report(_) => Ok(()),
        Body::Act(act) => own_act(app, caller, act),
        Body::Position(fix) => own_post(caller, &fix.post, "data.post"),
        Body::Command(_) if p.areas.is_none() => Ok(()),
        Body::Command(command) => own_areas(app, caller, event, command, judged),
    }
}

fn own_post(caller: &Caller, post: &PostId, field: &str) -> Result<(), Outside> {
    match &caller.principal.post {
        Some(own) if own != post => Err(forbidden("post", field, format!("this token acts as {own}"))),
        _ => Ok(()),
    }
}

fn own_act(app: &App, caller: &Caller, act: &FieldAct) -> Result<(), Outside> {
    own_post(caller, &act.post, "data.post")?;
    // Whose order it is instead is nothing for it to know.
    let foreign =
        |id: &OrderId| caller.principal.post.is_some() && app.board.order(id).is_some_and(|o| o.post != act.post);
    match act.order.as_ref().filter(|id| foreign(id)) {
        Some(id) => Err(not_there("order", format!("there is no order {id}"), "orders are listed at /v1/orders")),
        None => Ok(()),
    }
}

fn own_areas(app: &App, caller: &Caller, event: &Event, c: &Command, judged: &Judged) -> Result<(), Outside> {
    let sight = caller.principal.sight();
    let seen = |id: &IncidentId| match app.board.incident(id) {
        Some(incident) => sight.incident(&incident),
        None => sight.place(&id.area, None, None),
    };
    let incident = |id: &IncidentId| match seen(id) {
        true => Ok(()),
        false => Err(not_there(
            "incident",
            format!("there is no incident {id}"),
            "open incidents are listed at /v1/incidents; old ones are in the archive and cannot be changed",
        )),
    };
    let order = |id: &OrderId| match seen(&id.incident) {
        true => Ok(()),
        false => Err(not_there("order", format!("there is no order {id}"), "orders are listed at /v1/orders")),
    };
    c.incident.as_ref().map_or(Ok(()), incident)?;
    match &c.kind {
        CommandKind::Create { report, .. } => created(app, caller, event, report),
        CommandKind::Link { other } | CommandKind::Merge { into: other } => incident(other),
        CommandKind::Order { post, .. } => roster(caller, post, judged),
        CommandKind::StandDown { order: named, .. } | CommandKind::Recall { order: named } => {
            named.as_ref().map_or(Ok(()), order)
        }
        CommandKind::SignOnBehalf { order: named, .. } => order(named),
        CommandKind::TakeNotice { notice } => {
            // A notice about an incident is called after it; any other lies nowhere in particular.
            let about = notice.rsplit_once("-n").and_then(|(incident, _)| incident.parse().ok());
            let there = about.as_ref().is_some_and(seen);
            let detail = || format!("no notice {notice} waits to be taken");
            if there { Ok(()) } else { Err(not_there("notice", detail(), "open notices are listed at /v1/notices")) }
        }
        CommandKind::Silence { matchers, .. } => silenced(caller, matchers, judged),
        CommandKind::Unsilence { silence } => {
            let detail = || format!("no silence {silence} is there to be ended");
            let ours = app.board.silence(silence).is_some_and(|s| silenced(caller, &s.matchers, judged).is_ok());
            if ours { Ok(()) } else { Err(not_there("silence", detail(), "silences are listed at /v1/silences")) }
        }
        CommandKind::CorrectPlace { .. }
        | CommandKind::Reclassify { .. }
        | CommandKind::Confirm
        | CommandKind::Refute { .. }
        | CommandKind::Split { .. }
        | CommandKind::Hold { .. }
        | CommandKind::AllCall { .. }
        | CommandKind::Controlled
        | CommandKind::Close { .. }
        | CommandKind::Cancel
        | CommandKind::Reopen => Ok(()),
    }
}

/// An incident is opened by hand where the caller may see it afterwards.
fn created(app: &App, caller: &Caller, event: &Event, report: &Report) -> Result<(), Outside> {
    let as_report = Event { body: Body::Report(Box::new(report.clone())), ..event.clone() };
    let judged = app.gate.judge(&as_report);
    let area = &judged.playbook.head.command_area;
    let place = judged.verdict.as_ref().map(|v| &v.place);
    let place = place.map(|place| (place.area.as_ref(), place.county.as_ref()));
    let (assessed, county) = place.unwrap_or_default();
    if caller.principal.sight().place(area, assessed, county) {
        return Ok(());
    }
    Err(forbidden("area", "data.report.place", "the place is not in the areas of this token".into()))
}

/// Notices are silenced where the caller sees all that is meant: areas are named, and each is one of its own.
fn silenced(caller: &Caller, matchers: &Matchers, judged: &Judged) -> Result<(), Outside> {
    let (playbook, sight) = (&judged.playbook, caller.principal.sight());
    let seen = |name: &smol_str::SmolStr| {
        let area = playbook.areas.areas.get(name.as_str());
        let county = playbook.areas.counties.get_key_value(name.as_str()).map(|(code, _)| code);
        let here = &playbook.head.command_area;
        match area {
            Some(area) => sight.place(here, Some(&area.id), Some(&area.county)),
            None => sight.place(here, None, county),
        }
    };
    if !matchers.areas.is_empty() && matchers.areas.iter().all(seen) {
        return Ok(());
    }
    Err(forbidden("area", "data.matchers.areas", "name areas, each of them one of this token".into()))
}

/// A post is ordered by name where it belongs to an area of the caller's.
fn roster(caller: &Caller, post: &PostId, judged: &Judged) -> Result<(), Outside> {
    let (playbook, sight) = (&judged.playbook, caller.principal.sight());
    let area = playbook.posts.get(post).map(|spec| &spec.area);
    let county = area.and_then(|area| playbook.areas.areas.get(area)).map(|area| &area.county);
    if sight.place(&playbook.head.command_area, area, county) {
        return Ok(());
    }
    Err(not_there("post", format!("there is no post {post}"), "posts are listed at /v1/posts"))
}

fn forbidden(why: &'static str, field: &str, detail: String) -> Outside {
    let problem = Problem::new(StatusCode::FORBIDDEN, "forbidden", detail).field(field);
    Outside { problem: Box::new(problem.hint("see GET /v1/session for who you are")), why }
}

/// In the words in which the engine speaks of what there is not.
fn not_there(what: &'static str, detail: String, hint: &str) -> Outside {
    let problem = Problem::new(StatusCode::NOT_FOUND, &format!("unknown-{what}"), detail).field(what).hint(hint);
    Outside { problem: Box::new(problem), why: "scope" }
}
