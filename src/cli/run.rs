//! `muster run`: the whole thing at work, until it is told to stop.
//!
//! SIGINT or SIGTERM ends it in order, within `[http] drain`; a second signal does not wait. What is cut off then was
//! accepted and is delivered after the next start.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use super::server::Server;
use crate::config::Config;
use crate::telemetry;

/// Take reports, order posts, watch the marks: until SIGINT or SIGTERM.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration; default `config/muster.toml`, where it exists.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder, instead of `[journal] path`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The playbook's folder, instead of `[playbook] dir`.
    #[arg(long, value_name = "DIR")]
    playbook: Option<PathBuf>,
    /// Where to listen, instead of `[http] listen`; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<std::net::SocketAddr>,
}

/// Runs until told to stop.
///
/// # Errors
/// When it cannot start, or the shard failed.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let loaded = Config::load(args.config.as_deref(), std::env::vars())?;
    let mut config = loaded.config;
    config.journal.path = args.data.unwrap_or(config.journal.path);
    config.playbook.dir = args.playbook.unwrap_or(config.playbook.dir);
    config.http.listen = args.listen.unwrap_or(config.http.listen);
    telemetry::start(&config.log)?;
    if !loaded.ignored.is_empty() {
        warn!(variables = ?loaded.ignored, "config.ignored: these resemble no key of ours");
    }
    let runtime = tokio::runtime::Runtime::new().context("the async runtime")?;
    let ended = match config.kafka.enabled() {
        true => runtime.block_on(serve_on_kafka(config)),
        false => runtime.block_on(serve(config)),
    };
    // A request or a webhook that hangs does not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    let mut signals = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    let mut server = Server::start(config).await?;
    let playbook = server.handle().playbook();
    info!(playbook = %playbook.head.name, hash = %playbook.hash, listen = %server.address(), "muster.started");
    println!("muster: {} listens on {}", playbook.head.title, server.url());
    let failed = tokio::select! {
        () = asked(&mut signals) => None,
        why = server.failed() => Some(why),
    };
    info!("muster.stopping");
    let stopped = tokio::select! {
        stopped = server.stop() => stopped,
        () = asked(&mut signals) => bail!("asked to stop twice; what was under way was cut off"),
    };
    if let Some(why) = failed {
        bail!(why);
    }
    stopped?;
    info!("muster.stopped");
    Ok(super::good())
}

/// The same on Kafka: the shards are those that the group says.
#[cfg(feature = "kafka")]
async fn serve_on_kafka(config: Config) -> anyhow::Result<ExitCode> {
    use std::sync::Arc;

    use super::gateway::Gateway;
    use super::node::OnKafka;
    use crate::access::{self, Access};
    use crate::http::Door;
    use crate::telemetry::Metrics;

    let mut signals = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    // The address first: it is the most likely thing to be wrong, and costs nothing to give back.
    let door = Door::open(&config.http, config.access.is_on()).await?;
    let (access, scheme) = (Access::start(&config.access, access::now())?, door.scheme());
    let (metrics, for_node) = (Arc::new(Metrics::new()), config.clone());
    let counts = Arc::clone(&metrics);
    let node = tokio::task::spawn_blocking(move || OnKafka::start(&for_node, &counts)).await??;
    let gateway = Gateway::open(door, access, config, &node, metrics)?;
    println!("muster: a node on Kafka listens on {scheme}://{}", gateway.address());
    asked(&mut signals).await;
    info!("muster.stopping");
    let stop = async {
        gateway.close().await;
        tokio::task::spawn_blocking(move || node.stop()).await
    };
    let stopped = tokio::select! {
        stopped = stop => stopped,
        () = asked(&mut signals) => bail!("asked to stop twice; what was under way was cut off"),
    };
    stopped?;
    info!("muster.stopped");
    Ok(super::good())
}

#[cfg(not(feature = "kafka"))]
#[expect(clippy::unused_async, reason = "it stands in for one that waits")]
async fn serve_on_kafka(_: Config) -> anyhow::Result<ExitCode> {
    bail!("[kafka] brokers are named, but this program was built without the feature kafka")
}

/// Waits for a signal.
async fn asked(signals: &mut [Signal; 2]) {
    let [interrupt, terminate] = signals;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
