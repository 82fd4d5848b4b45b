//! A journal that lasts as long as its [`Store`]: for demonstrations that leave nothing behind, and as the plainest
//! model of the contract, against which the others are held.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smol_str::SmolStr;

use super::sqlite::out_of_order;
use super::{Error, Journal, Reader, Readers, Restored, Step};
use crate::engine::Document;
use crate::model::Timestamp;

/// What a journal in memory holds; outlives it, as a disk would.
#[derive(Clone, Debug, Default)]
pub struct Store(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    last: Option<(u64, Timestamp)>,
    alive: Option<Timestamp>,
    positions: BTreeMap<SmolStr, u64>,
    documents: BTreeMap<SmolStr, Document>,
    unemitted: Vec<Arc<Step>>,
}

/// A journal in memory.
#[derive(Debug, Default)]
pub struct Memory(Store);

impl Store {
    /// The journal on this store. One writer at a time, as for any journal.
    #[must_use]
    pub fn journal(&self) -> Memory {
        Memory(self.clone())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn apply(&mut self, step: &Arc<Step>) {
        self.last = Some((step.number, step.at));
        self.positions.extend(step.positions.iter().map(|(name, next)| (name.clone(), *next)));
        for document in &step.documents {
            match document.body {
                Some(_) => _ = self.documents.insert(document.key.clone(), document.clone()),
                None => _ = self.documents.remove(&document.key),
            }
        }
        self.unemitted.push(Arc::clone(step));
    }
}

impl Journal for Memory {
    fn restore(&mut self) -> Result<Restored, Error> {
        let held = self.0.held();
        Ok(Restored {
            last: held.last,
            alive: held.alive,
            positions: held.positions.clone(),
            documents: held.documents.values().cloned().collect(),
            unemitted: held.unemitted.clone(),
        })
    }

    fn append(&mut self, steps: &[Arc<Step>]) -> Result<(), Error> {
        let mut held = self.0.held();
        let mut last = held.last;
        for step in steps {
            if let Some(why) = out_of_order(last, step) {
                return Err(Error::Fatal(why));
            }
            last = Some((step.number, step.at));
        }
        for step in steps {
            held.apply(step);
        }
        Ok(())
    }

    fn note(&mut self, emitted: u64, alive: Timestamp) -> Result<(), Error> {
        let mut held = self.0.held();
        held.alive = Some(alive);
        held.unemitted.retain(|step| step.number > emitted);
        Ok(())
    }

    fn readers(&self) -> Readers {
        let store = self.0.clone();
        Box::new(move || Ok(Box::new(store.clone()) as Box<dyn Reader>))
    }

    fn close(self: Box<Self>) -> Result<(), Error> {
        Ok(())
    }
}

impl Reader for Store {
    fn state(&mut self) -> Result<(u64, Vec<Document>), Error> {
        let held = self.held();
        Ok((held.last.map_or(0, |(number, _)| number), held.documents.values().cloned().collect()))
    }

    fn unemitted(&mut self, number: u64, max: usize) -> Result<Vec<Arc<Step>>, Error> {
        let held = self.held();
        Ok(held.unemitted.iter().filter(|step| step.number > number).take(max).cloned().collect())
    }
}
