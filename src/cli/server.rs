//! All parts put together: journal, shard, board, pump, door. `muster run` and the tests start the same thing.
//!
//! # The end, on the parts that take part in it
//! `handle`: takes nothing in any more, finishes what waits, closes the journal. `pump`: hands on what was accepted, then
//! ends with the shard. `stop`: ends the streams and the door's listening. `door`: ends when what is under way is
//! answered. `running`: the shard's thread, joined last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::access::Access;
use crate::board::Board;
use crate::classify::verdict;
use crate::config::{Config, playbook};
use crate::deliver::Pump;
use crate::deliver::hub::Hub;
use crate::http::{self, App, Door};
use crate::journal::Sqlite;
use crate::model::Body;
use crate::runtime::{Clock, Handle, Opened, Phase, Running, Setup, Sorter};
use crate::telemetry::Metrics;

/// After the drain, each further part may take so long to end.
const PART_ENDS_WITHIN: Duration = Duration::from_secs(2);

/// A server at work.
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    drain: Duration,
    board: Arc<Board>,
    running: Running,
    pump: JoinHandle<()>,
    watch: JoinHandle<()>,
    door: JoinHandle<std::io::Result<()>>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Starts everything.
    ///
    /// # Errors
    /// When the address, the playbook, the journal or the webhook cannot be used.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        Self::start_at(config, Clock::wall()).await
    }

    /// Starts everything on a clock of the caller's: a rehearsal drives it, or lets it run faster.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_at(config: Config, clock: Clock) -> anyhow::Result<Self> {
        // The address first: it is the most likely thing to be wrong, and costs nothing to give back.
        let door = Door::open(&config.http, config.access.is_on()).await?;
        let (address, scheme) = (door.local_addr()?, door.scheme());
        let access = Access::start(&config.access, clock.now())?;
        let metrics = Arc::new(Metrics::new());
        let opened = open(&config, &metrics, clock)?;
        let handle = opened.handle();
        let steps = handle.subscribe();
        let board = Arc::new(Board::new(config.board.clone(), Some(config.journal.file())));
        let hub = Hub::new(config.deliver.kept, config.deliver.buffer);
        let mut pump = Pump::new(&handle, &board, &hub, &metrics, config.webhook.clone())?;
        pump.restore(opened.restored());
        let running = opened.run()?;
        let pump = tokio::spawn(pump.run(steps));
        let (stop, stopping) = watch::channel(false);
        let drain = Duration::from_millis(config.http.drain.0);
        let app = App::guarded(
            Arc::new(handle.clone()),
            board.clone(),
            hub,
            metrics.clone(),
            config.http,
            stopping.clone(),
            access,
        );
        let watch = tokio::spawn(watch_over(handle, board.clone(), metrics, app.clone()));
        let door = tokio::spawn(http::serve(door, app, stopping));
        Ok(Self { address, scheme, drain, board, running, pump, watch, door, stop })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, for a client on this machine.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The door to the shard.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.running.handle
    }

    /// What readers see.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Waits until a part ends by itself, and says which and why.
    pub async fn failed(&mut self) -> String {
        let handle = self.running.handle.clone();
        tokio::select! {
            phase = handle.stopped() => match phase {
                Phase::Stopped { reason, .. } => format!("the shard ended: {reason}"),
                phase => format!("the shard ended in phase {phase:?}"),
            },
            ended = &mut self.door => match ended {
                Ok(Ok(())) => String::from("the door closed by itself"),
                Ok(Err(why)) => format!("the door closed: {why}"),
                Err(why) => format!("the door fell: {why}"),
            },
        }
    }

    /// Ends in order.
    ///
    /// # Errors
    /// When the drain was cut off, or the shard had failed.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let handle = self.running.handle.clone();
        let drained = handle.drain(self.drain).await;
        let _ = timeout(PART_ENDS_WITHIN, &mut self.pump).await;
        self.watch.abort();
        // Whoever listened may be gone already.
        let _ = self.stop.send(true);
        if !self.door.is_finished() {
            let _ = timeout(PART_ENDS_WITHIN, &mut self.door).await;
        }
        // A thread that is still at work ends with the process; the journal holds what it accepted.
        if self.running.has_ended() {
            let running = self.running;
            tokio::task::spawn_blocking(move || running.join()).await??;
        }
        Ok(drained?)
    }
}

/// The playbook, the journal, and the state read back.
fn open(config: &Config, metrics: &Arc<Metrics>, clock: Clock) -> anyhow::Result<Opened> {
    let set = Some(config.playbook.set.as_str()).filter(|set| !set.is_empty());
    let playbook = Arc::new(playbook::load_dir(&config.playbook.dir, set)?);
    let journal = Sqlite::open(&config.journal, &playbook.head.command_area, clock.now())?;
    let setup = Setup {
        options: config.runtime.clone(),
        observer: Arc::clone(metrics) as _,
        ..Setup::new(playbook, Box::new(journal), clock, sorter())
    };
    Ok(setup.open()?)
}

/// Judges reports at the door by the same code as the engine.
#[must_use]
pub fn sorter() -> Sorter {
    Arc::new(|playbook, event| match &event.body {
        Body::Report(report) => Some(verdict(playbook, &event.meta, report, event.received)),
        _ => None,
    })
}

/// Each second: what nobody accounts for, how full the queues are, how many incidents are open.
async fn watch_over(handle: Handle, board: Arc<Board>, metrics: Arc<Metrics>, app: App) {
    const SWEEP_EVERY: u64 = 10;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    for tick in 1_u64.. {
        second.tick().await;
        let status = handle.status();
        metrics.observe_status(&status);
        metrics.observe_open(&board);
        if status.phase == Phase::Ready {
            metrics.observe_unaccounted(&board.unaccounted(handle.now()));
        }
        if tick.is_multiple_of(SWEEP_EVERY) {
            app.sweep();
        }
    }
}
