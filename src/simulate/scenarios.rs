//! The table of scenarios. Each stands with what it does, in `stress` and in `attacks`.

use super::agenda::{Agenda, World};
use super::settings::Population;
use super::{attacks, stress};

/// What a scenario puts to the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Everyday life, or honest stress: nobody should be refused.
    Honest,
    /// There is an attack in it.
    Attack,
}

/// Something that happens in ordinary traffic.
pub struct Scenario {
    /// The word on the command line and in labels.
    pub name: &'static str,
    /// Where it belongs, its own first. Any can be laid over either population.
    pub populations: &'static [Population],
    /// What it puts to the test.
    pub kind: Kind,
    /// What it models, in a line.
    pub summary: &'static str,
    /// Why a detector finds it hard.
    pub hard: &'static str,
    pub(super) build: fn(&mut World, &mut Agenda),
}

impl std::fmt::Debug for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Scenario").field(&self.name).finish()
    }
}

/// All of them: those of population 1 first, honest ones before attacks.
pub static ALL: [&Scenario; 44] = [
    &stress::ORDINARY,
    &stress::RECONNECT_STORM,
    &stress::GENERATOR_OUTAGE,
    &stress::FLASH_CROWD,
    &stress::SKEWED_CROWD,
    &attacks::NAIVE_BURST,
    &attacks::SLOW_DRIP,
    &attacks::RESIDENTIAL_ROTATION,
    &attacks::FREE_KEYS,
    &attacks::IPV6_ROTATION,
    &attacks::STOLEN_KEY,
    &attacks::IDENTITY_CHURN,
    &attacks::HAMMERING,
    &attacks::NEW_ROOM,
    &attacks::AGED_IDENTITIES,
    &attacks::SHARED_CGNAT,
    &attacks::MIMICKED_TIMING,
    &attacks::MIMICKED_CHURN,
    &attacks::MIMICKED_HOSTING,
    &attacks::TRAINED_BASELINE,
    &attacks::MOVING_POOL,
    &attacks::PANEL,
    &attacks::SMALL_PANEL,
    &attacks::HIDDEN_IN_CROWD,
    &attacks::MIMICKED_BUT_AGE,
    &attacks::MIMICKED_AND_AGED,
    &attacks::FOUR_IN_FIVE_MINUTES,
    &stress::CELEBRITY,
    &stress::TV_GAME,
    &stress::TOURNAMENT,
    &stress::OUTAGE_MOVED,
    &stress::APP_UPDATE,
    &stress::APP_LAUNCH,
    &attacks::HOSTING_SUBNETS,
    &attacks::RESIDENTIAL_CHURN,
    &attacks::FREE_KEY_FARM,
    &attacks::INFECTED_PHONES,
    &attacks::VIEWER_SERVICE,
    &attacks::RENTED_POOL,
    &attacks::ADAPTING_OPERATOR,
    &attacks::PLATFORM_ABUSE,
    &attacks::REPLAYED_PROFILES,
    &attacks::COUNTRY_TRUE_DRIP,
    &attacks::HARVEST,
];

/// The scenario of this name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.into_iter().find(|scenario| scenario.name == name)
}
