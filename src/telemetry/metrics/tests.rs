use std::collections::BTreeSet;
use std::sync::Arc;

use super::series::{Kind, SERIES, Unit, Values};
use super::*;
use crate::base::id::{AccountId, KeyId, RuleName, TierName};
use crate::engine::decision::{Caller, Decision, Matcher, Reason, Refusal, Shadow};
use crate::policy::set::{Mode, Parts, Rule, RuleIndex, RuleKind, Tier, TierClass, TierIndex};

const REASONS: &[&str] = &["good", "soft-block", "cut short"];

fn rule(name: &str, mode: Mode, kind: RuleKind) -> Rule {
    Rule { name: RuleName::new(name).unwrap(), mode, kind, file: "10.toml".into(), line: 1 }
}

fn policy(rules: Vec<Rule>) -> PolicySet {
    let tier = Tier { name: TierName::new("anonymous").unwrap(), class: TierClass::None };
    PolicySet::new(Parts { tiers: vec![tier], rules, ..Parts::default() })
}

fn shipped() -> PolicySet {
    policy(vec![
        rule("datacentres", Mode::Enforce, RuleKind::Blocklist { reason: None, expires: None }),
        rule("anonymous", Mode::Enforce, RuleKind::Quota { counters: 0..1 }),
        rule("stricter", Mode::Shadow, RuleKind::Quota { counters: 1..2 }),
        rule("partners", Mode::Enforce, RuleKind::Allowlist { exempt: <_>::default(), expires: None }),
    ])
}

fn quota(rule: u16, label: &str) -> Reason {
    let (minute, label) = (Duration::from_secs(60), Arc::from(label));
    Reason::Quota { rule: RuleIndex(rule), label, max: 5, different: None, window: minute, wait: minute }
}

fn decision(refusal: Option<Refusal>, shadow: Option<Refusal>) -> Decision {
    let shadow = shadow.map_or(Shadow::Same, Shadow::Refuses);
    Decision { caller: Caller { tier: TierIndex(0), identity: None }, refusal, shadow }
}

fn listener() -> ListenerTotals {
    ListenerTotals {
        open: 3,
        accepted: 9,
        accept_errors: 1,
        refused: vec![("connections", 1), ("accepts_per_source", 2)],
        rejected: vec![("bare_lf", 4)],
        deadlines: vec![("head", 5), ("body", 0)],
        bytes_in: 1000,
        bytes_out: 2000,
    }
}

/// A gateway that has seen one request of each kind.
fn lived() -> Metrics {
    let metrics = Metrics::new(Timestamp::from_secs(1_795_000_000));
    let policy = shipped();
    let rules = RuleMetrics::resolve(&metrics, &policy);
    metrics.policy_in_force(&policy, 1);
    metrics.reloaded(true, Timestamp::from_secs(1_795_000_001));
    metrics.read_listener(listener);
    let written = Some(Timestamp::from_secs(1_794_999_000));
    metrics.feeds([FeedNumbers { rule: "partners", entries: 12_000, written }].into_iter());
    let generator = metrics.generator("main", REASONS);
    generator.answered(1, Duration::from_millis(30));
    let blocked = Reason::Blocked { rule: RuleIndex(0), by: Matcher::Address };
    rules.count(Operation::Connect, &decision(None, None));
    rules.count(Operation::Connect, &decision(None, Some(Refusal::new(quota(2, "l")))));
    rules.count(Operation::SignUrl, &decision(Some(Refusal::new(blocked)), None));
    rules.count(Operation::SignUrl, &decision(Some(Refusal::new(quota(1, "l"))), None));
    rules.count(Operation::Chat, &decision(Some(Refusal::new(Reason::KeyUnknown)), None));
    metrics.answered(Some(Operation::Connect), 200, Outcome::Good);
    metrics.answered(None, 404, Outcome::Invalid);
    metrics.answered(Some(Operation::Chat), 299, Outcome::RequestBlamed);
    metrics.took(Some(Operation::Connect), Duration::from_micros(80));
    metrics.queued(Duration::from_millis(2));
    metrics.refunded(Operation::Connect);
    metrics
}

fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    line.parse().ok()
}

#[test]
fn the_page_is_what_the_table_says() {
    // Zeros and the inside of distributions would drown what is looked at here.
    let text = lived().text();
    let shown = |line: &&str| line.starts_with('#') || !(line.ends_with(" 0") || line.contains("_bucket{"));
    insta::assert_snapshot!(text.lines().filter(shown).collect::<Vec<_>>().join("\n"));
    let families: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned))
        .collect();
    let table: BTreeSet<_> = SERIES.iter().map(|series| series.name.to_owned()).collect();
    assert_eq!(families, table);
}

#[test]
fn names_and_helps_follow_the_conventions() {
    for series in SERIES {
        let name = series.name;
        assert!(name.starts_with("signgate_"), "{name}");
        assert_eq!(name.ends_with("_total"), series.kind == Kind::Counter, "{name}");
        assert_eq!(name.contains("seconds"), series.unit == Unit::Seconds, "{name}");
        assert_eq!(name.contains("bytes"), series.unit == Unit::Bytes, "{name}");
        assert!(series.help.ends_with('.') && series.help.len() > 15, "{name}");
    }
}

#[test]
fn no_two_series_can_become_one() {
    for series in SERIES {
        let Some((_, before_last)) = series.labels.split_last() else { continue };
        for label in before_last {
            match label.values {
                Values::Closed(words) => assert!(generators::prefix_free(words), "{}", series.name),
                // Checked where the words are handed in.
                Values::Words(_) => {}
                Values::Names(_) => panic!("{}: free names must stand last", series.name),
            }
        }
    }
    assert!(!generators::prefix_free(&["good", "goodness"]));
    assert!(generators::prefix_free(&["good", "bad"]));
}

#[test]
fn a_decision_is_counted_once_under_its_deciding_rule() {
    let text = lived().text();
    let requests = |labels: &str| value(&text, &format!("signgate_requests_total{{{labels}}}"));
    assert_eq!(requests(r#"operation="connect",rule="none",verdict="allow""#), Some(2.0));
    assert_eq!(requests(r#"operation="sign-url",rule="datacentres",verdict="deny""#), Some(1.0));
    assert_eq!(requests(r#"operation="sign-url",rule="anonymous",verdict="throttle""#), Some(1.0));
    assert_eq!(requests(r#"operation="chat",rule="key-unknown",verdict="deny""#), Some(1.0));
    assert_eq!(requests(r#"operation="chat",rule="partners",verdict="deny""#), None, "it never refuses");
    assert_eq!(value(&text, r#"signgate_shadow_findings_total{rule="stricter"}"#), Some(1.0));
    let sum: f64 = text
        .lines()
        .filter(|line| line.starts_with("signgate_requests_total{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert!((sum - 5.0).abs() < f64::EPSILON);
}

#[test]
fn a_million_hostile_names_add_no_series() {
    let metrics = lived();
    let rules = RuleMetrics::resolve(&metrics, &shipped());
    let before = metrics.text().lines().count();
    for n in 0..1_000_000u32 {
        // Everything that a stranger can put into a decision or an answer, different each time.
        let identity = (n % 64 == 0).then(|| {
            let (account, key) = (format!("account-{n}"), format!("key-{n}"));
            (AccountId::new(&account).unwrap(), KeyId::new(&key).unwrap())
        });
        let label = if n % 64 == 0 { format!("label-{n}") } else { "l".into() };
        let mut decision = decision(Some(Refusal::new(quota(n as u16, &label))), None);
        decision.caller.identity = identity;
        let operation = Operation::ALL[n as usize % Operation::COUNT];
        rules.count(operation, &decision);
        metrics.answered(Some(operation), n as u16, Outcome::ALL[n as usize % Outcome::COUNT]);
    }
    // A rule index that the set lacks cannot come from a decision of that set; it shows as the word `quota`, once.
    let added = metrics.text().lines().count() - before;
    assert!(added <= Operation::COUNT, "{added}");
}

#[test]
fn rules_of_a_former_set_disappear_and_shared_ones_keep_their_numbers() {
    let metrics = lived();
    let next = policy(vec![rule("anonymous", Mode::Enforce, RuleKind::Quota { counters: 0..1 })]);
    let rules = RuleMetrics::resolve(&metrics, &next);
    metrics.policy_in_force(&next, 2);
    rules.count(Operation::SignUrl, &decision(Some(Refusal::new(quota(0, "l"))), None));
    let text = metrics.text();
    assert!(!text.contains("datacentres") && !text.contains("stricter"), "{text}");
    let kept = r#"signgate_requests_total{operation="sign-url",rule="anonymous",verdict="throttle"}"#;
    assert_eq!(value(&text, kept), Some(2.0));
    assert_eq!(text.matches("signgate_policy_info{").count(), 1);
}

#[test]
fn feeds_that_are_gone_disappear() {
    let metrics = lived();
    let text = metrics.text();
    assert_eq!(value(&text, r#"signgate_feed_entries{rule="partners"}"#), Some(12_000.0));
    metrics.feeds(std::iter::empty());
    assert!(!metrics.text().contains("signgate_feed_"));
}

#[test]
fn in_flight_goes_back_however_a_request_ends() {
    let metrics = Metrics::new(Timestamp::EPOCH);
    let flight = metrics.enter();
    assert_eq!(value(&metrics.text(), "signgate_requests_in_flight"), Some(1.0));
    drop(flight);
    assert_eq!(value(&metrics.text(), "signgate_requests_in_flight"), Some(0.0));
}
