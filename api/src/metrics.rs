//! What the API counts. Every label has few values, whatever strangers send.

use std::{fmt, sync::Arc, time::Instant};

use axum::http::Method;
use common::{
    db::{Replica, SkipReason},
    deliveries::Source,
    metrics::Histograms,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType,
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::{Registry, Unit},
};

/// Seconds. From what a read by id takes to what a statement may take at most.
const LATENCIES: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];
/// The status of a request whose client did not wait for the answer. <https://http.dev/499>
const CLIENT_GONE: u16 = 499;

/// What becomes of webhooks, and why tokens are refused. These begin at zero: else the first one would be no increase.
const WEBHOOK_OUTCOMES: [&str; 8] =
    ["accepted", "duplicate", "ignored", "dead", "quarantined", "not_json", "rejected", "failed"];
const TOKEN_REASONS: [&str; 8] =
    ["missing", "malformed", "header", "signature", "expired", "claim", "unknown_key", "keys_unavailable"];

/// The API's own metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Family<Answer, Counter>,
    durations: Histograms<Route>,
    in_flight: Gauge,
    webhooks: Family<Webhook, Counter>,
    refused_tokens: Family<Reason, Counter>,
    quota_refusals: Counter,
    reads: Family<Read, Counter>,
}

/// The replica was read, and could not answer.
pub(crate) const FAILED: &str = "failed";

/// Where a list was read from, and why not from the replica.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ReadFrom {
    Replica,
    Primary(&'static str),
}

impl ReadFrom {
    fn labels(self) -> Read {
        match self {
            Self::Replica => Read { server: "replica", reason: "shows_all" },
            Self::Primary(reason) => Read { server: "primary", reason },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Read {
    server: &'static str,
    reason: &'static str,
}

/// How far the replica is behind, where there is one and it is known.
#[derive(Debug)]
struct Lag(Option<Replica>);

impl Collector for Lag {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "By how much the replica is behind the primary";
        let lag = encoder.encode_descriptor("replica_lag", help, Some(&Unit::Seconds), MetricType::Gauge)?;
        self.0.as_ref().and_then(Replica::lag).map_or(Ok(()), |seconds| ConstGauge::new(seconds).encode(lag))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Webhook {
    source: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry, replica: Option<Replica>) -> Self {
        let metrics = Self {
            requests: Family::default(),
            durations: Histograms::new_with_constructor(|| Histogram::new(LATENCIES)),
            in_flight: Gauge::default(),
            webhooks: Family::default(),
            refused_tokens: Family::default(),
            quota_refusals: Counter::default(),
            reads: Family::default(),
        };
        for outcome in WEBHOOK_OUTCOMES {
            metrics.webhooks.get_or_create(&Webhook { source: Source::Clerk.as_str(), outcome }).inc_by(0);
        }
        for reason in TOKEN_REASONS {
            metrics.refused_tokens.get_or_create(&Reason { reason }).inc_by(0);
        }
        registry.register(
            "http_requests",
            "Answered requests; 499 is one whose client did not wait",
            metrics.requests.clone(),
        );
        let help = "How long requests took to answer";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, metrics.durations.clone());
        registry.register("http_requests_in_flight", "Requests that are being answered", metrics.in_flight.clone());
        registry.register("webhooks", "Webhooks by what became of them", metrics.webhooks.clone());
        registry.register("token_refusals", "Session tokens refused, by reason", metrics.refused_tokens.clone());
        let help = "Writes refused because a dealership has used up its quota for a day";
        registry.register("quota_refusals", help, metrics.quota_refusals.clone());
        let reasons = SkipReason::ALL.map(SkipReason::label).into_iter().chain([FAILED]);
        for read in reasons.map(ReadFrom::Primary).chain([ReadFrom::Replica]) {
            metrics.reads.get_or_create(&read.labels()).inc_by(0);
        }
        registry.register("reads", "Lists by the server that they were read from, and why", metrics.reads.clone());
        registry.register_collector(Box::new(Lag(replica)));
        metrics
    }

    /// A list is read, by a process that has a replica.
    pub(crate) fn read(&self, from: ReadFrom) {
        self.reads.get_or_create(&from.labels()).inc();
    }

    /// A dealership was not let write more.
    pub(crate) fn quota_exceeded(&self) {
        self.quota_refusals.inc();
    }

    /// A request has arrived.
    pub(crate) fn arrived(self: &Arc<Self>, method: &'static str, route: String) -> InFlight {
        self.in_flight.inc();
        InFlight { metrics: self.clone(), method, route, since: Instant::now(), status: None }
    }

    /// What became of a webhook.
    pub(crate) fn webhook(&self, source: Source, outcome: &'static str) {
        self.webhooks.get_or_create(&Webhook { source: source.as_str(), outcome }).inc();
    }

    /// A request came without a session token that is good.
    pub(crate) fn token_refused(&self, reason: &'static str) {
        self.refused_tokens.get_or_create(&Reason { reason }).inc();
    }
}

/// The method as a label.
pub(crate) fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// A request that is being answered. Counted when it is dropped, which also happens when its client goes away.
pub(crate) struct InFlight {
    metrics: Arc<Metrics>,
    method: &'static str,
    route: String,
    since: Instant,
    status: Option<u16>,
}

impl InFlight {
    /// It has been answered. Returns how long that took, in microseconds.
    pub(crate) fn answered(mut self, status: u16) -> u64 {
        self.status = Some(status);
        u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let (metrics, method, route) = (&self.metrics, self.method, &self.route);
        let status = self.status.unwrap_or_else(|| {
            tracing::info!("the client did not wait for the answer");
            CLIENT_GONE
        });
        metrics.in_flight.dec();
        let taken = Route { method, route: route.clone() };
        metrics.durations.get_or_create(&taken).observe(self.since.elapsed().as_secs_f64());
        metrics.requests.get_or_create(&Answer { method, route: taken.route, status }).inc();
    }
}
