//! What operators order. Each verb is one arm: the guard first, then the deed, then the answer. A command that cannot be
//! done changes nothing and is written into the timeline with its reason and the way out.

use smol_str::SmolStr;

use super::agenda::Todo;
use super::dispatch::Cause;
use super::lifecycle::{Deed, Ending, allowed};
use super::plan::Opening;
use super::silences::Wanted;
use super::snapshot::Key;
use super::state::{Incident, Order, ReportRecord, STATE_VERSION};
use super::{Actor, Answer, Engine, NoticeKind, Refusal, What};
use crate::model::{
    Act, CategoryId, Classification, Command, CommandKind, DispositionCode, FieldAct, FreeText, IncidentId,
    IncidentState, Lane, Meta, OrderId, OrderState, PlaceRef, PostId, Recall, Report, Role, Severity, Spot, Timestamp,
};
use crate::playbook::Milestone;

impl Engine {
    pub(super) fn command(&mut self, meta: &Meta, received: Timestamp, command: Command) -> Result<Answer, Refusal> {
        let word: SmolStr = command.kind.as_str().into();
        let (by, about, reason) = (Actor::Seat(command.by.clone()), command.incident.clone(), command.reason.clone());
        let result = self.command_of(meta, received, command);
        match &result {
            Err(refusal) => {
                let about = about.filter(|id| self.incidents.contains_key(id));
                self.say(about.as_ref(), by, What::Refused { what: word, refusal: refusal.clone() });
            }
            Ok(Answer::Applied { incident, .. }) => {
                if let Some(words) = reason.filter(|w| !w.is_empty()) {
                    self.say(incident.as_ref(), by, What::Said { order: None, words });
                }
            }
            Ok(_) => {}
        }
        result
    }

    fn command_of(&mut self, meta: &Meta, received: Timestamp, command: Command) -> Result<Answer, Refusal> {
        let by = Actor::Seat(command.by.clone());
        let reason = command.reason;
        let has_reason = reason.as_ref().is_some_and(|r| !r.is_empty());
        if let CommandKind::Create { report, category, severity } = command.kind {
            return self.create(meta, received, &by, *report, category, severity);
        }
        if let CommandKind::TakeNotice { notice } = &command.kind {
            return self.take_notice(notice, by);
        }
        if let CommandKind::Silence { matchers, from, until } = command.kind {
            let (by, reason) = (command.by, reason.unwrap_or_default());
            return self.silence(Wanted { by, reason, matchers, from, until });
        }
        if let CommandKind::Unsilence { silence } = &command.kind {
            return self.unsilence(silence, &command.by);
        }
        let id = self.incident_meant(command.incident, &command.kind)?;
        allowed(&self.incidents[&id].state, Deed::of(&command.kind))?;
        let now = self.now;
        let orders = match command.kind {
            CommandKind::CorrectPlace { place } => self.correct_place(&id, &place, &by)?,
            CommandKind::Reclassify { category, severity } => self.reclassify(&id, category, severity, &by)?,
            CommandKind::Order { post, role } => self.order_named(&id, &post, role, by)?,
            CommandKind::StandDown { order, post } => self.stand_down(&id, order, post)?,
            CommandKind::Confirm => self.confirm(&id),
            CommandKind::Refute { disposition } => self.refute(&id, disposition)?,
            CommandKind::Link { other } => self.link_by_hand(&id, &other, by)?,
            CommandKind::Split { reports } => return self.split(&id, &reports, &by),
            CommandKind::Merge { into } => self.merge(&id, &into)?,
            CommandKind::Hold { mark } => {
                need(has_reason, "no-reason", "reason", "a hold explains a delay, so it needs a reason")?;
                let mark = mark.map(|m| crate::model::MarkName::from(m.as_str()));
                self.known_mark(&id, mark.as_ref())?;
                let incident = self.incident_mut(&id);
                if !incident.holds.contains(&mark) {
                    incident.holds.push(mark.clone());
                }
                self.say(Some(&id), by, What::Held { mark });
                Vec::new()
            }
            CommandKind::AllCall { radius_m, volunteers } => {
                need(has_reason, "no-reason", "reason", "an all-call needs a reason")?;
                self.call_by_hand(&id, radius_m, volunteers)?
            }
            CommandKind::Recall { order: Some(order) } => self.stand_down(&id, Some(order), None)?,
            CommandKind::Recall { order: None } => {
                let runs = self.incidents[&id].all_call.as_ref().is_some_and(|c| c.ended.is_none());
                need(runs, "no-all-call", "incident", "there is no all-call to recall")?;
                self.end_call(&id, "recalled by an operator");
                Vec::new()
            }
            CommandKind::Controlled => {
                self.controlled(&id);
                Vec::new()
            }
            CommandKind::Close { disposition, prevention } => {
                self.known_disposition(&disposition)?;
                let ending = Ending { incident: id.clone(), disposition: Some(disposition), prevention };
                self.finish(IncidentState::Closed, Recall::Ended, ending);
                Vec::new()
            }
            CommandKind::Cancel => {
                let ending = Ending { incident: id.clone(), disposition: None, prevention: false };
                self.finish(IncidentState::Cancelled, Recall::Ended, ending);
                Vec::new()
            }
            CommandKind::Reopen => self.reopen(&id, "reopened by an operator"),
            CommandKind::SignOnBehalf { order, act, words } => {
                self.sign_on_behalf(&id, &order, act, words, received, &by)?
            }
            CommandKind::Create { .. }
            | CommandKind::TakeNotice { .. }
            | CommandKind::Silence { .. }
            | CommandKind::Unsilence { .. } => unreachable!("handled above"),
        };
        if self.incidents[&id].state.is_open() {
            self.take_up(&id, now);
        }
        Ok(Answer::Applied { incident: Some(id), orders, repeat: false })
    }

    /// A hold explains a mark that the plan has.
    fn known_mark(&self, id: &IncidentId, mark: Option<&crate::model::MarkName>) -> Result<(), Refusal> {
        let plan = &self.incidents[id].plan;
        let Some(mark) = mark.filter(|mark| !plan.marks.iter().any(|m| &m.name == *mark)) else { return Ok(()) };
        let known: Vec<_> = plan.marks.iter().map(|m| m.name.as_str()).collect();
        let detail = format!("the plan {} has no mark `{mark}`", plan.id);
        let hint = format!("known are: {}", known.join(", "));
        Err(Refusal::new("unknown-mark", Some("mark"), detail, Some(&hint)))
    }

    /// The incident a command is about: named, or that of the order it names.
    fn incident_meant(&self, named: Option<IncidentId>, kind: &CommandKind) -> Result<IncidentId, Refusal> {
        let from_order = match kind {
            CommandKind::StandDown { order: Some(order), .. }
            | CommandKind::Recall { order: Some(order) }
            | CommandKind::SignOnBehalf { order, .. } => Some(order.incident.clone()),
            _ => None,
        };
        let id = named.or(from_order).ok_or_else(|| {
            Refusal::new(
                "no-incident",
                Some("incident"),
                format!("{} needs an incident", kind.as_str()),
                Some("name it by its id"),
            )
        })?;
        if self.incidents.contains_key(&id) {
            return Ok(id);
        }
        let hint = "open incidents are listed at /v1/incidents; old ones are in the archive and cannot be changed";
        Err(Refusal::new("unknown-incident", Some("incident"), format!("there is no incident {id}"), Some(hint)))
    }

    /// Opens an incident by hand. It is never merged by itself: an operator has seen what there is.
    fn create(
        &mut self,
        meta: &Meta,
        received: Timestamp,
        by: &Actor,
        report: Report,
        category: Option<CategoryId>,
        severity: Option<Severity>,
    ) -> Result<Answer, Refusal> {
        let verdict = crate::classify::verdict(&self.playbook, meta, &report, received);
        let class = self.overridden(&verdict.classification, category, severity)?;
        if let Spot::Foreign(centre) = &verdict.place.spot {
            let detail = format!("the place is in the area of {centre}");
            return Err(Refusal::new("foreign-place", Some("place"), detail, Some("hand it over to that centre")));
        }
        let record = ReportRecord {
            v: STATE_VERSION,
            source: meta.source.clone(),
            event: meta.id.clone(),
            received,
            time: meta.time,
            report,
            place: verdict.place,
            classification: class,
            reason: "created by an operator".into(),
            score: 100,
            folded: false,
        };
        let id = self.open(Opening { meta: meta.clone(), by: by.clone(), record, clock_from: received, flood: None });
        let orders = self.begin(&id, Cause::Plan);
        let now = self.now;
        self.take_up(&id, now);
        Ok(Answer::Applied { incident: Some(id), orders, repeat: false })
    }

    /// A classification with what an operator says put in its place: category, severity, and what follows from them.
    fn overridden(
        &self,
        class: &Classification,
        category: Option<CategoryId>,
        severity: Option<Severity>,
    ) -> Result<Classification, Refusal> {
        let mut new = class.clone();
        if let Some(category) = category.filter(|c| *c != class.category) {
            if !self.playbook.taxonomy.categories.contains_key(&category) {
                let names = self.playbook.taxonomy.categories.keys().map(CategoryId::as_str);
                let near = names.max_by(|a, b| {
                    strsim::jaro_winkler(a, category.as_str()).total_cmp(&strsim::jaro_winkler(b, category.as_str()))
                });
                let hint = near.map(|n| format!("did you mean {n}?"));
                return Err(Refusal::new(
                    "unknown-category",
                    Some("category"),
                    format!("{category} is no category"),
                    hint.as_deref(),
                ));
            }
            // The plan is the one the rules give this category at this severity, or the next one they give it at all.
            let want = severity.unwrap_or(class.severity);
            let rules = || self.playbook.rules.iter().filter(|r| r.category == category);
            let rule = rules().find(|r| r.severity == want).or_else(|| rules().next());
            let Some(rule) = rule.or_else(|| self.rule_of_class(&category)) else {
                let detail = format!("no rule of the playbook gives {category} a plan");
                return Err(Refusal::new(
                    "no-plan",
                    Some("category"),
                    detail,
                    Some("choose a category that a rule knows"),
                ));
            };
            (new.plan, new.rule) = (rule.plan.clone(), rule.id.clone());
            new.category = category;
        }
        new.severity = severity.unwrap_or(new.severity);
        let Some(category) = self.playbook.taxonomy.categories.get(&new.category) else {
            let detail = format!("the playbook in force does not know {} any more", new.category);
            return Err(Refusal::new("unknown-category", Some("category"), detail, Some("name a category it knows")));
        };
        new.trigger_at_once = category.trigger_at_once;
        let urgent = new.severity <= Severity::II && !category.mediation;
        new.lane =
            if urgent || category.bottom_line || category.trigger_at_once { Lane::BottomLine } else { Lane::Ordinary };
        new.modifiers.clear();
        new.playbook = self.playbook.hash.clone();
        Ok(new)
    }

    /// A rule of the same class, for an item that no rule names itself.
    fn rule_of_class(&self, category: &CategoryId) -> Option<&crate::playbook::Rule> {
        let class = &self.playbook.taxonomy.categories.get(category)?.class;
        self.playbook
            .rules
            .iter()
            .find(|r| self.playbook.taxonomy.categories.get(&r.category).is_some_and(|c| &c.class == class))
    }

    fn correct_place(&mut self, id: &IncidentId, place: &PlaceRef, by: &Actor) -> Result<Vec<OrderId>, Refusal> {
        let place = self.playbook.areas.locate(place);
        match &place.spot {
            Spot::Known => {}
            Spot::Unknown => {
                return Err(Refusal::new(
                    "no-place",
                    Some("place"),
                    "that is no usable place".into(),
                    Some("name a key site, a township with its vintage, or a position"),
                ));
            }
            Spot::Foreign(centre) => {
                let detail = format!("that place is in the area of {centre}");
                return Err(Refusal::new(
                    "foreign-place",
                    Some("place"),
                    detail,
                    Some("hand the incident over to that centre"),
                ));
            }
        }
        // The ring and what depends on it are found anew; the report is judged again at its right place.
        let record = self.reports.get(&(id.clone(), 1));
        let judged =
            record.map(|r| crate::classify::classify(&self.playbook, &r.report, &r.source, r.received, &place));
        let mut class = self.incidents[id].classification.clone();
        class.ring = place.ring;
        if let Some(judged) = judged.filter(|j| j.category == class.category) {
            // What raised it at that place is what acted; where an operator or a later report said worse, that stands.
            if judged.severity <= class.severity {
                class.modifiers = judged.modifiers;
            }
            class.severity = class.severity.min(judged.severity);
            class.lane = class.lane.min(judged.lane);
        }
        let unknown = self.incidents[id].place.spot != Spot::Known;
        let why = if unknown { "located" } else { "place corrected" };
        let gone: Vec<u32> = self
            .orders_of(id)
            .filter(|o| o.is_live() && o.state < OrderState::EnRoute && o.covers.is_none() && o.need.is_some())
            .map(|o| o.id.n)
            .collect();
        // Posts that have not set out were chosen for another place: they are asked for anew, once the place is known.
        self.unqueue(id);
        self.take_back(id, &gone, Recall::PlaceCorrected);
        let _ = by;
        Ok(self.evaluate(id, class, Some(place), why))
    }

    fn reclassify(
        &mut self,
        id: &IncidentId,
        category: Option<CategoryId>,
        severity: Option<Severity>,
        by: &Actor,
    ) -> Result<Vec<OrderId>, Refusal> {
        need(
            category.is_some() || severity.is_some(),
            "nothing-new",
            "category",
            "name a category, a severity, or both",
        )?;
        let class = self.overridden(&self.incidents[id].classification.clone(), category, severity)?;
        let _ = by;
        Ok(self.evaluate(id, class, None, "reclassified"))
    }

    fn order_named(
        &mut self,
        id: &IncidentId,
        post: &PostId,
        role: Option<Role>,
        by: Actor,
    ) -> Result<Vec<OrderId>, Refusal> {
        let incident = &self.incidents[id];
        if incident.plan.mediation {
            let detail = format!("{id} is a mediation case; nobody in its plan is a post");
            return Err(Refusal::new(
                "mediation",
                Some("incident"),
                detail,
                Some("danger on the spot is a new incident of its own category"),
            ));
        }
        if incident.state == IncidentState::Controlled {
            return Err(Refusal::new(
                "controlled",
                Some("incident"),
                format!("{id} is controlled"),
                Some("nobody is sent any more; open a new incident"),
            ));
        }
        let unit = self.fleet.get(post).ok_or_else(|| super::acts::unknown_post(post))?;
        let local = self.local(self.now);
        let refuse = |code: &str, detail: String, hint: &str| Err(Refusal::new(code, Some("post"), detail, Some(hint)));
        if !unit.is_on_duty(local) {
            return refuse("off-duty", format!("{post} is not on duty"), "have it report on duty first");
        }
        if unit.tasks.len() > self.playbook.limits.queue_max {
            return refuse(
                "queue-full",
                format!("{post} has {} orders already", unit.tasks.len()),
                "stand it down from one first",
            );
        }
        if self.orders_of(id).any(|o| &o.post == post && o.is_live()) {
            return refuse(
                "already-ordered",
                format!("{post} is ordered to {id} already"),
                "wait for it, or stand it down",
            );
        }
        if incident.orders >= self.playbook.limits.orders_per_incident {
            return refuse(
                "limit-reached",
                format!("{id} has had {} orders", incident.orders),
                "raise limits.orders_per_incident",
            );
        }
        let mut issue = self.by_hand(id, post, role, "operator", by);
        // A real incident takes a post from a drill at once; the drill is served anew, once the post has its order.
        let real = !incident.drill();
        let drills: Vec<OrderId> = unit.tasks.iter().filter(|t| real && t.drill).map(|t| t.order.clone()).collect();
        for drill in &drills {
            self.recall(drill, Recall::PreEmpted);
        }
        issue.weighed = None;
        let order = self.issue(id, issue);
        let robbed = drills.iter().filter(|drill| self.orders[*drill].covers.is_none());
        let robbed: Vec<IncidentId> = robbed.map(|drill| drill.incident.clone()).collect();
        self.serve_each(&robbed, &Cause::Robbed.word());
        Ok(vec![order])
    }

    fn stand_down(
        &mut self,
        id: &IncidentId,
        order: Option<OrderId>,
        post: Option<PostId>,
    ) -> Result<Vec<OrderId>, Refusal> {
        let mine = |o: &&super::state::Order| {
            o.is_live() && order.as_ref().is_none_or(|n| n == &o.id) && post.as_ref().is_none_or(|p| p == &o.post)
        };
        need(order.is_some() || post.is_some(), "no-order", "order", "name the order or the post")?;
        let Some(found) = self.orders_of(id).filter(mine).last().map(|o| o.id.clone()) else {
            let detail = format!("{id} has no such live order");
            return Err(Refusal::new("unknown-order", Some("order"), detail, Some("orders are listed at /v1/orders")));
        };
        // An operator who stands a post down does not ask for another one, unless another was asked for it already.
        let order = &self.orders[&found];
        if let Some(need) = order.need.filter(|_| order.serves()) {
            let run = &mut self.incident_mut(id).needs[usize::from(need)];
            run.wanted = run.wanted.saturating_sub(1);
        }
        self.recall(&found, Recall::StoodDown);
        self.requeue(id);
        // Those who are left may be all that are asked for.
        let now = self.now;
        self.reach_by_orders(id, now);
        Ok(Vec::new())
    }

    fn confirm(&mut self, id: &IncidentId) -> Vec<OrderId> {
        self.verified(id, "confirmed")
    }

    /// Verification is over, one way or the other: posts are ordered, and their marks run from now.
    pub(super) fn verified(&mut self, id: &IncidentId, how: &str) -> Vec<OrderId> {
        let now = self.now;
        self.incident_mut(id).confirmed = Some(now);
        if how == "confirmed" {
            self.reach(id, Milestone::Verified, now, None);
        }
        self.move_to(id, IncidentState::Dispatching);
        self.arm_incident(id, None);
        self.tell_agencies(id, how);
        self.ask(id);
        // A post that was sent to look, or came upon it, may stand there already.
        if self.orders_of(id).any(|o| o.has_been_on_scene() && o.covers.is_none()) {
            self.handling(id);
            self.reach_by_orders(id, now);
        }
        let orders = self.serve(id, &Cause::Verified(how.into()));
        self.call_all_at_severity_one(id);
        orders
    }

    /// Nobody verified in time: never silently dropped, posts are ordered.
    pub(super) fn lapse(&mut self, id: &IncidentId) {
        if self.incidents[id].state != IncidentState::Verifying {
            return;
        }
        self.notice(
            Some(id),
            NoticeKind::VerificationLapsed,
            format!("nobody verified {id} in time; posts are ordered"),
        );
        self.verified(id, "lapsed");
    }

    fn refute(&mut self, id: &IncidentId, disposition: Option<DispositionCode>) -> Result<Vec<OrderId>, Refusal> {
        let default = || self.playbook.dispositions.values().find(|d| d.refuted).map(|d| d.code.clone());
        let Some(code) = disposition.or_else(default) else {
            return Err(Refusal::new(
                "no-disposition",
                Some("disposition"),
                "no code is given".into(),
                Some("name one"),
            ));
        };
        self.known_disposition(&code)?;
        let now = self.now;
        self.reach(id, Milestone::Verified, now, None);
        let ending = Ending { incident: id.clone(), disposition: Some(code), prevention: false };
        self.finish(IncidentState::Closed, Recall::Ended, ending);
        Ok(Vec::new())
    }

    fn known_disposition(&self, code: &DispositionCode) -> Result<(), Refusal> {
        if self.playbook.dispositions.contains_key(code) {
            return Ok(());
        }
        let known: Vec<_> = self.playbook.dispositions.keys().map(DispositionCode::as_str).collect();
        let detail = format!("`{code}` is no disposition of this playbook");
        Err(Refusal::new(
            "unknown-disposition",
            Some("disposition"),
            detail,
            Some(&format!("known are: {}", known.join(", "))),
        ))
    }

    fn link_by_hand(&mut self, id: &IncidentId, other: &IncidentId, by: Actor) -> Result<Vec<OrderId>, Refusal> {
        self.other_incident(id, other, "other")?;
        self.link(id, other, "linked by an operator", None);
        self.say(Some(id), by, What::Linked { other: other.clone(), reason: "by an operator".into() });
        Ok(Vec::new())
    }

    /// Another incident that may be spoken of together with this one: drill and real never mix.
    fn other_incident(&self, id: &IncidentId, other: &IncidentId, field: &str) -> Result<(), Refusal> {
        let refuse = |code: &str, detail: String, hint: &str| Err(Refusal::new(code, Some(field), detail, Some(hint)));
        let Some(there) = self.incidents.get(other) else {
            return refuse(
                "unknown-incident",
                format!("there is no incident {other}"),
                "open incidents are listed at /v1/incidents",
            );
        };
        if other == id {
            return refuse("same-incident", "an incident has nothing to do with itself".into(), "name the other one");
        }
        if there.status != self.incidents[id].status {
            return refuse(
                "drill-and-real",
                format!("{other} and {id} are not both real, or not both drills"),
                "keep them apart",
            );
        }
        Ok(())
    }

    /// Takes reports out into an incident of their own, whose marks run from now.
    fn split(&mut self, id: &IncidentId, numbers: &[u32], by: &Actor) -> Result<Answer, Refusal> {
        let refuse = |detail: String, hint: &str| Err(Refusal::new("no-split", Some("reports"), detail, Some(hint)));
        let mut numbers = numbers.to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.is_empty() || numbers.len() >= self.reports_of(id).count() {
            return refuse(
                "a split takes some of the reports, and leaves some".into(),
                "name the numbers of those to take out",
            );
        }
        let bound = self.playbook.limits.reports_moved;
        if numbers.len() > bound {
            return refuse(format!("{} reports at once", numbers.len()), &format!("take out {bound} at a time"));
        }
        if let Some(missing) = numbers.iter().find(|n| !self.reports.contains_key(&(id.clone(), **n))) {
            return refuse(
                format!("{id} has no report {missing}"),
                "the incident lists its reports with their numbers",
            );
        }
        let mut records = Vec::new();
        for n in &numbers {
            self.touch(Key::Report(id.clone(), *n));
            let record = self.reports.remove(&(id.clone(), *n)).expect("looked up above");
            if record.folded {
                self.incident_mut(id).folded -= 1;
            }
            records.push(ReportRecord { folded: false, reason: "split out".into(), ..record });
        }
        let mut records = records.into_iter();
        let first = records.next().expect("at least one number");
        let meta = Meta {
            source: first.source.clone(),
            id: first.event.clone(),
            time: first.time,
            traceparent: None,
            digest: crate::model::Digest(0),
        };
        let clock_from = self.now;
        let new = self.open(Opening { meta, by: by.clone(), record: first, clock_from, flood: None });
        for record in records {
            self.append_report(&new, record);
        }
        let count = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        self.link(id, &new, "split", None);
        self.say(Some(id), by.clone(), What::Split { into: new.clone(), reports: count });
        let orders = self.begin(&new, Cause::Plan);
        let now = self.now;
        self.take_up(&new, now);
        Ok(Answer::Applied { incident: Some(new), orders, repeat: false })
    }

    /// This incident is that one seen twice: its reports go there, posts that have set out go on for that one.
    fn merge(&mut self, id: &IncidentId, into: &IncidentId) -> Result<Vec<OrderId>, Refusal> {
        self.other_incident(id, into, "into")?;
        if !self.incidents[into].state.is_open() {
            let detail = format!("{into} is {}", self.incidents[into].state);
            return Err(Refusal::new("over", Some("into"), detail, Some("reopen it first")));
        }
        let numbers: Vec<u32> = self.reports_of(id).map(|(n, _)| n).collect();
        let (limits, held) = (&self.playbook.limits, self.reports_of(into).count());
        let full = held + numbers.len() > usize::try_from(limits.reports_per_incident).unwrap_or(usize::MAX);
        if full || numbers.len() > limits.reports_moved {
            let detail = format!("{id} has {} reports, {into} has {held}", numbers.len());
            return Err(Refusal::new("too-many-reports", Some("into"), detail, Some("link the two instead")));
        }
        for n in &numbers {
            self.touch(Key::Report(id.clone(), *n));
            let record = self.reports.remove(&(id.clone(), *n)).expect("listed just now");
            self.append_report(into, ReportRecord { reason: "merged by an operator".into(), ..record });
        }
        let reports = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        // What is about to end is served by nobody any more.
        self.stop_waiting(id);
        Ok(self.merge_orders(id, into, reports))
    }

    /// Posts that have set out for a duplicate go on for the other incident, one after the other; then the duplicate ends.
    /// Returns the orders issued in this step.
    pub(super) fn merge_orders(&mut self, id: &IncidentId, into: &IncidentId, reports: u32) -> Vec<OrderId> {
        let mut orders = Vec::new();
        let goes_on = |o: &&Order| o.is_live() && o.state >= OrderState::EnRoute && o.covers.is_none();
        let moving: Vec<Order> = self.orders_of(id).filter(goes_on).cloned().collect();
        for order in moving {
            if !self.orders[&order.id].is_live() {
                continue;
            }
            if self.enough() {
                self.leave(Todo::Merge { incident: id.clone(), into: into.clone(), reports });
                return orders;
            }
            let room = self.incidents[into].orders < self.playbook.limits.orders_per_incident;
            if room && !self.orders_of(into).any(|o| o.post == order.post && o.is_live()) {
                let issue = self.by_hand(into, &order.post, Some(order.role), "merged", Actor::Engine);
                orders.push(self.hand_over(&order.id, into, issue, Recall::Merged));
            } else {
                self.recall(&order.id, Recall::Merged);
            }
        }
        let ending = Ending { incident: id.clone(), disposition: None, prevention: false };
        self.finish(IncidentState::DuplicateOf(into.clone()), Recall::Merged, ending);
        if self.must_wait() {
            self.leave(Todo::Merged { incident: id.clone(), into: into.clone(), reports });
        } else {
            orders.extend(self.merged(id, into, reports));
        }
        orders
    }

    /// The duplicate has ended: the other incident learns what it knew.
    pub(super) fn merged(&mut self, id: &IncidentId, into: &IncidentId, reports: u32) -> Vec<OrderId> {
        self.say(Some(into), Actor::Engine, What::Merged { from: id.clone(), reports });
        self.link(id, into, "merged", None);
        let Incident { classification, place, .. } = self.incidents[id].clone();
        self.learn(into, &classification, &place)
    }

    fn call_by_hand(
        &mut self,
        id: &IncidentId,
        radius_m: Option<f64>,
        volunteers: bool,
    ) -> Result<Vec<OrderId>, Refusal> {
        let refuse =
            |code: &str, detail: String, hint: &str| Err(Refusal::new(code, Some("incident"), detail, Some(hint)));
        let incident = &self.incidents[id];
        if incident.plan.mediation {
            return refuse(
                "mediation",
                format!("{id} is a mediation case; it takes no all-call"),
                "danger on the spot is a new incident",
            );
        }
        if incident.all_call.as_ref().is_some_and(|c| c.ended.is_none()) {
            return refuse("all-call-runs", format!("an all-call for {id} is running"), "recall it first");
        }
        if incident.all_call.as_ref().is_some_and(super::state::AllCall::has_work) {
            let detail = format!("the all-call for {id} that was recalled is still being taken back");
            return refuse("all-call-ends", detail, "call again in a moment");
        }
        if incident.state == IncidentState::Controlled {
            return refuse(
                "controlled",
                format!("{id} is controlled"),
                "nobody is called any more; open a new incident",
            );
        }
        if incident.place.position.is_none() {
            return refuse("no-place", format!("{id} has no place"), "correct its place first");
        }
        let radius = radius_m.unwrap_or(incident.plan.all_call_radius_m);
        need(
            radius.is_finite() && (1.0..=100_000.0).contains(&radius),
            "bad-radius",
            "radius_m",
            "a radius lies between 1 m and 100 km",
        )?;
        self.start_call(id, "an operator's word", radius, volunteers);
        Ok(Vec::new())
    }

    fn sign_on_behalf(
        &mut self,
        id: &IncidentId,
        order: &OrderId,
        act: Option<Act>,
        words: FreeText,
        received: Timestamp,
        by: &Actor,
    ) -> Result<Vec<OrderId>, Refusal> {
        let Some(found) = self.orders.get(order).filter(|o| &o.id.incident == id) else {
            let detail = format!("{id} has no order {order}");
            return Err(Refusal::new("unknown-order", Some("order"), detail, Some("orders are listed at /v1/orders")));
        };
        need(!words.is_empty(), "no-words", "words", "write down what the unit said")?;
        let act = act.unwrap_or(Act::Signed);
        let speaks =
            matches!(act, Act::Signed | Act::Declined | Act::EnRoute | Act::OnScene | Act::FirstReport | Act::Cleared);
        need(
            speaks,
            "bad-act",
            "act",
            "on behalf of a unit: signed, declined, en_route, on_scene, first_report or cleared",
        )?;
        let told = FieldAct {
            post: found.post.clone(),
            act,
            order: Some(order.clone()),
            incident: None,
            reason: Some(words),
            done_at: None,
            report: None,
        };
        self.act_on_order(order, act, received, &told, Some(by))?;
        Ok(Vec::new())
    }

    fn take_notice(&mut self, notice: &SmolStr, by: Actor) -> Result<Answer, Refusal> {
        let open = self.notices.get(notice);
        let about = open.and_then(|n| n.incident.clone());
        let gap = open.is_some_and(|n| n.kind == NoticeKind::NobodyReached);
        if !self.drop_notice(notice) {
            let detail = format!("no notice {notice} waits to be taken");
            return Err(Refusal::new(
                "unknown-notice",
                Some("notice"),
                detail,
                Some("open notices are listed at /v1/notices"),
            ));
        }
        self.say(about.as_ref(), by, What::NoticeTaken { notice: notice.clone() });
        if let Some(id) = &about {
            let now = self.now;
            if self.incidents.get(id).is_some_and(|i| i.state.is_open()) {
                self.take_up(id, now);
                if gap {
                    self.take_gaps(id);
                }
            }
        }
        Ok(Answer::applied(about))
    }
}

fn need(there: bool, code: &str, field: &str, hint: &str) -> Result<(), Refusal> {
    if there {
        Ok(())
    } else {
        Err(Refusal::new(code, Some(field), format!("{field} is missing or wrong"), Some(hint)))
    }
}
