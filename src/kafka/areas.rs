//! The running state of a shard: one engine a command area, stepped together and committed as one.
//!
//! A shard holds whole command areas, so nothing in one of its engines depends on another; they share the shard's step,
//! its clock and its place in the log. Their documents share one journal: a document's key there is
//! `<command area>:<key>`.
//!
//! It is made from the fold of accepted steps and from nothing else, and is dropped whole when anything is odd.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::engine::{Answer, Document, Effect, Engine, Input, Outage, RestoreError};
pub use crate::journal::{own_key, shared_key};
use crate::model::{CommandArea, Event, Timestamp, Verdict};
use crate::playbook::Playbook;

/// The playbooks a node knows: of each command area one that is wanted, and others that open incidents may still follow.
#[derive(Clone, Debug, Default)]
pub struct Playbooks {
    by_hash: BTreeMap<(CommandArea, SmolStr), Arc<Playbook>>,
    wanted: BTreeMap<CommandArea, Arc<Playbook>>,
}

impl Playbooks {
    /// These playbooks. Where several are for one command area, the last is the one that is wanted.
    #[must_use]
    pub fn new(playbooks: impl IntoIterator<Item = Arc<Playbook>>) -> Self {
        let mut all = Self::default();
        for playbook in playbooks {
            let area = playbook.head.command_area.clone();
            all.by_hash.insert((area.clone(), playbook.hash.clone()), Arc::clone(&playbook));
            all.wanted.insert(area, playbook);
        }
        all
    }

    /// The command areas, each with the playbook that is wanted for it.
    pub fn wanted(&self) -> impl Iterator<Item = (&CommandArea, &Arc<Playbook>)> {
        self.wanted.iter()
    }

    /// The playbook of a command area that has this hash.
    #[must_use]
    pub fn by_hash(&self, area: &CommandArea, hash: &SmolStr) -> Option<&Arc<Playbook>> {
        self.by_hash.get(&(area.clone(), hash.clone()))
    }

    /// The playbook that is wanted for a command area.
    #[must_use]
    pub fn of(&self, area: &CommandArea) -> Option<&Arc<Playbook>> {
        self.wanted.get(area)
    }
}

/// Why a running state cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotRun {
    /// What was accepted cannot be read.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The playbook in force is not here: whoever decides must have it.
    #[error(
        "the playbook in force in command area {area} has the hash {hash}, which is not among those of this node; \
         add its folder to [kafka] playbooks"
    )]
    Playbook {
        /// The command area.
        area: CommandArea,
        /// The hash in force.
        hash: SmolStr,
    },
    /// Nobody here knows the command area.
    #[error(
        "the journal holds command area {0}, for which this node has no playbook; add its folder to [kafka] playbooks"
    )]
    Area(CommandArea),
    /// A document of no command area.
    #[error("the journal holds a document with the key `{0}`, which names no command area")]
    Key(SmolStr),
}

/// The running state of a shard.
#[derive(Debug)]
pub struct Areas {
    engines: BTreeMap<CommandArea, Engine>,
}

impl Areas {
    /// The state whose documents these are; `mine` says which command areas belong to this shard.
    ///
    /// # Errors
    /// When a document cannot be read, or a playbook in force is missing.
    pub fn restore(
        playbooks: &Playbooks,
        mine: impl Fn(&CommandArea) -> bool,
        documents: impl IntoIterator<Item = Document>,
    ) -> Result<Self, CannotRun> {
        let mut held: BTreeMap<CommandArea, Vec<Document>> = BTreeMap::new();
        for Document { key, body } in documents {
            let (area, own) = own_key(&key).ok_or_else(|| CannotRun::Key(key.clone()))?;
            held.entry(area.into()).or_default().push(Document { key: own.into(), body });
        }
        let mut engines = BTreeMap::new();
        for (area, documents) in held {
            let playbook = in_force(playbooks, &area, &documents)?;
            engines.insert(area, Engine::restore(playbook, documents)?);
        }
        for (area, playbook) in playbooks.wanted().filter(|(area, _)| mine(area)) {
            engines.entry(area.clone()).or_insert_with(|| Engine::new(Arc::clone(playbook)));
        }
        Ok(Self { engines })
    }

    // In

    /// Lets time pass in one area after the other, until there are `effects_max` effects. Whether everything due by then has been
    /// fired.
    pub fn advance(&mut self, to: Timestamp, effects_max: usize, effects: &mut Vec<Effect>) -> bool {
        let due = |engine: &Engine| engine.now() == Timestamp(0) || engine.next_due().is_some_and(|due| due <= to);
        let mut engines = self.engines.values_mut().filter(|engine| due(engine));
        engines.all(|engine| effects.len() < effects_max && engine.advance(to, effects))
    }

    /// Steps one event of an area; `None` when the area is none of ours.
    pub fn step(
        &mut self,
        area: &CommandArea,
        at: Timestamp,
        event: Event,
        verdict: Option<Verdict>,
        effects: &mut Vec<Effect>,
    ) -> Option<Answer> {
        let engine = self.engines.get_mut(area)?;
        Some(engine.step(at, Input::Event(Box::new(event), verdict.map(Box::new)), effects))
    }

    /// We were not there: said in every area.
    pub fn outage(&mut self, at: Timestamp, outage: Outage, effects: &mut Vec<Effect>) {
        for engine in self.engines.values_mut() {
            engine.step(at, Input::Outage(outage), effects);
        }
    }

    /// The clock on the wall was set: said in every area.
    pub fn wall_set(&mut self, at: Timestamp, by_ms: i64, effects: &mut Vec<Effect>) {
        for engine in self.engines.values_mut() {
            engine.step(at, Input::WallSet(by_ms), effects);
        }
    }

    /// Puts the wanted playbook in force wherever another one is. The areas in which it changed.
    pub fn swap(&mut self, at: Timestamp, playbooks: &Playbooks, effects: &mut Vec<Effect>) -> Vec<CommandArea> {
        let mut swapped = Vec::new();
        for (area, engine) in &mut self.engines {
            let Some(wanted) = playbooks.of(area).filter(|wanted| wanted.hash != engine.playbook().hash) else {
                continue;
            };
            engine.step(at, Input::Playbook(Arc::clone(wanted)), effects);
            swapped.push(area.clone());
        }
        swapped
    }

    /// Puts this playbook in force in one area. An area in which nothing has happened yet begins with it.
    pub fn swap_to(&mut self, area: &CommandArea, at: Timestamp, playbook: Arc<Playbook>, effects: &mut Vec<Effect>) {
        match self.engines.get_mut(area) {
            Some(engine) if engine.now() == Timestamp(0) => *engine = Engine::new(playbook),
            Some(engine) => _ = engine.step(at, Input::Playbook(playbook), effects),
            None => {}
        }
    }

    // Out

    /// The documents changed since the last call, under their keys in the shard's journal.
    pub fn take_changed(&mut self) -> Vec<Document> {
        let mut changed = Vec::new();
        for (area, engine) in &mut self.engines {
            let documents = engine.take_changed().into_iter();
            changed.extend(documents.map(|d| Document { key: shared_key(area, &d.key), body: d.body }));
        }
        changed
    }

    /// The next instant at which something falls due.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.engines.values().filter_map(Engine::next_due).min()
    }

    // Look

    /// The engine of a command area.
    #[must_use]
    pub fn engine(&self, area: &CommandArea) -> Option<&Engine> {
        self.engines.get(area)
    }

    /// The command area of a shard that has only one.
    #[must_use]
    pub fn only(&self) -> Option<&CommandArea> {
        let mut areas = self.engines.keys();
        areas.next().filter(|_| areas.next().is_none())
    }
}

/// The playbook that decided last: the head says its hash.
fn in_force(playbooks: &Playbooks, area: &CommandArea, documents: &[Document]) -> Result<Arc<Playbook>, CannotRun> {
    let wanted = playbooks.of(area).ok_or_else(|| CannotRun::Area(area.clone()))?;
    let Some(hash) = Engine::playbook_hash(documents)? else { return Ok(Arc::clone(wanted)) };
    playbooks.by_hash(area, &hash).cloned().ok_or_else(|| CannotRun::Playbook { area: area.clone(), hash })
}
