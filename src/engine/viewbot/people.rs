//! Who has been seen: viewers, their addresses and subnets. One of many locked shards, all of a subnet in one.
//!
//! A viewer who was seen once is remembered for a while, in a table that a spray may turn over. Whoever was admitted a
//! second time moves to the long memory, where those who were seen over the longest time stay: a spray cannot unlearn them.
//! Only admitted requests that got a good answer, in rooms that were not under suspicion, earn anybody anything: else view-bots
//! would be known by having view-botted.

use super::arith::mix;
use super::bounded::{Bounded, Likely, LookUp};
use super::lockstep::{FLAGGED_SECS, Meetings, ROOMS_MIN};
use super::sighting::{Address, Profile, Sighting, Subnet, Viewer};

/// What is remembered of a viewer. Times are seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// First seen, admitted or not.
    pub first: u32,
    /// Last admitted.
    pub last: u32,
    /// The first two rooms that it was admitted to, and when; 0 for none.
    pub rooms: [(u32, u32); 2],
}

impl Person {
    /// Whether it signed for another room long enough ago.
    fn is_known(&self, room: u32, now: u32, age: u32) -> bool {
        self.rooms.iter().any(|(other, at)| *other != 0 && *other != room && now.saturating_sub(*at) >= age)
    }

    /// Over how long it was seen: what it is worth to remember it.
    fn worth(&self) -> u64 {
        u64::from(self.last.saturating_sub(self.first))
    }
}

/// What the table of networks says of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum AddressKind {
    /// Nothing, or that it is a provider's.
    #[default]
    Provided,
    /// That many people share it, at a time or one after the other.
    Shared,
    /// That it is a rented machine's.
    Rented,
}

impl AddressKind {
    fn of(sighting: &Sighting) -> Self {
        if sighting.is_shared || sighting.is_mobile {
            Self::Shared
        } else if sighting.is_hosting {
            Self::Rented
        } else {
            Self::Provided
        }
    }
}

/// What is remembered of an address: with it one cache line.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    first: u32,
    /// How many viewers it has had; no more are told apart than this holds.
    viewers: u16,
    kind: AddressKind,
    /// In how many rooms it met companions.
    marched_rooms: u8,
    /// The last alarmed rooms that it was a stranger in, the latest last; 0 for none.
    chain: [u32; 3],
    chain_at: u32,
    /// The last rooms that it came to.
    meetings: Meetings,
    /// Where it met companions last, and when.
    marched: (u32, u32),
}

const _: () = assert!(size_of::<(Address, Place)>() == 64, "one cache line");

impl Place {
    /// Whether it has had more viewers than a household or an office of a few.
    fn had_many(&self) -> bool {
        u32::from(self.viewers) >= super::ladder::SHARED_EGRESS
    }
}

/// What is remembered of a profile at an address.
#[derive(Debug, Clone, Copy, Default)]
struct Party {
    viewers: u32,
    /// How many of them the model of ordinary crowds learned from.
    taught: u8,
}

/// Bits that stayed under the threshold in other rooms.
#[derive(Debug, Clone, Copy, Default)]
struct Carried {
    rooms: [(u32, f32); 8],
    /// Of what kinds those bits were.
    kinds: [CarriedKinds; 8],
    at: u32,
}

/// Of what kinds carried bits are: the same kind again, in the next room, is no second one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CarriedKinds {
    pub(super) profile: bool,
    pub(super) network: bool,
}

/// Fewer bits of a kind are no evidence of it, only a part of what weighs.
const CARRIED_KIND_MIN: f64 = 1.0;

/// And of what has faded to less of a room, no kind is left.
const CARRIED_KIND_LEFT: f64 = 0.5;

/// A kind counts that so many rooms have found: whoever watches one that is attacked has met it there.
const CARRIED_KIND_ROOMS: usize = 2;

impl Carried {
    /// From what rooms but that one, with what is left at `now` of each.
    fn elsewhere_than(&self, room: u32, now: u32) -> impl Iterator<Item = (f64, CarriedKinds)> {
        let fade = super::arith::halved(f64::from(now.saturating_sub(self.at)), CARRIED_HALF_LIFE_SECS);
        let rooms = self.rooms.iter().zip(self.kinds);
        rooms.filter(move |((other, _), _)| *other != 0 && *other != room).map(move |((_, bits), kinds)| {
            let left = f64::from(*bits) * fade;
            (left, if left >= CARRIED_KIND_LEFT { kinds } else { CarriedKinds::default() })
        })
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Neighbourhood {
    addresses: u32,
    /// Strangers first seen from here in calm rooms.
    calm: f32,
}

/// What an encounter tells without the room's help.
#[derive(Debug, Clone, Copy)]
pub(super) struct Met {
    pub(super) is_first: bool,
    pub(super) is_known: bool,
    /// What it carries from other rooms is enough to throttle.
    pub(super) is_suspect: bool,
    /// Whether being known or not tells anything of it. At an address that many share, whoever has no name of their own is
    /// taken for any other with the same program.
    pub(super) tells_age: bool,
    /// Many viewers have its address.
    pub(super) is_shared: bool,
    /// The last two alarmed rooms of the address; 0 for none.
    pub(super) chain: [u32; 2],
    /// Where it was lately, where that can tell anything; of a known viewer, where it was last.
    pub(super) meetings: Meetings,
    /// It met the same others in several rooms, a while ago.
    pub(super) marches: bool,
    /// Where it was seen to lie.
    pub(super) at: Foreseen,
}

/// What is known of where somebody comes from: looked up for alarmed rooms only.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Surroundings {
    pub(super) address_first: u32,
    pub(super) carried: f64,
    pub(super) carrying_rooms: u32,
    pub(super) carried_kinds: CarriedKinds,
    pub(super) subnet_calm: f64,
    /// Several strangers with this profile came from this address to calm rooms: there it is ordinary.
    pub(super) is_at_home: bool,
}

/// What is carried from other rooms, of so many of them.
#[derive(Debug, Clone, Copy, Default)]
struct FromOthers {
    bits: f64,
    rooms: u32,
    kinds: CarriedKinds,
}

/// How many there are, to say which share of them is convicted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Crowded {
    pub(super) viewers: u32,
    pub(super) of_profile: u32,
    pub(super) addresses: u32,
    /// Many people share the address, by the table of networks.
    pub(super) is_shared: bool,
    /// It is a rented machine's, by the same.
    pub(super) is_rented: bool,
}

/// Where what is known of a viewer is likely to lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Foreseen {
    long: Likely,
    young: Likely,
    place: Likely,
    /// Of somebody who seems to be new: what the newcomer is counted in.
    newcomer: Option<Newcomer>,
}

/// Where the profile at the address, and the subnet, of a newcomer are likely to lie.
#[derive(Debug, Clone, Copy)]
struct Newcomer {
    party: Likely,
    subnet: Likely,
}

pub(super) struct People {
    long: Bounded<Viewer, Person>,
    young: Bounded<Viewer, Person>,
    places: Bounded<Address, Place>,
    parties: Bounded<(Address, u64), Party>,
    /// By address and [party](Self::party).
    carried: Bounded<(Address, u64), Carried>,
    subnets: Bounded<Subnet, Neighbourhood>,
}

/// An address that was in an alarmed room so long ago has rested: where it goes next is no move of a pool.
const CHAIN_SECS: u32 = 6 * 3_600;

/// Half of what is carried is forgotten in this time: as long as an address is denied for its first offence.
const CARRIED_HALF_LIFE_SECS: f64 = 1_800.0;

/// One room can carry at most so many bits to another: half of what denies, so that it takes more than one.
const CARRIED_PER_ROOM: f64 = 1.5;

/// So many strangers of a profile at one address teach the model of ordinary crowds: more would let one address train it.
const TAUGHT_MAX: u8 = 3;

/// One of a profile that taught the model from an address is a neighbour of the next.
const AT_HOME_MIN: u8 = 2;

impl People {
    /// With at most so many `viewers` in the long memory; the other tables go by it.
    pub(super) fn new(viewers: usize, seed: u64) -> Self {
        Self {
            long: Bounded::new(viewers, seed),
            // Whoever is forgotten before coming again is entered anew into four tables: where that is everybody who came once, these
            // are most of the slowest decisions.
            young: Bounded::new(viewers / 5 * 4, seed),
            places: Bounded::new(viewers / 2, seed),
            parties: Bounded::new(viewers / 2, seed),
            carried: Bounded::new(viewers / 16, seed),
            subnets: Bounded::new(viewers / 4, seed),
        }
    }

    /// Asks for the memory that meeting a viewer begins with.
    pub(super) fn prefetch(&self, viewer: Viewer) -> Foreseen {
        let long = self.long.prefetch(&viewer);
        let (young, place) = (self.young.prefetch_like(long), self.places.prefetch(&viewer.address));
        Foreseen { long, young, place, newcomer: None }
    }

    /// Asks for the entries that those lead to.
    pub(super) fn prefetch_entries(&self, sighting: &Sighting, foreseen: &mut Foreseen) {
        self.places.prefetch_entry(&mut foreseen.place);
        if self.long.prefetch_entry(&mut foreseen.long).is_none()
            && self.young.prefetch_entry(&mut foreseen.young).is_none()
        {
            let party = self.parties.prefetch(&own_party(sighting));
            foreseen.newcomer = Some(Newcomer { party, subnet: self.subnets.prefetch(&sighting.subnet) });
        }
    }

    /// Asks for what a newcomer is counted in.
    pub(super) fn prefetch_behind(&self, foreseen: &mut Foreseen) {
        if let Some(Newcomer { party, subnet }) = &mut foreseen.newcomer {
            self.parties.prefetch_entry(party);
            self.subnets.prefetch_entry(subnet);
        }
    }

    fn person(&self, viewer: &Viewer) -> Option<&Person> {
        self.long.get(viewer).or_else(|| self.young.get(viewer))
    }

    /// When a viewer was first seen.
    pub(super) fn first(&self, viewer: &Viewer) -> Option<u32> {
        self.person(viewer).map(|person| person.first)
    }

    /// Meets the viewer of a request; `foreseen` is where it was seen to lie, if anybody has looked ahead.
    pub(super) fn meet(
        &mut self,
        sighting: &Sighting,
        foreseen: Option<Foreseen>,
        now: u32,
        known_age: u32,
        (suspect_bits, marching): (f64, bool),
    ) -> Met {
        let viewer = sighting.viewer;
        // All of them at once, and then what they found: most of what this takes is waiting for memory.
        let foreseen = foreseen.unwrap_or_else(|| self.prefetch(viewer));
        let long = self.long.look_up_likely(viewer, foreseen.long);
        let young = self.young.look_up_likely(viewer, foreseen.young);
        let place = self.places.look_up_likely(viewer.address, foreseen.place);
        let (long_at, young_at, place_at) =
            (self.long.found(&long), self.young.found(&young), self.places.found(&place));
        let person = match (long_at, young_at) {
            (Some(at), _) => Some(*self.long.at(at)),
            (None, at) => at.map(|at| *self.young.at(at)),
        };
        let is_known = person.is_some_and(|person| person.is_known(sighting.short, now, known_age));
        let mut met = Met {
            is_first: person.is_none(),
            is_known,
            is_suspect: self.carried.len() > 0
                && self.carried(sighting, place_at.map(|at| self.places.at(at)), now).bits >= suspect_bits,
            tells_age: true,
            is_shared: sighting.is_shared,
            chain: [0, 0],
            meetings: Meetings::default(),
            marches: false,
            at: Foreseen { long: long.likely(), young: young.likely(), place: place.likely(), ..foreseen },
        };
        if let Some(at) = place_at {
            let place = self.places.at_mut(at);
            let is_shared = place.had_many();
            met.is_shared |= is_shared;
            // Where many are behind an address, its moves are nobody's.
            if !met.is_shared && now.saturating_sub(place.chain_at) <= CHAIN_SECS {
                let rooms = place.chain;
                // Where it is now is no move.
                met.chain =
                    if rooms[2] == sighting.short { [rooms[0], rooms[1]] } else { [rooms[1], rooms[2]] };
            }
            met.tells_age = !(sighting.is_nameless && is_shared);
            if marching && !is_shared && !sighting.is_paid() {
                let is_recent = now.saturating_sub(place.marched.1) <= FLAGGED_SECS;
                met.marches = place.marched_rooms >= ROOMS_MIN && is_recent;
                met.is_known &= !met.marches;
                if !met.is_known {
                    met.meetings = place.meetings.recent(sighting.short, now);
                }
            }
            if met.is_known && !met.is_shared {
                met.meetings = place.meetings.latest(sighting.short);
            }
            place.meetings.note(sighting.short, now);
        }
        if met.is_first {
            met.at = self.welcome(sighting, met.at, &young, &place, now);
        }
        met
    }

    /// Somebody who was never seen before; with what was looked up of it. Gives where all of it lies now.
    fn welcome(
        &mut self,
        sighting: &Sighting,
        foreseen: Foreseen,
        young: &LookUp<Viewer>,
        place: &LookUp<Address>,
        now: u32,
    ) -> Foreseen {
        let person = Person { first: now, last: now, rooms: [(0, 0); 2] };
        let (party, subnet) = match foreseen.newcomer {
            Some(Newcomer { party, subnet }) => (
                self.parties.look_up_likely(own_party(sighting), party),
                self.subnets.look_up_likely(sighting.subnet, subnet),
            ),
            None => (self.parties.look_up(own_party(sighting)), self.subnets.look_up(sighting.subnet)),
        };
        self.young.foresee();
        self.places.foresee();
        self.parties.foresee();
        self.subnets.foresee();
        let (young_at, _) = self.young.enter_looked_up(young, || person, |_, _| 0);
        let (place_at, is_new) = self.places.enter_looked_up(
            place,
            || {
                let mut place = Place { first: now, kind: AddressKind::of(sighting), ..Place::default() };
                place.meetings.note(sighting.short, now);
                place
            },
            |_, place| u64::from(place.viewers.saturating_sub(1)),
        );
        let viewers = &mut self.places.at_mut(place_at).viewers;
        *viewers = viewers.saturating_add(1);
        let mut subnet_at = subnet.likely();
        if is_new {
            let addresses =
                |_: &Subnet, subnet: &Neighbourhood| u64::from(subnet.addresses.saturating_sub(1));
            let (at, _) = self.subnets.enter_looked_up(&subnet, Neighbourhood::default, addresses);
            self.subnets.at_mut(at).addresses += 1;
            subnet_at = subnet_at.put_at(at);
        }
        let worth = |_: &(Address, u64), party: &Party| u64::from(party.viewers.saturating_sub(1));
        let (party_at, _) = self.parties.enter_looked_up(&party, Party::default, worth);
        self.parties.at_mut(party_at).viewers += 1;
        Foreseen {
            young: young.likely().put_at(young_at),
            newcomer: Some(Newcomer { party: party.likely().put_at(party_at), subnet: subnet_at }),
            ..foreseen
        }
    }

    /// Notes that the address met companions in a room.
    pub(super) fn marched(&mut self, address: Address, room: u32, now: u32) {
        if let Some(place) = self.places.get_mut(&address) {
            let (before, at) = place.marched;
            if now.saturating_sub(at) > FLAGGED_SECS {
                place.marched_rooms = 0;
            }
            if before != room || place.marched_rooms == 0 {
                place.marched_rooms = place.marched_rooms.saturating_add(1);
            }
            place.marched = (room, now);
        }
    }

    /// Under what evidence is carried: the profile; at an address that many share, the viewer's with it. Hundreds who rent from
    /// one host, or sit behind one translator, are not one party.
    fn party(viewer: Viewer, profile: Profile, place: Option<&Place>) -> (Address, u64) {
        let profile = profile.number();
        let is_shared = place.is_some_and(|place| place.kind == AddressKind::Shared || place.had_many());
        (viewer.address, if is_shared { mix(profile, viewer.who) } else { profile })
    }

    /// What comes from other rooms.
    fn carried(&self, sighting: &Sighting, place: Option<&Place>, now: u32) -> FromOthers {
        let mut sum = FromOthers::default();
        let Some(carried) = self.carried.get(&Self::party(sighting.viewer, sighting.profile, place)) else {
            return sum;
        };
        let (mut of_profile, mut of_network) = (0, 0);
        for (bits, kinds) in carried.elsewhere_than(sighting.short, now) {
            sum.bits += bits;
            sum.rooms += 1;
            of_profile += usize::from(kinds.profile);
            of_network += usize::from(kinds.network);
        }
        let enough = |rooms| rooms >= CARRIED_KIND_ROOMS;
        sum.kinds = CarriedKinds { profile: enough(of_profile), network: enough(of_network) };
        sum
    }

    /// What is known of where the viewer comes from.
    pub(super) fn surroundings(&self, sighting: &Sighting, now: u32) -> Surroundings {
        let address = sighting.viewer.address;
        let place = self.places.get(&address);
        let carried = self.carried(sighting, place, now);
        Surroundings {
            address_first: place.map_or(now, |place| place.first),
            carried: carried.bits,
            carrying_rooms: carried.rooms,
            carried_kinds: carried.kinds,
            subnet_calm: self.subnets.get(&sighting.subnet).map_or(0.0, |subnet| subnet.calm.into()),
            is_at_home: self
                .parties
                .get(&own_party(sighting))
                .is_some_and(|party| party.taught >= AT_HOME_MIN),
        }
    }

    /// How many an address, a profile at it and its subnet have.
    pub(super) fn crowded(&self, address: Address, profile: Profile) -> Crowded {
        let place = self.places.get(&address);
        Crowded {
            viewers: place.map_or(1, |place| place.viewers.into()),
            of_profile: self.parties.get(&(address, profile.number())).map_or(1, |party| party.viewers),
            addresses: self.subnets.get(&address.subnet()).map_or(1, |subnet| subnet.addresses),
            is_shared: place.is_some_and(|place| place.kind == AddressKind::Shared),
            is_rented: place.is_some_and(|place| place.kind == AddressKind::Rented),
        }
    }

    /// Whether a member of a convicted profile is not convicted with it. A denial needs two kinds of evidence: either what
    /// speaks beside the profile speaks against this member as well (`has_second`), or it carries a network's evidence from two
    /// other rooms. And with less than that from other rooms nobody is convicted for company whose address was here before
    /// the excess began.
    pub(super) fn is_bystander(
        &self,
        viewer: Viewer,
        profile: Profile,
        (room, onset, now): (u32, u32, u32),
        has_second: bool,
    ) -> bool {
        let place = self.places.get(&viewer.address);
        let was_here =
            place.is_some_and(|place| place.first.saturating_add(super::known::ADDRESS_SECS) < onset);
        let others = self.carried.get(&Self::party(viewer, profile, place)).map_or(0, |carried| {
            carried.elsewhere_than(room, now).filter(|(_, kinds)| kinds.network).count()
        });
        others < CARRIED_KIND_ROOMS && (was_here || !has_second)
    }

    /// Notes that the address was a stranger in an alarmed room.
    pub(super) fn moved(&mut self, address: Address, room: u32, now: u32) {
        if let Some(place) = self.places.get_mut(&address) {
            if now.saturating_sub(place.chain_at) > CHAIN_SECS {
                place.chain = [0; 3];
            }
            if place.chain[2] != room {
                place.chain = [place.chain[1], place.chain[2], room];
            }
            place.chain_at = now;
        }
    }

    /// Notes bits that did not convict: of the profile and of the network.
    pub(super) fn carry(&mut self, sighting: &Sighting, (profile, network): (f64, f64), now: u32) {
        let place = self.places.get(&sighting.viewer.address);
        let party = Self::party(sighting.viewer, sighting.profile, place);
        // Whoever has no name of their own there is taken for any other with the same program.
        if sighting.is_nameless && party.1 != sighting.profile.number() {
            return;
        }
        let (carried, _) = self.carried.entry(
            party,
            || Carried { at: now, ..Carried::default() },
            |_, carried| carried.at.into(),
        );
        let fade = super::arith::halved(f64::from(now.saturating_sub(carried.at)), CARRIED_HALF_LIFE_SECS);
        for (_, bits) in &mut carried.rooms {
            *bits = (f64::from(*bits) * fade) as f32;
        }
        carried.at = now;
        let bits = (profile + network).min(CARRIED_PER_ROOM) as f32;
        let is_kind = |bits: f64| bits >= CARRIED_KIND_MIN;
        let kinds = CarriedKinds { profile: is_kind(profile), network: is_kind(network) };
        let rooms = &mut carried.rooms;
        let place = rooms.iter().position(|(room, _)| *room == sighting.short).or_else(|| {
            let least = (0..rooms.len()).min_by(|one, other| rooms[*one].1.total_cmp(&rooms[*other].1));
            least.filter(|least| rooms[*least].1 <= bits)
        });
        if let Some(place) = place {
            let is_here = rooms[place].0 == sighting.short && f64::from(rooms[place].1) >= CARRIED_KIND_LEFT;
            let (before, known) =
                if is_here { (rooms[place].1, carried.kinds[place]) } else { Default::default() };
            rooms[place] = (sighting.short, before.max(bits));
            carried.kinds[place] = CarriedKinds {
                profile: kinds.profile || known.profile,
                network: kinds.network || known.network,
            };
        }
    }

    /// An admitted request got a good answer in a quiet room; `at` is where its viewer was met. Tells whether the model of
    /// ordinary crowds may learn from this stranger.
    pub(super) fn admitted(
        &mut self,
        sighting: &Sighting,
        at: Foreseen,
        now: u32,
        is_calm_stranger: bool,
    ) -> bool {
        let viewer = sighting.viewer;
        if let Some(person) = self.long.get_mut_likely(viewer, at.long) {
            enter(person, sighting.short, now);
        } else if let Some(person) = self.young.get_mut_likely(viewer, at.young) {
            let is_second = person.rooms[0].0 != 0;
            enter(person, sighting.short, now);
            let person = *person;
            if is_second {
                self.young.remove(&viewer);
                self.long.entry(viewer, || person, |_, person| person.worth());
            }
        }
        if !is_calm_stranger {
            return false;
        }
        let (party, subnet) = match at.newcomer {
            Some(Newcomer { party, subnet }) => (
                self.parties.get_mut_likely(own_party(sighting), party),
                self.subnets.get_mut_likely(sighting.subnet, subnet),
            ),
            None => (self.parties.get_mut(&own_party(sighting)), self.subnets.get_mut(&sighting.subnet)),
        };
        let Some(party) = party.filter(|party| party.taught < TAUGHT_MAX) else {
            return false;
        };
        party.taught += 1;
        if let Some(subnet) = subnet {
            subnet.calm += 1.0;
        }
        true
    }

    /// What a viewer did in a room earns it nothing: it came with an excess that was not noticed yet.
    pub(super) fn unearn(&mut self, viewer: &Viewer, room: u32) {
        let young = &mut self.young;
        let person = self.long.get_mut(viewer).or_else(|| young.get_mut(viewer));
        if let Some(person) = person {
            for visit in &mut person.rooms {
                if visit.0 == room {
                    *visit = (0, 0);
                }
            }
        }
    }

    /// A room was pardoned: what was carried from it, and having been there, speaks against nobody any more.
    pub(super) fn forget_room(&mut self, room: u32) {
        self.carried.each_mut(|carried| {
            for held in carried.rooms.iter_mut().filter(|(other, _)| *other == room) {
                *held = (0, 0.0);
            }
        });
        self.places.each_mut(|place| {
            if let Some(at) = place.chain.iter().position(|other| *other == room) {
                // The moves before it are one older then.
                place.chain.copy_within(..at, 1);
                place.chain[0] = 0;
            }
        });
    }

    /// Everybody in the long memory, in an order that hangs on no seed.
    pub(super) fn long(&self) -> impl Iterator<Item = (&Viewer, &Person)> {
        self.long.iter()
    }

    /// Puts somebody into the long memory, as it was exported.
    pub(super) fn remember(&mut self, viewer: Viewer, person: Person) {
        self.long.entry(viewer, || person, |_, person| person.worth());
    }
}

/// A profile at its address, whoever else is there.
fn own_party(sighting: &Sighting) -> (Address, u64) {
    (sighting.viewer.address, sighting.profile.number())
}

fn enter(person: &mut Person, room: u32, now: u32) {
    person.last = now;
    if person.rooms[0].0 == 0 {
        if person.rooms[1].0 != room {
            person.rooms[0] = (room, now);
        }
    } else if person.rooms[0].0 != room && person.rooms[1].0 == 0 {
        person.rooms[1] = (room, now);
    }
}
