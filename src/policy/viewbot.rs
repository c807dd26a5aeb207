//! The settings of view-bot detection, as the operator writes them in `[viewbot]`.
//!
//! Plain data with the defaults that were measured; what the words mean stands in the reference (`policies/REFERENCE.md`).

use std::time::Duration;

use crate::base::rate::Rate;

/// All of them. Without a `[viewbot]` the mode is off.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewbotSettings {
    /// How far it may go.
    pub mode: ViewbotMode,
    /// So many viewers too many in one room before anything is stopped, at least 1.
    pub min_excess: u32,
    /// Who signed for another room so long ago is known.
    pub known_age: Duration,
    /// When a room is looked at.
    pub gate: Gate,
    /// What counts.
    pub evidence: Evidence,
    /// What a crowd of strangers gets.
    pub strangers: Strangers,
    /// What is done.
    pub ladder: Ladder,
}

/// How far it may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ViewbotMode {
    /// It is not looked at.
    #[default]
    Off,
    /// Decides and records; does not act.
    Shadow,
    /// Throttles, and denies nobody.
    Throttle,
    /// All of the ladder.
    Enforce,
}

impl ViewbotMode {
    /// All of them, each with its word in policies.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("off", Self::Off),
        ("shadow", Self::Shadow),
        ("throttle", Self::Throttle),
        ("enforce", Self::Enforce),
    ];

    /// The word in policies.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Shadow => "shadow",
            Self::Throttle => "throttle",
            Self::Enforce => "enforce",
        }
    }
}

/// When a room is looked at: a cumulated sum of new viewers above what is usual.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// The sum that alarms, at least 1.
    pub burst: u32,
    /// New viewers at this rate are never too many.
    pub floor: Rate,
    /// Nor at so many times the room's own baseline; at least 1.
    pub factor: f64,
    /// Over how long the baseline is formed, and how long an alarm has to last to become usual.
    pub baseline: Duration,
}

/// The most that each kind of evidence can weigh, in bits; 0 switches one off.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Room x profile, against an ordinary crowd.
    pub profile: f64,
    /// Room x network.
    pub network: f64,
    /// Room x address.
    pub identity_churn: f64,
    /// Room x key.
    pub key_fan_in: f64,
    /// Room x free key.
    pub shared_free_key: f64,
    /// The same move between rooms, once and twice.
    pub pool_chain: [f64; 2],
    /// From other rooms.
    pub carried: f64,
    /// Against it, at most 0.
    pub known_viewer: f64,
}

impl Evidence {
    /// What all of it can come to.
    pub fn most(&self) -> f64 {
        self.profile
            + self.network
            + self.identity_churn
            + self.key_fan_in
            + self.shared_free_key
            + self.pool_chain[1]
            + self.carried
    }
}

/// What a crowd of strangers gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Strangers {
    /// Below this share of the usual share of known viewers, 0 to 1.
    pub fraction_of_usual: f64,
    /// So many are let in evenly.
    pub budget: Rate,
    /// So many at once, at least 1.
    pub burst: u32,
}

/// What is done at how many bits, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct Ladder {
    /// More than 0.
    pub throttle_bits: f64,
    /// At least [`throttle_bits`](Self::throttle_bits).
    pub deny_bits: f64,
    /// A viewer in a room.
    pub viewer_in_room: Duration,
    /// A whole address.
    pub address: AddressRung,
    /// New viewers of a profile at an address.
    pub address_profile: ProfileRung,
    /// A subnet in a room.
    pub subnet_in_room: SubnetRung,
    /// A key in a room.
    pub key_in_room: Duration,
}

/// A whole address is denied.
#[derive(Debug, Clone, PartialEq)]
pub struct AddressRung {
    /// The first time.
    pub ttl: Duration,
    /// Times this for each further room; at least 1.
    pub factor: f64,
    /// At least [`ttl`](Self::ttl).
    pub max: Duration,
    /// Where this share of its viewers is convicted, 0 to 1.
    pub min_bad_share: f64,
}

/// New viewers of a profile at an address are denied.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileRung {
    /// How long.
    pub ttl: Duration,
    /// Where this share of them is convicted, 0 to 1.
    pub min_bad_share: f64,
}

/// A subnet is denied in a room.
#[derive(Debug, Clone, PartialEq)]
pub struct SubnetRung {
    /// Where so many of its addresses are seen, at least 2.
    pub addresses: u32,
    /// And this share of its viewers is convicted, 0 to 1.
    pub min_bad_share: f64,
    /// How long.
    pub ttl: Duration,
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

fn per_minute(count: u32) -> Rate {
    Rate::new(count, minutes(1)).expect("a few a minute are a rate")
}

impl Default for ViewbotSettings {
    fn default() -> Self {
        Self {
            mode: ViewbotMode::Off,
            min_excess: 10,
            known_age: minutes(360),
            gate: Gate::default(),
            evidence: Evidence::default(),
            strangers: Strangers::default(),
            ladder: Ladder::default(),
        }
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self { burst: 10, floor: per_minute(3), factor: 2.0, baseline: minutes(30) }
    }
}

impl Default for Evidence {
    fn default() -> Self {
        Self {
            profile: 4.0,
            network: 3.0,
            identity_churn: 3.5,
            key_fan_in: 4.0,
            shared_free_key: 3.0,
            pool_chain: [1.5, 4.0],
            carried: 3.0,
            known_viewer: -2.0,
        }
    }
}

impl Default for Strangers {
    fn default() -> Self {
        Self { fraction_of_usual: 0.35, budget: per_minute(6), burst: 10 }
    }
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            throttle_bits: 2.2,
            deny_bits: 3.2,
            viewer_in_room: minutes(15),
            address: AddressRung { ttl: minutes(30), factor: 2.0, max: minutes(24 * 60), min_bad_share: 0.5 },
            address_profile: ProfileRung { ttl: minutes(30), min_bad_share: 0.3 },
            subnet_in_room: SubnetRung { addresses: 4, min_bad_share: 0.7, ttl: minutes(15) },
            key_in_room: minutes(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Timestamp;
    use crate::policy::file::TABLES;
    use crate::policy::reader::LeftOut;
    use crate::policy::{Sources, compile};

    const BASE: &str = include_str!("../../tests/policies/base.toml");

    fn settings(text: &str) -> ViewbotSettings {
        let mut sources = Sources::new("");
        sources.insert("00.toml", BASE);
        sources.insert("10.toml", text);
        compile(&sources, Timestamp::EPOCH)
            .unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"))
            .set
            .viewbot()
            .clone()
    }

    fn shadow() -> ViewbotSettings {
        ViewbotSettings { mode: ViewbotMode::Shadow, ..ViewbotSettings::default() }
    }

    #[test]
    fn what_is_left_out_is_off_or_has_its_default() {
        assert_eq!(settings(""), ViewbotSettings::default());
        assert_eq!(settings("[viewbot]\nmode = \"off\"\n"), ViewbotSettings::default());
        assert_eq!(settings("[viewbot]\nmode = \"shadow\"\n"), shadow());
        let enforce = ViewbotSettings { mode: ViewbotMode::Enforce, ..shadow() };
        assert_eq!(settings("[viewbot]\nmode = \"enforce\"\n"), enforce);
    }

    /// The reference names each default; written out, they are the defaults.
    #[test]
    fn the_reference_says_the_defaults() {
        let mut text = String::from("[viewbot]\nmode = \"shadow\"\n");
        let mut count = 0;
        for table in TABLES.iter().filter(|table| table.header.starts_with("[viewbot")) {
            if table.header != "[viewbot]" {
                text.extend([table.header, "\n"]);
            }
            for field in table.fields {
                if let LeftOut::Is(value) = field.left_out {
                    text.extend([field.name, " = ", value.trim_matches('`'), "\n"]);
                    count += 1;
                }
            }
        }
        assert_eq!(count, 30, "{text}");
        assert_eq!(settings(&text), shadow());
    }

    /// Every value is put into the place of its name: each is changed by itself, and shows in one place.
    #[test]
    fn each_field_has_its_own_place() {
        let changed = [
            ("", "min-excess = 11"),
            ("", "known-age = \"8m\""),
            ("[viewbot.gate]", "burst = 11"),
            ("[viewbot.gate]", "floor = \"4/min\""),
            ("[viewbot.gate]", "factor = 3"),
            ("[viewbot.gate]", "baseline = \"31m\""),
            ("[viewbot.evidence]", "profile = 1.25"),
            ("[viewbot.evidence]", "network = 1.25"),
            ("[viewbot.evidence]", "identity-churn = 1.25"),
            ("[viewbot.evidence]", "key-fan-in = 1.25"),
            ("[viewbot.evidence]", "shared-free-key = 0"),
            ("[viewbot.evidence]", "pool-chain = [1, 1.25]"),
            ("[viewbot.evidence]", "carried = 1.25"),
            ("[viewbot.evidence]", "known-viewer = -1.25"),
            ("[viewbot.strangers]", "fraction-of-usual = 0.5"),
            ("[viewbot.strangers]", "budget = \"7/min\""),
            ("[viewbot.strangers]", "burst = 11"),
            ("[viewbot.ladder]", "throttle-bits = 2"),
            ("[viewbot.ladder]", "deny-bits = 4"),
            ("[viewbot.ladder]", "viewer-in-room = \"16m\""),
            ("[viewbot.ladder]", "address = { ttl = \"31m\" }"),
            ("[viewbot.ladder]", "address = { factor = 3 }"),
            ("[viewbot.ladder]", "address = { max = \"25h\" }"),
            ("[viewbot.ladder]", "address = { min-bad-share = 0.6 }"),
            ("[viewbot.ladder]", "address-profile = { ttl = \"31m\" }"),
            ("[viewbot.ladder]", "address-profile = { min-bad-share = 0.6 }"),
            ("[viewbot.ladder]", "subnet-in-room = { addresses = 5 }"),
            ("[viewbot.ladder]", "subnet-in-room = { min-bad-share = 0.6 }"),
            ("[viewbot.ladder]", "subnet-in-room = { ttl = \"16m\" }"),
            ("[viewbot.ladder]", "key-in-room = { ttl = \"2h\" }"),
        ];
        let default = format!("{:#?}", shadow());
        let mut seen = std::collections::BTreeSet::new();
        for (header, field) in changed {
            let printed =
                format!("{:#?}", settings(&format!("[viewbot]\nmode = \"shadow\"\n{header}\n{field}\n")));
            // The lines that differ, without their values, tell the place.
            let places: Vec<String> = (0..)
                .zip(printed.lines().zip(default.lines()))
                .filter(|(_, (now, before))| now != before)
                .map(|(line, (now, _))| format!("{line} {}", now.split(':').next().unwrap_or_default()))
                .collect();
            assert!(!places.is_empty() && seen.insert(places.clone()), "{header} {field}: {places:?}");
        }
    }
}
