//! What view-bot detection costs: calm rooms, a million of them, and those who would make it expensive.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use signgate::base::library::Library;
use signgate::base::operation::Operation;
use signgate::base::room::Room;
use signgate::base::time::Timestamp;
use signgate::engine::book::Receipt;
use signgate::engine::facts::{Credential, Facts, TargetClaim};
use signgate::engine::{Ending, Engine};
use signgate::policy::{PolicySet, Sources, compile};

const START: Timestamp = Timestamp::from_secs(1_800_000_000);

const STRANGERS_MAX: usize = 400_000;

/// What `[viewbot]` says is put in for `MODE`; a rate stands for the quotas that everybody has.
const POLICY: &str = r#"
format = 1
[tier.anonymous]
class = "none"
[[rate]]
name = "total"
scope = "total"
rate = "1000000/s"
burst = 1000000
[networks]
table = "networks.csv"
[viewbot]
mode = "MODE"
known-age = "8m"
"#;

/// Who asks, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowd {
    /// So many viewers, each in a room of its own, in turn.
    Calm {
        /// How many.
        rooms: u32,
        /// Whether detection is on.
        is_on: bool,
    },
    /// Strangers alone, in a million rooms: what teaches the model of ordinary crowds most.
    Strangers,
    /// Strangers alone, in a hundred rooms: all of them alarmed.
    Alarmed,
    /// One address, and another room each time.
    Rooms,
    /// One room, and another address each time.
    Addresses,
    /// One address, and another user agent each time, in a thousand rooms.
    Agents,
    /// One address, and another device each time, in a thousand rooms.
    Devices,
}

/// Every crowd by its name.
pub const NAMES: [(&str, Crowd); 9] = [
    ("detection off, 4,096 viewers in turn", Crowd::Calm { rooms: 4_096, is_on: false }),
    ("detection on, 4,096 viewers in turn", Crowd::Calm { rooms: 4_096, is_on: true }),
    ("detection on, a million rooms in turn", Crowd::Calm { rooms: 1_000_000, is_on: true }),
    ("a flood of strangers in a million rooms", Crowd::Strangers),
    ("a flood of strangers in a hundred alarmed rooms", Crowd::Alarmed),
    ("a spray of rooms", Crowd::Rooms),
    ("a spray of addresses", Crowd::Addresses),
    ("a spray of user agents", Crowd::Agents),
    ("a spray of devices", Crowd::Devices),
];

const AGENTS: [&str; 5] = [
    "TikTokLive.py/7.0.1",
    "tiktok-live-connector/2.5.0 linux",
    "TikTokLive.py/6.6.5",
    "Java",
    "go-overlay/1",
];

/// An engine that a crowd asks.
pub struct Asked {
    engine: Engine,
    policy: PolicySet,
    crowd: Crowd,
    turn: u64,
    text: String,
}

/// How long one request took the engine.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// Until it was decided: what the client waits for.
    pub decision: Duration,
    /// With what is taken in when its answer is there.
    pub with_ending: Duration,
}

/// SplitMix64: neighbours in turn are no neighbours in memory.
fn scattered(n: u64) -> u64 {
    let x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

impl Asked {
    /// By a crowd.
    pub fn by(crowd: Crowd) -> Self {
        let is_on = crowd != Crowd::Calm { rooms: 4_096, is_on: false };
        let mut sources = Sources::new("");
        sources.insert("p.toml", POLICY.replace("MODE", if is_on { "enforce" } else { "off" }));
        let mut networks = String::new();
        for n in 0..256u32 {
            let kind = ["isp", "isp", "mobile", "hosting"][n as usize % 4];
            let _ = writeln!(networks, "{n}.0.0.0/8,{},{kind}", 64_500 + n);
        }
        sources.insert("networks.csv", networks);
        let policy = compile(&sources, START).unwrap_or_else(|wrong| panic!("{wrong:?}")).set;
        Self { engine: Engine::new(STRANGERS_MAX, 1), policy, crowd, turn: 0, text: String::new() }
    }

    /// How many ask before it is measured: until tables are full, or everybody has been here.
    pub fn warm(&mut self) {
        let count = match self.crowd {
            Crowd::Calm { rooms, .. } => 2 * u64::from(rooms),
            _ => 1_200_000,
        };
        for _ in 0..count {
            self.ask();
        }
    }

    /// One decision of the next in turn, and what is taken in when its answer is there; a look at the clock is in each time.
    #[expect(clippy::disallowed_methods, reason = "single decisions are timed here, and nothing hangs on it")]
    pub fn ask(&mut self) -> Took {
        self.turn += 1;
        let turn = self.turn;
        let (who, room, micros) = match self.crowd {
            // Each viewer comes again after more than 25 seconds: more often is a loop.
            Crowd::Calm { rooms, .. } => {
                let n = scattered(turn % u64::from(rooms)) % u64::from(rooms);
                (n, n, 30_000_000 / u64::from(rooms) + 1)
            }
            Crowd::Strangers => (turn, scattered(turn) % 1_000_000, 10),
            Crowd::Alarmed => (turn, turn % 100, 10),
            Crowd::Rooms => (0, turn, 10),
            Crowd::Addresses => (turn, 0, 10),
            Crowd::Agents | Crowd::Devices => (0, turn % 1_000, 10),
        };
        if matches!(self.crowd, Crowd::Agents | Crowd::Devices) {
            self.text.clear();
            let _ = write!(self.text, "made-up/{turn}");
        }
        let agent = AGENTS[(scattered(who) >> 40) as usize % AGENTS.len()];
        let client = IpAddr::V4(Ipv4Addr::from_bits(scattered(who) as u32));
        let facts = Facts {
            operation: Operation::Connect,
            client,
            credential: Credential::Absent,
            room: Some(Room::Id(7_300_000_000_000_000_000 + room)),
            resolved: None,
            target: TargetClaim::None,
            session: None,
            user_agent: if self.crowd == Crowd::Agents { &self.text } else { agent },
            library: Library::UNKNOWN,
            device: (self.crowd == Crowd::Devices).then_some(self.text.as_str()),
            asn: self.policy.networks().lookup(client).map(|network| network.asn),
        };
        let now = START + Duration::from_micros(turn * micros);
        let begun = Instant::now();
        let mut assessment = self.engine.assess_ahead(&self.policy, &facts, now);
        let mut receipt = Receipt::default();
        let charge = self.engine.charge(&self.policy, &mut assessment, &mut receipt, now);
        let decision = self.engine.conclude(&self.policy, &mut assessment, charge, &mut receipt, now);
        let decided = begun.elapsed();
        if decision.refusal.is_none() {
            self.engine.observe(&self.policy, &receipt, Ending::Good(None), now);
        }
        Took { decision: decided, with_ending: begun.elapsed() }
    }
}
