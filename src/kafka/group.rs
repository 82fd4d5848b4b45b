//! The consumer group: it says who *should* own what, never who may write.
//!
//! One consumer a node, on a thread of its own, subscribed to the commands' topic for the sake of its partitions: partition =
//! shard. It fetches nothing (what it is assigned is paused); the shards read their inputs by themselves. A rebalance is
//! handled by hand and its results are checked: what is taken away is released *before* the group hears of it, so that who
//! comes next finds the release in the log and need not wait.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tracing::{info, warn};

use super::client;
use super::clients::Clients;

/// The group's thread comes round at least so often.
const POLL: Duration = Duration::from_millis(100);

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
                // Nothing was ever committed, and nothing is fetched: any place will do, as long as nobody is asked for one.
                let placed = list.set_all_offsets(Offset::End);
                let done = if cooperative { consumer.incremental_assign(list) } else { consumer.assign(list) };
                let done = placed.and(done).and_then(|()| consumer.pause(list));
                if done.is_ok() {
                    self.members.assigned(&shards);
                }
                done
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                let lost = consumer.assignment_lost();
                info!(?shards, lost, "kafka.group_revoked");
                if lost {
                    self.members.lost(&shards);
                } else {
                    self.members.revoked(&shards);
                }
                if cooperative { consumer.incremental_unassign(list) } else { consumer.unassign() }
            }
            other => {
                warn!(error = ?other, "kafka.group_rebalance_failed: giving up what we had");
                self.members.lost(&shards);
                consumer.unassign()
            }
        };
        if let Err(error) = done {
            // The group believes what we do not hold: it is told by leaving, and asked anew.
            warn!(%error, "kafka.group_assignment_failed");
            self.members.lost(&shards);
        }
    }
}

impl Context {
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
    pub fn join(clients: &Clients, members: Arc<dyn Members>) -> anyhow::Result<Self> {
        let topic = clients.topic("commands");
        let consumer: BaseConsumer<Context> =
            clients.group(Context { base: clients.context(), members, topic: topic.clone() })?;
        consumer.subscribe(&[&topic])?;
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let thread = std::thread::Builder::new().name("group".to_owned()).spawn(move || run(&consumer, &told))?;
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

fn run(consumer: &BaseConsumer<Context>, ends: &AtomicBool) {
    while !ends.load(Ordering::Acquire) {
        // What we are assigned is paused; what came between is none of our business.
        if let Some(Err(error)) = consumer.poll(POLL) {
            warn!(%error, "kafka.group: going on");
        }
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
