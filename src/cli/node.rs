//! A node on Kafka, all parts put together.
//!
//! # The end, on the parts that take part in it
//! `node`: each shard is released, so that its next owner need not wait. `group`: left after that. What is under way on
//! the topics was accepted; what of it has not arrived is sent again by the next owner.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tracing::info;

use crate::config::{Config, playbook};
use crate::decode::Limits;
use crate::journal::Step;
use crate::journal::log::{Phase, Stand};
use crate::kafka::answers::Told;
use crate::kafka::areas::Playbooks;
use crate::kafka::clients::Clients;
use crate::kafka::folds::LogFolds;
use crate::kafka::group::Group;
use crate::kafka::node::{Node, NodeParts};
use crate::kafka::shard::{Depth, ShardOptions, Watch};
use crate::kafka::topics;
use crate::model::Millis;
use crate::runtime::Clock;
use crate::telemetry::Metrics;

/// A node at work.
pub struct OnKafka {
    node: Arc<Node>,
    group: Group,
}

impl OnKafka {
    /// Starts everything. Waits for brokers, within bounds.
    ///
    /// # Errors
    /// When the brokers do not answer, the topics do not fit, or a playbook cannot be used.
    pub fn start(config: &Config, metrics: Arc<Metrics>, told: Arc<dyn Told>) -> anyhow::Result<Self> {
        let layout = topics::verify(&config.kafka)?;
        let playbooks = playbooks(config)?;
        let clients = Arc::new(Clients::new(config.kafka.clone()));
        let name = config.kafka.member_name()?;
        let node = Node::new(NodeParts {
            name: name.clone(),
            shards: layout.partitions,
            options: ShardOptions {
                outage_min: config.runtime.outage_min,
                record_bytes_max: usize::try_from(config.kafka.record_bytes_max).unwrap_or(usize::MAX),
                ..ShardOptions::default()
            },
            projections: config.kafka.projections,
            trim_after: config.kafka.trim_after,
            playbooks: Arc::new(playbooks),
            clients: Arc::clone(&clients),
            clock: Clock::wall(),
            limits: Limits { element_bytes_max: config.http.element_bytes_max.get(), ..Limits::default() },
            watch: Arc::new(Shown { metrics, phases: Mutex::default() }),
            told,
            folds: Arc::new(LogFolds::new(Arc::clone(&clients), layout.partitions, None)),
            // Seeded by the system, anew at every start.
            chance: RandomState::new().hash_one(std::process::id()),
        })?;
        let node = Arc::new(node);
        let group = Group::join(&clients, Arc::clone(&node) as _)?;
        info!(member = name, shards = layout.partitions, "kafka.joined");
        Ok(Self { node, group })
    }

    /// Ends in order: every shard released, then the group left.
    pub fn stop(mut self) {
        self.node.stop();
        self.group.leave();
    }
}

/// The playbook of `[playbook] dir`, then those of `[kafka] playbooks`.
fn playbooks(config: &Config) -> anyhow::Result<Playbooks> {
    let set = Some(config.playbook.set.as_str()).filter(|set| !set.is_empty());
    let load = |dir: &Path| -> anyhow::Result<_> {
        let loaded = playbook::load_dir(dir, set).with_context(|| format!("the playbook {}", dir.display()))?;
        Ok(Arc::new(loaded))
    };
    let first = std::iter::once(&config.playbook.dir);
    let all = first.chain(&config.kafka.playbooks).map(|dir| load(dir)).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Playbooks::new(all))
}

/// What shards do, as metrics.
struct Shown {
    metrics: Arc<Metrics>,
    phases: Mutex<BTreeMap<u32, &'static str>>,
}

impl Watch for Shown {
    fn phase(&self, shard: u32, phase: &Phase, stand: &Stand) {
        let now = word(phase);
        info!(shard, phase = now, epoch = stand.epoch, step = stand.step, "kafka.phase");
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        let before = phases.insert(shard, now);
        if let Some(before) = before {
            self.metrics.shards.with_label_values(&[before]).dec();
        }
        self.metrics.shards.with_label_values(&[now]).inc();
        if now == "owning" && before != Some("owning") {
            self.metrics.shard_events.with_label_values(&["took-over"]).inc();
        }
    }

    fn accepted(&self, _: u32, step: &Arc<Step>, spent: Duration) {
        self.metrics.journal_append.observe(spent.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a count of some hundred")]
        self.metrics.step_inputs.observe(step.consumed.taken.len() as f64);
    }

    fn dropped(&self, _: u32, why: &'static str) {
        self.metrics.shard_events.with_label_values(&[why]).inc();
    }

    fn depth(&self, shard: u32, depth: Depth) {
        let shard = shard.to_string();
        let set = |what: &str, value: usize| {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            self.metrics.shard_waiting.with_label_values(&[shard.as_str(), what]).set(value);
        };
        set("bottom-line", depth.bottom_line);
        set("ordinary", depth.ordinary);
        set("bytes", depth.bytes);
        set("in-flight", depth.in_flight);
        set("unemitted", usize::try_from(depth.unemitted).unwrap_or(usize::MAX));
    }

    fn fired(&self, _: u32, late: Millis) {
        self.metrics.mark_lateness.observe(late.as_secs_f64());
    }

    fn forwarded(&self, _: u32) {
        self.metrics.forwarded.inc();
    }

    fn wrote(&self, _: u32, bytes: usize) {
        #[expect(clippy::cast_precision_loss, reason = "a record has some hundred thousand bytes")]
        self.metrics.record_bytes.observe(bytes as f64);
    }

    fn append_failed(&self, _: u32, why: &'static str) {
        self.metrics.kafka_failures.with_label_values(&["append", why]).inc();
    }

    fn output_failed(&self, why: &'static str) {
        self.metrics.kafka_failures.with_label_values(&["output", why]).inc();
    }

    fn trimmed(&self, shard: u32, first: u64, records: u64) {
        self.metrics.journal_trimmed.inc_by(records);
        let first = i64::try_from(first).unwrap_or(i64::MAX);
        self.metrics.journal_first.with_label_values(&[shard.to_string()]).set(first);
    }

    fn trim_failed(&self, _: u32, why: &'static str) {
        self.metrics.kafka_failures.with_label_values(&["trim", why]).inc();
    }
}

fn word(phase: &Phase) -> &'static str {
    match phase {
        Phase::Following => "following",
        Phase::CatchingUp => "catching-up",
        Phase::Claiming { .. } => "claiming",
        Phase::Owning => "owning",
        Phase::Releasing { .. } => "releasing",
        Phase::Resting { .. } => "resting",
        Phase::Held(_) => "held",
        Phase::Restoring => "restoring",
    }
}
