//! Metrics in OpenMetrics text. Never labelled by principal, and every label has a bounded set of values.
//!
//! What a check touches takes no lock: its counters are looked up once, and its histogram is a row of atomics. Lost: the library's own
//! histogram, which takes a lock for every observation on the path that all threads share.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::alert::{AlertKind, AlertTally, Severity};
use crate::engine::outbox::DestinationStatus;
use crate::engine::{CheckOutcome, CommandResult, Engine, Observer};
use crate::policy::Reason;

use super::data::EVALUATION;
use super::shed::Kind;

/// Upper bounds of check latencies, in seconds.
const CHECK_SECONDS: [f64; 14] = [1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2e-2, 1e-1, f64::INFINITY];
/// Upper bounds of commit times (one synced write each), in seconds.
const COMMIT_SECONDS: [f64; 13] = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1, 5e-1, 2.0, f64::INFINITY];
/// Upper bounds of the number of records in a commit.
const COMMIT_RECORDS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 256.0, f64::INFINITY];
/// What sums are kept in: billionths.
const PER_UNIT: f64 = 1e9;

/// A histogram without a lock.
#[derive(Debug, Clone)]
struct Buckets {
    bounds: &'static [f64],
    counts: Arc<[AtomicU64]>,
    sum: Arc<AtomicU64>,
}

impl Buckets {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: bounds.iter().map(|_| AtomicU64::new(0)).collect(), sum: Arc::default() }
    }

    /// Counts a value, given in billionths too, so that nothing is rounded on the way.
    fn observe(&self, value: f64, billionths: u64) {
        let at = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len().saturating_sub(1));
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(billionths, Ordering::Relaxed);
    }

    fn took(&self, took: Duration) {
        self.observe(took.as_secs_f64(), u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl EncodeMetric for Buckets {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let buckets: Vec<(f64, u64)> = self.bounds.iter().copied().zip(counts.iter().copied()).collect();
        let sum = self.sum.load(Ordering::Relaxed) as f64 / PER_UNIT;
        encoder.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CommandLabels {
    command: &'static str,
    result: &'static str,
    rule: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SwapLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WhyLabels {
    why: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlaneLabels {
    plane: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AlertLabels {
    kind: &'static str,
    severity: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DestinationLabels {
    destination: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RevisionLabels {
    revision: String,
}

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    allowed: Counter,
    failed: Counter,
    denied: Vec<(Reason, Counter)>,
    check_seconds: Buckets,
    commands: Family<CommandLabels, Counter>,
    swaps: Family<SwapLabels, Counter>,
    commit_seconds: Buckets,
    commit_records: Buckets,
    requests: Family<RequestLabels, Counter>,
    checked: Counter,
    connections: Gauge,
    refused: Family<WhyLabels, Counter>,
    cut: Family<WhyLabels, Counter>,
    shed: Family<PlaneLabels, Counter>,
    in_flight: Family<PlaneLabels, Gauge>,
    checks_in_flight: Gauge,
    rate_limited: Counter,
    subscribers: Gauge,
    journal_head: Gauge,
    active: Gauge,
    bundle_age: Gauge,
    bundle: Family<RevisionLabels, Gauge>,
    incidents: Family<AlertLabels, Gauge>,
    time_trusted: Gauge,
    ready: Gauge,
    degraded: Gauge,
    telling: Mutex<()>,
    notified: Family<DestinationLabels, Counter>,
    notify_failures: Family<DestinationLabels, Counter>,
    given_up: Family<DestinationLabels, Counter>,
    forgotten: Family<DestinationLabels, Counter>,
    held_back: Family<DestinationLabels, Counter>,
    notify_lag: Family<DestinationLabels, Gauge>,
    notify_failing: Family<DestinationLabels, Gauge>,
    dead_letters: Family<DestinationLabels, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("elevon");
        let checks = Family::<CheckLabels, Counter>::default();
        let check = |outcome, reason| checks.get_or_create_owned(&CheckLabels { outcome, reason });
        let in_flight = Family::<PlaneLabels, Gauge>::default();
        let requests = Family::<RequestLabels, Counter>::default();
        let metrics = Self {
            allowed: check("allow", Reason::Permitted.as_str()),
            failed: check("error", "unavailable"),
            denied: Reason::ALL
                .iter()
                .filter(|reason| **reason != Reason::Permitted)
                .map(|reason| (*reason, check("deny", reason.as_str())))
                .collect(),
            check_seconds: Buckets::new(&CHECK_SECONDS),
            commands: Family::default(),
            swaps: Family::default(),
            commit_seconds: Buckets::new(&COMMIT_SECONDS),
            commit_records: Buckets::new(&COMMIT_RECORDS),
            checked: requests.get_or_create_owned(&RequestLabels { method: "POST", route: EVALUATION, status: 200 }),
            requests,
            connections: Gauge::default(),
            refused: Family::default(),
            cut: Family::default(),
            shed: Family::default(),
            checks_in_flight: in_flight.get_or_create_owned(&PlaneLabels { plane: Kind::Check.as_str() }),
            in_flight,
            rate_limited: Counter::default(),
            subscribers: Gauge::default(),
            journal_head: Gauge::default(),
            active: Gauge::default(),
            bundle_age: Gauge::default(),
            bundle: Family::default(),
            incidents: Family::default(),
            time_trusted: Gauge::default(),
            ready: Gauge::default(),
            degraded: Gauge::default(),
            telling: Mutex::new(()),
            notified: Family::default(),
            notify_failures: Family::default(),
            given_up: Family::default(),
            forgotten: Family::default(),
            held_back: Family::default(),
            notify_lag: Family::default(),
            notify_failing: Family::default(),
            dead_letters: Family::default(),
            registry: Registry::default(),
        };
        registry.register("checks", "Checks by outcome and reason", checks);
        registry.register_with_unit("check_duration", "Time of a check", Unit::Seconds, metrics.check_seconds.clone());
        registry.register("commands", "Commands by name, result and, where refused, rule", metrics.commands.clone());
        registry.register("bundle_swaps", "Bundles proposed, by result", metrics.swaps.clone());
        registry.register_with_unit("journal_commit", "Time of a synced commit", Unit::Seconds, metrics.commit_seconds.clone());
        registry.register("journal_commit_records", "Records in a commit", metrics.commit_records.clone());
        registry.register("http_requests", "Requests by method, route and status", metrics.requests.clone());
        registry.register("http_connections", "Open connections", metrics.connections.clone());
        registry.register("http_connections_refused", "Connections refused, by why", metrics.refused.clone());
        registry.register("http_connections_cut", "Connections that the server ended before their time, by why", metrics.cut.clone());
        registry.register("http_requests_shed", "Requests turned away because too many were answered at once", metrics.shed.clone());
        registry.register("http_requests_in_flight", "Requests that are being answered, by plane", metrics.in_flight.clone());
        registry.register("commands_rate_limited", "Commands turned away because their caller gave too many", metrics.rate_limited.clone());
        registry.register("event_subscribers", "Callers that watch the journal", metrics.subscribers.clone());
        registry.register("journal_head", "Sequence of the journal's last record", metrics.journal_head.clone());
        registry.register("activations_active", "Activations recorded as active", metrics.active.clone());
        registry.register_with_unit("bundle_age", "Time since the live bundle went live", Unit::Seconds, metrics.bundle_age.clone());
        registry.register("bundle_revision", "The live bundle, as a label", metrics.bundle.clone());
        registry.register("alert_incidents", "Incidents that wait for somebody, by kind of alert and severity", metrics.incidents.clone());
        registry.register("time_trusted", "Whether the clock is believed", metrics.time_trusted.clone());
        registry.register("ready", "Whether commands and checks are served in full", metrics.ready.clone());
        registry.register("bundle_degraded", "Whether the folder holds a bundle that cannot go live", metrics.degraded.clone());
        registry.register("notifications_delivered", "Notifications that were taken, by destination", metrics.notified.clone());
        registry.register("notifications_failed", "Attempts in vain to deliver one, by destination", metrics.notify_failures.clone());
        registry.register("notifications_given_up", "Notifications that were given up, by destination", metrics.given_up.clone());
        registry.register("notifications_forgotten", "Of those, how many are no longer kept", metrics.forgotten.clone());
        registry.register("notifications_held_back", "Notifications that one requester had made too many of", metrics.held_back.clone());
        registry.register("notifications_lag", "Records that a destination has not been told of yet", metrics.notify_lag.clone());
        registry.register("notifications_failing", "Whether what is next for a destination was not taken", metrics.notify_failing.clone());
        registry.register("notifications_dead_letters", "Notifications that were given up and are kept", metrics.dead_letters.clone());
        Self { registry, ..metrics }
    }

    /// Everything as text, with how destinations of notifications fare; one that is gone is not shown any more.
    pub(super) fn text_with(&self, engine: &Engine, all: &[DestinationStatus]) -> String {
        // one at a time: what is counted elsewhere is written anew for each reader
        let _turn = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let counters = [&self.notified, &self.notify_failures, &self.given_up, &self.forgotten, &self.held_back];
        counters.iter().for_each(|family| family.clear());
        [&self.notify_lag, &self.notify_failing, &self.dead_letters].iter().for_each(|family| family.clear());
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        for status in all {
            let labels = DestinationLabels { destination: status.name.clone() };
            let counted = &status.counts;
            let counts = [counted.delivered, counted.failed, counted.given_up, counted.dropped, counted.held_back];
            for (family, count) in counters.iter().zip(counts) {
                family.get_or_create(&labels).inc_by(count);
            }
            self.notify_lag.get_or_create(&labels).set(number(status.lag));
            self.notify_failing.get_or_create(&labels).set((status.attempts > 0).into());
            self.dead_letters.get_or_create(&labels).set(number(status.dead_letters));
        }
        self.text(engine)
    }

    /// A connection was opened; it counts as open until what is returned is dropped.
    pub(super) fn connection(self: &Arc<Self>) -> OpenConnection {
        self.connections.inc();
        OpenConnection(Arc::clone(self))
    }

    /// A connection was refused: there were too many, or it could not be secured.
    pub(super) fn refused(&self, why: &'static str) {
        self.refused.get_or_create(&WhyLabels { why }).inc();
    }

    /// A connection was ended before its time.
    pub(super) fn cut(&self, why: &'static str) {
        self.cut.get_or_create(&WhyLabels { why }).inc();
    }

    /// A request was turned away because too many were answered at once.
    pub(super) fn shed(&self, plane: &'static str) {
        self.shed.get_or_create(&PlaneLabels { plane }).inc();
    }

    /// A request is being answered, until what is returned is dropped.
    pub(super) fn in_flight(&self, kind: Kind) -> InFlight {
        let gauge = match kind {
            Kind::Check => self.checks_in_flight.clone(),
            Kind::Control | Kind::Health => self.in_flight.get_or_create_owned(&PlaneLabels { plane: kind.as_str() }),
        };
        gauge.inc();
        InFlight(gauge)
    }

    /// A command was turned away because its caller gave too many.
    pub(super) fn rate_limited(&self) {
        self.rate_limited.inc();
    }

    /// A caller began to watch the journal; it counts until what is returned is dropped.
    pub(super) fn subscriber(self: &Arc<Self>) -> Subscriber {
        self.subscribers.inc();
        Subscriber(Arc::clone(self))
    }

    /// A request was answered.
    pub(super) fn request(&self, method: &Method, route: &'static str, status: StatusCode) {
        if route == EVALUATION && method == Method::POST && status == StatusCode::OK {
            return self.checked();
        }
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::DELETE => "DELETE",
            _ => "other",
        };
        self.requests.get_or_create(&RequestLabels { method, route, status: status.as_u16() }).inc();
    }

    /// A check was answered with a verdict.
    pub(super) fn checked(&self) {
        self.checked.inc();
    }

    /// Everything as text, with the gauges read now.
    #[must_use]
    pub fn text(&self, engine: &Engine) -> String {
        let health = engine.health();
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.journal_head.set(number(health.head.seq));
        self.active.set(number(engine.reader().active_count()));
        self.bundle_age.set(number(health.bundle_age.secs()));
        self.time_trusted.set(health.time_trusted.into());
        self.ready.set(health.ready().into());
        self.degraded.set(health.degraded.into());
        self.incidents(engine);
        self.bundle.clear();
        self.bundle.get_or_create(&RevisionLabels { revision: health.revision.to_string() }).set(1);
        let mut text = String::new();
        if text::encode(&mut text, &self.registry).is_err() {
            tracing::error!("metrics could not be written");
        }
        text
    }
}

impl Metrics {
    /// Reads how many incidents wait. Of a kind and severity of which there never was one, nothing is said but where that is the kind's own.
    fn incidents(&self, engine: &Engine) {
        let rules = engine.view().bundle.definitions().alerts.clone();
        for kind in AlertKind::ALL {
            for severity in Severity::ALL {
                let Ok(AlertTally { open, dismissed }) = engine.reader().alert_tally(kind, severity) else { continue };
                let labels = AlertLabels { kind: kind.as_str(), severity: severity.as_str() };
                if rules.of(kind).severity == severity || open + dismissed > 0 || self.incidents.get(&labels).is_some() {
                    self.incidents.get_or_create(&labels).set(i64::try_from(open).unwrap_or(i64::MAX));
                }
            }
        }
    }
}

/// An open connection.
pub(super) struct OpenConnection(Arc<Metrics>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

/// A request that is being answered.
pub(super) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A caller that watches the journal.
pub(super) struct Subscriber(Arc<Metrics>);

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.0.subscribers.dec();
    }
}

impl Observer for Metrics {
    fn check(&self, outcome: CheckOutcome, took: Duration) {
        match outcome {
            CheckOutcome::Allow => drop(self.allowed.inc()),
            CheckOutcome::Error => drop(self.failed.inc()),
            CheckOutcome::Deny(reason) => {
                if let Some((_, counter)) = self.denied.iter().find(|(counted, _)| *counted == reason) {
                    counter.inc();
                }
            }
        }
        self.check_seconds.took(took);
    }

    fn command(&self, command: &'static str, result: CommandResult) {
        let rule = match result {
            CommandResult::Refused(rule) => rule,
            CommandResult::Done | CommandResult::Unchanged | CommandResult::Repeated | CommandResult::Busy | CommandResult::Failed => "",
        };
        self.commands.get_or_create(&CommandLabels { command, result: result.as_str(), rule }).inc();
    }

    fn commit(&self, took: Duration, records: usize) {
        self.commit_seconds.took(took);
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        self.commit_records.observe(records as f64, records.saturating_mul(1_000_000_000));
    }

    fn swap(&self, ok: bool) {
        self.swaps.get_or_create(&SwapLabels { result: if ok { "activated" } else { "refused" } }).inc();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_observed_is_told() {
        let metrics = Arc::new(Metrics::new());
        metrics.check(CheckOutcome::Allow, Duration::from_micros(3));
        metrics.check(CheckOutcome::Deny(Reason::NoPermit), Duration::from_secs(9));
        metrics.command("approve", CommandResult::Refused("already_voted"));
        metrics.commit(Duration::from_millis(3), 4);
        metrics.swap(false);
        metrics.request(&Method::from_bytes(b"FROBNICATE").unwrap(), "none", StatusCode::NOT_FOUND);
        let open = metrics.connection();
        let mut told = String::new();
        text::encode(&mut told, &metrics.registry).unwrap();
        for line in [
            "elevon_checks_total{outcome=\"allow\",reason=\"permitted\"} 1",
            "elevon_checks_total{outcome=\"deny\",reason=\"no_permit\"} 1",
            "elevon_checks_total{outcome=\"deny\",reason=\"forbidden\"} 0",
            "elevon_check_duration_seconds_count 2",
            "elevon_check_duration_seconds_sum 9.000003",
            "elevon_check_duration_seconds_bucket{le=\"0.000005\"} 1",
            "elevon_check_duration_seconds_bucket{le=\"+Inf\"} 2",
            "elevon_commands_total{command=\"approve\",result=\"refused\",rule=\"already_voted\"} 1",
            "elevon_journal_commit_records_sum 4.0",
            "elevon_bundle_swaps_total{result=\"refused\"} 1",
            "elevon_http_requests_total{method=\"other\",route=\"none\",status=\"404\"} 1",
            "elevon_http_connections 1",
        ] {
            assert!(told.lines().any(|told| told == line), "{line} is not in\n{told}");
        }
        drop(open);
        assert_eq!(metrics.connections.get(), 0);
    }

    /// A row of the page: what is served, by name, and its type and labels.
    type Told = BTreeMap<String, (String, BTreeSet<String>)>;

    /// Every metric with something counted under it, as it is served.
    fn everything() -> Told {
        let metrics = Metrics::new();
        metrics.command("approve", CommandResult::Done);
        metrics.swap(true);
        metrics.refused("full");
        metrics.cut("idle");
        metrics.shed("check");
        metrics.bundle.get_or_create(&RevisionLabels { revision: "r".to_owned() }).set(1);
        metrics.incidents.get_or_create(&AlertLabels { kind: "never_used", severity: "low" }).set(1);
        let labels = DestinationLabels { destination: "ops".to_owned() };
        for family in [&metrics.notified, &metrics.notify_failures, &metrics.given_up, &metrics.forgotten, &metrics.held_back] {
            family.get_or_create(&labels).inc();
        }
        for family in [&metrics.notify_lag, &metrics.notify_failing, &metrics.dead_letters] {
            family.get_or_create(&labels).set(1);
        }
        let mut text = String::new();
        text::encode(&mut text, &metrics.registry).unwrap();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        types
            .map(|(name, kind)| {
                let of_it = |line: &str| line.split(['{', ' ']).next().and_then(|sample| sample.strip_prefix(name)).map(str::to_owned);
                let samples =
                    text.lines().filter(|line| of_it(line).is_some_and(|rest| ["", "_total", "_bucket"].contains(&rest.as_str())));
                let labels = samples.filter_map(|line| line.split_once('{')?.1.split_once('}'));
                let labels = labels.flat_map(|(labels, _)| labels.split(',').filter_map(|label| label.split_once('=')));
                let labels = labels.map(|(label, _)| label.to_owned()).filter(|label| label != "le").collect();
                (format!("{name}{}", if kind == "counter" { "_total" } else { "" }), (kind.to_owned(), labels))
            })
            .collect()
    }

    #[test]
    fn the_page_about_metrics_names_what_is_served_and_nothing_else() {
        let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).unwrap();
        let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let rows =
            page.lines().filter(|line| line.starts_with("| `elevon_")).map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
        let told: Told =
            rows.map(|cells| (quoted(cells[1]).concat(), (cells[2].to_owned(), quoted(cells[3]).into_iter().collect()))).collect();
        let served = everything();
        assert_eq!(told, served);
        // one was counted under each that is registered
        assert_eq!(
            served.len(),
            include_str!("metrics.rs").lines().filter(|line| line.trim_start().starts_with("registry.register")).count()
        );
        let words = Reason::ALL.iter().map(|reason| reason.as_str()).chain([Kind::Check, Kind::Control, Kind::Health].map(Kind::as_str));
        let results = [CommandResult::Done, CommandResult::Unchanged, CommandResult::Repeated, CommandResult::Busy, CommandResult::Failed];
        for word in words.chain(results.map(CommandResult::as_str)) {
            assert!(page.contains(&format!("`{word}`")), "{word}");
        }
        // and rules for alerting ask for nothing else
        for name in page.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').filter(|word| word.starts_with("elevon_")) {
            let name = name.trim_end_matches("_bucket");
            assert!(served.contains_key(name), "{name}");
        }
    }
}
