//! One run: fill the city, warm up, measure, settle, and count from outside.
//!
//! ```text
//! fill ──► warm up ──► scrape ─► measured: the city (and a flood beside it) ─► scrape ──► settle ──► verify
//!   until N are open    not counted        open loop; crews act, the desk keeps N open         lost must be 0
//! ```

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::city::{City, Flood, Stream};
use super::client::{Client, Error, Target};
use super::clock::{now, until, wall};
use super::crews::{self, Conduct, Done};
use super::driver::{Plan, Repeats, Shared, drive, send_again};
use super::instance::{Instance, Usage};
use super::ledger::{Ledger, REPORTS_MAX};
use super::ours::{Ours, Stretch};
use super::pace::{Bursts, Shape};
use super::scrape::Scrape;
use super::stream::{Heard, listen};
use super::tally::Tally;
use super::verify::{Found, verify};
use crate::model::{Millis, Timestamp};
use crate::playbook::Playbook;
use crate::rehearsal::Script;

/// Reports of one request, and connections, while the city is filled.
const FILL_BATCH: u32 = 32;
const FILL_CONNECTIONS: u32 = 4;
/// Reports of one round of filling, and the rate at which they come.
const FILL_ROUND: u32 = 256;
const FILL_PER_SECOND: u32 = 1_500;
/// Of the reports some join others or are refused; filling gives up at this many times what shall be open.
const FILL_TIMES_MAX: u32 = 3;
/// Reports that wait to be sent once more.
const AGAIN_MAX: usize = 100_000;
/// The stream is open by then.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);
/// After the measured part, what is under way may take so long to be seen.
const SETTLES_WITHIN: Duration = Duration::from_secs(2);
/// And closing what we opened on an instance that lives on.
const TIDIED_WITHIN: Duration = Duration::from_secs(60);
/// A machine's clock may be so far from ours.
const CLOCKS_APART: Millis = Millis::from_mins(5);

/// What is asked of a run.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Reports a second.
    pub rate: f64,
    /// For so long.
    pub duration: Duration,
    /// After so long of the same, which is not counted.
    pub warm_up: Duration,
    /// Reports of one request.
    pub batch: u32,
    /// Connections at once.
    pub connections: u32,
    /// Incidents that stay open.
    pub open: u32,
    /// How crews act.
    pub conduct: Conduct,
    /// Ordinary reports beside it.
    pub flood: Option<Flood>,
    /// Whether the rate follows the hours of the script's day, all of it within the duration.
    pub day: bool,
    /// Or rises now and then.
    pub bursts: Option<Bursts>,
    /// Whether refused reports are sent again.
    pub retry: bool,
    /// Whether what was opened is closed at the end.
    pub tidy: bool,
}

/// Who reports, and in whose words.
pub struct Town<'a> {
    /// The words, and how desks close.
    pub script: &'a Script,
    /// The places.
    pub playbook: &'a Playbook,
    /// The same seed gives the same reports.
    pub seed: u64,
    /// Real or a drill.
    pub status: crate::model::Status,
}

/// What a run came to, before anybody judges it.
pub struct Measured {
    /// The city.
    pub city: Tally,
    /// The flood beside it.
    pub flood: Option<Tally>,
    /// From the first intended instant to the last answer.
    pub took: Duration,
    /// The fewest and the most that were open meanwhile.
    pub open: (usize, usize),
    /// How many were open at the end, as the instance says.
    pub open_told: f64,
    /// What the instance said of itself before and after.
    pub scrapes: (Scrape, Scrape),
    /// What it and the driver took.
    pub server: Option<Usage>,
    /// The driver.
    pub driver: Option<Usage>,
    /// Crews and desk, over the whole run.
    pub done: Done,
    /// What was sent once more.
    pub repeats: Repeats,
    /// The count from outside.
    pub found: Found,
    /// Times the stream said that something was lost.
    pub gaps: u64,
}

/// Told as a run goes on: what it does, how far it is (0 to 1), reports acknowledged so far, incidents open.
pub type Progress = Arc<dyn Fn(&'static str, f64, u64, usize) + Send + Sync>;

/// Runs once.
///
/// # Errors
/// When the instance does not answer, or more is asked than the driver can hold.
pub async fn run(
    target: &Target,
    town: &Town<'_>,
    ask: &Ask,
    instance: Option<&Instance>,
    progress: &Progress,
) -> anyhow::Result<Measured> {
    let begun = wall();
    let mut run = Run::begin(target, town, ask, begun, progress)?;
    run.listen().await?;
    run.fill().await?;
    run.warm_up().await?;
    let mut measured = run.measure(instance).await?;
    run.settle(&mut measured).await?;
    Ok(measured)
}

struct Run {
    ask: Ask,
    shape: Shape,
    shared: Arc<Shared>,
    heard: Arc<Heard>,
    crews: crews::Crews,
    field: crews::Field,
    again: tokio::task::JoinHandle<Repeats>,
    listener: Option<tokio::task::JoinHandle<()>>,
    stop: watch::Sender<bool>,
    /// The number of the next report.
    next: u32,
    begun: Timestamp,
    progress: Progress,
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what the driver can hold")]
fn whole(reports: f64) -> u32 {
    reports.round().clamp(0.0, f64::from(REPORTS_MAX) + 1.0) as u32
}

impl Ask {
    fn fill_max(&self) -> u32 {
        self.open.saturating_mul(FILL_TIMES_MAX).max(FILL_ROUND * 2)
    }

    fn warm_reports(&self) -> u32 {
        whole(self.rate * self.warm_up.as_secs_f64())
    }

    fn reports(&self) -> u32 {
        whole(self.rate * self.duration.as_secs_f64()).max(1)
    }

    fn flood_reports(&self) -> u32 {
        self.flood.map_or(0, |f| whole(self.rate * self.duration.as_secs_f64() * f64::from(f.times)))
    }

    fn all(&self) -> u64 {
        [self.fill_max(), self.warm_reports(), self.reports(), self.flood_reports()].into_iter().map(u64::from).sum()
    }
}

impl Run {
    fn begin(
        target: &Target,
        town: &Town<'_>,
        ask: &Ask,
        begun: Timestamp,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let all = ask.all();
        let size = u32::try_from(all).ok().filter(|all| *all <= REPORTS_MAX);
        let size = size.ok_or_else(|| {
            anyhow::anyhow!(
                "{all} reports are more than the {REPORTS_MAX} of one run: ask for less, or for a shorter time"
            )
        })?;
        let run = format!("load-{:x}", begun.0);
        let city = City::new(town.script, town.playbook, town.seed ^ begun.0.unsigned_abs(), &run, town.status);
        let city = city.map_err(anyhow::Error::msg)?;
        let (again, repeated) = mpsc::channel(AGAIN_MAX);
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared {
            target: target.clone(),
            city,
            ledger: Ledger::new(size),
            ours: Ours::default(),
            acknowledged: AtomicU64::new(0),
            again,
            retry: ask.retry,
            run,
        });
        let (crews, field) = crews::begin(&shared, ask.conduct, &town.script.desks.disposition, &stopping);
        field.keep.store(ask.open.into(), Ordering::Relaxed);
        let again = tokio::spawn(send_again(Arc::clone(&shared), repeated, stopping));
        let shape = match (ask.day, ask.bursts) {
            (true, _) => Shape::of(&town.script.per_hour),
            (false, Some(bursts)) => Shape::bursts(bursts, ask.duration),
            (false, None) => Shape::even(),
        };
        let (heard, progress) = (Arc::default(), Arc::clone(progress));
        let (ask, listener) = (ask.clone(), None);
        Ok(Self { ask, shape, shared, heard, crews, field, again, listener, stop, next: 0, begun, progress })
    }

    async fn listen(&mut self) -> Result<(), Error> {
        let (shared, crews, heard) = (Arc::clone(&self.shared), self.crews.clone(), Arc::clone(&self.heard));
        self.listener = Some(tokio::spawn(listen(shared, crews, heard)));
        let over = now() + LISTENS_WITHIN;
        while self.heard.ready.load(Ordering::Acquire) == 0 {
            if now() >= over {
                return Err(Error::Silent("/v1/stream".to_owned(), "it did not begin in time".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    fn plan(&mut self, reports: u32, span: Duration) -> Plan {
        let first = self.next;
        self.next += reports;
        Plan {
            stream: Stream::City,
            first,
            reports,
            span,
            shape: Shape::even(),
            batch: self.ask.batch,
            connections: self.ask.connections,
            measured: false,
        }
    }

    /// Reports until as many are open as shall be.
    async fn fill(&mut self) -> Result<(), Error> {
        while self.shared.ours.len() < self.ask.open as usize && self.next + FILL_ROUND <= self.ask.fill_max() {
            let missing = u32::try_from(self.ask.open as usize - self.shared.ours.len()).unwrap_or(FILL_ROUND);
            let round = missing.clamp(1, FILL_ROUND);
            let plan = self.plan(round, Duration::from_secs(1) * round / FILL_PER_SECOND);
            drive(&self.shared, Plan { batch: FILL_BATCH, connections: FILL_CONNECTIONS, ..plan }).await?;
            #[expect(clippy::cast_precision_loss, reason = "a share for people")]
            let share = self.shared.ours.len() as f64 / f64::from(self.ask.open.max(1));
            self.tell("filling", share.min(1.0));
        }
        Ok(())
    }

    async fn warm_up(&mut self) -> Result<(), Error> {
        let reports = self.ask.warm_reports();
        if reports > 0 {
            self.tell("warming up", 0.0);
            let plan = self.plan(reports, self.ask.warm_up);
            drive(&self.shared, plan).await?;
        }
        Ok(())
    }

    async fn measure(&mut self, instance: Option<&Instance>) -> anyhow::Result<Measured> {
        let (reports, span) = (self.ask.reports(), self.ask.duration);
        let city = Plan { shape: self.shape.clone(), measured: true, ..self.plan(reports, span) };
        let flooded = self.ask.flood_reports();
        let flood = self.ask.flood.map(|f| Plan { stream: Stream::Flood(f.sources), ..self.plan(flooded, span) });
        let usage = || (instance.and_then(Instance::usage), Usage::own());
        let before = scrape(&self.shared.target).await?;
        let (used, begun) = (usage(), now());
        let watch = self.watch(begun);
        let (city, flood) = tokio::join!(drive(&self.shared, city), async {
            match flood {
                Some(plan) => drive(&self.shared, plan).await.map(Some),
                None => Ok(None),
            }
        });
        let (city, flood, took) = (city?, flood?, now().saturating_duration_since(begun));
        let open = watch.end().await;
        let (after, using) = (scrape(&self.shared.target).await?, usage());
        let since = |now: Option<Usage>, then: Option<Usage>| Some(now?.since(then?));
        // Pushes of the last reports are still on their way.
        until(now() + SETTLES_WITHIN).await;
        Ok(Measured {
            city: read(&city),
            flood: flood.as_ref().map(read),
            took,
            open,
            open_told: after.sum("muster_incidents_open", &[]),
            scrapes: (before, after),
            server: since(using.0, used.0),
            driver: since(using.1, used.1),
            done: Done::default(),
            repeats: Repeats::default(),
            found: Found::default(),
            gaps: self.heard.gaps.load(Ordering::Relaxed),
        })
    }

    /// Ends crews and desk, closes what we opened where that is wanted, and counts.
    async fn settle(self, measured: &mut Measured) -> anyhow::Result<()> {
        self.tell("counting", 0.0);
        if self.ask.tidy {
            self.field.keep.store(0, Ordering::Relaxed);
            let over = now() + TIDIED_WITHIN;
            while self.shared.ours.len() > 0 && now() < over {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        // Whoever listens ended with the run.
        let _ = self.stop.send(true);
        measured.repeats = self.again.await?;
        measured.done = self.field.end().await;
        if let Some(listener) = self.listener {
            listener.abort();
        }
        let since = Timestamp(self.begun.0 - i64::try_from(CLOCKS_APART.0).unwrap_or(0));
        measured.found = verify(&self.shared, self.next, since).await?;
        Ok(())
    }

    fn tell(&self, what: &'static str, share: f64) {
        (self.progress)(what, share, self.shared.acknowledged.load(Ordering::Relaxed), self.shared.ours.len());
    }

    fn watch(&self, begun: Instant) -> Watch {
        let over = Arc::new(AtomicBool::new(false));
        let (stop, shared) = (Arc::clone(&over), Arc::clone(&self.shared));
        let (progress, span) = (Arc::clone(&self.progress), self.ask.duration);
        let looking = tokio::spawn(async move {
            let (mut least, mut most) = (usize::MAX, 0);
            while !stop.load(Ordering::Relaxed) {
                let open = shared.ours.len();
                (least, most) = (least.min(open), most.max(open));
                let share = now().saturating_duration_since(begun).as_secs_f64() / span.as_secs_f64().max(0.001);
                progress("measuring", share.min(1.0), shared.acknowledged.load(Ordering::Relaxed), open);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            (least.min(most), most)
        });
        Watch { over, looking }
    }
}

/// Looks at how many are open while a stretch is measured.
struct Watch {
    over: Arc<AtomicBool>,
    looking: tokio::task::JoinHandle<(usize, usize)>,
}

impl Watch {
    async fn end(self) -> (usize, usize) {
        self.over.store(true, Ordering::Relaxed);
        self.looking.await.unwrap_or_default()
    }
}

fn read(stretch: &Stretch) -> Tally {
    stretch.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

async fn scrape(target: &Target) -> Result<Scrape, Error> {
    let body = Client::to(target).get("/metrics").await?;
    Ok(Scrape::read(&String::from_utf8_lossy(&body)))
}
