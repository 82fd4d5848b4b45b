//! The gate to the brokers: takes an event that came over HTTP, puts it where it will be decided, and waits for the
//! decision as long as somebody waits here.
//!
//! ```text
//!  door ──► judge: whose is it ──► produce, keyed by command area ──► confirmed at an offset ──► decided? ──► answer
//!              (route)               (one bound, two lanes)            else 503, Retry-After      else 202 and where to look
//! ```
//! What is produced is the event as it came, byte for byte: structured as JSON, binary with its attributes as `ce_` headers;
//! bare data gets the envelope that the door gave it. The owner reads it as it reads every other message.
//!
//! # Invariants
//! * An event is answered only when the brokers have it, or with 503: then it may have been kept all the same, and who sends
//!   it again with the same source and id does no harm.
//! * At most `unconfirmed_max` events are under way to the brokers; ordinary ones may use four fifths of that. So while
//!   the brokers are away nothing piles up, and the bottom line is the last to be turned away.
//! * Who gives up waiting takes nothing back.

use std::future::ready;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, ProducerContext};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::answers::{Answers, Found};
use super::client::Context;
use super::clients::{Clients, Producer};
use super::picture::Picture;
use super::reading::{ATTRIBUTE, REPLY, TRACEPARENT};
use super::route::Routes;
use crate::decode::EventType;
use crate::journal::Refused;
use crate::model::{Body, Event, Lane, Millis, Timestamp};
use crate::playbook::Playbook;
use crate::runtime::{Arrival, Awaited, Clock, Fate, Form, Gate, Judged, Kept, Outcome, Readiness, SubmitError};
use crate::telemetry::Metrics;

/// Bounds of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateOptions {
    /// Events that the brokers have not confirmed yet; beyond it even the bottom line is told to come again.
    pub unconfirmed_max: usize,
    /// Percent of them that only the bottom line may use.
    pub reserve_percent: u8,
    /// What the brokers have not confirmed within this is answered with 503.
    pub confirm_within: Millis,
    /// What was not decided within this, from when it came, is answered with where to look.
    pub answer_within: Millis,
    /// What a producer that was told to come again shall wait.
    pub retry_after: Millis,
    /// Bytes of one event.
    pub element_bytes_max: usize,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self {
            unconfirmed_max: 10_000,
            reserve_percent: 20,
            confirm_within: Millis::from_secs(3),
            answer_within: Millis::from_secs(5),
            retry_after: Millis::from_secs(1),
            element_bytes_max: 64 * 1024,
        }
    }
}

/// What a gate is made of.
pub struct GateParts {
    /// Clients of the brokers.
    pub clients: Arc<Clients>,
    /// Which way events go.
    pub routes: Arc<Routes>,
    /// Where decisions are told.
    pub answers: Answers,
    /// What is known of all shards.
    pub picture: Picture,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// What time it is.
    pub clock: Clock,
    /// Bounds.
    pub options: GateOptions,
}

/// The gate. Cheap to clone.
#[derive(Clone)]
pub struct KafkaGate(Arc<Inner>);

struct Inner {
    parts: GateParts,
    way: Mutex<Option<Way>>,
    under_way: Arc<AtomicUsize>,
}

/// A producer, and whether it gave up for good.
struct Way {
    producer: Producer<Confirmations>,
    failed: Arc<AtomicBool>,
}

impl KafkaGate {
    /// A gate; its producer is made with the first event.
    #[must_use]
    pub fn new(parts: GateParts) -> Self {
        let limit = i64::try_from(parts.options.unconfirmed_max).unwrap_or(i64::MAX);
        parts.metrics.queue_limit.with_label_values(&["gate"]).set(limit);
        Self(Arc::new(Inner { parts, way: Mutex::new(None), under_way: Arc::default() }))
    }

    /// How full the gate and the room of those who wait are, as metrics. To be called now and then.
    pub fn measure(&self) {
        let metrics = &self.0.parts.metrics;
        let set = |gauge: &prometheus::IntGaugeVec, queue, n: usize| {
            gauge.with_label_values(&[queue]).set(i64::try_from(n).unwrap_or(i64::MAX));
        };
        set(&metrics.queue_depth, "gate", self.0.under_way.load(Ordering::Acquire));
        let (waits, waiting_max) = self.0.parts.answers.depth();
        set(&metrics.queue_depth, "answers", waits);
        set(&metrics.queue_limit, "answers", waiting_max);
    }

    fn count(&self, outcome: &Result<Outcome, SubmitError>) {
        let word = match outcome {
            Ok(Outcome::Decided(_)) => "decided",
            Ok(Outcome::Kept(_)) => "kept",
            Ok(Outcome::Refused(_)) => "refused",
            Err(SubmitError::Busy { .. }) => "busy",
            Err(SubmitError::Away { .. } | SubmitError::Stopped { .. }) => "away",
        };
        self.0.parts.metrics.gate.with_label_values(&[word]).inc();
    }
}

impl Gate for KafkaGate {
    fn judge(&self, event: &Event) -> Judged {
        self.0.parts.routes.judge(event)
    }

    fn submit(&self, arrival: Arrival) -> Awaited {
        let gate = self.clone();
        match self.0.hand_over(&arrival) {
            Ok(confirmed) => {
                let waits = !matches!(arrival.event.body, Body::Position(_));
                let options = &self.0.parts.options;
                let due = [options.confirm_within, options.answer_within].map(|span| Instant::now() + real(span));
                Box::pin(async move {
                    let outcome = gate.0.wait(confirmed, waits, due).await;
                    gate.count(&outcome);
                    outcome
                })
            }
            Err(at_once) => {
                gate.count(&at_once);
                Box::pin(ready(at_once))
            }
        }
    }

    fn fate(&self, kept: &Kept) -> Fate {
        let parts = &self.0.parts;
        match parts.answers.get(kept) {
            Some(Outcome::Decided(answer)) => Fate::Decided(answer),
            Some(Outcome::Refused(refused)) => Fate::Refused(refused),
            Some(Outcome::Kept(_)) | None => {
                let known = super::inbox::Door::ALL.iter().any(|door| door.as_str() == kept.door);
                match parts.picture.is_decided(kept).filter(|_| known) {
                    Some(true) => Fate::Past,
                    Some(false) => Fate::Waiting,
                    None => Fate::Unknown,
                }
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.0.parts.clock.now()
    }

    fn playbooks(&self) -> Vec<Arc<Playbook>> {
        self.0.parts.routes.playbooks().to_vec()
    }

    fn readiness(&self) -> Readiness {
        let parts = &self.0.parts;
        let (whole, answer) = (parts.picture.is_whole(), parts.picture.brokers_answer());
        let phase = match (whole, answer) {
            (true, true) => "ready",
            (false, true) => "restoring",
            (_, false) => "brokers-away",
        };
        let (waits, waiting_max) = parts.answers.depth();
        let told = json!({
            "phase": phase, "now": self.now().to_rfc3339(), "picture_age_ms": parts.picture.age().map(|age| age.0),
            "unconfirmed": [self.0.under_way.load(Ordering::Acquire), parts.options.unconfirmed_max],
            "waiting": [waits, waiting_max], "shards": parts.picture.told(),
        });
        Readiness { ready: whole && answer, told }
    }

    fn picture_age(&self) -> Option<Millis> {
        self.0.parts.picture.age()
    }
}

type Confirmed = oneshot::Receiver<Option<Kept>>;

impl Inner {
    /// Hands an event to the producer, or says at once what becomes of it.
    fn hand_over(&self, arrival: &Arrival) -> Result<Confirmed, Result<Outcome, SubmitError>> {
        let options = &self.parts.options;
        let area = &arrival.judged.playbook.head.command_area;
        let (door, partition) = self.parts.routes.place(&arrival.event, area);
        let (payload, headers) = message(arrival);
        if payload.len() > options.element_bytes_max {
            return Err(Ok(Outcome::Refused(too_large(door.as_str(), options.element_bytes_max))));
        }
        let place = self.reserve(lane(arrival)).ok_or(Err(SubmitError::Busy { retry_after: options.retry_after }))?;
        let away = || Err(SubmitError::Away { retry_after: options.retry_after });
        let (tell, confirmed) = oneshot::channel();
        let ticket =
            Box::new(Ticket { tell, kept: Kept { door: door.as_str().into(), partition, offset: 0 }, _place: place });
        let topic = self.parts.clients.topic(door.as_str());
        let record = BaseRecord::with_opaque_to(&topic, ticket)
            .partition(i32::try_from(partition).unwrap_or(i32::MAX))
            .key(area.as_str())
            .payload(&*payload)
            .headers(headers);
        let mut way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        let way = self.open(&mut way).map_err(|error| {
            warn!(%error, "gate.no_producer");
            away()
        })?;
        match way.producer.send(record) {
            Ok(()) => Ok(confirmed),
            Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                Err(Err(SubmitError::Busy { retry_after: options.retry_after }))
            }
            Err((error, _)) => {
                warn!(%error, topic, "gate.refused");
                Err(away())
            }
        }
    }

    /// The producer; a new one after the last gave up.
    fn open<'w>(&self, way: &'w mut Option<Way>) -> Result<&'w Way, KafkaError> {
        if let Some(old) = way.take_if(|way| way.failed.load(Ordering::Acquire)) {
            // Closing waits for its threads, so it is done elsewhere.
            let closed = std::thread::Builder::new().name("gate-close".to_owned()).spawn(move || drop(old));
            if let Err(error) = closed {
                warn!(%error, "gate.closed_here");
            }
        }
        match way {
            Some(way) => Ok(way),
            none => {
                let failed = Arc::new(AtomicBool::new(false));
                let context = Confirmations { inner: self.parts.clients.context(), failed: Arc::clone(&failed) };
                let within = Millis(self.parts.options.confirm_within.0 * CONFIRMS_IN_ALL);
                let producer = self.parts.clients.gate(context, within, self.parts.options.unconfirmed_max)?;
                Ok(none.insert(Way { producer, failed }))
            }
        }
    }

    /// A place among those under way, if this lane may have one.
    fn reserve(&self, lane: Lane) -> Option<Place> {
        let options = &self.parts.options;
        let share = match lane {
            Lane::BottomLine => 100,
            Lane::Ordinary => 100 - usize::from(options.reserve_percent.min(100)),
        };
        let max = options.unconfirmed_max / 100 * share + options.unconfirmed_max % 100 * share / 100;
        let taken = self.under_way.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < max).then_some(n + 1));
        taken.is_ok().then(|| Place(Arc::clone(&self.under_way)))
    }

    /// Waits until the brokers have it, then until it is decided, each within its time.
    async fn wait(
        &self,
        confirmed: Confirmed,
        waits: bool,
        [confirm_by, answer_by]: [Instant; 2],
    ) -> Result<Outcome, SubmitError> {
        let Ok(Ok(Some(kept))) = timeout_at(confirm_by, confirmed).await else {
            return Err(SubmitError::Away { retry_after: self.parts.options.retry_after });
        };
        if !waits {
            return Ok(Outcome::Kept(kept));
        }
        match self.parts.answers.wait(kept.clone()) {
            Found::Known(outcome) => Ok(outcome),
            Found::Coming(wait) => match timeout_at(answer_by, wait).await {
                Ok(Some(outcome)) => Ok(outcome),
                Ok(None) | Err(_) => Ok(Outcome::Kept(kept)),
            },
            Found::Crowded => Ok(Outcome::Kept(kept)),
        }
    }
}

/// The producer tries for so many times as long as anybody waits: who is told to come again then often need not.
const CONFIRMS_IN_ALL: u64 = 3;

/// A place among the events under way; free again when what became of the event is known.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What goes with an event to the brokers and comes back with its confirmation.
#[derive(Debug)]
struct Ticket {
    tell: oneshot::Sender<Option<Kept>>,
    kept: Kept,
    _place: Place,
}

/// Hears what became of events, on the producer's own thread.
struct Confirmations {
    inner: Context,
    failed: Arc<AtomicBool>,
}

impl ClientContext for Confirmations {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.inner.log(level, facility, line);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.inner.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.failed.store(true, Ordering::Release);
        }
        self.inner.error(error, reason);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.inner.generate_oauth_token(config)
    }
}

impl ProducerContext<NoCustomPartitioner> for Confirmations {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let Ticket { tell, kept, .. } = *ticket;
        let landed = match result {
            // Some brokers confirm a repeated message without saying where it stands.
            Ok(message) => u64::try_from(message.offset()).ok().map(|offset| Kept { offset, ..kept }),
            Err((error, _)) => {
                warn!(%error, door = %kept.door, partition = kept.partition, "gate.not_confirmed");
                None
            }
        };
        // Who has given up waiting is told nothing.
        let _ = tell.send(landed);
    }
}

/// What posts and operators say never waits behind a flood.
fn lane(arrival: &Arrival) -> Lane {
    match &arrival.event.body {
        Body::Report(_) => arrival.judged.verdict.as_ref().map_or(Lane::Ordinary, |v| v.classification.lane),
        Body::Position(_) => Lane::Ordinary,
        Body::Act(_) | Body::Command(_) => Lane::BottomLine,
    }
}

/// The message of an event: its bytes as they came, and what goes into headers.
fn message(arrival: &Arrival) -> (Vec<u8>, OwnedHeaders) {
    const STRUCTURED: &str = "application/cloudevents+json; charset=utf-8";
    let Arrival { event, form, .. } = arrival;
    let named = |headers: OwnedHeaders, key: &str, value: &str| headers.insert(Header { key, value: Some(value) });
    let mut headers = OwnedHeaders::new();
    let payload = match form {
        Form::Structured(bytes) => {
            headers = named(headers, "content-type", STRUCTURED);
            bytes.to_vec()
        }
        Form::Bare(data) => {
            headers = named(headers, "content-type", STRUCTURED);
            enveloped(event, data)
        }
        Form::Binary { attributes, content_type, body } => {
            headers = named(headers, "content-type", content_type.as_deref().unwrap_or("application/json"));
            for (name, value) in attributes {
                headers = named(headers, &format!("{ATTRIBUTE}{name}"), value);
            }
            body.to_vec()
        }
    };
    if let Some(trace) = &event.meta.traceparent {
        headers = named(headers, TRACEPARENT, trace);
    }
    if !matches!(event.body, Body::Position(_)) {
        headers = named(headers, REPLY, "1");
    }
    (payload, headers)
}

/// Bare data in the envelope that the door gave it. The data stand in it as they came.
fn enveloped(event: &Event, data: &[u8]) -> Vec<u8> {
    let kind = match event.body {
        Body::Report(_) => EventType::Report,
        Body::Act(_) => EventType::Act,
        Body::Position(_) => EventType::Position,
        Body::Command(_) => EventType::Command,
    };
    let text = |value: &str| Value::from(value).to_string();
    let head = format!(
        r#"{{"specversion":"1.0","type":{},"source":{},"id":{},"datacontenttype":"application/json","data":"#,
        text(kind.as_str()),
        text(event.meta.source.as_str()),
        text(event.meta.id.as_str()),
    );
    [head.as_bytes(), data.trim_ascii(), b"}"].concat()
}

fn real(span: Millis) -> Duration {
    Duration::from_millis(span.0)
}

fn too_large(door: &str, max: usize) -> Refused {
    let detail = format!("with its envelope the event is larger than {max} bytes");
    Refused { door: door.into(), offset: 0, reason: "too-large".into(), field: None, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{self, Limits, Sender, decode_bare, decode_structured};
    use crate::kafka::areas::Playbooks;
    use crate::kafka::options::Options;
    use rdkafka::message::Headers as _;

    /// A gate whose brokers are away: nobody listens there.
    fn gate(options: GateOptions) -> KafkaGate {
        let kafka = Options { brokers: vec!["127.0.0.1:1".into()], member: "n1".into(), ..Options::default() };
        let playbook = Arc::new(crate::playbook::minimal());
        let routes = Routes::new(&Playbooks::new([playbook]), &"9900".into(), 4).unwrap();
        let clock = Clock::wall();
        KafkaGate::new(GateParts {
            clients: Arc::new(Clients::new(kafka)),
            routes: Arc::new(routes),
            answers: Answers::new(10, 10),
            picture: Picture::new(4, clock.clone()),
            metrics: Arc::new(Metrics::new()),
            clock,
            options,
        })
    }

    fn arrival(gate: &KafkaGate, text: &'static str) -> Arrival {
        let event = decode_structured(text.as_bytes(), gate.now(), &Limits::default()).unwrap().event;
        let judged = gate.judge(&event);
        Arrival { event, judged, form: Form::Structured(text.into()) }
    }

    const ORDINARY: &str =
        r#"{"specversion":"1.0","type":"muster.report","source":"s","id":"1","data":{"text":"noise"}}"#;
    const KNIFE: &str = r#"{"specversion":"1.0","type":"muster.report","source":"s","id":"2","data":{"text":"knife"}}"#;

    #[tokio::test]
    async fn brokers_that_are_away_are_told_within_a_bounded_time_and_nothing_piles_up() {
        let gate = gate(GateOptions { unconfirmed_max: 10, confirm_within: Millis(200), ..GateOptions::default() });
        let mut waiting = Vec::new();
        for _ in 0..9 {
            waiting.push(gate.submit(arrival(&gate, ORDINARY)));
        }
        let busy = SubmitError::Busy { retry_after: Millis(1_000) };
        assert_eq!(waiting.pop().unwrap().await, Err(busy.clone()), "a fifth is not for ordinary reports");
        waiting.push(gate.submit(arrival(&gate, KNIFE)));
        waiting.push(gate.submit(arrival(&gate, KNIFE)));
        assert_eq!(gate.submit(arrival(&gate, KNIFE)).await, Err(busy));
        for outcome in waiting {
            assert_eq!(outcome.await, Err(SubmitError::Away { retry_after: Millis(1_000) }));
        }
        let readiness = gate.readiness();
        assert!(!readiness.ready);
        assert_eq!((&readiness.told["phase"], &readiness.told["unconfirmed"][0]), (&json!("brokers-away"), &json!(10)));
        // The producer gives them up in the end, and there is room again.
        for _ in 0..100 {
            if gate.0.under_way.load(Ordering::Acquire) == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{} still under way", gate.0.under_way.load(Ordering::Acquire));
    }

    fn header<'h>(headers: &'h OwnedHeaders, name: &str) -> Option<&'h str> {
        let found = headers.iter().find(|header| header.key == name)?;
        std::str::from_utf8(found.value?).ok()
    }

    #[test]
    fn an_event_goes_on_as_it_came() {
        let gate = gate(GateOptions::default());
        let (payload, headers) = message(&arrival(&gate, KNIFE));
        assert_eq!(payload, KNIFE.as_bytes());
        assert!(header(&headers, "content-type").unwrap().starts_with("application/cloudevents+json"));
        assert_eq!((header(&headers, REPLY), header(&headers, TRACEPARENT)), (Some("1"), None));

        let mut binary = arrival(&gate, KNIFE);
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        binary.event.meta.traceparent = Some(trace.into());
        binary.form = Form::Binary {
            attributes: vec![("id".into(), "a b".into()), ("source".into(), "台".into())],
            content_type: None,
            body: r#"{"text":"knife"}"#.into(),
        };
        let (payload, headers) = message(&binary);
        assert_eq!(payload, br#"{"text":"knife"}"#);
        let told = ["ce_id", "ce_source", "content-type", TRACEPARENT].map(|name| header(&headers, name).unwrap());
        assert_eq!(told, ["a b", "台", "application/json", trace]);
    }

    #[test]
    fn bare_data_get_the_envelope_that_the_door_gave_them() {
        let gate = gate(GateOptions::default());
        let data = b" {\"text\": \"knife\", \"x\": 1.0}\n";
        let id = "say \"so\"".into();
        let sender = Sender { kind: EventType::Report, source: "http".into(), id };
        let event = decode_bare(data, sender, gate.now(), &Limits::default()).unwrap().event;
        let bytes = enveloped(&event, data);
        let again = decode_structured(&bytes, event.received, &Limits::default()).unwrap().event;
        assert_eq!(again, event, "with the same digest");
        assert!(String::from_utf8(bytes).unwrap().contains(r#""data":{"text": "knife", "x": 1.0}}"#));
        assert!(!decode::is_enveloped(data, &Limits::default()));
    }

    #[tokio::test]
    async fn what_outgrows_the_bound_by_its_envelope_is_refused_here_and_not_by_the_owner() {
        let gate = gate(GateOptions { element_bytes_max: 100, ..GateOptions::default() });
        let mut bare = arrival(&gate, KNIFE);
        bare.form = Form::Bare(format!("{{\"text\":\"knife\"{}}}", " ".repeat(80)).into());
        let Ok(Outcome::Refused(refused)) = gate.submit(bare).await else { panic!("refused") };
        assert_eq!(refused.reason, "too-large");
        assert_eq!(gate.0.under_way.load(Ordering::Acquire), 0);
    }

    #[test]
    fn a_place_that_nobody_knows_has_no_fate() {
        let gate = gate(GateOptions::default());
        let kept = |door: &str, partition| Kept { door: door.into(), partition, offset: 3 };
        assert_eq!(gate.fate(&kept("reports", 1)), Fate::Waiting);
        assert_eq!(gate.fate(&kept("reports", 4)), Fate::Unknown);
        assert_eq!(gate.fate(&kept("journal", 1)), Fate::Unknown);
    }
}
