use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::library::{Library, LibraryName, Version};
use crate::base::room::Room;
use crate::base::secret::{KeyHash, SessionHash};
use crate::engine::Ending;
use crate::engine::decision::Refusal;
use crate::policy::{Sources, compile};

const START: Timestamp = Timestamp::from_secs(1_800_000_000);

fn policy(rules: &str) -> PolicySet {
    let mut text =
        String::from("format = 1\n[tier.anonymous]\nclass = \"none\"\n[tier.community]\nclass = \"free\"\n");
    for (n, more) in
        ["", "disabled = true", "expires = 2020-01-01T00:00:00Z", "rooms = [\"1\"]"].iter().enumerate()
    {
        let hash = KeyHash::of(format!("key {n}").as_bytes());
        writeln!(text, "[[account]]\nid = \"a{n}\"\ntier = \"community\"").unwrap();
        writeln!(text, "[[key]]\nid = \"k_{n}\"\naccount = \"a{n}\"\nhash = \"{hash}\"\n{more}").unwrap();
    }
    text.push_str("[[target]]\nhosts = [\"webcast.tiktok.com\"]\npaths = [\"/webcast/*\"]\n");
    let mut sources = Sources::new("policies");
    sources.insert("10.toml", format!("{text}{rules}"));
    compile(&sources, START)
        .unwrap_or_else(|wrong| panic!("{}", crate::policy::diagnostic::render(&wrong)))
        .set
}

/// A few rules of every table that is there, tight enough that each is met.
fn rules() -> impl Strategy<Value = String> {
    let mode = prop::sample::select(vec!["enforce", "enforce", "shadow", "off"]);
    let more = prop::sample::select(vec![
        "",
        "tiers = [\"anonymous\"]",
        "tiers = [\"community\"]",
        "operations = [\"connect\"]",
        "operations = [\"sign-url\", \"chat\"]",
    ]);
    let scope = prop::sample::select(vec![
        "proxy",
        "subnet",
        "account",
        "key",
        "room",
        "library",
        "total",
        "proxy+room",
        "account+room",
    ]);
    let limit = (0u32..3, 0u32..4, 1u32..3, 0u8..4).prop_map(|(one, two, three, kind)| match kind {
        0 => ("quota", format!("limits = {{ minute = {one}, hour = {} }}", one + two)),
        1 => (
            "quota",
            format!(
                "limits = {{ second = 2, minute = 3, \"5m\" = {}, hour = 7, day = {} }}",
                3 + one,
                7 + two
            ),
        ),
        2 => ("rate", format!("rate = \"{three}/m\"\nburst = {three}")),
        _ => ("concurrency", format!("max = {three}")),
    });
    let counted = (mode.clone(), more, scope, limit).prop_map(|(mode, more, scope, (table, limit))| {
        format!("[[{table}]]\nname = \"NAME\"\nscope = \"{scope}\"\nmode = \"{mode}\"\n{more}\n{limit}\n")
    });
    let matcher = prop::sample::select(vec![
        "prefixes = [\"203.0.113.0/30\"]",
        "rooms = [\"2\", \"3\"]",
        "accounts = [\"a0\", \"a3\"]",
        "keys = [\"k_0\"]",
        "user-agents = [\"*bot*\"]",
        "libraries = [\"ttlive-python <7.0\"]",
        "prefixes = [\"203.0.113.1\"]\nrooms = [\"1\"]",
    ]);
    let ends = prop::sample::select(vec![
        "",
        "",
        "expires = 2020-01-01T00:00:00Z",
        "expires = 2099-01-01T00:00:00Z",
    ]);
    let kind = prop::sample::select(vec![
        ("blocklist", ""),
        ("blocklist", ""),
        ("allowlist", "exempt = [\"blocklist\"]"),
        ("allowlist", "exempt = [\"quota\", \"blocklist\"]"),
    ]);
    let list = (mode, matcher, ends, kind).prop_map(|(mode, matcher, ends, (table, exempt))| {
        format!("[[{table}]]\nname = \"NAME\"\nmode = \"{mode}\"\n{matcher}\n{ends}\n{exempt}\n")
    });
    let sessions =
        prop::sample::select(vec!["", "[sessions]\nmode = \"refuse\"\n", "[sessions]\nmode = \"strip\"\n"]);
    (prop::collection::vec(counted, 0..7), prop::collection::vec(list, 0..5), sessions).prop_map(
        |(counted, lists, sessions)| {
            let rules = counted.into_iter().chain(lists).enumerate();
            let rules: String = rules.map(|(n, rule)| rule.replace("NAME", &format!("r{n}"))).collect();
            rules + sessions
        },
    )
}

#[derive(Debug, Clone)]
struct Asked {
    operation: Operation,
    client: u8,
    key: u8,
    room: u64,
    target: u8,
    session: bool,
    user_agent: &'static str,
    library: bool,
    wait: u64,
    ending: u8,
}

fn asked() -> impl Strategy<Value = Asked> {
    let user_agent = prop::sample::select(vec!["", "a bot", "TikTokLive.py/6.6.5"]);
    (
        prop::sample::select(Operation::ALL.to_vec()),
        0u8..6,
        0u8..8,
        0u64..4,
        0u8..4,
        any::<bool>(),
        user_agent,
        any::<bool>(),
        0u64..40,
        0u8..3,
    )
        .prop_map(
            |(operation, client, key, room, target, session, user_agent, library, wait, ending)| Asked {
                operation,
                client,
                key,
                room,
                target,
                session,
                user_agent,
                library,
                wait,
                ending,
            },
        )
}

impl Asked {
    fn facts(&self) -> Facts<'static> {
        Facts {
            resolved: None,
            operation: self.operation,
            client: std::net::IpAddr::from([203, 0, 113, self.client]),
            credential: match self.key {
                0..=2 => Credential::Absent,
                3 => Credential::Unchecked(crate::base::time::Wait::of(Duration::from_secs(9))),
                n => Credential::Presented(KeyHash::of(format!("key {}", n - 4).as_bytes())),
            },
            room: (self.room > 0).then_some(Room::Id(self.room)),
            target: match self.target {
                0 => TargetClaim::InBody,
                1 => TargetClaim::Url { host: "webcast.tiktok.com", path: "/webcast/im/fetch/" },
                2 => TargetClaim::Url { host: "example.com", path: "/" },
                _ => TargetClaim::None,
            },
            session: self.session.then(|| SessionHash::of(&[0; 32], b"s")),
            user_agent: self.user_agent,
            library: if self.library {
                Library { name: LibraryName::Python, version: Version::parse("6.6.5") }
            } else {
                Library::UNKNOWN
            },
            device: None,
            asn: None,
        }
    }
}

/// What the checks alone say: all reasons of the lowest row that refuses, enforced rules alone or shadow ones too.
fn refused_by_checks(explained: &Explanation, with_shadow: bool) -> Vec<String> {
    let mut lowest: Option<u8> = None;
    let mut reasons = Vec::new();
    for check in &explained.checks {
        let found = match &check.outcome {
            Outcome::Refuses(found) => found,
            Outcome::WouldRefuse(found) if with_shadow => found,
            _ => continue,
        };
        assert!(!found.is_empty(), "a refusal without a reason");
        if lowest.is_none_or(|row| row >= check.row) {
            assert!(lowest.is_none_or(|row| row == check.row), "checks stand in the order of their rows");
            lowest = Some(check.row);
            reasons.extend(found.iter().map(|reason| format!("{reason:?}")));
        }
    }
    reasons.sort();
    reasons
}

fn sorted(refusal: Option<&Refusal>) -> Vec<String> {
    let mut reasons: Vec<_> =
        refusal.into_iter().flat_map(Refusal::reasons).map(|reason| format!("{reason:?}")).collect();
    reasons.sort();
    reasons
}

proptest! {
    /// Whatever the policy, the request and the counts so far: what is explained is what is decided, the checks add up to
    /// it, and explaining books nothing.
    #[test]
    fn what_is_explained_is_what_is_decided(rules in rules(), asked in prop::collection::vec(asked(), 1..40)) {
        let policy = policy(&rules);
        let engine = Engine::new(10_000, 1);
        let mut now = START;
        for asked in asked {
            now = now + Duration::from_secs(asked.wait);
            let facts = asked.facts();
            let before = engine.book().len();
            let explained = engine.explain(&policy, &facts, now);
            prop_assert_eq!(engine.book().len(), before);
            let assessment = engine.assess(&policy, &facts, now);
            let (decision, receipt) = engine.decide(&policy, assessment, now);
            prop_assert_eq!(&explained.decision.refusal, &decision.refusal);
            prop_assert_eq!(&explained.decision.shadow, &decision.shadow);
            prop_assert_eq!(refused_by_checks(&explained, false), sorted(decision.refusal.as_ref()));
            let with_shadow = decision.shadow.refusal().or(decision.refusal.as_ref());
            // An allowlist in shadow shows as what it would do; the checks below it stand as they are in force.
            let freed = |check: &Check| matches!(check.outcome, Outcome::DoesNotApply(Skip::AllowlistInShadow));
            if !explained.checks.iter().any(freed) {
                prop_assert_eq!(refused_by_checks(&explained, true), sorted(with_shadow));
            }
            // Neither form fails on anything.
            prop_assert!(explained.tree(&policy).to_string().lines().count() >= explained.checks.len());
            let json = explained.json(&policy);
            prop_assert_eq!(json["verdict"].as_str(), Some(decision.verdict().word()));
            if let Some(receipt) = receipt.filter(|_| asked.ending > 0) {
                let ending = if asked.ending == 1 { Ending::Charged } else { Ending::Refunded };
                engine.observe(&policy, &receipt, ending, now);
            }
        }
    }
}

#[test]
fn numbers_are_those_of_the_engine_that_is_asked() {
    let policy = policy("[[quota]]\nname = \"q\"\nscope = \"proxy\"\nlimits = { minute = 2, hour = 9 }\n");
    let engine = Engine::new(10_000, 1);
    let asked = Asked {
        operation: Operation::Connect,
        client: 9,
        key: 0,
        room: 1,
        target: 3,
        session: false,
        user_agent: "",
        library: false,
        wait: 0,
        ending: 1,
    };
    for used in 0..3u32 {
        let explained = engine.explain(&policy, &asked.facts(), START);
        let amounts = &explained.checks.last().unwrap().amounts;
        let used_of = |amount: &Amount| (amount.used, amount.max, amount.resets.is_some());
        assert_eq!(
            amounts.iter().map(used_of).collect::<Vec<_>>(),
            [(used, 2, used > 0), (used, 9, used > 0)]
        );
        let assessment = engine.assess(&policy, &asked.facts(), START);
        engine.decide(&policy, assessment, START);
        if used == 2 {
            insta::assert_snapshot!(explained.tree(&policy));
        }
    }
}

/// The gate of view-bot detection is no limit: what is beyond it passes as long as nothing else is found.
#[test]
fn viewers_in_excess_are_told_as_what_they_are() {
    let policy = policy("[viewbot]\nmode = \"enforce\"\n");
    let engine = Engine::new(10_000, 1);
    let asked = |client| Asked {
        operation: Operation::Connect,
        client,
        key: 0,
        room: 1,
        target: 3,
        session: false,
        user_agent: "",
        library: false,
        wait: 0,
        ending: 1,
    };
    for client in 0..97 {
        let facts = asked(client);
        let facts = facts.facts();
        let assessment = engine.assess(&policy, &facts, START);
        let (_, receipt) = engine.decide(&policy, assessment, START);
        engine.observe(&policy, &receipt.unwrap(), Ending::Good(None), START);
    }
    let explained = engine.explain(&policy, &asked(200).facts(), START);
    insta::assert_snapshot!(explained.tree(&policy));
}
