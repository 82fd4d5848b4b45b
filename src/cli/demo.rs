//! `muster demo`: a seeded day of a city through the real service on a fresh store, shown as it happens.
//!
//! The same server as `muster run` starts on a free port with a store of its own; the rehearsal speaks to it over HTTP
//! and listens to the public stream. At `--speed max` the clock is driven: it jumps to the next instant at which
//! somebody does something or something falls due, so a day takes as long as its work takes. With `--speed N` the clock
//! runs N times as fast as the wall. The summary is counted from the stream; `unaccounted` counts accepted reports
//! that no line of the timeline names.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::server::Server;
use crate::config::{Config, playbook};
use crate::model::{Millis, Timestamp};
use crate::rehearsal::door::Door;
use crate::rehearsal::listener::{Counts, Heard, Shared, listen};
use crate::rehearsal::{City, Day, Pace, Script, Told};
use crate::runtime::{Clock, Driver, Handle};

/// A seeded day through the real service, shown live, ending in a summary.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Times as fast as the wall, or `max`.
    #[arg(long, default_value = "max", value_name = "N|max")]
    speed: Speed,
    /// The same seed gives the same day.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Hours of the day to live; default those of the script.
    #[arg(long, value_name = "H")]
    hours: Option<u32>,
    /// The playbook's folder.
    #[arg(long, value_name = "DIR", default_value = "config/playbooks/hengyang")]
    playbook: PathBuf,
    /// The script of the day.
    #[arg(long, value_name = "FILE", default_value = "config/rehearsal/hengyang.toml")]
    script: PathBuf,
    /// Keep the store in this new folder, to look at it afterwards; default a folder that is removed.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// One JSON object instead of the story.
    #[arg(long)]
    json: bool,
    /// Only the summary.
    #[arg(long)]
    quiet: bool,
    /// End with the day, also at a terminal, where the screen otherwise stays open until Ctrl-C.
    #[arg(long)]
    end: bool,
}

impl Args {
    /// Whether somebody is there who may want to look at the screen when the day is over.
    fn stays(&self) -> bool {
        !self.json && !self.quiet && !self.end && std::io::stdout().is_terminal()
    }
}

/// How fast time runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// As fast as everybody can follow.
    Max,
    /// Times the wall.
    Times(f64),
}

impl FromStr for Speed {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times: f64 = text.parse().map_err(|_| format!("`{text}` is neither a number nor `max`"))?;
        (times.is_finite() && times > 0.0)
            .then_some(Self::Times(times))
            .ok_or_else(|| "time has to go on: above 0".to_owned())
    }
}

/// What the day came to.
#[derive(Debug, Serialize)]
struct Summary {
    reports: u64,
    rejected: u64,
    #[serde(flatten)]
    counts: Counts,
    refused: u64,
    unaccounted: usize,
    stream_complete: bool,
    simulated_s: u64,
    wall_s: f64,
}

/// Lives the day.
///
/// # Errors
/// When the playbook, the script or the store cannot be used, or the service fails.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new().context("the async runtime")?;
    let ended = runtime.block_on(live(args));
    runtime.shutdown_timeout(Duration::from_secs(1));
    let summary = ended?;
    if args.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else if !args.stays() {
        print(&summary);
    }
    let good = summary.unaccounted == 0 && summary.stream_complete;
    Ok(if good { super::good() } else { super::finding() })
}

async fn live(args: &Args) -> anyhow::Result<Summary> {
    let text = std::fs::read_to_string(&args.script).with_context(|| args.script.display().to_string())?;
    let script = Script::read(&text).map_err(|why| anyhow!("{}: {why}", args.script.display()))?;
    let book = playbook::load_dir(&args.playbook, None)?;
    let day =
        Day::write(&script, &book, args.seed, args.hours).map_err(|why| anyhow!("{}: {why}", args.script.display()))?;
    let (start, end) = (day.start, day.end);
    let folder = Folder::new(args.data.clone())?;
    let (clock, driver) = match args.speed {
        Speed::Max => {
            let (clock, driver) = Clock::driven(start);
            (clock, Some(driver))
        }
        Speed::Times(times) => (Clock::scaled(start, times), None),
    };
    let server = Server::start_at(config(args, &folder.path), clock).await?;
    server.handle().ready().await;
    let screen = format!("the screen    http://{0}/    a post's phone    http://{0}/post", server.address());
    if !args.json && !args.quiet {
        println!("{screen}");
    }
    let door = Door::to(&format!("http://{}", server.address()))?;
    let heard = Shared::default();
    let (lines, shown) = mpsc::unbounded_channel();
    let listener = tokio::spawn(listen(door.clone(), heard.clone(), lines));
    until_heard(&heard).await;
    let show = tokio::spawn(show(shown, !args.json && !args.quiet, book.zone.clone()));
    let bar = bar(args, start, end);
    let began = wall();
    let city = City::new(&script, &book, day, door, args.seed);
    let mut time = Time { handle: server.handle().clone(), driver, step: 0 };
    let told = city.live(&mut time, |now| bar.set_position(now.since(start).0 / 1000)).await?;
    let wall_s = began.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let rev = server.handle().status().step;
    quiet(&heard, rev).await;
    let summary = {
        let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        summary(&told, &heard, end.since(start), wall_s)
    };
    if args.stays() {
        print(&summary);
        println!("{screen}    Ctrl-C ends");
        time.stay().await?;
    }
    server.stop().await?;
    listener.abort();
    let _ = show.await;
    Ok(summary)
}

fn summary(told: &Told, heard: &Heard, simulated: Millis, wall_s: f64) -> Summary {
    Summary {
        reports: told.reports,
        rejected: told.rejected,
        counts: heard.counts.clone(),
        refused: told.refused,
        unaccounted: told.accepted.iter().filter(|id| !heard.named.contains(id)).count(),
        stream_complete: !heard.resync,
        simulated_s: simulated.0 / 1000,
        wall_s,
    }
}

fn config(args: &Args, data: &std::path::Path) -> Config {
    let mut config = Config::default();
    config.http.listen = ([127, 0, 0, 1], 0).into();
    config.http.stream_heartbeat = Millis::from_secs(1);
    // A day in seconds is a flood to the governor, which counts by the wall.
    let any = std::num::NonZeroU32::MAX;
    (config.http.rate_per_source, config.http.rate_burst, config.http.rate_total) = (any, any, any);
    config.deliver.buffer = 1_000_000;
    data.clone_into(&mut config.journal.path);
    config.playbook.dir.clone_from(&args.playbook);
    config
}

#[expect(clippy::disallowed_methods, reason = "how long the day took on the wall is what the summary tells")]
fn wall() -> std::time::Instant {
    std::time::Instant::now()
}

/// A folder for the store: given and kept, or made and removed.
struct Folder {
    path: PathBuf,
    removed: bool,
}

impl Folder {
    fn new(given: Option<PathBuf>) -> anyhow::Result<Self> {
        if let Some(path) = given {
            let used = std::fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some());
            anyhow::ensure!(
                !used,
                "{} is not empty; the demo begins with a fresh store: name a new folder",
                path.display()
            );
            return Ok(Self { path, removed: false });
        }
        let path = std::env::temp_dir().join(format!("muster-demo-{}", std::process::id()));
        Ok(Self { path, removed: true })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.removed {
            // What stays behind is a temporary folder.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// The clock of the demo.
struct Time {
    handle: Handle,
    driver: Option<Driver>,
    /// The last step looked at.
    step: u64,
}

impl Time {
    /// Lets time go on at its own pace until Ctrl-C: what is open stays open, and may be acted on.
    async fn stay(&self) -> anyhow::Result<()> {
        const TICK: Duration = Duration::from_millis(200);
        let tick = Millis(200);
        let mut interval = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                ended = tokio::signal::ctrl_c() => return Ok(ended?),
                _ = interval.tick() => if let Some(driver) = &self.driver {
                    driver.set(self.handle.now() + tick);
                },
            }
        }
    }
}

impl Pace for Time {
    async fn pass(&mut self, until: Timestamp) -> anyhow::Result<(Timestamp, bool)> {
        let now = match &self.driver {
            // Lock-step: to the next instant at which anything happens, and on only when everybody has caught up.
            Some(driver) => {
                let due = self.handle.settled().await?;
                let to = due.map_or(until, |due| due.min(until)).max(self.handle.now());
                driver.set(to);
                self.handle.settled().await?;
                to
            }
            None => {
                // A twentieth of a second of the wall at a time, so that crews hear soon.
                let left =
                    self.handle.clock().span(Duration::from_millis(50)).map_or(until, |span| self.handle.now() + span);
                while self.handle.now() < left.min(until) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                self.handle.now().min(until.max(self.handle.now()))
            }
        };
        // What was decided has left the house before anybody looks.
        while {
            let s = self.handle.status();
            s.emitted < s.step
        } {
            tokio::task::yield_now().await;
        }
        let step = self.handle.status().step;
        let news = step != self.step;
        self.step = step;
        Ok((now, news))
    }
}

/// Waits until the stream is open.
async fn until_heard(heard: &Shared) {
    for _ in 0..500 {
        if heard.lock().unwrap_or_else(PoisonError::into_inner).ready {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until the stream has told everything: a heartbeat comes only when nothing is left to tell.
async fn quiet(heard: &Shared, step: u64) {
    let before = heard.lock().unwrap_or_else(PoisonError::into_inner).heartbeats;
    for _ in 0..1500 {
        {
            let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            if heard.heartbeats > before + 1 && heard.rev >> 16 >= step.saturating_sub(1)
                || heard.heartbeats > before + 5
            {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Shows the story: what a person in the room would hear said aloud.
async fn show(mut lines: mpsc::UnboundedReceiver<Value>, aloud: bool, zone: jiff::tz::TimeZone) {
    let colour = std::io::stdout().is_terminal();
    let mut out = std::io::stdout();
    while let Some(line) = lines.recv().await {
        let what = line["what"].as_str().unwrap_or_default();
        let told = matches!(
            what,
            "opened"
                | "ordered"
                | "missed"
                | "level-raised"
                | "all-call-began"
                | "all-call-ended"
                | "shortfall"
                | "pre-empted"
                | "moved-up"
                | "suggested"
                | "forwarded"
                | "closed"
                | "split"
                | "recalled"
        );
        if !aloud || !told {
            continue;
        }
        let at = line["at"].as_str().and_then(|t| Timestamp::parse(t).ok()).unwrap_or_default().local(&zone);
        let paint = match what {
            _ if !colour => ("", ""),
            "missed" | "shortfall" | "all-call-began" => ("\u{1b}[31m", "\u{1b}[0m"),
            "opened" => ("\u{1b}[1m", "\u{1b}[0m"),
            _ => ("\u{1b}[2m", "\u{1b}[0m"),
        };
        let incident = line["incident"].as_str().unwrap_or_default();
        let short = incident.rsplit('-').next().unwrap_or_default();
        let day = incident.strip_suffix(short).unwrap_or_default();
        let text = spoken(line["text"].as_str().unwrap_or_default(), day, line["at"].as_str(), &zone);
        let drill = if line["drill"].as_bool() == Some(true) { "DRILL " } else { "" };
        // A closed pipe ends the story, not the day.
        if writeln!(out, "{}{:02}:{:02} #{short:<4} {drill}{text}{}", paint.0, at.minute / 60, at.minute % 60, paint.1)
            .is_err()
        {
            return;
        }
    }
}

/// A line of the timeline as it is said in the room: short ids, local time.
fn spoken(text: &str, day: &str, at: Option<&str>, zone: &jiff::tz::TimeZone) -> String {
    let offset_s =
        at.and_then(|t| t.parse::<jiff::Timestamp>().ok()).map_or(0, |t| i64::from(zone.to_offset(t).seconds()));
    let local = |word: &str| -> Option<String> {
        let (name, time) = word.rsplit_once('=')?;
        let time = time.strip_suffix('Z')?;
        let mut parts = time.split(':').map(str::parse::<i64>);
        let (Some(Ok(h)), Some(Ok(m)), Some(Ok(s)), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let shown = (h * 3600 + m * 60 + s + offset_s).rem_euclid(86_400);
        Some(format!("{name}={:02}:{:02}:{:02}", shown / 3600, shown / 60 % 60, shown % 60))
    };
    let text = if day.is_empty() { text.to_owned() } else { text.replace(day, "") };
    text.split(' ').map(|word| local(word).unwrap_or_else(|| word.to_owned())).collect::<Vec<_>>().join(" ")
}

fn bar(args: &Args, start: Timestamp, end: Timestamp) -> ProgressBar {
    let hidden = args.json || !std::io::stderr().is_terminal();
    let bar = if hidden { ProgressBar::hidden() } else { ProgressBar::new(end.since(start).0 / 1000) };
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} s of the day, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn print(s: &Summary) {
    let c = &s.counts;
    println!();
    println!(
        "reports      {:>6}   of which joined {}, folded {}, refused at the door {}",
        s.reports, c.merged, c.folded, s.rejected
    );
    println!("incidents    {:>6}   of which drills {}, linked to another {}", c.incidents, c.drills, c.suggested);
    println!("orders       {:>6}", c.orders);
    println!("marks kept   {:>6}   missed {}", c.marks_kept, c.marks_missed);
    for (ring, (kept, missed)) in &c.on_scene_by_ring {
        println!("  on scene, ring {ring:<6} kept {kept:>5}   missed {missed}");
    }
    println!("escalations  {:>6}", c.escalations);
    println!("all-calls    {:>6}", c.all_calls);
    println!("shortfalls   {:>6}", c.shortfalls);
    println!("unaccounted  {:>6}", s.unaccounted);
    println!("{} hours of the city in {:.1} s", s.simulated_s / 3600, s.wall_s);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn said_in_the_room_ids_are_short_and_times_local() {
        let zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
        let said = spoken(
            "order 4304-20261123-1-2 → P-1 first  sign-by=16:02:36Z",
            "4304-20261123-",
            Some("2026-11-22T16:01:36Z"),
            &zone,
        );
        assert_eq!(said, "order 1-2 → P-1 first  sign-by=00:02:36");
    }

    #[test]
    fn a_speed_is_a_number_above_zero_or_max() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("60".parse(), Ok(Speed::Times(60.0)));
        assert!("0".parse::<Speed>().is_err() && "fast".parse::<Speed>().is_err());
    }
}
