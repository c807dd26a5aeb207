//! Attacks: bots that sign for a room under as many identities as it is to gain viewers. One file a kind.
//!
//! All begin at the scenario's event, in a room that is neither the largest nor empty, and none outlasts the traffic.

mod addresses;
mod bots;
mod brute;
mod hosts;
mod keys;
mod mimicry;
mod patience;
mod services;

pub(super) use addresses::{IPV6_ROTATION, NAIVE_BURST, NEW_ROOM, RESIDENTIAL_ROTATION};
pub(super) use brute::{HAMMERING, SLOW_DRIP};
pub(super) use hosts::{
    HOSTING_SUBNETS, IDENTITY_CHURN, INFECTED_PHONES, PLATFORM_ABUSE, RESIDENTIAL_CHURN, SHARED_CGNAT,
};
pub(super) use keys::{FREE_KEY_FARM, FREE_KEYS, STOLEN_KEY};
pub(super) use mimicry::{
    COUNTRY_TRUE_DRIP, FOUR_IN_FIVE_MINUTES, HIDDEN_IN_CROWD, MIMICKED_AND_AGED, MIMICKED_BUT_AGE,
    MIMICKED_CHURN, MIMICKED_HOSTING, MIMICKED_TIMING, REPLAYED_PROFILES,
};
pub(super) use patience::{AGED_IDENTITIES, TRAINED_BASELINE};
pub(super) use services::{
    ADAPTING_OPERATOR, HARVEST, MOVING_POOL, PANEL, RENTED_POOL, SMALL_PANEL, VIEWER_SERVICE,
};

/// How long an attack has at most from the event on, in milliseconds.
fn window(world: &super::agenda::World) -> u64 {
    let settings = &world.settings;
    (settings.end() - settings.event_at()) * 9 / 10
}

/// This length, or what there is.
fn within(world: &super::agenda::World, minutes: u64) -> u64 {
    window(world).min(minutes * 60_000)
}
