//! A shard's journal decided again: the recorded inputs, at the recorded instants, through the same engines, must come to
//! the same documents, effects and answers. Pure; who reads the topics is [`super::audit`].
//!
//! What a record does not say is inferred as the shard does it. The shard lets time pass once before each input and once after
//! the last, so a step is: what it says of an outage or of another playbook, then each input at its instant, then what
//! fell due until the step's own. A shard that took over has lost where posts were and reads their positions again;
//! the same is done here at every claim.
//!
//! Where a step cannot be decided again (its inputs are gone from the topics), or came to something else, replay goes on behind
//! it from the documents as they are recorded: one difference is told once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::areas::{Areas, CannotRun, Playbooks, own_key};
use super::inbox::{Content, Message};
use super::partition::partition_of;
use crate::engine::{Answer, Document, Effect, Engine, What};
use crate::journal::{Refused, Step, Taken};
use crate::model::{Body, CommandArea, Timestamp};

/// Where a step that was decided again differs from what is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The step's number.
    pub step: u64,
    /// Where in it, such as `effects[3].order.post`.
    pub at: String,
    /// What is recorded there; `null` where nothing is.
    pub recorded: Value,
    /// What it comes to now.
    pub replayed: Value,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {} differs at {}", self.step, self.at)
    }
}

/// A shard that is decided again.
#[derive(Debug)]
pub struct Replay {
    playbooks: Arc<Playbooks>,
    shard: u32,
    shards: u32,
    effects_max: usize,
    areas: Option<Areas>,
    at: Timestamp,
}

impl Replay {
    /// Of one of so many shards, whose steps take nothing further after so many effects.
    #[must_use]
    pub fn new(playbooks: Arc<Playbooks>, shard: u32, shards: u32, effects_max: usize) -> Self {
        Self { playbooks, shard, shards, effects_max, areas: None, at: Timestamp(0) }
    }

    /// Whether the next step can be decided without [`Replay::begin`].
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.areas.is_some()
    }

    /// The state is that of these documents, whose last step was at `at`; `again` are positions of posts from before.
    ///
    /// # Errors
    /// When a document cannot be read, or a playbook is missing.
    pub fn begin(
        &mut self,
        documents: impl IntoIterator<Item = Document>,
        at: Timestamp,
        again: impl IntoIterator<Item = Message>,
    ) -> Result<(), CannotRun> {
        let (shard, shards) = (self.shard, self.shards);
        let mine = |area: &CommandArea| partition_of(area.as_str().as_bytes(), shards) == shard;
        let mut areas = Areas::restore(&self.playbooks, mine, documents)?;
        let mut unsaid = Vec::new();
        for message in again {
            if let Content::Event(area, event, _) = message.content
                && matches!(event.body, Body::Position(_))
            {
                areas.step(&area, at, *event, None, &mut unsaid);
            }
        }
        (self.areas, self.at) = (Some(areas), at);
        Ok(())
    }

    /// The state is not known: the next step needs [`Replay::begin`].
    pub fn forget(&mut self) {
        self.areas = None;
    }

    /// Decides a step again, from its inputs in the order in which they were taken. The first difference, if there is any.
    ///
    /// # Errors
    /// When it was decided under a playbook that is not known here.
    pub fn step(&mut self, step: &Step, inputs: Vec<Message>) -> Result<Option<Difference>, CannotRun> {
        let Some(mut areas) = self.areas.take() else { return Ok(None) };
        let difference = match self.decide(&mut areas, step, inputs)? {
            Ok(made) => difference(step, &Step { documents: areas.take_changed(), ..made }),
            Err(stuck) => Some(stuck),
        };
        self.at = step.at;
        self.areas = difference.is_none().then_some(areas);
        Ok(difference)
    }

    fn decide(
        &self,
        areas: &mut Areas,
        step: &Step,
        inputs: Vec<Message>,
    ) -> Result<Result<Step, Difference>, CannotRun> {
        let mut made = Step { number: step.number, at: step.at, ..Step::default() };
        // An engine whose time has not come so far takes nothing in.
        let stuck = |at: String, due: Option<Timestamp>| {
            let replayed = due.map_or(Value::Null, |due| due.to_rfc3339().into());
            Difference { step: step.number, at, recorded: Value::Null, replayed }
        };
        if !self.open(areas, step, &mut made.effects)? {
            return Ok(Err(stuck("playbook".to_owned(), areas.next_due())));
        }
        for (ix, (taken, message)) in step.consumed.taken.iter().zip(inputs).enumerate() {
            if !areas.advance(taken.at, self.effects_max, &mut made.effects) {
                return Ok(Err(stuck(format!("taken[{ix}].t"), areas.next_due())));
            }
            let answer = take(areas, taken, message, &mut made.effects, &mut made.consumed.refused);
            made.consumed.taken.push(Taken { answer, ..taken.clone() });
        }
        // At one instant with the last input time is let pass only if the step was not full; the record shows it.
        let last = step.consumed.taken.last().map(|taken| taken.at);
        if last != Some(step.at) || made.effects.len() < step.effects.len() {
            areas.advance(step.at, self.effects_max, &mut made.effects);
        }
        Ok(Ok(made))
    }

    /// What comes before all inputs: that we were not there, and another playbook. False when that cannot come in yet.
    fn open(&self, areas: &mut Areas, step: &Step, effects: &mut Vec<Effect>) -> Result<bool, CannotRun> {
        // The shard's time may have gone on since the last step, without anything to write; the first line says how far.
        let at = entries(&step.effects).next().map_or(self.at, |at| at.max(self.at));
        let swapped = self.swapped(areas, step)?;
        let said = entries_of(&step.effects, |what| matches!(what, What::Outage { .. })).next();
        if let Some(outage) = step.consumed.outage {
            areas.outage(said.unwrap_or(at), outage, effects);
        }
        let owes = areas.next_due().is_some_and(|due| due <= at);
        if owes && !swapped.is_empty() {
            return Ok(false);
        }
        for (area, playbook) in swapped {
            areas.swap_to(&area, at, playbook, effects);
        }
        Ok(true)
    }

    /// The areas that this step puts under another playbook.
    fn swapped(
        &self,
        areas: &Areas,
        step: &Step,
    ) -> Result<Vec<(CommandArea, Arc<crate::playbook::Playbook>)>, CannotRun> {
        let mut swapped = Vec::new();
        for document in &step.documents {
            let Some((area, "head")) = own_key(&document.key) else { continue };
            let own = [Document { key: "head".into(), body: document.body.clone() }];
            let (area, hash) = (CommandArea::from(area), Engine::playbook_hash(&own)?);
            let Some((engine, hash)) = areas.engine(&area).zip(hash) else { continue };
            if engine.playbook().hash != hash {
                let missing = || CannotRun::Playbook { area: area.clone(), hash: hash.clone() };
                let playbook = self.playbooks.by_hash(&area, &hash).ok_or_else(missing)?;
                swapped.push((area.clone(), Arc::clone(playbook)));
            }
        }
        Ok(swapped)
    }
}

/// One input, as the shard takes it. Its answer, if anybody waited for one.
fn take(
    areas: &mut Areas,
    taken: &Taken,
    message: Message,
    effects: &mut Vec<Effect>,
    refused: &mut Vec<Refused>,
) -> Option<Answer> {
    let Message { received, wants_answer, content, .. } = message;
    match content {
        Content::Event(area, mut event, verdict) => {
            event.received = received.min(taken.at);
            let is_position = matches!(event.body, Body::Position(_));
            let answer = areas.step(&area, taken.at, *event, verdict.map(|verdict| *verdict), effects);
            answer.filter(|_| wants_answer && !is_position)
        }
        Content::Foreign(area, event) => {
            effects.push(Effect::Forward(area, event));
            wants_answer.then(|| Answer::applied(None))
        }
        Content::Refused(why) => {
            refused.push(why);
            None
        }
        Content::Again(..) => None,
    }
}

fn entries(effects: &[Effect]) -> impl Iterator<Item = Timestamp> {
    entries_of(effects, |_| true)
}

fn entries_of(effects: &[Effect], is_meant: impl Fn(&What) -> bool) -> impl Iterator<Item = Timestamp> {
    effects.iter().filter_map(move |effect| match effect {
        Effect::Timeline(entry) if is_meant(&entry.what) => Some(entry.at),
        _ => None,
    })
}

/// The first place at which what was made is not what is recorded.
fn difference(recorded: &Step, made: &Step) -> Option<Difference> {
    if recorded.documents == made.documents
        && recorded.effects == made.effects
        && recorded.consumed.taken == made.consumed.taken
        && recorded.consumed.refused == made.consumed.refused
    {
        return None;
    }
    let parts: [(&str, Value, Value); 4] = [
        ("taken", value(&recorded.consumed.taken), value(&made.consumed.taken)),
        ("refused", value(&recorded.consumed.refused), value(&made.consumed.refused)),
        ("effects", value(&recorded.effects), value(&made.effects)),
        ("documents", documents(&recorded.documents), documents(&made.documents)),
    ];
    let (at, recorded_there, replayed) =
        parts.into_iter().find_map(|(name, recorded, made)| first(name, &recorded, &made)).unwrap_or_else(|| {
            // Equal in their JSON and different in memory: numbers beyond what JSON keeps.
            ("documents".to_owned(), Value::Null, Value::Null)
        });
    Some(Difference { step: recorded.number, at, recorded: recorded_there, replayed })
}

fn value(part: &impl serde::Serialize) -> Value {
    serde_json::to_value(part).unwrap_or_default()
}

fn documents(documents: &[Document]) -> Value {
    let body = |document: &Document| {
        document.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default()
    };
    documents
        .iter()
        .map(|document| (document.key.to_string(), body(document)))
        .collect::<BTreeMap<_, Value>>()
        .into_iter()
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The first place, in the order of the record, at which two values differ.
fn first(at: &str, recorded: &Value, made: &Value) -> Option<(String, Value, Value)> {
    if recorded == made {
        return None;
    }
    let none = Value::Null;
    match (recorded, made) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))).collect();
            keys.sort();
            let part =
                |key: &String| first(&format!("{at}.{key}"), a.get(key).unwrap_or(&none), b.get(key).unwrap_or(&none));
            keys.into_iter().find_map(part)
        }
        (Value::Array(a), Value::Array(b)) => (0..a.len().max(b.len()))
            .find_map(|ix| first(&format!("{at}[{ix}]"), a.get(ix).unwrap_or(&none), b.get(ix).unwrap_or(&none))),
        _ => Some((at.to_owned(), recorded.clone(), made.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::verdict;
    use crate::decode::{Limits, decode_structured};
    use crate::playbook::Playbook;

    const AT: Timestamp = Timestamp(1_795_392_000_000);

    fn playbooks() -> Arc<Playbooks> {
        Arc::new(Playbooks::new([Arc::new(Playbook::load(&crate::playbook::minimal_files()).unwrap())]))
    }

    fn message(offset: u64) -> Message {
        let text = format!(
            r#"{{"specversion":"1.0","type":"muster.report","source":"110/1","id":"{offset}",
                "data":{{"text":"商场冒烟 有明火","place":{{"id":"lotus-plaza"}}}}}}"#
        );
        let event = decode_structured(text.as_bytes(), AT, &Limits::default()).unwrap().event;
        let area = CommandArea::from("9900");
        let Body::Report(report) = &event.body else { unreachable!("it is a report") };
        let judged = verdict(playbooks().of(&area).unwrap(), &event.meta, report, AT);
        let content = Content::Event(area, Box::new(event), Some(Box::new(judged)));
        Message {
            door: super::super::inbox::Door::Reports,
            offset,
            received: AT,
            bytes: 0,
            wants_answer: true,
            content,
        }
    }

    /// Two steps, as a shard makes them.
    fn steps() -> Vec<Step> {
        let mut areas = Areas::restore(&playbooks(), |_| true, []).unwrap();
        let step = |number: u64| {
            let at = AT + crate::model::Millis(number * 1_000);
            let mut made = Step { number, at, ..Step::default() };
            areas.advance(at, 1_024, &mut made.effects);
            let taken = Taken { door: "reports".into(), offset: number, at, answer: None };
            let answer = take(&mut areas, &taken, message(number), &mut made.effects, &mut made.consumed.refused);
            made.consumed.taken = vec![Taken { answer, ..taken }];
            made.documents = areas.take_changed();
            made
        };
        (1..=2).map(step).collect()
    }

    fn begun() -> Replay {
        let mut replay = Replay::new(playbooks(), 0, 1, 1_024);
        replay.begin([], Timestamp(0), []).unwrap();
        replay
    }

    #[test]
    fn what_was_decided_comes_out_again() {
        let mut replay = begun();
        for step in steps() {
            assert!(!step.effects.is_empty());
            assert_eq!(replay.step(&step, vec![message(step.number)]).unwrap(), None, "step {}", step.number);
        }
        // From the documents alone, too.
        let steps = steps();
        let mut replay = Replay::new(playbooks(), 0, 1, 1_024);
        assert!(!replay.is_begun());
        replay.begin(steps[0].documents.clone(), steps[0].at, []).unwrap();
        assert_eq!(replay.step(&steps[1], vec![message(2)]).unwrap(), None);
    }

    #[test]
    fn the_first_difference_is_named_with_its_place() {
        let recorded = steps().remove(0);
        let told = |change: &dyn Fn(&mut Step)| {
            let mut step = recorded.clone();
            change(&mut step);
            let mut replay = begun();
            let found = replay.step(&step, vec![message(1)]).unwrap().unwrap();
            assert!(!replay.is_begun(), "what follows is decided from what is recorded");
            (found.step, found.at)
        };
        assert_eq!(told(&|step| step.consumed.taken[0].answer = None), (1, "taken[0].a".to_owned()));
        let (_, at) = told(&|step| _ = step.effects.pop());
        assert!(at.starts_with(&format!("effects[{}]", recorded.effects.len() - 1)), "{at}");
        let (_, at) = told(&|step| {
            let incident = step.documents.iter_mut().find(|document| document.key.contains("incident/"));
            incident.unwrap().body = Some("{}".into());
        });
        assert!(at.starts_with("documents.9900:"), "{at}");
    }

    #[test]
    fn an_unknown_playbook_is_named() {
        let mut step = steps().remove(0);
        for document in step.documents.iter_mut().filter(|document| document.key == "9900:head") {
            let mut head: Value = serde_json::from_str(document.body.as_deref().unwrap()).unwrap();
            head["playbook"] = "another".into();
            document.body = Some(head.to_string().into());
        }
        assert!(matches!(begun().step(&step, vec![message(1)]), Err(CannotRun::Playbook { .. })));
    }
}
