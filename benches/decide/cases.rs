//! The decisions that are measured: what is asked, under which policy.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use signgate::base::library::Library;
use signgate::base::operation::Operation;
use signgate::base::room::Room;
use signgate::base::secret::KeyHash;
use signgate::base::time::Timestamp;
use signgate::engine::book::Receipt;
use signgate::engine::facts::{Credential, Facts, TargetClaim};
use signgate::engine::{Ending, Engine};
use signgate::policy::{PolicySet, Sources, compile};

/// When the first decision is made. Each further one comes a microsecond later: at one moment a burst would end.
const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// More records than any case makes: what happens at the cap is the spray's question (`tests/it/bounds.rs`).
const STRANGERS_MAX: usize = 8_000_000;

/// A policy file may have at most so many keys, by its bytes.
const KEYS_PER_FILE: u32 = 5_000;

const TIERS: &str = r#"
format = 1
[tier.anonymous]
class = "none"
[tier.business]
class = "paid"
[[account]]
id = "studio"
tier = "business"
[[target]]
hosts = ["webcast.tiktok.com"]
paths = ["/webcast/*"]
"#;

/// Three windows per address, one per room, and a rate.
const QUOTAS: &str = r#"
[[quota]]
name = "q"
scope = "proxy"
limits = { minute = 4000000000, hour = 4000000000, day = 4000000000 }
[[quota]]
name = "r"
scope = "room"
limits = { day = 4000000000 }
[[rate]]
name = "burst"
scope = "proxy"
rate = "1000000/s"
burst = 1000000
"#;

const SPENT: &str = r#"
[[quota]]
name = "q"
scope = "proxy"
limits = { minute = 0 }
"#;

const LISTED: &str = r#"
[[blocklist]]
name = "listed"
file = "feed.netset"
mode = "shadow"
"#;

const BLOCKED: &str = r#"
[[blocklist]]
name = "blocked"
prefixes = ["10.0.0.0/8"]
"#;

/// The least that a service counts: one quota per key and one per address.
const KEY_AND_ADDRESS: &str = r#"
[[quota]]
name = "key"
scope = "key"
limits = { day = 4000000000 }
[[quota]]
name = "address"
scope = "proxy"
limits = { minute = 4000000000 }
"#;

/// Each kind of rule, and each matcher of a list.
const EVERYTHING: &str = r#"
[[quota]]
name = "account"
scope = "account"
limits = { minute = 4000000000, hour = 4000000000, day = 4000000000 }
[[quota]]
name = "key-and-room"
scope = "key+room"
limits = { day = 4000000000 }
[[quota]]
name = "subnet"
scope = "subnet"
limits = { minute = 4000000000 }
[[quota]]
name = "asn"
scope = "asn"
limits = { minute = 4000000000 }
[[quota]]
name = "library"
scope = "library"
limits = { minute = 4000000000 }
[[quota]]
name = "room-day"
scope = "room"
limits = { day = 1 }
mode = "shadow"
[[distinct]]
name = "rooms-of-an-address"
count = "room"
scope = "proxy"
limits = { "30m" = 1000 }
[[concurrency]]
name = "in-flight"
scope = "account"
max = 100
[[blocklist]]
name = "words"
rooms = ["7300000000000000009", "@somebody"]
user-agents = ["evil*", "*scraper*"]
libraries = ["ttlive-java <1.0"]
asns = [64999]
[[blocklist]]
name = "who"
keys = ["other"]
accounts = ["elsewhere"]
[[allowlist]]
name = "partners"
accounts = ["elsewhere"]
exempt = ["quota"]
[[key]]
id = "other"
account = "elsewhere"
hash = "blake3:1111111111111111111111111111111111111111111111111111111111111111"
[[account]]
id = "elsewhere"
tier = "business"
[sessions]
mode = "pass"
[networks]
table = "networks.csv"
[viewbot]
mode = "shadow"
"#;

/// An engine, a policy, and how many callers take turns.
pub struct Case {
    engine: Engine,
    policy: PolicySet,
    keys: Vec<KeyHash>,
    addresses: u32,
    turn: u32,
    decided: u64,
}

/// Every case by its name.
pub const NAMES: [&str; 8] = [
    "admitted, warm",
    "admitted, a quota per key and per address",
    "refused by a quota",
    "refused by a list",
    "admitted beside 100,000 prefixes",
    "admitted, every kind of rule",
    "admitted, a million addresses in turn",
    "admitted, a million keys and addresses in turn",
];

impl Case {
    /// Makes the case of that name.
    pub fn named(name: &str) -> Self {
        match name {
            "admitted, warm" => Self::new(QUOTAS, 0, 1),
            "admitted, a quota per key and per address" => Self::key_and_address(1),
            "refused by a quota" => Self::new(SPENT, 0, 1),
            "refused by a list" => Self::new(&format!("{QUOTAS}{BLOCKED}"), 0, 1),
            "admitted beside 100,000 prefixes" => Self::new(&format!("{QUOTAS}{LISTED}"), 0, 1),
            "admitted, every kind of rule" => Self::new(&format!("{QUOTAS}{LISTED}{EVERYTHING}"), 1, 1),
            "admitted, a million addresses in turn" => Self::new(QUOTAS, 0, 1_000_000),
            "admitted, a million keys and addresses in turn" => Self::key_and_address(1_000_000),
            _ => panic!("there is no case `{name}`"),
        }
    }

    /// So many keys, each with an address, under a quota per key and one per address.
    pub fn key_and_address(count: u32) -> Self {
        Self::new(KEY_AND_ADDRESS, count, count)
    }

    fn new(rules: &str, keys: u32, addresses: u32) -> Self {
        let hashes: Vec<KeyHash> = (0..keys).map(|n| KeyHash::of(&n.to_le_bytes())).collect();
        let mut sources = Sources::new("");
        sources.insert("10.toml", format!("{TIERS}{rules}"));
        sources.insert("feed.netset", prefixes());
        sources.insert("networks.csv", "10.0.0.0/8,64500,hosting\n192.0.2.0/24,64501,isp\n");
        for (file, chunk) in hashes.chunks(KEYS_PER_FILE as usize).enumerate() {
            let mut text = String::from("format = 1\n");
            for (place, hash) in chunk.iter().enumerate() {
                let _ = write!(
                    text,
                    "[[key]]\nid = \"k{file}-{place}\"\naccount = \"studio\"\nhash = \"{hash}\"\n"
                );
            }
            sources.insert(format!("20-{file:04}.toml"), text);
        }
        let policy = compile(&sources, START).unwrap_or_else(|diagnostics| panic!("{diagnostics:?}")).set;
        Self { engine: Engine::new(STRANGERS_MAX, 1), policy, keys: hashes, addresses, turn: 0, decided: 0 }
    }

    /// How many callers take turns.
    pub fn callers(&self) -> u32 {
        self.addresses
    }

    /// What the next caller asks for. Neighbours in turn are no neighbours in memory.
    pub fn next(&mut self) -> Facts<'static> {
        self.turn = if self.turn + 1 < self.addresses { self.turn + 1 } else { 0 };
        let caller = (u64::from(self.turn) * 2_654_435_761 % u64::from(self.addresses)) as u32;
        let client = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | caller));
        Facts {
            operation: Operation::Connect,
            client,
            credential: match self.keys.get(caller as usize) {
                Some(hash) => Credential::Presented(*hash),
                None => Credential::Absent,
            },
            room: Some(Room::Id(7_300_000_000_000_000_001)),
            resolved: None,
            target: TargetClaim::None,
            session: None,
            user_agent: "TikTokLive.py/7.0.1",
            library: Library::UNKNOWN,
            device: None,
            asn: None,
        }
    }

    /// One whole decision, with the look-up of the network before it. Tells whether it admitted.
    pub fn decide(&mut self, mut facts: Facts<'_>) -> bool {
        self.decided += 1;
        let now = START + Duration::from_micros(self.decided);
        facts.asn = self.policy.networks().lookup(facts.client).map(|network| network.asn);
        let mut assessment = self.engine.assess_ahead(&self.policy, &facts, now);
        let mut receipt = Receipt::default();
        let charge = self.engine.charge(&self.policy, &mut assessment, &mut receipt, now);
        let decision = self.engine.conclude(&self.policy, &mut assessment, charge, &mut receipt, now);
        let admitted = decision.refusal.is_none();
        if admitted {
            self.engine.observe(&self.policy, &receipt, Ending::Charged, now);
        }
        admitted
    }

    /// Every caller once, so that all records stand.
    pub fn warm(&mut self) {
        for _ in 0..self.addresses {
            let facts = self.next();
            self.decide(facts);
        }
    }
}

/// A hundred thousand networks, none of them with an address of the cases.
fn prefixes() -> String {
    let prefixes: BTreeSet<u32> = (0..100_000u32)
        .map(|n| n.wrapping_mul(40_503) << 8 | 1 << 24)
        .filter(|bits| bits >> 24 != 10)
        .collect();
    let lines: Vec<String> =
        prefixes.iter().map(|bits| format!("{}/24", Ipv4Addr::from_bits(*bits))).collect();
    lines.join("\n")
}
