//! Who waits for what became of a message, and what was answered lately.
//!
//! The answer stands in the journal, so it may be told on any node: on the owner's as soon as the step is accepted, on
//! the others when they read it. Whoever waits names the place at which the brokers put the message; the decision may be
//! read before that place is known, so the newest answers are kept for a while, also for whoever asks later.
//!
//! # Bounds
//! `waiting_max` wait at once; beyond it nobody is refused, he is only told where to look later. Of answers, and of refusals
//! by themselves (a flood of what cannot be read must not push out an answer), `kept_max` are kept, the newest.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::journal::Step;
use crate::runtime::{Kept, Outcome};

/// Hears of accepted steps, and tells whoever waits.
pub trait Told: Send + Sync {
    /// This step of this shard is accepted.
    fn accepted(&self, shard: u32, step: &Arc<Step>);
}

/// Who waits, and what was answered.
#[derive(Clone, Debug)]
pub struct Answers {
    state: Arc<Mutex<State>>,
    waiting_max: usize,
}

#[derive(Debug)]
struct State {
    waiting: BTreeMap<Kept, BTreeMap<u64, oneshot::Sender<Outcome>>>,
    waits: usize,
    waits_ever: u64,
    decided: Newest,
    refused: Newest,
}

/// The newest answers.
#[derive(Debug)]
struct Newest {
    max: usize,
    held: BTreeMap<Kept, Outcome>,
    order: VecDeque<Kept>,
}

/// An answer to come; dropped, nobody waits for it any more.
#[derive(Debug)]
pub struct Wait {
    answers: Answers,
    kept: Kept,
    number: u64,
    coming: oneshot::Receiver<Outcome>,
}

/// What there is to say of a message at once.
#[derive(Debug)]
pub enum Found {
    /// What became of it.
    Known(Outcome),
    /// Nothing yet: wait.
    Coming(Wait),
    /// Nothing yet, and too many wait.
    Crowded,
}

impl Answers {
    /// None yet. At most `waiting_max` may wait; of answers and of refusals the newest `kept_max` each are kept.
    #[must_use]
    pub fn new(waiting_max: usize, kept_max: usize) -> Self {
        let newest = || Newest { max: kept_max, held: BTreeMap::new(), order: VecDeque::new() };
        let (waiting, decided, refused) = (BTreeMap::new(), newest(), newest());
        Self { state: Arc::new(Mutex::new(State { waiting, waits: 0, waits_ever: 0, decided, refused })), waiting_max }
    }

    /// What became of a message, or a wait for it.
    #[must_use]
    pub fn wait(&self, kept: Kept) -> Found {
        let mut state = self.lock();
        if let Some(outcome) = state.get(&kept) {
            return Found::Known(outcome);
        }
        if state.waits >= self.waiting_max {
            return Found::Crowded;
        }
        let (tell, coming) = oneshot::channel();
        state.waits += 1;
        state.waits_ever += 1;
        let number = state.waits_ever;
        state.waiting.entry(kept.clone()).or_default().insert(number, tell);
        Found::Coming(Wait { answers: self.clone(), kept, number, coming })
    }

    /// What became of a message, if that is still held.
    #[must_use]
    pub fn get(&self, kept: &Kept) -> Option<Outcome> {
        self.lock().get(kept)
    }

    /// How many wait, and how many may.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        (self.lock().waits, self.waiting_max)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told for Answers {
    fn accepted(&self, shard: u32, step: &Arc<Step>) {
        let kept = |door: &smol_str::SmolStr, offset| Kept { door: door.clone(), partition: shard, offset };
        let taken = step.consumed.taken.iter();
        let decided = taken.filter_map(|t| Some((kept(&t.door, t.offset), Outcome::Decided(t.answer.clone()?))));
        let decided: Vec<_> = decided.collect();
        let refused = step.consumed.refused.iter();
        let refused: Vec<_> = refused.map(|r| (kept(&r.door, r.offset), Outcome::Refused(r.clone()))).collect();
        if decided.is_empty() && refused.is_empty() {
            return;
        }
        let mut state = self.lock();
        for (kept, outcome) in decided {
            state.tell(&kept, &outcome);
            state.decided.put(kept, outcome);
        }
        for (kept, outcome) in refused {
            state.tell(&kept, &outcome);
            state.refused.put(kept, outcome);
        }
    }
}

impl State {
    fn get(&self, kept: &Kept) -> Option<Outcome> {
        self.decided.held.get(kept).or_else(|| self.refused.held.get(kept)).cloned()
    }

    fn tell(&mut self, kept: &Kept, outcome: &Outcome) {
        let waiting = self.waiting.remove(kept).unwrap_or_default();
        self.waits -= waiting.len();
        for tell in waiting.into_values() {
            // Who has given up waiting is told nothing.
            let _ = tell.send(outcome.clone());
        }
    }
}

impl Newest {
    fn put(&mut self, kept: Kept, outcome: Outcome) {
        // The owner's node hears of a step twice.
        if self.max == 0 || self.held.insert(kept.clone(), outcome).is_some() {
            return;
        }
        self.order.push_back(kept);
        if self.order.len() > self.max {
            let oldest = self.order.pop_front();
            oldest.inspect(|kept| _ = self.held.remove(kept));
        }
    }
}

impl Future for Wait {
    type Output = Option<Outcome>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.coming).poll(context).map(Result::ok)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut state = self.answers.lock();
        let Some(waiting) = state.waiting.get_mut(&self.kept) else { return };
        let mine = waiting.remove(&self.number).is_some();
        if waiting.is_empty() {
            state.waiting.remove(&self.kept);
        }
        state.waits -= usize::from(mine);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Answer;
    use crate::journal::{Consumed, Refused, Taken};
    use crate::model::Timestamp;

    fn at(offset: u64) -> Kept {
        Kept { door: "reports".into(), partition: 2, offset }
    }

    fn answer() -> Answer {
        Answer::Applied { incident: None, orders: Vec::new(), repeat: false }
    }

    fn step(offsets: &[u64], answered: bool) -> Arc<Step> {
        let taken = |offset: &u64| Taken {
            door: "reports".into(),
            offset: *offset,
            at: Timestamp(0),
            answer: answered.then(answer),
        };
        let consumed = Consumed { taken: offsets.iter().map(taken).collect(), ..Consumed::default() };
        Arc::new(Step { consumed, ..Step::default() })
    }

    fn coming(found: Found) -> Wait {
        match found {
            Found::Coming(wait) => wait,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn everybody_who_waits_is_told_once_it_is_decided() {
        let answers = Answers::new(10, 10);
        let (first, second) = (coming(answers.wait(at(7))), coming(answers.wait(at(7))));
        answers.accepted(1, &step(&[7], true));
        answers.accepted(2, &step(&[6], true));
        assert_eq!(answers.depth(), (2, 10), "another partition, another place");
        answers.accepted(2, &step(&[7], true));
        assert_eq!(first.await, Some(Outcome::Decided(answer())));
        assert_eq!(second.await, Some(Outcome::Decided(answer())));
        assert_eq!(answers.depth(), (0, 10));
    }

    #[test]
    fn a_decision_that_was_read_first_is_still_known() {
        let answers = Answers::new(10, 2);
        answers.accepted(2, &step(&[1, 2, 3], true));
        answers.accepted(2, &step(&[2, 3], true));
        assert!(matches!(answers.wait(at(3)), Found::Known(Outcome::Decided(_))));
        assert!(matches!(answers.wait(at(2)), Found::Known(_)), "read twice, kept once");
        assert!(matches!(answers.wait(at(1)), Found::Coming(_)), "only the newest two are kept");
        answers.accepted(2, &step(&[4], false));
        assert_eq!(answers.get(&at(4)), None, "nobody could be waiting for it");
    }

    #[test]
    fn a_flood_of_refusals_pushes_out_no_answer() {
        let answers = Answers::new(10, 3);
        answers.accepted(2, &step(&[1], true));
        for offset in 100..200 {
            let detail = String::from("no JSON");
            let refused = Refused { door: "reports".into(), offset, reason: "json".into(), field: None, detail };
            let consumed = Consumed { refused: vec![refused], ..Consumed::default() };
            answers.accepted(2, &Arc::new(Step { consumed, ..Step::default() }));
        }
        assert!(answers.get(&at(1)).is_some());
        assert!(matches!(answers.get(&at(199)), Some(Outcome::Refused(_))));
        assert!(answers.get(&at(150)).is_none());
    }

    #[test]
    fn who_gives_up_makes_room_and_too_many_are_not_refused_but_sent_on() {
        let answers = Answers::new(2, 10);
        let first = coming(answers.wait(at(1)));
        let _second = coming(answers.wait(at(1)));
        assert!(matches!(answers.wait(at(3)), Found::Crowded));
        drop(first);
        let _third = coming(answers.wait(at(3)));
        assert_eq!(answers.depth(), (2, 2));
    }
}
