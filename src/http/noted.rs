//! Acts and commands in the trail: one line each, with what became of it, also where nobody waited for the answer.

use super::App;
use super::intake::Answered;
use crate::access::{Caller, Entry, target};
use crate::model::{Body, Event, IncidentId, OrderId};

/// An act or a command on its way; its line is written when it is decided, or when whoever sent it has gone.
pub struct Noted {
    app: App,
    caller: Caller,
    action: String,
    target: String,
    outcome: Option<String>,
}

impl Noted {
    /// Of an act or a command, where there is a trail; reports and positions stand in none.
    pub fn of(app: &App, caller: &Caller, event: &Event) -> Option<Self> {
        if !app.access.has_trail() {
            return None;
        }
        let action = match &event.body {
            Body::Act(act) => format!("act.{}", act.act),
            Body::Command(command) => format!("command.{}", command.kind.as_str()),
            Body::Report(_) | Body::Position(_) => return None,
        };
        let (app, caller, target) = (app.clone(), caller.clone(), about(event));
        Some(Self { app, caller, action, target, outcome: None })
    }

    /// What it became.
    pub fn became(mut self, told: &Answered) {
        self.outcome = Some(match told {
            Ok(told) => told.outcome(),
            Err(problem) => format!("{} {}", problem.status.as_u16(), problem.code),
        });
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.app.access.record(&Entry {
            at: self.app.gate.now(),
            principal: &self.caller.principal.id,
            action: &self.action,
            target: target(&self.target),
            outcome: self.outcome.as_deref().unwrap_or("unanswered"),
            from: None,
        });
    }
}

/// What an event is about, as an id.
pub fn about(event: &Event) -> String {
    let first = |order: Option<&OrderId>, incident: Option<&IncidentId>| {
        order.map(ToString::to_string).or_else(|| incident.map(ToString::to_string))
    };
    match &event.body {
        Body::Report(_) => event.meta.source.to_string(),
        Body::Position(fix) => fix.post.to_string(),
        Body::Act(act) => first(act.order.as_ref(), act.incident.as_ref()).unwrap_or_else(|| act.post.to_string()),
        Body::Command(command) => command.about(),
    }
}
