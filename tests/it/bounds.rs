//! A spray of strangers: memory stays bounded, no bystander is refused, nothing spent is refilled.
//!
//! `SIGNGATE_LONG=1` sprays ten million with the cap that is served with; without it, fewer against a small cap.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use signgate::base::library::Library;
use signgate::base::operation::Operation;
use signgate::base::room::Room;
use signgate::base::secret::KeyHash;
use signgate::base::time::Timestamp;
use signgate::control::shipped;
use signgate::engine::book::STRANGERS_MAX_DEFAULT;
use signgate::engine::decision::{Decision, Verdict};
use signgate::engine::facts::{Credential, Facts, TargetClaim};
use signgate::engine::{Ending, Engine};
use signgate::policy::{PolicySet, compile};

const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A spray may make the counts of quotas take so much more than those of an idle gateway.
const COUNTS_MAX: u64 = 64 << 20;

/// And what view-bot detection remembers, where it is on, so much: less than with all of its tables full (`engine/viewbot`).
const DETECTION_MAX: u64 = 350_000_000;

/// Beside the shipped policies: a room quota in force, a distinct one where those are known, and two customers.
fn policy(detects: bool) -> PolicySet {
    let mut sources = shipped::sources();
    if !detects {
        let lists = String::from_utf8(sources.bytes("30-lists.toml").unwrap().to_vec()).unwrap();
        let (lists, detection) = lists.split_once("[viewbot]").unwrap();
        let off = detection.replacen(r#"mode = "shadow""#, r#"mode = "off""#, 1);
        assert_ne!(detection, off);
        sources.insert("30-lists.toml", format!("{lists}[viewbot]{off}"));
    }
    let key = |secret: &str| KeyHash::of(secret.as_bytes());
    sources.insert(
        "90-test.toml",
        format!(
            "[[account]]\nid = \"creator\"\ntier = \"community\"\n[[account]]\nid = \"studio\"\ntier = \"enterprise\"\n\
             [[key]]\nid = \"k_creator\"\naccount = \"creator\"\nhash = \"{}\"\n\
             [[key]]\nid = \"k_studio\"\naccount = \"studio\"\nhash = \"{}\"\n\
             [[quota]]\nname = \"room-hard\"\nscope = \"room\"\nlimits = {{ hour = 50 }}\n\
             [[quota]]\nname = \"room-of-a-proxy\"\nscope = \"proxy+room\"\nlimits = {{ hour = 20 }}\n",
            key("creator"),
            key("studio")
        ),
    );
    compile(&sources, START).unwrap_or_else(|wrong| panic!("{wrong:?}")).set
}

/// SplitMix64: a spray has to be the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }
}

fn ask(client: IpAddr, room: u64, credential: Credential<'static>) -> Facts<'static> {
    Facts {
        resolved: None,
        operation: Operation::Connect,
        client,
        credential,
        room: Some(Room::Id(room)),
        target: TargetClaim::None,
        session: None,
        user_agent: "",
        library: Library::UNKNOWN,
        device: None,
        asn: None,
    }
}

fn decide(engine: &Engine, policy: &PolicySet, facts: &Facts<'_>, now: Timestamp) -> Decision {
    let assessment = engine.assess(policy, facts, now);
    let (decision, receipt) = engine.decide(policy, assessment, now);
    if let Some(receipt) = receipt {
        engine.observe(policy, &receipt, Ending::Charged, now);
    }
    decision
}

fn key(secret: &str) -> Credential<'static> {
    Credential::Presented(KeyHash::of(secret.as_bytes()))
}

/// 10.0.0.0/8 and 2001:db8::/32 stay out of it.
fn stranger(kind: u64, random: &mut Random) -> IpAddr {
    let bits = random.next();
    let v6 = |bits: u128| IpAddr::V6(Ipv6Addr::from_bits(bits));
    match kind {
        0 => match Ipv4Addr::from_bits(bits as u32) {
            private if private.octets()[0] == 10 => IpAddr::V4(Ipv4Addr::new(11, 0, 0, 1)),
            public => IpAddr::V4(public),
        },
        // One /24, one /48 full of /64s, one /32 full of /48s, and /32s everywhere.
        1 => IpAddr::V4(Ipv4Addr::from_bits(0xc633_6400 | bits as u32 & 0xff)),
        2 => v6(0x2a00_0001_0001 << 80 | u128::from(bits & 0xffff) << 64),
        3 => v6(0x2a00_0002 << 96 | u128::from(bits) << 32),
        _ => v6(0x3 << 124 | u128::from(bits) << 60),
    }
}

struct Spray {
    strangers: u64,
    cap: usize,
    /// Whether view-bot detection is on, as it is shipped.
    detects: bool,
    /// How long it takes: in no time nothing ends, and all of it is live at once.
    takes: Duration,
}

impl Spray {
    fn run(&self) {
        let policy = policy(self.detects);
        let engine = Engine::new(self.cap, 7);
        let mut random = Random(1);
        let anonymous =
            |client: u32, room| ask(IpAddr::V4(Ipv4Addr::from_bits(client)), room, Credential::Absent);
        // Spent before it begins: addresses, of a /24 that is not sprayed, and rooms.
        let spent: Vec<Facts<'_>> =
            (0..64).map(|n| anonymous(0x0a01_0000 | n << 8 | 7, 1_000 + u64::from(n))).collect();
        for facts in &spent {
            (0..5).for_each(|_| assert_eq!(decide(&engine, &policy, facts, START).verdict(), Verdict::Allow));
            assert_eq!(decide(&engine, &policy, facts, START).verdict(), Verdict::Throttle);
        }
        let studio = |room| ask("192.0.2.1".parse().unwrap(), room, key("studio"));
        let spend_room = |room: u64, count: u32| {
            (0..count).for_each(|n| {
                let client = IpAddr::V4(Ipv4Addr::from_bits(0x0a02_0000 | n << 8));
                let facts = Facts { client, ..studio(room) };
                let decision = decide(&engine, &policy, &facts, START);
                assert_eq!(decision.verdict(), Verdict::Allow, "{decision:?}");
            });
        };
        (1..=8).for_each(|room| spend_room(room, 50));
        let creator = ask("192.0.2.2".parse().unwrap(), 20, key("creator"));
        (0..7).for_each(|_| assert_eq!(decide(&engine, &policy, &creator, START).verdict(), Verdict::Allow));
        let before = engine.standings(&policy, &creator, START);

        let mut admitted = 0u64;
        let took = allocation_counter::measure(|| {
            for n in 0..self.strangers {
                let now = START + self.takes.mul_f64(n as f64 / self.strangers as f64);
                let client = stranger(n % 5, &mut random);
                let user_agent = format!("bot/{n}");
                // A room that nobody asked for before, so that nothing but the address can be why it is refused.
                let room = 1_000_000 + (random.next() >> 1);
                let mut facts = Facts { user_agent: &user_agent, ..ask(client, room, Credential::Absent) };
                if n % 11 == 10 {
                    facts.credential = Credential::Presented(KeyHash::of(&n.to_le_bytes()));
                }
                admitted += u64::from(decide(&engine, &policy, &facts, now).verdict() == Verdict::Allow);
            }
        });
        let now = START + self.takes;
        let most = COUNTS_MAX + if self.detects { DETECTION_MAX } else { 0 };
        assert!(took.bytes_max < most, "{} bytes were needed", took.bytes_max);
        assert!(engine.book().len() <= self.cap, "{} records", engine.book().len());
        assert!(admitted > self.strangers / 4, "{admitted} were admitted: it was no spray");

        // What was spent is spent, where its window has not ended.
        if self.takes < Duration::from_secs(60) {
            for facts in &spent {
                assert_eq!(
                    decide(&engine, &policy, facts, now).verdict(),
                    Verdict::Throttle,
                    "{} was refilled",
                    facts.client
                );
            }
        }
        for room in 1..=8 {
            let facts = Facts { client: "10.3.0.1".parse().unwrap(), ..studio(room) };
            let refusal = decide(&engine, &policy, &facts, now).refusal.expect("a spent room was refilled");
            assert_eq!(refusal.first().rule_name(&policy), "room-hard");
        }
        // Customers do not notice.
        let after = engine.standings(&policy, &creator, now);
        let remaining = |standings: &[signgate::engine::decision::Standing]| {
            standings
                .iter()
                .filter(|standing| standing.limit(&policy).unwrap().label.contains("account"))
                .map(|standing| standing.remaining)
                .collect::<Vec<_>>()
        };
        assert_eq!(remaining(&before), remaining(&after));
        assert!(!remaining(&after).is_empty());
        assert_eq!(decide(&engine, &policy, &creator, now).verdict(), Verdict::Allow);
        // Nobody else is refused: addresses of networks that were not sprayed, and rooms that nobody sprayed.
        for n in 0..500u32 {
            let v4 = anonymous(0x0a00_0000 | (n % 250 + 4) << 16 | n, 500_000 + u64::from(n));
            let bits = u128::from(0x2001_0000 | n) << 96;
            let v6 = ask(IpAddr::V6(Ipv6Addr::from_bits(bits)), 700_000 + u64::from(n), Credential::Absent);
            for facts in [v4, v6, v4, v6] {
                let decision = decide(&engine, &policy, &facts, now);
                assert_eq!(decision.verdict(), Verdict::Allow, "bystander {n}: {:?}", decision.refusal);
            }
        }
        println!(
            "{} strangers, {admitted} admitted: {} records, at most {} KiB",
            self.strangers,
            engine.book().len(),
            took.bytes_max >> 10
        );
    }
}

fn is_long() -> bool {
    std::env::var_os("SIGNGATE_LONG").is_some_and(|long| long == "1")
}

fn spray(takes: Duration, detects: bool) {
    let (strangers, cap) = if is_long() { (10_000_000, STRANGERS_MAX_DEFAULT) } else { (120_000, 49_152) };
    Spray { strangers, cap, detects, takes }.run();
}

#[test]
fn a_spray_at_once_refuses_no_bystander_and_refills_nothing() {
    spray(Duration::ZERO, false);
}

#[test]
fn a_spray_at_once_is_borne_by_view_bot_detection_too() {
    spray(Duration::ZERO, true);
}

#[test]
fn a_spray_of_half_an_hour_refuses_no_bystander_and_refills_nothing() {
    spray(Duration::from_secs(1_800), true);
}
