//! The consumer group: it says who *should* own what, never who may write.
//!
//! One consumer a node, on a thread of its own, subscribed to the commands' topic for the sake of its partitions: partition =
//! shard. It fetches nothing (what it is assigned is paused); the shards read their inputs by themselves. A rebalance is
//! handled by hand and its results are checked: what is taken away is released *before* the group hears of it, so that who
//! comes next finds the release in the log and need not wait. A membership that is over (another node took our name, the
//! client gave up, an assignment failed) is followed by another one: what it gave us is given up first.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tracing::{error, info, warn};

use super::client;
use super::clients::Clients;
use super::trouble::{Backoff, Seldom, Trouble};

/// The group's thread comes round at least so often.
const POLL: Duration = Duration::from_millis(100);
/// A membership that is over is followed by another after so long, and ever later.
const AGAIN: Duration = Duration::from_millis(500);
/// But never later than this.
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// Where another node took our name, not before this.
const FENCED: Duration = Duration::from_secs(30);
/// Troubles are told at most so often.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// What the group's word does.
pub trait Members: Send + Sync {
    /// These shards are ours now, beside those that were.
    fn assigned(&self, shards: &BTreeSet<u32>);
    /// These are no longer ours. Returns when they are released, or will not be within the time that a rebalance may take.
    fn revoked(&self, shards: &BTreeSet<u32>);
    /// These are no longer ours, and may be somebody else's already.
    fn lost(&self, shards: &BTreeSet<u32>);
}

/// The node's membership; dropped, it leaves the group.
#[derive(Debug)]
pub struct Group {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Context {
    base: client::Context,
    members: Arc<dyn Members>,
    topic: String,
    held: Mutex<BTreeSet<u32>>,
    /// The group and we no longer believe the same.
    broken: AtomicBool,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.base.log(level, facility, line);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.base.stats_raw(statistics);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.base.generate_oauth_token(config)
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.base.error(error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let shards = self.shards(list);
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let done = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                info!(?shards, "kafka.group_assigned");
                self.count("assigned");
                // Nothing was ever committed, and nothing is fetched: any place will do, as long as nobody is asked for one.
                let placed = list.set_all_offsets(Offset::End);
                let done = if cooperative { consumer.incremental_assign(list) } else { consumer.assign(list) };
                let done = placed.and(done).and_then(|()| consumer.pause(list));
                if done.is_ok() {
                    self.held().extend(&shards);
                    self.members.assigned(&shards);
                }
                done
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                let lost = consumer.assignment_lost();
                info!(?shards, lost, "kafka.group_revoked");
                self.count(if lost { "lost" } else { "revoked" });
                self.held().retain(|shard| !shards.contains(shard));
                if lost {
                    self.members.lost(&shards);
                } else {
                    self.members.revoked(&shards);
                }
                if cooperative { consumer.incremental_unassign(list) } else { consumer.unassign() }
            }
            other => {
                warn!(error = ?other, "kafka.group_rebalance_failed");
                self.count("failed");
                self.broken.store(true, Ordering::Release);
                Ok(())
            }
        };
        if let Err(error) = done {
            // The group believes what we do not hold: it is told by leaving, and asked anew.
            warn!(%error, "kafka.group_assignment_failed");
            self.count("failed");
            self.broken.store(true, Ordering::Release);
        }
    }
}

impl Context {
    fn count(&self, event: &str) {
        if let Some(shown) = self.base.statistics() {
            shown.rebalance(event);
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This membership is over: what it gave us may be somebody else's already.
    fn give_up(&self) {
        let held = std::mem::take(&mut *self.held());
        if !held.is_empty() {
            self.members.lost(&held);
        }
    }

    fn shards(&self, list: &TopicPartitionList) -> BTreeSet<u32> {
        let ours = list.elements().into_iter().filter(|e| e.topic() == self.topic).map(|e| e.partition());
        ours.filter_map(|partition| u32::try_from(partition).ok()).collect()
    }
}

impl Group {
    /// Joins.
    ///
    /// # Errors
    /// When the client refuses its settings, or the system has no thread.
    pub fn join(clients: &Arc<Clients>, members: Arc<dyn Members>) -> anyhow::Result<Self> {
        let consumer = member(clients, &members)?;
        let ends = Arc::new(AtomicBool::new(false));
        let (clients, told) = (Arc::clone(clients), Arc::clone(&ends));
        let run = move || run(consumer, &clients, &members, &told);
        let thread = std::thread::Builder::new().name("group".to_owned()).spawn(run)?;
        Ok(Self { ends, thread: Some(thread) })
    }

    /// Leaves: what we had is revoked first.
    pub fn leave(&mut self) {
        self.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic there has been told already.
            let _ = thread.join();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.leave();
    }
}

type Member = BaseConsumer<Context>;

/// A consumer that asks to be a member.
fn member(clients: &Clients, members: &Arc<dyn Members>) -> Result<Member, KafkaError> {
    let topic = clients.topic("commands");
    let consumer: Member = clients.group(Context {
        base: clients.context(),
        members: Arc::clone(members),
        topic: topic.clone(),
        held: Mutex::default(),
        broken: AtomicBool::new(false),
    })?;
    consumer.subscribe(&[&topic])?;
    Ok(consumer)
}

/// Is a member until it is to end; a membership that is over is followed by another one.
fn run(mut consumer: Member, clients: &Clients, members: &Arc<dyn Members>, ends: &AtomicBool) {
    let mut backoff = Backoff::new(AGAIN, AGAIN_MAX);
    while let Some(why) = stay(&consumer, ends, &mut backoff) {
        error!(%why, "kafka.group_lost: joining anew");
        consumer.context().give_up();
        close(consumer);
        // Whoever has our name now shall keep it for a while: two nodes of one name would throw each other out for ever.
        let fenced = [Some(Code::Fenced), Some(Code::FencedInstanceId)].contains(&why.rdkafka_error_code());
        let mut left = backoff.failed().max(if fenced { FENCED } else { Duration::ZERO });
        consumer = loop {
            while !left.is_zero() && !ends.load(Ordering::Acquire) {
                let nap = POLL.min(left);
                std::thread::sleep(nap);
                left -= nap;
            }
            if ends.load(Ordering::Acquire) {
                return;
            }
            match member(clients, members) {
                Ok(consumer) => break consumer,
                Err(why) => {
                    warn!(%why, "kafka.group_unavailable: trying again");
                    left = backoff.failed();
                }
            }
        };
    }
    // A rebalance that this brings is served while the consumer closes.
    consumer.unsubscribe();
    for _ in 0..20 {
        let _ = consumer.poll(Duration::from_millis(50));
        if consumer.assignment().is_ok_and(|list| list.count() == 0) {
            break;
        }
    }
}

/// Stays a member until told to end (`None`), or until the membership is over: why.
fn stay(consumer: &Member, ends: &AtomicBool, backoff: &mut Backoff) -> Option<KafkaError> {
    let mut told = Seldom::new(TOLD_EVERY);
    while !ends.load(Ordering::Acquire) {
        // What we are assigned is paused; what came between is none of our business.
        match consumer.poll(POLL) {
            Some(Err(error)) if Trouble::of(&error) == Trouble::Fatal => return Some(error),
            Some(Err(error)) => {
                if let Some(kept_back) = told.now() {
                    warn!(%error, kept_back, "kafka.group: going on");
                }
            }
            Some(Ok(_)) | None => {}
        }
        if let Some((code, _)) = consumer.client().fatal_error() {
            return Some(KafkaError::MessageConsumptionFatal(code));
        }
        if consumer.context().broken.load(Ordering::Acquire) {
            return Some(KafkaError::Rebalance(Code::AssignmentLost));
        }
        if !consumer.context().held().is_empty() {
            backoff.worked();
        }
    }
    None
}

/// Closing waits for the group, so it is done elsewhere.
fn close(consumer: Member) {
    let closed = std::thread::Builder::new().name("close-group".to_owned()).spawn(move || drop(consumer));
    if let Err(error) = closed {
        warn!(%error, "kafka.thread_unavailable: closed here");
    }
}
