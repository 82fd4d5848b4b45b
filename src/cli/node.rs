//! A node on Kafka, all parts put together.
//!
//! # The end, on the parts that take part in it
//! `door`: closed first, see [`super::gateway`]. `node`: each shard is released, so that its next owner need not wait. `group`: left after that. What is under way on
//! the topics was accepted; what of it has not arrived is sent again by the next owner.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tracing::info;

use crate::board::Board;
use crate::config::{Config, playbook};
use crate::decode::Limits;
use crate::deliver::hub::Hub;
use crate::journal::Step;
use crate::journal::log::{Phase, Stand};
use crate::kafka::answers::{Answers, Told};
use crate::kafka::areas::Playbooks;
use crate::kafka::clients::Clients;
use crate::kafka::folds::LogFolds;
use crate::kafka::follower::{Follower, FollowerParts};
use crate::kafka::group::Group;
use crate::kafka::herald::Herald;
use crate::kafka::node::{Node, NodeParts};
use crate::kafka::picture::Picture;
use crate::kafka::route::Routes;
use crate::kafka::shard::{Depth, ShardOptions, Watch};
use crate::kafka::topics;
use crate::kafka::vacancies::Vacancies;
use crate::model::{CommandArea, Millis};
use crate::runtime::Clock;
use crate::telemetry::Metrics;

/// A node at work.
pub struct OnKafka {
    /// What is known here of all shards.
    pub picture: Picture,
    /// What readers see.
    pub board: Arc<Board>,
    /// Who listens.
    pub hub: Hub,
    /// Who waits for answers.
    pub answers: Answers,
    /// Which way events go.
    pub routes: Arc<Routes>,
    /// Clients of the brokers.
    pub clients: Arc<Clients>,
    /// What time it is.
    pub clock: Clock,
    node: Arc<Node>,
    group: Group,
    follower: Follower,
    vacancies: Vacancies,
}

impl OnKafka {
    /// Starts everything. Waits for brokers, within bounds.
    ///
    /// # Errors
    /// When the brokers do not answer, the topics do not fit, or a playbook cannot be used.
    pub fn start(config: &Config, metrics: &Arc<Metrics>) -> anyhow::Result<Self> {
        let shards = topics::verify(&config.kafka)?.partitions;
        let (playbooks, home) = playbooks(config)?;
        let routes = Arc::new(Routes::new(&playbooks, &home, shards)?);
        let (clock, name) = (Clock::wall(), config.kafka.member_name()?);
        let clients = Arc::new(Clients::measured(config.kafka.clone(), metrics));
        let limits = Limits { element_bytes_max: config.http.element_bytes_max.get(), ..Limits::default() };
        let board = Arc::new(Board::new(config.board.clone(), None));
        // Seeded by the system, anew at every start.
        let chance = RandomState::new().hash_one(std::process::id());
        let hub = Hub::new(config.deliver.kept, config.deliver.buffer);
        // Of several shards every process has its own order.
        let hub = if shards > 1 { hub.named(&format!("{chance:x}")) } else { hub };
        let answers = Answers::new(config.kafka.answers_max, config.kafka.answers_max);
        let picture = Picture::new(shards, clock.clone());
        let told: Arc<dyn Told> = Arc::new(answers.clone());
        let in_use: Vec<_> = playbooks.wanted().map(|(_, playbook)| Arc::clone(playbook)).collect();
        let herald =
            Herald::new(&name, &in_use, Arc::clone(&board), hub.clone(), Arc::clone(&told), Arc::clone(metrics));
        let follower = Follower::start(FollowerParts {
            clients: Arc::clone(&clients),
            shards,
            picture: picture.clone(),
            herald,
            routes: Arc::clone(&routes),
            limits: limits.clone(),
            metrics: Arc::clone(metrics),
            clock: clock.clone(),
        })?;
        let watch = Shown { metrics: Arc::clone(metrics), picture: picture.clone(), phases: Mutex::default() };
        let node = Arc::new(Node::new(NodeParts {
            name: name.clone(),
            shards,
            options: ShardOptions {
                outage_min: config.runtime.outage_min,
                record_bytes_max: usize::try_from(config.kafka.record_bytes_max).unwrap_or(usize::MAX),
                ..ShardOptions::default()
            },
            playbooks: Arc::new(playbooks),
            clients: Arc::clone(&clients),
            clock: clock.clone(),
            limits,
            watch: Arc::new(watch),
            told,
            folds: Arc::new(LogFolds::new(Arc::clone(&clients), shards, Some(Arc::new(picture.clone())))),
            projections: config.kafka.projections,
            trim_after: config.kafka.trim_after,
            chance,
        })?);
        let vacancies = Vacancies::watch(picture.clone(), shards, Arc::clone(&node))?;
        let group = Group::join(&clients, Arc::clone(&node) as _)?;
        info!(member = name, shards, "kafka.joined");
        Ok(Self { picture, board, hub, answers, routes, clients, clock, node, group, follower, vacancies })
    }

    /// Ends in order: every shard released, then the group left.
    pub fn stop(mut self) {
        self.vacancies.end();
        self.node.stop();
        self.group.leave();
        self.follower.end();
    }
}

/// The playbook of `[playbook] dir`, then those of `[kafka] playbooks`.
pub(super) fn playbooks(config: &Config) -> anyhow::Result<(Playbooks, CommandArea)> {
    let set = Some(config.playbook.set.as_str()).filter(|set| !set.is_empty());
    let load = |dir: &Path| -> anyhow::Result<_> {
        let loaded = playbook::load_dir(dir, set).with_context(|| format!("the playbook {}", dir.display()))?;
        Ok(Arc::new(loaded))
    };
    let first = std::iter::once(&config.playbook.dir);
    let all = first.chain(&config.kafka.playbooks).map(|dir| load(dir)).collect::<anyhow::Result<Vec<_>>>()?;
    let home = all.first().map(|playbook| playbook.head.command_area.clone()).unwrap_or_default();
    Ok((Playbooks::new(all), home))
}

/// What shards do, as metrics.
struct Shown {
    metrics: Arc<Metrics>,
    picture: Picture,
    phases: Mutex<BTreeMap<u32, &'static str>>,
}

impl Watch for Shown {
    fn phase(&self, shard: u32, phase: &Phase, stand: &Stand) {
        let now = word(phase);
        self.picture.own_phase(shard, Some(now));
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
        set("unemitted", depth.unemitted);
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

    fn failed(&self, what: &'static str, why: &'static str) {
        self.metrics.kafka_failures.with_label_values(&[what, why]).inc();
    }

    fn trimmed(&self, shard: u32, first: u64, records: u64) {
        self.metrics.journal_trimmed.inc_by(records);
        let first = i64::try_from(first).unwrap_or(i64::MAX);
        self.metrics.journal_first.with_label_values(&[shard.to_string()]).set(first);
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
