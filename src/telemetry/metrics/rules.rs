//! What is counted per rule, resolved against one policy set and swapped with it as one.

use std::collections::HashSet;

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
};

use crate::base::operation::Operation;
use crate::engine::decision::{Decision, Reason, Refusal, Shadow, Verdict};
use crate::engine::usage::{FillBand, Usage};
use crate::policy::PolicySet;
use crate::policy::set::{Mode, Rule, RuleKind, TierIndex};

use super::{Metrics, series};

/// What stands for the rule of an admitted request.
const NO_RULE: &str = "none";

/// What refuses without a rule ([`Reason::word`]), and how: shown at 0 from the start, so that a first increase is seen.
const WITHOUT_RULE: [(&str, Verdict); 12] = [
    ("key-unknown", Verdict::Deny),
    ("key-attempts", Verdict::Throttle),
    ("key-expired", Verdict::Deny),
    ("key-disabled", Verdict::Deny),
    ("key-proxy", Verdict::Deny),
    ("key-room", Verdict::Deny),
    ("target-not-listed", Verdict::Deny),
    ("session-refused", Verdict::Deny),
    ("ban", Verdict::Deny),
    ("operator-ban", Verdict::Deny),
    ("viewbot", Verdict::Deny),
    ("viewbot", Verdict::Throttle),
];

type ByOperation = [IntCounter; Operation::COUNT];

type ByVerdict = [ByOperation; Verdict::ALL.len()];

/// The families that carry a name of the policy, and those that are counted with them.
#[derive(Debug)]
pub(super) struct Families {
    requests: IntCounterVec,
    tier_requests: IntCounterVec,
    shed: IntCounterVec,
    waits: HistogramVec,
    shadow_findings: IntCounterVec,
    shadow_decisions: IntCounterVec,
    info: IntGaugeVec,
    subjects: IntGaugeVec,
    fullest: GaugeVec,
}

impl Families {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            requests: series::REQUESTS.counters(registry),
            tier_requests: series::TIER_REQUESTS.counters(registry),
            shed: series::SHED.counters(registry),
            waits: series::WAIT_TOLD.histograms(registry),
            shadow_findings: series::SHADOW_FINDINGS.counters(registry),
            shadow_decisions: series::SHADOW_DECISIONS.counters(registry),
            info: series::RULE_INFO.gauges(registry),
            subjects: series::QUOTA_SUBJECTS.gauges(registry),
            fullest: series::QUOTA_FULLEST.ratios(registry),
        }
    }
}

/// The handles of one policy set: counting a decision is an atomic add.
///
/// A rule that two sets share keeps its numbers: both hold the same counter.
#[derive(Debug)]
pub struct RuleMetrics {
    admitted: ByOperation,
    /// By [`TierIndex`].
    tiers: Box<[ByVerdict]>,
    /// By tier, then by what there was too little of.
    shed: Box<[[IntCounter; series::LACK_WORDS.len()]]>,
    /// By [`RuleIndex`](crate::policy::set::RuleIndex).
    rules: Box<[Handles]>,
    without_rule: [WithoutRule; WITHOUT_RULE.len()],
    shadow_decisions: ByVerdict,
    /// For a reason that the list above lacks: looked up by its static word.
    requests: IntCounterVec,
}

#[derive(Debug)]
struct Handles {
    /// Requests that this rule refused; `None` for a rule that never refuses.
    refused: Option<ByOperation>,
    /// The waits that it told; only for a rule after which waiting helps.
    waits: Option<Histogram>,
    /// Requests that it would refuse; only for a rule in shadow mode.
    shadow: Option<IntCounter>,
    /// How full it is; only for a rule that counts and is not off.
    used: Option<Used>,
}

#[derive(Debug)]
struct WithoutRule {
    refused: ByOperation,
    waits: Option<Histogram>,
}

#[derive(Debug)]
struct Used {
    subjects: [IntGauge; FillBand::ALL.len()],
    fullest: Gauge,
}

/// How a rule of that kind refuses, if it does.
const fn verdict_of(kind: &RuleKind) -> Option<Verdict> {
    match kind {
        RuleKind::Blocklist { .. } => Some(Verdict::Deny),
        RuleKind::Allowlist { .. } => None,
        RuleKind::Quota { .. }
        | RuleKind::Distinct { .. }
        | RuleKind::Rate { .. }
        | RuleKind::Concurrency { .. } => Some(Verdict::Throttle),
    }
}

impl RuleMetrics {
    /// Resolves every rule of `policy` for every operation. Done when a set is compiled, never on the data path.
    pub fn resolve(metrics: &Metrics, policy: &PolicySet) -> Self {
        let families = &metrics.rules;
        let resolve = |verdict: Verdict, rule: &str| {
            Operation::ALL.map(|operation| {
                families.requests.with_label_values(&[operation.word(), verdict.word(), rule])
            })
        };
        let waits = |verdict: Verdict, rule: &str| {
            (verdict == Verdict::Throttle).then(|| families.waits.with_label_values(&[rule]))
        };
        let handles = policy.rules().iter().map(|rule| {
            let name = rule.name.as_str();
            let verdict = verdict_of(&rule.kind);
            let enforced = verdict.filter(|_| rule.mode == Mode::Enforce);
            let used = || Used {
                subjects: series::USE_WORDS.map(|word| families.subjects.with_label_values(&[word, name])),
                fullest: families.fullest.with_label_values(&[name]),
            };
            Handles {
                refused: enforced.map(|verdict| resolve(verdict, name)),
                waits: enforced.and_then(|verdict| waits(verdict, name)),
                shadow: (rule.mode == Mode::Shadow)
                    .then(|| families.shadow_findings.with_label_values(&[name])),
                // What waiting helps against is what is counted.
                used: (verdict == Some(Verdict::Throttle) && rule.mode != Mode::Off).then(used),
            }
        });
        let tiers = policy.tiers().iter().map(|tier| {
            let tier = tier.name.as_str();
            by_verdict(|operation, verdict| {
                families.tier_requests.with_label_values(&[operation, verdict, tier])
            })
        });
        let shed = policy.tiers().iter().map(|tier| {
            series::LACK_WORDS.map(|lack| families.shed.with_label_values(&[lack, tier.name.as_str()]))
        });
        Self {
            admitted: resolve(Verdict::Allow, NO_RULE),
            tiers: tiers.collect(),
            shed: shed.collect(),
            rules: handles.collect(),
            without_rule: WITHOUT_RULE.map(|(word, verdict)| WithoutRule {
                refused: resolve(verdict, word),
                waits: waits(verdict, word),
            }),
            shadow_decisions: by_verdict(|operation, verdict| {
                families.shadow_decisions.with_label_values(&[operation, verdict])
            }),
            requests: families.requests.clone(),
        }
    }

    /// Counts a decision once, under its deciding reason, and every finding of a rule in shadow mode. `decision` must
    /// have been made with the policy set that this was resolved for.
    pub fn count(&self, operation: Operation, decision: &Decision) {
        match &decision.refusal {
            None => self.admitted[operation.index()].inc(),
            Some(refusal) => self.count_refusal(operation, refusal),
        }
        if let Some(by_verdict) = self.tiers.get(usize::from(decision.caller.tier.0)) {
            by_verdict[decision.verdict() as usize][operation.index()].inc();
        }
        if decision.shadow != Shadow::Same {
            self.shadow_decisions[decision.shadow_verdict() as usize][operation.index()].inc();
        }
        for reason in decision.shadow.refusal().into_iter().flat_map(Refusal::reasons) {
            let rule = reason.rule().and_then(|rule| self.rules.get(usize::from(rule.0)));
            if let Some(shadow) = rule.and_then(|handles| handles.shadow.as_ref()) {
                shadow.inc();
            }
        }
    }

    /// Counts a request that was refused for want of capacity: of which tier, and what there was too little of, as its place
    /// among the words.
    pub fn shed(&self, tier: TierIndex, lack: usize) {
        if let Some(counter) = self.shed.get(usize::from(tier.0)).and_then(|by_lack| by_lack.get(lack)) {
            counter.inc();
        }
    }

    fn count_refusal(&self, operation: Operation, refusal: &Refusal) {
        let first = refusal.first();
        let (refused, waits) = self.handles(first, refusal.verdict());
        if let (Some(waits), Some(wait)) = (waits, refusal.wait()) {
            waits.observe(wait.secs() as f64);
        }
        match refused {
            Some(by_operation) => by_operation[operation.index()].inc(),
            // Words of the code, so a closed set too; this is only slower.
            None => self
                .requests
                .with_label_values(&[operation.word(), refusal.verdict().word(), first.word()])
                .inc(),
        }
    }

    fn handles(&self, reason: &Reason, verdict: Verdict) -> (Option<&ByOperation>, Option<&Histogram>) {
        if let Some(rule) = reason.rule() {
            let handles = self.rules.get(usize::from(rule.0));
            return (
                handles.and_then(|handles| handles.refused.as_ref()),
                handles.and_then(|handles| handles.waits.as_ref()),
            );
        }
        let place = WITHOUT_RULE.iter().position(|listed| *listed == (reason.word(), verdict));
        let handles = place.map(|place| &self.without_rule[place]);
        (handles.map(|handles| &handles.refused), handles.and_then(|handles| handles.waits.as_ref()))
    }

    /// Shows how full the quotas are. `usage` must have been made for the policy set that this was resolved for.
    pub fn used(&self, usage: &Usage) {
        for (rule, usage) in usage.rules() {
            let handles = self.rules.get(usize::from(rule.0));
            let Some(used) = handles.and_then(|handles| handles.used.as_ref()) else { continue };
            for (gauge, subjects) in used.subjects.iter().zip(usage.subjects) {
                gauge.set(subjects.cast_signed());
            }
            used.fullest.set(usage.fullest);
        }
    }
}

/// What stands where a rule's name would.
#[cfg(test)]
pub(super) fn words_without_rule() -> impl Iterator<Item = &'static str> {
    WITHOUT_RULE.into_iter().map(|(word, _)| word).chain([NO_RULE])
}

/// A counter for each operation under each verdict, by their words.
fn by_verdict(counter: impl Fn(&str, &str) -> IntCounter) -> ByVerdict {
    Verdict::ALL.map(|verdict| Operation::ALL.map(|operation| counter(operation.word(), verdict.word())))
}

impl Families {
    /// Drops the series of rules and tiers that `policy` lacks, or of which it has no such thing any more: otherwise reloads
    /// with ever new names would make ever new series.
    pub(super) fn retain(&self, policy: &PolicySet) {
        let with = |holds: &dyn Fn(&Rule) -> bool| -> HashSet<&str> {
            policy.rules().iter().filter(|rule| holds(rule)).map(|rule| rule.name.as_str()).collect()
        };
        let all = with(&|_| true);
        let words = WITHOUT_RULE.map(|(word, _)| word).into_iter().chain([NO_RULE]);
        let all_and_words: HashSet<&str> = all.iter().copied().chain(words).collect();
        let tiers: HashSet<&str> = policy.tiers().iter().map(|tier| tier.name.as_str()).collect();
        let counting = with(&|rule| rule.mode != Mode::Off);
        retain(&self.requests, "rule", &all_and_words);
        retain(&self.waits, "rule", &all_and_words);
        retain(&self.shadow_findings, "rule", &all);
        // A gauge would stand for ever where nobody sets it any more; a counter's history is worth keeping.
        retain(&self.subjects, "rule", &counting);
        retain(&self.fullest, "rule", &counting);
        retain(&self.tier_requests, "tier", &tiers);
        retain(&self.shed, "tier", &tiers);
        self.info.reset();
        for rule in policy.rules() {
            let labels = [rule.kind.word(), rule.mode.word(), rule.name.as_str()];
            self.info.with_label_values(&labels).set(1);
        }
    }
}

/// Drops the children whose `label` has none of the `known` values.
fn retain<T: MetricVecBuilder>(family: &MetricVec<T>, label: &str, known: &HashSet<&str>) {
    for metric in family.collect().iter().flat_map(prometheus::proto::MetricFamily::get_metric) {
        let labels = metric.get_label();
        if labels.iter().all(|pair| pair.name() != label || known.contains(pair.value())) {
            continue;
        }
        // A child gives its labels in the order of their names; the family wants them in its own.
        let names = &family.desc()[0].variable_labels;
        let value = |name: &String| {
            labels.iter().find(|pair| pair.name() == name).map_or("", prometheus::proto::LabelPair::value)
        };
        // It fails where another thread dropped it first, which is as good.
        let _ = family.remove_label_values(&names.iter().map(value).collect::<Vec<_>>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::viewbot::{Against, Rung};
    use crate::policy::file::RULE_NAMES_RESERVED;

    /// Else a rule's refusals and those of no rule would be one series. And the reference says which words these are.
    #[test]
    fn no_rule_can_be_named_as_what_no_rule_decides() {
        for word in WITHOUT_RULE.iter().map(|(word, _)| *word).chain([NO_RULE]) {
            assert!(RULE_NAMES_RESERVED.contains(&word), "{word}");
            assert!(series::Named::RuleOrWord.words().contains(&format!("`{word}`")), "{word}");
        }
    }

    /// Else a kind would be counted that the table, and so the bound on series, does not know.
    #[test]
    fn every_kind_of_rule_is_in_the_table() {
        // Each leads to the next: a new kind does not compile until it is put in here.
        let next = |kind: &RuleKind| match kind {
            RuleKind::Blocklist { .. } => Some(RuleKind::Allowlist { exempt: <_>::default(), expires: None }),
            RuleKind::Allowlist { .. } => Some(RuleKind::Quota { counters: 0..0 }),
            RuleKind::Quota { .. } => Some(RuleKind::Distinct { counters: 0..0 }),
            RuleKind::Distinct { .. } => Some(RuleKind::Rate { counters: 0..0 }),
            RuleKind::Rate { .. } => Some(RuleKind::Concurrency { counters: 0..0 }),
            RuleKind::Concurrency { .. } => None,
        };
        let first = RuleKind::Blocklist { reason: None, expires: None };
        let words: Vec<&str> = std::iter::successors(Some(first), next).map(|kind| kind.word()).collect();
        assert_eq!(words, series::KIND_WORDS);
    }

    /// A reason without a rule is counted under its word: each must stand in the list above, and so be reserved.
    #[test]
    fn every_reason_without_a_rule_is_listed() {
        use std::time::Duration;

        let wait = Duration::ZERO;
        let ban = || std::sync::Arc::new(crate::engine::viewbot::bans::Ban::example());
        let ordered = || crate::engine::operator::OperatorBan {
            id: 1,
            target: crate::engine::operator::BanTarget::Asn(1),
            reason: "x".into(),
            made: crate::base::time::Timestamp::EPOCH,
            until: crate::base::time::Timestamp::EPOCH,
        };
        let against = |wait| Against { wait, rung: Rung::Convicted, evidence: ban().evidence.clone() };
        // The first of each pair leads to the next: a new reason does not compile until it is put in here.
        let next = |reason: &Reason| match reason {
            Reason::KeyUnknown => Some(Reason::KeyAttempts { wait }),
            Reason::KeyAttempts { .. } => {
                Some(Reason::KeyExpired { at: crate::base::time::Timestamp::EPOCH })
            }
            Reason::KeyExpired { .. } => Some(Reason::KeyDisabled),
            Reason::KeyDisabled => Some(Reason::KeyProxy),
            Reason::KeyProxy => Some(Reason::KeyRoom),
            Reason::KeyRoom => Some(Reason::TargetNotListed),
            Reason::TargetNotListed => Some(Reason::SessionRefused),
            Reason::SessionRefused => Some(Reason::Banned(ban())),
            Reason::Banned(_) => Some(Reason::BannedByOperator(std::sync::Arc::new(ordered()))),
            Reason::BannedByOperator(_) => Some(Reason::Viewbot(against(None))),
            Reason::Viewbot(Against { wait: None, .. }) => Some(Reason::Viewbot(against(Some(wait)))),
            Reason::Viewbot(Against { wait: Some(_), .. })
            | Reason::Blocked { .. }
            | Reason::Quota { .. }
            | Reason::Rate { .. }
            | Reason::Concurrency { .. } => None,
        };
        let all = std::iter::successors(Some(Reason::KeyUnknown), next);
        let words: Vec<&str> =
            all.filter(|reason| reason.rule().is_none()).map(|reason| reason.word()).collect();
        assert_eq!(words, WITHOUT_RULE.map(|(word, _)| word));
    }
}
