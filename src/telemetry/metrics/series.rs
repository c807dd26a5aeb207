//! Every series that the gateway exports: its name, type, unit, labels and help, in one table.
//!
//! **Bounded by construction.** A label takes its values from a closed set of the code, or from names that the operator
//! chose (rules, tiers, generators), of which policies and settings admit only so many: [`Bounds`] says how many series
//! there can be. Keys, addresses and rooms are never labels.
//!
//! **One series is one series.** `prometheus` 0.14 tells the children of a family apart by a hash of their label values
//! joined without a separator. So in each family at most one label holds free names, it stands last, and the closed sets
//! before it are prefix-free: then the joined text can be read in one way only. A test checks the table for this.

use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::base::operation::Operation;
use crate::engine::decision::Verdict;
use crate::engine::usage::FillBand;
use crate::engine::viewbot::bans::RUNGS;
use crate::policy::set::Mode;
use crate::policy::viewbot::ViewbotMode;
use crate::telemetry::outcome::Outcome;

use super::viewbot;

pub use super::bounds::Bounds;

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
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution, with the upper bounds of its buckets in the family's unit.
    Histogram(&'static [f64]),
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
    /// A share, from 0 to 1.
    Ratio,
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
    /// A closed set of the room that counts, handed in as static words: whose, and how many there can be.
    Words(&'static str, usize),
    /// Names that the operator chose: of what.
    Names(Named),
}

/// What an operator names that becomes a label's value. Of each there are only so many (see [`Bounds`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// Rules of the policy, and beside them the words for what refuses, or admits, without one.
    RuleOrWord,
    /// Rules of the policy.
    Rule,
    /// Rules of the policy that have a feed.
    Feed,
    /// Tiers of the policy.
    Tier,
    /// Generators of `signgate.toml`.
    Generator,
    /// One name at a time: of the policy in force, of this version.
    One,
}

impl Named {
    /// As the reference says it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::RuleOrWord => {
                "a rule of the policy, or what decided without one: `none`, `key-unknown`, `key-attempts`, `key-expired`, `key-disabled`, \
                 `key-proxy`, `key-room`, `target-not-listed`, `session-refused`, `ban`, `operator-ban`, `viewbot`"
            }
            Self::Rule => "a rule of the policy",
            Self::Feed => "a rule of the policy that has a feed",
            Self::Tier => "a tier of the policy",
            Self::Generator => "a generator of `signgate.toml`",
            Self::One => "one value at a time",
        }
    }
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

/// Why a generator was asked, as `cause` says it: for a request, because another failed, because another took long, to see
/// whether it works.
pub(super) const CAUSE_WORDS: [&str; 4] = ["first", "retry", "hedge", "probe"];

/// What a probe found, as `result` says it.
pub(super) const PROBE_WORDS: [&str; 4] = ["good", "slow", "failed", "inconclusive"];

/// What there was too little of, as `reason` says it.
pub(super) const LACK_WORDS: [&str; 4] = ["all-out", "shed", "queue-full", "queue-slow"];

/// How full a subject's quota is, as `use` says it: below half, below four fifths, below its limit, at its limit.
pub(super) const USE_WORDS: [&str; FillBand::ALL.len()] = {
    let mut words = [""; FillBand::ALL.len()];
    let mut place = 0;
    while place < words.len() {
        words[place] = FillBand::ALL[place].word();
        place += 1;
    }
    words
};

const MODE_WORDS: [&str; 3] = [Mode::Enforce.word(), Mode::Shadow.word(), Mode::Off.word()];

/// The kinds of rules, as [`RuleKind::word`](crate::policy::set::RuleKind::word) says them.
pub(super) const KIND_WORDS: [&str; 6] =
    ["blocklist", "allowlist", "quota", "distinct", "rate", "concurrency"];

const OPERATION: Label = Label { name: "operation", values: Values::Closed(&OPERATION_WORDS) };
const OPERATION_OR_NONE: Label =
    Label { name: "operation", values: Values::Closed(&OPERATION_OR_NONE_WORDS) };
const VERDICT: Label = Label { name: "verdict", values: Values::Closed(&VERDICT_WORDS) };
const VIEWBOT_MODE_WORDS: [&str; ViewbotMode::WORDS.len()] = {
    let mut words = [""; ViewbotMode::WORDS.len()];
    let mut place = 0;
    while place < words.len() {
        words[place] = ViewbotMode::WORDS[place].0;
        place += 1;
    }
    words
};

const COUNTED_MODE: Label = Label { name: "mode", values: Values::Closed(&viewbot::MODE_WORDS) };
const RULE: Label = Label { name: "rule", values: Values::Names(Named::Rule) };
const RULE_OR_WORD: Label = Label { name: "rule", values: Values::Names(Named::RuleOrWord) };
const FEED_RULE: Label = Label { name: "rule", values: Values::Names(Named::Feed) };
const TIER: Label = Label { name: "tier", values: Values::Names(Named::Tier) };
const GENERATOR: Label = Label { name: "generator", values: Values::Names(Named::Generator) };
/// The operations whose answers have a size that says something.
const SIZED_OPERATION: Label = Label { name: "operation", values: Values::Closed(&["connect", "sign-url"]) };
const CODE: Label = Label { name: "code", values: Values::Closed(&STATUS_WORDS) };
const OUTCOME: Label = Label { name: "outcome", values: Values::Closed(&OUTCOME_WORDS) };

/// The gateway's own time, in seconds. A decision takes some ten microseconds, so the first bounds are close there; 1 ms is
/// slow for it and 25 ms is what an alert looks at; whatever is beyond 100 ms is a machine that hardly runs.
pub const GATEWAY_BUCKETS: [f64; 12] =
    [0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 1.0];

/// A generator's time, in seconds. The built-in one takes none; a browser makes a signature in some 84 ms; and what counts
/// above is how long clients wait: 3 s (Java), 5 s (Node 1.x), 15 s (Python 6).
pub const GENERATOR_BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 15.0];

/// The waits that refused callers are told, in seconds: never below 1, and up to the length of the windows that people
/// write: a minute, five, half an hour, an hour, a quarter of a day, a day, a week.
pub const WAIT_BUCKETS: [f64; 9] = [1.0, 10.0, 60.0, 300.0, 1_800.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0];

/// How late a data thread is, in seconds. It should wake within a few milliseconds; from 100 ms on clients notice.
pub const LAG_BUCKETS: [f64; 7] = [0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 1.0];

macro_rules! series {
    ($($(#[$doc:meta])* $constant:ident = $kind:ident $(($buckets:ident))? $unit:ident $name:literal [$($label:expr),*] $help:literal;)+) => {
        $($(#[$doc])* pub(super) const $constant: Series = Series {
            name: $name, kind: Kind::$kind $((&$buckets))?, unit: Unit::$unit, labels: &[$($label),*], help: $help,
        };)+

        /// All families, in the order in which they are best read.
        pub const SERIES: &[Series] = &[$($constant),+];
    };
}

series! {
    REQUESTS = Counter Count "signgate_requests_total" [OPERATION, VERDICT, RULE_OR_WORD]
        "Requests that the policy decided, by the rule that decided; rule is none for admitted ones.";
    TIER_REQUESTS = Counter Count "signgate_tier_requests_total" [OPERATION, VERDICT, TIER]
        "The same requests by the tier of who asked; a key that is unknown or not valid counts in the tier without a key.";
    WAIT_TOLD = Histogram(WAIT_BUCKETS) Seconds "signgate_wait_told_seconds" [RULE_OR_WORD]
        "Waits that refused callers were told, by the rule that decided.";
    SHADOW_FINDINGS = Counter Count "signgate_shadow_findings_total" [RULE]
        "Requests that a rule in shadow mode would have refused.";
    SHADOW_DECISIONS = Counter Count "signgate_shadow_decisions_total" [OPERATION, VERDICT]
        "Requests of which the rules would say something else with every shadow rule enforced, by what they would say.";
    RULE_INFO = Gauge Count "signgate_rule_info"
        [
            Label { name: "kind", values: Values::Closed(&KIND_WORDS) },
            Label { name: "mode", values: Values::Closed(&MODE_WORDS) },
            RULE
        ]
        "1 for each rule of the policy in force, with its kind and mode: to be joined with what is counted by rule.";
    QUOTA_SUBJECTS = Gauge Count "signgate_quota_subjects"
        [Label { name: "use", values: Values::Closed(&USE_WORDS) }, RULE]
        "How many are counted under a rule at the moment, by how much of its limit they have used: low is below 50 %, half \
         below 80 %, high below 100 %, full is at the limit; looked at every five seconds.";
    QUOTA_FULLEST = Gauge Ratio "signgate_quota_fullest_ratio" [RULE]
        "How much of a rule's limit has been used by whoever has used most of it; looked at every five seconds.";
    COUNTED = Gauge Count "signgate_counted_records" []
        "Counts that are kept in memory, one for each subject and rule.";
    STRANGERS = Gauge Count "signgate_counted_strangers" []
        "How much of that anybody can make at will, by weight; addresses and rooms are such.";
    STRANGERS_MAX = Gauge Count "signgate_counted_strangers_max" []
        "So many at most: towards it neighbouring addresses come to share their limits, and none is forgotten.";
    ANSWERS = Counter Count "signgate_answers_total" [OPERATION_OR_NONE, CODE]
        "Answers sent to clients, by HTTP status; operation is none where a request was refused before it was known.";
    OUTCOMES = Counter Count "signgate_outcomes_total" [OPERATION_OR_NONE, OUTCOME]
        "How requests ended. Judged success is good over good, generator-failed, no-capacity, timed-out and gateway-failed: \
         the rest is up to the client.";
    REFUNDS = Counter Count "signgate_refunds_total" [OPERATION]
        "Requests whose charge was taken back because the generator was to blame.";
    IN_FLIGHT = Gauge Count "signgate_requests_in_flight" []
        "Requests that are being worked on.";
    GATEWAY_DURATION = Histogram(GATEWAY_BUCKETS) Seconds "signgate_gateway_duration_seconds" [OPERATION_OR_NONE]
        "Time that a request spent in the gateway alone: without reading its body, queueing and the generator.";
    GOOD_ANSWER_DURATION = Histogram(GENERATOR_BUCKETS) Seconds "signgate_good_answer_duration_seconds" []
        "Time from a request until its good answer of a generator, as its client waits: queueing, asking, asking again.";
    QUEUE_DURATION = Histogram(GENERATOR_BUCKETS) Seconds "signgate_queue_duration_seconds" []
        "Time that a request waited for a generator with room for it; of those that had to wait.";
    QUEUE_DEPTH = Gauge Count "signgate_queue_depth" []
        "Requests that wait for a generator with room for them.";
    SHED = Counter Count "signgate_shed_total"
        [Label { name: "reason", values: Values::Closed(&LACK_WORDS) }, TIER]
        "Requests that were refused for want of capacity, by the tier of who asked: all-out where no generator is in service, \
         shed at the door, queue-full where as many wait as may, queue-slow where no generator had room in time.";
    RETRY_BUDGET_EXHAUSTED = Counter Count "signgate_retry_budget_exhausted_total" []
        "Retries and hedges that were left out as their budget was used up.";
    GENERATOR_DURATION = Histogram(GENERATOR_BUCKETS) Seconds "signgate_generator_duration_seconds" [GENERATOR]
        "Time from sending a request to a generator until its answer was whole, or failed.";
    GENERATOR_ANSWERS = Counter Count "signgate_generator_answers_total"
        [Label { name: "reason", values: Values::Words("what the judge of answers says", 80) }, GENERATOR]
        "Answers of generators as they were judged by content, and why none came: deploy/GENERATORS.md says what to do about each.";
    GENERATOR_ANSWER_BYTES = Gauge Bytes "signgate_generator_answer_bytes" [SIZED_OPERATION, GENERATOR]
        "How large a generator's good answers usually are, unpacked: the median of the last ten minutes. Missing until twenty are known.";
    GENERATOR_CANARY_SHARE = Gauge Count "signgate_generator_canary_share" [GENERATOR]
        "Of a canary: the share of accounts that it gets. 0 is rolled back or drained, 1 promoted.";
    GENERATOR_CANARY_ROLLBACKS = Counter Count "signgate_generator_canary_rollbacks_total"
        [Label { name: "why", values: Values::Closed(&super::generators::CANARY_WHY) }, GENERATOR]
        "Canaries that were rolled back: more of their answers failed, they took longer, or an operator said so.";
    GENERATOR_IN_FLIGHT = Gauge Count "signgate_generator_requests_in_flight" [GENERATOR]
        "Requests that a generator is working on for us.";
    GENERATOR_IN_FLIGHT_MAX = Gauge Count "signgate_generator_requests_in_flight_max" [GENERATOR]
        "So many at most; beyond it the others are asked, and with all of them full requests wait.";
    GENERATOR_EJECTED = Gauge Count "signgate_generator_ejected" [GENERATOR]
        "1 while a generator is out of service for its answers, until a probe finds it working.";
    GENERATORS_WORKING = Gauge Count "signgate_generators_working" [OPERATION]
        "Generators that are in service for an operation, canaries among them: with 0 its clients get 503. Missing of what none of the configured ones can do.";
    GENERATOR_ATTEMPTS = Counter Count "signgate_generator_attempts_total"
        [Label { name: "cause", values: Values::Closed(&CAUSE_WORDS) }, GENERATOR]
        "How often a generator was asked: first for a request, as a retry, as a hedge, as a probe. Each may cost a signature.";
    GENERATOR_PROBES = Counter Count "signgate_generator_probes_total"
        [Label { name: "result", values: Values::Closed(&PROBE_WORDS) }, GENERATOR]
        "Probes of a generator that is out or was idle, by what they found; inconclusive where it blames what was asked.";
    CONNECTIONS_OPEN = Gauge Count "signgate_connections_open" []
        "Client connections open.";
    CONNECTIONS_ACCEPTED = Counter Count "signgate_connections_accepted_total" []
        "Client connections accepted.";
    CONNECTIONS_REFUSED = Counter Count "signgate_connections_refused_total"
        [Label { name: "reason", values: Values::Words("the listener's caps: `connections`, `connections_per_source`, `accepts_per_source`", 8) }]
        "Client connections turned away at once, by the cap that they met.";
    ACCEPT_ERRORS = Counter Count "signgate_accept_errors_total" []
        "Failures to accept a connection, such as a lack of file descriptors.";
    REQUESTS_REJECTED = Counter Count "signgate_requests_rejected_total"
        [Label { name: "reason", values: Values::Words("the listener's framing rules, each the `limit_label` of its answer", 64) }]
        "Requests rejected for their framing or size before anything else looked at them.";
    DEADLINES = Counter Count "signgate_deadlines_total"
        [Label { name: "kind", values: Values::Words("the listener's deadlines: `silent`, `head`, `body`, `idle`, `write`, `half_closed`, `drain`", 16) }]
        "Deadlines that client connections ran into.";
    RECEIVED = Counter Bytes "signgate_received_bytes_total" []
        "Bytes received from clients.";
    SENT = Counter Bytes "signgate_sent_bytes_total" []
        "Bytes sent to clients.";
    VIEWBOT_REQUESTS = Counter Count "signgate_viewbot_requests_total"
        [COUNTED_MODE, Label { name: "rung", values: Values::Closed(&viewbot::RUNG_WORDS) }]
        "Requests that view-bot detection stopped in that mode, or would have in shadow, by what was done: convicted and \
         banned are denied, the rest is throttled.";
    VIEWBOT_EVIDENCE = Counter Count "signgate_viewbot_evidence_total"
        [COUNTED_MODE, Label { name: "heuristic", values: Values::Closed(&viewbot::HEURISTIC_WORDS) }]
        "The same requests by each heuristic that had something to say of them; known-viewer speaks for them.";
    VIEWBOT_BANS_MADE = Counter Count "signgate_viewbot_bans_made_total"
        [COUNTED_MODE, Label { name: "kind", values: Values::Closed(&RUNGS) }]
        "Convictions by the width of the ban that they led to; those of shadow act on nobody.";
    BANS = Gauge Count "signgate_bans"
        [Label { name: "of", values: Values::Closed(&viewbot::BAN_WORDS) }]
        "Bans that stand: convicted in earnest, in shadow, in shadow but promoted by the operator, and the operator's own.";
    VIEWBOT_MODE = Gauge Count "signgate_viewbot_mode"
        [Label { name: "mode", values: Values::Closed(&VIEWBOT_MODE_WORDS) }]
        "1 for the mode of view-bot detection that is in force.";
    VIEWBOT_ROOMS_ALARMED = Gauge Count "signgate_viewbot_rooms_alarmed" []
        "Rooms that get far more new viewers than is usual for them: attacks, and crowds too.";
    VIEWBOT_EXCESS = Gauge Count "signgate_viewbot_excess_viewers" []
        "So many strangers more than an ordinary crowd would have, over all alarmed rooms; halved every ten minutes.";
    VIEWBOT_EXCESS_MOST = Gauge Count "signgate_viewbot_excess_viewers_most" []
        "The same of the room that has most.";
    VIEWBOT_LEARNED = Gauge Count "signgate_viewbot_learned_strangers" []
        "Strangers of calm rooms that it has learned from; it takes some to convict anybody.";
    VIEWBOT_COLD = Gauge Count "signgate_viewbot_cold" []
        "1 while too little ordinary traffic has been seen: nobody is convicted, throttled at most.";
    POLICY_INFO = Gauge Count "signgate_policy_info" [Label { name: "digest", values: Values::Names(Named::One) }]
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
    BUILD_INFO = Gauge Count "signgate_build_info" [Label { name: "version", values: Values::Names(Named::One) }]
        "1 for the running version.";
    START_TIME = Gauge Seconds "signgate_process_start_time_seconds" []
        "When the process started, in seconds since 1970.";
    CPU = Counter Seconds "signgate_process_cpu_seconds_total" []
        "Processor time that the process has used, of the program and of the system for it.";
    RESIDENT = Gauge Bytes "signgate_process_resident_memory_bytes" []
        "Memory of the process that is in RAM.";
    OPEN_FDS = Gauge Count "signgate_process_open_fds" []
        "File descriptors that are open; every connection is one.";
    MAX_FDS = Gauge Count "signgate_process_max_fds" []
        "So many may be open.";
    THREADS = Gauge Count "signgate_process_threads" []
        "Threads of the process.";
    WORKERS = Gauge Count "signgate_workers" []
        "Threads that serve clients.";
    WORKER_LAG = Histogram(LAG_BUCKETS) Seconds "signgate_worker_lag_seconds" []
        "How much later than it should a thread that serves clients was woken, looked at four times a second: what every \
         request on it waits.";
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

    pub(super) fn ratios(&self, registry: &Registry) -> GaugeVec {
        let family = GaugeVec::new(Opts::new(self.name, self.help), &self.label_names()).expect(SOUND);
        registry.register(Box::new(family.clone())).expect(SOUND);
        family
    }

    pub(super) fn histograms(&self, registry: &Registry) -> HistogramVec {
        let Kind::Histogram(buckets) = self.kind else { unreachable!("{} is no histogram", self.name) };
        let options = HistogramOpts::new(self.name, self.help).buckets(buckets.to_vec());
        let family = HistogramVec::new(options, &self.label_names()).expect(SOUND);
        registry.register(Box::new(family.clone())).expect(SOUND);
        family
    }
}
