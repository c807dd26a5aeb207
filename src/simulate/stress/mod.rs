//! Honest stress: what looks like an attack and is not. Nobody here should be refused.

mod crowds;
mod outages;
mod releases;
mod tournament;

use super::scenarios::{Kind, Scenario};
use super::settings::Population::{Independent, Lively};

pub(super) use crowds::{CELEBRITY, FLASH_CROWD, SKEWED_CROWD, flash_crowd};
pub(super) use outages::{GENERATOR_OUTAGE, OUTAGE_MOVED, RECONNECT_STORM};
pub(super) use releases::{APP_LAUNCH, APP_UPDATE, TV_GAME};
pub(super) use tournament::TOURNAMENT;

/// Everyday life.
pub(super) const ORDINARY: Scenario = Scenario {
    name: "ordinary",
    populations: &[Independent, Lively],
    kind: Kind::Honest,
    summary: "everyday life: creators, pollers, shared hosting, CGNAT, apps with one key, firms, raids",
    hard: "programs are more regular than bots, apps share one key at thousands of addresses, platforms hide hundreds \
           behind one address, and a raid moves a crowd from room to room within a minute",
    build: |_, _| {},
};
