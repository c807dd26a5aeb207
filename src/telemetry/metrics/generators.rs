//! What is counted per generator.

use std::time::Duration;

use prometheus::{
    GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
};

use super::series::{self, Values};
use crate::base::operation::Operation;

/// The families that carry a generator's name.
#[derive(Debug)]
pub(super) struct Families {
    durations: HistogramVec,
    answers: IntCounterVec,
    answer_bytes: IntGaugeVec,
    canary_share: GaugeVec,
    rollbacks: IntCounterVec,
    in_flight: IntGaugeVec,
    in_flight_max: IntGaugeVec,
    ejected: IntGaugeVec,
    working: IntGaugeVec,
    attempts: IntCounterVec,
    probes: IntCounterVec,
}

impl Families {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            durations: series::GENERATOR_DURATION.histograms(registry),
            answers: series::GENERATOR_ANSWERS.counters(registry),
            answer_bytes: series::GENERATOR_ANSWER_BYTES.gauges(registry),
            canary_share: series::GENERATOR_CANARY_SHARE.ratios(registry),
            rollbacks: series::GENERATOR_CANARY_ROLLBACKS.counters(registry),
            in_flight: series::GENERATOR_IN_FLIGHT.gauges(registry),
            in_flight_max: series::GENERATOR_IN_FLIGHT_MAX.gauges(registry),
            ejected: series::GENERATOR_EJECTED.gauges(registry),
            working: series::GENERATORS_WORKING.gauges(registry),
            attempts: series::GENERATOR_ATTEMPTS.counters(registry),
            probes: series::GENERATOR_PROBES.counters(registry),
        }
    }

    /// A canary gets that share of accounts from now on.
    pub(super) fn canary_share(&self, name: &str, share: f64) {
        self.canary_share.with_label_values(&[name]).set(share);
        // So that a rate over the first rollback is one.
        for why in CANARY_WHY {
            self.rollbacks.with_label_values(&[why, name]);
        }
    }

    pub(super) fn canary_rolled_back(&self, name: &str, why: &str) {
        self.rollbacks.with_label_values(&[why, name]).inc();
    }

    /// So many are in service for an operation; `None` where none that is configured can do it.
    pub(super) fn working(&self, operation: Operation, count: Option<usize>) {
        if let Some(count) = count {
            self.working.with_label_values(&[operation.word()]).set(i64::try_from(count).unwrap_or(i64::MAX));
        } else {
            // One that was never shown is gone already.
            let _ = self.working.remove_label_values(&[operation.word()]);
        }
    }

    /// Takes what is shown of a generator that is there no longer off the page. What was counted of it stays.
    pub(super) fn forget(&self, name: &str) {
        for gauges in [&self.in_flight, &self.in_flight_max, &self.ejected] {
            // One that was never shown is gone already.
            let _ = gauges.remove_label_values(&[name]);
        }
        let _ = self.canary_share.remove_label_values(&[name]);
        for operation in [Operation::Connect, Operation::SignUrl] {
            let _ = self.answer_bytes.remove_label_values(&[operation.word(), name]);
        }
    }

    pub(super) fn resolve(
        &self,
        name: &str,
        in_flight_max: u32,
        reasons: &'static [&'static str],
    ) -> GeneratorMetrics {
        debug_assert!(prefix_free(reasons), "two series could become one: {reasons:?}");
        debug_assert!(
            matches!(series::GENERATOR_ANSWERS.labels[0].values, Values::Words(_, max) if reasons.len() <= max)
        );
        self.in_flight_max.with_label_values(&[name]).set(i64::from(in_flight_max));
        GeneratorMetrics {
            name: name.into(),
            answer_bytes: self.answer_bytes.clone(),
            duration: self.durations.with_label_values(&[name]),
            answers: reasons.iter().map(|reason| self.answers.with_label_values(&[*reason, name])).collect(),
            in_flight: self.in_flight.with_label_values(&[name]),
            ejected: self.ejected.with_label_values(&[name]),
            attempts: series::CAUSE_WORDS.map(|cause| self.attempts.with_label_values(&[cause, name])),
            probes: series::PROBE_WORDS.map(|result| self.probes.with_label_values(&[result, name])),
        }
    }
}

/// Why a canary is rolled back.
pub(super) const CANARY_WHY: [&str; 3] = ["success", "latency", "operator"];

/// Whether no word begins with another: see [`series`].
pub(super) fn prefix_free(words: &[&str]) -> bool {
    words.iter().enumerate().all(|(place, word)| {
        words.iter().enumerate().all(|(other, longer)| place == other || !longer.starts_with(word))
    })
}

/// The handles of one generator.
#[derive(Debug, Clone)]
pub struct GeneratorMetrics {
    name: Box<str>,
    /// Resolved only once something is usual: a size of 0 would be a lie.
    answer_bytes: IntGaugeVec,
    duration: Histogram,
    answers: Box<[IntCounter]>,
    in_flight: IntGauge,
    ejected: IntGauge,
    attempts: [IntCounter; series::CAUSE_WORDS.len()],
    probes: [IntCounter; series::PROBE_WORDS.len()],
}

impl GeneratorMetrics {
    /// One exchange ended: what the judge said of it, as its place among the words that the handles were resolved for,
    /// and how long it took.
    pub fn answered(&self, reason: usize, took: Duration) {
        if let Some(answers) = self.answers.get(reason) {
            answers.inc();
        }
        self.duration.observe(took.as_secs_f64());
    }

    /// How large its answers to an operation usually are, in bytes; nothing where that is not known or says nothing.
    pub fn answer_bytes(&self, operation: Operation, usual: Option<u32>) {
        if let (Operation::Connect | Operation::SignUrl, Some(usual)) = (operation, usual) {
            self.answer_bytes.with_label_values(&[operation.word(), &*self.name]).set(i64::from(usual));
        }
    }

    /// How much work it has now, as its permits say.
    pub fn in_flight(&self, now: u32) {
        self.in_flight.set(i64::from(now));
    }

    /// Whether it is out of service.
    pub fn ejected(&self, ejected: bool) {
        self.ejected.set(i64::from(ejected));
    }

    /// It was asked so many times more, for the cause at that place of the words.
    pub fn attempted(&self, cause: usize, times: u64) {
        if let (Some(attempts), 1..) = (self.attempts.get(cause), times) {
            attempts.inc_by(times);
        }
    }

    /// A probe ended; what it found is at that place of the words.
    pub fn probed(&self, found: usize) {
        if let Some(probes) = self.probes.get(found) {
            probes.inc();
        }
    }
}
