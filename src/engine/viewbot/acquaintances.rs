//! H2 among acquaintances: a burst of known viewers who all have one program, and come from everywhere.
//!
//! **What it measures.** How many of the room's known newcomers have the viewer's library and user agent, `K_f`, against how many an
//! ordinary crowd of known viewers has, `E`; and whether most of them were in one and the same room before.
//!
//! **Formula.** bits = `log2(K_f / E)`, where that is four bits and more; `E = B * p`, with the share `p` as [`profile`] estimates
//! it, for the networks of the known newcomers, and for `B` the lower quartile of `(K_g + 3) / p_g` over all fingerprints,
//! weighted by `p_g` (the rule of three: none seen may have been three). Nothing where fewer than half of them have an
//! address that tells where they were, nor where three in five of those came from the same room. Being known is no credit
//! then, and it throttles at most.
//!
//! **Why.** Being known can be earned, by a visit to some quiet room, long enough ago: a hundred decoys hide thousands of
//! visits. What is earned so does not look like an audience: known viewers have tastes as strangers have, and a
//! streamer's own audience comes again to the room where it was, or comes with a raid, from one room.
//!
//! **Known false positives.** People from many rooms who come at once to a room where they never were, nearly all with one
//! program that few others have: an event of an app's own users. They wait.
//!
//! **An example.** `profile: 212 known viewers have it, 6 expected of an ordinary crowd of 31 (+4.0)`.
//!
//! **Settings.** Those of [`profile`].

use super::arith::weighted_quantile;
use super::cohort::Alarm;
use super::evidence::{Finding, Kind};
use super::ordinary::{Map, Ordinary};
use super::profile;
use super::sighting::{Fingerprint, Sighting};

/// At most one in sixteen is ordinary: a program can be the favourite of those who know each other by less.
const BITS_MIN: f64 = 4.0;

/// A quarter of the fingerprints' weight tells the crowd's size, and not half of it, as among strangers: whoever ages identities
/// by the thousand has taught the model that their program is common. Tastes are within [`BITS_MIN`] of that.
const SIZE_QUANTILE: f64 = 0.25;

/// Fewer known newcomers are not looked at.
const KNOWN_MIN: f64 = 12.0;

/// By so large a part of all more came from one room than from all others together: it is three in five then.
const LEAD: f64 = 0.2;

/// Where those with one fingerprint were before: the room that most came from, by majority vote (Boyer and Moore, 1981).
#[derive(Debug, Clone, Copy, Default)]
struct Origin {
    /// Those of whom it is known.
    told: f64,
    /// In a few bits.
    room: u32,
    lead: f64,
}

/// What is counted and estimated of a room's known newcomers, beside how many they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Acquaintances {
    origins: Map<Fingerprint, Origin>,
    /// How many an ordinary crowd has of each fingerprint of which there are far more.
    expected: Vec<(Fingerprint, f64)>,
    size: f64,
    /// Of how many known newcomers the next estimate is made.
    next: f64,
}

impl Acquaintances {
    /// Another one, who was in `room` before, where that is known.
    pub(super) fn note(&mut self, fingerprint: Fingerprint, room: Option<u32>, weight: f64, most: usize) {
        let Some(room) = room else { return };
        if self.origins.len() >= most && !self.origins.contains_key(&fingerprint) {
            return;
        }
        let origin = self.origins.entry(fingerprint).or_default();
        origin.told += weight;
        if origin.room == room {
            origin.lead += weight;
        } else if origin.lead >= weight {
            origin.lead -= weight;
        } else {
            (origin.room, origin.lead) = (room, weight - origin.lead);
        }
    }

    /// Takes one back who was in `room` before. Whom the vote had paired it with is not known any more: that room's lead is
    /// one less at most.
    pub(super) fn take_back(&mut self, fingerprint: Fingerprint, room: Option<u32>) {
        if let (Some(room), Some(origin)) = (room, self.origins.get_mut(&fingerprint)) {
            origin.told = (origin.told - 1.0).max(0.0);
            if origin.room == room {
                origin.lead = (origin.lead - 1.0).max(0.0);
            }
        }
    }

    /// Halves, as all counts of the room.
    pub(super) fn decay(&mut self, left: f64, forgotten: f64) {
        self.origins.retain(|_, origin| {
            (origin.told, origin.lead) = (origin.told * left, origin.lead * left);
            origin.told >= forgotten
        });
        self.next = 0.0;
    }

    /// Whether they came from everywhere, as far as most of `known` tell.
    fn came_from_everywhere(&self, fingerprint: Fingerprint, known: f64) -> bool {
        self.origins
            .get(&fingerprint)
            .is_some_and(|origin| origin.told >= 0.5 * known && origin.lead < LEAD * origin.told)
    }
}

/// Estimates the crowd of known viewers anew where enough came since.
pub(super) fn measure(alarm: &mut Alarm, ordinary: &Ordinary) {
    if alarm.known < alarm.acquaintances.next.max(KNOWN_MIN) {
        return;
    }
    let mixture = profile::mixture_of(&alarm.known_wides, ordinary);
    let here = profile::of_common(&alarm.known_fingerprints, ordinary);
    let shares = ordinary.of_common_in(&mixture);
    // Of none that were seen there may have been three.
    let size_by = |seen: f64, share: f64| ((seen + 3.0) / share, share);
    let (mut sizes, mut of_common, mut seen) = (Vec::new(), 0.0, Vec::new());
    for ((here, share), (fingerprint, strangers)) in here.iter().zip(&shares).zip(ordinary.common()) {
        let share = share * ordinary.trend(fingerprint, strangers);
        of_common += here;
        sizes.push(size_by(*here, share));
        if *here > 0.0 {
            seen.push((fingerprint, *here, share + ordinary.doubt()));
        }
    }
    let rare = (ordinary.rare_fingerprints() + 0.5) / (ordinary.strangers() + 12.0);
    sizes.push(size_by((alarm.known - of_common).max(0.0), rare));
    sizes.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
    let size = weighted_quantile(&sizes, SIZE_QUANTILE);
    let far_more = seen.iter().filter(|(_, here, share)| profile::lift(*here, size * share) >= BITS_MIN);
    let acquaintances = &mut alarm.acquaintances;
    acquaintances.expected = far_more.map(|(fingerprint, _, share)| (*fingerprint, size * share)).collect();
    acquaintances.size = size;
    acquaintances.next = alarm.known + (alarm.known / 16.0).max(4.0);
}

/// What speaks against a known viewer, and the size of the crowd that it is held against.
pub(super) fn finding(
    alarm: &Alarm,
    sighting: &Sighting,
    cap: f64,
    min_excess: f64,
) -> Option<(Finding, f64)> {
    let acquaintances = &alarm.acquaintances;
    let fingerprint = sighting.profile.fingerprint;
    let (_, expected) = acquaintances.expected.iter().find(|(other, _)| *other == fingerprint)?;
    let seen = alarm.known_fingerprints.get(&fingerprint).copied().unwrap_or(0.0);
    let bits = profile::lift(seen, *expected);
    let counts = bits >= BITS_MIN && seen - expected >= min_excess && !sighting.is_paid();
    (counts && acquaintances.came_from_everywhere(fingerprint, seen))
        .then(|| (Finding::new(Kind::Profile, bits.min(cap), seen, *expected), acquaintances.size))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: Fingerprint = Fingerprint(1);

    #[test]
    fn three_in_five_of_one_room_are_a_raid_and_who_is_taken_back_is_none_of_them() {
        let mut raid = Acquaintances::default();
        // In turn, so that the vote changes its mind.
        (0..40).for_each(|n| raid.note(PROGRAM, Some(if n % 5 < 3 { 7 } else { 100 + n }), 1.0, 99));
        assert!(!raid.came_from_everywhere(PROGRAM, 40.0));
        let mut many = Acquaintances::default();
        (0..40).for_each(|n| many.note(PROGRAM, Some(1 + n % 20), 1.0, 99));
        assert!(many.came_from_everywhere(PROGRAM, 40.0));
        assert!(!many.came_from_everywhere(PROGRAM, 81.0), "most do not tell where they were");
        (0..21).for_each(|n| many.take_back(PROGRAM, Some(1 + n % 20)));
        assert!(!many.came_from_everywhere(PROGRAM, 40.0), "of 40 known 19 are left who tell");
    }
}
