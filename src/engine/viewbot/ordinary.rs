//! What ordinary crowds are made of: the shares of libraries, kinds of key and networks among strangers who were first seen
//! in calm rooms.
//!
//! Audiences are national, so shares are kept by network, and a network that few came from leans on the shares of all. What
//! was learned is published as an immutable [`Ordinary`] after a count of strangers, never by a clock: the same trace gives the
//! same decisions. Counts are halved when there are many, so that last month's release does not outvote today's.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::arith::{faded, mix};
use super::sighting::{Fingerprint, KeyNumber, Profile, SORTS, Sighting, Wide};

pub(super) type Map<K, V> = HashMap<K, V, FixedState>;

/// At so many strangers all counts are halved: some hours of a busy service, days of a quiet one.
const STRANGERS_MAX: f64 = 50_000.0;

/// Profiles, networks and keys are counted up to so many different ones; the rest counts into the sums alone.
const PROFILES_MAX: usize = 2_048;
const NETWORKS_MAX: usize = 4_096;
const PROFILES_OF_A_NETWORK_MAX: usize = 256;
const KEYS_MAX: usize = 16_384;

/// The crowd's size is estimated over so many of the commonest fingerprints; all others are *rare* together.
const COMMON_MAX: usize = 256;

/// A fingerprint that fewer strangers had is rare: its share is a guess.
const COMMON_MIN: f64 = 8.0;

/// How many strangers the guess is worth that key, device and fingerprint have nothing to do with each other.
const GUESS: f64 = 60.0;

/// How many strangers the shares of all are worth beside those of one network.
const NETWORK_GUESS: f64 = 30.0;

/// A key is an app's that strangers used in so many calm rooms, from so many subnets: one key in every copy.
const APP_ROOMS: usize = 8;

/// What is usual of known viewers is forgotten in this time: an average over all time would be blind in the evening.
const USUAL_TAU_SECS: f64 = 300.0;

/// Below so many arrivals nothing is said of what is usual.
const USUAL_MIN: f64 = 200.0;

/// How many strangers came with which profile from which network, and which keys are apps'.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shares {
    /// In order.
    pub counts: Vec<(Wide, Profile, f64)>,
    /// In order.
    pub apps: Vec<KeyNumber>,
    /// How many came from rented machines.
    pub hosting: f64,
}

/// Shares, as they were learned.
#[derive(Debug, Clone, Default)]
pub(super) struct Ordinary {
    /// How many strangers were learned from.
    strangers: f64,
    profiles: Map<Profile, f64>,
    fingerprints: Map<Fingerprint, f64>,
    classes: [f64; 3],
    devices: [f64; 2],
    networks: Map<Wide, Arc<Network>>,
    /// Strangers from rented machines.
    hosting: f64,
    keys: Map<KeyNumber, Arc<KeyUse>>,
    common: Arc<[(Fingerprint, f64)]>,
    /// How many strangers had rare fingerprints, by sort.
    rare: [f64; SORTS],
}

#[derive(Debug, Clone, Default)]
struct Network {
    strangers: f64,
    profiles: Map<Profile, f64>,
    fingerprints: Map<Fingerprint, f64>,
}

#[derive(Debug, Clone, Default)]
struct KeyUse {
    rooms: Vec<u32>,
    subnets: Vec<u64>,
}

impl KeyUse {
    fn is_app(&self) -> bool {
        self.rooms.len() >= APP_ROOMS && self.subnets.len() >= APP_ROOMS
    }
}

impl Ordinary {
    /// How many strangers were learned from.
    pub(super) fn strangers(&self) -> f64 {
        self.strangers
    }

    /// The commonest fingerprints, in order.
    pub(super) fn common(&self) -> &[(Fingerprint, f64)] {
        &self.common
    }

    /// Whether a fingerprint is none of the common ones.
    pub(super) fn is_rare(&self, fingerprint: Fingerprint) -> bool {
        self.common.binary_search_by(|(other, _)| other.cmp(&fingerprint)).is_err()
    }

    /// The share of rare fingerprints among strangers of a sort.
    pub(super) fn rare_share(&self, sort: u8) -> f64 {
        (self.rare[usize::from(sort)] + 1.0) / (self.strangers + GUESS)
    }

    /// The share of rare fingerprints.
    pub(super) fn rare_fingerprints(&self) -> f64 {
        self.rare.iter().sum::<f64>().max(1.0)
    }

    fn share(&self, count: f64) -> f64 {
        (count + 0.5) / (self.strangers + 12.0)
    }

    /// The share of a fingerprint.
    pub(super) fn of_fingerprint(&self, fingerprint: Fingerprint) -> f64 {
        self.share(self.fingerprints.get(&fingerprint).copied().unwrap_or(0.0))
    }

    /// How many strangers had a profile, and how many its fingerprint.
    pub(super) fn counts(&self, profile: Profile) -> (f64, f64) {
        let count = self.profiles.get(&profile).copied().unwrap_or(0.0);
        (count, self.fingerprints.get(&profile.fingerprint).copied().unwrap_or(0.0))
    }

    /// The share of a profile: what was counted, and a guess where little was.
    pub(super) fn of_profile(&self, profile: Profile) -> f64 {
        let guess = self.of_fingerprint(profile.fingerprint)
            * self.share(self.classes[profile.class()])
            * self.share(self.devices[profile.device()]);
        let count = self.profiles.get(&profile).copied().unwrap_or(0.0);
        (count + GUESS * guess) / (self.strangers + GUESS)
    }

    /// The share of a profile among the strangers of a network.
    pub(super) fn of_profile_in(&self, profile: Profile, wide: Wide) -> f64 {
        let all = self.of_profile(profile);
        self.networks.get(&wide).map_or(all, |network| {
            let count = network.profiles.get(&profile).copied().unwrap_or(0.0);
            (count + NETWORK_GUESS * all) / (network.strangers + NETWORK_GUESS)
        })
    }

    /// The share of a fingerprint among the strangers of a network.
    pub(super) fn of_fingerprint_in(&self, fingerprint: Fingerprint, wide: Wide) -> f64 {
        let all = self.of_fingerprint(fingerprint);
        self.networks.get(&wide).map_or(all, |network| {
            let count = network.fingerprints.get(&fingerprint).copied().unwrap_or(0.0);
            (count + NETWORK_GUESS * all) / (network.strangers + NETWORK_GUESS)
        })
    }

    /// The share of a network.
    pub(super) fn of_network(&self, wide: Wide) -> f64 {
        let count = self.networks.get(&wide).map_or(0.0, |network| network.strangers);
        (count + 0.3) / (self.strangers + 60.0)
    }

    /// The share of rented machines.
    pub(super) fn of_hosting(&self) -> f64 {
        (self.hosting + 0.3) / (self.strangers + 60.0)
    }

    /// Whether one key is in every copy of an app.
    pub(super) fn is_app(&self, key: KeyNumber) -> bool {
        self.keys.get(&key).is_some_and(|uses| uses.is_app())
    }

    fn learn(&mut self, sighting: &Sighting) {
        self.strangers += 1.0;
        count(&mut self.profiles, sighting.profile, PROFILES_MAX);
        count(&mut self.fingerprints, sighting.profile.fingerprint, PROFILES_MAX);
        self.classes[sighting.profile.class()] += 1.0;
        self.devices[sighting.profile.device()] += 1.0;
        self.hosting += f64::from(u8::from(sighting.is_hosting));
        let has_room = self.networks.len() < NETWORKS_MAX;
        if let Some(network) = if has_room {
            Some(self.networks.entry(sighting.wide).or_default())
        } else {
            self.networks.get_mut(&sighting.wide)
        } {
            let network = Arc::make_mut(network);
            network.strangers += 1.0;
            count(&mut network.profiles, sighting.profile, PROFILES_OF_A_NETWORK_MAX);
            count(&mut network.fingerprints, sighting.profile.fingerprint, PROFILES_OF_A_NETWORK_MAX);
        }
        if let Some(key) = sighting.key {
            self.learn_key(key, sighting);
        }
    }

    /// What was learned, as plain data.
    pub(super) fn shares(&self) -> Shares {
        let mut counts: Vec<(Wide, Profile, f64)> = Vec::new();
        for (wide, network) in &self.networks {
            counts.extend(network.profiles.iter().map(|(profile, count)| (*wide, *profile, *count)));
        }
        counts.sort_by_key(|(wide, profile, _)| (*wide, *profile));
        let mut apps: Vec<KeyNumber> =
            self.keys.iter().filter(|(_, uses)| uses.is_app()).map(|(key, _)| *key).collect();
        apps.sort_unstable();
        Shares { counts, apps, hosting: self.hosting }
    }

    fn of_shares(shares: &Shares) -> Self {
        let mut model = Self { hosting: shares.hosting, ..Self::default() };
        for (wide, profile, count) in &shares.counts {
            model.strangers += count;
            *model.profiles.entry(*profile).or_default() += count;
            *model.fingerprints.entry(profile.fingerprint).or_default() += count;
            model.classes[profile.class()] += count;
            model.devices[profile.device()] += count;
            let network = Arc::make_mut(model.networks.entry(*wide).or_default());
            network.strangers += count;
            *network.profiles.entry(*profile).or_default() += count;
            *network.fingerprints.entry(profile.fingerprint).or_default() += count;
        }
        for key in &shares.apps {
            let uses = KeyUse { rooms: vec![0; APP_ROOMS], subnets: vec![0; APP_ROOMS] };
            model.keys.insert(*key, Arc::new(uses));
        }
        model.settle();
        model
    }

    fn learn_key(&mut self, key: KeyNumber, sighting: &Sighting) {
        if self.keys.get(&key).is_some_and(|uses| uses.is_app())
            || self.keys.len() >= KEYS_MAX && !self.keys.contains_key(&key)
        {
            return;
        }
        let uses = Arc::make_mut(self.keys.entry(key).or_default());
        if uses.rooms.len() < APP_ROOMS && !uses.rooms.contains(&sighting.short) {
            uses.rooms.push(sighting.short);
        }
        let subnet = mix(sighting.subnet.to_number(), 0);
        if uses.subnets.len() < APP_ROOMS && !uses.subnets.contains(&subnet) {
            uses.subnets.push(subnet);
        }
    }

    /// Halves everything; what is left of one or two strangers is forgotten.
    fn halve(&mut self) {
        self.strangers *= 0.5;
        self.hosting *= 0.5;
        halve(&mut self.profiles);
        halve(&mut self.fingerprints);
        self.classes = self.classes.map(|count| count * 0.5);
        self.devices = self.devices.map(|count| count * 0.5);
        self.networks.retain(|_, network| {
            let network = Arc::make_mut(network);
            network.strangers *= 0.5;
            halve(&mut network.profiles);
            halve(&mut network.fingerprints);
            network.strangers >= 0.5
        });
        self.keys.retain(|_, uses| uses.is_app());
    }

    /// Puts together what is looked up by order.
    fn settle(&mut self) {
        let mut common: Vec<(Fingerprint, f64)> = self
            .fingerprints
            .iter()
            .filter(|(_, count)| **count >= COMMON_MIN)
            .map(|(fingerprint, count)| (*fingerprint, *count))
            .collect();
        common.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        common.truncate(COMMON_MAX);
        common.sort_by_key(|(fingerprint, _)| *fingerprint);
        self.common = common.into();
        let mut rare: Vec<(Profile, f64)> =
            self.profiles.iter().map(|(profile, count)| (*profile, *count)).collect();
        rare.retain(|(profile, _)| self.is_rare(profile.fingerprint));
        rare.sort_by_key(|(profile, _)| *profile);
        self.rare = [0.0; SORTS];
        for (profile, count) in rare {
            self.rare[usize::from(profile.sort)] += count;
        }
    }
}

fn count<K: std::hash::Hash + Eq>(counts: &mut Map<K, f64>, key: K, most: usize) {
    if let Some(count) = counts.get_mut(&key) {
        *count += 1.0;
    } else if counts.len() < most {
        counts.insert(key, 1.0);
    }
}

fn halve<K>(counts: &mut Map<K, f64>) {
    counts.retain(|_, count| {
        *count *= 0.5;
        *count >= 0.5
    });
}

/// What is being learned.
#[derive(Debug, Default)]
pub(super) struct Learning {
    model: Ordinary,
    unpublished: f64,
    known: f64,
    arrivals: f64,
    at: u32,
}

impl Learning {
    /// A stranger was admitted to a calm room. Gives what to publish, when it is time.
    pub(super) fn stranger(&mut self, sighting: &Sighting) -> Option<Ordinary> {
        self.model.learn(sighting);
        self.unpublished += 1.0;
        if self.model.strangers >= STRANGERS_MAX {
            self.model.halve();
        }
        // Often while little is known, and then whenever a thirty-second of it is new.
        if self.unpublished < (self.model.strangers / 32.0).clamp(16.0, 512.0) {
            return None;
        }
        self.unpublished = 0.0;
        self.model.settle();
        Some(self.model.clone())
    }

    /// Somebody new came to a calm room that has an audience.
    pub(super) fn arrival(&mut self, is_known: bool, now: u32) {
        let fade = faded(f64::from(now.saturating_sub(self.at)), USUAL_TAU_SECS);
        self.at = self.at.max(now);
        self.known = self.known * fade + f64::from(u8::from(is_known));
        self.arrivals = self.arrivals * fade + 1.0;
    }

    /// The share of known viewers among those who come to calm rooms these minutes; 0 while too few came to say.
    pub(super) fn usual_known(&self) -> f64 {
        if self.arrivals >= USUAL_MIN { self.known / self.arrivals } else { 0.0 }
    }

    /// Puts back what was learned; gives what to publish.
    pub(super) fn recall(&mut self, shares: &Shares) -> Ordinary {
        self.model = Ordinary::of_shares(shares);
        self.model.clone()
    }

    /// What has been learned, to be exported.
    pub(super) fn model(&self) -> &Ordinary {
        &self.model
    }
}
