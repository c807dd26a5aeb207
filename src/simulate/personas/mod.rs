//! Ordinary people and programs: one file a kind.
//!
//! Together they make the ordinary requests that `--rate` asks for; [`SHARES_INDEPENDENT`] and [`SHARES_LIVELY`] say who makes how many.

mod apps;
mod audience;
mod creators;
mod firms;
mod loops;
mod raids;
mod steady;
mod streams;

use super::agenda::{Agenda, World};

pub(super) use audience::{newcomer, person_of};

/// Which part of the ordinary requests each kind makes. They sum to 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shares {
    pub audience: f64,
    /// Who joins a stream as it begins.
    pub openings: f64,
    pub creators: f64,
    pub pollers: f64,
    pub shared_hosting: f64,
    pub embedded_app: f64,
    pub hobby_apps: f64,
    pub analytics: f64,
    pub agencies: f64,
    pub raids: f64,
    pub loops: f64,
}

const SHARES_INDEPENDENT: Shares = Shares {
    audience: 0.52,
    openings: 0.0,
    creators: 0.12,
    pollers: 0.10,
    shared_hosting: 0.08,
    embedded_app: 0.05,
    hobby_apps: 0.0,
    analytics: 0.08,
    agencies: 0.03,
    raids: 0.02,
    loops: 0.0,
};

const SHARES_LIVELY: Shares = Shares {
    audience: 0.31,
    openings: 0.20,
    creators: 0.09,
    pollers: 0.08,
    shared_hosting: 0.08,
    embedded_app: 0.05,
    hobby_apps: 0.05,
    analytics: 0.08,
    agencies: 0.03,
    raids: 0.01,
    loops: 0.02,
};

/// Puts everyday life on the agenda.
pub(super) fn everyday(world: &mut World, agenda: &mut Agenda) {
    let shares = if world.is_lively() { SHARES_LIVELY } else { SHARES_INDEPENDENT };
    if world.is_lively() {
        streams::begin(world, agenda, shares.openings);
        apps::roll_out(world);
        apps::hobby(world, agenda, shares.hobby_apps);
        loops::begin(world, agenda, shares.loops);
    }
    audience::begin(world, agenda, shares.audience);
    creators::begin(world, agenda, shares.creators);
    steady::pollers(world, agenda, shares.pollers);
    steady::shared_hosting(world, agenda, shares.shared_hosting);
    apps::embedded(world, agenda, shares.embedded_app);
    firms::analytics(world, agenda, shares.analytics);
    firms::agencies(world, agenda, shares.agencies);
    raids::begin(world, agenda, shares.raids);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_one() {
        for s in [SHARES_INDEPENDENT, SHARES_LIVELY] {
            let sum = s.audience + s.openings + s.creators + s.pollers + s.shared_hosting + s.embedded_app;
            let sum = sum + s.hobby_apps + s.analytics + s.agencies + s.raids + s.loops;
            assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        }
    }
}
