//! Who sends the reports: some connections that take ticket after ticket, and what their answers come to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::answer::Answer;
use super::city::{City, Stream};
use super::client::{Client, Error, Form, Target};
use super::clock::{now, until, wall};
use super::ledger::{Fate, Ledger};
use super::ours::{Ours, Stretch};
use super::pace::{Shape, Ticket, Tickets};
use super::tally::Tally;

/// Of so many reports one is sent again, to see that its repeat gets the same answer.
const REPEATED_ONE_IN: u32 = 200;
/// Where a refusal does not say when to come again.
const RETRY_AFTER_S: u64 = 1;
/// A report that was refused is sent again so often.
const RETRIES_MAX: u8 = 5;

/// What all parts of a run share.
pub struct Shared {
    /// Where the instance is.
    pub target: Target,
    /// What is reported.
    pub city: City,
    /// What became of each report.
    pub ledger: Ledger,
    /// Which incidents are ours.
    pub ours: Ours,
    /// Reports acknowledged so far, for whoever shows it.
    pub acknowledged: AtomicU64,
    /// What is sent once more.
    pub again: mpsc::Sender<Again>,
    /// Whether refused reports are sent again.
    pub retry: bool,
    /// Stands in every id of this run.
    pub run: String,
}

/// A report that is sent once more.
#[derive(Clone, Copy, Debug)]
pub struct Again {
    /// Which.
    pub n: u32,
    /// Of which stream.
    pub stream: Stream,
    /// Not before.
    pub due: Instant,
    /// It was refused, and so often; otherwise it was taken, and its repeat must be known.
    pub refused: Option<u8>,
}

/// A stretch of reports.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of which stream.
    pub stream: Stream,
    /// The number of the first report.
    pub first: u32,
    /// How many.
    pub reports: u32,
    /// Within which time.
    pub span: Duration,
    /// How they are spread over it.
    pub shape: Shape,
    /// Events of one request.
    pub batch: u32,
    /// Connections at once.
    pub connections: u32,
    /// Whether its pushes are measured.
    pub measured: bool,
}

impl Plan {
    fn requests(&self) -> u64 {
        u64::from(self.reports.div_ceil(self.batch.max(1)))
    }

    /// The numbers of the reports of one request.
    fn numbers(&self, request: u64) -> std::ops::Range<u32> {
        let request = u32::try_from(request).unwrap_or(u32::MAX);
        let from = request.saturating_mul(self.batch).min(self.reports);
        let to = from.saturating_add(self.batch).min(self.reports);
        self.first + from..self.first + to
    }
}

/// Sends a stretch, and waits for all its answers.
///
/// # Errors
/// When no connection can be made at all.
pub async fn drive(shared: &Arc<Shared>, plan: Plan) -> Result<Stretch, Error> {
    let mut clients: Vec<Client> = (0..plan.connections.max(1)).map(|_| Client::to(&shared.target)).collect();
    for client in &mut clients {
        client.open().await?;
    }
    let stretch = Stretch::default();
    let tickets = Arc::new(Tickets::new(plan.shape.clone(), now(), plan.span, plan.requests()));
    let plan = Arc::new(plan);
    let mut sending = JoinSet::new();
    for client in clients {
        let connection = Connection {
            shared: Arc::clone(shared),
            plan: Arc::clone(&plan),
            tickets: Arc::clone(&tickets),
            stretch: Arc::clone(&stretch),
            client,
            body: String::new(),
        };
        sending.spawn(connection.run());
    }
    while sending.join_next().await.is_some() {}
    Ok(stretch)
}

struct Connection {
    shared: Arc<Shared>,
    plan: Arc<Plan>,
    tickets: Arc<Tickets>,
    stretch: Stretch,
    client: Client,
    body: String,
}

impl Connection {
    async fn run(mut self) {
        while let Some(ticket) = self.tickets.take() {
            let taken = now();
            if taken < ticket.intended {
                until(ticket.intended).await;
            }
            self.send(ticket, taken).await;
        }
    }

    async fn send(&mut self, ticket: Ticket, taken: Instant) {
        let numbers = self.plan.numbers(ticket.number);
        let form = self.write(numbers.clone());
        let sent = now();
        let body = std::mem::take(&mut self.body).into();
        let reply = self.client.post("/v1/reports", form, body).await;
        let done = now();
        let mut tally = self.stretch.lock().unwrap_or_else(PoisonError::into_inner);
        let late = |from: Instant| sent.saturating_duration_since(from);
        if taken <= ticket.intended {
            tally.lag.add(late(ticket.intended));
            tally.wait.add(Duration::ZERO);
        } else {
            tally.lag.add(late(taken));
            tally.wait.add(taken.saturating_duration_since(ticket.intended));
        }
        tally.counts.sent += numbers.len() as u64;
        let read = reply.ok().map(|r| (r.status.as_u16(), r.body));
        let answers = read.as_ref().and_then(|(s, body)| Some((*s, Answer::read(body, form == Form::Batch).ok()?)));
        let Some((status, answers)) = answers else {
            tally.counts.unanswered += numbers.len() as u64;
            return;
        };
        let whole = if answers.len() == 1 { answers.first() } else { None };
        for (index, n) in numbers.enumerate() {
            match answers.get(index).or(whole) {
                Some(answer) => self.note(&mut tally, n, status, answer, ticket.intended, done),
                None => tally.counts.unanswered += 1,
            }
        }
    }

    fn write(&mut self, numbers: std::ops::Range<u32>) -> Form {
        let (city, at) = (&self.shared.city, wall());
        let batch = self.plan.batch > 1;
        self.body.clear();
        for n in numbers {
            if batch {
                self.body.push(if self.body.is_empty() { '[' } else { ',' });
            }
            city.write(n, self.plan.stream, at, &mut self.body);
        }
        if batch {
            self.body.push(']');
        }
        if batch { Form::Batch } else { Form::One }
    }

    fn note(&self, tally: &mut Tally, n: u32, status: u16, answer: &Answer<'_>, intended: Instant, done: Instant) {
        if !answer.is_taken(status) {
            let status = answer.status.unwrap_or(status);
            tally.counts.refused(status);
            self.shared.ledger.note(n, Fate::Refused);
            if self.shared.retry && matches!(status, 429 | 503) {
                let due = done + Duration::from_secs(answer.retry_after_s.unwrap_or(RETRY_AFTER_S));
                self.again(n, due, Some(0));
            }
            return;
        }
        let (lane, spent) = (answer.lane(), done.saturating_duration_since(intended));
        tally.counts.acknowledged += 1;
        self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
        tally.answer.of(lane).add(spent);
        if answer.orders() > 0 {
            tally.counts.ordered += 1;
            tally.order.of(lane).add(spent);
        }
        tally.counts.outcome(answer.outcome.as_deref().unwrap_or_default());
        let push = (self.plan.measured && answer.orders() > 0).then(|| Arc::clone(&self.stretch));
        let measured = push.is_some();
        if let Some(seen) = taken(&self.shared, n, answer, intended, push).filter(|_| measured) {
            tally.push.of(lane).add(seen);
        }
        if n.is_multiple_of(REPEATED_ONE_IN) {
            self.again(n, done, None);
        }
    }

    fn again(&self, n: u32, due: Instant, refused: Option<u8>) {
        // Where too many wait already, this one stays refused, and is counted so.
        let _ = self.shared.again.try_send(Again { n, stream: self.plan.stream, due, refused });
    }
}

/// Writes down what a report that was taken came to; after how long its first order was seen, if it was already.
fn taken(shared: &Shared, n: u32, answer: &Answer<'_>, intended: Instant, push: Option<Stretch>) -> Option<Duration> {
    let key = answer.incident.as_deref().and_then(|id| shared.ledger.key(id));
    let Some(key) = key else {
        shared.ledger.note(n, Fate::Elsewhere);
        return None;
    };
    if matches!(answer.outcome.as_deref(), Some("opened" | "suggested")) {
        shared.ledger.note(n, Fate::Opened(key));
        shared.ours.opened(key, intended, answer.lane(), push)
    } else {
        shared.ledger.note(n, Fate::Belongs(key));
        None
    }
}

/// What sending once more came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Repeats {
    /// Reports sent once more after they had been taken.
    pub sent: u64,
    /// Of those, known as repeats, with the same incident.
    pub known: u64,
    /// Of those, applied a second time: must be 0.
    pub applied_twice: u64,
    /// Refused reports that were taken at last.
    pub taken_at_last: u64,
    /// Refused reports given up.
    pub given_up: u64,
}

/// Sends once more what shall be, until it is told to stop and nothing is left; what it came to.
pub async fn send_again(
    shared: Arc<Shared>,
    mut queue: mpsc::Receiver<Again>,
    mut stop: watch::Receiver<bool>,
) -> Repeats {
    let mut client = Client::to(&shared.target);
    let mut told = Repeats::default();
    loop {
        let next = tokio::select! {
            biased;
            next = queue.recv() => next,
            _ = stop.wait_for(|stop| *stop) => None,
        };
        let Some(again) = next else { return told };
        if *stop.borrow() && again.refused.is_some() {
            told.given_up += 1;
            continue;
        }
        until(again.due).await;
        let mut body = String::new();
        shared.city.write(again.n, again.stream, wall(), &mut body);
        let begun = now();
        let reply = client.post("/v1/reports", Form::One, body.into()).await;
        let read =
            reply.as_ref().ok().and_then(|r| Some((r.status.as_u16(), Answer::read(&r.body, false).ok()?.pop()?)));
        let Some((status, answer)) = read else { continue };
        match (again.refused, answer.is_taken(status)) {
            (None, true) => told.count(&shared, again.n, &answer),
            // Told to come again: it is no repeat that anybody judged.
            (None, false) => {}
            (Some(_), true) => {
                told.taken_at_last += 1;
                let _ = taken(&shared, again.n, &answer, begun, None);
            }
            (Some(tries), false) if tries + 1 < RETRIES_MAX => {
                let due = now() + Duration::from_secs(answer.retry_after_s.unwrap_or(RETRY_AFTER_S));
                if shared.again.try_send(Again { due, refused: Some(tries + 1), ..again }).is_err() {
                    told.given_up += 1;
                }
            }
            (Some(_), false) => told.given_up += 1,
        }
    }
}

impl Repeats {
    fn count(&mut self, shared: &Shared, n: u32, answer: &Answer<'_>) {
        self.sent += 1;
        let same = match shared.ledger.fate(n) {
            Fate::Opened(key) | Fate::Belongs(key) => answer.incident.as_deref() == Some(&shared.ledger.incident(key)),
            _ => answer.incident.is_none(),
        };
        if answer.repeat && same {
            self.known += 1;
        } else {
            self.applied_twice += 1;
        }
    }
}
