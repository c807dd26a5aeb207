//! Every series that the gateway exports: its name, type, unit, labels and help, in one table.
//!
//! **Bounded by construction.** A label takes its values from a closed set of the code, or from names that the operator
//! chose (rules, generators). Keys, addresses and rooms are never labels.
//!
//! **One series is one series.** `prometheus` 0.14 tells the children of a family apart by a hash of their label values
//! joined without a separator. So in each family at most one label holds free names, it stands last, and the closed sets
//! before it are prefix-free: then the joined text can be read in one way only. A test checks the table for this.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::base::operation::Operation;
use crate::engine::decision::Verdict;
use crate::telemetry::outcome::Outcome;

/// One family of series.
#[derive(Debug, Clone, Copy)]
pub struct Series {
    /// Its name: `signgate_`, what is measured, the unit, `_total` for a counter.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What its numbers are.
    pub unit: Unit,
    /// Its labels; one with free names stands last.
    pub labels: &'static [Label],
    /// What it says, as an operator reads it.
    pub help: &'static str,
}

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution, in [`DURATION_BUCKETS`].
    Histogram,
}

/// What a family's numbers are: Prometheus wants base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Plain counts.
    Count,
    /// Seconds; of a timestamp, since 1970.
    Seconds,
    /// Bytes.
    Bytes,
}

/// A label and where its values come from.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub values: Values,
}

/// Where the values of a label come from.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// These words.
    Closed(&'static [&'static str]),
    /// A closed set of the room that counts, handed in as static words.
    Words(&'static str),
    /// Names that the operator chose: of what.
    Names(&'static str),
}

const OPERATION_WORDS: [&str; Operation::COUNT] = {
    let mut words = [""; Operation::COUNT];
    let mut place = 0;
    while place < words.len() {
        words[place] = Operation::ALL[place].word();
        place += 1;
    }
    words
};

/// What stands for the operation of a request that was refused before it was known.
pub(super) const NO_OPERATION: &str = "none";

const OPERATION_OR_NONE_WORDS: [&str; Operation::COUNT + 1] = {
    let mut words = [NO_OPERATION; Operation::COUNT + 1];
    let mut place = 0;
    while place < OPERATION_WORDS.len() {
        words[place] = OPERATION_WORDS[place];
        place += 1;
    }
    words
};

const VERDICT_WORDS: [&str; Verdict::ALL.len()] = {
    let mut words = [""; Verdict::ALL.len()];
    let mut place = 0;
    while place < words.len() {
        words[place] = Verdict::ALL[place].word();
        place += 1;
    }
    words
};

const OUTCOME_WORDS: [&str; Outcome::COUNT] = {
    let mut words = [""; Outcome::COUNT];
    let mut place = 0;
    while place < words.len() {
        words[place] = Outcome::ALL[place].word();
        place += 1;
    }
    words
};

/// The statuses that have a series of their own; the rest counts as `other`.
pub(super) const STATUSES: [u16; 20] =
    [200, 400, 401, 402, 403, 404, 405, 408, 409, 411, 413, 414, 417, 429, 431, 500, 501, 502, 503, 504];

/// The words of [`STATUSES`], and the one for the rest.
pub(super) const STATUS_WORDS: [&str; STATUSES.len() + 1] = [
    "200", "400", "401", "402", "403", "404", "405", "408", "409", "411", "413", "414", "417", "429", "431",
    "500", "501", "502", "503", "504", "other",
];

/// How a reload ended, as `result` says it.
pub(super) const RELOAD_WORDS: [&str; 2] = ["success", "failure"];

/// Why lines of the record were lost, as `reason` says it.
pub(super) const DROP_WORDS: [&str; 2] = ["queue-full", "write-failed"];

const OPERATION: Label = Label { name: "operation", values: Values::Closed(&OPERATION_WORDS) };
const OPERATION_OR_NONE: Label =
    Label { name: "operation", values: Values::Closed(&OPERATION_OR_NONE_WORDS) };
const VERDICT: Label = Label { name: "verdict", values: Values::Closed(&VERDICT_WORDS) };
const RULE: Label =
    Label { name: "rule", values: Values::Names("rules of the policy, or what refused without one") };
const FEED_RULE: Label =
    Label { name: "rule", values: Values::Names("rules of the policy that have a feed") };
const GENERATOR: Label = Label { name: "generator", values: Values::Names("generators of signgate.toml") };
const CODE: Label = Label { name: "code", values: Values::Closed(&STATUS_WORDS) };
const OUTCOME: Label = Label { name: "outcome", values: Values::Closed(&OUTCOME_WORDS) };

/// The upper bounds of every histogram, in seconds: fine where the gateway's own time lies, up to the longest wait for a
/// generator.
pub const DURATION_BUCKETS: [f64; 14] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 3.0, 15.0];

macro_rules! series {
    ($($(#[$doc:meta])* $constant:ident = $kind:ident $unit:ident $name:literal [$($label:expr),*] $help:literal;)+) => {
        $($(#[$doc])* pub(super) const $constant: Series = Series {
            name: $name, kind: Kind::$kind, unit: Unit::$unit, labels: &[$($label),*], help: $help,
        };)+

        /// All families, in the order in which they are best read.
        pub const SERIES: &[Series] = &[$($constant),+];
    };
}

series! {
    REQUESTS = Counter Count "signgate_requests_total" [OPERATION, VERDICT, RULE]
        "Requests that the policy decided, by the rule that decided; rule is none for admitted ones.";
    SHADOW_FINDINGS = Counter Count "signgate_shadow_findings_total" [RULE]
        "Requests that a rule in shadow mode would have refused.";
    ANSWERS = Counter Count "signgate_answers_total" [OPERATION_OR_NONE, CODE]
        "Answers sent to clients, by HTTP status; operation is none where a request was refused before it was known.";
    OUTCOMES = Counter Count "signgate_outcomes_total" [OPERATION_OR_NONE, OUTCOME]
        "How requests ended; good over all but refused, invalid and client-gone is what availability alerts look at.";
    REFUNDS = Counter Count "signgate_refunds_total" [OPERATION]
        "Requests whose charge was taken back because the generator was to blame.";
    IN_FLIGHT = Gauge Count "signgate_requests_in_flight" []
        "Requests that are being worked on.";
    GATEWAY_DURATION = Histogram Seconds "signgate_gateway_duration_seconds" [OPERATION_OR_NONE]
        "Time that a request spent in the gateway alone: without reading its body, queueing and the generator.";
    QUEUE_DURATION = Histogram Seconds "signgate_queue_duration_seconds" []
        "Time that a request waited for a generator with room for it.";
    GENERATOR_DURATION = Histogram Seconds "signgate_generator_duration_seconds" [GENERATOR]
        "Time from sending a request to a generator until its answer was whole, or failed.";
    GENERATOR_ANSWERS = Counter Count "signgate_generator_answers_total"
        [Label { name: "reason", values: Values::Words("what the judge of answers says") }, GENERATOR]
        "Answers of generators as they were judged by content.";
    GENERATOR_IN_FLIGHT = Gauge Count "signgate_generator_requests_in_flight" [GENERATOR]
        "Requests that a generator is working on for us.";
    CONNECTIONS_OPEN = Gauge Count "signgate_connections_open" []
        "Client connections open.";
    CONNECTIONS_ACCEPTED = Counter Count "signgate_connections_accepted_total" []
        "Client connections accepted.";
    CONNECTIONS_REFUSED = Counter Count "signgate_connections_refused_total"
        [Label { name: "reason", values: Values::Words("the listener's caps") }]
        "Client connections turned away at once, by the cap that they met.";
    ACCEPT_ERRORS = Counter Count "signgate_accept_errors_total" []
        "Failures to accept a connection, such as a lack of file descriptors.";
    REQUESTS_REJECTED = Counter Count "signgate_requests_rejected_total"
        [Label { name: "reason", values: Values::Words("the listener's framing rules") }]
        "Requests rejected for their framing or size before anything else looked at them.";
    DEADLINES = Counter Count "signgate_deadlines_total"
        [Label { name: "kind", values: Values::Words("the listener's deadlines") }]
        "Deadlines that client connections ran into.";
    RECEIVED = Counter Bytes "signgate_received_bytes_total" []
        "Bytes received from clients.";
    SENT = Counter Bytes "signgate_sent_bytes_total" []
        "Bytes sent to clients.";
    POLICY_INFO = Gauge Count "signgate_policy_info" [Label { name: "digest", values: Values::Names("the set in force") }]
        "1 for the policy set in force, named by its digest.";
    POLICY_GENERATION = Gauge Count "signgate_policy_generation" []
        "How many policy sets have come into force since the start.";
    RELOADS = Counter Count "signgate_policy_reloads_total"
        [Label { name: "result", values: Values::Closed(&RELOAD_WORDS) }]
        "Attempts to load the policy.";
    RELOAD_SUCCESSFUL = Gauge Count "signgate_policy_last_reload_successful" []
        "1 where the last attempt to load the policy succeeded, 0 where it failed and the one before stayed in force.";
    RELOAD_TIMESTAMP = Gauge Seconds "signgate_policy_last_reload_timestamp_seconds" []
        "When the last attempt to load the policy was made, in seconds since 1970.";
    ROLLED_BACK = Gauge Count "signgate_policy_rolled_back" []
        "1 while a policy that a rollback brought back is in force and the files on disk are passed over.";
    FEED_ENTRIES = Gauge Count "signgate_feed_entries" [FEED_RULE]
        "Entries of the feed of a rule, as they are in force.";
    FEED_WRITTEN = Gauge Seconds "signgate_feed_last_written_timestamp_seconds" [FEED_RULE]
        "When the file of a rule's feed was last written, in seconds since 1970; none while a rollback is in force.";
    RECORDS_WRITTEN = Counter Count "signgate_records_written_total" []
        "Lines written to the access record.";
    RECORDS_DROPPED = Counter Count "signgate_records_dropped_total"
        [Label { name: "reason", values: Values::Closed(&DROP_WORDS) }]
        "Lines of the access record that were lost because its disk was too slow or refused them.";
    BUILD_INFO = Gauge Count "signgate_build_info" [Label { name: "version", values: Values::Names("this version") }]
        "1 for the running version.";
    START_TIME = Gauge Seconds "signgate_process_start_time_seconds" []
        "When the process started, in seconds since 1970.";
}

/// The table above is the only source of names, and its tests make every family: what could go wrong is found there.
const SOUND: &str = "the table of series is sound";

impl Series {
    fn label_names(&self) -> Vec<&'static str> {
        self.labels.iter().map(|label| label.name).collect()
    }

    pub(super) fn counters(&self, registry: &Registry) -> IntCounterVec {
        let family = IntCounterVec::new(Opts::new(self.name, self.help), &self.label_names()).expect(SOUND);
        registry.register(Box::new(family.clone())).expect(SOUND);
        family
    }

    pub(super) fn gauges(&self, registry: &Registry) -> IntGaugeVec {
        let family = IntGaugeVec::new(Opts::new(self.name, self.help), &self.label_names()).expect(SOUND);
        registry.register(Box::new(family.clone())).expect(SOUND);
        family
    }

    pub(super) fn histograms(&self, registry: &Registry) -> HistogramVec {
        let options = HistogramOpts::new(self.name, self.help).buckets(DURATION_BUCKETS.to_vec());
        let family = HistogramVec::new(options, &self.label_names()).expect(SOUND);
        registry.register(Box::new(family.clone())).expect(SOUND);
        family
    }
}
