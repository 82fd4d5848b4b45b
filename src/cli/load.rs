//! `muster load`: a believable city at a set rate against a running instance, or one of its own; what it came to.
//!
//! Exit code 1 when the run is void, something was lost or applied twice, or a scenario does not show what it has to.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::config::playbook::load_dir;
use crate::load::{
    Ask, Bursts, Case, Conduct, Flood, Goal, Instance, Line, Outcome, Progress, ROSTER_TIMES_MAX, Search, Setup,
    Target, Town, Try, issue, run as drive,
};
use crate::model::{Millis, Status};
use crate::playbook::Playbook;
use crate::rehearsal::Script;

/// Drive an instance with a believable city, and tell what it came to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The instance to drive, such as `http://127.0.0.1:8080`. Without it, one of our own is started beside.
    #[arg(long, value_name = "URL", conflicts_with_all = ["own", "scenario"])]
    target: Option<String>,
    /// Start an instance of our own as a process beside, with a fresh store on a free port.
    #[arg(long = "self")]
    own: bool,
    /// A file that holds a bearer token for the target.
    #[arg(long, value_name = "FILE", requires = "target")]
    token: Option<PathBuf>,
    /// On a target: report what is real, and not an exercise. Only where nobody is really sent.
    #[arg(long, requires = "target")]
    actual: bool,
    /// Reports a second.
    #[arg(long, default_value_t = 200.0, value_name = "N")]
    rate: f64,
    /// For so long.
    #[arg(long, default_value = "30s", value_name = "SPAN")]
    duration: Millis,
    /// After so long of the same, which is not counted.
    #[arg(long, default_value = "2s", value_name = "SPAN")]
    warm_up: Millis,
    /// Reports of one request.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// Connections at once.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    connections: u32,
    /// Incidents that stay open: the oldest beyond it are closed.
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    open: u32,
    /// From an order to its clearing.
    #[arg(long, default_value = "1500ms", value_name = "SPAN")]
    work: Millis,
    /// Acts of an order: from 5 (signed, en route, on scene, first report, cleared) to 1 (cleared alone).
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
    acts: u8,
    /// Of a hundred orders, so many that nobody hears: their marks are missed.
    #[arg(long, default_value_t = 2, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    unheard: u8,
    /// So many times as many ordinary reports on top, such as 50x.
    #[arg(long, value_name = "Nx", value_parser = times)]
    flood: Option<u32>,
    /// From so many sources.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    flood_sources: u32,
    /// The rate rises so many times for a tenth of each such span, such as 5x/10s.
    #[arg(long, value_name = "Nx/SPAN", conflicts_with = "day")]
    bursts: Option<Bursts>,
    /// The rate follows the hours of the script's day, all of it within the duration.
    #[arg(long)]
    day: bool,
    /// Send again what was refused with 429 or 503.
    #[arg(long)]
    retry: bool,
    /// So many times the posts of the playbook (not those at a fixed site), for an instance of our own.
    #[arg(long, default_value = "1x", value_name = "Nx", value_parser = times)]
    roster: u32,
    /// The door's governor as shipped, for an instance of our own; otherwise it holds nothing back.
    #[arg(long)]
    governed: bool,
    /// Find the highest rate that keeps this from report to order, such as p99=25ms; begins at --rate.
    #[arg(long, value_name = "GOAL", conflicts_with = "scenario")]
    find: Option<Goal>,
    /// A set of runs with what each has to show.
    #[arg(long, value_name = "NAME", value_parser = ["issue"])]
    scenario: Option<String>,
    /// The set at less length: seconds instead of a minute each.
    #[arg(long, requires = "scenario")]
    short: bool,
    /// Of the set only those runs whose name holds this.
    #[arg(long, value_name = "WORDS", requires = "scenario")]
    only: Option<String>,
    /// The same seed gives the same kinds of reports.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// The playbook's folder: whose places are reported, and what an instance of our own decides by.
    #[arg(long, value_name = "DIR", default_value = "config/playbooks/hengyang")]
    playbook: PathBuf,
    /// The script whose kinds and words are reported.
    #[arg(long, value_name = "FILE", default_value = "config/rehearsal/hengyang.toml")]
    script: PathBuf,
    /// Keep the store and log of our own instance in this new folder; default a folder that is removed.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["target", "scenario"])]
    data: Option<PathBuf>,
    /// One JSON object instead of the table.
    #[arg(long)]
    json: bool,
}

/// `50x` or `50`.
fn times(text: &str) -> Result<u32, String> {
    let times: u32 =
        text.trim_end_matches('x').parse().map_err(|_| format!("`{text}` is no number of times, as 20x"))?;
    if (1..=ROSTER_TIMES_MAX).contains(&times) { Ok(times) } else { Err(format!("from 1x to {ROSTER_TIMES_MAX}x")) }
}

/// Drives.
///
/// # Errors
/// When the playbook, the script or the target cannot be used, or the instance fails.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    ensure!(args.rate.is_finite() && args.rate >= 1.0, "--rate is at least 1 report a second");
    ensure!(args.duration.0 > 0, "--duration is more than nothing");
    let text = std::fs::read_to_string(&args.script).with_context(|| args.script.display().to_string())?;
    let script = Script::read(&text).map_err(|why| anyhow!("{}: {why}", args.script.display()))?;
    let stage = Stage { args, script, playbook: load_dir(&args.playbook, None)? };
    let runtime = tokio::runtime::Runtime::new().context("the async runtime")?;
    let ended = runtime.block_on(stage.play());
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

struct Stage<'a> {
    args: &'a Args,
    script: Script,
    playbook: Playbook,
}

impl Stage<'_> {
    async fn play(&self) -> anyhow::Result<ExitCode> {
        match (&self.args.scenario, self.args.find) {
            (Some(_), _) => self.scenario().await,
            (None, Some(goal)) => self.find(goal).await,
            (None, None) => self.once().await,
        }
    }

    async fn once(&self) -> anyhow::Result<ExitCode> {
        let ask = self.ask(self.args.rate);
        let outcome = self.measure(&ask, &self.setup()).await?;
        self.tell(&outcome, || outcome.table())?;
        Ok(if outcome.is_good() { super::good() } else { super::finding() })
    }

    async fn find(&self, goal: Goal) -> anyhow::Result<ExitCode> {
        #[derive(Serialize)]
        struct Told<'a> {
            rate: Option<f64>,
            tries: &'a [Try],
        }
        let (mut search, mut tries) = (Search::from(self.args.rate), Vec::new());
        while let Some(rate) = search.next() {
            let outcome = self.measure(&self.ask(rate), &self.setup()).await?;
            let kept = goal.kept_by(&outcome);
            search.told(kept.is_ok());
            let (p99_ms, driver_late) = (outcome.order_p99_ms(), outcome.is_driver_late());
            let tried = Try { rate, kept: kept.is_ok(), why: kept.err().unwrap_or_default(), p99_ms, driver_late };
            if !self.args.json {
                println!("{}", line_of(&tried));
            }
            tries.push(tried);
        }
        let best = search.best();
        let told = || match best {
            Some(rate) => format!("{rate:.0} reports a second keep p99 within {} ms", goal.p99_ms),
            None => format!("no rate was found that keeps p99 within {} ms", goal.p99_ms),
        };
        self.tell(&Told { rate: best, tries: &tries }, || format!("{}\n", told()))?;
        Ok(if best.is_some() { super::good() } else { super::finding() })
    }

    async fn scenario(&self) -> anyhow::Result<ExitCode> {
        let mut lines: Vec<Line> = Vec::new();
        let only = |case: &Case| self.args.only.as_ref().is_none_or(|words| case.name.contains(words.as_str()));
        for case in issue(self.args.short).iter().filter(|case| only(case)) {
            if !self.args.json {
                println!("== {}", case.name);
            }
            let setup = Setup { roster: case.roster, governed: case.governed, ..self.setup() };
            let outcome = self.measure(&case.ask, &setup).await?;
            if !self.args.json {
                println!("{}", outcome.table());
            }
            lines.push(case.judge(outcome, lines.last()));
        }
        ensure!(!lines.is_empty(), "no run of the set has a name that holds the words of --only");
        self.tell(&lines, || lines.iter().map(verdict_of).collect())?;
        Ok(if lines.iter().all(|line| line.kept) { super::good() } else { super::finding() })
    }

    /// One run, on the target or on an instance of its own.
    async fn measure(&self, ask: &Ask, setup: &Setup) -> anyhow::Result<Outcome> {
        let progress = bar(self.args.json);
        let (status, tidy) = match (&self.args.target, self.args.actual) {
            (Some(_), false) => (Status::Exercise, true),
            (Some(_), true) => (Status::Actual, true),
            (None, _) => (Status::Actual, false),
        };
        let town = Town { script: &self.script, playbook: &self.playbook, seed: self.args.seed, status };
        let ask = Ask { tidy, ..ask.clone() };
        if let Some(target) = &self.args.target {
            let target = Target::at(target, token(self.args.token.as_deref())?.as_deref())?;
            let measured = drive(&target, &town, &ask, None, &progress.tell).await?;
            return Ok(Outcome::of(&ask, measured));
        }
        let mut instance = Instance::start(setup)?;
        let target = Target::at(&instance.url, None)?;
        let measured = drive(&target, &town, &ask, Some(&instance), &progress.tell).await;
        instance.is_alive()?;
        Ok(Outcome::of(&ask, measured?))
    }

    fn ask(&self, rate: f64) -> Ask {
        let a = self.args;
        let span = |ms: Millis| Duration::from_millis(ms.0);
        Ask {
            rate,
            duration: span(a.duration),
            warm_up: span(a.warm_up),
            batch: a.batch,
            connections: a.connections,
            open: a.open,
            conduct: Conduct { work: span(a.work), acts: a.acts, unheard_percent: a.unheard },
            flood: a.flood.map(|times| Flood { times, sources: a.flood_sources }),
            day: a.day,
            bursts: a.bursts,
            retry: a.retry,
            tidy: false,
        }
    }

    fn setup(&self) -> Setup {
        let a = self.args;
        Setup { playbook: a.playbook.clone(), roster: a.roster, data: a.data.clone(), governed: a.governed }
    }

    fn tell(&self, told: &impl Serialize, words: impl FnOnce() -> String) -> anyhow::Result<()> {
        if self.args.json {
            println!("{}", serde_json::to_string(told)?);
        } else {
            print!("{}", words());
        }
        Ok(())
    }
}

fn line_of(tried: &Try) -> String {
    let p99 = tried.p99_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
    let word = if tried.kept { "kept" } else { "broken" };
    let late = if tried.driver_late { "  (the driver was late itself)" } else { "" };
    format!("{:>8.0}/s  p99 {p99:>10}  {word}  {}{late}", tried.rate, tried.why)
}

fn verdict_of(line: &Line) -> String {
    format!("{}  {}: {}\n", if line.kept { "kept  " } else { "BROKEN" }, line.name, line.verdict)
}

fn token(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    file.map(|file| std::fs::read_to_string(file).with_context(|| file.display().to_string())).transpose()
}

/// A bar on a terminal; nothing elsewhere. It is gone when it is dropped.
struct Shown {
    tell: Progress,
    bar: ProgressBar,
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn bar(json: bool) -> Shown {
    const PARTS: u64 = 1000;
    let bar = if json || !std::io::stderr().is_terminal() { ProgressBar::hidden() } else { ProgressBar::new(PARTS) };
    let style = ProgressStyle::with_template("{msg:44} {bar:30} {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let shown = bar.clone();
    let tell: Progress = Arc::new(move |what, share, acknowledged, open| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share from 0 to 1"
        )]
        shown.set_position((share.clamp(0.0, 1.0) * PARTS as f64) as u64);
        shown.set_message(format!("{what}: {acknowledged} acknowledged, {open} open"));
    });
    Shown { tell, bar }
}
