//! Every metric, its name, labels and meaning, in one place. No label ever holds the id of an incident, a post or a
//! source; a drill carries `drill="true"`.

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

/// The metrics of one process.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Reports by kind of source and what was done with them.
    pub reports: IntCounterVec,
    /// Members of events that nobody here knows, dropped at the door.
    pub dropped_members: IntCounter,
    /// Incidents that still have a clock.
    pub incidents_open: IntGaugeVec,
    /// Orders by kind of post, role and what became of them; each fact counts once.
    pub orders: IntCounterVec,
    /// From the instant a mark fell due to the moment its miss or warning was acted on.
    pub mark_lateness: Histogram,
    /// Marks by name, ring and outcome: kept, missed (first round), late (reached after a miss), warned.
    pub marks: IntCounterVec,
    /// How long each leg of the response took.
    pub leg: HistogramVec,
    /// What nobody accounts for, by the reconciler's count. Must be 0.
    pub unaccounted: IntGaugeVec,
    /// How full each bounded queue is.
    pub queue_depth: IntGaugeVec,
    /// Where it ends.
    pub queue_limit: IntGaugeVec,
    /// One append to the journal, to durable.
    pub journal_append: Histogram,
    /// Requests by route (its pattern), method and status.
    pub http: HistogramVec,
    /// Notices by desk and kind.
    pub notices: IntCounterVec,
    /// Notices that a silence or a planned window kept from the desks.
    pub notices_hidden: IntCounterVec,
    /// All-calls begun.
    pub all_calls: IntCounterVec,
    /// Levels climbed.
    pub escalations: IntCounterVec,
    /// Needs that nobody could serve.
    pub shortfalls: IntCounterVec,
    /// Attempts at an outside channel, by outcome.
    pub deliveries: IntCounterVec,
    /// Times a browser said that a page of ours broke its policy. Should stay 0.
    pub csp_reports: IntCounter,
    /// Who listens to the stream.
    pub stream_clients: IntGauge,
    /// Targets of webhooks by the state of their circuit.
    pub webhook_targets: IntGaugeVec,
    /// Clients of the stream that were too slow and were told to read anew.
    pub stream_dropped: IntCounter,
    /// Connections that were let go because nothing of what we sent was taken.
    pub http_stalled: IntCounter,
    /// Times the board and the channels fell behind the shard and read back from the journal.
    pub read_backs: IntCounter,
    /// The number of the last accepted step.
    pub step: IntGauge,
    /// The instant of the last accepted step, in seconds since 1970.
    pub step_at: Gauge,
    /// Shards by phase, on this node.
    pub shards: IntGaugeVec,
    /// Inputs read and not decided, steps under way, steps whose effects have not left: by shard.
    pub shard_waiting: IntGaugeVec,
    /// Take-overs of a shard, and running states dropped, by reason.
    pub shard_events: IntCounterVec,
    /// Inputs of a step.
    pub step_inputs: Histogram,
    /// Reports handed over to the shard they belong to.
    pub forwarded: IntCounter,
    /// Bytes of a record of the journal.
    pub record_bytes: Histogram,
    /// What failed at the brokers and is tried again, by what it was (append, output, input, read,
    /// trim) and why.
    pub kafka_failures: IntCounterVec,
    /// Records that were deleted from the journal because no restore needs them.
    pub journal_trimmed: IntCounter,
    /// The first offset of the journal of each shard that is ours, since it was trimmed last.
    pub journal_first: IntGaugeVec,
    /// Records of journals that count for nothing, by reason; every node sees all of them.
    pub journal_void: IntCounterVec,
    /// How old the picture is that this node's readers see.
    pub picture_age: Gauge,
    /// Records of a shard's journal that this node has not read yet.
    pub follower_lag: IntGaugeVec,
    /// How much of a restore is done, from 0 to 1.
    pub restore_progress: GaugeVec,
    /// Times a journal had to be read anew, and a reader was replaced, by reason.
    pub follower_events: IntCounterVec,
    /// What became of events at the gate to the brokers, as far as somebody waited.
    pub gate: IntCounterVec,
    /// Requests that were not let in, by status and reason.
    pub access_denied: IntCounterVec,
    /// Lines of the audit trail that could not be written.
    pub audit_lost: IntCounter,
    /// Words of the consumer group: shards assigned, revoked, lost; a rebalance that failed.
    pub rebalances: IntCounterVec,
    /// Messages and bytes that wait in clients of the brokers, by their role.
    pub librdkafka_waiting: IntGaugeVec,
    /// Bytes between clients and brokers, by role and direction.
    pub librdkafka_bytes: IntCounterVec,
    /// Connections that broke, by role.
    pub librdkafka_disconnects: IntCounterVec,
    /// The slowest broker's round trip, of a hundred the second slowest, by role.
    pub librdkafka_round_trip: GaugeVec,
    /// 1, with the version of the client library.
    pub librdkafka_info: GaugeVec,
    /// 1, with the version.
    pub build_info: GaugeVec,
}

/// From a millisecond to ten minutes: decisions at the low end, arrivals at the high end.
const LATENESS_S: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 60.0];
const APPEND_S: [f64; 10] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0];
const REQUEST_S: [f64; 10] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];
const RECORD_BYTES: [f64; 7] = [1_000.0, 4_000.0, 16_000.0, 64_000.0, 256_000.0, 512_000.0, 900_000.0];
const STEP_INPUTS: [f64; 8] = [0.0, 1.0, 2.0, 8.0, 32.0, 64.0, 128.0, 256.0];
/// The edges real bulletins use (30 s … 4 h), with the three rings among them.
const LEG_S: [f64; 16] =
    [0.01, 0.1, 1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0];

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All of them, at zero.
    ///
    /// # Panics
    /// Never: the names are constants of this file and each is registered once.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "a list, in which each metric stands once")]
    pub fn new() -> Self {
        let r = Maker(Registry::new());
        let metrics = Self {
            reports: r.counters("muster_reports_total", "Reports taken", &["source_kind", "outcome", "drill"]),
            dropped_members: r.counter("muster_dropped_members_total", "Unknown members dropped at the door"),
            incidents_open: r.gauges("muster_incidents_open", "Open incidents", &["lane", "severity", "drill"]),
            orders: r.counters("muster_orders_total", "Facts of orders", &["kind", "role", "outcome", "drill"]),
            mark_lateness: r.histogram(
                "muster_mark_lateness_seconds",
                "From a mark's instant to the accepted step that acts on it",
                &LATENESS_S,
            ),
            marks: r.counters("muster_marks_total", "Marks by outcome", &["mark", "ring", "outcome", "drill"]),
            leg: r.histograms("muster_leg_seconds", "Legs of the response", &["leg", "drill"], &LEG_S),
            unaccounted: r.gauges("muster_unaccounted", "What nobody accounts for; must be 0", &["what"]),
            queue_depth: r.gauges("muster_queue_depth", "Entries in a bounded queue", &["queue"]),
            queue_limit: r.gauges("muster_queue_limit", "Where a bounded queue ends", &["queue"]),
            journal_append: r.histogram("muster_journal_append_seconds", "One append, to durable", &APPEND_S),
            http: r.histograms(
                "muster_http_request_seconds",
                "Requests until their head was answered",
                &["route", "method", "status"],
                &REQUEST_S,
            ),
            notices: r.counters("muster_notices_total", "Notices", &["desk", "kind", "drill"]),
            notices_hidden: r.counters("muster_notices_hidden_total", "Notices hidden by silences", &["kind", "drill"]),
            all_calls: r.counters("muster_all_calls_total", "All-calls begun", &["drill"]),
            escalations: r.counters("muster_escalations_total", "Levels climbed", &["level", "drill"]),
            shortfalls: r.counters("muster_shortfalls_total", "Needs nobody could serve", &["role", "drill"]),
            deliveries: r.counters("muster_deliveries_total", "Attempts at a channel", &["channel", "outcome"]),
            webhook_targets: r.gauges(
                "muster_webhook_targets",
                "Targets of webhooks by the state of their circuit",
                &["state"],
            ),
            csp_reports: r.counter("muster_csp_reports_total", "Breaches of the pages' policy told by browsers"),
            stream_clients: r.gauge("muster_stream_clients", "Clients of the stream"),
            stream_dropped: r.counter("muster_stream_dropped_total", "Slow clients told to read anew"),
            http_stalled: r
                .counter("muster_http_stalled_total", "Connections let go that took nothing of what was sent"),
            read_backs: r.counter("muster_read_backs_total", "Times readers fell behind the shard"),
            step: r.gauge("muster_step", "Number of the last accepted step"),
            step_at: r.float("muster_step_timestamp_seconds", "Instant of the last accepted step"),
            shards: r.gauges("muster_shards", "Shards of this node by phase", &["phase"]),
            shard_waiting: r.gauges(
                "muster_shard_waiting",
                "Bottom-line and ordinary inputs, their bytes, steps in flight, steps not emitted",
                &["shard", "what"],
            ),
            shard_events: r.counters(
                "muster_shard_events_total",
                "Take-overs (took-over) and dropped states, by reason",
                &["event"],
            ),
            step_inputs: r.histogram("muster_step_inputs", "Inputs of a step", &STEP_INPUTS),
            forwarded: r.counter("muster_forwarded_total", "Inputs handed over to the shard they belong to"),
            record_bytes: r.histogram("muster_journal_record_bytes", "Bytes of a record", &RECORD_BYTES),
            kafka_failures: r.counters("muster_kafka_failures_total", "Failures at the brokers", &["what", "why"]),
            journal_trimmed: r.counter("muster_journal_trimmed_records_total", "Records deleted from the journal"),
            journal_first: r.gauges("muster_journal_first_offset", "First offset since the last trim", &["shard"]),
            journal_void: r.counters("muster_journal_void_total", "Records that count for nothing", &["why"]),
            picture_age: r.float("muster_picture_age_seconds", "Age of what readers of this node see"),
            follower_lag: r.gauges("muster_follower_lag", "Journal records not read yet", &["shard"]),
            restore_progress: r.floats("muster_restore_progress", "Share of a restore that is done", &["shard"]),
            follower_events: r.counters(
                "muster_follower_events_total",
                "Journals read anew and readers replaced, by reason",
                &["event"],
            ),
            gate: r.counters(
                "muster_gate_total",
                "Events at the gate to the brokers: decided, kept, refused, busy, away",
                &["outcome"],
            ),
            access_denied: r.counters("muster_access_denied_total", "Requests not let in", &["status", "reason"]),
            audit_lost: r
                .counter("muster_audit_lines_lost_total", "Lines of the audit trail that could not be written"),
            rebalances: r.counters("muster_kafka_rebalances_total", "Words of the consumer group", &["event"]),
            librdkafka_waiting: r.gauges(
                "muster_librdkafka_waiting",
                "Messages and bytes that wait in clients",
                &["role", "what"],
            ),
            librdkafka_bytes: r.counters(
                "muster_librdkafka_bytes_total",
                "Bytes between clients and brokers",
                &["role", "direction"],
            ),
            librdkafka_disconnects: r.counters("muster_librdkafka_disconnects_total", "Broken connections", &["role"]),
            librdkafka_round_trip: r.floats(
                "muster_librdkafka_round_trip_seconds",
                "p99 of the slowest broker",
                &["role"],
            ),
            librdkafka_info: r.floats("muster_librdkafka_info", "1, with the library's version", &["version"]),
            build_info: r.floats("muster_build_info", "1, with the version", &["version"]),
            registry: r.0,
        };
        metrics.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        for what in crate::board::UNACCOUNTED {
            metrics.unaccounted.with_label_values(&[what]).set(0);
        }
        metrics
    }

    /// All of them in the Prometheus text form.
    ///
    /// # Errors
    /// When a metric has no name, which cannot be.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// The value of the `drill` label.
#[must_use]
pub fn drill(drill: bool) -> &'static str {
    if drill { "true" } else { "false" }
}

struct Maker(Registry);

impl Maker {
    fn keep<C: prometheus::core::Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let made = made.expect("names and labels are constants of this file");
        self.0.register(Box::new(made.clone())).expect("each name stands once in this file");
        made
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.keep(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.keep(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.keep(IntGauge::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.keep(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn float(&self, name: &str, help: &str) -> Gauge {
        self.keep(Gauge::new(name, help))
    }

    fn floats(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.keep(GaugeVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.keep(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        self.keep(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contracted_name_is_scraped_once_it_has_a_value() {
        let m = Metrics::new();
        m.reports.with_label_values(&["desk", "opened", "false"]).inc();
        m.incidents_open.with_label_values(&["ordinary", "III", "false"]).set(1);
        m.orders.with_label_values(&["patrol", "first", "issued", "true"]).inc();
        m.marks.with_label_values(&["signed", "1", "kept", "false"]).inc();
        m.leg.with_label_values(&["sign", "false"]).observe(1.0);
        m.queue_depth.with_label_values(&["inputs"]).set(0);
        m.queue_limit.with_label_values(&["inputs"]).set(1);
        let text = m.text().unwrap();
        for name in [
            "muster_reports_total{drill=\"false\",outcome=\"opened\",source_kind=\"desk\"} 1",
            "muster_incidents_open{",
            "muster_orders_total{drill=\"true\",",
            "muster_mark_lateness_seconds_count 0",
            "muster_marks_total{",
            "muster_leg_seconds_bucket{",
            "muster_unaccounted{what=\"incident\"} 0",
            "muster_queue_depth{queue=\"inputs\"} 0",
            "muster_queue_limit{queue=\"inputs\"} 1",
            "muster_journal_append_seconds_count 0",
            "muster_build_info{version=",
        ] {
            assert!(text.contains(name), "{name} is not in\n{text}");
        }
    }
}
