//! What ordinary crowds are made of: the shares of libraries, kinds of key and networks among strangers who were first seen
//! in calm rooms.
//!
//! Audiences are national, so shares are kept by network, and a network that few came from leans on the shares of all. What
//! was learned is [published](super::learning) as an immutable [`Ordinary`] after a count of strangers, never by a clock: the
//! same trace gives the same decisions. Counts are halved when there are many, so that last month's release does not outvote
//! today's. Nothing here takes longer the more there is: see [`census`](super::census).

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::census::{Census, Place, Tally};
use super::sighting::{Fingerprint, KeyNumber, Profile, SORTS, Sighting, Wide};

pub(super) type Map<K, V> = HashMap<K, V, FixedState>;

/// At so many strangers all counts are halved: some hours of a busy service, days of a quiet one.
pub(super) const STRANGERS_MAX: f64 = 50_000.0;

/// Profiles, networks and keys are counted up to so many different ones; the rest counts into the sums alone.
const PROFILES_MAX: usize = 2_048;
const NETWORKS_MAX: usize = 4_096;
const PROFILES_OF_A_NETWORK_MAX: usize = 256;
const APPS_MAX: usize = 16_384;

/// The crowd's size is estimated over so many of the commonest fingerprints; all others are *rare* together.
const COMMON_MAX: usize = 256;

/// So many changes of what is common are kept.
const CHANGES_KEPT: usize = 32;

/// A fingerprint that fewer strangers had is rare: its share is a guess.
const COMMON_MIN: f64 = 8.0;

/// Of the last strangers so many are counted by themselves, before all of them are halved.
const LATE_MAX: f64 = 1_024.0;

/// With fewer of the last strangers a profile is no release that is being rolled out.
const LATE_MIN: f64 = 8.0;

/// How many of the last strangers the share of all time is worth.
const LATE_SHARE_OF: f64 = 256.0;

const LATE_PROFILES_MAX: usize = 512;

/// How many strangers the guess is worth that key, device and fingerprint have nothing to do with each other.
const GUESS: f64 = 60.0;

/// How many strangers the shares of all are worth beside those of one network.
const NETWORK_GUESS: f64 = 30.0;

/// Of fewer strangers with a program nothing is said of where it is at home.
const AT_HOME_MIN: f64 = 12.0;

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

/// What one stranger in a calm room teaches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lesson {
    profile: Profile,
    wide: Wide,
    is_hosting: bool,
    /// The stranger's key, where it is now seen to be an app's.
    new_app: Option<KeyNumber>,
}

impl Lesson {
    pub(super) fn of(sighting: &Sighting, new_app: Option<KeyNumber>) -> Self {
        let Sighting { profile, wide, is_hosting, .. } = *sighting;
        Self { profile, wide, is_hosting, new_app }
    }
}

/// Shares, as they were learned.
#[derive(Debug, Clone)]
pub(super) struct Ordinary {
    /// How many strangers were learned from.
    strangers: f64,
    /// The same, and never halved.
    lessons: u64,
    profiles: Census<Profile>,
    fingerprints: Census<Fingerprint>,
    classes: [f64; 3],
    devices: [f64; 2],
    /// Strangers by network, and for each place what they came with.
    origins: Census<Wide>,
    networks: Vec<Network>,
    halvings: u32,
    /// Strangers from rented machines.
    hosting: f64,
    apps: HashSet<KeyNumber, FixedState>,
    /// In the order of the fingerprints.
    common: Vec<(Fingerprint, Place)>,
    /// By the fingerprint's place.
    is_common: Vec<bool>,
    /// How often a fingerprint became common, or no longer was, and which the last ones were.
    changes_of_common: u64,
    changed: VecDeque<Fingerprint>,
    /// How many strangers had rare fingerprints, by sort.
    rare: [f64; SORTS],
    /// The last strangers by profile, and how many there were.
    late: Census<Profile>,
    late_fingerprints: Census<Fingerprint>,
    late_strangers: f64,
}

/// What the strangers of one network came with.
#[derive(Debug, Clone, Default)]
struct Network {
    halvings: u32,
    profiles: Tally,
    fingerprints: Tally,
}

/// The networks that a crowd came from, each with its share of the crowd, and the share of all others.
#[derive(Debug, Clone, Default)]
pub(super) struct Mixture {
    networks: Vec<(Wide, Option<Place>, f64)>,
    elsewhere: f64,
}

impl Default for Ordinary {
    fn default() -> Self {
        Self {
            strangers: 0.0,
            lessons: 0,
            profiles: Census::new(PROFILES_MAX),
            fingerprints: Census::new(PROFILES_MAX),
            classes: [0.0; 3],
            devices: [0.0; 2],
            origins: Census::new(NETWORKS_MAX),
            networks: Vec::new(),
            halvings: 0,
            hosting: 0.0,
            apps: HashSet::default(),
            common: Vec::new(),
            is_common: Vec::new(),
            changes_of_common: 0,
            changed: VecDeque::new(),
            rare: [0.0; SORTS],
            late: Census::new(LATE_PROFILES_MAX),
            late_fingerprints: Census::new(LATE_PROFILES_MAX),
            late_strangers: 0.0,
        }
    }
}

impl Ordinary {
    /// How many strangers were learned from.
    pub(super) fn strangers(&self) -> f64 {
        self.strangers
    }

    /// How often it was taught anything: while this is the same, so is all that it says.
    pub(super) fn lessons(&self) -> u64 {
        self.lessons
    }

    /// The commonest fingerprints, in order, and how many strangers had each.
    pub(super) fn common(&self) -> impl ExactSizeIterator<Item = (Fingerprint, f64)> {
        self.common.iter().map(|(fingerprint, place)| (*fingerprint, self.fingerprints.at(*place)))
    }

    /// Whether a fingerprint is none of the common ones.
    pub(super) fn is_rare(&self, fingerprint: Fingerprint) -> bool {
        self.fingerprints.place(&fingerprint).is_none_or(|place| !self.is_common[usize::from(place)])
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

    /// How many strangers had a profile, and how many its fingerprint.
    pub(super) fn counts(&self, profile: Profile) -> (f64, f64) {
        (self.profiles.count_of(&profile), self.fingerprints.count_of(&profile.fingerprint))
    }

    /// The share of a profile: what was counted, and a guess where little was.
    fn of_profile(&self, profile: Profile) -> f64 {
        let (count, of_fingerprint) = self.counts(profile);
        let guess = self.share(of_fingerprint)
            * self.share(self.classes[profile.class()])
            * self.share(self.devices[profile.device()]);
        (count + GUESS * guess) / (self.strangers + GUESS)
    }

    /// The share of a profile among the last strangers, where there are enough of them to say.
    pub(super) fn of_late(&self, profile: Profile) -> f64 {
        let count = self.late.count_of(&profile);
        if count >= LATE_MIN { count / self.late_strangers.max(LATE_SHARE_OF) } else { 0.0 }
    }

    /// How many times its share of all time, `strangers`, a fingerprint has among the last strangers: more for a release that
    /// is being rolled out, less for the one that goes.
    pub(super) fn trend(&self, fingerprint: Fingerprint, strangers: f64) -> f64 {
        let share = self.share(strangers);
        let late = self.late_fingerprints.count_of(&fingerprint);
        (late / share + LATE_SHARE_OF) / (self.late_strangers + LATE_SHARE_OF)
    }

    /// How large a share may be of which nothing was seen yet: 3 in as many as were learned from.
    pub(super) fn doubt(&self) -> f64 {
        3.0 / (self.strangers + 3.0)
    }

    /// The networks of a crowd, the commonest first, each with its share of the crowd; and the share of all others.
    pub(super) fn mixture(&self, networks: impl Iterator<Item = (Wide, f64)>, elsewhere: f64) -> Mixture {
        let networks = networks.map(|(wide, share)| (wide, self.origins.place(&wide), share)).collect();
        Mixture { networks, elsewhere }
    }

    /// The networks of a mixture with their shares: how many strangers each had, and what they came with.
    fn networks<'o>(
        &'o self,
        mixture: &'o Mixture,
    ) -> impl Iterator<Item = (Option<(f64, &'o Network)>, f64)> {
        mixture.networks.iter().map(|(wide, place, share)| {
            // The mixture may be of another day: a place may have changed hands.
            let is_its = |place: &Place| {
                usize::from(*place) < self.networks.len() && self.origins.key(*place) == *wide
            };
            let place = place.filter(is_its).or_else(|| self.origins.place(wide));
            let network = place.map(|place| (self.origins.at(place), &self.networks[usize::from(place)]));
            (network.filter(|(strangers, _)| *strangers > 0.0), *share)
        })
    }

    /// The share of a profile among the strangers of a mixture of networks, and the share of its fingerprint.
    pub(super) fn shares_in(&self, profile: Profile, mixture: &Mixture) -> (f64, f64) {
        let place = self.profiles.place(&profile);
        let of_fingerprint = self.fingerprints.place(&profile.fingerprint);
        let all = self.of_profile(profile);
        let fingerprint_all = self.share(of_fingerprint.map_or(0.0, |place| self.fingerprints.at(place)));
        let (mut local, mut fingerprint_local) = (0.0, 0.0);
        for (network, share) in self.networks(mixture) {
            let Some((strangers, network)) = network else {
                local += share * all;
                fingerprint_local += share * fingerprint_all;
                continue;
            };
            let halvings = self.halvings - network.halvings;
            let count = network.profiles.at(place, halvings);
            local += share * ((count + NETWORK_GUESS * all) / (strangers + NETWORK_GUESS));
            let count = network.fingerprints.at(of_fingerprint, halvings);
            fingerprint_local +=
                share * ((count + NETWORK_GUESS * fingerprint_all) / (strangers + NETWORK_GUESS));
        }
        (mixture.elsewhere * all + local, mixture.elsewhere * fingerprint_all + fingerprint_local)
    }

    /// Where a fingerprint stands among the [common](Self::common) ones.
    pub(super) fn position_of_common(&self, fingerprint: Fingerprint) -> Option<usize> {
        if self.is_rare(fingerprint) {
            return None;
        }
        self.common.binary_search_by(|(other, _)| other.cmp(&fingerprint)).ok()
    }

    /// The shares of all [common](Self::common) fingerprints among the strangers of a mixture, each as
    /// [`shares_in`](Self::shares_in) gives it, to the last bits. Network by network and not one by one: each network's counts
    /// are read once, and nothing is done for those that it lacks.
    pub(super) fn of_common_in(&self, mixture: &Mixture) -> Vec<f64> {
        const RARE: u16 = u16::MAX;
        let mut positions = vec![RARE; self.fingerprints.places()];
        for (position, (_, place)) in (0u16..).zip(&self.common) {
            positions[usize::from(*place)] = position;
        }
        // What the share of all is worth everywhere, and what was counted of networks.
        let (mut of_all, mut local) = (mixture.elsewhere, vec![0.0; self.common.len()]);
        for (network, share) in self.networks(mixture) {
            let Some((strangers, network)) = network else {
                of_all += share;
                continue;
            };
            let each = share / (strangers + NETWORK_GUESS);
            of_all += each * NETWORK_GUESS;
            for (place, count) in network.fingerprints.iter(self.halvings - network.halvings) {
                if let Some(local) = local.get_mut(usize::from(positions[usize::from(place)])) {
                    *local += each * count;
                }
            }
        }
        for ((_, count), local) in self.common().zip(&mut local) {
            *local += of_all * self.share(count);
        }
        local
    }

    /// How many strangers a network had.
    pub(super) fn count_of_network(&self, wide: Wide) -> f64 {
        self.origins.count_of(&wide)
    }

    /// The share of a network.
    pub(super) fn of_network(&self, wide: Wide) -> f64 {
        (self.origins.count_of(&wide) + 0.3) / (self.strangers + 60.0)
    }

    /// How many times more of those who have a program come from a network than of all: where it is at home, as a platform's
    /// own program is. 1 where little is known of the program.
    pub(super) fn at_home(&self, fingerprint: Fingerprint, wide: Wide) -> f64 {
        let all = self.fingerprints.count_of(&fingerprint);
        if all < AT_HOME_MIN {
            return 1.0;
        }
        let share = self.of_network(wide);
        let network = self.origins.place(&wide).and_then(|place| self.networks.get(usize::from(place)));
        let here = network.map_or(0.0, |network| {
            network.fingerprints.at(self.fingerprints.place(&fingerprint), self.halvings - network.halvings)
        });
        ((here + NETWORK_GUESS * share) / (all + NETWORK_GUESS) / share).max(1.0)
    }

    /// The share of rented machines.
    pub(super) fn of_hosting(&self) -> f64 {
        (self.hosting + 0.3) / (self.strangers + 60.0)
    }

    /// Whether one key is in every copy of an app.
    pub(super) fn is_app(&self, key: KeyNumber) -> bool {
        self.apps.contains(&key)
    }

    /// Takes a lesson in.
    pub(super) fn learn(&mut self, lesson: &Lesson) {
        let Lesson { profile, wide, is_hosting, new_app } = *lesson;
        self.sweep();
        self.hosting += f64::from(u8::from(is_hosting));
        self.add(wide, profile, 1.0);
        self.late.sweep(|_, _, _| {});
        self.late.count(profile, 1.0);
        self.late_fingerprints.sweep(|_, _, _| {});
        self.late_fingerprints.count(profile.fingerprint, 1.0);
        self.late_strangers += 1.0;
        if self.late_strangers >= LATE_MAX {
            self.late.halve();
            self.late_fingerprints.halve();
            self.late_strangers *= 0.5;
        }
        if let Some(key) = new_app.filter(|_| self.apps.len() < APPS_MAX) {
            self.apps.insert(key);
        }
        if self.strangers >= STRANGERS_MAX {
            self.halve();
        }
    }

    /// Counts so many strangers with a profile from a network.
    fn add(&mut self, wide: Wide, profile: Profile, more: f64) {
        self.strangers += more;
        self.lessons += 1;
        self.classes[profile.class()] += more;
        self.devices[profile.device()] += more;
        let fingerprint_place = self.fingerprints.count(profile.fingerprint, more);
        if let Some(place) = fingerprint_place
            && self.is_common.len() <= usize::from(place)
        {
            self.is_common.resize(usize::from(place) + 1, false);
        }
        let residue = self.profiles.place(&profile).map_or(0.0, |place| self.profiles.raw_at(place));
        let place = self.profiles.count(profile, more);
        if let Some(place) = place
            && self.is_rare(profile.fingerprint)
        {
            // What was left of a count that starts anew goes with it.
            self.rare[usize::from(profile.sort)] += self.profiles.at(place) - residue;
        }
        if let Some(place) = fingerprint_place {
            self.consider(profile.fingerprint, place);
        }
        let Some(origin) = self.origins.count(wide, more) else { return };
        let origin = usize::from(origin);
        if self.networks.len() <= origin {
            self.networks.resize_with(origin + 1, Network::default);
        }
        let network = &mut self.networks[origin];
        network.make_up(self.halvings);
        if let Some(place) = place {
            network.profiles.count(place, more, PROFILES_OF_A_NETWORK_MAX);
        }
        if let Some(place) = fingerprint_place {
            network.fingerprints.count(place, more, PROFILES_OF_A_NETWORK_MAX);
        }
    }

    /// Makes a fingerprint common that has come to be among the commonest.
    fn consider(&mut self, fingerprint: Fingerprint, place: Place) {
        let count = self.fingerprints.at(place);
        if self.is_common[usize::from(place)] || count < COMMON_MIN {
            return;
        }
        if self.common.len() >= COMMON_MAX {
            let least = self.common.iter().map(|(other, place)| (self.fingerprints.at(*place), *other));
            let Some((least, other)) =
                least.min_by(|one, other| one.0.total_cmp(&other.0).then(other.1.cmp(&one.1)))
            else {
                return;
            };
            if count < least || count <= least && fingerprint > other {
                return;
            }
            self.make_rare(other);
        }
        if let Err(at) = self.common.binary_search_by(|(other, _)| other.cmp(&fingerprint)) {
            self.common.insert(at, (fingerprint, place));
            self.is_common[usize::from(place)] = true;
            self.count_rare(fingerprint, -1.0);
            self.note_changed(fingerprint);
        }
    }

    fn make_rare(&mut self, fingerprint: Fingerprint) {
        if let Ok(at) = self.common.binary_search_by(|(other, _)| other.cmp(&fingerprint)) {
            let (_, place) = self.common.remove(at);
            self.is_common[usize::from(place)] = false;
            self.count_rare(fingerprint, 1.0);
            self.note_changed(fingerprint);
        }
    }

    fn note_changed(&mut self, fingerprint: Fingerprint) {
        self.changes_of_common += 1;
        if self.changed.len() == CHANGES_KEPT {
            self.changed.pop_front();
        }
        self.changed.push_back(fingerprint);
    }

    /// How often a fingerprint became [common](Self::common), or no longer was.
    pub(super) fn changes_of_common(&self) -> u64 {
        self.changes_of_common
    }

    /// The fingerprints that did after so many; `None` where there were too many of them.
    pub(super) fn changed_since(&self, changes: u64) -> Option<impl Iterator<Item = Fingerprint>> {
        let missed = usize::try_from(self.changes_of_common.checked_sub(changes)?).ok()?;
        let kept = self.changed.len().checked_sub(missed)?;
        Some(self.changed.range(kept..).copied())
    }

    /// Counts the strangers with a fingerprint among those who had a rare one, or no longer.
    fn count_rare(&mut self, fingerprint: Fingerprint, sign: f64) {
        for (sort, rare) in (0u8..).zip(&mut self.rare) {
            if let Some(place) = self.profiles.place(&Profile { fingerprint, sort }) {
                *rare += sign * self.profiles.raw_at(place);
            }
        }
    }

    /// Halves everything; what is left of one or two strangers is forgotten.
    fn halve(&mut self) {
        self.halvings += 1;
        self.strangers *= 0.5;
        self.hosting *= 0.5;
        self.profiles.halve();
        self.fingerprints.halve();
        self.origins.halve();
        self.classes = self.classes.map(|count| count * 0.5);
        self.devices = self.devices.map(|count| count * 0.5);
        self.rare = self.rare.map(|count| count * 0.5);
        let common = self.common().filter(|(_, count)| *count < COMMON_MIN);
        let rare: Vec<Fingerprint> = common.map(|(fingerprint, _)| fingerprint).collect();
        for fingerprint in rare {
            self.make_rare(fingerprint);
        }
    }

    /// Frees a few of those of whom nothing is left.
    fn sweep(&mut self) {
        let Self { profiles, fingerprints, origins, networks, is_common, rare, halvings, .. } = self;
        profiles.sweep(|profile, _, little| {
            let place = fingerprints.place(&profile.fingerprint);
            if place.is_none_or(|place| !is_common[usize::from(place)]) {
                rare[usize::from(profile.sort)] -= little;
            }
        });
        fingerprints.sweep(|_, _, _| {});
        origins.sweep(|_, place, _| {
            networks[usize::from(place)] = Network { halvings: *halvings, ..Network::default() };
        });
    }

    /// What was learned, as plain data.
    pub(super) fn shares(&self) -> Shares {
        let mut counts: Vec<(Wide, Profile, f64)> = Vec::new();
        for (place, network) in (0u16..).zip(&self.networks) {
            if self.origins.at(place) > 0.0 {
                let profiles = network.profiles.iter(self.halvings - network.halvings);
                let profiles = profiles.filter(|(_, count)| *count > 0.0);
                let wide = self.origins.key(place);
                counts.extend(profiles.map(|(profile, count)| (wide, self.profiles.key(profile), count)));
            }
        }
        counts.sort_by_key(|(wide, profile, _)| (*wide, *profile));
        let mut apps: Vec<KeyNumber> = self.apps.iter().copied().collect();
        apps.sort_unstable();
        Shares { counts, apps, hosting: self.hosting }
    }

    /// What is kept beside the counts is what the counts say.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let places = 0..self.fingerprints.places() as Place;
        let mut commonest: Vec<(f64, Fingerprint)> = places
            .map(|place| (place, self.fingerprints.key(place)))
            .filter(|(place, fingerprint)| self.fingerprints.place(fingerprint) == Some(*place))
            .map(|(place, fingerprint)| (self.fingerprints.at(place), fingerprint))
            .collect();
        commonest.retain(|(count, _)| *count >= COMMON_MIN);
        commonest.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        commonest.truncate(COMMON_MAX);
        commonest.sort_by_key(|(_, fingerprint)| *fingerprint);
        assert_eq!(
            self.common().collect::<Vec<_>>(),
            commonest.iter().map(|(count, fingerprint)| (*fingerprint, *count)).collect::<Vec<_>>()
        );
        let mut rare = [0.0; SORTS];
        for place in 0..self.profiles.places() as Place {
            let profile = self.profiles.key(place);
            if self.profiles.place(&profile) == Some(place) && self.is_rare(profile.fingerprint) {
                rare[usize::from(profile.sort)] += self.profiles.raw_at(place);
            }
        }
        for (kept, counted) in self.rare.iter().zip(rare) {
            assert!((kept - counted).abs() < 1e-6, "{kept} and not {counted}");
        }
    }

    pub(super) fn of_shares(shares: &Shares) -> Self {
        let mut model = Self { hosting: shares.hosting, ..Self::default() };
        for (wide, profile, count) in &shares.counts {
            model.add(*wide, *profile, *count);
        }
        model.apps.extend(shares.apps.iter().take(APPS_MAX));
        model
    }
}

impl Network {
    /// Makes up for the halvings since it was written last.
    fn make_up(&mut self, halvings: u32) {
        let missed = halvings - self.halvings;
        if missed > 0 {
            self.profiles.halve(missed);
            self.fingerprints.halve(missed);
            self.halvings = halvings;
        }
    }
}
