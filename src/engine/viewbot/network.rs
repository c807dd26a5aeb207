//! H3, the network: more addresses of one subnet, or of one hosting network, than an ordinary crowd has.
//!
//! **What it measures.** How many different addresses of the viewer's /24 or /48 brought strangers to the room, against what an
//! ordinary crowd of its size would bring from there; the same for the whole autonomous system where the table of
//! networks says that it is rented machines, and for all rented machines together, which is held against those alone whose own
//! network has twice as many as an ordinary crowd, too.
//!
//! **Formula.** bits = `log2(n / E)` where chance cannot do it (as [`profile`](super::profile)), `E = B * p`: the crowd's size
//! times the share of the subnet, or network, among strangers first seen in calm rooms; for a provider's subnet, where that is
//! more, as large a part of the provider's addresses in the room as the subnet has of its strangers in calm rooms. For a network, its known viewers in the
//! room vouch as well. The stronger of the two counts: they see the same thing. Where the viewer's
//! program is in excess, all who have it are added to `B`: that they are many is told by [`profile`](super::profile), and here is
//! asked whether they sit closer together than others do; and closer than is usual for that program, whose share of strangers in
//! the viewer's network is known from calm rooms: a platform has its addresses and its program, and that is one fact.
//!
//! **Why.** Addresses are bought in blocks. A real crowd is spread over thousands of subnets.
//!
//! **Known false positives.** A university, a carrier's gateway (few addresses with many people: not what is counted here), a
//! hosting network on which many overlays run (its share is learned in calm rooms). An internet provider or mobile network
//! as a whole is never counted: a national audience comes from three of them. Nor are subnets that the table of networks calls
//! mobile: a carrier hands its few prefixes round, so that a national audience sits close together in them, and one telephone
//! has a handful of addresses within minutes. Without a table these are counted.
//!
//! **An example.** `network: 41 addresses of it, 0.8 expected of an ordinary crowd (+3.0)`.
//!
//! **Settings.** `[viewbot.evidence] network`, the cap. Without `[networks]` only subnets are looked at.

use super::cohort::Alarm;
use super::evidence::{Finding, Kind};
use super::ordinary::Ordinary;
use super::people::Surroundings;
use super::profile::{lift, vouching};
use super::sighting::Sighting;

/// With fewer strangers in calm rooms a network is none that people are known to come from.
const PROVIDER_MIN: f64 = 30.0;

/// Who is expected in a room: an ordinary crowd, and all who have the viewer's program where that is in excess.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comers {
    crowd: f64,
    with_program: f64,
    /// How many times more of those than of others come from the viewer's network.
    at_home: f64,
}

impl Comers {
    /// With a crowd of so many, and so many of the program.
    pub(super) fn new(crowd: f64, with_program: f64, ordinary: &Ordinary, sighting: &Sighting) -> Self {
        let at_home = if with_program > 0.0 {
            ordinary.at_home(sighting.profile.fingerprint, sighting.wide)
        } else {
            1.0
        };
        Self { crowd, with_program, at_home }
    }

    /// How many there are.
    pub(super) fn count(&self) -> f64 {
        self.crowd + self.with_program
    }

    /// How many come from where so large a share of all strangers is from: the viewer's subnet, or its network.
    pub(super) fn from(&self, share: f64) -> f64 {
        self.crowd * share + self.with_program * (share * self.at_home).min(1.0)
    }
}

/// The share of a subnet among strangers of calm rooms; a subnet never seen has a little of one.
pub(super) fn subnet_share(around: &Surroundings, ordinary: &Ordinary) -> f64 {
    (around.subnet_calm + 0.05) / (ordinary.strangers() + 60.0)
}

/// How many addresses of the viewer's subnet come with as many of its provider as are here: an audience is national, and a
/// country's provider may have few subnets. To the subnet's calm strangers three are added, as many as may have been missed (the
/// rule of three, as in [`Ordinary::doubt`]). 0 of rented machines and platforms, of what no table names, and where
/// little is known of the network.
fn of_provider(alarm: &Alarm, ordinary: &Ordinary, sighting: &Sighting, around: &Surroundings) -> f64 {
    let calm = ordinary.count_of_network(sighting.wide);
    let is_provider = sighting.wide.is_named() && !sighting.is_hosting && !sighting.is_shared;
    if !is_provider || calm < PROVIDER_MIN {
        return 0.0;
    }
    let here = alarm.wides.get(&sighting.wide).copied().unwrap_or(0.0);
    here * ((around.subnet_calm + 3.0) / (calm + 3.0)).min(1.0)
}

pub(super) fn finding(
    alarm: &Alarm,
    ordinary: &Ordinary,
    sighting: &Sighting,
    around: &Surroundings,
    usual_known: f64,
    (comers, cap): (&Comers, f64),
) -> Option<Finding> {
    let of_subnet = alarm.subnets.get(&sighting.subnet).copied().unwrap_or(0.0);
    let doubt = comers.count() * ordinary.doubt();
    let expected_of_subnet = comers.from(subnet_share(around, ordinary)) + doubt;
    let expected_of_subnet = expected_of_subnet.max(of_provider(alarm, ordinary, sighting, around));
    let mut found = (lift(of_subnet, expected_of_subnet), of_subnet, expected_of_subnet);
    if sighting.is_hosting {
        let seen = alarm.wides.get(&sighting.wide).copied().unwrap_or(0.0);
        let known = alarm.known_wides.get(&sighting.wide).copied().unwrap_or(0.0);
        let expected = comers.from(ordinary.of_network(sighting.wide)) + doubt;
        let expected = expected.max(vouching(known) * alarm.crowd.odds(usual_known));
        let bits = lift(seen, expected);
        if bits > found.0 {
            found = (bits, seen, expected);
        }
        // All rented machines together, for whoever comes from one of the networks that make them so many.
        let is_of_them = seen >= 2.0 * expected;
        let (seen, known) = (alarm.hosting, alarm.known_hosting);
        let expected = comers.from(ordinary.of_hosting()) + doubt;
        let expected = expected.max(vouching(known) * alarm.crowd.odds(usual_known));
        let bits = lift(seen, expected);
        if is_of_them && bits > found.0 {
            found = (bits, seen, expected);
        }
    }
    (found.0 > 0.0).then(|| Finding::new(Kind::Network, found.0.min(cap), found.1, found.2))
}
