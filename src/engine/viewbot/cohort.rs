//! What is counted of an alarmed room: its newcomers by profile, network, address, key and move.
//!
//! Only alarmed rooms have this. What came between the beginning of the excess and the alarm is taken in from the shard's
//! log ([`rooms`](super::rooms)). All counts are halved every ten minutes, in steps of one. Every table has a cap; beyond it
//! what is new goes uncounted, and what is counted goes on.

use hashbrown::hash_map::Entry;
use smallvec::SmallVec;

use super::acquaintances::Acquaintances;
use super::arith::halved;
use super::lockstep::Meetings;
use super::ordinary::Map;
use super::people::Met;
use super::profile::Crowd;
use super::rarities::Rarities;
use super::sighting::{Address, Fingerprint, KeyNumber, Label, Profile, Sighting, Subnet, Viewer, Wide};
use crate::base::room::Room;

/// Counts are halved in this time: an attack of yesterday convicts nobody today, and one that pauses for a minute is not
/// forgotten.
pub(super) const HALF_LIFE_SECS: f64 = HALF_LIFE as f64;

/// The same in whole seconds.
pub(super) const HALF_LIFE: u32 = 600;

/// One alarmed room counts at most so many different things of a kind.
const ENTRIES_MAX: usize = 16_384;

/// So many members of a profile are kept to be convicted with it.
const MEMBERS_MAX: usize = 64;

/// Fewer others tell nothing of how a profile's company differs from theirs.
const OTHERS_MIN: f64 = 12.0;

/// And fewer for each with the profile, either: else a farm could add a few others to say so.
const OTHERS_FOR_EACH: f64 = 1.5;

/// An address that has so much more than what is left of the viewer's own has another: a little less than what is left of one after
/// half an hour.
const OTHER: f64 = 0.1;

/// How many minutes of the sum are kept to be shown.
const CURVE_MINUTES: usize = 60;

/// A newcomer, as the log keeps it: hundreds of thousands of them, so what could lie between its fields is left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Newcomer {
    pub(super) viewer: Viewer,
    fingerprint: Fingerprint,
    pub(super) wide: Wide,
    /// The key, where it has one.
    key: KeyNumber,
    pub(super) chain: [u32; 2],
    /// Where else it was lately.
    pub(super) meetings: Meetings,
    pub(super) at: u32,
    /// Which share of newcomers was known in calm rooms when it came.
    usual_known: f32,
    /// Which part of it was counted at its address before, and has not faded: of a client that repeats itself all, of one that
    /// waited and asks again some, of a new one nothing.
    counted: f32,
    /// Of its profile.
    sort: u8,
    has_key: bool,
    pub(super) is_stranger: bool,
    /// Whether being a stranger says anything of it.
    tells_age: bool,
    is_hosting: bool,
    /// Many viewers had its address when it came.
    is_shared: bool,
    /// Its address is a telephone's.
    is_mobile: bool,
}

impl Newcomer {
    pub(super) fn of(
        sighting: &Sighting,
        met: &Met,
        (is_stranger, counted): (bool, f64),
        usual_known: f64,
        at: u32,
    ) -> Self {
        let Met { chain, tells_age, is_shared, meetings, .. } = *met;
        let Sighting { viewer, profile, wide, key, is_hosting, is_mobile, .. } = *sighting;
        Self {
            is_hosting,
            is_mobile,
            tells_age,
            is_shared,
            viewer,
            fingerprint: profile.fingerprint,
            sort: profile.sort,
            wide,
            key: key.unwrap_or(KeyNumber(0)),
            has_key: key.is_some(),
            chain,
            meetings,
            at,
            is_stranger,
            usual_known: usual_known as f32,
            counted: counted as f32,
        }
    }

    /// How much its address counts for it.
    fn at_address(&self) -> f64 {
        1.0 - f64::from(self.counted)
    }

    /// Whether one at an address that has so much is not alone there: what is left of its own is no other.
    fn has_company(&self, before: f64) -> bool {
        self.counted < 1.0 && before - f64::from(self.counted) >= OTHER
    }

    /// What it came with.
    pub(super) fn profile(&self) -> Profile {
        Profile { fingerprint: self.fingerprint, sort: self.sort }
    }

    fn key(&self) -> Option<KeyNumber> {
        self.has_key.then_some(self.key)
    }

    /// Where it is from, as far as one and the same has only one such place: a telephone has many addresses, one after the
    /// other, and they lie in one subnet; so do the machines of somebody who pays for the key that they share.
    fn place(&self) -> u64 {
        let address = self.viewer.address;
        let is_one = self.is_mobile || self.profile().is_paid();
        if is_one { address.first_of_subnet() } else { address }.number()
    }
}

#[cfg(test)]
impl Newcomer {
    /// With a paid key, at an address of one subnet.
    pub(super) fn example(host: u8, at: u32) -> Self {
        let address = Address::of(crate::base::net::Prefix::proxy([198, 18, 7, host].into()));
        Self {
            viewer: Viewer { address, who: 9 },
            fingerprint: Fingerprint(1),
            wide: Wide::example(1),
            key: KeyNumber(4),
            chain: [0; 2],
            meetings: Meetings::default(),
            at,
            usual_known: 0.5,
            sort: super::sighting::SORTS as u8 - 1,
            has_key: true,
            is_stranger: true,
            tells_age: true,
            counted: 0.0,
            is_hosting: true,
            is_shared: false,
            is_mobile: false,
        }
    }
}

/// Who came with a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) viewer: Viewer,
    pub(super) is_hosting: bool,
}

/// Members of one profile.
#[derive(Debug, Clone, Default)]
pub(super) struct Cohort {
    pub(super) strangers: f64,
    /// The same, where it was counted among the [rarities](Rarities).
    pub(super) as_rare: u64,
    /// Of the strangers, those who found another viewer of the room at their address.
    in_company: f64,
    /// Admitted or not, the latest may be missing.
    pub(super) members: SmallVec<[Member; 1]>,
    /// Of profiles that came more than once: whoever makes up a user agent for each viewer is not given the room to keep them.
    pub(super) label: Option<Box<Label>>,
}

/// Who came with one key.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KeyCohort {
    /// From how many [places](Newcomer::place).
    pub(super) addresses: f64,
    pub(super) strangers: f64,
}

/// An alarmed room.
#[derive(Debug)]
pub(super) struct Alarm {
    pub(super) room: Room,
    pub(super) since: u32,
    /// How many new viewers a second the room usually had then.
    pub(super) usual_then: f64,
    pub(super) known: f64,
    pub(super) strangers: f64,
    /// Of those whose being known tells something: how many there are, how many are known, and how many would be if it were
    /// as usual.
    pub(super) told: f64,
    pub(super) told_known: f64,
    pub(super) expected_known: f64,
    pub(super) profiles: Map<Profile, Cohort>,
    pub(super) rarities: Rarities,
    pub(super) fingerprints: Map<Fingerprint, f64>,
    pub(super) known_fingerprints: Map<Fingerprint, f64>,
    pub(super) acquaintances: Acquaintances,
    /// Addresses.
    pub(super) wides: Map<Wide, f64>,
    pub(super) known_wides: Map<Wide, f64>,
    /// Addresses of rented machines, and known viewers there.
    pub(super) hosting: f64,
    pub(super) known_hosting: f64,
    /// Addresses.
    pub(super) subnets: Map<Subnet, f64>,
    /// Viewers.
    pub(super) addresses: Map<Address, f64>,
    /// Of these, those that many had before they came here.
    pub(super) shared: Map<Address, f64>,
    /// Strangers at other addresses than those, who found another viewer of the room at theirs.
    pub(super) in_company: f64,
    pub(super) keys: Map<KeyNumber, KeyCohort>,
    /// By [place](Newcomer::place).
    key_addresses: Map<(KeyNumber, u64), f64>,
    pub(super) once: Map<u32, f64>,
    pub(super) twice: Map<(u32, u32), f64>,
    pub(super) crowd: Crowd,
    pub(super) budget: Option<(f64, u64)>,
    decayed_at: u32,
    /// The sum at each minute since the alarm, the last hour of them.
    pub(super) curve: Vec<(u32, f32)>,
    pub(super) throttled: u32,
    pub(super) denied: u32,
}

impl Alarm {
    pub(super) fn new(room: Room, usual_then: f64, now: u32) -> Self {
        Self {
            room,
            since: now,
            usual_then,
            known: 0.0,
            strangers: 0.0,
            told: 0.0,
            told_known: 0.0,
            expected_known: 0.0,
            profiles: Map::default(),
            rarities: Rarities::default(),
            fingerprints: Map::default(),
            known_fingerprints: Map::default(),
            acquaintances: Acquaintances::default(),
            wides: Map::default(),
            known_wides: Map::default(),
            hosting: 0.0,
            known_hosting: 0.0,
            subnets: Map::default(),
            addresses: Map::default(),
            shared: Map::default(),
            in_company: 0.0,
            keys: Map::default(),
            key_addresses: Map::default(),
            once: Map::default(),
            twice: Map::default(),
            crowd: Crowd::default(),
            budget: None,
            decayed_at: now,
            curve: Vec::new(),
            throttled: 0,
            denied: 0,
        }
    }

    /// How many things it counts: what it costs. A profile with its members and its fingerprint takes as much as four others.
    pub(super) fn entries(&self) -> usize {
        4 * self.profiles.len() + self.addresses.len() + self.subnets.len() + self.key_addresses.len()
    }

    /// How many strangers came with a profile.
    pub(super) fn of_profile(&self, profile: Profile) -> f64 {
        self.profiles.get(&profile).map_or(0.0, |cohort| cohort.strangers)
    }

    /// How many found another viewer of the room at their address, those at `address` left out.
    pub(super) fn in_company_elsewhere(&self, address: Address) -> f64 {
        let here = self.addresses.get(&address).filter(|_| !self.shared.contains_key(&address));
        (self.in_company - here.map_or(0.0, |viewers| (viewers - 1.0).max(0.0))).max(0.0)
    }

    /// Of those who came with a profile and of the others: how many there are, and how many found company. `None` where there are
    /// too few others to tell.
    pub(super) fn company_of(&self, profile: Profile) -> Option<[(f64, f64); 2]> {
        let cohort = self.profiles.get(&profile)?;
        let others = self.strangers - cohort.strangers;
        let in_company = (self.in_company - cohort.in_company).max(0.0);
        let enough = others >= OTHERS_MIN.max(OTHERS_FOR_EACH * cohort.strangers);
        enough.then_some([(cohort.strangers, cohort.in_company), (others, in_company)])
    }

    /// Notes the gate's sum.
    pub(super) fn note_sum(&mut self, sum: f64, now: u32) {
        let minute = now / 60 * 60;
        match self.curve.last_mut() {
            Some((last, most)) if *last == minute => *most = most.max(sum as f32),
            _ => {
                if self.curve.len() >= CURVE_MINUTES {
                    self.curve.remove(0);
                }
                self.curve.push((minute, sum as f32));
            }
        }
    }

    /// Halves, a step each minute.
    pub(super) fn decay(&mut self, now: u32) {
        let elapsed = now.saturating_sub(self.decayed_at);
        if elapsed < 60 {
            return;
        }
        let left = halved(f64::from(elapsed), HALF_LIFE_SECS);
        self.decayed_at = now;
        self.known *= left;
        self.strangers *= left;
        self.told *= left;
        self.told_known *= left;
        self.expected_known *= left;
        self.hosting *= left;
        self.in_company *= left;
        self.known_hosting *= left;
        self.profiles.retain(|_, cohort| {
            cohort.strangers *= left;
            cohort.in_company *= left;
            cohort.strangers >= FORGOTTEN
        });
        self.keys.retain(|_, key| {
            key.addresses *= left;
            key.strangers *= left;
            key.addresses >= FORGOTTEN
        });
        fade(&mut self.fingerprints, left);
        fade(&mut self.known_fingerprints, left);
        self.acquaintances.decay(left, FORGOTTEN);
        fade(&mut self.wides, left);
        fade(&mut self.known_wides, left);
        fade(&mut self.subnets, left);
        fade(&mut self.addresses, left);
        fade(&mut self.shared, left);
        fade(&mut self.key_addresses, left);
        fade(&mut self.once, left);
        fade(&mut self.twice, left);
        self.crowd.is_stale = true;
        self.rarities.note_all();
    }

    /// Counts a newcomer, with less weight where it came a while ago. Without room, only what is counted already.
    pub(super) fn add(&mut self, newcomer: &Newcomer, now: u32, has_room: bool) {
        let most = if has_room { ENTRIES_MAX } else { 0 };
        let weight = halved(f64::from(now.saturating_sub(newcomer.at)), HALF_LIFE_SECS);
        if newcomer.tells_age {
            self.told += weight;
            self.told_known += if newcomer.is_stranger { 0.0 } else { weight };
            self.expected_known += weight * f64::from(newcomer.usual_known);
        }
        let [before, last] = newcomer.chain;
        if last != 0 {
            bump(&mut self.once, last, weight, most);
        }
        if before != 0 && last != 0 {
            bump(&mut self.twice, (before, last), weight, most);
        }
        let fingerprint = newcomer.fingerprint;
        if !newcomer.is_stranger {
            self.known += weight;
            self.known_hosting += if newcomer.is_hosting { weight } else { 0.0 };
            bump(&mut self.known_fingerprints, fingerprint, weight, most);
            self.acquaintances.note(fingerprint, newcomer.meetings.last_room(), weight, most);
            bump(&mut self.known_wides, newcomer.wide, weight, most);
            return;
        }
        self.strangers += weight;
        let address = newcomer.viewer.address;
        let before = self.addresses.get(&address).copied();
        let of_address = weight * before.map_or(1.0, |_| newcomer.at_address());
        let is_new_address = !bump(&mut self.addresses, address, of_address, most);
        let finds_company = !self.shared.contains_key(&address)
            && !is_new_address
            && before.is_some_and(|before| newcomer.has_company(before));
        if is_new_address && newcomer.is_shared {
            bump(&mut self.shared, address, weight, most);
        } else if finds_company {
            self.in_company += of_address;
        }
        bump(&mut self.fingerprints, fingerprint, weight, most);
        if is_new_address {
            self.hosting += if newcomer.is_hosting { weight } else { 0.0 };
            bump(&mut self.wides, newcomer.wide, weight, most);
            if !newcomer.is_mobile {
                bump(&mut self.subnets, address.subnet(), weight, most);
            }
        }
        if let Some(key) = newcomer.key() {
            let is_new = !bump(&mut self.key_addresses, (key, newcomer.place()), weight, most);
            if self.keys.len() < most || self.keys.contains_key(&key) {
                let cohort = self.keys.entry(key).or_default();
                cohort.strangers += weight;
                cohort.addresses += if is_new { weight } else { 0.0 };
            }
        }
        if self.profiles.len() < most || self.profiles.contains_key(&newcomer.profile()) {
            let cohort = self.profiles.entry(newcomer.profile()).or_default();
            cohort.strangers += weight;
            cohort.in_company += if finds_company { of_address } else { 0.0 };
            self.rarities.note(newcomer.profile());
            let member = Member { viewer: newcomer.viewer, is_hosting: newcomer.is_hosting };
            if cohort.members.len() < MEMBERS_MAX && !cohort.members.contains(&member) {
                cohort.members.push(member);
            }
        }
    }

    /// Takes a newcomer back.
    pub(super) fn remove(&mut self, newcomer: &Newcomer) {
        let take = |count: &mut f64| *count = (*count - 1.0).max(0.0);
        if newcomer.tells_age {
            take(&mut self.told);
            if !newcomer.is_stranger {
                take(&mut self.told_known);
            }
            self.expected_known = (self.expected_known - f64::from(newcomer.usual_known)).max(0.0);
        }
        let fingerprint = newcomer.fingerprint;
        if let Some(count) = self.once.get_mut(&newcomer.chain[1]) {
            take(count);
        }
        if let Some(count) = self.twice.get_mut(&(newcomer.chain[0], newcomer.chain[1])) {
            take(count);
        }
        if !newcomer.is_stranger {
            take(&mut self.known);
            self.known_hosting = (self.known_hosting - f64::from(u8::from(newcomer.is_hosting))).max(0.0);
            self.known_fingerprints.get_mut(&fingerprint).map(take);
            self.acquaintances.take_back(fingerprint, newcomer.meetings.last_room());
            self.known_wides.get_mut(&newcomer.wide).map(take);
            return;
        }
        take(&mut self.strangers);
        self.fingerprints.get_mut(&fingerprint).map(take);
        if let Some(cohort) = self.profiles.get_mut(&newcomer.profile()) {
            take(&mut cohort.strangers);
            self.rarities.note(newcomer.profile());
            cohort.members.retain(|member| member.viewer != newcomer.viewer);
        }
        if let Some(key) = newcomer.key()
            && let Some(cohort) = self.keys.get_mut(&key)
        {
            take(&mut cohort.strangers);
            // Others may have come with it from the same place.
            let place = (key, newcomer.place());
            if let Some(count) = self.key_addresses.get_mut(&place) {
                take(count);
                if *count < 0.5 {
                    self.key_addresses.remove(&place);
                    take(&mut cohort.addresses);
                }
            }
        }
        let address = newcomer.viewer.address;
        if let Some(viewers) = self.addresses.get_mut(&address).filter(|_| newcomer.counted < 1.0) {
            let of_address = newcomer.at_address();
            *viewers = (*viewers - of_address).max(0.0);
            if newcomer.has_company(*viewers) || *viewers >= 0.5 {
                if newcomer.has_company(*viewers) && !self.shared.contains_key(&address) {
                    self.in_company = (self.in_company - of_address).max(0.0);
                    if let Some(cohort) = self.profiles.get_mut(&newcomer.profile()) {
                        cohort.in_company = (cohort.in_company - of_address).max(0.0);
                    }
                }
            } else {
                self.addresses.remove(&address);
                self.shared.remove(&address);
                self.hosting = (self.hosting - f64::from(u8::from(newcomer.is_hosting))).max(0.0);
                self.wides.get_mut(&newcomer.wide).map(take);
                if !newcomer.is_mobile {
                    self.subnets.get_mut(&address.subnet()).map(take);
                }
            }
        }
    }
}

/// What has faded to this is forgotten.
const FORGOTTEN: f64 = 0.05;

fn fade<K>(counts: &mut Map<K, f64>, left: f64) {
    counts.retain(|_, count| {
        *count *= left;
        *count >= FORGOTTEN
    });
}

/// Counts one more; tells whether it was counted before.
fn bump<K: std::hash::Hash + Eq>(counts: &mut Map<K, f64>, key: K, weight: f64, most: usize) -> bool {
    let has_room = counts.len() < most;
    match counts.entry(key) {
        Entry::Occupied(count) => {
            *count.into_mut() += weight;
            true
        }
        Entry::Vacant(place) => {
            if has_room {
                place.insert(weight);
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_taken_back_takes_no_place_from_those_who_stay() {
        let mut alarm = Alarm::new(Room::Id(7), 0.0, 0);
        let counted = |alarm: &Alarm| alarm.keys.get(&KeyNumber(4)).map(|key| (key.addresses, key.strangers));
        assert!(Newcomer::example(1, 0).profile().is_paid());
        (1..=4).for_each(|host| alarm.add(&Newcomer::example(host, 0), 0, true));
        assert_eq!(counted(&alarm), Some((1.0, 4.0)), "the machines of one subnet are one place");
        (1..=3).for_each(|host| alarm.remove(&Newcomer::example(host, 0)));
        assert_eq!(counted(&alarm), Some((1.0, 1.0)));
        alarm.remove(&Newcomer::example(4, 0));
        assert_eq!(counted(&alarm), Some((0.0, 0.0)));
    }
}
