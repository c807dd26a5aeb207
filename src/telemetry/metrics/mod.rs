//! Numbers for Prometheus: an owned registry, handles resolved beforehand, and the page that `/metrics` answers with.
//!
//! The data path never looks a series up: it holds [`Metrics`] (closed label sets, resolved at the start),
//! [`RuleMetrics`] (resolved against a policy set and swapped with it as one) and a [`GeneratorMetrics`] for each
//! generator, so that counting is one atomic add. What the listener counts in words of its own is read when the page is
//! asked for ([`Metrics::read_listener`]). Deliberately absent: anything a stranger could make a label of.
//! Read [`series`] first: the table of all that there is.

mod bounds;
mod generators;
mod listener;
mod process;
mod reference;
mod rules;
pub mod series;
#[cfg(test)]
mod tests;
mod viewbot;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};

use crate::base::operation::Operation;
use crate::base::time::Timestamp;
use crate::policy::PolicySet;

use super::outcome::Outcome;
use series::{NO_OPERATION, STATUS_WORDS, STATUSES};

pub use generators::GeneratorMetrics;
pub use listener::ListenerTotals;
pub use reference::reference;
pub use rules::RuleMetrics;
pub use viewbot::ViewbotNumbers;

/// Everything that is counted, in one registry of its own: no globals, so that tests and several gateways in one
/// process do not see each other's numbers.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    rules: rules::Families,
    counted: [IntGauge; 3],
    workers: IntGauge,
    worker_lag: Histogram,
    generators: generators::Families,
    answers: [[IntCounter; STATUS_WORDS.len()]; OPERATIONS],
    outcomes: [[IntCounter; Outcome::COUNT]; OPERATIONS],
    refunds: [IntCounter; Operation::COUNT],
    in_flight: IntGauge,
    gateway: [Histogram; OPERATIONS],
    good_answer: Histogram,
    queue: Histogram,
    queue_depth: IntGauge,
    budget_exhausted: IntCounter,
    policy_info: IntGaugeVec,
    policy_generation: IntGauge,
    reloads: [IntCounter; 2],
    reload_successful: IntGauge,
    reload_timestamp: IntGauge,
    rolled_back: IntGauge,
    feed_entries: IntGaugeVec,
    feed_written: IntGaugeVec,
    record: RecordCounts,
    listener: Mutex<Option<listener::Source>>,
    viewbot: Mutex<Option<viewbot::Source>>,
}

/// The operations, and one place for requests that were refused before theirs was known.
const OPERATIONS: usize = Operation::COUNT + 1;

const fn place(operation: Option<Operation>) -> usize {
    match operation {
        Some(operation) => operation.index(),
        None => Operation::COUNT,
    }
}

fn operation_word(place: usize) -> &'static str {
    Operation::ALL.get(place).map_or(NO_OPERATION, |operation| operation.word())
}

impl Metrics {
    /// All families, at 0.
    pub fn new(started: Timestamp) -> Self {
        let registry = Registry::new();
        let by_operation = |family: &IntCounterVec, place: usize, word: &str| {
            family.with_label_values(&[operation_word(place), word])
        };
        let answers = series::ANSWERS.counters(&registry);
        let outcomes = series::OUTCOMES.counters(&registry);
        let refunds = series::REFUNDS.counters(&registry);
        let gateway = series::GATEWAY_DURATION.histograms(&registry);
        let reloads = series::RELOADS.counters(&registry);
        let plain_gauge = |series: series::Series| series.gauges(&registry).with_label_values::<&str>(&[]);
        plain_gauge(series::START_TIME).set(started.as_secs().cast_signed());
        series::BUILD_INFO.gauges(&registry).with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Self {
            rules: rules::Families::new(&registry),
            counted: [series::COUNTED, series::STRANGERS, series::STRANGERS_MAX].map(plain_gauge),
            workers: plain_gauge(series::WORKERS),
            worker_lag: series::WORKER_LAG.histograms(&registry).with_label_values::<&str>(&[]),
            generators: generators::Families::new(&registry),
            answers: std::array::from_fn(|place| {
                std::array::from_fn(|status| by_operation(&answers, place, STATUS_WORDS[status]))
            }),
            outcomes: std::array::from_fn(|place| {
                std::array::from_fn(|outcome| by_operation(&outcomes, place, Outcome::ALL[outcome].word()))
            }),
            refunds: std::array::from_fn(|place| refunds.with_label_values(&[operation_word(place)])),
            in_flight: plain_gauge(series::IN_FLIGHT),
            gateway: std::array::from_fn(|place| gateway.with_label_values(&[operation_word(place)])),
            good_answer: series::GOOD_ANSWER_DURATION.histograms(&registry).with_label_values::<&str>(&[]),
            queue: series::QUEUE_DURATION.histograms(&registry).with_label_values::<&str>(&[]),
            queue_depth: plain_gauge(series::QUEUE_DEPTH),
            budget_exhausted: series::RETRY_BUDGET_EXHAUSTED
                .counters(&registry)
                .with_label_values::<&str>(&[]),
            policy_info: series::POLICY_INFO.gauges(&registry),
            policy_generation: plain_gauge(series::POLICY_GENERATION),
            reloads: std::array::from_fn(|place| reloads.with_label_values(&[series::RELOAD_WORDS[place]])),
            reload_successful: plain_gauge(series::RELOAD_SUCCESSFUL),
            reload_timestamp: plain_gauge(series::RELOAD_TIMESTAMP),
            rolled_back: plain_gauge(series::ROLLED_BACK),
            feed_entries: series::FEED_ENTRIES.gauges(&registry),
            feed_written: series::FEED_WRITTEN.gauges(&registry),
            record: RecordCounts::new(&registry),
            listener: Mutex::new(None),
            viewbot: Mutex::new(None),
            registry,
        }
    }

    /// An answer went out. `operation` is `None` where the request was refused before it was known.
    pub fn answered(&self, operation: Option<Operation>, status: u16, outcome: Outcome) {
        let status = STATUSES.binary_search(&status).unwrap_or(STATUSES.len());
        self.answers[place(operation)][status].inc();
        self.outcomes[place(operation)][outcome.index()].inc();
    }

    /// A request ended without an answer: the client had hung up.
    pub fn unanswered(&self, operation: Option<Operation>, outcome: Outcome) {
        self.outcomes[place(operation)][outcome.index()].inc();
    }

    /// A charge was taken back.
    pub fn refunded(&self, operation: Operation) {
        self.refunds[operation.index()].inc();
    }

    /// The time that a request spent in the gateway alone: without reading its body, queueing and the generator.
    pub fn took(&self, operation: Option<Operation>, gateway: Duration) {
        self.gateway[place(operation)].observe(gateway.as_secs_f64());
    }

    /// A request got a good answer of a generator, so long after it came.
    pub fn good_answer(&self, took: Duration) {
        self.good_answer.observe(took.as_secs_f64());
    }

    /// The time that a request waited for a generator with room for it.
    pub fn queued(&self, wait: Duration) {
        self.queue.observe(wait.as_secs_f64());
    }

    /// So many requests wait for a generator with room for them.
    pub fn queue_depth(&self, waiting: u32) {
        self.queue_depth.set(i64::from(waiting));
    }

    /// So many generators are in service for an operation; `None` where none that is configured can do it.
    pub fn generators_working(&self, operation: Operation, count: Option<usize>) {
        self.generators.working(operation, count);
    }

    /// So many more retries and hedges were left out as their budget was used up.
    pub fn budget_exhausted(&self, times: u64) {
        self.budget_exhausted.inc_by(times);
    }

    /// So many records are kept, so much of them made by strangers, by weight, of so much at most.
    pub fn counted(&self, records: usize, strangers: usize, strangers_max: usize) {
        for (gauge, value) in self.counted.iter().zip([records, strangers, strangers_max]) {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    /// So many threads serve clients.
    pub fn workers(&self, count: usize) {
        self.workers.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A thread that serves clients was woken so much later than it should.
    pub fn worker_lagged(&self, lag: Duration) {
        self.worker_lag.observe(lag.as_secs_f64());
    }

    /// A request is being worked on until the guard is dropped.
    pub fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// A canary gets that share of accounts: 0 where it is rolled back or drained, 1 where it is promoted.
    pub fn canary_share(&self, name: &str, share: f64) {
        self.generators.canary_share(name, share);
    }

    /// A canary was rolled back: for its `success`, its `latency`, or by the `operator`.
    pub fn canary_rolled_back(&self, name: &str, why: &str) {
        self.generators.canary_rolled_back(name, why);
    }

    /// A generator is there no longer: its gauges go.
    pub fn forget_generator(&self, name: &str) {
        self.generators.forget(name);
    }

    /// The handles of one generator, for the words that the judge of its answers uses. Resolved once, at the start.
    pub fn generator(
        &self,
        name: &str,
        in_flight_max: u32,
        reasons: &'static [&'static str],
    ) -> GeneratorMetrics {
        self.generators.resolve(name, in_flight_max, reasons)
    }

    /// What the listener counts is read by `read` each time the page is asked for: its threads count in cells of their
    /// own, which costs them less than an atomic add.
    pub fn read_listener(&self, read: impl Fn() -> ListenerTotals + Send + 'static) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(listener::Source(Box::new(read)));
    }

    /// What view-bot detection counts is read by `read` each time the page is asked for; `None` where there is no engine any
    /// more.
    pub fn read_viewbot(&self, read: impl Fn() -> Option<ViewbotNumbers> + Send + 'static) {
        *self.viewbot.lock().unwrap_or_else(PoisonError::into_inner) = Some(viewbot::Source(Box::new(read)));
    }

    /// A policy set came into force: its digest is shown, and the series of rules that it lacks disappear. Resolve
    /// [`RuleMetrics`] for it first, also when an older set comes back: its former handles may count into the void.
    pub fn policy_in_force(&self, policy: &PolicySet, generation: u64) {
        self.policy_info.reset();
        self.policy_info.with_label_values(&[policy.digest().to_string()]).set(1);
        self.policy_generation.set(generation.cast_signed());
        self.rules.retain(policy);
    }

    /// The policy was loaded, or could not be.
    pub fn reloaded(&self, succeeded: bool, at: Timestamp) {
        self.reloads[usize::from(!succeeded)].inc();
        self.reload_successful.set(i64::from(succeeded));
        self.reload_timestamp.set(at.as_secs().cast_signed());
    }

    /// Whether the policy in force was brought back, and the files on disk are passed over.
    pub fn rolled_back(&self, rolled_back: bool) {
        self.rolled_back.set(i64::from(rolled_back));
    }

    /// What the feeds of the set in force hold. Those that are not among them disappear.
    pub fn feeds<'a>(&self, feeds: impl Iterator<Item = FeedNumbers<'a>>) {
        self.feed_entries.reset();
        self.feed_written.reset();
        for feed in feeds {
            self.feed_entries.with_label_values(&[feed.rule]).set(feed.entries.cast_signed());
            if let Some(written) = feed.written {
                self.feed_written.with_label_values(&[feed.rule]).set(written.as_secs().cast_signed());
            }
        }
    }

    /// What the access record counts with.
    pub fn record_counts(&self) -> RecordCounts {
        self.record.clone()
    }

    /// The page, in the text format of Prometheus, version 0.0.4. Families in the order of their names.
    pub fn text(&self) -> String {
        let mut families = self.registry.gather();
        families.extend(process::families());
        if let Some(read) = &*self.listener.lock().unwrap_or_else(PoisonError::into_inner) {
            families.extend((read.0)().families());
        }
        if let Some(read) = &*self.viewbot.lock().unwrap_or_else(PoisonError::into_inner) {
            families.extend((read.0)().iter().flat_map(ViewbotNumbers::families));
        }
        families.retain(|family| !family.get_metric().is_empty());
        families.sort_by(|one, other| one.name().cmp(other.name()));
        let mut text = String::with_capacity(64 << 10);
        // Fails for a family without metrics, which are gone, and for a writer that fails, which a string does not.
        if let Err(error) = TextEncoder::new().encode_utf8(&families, &mut text) {
            tracing::error!(%error, "the metrics page is incomplete");
        }
        text
    }
}

/// What is shown of a rule's feed.
#[derive(Debug, Clone, Copy)]
pub struct FeedNumbers<'a> {
    /// The rule's name.
    pub rule: &'a str,
    /// How many entries are in force.
    pub entries: u64,
    /// When the file was written last, where it is in force as it is on the disk.
    pub written: Option<Timestamp>,
}

/// Counts a request as in flight until dropped, however it ends.
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What the access record counts with.
#[derive(Debug, Clone)]
pub struct RecordCounts {
    /// Lines written.
    pub written: IntCounter,
    /// Lines lost because the writer was behind.
    pub queue_full: IntCounter,
    /// Lines lost because they could not be written.
    pub write_failed: IntCounter,
}

impl RecordCounts {
    fn new(registry: &Registry) -> Self {
        let dropped = series::RECORDS_DROPPED.counters(registry);
        let [queue_full, write_failed] = series::DROP_WORDS.map(|word| dropped.with_label_values(&[word]));
        let written = series::RECORDS_WRITTEN.counters(registry).with_label_values::<&str>(&[]);
        Self { written, queue_full, write_failed }
    }
}
