//! What is counted per rule, resolved against one policy set and swapped with it as one.

use std::collections::HashSet;

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec};

use crate::base::operation::Operation;
use crate::engine::decision::{Decision, Reason, Refusal, Verdict};
use crate::policy::PolicySet;
use crate::policy::set::{Mode, RuleKind};

use super::Metrics;

/// What stands for the rule of an admitted request.
const NO_RULE: &str = "none";

/// What refuses without a rule ([`Reason::word`]), and how: shown at 0 from the start, so that a first increase is seen.
const WITHOUT_RULE: [(&str, Verdict); 11] = [
    ("key-unknown", Verdict::Deny),
    ("key-attempts", Verdict::Throttle),
    ("key-expired", Verdict::Deny),
    ("key-disabled", Verdict::Deny),
    ("key-proxy", Verdict::Deny),
    ("key-room", Verdict::Deny),
    ("target-not-listed", Verdict::Deny),
    ("session-refused", Verdict::Deny),
    ("ban", Verdict::Deny),
    ("viewbot", Verdict::Deny),
    ("viewbot", Verdict::Throttle),
];

type ByOperation = [IntCounter; Operation::COUNT];

/// The handles of one policy set: counting a decision is an atomic add.
///
/// A rule that two sets share keeps its numbers: both hold the same counter.
#[derive(Debug)]
pub struct RuleMetrics {
    admitted: ByOperation,
    /// By [`RuleIndex`](crate::policy::set::RuleIndex).
    rules: Box<[Handles]>,
    without_rule: [ByOperation; WITHOUT_RULE.len()],
    /// For a reason that the list above lacks: looked up by its static word.
    requests: IntCounterVec,
}

#[derive(Debug)]
struct Handles {
    /// Requests that this rule refused; `None` for a rule that never refuses.
    refused: Option<ByOperation>,
    /// Requests that it would refuse; only for a rule in shadow mode.
    shadow: Option<IntCounter>,
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
        let resolve = |verdict: Verdict, rule: &str| {
            Operation::ALL.map(|operation| {
                metrics.requests.with_label_values(&[operation.word(), verdict.word(), rule])
            })
        };
        let handles = policy.rules().iter().map(|rule| {
            let name = rule.name.as_str();
            let shadow = || metrics.shadow_findings.with_label_values(&[name]);
            Handles {
                refused: verdict_of(&rule.kind)
                    .filter(|_| rule.mode == Mode::Enforce)
                    .map(|verdict| resolve(verdict, name)),
                shadow: (rule.mode == Mode::Shadow).then(shadow),
            }
        });
        Self {
            admitted: resolve(Verdict::Allow, NO_RULE),
            rules: handles.collect(),
            without_rule: WITHOUT_RULE.map(|(word, verdict)| resolve(verdict, word)),
            requests: metrics.requests.clone(),
        }
    }

    /// Counts a decision once, under its deciding reason, and every finding of a rule in shadow mode. `decision` must
    /// have been made with the policy set that this was resolved for.
    pub fn count(&self, operation: Operation, decision: &Decision) {
        match &decision.refusal {
            None => self.admitted[operation.index()].inc(),
            Some(refusal) => self.count_refusal(operation, refusal),
        }
        for reason in decision.shadow.refusal().into_iter().flat_map(Refusal::reasons) {
            let rule = reason.rule().and_then(|rule| self.rules.get(usize::from(rule.0)));
            if let Some(shadow) = rule.and_then(|handles| handles.shadow.as_ref()) {
                shadow.inc();
            }
        }
    }

    fn count_refusal(&self, operation: Operation, refusal: &Refusal) {
        let first = refusal.first();
        match self.handles(first, refusal.verdict()) {
            Some(by_operation) => by_operation[operation.index()].inc(),
            // Words of the code, so a closed set too; this is only slower.
            None => self
                .requests
                .with_label_values(&[operation.word(), refusal.verdict().word(), first.word()])
                .inc(),
        }
    }

    fn handles(&self, reason: &Reason, verdict: Verdict) -> Option<&ByOperation> {
        if let Some(rule) = reason.rule() {
            return self.rules.get(usize::from(rule.0))?.refused.as_ref();
        }
        let place = WITHOUT_RULE.iter().position(|listed| *listed == (reason.word(), verdict))?;
        Some(&self.without_rule[place])
    }
}

/// Drops the series of rules that `policy` lacks: otherwise reloads with ever new names would make ever new series.
pub(super) fn retain(metrics: &Metrics, policy: &PolicySet) {
    let mut known: HashSet<&str> = policy.rules().iter().map(|rule| rule.name.as_str()).collect();
    known.insert(NO_RULE);
    known.extend(WITHOUT_RULE.map(|(word, _)| word));
    for family in [&metrics.requests, &metrics.shadow_findings] {
        for metric in family.collect().iter().flat_map(prometheus::proto::MetricFamily::get_metric) {
            let labels = metric.get_label();
            if labels.iter().all(|label| label.name() != "rule" || known.contains(label.value())) {
                continue;
            }
            // A child gives its labels in the order of their names; the family wants them in its own.
            let names = &family.desc()[0].variable_labels;
            let value = |name: &String| {
                labels
                    .iter()
                    .find(|label| label.name() == name)
                    .map_or("", prometheus::proto::LabelPair::value)
            };
            // It fails where another thread dropped it first, which is as good.
            let _ = family.remove_label_values(&names.iter().map(value).collect::<Vec<_>>());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::viewbot::{Against, Rung};
    use crate::policy::file::RULE_NAMES_RESERVED;

    /// Else a rule's refusals and those of no rule would be one series.
    #[test]
    fn no_rule_can_be_named_as_what_no_rule_decides() {
        for word in WITHOUT_RULE.iter().map(|(word, _)| *word).chain([NO_RULE]) {
            assert!(RULE_NAMES_RESERVED.contains(&word), "{word}");
        }
    }

    /// A reason without a rule is counted under its word: each must stand in the list above, and so be reserved.
    #[test]
    fn every_reason_without_a_rule_is_listed() {
        use std::time::Duration;

        let wait = Duration::ZERO;
        let ban = || std::sync::Arc::new(crate::engine::viewbot::bans::Ban::example());
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
            Reason::Banned(_) => Some(Reason::Viewbot(against(None))),
            Reason::Viewbot(Against { wait: None, .. }) => Some(Reason::Viewbot(against(Some(wait)))),
            Reason::Viewbot(Against { wait: Some(_), .. })
            | Reason::BannedByOperator(_)
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
