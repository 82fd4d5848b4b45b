//! `muster journal show|verify|describe|accept`: the journal in Kafka as a person looks at it, and the one word a person may
//! put in.
//!
//! What people wrote or said is in the journal, for it belongs to the state; it is shown only to who asks for it by `--text`.

mod line;

use std::fmt::Write as _;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tracing::warn;

use crate::config::Config;
use crate::decode::Limits;
use crate::kafka::audit::{Damage, From, Journal, Survey, Verified, accept, beyond, damage, records, survey, verify};
use crate::kafka::clients::Clients;
use crate::telemetry;

/// Show or repair the journal in Kafka.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Print records, with what the rule makes of each.
    Show(Show),
    /// Decide shards again from their recorded inputs; exit code 1 where something else comes out.
    Verify(Verify),
    /// Each shard in a few numbers; exit code 1 where one would be held.
    Describe(Common),
    /// Accept that records or inputs of a shard are lost, so that it goes on.
    Accept(Accept),
}

/// What all of them take.
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
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Show {
    #[command(flatten)]
    common: Common,
    /// This shard alone.
    #[arg(long, value_name = "N")]
    shard: Option<u32>,
    /// From this offset on.
    #[arg(long, value_name = "OFFSET", conflicts_with = "last")]
    from: Option<u64>,
    /// The last so many of each shard; 20, unless it begins at an offset.
    #[arg(long, value_name = "N")]
    last: Option<u64>,
    /// Show what people wrote and said, too.
    #[arg(long)]
    text: bool,
}

#[derive(Debug, clap::Args)]
struct Verify {
    #[command(flatten)]
    common: Common,
    /// This shard alone.
    #[arg(long, value_name = "N")]
    shard: Option<u32>,
    /// Show what is recorded and what came out where they differ; people's words may be among it.
    #[arg(long)]
    text: bool,
}

#[derive(Debug, clap::Args)]
struct Accept {
    #[command(flatten)]
    common: Common,
    /// The shard.
    #[arg(long, value_name = "N")]
    shard: u32,
    /// Why it is accepted; it stands in the journal for good.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who accepts it.
    #[arg(long, value_name = "SEAT", default_value = "operator")]
    by: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

impl Common {
    fn journal(&self) -> anyhow::Result<Journal> {
        Ok(self.journal_and_config()?.0)
    }

    fn journal_and_config(&self) -> anyhow::Result<(Journal, Config)> {
        let loaded = Config::load(self.config.as_deref(), std::env::vars())?;
        telemetry::start(&loaded.config.log)?;
        if !loaded.ignored.is_empty() {
            warn!(variables = ?loaded.ignored, "config.ignored: these resemble no key of ours");
        }
        let mut options = loaded.config.kafka.clone();
        options.brokers = self.brokers.clone().unwrap_or(options.brokers);
        options.partitions = self.partitions.unwrap_or(options.partitions);
        if !options.enabled() {
            bail!(
                "[kafka] brokers: no broker is named; write `brokers = [\"host:9092\"]`, or name them with --brokers"
            );
        }
        let shards = options.partitions;
        Ok((Journal::new(Arc::new(Clients::new(options)), shards), loaded.config))
    }
}

/// Does it.
///
/// # Errors
/// When the configuration does not fit, or the brokers do not answer.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.act {
        Act::Show(args) => show(&args),
        Act::Verify(args) => verify_all(&args),
        Act::Describe(common) => describe(&common),
        Act::Accept(args) => accept_loss(&args),
    }
}

fn shard_of(journal: &Journal, shard: u32) -> anyhow::Result<u32> {
    if shard >= journal.shards() {
        bail!("--shard {shard}: there are {} shards, counted from 0", journal.shards());
    }
    Ok(shard)
}

fn show(args: &Show) -> anyhow::Result<ExitCode> {
    let mut journal = args.common.journal()?;
    let shards = match args.shard {
        Some(shard) => vec![shard_of(&journal, shard)?],
        None => (0..journal.shards()).collect(),
    };
    let from = match (args.from, args.last) {
        (Some(offset), _) => From::Offset(offset),
        (None, last) => From::Last(last.unwrap_or(20)),
    };
    let mut told: Vec<Value> = Vec::new();
    let mut printed = Ok(());
    for shard in shards {
        let mut listed: Vec<Value> = Vec::new();
        let (first, end) = records(&mut journal, shard, from, |seen| {
            if args.common.json {
                listed.push(line::object(&seen, args.text));
            } else {
                printed = write!(std::io::stdout(), "{}", line::page(shard, &seen, args.text));
            }
            // Who reads no more (a closed pipe) is told no more.
            printed.is_ok()
        })
        .with_context(|| format!("the journal of shard {shard}"))?;
        told.push(json!({ "shard": shard, "first": first, "end": end, "records": listed }));
    }
    if args.common.json {
        println!("{}", json!({ "shards": told }));
    }
    Ok(super::good())
}

fn verify_all(args: &Verify) -> anyhow::Result<ExitCode> {
    let (mut journal, config) = args.common.journal_and_config()?;
    let shards = match args.shard {
        Some(shard) => vec![shard_of(&journal, shard)?],
        None => (0..journal.shards()).collect(),
    };
    let playbooks = Arc::new(super::node::playbooks(&config)?.0);
    let limits = Limits { element_bytes_max: config.http.element_bytes_max.get(), ..Limits::default() };
    let mut told: Vec<Value> = Vec::new();
    let mut good = true;
    for shard in shards {
        let verified = verify(&mut journal, shard, Arc::clone(&playbooks), &limits, |_, _| {})
            .with_context(|| format!("the journal of shard {shard}"))?;
        good &= verified.different == 0;
        if args.common.json {
            told.push(line::verified(shard, &verified, args.text));
        } else {
            print!("{}", verdict(shard, &verified, args.text));
        }
    }
    if args.common.json {
        println!("{}", json!({ "shards": told }));
    }
    Ok(if good { super::good() } else { super::finding() })
}

/// What came of deciding a shard again, on one line, and a line for each difference that is told.
fn verdict(shard: u32, v: &Verified, text: bool) -> String {
    let (first, end) = v.records;
    let mut told = format!(
        "shard {shard:<3} records {first}..{end}  {} steps with {} inputs and {} effects decided again, across {} take-overs: ",
        v.steps, v.inputs, v.effects, v.claims
    );
    match v.different {
        0 => told += "all as recorded\n",
        n => _ = writeln!(told, "{n} steps DIFFER"),
    }
    if v.beyond > 0 {
        _ = writeln!(told, "          {} steps could not be: what they rest on is trimmed away", v.beyond);
    }
    for difference in &v.differences {
        _ = writeln!(told, "          {difference}");
        if text {
            _ = writeln!(
                told,
                "            recorded {}\n            replayed {}",
                difference.recorded, difference.replayed
            );
        }
    }
    told
}

fn describe(common: &Common) -> anyhow::Result<ExitCode> {
    let mut journal = common.journal()?;
    let surveys = survey(&mut journal).context("the journal")?;
    if common.json {
        println!("{}", json!({ "shards": surveys }));
    } else {
        for survey in &surveys {
            print!("{}", summary(survey));
        }
    }
    Ok(if surveys.iter().all(|survey| survey.alarm.is_none()) { super::good() } else { super::finding() })
}

fn summary(s: &Survey) -> String {
    let records = format!("shard {:<3} records {}..{}", s.shard, s.first, s.end);
    let Some(stand) = &s.stand else {
        return format!("{records}\n          HELD: {}\n", s.alarm.as_deref().unwrap_or_default());
    };
    let lag = match s.head_lag {
        None => String::from("no head"),
        Some(lag) if lag < 0 => format!("head {} ahead", -lag),
        Some(lag) => format!("head {lag} behind"),
    };
    let mut told = format!(
        "{records}  low {}  epoch {}  owner {}  step {}  emitted {}\n          {} documents, {} bytes  {lag}  {}\n",
        s.low.unwrap_or(s.first),
        stand.epoch,
        stand.owner,
        stand.step,
        s.emitted,
        s.documents,
        s.bytes,
        s.written_at.as_deref().map_or(String::from("never written"), |at| format!("written {at}")),
    );
    if let Some(alarm) = &s.alarm {
        _ = writeln!(told, "          HELD: {alarm}");
    }
    told
}

fn accept_loss(args: &Accept) -> anyhow::Result<ExitCode> {
    let mut journal = args.common.journal()?;
    let shard = shard_of(&journal, args.shard)?;
    if args.reason.trim().is_empty() {
        bail!("--reason: say why; whoever reads the journal in a year will ask");
    }
    let found = damage(&mut journal, shard)?;
    if !args.common.json {
        print!("{}", warning(&found));
    }
    if !args.yes && !confirmed(shard)? {
        println!("nothing was written");
        return Ok(super::finding());
    }
    let accepted = accept(&mut journal, &found, &args.by, &args.reason)?;
    if args.common.json {
        let lost: Vec<String> = found.lost.iter().map(ToString::to_string).collect();
        println!("{}", json!({ "shard": shard, "lost": lost, "offset": accepted.offset, "beyond": accepted.beyond }));
    } else {
        let step = accepted.beyond.step + 1;
        println!("accepted: record {} of shard {shard}; its owner goes on with step {step}", accepted.offset);
    }
    Ok(super::good())
}

/// What is lost, and what the acceptance does.
fn warning(found: &Damage) -> String {
    let shard = found.shard;
    let stand = found.fold.stand();
    let mut told = format!(
        "shard {shard}: the journal holds records {}..{} and stands at epoch {}, step {}\n",
        found.first, found.end, stand.epoch, stand.step
    );
    if found.lost.is_empty() {
        told +=
            "nothing is known to be lost here; a node that holds this shard says in its log (kafka.held) why it does\n";
    }
    for lost in &found.lost {
        _ = writeln!(told, "lost: {lost}");
    }
    let (documents, bytes) = found.fold.size();
    let goes_on = beyond(&found.known);
    _ = writeln!(told, "kept: {documents} documents, {bytes} bytes");
    _ = writeln!(
        told,
        "If you accept, the shard goes on from what is kept, with step {} in epoch {}: above all that is known to have been \
         given out, by a margin, so that nothing new looks like what is lost. Orders that are lost may have been obeyed: tell \
         the desks.",
        goes_on.step + 1,
        goes_on.epoch + 1
    );
    told
}

fn confirmed(shard: u32) -> anyhow::Result<bool> {
    eprint!("Accept this for shard {shard}? Write yes: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}
