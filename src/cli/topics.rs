//! `muster topics create|check|describe`: the ground in Kafka on which a city runs.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use tracing::warn;

use crate::config::Config;
use crate::kafka::Options;
use crate::kafka::topics::{self, Finding, Seen, Topic};
use crate::telemetry;

/// Make, check or show the topics in Kafka.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    act: Act,
}

/// What shall be done.
#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Make the topics that are missing. What is there is left as it is, and what does not fit in it is told.
    Create(Common),
    /// Compare what is there with what is demanded; exit code 1 where it does not fit.
    Check(Common),
    /// Show what is there.
    Describe(Common),
}

/// What all three take.
#[derive(Debug, clap::Args)]
struct Common {
    /// The configuration; default `config/muster.toml`, where it exists.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The brokers, instead of `[kafka] brokers`.
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    brokers: Option<Vec<String>>,
    /// The number of partitions, instead of `[kafka] partitions`.
    #[arg(long, value_name = "N")]
    partitions: Option<u32>,
    /// One broker will do: neither copies nor in-sync copies are made or demanded.
    #[arg(long)]
    development: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Common {
    fn options(&self) -> anyhow::Result<Options> {
        let loaded = Config::load(self.config.as_deref(), std::env::vars())?;
        telemetry::start(&loaded.config.log)?;
        if !loaded.ignored.is_empty() {
            warn!(variables = ?loaded.ignored, "config.ignored: these resemble no key of ours");
        }
        let mut options = loaded.config.kafka;
        options.brokers = self.brokers.clone().unwrap_or(options.brokers);
        options.partitions = self.partitions.unwrap_or(options.partitions);
        options.development |= self.development;
        Ok(options)
    }
}

/// Does it.
///
/// # Errors
/// When the configuration does not fit, or the cluster does not answer, or refuses.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.act {
        Act::Create(common) => create(&common),
        Act::Check(common) => check(&common),
        Act::Describe(common) => describe(&common),
    }
}

fn create(common: &Common) -> anyhow::Result<ExitCode> {
    let outcome = topics::create(&common.options()?)?;
    if common.json {
        println!("{}", serde_json::to_string(&outcome)?);
    } else {
        outcome.made.iter().for_each(|name| println!("made  {name}"));
        outcome.kept.iter().for_each(|name| println!("there {name}"));
        print!("{}", page(&outcome.findings));
    }
    Ok(if outcome.findings.is_empty() { super::good() } else { super::finding() })
}

fn check(common: &Common) -> anyhow::Result<ExitCode> {
    let findings = topics::check(&common.options()?)?;
    if common.json {
        println!("{}", json!({ "good": findings.is_empty(), "findings": findings }));
    } else {
        print!("{}", page(&findings));
        println!("{}", if findings.is_empty() { "good".into() } else { count(findings.len()) });
    }
    Ok(if findings.is_empty() { super::good() } else { super::finding() })
}

fn describe(common: &Common) -> anyhow::Result<ExitCode> {
    let options = common.options()?;
    let topics = topics::describe(&options)?;
    if common.json {
        let listed: Vec<Value> = topics
            .iter()
            .map(|(topic, seen)| json!({ "topic": options.topic(*topic), "what": topic.what(), "seen": seen }))
            .collect();
        println!("{}", json!({ "topics": listed }));
    } else {
        print!("{}", table(&options, &topics));
    }
    Ok(super::good())
}

/// What does not fit, as a table; below each line the reason and the way out.
fn page(findings: &[Finding]) -> String {
    let width = |of: fn(&Finding) -> &str| findings.iter().map(|f| of(f).len()).max().unwrap_or_default();
    let (topic, what) = (width(|f| &f.topic), width(|f| &f.what));
    let (found, wanted) = (width(|f| &f.found), width(|f| &f.wanted));
    let line = |f: &Finding| {
        format!(
            "{:topic$}  {:what$}  {:found$}  wanted {:wanted$}  {}\n    {}\n",
            f.topic, f.what, f.found, f.wanted, f.why, f.way_out
        )
    };
    findings.iter().map(line).collect()
}

fn count(findings: usize) -> String {
    format!("{findings} finding{}", if findings == 1 { "" } else { "s" })
}

fn table(options: &Options, topics: &[(Topic, Option<Seen>)]) -> String {
    let width = topics.iter().map(|(topic, _)| options.topic(*topic).len()).max().unwrap_or_default();
    let line = |(topic, seen): &(Topic, Option<Seen>)| {
        let name = options.topic(*topic);
        let there = match seen {
            None => String::from("missing"),
            Some(seen) => {
                let get = |key: &str| seen.config.get(key).map_or("-", String::as_str);
                format!(
                    "partitions={} copies={} in-sync={} (min {}) {} retention.ms={} {} max.message.bytes={}",
                    seen.partitions.len(),
                    seen.copies(),
                    seen.in_sync(),
                    get("min.insync.replicas"),
                    get("cleanup.policy"),
                    get("retention.ms"),
                    get("message.timestamp.type"),
                    get("max.message.bytes"),
                )
            }
        };
        format!("{name:width$}  {there}\n{:width$}  {}\n", "", topic.what())
    };
    topics.iter().map(line).collect()
}
