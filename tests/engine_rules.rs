//! Rules at their edges, each told in a few lines: what the rule book says where two things happen at once.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::sync::Arc;

use muster::engine::state::{Incident, MarkState, Order};
use muster::engine::{Answer, Effect, Engine, Input};
use muster::model::{
    Act, Body, Command, CommandKind, Digest, Event, FieldAct, IncidentId, IncidentState, Meta, OrderId, OrderState,
    PlaceRef, Position, Recall, Report, Role, Severity, Timestamp,
};
use muster::playbook::{Milestone, Playbook};

fn minimal() -> Playbook {
    edited(|text| text)
}

/// The minimal playbook with its text changed.
fn edited(edit: impl Fn(String) -> String) -> Playbook {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/playbooks/minimal");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is part of the repository") {
        let path = entry.unwrap().path();
        files.push((
            path.file_name().unwrap().to_string_lossy().into_owned(),
            edit(std::fs::read_to_string(&path).unwrap()),
        ));
    }
    files.sort();
    Playbook::load(&files).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// A command centre at noon.
struct Centre {
    engine: Engine,
    now: Timestamp,
    events: u32,
    said: Vec<Effect>,
}

impl Centre {
    fn new() -> Self {
        Self::with(minimal())
    }

    fn with(playbook: Playbook) -> Self {
        let now = Timestamp::parse("2026-11-23T12:00:00+08:00").unwrap();
        Self { engine: Engine::new(Arc::new(playbook)), now, events: 0, said: Vec::new() }
    }

    fn put(&mut self, body: Body) -> Answer {
        self.events += 1;
        let id = format!("e{}", self.events);
        self.put_as("110/desk-1", &id, body)
    }

    fn put_as(&mut self, source: &str, id: &str, body: Body) -> Answer {
        let content = serde_json::to_vec(&body).unwrap();
        let meta =
            Meta { source: source.into(), id: id.into(), time: None, traceparent: None, digest: Digest::of(&content) };
        let event = Event { meta, received: self.now, body };
        let answer = self.engine.step(self.now, Input::Event(Box::new(event), None), &mut self.said);
        self.wait(0);
        answer
    }

    fn report(&mut self, text: &str, place: PlaceRef) -> IncidentId {
        self.report_coded(None, text, place)
    }

    fn report_coded(&mut self, code: Option<&str>, text: &str, place: PlaceRef) -> IncidentId {
        let report = Report { code: code.map(Into::into), text: text.into(), place, ..Report::default() };
        match self.put(Body::Report(Box::new(report))) {
            Answer::Report(answer) => answer.incident.expect("it is ours"),
            other => panic!("{other:?}"),
        }
    }

    fn act(&mut self, order: &OrderId, act: Act) -> Answer {
        let post = self.order(order).post.clone();
        let order = Some(order.clone());
        self.put(Body::Act(FieldAct { post, act, order, incident: None, reason: None, done_at: None, report: None }))
    }

    fn command(&mut self, incident: &IncidentId, kind: CommandKind) -> Answer {
        let reason = Some("必要".into());
        let by = "command/seat-1".into();
        self.put(Body::Command(Box::new(Command { by, reason, incident: Some(incident.clone()), kind })))
    }

    fn wait(&mut self, secs: i64) {
        self.now = Timestamp(self.now.0 + secs * 1000);
        while !self.engine.advance(self.now, &mut self.said) {}
    }

    fn incident(&self, id: &IncidentId) -> &Incident {
        self.engine.incident(id).expect("it is kept")
    }

    fn order(&self, id: &OrderId) -> &Order {
        self.engine.order(id).expect("it is kept")
    }

    fn live(&self, id: &IncidentId) -> Vec<OrderId> {
        self.engine.orders_of(id).filter(|o| o.is_live() && o.covers.is_none()).map(|o| o.id.clone()).collect()
    }

    fn mark(&self, id: &IncidentId, milestone: Milestone) -> Option<MarkState> {
        let incident = self.incident(id);
        let runs = incident.marks.iter().rev();
        runs.filter(|r| incident.plan.marks[usize::from(r.mark)].milestone == milestone).map(|r| r.state).next()
    }

    fn is_queued(&self, id: &IncidentId) -> bool {
        self.engine.queue().any(|waiting| waiting == id)
    }
}

fn plaza() -> PlaceRef {
    PlaceRef { id: Some("lotus-plaza".into()), ..PlaceRef::default() }
}

fn at(lon: f64, lat: f64) -> PlaceRef {
    PlaceRef { position: Some(Position { lon, lat }), ..PlaceRef::default() }
}

fn code(answer: &Answer) -> &str {
    match answer {
        Answer::Refused(refusal) => refusal.code.as_str(),
        _ => "",
    }
}

/// "Every clearing, coming on duty or fresh position serves its head": an order by hand does not take an incident that
/// still lacks others out of the queue.
#[test]
fn an_order_by_hand_leaves_what_still_waits_in_the_queue() {
    let mut playbook = minimal();
    playbook.posts.retain(|id, _| matches!(id.as_str(), "P-1" | "P-2"));
    playbook.limits.queue_max = 0;
    let mut centre = Centre::with(playbook);
    let busy = centre.report("有人晕倒", at(112.604, 26.892));
    let fire = centre.report("商场冒烟", at(112.595, 26.885));
    assert!(centre.is_queued(&fire), "it lacks a reinforcement at least");
    let first = centre.live(&fire).len();
    centre.command(&busy, CommandKind::StandDown { order: None, post: Some("P-1".into()) });
    centre.command(&fire, CommandKind::Order { post: "P-1".into(), role: Some(Role::Cordon) });
    assert!(centre.live(&fire).len() > first);
    assert_eq!(centre.is_queued(&fire), centre.incident(&fire).waits());
    assert!(centre.is_queued(&fire), "nobody reinforces yet");
}

/// "A post is ordered only after confirmation or when the mark lapses": an operator who sends a post to look does not end
/// verification, and a decline of that post orders nobody either.
#[test]
fn a_post_sent_to_look_does_not_end_verification() {
    let mut centre = Centre::new();
    let alarm = centre.report_coded(Some("FP-1"), "", plaza());
    assert_eq!(centre.incident(&alarm).state, IncidentState::Verifying);
    centre.command(&alarm, CommandKind::Order { post: "P-1".into(), role: None });
    let sent = centre.live(&alarm);
    assert_eq!((sent.len(), &centre.incident(&alarm).state), (1, &IncidentState::Verifying));
    centre.act(&sent[0], Act::Declined);
    assert_eq!(centre.live(&alarm).len(), 0, "nobody is asked for while it is verified");
    centre.wait(91);
    assert_eq!(centre.incident(&alarm).state, IncidentState::Dispatching, "never silently dropped");
    assert!(!centre.live(&alarm).is_empty());
}

/// "On-view (opens an incident, already assigned)": who stands in front of it has verified it.
#[test]
fn what_a_post_comes_upon_is_verified() {
    let mut centre = Centre::new();
    let report = Report { code: Some("FP-9".into()), place: plaza(), ..Report::default() };
    let answer = centre.put(Body::Act(FieldAct {
        post: "P-1".into(),
        act: Act::OnView,
        order: None,
        incident: None,
        reason: None,
        done_at: None,
        report: Some(Box::new(report)),
    }));
    let Answer::Applied { incident: Some(id), .. } = answer else { panic!("{answer:?}") };
    assert_eq!(centre.incident(&id).state, IncidentState::Handling);
    assert!(centre.incident(&id).confirmed.is_some());
}

/// "When category, severity or lane rises the plan is evaluated anew": also on a controlled incident.
#[test]
fn what_is_worse_than_what_was_controlled_is_not_under_control() {
    let mut centre = Centre::new();
    let fire = centre.report("冒烟", at(112.62, 26.90));
    assert_eq!(centre.incident(&fire).classification.severity, Severity::II);
    for order in centre.live(&fire) {
        centre.act(&order, Act::OnScene);
    }
    centre.command(&fire, CommandKind::Controlled);
    for order in centre.live(&fire) {
        centre.act(&order, Act::Cleared);
    }
    assert!(centre.live(&fire).is_empty());
    let same = centre.report("冒烟", at(112.62, 26.90));
    assert_eq!((same == fire, centre.incident(&fire).state.clone()), (true, IncidentState::Controlled), "no worse");
    centre.report("火灾 有人受伤", at(112.62, 26.90));
    assert_eq!(centre.incident(&fire).classification.severity, Severity::I);
    assert_eq!(centre.incident(&fire).state, IncidentState::Dispatching);
    assert!(centre.incident(&fire).all_call.is_some(), "severity I calls everybody");
}

/// "New marks run from that instant": a joint mark that begins with a rise is not kept by what was asked for before.
#[test]
fn a_rise_does_not_keep_the_joint_mark_it_begins() {
    let mut centre = Centre::new();
    let noise = centre.report("噪音扰民", at(112.62, 26.90));
    let first = centre.live(&noise);
    centre.act(&first[0], Act::OnScene);
    assert_eq!(centre.mark(&noise, Milestone::JointOnScene), None);
    centre.command(&noise, CommandKind::Reclassify { category: None, severity: Some(Severity::II) });
    assert_eq!(centre.mark(&noise, Milestone::JointOnScene), Some(MarkState::Running));
}

/// "Whoever fills the need first keeps it, the other is recalled unless en route": who says at once that it has set out
/// has set out.
#[test]
fn who_says_at_once_that_it_set_out_is_not_taken_back() {
    let mut centre = Centre::new();
    let call = centre.report("有人晕倒", at(112.64, 26.92));
    let first = centre.live(&call)[0].clone();
    centre.wait(61);
    let next = centre.live(&call).into_iter().find(|o| *o != first).expect("the next post was ordered");
    centre.act(&next, Act::Signed);
    assert_eq!(centre.order(&first).recall, Some(Recall::NeedFilled), "who has not signed is taken back");

    let mut centre = Centre::new();
    let call = centre.report("有人晕倒", at(112.64, 26.92));
    let first = centre.live(&call)[0].clone();
    centre.wait(61);
    let next = centre.live(&call).into_iter().find(|o| *o != first).expect("the next post was ordered");
    centre.act(&first, Act::EnRoute);
    assert_eq!(centre.order(&first).state, OrderState::EnRoute);
    assert_eq!(centre.order(&next).recall, Some(Recall::NeedFilled));
}

/// "Expiry ends delivery; afterwards only a recall is sent": and it is sent.
#[test]
fn an_expired_order_is_taken_back_when_its_incident_ends() {
    let mut centre = Centre::new();
    let call = centre.report("有人晕倒", at(112.62, 26.90));
    let first = centre.live(&call)[0].clone();
    centre.wait(302);
    assert_eq!(centre.order(&first).state, OrderState::Expired);
    centre.command(&call, CommandKind::Close { disposition: "handled".into(), prevention: false });
    assert_eq!((centre.order(&first).state, centre.order(&first).recall), (OrderState::Recalled, Some(Recall::Ended)));
    assert_eq!(code(&centre.act(&first, Act::Signed)), "recalled", "a late signature hears why");
}

/// "Correct the place (ring, plan, area anew)": who is on the way hears where to go.
#[test]
fn who_is_on_the_way_hears_the_new_place() {
    let mut centre = Centre::new();
    let call = centre.report("有人晕倒", at(112.62, 26.90));
    let first = centre.live(&call)[0].clone();
    centre.act(&first, Act::EnRoute);
    centre.said.clear();
    centre.command(&call, CommandKind::CorrectPlace { place: at(112.64, 26.92) });
    let told = centre.said.iter().any(|effect| match effect {
        Effect::Order(message) => {
            message.id == first && message.place.position == Some(Position { lon: 112.64, lat: 26.92 })
        }
        _ => false,
    });
    assert!(told && centre.order(&first).state == OrderState::EnRoute);
}

/// "Exact repeat … acknowledged with the same answer": also when the answer was a refusal that would be none now.
#[test]
fn a_refused_act_that_comes_again_is_refused_again() {
    let mut centre = Centre::new();
    let act = |act| {
        Body::Act(FieldAct {
            post: "P-1".into(),
            act,
            order: None,
            incident: None,
            reason: None,
            done_at: None,
            report: None,
        })
    };
    let refused = centre.put_as("field/P-1", "x1", act(Act::Signed));
    assert_eq!(code(&refused), "no-order");
    let call = centre.report("噪音扰民", at(112.604, 26.892));
    let mine = centre.live(&call)[0].clone();
    assert_eq!(centre.order(&mine).post.as_str(), "P-1");
    let documents = centre.engine.take_changed();
    centre.engine = Engine::restore(centre.engine.playbook().clone(), documents).unwrap();
    assert_eq!(centre.put_as("field/P-1", "x1", act(Act::Signed)), refused);
    assert_eq!(centre.order(&mine).state, OrderState::Issued, "nothing was applied");
    assert!(matches!(centre.put_as("field/P-1", "x2", act(Act::Signed)), Answer::Applied { .. }));
}

/// A report on an incident that was found to be another one seen twice belongs to the one that goes on.
#[test]
fn a_duplicate_leads_to_the_incident_that_goes_on() {
    let mut centre = Centre::new();
    let one = centre.report("冒烟", at(112.62, 26.90));
    let twice = centre.report("冒烟", at(112.625, 26.90));
    assert_ne!(one, twice, "500 m apart");
    centre.command(&twice, CommandKind::Merge { into: one.clone() });
    assert_eq!(centre.incident(&twice).state, IncidentState::DuplicateOf(one.clone()));
    assert_eq!(centre.report("冒烟", at(112.6255, 26.90)), one);
    assert_eq!(centre.engine.reports_of(&one).count(), 3);
}

/// An incident keeps its plan, and the engine its senses, when a playbook comes that knows neither plan nor category.
#[test]
fn a_playbook_that_has_forgotten_a_category_stops_nothing() {
    let mut centre = Centre::new();
    let noise = centre.report("噪音扰民", at(112.62, 26.90));
    let other =
        edited(|text| text.replace("nuisance/noise", "nuisance/loud").replace("\"rapid-response\"", "\"quick\""));
    centre.engine.step(centre.now, Input::Playbook(Arc::new(other)), &mut centre.said);
    centre.wait(0);
    let answer = centre.command(&noise, CommandKind::Reclassify { category: None, severity: Some(Severity::II) });
    assert_eq!(code(&answer), "unknown-category");
    centre.command(&noise, CommandKind::CorrectPlace { place: at(112.63, 26.91) });
    assert_eq!(centre.incident(&noise).plan.id.as_str(), "rapid-response");
    centre.wait(400);
}

/// "Closing needs a disposition code": also when a quiet flood closes by itself, with one the playbook knows.
#[test]
fn a_quiet_flood_closes_with_a_disposition_of_the_playbook() {
    let mut playbook = minimal();
    playbook.folding.burst = 1;
    let mut centre = Centre::with(playbook);
    for n in 0..4 {
        let report =
            Report { text: "噪音扰民".into(), place: at(112.62 + 0.01 * f64::from(n), 26.90), ..Report::default() };
        centre.put_as("app/a", &format!("n{n}"), Body::Report(Box::new(report)));
    }
    let flood = centre.engine.incidents().find(|i| i.flood.is_some()).expect("it was folded").id.clone();
    assert_eq!(centre.incident(&flood).folded, 3);
    centre.wait(700);
    let closed = centre.incident(&flood).closed.clone().expect("it was quiet");
    let known = &centre.engine.playbook().dispositions;
    assert!(known.contains_key(&closed.disposition.expect("closing needs one")));
}

/// What an operator has made an incident of its own is no flood any more and does not close by itself.
#[test]
fn a_flood_that_somebody_is_sent_to_does_not_close_by_itself() {
    let mut playbook = minimal();
    playbook.folding.burst = 1;
    let mut centre = Centre::with(playbook);
    for n in 0..2 {
        let report =
            Report { text: "噪音扰民".into(), place: at(112.62 + 0.01 * f64::from(n), 26.90), ..Report::default() };
        centre.put_as("app/a", &format!("n{n}"), Body::Report(Box::new(report)));
    }
    let flood = centre.engine.incidents().find(|i| i.flood.is_some()).expect("it was folded").id.clone();
    centre.command(&flood, CommandKind::Order { post: "P-3".into(), role: None });
    let order = centre.live(&flood)[0].clone();
    centre.act(&order, Act::OnScene);
    centre.wait(700);
    assert!(centre.incident(&flood).state.is_open());
}

/// A stood-down post is not ordered again for that incident, and nobody is asked in its place.
#[test]
fn who_was_stood_down_is_not_replaced() {
    let mut centre = Centre::new();
    let call = centre.report("有人晕倒", at(112.64, 26.92));
    let first = centre.live(&call)[0].clone();
    centre.command(&call, CommandKind::StandDown { order: Some(first.clone()), post: None });
    assert!(centre.live(&call).is_empty());
    let post = centre.order(&first).post.clone();
    centre.wait(900);
    assert!(centre.engine.orders_of(&call).filter(|o| o.post == post).count() == 1);
}

/// "Recalled when the incident is controlled"; from then on a missed mark sends and calls nobody.
#[test]
fn a_controlled_incident_sends_and_calls_nobody() {
    let mut centre = Centre::new();
    let fire = centre.report("冒烟", at(112.62, 26.90));
    for order in centre.live(&fire) {
        centre.act(&order, Act::OnScene);
    }
    centre.command(&fire, CommandKind::Controlled);
    // An area left thin is covered on.
    let sent = |centre: &Centre| centre.engine.orders_of(&fire).filter(|o| o.covers.is_none()).count();
    let before = sent(&centre);
    centre.wait(3_600);
    assert_eq!((sent(&centre), centre.incident(&fire).all_call.is_some()), (before, false));
    let answer = centre.command(&fire, CommandKind::AllCall { radius_m: None, volunteers: false });
    assert_eq!(code(&answer), "controlled");
}
