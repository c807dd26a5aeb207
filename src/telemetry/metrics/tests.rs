use std::collections::BTreeSet;
use std::sync::Arc;

use super::series::{Bounds, Kind, SERIES, Unit, Values};
use super::*;
use crate::base::id::{RuleName, TierName};
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
    let engine = crate::engine::Engine::new(10, 1);
    metrics.read_viewbot(move || {
        let settings = crate::policy::viewbot::ViewbotSettings::default();
        Some(ViewbotNumbers::read(&engine, &settings, Timestamp::from_secs(1)))
    });
    let written = Some(Timestamp::from_secs(1_794_999_000));
    metrics.feeds([FeedNumbers { rule: "partners", entries: 12_000, written }].into_iter());
    let generator = metrics.generator("main", 64, REASONS);
    generator.answered(1, Duration::from_millis(30));
    generator.answer_bytes(Operation::Connect, Some(43_000));
    generator.answer_bytes(Operation::SignUrl, None);
    metrics.generators_working(Operation::Connect, Some(2));
    metrics.generators_working(Operation::Chat, None);
    metrics.canary_share("main-2", 0.05);
    metrics.canary_rolled_back("main-2", "latency");
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
    metrics.good_answer(Duration::from_millis(40));
    metrics.queued(Duration::from_millis(2));
    metrics.refunded(Operation::Connect);
    metrics.counted(12, 10, 400_000);
    metrics.workers(2);
    metrics.worker_lagged(Duration::from_micros(1_500));
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
    let shown = |line: &&str| {
        line.starts_with('#')
            || !(line.ends_with(" 0") || line.contains("_bucket{") || line.starts_with("signgate_process_"))
    };
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
        assert_eq!(name.ends_with("_ratio"), series.unit == Unit::Ratio, "{name}");
        assert!(series.help.ends_with('.') && series.help.len() > 15, "{name}");
        if let Kind::Histogram(buckets) = series.kind {
            assert!(buckets.is_sorted() && series.unit == Unit::Seconds, "{name}");
        }
    }
}

/// The fault in the library that the table is made around: once it is mended, names may stand where they like.
#[test]
fn the_library_takes_two_series_for_one_where_labels_join_to_the_same_text() {
    let family = IntCounterVec::new(prometheus::Opts::new("x", "x"), &["one", "other"]).unwrap();
    family.with_label_values(&["ab", "c"]).inc();
    family.with_label_values(&["a", "bc"]).inc();
    assert_eq!(family.with_label_values(&["ab", "c"]).get(), 2, "mended: see `series`");
}

#[test]
fn no_two_series_can_become_one() {
    for series in SERIES {
        let Some((_, before_last)) = series.labels.split_last() else { continue };
        for label in before_last {
            match label.values {
                Values::Closed(words) => assert!(generators::prefix_free(words), "{}", series.name),
                // Checked where the words are handed in.
                Values::Words(..) => {}
                Values::Names(_) => panic!("{}: free names must stand last", series.name),
            }
        }
    }
    assert!(!generators::prefix_free(&["good", "goodness"]));
    assert!(generators::prefix_free(&["good", "bad"]));
}

/// The same from outside: names that an operator can choose so that they join with the words before them to the same text.
#[test]
fn rules_that_are_named_after_the_words_of_other_labels_are_counted_apart() {
    let words: Vec<String> = SERIES
        .iter()
        .flat_map(|series| series.labels)
        .filter_map(|label| match label.values {
            Values::Closed(words) => Some(words),
            _ => None,
        })
        .flatten()
        .flat_map(|word| {
            [(*word).to_owned(), format!("{word}{word}"), format!("x{word}"), word[1..].to_owned()]
        })
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter(|name| crate::base::id::is_name(name))
        .collect();
    let metrics = Metrics::new(Timestamp::EPOCH);
    let policy = policy(
        words.iter().map(|name| rule(name, Mode::Enforce, RuleKind::Quota { counters: 0..0 })).collect(),
    );
    let rules = RuleMetrics::resolve(&metrics, &policy);
    metrics.policy_in_force(&policy, 1);
    for (place, operation) in (0..words.len()).zip(Operation::ALL.into_iter().cycle()) {
        let refused = decision(Some(Refusal::new(quota(place as u16, "l"))), None);
        (0..=place).for_each(|_| rules.count(operation, &refused));
    }
    let text = metrics.text();
    for (place, (name, operation)) in words.iter().zip(Operation::ALL.into_iter().cycle()).enumerate() {
        let operation = operation.word();
        let series =
            format!(r#"signgate_requests_total{{operation="{operation}",rule="{name}",verdict="throttle"}}"#);
        assert_eq!(value(&text, &series), Some(place as f64 + 1.0), "{name}");
        assert_eq!(
            value(&text, &format!(r#"signgate_wait_told_seconds_count{{rule="{name}"}}"#)),
            Some(place as f64 + 1.0)
        );
    }
    assert!(words.len() > 100, "{}", words.len());
}

fn lines(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with('#')).count()
}

#[test]
fn there_are_no_more_series_than_the_bound_says() {
    for rules in [0, 10, 1_000] {
        let kinds = [
            RuleKind::Blocklist { reason: None, expires: None },
            RuleKind::Allowlist { exempt: <_>::default(), expires: None },
            RuleKind::Quota { counters: 0..0 },
            RuleKind::Rate { counters: 0..0 },
        ];
        let modes = [Mode::Enforce, Mode::Shadow, Mode::Off];
        let all = (0..rules).map(|n| rule(&format!("r{n}"), modes[n % 3], kinds[n % 4].clone()));
        let (metrics, policy) = (lived(), policy(all.collect()));
        let live = RuleMetrics::resolve(&metrics, &policy);
        metrics.policy_in_force(&policy, 2);
        for operation in Operation::ALL {
            for outcome in Outcome::ALL {
                STATUSES
                    .iter()
                    .chain(&[999])
                    .for_each(|status| metrics.answered(Some(operation), *status, outcome));
            }
            (0..rules).for_each(|n| {
                live.count(operation, &decision(Some(Refusal::new(quota(n as u16, "l"))), None));
            });
        }
        let bounds = Bounds { rules, feeds: 1, tiers: 1, generators: 1 };
        let (there, most) = (lines(&metrics.text()), bounds.series_max());
        assert!(there <= most, "{there} of {most}");
        // Else it would say nothing.
        assert!(most < 1_200 + rules * 60, "{most}");
    }
    let words = rules::words_without_rule().count();
    assert!(words <= bounds::WORDS_WITHOUT_RULE_MAX, "{words}");
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
    let waits = r#"signgate_wait_told_seconds_sum{rule="anonymous"}"#;
    assert_eq!(value(&text, waits), Some(60.0));
    let shadow = r#"signgate_shadow_decisions_total{operation="connect",verdict="throttle"}"#;
    assert_eq!(value(&text, shadow), Some(1.0));
    let tier = |labels: &str| value(&text, &format!("signgate_tier_requests_total{{{labels}}}"));
    assert_eq!(tier(r#"operation="connect",tier="anonymous",verdict="allow""#), Some(2.0));
    assert_eq!(tier(r#"operation="sign-url",tier="anonymous",verdict="throttle""#), Some(1.0));
    let info = r#"signgate_rule_info{kind="quota",mode="shadow",rule="stricter"}"#;
    assert_eq!(value(&text, info), Some(1.0));
    let sum: f64 = text
        .lines()
        .filter(|line| line.starts_with("signgate_requests_total{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert!((sum - 5.0).abs() < f64::EPSILON);
}

/// Every word that a stranger can choose, a million times another one, through the whole engine and into every number.
#[test]
fn a_million_hostile_names_add_no_series() {
    use crate::base::library::Library;
    use crate::base::secret::KeyHash;
    use crate::engine::facts::{Credential, Facts, TargetClaim};
    use crate::engine::{Ending, Engine};

    let text = "format = 1\n[tier.anonymous]\nclass = \"none\"\n[tier.free]\nclass = \"free\"\n\
                [[quota]]\nname = \"few\"\nscope = \"proxy\"\nlimits = { minute = 2 }\n\
                [[quota]]\nname = \"rooms\"\nscope = \"room\"\nlimits = { day = 1 }\nmode = \"shadow\"\n\
                [[blocklist]]\nname = \"agents\"\nuser-agents = [\"*7*\"]\n\
                [[target]]\nhosts = [\"webcast.tiktok.com\"]\npaths = [\"/webcast/*\"]\n";
    let mut sources = crate::policy::Sources::new("policies");
    sources.insert("10.toml", text);
    let policy = crate::policy::compile(&sources, Timestamp::EPOCH).unwrap().set;
    let metrics = lived();
    let rules = RuleMetrics::resolve(&metrics, &policy);
    metrics.policy_in_force(&policy, 2);
    let engine = Engine::new(50_000, 7);
    let mut now = Timestamp::from_secs(1_795_000_000);
    let mut before = None;
    let mut verdicts = BTreeSet::new();
    for n in 0..1_000_000u32 {
        now = now + Duration::from_millis(1);
        let (word, operation) = (format!("a{n}\"\n{{"), Operation::ALL[n as usize % Operation::COUNT]);
        let key = Credential::Presented(KeyHash::of(word.as_bytes()));
        let facts = Facts {
            client: std::net::Ipv4Addr::from_bits(n.wrapping_mul(2_654_435_761)).into(),
            asn: Some(n),
            credential: if n % 3 == 0 { key } else { Credential::Absent },
            operation,
            room: Some(crate::base::room::Room::Id(u64::from(n) + 1)),
            resolved: None,
            user_agent: &word,
            target: if n % 2 == 0 {
                TargetClaim::None
            } else {
                TargetClaim::Url { host: "evil.example", path: &word }
            },
            session: None,
            library: Library::UNKNOWN,
            device: Some(&word),
        };
        let assessment = engine.assess(&policy, &facts, now);
        let (decision, receipt) = engine.decide(&policy, assessment, now);
        rules.count(operation, &decision);
        verdicts.insert(decision.verdict());
        if let Some(receipt) = receipt {
            engine.observe(&policy, &receipt, Ending::Refunded, now);
        }
        metrics.answered(Some(operation), n as u16, Outcome::ALL[n as usize % Outcome::COUNT]);
        if n == 1_000 {
            before = Some(lines(&metrics.text()));
        }
    }
    assert_eq!(Some(lines(&metrics.text())), before);
    assert!(verdicts.len() >= 2, "{verdicts:?}");
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
