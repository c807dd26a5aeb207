//! How many strangers of an alarmed room came with rare fingerprints, and which profiles came often: kept as they come.
//!
//! Whoever makes up a user agent for each viewer has a profile for each; going through all of them for every request would
//! hand him the gateway's time. So a change of a count is noted, and made up for when the room is weighed next: what is
//! rare is the published model's to say, which is at hand there alone. All counts together are only gone through when all
//! have changed, once a minute. Sums are whole numbers, and hang on no order.

use std::collections::BTreeMap;

use super::cohort::Cohort;
use super::ordinary::{Map, Ordinary};
use super::profile::SEEN_MIN;
use super::sighting::{Profile, SORTS};

/// So many changes are made up for one by one.
const CHANGED_MAX: usize = 64;

/// Of the profiles that came often so many are looked at, those with the most strangers: a room with more of them has an
/// excess, whatever the others are.
const FREQUENT_MAX: usize = 512;

/// Counts in units of `2^-32`.
const UNIT: f64 = 4_294_967_296.0;

#[expect(clippy::cast_sign_loss, reason = "no count is negative")]
fn units(count: f64) -> u64 {
    (count * UNIT).round() as u64
}

/// The rare fingerprints of one sort.
#[derive(Debug, Clone, Default)]
struct Rare {
    sum: u64,
    /// How many profiles have a count.
    profiles: BTreeMap<u64, u32>,
}

impl Rare {
    fn add(&mut self, count: u64) {
        self.sum += count;
        *self.profiles.entry(count).or_default() += 1;
    }

    fn take(&mut self, count: u64) {
        self.sum -= count;
        if let Some(profiles) = self.profiles.get_mut(&count) {
            *profiles -= 1;
            if *profiles == 0 {
                self.profiles.remove(&count);
            }
        }
    }
}

/// What is kept of a room's profiles beside the counts themselves.
#[derive(Debug, Clone)]
pub(super) struct Rarities {
    rare: [Rare; SORTS],
    /// With so many strangers that they may be no chance; in order.
    frequent: Vec<Profile>,
    changed: Vec<Profile>,
    /// Of which state of the model it says what is rare.
    of_model: u64,
    is_stale: bool,
}

impl Default for Rarities {
    fn default() -> Self {
        Self {
            rare: Default::default(),
            frequent: Vec::new(),
            changed: Vec::new(),
            of_model: 0,
            is_stale: true,
        }
    }
}

impl Rarities {
    /// The count of a profile has changed.
    #[inline]
    pub(super) fn note(&mut self, profile: Profile) {
        if self.is_stale || self.changed.last() == Some(&profile) {
            return;
        }
        if self.changed.len() < CHANGED_MAX { self.changed.push(profile) } else { self.is_stale = true }
    }

    /// All counts have changed.
    pub(super) fn note_all(&mut self) {
        self.is_stale = true;
    }

    /// Makes up for what has changed.
    pub(super) fn catch_up(&mut self, profiles: &mut Map<Profile, Cohort>, ordinary: &Ordinary) {
        let of_model = ordinary.changes_of_common();
        let since = if self.is_stale { None } else { ordinary.changed_since(self.of_model) };
        self.of_model = of_model;
        let Some(since) = since else {
            self.count_all(profiles, ordinary);
            return;
        };
        for fingerprint in since {
            for sort in 0..SORTS as u8 {
                self.count(Profile { fingerprint, sort }, profiles, ordinary);
            }
        }
        while let Some(profile) = self.changed.pop() {
            self.count(profile, profiles, ordinary);
        }
    }

    fn count_all(&mut self, profiles: &mut Map<Profile, Cohort>, ordinary: &Ordinary) {
        self.rare = Default::default();
        self.frequent.clear();
        self.changed.clear();
        for (profile, cohort) in profiles {
            cohort.as_rare = if ordinary.is_rare(profile.fingerprint) { units(cohort.strangers) } else { 0 };
            if cohort.as_rare > 0 {
                self.rare[usize::from(profile.sort)].add(cohort.as_rare);
            }
            if cohort.strangers >= SEEN_MIN {
                self.frequent.push(*profile);
            }
        }
        self.frequent.sort_unstable();
        self.is_stale = false;
    }

    fn count(&mut self, profile: Profile, profiles: &mut Map<Profile, Cohort>, ordinary: &Ordinary) {
        let Some(cohort) = profiles.get_mut(&profile) else { return };
        let rare = &mut self.rare[usize::from(profile.sort)];
        if cohort.as_rare > 0 {
            rare.take(cohort.as_rare);
        }
        cohort.as_rare = if ordinary.is_rare(profile.fingerprint) { units(cohort.strangers) } else { 0 };
        if cohort.as_rare > 0 {
            rare.add(cohort.as_rare);
        }
        match (self.frequent.binary_search(&profile), cohort.strangers >= SEEN_MIN) {
            (Err(at), true) => self.frequent.insert(at, profile),
            (Ok(at), false) => {
                self.frequent.remove(at);
            }
            _ => {}
        }
    }

    /// Profiles with [`SEEN_MIN`] strangers and more, in order, each with how many.
    pub(super) fn frequent(&self, profiles: &Map<Profile, Cohort>) -> Vec<(Profile, f64)> {
        let counted = |profile: &Profile| Some((*profile, profiles.get(profile)?.strangers));
        let mut frequent: Vec<(Profile, f64)> = self.frequent.iter().filter_map(counted).collect();
        if frequent.len() > FREQUENT_MAX {
            frequent.select_nth_unstable_by(FREQUENT_MAX, |one, other| {
                other.1.total_cmp(&one.1).then(one.0.cmp(&other.0))
            });
            frequent.truncate(FREQUENT_MAX);
            frequent.sort_unstable_by_key(|(profile, _)| *profile);
        }
        frequent
    }

    /// Strangers of a sort with rare fingerprints, without the most frequent of these and without those of the profiles
    /// `but`.
    pub(super) fn of_sort(&self, sort: u8, but: &[Profile], profiles: &Map<Profile, Cohort>) -> f64 {
        let rare = &self.rare[usize::from(sort)];
        let but = but.iter().filter(|profile| profile.sort == sort);
        let mut without: Vec<u64> =
            but.filter_map(|profile| profiles.get(profile)).map(|cohort| cohort.as_rare).collect();
        without.sort_unstable();
        let sum = rare.sum - without.iter().sum::<u64>();
        let mut most = 0;
        for (count, profiles) in rare.profiles.iter().rev() {
            let mut left = *profiles;
            while without.pop_if(|last| last == count).is_some() {
                left -= 1;
            }
            if left > 0 {
                most = *count;
                break;
            }
        }
        (sum - most) as f64 / UNIT
    }

    /// Everything is what going through all counts would find.
    #[cfg(test)]
    pub(super) fn check(&self, profiles: &Map<Profile, Cohort>, ordinary: &Ordinary) {
        for sort in 0..SORTS as u8 {
            let rare = |profile: &Profile| profile.sort == sort && ordinary.is_rare(profile.fingerprint);
            let counts = profiles.iter().filter(|(profile, _)| rare(profile));
            let mut counts: Vec<f64> = counts.map(|(_, cohort)| cohort.strangers).collect();
            counts.sort_by(f64::total_cmp);
            counts.pop();
            let (kept, counted) = (self.of_sort(sort, &[], profiles), counts.iter().sum::<f64>());
            assert!((kept - counted).abs() < 1e-6, "{kept} and not {counted} of sort {sort}");
        }
        let often = profiles.iter().filter(|(_, cohort)| cohort.strangers >= SEEN_MIN);
        let mut often: Vec<Profile> = often.map(|(profile, _)| *profile).collect();
        often.sort_unstable();
        assert_eq!(self.frequent, often);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::Prefix;
    use crate::base::room::Room;
    use crate::base::subject::Subject;
    use crate::engine::viewbot::ordinary::Lesson;
    use crate::engine::viewbot::sighting::{Address, Fingerprint, Label, Sighting, Viewer, Wide};
    use proptest::prelude::*;

    fn profile(n: u64) -> Profile {
        Profile { fingerprint: Fingerprint(n % 300), sort: (n / 300 % SORTS as u64) as u8 }
    }

    fn lesson(n: u64) -> Lesson {
        let address = Address::of(Prefix::proxy([192, 0, 2, n as u8].into()));
        let room = Room::Id(1);
        let sighting = Sighting {
            room,
            subject: Subject::room(&room),
            short: 1,
            viewer: Viewer { address, who: n },
            has_device: false,
            subnet: address.subnet(),
            wide: Wide::example(n & 7),
            is_hosting: false,
            is_shared: false,
            is_mobile: false,
            profile: profile(n),
            key: None,
            is_free: false,
            is_nameless: true,
            label: Label::new(""),
        };
        Lesson::of(&sighting, None)
    }

    proptest! {
        /// Whatever comes, goes, fades, becomes common or rare, and however seldom anybody looks.
        #[test]
        fn what_is_kept_is_what_going_through_everything_would_find(
            steps in proptest::collection::vec((0u8..40, 0u64..1_800), 1..900)
        ) {
            let (mut rarities, mut ordinary) = (Rarities::default(), Ordinary::default());
            let mut profiles: Map<Profile, Cohort> = Map::default();
            for (step, n) in steps {
                match step {
                    0 => {
                        profiles.retain(|_, cohort| {
                            cohort.strangers *= 0.7;
                            cohort.strangers >= 0.3
                        });
                        rarities.note_all();
                    }
                    1..10 => {
                        rarities.catch_up(&mut profiles, &ordinary);
                        rarities.check(&profiles, &ordinary);
                        let held: Vec<Profile> = rarities.frequent.iter().copied().step_by(2).collect();
                        for sort in 0..SORTS as u8 {
                            let rare = profiles.iter().filter(|(profile, _)| {
                                profile.sort == sort
                                    && ordinary.is_rare(profile.fingerprint)
                                    && !held.contains(profile)
                            });
                            let counts = rare.map(|(_, cohort)| cohort.strangers);
                            let (sum, most) = counts.fold((0.0, 0.0f64), |(sum, most), n| (sum + n, most.max(n)));
                            prop_assert!((rarities.of_sort(sort, &held, &profiles) - (sum - most)).abs() < 1e-6);
                        }
                    }
                    // Some fingerprints become common: those below 20.
                    10..20 => (0..9).for_each(|_| ordinary.learn(&lesson(n % 20))),
                    20..24 => {
                        if let Some(cohort) = profiles.get_mut(&profile(n)) {
                            cohort.strangers = (cohort.strangers - 1.0).max(0.0);
                            rarities.note(profile(n));
                        }
                    }
                    _ => {
                        let n = if step < 32 { n % 40 } else { n };
                        profiles.entry(profile(n)).or_default().strangers += 1.0;
                        rarities.note(profile(n));
                    }
                }
            }
        }
    }
}
