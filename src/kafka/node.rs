//! A node: the shards that are ours, started and ended as the group says.
//!
//! A shard's thread lives as long as its assignment. It begins from a warm copy where the follower has one, else from the
//! log. What is taken away is released before the group goes on, within a bounded time; a shard that cannot release in
//! time (its brokers are away) is overruled by the next owner's epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{error, warn};

use super::answers::Told;
use super::areas::Playbooks;
use super::clients::Clients;
use super::group::Members;
use super::inputs::Inputs;
use super::mailbox::{Mail, Mailbox};
use super::outgoing::Making;
use super::outputs::Outputs;
use super::reading::Reading;
use super::shard::{Folds, Parts, Shard, ShardOptions, Watch};
use super::trim::Trimming;
use crate::decode::Limits;
use crate::journal::log::{Owner, OwnerName};
use crate::model::{Millis, Timestamp};
use crate::runtime::Clock;

/// Bytes of messages that may lie between a shard and the thread that reads for it.
const MAIL_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A shard that was taken from us is left to others for so long, though nobody owns it.
const LEFT_TO_OTHERS: Millis = Millis(15_000);
/// A rebalance waits for a release at most so long.
const RELEASED_WITHIN: Duration = Duration::from_secs(3);

/// What a node is made of.
pub struct NodeParts {
    /// Its name: the same at every start.
    pub name: String,
    /// Shards of the whole.
    pub shards: u32,
    /// Bounds of a shard.
    pub options: ShardOptions,
    /// The playbooks.
    pub playbooks: Arc<Playbooks>,
    /// Clients of the brokers.
    pub clients: Arc<Clients>,
    /// What time it is.
    pub clock: Clock,
    /// Bounds of an event.
    pub limits: Limits,
    /// Who hears of what shards do.
    pub watch: Arc<dyn Watch>,
    /// Who waits for answers.
    pub told: Arc<dyn Told>,
    /// Where folds come from.
    pub folds: Arc<dyn Folds>,
    /// Whether incidents and posts are told to other systems.
    pub projections: bool,
    /// What a restore has not needed for so long is deleted from the journal.
    pub trim_after: Millis,
    /// Anything that differs between starts.
    pub chance: u64,
}

/// The shards of this node.
pub struct Node {
    parts: NodeParts,
    outputs: Outputs,
    trimming: Trimming,
    shards: Mutex<BTreeMap<u32, Working>>,
    /// Shards that were taken from us, and when.
    given: Mutex<BTreeMap<u32, Timestamp>>,
}

struct Working {
    mailbox: Arc<Mailbox>,
    thread: JoinHandle<()>,
}

impl Node {
    /// A node that owns nothing yet.
    ///
    /// # Errors
    /// When a client refuses its settings, or the system has no thread.
    pub fn new(parts: NodeParts) -> anyhow::Result<Self> {
        let making =
            Making { clients: Arc::clone(&parts.clients), shards: parts.shards, projections: parts.projections };
        let outputs = Outputs::start(making, Arc::clone(&parts.watch))?;
        let (clients, clock, watch) = (Arc::clone(&parts.clients), parts.clock.clone(), Arc::clone(&parts.watch));
        let trimming = Trimming::start(clients, clock, parts.trim_after, watch)?;
        Ok(Self { parts, outputs, trimming, shards: Mutex::default(), given: Mutex::default() })
    }

    /// A shard that nobody owns may be ours until the group has decided.
    pub fn free(&self, shard: u32) {
        let fresh = !self.lock().contains_key(&shard);
        self.say(shard, Mail::Free, fresh);
    }

    /// Whether a shard that nobody owns may be ours: we have not had it lately.
    #[must_use]
    pub fn may_borrow(&self, shard: u32) -> bool {
        let now = self.parts.clock.now();
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.retain(|_, at| now.since(*at) < LEFT_TO_OTHERS);
        let working = self.lock().get(&shard).is_some_and(|working| !working.thread.is_finished());
        !working && !given.contains_key(&shard)
    }

    /// A number that differs between nodes and shards.
    #[must_use]
    pub fn patience(&self, shard: u32) -> u32 {
        let mixed = self.parts.chance.rotate_left(shard % 64) ^ self.parts.chance.rotate_left(32);
        u32::try_from(mixed & 0xffff).unwrap_or_default()
    }

    /// Ends all shards, each with its release.
    pub fn stop(&self) {
        let all: BTreeSet<u32> = self.lock().keys().copied().collect();
        self.give(&all);
        self.end(&all, RELEASED_WITHIN);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Working>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something to a shard, whose thread is started if it may be.
    fn say(&self, shard: u32, mail: Mail, start: bool) {
        let mut shards = self.lock();
        if shards.get(&shard).is_some_and(|working| working.thread.is_finished()) {
            shards.remove(&shard);
        }
        if !shards.contains_key(&shard) && start {
            match self.start(shard) {
                Ok(working) => _ = shards.insert(shard, working),
                Err(error) => {
                    error!(%error, shard, "kafka.shard_not_started");
                    return;
                }
            }
        }
        if let Some(working) = shards.get(&shard) {
            working.mailbox.say(mail);
        }
    }

    fn start(&self, shard: u32) -> anyhow::Result<Working> {
        let p = &self.parts;
        let mailbox = Arc::new(Mailbox::new(MAIL_BYTES_MAX));
        let reading =
            Reading { playbooks: Arc::clone(&p.playbooks), shard, shards: p.shards, limits: p.limits.clone() };
        let inputs = Inputs::start(Arc::clone(&p.clients), reading, Arc::clone(&mailbox), p.clock.clone())?;
        let parts = Parts {
            shard,
            shards: p.shards,
            options: p.options.clone(),
            playbooks: Arc::clone(&p.playbooks),
            clients: Arc::clone(&p.clients),
            clock: p.clock.clone(),
            mailbox: Arc::clone(&mailbox),
            inputs,
            emitter: self.outputs.emitter(shard, Arc::clone(&mailbox)),
            watch: Arc::clone(&p.watch),
            told: Arc::clone(&p.told),
            trimmer: self.trimming.trimmer(),
            folds: Arc::clone(&p.folds),
        };
        // Anew at every start of a thread: no two of them ever write under one name.
        let chance = p.chance ^ (p.clock.now().0.unsigned_abs().rotate_left(17) + u64::from(shard));
        let name = OwnerName::new(&format!("{}/{shard}/{chance:016x}", p.name));
        let owner = Owner::new(name, p.shards, p.options.owner.clone(), chance);
        let work = move || Shard::new(parts, owner).run();
        let thread = std::thread::Builder::new().name(format!("shard-{shard}")).spawn(work)?;
        Ok(Working { mailbox, thread })
    }

    fn give(&self, shards: &BTreeSet<u32>) {
        let now = self.parts.clock.now();
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.extend(shards.iter().map(|shard| (*shard, now)));
    }

    /// Ends shards, and waits for them at most so long.
    fn end(&self, shards: &BTreeSet<u32>, within: Duration) {
        let ending: Vec<(u32, Working)> = {
            let mut all = self.lock();
            shards.iter().filter_map(|shard| all.remove_entry(shard)).collect()
        };
        for (_, working) in &ending {
            working.mailbox.say(Mail::Stop);
        }
        let mut left = within;
        for (shard, working) in ending {
            while !working.thread.is_finished() && !left.is_zero() {
                let nap = Duration::from_millis(5).min(left);
                std::thread::sleep(nap);
                left -= nap;
            }
            if !working.thread.is_finished() {
                warn!(shard, "kafka.release_late: the next owner's epoch overrules it");
            }
        }
    }
}

impl Members for Node {
    fn assigned(&self, shards: &BTreeSet<u32>) {
        for shard in shards {
            self.say(*shard, Mail::Assign, true);
        }
    }

    fn revoked(&self, shards: &BTreeSet<u32>) {
        self.give(shards);
        self.end(shards, RELEASED_WITHIN);
    }

    fn lost(&self, shards: &BTreeSet<u32>) {
        self.give(shards);
        self.end(shards, Duration::ZERO);
    }
}
